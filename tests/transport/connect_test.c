/*
 * Outgoing connections: refused, written to before they are open, given up before they are open.
 */
#include <sys/un.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include "../unit/net/net_fixture.h"

static struct test_certificate certificate;
static const struct test_want want = {.name = "be", .san = "DNS:be.example"};

struct scene {
    struct worker *w;
    struct conf_backend conf;
    struct tls_client *tls; /* NULL: plain */
    struct tls_session_slot *slot;
    SSL_CTX *server;
    struct probe probe;
    struct peer peer;
};

static void scene_begin(struct scene *s, bool tls)
{
    struct conf_findings *f = conf_findings_new();

    memset(s, 0, sizeof(*s));
    s->w = net_worker();
    s->conf.verify = true;
    s->conf.tls_floor = CONF_TLS_INTERMEDIATE;
    s->conf.trust.path = STR("trust.pem");
    s->conf.trust.bytes = str_of(certificate.chain_pem);
    s->server = tls ? net_server_ctx(&certificate) : NULL;
    s->tls = tls ? tls_client_new(s->w, &s->conf, f) : NULL;
    s->slot = tls ? tls_session_slot_new("be.example") : NULL;
    assert_true(!tls || s->tls != NULL);
    conf_findings_free(f);
}

static void scene_end(struct scene *s)
{
    tls_client_free(s->tls);
    tls_session_slot_free(s->slot);
    SSL_CTX_free(s->server);
    net_worker_end(s->w);
}

static void scene_close(struct scene *s)
{
    peer_close(&s->peer);
    probe_close(s->w, &s->probe);
}

static void init(struct scene *s)
{
    memset(&s->probe, 0, sizeof(s->probe));
    s->peer = (struct peer){.fd = -1};
    assert_int_equal(stream_init(&s->probe.s, s->w, &probe_handler), 0);
}

/* ---- not to be had ---- */

static struct sockaddr_in nobody(int *ret_fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);

    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, and nobody listens */
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&a, &n), 0);
    return a;
}

static void test_refused(void **state)
{
    for (int tls = 0; tls < 2; tls++) {
        struct scene s;
        struct sockaddr_in a;
        int fd;

        scene_begin(&s, tls == 1);
        a = nobody(&fd);
        init(&s);
        assert_int_equal(stream_connect(&s.probe.s, (struct sockaddr *)&a, s.tls, s.slot), 0);
        assert_false(s.probe.failed);
        assert_true(probe_write(&s.probe, "early", 5) >= 0);
        assert_true(net_until(s.w, &s.probe.failed));
        assert_int_equal(s.probe.why, REASON_BACKEND_REFUSED);
        assert_string_equal(s.probe.fail_text, "connection refused");
        assert_false(s.probe.open);
        close(fd);
        scene_close(&s);
        scene_end(&s);
    }
}

