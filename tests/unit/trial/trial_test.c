/*
 * Hellos as their profiles say, answers however they are cut, faults of profiles by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "trial_int.h"

static const char *folder(void)
{
    return getenv("POSTERN_DEVICES");
}

/* ---- hellos ---- */

static bool same_codes(const struct trial_codes *a, const struct trial_codes *b)
{
    if (a->n != b->n)
        return false;
    for (unsigned i = 0; i < a->n; i++) {
        if (a->v[i] != b->v[i] && !(trial_is_grease(a->v[i]) && trial_is_grease(b->v[i])))
            return false;
    }
    return true;
}

/* Padding stands only where the hello's length asks for it. */
static void check_extensions(const struct trial_device *a, const struct trial_device *b)
{
    unsigned k = 0;

    for (unsigned i = 0; i < a->tls.extensions_n; i++) {
        const struct trial_extension *x = &a->tls.extensions[i], *y = &b->tls.extensions[k];

        if (x->type == EXTENSION_PADDING && (k == b->tls.extensions_n || y->type != EXTENSION_PADDING))
            continue;
        assert_true(k < b->tls.extensions_n);
        assert_true(x->type == y->type || (trial_is_grease(x->type) && trial_is_grease(y->type)));
        assert_int_equal(x->body.n, y->body.n);
        if (x->body.n > 0)
            assert_memory_equal(x->body.p, y->body.p, x->body.n);
        k++;
    }
    assert_int_equal(k, b->tls.extensions_n);
}

static void check_same(const struct trial_device *a, const struct trial_device *b)
{
    assert_true(same_codes(&a->tls.suites, &b->tls.suites));
    assert_true(same_codes(&a->tls.groups, &b->tls.groups));
    assert_true(same_codes(&a->tls.signatures, &b->tls.signatures));
    assert_true(same_codes(&a->tls.versions, &b->tls.versions));
    assert_true(same_codes(&a->tls.shares, &b->tls.shares));
    assert_true(same_codes(&a->tls.point_formats, &b->tls.point_formats));
    assert_true(same_codes(&a->tls.compression, &b->tls.compression) || a->tls.compression.n == 0);
    assert_int_equal(a->tls.framing, b->tls.framing);
    assert_int_equal(a->tls.hello, b->tls.hello);
    assert_int_equal(a->tls.session_id, b->tls.session_id);
    assert_int_equal(a->tls.alpn.n, b->tls.alpn.n);
    assert_int_equal(a->tls.sni, b->tls.sni);
    if (a->tls.framing == FRAMING_TLS)
        assert_int_equal(a->tls.record, b->tls.record);
    check_extensions(a, b);
}

static void round_trip(const struct trial_device *d)
{
    struct conf_findings *f = conf_findings_new();
    struct conf_memory *m = conf_memory_new();
    struct trial_hello hello;
    struct trial_device *back;
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    assert_true(trial_hello_write(d, "mail.example.com", &hello));
    for (size_t i = 0; i < hello.n; i += 7)
        assert_int_equal(trial_hello_record(hello.bytes, i, "part", to), 0);
    assert_int_equal(trial_hello_record(hello.bytes, hello.n, "whole", to), 1);
    fclose(to);
    back = trial_device_read(m, "recorded.yaml", (struct str){text, n}, f);
    conf_findings_print(f, stdout);
    assert_non_null(back);
    check_same(d, back);
    conf_memory_free(m);
    conf_findings_free(f);
    free(text);
}

static void test_each_hello_is_its_profile(void **state)
{
    struct conf_findings *f = conf_findings_new();
    struct trial_devices all = {.memory = NULL};

    assert_int_equal(trial_devices_load(&all, folder(), f), 0);
    conf_findings_print(f, stdout);
    assert_int_equal(conf_findings_count(f, CONF_ERROR), 0);
    assert_true(all.n >= 45);
    for (unsigned i = 0; i < all.n; i++)
        round_trip(all.v[i]);
    trial_devices_free(&all);
    conf_findings_free(f);
}

/* ---- answers ---- */

/* A ServerHello of TLS 1.2 with ECDHE_RSA_WITH_AES_128_GCM_SHA256, an empty list of certificates, a key on x25519, the end. */
static size_t flight(uint8_t *p)
{
    static const uint8_t head[] = {22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3};
    static const uint8_t suite[] = {0, 0xc0, 0x2f, 0};
    static const uint8_t rest[] = {22, 3, 3, 0, 19, 11, 0,  0, 3,  0, 0, 0,
                                   12, 0, 0, 4, 3,  0,  29, 0, 14, 0, 0, 0};
    size_t n = 0;

    memcpy(p, head, sizeof(head));
    n += sizeof(head);
    memset(p + n, 7, 32);
    n += 32;
    memcpy(p + n, suite, sizeof(suite));
    n += sizeof(suite);
    memcpy(p + n, rest, sizeof(rest));
    return n + sizeof(rest);
}

static void test_an_answer_in_any_pieces(void **state)
{
    uint8_t bytes[128];
    size_t n = flight(bytes);

    for (size_t step = 1; step <= n; step++) {
        enum trial_answer_state got = ANSWER_MORE;
        struct trial_answer a;

        trial_answer_init(&a);
        for (size_t i = 0; i < n; i += step) {
            assert_int_equal(got, ANSWER_MORE);
            got = trial_answer_feed(&a, bytes + i, n - i < step ? n - i : step);
        }
        assert_int_equal(got, ANSWER_DONE);
        assert_int_equal(a.version, TRIAL_TLS12);
        assert_int_equal(a.suite, 0xc02f);
        assert_int_equal(a.group, 29);
        assert_non_null(a.certificates.p);
        trial_answer_free(&a);
    }
}

