/*
 * Connections to backend servers: who owns them, which are used again, and that one of a client never becomes another's.
 */
#include "pool_rig.h"

static struct rig rig;

static void begin(enum fake_mode mode, struct fake **ret)
{
    memset(&rig, 0, sizeof(rig));
    fixture_conf_init(&rig.conf);
    *ret = fake_start(mode, 200);
    fixture_add_server(&rig.conf, "127.0.0.1", fake_port(*ret), false);
}

/* Until the fake has seen that many connections close. */
static void check_open(struct fake *f, unsigned want)
{
    for (unsigned i = 0; i < WAIT_MS / 2 && fake_open(f) != want; i++)
        fixture_sleep(2);
    assert_int_equal(fake_open(f), want);
}

/* ---- lending ---- */

static void test_used_again(void **state)
{
    struct borrower a, b;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig_start(&rig);
    borrower_init(&a, &rig);
    assert_true(borrower_take(&a));
    assert_int_equal(a.result, BACKEND_WAIT);
    assert_false(a.reused);
    assert_string_equal(borrower_say(&a, "WHO"), "-");
    borrower_give(&a);
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_IDLE), 1);
    borrower_init(&b, &rig);
    assert_true(borrower_take(&b));
    assert_int_equal(b.result, BACKEND_LENT); /* at once */
    assert_true(b.reused);
    assert_ptr_equal(a.conn, b.conn);
    assert_string_equal(borrower_say(&b, "WHO"), "-");
    borrower_give(&b);
    assert_int_equal(fake_accepted(f), 1);
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_REUSED), 1);
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_CONNECTS), 1);
    rig_end(&rig);
    fake_stop(f);
}

/* The last one given is the first one taken: the others may grow old and go. */
static void test_last_first(void **state)
{
    struct borrower b[3];
    struct backend_conn *last;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig_start(&rig);
    for (int i = 0; i < 3; i++) {
        borrower_init(&b[i], &rig);
        assert_true(borrower_take(&b[i]));
    }
    for (int i = 0; i < 3; i++)
        borrower_give(&b[i]);
    last = b[2].conn;
    assert_true(borrower_take(&b[0]));
    assert_ptr_equal(b[0].conn, last);
    borrower_give(&b[0]);
    rig_end(&rig);
    fake_stop(f);
}

static void test_fresh(void **state)
{
    struct borrower a;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig_start(&rig);
    borrower_init(&a, &rig);
    assert_true(borrower_take(&a));
    assert_string_equal(borrower_say(&a, "WHO"), "-"); /* the server has seen it */
    borrower_give(&a);
    a.want.fresh = true;
    assert_true(borrower_take(&a));
    assert_false(a.reused);
    assert_string_equal(borrower_say(&a, "WHO"), "-");
    borrower_give(&a);
    assert_int_equal(fake_accepted(f), 2);
    rig_end(&rig);
    fake_stop(f);
}

static void test_idle_limit_and_timeout(void **state)
{
    struct borrower b[4];
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig.conf.backend.idle_connections = 2;
    rig.conf.backend.idle_timeout = 1000;
    rig_start(&rig);
    for (int i = 0; i < 4; i++) {
        borrower_init(&b[i], &rig);
        assert_true(borrower_take(&b[i]));
    }
    for (int i = 0; i < 4; i++)
        borrower_give(&b[i]);
    check_open(f, 2); /* the others are closed at once */
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_IDLE), 2);
    assert_true(fixture_metric_until(rig.w, METRIC_BACKEND_IDLE, 0));
    check_open(f, 0);
    rig_end(&rig);
    fake_stop(f);
}

/* ---- idle connections that must not be lent ---- */

static void test_closed_while_idle(void **state)
{
    struct borrower a;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig_start(&rig);
    borrower_init(&a, &rig);
    assert_true(borrower_take(&a));
    assert_string_equal(borrower_say(&a, "WHO"), "-");
    borrower_give(&a);
    fake_close_all(f);
    assert_true(fixture_metric_until(rig.w, METRIC_BACKEND_IDLE, 0));
    assert_true(borrower_take(&a));
    assert_false(a.reused);
    assert_string_equal(borrower_say(&a, "WHO"), "-");
    borrower_give(&a);
    rig_end(&rig);
    fake_stop(f);
}

/* What nobody asked for would pass for the next request's answer. */
static void test_talks_while_idle(void **state)
{
    struct borrower a;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig_start(&rig);
    borrower_init(&a, &rig);
    assert_true(borrower_take(&a));
    assert_string_equal(borrower_say(&a, "TALK"), "-");
    borrower_give(&a);
    assert_true(fixture_metric_until(rig.w, METRIC_BACKEND_IDLE, 0));
    assert_true(borrower_take(&a));
    assert_false(a.reused);
    assert_string_equal(borrower_say(&a, "WHO"), "-");
    borrower_give(&a);
    rig_end(&rig);
    fake_stop(f);
}

