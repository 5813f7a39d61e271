/*
 * What all threads know of the servers; keys for the rendezvous hash.
 */
#include <pthread.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <postern/affinity.h>

#include "fixture.h"

static struct resolve_result addresses_of(const char *const *hosts, unsigned n)
{
    struct resolve_result r;

    memset(&r, 0, sizeof(r));
    for (unsigned i = 0; i < n; i++) {
        struct sockaddr_in *in = (void *)&r.v[i];

        in->sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, hosts[i], &in->sin_addr), 1);
    }
    r.n = n;
    return r;
}

/* ---- addresses ---- */

static void test_addresses(void **state)
{
    struct fixture_conf c;
    struct resolve_result one = addresses_of((const char *[]){"192.0.2.1"}, 1),
                          two = addresses_of((const char *[]){"192.0.2.1", "192.0.2.2"}, 2), got;
    struct server_state *s;

    fixture_conf_init(&c);
    fixture_add_server(&c, "cas.example.com", 80, false);
    fixture_states(&c);
    s = &c.states->v[0].servers[0];
    assert_int_equal(s->version, 0);
    assert_int_equal(server_state_addresses(s, &got), 0);
    assert_true(server_state_set_addresses(s, &one));
    assert_int_equal(s->version, 1);
    assert_false(server_state_set_addresses(s, &one)); /* the same set */
    assert_int_equal(s->version, 1);
    assert_true(server_state_set_addresses(s, &two));
    assert_int_equal(server_state_addresses(s, &got), 2);
    assert_memory_equal(got.v, two.v, 2 * sizeof(got.v[0]));
    s->version = UINT32_MAX; /* 0 stands for "not resolved yet" */
    assert_true(server_state_set_addresses(s, &one));
    assert_int_equal(s->version, 1);
    fixture_conf_end(&c);
}

/* Literals need no look-up: the first request finds them. */
static void test_literals(void **state)
{
    struct fixture_conf c;
    struct resolve_result got;
    const struct sockaddr_in *in = (const void *)&got.v[0];
    const struct sockaddr_in6 *in6 = (const void *)&got.v[0];

    fixture_conf_init(&c);
    fixture_add_server(&c, "192.0.2.7", 8080, false);
    fixture_add_server(&c, "2001:db8::7", 443, true);
    fixture_states(&c);
    assert_int_equal(server_state_addresses(&c.states->v[0].servers[0], &got), 1);
    assert_int_equal(in->sin_family, AF_INET);
    assert_int_equal(ntohs(in->sin_port), 8080);
    assert_int_equal(server_state_addresses(&c.states->v[0].servers[1], &got), 1);
    assert_int_equal(in6->sin6_family, AF_INET6);
    assert_int_equal(ntohs(in6->sin6_port), 443);
    fixture_conf_end(&c);
}

/* ---- paths ---- */

static void test_paths(void **state)
{
    struct fixture_conf c;
    struct server_state *s;

    fixture_conf_init(&c);
    c.backend.health_interval = 1000;
    c.services[0].health_path = STR("/a");
    c.services[1].health_path = STR("/b");
    c.services[2].health_path = STR("/a");
    c.publish.services_n = 3;
    fixture_add_server(&c, "192.0.2.1", 80, false);
    fixture_states(&c);
    assert_int_equal(c.states->v[0].paths_n, 2);
    assert_int_equal(backend_state_path_index(&c.states->v[0], &c.services[0]), 0);
    assert_int_equal(backend_state_path_index(&c.states->v[0], &c.services[1]), 1);
    assert_int_equal(backend_state_path_index(&c.states->v[0], &c.services[2]), 0);
    assert_true(str_eq(c.states->v[0].path_hosts[0], STR("mail.example.com")));
    s = &c.states->v[0].servers[0];
    assert_false(server_state_set_path(s, 1, true)); /* it was up: nothing new */
    assert_true(server_state_set_path(s, 1, false));
    assert_false(server_state_set_path(s, 1, false));
    assert_true(server_state_set_path(s, 31, false));
    assert_int_equal(s->down_paths, UINT32_C(1) << 31 | 2);
    assert_true(server_state_set_path(s, 1, true));
    assert_int_equal(s->down_paths, UINT32_C(1) << 31);
    fixture_conf_end(&c);
    fixture_conf_init(&c);
    c.backend.health_interval = 1000;
    c.backend.health_path = STR("/all");
    c.services[0].health_path = STR("/a");
    c.publish.services_n = 2;
    fixture_states(&c);
    assert_int_equal(c.states->v[0].paths_n, 1);
    assert_int_equal(backend_state_path_index(&c.states->v[0], &c.services[1]), 0);
    fixture_conf_end(&c);
}

/* ---- reload ---- */

