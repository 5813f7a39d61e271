/*
 * Which publication and service a request belongs to.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include <postern/match.h>

/* A pattern stands in for the compiled one: it matches what ends in `tail`. */
struct conf_pattern {
    struct str tail;
};

bool conf_pattern_match(const struct conf_pattern *p, struct str subject)
{
    return str_ends_nocase(subject, p->tail);
}

#define S(literal)                                                                                           \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    } /* a constant initializer, which STR() is not */
#define LIST(...)                                                                                            \
    {                                                                                                        \
        (struct str[]){__VA_ARGS__}, sizeof((struct str[]){__VA_ARGS__}) / sizeof(struct str)                \
    }

static struct conf_pattern json = {S(".json")}, any_asmx = {S(".asmx")};
static struct conf_pattern *json_list[] = {&json}, *asmx_list[] = {&any_asmx};

static const struct conf_service owa = {.name = S("owa"),
                                        .paths = LIST(S("/owa"), S("/exchange")),
                                        .methods = LIST(S("GET"), S("HEAD"), S("POST"))};
static const struct conf_service dav = {.name = S("dav"),
                                        .paths = LIST(S("/exchange/"), S("/public")),
                                        .methods = LIST(S("PROPFIND"), S("SEARCH"), S("GET"))};
static const struct conf_service auth = {
    .name = S("auth"), .paths = LIST(S("/owa/auth")), .methods = LIST(S("GET"))};
static const struct conf_service rpc = {.name = S("rpc"),
                                        .paths = LIST(S("/rpc/rpcproxy.dll")),
                                        .methods = LIST(S("RPC_IN_DATA"), S("RPC_OUT_DATA"))};
static const struct conf_service discover = {
    .name = S("discover"), .patterns = json_list, .patterns_n = 1, .methods = LIST(S("GET"))};
static const struct conf_service asmx = {
    .name = S("asmx"), .patterns = asmx_list, .patterns_n = 1, .methods = LIST(S("POST"), S("FROB"))};
static const struct conf_service all = {
    .name = S("all"), .paths = LIST(S("/")), .methods = LIST(S("GET"), S("PUT"), S("OPTIONS"))};

static const struct conf_service *mail_services[] = {&owa, &dav, &auth, &rpc, &discover, &asmx};
static const struct conf_service *wild_services[] = {&owa};
static const struct conf_service *late_services[] = {&dav};
static const struct conf_service *any_services[] = {&all};

static struct conf_publish publish[] = {
    {.hosts = LIST(S("mail.example.com"), S("autodiscover.example.com")),
     .services = mail_services,
     .services_n = 6,
     .root_redirect = true},
    {.hosts = LIST(S("*.example.com"), S("192.0.2.1"), S("[2001:db8::1]")),
     .services = wild_services,
     .services_n = 1},
    {.hosts = LIST(S("a.b.example.com"), S("mail.example.com")),
     .services = late_services,
     .services_n = 1,
     .root_redirect = true}, /* but no /owa/ on the first host */
};
static struct conf_publish publish_any[] = {
    {.hosts = LIST(S("*")), .services = any_services, .services_n = 1, .root_redirect = true},
};

static struct match_table *table_of(struct conf_publish *p, size_t n)
{
    struct snapshot s = {.publish = p, .publish_n = n};
    struct match_table *t;

    t = match_table_new(&s);
    assert_non_null(t);
    return t;
}

struct find_case {
    const char *host, *path;
    enum method method;
    enum match_result result;
    const struct conf_service *service;
    unsigned publish;
};

#define M "mail.example.com"

