/*
 * The access log's lines: one line each, whole, and nothing in them that a client could forge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <postern/access_log.h>

static char line[70000];

static struct sockaddr_in client4;
static struct sockaddr_in6 client6;

static struct access_record record(void)
{
    client4 = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(57920), .sin_addr.s_addr = htonl(0xc0000207)};
    return (struct access_record){
        .ended_ms = INT64_C(1700000000123),
        .client = (struct sockaddr *)&client4,
        .user = STR("CORP\\alice"),
        .method = STR("GET"),
        .host = STR("mail.example.com"),
        .path = STR("/owa/"),
        .query = STR("a=b c"),
        .service = STR("owa"),
        .backend = STR("https://cas1"),
        .tls_version = STR("TLSv1.3"),
        .tls_cipher = STR("TLS_AES_128_GCM_SHA256"),
        .sni = STR("mail.example.com"),
        .agent = STR("Mozilla/5.0 (X11)"),
        .minor = 1,
        .head_seen = true,
        .status = 200,
        .reason = REASON_OK,
        .bytes_in = 1,
        .bytes_out = UINT64_MAX,
        .duration_ms = 12,
        .backend_ms = 11,
        .connection = 42,
        .reused = true,
    };
}

static struct access_log *log_of(enum conf_access_format format, struct str *fields, size_t n)
{
    struct conf_log c = {.access_format = format, .access_fields = {fields, n}};
    struct access_log *a = access_log_new(&c);

    assert_non_null(a);
    return a;
}

static const char *formatted(const struct access_log *a, const struct access_record *r)
{
    size_t n = access_log_format(a, r, line, sizeof(line) - 1);

    assert_true(n < sizeof(line) - 1);
    line[n] = '\0';
    assert_int_equal(strlen(line), n);
    for (size_t i = 0; i < n; i++)
        assert_in_range((unsigned char)line[i], 0x20, 0x7e); /* one line, and sane on a terminal */
    return line;
}

static void check(enum conf_access_format format, struct str field, const struct access_record *r,
                  const char *want)
{
    struct access_log *a = log_of(format, &field, 1);

    assert_string_equal(formatted(a, r), want);
    access_log_free(a);
}

/* ---- JSON: a strict reader of one flat object ---- */

