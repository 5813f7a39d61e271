/*
 * Answers of backends, good and bad: every case whole, octet by octet and cut at random.
 */
#include <string.h>

#include "http_cases.h"

#define R200 "HTTP/1.1 200 OK\r\n"
#define L0 "Content-Length: 0\r\n\r\n"
#define CHUNKED R200 "Transfer-Encoding: chunked\r\n\r\n"
#define BAD REASON_BACKEND_BAD_RESPONSE

struct response_case {
    const char *name;
    enum method method;
    struct str raw;
    unsigned messages;         /* complete ones, the one that the end of the connection ends included */
    enum body_framing framing; /* of the last */
    bool keep_alive;           /* of the last */
};

static const struct response_case good[] = {
    {"length", METHOD_GET, STR(R200 "Content-Length: 5\r\n\r\nhello"), 1, BODY_LENGTH, true},
    {"length 0", METHOD_GET, STR(R200 L0), 1, BODY_LENGTH, true},
    {"chunked", METHOD_GET, STR(CHUNKED "5\r\nhello\r\n0\r\n\r\n"), 1, BODY_CHUNKED, true},
    {"chunked, extension and trailer", METHOD_GET, STR(CHUNKED "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"), 1,
     BODY_CHUNKED, true},
    {"until close", METHOD_GET, STR(R200 "\r\nhello"), 1, BODY_CLOSE, false},
    {"until close, empty", METHOD_GET, STR(R200 "\r\n"), 1, BODY_CLOSE, false},
    {"until close, keep-alive claimed", METHOD_GET, STR(R200 "Connection: keep-alive\r\n\r\nhello"), 1,
     BODY_CLOSE, false},
    {"HTTP/1.0 until close", METHOD_GET, STR("HTTP/1.0 200 OK\r\n\r\nhello"), 1, BODY_CLOSE, false},
    {"HTTP/1.0 length", METHOD_GET, STR("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"), 1, BODY_LENGTH,
     false},
    {"HTTP/1.0 keep-alive", METHOD_GET, STR("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" L0), 1,
     BODY_LENGTH, true},
    {"close", METHOD_GET, STR(R200 "Connection: close\r\n" L0), 1, BODY_LENGTH, false},
    {"close wins", METHOD_GET, STR(R200 "Connection: keep-alive, close\r\n" L0), 1, BODY_LENGTH, false},
    {"two Connection lines", METHOD_GET, STR(R200 "Connection: x\r\nConnection: close\r\n" L0), 1,
     BODY_LENGTH, false},
    {"HEAD with length", METHOD_HEAD, STR(R200 "Content-Length: 500\r\n\r\n"), 1, BODY_NONE, true},
    {"HEAD with coding", METHOD_HEAD, STR(R200 "Transfer-Encoding: chunked\r\n\r\n"), 1, BODY_NONE, true},
    {"HEAD without either", METHOD_HEAD, STR(R200 "\r\n"), 1, BODY_NONE, true},
    {"HEAD, next answer at once", METHOD_HEAD,
     STR(R200 "Content-Length: 5\r\n\r\n" R200 "Content-Length: 6\r\n\r\n"), 2, BODY_NONE, true},
    {"204", METHOD_GET, STR("HTTP/1.1 204 No Content\r\n\r\n"), 1, BODY_NONE, true},
    {"204 with length 0", METHOD_GET, STR("HTTP/1.1 204 No Content\r\n" L0), 1, BODY_NONE, true},
    {"204 with length: not kept", METHOD_GET, STR("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), 1,
     BODY_NONE, false},
    {"204 with coding: not kept", METHOD_GET,
     STR("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"), 1, BODY_NONE, false},
    {"304", METHOD_GET, STR("HTTP/1.1 304 Not Modified\r\n\r\n"), 1, BODY_NONE, true},
    {"304 with length", METHOD_GET, STR("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"), 1,
     BODY_NONE, true},
    {"100 and 200", METHOD_POST, STR("HTTP/1.1 100 Continue\r\n\r\n" R200 L0), 2, BODY_LENGTH, true},
    {"100, 103 and 200", METHOD_POST,
     STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" R200 L0), 3,
     BODY_LENGTH, true},
    {"102", METHOD_POST, STR("HTTP/1.1 102 Processing\r\n\r\n" R200 L0), 2, BODY_LENGTH, true},
    {"100 without phrase", METHOD_POST, STR("HTTP/1.1 100\r\n\r\n" R200 L0), 2, BODY_LENGTH, true},
    {"101", METHOD_GET, STR("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
     1, BODY_NONE, true},
    {"empty phrase", METHOD_GET, STR("HTTP/1.1 200 \r\n" L0), 1, BODY_LENGTH, true},
    {"no phrase, no space", METHOD_GET, STR("HTTP/1.1 200\r\n" L0), 1, BODY_LENGTH, true},
    {"phrase Success", METHOD_RPC_OUT_DATA,
     STR("HTTP/1.1 200 Success\r\nContent-Length: 20\r\n\r\n01234567890123456789"), 1, BODY_LENGTH, true},
    {"RPC Error", METHOD_RPC_IN_DATA, STR("HTTP/1.0 503 RPC Error: 6ba\r\nContent-Length: 0\r\n\r\n"), 1,
     BODY_LENGTH, false},
    {"RPC Error without fields", METHOD_RPC_IN_DATA,
     STR("HTTP/1.0 503 RPC Error: 6ba, EEInfo: QUJD+/==\r\n\r\n"), 1, BODY_CLOSE, false},
    {"phrase with high octets", METHOD_GET,
     STR("HTTP/1.1 404 Nicht \xc3\xbc"
         "bersetzt \xff\r\n" L0),
     1, BODY_LENGTH, true},
    {"phrase with tab", METHOD_GET, STR("HTTP/1.1 200 a\tb\r\n" L0), 1, BODY_LENGTH, true},
    {"phrase with colons", METHOD_GET, STR("HTTP/1.1 200 a: b\r\n" L0), 1, BODY_LENGTH, true},
    {"phrase of spaces", METHOD_GET, STR("HTTP/1.1 200   \r\n" L0), 1, BODY_LENGTH, true},
    {"451", METHOD_POST, STR("HTTP/1.1 451 Redirect\r\nX-MS-Location: https://a/b\r\n" L0), 1, BODY_LENGTH,
     true},
    {"456", METHOD_POST, STR("HTTP/1.1 456 Blocked\r\n" L0), 1, BODY_LENGTH, true},
    {"207", METHOD_PROPFIND, STR("HTTP/1.1 207 Multi-Status\r\nContent-Length: 1\r\n\r\nx"), 1, BODY_LENGTH,
     true},
    {"507", METHOD_POST, STR("HTTP/1.1 507 Full\r\n" L0), 1, BODY_LENGTH, true},
    {"599", METHOD_POST, STR("HTTP/1.1 599 Last\r\n" L0), 1, BODY_LENGTH, true},
    {"many fields alike", METHOD_GET, STR(R200 "Set-Cookie: a\r\nSet-Cookie: b\r\nSet-Cookie: c\r\n" L0), 1,
     BODY_LENGTH, true},
    {"Content-Type twice", METHOD_GET, STR(R200 "Content-Type: a/b\r\nContent-Type: a/b\r\n" L0), 1,
     BODY_LENGTH, true},
    {"empty value", METHOD_GET, STR(R200 "X-A:\r\n" L0), 1, BODY_LENGTH, true},
    {"high octets in value", METHOD_GET, STR(R200 "Content-Disposition: a; filename=\"\xe4.txt\"\r\n" L0), 1,
     BODY_LENGTH, true},
    {"no space after colon", METHOD_GET, STR(R200 "A:b\r\nContent-Length:0\r\n\r\n"), 1, BODY_LENGTH, true},
    {"two answers", METHOD_GET, STR(R200 L0 R200 "Content-Length: 1\r\n\r\nx"), 2, BODY_LENGTH, true},
    {"401 with offers", METHOD_GET,
     STR("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n" L0), 1,
     BODY_LENGTH, true},
    {"Upgrade offered", METHOD_GET, STR(R200 "Connection: Upgrade\r\nUpgrade: h2\r\n" L0), 1, BODY_LENGTH,
     true},
    {"Upgrade offered with body", METHOD_GET,
     STR(R200 "Connection: Upgrade\r\nUpgrade: h2\r\nContent-Length: 2\r\n\r\nhi"), 1, BODY_LENGTH, true},
};

struct bad_case {
    const char *name;
    struct str raw;
    bool was_body;
};

static const struct bad_case bad[] = {
    {"blank line before", STR("\r\n" R200 L0), false},
    {"garbage", STR("garbage\r\n\r\n"), false},
    {"binary", STR("\x15\x03\x01\x00\x02\x02\x28"), false},
    {"HTML alone", STR("<html>hello</html>\r\n\r\n"), false},
    {"lower-case http", STR("http/1.1 200 OK\r\n" L0), false},
    {"HTTP/2.0", STR("HTTP/2.0 200 OK\r\n" L0), false},
    {"HTTP/1.2", STR("HTTP/1.2 200 OK\r\n" L0), false},
    {"HTTP/0.9", STR("HTTP/0.9 200 OK\r\n" L0), false},
    {"HTTP/1.10", STR("HTTP/1.10 200 OK\r\n" L0), false},
    {"ICY", STR("ICY 200 OK\r\n" L0), false},
    {"no status", STR("HTTP/1.1\r\n" L0), false},
    {"space only", STR("HTTP/1.1 \r\n" L0), false},
    {"two digits", STR("HTTP/1.1 20 OK\r\n" L0), false},
    {"four digits", STR("HTTP/1.1 2000 OK\r\n" L0), false},
    {"099", STR("HTTP/1.1 099 OK\r\n" L0), false},
    {"600", STR("HTTP/1.1 600 OK\r\n" L0), false},
    {"999", STR("HTTP/1.1 999 OK\r\n" L0), false},
    {"letters", STR("HTTP/1.1 2xx OK\r\n" L0), false},
    {"signed status", STR("HTTP/1.1 +20 OK\r\n" L0), false},
    {"two spaces", STR("HTTP/1.1  200 OK\r\n" L0), false},
    {"tab", STR("HTTP/1.1\t200 OK\r\n" L0), false},
    {"tab behind status", STR("HTTP/1.1 200\tOK\r\n" L0), false},
    {"phrase glued on", STR("HTTP/1.1 200OK\r\n" L0), false},
    {"bare LF", STR("HTTP/1.1 200 OK\n" L0), false},
    {"bare CR in phrase", STR("HTTP/1.1 200 O\rK\r\n" L0), false},
    {"CR CR LF", STR("HTTP/1.1 200 OK\r\r\n" L0), false},
    {"NUL in phrase", STR("HTTP/1.1 200 O\0K\r\n" L0), false},
    {"control in phrase", STR("HTTP/1.1 200 O\x07K\r\n" L0), false},
    {"bare LF in fields", STR(R200 "A: b\n" L0), false},
    {"bare LF ends the head", STR(R200 "Content-Length: 0\r\n\n"), false},
    {"bare CR in value", STR(R200 "A: b\rSet-Cookie: x\r\n" L0), false},
    {"NUL in value", STR(R200 "A: \0\r\n" L0), false},
    {"folded", STR(R200 "A: b\r\n c\r\n" L0), false},
    {"folded with tab", STR(R200 "A: b\r\n\tc\r\n" L0), false},
    {"space before first field", STR(R200 " A: b\r\n" L0), false},
    {"space before colon", STR(R200 "Content-Length : 0\r\n\r\n"), false},
    {"space in name", STR(R200 "A b: c\r\n" L0), false},
    {"no colon", STR(R200 "abc\r\n" L0), false},
    {"empty name", STR(R200 ": c\r\n" L0), false},
    {"length and coding", STR(R200 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     false},
    {"coding and length", STR(R200 "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
     false},
    {"two lengths", STR(R200 "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), false},
    {"same length twice", STR(R200 "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), false},
    {"list of lengths", STR(R200 "Content-Length: 5, 5\r\n\r\nhello"), false},
    {"signed length", STR(R200 "Content-Length: +5\r\n\r\nhello"), false},
    {"empty length", STR(R200 "Content-Length:\r\n\r\nhello"), false},
    {"hexadecimal length", STR(R200 "Content-Length: 0x5\r\n\r\nhello"), false},
    {"length over 63 bits", STR(R200 "Content-Length: 9223372036854775808\r\n\r\n"), false},
    {"coding in HTTP/1.0", STR("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), false},
    {"gzip, chunked", STR(R200 "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), false},
    {"gzip", STR(R200 "Transfer-Encoding: gzip\r\n\r\nxx"), false},
    {"identity", STR(R200 "Transfer-Encoding: identity\r\n\r\nxx"), false},
    {"chunked twice", STR(R200 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     false},
    {"chunked, chunked", STR(R200 "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), false},
    {"xchunked", STR(R200 "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), false},
    {"length and coding for 304",
     STR("HTTP/1.1 304 X\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), false},
    {"two lengths for 204", STR("HTTP/1.1 204 X\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), false},
    {"Connection lists Content-Length", STR(R200 "Connection: Content-Length\r\n" L0), false},
    {"size with space", STR(CHUNKED "5 \r\nhello\r\n0\r\n\r\n"), true},
    {"signed size", STR(CHUNKED "+5\r\nhello\r\n0\r\n\r\n"), true},
    {"0x5", STR(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"), true},
    {"no size", STR(CHUNKED "\r\nhello\r\n0\r\n\r\n"), true},
    {"size over 64 bits", STR(CHUNKED "fffffffffffffffff\r\n"), true},
    {"size over 63 bits", STR(CHUNKED "ffffffffffffffff\r\n"), true},
    {"bare LF behind size", STR(CHUNKED "5\nhello\r\n0\r\n\r\n"), true},
    {"bare LF behind data", STR(CHUNKED "5\r\nhello\n0\r\n\r\n"), true},
    {"data longer than size", STR(CHUNKED "4\r\nhello\r\n0\r\n\r\n"), true},
    {"bare LF in extension", STR(CHUNKED "5;a\nhello\r\n0\r\n\r\n"), true},
    {"bare CR in extension", STR(CHUNKED "5;a\rhello\r\n0\r\n\r\n"), true},
    {"answer for trailer", STR(CHUNKED "0\r\nHTTP/1.1 200 OK\r\n\r\n"), true},
    {"folded trailer", STR(CHUNKED "0\r\nA: b\r\n c\r\n\r\n"), true},
    {"octets behind the last chunk", STR(CHUNKED "0\r\n\r\nxx"), false},
    {"octets behind the length", STR(R200 "Content-Length: 2\r\n\r\nhiho"), false},
    {"octets behind 204", STR("HTTP/1.1 204 X\r\n\r\nhello"), false},
};

static struct transcript transcript;

static void test_good(void **state)
{
    const struct response_case *c = *state;
    const struct transcript *t = &transcript;
    struct rig r;

    rig_init(&r, true);
    r.method = c->method;
    rig_run_all(&r, &transcript, c->raw.p, c->raw.n, true);
    rig_end(&r);
    if (t->bad || t->messages != c->messages || t->last_framing != c->framing ||
        t->last_keep_alive != c->keep_alive)
        fail_msg("%u messages\n%s", t->messages, t->text);
}

static void test_bad(void **state)
{
    const struct bad_case *c = *state;
    const struct transcript *t = &transcript;
    struct rig r;

    rig_init(&r, true);
    rig_run_all(&r, &transcript, c->raw.p, c->raw.n, false);
    rig_end(&r);
    if (!t->bad || t->why != BAD || t->bad_was_body != c->was_body)
        fail_msg("%s\n%s", reason_name(t->why), t->text);
}

/* A body cut off by the end of the connection is no whole answer, except where the end is what ends it. */
static void test_truncated(void **state)
{
    const struct response_case *c = *state;

    for (size_t n = 1; n < c->raw.n; n++) {
        struct rig r;
        rig_init(&r, true);
        r.method = c->method;
        rig_run(&r, &transcript, c->raw.p, n, NULL, NULL, true);
        rig_end(&r);
        if (transcript.bad)
            assert_int_equal(transcript.why, REASON_BACKEND_CLOSED);
        if (transcript.ended)
            assert_int_equal(transcript.last_framing, BODY_CLOSE);
    }
}

static void test_reason_verbatim(void **state)
{
    struct str raw = STR("HTTP/1.0 503 RPC Error: 6ba \r\n\r\n");
    struct rig r;
    const char *p = raw.p;
    struct str body;

    rig_init(&r, true);
    rig_begin(&r);
    assert_int_equal(h1_next(&r.codec, &p, raw.p + raw.n, &body), H1_HEAD);
    assert_true(str_eq(r.message.reason, STR("RPC Error: 6ba ")));
    assert_int_equal(r.message.status, 503);
    assert_int_equal(r.message.minor, 0);
    rig_end(&r);
}

/* 101 ends the message: what follows belongs to the other protocol and is not touched. */
static void test_switch(void **state)
{
    struct str raw = STR("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00");
    struct rig r;
    const char *p = raw.p, *end = raw.p + raw.n;
    struct str body;

    rig_init(&r, true);
    rig_begin(&r);
    assert_int_equal(h1_next(&r.codec, &p, end, &body), H1_HEAD);
    assert_true(str_eq(r.message.upgrade, STR("websocket")));
    assert_int_equal(h1_next(&r.codec, &p, end, &body), H1_END);
    assert_int_equal(end - p, 2);
    rig_end(&r);
}

#define ADD(list, test) cases_add(list, sizeof(list) / sizeof((list)[0]), sizeof((list)[0]), test)

int main(void)
{
    ADD(good, test_good);
    ADD(good, test_truncated);
    ADD(bad, test_bad);
    case_add("reason verbatim", NULL, test_reason_verbatim);
    case_add("switch of protocols", NULL, test_switch);
    return cases_run("responses");
}
