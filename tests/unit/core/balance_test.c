/*
 * Which server gets a request.
 */
#include <postern/affinity.h>

#include "../../../proxy/core/backend_int.h"
#include "pool_rig.h"

#define SERVERS 4

static struct rig rig;
static struct fake *fakes[SERVERS];

static void begin(unsigned n)
{
    memset(&rig, 0, sizeof(rig));
    fixture_conf_init(&rig.conf);
    for (unsigned i = 0; i < n; i++) {
        fakes[i] = fake_start(FAKE_LINES, 0);
        fixture_add_server(&rig.conf, "127.0.0.1", fake_port(fakes[i]), false);
    }
}

static void end(void)
{
    rig_end(&rig);
    for (unsigned i = 0; i < SERVERS; i++) {
        if (fakes[i] != NULL)
            fake_stop(fakes[i]);
        fakes[i] = NULL;
    }
}

/* Chosen and given back; -1: none. */
static int chosen(const struct backend_want *want)
{
    struct borrower b;
    int server;

    borrower_init(&b, &rig);
    b.want = *want;
    if (!borrower_take(&b))
        return -1;
    server = borrower_server(&b);
    borrower_give(&b);
    return server;
}

static struct backend_want anyone(void)
{
    return (struct backend_want){.path_index = -1, .server = -1, .new_client = true};
}

static struct backend_want with_key(uint64_t key)
{
    struct backend_want w = anyone();

    w.has_key = true;
    w.key = key;
    return w;
}

static void set_path(unsigned server, unsigned path, bool up)
{
    server_state_set_path(&rig.conf.states->v[0].servers[server], path, up);
}

/* ---- without a key ---- */

static void test_round_robin(void **state)
{
    struct backend_want w = anyone();
    unsigned got[SERVERS] = {0};

    begin(4);
    rig_start(&rig);
    for (int i = 0; i < 40; i++)
        got[chosen(&w)]++;
    for (int i = 0; i < 4; i++)
        assert_int_equal(got[i], 10);
    end();
}

static void test_least_connections(void **state)
{
    struct borrower busy[5];
    struct backend_want w = anyone();

    begin(3);
    rig.conf.backend.balance = CONF_BALANCE_LEAST_CONNECTIONS;
    rig_start(&rig);
    for (int i = 0; i < 5; i++)
        borrower_init(&busy[i], &rig);
    busy[0].want.server = busy[1].want.server = busy[2].want.server = 0;
    busy[3].want.server = 1;
    for (int i = 0; i < 4; i++)
        assert_true(borrower_begin(&busy[i]));
    for (int i = 0; i < 5; i++)
        assert_int_equal(chosen(&w), 2); /* 3, 1, 0 requests */
    busy[4].want.server = 2;
    assert_true(borrower_begin(&busy[4]));
    borrower_discard(&busy[3]);
    assert_int_equal(chosen(&w), 1); /* 3, 0, 1 */
    for (int i = 0; i < 5; i++) {
        if (i != 3)
            borrower_discard(&busy[i]);
    }
    end();
}

/* ---- with one: rendezvous ---- */

#define KEYS 300

static void test_affinity(void **state)
{
    int at[KEYS];
    unsigned got[SERVERS] = {0}, moved = 0;

    begin(4);
    rig.conf.services[0].health_path = STR("/up");
    rig.conf.publish.services_n = 1;
    rig.conf.backend.health_interval = 60000;
    rig_start(&rig);
    for (int i = 0; i < KEYS; i++) {
        struct backend_want w = with_key(affinity_hash(&i, sizeof(i)));

        w.path_index = 0;
        at[i] = chosen(&w);
        assert_int_equal(chosen(&w), at[i]); /* always the same one */
        got[at[i]]++;
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(got[i], KEYS / 8, KEYS / 2);
    /* One goes: its clients are spread over the others, and nobody else moves. */
    set_path(2, 0, false);
    for (int i = 0; i < KEYS; i++) {
        struct backend_want w = with_key(affinity_hash(&i, sizeof(i)));
        int now;

        w.path_index = 0;
        now = chosen(&w);
        assert_int_not_equal(now, 2);
        if (at[i] != 2)
            assert_int_equal(now, at[i]);
        else
            moved |= 1u << now;
    }
    assert_int_equal(moved, 1 | 2 | 8);
    set_path(2, 0, true); /* it returns, and they with it */
    for (int i = 0; i < KEYS; i++) {
        struct backend_want w = with_key(affinity_hash(&i, sizeof(i)));

        w.path_index = 0;
        assert_int_equal(chosen(&w), at[i]);
    }
    end();
}

/* The place in the list does not matter: another node, or a reload, may have another order. */
static void test_affinity_by_name(void **state)
{
    struct conf_server swap;
    int at[50];

    begin(3);
    rig_start(&rig);
    for (int i = 0; i < 50; i++) {
        struct backend_want w = with_key((uint64_t)i * 7919);
        at[i] = chosen(&w);
    }
    rig_close_pool(&rig);
    assert_true(fixture_until(&rig.empty, 1));
    fixture_worker_end(rig.w);
    fixture_conf_end(&rig.conf);
    swap = rig.conf.servers[0];
    rig.conf.servers[0] = rig.conf.servers[2];
    rig.conf.servers[2] = swap;
    rig_start(&rig);
    for (int i = 0; i < 50; i++) {
        struct backend_want w = with_key((uint64_t)i * 7919);
        int now = chosen(&w);

        assert_int_equal(now == 1 ? 1 : 2 - now, at[i]);
    }
    end();
}

static void test_tokens(void **state)
{
    begin(3);
    rig_start(&rig);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_true(backend_pool_server_token(rig.pool, i) != backend_pool_server_token(rig.pool, k));
    }
    assert_int_equal(backend_pool_servers(rig.pool), 3);
    assert_ptr_equal(backend_pool_conf(rig.pool), &rig.conf.backend);
    end();
}

