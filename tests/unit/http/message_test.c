/*
 * Names, edits, and what forwarding takes away.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include <postern/h1.h>

struct fixture {
    struct pool chunks;
    struct arena arena;
    struct message m;
};

static int setup(void **state)
{
    static struct fixture f;

    pool_init(&f.chunks, 4096, 4);
    arena_init(&f.arena, &f.chunks, 1u << 20);
    message_init(&f.m, &f.arena, false);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_release(&f->arena);
    pool_destroy(&f->chunks);
    return 0;
}

static void add(struct message *m, const char *name, const char *value)
{
    assert_int_equal(message_add_name(m, str_of(name), str_of(value)), 0);
}

/* The fields that would be written, "Name=value;" each. */
static void assert_fields(struct fixture *f, const char *wanted)
{
    char text[1024];
    size_t n = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < f->m.fields_n; i++)
        if (!f->m.fields[i].dropped)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s=%.*s;", STR_ARG(f->m.fields[i].name),
                                  STR_ARG(f->m.fields[i].value));
    assert_string_equal(text, wanted);
}

static void test_methods(void **state)
{
    for (unsigned m = METHOD_UNKNOWN + 1; m < METHOD_COUNT; m++)
        assert_int_equal(method_of(method_token((enum method)m)), m);
    assert_int_equal(method_of(STR("get")), METHOD_UNKNOWN);
    assert_int_equal(method_of(STR("GETT")), METHOD_UNKNOWN);
    assert_int_equal(method_of(STR("")), METHOD_UNKNOWN);
    assert_int_equal(method_of(STR("CONNECT")), METHOD_UNKNOWN);
    assert_true(method_flags(METHOD_GET) & METHOD_SAFE);
    assert_false(method_flags(METHOD_POST) & METHOD_IDEMPOTENT);
    assert_true(method_flags(METHOD_RPC_IN_DATA) & METHOD_RPC);
}

static unsigned field_id_by_search(struct str name)
{
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_ID_COUNT; id++)
        if (str_eq_nocase(field_name((enum field_id)id), name))
            return id;
    return FIELD_OTHER;
}

static void test_field_names(void **state)
{
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_ID_COUNT; id++) {
        struct str name = field_name((enum field_id)id);
        char other[64];
        for (size_t i = 0; i < name.n; i++)
            other[i] = i % 2 != 0 ? (char)(name.p[i] >= 'a' && name.p[i] <= 'z' ? name.p[i] - 32 : name.p[i])
                                  : ascii_lower(name.p[i]);
        assert_int_equal(field_id_of(name), id);
        assert_int_equal(field_id_of((struct str){other, name.n}), id);
        for (size_t n = 0; n < name.n; n++)
            assert_int_equal(field_id_of((struct str){name.p, n}),
                             field_id_by_search((struct str){name.p, n}));
        other[0] ^= 1;
        assert_int_equal(field_id_of((struct str){other, name.n}),
                         field_id_by_search((struct str){other, name.n}));
    }
    assert_int_equal(field_id_of(STR("")), FIELD_OTHER);
    assert_int_equal(field_id_of(STR("X-Custom")), FIELD_OTHER);
}

static void test_edits(void **state)
{
    struct fixture *f = *state;
    struct message *m = &f->m;

    add(m, "host", "a");
    add(m, "X-A", "1");
    add(m, "COOKIE", "b");
    add(m, "x-a", "2");
    add(m, "Cookie", "c");
    assert_int_equal(m->fields[0].id, FIELD_ID_HOST);
    assert_true(str_eq(message_find(m, FIELD_ID_COOKIE)->value, STR("b")));
    assert_true(str_eq(message_find_name(m, STR("X-a"))->value, STR("1")));
    assert_true(str_eq(message_find_name(m, STR("cookie"))->value, STR("b")));
    assert_null(message_find(m, FIELD_ID_DATE));
    assert_null(message_find_name(m, STR("X-B")));
    assert_int_equal(message_set(m, FIELD_ID_COOKIE, STR("d")), 0);
    assert_fields(f, "host=a;X-A=1;COOKIE=d;x-a=2;");
    assert_int_equal(message_set(m, FIELD_ID_DATE, STR("now")), 0);
    assert_int_equal(message_drop_name(m, STR("X-A")), 2);
    assert_int_equal(message_drop_name(m, STR("X-A")), 0);
    assert_null(message_find_name(m, STR("X-A")));
    assert_fields(f, "host=a;COOKIE=d;Date=now;");
    assert_int_equal(message_drop(m, FIELD_ID_HOST), 1);
    assert_int_equal(message_set(m, FIELD_ID_HOST, STR("z")), 0);
    assert_fields(f, "COOKIE=d;Date=now;Host=z;");
}

