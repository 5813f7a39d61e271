/*
 * The active checks: what counts as alive, how many times in a row, what is asked, and stopping in the middle.
 */
#include <stdlib.h>

#include "../../../proxy/core/health_int.h"
#include "fixture.h"

static struct {
    struct worker *w;
    struct fixture_conf conf;
    struct health *health;
} rig;

static void conf_begin(void)
{
    memset(&rig, 0, sizeof(rig));
    fixture_conf_init(&rig.conf);
    rig.conf.services[0].health_path = STR("/owa/healthcheck.htm");
    rig.conf.publish.services_n = 1;
    rig.conf.backend.health_interval = 20;
}

static void do_start(struct worker *w, void *arg)
{
    rig.health = health_start(w, &rig.conf.snapshot, rig.conf.states);
}

static void start(void)
{
    rig.w = fixture_worker();
    fixture_states(&rig.conf);
    fixture_on(rig.w, do_start, NULL);
    assert_non_null(rig.health);
}

static void do_stop(struct worker *w, void *arg)
{
    health_stop(rig.health);
}

static void stop(void)
{
    fixture_on(rig.w, do_stop, NULL);
    fixture_worker_end(rig.w);
    fixture_conf_end(&rig.conf);
}

static struct server_state *state_of(unsigned server)
{
    return &rig.conf.states->v[0].servers[server];
}

static uint32_t down_paths(unsigned server)
{
    return __atomic_load_n(&state_of(server)->down_paths, __ATOMIC_RELAXED);
}

static bool until_down(unsigned server, uint32_t paths)
{
    return fixture_until(&state_of(server)->down_paths, paths);
}

static bool until_asked(struct fake *f, unsigned n)
{
    for (unsigned i = 0; i < WAIT_MS / 2 && fake_accepted(f) < n; i++)
        fixture_sleep(2);
    return fake_accepted(f) >= n;
}

/* ---- statuses ---- */

static void test_status_lists(void **state)
{
    struct str v[] = {STR("2xx"), STR("3XX"), STR("401"), STR("5"), STR("")};
    struct conf_strings list = {v, 5};
    static const int alive[] = {200, 299, 300, 302, 399, 401},
                     dead[] = {100, 199, 400, 402, 403, 404, 500, 5, 0, 599, 2000};

    for (size_t i = 0; i < sizeof(alive) / sizeof(alive[0]); i++)
        assert_true(health_status_alive(&list, alive[i]));
    for (size_t i = 0; i < sizeof(dead) / sizeof(dead[0]); i++)
        assert_false(health_status_alive(&list, dead[i]));
    list.n = 0;
    assert_false(health_status_alive(&list, 200));
}

/* Several in a row, both ways, and each change is told once. */
static void test_down_and_up(void **state)
{
    struct fake *f = fake_start(FAKE_HTTP, 503);

    fixture_log_start();
    conf_begin();
    rig.conf.backend.health_down = 3;
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), false);
    start();
    for (bool soon = true; soon; fixture_sleep(1)) {
        uint32_t down = down_paths(0);

        soon = fake_accepted(f) < 3;
        if (soon)
            assert_int_equal(down, 0); /* not before the third answer */
    }
    assert_true(until_down(0, 1));
    fake_set(f, FAKE_HTTP, 200);
    assert_true(until_down(0, 0));
    fake_set(f, FAKE_HTTP, 401); /* asks for credentials: it is alive */
    assert_true(until_asked(f, fake_accepted(f) + 5));
    assert_int_equal(down_paths(0), 0);
    stop();
    fake_stop(f);
    assert_int_equal(fixture_log_count("PO-BACK-000", "healthcheck"), 2);
}

/* One that answers well in between starts the count anew. */
static void test_in_a_row(void **state)
{
    struct fake *f = fake_start(FAKE_HTTP, 200);

    conf_begin();
    rig.conf.backend.health_down = 50;
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), false);
    start();
    for (int i = 0; i < 6; i++) {
        fake_set(f, FAKE_HTTP, i % 2 == 0 ? 500 : 200);
        assert_true(until_asked(f, fake_accepted(f) + 3));
    }
    assert_int_equal(down_paths(0), 0);
    stop();
    fake_stop(f);
}

static void check_verdict(enum fake_mode mode, int status, bool alive)
{
    struct fake *f = fake_start(mode, status);

    conf_begin();
    rig.conf.backend.health_down = rig.conf.backend.health_up = 1;
    rig.conf.backend.health_timeout = 100;
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), false);
    start();
    if (alive) {
        assert_true(until_asked(f, 5));
        assert_int_equal(down_paths(0), 0);
    } else {
        assert_true(until_down(0, 1));
    }
    stop();
    fake_stop(f);
}

static void test_verdicts(void **state)
{
    check_verdict(FAKE_HTTP, 200, true);
    check_verdict(FAKE_HTTP, 302, true);
    check_verdict(FAKE_HTTP, 401, true);
    check_verdict(FAKE_HTTP_100, 200, true); /* an interim answer is none */
    check_verdict(FAKE_HTTP, 403, false);
    check_verdict(FAKE_HTTP, 404, false);
    check_verdict(FAKE_HTTP, 500, false);
    check_verdict(FAKE_HTTP_100, 503, false);
    check_verdict(FAKE_HANG, 0, false);
    check_verdict(FAKE_CLOSE, 0, false);
    check_verdict(FAKE_RESET, 0, false);
    check_verdict(FAKE_GARBAGE, 0, false);
    check_verdict(FAKE_HALF, 0, false);
}

