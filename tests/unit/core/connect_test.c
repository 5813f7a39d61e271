/*
 * Opening connections to backends: several addresses, time, TLS and its sessions, servers that rest.
 */
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include "pool_rig.h"

static struct rig rig;

static void begin(void)
{
    memset(&rig, 0, sizeof(rig));
    fixture_conf_init(&rig.conf);
}

/* Addresses of a server that has a name: loopback, and these ports. */
static void set_addresses(unsigned server, const uint16_t *ports, unsigned n)
{
    struct resolve_result r;

    memset(&r, 0, sizeof(r));
    for (unsigned i = 0; i < n; i++) {
        struct sockaddr_in *in = (void *)&r.v[i];

        in->sin_family = AF_INET;
        in->sin_port = htons(ports[i]);
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    r.n = n;
    server_state_set_addresses(&rig.conf.states->v[0].servers[server], &r);
}

static struct server_state *state_of(unsigned server)
{
    return &rig.conf.states->v[0].servers[server];
}

/* ---- addresses ---- */

static void test_next_address(void **state)
{
    struct fake *f = fake_start(FAKE_LINES, 0);
    struct borrower a, b;
    int reserved;
    uint16_t ports[3];

    begin();
    fixture_add_server(&rig.conf, "cas.example.com", 80, false);
    rig_start(&rig);
    ports[0] = ports[1] = fixture_reserve_port(&reserved);
    ports[2] = fake_port(f);
    set_addresses(0, ports, 3);
    borrower_init(&a, &rig);
    assert_true(borrower_take(&a));
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_CONNECT_FAILURES), 2);
    assert_int_equal(state_of(0)->connect_failures,
                     0); /* one of its addresses answered: the server is well */
    borrower_init(&b, &rig);
    assert_true(borrower_take(&b)); /* begins with the one that answered */
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_CONNECT_FAILURES), 2);
    borrower_discard(&a);
    borrower_discard(&b);
    rig_end(&rig);
    close(reserved);
    fake_stop(f);
}

static void test_no_address_answers(void **state)
{
    struct borrower a;
    int reserved;
    uint16_t ports[2];

    begin();
    fixture_add_server(&rig.conf, "cas.example.com", 80, false);
    rig_start(&rig);
    ports[0] = ports[1] = fixture_reserve_port(&reserved);
    set_addresses(0, ports, 2);
    borrower_init(&a, &rig);
    assert_false(borrower_take(&a));
    assert_int_equal(a.failed, 1);
    assert_int_equal(a.why, REASON_BACKEND_REFUSED);
    assert_int_equal(state_of(0)->connect_failures, 1);
    rig_end(&rig);
    close(reserved);
}

static void test_no_addresses_yet(void **state)
{
    struct fake *f = fake_start(FAKE_LINES, 0);
    struct borrower a;
    uint16_t port = fake_port(f);

    begin();
    fixture_add_server(&rig.conf, "cas.example.com", 80, false);
    rig_start(&rig);
    borrower_init(&a, &rig);
    borrower_ask(&a);
    assert_int_equal(a.result, BACKEND_NONE);
    assert_int_equal(a.why, REASON_NO_BACKEND);
    set_addresses(0, &port, 1);
    assert_true(borrower_take(&a));
    borrower_give(&a);
    rig_end(&rig);
    fake_stop(f);
}

/* One that does not answer gets its share of the time, not all of it. */
static void test_silent_address(void **state)
{
    struct fake *f = fake_start(FAKE_LINES, 0);
    struct blackhole hole;
    struct borrower a;
    uint16_t ports[2];

    begin();
    rig.conf.backend.connect_timeout = 400;
    fixture_add_server(&rig.conf, "cas.example.com", 80, false);
    blackhole_open(&hole);
    rig_start(&rig);
    ports[0] = hole.port;
    ports[1] = fake_port(f);
    set_addresses(0, ports, 2);
    borrower_init(&a, &rig);
    assert_true(borrower_take(&a));
    borrower_discard(&a);
    ports[1] = hole.port;
    set_addresses(0, ports, 2);
    assert_false(borrower_take(&a));
    assert_int_equal(a.why, REASON_BACKEND_CONNECT_TIMEOUT);
    rig_end(&rig);
    blackhole_close(&hole);
    fake_stop(f);
}

