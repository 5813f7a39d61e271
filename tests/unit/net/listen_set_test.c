/*
 * Listening sockets across configurations: opened all or none, kept, dropped; and what stands in the way is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <postern/listener.h>

#include "net_fixture.h"

#define WORKERS 2

static unsigned open_files(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static bool have_ipv6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool have = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

    if (fd >= 0)
        close(fd);
    return have;
}

/* Free a moment ago. */
static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* ---- a configuration of addresses ---- */

struct addresses {
    struct snapshot snapshot;
    struct conf_listener listener;
    struct conf_address v[4];
    char text[4][64];
};

static void addresses_add(struct addresses *c, const char *host, uint16_t port)
{
    size_t i = c->listener.addresses_n++;
    struct conf_address *a = &c->v[i];
    struct sockaddr_in *in = (void *)&a->sa;
    struct sockaddr_in6 *in6 = (void *)&a->sa;

    c->listener.addresses = c->v;
    c->listener.backlog = 16;
    c->snapshot.listeners = &c->listener;
    c->snapshot.listeners_n = 1;
    snprintf(c->text[i], sizeof(c->text[i]), strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
    a->text = str_of(c->text[i]);
    memset(&a->sa, 0, sizeof(a->sa));
    if (strchr(host, ':') != NULL || strcmp(host, "*") == 0) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        if (strcmp(host, "*") != 0)
            assert_int_equal(inet_pton(AF_INET6, host, &in6->sin6_addr), 1);
        a->len = sizeof(*in6);
    } else {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        assert_int_equal(inet_pton(AF_INET, host, &in->sin_addr), 1);
        a->len = sizeof(*in);
    }
}

static struct listen_set *update(const struct listen_set *old, struct addresses *c, char *ret_text,
                                 size_t errors)
{
    struct conf_findings *f = conf_findings_new();
    struct listen_set *l = listen_set_update(old, &c->snapshot, WORKERS, f);
    FILE *to = ret_text != NULL ? fmemopen(ret_text, 1000, "w") : NULL;

    assert_int_equal(conf_findings_count(f, CONF_ERROR), errors);
    if (to != NULL) {
        conf_findings_print(f, to);
        fclose(to);
    }
    conf_findings_free(f);
    return l;
}

static bool connects(const char *host, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool six = strchr(host, ':') != NULL, good;
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

    assert_int_equal(
        inet_pton(six ? AF_INET6 : AF_INET, host, six ? (void *)&in6.sin6_addr : (void *)&in.sin_addr), 1);
    good = connect(fd, six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
                   six ? sizeof(in6) : sizeof(in)) == 0;
    close(fd);
    return good;
}

/* As the workers do. */
static void take_over(struct listen_set *l, int *to)
{
    for (size_t i = 0; i < l->n; i++) {
        for (unsigned w = 0; w < WORKERS; w++) {
            if (l->v[i].fds[w] >= 0)
                *to++ = l->v[i].fds[w];
            l->v[i].fds[w] = -1;
        }
    }
    *to = -1;
}

static void close_taken(const int *fds)
{
    while (*fds >= 0)
        close(*fds++);
}

/* ---- tests ---- */

static void test_open(void **state)
{
    struct addresses c = {0};
    uint16_t a = free_port(), b = free_port();
    unsigned before = open_files();
    struct listen_set *l;
    int on, taken[10];
    socklen_t n = sizeof(on);

    addresses_add(&c, "127.0.0.1", a);
    addresses_add(&c, "127.0.0.1", b);
    l = update(NULL, &c, NULL, 0);
    assert_non_null(l);
    assert_int_equal(l->n, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(l->v[i].fresh);
        for (unsigned w = 0; w < WORKERS; w++) {
            assert_int_equal(getsockopt(l->v[i].fds[w], SOL_SOCKET, SO_ACCEPTCONN, &on, &n), 0);
            assert_int_equal(on, 1);
            assert_true(fcntl(l->v[i].fds[w], F_GETFD) & FD_CLOEXEC);
            assert_true(fcntl(l->v[i].fds[w], F_GETFL) & O_NONBLOCK);
        }
    }
    assert_int_equal(open_files(), before + 2 * WORKERS);
    assert_true(connects("127.0.0.1", a));
    assert_true(connects("127.0.0.1", b));
    take_over(l, taken);
    listen_set_free(l); /* what was handed over stays open */
    assert_int_equal(open_files(), before + 2 * WORKERS);
    close_taken(taken);
    assert_int_equal(open_files(), before);
}

