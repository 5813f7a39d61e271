/*
 * Request targets and hosts: what they are taken for, and what is refused.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include <postern/target.h>

struct target_case {
    struct str text;
    const char *canonical; /* NULL: refused */
    const char *query;     /* NULL: none */
};

static const struct target_case targets[] = {
    /* plain */
    {STR("/"), "/", NULL},
    {STR("/owa"), "/owa", NULL},
    {STR("/owa/"), "/owa/", NULL},
    {STR("/OWA/Auth/Logon.ASPX"), "/owa/auth/logon.aspx", NULL},
    {STR("/owa?"), "/owa", ""},
    {STR("/owa?a=b"), "/owa", "a=b"},
    {STR("/?/../x"), "/", "/../x"},
    {STR("/a?b?c"), "/a", "b?c"},
    {STR("/a?B"), "/a", "B"},
    {STR("/rpc/rpcproxy.dll?mbx@example.com:6001"), "/rpc/rpcproxy.dll", "mbx@example.com:6001"},
    {STR("/Microsoft-Server-ActiveSync?jAAJBAp2MTQwRGV2aWNl=/+"), "/microsoft-server-activesync",
     "jAAJBAp2MTQwRGV2aWNl=/+"},
    {STR("/a;b=c"), "/a;b=c", NULL},
    {STR("/a:b@c,d!e$f'(g)*+h=i&j~k_l-m.n"), "/a:b@c,d!e$f'(g)*+h=i&j~k_l-m.n", NULL},
    {STR("/{a}|<b>^`\"[c]"), "/{a}|<b>^`\"[c]", NULL},
    {STR("/.well-known/x"), "/.well-known/x", NULL},
    {STR("/a.b"), "/a.b", NULL},
    {STR("/a..b"), "/a..b", NULL},
    {STR("/..a"), "/..a", NULL},
    {STR("/a.."), "/a..", NULL},
    /* escapes */
    {STR("/%6Fwa"), "/owa", NULL},
    {STR("/%4f%57%41/"), "/owa/", NULL},
    {STR("/a%20b"), "/a b", NULL},
    {STR("/a%3fb"), "/a?b", NULL},
    {STR("/a%23b"), "/a#b", NULL},
    {STR("/a%25"), "/a%", NULL},
    {STR("/100%25/x"), "/100%/x", NULL},
    {STR("/a%25zz"), "/a%zz", NULL},
    {STR("/%C3%A4"), "/\xc3\xa4", NULL},
    {STR("/%e2%82%ac"), "/\xe2\x82\xac", NULL},
    {STR("/%f0%9f%98%80"), "/\xf0\x9f\x98\x80", NULL},
    {STR("/exchange/User/Inbox/Re:%20Hello.EML"), "/exchange/user/inbox/re: hello.eml", NULL},
    {STR("/a?%41"), "/a", "%41"},
    {STR("/a?%2f%5c%2e%2e"), "/a", "%2f%5c%2e%2e"},
    {STR("/a?%25%32%35"), "/a", "%25%32%35"},
    {STR("/a?\\"), "/a", "\\"},
    {STR("/a?//b"), "/a", "//b"},
    /* absolute */
    {STR("http://a"), "/", NULL},
    {STR("http://a/"), "/", NULL},
    {STR("https://a/OWA?x"), "/owa", "x"},
    {STR("HTTP://a:80/b"), "/b", NULL},
    {STR("http://a?x"), "/", "x"},
    /* not a target */
    {STR(""), NULL, NULL},
    {STR("owa"), NULL, NULL},
    {STR("*"), NULL, NULL},
    {STR("?a"), NULL, NULL},
    {STR("a:443"), NULL, NULL},
    {STR("mail.example.com"), NULL, NULL},
    {STR("ftp://a/b"), NULL, NULL},
    {STR("http:/a/b"), NULL, NULL},
    {STR("http:a"), NULL, NULL},
    {STR("javascript:alert(1)"), NULL, NULL},
    {STR("\\owa"), NULL, NULL},
    {STR("//a/b"), NULL, NULL},
    {STR("http://a//b"), NULL, NULL},
    /* octets */
    {STR("/a#b"), NULL, NULL},
    {STR("/a?b#c"), NULL, NULL},
    {STR("/a b"), NULL, NULL},
    {STR("/a?b c"), NULL, NULL},
    {STR("/a\tb"), NULL, NULL},
    {STR("/a\0b"), NULL, NULL},
    {STR("/a?\0"), NULL, NULL},
    {STR("/a\rb"), NULL, NULL},
    {STR("/a\nb"), NULL, NULL},
    {STR("/a\x7f"), NULL, NULL},
    {STR("/a?\x7f"), NULL, NULL},
    {STR("/\xc3\xa4"), NULL, NULL},
    {STR("/a?\xc3\xa4"), NULL, NULL},
    {STR("/\xff"), NULL, NULL},
    {STR("/a\\b"), NULL, NULL},
    {STR("/..\\a"), NULL, NULL},
    /* escapes that are none */
    {STR("/%"), NULL, NULL},
    {STR("/%4"), NULL, NULL},
    {STR("/%zz"), NULL, NULL},
    {STR("/%4g"), NULL, NULL},
    {STR("/%g4"), NULL, NULL},
    {STR("/% 4"), NULL, NULL},
    {STR("/%+4"), NULL, NULL},
    {STR("/%-1"), NULL, NULL},
    {STR("/%0x"), NULL, NULL},
    {STR("/%u0061"), NULL, NULL},
    {STR("/%U0061"), NULL, NULL},
    {STR("/a?%"), NULL, NULL},
    {STR("/a?%4"), NULL, NULL},
    {STR("/a?%zz"), NULL, NULL},
    {STR("/a?%u0061"), NULL, NULL},
    {STR("/a%4?1"), NULL, NULL},
    /* escapes of what is refused in the open */
    {STR("/a%2fb"), NULL, NULL},
    {STR("/a%2Fb"), NULL, NULL},
    {STR("/a%5cb"), NULL, NULL},
    {STR("/a%5Cb"), NULL, NULL},
    {STR("/a%00"), NULL, NULL},
    {STR("/a%00.aspx"), NULL, NULL},
    {STR("/a%01"), NULL, NULL},
    {STR("/a%09b"), NULL, NULL},
    {STR("/a%0a"), NULL, NULL},
    {STR("/a%0d%0aSet-Cookie:x"), NULL, NULL},
    {STR("/a%1f"), NULL, NULL},
    {STR("/a%7f"), NULL, NULL},
    /* twice */
    {STR("/%252fa"), NULL, NULL},
    {STR("/%252e%252e/a"), NULL, NULL},
    {STR("/%25%32%66"), NULL, NULL},
    {STR("/%2561"), NULL, NULL},
    {STR("/%%36%31"), NULL, NULL},
    {STR("/%2%35c"), NULL, NULL},
    {STR("/%255c"), NULL, NULL},
    {STR("/%25u0061/%2500"), NULL, NULL},
    /* dots */
    {STR("/."), NULL, NULL},
    {STR("/.."), NULL, NULL},
    {STR("/./"), NULL, NULL},
    {STR("/../"), NULL, NULL},
    {STR("/a/./b"), NULL, NULL},
    {STR("/a/../b"), NULL, NULL},
    {STR("/a/.."), NULL, NULL},
    {STR("/owa/../ecp"), NULL, NULL},
    {STR("/a/.../b"), NULL, NULL},
    {STR("/a/....//b"), NULL, NULL},
    {STR("/%2e"), NULL, NULL},
    {STR("/%2e%2e/a"), NULL, NULL},
    {STR("/.%2e/a"), NULL, NULL},
    {STR("/%2E./a"), NULL, NULL},
    {STR("/a/..;/b"), NULL, NULL},
    {STR("/a/..;x=y/b"), NULL, NULL},
    {STR("/a/.;/b"), NULL, NULL},
    {STR("http://a/../b"), NULL, NULL},
    /* empty segments */
    {STR("//"), NULL, NULL},
    {STR("/a//b"), NULL, NULL},
    {STR("/a//"), NULL, NULL},
    {STR("///a"), NULL, NULL},
    /* not UTF-8, or not its shortest form */
    {STR("/%c0%af"), NULL, NULL},
    {STR("/%c1%9c"), NULL, NULL},
    {STR("/%e0%80%af"), NULL, NULL},
    {STR("/%f0%80%80%af"), NULL, NULL},
    {STR("/%c0%ae%c0%ae/a"), NULL, NULL},
    {STR("/%ff"), NULL, NULL},
    {STR("/%80"), NULL, NULL},
    {STR("/%e4"), NULL, NULL},
    {STR("/%c3"), NULL, NULL},
    {STR("/%c3a"), NULL, NULL},
    {STR("/%e2%82"), NULL, NULL},
    {STR("/%e2%82/x"), NULL, NULL},
    {STR("/%ed%a0%80"), NULL, NULL},
    {STR("/%f4%90%80%80"), NULL, NULL},
    {STR("/%f5%80%80%80"), NULL, NULL},
    {STR("/%f0%9f%98"), NULL, NULL},
};

