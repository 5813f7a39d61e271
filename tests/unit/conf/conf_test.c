#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <postern/conf.h>

/* Linked with --wrap=calloc: the allocation of that number fails; 0: none. */
static unsigned fail_at;
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    if (fail_at && --fail_at == 0)
        return NULL;
    return __real_calloc(n, size);
}

static const char text[] =
    "listeners: [{address: [\"127.0.0.1:8443\", \"[::1]:8443\"], certificates: [lab], hsts: off,\n"
    "             proxy_protocol_from: [10.0.0.0/8, 2001:db8::/33]}]\n"
    "certificates: {lab: {chain: a, key: b}}\n"
    "backends: {origin: {servers: [\"http://A.example\", \"https://[::1]\"], drain: "
    "[\"http://A.example\"]}}\n"
    "services: {own: {patterns: ['/a[0-9]+', '(a+)+b'], methods: [GET]}, owa: {idle_timeout: 90m, paths: "
    "[/OWA/]}}\n"
    "directories:\n"
    "  ad: {type: ldap, servers: [\"LDAPS://DC1.example\", \"ldap://[::1]:3890\"], trust: t, bind_as: "
    "\"uid={user},dc=x\",\n"
    "       domains: [CORP]}\n"
    "  otp: {type: radius, servers: \"radius://192.0.2.7\", secret_file: s}\n"
    "  all: {type: chain, directories: [otp, ad], next_when: [unknown_user, unavailable]}\n"
    "publish:\n"
    "- {hosts: [Mail.Example, '*'], to: origin, authenticate: none, services: [own, owa]}\n"
    "- {hosts: [b.example], to: origin, authenticate: {basic: ad}, services: [owa], require_groups: ['CN=A', "
    "'CN=B']}\n"
    "- {hosts: [c.example], to: origin, authenticate: {basic: all}, services: [owa], require_groups: "
    "['CN=C', 'cn=b']}\n"
    "- {hosts: [d.example], to: origin, authenticate: {basic: otp}, services: [owa]}\n";

static struct snapshot *load(struct conf_findings *f)
{
    return conf_load_memory("t.yaml", (struct str){text, sizeof text - 1}, f);
}

static const struct conf_service *service(const struct snapshot *s, const char *name)
{
    for (size_t i = 0; i < s->services_n; i++)
        if (str_eq(s->services[i].name, str_of(name)))
            return &s->services[i];
    fail();
    return NULL;
}

static int setup(void **state)
{
    struct conf_findings *f = conf_findings_new();
    *state = load(f);
    if (!*state)
        conf_findings_print(f, stderr);
    conf_findings_free(f);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    snapshot_release(*state);
    return 0;
}

static void values(void **state)
{
    const struct snapshot *s = *state;
    assert_int_equal(s->listeners[0].addresses_n, 2);
    assert_int_equal(s->listeners[0].addresses[1].sa.ss_family, AF_INET6);
    assert_int_equal(s->listeners[0].hsts_max_age_s, 0);
    assert_ptr_equal(s->listeners[0].certificates[0], &s->certificates[0]);
    assert_int_equal(s->limits.header_bytes, 32768);
    assert_int_equal(s->backends[0].servers[0].port, 80);
    assert_int_equal(s->backends[0].servers[1].port, 443);
    assert_string_equal(s->backends[0].servers[0].host.p, "a.example");
    assert_true(s->backends[0].servers[0].drain);
    assert_false(s->backends[0].servers[1].drain);
    assert_int_equal(s->backends[0].health_alive.n, 4);
    assert_string_equal(s->publish[0].hosts.v[0].p, "mail.example");
    assert_null(s->publish[0].basic);
}

static void presets(void **state)
{
    const struct conf_service *owa = service(*state, "owa"), *eas = service(*state, "activesync");
    const struct conf_service *rpc = service(*state, "outlook_anywhere");
    assert_int_equal(owa->idle_timeout, 90 * 60 * 1000);
    assert_string_equal(owa->paths.v[0].p, "/owa");
    assert_int_equal(owa->affinity, CONF_AFFINITY_NONE); /* as Exchange 2013 and later want it */
    assert_int_equal(owa->body_limit, 64 << 20);
    assert_int_equal(eas->response_timeout, 3700000);
    assert_int_equal(rpc->body_limit, 0);
    assert_int_equal(rpc->protocol, CONF_PROTOCOL_RPC);
    assert_int_equal(rpc->paths.n, 2);
    assert_false(service(*state, "own")->preset);
}

static void patterns(void **state)
{
    const struct conf_service *own = service(*state, "own");
    assert_true(conf_pattern_match(own->patterns[0], STR("/a12")));
    assert_false(conf_pattern_match(own->patterns[0], STR("/a12/x")));
    assert_false(conf_pattern_match(own->patterns[0], STR("/b/a12")));
    /* runs into the match limit instead of running for years */
    assert_false(
        conf_pattern_match(own->patterns[1], STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac")));
}

static void *match_many(void *p)
{
    size_t hits = 0;
    for (int i = 0; i < 20000; i++)
        hits += conf_pattern_match(p, i & 1 ? STR("/a7") : STR("/x7"));
    return (void *)hits;
}

static void patterns_in_threads(void **state)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, match_many, service(*state, "own")->patterns[0]), 0);
    for (int i = 0; i < 4; i++) {
        void *hits;
        pthread_join(t[i], &hits);
        assert_int_equal((size_t)hits, 10000);
    }
}

