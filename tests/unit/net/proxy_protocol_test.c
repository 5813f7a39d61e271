/*
 * The PROXY header: every rule, every truncation, both versions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <postern/proxy_protocol.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define RAW(text) text, sizeof(text) - 1

static enum proxy_protocol_result parse(const char *data, size_t n, size_t *ret_used,
                                        struct sockaddr_storage *ret)
{
    char *copy = malloc(n > 0 ? n : 1); /* its own block: reading beyond it is seen by the sanitizer */
    enum proxy_protocol_result r;

    assert_non_null(copy);
    memcpy(copy, data, n);
    *ret_used = 9999;
    memset(ret, 0xee, sizeof(*ret));
    r = proxy_protocol_parse(copy, n, ret_used, ret);
    free(copy);
    return r;
}

static void check_source(const struct sockaddr_storage *a, const char *host, uint16_t port)
{
    char text[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *in = (const void *)a;
    const struct sockaddr_in6 *in6 = (const void *)a;
    struct sockaddr_storage clean = {0};

    if (host == NULL) {
        assert_int_equal(a->ss_family, AF_UNSPEC);
        return;
    }
    if (a->ss_family == AF_INET) {
        assert_non_null(inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)));
        assert_int_equal(ntohs(in->sin_port), port);
        memcpy(&clean, in, sizeof(*in));
    } else {
        assert_int_equal(a->ss_family, AF_INET6);
        assert_non_null(inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)));
        assert_int_equal(ntohs(in6->sin6_port), port);
        memcpy(&clean, in6, sizeof(*in6));
    }
    assert_string_equal(text, host);
    assert_memory_equal(a, &clean, sizeof(clean));
}

/* ---- what is taken ---- */

struct good {
    const char *name, *data;
    size_t n;
    const char *host;
    uint16_t port;
};

#define V2(command, family, length, body) SIGNATURE command family length body
#define IPV4_BODY "\xc0\x00\x02\x07\x0a\x00\x00\x01\xe2\x40\x01\xbb"
#define IPV6_HALF "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
#define IPV6_BODY IPV6_HALF IPV6_HALF "\xe2\x40\x01\xbb"