struct blocked {
    struct borrower *b;
    struct fake *fake;
};

/* On the worker, so that its loop cannot see in between what the server has done. */
static void close_and_take(struct worker *w, void *arg)
{
    struct blocked *x = arg;

    fake_close_all(x->fake);
    fixture_sleep(50);
    borrower_take_here(x->b);
}

static void test_closed_but_not_seen(void **state)
{
    struct borrower a, b;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig_start(&rig);
    borrower_init(&a, &rig);
    borrower_init(&b, &rig);
    assert_true(borrower_take(&a));
    assert_string_equal(borrower_say(&a, "WHO"), "-");
    borrower_give(&a);
    fixture_on(rig.w, close_and_take, &(struct blocked){&b, f});
    assert_int_equal(b.result, BACKEND_WAIT); /* the idle one is dead, although nobody has told */
    assert_true(borrower_outcome(&b));
    assert_false(b.reused);
    assert_string_equal(borrower_say(&b, "WHO"), "-");
    borrower_give(&b);
    rig_end(&rig);
    fake_stop(f);
}

/* ---- bound ---- */

static void test_bound_is_never_idle(void **state)
{
    struct borrower a, b;
    struct fake *f;

    fixture_log_start();
    begin(FAKE_LINES, &f);
    rig_start(&rig);
    borrower_init(&a, &rig);
    assert_true(borrower_take(&a));
    borrower_bind(&a);
    borrower_bind(&a); /* for ever; once more changes nothing */
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_PINNED), 1);
    assert_string_equal(borrower_say(&a, "LOGIN alice"), "in");
    borrower_give(&a); /* a defect: it is closed instead */
    check_open(f, 0);
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_IDLE), 0);
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_PINNED), 0);
    borrower_init(&b, &rig);
    assert_true(borrower_take(&b));
    assert_false(b.reused);
    assert_string_equal(borrower_say(&b, "WHO"), "-");
    borrower_give(&b);
    rig_end(&rig);
    fake_stop(f);
    assert_int_equal(fixture_log_count("PO-RUN-0099", "bound backend connection"), 1);
}

static void test_parked_and_back(void **state)
{
    struct borrower a, b;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig_start(&rig);
    borrower_init(&a, &rig);
    borrower_init(&b, &rig);
    assert_true(borrower_take(&a));
    borrower_bind(&a);
    assert_string_equal(borrower_say(&a, "LOGIN alice"), "in");
    borrower_park(&a);
    assert_int_equal(fixture_metric(rig.w, METRIC_BACKEND_IDLE), 0);
    assert_true(borrower_take(&b)); /* somebody else meanwhile */
    assert_string_equal(borrower_say(&b, "WHO"), "-");
    borrower_give(&b);
    borrower_unpark(&a);
    assert_string_equal(borrower_say(&a, "WHO"), "alice");
    borrower_park(&a);
    fake_close_all(f);
    assert_true(fixture_until(&a.ends, 1)); /* its owner hears of the end */
    borrower_discard(&a);
    rig_end(&rig);
    fake_stop(f);
}