/* The names were looked up again while an attempt was under way. */
static void test_addresses_change_meanwhile(void **state)
{
    struct fake *f = fake_start(FAKE_LINES, 0);
    struct blackhole hole;
    struct borrower a, b;
    uint16_t ports[4], port = fake_port(f);

    begin();
    rig.conf.backend.connect_timeout = 400;
    fixture_add_server(&rig.conf, "cas.example.com", 80, false);
    blackhole_open(&hole);
    rig_start(&rig);
    for (int i = 0; i < 4; i++)
        ports[i] = hole.port;
    set_addresses(0, ports, 4);
    borrower_init(&a, &rig);
    borrower_ask(&a);
    assert_int_equal(a.result, BACKEND_WAIT);
    set_addresses(0, &port, 1);
    borrower_init(&b, &rig);
    assert_true(borrower_take(&b)); /* takes the new ones over */
    assert_true(borrower_outcome(&a));
    borrower_discard(&a);
    borrower_discard(&b);
    rig_end(&rig);
    blackhole_close(&hole);
    fake_stop(f);
}

static void test_cancelled(void **state)
{
    struct blackhole hole;
    struct borrower a;
    uint16_t ports[2];

    begin();
    rig.conf.backend.connect_timeout = 200;
    fixture_add_server(&rig.conf, "cas.example.com", 80, false);
    blackhole_open(&hole);
    rig_start(&rig);
    ports[0] = ports[1] = hole.port;
    set_addresses(0, ports, 2);
    for (unsigned wait = 0; wait < 4; wait++) { /* at once; and between two attempts, about */
        borrower_init(&a, &rig);
        borrower_ask(&a);
        fixture_sleep(wait * 33);
        borrower_cancel(&a);
        fixture_sleep(5);
        assert_int_equal(a.ready + a.failed, 0);
    }
    fixture_sleep(250);
    assert_int_equal(a.ready + a.failed, 0);
    assert_int_equal(state_of(0)->connect_failures, 0); /* nobody waited long enough to know */
    rig_end(&rig);
    blackhole_close(&hole);
}

/* ---- servers that close ---- */

static void test_closes_at_once(void **state)
{
    static const enum fake_mode modes[] = {FAKE_CLOSE, FAKE_RESET};

    for (int i = 0; i < 2; i++) {
        struct fake *f = fake_start(modes[i], 0);
        struct borrower a;

        begin();
        fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), false);
        rig_start(&rig);
        borrower_init(&a, &rig);
        if (borrower_take(&a)) { /* connected it was: the borrower hears how it ends */
            for (unsigned k = 0; k < WAIT_MS / 2 && __atomic_load_n(&a.ends, __ATOMIC_ACQUIRE) +
                                                            __atomic_load_n(&a.broken, __ATOMIC_ACQUIRE) ==
                                                        0;
                 k++)
                fixture_sleep(2);
            assert_true(a.ends + a.broken > 0);
            borrower_discard(&a);
        } else {
            assert_int_equal(a.why, REASON_BACKEND_REFUSED);
        }
        rig_end(&rig);
        fake_stop(f);
    }
}

/* ---- rest ---- */

static void test_rests_and_returns(void **state)
{
    struct fake *f = fake_start(FAKE_LINES, 0);
    struct borrower a;
    int reserved;
    uint16_t dead, alive = fake_port(f);

    fixture_log_start();
    begin(); /* health_down 2 */
    fixture_add_server(&rig.conf, "one.example.com", 80, false);
    fixture_add_server(&rig.conf, "127.0.0.1", alive, false);
    rig_start(&rig);
    dead = fixture_reserve_port(&reserved);
    set_addresses(0, &dead, 1);
    borrower_init(&a, &rig);
    a.want.server = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(state_of(0)->passive_until_ms, 0);
        assert_false(borrower_take(&a));
    }
    assert_true(state_of(0)->passive_until_ms > 0);
    a.want.server = -1;
    for (int i = 0; i < 6; i++) { /* all go to the other one */
        assert_true(borrower_take(&a));
        assert_int_equal(borrower_server(&a), 1);
        borrower_discard(&a);
    }
    a.want.tried = 2; /* the other has failed as well: one that rests is better than none */
    set_addresses(0, &alive, 1);
    assert_true(borrower_take(&a));
    assert_int_equal(borrower_server(&a), 0);
    borrower_discard(&a);
    assert_int_equal(state_of(0)->passive_until_ms, 0); /* its first success brings it back */
    assert_int_equal(state_of(0)->connect_failures, 0);
    rig_end(&rig);
    close(reserved);
    fake_stop(f);
    assert_int_equal(fixture_log_count("PO-BACK-000", "one.example.com"), 2); /* down once, up once */
}

/* ---- TLS ---- */