static void test_unix(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct scene s;
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char folder[] = "/tmp/postern-net-XXXXXX", c;

    assert_non_null(mkdtemp(folder));
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/socket", folder);
    scene_begin(&s, false);
    init(&s);
    assert_int_equal(stream_connect(&s.probe.s, (struct sockaddr *)&a, NULL, NULL), 0);
    assert_false(s.probe.failed); /* never before it returns */
    assert_true(net_until(s.w, &s.probe.failed));
    assert_int_equal(s.probe.why, REASON_BACKEND_REFUSED);
    scene_close(&s);
    assert_int_equal(bind(listening, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(listening, 1), 0);
    init(&s);
    assert_int_equal(stream_connect(&s.probe.s, (struct sockaddr *)&a, NULL, NULL), 0);
    assert_false(s.probe.open);
    assert_int_equal(probe_write(&s.probe, "x", 1), 1);
    assert_true(net_until(s.w, &s.probe.open));
    s.peer.fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    peer_read(s.w, &s.peer, &c, 1);
    assert_int_equal(c, 'x');
    scene_close(&s);
    close(listening);
    unlink(a.sun_path);
    rmdir(folder);
    scene_end(&s);
}

/* ---- before it is open ---- */

static void test_written_early(void **state)
{
    for (int tls = 0; tls < 2; tls++) {
        struct scene s;
        size_t n;

        scene_begin(&s, tls == 1);
        net_connect(s.w, &s.probe, s.tls, s.slot, &s.peer, s.server);
        assert_int_equal(probe_write(&s.probe, "GET ", 4), 4);
        assert_int_equal(probe_write(&s.probe, "/", 1), 5);
        stream_end(&s.probe.s);
        assert_int_equal(probe_write(&s.probe, "x", 1), -1);
        assert_int_equal(s.probe.told[PROBE_OPEN], 0);
        net_shake(s.w, &s.probe, &s.peer);
        assert_int_equal(peer_read_end(s.w, &s.peer, &n, NULL), PEER_CLEAN);
        assert_int_equal(n, 5);
        peer_write(s.w, &s.peer, "200", 3);
        assert_true(probe_want(s.w, &s.probe, 3));
        scene_close(&s);
        scene_end(&s);
    }
}

/* More than the high mark before it is open: told when it has drained, as ever. */
static void test_much_early(void **state)
{
    for (int tls = 0; tls < 2; tls++) {
        struct scene s;
        size_t n = 300000, got;
        char *text = calloc(1, n);

        scene_begin(&s, tls == 1);
        net_connect(s.w, &s.probe, s.tls, s.slot, &s.peer, s.server);
        assert_int_equal(probe_write(&s.probe, text, n), n);
        assert_true(stream_blocked(&s.probe.s));
        net_shake(s.w, &s.probe, &s.peer);
        assert_true(net_until(s.w, &s.probe.drained) || stream_queued(&s.probe.s) > 0);
        stream_end(&s.probe.s);
        assert_int_equal(peer_read_end(s.w, &s.peer, &got, NULL), PEER_CLEAN);
        assert_int_equal(got, n);
        assert_int_equal(s.probe.told[PROBE_DRAINED], 1);
        free(text);
        scene_close(&s);
        scene_end(&s);
    }
}

/* Given up: at once, after some turns, in the middle of the handshake; by each way. */
static void test_given_up(void **state)
{
    for (int tls = 0; tls < 2; tls++) {
        for (unsigned turns = 0; turns < 4; turns++) {
            for (int how = 0; how < 3; how++) {
                struct scene s;

                scene_begin(&s, tls == 1);
                net_connect(s.w, &s.probe, s.tls, s.slot, &s.peer, s.server);
                assert_true(probe_write(&s.probe, "early", 5) >= 0);
                for (unsigned i = 0; i < turns; i++)
                    uv_run(&s.w->loop, UV_RUN_NOWAIT);
                if (tls == 1 && turns == 3)
                    (void)SSL_do_handshake(s.peer.ssl);
                if (how == 0)
                    stream_close(&s.probe.s);
                else if (how == 1)
                    stream_reset(&s.probe.s);
                else
                    stream_finish(&s.probe.s, 10, 10);
                peer_close(&s.peer);
                assert_true(net_until(s.w, &s.probe.closed));
                probe_end(&s.probe);
                scene_end(&s);
            }
        }
    }
}

static void test_never_started(void **state)
{
    struct scene s;

    scene_begin(&s, false);
    init(&s);
    stream_close(&s.probe.s);
    scene_close(&s);
    init(&s);
    stream_pause(&s.probe.s);
    stream_resume(&s.probe.s);
    assert_false(stream_has_leftover(&s.probe.s));
    stream_reset(&s.probe.s);
    scene_close(&s);
    scene_end(&s);
}

/* ---- the answer that came before the break ---- */

static void check_answered(struct probe *p, enum probe_event e)
{
    if (e == PROBE_FAIL)
        assert_int_equal(p->n, 3);
}

/* The server answers and closes without having taken all: the reset that follows must not hide the answer. */
static void test_answer_before_reset(void **state)
{
    for (int tls = 0; tls < 2; tls++) {
        struct scene s;
        char *text = calloc(1, 100000);

        scene_begin(&s, tls == 1);
        net_connect(s.w, &s.probe, s.tls, s.slot, &s.peer, s.server);
        net_shake(s.w, &s.probe, &s.peer);
        net_turns(s.w, 3);
        s.probe.hook = check_answered;
        assert_int_equal(probe_write(&s.probe, text, 100000), 0);
        assert_int_equal(peer_try_write(&s.peer, "413", 3), 3);
        peer_close(&s.peer);
        assert_int_equal(probe_write(&s.probe, text, 100000), -1); /* the loop has seen nothing of it yet */
        assert_int_equal(s.probe.n, 0);
        assert_true(net_until(s.w, &s.probe.failed));
        assert_int_equal(s.probe.n, 3);
        assert_memory_equal(s.probe.data, "413", 3);
        assert_int_equal(s.probe.why, REASON_BACKEND_RESET);
        free(text);
        scene_close(&s);
        scene_end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_written_early),
        cmocka_unit_test(test_much_early),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_never_started),
        cmocka_unit_test(test_answer_before_reset),
    };

    return net_run("connect", tests, sizeof(tests) / sizeof(tests[0]), &want, &certificate, 1);
}