static void test_inherited(void **state)
{
    struct fixture_conf old, new;
    struct resolve_result two = addresses_of((const char *[]){"192.0.2.1", "192.0.2.2"}, 2), got;
    struct server_state *was, *is;

    fixture_conf_init(&old);
    old.backend.health_interval = 1000;
    old.services[0].health_path = STR("/a");
    old.services[1].health_path = STR("/b");
    old.publish.services_n = 2;
    fixture_add_server(&old, "one.example.com", 80, false);
    fixture_add_server(&old, "two.example.com", 80, false);
    fixture_states(&old);
    was = &old.states->v[0].servers[1];
    server_state_set_addresses(was, &two);
    server_state_set_path(was, 1, false); /* /b */
    was->connect_failures = 4;
    was->passive_until_ms = 12345;
    was->requests = 100;
    was->failures = 7;
    was->open = was->idle = was->active = 3; /* of connections that the old configuration keeps */

    fixture_conf_init(&new);
    new.backend.health_interval = 1000;
    new.services[0].health_path = STR("/c");
    new.services[1].health_path = STR("/b"); /* another place, another number */
    new.publish.services_n = 2;
    fixture_add_server(&new, "two.example.com", 80, false);
    fixture_add_server(&new, "three.example.com", 80, false);
    fixture_states(&new);
    backend_states_inherit(new.states, old.states);
    is = &new.states->v[0].servers[0];
    assert_int_equal(server_state_addresses(is, &got), 2);
    assert_int_equal(is->down_paths, 2);
    assert_int_equal(is->connect_failures, 4);
    assert_int_equal(is->passive_until_ms, 12345);
    assert_int_equal(is->requests, 100);
    assert_int_equal(is->failures, 7);
    assert_int_equal(is->open + is->idle + is->active, 0);
    assert_int_equal(new.states->v[0].servers[1].version, 0); /* a new one knows nothing */
    fixture_conf_end(&new);
    fixture_conf_init(&new);
    new.backend.name = STR("another");
    fixture_add_server(&new, "two.example.com", 80, false);
    fixture_states(&new);
    backend_states_inherit(new.states, old.states);
    assert_int_equal(new.states->v[0].servers[0].version, 0);
    fixture_conf_end(&new);
    fixture_conf_end(&old);
}

/* ---- several threads ---- */

static uint32_t stop; /* atomic */

static void *read_addresses(void *arg)
{
    struct server_state *s = arg;
    unsigned long torn = 0;

    while (__atomic_load_n(&stop, __ATOMIC_ACQUIRE) == 0) {
        struct resolve_result r;
        unsigned n = server_state_addresses(s, &r);

        /* one set or the other, never a mixture */
        torn += n == 2 && memcmp(&r.v[0], &r.v[1], sizeof(r.v[0])) == 0;
        server_state_set_path(s, 3, n == 1);
    }
    return (void *)torn;
}

static void test_threads(void **state)
{
    struct fixture_conf c;
    struct resolve_result one = addresses_of((const char *[]){"192.0.2.2"}, 1),
                          two = addresses_of((const char *[]){"192.0.2.1", "192.0.2.2"}, 2);
    pthread_t threads[2];
    void *torn;

    fixture_conf_init(&c);
    fixture_add_server(&c, "cas.example.com", 80, false);
    fixture_states(&c);
    stop = 0;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_addresses, &c.states->v[0].servers[0]), 0);
    for (int i = 0; i < 2000; i++)
        assert_true(server_state_set_addresses(&c.states->v[0].servers[0], i % 2 == 0 ? &one : &two));
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &torn);
        assert_null(torn);
    }
    fixture_conf_end(&c);
}

/* ---- keys ---- */

static uint64_t key_of(const char *host, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
        return affinity_address((struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
    return affinity_address((struct sockaddr *)&in6);
}

static void test_keys(void **state)
{
    struct sockaddr unix_name = {.sa_family = AF_UNIX};

    assert_true(key_of("192.0.2.1", 1) == key_of("192.0.2.1", 2)); /* one client, many ports */
    assert_true(key_of("192.0.2.1", 1) != key_of("192.0.2.2", 1));
    assert_true(key_of("192.0.2.1", 1) == key_of("::ffff:192.0.2.1", 1));
    assert_true(key_of("2001:db8:1:2::1", 1) == key_of("2001:db8:1:2:a:b:c:d", 1)); /* one /64 */
    assert_true(key_of("2001:db8:1:2::1", 1) != key_of("2001:db8:1:3::1", 1));
    assert_true(affinity_address(&unix_name) == 0);
    assert_true(affinity_hash("a", 1) != affinity_hash("b", 1));
    assert_true(affinity_hash("ab", 2) != affinity_hash("ba", 2));
    assert_true(affinity_hash("alice", 5) == affinity_hash("alice", 5));
}

/* Neighbours in a network must not land in one bucket. */
static void test_keys_spread(void **state)
{
    unsigned buckets[8] = {0};

    for (unsigned i = 0; i < 8000; i++) {
        uint32_t address = htonl(0x0a000000u + i);

        buckets[affinity_hash(&address, 4) % 8]++;
    }
    for (int i = 0; i < 8; i++)
        assert_in_range(buckets[i], 800, 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),   cmocka_unit_test(test_literals), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_inherited),   cmocka_unit_test(test_threads),  cmocka_unit_test(test_keys),
        cmocka_unit_test(test_keys_spread),
    };

    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