struct host_case {
    struct str text;
    const char *host; /* NULL: refused */
    unsigned port;
};

static const struct host_case hosts[] = {
    {STR("a"), "a", 0},
    {STR("Mail.Example.COM"), "mail.example.com", 0},
    {STR("mail.example.com."), "mail.example.com", 0},
    {STR("mail.example.com.:443"), "mail.example.com", 443},
    {STR("a:1"), "a", 1},
    {STR("a:65535"), "a", 65535},
    {STR("a:00080"), "a", 80},
    {STR("a_b-c.d"), "a_b-c.d", 0},
    {STR("xn--bcher-kva.example"), "xn--bcher-kva.example", 0},
    {STR("192.0.2.1"), "192.0.2.1", 0},
    {STR("192.0.2.1:8443"), "192.0.2.1", 8443},
    {STR("1.2.3.4.example"), "1.2.3.4.example", 0},
    {STR("4u.example"), "4u.example", 0},
    {STR("[::1]"), "[::1]", 0},
    {STR("[2001:DB8::A]:443"), "[2001:db8::a]", 443},
    {STR("[::ffff:192.0.2.1]"), "[::ffff:192.0.2.1]", 0},
    {STR(""), NULL, 0},
    {STR("."), NULL, 0},
    {STR(".."), NULL, 0},
    {STR("a.."), NULL, 0},
    {STR(".a"), NULL, 0},
    {STR("a..b"), NULL, 0},
    {STR(":80"), NULL, 0},
    {STR("a:"), NULL, 0},
    {STR("a:0"), NULL, 0},
    {STR("a:65536"), NULL, 0},
    {STR("a:000080"), NULL, 0},
    {STR("a:8o"), NULL, 0},
    {STR("a:-1"), NULL, 0},
    {STR("a: 80"), NULL, 0},
    {STR("a :80"), NULL, 0},
    {STR("a:80:80"), NULL, 0},
    {STR("a:80/"), NULL, 0},
    {STR("a/b"), NULL, 0},
    {STR("a?b"), NULL, 0},
    {STR("a#b"), NULL, 0},
    {STR("u@a"), NULL, 0},
    {STR("u:p@a"), NULL, 0},
    {STR("a,b"), NULL, 0},
    {STR("a b"), NULL, 0},
    {STR("a\tb"), NULL, 0},
    {STR("a\0b"), NULL, 0},
    {STR("a%2eb"), NULL, 0},
    {STR("a\\b"), NULL, 0},
    {STR("*.a"), NULL, 0},
    {STR("*"), NULL, 0},
    {STR("\xc3\xa4.example"), NULL, 0},
    {STR("::1"), NULL, 0},
    {STR("[::1"), NULL, 0},
    {STR("[]"), NULL, 0},
    {STR("[::1]x"), NULL, 0},
    {STR("[::1]:"), NULL, 0},
    {STR("[::1%25eth0]"), NULL, 0},
    {STR("[v1.a]"), NULL, 0},
    {STR("[192.0.2.1]"), NULL, 0},
    {STR("[mail.example.com]"), NULL, 0},
    {STR("1"), NULL, 0},
    {STR("127.1"), NULL, 0},
    {STR("1.2.3"), NULL, 0},
    {STR("1.2.3.256"), NULL, 0},
    {STR("1.2.3.4.5"), NULL, 0},
    {STR("01.2.3.4"), NULL, 0},
    {STR("a.1"), NULL, 0},
};

