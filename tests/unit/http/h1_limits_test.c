/*
 * The codec at its limits, its positions, its memory, and heads that are written and read again.
 */
#include <string.h>

#include "http_cases.h"

/* "A: bbb...\r\n" of `n` octets. */
static size_t put_field(char *at, size_t n)
{
    memset(at, 'b', n);
    memcpy(at, "A: ", 3);
    memcpy(at + n - 2, "\r\n", 2);
    return n;
}

/* A request head of exactly `total` octets. */
static size_t head_of(char *at, size_t total)
{
    static const char start[] = "GET / HTTP/1.1\r\nHost: a\r\n";
    size_t n = sizeof(start) - 1;

    memcpy(at, start, n);
    while (total - n - 2 > 4000)
        n += put_field(at + n, 1000);
    n += put_field(at + n, total - n - 2);
    memcpy(at + n, "\r\n", 2);
    assert_int_equal(n + 2, total);
    return total;
}

static void expect(struct rig *r, struct transcript *t, const char *p, size_t n, enum reason why)
{
    rig_run_all(r, t, p, n, false);
    if (t->why != why)
        fail_msg("got %s, wanted %s", reason_name(t->why), reason_name(why));
}

static void test_head_bytes(void **state)
{
    static char raw[70000];
    static const size_t sizes[] = {100, 1023, 1024, 1025, 4096, 8191, 8192, 8193, 65535, 65536};
    struct rig r;

    rig_init(&r, false);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = head_of(raw, sizes[i]);
        r.limits.head_bytes = (uint32_t)n;
        expect(&r, *state, raw, n, REASON_OK);
        r.limits.head_bytes = (uint32_t)n - 1;
        expect(&r, *state, raw, n, REASON_HEAD_TOO_LARGE);
    }
    rig_end(&r);
}

static void test_head_without_end(void **state)
{
    static char raw[20000];
    struct rig r;

    rig_init(&r, false);
    r.limits.head_bytes = 10000;
    memset(raw, 'a', sizeof(raw));
    memcpy(raw, "GET / HTTP/1.1\r\nA: ", 19);
    expect(&r, *state, raw, sizeof(raw), REASON_HEAD_TOO_LARGE);
    expect(&r, *state, raw, 10000, REASON_OK);
    expect(&r, *state, raw, 10001, REASON_HEAD_TOO_LARGE);
    rig_end(&r);
}

static void test_target_bytes(void **state)
{
    char raw[400];
    struct rig r;

    rig_init(&r, false);
    r.limits.target_bytes = 100;
    for (int n = 98; n < 110; n++) {
        int len = snprintf(raw, sizeof(raw), "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n", n - 1, 0);
        expect(&r, *state, raw, (size_t)len, n <= 100 ? REASON_OK : REASON_URL_TOO_LONG);
    }
    memset(raw, 'a', sizeof(raw));
    memcpy(raw, "GET /", 5);
    expect(&r, *state, raw, sizeof(raw), REASON_URL_TOO_LONG);
    r.limits.head_bytes = 90; /* the target alone fills the head */
    expect(&r, *state, raw, sizeof(raw), REASON_URL_TOO_LONG);
    r.limits.head_bytes = 65536;
    raw[200] = '\1'; /* behind the position at which it is too long */
    expect(&r, *state, raw, sizeof(raw), REASON_URL_TOO_LONG);
    raw[50] = '\1';
    expect(&r, *state, raw, sizeof(raw), REASON_BAD_REQUEST_LINE);
    rig_end(&r);
}

