/*
 * Postern's own answers: each is read back by the codec that reads a backend's.
 */
#include <string.h>
#include <time.h>

#include "http_cases.h"

#include <postern/reply.h>

struct answer {
    struct rig rig;
    struct pool chunks;
    struct arena arena;
    struct str text, page;
};

/* Writes and reads again; `page` is what the reader takes for the body. */
static void answer_make(struct answer *a, const struct reply *r)
{
    const char *p, *end;
    struct str body;
    enum h1_event e;

    rig_init(&a->rig, true);
    pool_init(&a->chunks, 4096, 2);
    arena_init(&a->arena, &a->chunks, 1u << 20);
    a->rig.method = r->head ? METHOD_HEAD : METHOD_GET;
    a->text = reply_write(r, &a->arena);
    assert_non_null(a->text.p);
    rig_begin(&a->rig);
    p = a->text.p;
    end = p + a->text.n;
    assert_int_equal(h1_next(&a->rig.codec, &p, end, &body), H1_HEAD);
    a->page = STR_NULL;
    e = h1_next(&a->rig.codec, &p, end, &body);
    if (e == H1_BODY) {
        a->page = body;
        e = h1_next(&a->rig.codec, &p, end, &body);
    }
    assert_int_equal(e, H1_END);
    assert_ptr_equal(p, end);
}

static void answer_free(struct answer *a)
{
    rig_end(&a->rig);
    arena_release(&a->arena);
    pool_destroy(&a->chunks);
}

static void assert_field(const struct answer *a, const char *name, const char *value)
{
    const struct field *f = message_find_name(&a->rig.message, str_of(name));

    if (value == NULL) {
        assert_null(f);
        return;
    }
    assert_non_null(f);
    if (!str_eq(f->value, str_of(value)))
        fail_msg("%s: [%.*s], wanted [%s]", name, STR_ARG(f->value), value);
}

static void test_page(void **state)
{
    struct reply r = {.status = 404, .minor = 1};
    struct answer a;

    answer_make(&a, &r);
    assert_int_equal(a.rig.message.status, 404);
    assert_true(str_eq(a.rig.message.reason, STR("Not Found")));
    assert_field(&a, "Content-Type", "text/html; charset=utf-8");
    assert_field(&a, "Cache-Control", "no-store");
    assert_field(&a, "X-Content-Type-Options", "nosniff");
    assert_field(&a, "Connection", NULL);
    assert_field(&a, "Server", NULL);
    assert_non_null(message_find(&a.rig.message, FIELD_ID_DATE));
    assert_true(a.rig.message.keep_alive);
    assert_int_equal(a.page.n, a.rig.message.content_length);
    assert_non_null(memmem(a.page.p, a.page.n, "<html lang=\"en\">", 16));
    assert_non_null(memmem(a.page.p, a.page.n, "<h1>Not Found</h1>", 18));
    assert_non_null(memmem(a.page.p, a.page.n, "max-width:32rem", 15));
    assert_null(memmem(a.page.p, a.page.n, "ostern", 6));
    assert_null(memmem(a.page.p, a.page.n, "%%", 2));
    answer_free(&a);
}

static void test_head(void **state)
{
    struct reply r = {.status = 403, .minor = 1};
    struct answer get, head;
    char length[24];

    answer_make(&get, &r);
    r.head = true;
    answer_make(&head, &r);
    snprintf(length, sizeof(length), "%zu", get.page.n);
    assert_field(&head, "Content-Length", length);
    assert_null(head.page.p);
    assert_int_equal(head.text.n + get.page.n, get.text.n);
    answer_free(&get);
    answer_free(&head);
}