static const char *json_string(const char *p)
{
    assert_int_equal(*p++, '"');
    while (*p != '"') {
        assert_int_not_equal(*p, '\0');
        if (*p++ != '\\')
            continue;
        if (*p == 'u') {
            for (int i = 1; i <= 4; i++)
                assert_true((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f'));
            p += 4;
        } else {
            assert_true(*p == '"' || *p == '\\');
        }
        p++;
    }
    return p + 1;
}

/* How many members. */
static unsigned json_object(const char *p)
{
    unsigned n = 0;

    assert_int_equal(*p++, '{');
    for (;;) {
        p = json_string(p);
        assert_int_equal(*p++, ':');
        if (*p == '"')
            p = json_string(p);
        else
            p += strspn(p, "0123456789");
        n++;
        if (*p++ != ',')
            break;
    }
    assert_int_equal(p[-1], '}');
    assert_int_equal(*p, '\0');
    return n;
}

static void test_json(void **state)
{
    struct access_log *a = log_of(CONF_ACCESS_JSON, NULL, 0);
    struct access_record r = record();
    const char *text = formatted(a, &r);

    assert_true(json_object(text) >= 23);
    assert_non_null(
        strstr(text, "{\"time\":\"2023-11-14T22:13:20.123Z\",\"client\":\"192.0.2.7\",\"client_port\":57920,"
                     "\"user\":\"CORP\\\\alice\",\"method\":\"GET\",\"host\":\"mail.example.com\","
                     "\"path\":\"/owa/\",\"query\":\"a=b c\",\"version\":\"HTTP/1.1\",\"status\":200,"
                     "\"reason\":\"ok\","));
    assert_non_null(strstr(text, "\"bytes_out\":18446744073709551615,"));
    assert_non_null(strstr(text, "\"tls\":\"TLSv1.3 TLS_AES_128_GCM_SHA256\","));
    assert_int_equal(access_log_header(a).n, 0);
    access_log_free(a);
}

static void test_json_escapes(void **state)
{
    struct access_record r = record();

    r.agent = STR("\"}\n{\"status\":200\t\\\x7f\x1b[31m\xff\0x");
    check(CONF_ACCESS_JSON, STR("user_agent"), &r,
          "{\"user_agent\":\"\\\"}\\u000a{\\\"status\\\":200\\u0009\\\\\\u007f\\u001b[31m\\u00ff\\u0000x\"}");
    json_object(line);
    r.agent = STR_NULL;
    check(CONF_ACCESS_JSON, STR("user_agent"), &r, "{\"user_agent\":\"\"}");
}

/* ---- W3C ---- */

static void test_w3c(void **state)
{
    struct str fields[] = {STR("time"),   STR("client"),  STR("user"),      STR("query"),
                           STR("status"), STR("service"), STR("user_agent")};
    struct access_log *a = log_of(CONF_ACCESS_W3C, fields, 7);
    struct access_record r = record();
    struct str head = access_log_header(a);

    r.service = STR_NULL;
    assert_string_equal(formatted(a, &r),
                        "2023-11-14 22:13:20 192.0.2.7 CORP\\alice a=b+c 200 - Mozilla/5.0+(X11)");
    assert_true(str_eq(head, STR("#Software: Postern\n#Version: 1.0\n#Fields: date time c-ip cs-username "
                                 "cs-uri-query sc-status x-service cs(User-Agent)")));
    access_log_free(a);
}

static void test_w3c_escapes(void **state)
{
    struct access_record r = record();

    r.agent = STR("a b\nc\t\"d\"\x7f\xc2\x9b");
    check(CONF_ACCESS_W3C, STR("user_agent"), &r, "a+b%0Ac%09%22d%22%7F%C2%9B");
}

/* As many fields as the header says, whatever is in them. */
static void test_w3c_columns(void **state)
{
    struct access_log *a = log_of(CONF_ACCESS_W3C, NULL, 0);
    struct access_record r = record();
    unsigned columns = 0, names = 0;
    struct str head = access_log_header(a), rest, part;

    r.user = STR("a b  c");
    r.query = STR(" ");
    r.agent = STR("\t\n ");
    rest = (struct str){strstr(head.p, "#Fields: ") + 9, 0};
    rest.n = (size_t)(head.p + head.n - rest.p);
    while (str_next(&rest, ' ', &part))
        names++;
    rest = str_of(formatted(a, &r));
    while (str_next(&rest, ' ', &part)) {
        assert_true(part.n > 0);
        columns++;
    }
    assert_int_equal(columns, names);
    access_log_free(a);
}

/* ---- single fields ---- */

static void test_addresses(void **state)
{
    struct access_record r = record();

    client6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(1)};
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &client6.sin6_addr), 1);
    r.client = (struct sockaddr *)&client6;
    check(CONF_ACCESS_JSON, STR("client"), &r, "{\"client\":\"2001:db8::1\"}"); /* without brackets */
    check(CONF_ACCESS_JSON, STR("client_port"), &r, "{\"client_port\":1}");
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &client6.sin6_addr), 1);
    check(CONF_ACCESS_W3C, STR("client"), &r, "192.0.2.7");
    client4.sin_family = AF_UNIX;
    r.client = (struct sockaddr *)&client4;
    check(CONF_ACCESS_W3C, STR("client"), &r, "unix");
    check(CONF_ACCESS_W3C, STR("client_port"), &r, "0");
}

static void test_what_was_not(void **state)
{
    struct access_record r = record();

    r.head_seen = false;
    check(CONF_ACCESS_W3C, STR("version"), &r, "-");
    r.head_seen = true;
    r.minor = 0;
    check(CONF_ACCESS_W3C, STR("version"), &r, "HTTP/1.0");
    check(CONF_ACCESS_JSON, STR("auth"), &r, "{\"auth\":\"\"}");
    r.auth_asked = true;
    r.auth = 0;
    check(CONF_ACCESS_W3C, STR("auth"), &r, auth_detail_name(0));
    r.tls_version = STR_NULL;
    check(CONF_ACCESS_W3C, STR("tls"), &r, "-");
    r.reused = false;
    check(CONF_ACCESS_W3C, STR("reused"), &r, "0");
}