/* Many clients that sign in and many that do not, at random: nobody is ever somebody else. */
static void test_nobody_is_mixed_up(void **state)
{
    enum { CLIENTS = 12, ROUNDS = 600 };
    struct borrower b[CLIENTS];
    bool held[CLIENTS] = {false}, bound[CLIENTS] = {false};
    char login[40], name[20];
    uint32_t seed = 4711;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig_start(&rig);
    for (int i = 0; i < CLIENTS; i++)
        borrower_init(&b[i], &rig);
    for (int round = 0; round < ROUNDS; round++) {
        int i;

        seed = seed * 1103515245u + 12345u;
        i = (int)(seed >> 16) % CLIENTS;
        snprintf(name, sizeof(name), "client%d", i);
        if (!held[i]) {
            assert_true(borrower_take(&b[i]));
            held[i] = true;
            assert_string_equal(borrower_say(&b[i], "WHO"), "-");
        } else if (!bound[i] && (seed >> 24) % 3 == 0) {
            borrower_bind(&b[i]);
            bound[i] = true;
            snprintf(login, sizeof(login), "LOGIN %s", name);
            assert_string_equal(borrower_say(&b[i], login), "in");
        } else if (bound[i] && (seed >> 24) % 3 > 0) {
            borrower_park(&b[i]);
            borrower_unpark(&b[i]);
            assert_string_equal(borrower_say(&b[i], "WHO"), name);
        } else {
            if (bound[i])
                borrower_discard(&b[i]);
            else
                borrower_give(&b[i]);
            held[i] = bound[i] = false;
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (held[i])
            borrower_discard(&b[i]);
    }
    rig_end(&rig);
    fake_stop(f);
}

/* ---- closing the pool ---- */

static void test_pool_closes_last(void **state)
{
    struct borrower lent, bound, idle, waiting;
    struct blackhole hole;
    struct fake *f;

    begin(FAKE_LINES, &f);
    blackhole_open(&hole);
    fixture_add_server(&rig.conf, "127.0.0.1", hole.port, false);
    rig_start(&rig);
    borrower_init(&lent, &rig);
    borrower_init(&bound, &rig);
    borrower_init(&idle, &rig);
    borrower_init(&waiting, &rig);
    lent.want.server = bound.want.server = idle.want.server = 0;
    waiting.want.server = 1;
    assert_true(borrower_take(&lent));
    assert_true(borrower_take(&bound));
    borrower_bind(&bound);
    borrower_park(&bound);
    assert_true(borrower_take(&idle));
    borrower_give(&idle);
    borrower_ask(&waiting);
    assert_int_equal(waiting.result, BACKEND_WAIT);
    rig_close_pool(&rig);
    check_open(f, 2); /* the idle one goes at once */
    fixture_sleep(20);
    assert_int_equal(__atomic_load_n(&rig.empty, __ATOMIC_ACQUIRE), 0);
    borrower_unpark(&bound);
    borrower_discard(&bound);
    borrower_cancel(&waiting);
    fixture_sleep(20);
    assert_int_equal(__atomic_load_n(&rig.empty, __ATOMIC_ACQUIRE), 0);
    borrower_give(&lent); /* into a pool that closes: closed too */
    check_open(f, 0);
    assert_int_equal(waiting.ready + waiting.failed, 0);
    rig_end(&rig);
    blackhole_close(&hole);
    fake_stop(f);
}

/* ---- counts ---- */

static void test_counts(void **state)
{
    struct borrower a, b;
    struct server_state *s;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig_start(&rig);
    s = &rig.conf.states->v[0].servers[0];
    borrower_init(&a, &rig);
    borrower_init(&b, &rig);
    assert_true(borrower_begin(&a));
    assert_true(borrower_begin(&b));
    assert_int_equal(s->active, 2);
    assert_int_equal(s->open, 2);
    assert_int_equal(s->requests, 2);
    borrower_end(&a, false);
    borrower_end(&a, true); /* once */
    assert_int_equal(s->active, 1);
    assert_int_equal(s->failures, 0);
    borrower_give(&a);
    assert_int_equal(s->idle, 1);
    borrower_discard(&b); /* in the middle of its request */
    assert_int_equal(s->active, 0);
    assert_int_equal(s->failures, 1);
    rig_end(&rig);
    fake_stop(f);
}

static void test_max_connections(void **state)
{
    struct borrower a, b, c;
    struct fake *f;

    begin(FAKE_LINES, &f);
    rig.conf.backend.max_connections = 2;
    rig_start(&rig);
    borrower_init(&a, &rig);
    borrower_init(&b, &rig);
    borrower_init(&c, &rig);
    assert_true(borrower_take(&a));
    assert_true(borrower_take(&b));
    borrower_ask(&c);
    assert_int_equal(c.result, BACKEND_NONE);
    assert_int_equal(c.why, REASON_BACKEND_BUSY);
    borrower_give(&b);
    assert_true(borrower_take(&c)); /* the idle one */
    assert_true(c.reused);
    borrower_give(&c);
    c.want.fresh = true;
    assert_true(borrower_take(&c)); /* in the idle one's place */
    assert_false(c.reused);
    check_open(f, 2);
    borrower_ask(&b);
    assert_int_equal(b.why, REASON_BACKEND_BUSY);
    borrower_discard(&a);
    assert_true(borrower_take(&b));
    borrower_discard(&b);
    borrower_discard(&c);
    rig_end(&rig);
    fake_stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_used_again),
        cmocka_unit_test(test_last_first),
        cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_idle_limit_and_timeout),
        cmocka_unit_test(test_closed_while_idle),
        cmocka_unit_test(test_talks_while_idle),
        cmocka_unit_test(test_closed_but_not_seen),
        cmocka_unit_test(test_bound_is_never_idle),
        cmocka_unit_test(test_parked_and_back),
        cmocka_unit_test(test_nobody_is_mixed_up),
        cmocka_unit_test(test_pool_closes_last),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_max_connections),
    };

    return cmocka_run_group_tests_name("backend", tests, NULL, NULL);
}
