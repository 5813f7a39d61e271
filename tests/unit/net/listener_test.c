/*
 * A listening socket on its worker: turns that are shared, connections that must wait, closing without losing any.
 */
#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <postern/listener.h>

#include "net_fixture.h"

#define CLIENTS 200

static struct scene {
    struct worker *w;
    struct listener listener;
    struct sockaddr_in address;
    int clients[CLIENTS];
    uv_tcp_t taken[CLIENTS + 1];
    unsigned taken_n, asked, refuse; /* how many times on_connection shall say no */
    bool closed;
} scene;

static bool on_connection(struct listener *l)
{
    struct scene *s = l->user;
    uv_tcp_t *h = &s->taken[s->taken_n];

    s->asked++;
    if (s->refuse > 0) {
        s->refuse--;
        return false;
    }
    assert_true(s->taken_n < CLIENTS);
    uv_tcp_init(&s->w->loop, h);
    assert_int_equal(uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)h), 0);
    s->taken_n++;
    return true;
}

static void on_closed(struct listener *l)
{
    struct scene *s = l->user;

    assert_false(s->closed);
    s->closed = true;
}

static int listening(struct sockaddr_in *a)
{
    socklen_t n = sizeof(*a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)a, sizeof(*a)), 0);
    assert_int_equal(listen(fd, CLIENTS + 10), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)a, &n), 0);
    return fd;
}

static struct scene *scene_begin(void)
{
    struct scene *s = &scene;

    memset(s, 0, sizeof(*s));
    s->w = net_worker();
    s->listener.user = s;
    for (int i = 0; i < CLIENTS; i++)
        s->clients[i] = -1;
    assert_int_equal(
        listener_open(&s->listener, s->w, listening(&s->address), CLIENTS + 10, on_connection, on_closed), 0);
    assert_int_equal(s->listener.conf_index, -1);
    assert_ptr_equal(s->listener.user, s);
    return s;
}

static void connect_clients(struct scene *s, int from, int n)
{
    for (int i = from; i < from + n; i++) {
        s->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(s->clients[i], (struct sockaddr *)&s->address, sizeof(s->address)), 0);
    }
}

static void scene_end(struct scene *s)
{
    listener_close(&s->listener);
    assert_true(net_until(s->w, &s->closed));
    for (unsigned i = 0; i < s->taken_n; i++)
        uv_close((uv_handle_t *)&s->taken[i], NULL);
    for (int i = 0; i < CLIENTS; i++) {
        if (s->clients[i] >= 0)
            close(s->clients[i]);
    }
    net_worker_end(s->w);
}

static bool until_taken(struct scene *s, unsigned n)
{
    uint64_t until = net_now_ms() + WAIT_MS;

    while (s->taken_n < n && net_now_ms() < until)
        net_turn(s->w);
    net_turns(s->w, 5);
    return s->taken_n == n;
}

static void test_accepts(void **state)
{
    struct scene *s = scene_begin();

    connect_clients(s, 0, 3);
    assert_true(until_taken(s, 3));
    connect_clients(s, 3, 2);
    assert_true(until_taken(s, 5));
    assert_int_equal(s->asked, 5);
    scene_end(s);
}

static void test_no_more_than_its_share(void **state)
{
    struct scene *s = scene_begin();

    connect_clients(s, 0, CLIENTS);
    for (unsigned before = 0; s->taken_n < CLIENTS; before = s->taken_n) {
        uv_run(&s->w->loop, UV_RUN_NOWAIT);
        assert_true(s->taken_n - before <= 65);
        assert_true(s->taken_n > before || s->taken_n < 66);
    }
    assert_int_equal(s->taken_n, CLIENTS);
    scene_end(s);
}

/* What cannot be taken waits, and those behind it; nobody has to come and ask. */
static void test_asked_again(void **state)
{
    struct scene *s = scene_begin();

    s->refuse = 3;
    connect_clients(s, 0, 5);
    net_turns(s->w, 5);
    assert_int_equal(s->taken_n, 0);
    assert_int_equal(s->asked, 1); /* not in every turn */
    assert_true(s->listener.waiting);
    assert_true(until_taken(s, 5));
    assert_int_equal(s->asked, 8);
    assert_false(s->listener.waiting);
    scene_end(s);
}

/* Clients of the kernel's queue have been told that they are connected. */
static void test_closing_takes_the_queue(void **state)
{
    struct scene *s = scene_begin();
    char c;

    net_turns(s->w, 2);
    connect_clients(s, 0, 100);
    listener_close(&s->listener);
    listener_close(&s->listener);
    assert_false(s->closed);
    assert_true(net_until(s->w, &s->closed));
    assert_int_equal(s->taken_n, 100);
    for (int i = 0; i < 100; i++)
        assert_true(recv(s->clients[i], &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN); /* not cut off */
    scene_end(s);
}

static void test_closing_while_waiting(void **state)
{
    struct scene *s = scene_begin();

    s->refuse = 1000;
    connect_clients(s, 0, 5);
    net_turns(s->w, 5);
    assert_true(s->listener.waiting);
    listener_close(&s->listener);
    assert_true(net_until(s->w, &s->closed));
    assert_int_equal(s->taken_n, 0);
    scene_end(s);
}

static void test_closing_unused(void **state)
{
    struct scene *s = scene_begin();

    scene_end(s);
}

/* Nobody new begins: who connects now is not told "connected" only to be cut off. */
static void test_closing_begins_nothing(void **state)
{
    struct scene *s = scene_begin();

    connect_clients(s, 0, 2);
    listener_close(&s->listener);
    for (int i = 2; i < 20; i++) {
        s->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(connect(s->clients[i], (struct sockaddr *)&s->address, sizeof(s->address)), -1);
        assert_int_equal(errno, EINPROGRESS);
    }
    assert_true(net_until(s->w, &s->closed));
    assert_int_equal(s->taken_n, 2);
    for (int i = 2; i < 20; i++) {
        int error = 0;
        socklen_t n = sizeof(error);

        assert_int_equal(getsockopt(s->clients[i], SOL_SOCKET, SO_ERROR, &error, &n), 0);
        assert_int_equal(error, 0); /* still trying */
    }
    scene_end(s);
}

/* ---- what cannot be opened ---- */

static void check_not_opened(int fd, int want)
{
    struct scene *s = &scene;
    int r;

    memset(s, 0, sizeof(*s));
    s->w = net_worker();
    s->listener.user = s;
    r = listener_open(&s->listener, s->w, fd, 10, on_connection, on_closed);
    assert_true(r < 0);
    if (want != 0)
        assert_int_equal(r, want);
    listener_close(&s->listener); /* harmless */
    assert_true(net_until(s->w, &s->closed));
    assert_true(fcntl(fd, F_GETFD) < 0); /* taken over, whatever happened */
    net_worker_end(s->w);
}

static void test_not_opened(void **state)
{
    int fds[2];

    net_pair(true, fds);
    check_not_opened(fds[0], UV_EINVAL); /* connected: nothing to listen on */
    close(fds[1]);
    check_not_opened(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
    check_not_opened(-1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_no_more_than_its_share),
        cmocka_unit_test(test_asked_again),
        cmocka_unit_test(test_closing_takes_the_queue),
        cmocka_unit_test(test_closing_while_waiting),
        cmocka_unit_test(test_closing_unused),
        cmocka_unit_test(test_closing_begins_nothing),
        cmocka_unit_test(test_not_opened),
    };

    return cmocka_run_group_tests_name("listener", tests, net_setup, net_teardown);
}