static void secure(char **cert, char **key, const char *name, enum fake_mode mode, struct fake **ret)
{
    certificate_make(name, cert, key);
    *ret = fake_start_tls(mode, 0, *cert, *key);
    begin();
    rig.conf.backend.trust.path = STR("trust.pem");
    rig.conf.backend.trust.bytes = str_of(*cert);
}

static void test_tls_resumed(void **state)
{
    struct borrower a, b;
    char *cert, *key;
    struct fake *f;

    secure(&cert, &key, "127.0.0.1", FAKE_LINES, &f);
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), true);
    rig_start(&rig);
    borrower_init(&a, &rig);
    borrower_init(&b, &rig);
    assert_true(borrower_take(&a));
    assert_string_equal(borrower_say(&a, "WHO"), "-"); /* and the ticket before it */
    assert_true(borrower_take(&b));
    assert_string_equal(borrower_say(&b, "WHO"), "-");
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_TLS_HANDSHAKES), 2);
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_TLS_RESUMED), 1);
    assert_int_equal(fake_resumed(f), 1);
    borrower_give(&a);
    borrower_discard(&b);
    assert_true(borrower_take(&b)); /* an idle TLS connection is as good as a plain one */
    assert_true(b.reused);
    assert_string_equal(borrower_say(&b, "WHO"), "-");
    borrower_give(&b);
    rig_end(&rig);
    fake_stop(f);
    free(cert);
    free(key);
}

static void test_tls_refused(void **state)
{
    struct borrower a;
    char *cert, *key;
    struct fake *f;

    fixture_log_start();
    secure(&cert, &key, "other.example.com", FAKE_LINES, &f);
    rig.conf.backend.health_down = 1;
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), true);
    rig_start(&rig);
    borrower_init(&a, &rig);
    assert_false(borrower_take(&a));
    assert_int_equal(a.why, REASON_BACKEND_TLS_FAILED);
    rig_end(&rig);
    fake_stop(f);
    free(cert);
    free(key);
    assert_int_equal(fixture_log_count("PO-BACK-0001", "IP address mismatch"), 1);
}

static void test_tls_hangs(void **state)
{
    struct borrower a;
    char *cert, *key;
    struct fake *f;

    secure(&cert, &key, "127.0.0.1", FAKE_HANG, &f);
    rig.conf.backend.connect_timeout = 200;
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), true);
    rig_start(&rig);
    borrower_init(&a, &rig);
    assert_false(borrower_take(&a));
    assert_int_equal(a.why, REASON_BACKEND_CONNECT_TIMEOUT); /* TLS included */
    rig_end(&rig);
    fake_stop(f);
    free(cert);
    free(key);
}

/* A plain answer where TLS was asked for, and a TLS port that is spoken to in clear text. */
static void test_tls_on_one_side(void **state)
{
    struct fake *f = fake_start(FAKE_CLOSE, 0);
    struct borrower a;

    begin();
    rig.conf.backend.verify = false;
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(f), true);
    rig_start(&rig);
    borrower_init(&a, &rig);
    assert_false(borrower_take(&a));
    assert_int_equal(a.why, REASON_BACKEND_TLS_FAILED);
    rig_end(&rig);
    fake_stop(f);
}

static void do_make(struct worker *w, void *arg)
{
    struct conf_findings *f = conf_findings_new();

    *(bool *)arg = backend_pool_new(w, &rig.conf.states->v[0], &rig.conf.snapshot.limits, f) == NULL &&
                   conf_findings_count(f, CONF_ERROR) == 1;
    conf_findings_free(f);
}

static void test_trust_cannot_be_used(void **state)
{
    bool refused = false;
    struct worker *w = fixture_worker();

    begin();
    rig.conf.backend.trust.path = STR("trust.pem");
    rig.conf.backend.trust.bytes = STR("nothing");
    fixture_add_server(&rig.conf, "127.0.0.1", 443, true);
    fixture_states(&rig.conf);
    fixture_on(w, do_make, &refused);
    assert_true(refused);
    fixture_worker_end(w);
    fixture_conf_end(&rig.conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_address),
        cmocka_unit_test(test_no_address_answers),
        cmocka_unit_test(test_no_addresses_yet),
        cmocka_unit_test(test_silent_address),
        cmocka_unit_test(test_addresses_change_meanwhile),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_closes_at_once),
        cmocka_unit_test(test_rests_and_returns),
        cmocka_unit_test(test_tls_resumed),
        cmocka_unit_test(test_tls_refused),
        cmocka_unit_test(test_tls_hangs),
        cmocka_unit_test(test_tls_on_one_side),
        cmocka_unit_test(test_trust_cannot_be_used),
    };

    return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