static bool matches(const struct conf_cidrs *l, const char *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
        return conf_cidrs_match(l, (struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    return conf_cidrs_match(l, (struct sockaddr *)&in6);
}

static void networks(void **state)
{
    const struct conf_cidrs *l = &((struct snapshot *)*state)->listeners[0].proxy_protocol_from;
    assert_true(matches(l, "10.255.0.1"));
    assert_false(matches(l, "11.0.0.1"));
    assert_true(matches(l, "::ffff:10.0.0.1"));
    assert_true(matches(l, "2001:db8:7fff::1"));
    assert_false(matches(l, "2001:db8:8000::1"));
}

static int destroyed[2], destroyed_n;

static void note(void *object)
{
    destroyed[destroyed_n++] = *(int *)object;
}

static void attached_in_reverse(void **state)
{
    static int one = 1, two = 2;
    struct conf_findings *f = conf_findings_new();
    struct snapshot *s = load(f);
    destroyed_n = 0;
    assert_int_equal(snapshot_attach(s, &one, note), 0);
    assert_int_equal(snapshot_attach(s, &two, note), 0);
    assert_ptr_equal(snapshot_hold(s), s);
    snapshot_release(s);
    assert_int_equal(destroyed_n, 0);
    snapshot_release(s);
    assert_int_equal(destroyed_n, 2);
    assert_int_equal(destroyed[0], 2);
    conf_findings_free(f);
}

static void no_memory_anywhere(void **state)
{
    for (unsigned i = 1;; i++) {
        struct conf_findings *f = conf_findings_new();
        fail_at = i;
        struct snapshot *s = load(f);
        bool was_reached = fail_at == 0;
        fail_at = 0;
        if (was_reached) {
            assert_null(s);
            assert_true(conf_findings_count(f, CONF_ERROR) > 0);
        }
        snapshot_release(s);
        conf_findings_free(f);
        if (!was_reached)
            return;
    }
}

static void refuses_bytes(void **state)
{
    static const struct {
        struct str bytes;
        const char *text;
    } rows[] = {{STR("a: \xc0\xaf\n"), "t.yaml:1:4: error: not valid UTF-8\n"},
                {STR("a: 1\n\0"), "t.yaml:2:1: error: a NUL byte\n"},
                {STR("a: \xed\xa0\x80\n"), "t.yaml:1:4: error: not valid UTF-8\n"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *printed = NULL;
        size_t n;
        struct conf_findings *f = conf_findings_new();
        assert_null(conf_load_memory("t.yaml", rows[i].bytes, f));
        FILE *to = open_memstream(&printed, &n);
        conf_findings_print(f, to);
        fclose(to);
        assert_string_equal(printed, rows[i].text);
        free(printed);
        conf_findings_free(f);
    }
}

static void directories(void **state)
{
    const struct snapshot *s = *state;
    const struct conf_directory *ad = &s->directories[0], *otp = &s->directories[1],
                                *all = &s->directories[2];

    assert_int_equal(ad->servers_n, 2);
    assert_int_equal(ad->servers[0].scheme, CONF_SCHEME_LDAPS);
    assert_int_equal(ad->servers[0].port, 636);
    assert_true(str_eq(ad->servers[0].host, STR("dc1.example")));
    assert_int_equal(ad->servers[1].scheme, CONF_SCHEME_LDAP);
    assert_int_equal(ad->servers[1].port, 3890);
    assert_true(str_eq(ad->servers[1].host, STR("::1")));
    assert_true(str_eq(ad->domains.v[0], STR("corp")));
    assert_int_equal(otp->servers[0].port, 1812);
    assert_int_equal(all->members_n, 2);
    assert_ptr_equal(all->members[0], otp);
    assert_ptr_equal(all->members[1], ad);
    assert_int_equal(all->next_when, CONF_CHAIN_UNKNOWN_USER | CONF_CHAIN_UNAVAILABLE);
    assert_int_equal(s->groups.n, 3); /* CN=B and cn=b are one */
    assert_int_equal(s->publish[0].groups, 0);
    assert_int_equal(s->publish[1].groups, 3);
    assert_int_equal(s->publish[2].groups, 6);
    assert_int_equal(ad->groups, 7);
    assert_int_equal(otp->groups, 6);
    assert_int_equal(all->groups, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(presets),
        cmocka_unit_test(patterns),
        cmocka_unit_test(directories),
        cmocka_unit_test(patterns_in_threads),
        cmocka_unit_test(networks),
        cmocka_unit_test(attached_in_reverse),
        cmocka_unit_test(no_memory_anywhere),
        cmocka_unit_test(refuses_bytes),
    };
    return cmocka_run_group_tests_name("conf", tests, setup, teardown);
}