/* ---- who is fit ---- */

static void test_draining(void **state)
{
    struct backend_want w = anyone();

    begin(3);
    rig.conf.servers[1].drain = true;
    rig_start(&rig);
    for (int i = 0; i < 12; i++)
        assert_int_not_equal(chosen(&w), 1); /* no new clients */
    for (int i = 0; i < 50; i++) {
        struct backend_want k = with_key((uint64_t)i * 7919);
        assert_int_not_equal(chosen(&k), 1);
    }
    w.server = 1; /* a client that says so itself is a new one all the same */
    assert_int_not_equal(chosen(&w), 1);
    w.new_client = false; /* it has been there before */
    assert_int_equal(chosen(&w), 1);
    w.tried = 2; /* but there it has just failed */
    assert_int_not_equal(chosen(&w), 1);
    end();
}

static void test_wanted_server(void **state)
{
    struct backend_want w = anyone();

    begin(3);
    rig.conf.services[0].health_path = STR("/up");
    rig.conf.publish.services_n = 1;
    rig.conf.backend.health_interval = 60000;
    rig_start(&rig);
    w.server = 2;
    w.path_index = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(chosen(&w), 2);
    set_path(2, 0, false);
    for (int i = 0; i < 5; i++)
        assert_int_not_equal(chosen(&w), 2);
    w.server = 99;
    assert_in_range(chosen(&w), 0, 1);
    end();
}

/* A path that is down takes the server out for the services that need that path, and for no others. */
static void test_paths(void **state)
{
    struct backend_want w = anyone();

    begin(2);
    rig_start(&rig);
    set_path(0, 0, false);
    set_path(1, 1, false);
    w.path_index = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(chosen(&w), 1);
    w.path_index = 1;
    for (int i = 0; i < 4; i++)
        assert_int_equal(chosen(&w), 0);
    set_path(0, 1, false);
    assert_int_equal(chosen(&w), -1); /* all down: an answer at once */
    w.path_index = -1;
    assert_int_not_equal(chosen(&w), -1);
    set_path(0, 31, false);
    w.path_index = 31;
    assert_int_equal(chosen(&w), 1);
    w.path_index = HEALTH_PATHS_MAX; /* none */
    assert_int_not_equal(chosen(&w), -1);
    end();
}

static void test_why_none(void **state)
{
    struct borrower a, b;

    begin(2);
    rig.conf.backend.max_connections = 1;
    rig_start(&rig);
    borrower_init(&a, &rig);
    borrower_init(&b, &rig);
    a.want.tried = 3;
    borrower_ask(&a);
    assert_int_equal(a.result, BACKEND_NONE);
    assert_int_equal(a.why, REASON_NO_BACKEND);
    a.want.tried = 1;
    assert_true(borrower_take(&a));
    b.want.tried = 1; /* the one left is full */
    borrower_ask(&b);
    assert_int_equal(b.why, REASON_BACKEND_BUSY);
    borrower_discard(&a);
    end();
}

/* Of several that rest, the one that may return first. */
static void test_the_shortest_rest(void **state)
{
    struct backend_want w = anyone();
    struct backend_state *b;

    begin(3);
    rig_start(&rig);
    b = &rig.conf.states->v[0];
    __atomic_store_n(&b->servers[0].passive_until_ms, UINT64_MAX - 1, __ATOMIC_RELAXED);
    __atomic_store_n(&b->servers[1].passive_until_ms, UINT64_MAX - 3, __ATOMIC_RELAXED);
    __atomic_store_n(&b->servers[2].passive_until_ms, UINT64_MAX - 2, __ATOMIC_RELAXED);
    assert_int_equal(chosen(&w), 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_robin),   cmocka_unit_test(test_least_connections),
        cmocka_unit_test(test_affinity),      cmocka_unit_test(test_affinity_by_name),
        cmocka_unit_test(test_tokens),        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_wanted_server), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_why_none),      cmocka_unit_test(test_the_shortest_rest),
    };

    return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