struct fixture {
    struct pool chunks;
    struct arena arena;
};

static void fixture_init(struct fixture *f)
{
    pool_init(&f->chunks, 4096, 4);
    arena_init(&f->arena, &f->chunks, 1u << 20);
}

static void fixture_free(struct fixture *f)
{
    arena_release(&f->arena);
    pool_destroy(&f->chunks);
}

static int setup(void **state)
{
    static struct fixture f;

    fixture_init(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static bool same(struct str s, const char *z)
{
    return z == NULL ? s.p == NULL : s.p != NULL && str_eq(s, str_of(z));
}

static void test_target(void **state)
{
    const struct target_case *c = *state;
    struct fixture f;
    struct target t = {.path = STR("untouched")};
    char *copy = malloc(c->text.n + 1);
    enum reason why;

    fixture_init(&f);
    memcpy(copy, c->text.p, c->text.n);
    why = target_parse(&t, (struct str){copy, c->text.n}, METHOD_GET, &f.arena);
    if (why != (c->canonical == NULL ? REASON_BAD_TARGET : REASON_OK))
        fail_msg("%.*s: %s", STR_ARG(c->text), reason_name(why));
    if (c->canonical != NULL && (!same(t.canonical, c->canonical) || !same(t.query, c->query)))
        fail_msg("%.*s: [%.*s] [%.*s]", STR_ARG(c->text), STR_ARG(t.canonical), STR_ARG(t.query));
    if (c->canonical == NULL)
        assert_true(str_eq(t.path, STR("untouched")));
    free(copy);
    fixture_free(&f);
}

/* What is forwarded is what was sent. */
static void test_raw_is_kept(void **state)
{
    struct fixture *f = *state;
    struct target t;

    assert_int_equal(target_parse(&t, STR("https://A:444/%6Fwa/X?%41=B"), METHOD_GET, &f->arena), REASON_OK);
    assert_true(str_eq(t.path, STR("/%6Fwa/X")));
    assert_true(str_eq(t.canonical, STR("/owa/x")));
    assert_true(str_eq(t.query, STR("%41=B")));
    assert_true(str_eq(t.authority, STR("A:444")));
    assert_int_equal(target_parse(&t, STR("/a"), METHOD_GET, &f->arena), REASON_OK);
    assert_null(t.authority.p);
}

static void test_options(void **state)
{
    struct fixture *f = *state;
    struct target t;

    assert_int_equal(target_parse(&t, STR("*"), METHOD_OPTIONS, &f->arena), REASON_OK);
    assert_true(str_eq(t.path, STR("*")));
    assert_true(str_eq(t.canonical, STR("*")));
    assert_int_equal(target_parse(&t, STR("*?a"), METHOD_OPTIONS, &f->arena), REASON_BAD_TARGET);
    assert_int_equal(target_parse(&t, STR("**"), METHOD_OPTIONS, &f->arena), REASON_BAD_TARGET);
    assert_int_equal(target_parse(&t, STR("*"), METHOD_POST, &f->arena), REASON_BAD_TARGET);
    assert_int_equal(target_parse(&t, STR("http://a"), METHOD_OPTIONS, &f->arena), REASON_OK);
    assert_true(str_eq(t.path, STR("*")));
    assert_int_equal(target_parse(&t, STR("/"), METHOD_OPTIONS, &f->arena), REASON_OK);
    assert_true(str_eq(t.path, STR("/")));
}

/* Every escape of one octet, in the path: decoded to exactly that octet, or refused. */
static void test_every_escape(void **state)
{
    struct fixture *f = *state;

    for (unsigned c = 0; c < 256; c++) {
        bool refused = c < 0x20 || c == 0x7f || c == '/' || c == '\\' || c >= 0x80;
        char text[8];
        struct target t;
        snprintf(text, sizeof(text), "/a%%%02X", c);
        assert_int_equal(target_parse(&t, str_of(text), METHOD_GET, &f->arena),
                         refused ? REASON_BAD_TARGET : REASON_OK);
        if (!refused) {
            assert_int_equal(t.canonical.n, 3);
            assert_int_equal(t.canonical.p[2], ascii_lower((char)c));
        }
    }
}

static void test_host(void **state)
{
    const struct host_case *c = *state;
    struct fixture f;
    struct str host = STR("untouched");
    uint16_t port = 7;
    char *copy = malloc(c->text.n + 1);
    enum reason why;

    fixture_init(&f);
    memcpy(copy, c->text.p, c->text.n);
    why = target_host((struct str){copy, c->text.n}, &f.arena, &host, &port);
    if (why != (c->host == NULL ? REASON_BAD_HOST : REASON_OK))
        fail_msg("%.*s: %s", STR_ARG(c->text), reason_name(why));
    if (!same(host, c->host == NULL ? "untouched" : c->host) || port != (c->host == NULL ? 7 : c->port))
        fail_msg("%.*s: [%.*s] %u", STR_ARG(c->text), STR_ARG(host), port);
    free(copy);
    fixture_free(&f);
}

static void test_long_hosts(void **state)
{
    struct fixture *f = *state;
    char text[300];
    struct str host;
    uint16_t port;

    memset(text, 'a', sizeof(text));
    assert_int_equal(target_host((struct str){text, 63}, &f->arena, &host, &port), REASON_OK);
    assert_int_equal(target_host((struct str){text, 64}, &f->arena, &host, &port), REASON_BAD_HOST);
    for (int i = 50; i < 300; i += 50)
        text[i] = '.';
    assert_int_equal(target_host((struct str){text, 255}, &f->arena, &host, &port), REASON_OK);
    assert_int_equal(target_host((struct str){text, 256}, &f->arena, &host, &port), REASON_BAD_HOST);
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    struct target t;
    struct str host;
    uint16_t port;

    arena_init(&f->arena, &f->chunks, 0);
    assert_int_equal(target_parse(&t, STR("/a"), METHOD_GET, &f->arena), REASON_NO_MEMORY);
    assert_int_equal(target_host(STR("a"), &f->arena, &host, &port), REASON_NO_MEMORY);
}

#define TARGETS (sizeof(targets) / sizeof(targets[0]))
#define HOSTS (sizeof(hosts) / sizeof(hosts[0]))

/* The texts are no names: some hold NUL, and "#" means something in a TAP line. */
static struct CMUnitTest row_test(const char *kind, size_t i, const void *row, CMUnitTestFunction test)
{
    static char names[TARGETS + HOSTS][24];
    static size_t used;
    char *name = names[used++];

    snprintf(name, sizeof(names[0]), "%s %zu", kind, i);
    return (struct CMUnitTest){.name = name, .test_func = test, .initial_state = (void *)row};
}

int main(void)
{
    static struct CMUnitTest rows[TARGETS + HOSTS];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_raw_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_escape, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    struct CMUnitTest all[TARGETS + HOSTS + sizeof(tests) / sizeof(tests[0])];

    for (size_t i = 0; i < TARGETS; i++)
        rows[i] = row_test("target", i, &targets[i], test_target);
    for (size_t i = 0; i < HOSTS; i++)
        rows[TARGETS + i] = row_test("host", i, &hosts[i], test_host);
    memcpy(all, rows, sizeof(rows));
    memcpy(all + TARGETS + HOSTS, tests, sizeof(tests));
    return cmocka_run_group_tests(all, NULL, NULL);
}