static const struct find_case cases[] = {
    {M, "/owa", METHOD_GET, MATCH_FOUND, &owa, 0},
    {M, "/owa/", METHOD_GET, MATCH_FOUND, &owa, 0},
    {M, "/owa/x/y", METHOD_POST, MATCH_FOUND, &owa, 0},
    {M, "/owax", METHOD_GET, MATCH_NO_PATH, NULL, 0},
    {M, "/ow", METHOD_GET, MATCH_NO_PATH, NULL, 0},
    {M, "/owa", METHOD_PUT, MATCH_NO_METHOD, NULL, 0},
    {M, "/owa", METHOD_UNKNOWN, MATCH_NO_METHOD, NULL, 0},
    {M, "/owa/auth", METHOD_GET, MATCH_FOUND, &auth, 0},
    {M, "/owa/auth/logon.aspx", METHOD_GET, MATCH_FOUND, &auth, 0},
    {M, "/owa/auth/logon.aspx", METHOD_POST, MATCH_NO_METHOD, NULL, 0}, /* the longest prefix decides alone */
    {M, "/owa/authx", METHOD_POST, MATCH_FOUND, &owa, 0},
    {M, "/exchange", METHOD_GET, MATCH_FOUND, &owa, 0},
    {M, "/exchange/u", METHOD_POST, MATCH_FOUND, &owa, 0},
    {M, "/exchange/u", METHOD_PROPFIND, MATCH_FOUND, &dav, 0},
    {M, "/public", METHOD_SEARCH, MATCH_FOUND, &dav, 0},
    {M, "/rpc/rpcproxy.dll", METHOD_RPC_IN_DATA, MATCH_FOUND, &rpc, 0},
    {M, "/rpc/rpcproxy.dll", METHOD_GET, MATCH_NO_METHOD, NULL, 0},
    {M, "/rpc/rpcproxy.dll/", METHOD_RPC_IN_DATA, MATCH_NO_PATH, NULL, 0},
    {M, "/rpc/rpcproxy.dll/x", METHOD_RPC_IN_DATA, MATCH_NO_PATH, NULL, 0},
    {M, "/rpc", METHOD_RPC_IN_DATA, MATCH_NO_PATH, NULL, 0},
    {M, "/a/b.json", METHOD_GET, MATCH_FOUND, &discover, 0},
    {M, "/a/b.json", METHOD_POST, MATCH_NO_METHOD, NULL, 0},
    {M, "/a/b.asmx", METHOD_POST, MATCH_FOUND, &asmx, 0},
    {M, "/a/b.asmx", METHOD_UNKNOWN, MATCH_NO_METHOD, NULL,
     0}, /* an unknown token in the list permits nothing */
    {M, "/owa/b.asmx", METHOD_POST, MATCH_FOUND, &owa, 0},
    {M, "/", METHOD_GET, MATCH_ROOT, NULL, 0},
    {M, "/", METHOD_POST, MATCH_ROOT, NULL, 0},
    {M, "*", METHOD_OPTIONS, MATCH_NO_PATH, NULL, 0},
    {"autodiscover.example.com", "/owa", METHOD_GET, MATCH_FOUND, &owa, 0},
    {"x.example.com", "/owa", METHOD_GET, MATCH_FOUND, &owa, 1},
    {"x.example.com", "/public", METHOD_GET, MATCH_NO_PATH, NULL, 0},
    {"x.example.com", "/", METHOD_GET, MATCH_NO_PATH, NULL, 0},
    {"x.y.example.com", "/owa", METHOD_GET, MATCH_NO_HOST, NULL, 0},
    {"a.b.example.com", "/public", METHOD_GET, MATCH_FOUND, &dav, 2},
    {"a.b.example.com", "/owa", METHOD_GET, MATCH_NO_PATH, NULL, 0},
    {"a.b.example.com", "/", METHOD_GET, MATCH_NO_PATH, NULL, 0},
    {"example.com", "/owa", METHOD_GET, MATCH_NO_HOST, NULL, 0},
    {".example.com", "/owa", METHOD_GET, MATCH_NO_HOST, NULL, 0},
    {"*.example.com", "/owa", METHOD_GET, MATCH_FOUND, &owa, 1}, /* never a valid Host: message refuses it */
    {"192.0.2.1", "/owa", METHOD_GET, MATCH_FOUND, &owa, 1},
    {"[2001:db8::1]", "/owa", METHOD_GET, MATCH_FOUND, &owa, 1},
    {"other.test", "/owa", METHOD_GET, MATCH_NO_HOST, NULL, 0},
    {"", "/owa", METHOD_GET, MATCH_NO_HOST, NULL, 0},
};