static enum trial_answer_state feed(const uint8_t *p, size_t n, struct trial_answer *a)
{
    trial_answer_init(a);
    return trial_answer_feed(a, p, n);
}

static void test_an_alert_ends_it(void **state)
{
    static const uint8_t fatal[] = {21, 3, 1, 0, 2, 2, 40}, name[] = {21, 3, 1, 0, 2, 1, 112};
    struct trial_answer a;

    assert_int_equal(feed(fatal, sizeof(fatal), &a), ANSWER_DONE);
    assert_int_equal(a.alert[1], 40);
    trial_answer_free(&a);
    assert_int_equal(feed(name, sizeof(name), &a), ANSWER_MORE);
    trial_answer_free(&a);
}

static void test_what_is_no_answer(void **state)
{
    static const uint8_t http[] = "HTTP/1.1 400 Bad Request\r\n", empty[] = {22, 3, 3, 0, 0},
                         large[] = {22, 3, 3, 0xff, 0xff}, huge[] = {22, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff},
                         early[] = {22, 3, 3, 0, 4, 14, 0, 0, 0};
    struct trial_answer a;

    assert_int_equal(feed(http, sizeof(http), &a), ANSWER_BAD);
    assert_int_equal(feed(empty, sizeof(empty), &a), ANSWER_BAD);
    assert_int_equal(feed(large, sizeof(large), &a), ANSWER_BAD);
    assert_int_equal(feed(huge, sizeof(huge), &a), ANSWER_BAD);
    trial_answer_free(&a);
    assert_int_equal(feed(early, sizeof(early), &a), ANSWER_BAD);
    trial_answer_free(&a);
}

/* Repeatable, so that a failure can be seen again. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_answers_with_faults_end(void **state)
{
    uint32_t seed = 1;
    uint8_t bytes[128];

    for (int i = 0; i < 50000; i++) {
        size_t n = flight(bytes);
        struct trial_answer a;
        enum trial_answer_state got;

        for (uint32_t k = next_random(&seed) % 4 + 1; k > 0; k--)
            bytes[next_random(&seed) % n] = (uint8_t)next_random(&seed);
        got = feed(bytes, next_random(&seed) % n + 1, &a);
        assert_true(got != ANSWER_BAD || a.why != NULL);
        if (a.certificates.p != NULL)
            assert_true(a.certificates_at + a.certificates.n <= a.n);
        trial_answer_free(&a);
    }
}

/* ---- profiles ---- */

static struct str device_file(struct conf_memory *m)
{
    char path[1024];
    const char *why;
    struct str bytes;

    snprintf(path, sizeof(path), "%s/ios-8.yaml", folder());
    assert_int_equal(conf_slurp(m, path, &bytes, &why), 0);
    return bytes;
}

struct found {
    const char *text;
    bool seen;
};

static void look(void *ctx, enum conf_severity s, struct conf_mark where, const char *text)
{
    struct found *f = ctx;

    f->seen = f->seen || strstr(text, f->text) != NULL;
}

static void expect_fault(const char *from, const char *to, const char *fault)
{
    struct conf_findings *f = conf_findings_new();
    struct conf_memory *m = conf_memory_new();
    struct str bytes = device_file(m);
    const char *at = strstr(bytes.p, from);
    struct found found = {fault, false};
    char *text = malloc(bytes.n + 200);
    int n;

    assert_non_null(at);
    n = snprintf(text, bytes.n + 200, "%.*s%s%s", (int)(at - bytes.p), bytes.p, to, at + strlen(from));
    assert_null(trial_device_read(m, "faulty.yaml", (struct str){text, (size_t)n}, f));
    conf_findings_each(f, look, &found);
    if (!found.seen)
        conf_findings_print(f, stdout);
    assert_true(found.seen);
    free(text);
    conf_memory_free(m);
    conf_findings_free(f);
}

static void test_faults_of_profiles_are_named(void **state)
{
    expect_fault("title:", "titel:", "`titel` is no key here; did you mean `title`?");
    expect_fault("kind: phone", "kind: fone", "`kind` is phone, desktop, browser or library");
    expect_fault("min: ssl3", "min: ssl9", "`ssl9` is not known");
    expect_fault("min: ssl3", "min: tls1.3", "`tls.min` is above `tls.max`");
    expect_fault("sni: true", "sni: perhaps", "true or false is needed");
    expect_fault("sni: true", "sni: false", "`tls.extensions` has server_name");
    expect_fault("wildcard: true", "wildcart: true", "`certificate.wildcard` is missing");
    expect_fault("names: san", "names: sann", "did you mean `san`?");
    expect_fault("RSA_WITH_AES_128_CBC_SHA,", "RSA_WITH_AES_129_CBC_SHA,",
                 "did you mean `ECDHE_RSA_WITH_AES_128_CBC_SHA`?");
    expect_fault("  tls: \"measured:", "  tls: \"surely:", "`sources.tls` begins with");
    expect_fault("  http: \"lore:", "  rest: \"lore:", "`sources`: `rest` is no fact");
    expect_fault("ways: [activesync", "ways: [activesink", "no value `activesink`");
    expect_fault("  ways: [", "  ways: [owa]\n  ways: [", "`ways` is written twice");
    expect_fault("compression: [none]", "compression: none", "a list in [ ] is needed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_hello_is_its_profile), cmocka_unit_test(test_an_answer_in_any_pieces),
        cmocka_unit_test(test_an_alert_ends_it),          cmocka_unit_test(test_what_is_no_answer),
        cmocka_unit_test(test_answers_with_faults_end),   cmocka_unit_test(test_faults_of_profiles_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