static void test_chosen_fields(void **state)
{
    struct str fields[] = {STR("status"), STR("no such field"), STR("method"), STR("status")};
    struct access_log *a = log_of(CONF_ACCESS_JSON, fields, 4);
    struct access_record r = record();

    assert_string_equal(formatted(a, &r),
                        "{\"status\":200,\"method\":\"GET\"}"); /* in that order, each once */
    access_log_free(a);
}

/* ---- values that are too long ---- */

static void test_cut(void **state)
{
    static char text[70000];
    struct access_record r = record();
    struct access_log *a;
    struct str field = STR("query");
    size_t n;

    memset(text, 'a', sizeof(text));
    a = log_of(CONF_ACCESS_JSON, &field, 1);
    for (n = 2040; n < 2060; n++) {
        r.query = (struct str){text, n};
        json_object(formatted(a, &r));
        assert_true((strstr(line, "...\"}") != NULL) == (n > 2045));
    }
    r.query = (struct str){text, sizeof(text)};
    json_object(formatted(a, &r));
    assert_true(strlen(line) < 2100);
    access_log_free(a);
    a = log_of(CONF_ACCESS_W3C, &field, 1);
    memset(text, '"', sizeof(text));
    r.query = (struct str){text, 682}; /* three octets each */
    assert_int_equal(strlen(formatted(a, &r)), 681 * 3 + 3);
    r.query = (struct str){text, 681};
    assert_int_equal(strlen(formatted(a, &r)), 681 * 3);
    access_log_free(a);
}

/* Whatever a client sends in every field at once: the line is whole, with all that Postern says itself. */
static void test_all_at_their_longest(void **state)
{
    static const char fills[] = {'a', '"', '\n', '\xff', '\\', ' '};
    static char text[70000];

    for (size_t i = 0; i < sizeof(fills); i++) {
        struct str s = {text, sizeof(text)};
        struct access_record r = record();
        struct access_log *json = log_of(CONF_ACCESS_JSON, NULL, 0), *w3c = log_of(CONF_ACCESS_W3C, NULL, 0);

        memset(text, fills[i], sizeof(text));
        r.user = r.method = r.host = r.path = r.query = r.service = r.backend = r.tls_version = r.tls_cipher =
            s;
        r.sni = r.agent = r.command = r.device = r.device_type = r.protocol = s;
        r.bytes_in = r.duration_ms = r.backend_ms = r.connection = UINT64_MAX;
        r.status = 599;
        json_object(formatted(json, &r));
        assert_non_null(strstr(line, "\"status\":599,"));
        assert_non_null(strstr(line, ",\"reused\":1}"));
        formatted(w3c, &r);
        assert_string_equal(line + strlen(line) - 2, " 1");
        access_log_free(json);
        access_log_free(w3c);
    }
}

/* A buffer that is too small is filled, never overrun. */
static void test_small_buffers(void **state)
{
    struct access_log *a = log_of(CONF_ACCESS_JSON, NULL, 0);
    struct access_record r = record();

    for (size_t size = 0; size < 700; size++) {
        char *p = malloc(size + 1);

        assert_true(access_log_format(a, &r, p, size) <= size);
        free(p);
    }
    access_log_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),          cmocka_unit_test(test_json_escapes),
        cmocka_unit_test(test_w3c),           cmocka_unit_test(test_w3c_escapes),
        cmocka_unit_test(test_w3c_columns),   cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_what_was_not),  cmocka_unit_test(test_chosen_fields),
        cmocka_unit_test(test_cut),           cmocka_unit_test(test_all_at_their_longest),
        cmocka_unit_test(test_small_buffers),
    };

    return cmocka_run_group_tests_name("access_log", tests, NULL, NULL);
}