static void test_find(void **state)
{
    struct match_table *t = table_of(publish, 3);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct find_case *c = &cases[i];
        struct match m = {.route = 99};
        enum match_result r = match_find(t, str_of(c->host), str_of(c->path), c->method, &m);
        if (r != c->result)
            fail_msg("%s%s: %d", c->host, c->path, r);
        if (r == MATCH_FOUND) {
            assert_ptr_equal(m.service, c->service);
            assert_ptr_equal(m.publish, &publish[c->publish]);
            assert_ptr_equal(match_route(t, m.route).service, c->service);
            assert_ptr_equal(match_route(t, m.route).publish, &publish[c->publish]);
        } else if (r == MATCH_ROOT) {
            assert_ptr_equal(m.publish, &publish[0]);
        } else {
            assert_int_equal(m.route, 99);
        }
        assert_int_equal(match_host_published(t, str_of(c->host)), r != MATCH_NO_HOST);
    }
    match_table_free(t);
}

static void test_any_host(void **state)
{
    struct match_table *t = table_of(publish_any, 1);
    struct match m;

    assert_int_equal(match_find(t, STR("x.test"), STR("/a/b"), METHOD_GET, &m), MATCH_FOUND);
    assert_int_equal(match_find(t, STR("x.test"), STR("/"), METHOD_PUT, &m), MATCH_FOUND);
    assert_int_equal(match_find(t, STR("x.test"), STR("/"), METHOD_POST, &m), MATCH_NO_METHOD);
    assert_int_equal(match_find(t, STR("x.test"), STR("*"), METHOD_OPTIONS, &m), MATCH_NO_PATH);
    assert_int_equal(match_find(t, STR(""), STR("/"), METHOD_GET, &m), MATCH_NO_HOST);
    match_table_free(t);
}

static void test_routes(void **state)
{
    struct match_table *t = table_of(publish, 3);

    assert_int_equal(match_routes(t), 8);
    for (unsigned i = 0; i < match_routes(t); i++)
        assert_int_equal(match_route(t, i).route, i);
    match_table_free(t);
    t = table_of(NULL, 0);
    assert_int_equal(match_routes(t), 0);
    assert_false(match_host_published(t, STR("a")));
    match_table_free(t);
    match_table_free(NULL);
}

static void test_allow(void **state)
{
    struct match_table *t = table_of(publish, 3);
    struct pool chunks;
    struct arena a;

    pool_init(&chunks, 4096, 2);
    arena_init(&a, &chunks, 8192);
    assert_true(str_eq(match_allow(t, STR(M), STR("/owa"), &a), STR("GET, HEAD, POST")));
    assert_true(str_eq(match_allow(t, STR(M), STR("/owa/auth"), &a), STR("GET")));
    assert_true(
        str_eq(match_allow(t, STR(M), STR("/exchange"), &a), STR("GET, HEAD, POST, PROPFIND, SEARCH")));
    assert_true(str_eq(match_allow(t, STR(M), STR("/x.asmx"), &a), STR("POST")));
    assert_true(str_eq(match_allow(t, STR(M), STR("/none"), &a), STR("")));
    assert_true(str_eq(match_allow(t, STR("none"), STR("/owa"), &a), STR("")));
    arena_release(&a);
    arena_init(&a, &chunks, 0);
    assert_null(match_allow(t, STR(M), STR("/owa"), &a).p);
    match_table_free(t);
    pool_destroy(&chunks);
}

static void test_many_hosts(void **state)
{
    enum { N = 2000 };
    static char names[N][32];
    static struct str hosts[N];
    struct conf_publish p = {.hosts = {hosts, N}, .services = any_services, .services_n = 1};
    struct match_table *t;
    struct match m;

    for (int i = 0; i < N; i++)
        hosts[i] =
            (struct str){names[i], (size_t)snprintf(names[i], sizeof(names[i]), "host%d.example.com", i)};
    t = table_of(&p, 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(match_find(t, hosts[i], STR("/"), METHOD_GET, &m), MATCH_FOUND);
    assert_int_equal(match_find(t, STR("host2000.example.com"), STR("/"), METHOD_GET, &m), MATCH_NO_HOST);
    match_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),  cmocka_unit_test(test_any_host),   cmocka_unit_test(test_routes),
        cmocka_unit_test(test_allow), cmocka_unit_test(test_many_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