static void test_keep_add_remove(void **state)
{
    struct addresses first = {0}, second = {0};
    uint16_t a = free_port(), b = free_port(), d = free_port();
    unsigned before = open_files();
    struct listen_set *l, *next;
    int taken[10], more[10];

    addresses_add(&first, "127.0.0.1", a);
    addresses_add(&first, "127.0.0.1", b);
    l = update(NULL, &first, NULL, 0);
    take_over(l, taken);
    addresses_add(&second, "127.0.0.1", d);
    addresses_add(&second, "127.0.0.1", a);
    next = update(l, &second, NULL, 0);
    assert_non_null(next);
    assert_true(next->v[0].fresh);
    assert_false(next->v[1].fresh); /* is with its workers */
    for (unsigned w = 0; w < WORKERS; w++) {
        assert_true(next->v[0].fds[w] >= 0);
        assert_int_equal(next->v[1].fds[w], -1);
    }
    assert_int_equal(open_files(), before + 3 * WORKERS);
    listen_set_free(l);
    assert_true(connects("127.0.0.1", a)); /* never closed */
    assert_true(connects("127.0.0.1", d));
    take_over(next, more);
    l = update(next, &second, NULL, 0); /* the same again: nothing to do */
    for (size_t i = 0; i < l->n; i++)
        assert_false(l->v[i].fresh);
    listen_set_free(next);
    listen_set_free(l);
    close_taken(taken);
    close_taken(more);
    assert_int_equal(open_files(), before);
}

static int somebody_listens(uint16_t port, bool shares)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    if (shares)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* Also one that would share the port, and with it the clients. */
static void test_port_in_use(void **state)
{
    for (int shares = 0; shares < 2; shares++) {
        struct addresses c = {0};
        uint16_t good = free_port(), bad = free_port(), worse = free_port();
        int one = somebody_listens(bad, shares), two = somebody_listens(worse, shares);
        unsigned before = open_files();
        char text[1000] = "", want[100];

        addresses_add(&c, "127.0.0.1", bad);
        addresses_add(&c, "127.0.0.1", good);
        addresses_add(&c, "127.0.0.1", worse);
        assert_null(update(NULL, &c, text, 2)); /* all that fail are told */
        snprintf(want, sizeof(want), "cannot listen on 127.0.0.1:%u: Address already in use; another process",
                 bad);
        assert_non_null(strstr(text, want));
        assert_int_equal(open_files(), before); /* all or none */
        assert_false(connects("127.0.0.1", good));
        close(one);
        close(two);
    }
}

static void test_not_here(void **state)
{
    struct addresses c = {0};
    char text[1000] = "";

    addresses_add(&c, "192.0.2.1", free_port());
    assert_null(update(NULL, &c, text, 1));
    assert_non_null(strstr(text, "no interface of this machine has that address"));
}

static void test_both_families(void **state)
{
    struct addresses all = {0}, six = {0};
    uint16_t a = free_port(), b = free_port();
    struct listen_set *l;

    if (!have_ipv6())
        skip();
    addresses_add(&all, "*", a);
    l = update(NULL, &all, NULL, 0);
    assert_non_null(l);
    assert_true(connects("127.0.0.1", a));
    assert_true(connects("::1", a));
    listen_set_free(l);
    addresses_add(&six, "::", b);
    l = update(NULL, &six, NULL, 0);
    assert_non_null(l);
    assert_false(connects("127.0.0.1", b));
    assert_true(connects("::1", b));
    listen_set_free(l);
}

/* The same address for the kernel, but with other clients: not kept under the new name. */
static void test_family_changes(void **state)
{
    struct addresses all = {0}, six = {0}, twice = {0};
    uint16_t a = free_port();
    struct listen_set *l;
    int taken[10];
    char text[1000] = "";

    if (!have_ipv6())
        skip();
    addresses_add(&all, "*", a);
    l = update(NULL, &all, NULL, 0);
    take_over(l, taken);
    addresses_add(&six, "::", a);
    assert_null(update(l, &six, text, 1));
    assert_non_null(strstr(text, "Postern itself takes that port"));
    listen_set_free(l);
    close_taken(taken);
    addresses_add(&twice, "*", a);
    addresses_add(&twice, "127.0.0.1", a);
    memset(text, 0, sizeof(text));
    assert_null(update(NULL, &twice, text, 1));
    assert_non_null(strstr(text, "Postern itself takes that port"));
}

static void test_nothing(void **state)
{
    struct addresses c = {0};
    struct listen_set *l = update(NULL, &c, NULL, 0);

    assert_non_null(l);
    assert_int_equal(l->n, 0);
    listen_set_free(l);
    listen_set_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),          cmocka_unit_test(test_keep_add_remove),
        cmocka_unit_test(test_port_in_use),   cmocka_unit_test(test_not_here),
        cmocka_unit_test(test_both_families), cmocka_unit_test(test_family_changes),
        cmocka_unit_test(test_nothing),
    };

    return cmocka_run_group_tests_name("listen_set", tests, NULL, NULL);
}