static void test_nobody_listens(void **state)
{
    int reserved;
    uint16_t port;

    fixture_log_start();
    conf_begin();
    port = fixture_reserve_port(&reserved);
    fixture_add_server(&rig.conf, "127.0.0.1", port, false);
    start();
    assert_true(until_down(0, 1));
    stop();
    assert_int_equal(fixture_log_count("PO-BACK-0001", "connection refused"), 1);
}

/* ---- what is asked ---- */

static void check_asked(const char *want)
{
    struct fake *f = fake_start(FAKE_HTTP, 200);
    char head[4096];

    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), false);
    start();
    assert_true(until_asked(f, 2));
    fake_last(f, head, sizeof(head));
    if (strstr(head, want) == NULL)
        fail_msg("`%s` does not hold `%s`", head, want);
    assert_non_null(strstr(head, "\r\nConnection: close\r\n"));
    assert_null(strstr(head, "Authorization"));
    stop();
    fake_stop(f);
}

static void test_question(void **state)
{
    conf_begin();
    check_asked("GET /owa/healthcheck.htm HTTP/1.1\r\nHost: mail.example.com\r\n");
    conf_begin();
    rig.conf.backend.host_header = STR("cas.corp.example");
    check_asked("\r\nHost: cas.corp.example\r\n");
    conf_begin();
    rig.conf.backend.health_path = STR("/health"); /* for all services */
    check_asked("GET /health HTTP/1.1\r\n");
    conf_begin();
    rig.conf.host = STR("*"); /* no name to ask for */
    check_asked("\r\nHost: 127.0.0.1:");
}

/* ---- several ---- */

static void test_paths_and_servers(void **state)
{
    struct fake *good = fake_start(FAKE_HTTP, 200), *bad = fake_start(FAKE_HTTP, 500);

    conf_begin();
    rig.conf.services[1].health_path = STR("/ews/healthcheck.htm");
    rig.conf.services[2].health_path = STR("/ews/healthcheck.htm"); /* the same one: asked once */
    rig.conf.publish.services_n = 3;
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(good), false);
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(bad), false);
    start();
    assert_int_equal(rig.conf.states->v[0].paths_n, 2);
    assert_true(until_down(1, 3));
    assert_int_equal(down_paths(0), 0);
    stop();
    fake_stop(good);
    fake_stop(bad);
}

static void test_no_checks(void **state)
{
    struct fake *f = fake_start(FAKE_HTTP, 500);

    conf_begin();
    rig.conf.backend.health_interval = 0;
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), false);
    start();
    fixture_sleep(60);
    assert_int_equal(fake_accepted(f), 0);
    stop();
    fake_stop(f);
    conf_begin();
    rig.conf.services[0].health_path = STR_NULL; /* no service says what to ask */
    f = fake_start(FAKE_HTTP, 500);
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), false);
    start();
    fixture_sleep(60);
    assert_int_equal(fake_accepted(f), 0);
    assert_int_equal(backend_state_path_index(&rig.conf.states->v[0], &rig.conf.services[0]), -1);
    stop();
    fake_stop(f);
}

/* ---- TLS ---- */

static void check_tls(const char *name, bool verify, bool alive)
{
    char *cert, *key;
    struct fake *f;

    certificate_make(name, &cert, &key);
    f = fake_start_tls(FAKE_HTTP, 200, cert, key);
    conf_begin();
    rig.conf.backend.health_down = 1;
    rig.conf.backend.verify = verify;
    rig.conf.backend.trust.path = STR("trust.pem");
    rig.conf.backend.trust.bytes = str_of(cert);
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), true);
    start();
    if (alive) {
        assert_true(until_asked(f, 4));
        assert_int_equal(down_paths(0), 0);
        assert_true(fake_resumed(f) > 0);
    } else {
        assert_true(until_down(0, 1));
    }
    stop();
    fake_stop(f);
    free(cert);
    free(key);
}

static void test_tls(void **state)
{
    check_tls("127.0.0.1", true, true);
    check_tls("other.example.com", true, false); /* verified as the traffic is */
    check_tls("other.example.com", false, true);
}

/* ---- stopping ---- */

static void test_stopped_at_any_moment(void **state)
{
    static const enum fake_mode modes[] = {FAKE_HTTP, FAKE_HANG, FAKE_HALF, FAKE_RESET};

    for (int i = 0; i < 24; i++) {
        struct fake *f = fake_start(modes[i % 4], 200);

        conf_begin();
        rig.conf.backend.health_interval = 3;
        rig.conf.backend.health_timeout = 10;
        fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), false);
        fixture_add_server(&rig.conf, "localhost", fake_port(f), false);
        start();
        fixture_sleep((unsigned)i);
        stop();
        fake_stop(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_lists),
        cmocka_unit_test(test_down_and_up),
        cmocka_unit_test(test_in_a_row),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_question),
        cmocka_unit_test(test_paths_and_servers),
        cmocka_unit_test(test_no_checks),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_stopped_at_any_moment),
    };

    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