static void test_many_fields(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 300; i++)
        add(&f->m, "X-Many", "v");
    assert_int_equal(f->m.fields_n, 300);
    assert_int_equal(message_drop_name(&f->m, STR("x-many")), 300);
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    int rc = 0;

    arena_init(&f->arena, &f->chunks, 2000);
    for (int i = 0; i < 300 && rc == 0; i++)
        rc = message_add(&f->m, FIELD_ID_VIA, STR("v"));
    assert_int_equal(rc, -1);
}

static void test_strip_hop(void **state)
{
    struct fixture *f = *state;
    struct message *m = &f->m;

    add(m, "Host", "a");
    add(m, "Connection", "close, X-Hop,, x-other ");
    add(m, "X-Hop", "1");
    add(m, "Keep-Alive", "timeout=5");
    add(m, "Proxy-Connection", "x");
    add(m, "TE", "trailers");
    add(m, "Trailer", "x");
    add(m, "Upgrade", "x");
    add(m, "Transfer-Encoding", "chunked");
    add(m, "Proxy-Authorization", "x");
    add(m, "Proxy-Authenticate", "x");
    add(m, "HTTP2-Settings", "x");
    add(m, "X-OTHER", "2");
    add(m, "connection", "X-Third");
    add(m, "X-Third", "3");
    add(m, "X-Kept", "4");
    add(m, "Authorization", "Basic x");
    m->framing = BODY_CHUNKED;
    message_strip_hop(m);
    assert_fields(f, "Host=a;X-Kept=4;Authorization=Basic x;");
}

static void test_strip_length_when_chunked(void **state)
{
    struct fixture *f = *state;

    add(&f->m, "Content-Length", "5");
    message_strip_hop(&f->m);
    assert_fields(f, "Content-Length=5;");
    f->m.framing = BODY_CHUNKED;
    message_strip_hop(&f->m);
    assert_fields(f, "");
}

/* Dropped fields count for nothing when a head is checked again. */
static void test_check_built(void **state)
{
    struct fixture *f = *state;
    struct message *m = &f->m;

    m->minor = 1;
    m->method = METHOD_POST;
    m->target_text = STR("/a");
    add(m, "Host", "A.b:81");
    add(m, "Content-Length", "5");
    add(m, "Transfer-Encoding", "chunked");
    assert_int_equal(message_check_request(m), REASON_BAD_FRAMING);
    message_drop(m, FIELD_ID_CONTENT_LENGTH);
    assert_int_equal(message_check_request(m), REASON_OK);
    assert_int_equal(m->framing, BODY_CHUNKED);
    assert_true(str_eq(m->host, STR("a.b")));
    assert_int_equal(m->host_port, 81);
    assert_true(m->keep_alive);
    m->fields[0].name = STR("Ho st");
    assert_int_equal(message_check_request(m), REASON_BAD_HEADER);
    m->fields[0].name = STR("Host");
    m->fields[0].value = STR("a\rb");
    assert_int_equal(message_check_request(m), REASON_BAD_HEADER);
}

static void test_refusal_status(void **state)
{
    static const struct {
        enum reason why;
        int status;
    } cases[] = {
        {REASON_BAD_REQUEST_LINE, 400},
        {REASON_BAD_METHOD, 400},
        {REASON_BAD_TARGET, 400},
        {REASON_BAD_HEADER, 400},
        {REASON_BAD_HOST, 400},
        {REASON_BAD_FRAMING, 400},
        {REASON_BAD_CHUNK, 400},
        {REASON_BAD_CONNECTION, 400},
        {REASON_BAD_EXPECT, 417},
        {REASON_BAD_VERSION, 505},
        {REASON_HEAD_TOO_LARGE, 431},
        {REASON_URL_TOO_LONG, 414},
        {REASON_QUERY_TOO_LONG, 414},
        {REASON_BODY_TOO_LARGE, 413},
        {REASON_NOT_PUBLISHED, 404},
        {REASON_METHOD_NOT_ALLOWED, 405},
        {REASON_HOST_NOT_PUBLISHED, 421},
        {REASON_HOST_NOT_SNI, 421},
        {REASON_BACKEND_BAD_RESPONSE, 502},
        {REASON_BACKEND_TIMEOUT, 504},
        {REASON_NO_BACKEND, 503},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(message_refusal_status(cases[i].why), cases[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(test_field_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strip_hop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strip_length_when_chunked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check_built, setup, teardown),
        cmocka_unit_test(test_refusal_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