static void test_fields(void **state)
{
    char raw[2000];
    struct rig r;

    rig_init(&r, false);
    r.limits.fields = 20;
    for (int fields = 18; fields < 24; fields++) {
        int n = snprintf(raw, sizeof(raw), "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 1; i < fields; i++)
            n += snprintf(raw + n, sizeof(raw) - (size_t)n, "X-%d: %d\r\n", i, i);
        n += snprintf(raw + n, sizeof(raw) - (size_t)n, "\r\n");
        expect(&r, *state, raw, (size_t)n, fields <= 20 ? REASON_OK : REASON_HEAD_TOO_LARGE);
    }
    rig_end(&r);
}

static void test_response_limits(void **state)
{
    static char raw[70000];
    size_t n = (size_t)snprintf(raw, sizeof(raw), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    struct rig r;

    rig_init(&r, true);
    while (n < 65536 - 1100)
        n += put_field(raw + n, 1000);
    n += put_field(raw + n, 65536 - n - 2);
    memcpy(raw + n, "\r\n", 2);
    n += 2;
    expect(&r, *state, raw, n, REASON_OK);
    r.limits.head_bytes = 65535;
    expect(&r, *state, raw, n, REASON_BACKEND_HEAD_TOO_LARGE);
    r.limits.head_bytes = 65536;
    r.limits.fields = 3;
    expect(&r, *state, raw, n, REASON_BACKEND_HEAD_TOO_LARGE);
    rig_end(&r);
}

#define CHUNKED_HEAD "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_chunk_line(void **state)
{
    char raw[400];
    struct rig r;

    rig_init(&r, false);
    r.limits.chunk_line = 100;
    for (int n = 90; n < 110; n++) {
        int len = snprintf(raw, sizeof(raw), CHUNKED_HEAD "5;%0*d\r\nhello\r\n0\r\n\r\n", n - 4, 0);
        expect(&r, *state, raw, (size_t)len, n <= 100 ? REASON_OK : REASON_BAD_CHUNK);
    }
    rig_end(&r);
}

/* Long extensions on tiny chunks: each is within the limit, together they are a way to send much for nothing.
 */
static void test_chunk_excess(void **state)
{
    static char raw[60000];
    int n = snprintf(raw, sizeof(raw), CHUNKED_HEAD);
    struct rig r;

    rig_init(&r, false);
    r.limits.chunk_line = 1000;
    for (int i = 0; i < 40; i++)
        n += snprintf(raw + n, sizeof(raw) - (size_t)n, "1;%0900d\r\nx\r\n", 0);
    expect(&r, *state, raw, (size_t)n, REASON_BAD_CHUNK);
    n = snprintf(raw, sizeof(raw), CHUNKED_HEAD);
    for (int i = 0; i < 2000; i++)
        n += snprintf(raw + n, sizeof(raw) - (size_t)n, "1;a=b\r\nx\r\n");
    expect(&r, *state, raw, (size_t)n, REASON_OK);
    rig_end(&r);
}

static void test_trailer_limits(void **state)
{
    static char raw[4000];
    int n = snprintf(raw, sizeof(raw), CHUNKED_HEAD "0\r\n");
    struct rig r;

    rig_init(&r, false);
    r.limits.fields = 20;
    for (int i = 0; i < 21; i++)
        n += snprintf(raw + n, sizeof(raw) - (size_t)n, "A: b\r\n");
    expect(&r, *state, raw, (size_t)n, REASON_BAD_CHUNK);
    n = snprintf(raw, sizeof(raw), CHUNKED_HEAD "0\r\nA: %02000d\r\n\r\n", 0);
    r.limits.head_bytes = 2000;
    expect(&r, *state, raw, (size_t)n, REASON_BAD_CHUNK);
    r.limits.head_bytes = 2100;
    expect(&r, *state, raw, (size_t)n, REASON_OK);
    rig_end(&r);
}

/* ---- positions ---- */

static void test_bytes_behind_the_end(void **state)
{
    struct str raw = STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\x16\x03rest");
    const char *p = raw.p, *end = raw.p + raw.n;
    struct str body;
    struct rig r;

    rig_init(&r, false);
    rig_begin(&r);
    assert_int_equal(h1_next(&r.codec, &p, end, &body), H1_HEAD);
    assert_memory_equal(p, "hi", 2);
    assert_int_equal(h1_next(&r.codec, &p, end, &body), H1_BODY);
    assert_ptr_equal(body.p, p - 2);
    assert_int_equal(body.n, 2);
    assert_int_equal(h1_next(&r.codec, &p, end, &body), H1_END);
    assert_int_equal(end - p, 6);
    assert_int_equal(h1_next(&r.codec, &p, end, &body), H1_END);
    assert_int_equal(end - p, 6);
    rig_end(&r);
}

static void test_started(void **state)
{
    struct str raw = STR("\r\nG");
    const char *p = raw.p;
    struct str body;
    struct rig r;

    rig_init(&r, false);
    rig_begin(&r);
    assert_int_equal(h1_next(&r.codec, &p, p, &body), H1_MORE);
    assert_int_equal(h1_next(&r.codec, &p, raw.p + 2, &body), H1_MORE);
    assert_false(r.codec.started);
    assert_int_equal(h1_eof(&r.codec), H1_MORE);
    assert_int_equal(h1_next(&r.codec, &p, raw.p + 3, &body), H1_MORE);
    assert_true(r.codec.started);
    assert_int_equal(h1_eof(&r.codec), H1_BAD);
    assert_int_equal(r.codec.why, REASON_CLIENT_CLOSED);
    assert_false(r.codec.bad_was_body);
    rig_end(&r);
}

/* ---- memory ---- */

/* Whatever the arena may hold: a verdict, and no crash. */
static void test_no_memory(void **state)
{
    static char raw[9000];
    size_t n = head_of(raw, 8900);
    bool fits = false;
    struct rig r;

    rig_init(&r, false);
    for (size_t limit = 0; limit < 120000; limit += 500) {
        const char *p = raw;
        struct str body;
        enum h1_event e;
        arena_release(&r.arena);
        arena_init(&r.arena, &r.chunks, limit);
        message_init(&r.message, &r.arena, false);
        h1_begin_request(&r.codec, &r.message, &r.limits);
        e = h1_next(&r.codec, &p, raw + n, &body);
        assert_true(e == H1_HEAD || (e == H1_BAD && r.codec.why == REASON_NO_MEMORY));
        assert_true(e == H1_HEAD || !fits);
        fits = e == H1_HEAD;
    }
    assert_true(fits);
    rig_end(&r);
}

/* A head of any size costs little more memory than its limit, however it comes. */
static void test_memory_is_bounded(void **state)
{
    static char raw[65536];
    struct rig r;

    rig_init(&r, false);
    for (size_t n = 3000; n <= sizeof(raw); n += 1500) {
        struct str body;
        enum h1_event e = H1_MORE;
        head_of(raw, n);
        r.limits.head_bytes = (uint32_t)n;
        arena_release(&r.arena);
        arena_init(&r.arena, &r.chunks, n + 18000);
        message_init(&r.message, &r.arena, false);
        h1_begin_request(&r.codec, &r.message, &r.limits);
        for (const char *p = raw; p < raw + n && e == H1_MORE;)
            e = h1_next(&r.codec, &p, p + 1, &body);
        assert_int_equal(e, H1_HEAD);
    }
    rig_end(&r);
}

/* ---- written and read again ---- */

static void read_head(struct rig *r, struct str raw)
{
    const char *p = raw.p;
    struct str body;

    message_init(&r->message, &r->arena, r->response);
    if (r->response)
        h1_begin_response(&r->codec, &r->message, &r->limits, METHOD_GET);
    else
        h1_begin_request(&r->codec, &r->message, &r->limits);
    assert_int_equal(h1_next(&r->codec, &p, raw.p + raw.n, &body), H1_HEAD);
    assert_ptr_equal(p, raw.p + raw.n);
}

static void assert_same(const struct message *a, const struct message *b)
{
    assert_int_equal(a->method, b->method);
    assert_true(str_eq(a->method_text, b->method_text));
    assert_true(str_eq(a->target_text, b->target_text));
    assert_int_equal(a->status, b->status);
    assert_true(str_eq(a->reason, b->reason));
    assert_true(str_eq(a->host, b->host));
    assert_int_equal(a->framing, b->framing);
    assert_int_equal(a->content_length, b->content_length);
    assert_int_equal(a->fields_n, b->fields_n);
    for (unsigned i = 0; i < a->fields_n; i++) {
        assert_true(str_eq(a->fields[i].name, b->fields[i].name));
        assert_true(str_eq(a->fields[i].value, b->fields[i].value));
        assert_int_equal(a->fields[i].id, b->fields[i].id);
    }
}

static void round_trip(bool response, struct str raw, struct str wanted)
{
    struct message first;
    struct str out, again;
    struct rig r;

    rig_init(&r, response);
    read_head(&r, raw);
    first = r.message;
    out = h1_write_head(&first, &r.arena);
    assert_non_null(out.p);
    if (wanted.p != NULL && !str_eq(out, wanted))
        fail_msg("wrote [%.*s]", STR_ARG(out));
    read_head(&r, out);
    assert_same(&first, &r.message);
    again = h1_write_head(&r.message, &r.arena);
    assert_true(str_eq(out, again));
    rig_end(&r);
}

static void test_round_trip(void **state)
{
    round_trip(false,
               STR("RPC_IN_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\nhost:  a "
                   "\r\nUSER-agent:MSRPC\r\nX:\r\nx: \xff\t1\r\n"
                   "Content-Length: 1073741824\r\n\r\n"),
               STR("RPC_IN_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\nhost: a\r\nUSER-agent: MSRPC\r\nX: "
                   "\r\nx: \xff\t1\r\n"
                   "Content-Length: 1073741824\r\n\r\n"));
    round_trip(false, STR("OPTIONS * HTTP/1.1\r\nHost: a:1\r\n\r\n"), STR_NULL);
    round_trip(true, STR("HTTP/1.1 200\r\nA: b\r\n\r\n"), STR("HTTP/1.1 200 \r\nA: b\r\n\r\n"));
    round_trip(true,
               STR("HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 20\r\n\r\n"),
               STR_NULL);
    round_trip(true, STR("HTTP/1.1 503 RPC Error: 6ba, EEInfo: QUJD\r\nContent-Length: 0\r\n\r\n"), STR_NULL);
}

/* Octets at random out of what heads are made of: what is accepted survives being written and read again. */
static void test_round_trip_random(void **state)
{
    static const char *pieces[] = {"A",           "b-",
                                   ": ",          ":",
                                   "x",           " ",
                                   "\t",          "\r\n",
                                   "\r\nB: ",     "\xe4",
                                   "=",           ",",
                                   "\r\nCookie:", "\r\nConnection: ",
                                   "close",       "\r\nContent-Length: ",
                                   "12",          ";",
                                   "\"",          "\r\nX-9:"};
    unsigned seed = 1, taken = 0;

    for (unsigned i = 0; i < 20000; i++) {
        char raw[600];
        size_t n = (size_t)snprintf(raw, sizeof(raw), "GET /a HTTP/1.1\r\nHost: a");
        const char *p = raw;
        struct str body;
        struct rig r;
        for (unsigned k = 0; k < 3 + i % 9; k++) {
            seed = seed * 1103515245u + 12345u;
            n += (size_t)snprintf(raw + n, sizeof(raw) - n, "%s",
                                  pieces[(seed >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
        }
        n += (size_t)snprintf(raw + n, sizeof(raw) - n, "\r\n\r\n");
        rig_init(&r, false);
        rig_begin(&r);
        if (h1_next(&r.codec, &p, raw + n, &body) == H1_HEAD) {
            taken++;
            round_trip(false, (struct str){raw, (size_t)(p - raw)}, STR_NULL);
        }
        rig_end(&r);
    }
    assert_true(taken > 500);
}

int main(void)
{
    static struct transcript t;
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_bytes),
        cmocka_unit_test(test_head_without_end),
        cmocka_unit_test(test_target_bytes),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_response_limits),
        cmocka_unit_test(test_chunk_line),
        cmocka_unit_test(test_chunk_excess),
        cmocka_unit_test(test_trailer_limits),
        cmocka_unit_test(test_bytes_behind_the_end),
        cmocka_unit_test(test_started),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_round_trip_random),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].initial_state = &t;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