static void test_every_header(void **state)
{
    struct reply r = {.status = 503,
                      .close = true,
                      .minor = 1,
                      .location = STR("https://mail.example.com/owa/"),
                      .allow = STR("GET, HEAD"),
                      .challenge = STR("Basic realm=\"mail\", charset=\"UTF-8\""),
                      .retry_after_s = 120,
                      .hsts = STR("max-age=31536000"),
                      .extra = STR("X-One: 1\r\nX-Two: 2\r\n")};
    struct answer a;

    answer_make(&a, &r);
    assert_field(&a, "Location", "https://mail.example.com/owa/");
    assert_field(&a, "Allow", "GET, HEAD");
    assert_field(&a, "WWW-Authenticate", "Basic realm=\"mail\", charset=\"UTF-8\"");
    assert_field(&a, "Retry-After", "120");
    assert_field(&a, "Strict-Transport-Security", "max-age=31536000");
    assert_field(&a, "Connection", "close");
    assert_field(&a, "X-One", "1");
    assert_field(&a, "X-Two", "2");
    assert_false(a.rig.message.keep_alive);
    answer_free(&a);
}

static void test_http10(void **state)
{
    struct reply r = {.status = 302, .minor = 0, .location = STR("/owa/")};
    struct answer a;

    answer_make(&a, &r);
    assert_field(&a, "Connection", "keep-alive");
    answer_free(&a);
    r.close = true;
    answer_make(&a, &r);
    assert_field(&a, "Connection", "close");
    answer_free(&a);
}

static void test_no_splitting(void **state)
{
    struct reply r = {.status = 302, .minor = 1, .location = STR("/a\r\nSet-Cookie: x=y")};
    struct answer a;

    answer_make(&a, &r);
    assert_field(&a, "Location", NULL);
    assert_field(&a, "Set-Cookie", NULL);
    answer_free(&a);
}

static void test_bodiless(void **state)
{
    static const int statuses[] = {204, 304};

    for (size_t i = 0; i < 2; i++) {
        struct reply r = {.status = statuses[i], .minor = 1};
        struct answer a;
        answer_make(&a, &r);
        assert_field(&a, "Content-Length", NULL);
        assert_field(&a, "Content-Type", NULL);
        assert_null(a.page.p);
        answer_free(&a);
    }
}

static void test_every_status(void **state)
{
    for (int status = 200; status < 600; status++) {
        struct reply r = {.status = status, .minor = 1};
        struct answer a;
        answer_make(&a, &r);
        assert_int_equal(a.rig.message.status, status);
        assert_true(str_eq(a.rig.message.reason, str_of(reply_phrase(status))));
        answer_free(&a);
    }
}

static void test_phrases(void **state)
{
    assert_string_equal(reply_phrase(200), "OK");
    assert_string_equal(reply_phrase(401), "Unauthorized");
    assert_string_equal(reply_phrase(413), "Content Too Large");
    assert_string_equal(reply_phrase(421), "Misdirected Request");
    assert_string_equal(reply_phrase(431), "Request Header Fields Too Large");
    assert_string_equal(reply_phrase(299), "Unknown");
    assert_string_equal(reply_phrase(0), "Unknown");
    assert_string_equal(reply_phrase(-1), "Unknown");
}

static void test_date(void **state)
{
    assert_true(str_eq(reply_date(784111777), STR("Sun, 06 Nov 1994 08:49:37 GMT")));
    assert_true(str_eq(reply_date(0), STR("Thu, 01 Jan 1970 00:00:00 GMT")));
    assert_true(str_eq(reply_date(0), STR("Thu, 01 Jan 1970 00:00:00 GMT")));
    assert_true(str_eq(reply_date(1709164800), STR("Thu, 29 Feb 2024 00:00:00 GMT")));
}

static void test_no_memory(void **state)
{
    struct reply r = {.status = 404, .allow = STR("GET"), .retry_after_s = 5};
    struct pool chunks;
    bool written = false;

    pool_init(&chunks, 4096, 2);
    for (size_t limit = 0; limit < 16384; limit += 256) {
        struct arena a;
        arena_init(&a, &chunks, limit);
        written = reply_write(&r, &a).p != NULL;
        arena_release(&a);
    }
    assert_true(written);
    pool_destroy(&chunks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),         cmocka_unit_test(test_head),
        cmocka_unit_test(test_every_header), cmocka_unit_test(test_http10),
        cmocka_unit_test(test_no_splitting), cmocka_unit_test(test_bodiless),
        cmocka_unit_test(test_every_status), cmocka_unit_test(test_phrases),
        cmocka_unit_test(test_date),         cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