static const struct good goods[] = {
    {"v1 TCP4", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 57920 443\r\n"), "192.0.2.7", 57920},
    {"v1 TCP6", RAW("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), "2001:db8::1", 1},
    {"v1 TCP6, the longest",
     RAW("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535},
    {"v1 TCP6, mapped", RAW("PROXY TCP6 ::ffff:192.0.2.7 ::1 4 5\r\n"), "::ffff:192.0.2.7", 4},
    {"v1 port 0", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 0 0\r\n"), "192.0.2.7", 0},
    {"v1 UNKNOWN", RAW("PROXY UNKNOWN\r\n"), NULL, 0},
    {"v1 UNKNOWN with words", RAW("PROXY UNKNOWN ffff::1 whatever it is\r\n"), NULL, 0},
    {"v1 UNKNOWN, 107 octets",
     RAW("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "65535\r\n"),
     NULL, 0},
    {"v2 IPv4", RAW(V2("\x21", "\x11", "\x00\x0c", IPV4_BODY)), "192.0.2.7", 57920},
    {"v2 IPv6", RAW(V2("\x21", "\x21", "\x00\x24", IPV6_BODY)), "2001:db8::1", 57920},
    {"v2 IPv4 with a TLV", RAW(V2("\x21", "\x11", "\x00\x11", IPV4_BODY "\x03\x00\x02zz")), "192.0.2.7",
     57920},
    {"v2 LOCAL", RAW(V2("\x20", "\x00", "\x00\x00", "")), NULL, 0},
    {"v2 LOCAL with an address", RAW(V2("\x20", "\x11", "\x00\x0c", IPV4_BODY)), NULL, 0},
    {"v2 UNSPEC", RAW(V2("\x21", "\x00", "\x00\x00", "")), NULL, 0},
    {"v2 UNSPEC with octets", RAW(V2("\x21", "\x00", "\x00\x03", "abc")), NULL, 0},
};

static void check_good(const struct good *g)
{
    struct sockaddr_storage a;
    size_t used;
    char longer[PROXY_PROTOCOL_MAX + 40];

    assert_int_equal(parse(g->data, g->n, &used, &a), PROXY_PROTOCOL_OK);
    assert_int_equal(used, g->n);
    check_source(&a, g->host, g->port);
    /* Whatever follows is not looked at. */
    memcpy(longer, g->data, g->n);
    memcpy(longer + g->n, "\x16\x03\x01 PROXY \r\n\r\n", 14);
    assert_int_equal(parse(longer, g->n + 14, &used, &a), PROXY_PROTOCOL_OK);
    assert_int_equal(used, g->n);
    check_source(&a, g->host, g->port);
    for (size_t n = 0; n < g->n; n++)
        assert_int_equal(parse(g->data, n, &used, &a), PROXY_PROTOCOL_MORE);
}

static void test_taken_and_truncated(void **state)
{
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        print_message("# %s\n", goods[i].name);
        check_good(&goods[i]);
    }
}

/* ---- what is not ---- */

struct bad {
    const char *name, *data;
    size_t n;
};

static const struct bad bads[] = {
    {"a TLS handshake", RAW("\x16\x03\x01\x02\x00\x01")},
    {"HTTP", RAW("GET / HTTP/1.1\r\n")},
    {"v1 lower case", RAW("proxy TCP4 192.0.2.7 10.0.0.1 57920 443\r\n")},
    {"v1 bare LF", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 57920 443\n")},
    {"v1 bare CR", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 57920 443\rX")},
    {"v1 NUL", RAW("PROXY TCP4 192.0.2.7\0 10.0.0.1 57920 443\r\n")},
    {"v1 nothing", RAW("PROXY \r\n")},
    {"v1 family", RAW("PROXY TCP5 192.0.2.7 10.0.0.1 57920 443\r\n")},
    {"v1 UDP4", RAW("PROXY UDP4 192.0.2.7 10.0.0.1 57920 443\r\n")},
    {"v1 family in lower case", RAW("PROXY tcp4 192.0.2.7 10.0.0.1 57920 443\r\n")},
    {"v1 UNKNOWN run together", RAW("PROXY UNKNOWNX\r\n")},
    {"v1 two spaces", RAW("PROXY  TCP4 192.0.2.7 10.0.0.1 57920 443\r\n")},
    {"v1 two spaces inside", RAW("PROXY TCP4 192.0.2.7  10.0.0.1 57920 443\r\n")},
    {"v1 tab", RAW("PROXY TCP4\t192.0.2.7 10.0.0.1 57920 443\r\n")},
    {"v1 a space at the end", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 57920 443 \r\n")},
    {"v1 a field too many", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 57920 443 1\r\n")},
    {"v1 a field too few", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 57920\r\n")},
    {"v1 other family's address", RAW("PROXY TCP4 2001:db8::1 10.0.0.1 57920 443\r\n")},
    {"v1 other family's destination", RAW("PROXY TCP6 2001:db8::1 10.0.0.1 57920 443\r\n")},
    {"v1 short address", RAW("PROXY TCP4 192.0.2 10.0.0.1 57920 443\r\n")},
    {"v1 number above 255", RAW("PROXY TCP4 192.0.2.256 10.0.0.1 57920 443\r\n")},
    {"v1 octal address", RAW("PROXY TCP4 192.0.2.07 10.0.0.1 57920 443\r\n")},
    {"v1 name", RAW("PROXY TCP4 localhost 10.0.0.1 57920 443\r\n")},
    {"v1 zone", RAW("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n")},
    {"v1 brackets", RAW("PROXY TCP6 [2001:db8::1] ::1 1 2\r\n")},
    {"v1 long address", RAW("PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000:0000:00 ::1 1 2\r\n")},
    {"v1 port too large", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n")},
    {"v1 port of six digits", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 065535 443\r\n")},
    {"v1 leading zero", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 057 443\r\n")},
    {"v1 sign", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 +57 443\r\n")},
    {"v1 hexadecimal", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 0x57 443\r\n")},
    {"v1 no port", RAW("PROXY TCP4 192.0.2.7 10.0.0.1  443\r\n")},
    {"v1 last port", RAW("PROXY TCP4 192.0.2.7 10.0.0.1 1 99999\r\n")},
    {"v1 108 octets",
     RAW("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "655355\r\n")},
    {"v2 signature", RAW("\r\n\r\n\0\r\nQUIR\n")},
    {"v2 version 1", RAW(V2("\x11", "\x11", "\x00\x0c", IPV4_BODY))},
    {"v2 version 3", RAW(V2("\x31", "\x11", "\x00\x0c", IPV4_BODY))},
    {"v2 command", RAW(V2("\x22", "\x11", "\x00\x0c", IPV4_BODY))},
    {"v2 datagrams", RAW(V2("\x21", "\x12", "\x00\x0c", IPV4_BODY))},
    {"v2 datagrams IPv6", RAW(V2("\x21", "\x22", "\x00\x24", IPV6_BODY))},
    {"v2 no protocol", RAW(V2("\x21", "\x10", "\x00\x0c", IPV4_BODY))},
    {"v2 no family", RAW(V2("\x21", "\x01", "\x00\x0c", IPV4_BODY))},
    {"v2 family", RAW(V2("\x21", "\x41", "\x00\x0c", IPV4_BODY))},
    {"v2 IPv4 too short", RAW(V2("\x21", "\x11", "\x00\x0b", IPV4_BODY))},
    {"v2 IPv6 too short", RAW(V2("\x21", "\x21", "\x00\x23", IPV6_BODY))},
    {"v2 IPv6 with IPv4's length", RAW(V2("\x21", "\x21", "\x00\x0c", IPV4_BODY))},
    {"v2 Unix too short", RAW(V2("\x21", "\x31", "\x00\x0c", IPV4_BODY))},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        const struct bad *b = &bads[i];
        struct sockaddr_storage a;
        size_t used, n = 0;

        print_message("# %s\n", b->name);
        assert_int_equal(parse(b->data, b->n, &used, &a), PROXY_PROTOCOL_BAD);
        /* Never taken on the way, and once refused for ever refused. */
        for (; n < b->n && parse(b->data, n, &used, &a) == PROXY_PROTOCOL_MORE; n++)
            ;
        for (; n < b->n; n++)
            assert_int_equal(parse(b->data, n, &used, &a), PROXY_PROTOCOL_BAD);
    }
}

/* ---- sizes ---- */

static void v2_of_length(char *h, unsigned char family, size_t body)
{
    memset(h, 0, 16 + 600);
    memcpy(h, SIGNATURE, 12);
    h[12] = 0x21;
    h[13] = (char)family;
    h[14] = (char)(body >> 8);
    h[15] = (char)(body & 0xff);
}

static void test_v2_lengths(void **state)
{
    char h[16 + 600];
    struct sockaddr_storage a;
    size_t used;

    v2_of_length(h, 0x31, 216); /* a Unix socket's two names */
    assert_int_equal(parse(h, 16 + 216, &used, &a), PROXY_PROTOCOL_OK);
    assert_int_equal(a.ss_family, AF_UNSPEC);
    assert_int_equal(used, 16 + 216);
    v2_of_length(h, 0x31, 215);
    assert_int_equal(parse(h, 16 + 215, &used, &a), PROXY_PROTOCOL_BAD);
    v2_of_length(h, 0x11, 536);
    assert_int_equal(parse(h, 16 + 535, &used, &a), PROXY_PROTOCOL_MORE);
    assert_int_equal(parse(h, 16 + 536, &used, &a), PROXY_PROTOCOL_OK);
    assert_int_equal(used, PROXY_PROTOCOL_MAX);
    v2_of_length(h, 0x11, 537); /* refused before it is waited for */
    assert_int_equal(parse(h, 16, &used, &a), PROXY_PROTOCOL_BAD);
    v2_of_length(h, 0x11, 0xffff);
    assert_int_equal(parse(h, 16, &used, &a), PROXY_PROTOCOL_BAD);
}

static void test_v1_never_ends(void **state)
{
    char text[200];
    struct sockaddr_storage a;
    size_t used;

    memset(text, 'A', sizeof(text));
    memcpy(text, "PROXY ", 6);
    assert_int_equal(parse(text, 106, &used, &a), PROXY_PROTOCOL_MORE);
    assert_int_equal(parse(text, 107, &used, &a), PROXY_PROTOCOL_BAD);
    assert_int_equal(parse(text, 200, &used, &a), PROXY_PROTOCOL_BAD);
    memcpy(text, "PROXY UNKNOWN ", 14);
    text[106] = '\r';
    text[107] = '\n';
    assert_int_equal(parse(text, 200, &used, &a), PROXY_PROTOCOL_BAD);
    text[105] = '\r';
    text[106] = '\n';
    assert_int_equal(parse(text, 200, &used, &a), PROXY_PROTOCOL_OK);
    assert_int_equal(used, 107);
}

/* The header of the longest kind fits the buffer that is offered for it. */
static void test_every_octet(void **state)
{
    struct sockaddr_storage a;
    size_t used;
    char text[] = "PROXY TCP4 192.0.2.7 10.0.0.1 57920 443\r\n";
    size_t n = sizeof(text) - 1;

    /* Any one octet changed: refused, still incomplete, or another well-formed header; never a length beyond the text. */
    for (size_t i = 0; i < n; i++) {
        for (unsigned c = 0; c < 256; c++) {
            char copy[sizeof(text)];

            memcpy(copy, text, sizeof(copy));
            copy[i] = (char)c;
            switch (parse(copy, n, &used, &a)) {
            case PROXY_PROTOCOL_OK:
                assert_int_equal(used, n);
                assert_int_equal(a.ss_family, AF_INET);
                break;
            case PROXY_PROTOCOL_MORE:
                assert_true(i == n - 2 || i == n - 1);
                break;
            case PROXY_PROTOCOL_BAD:
                break;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_and_truncated), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_v2_lengths),          cmocka_unit_test(test_v1_never_ends),
        cmocka_unit_test(test_every_octet),
    };

    return cmocka_run_group_tests_name("proxy_protocol", tests, NULL, NULL);
}
