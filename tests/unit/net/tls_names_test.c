/*
 * Names of certificates, and which of them serves a server name.
 */
#include "net_fixture.h"
#include "../../../proxy/net/tls_names.h"

static void test_normal(void **state)
{
    char out[TLS_NAME_MAX + 1], longest[TLS_NAME_MAX + 3];

    assert_true(tls_name_normal("Mail.Example.COM", out));
    assert_string_equal(out, "mail.example.com");
    assert_true(tls_name_normal("mail.example.com.", out));
    assert_string_equal(out, "mail.example.com");
    assert_false(tls_name_normal("", out));
    assert_false(tls_name_normal(".", out));
    memset(longest, 'a', sizeof(longest));
    longest[TLS_NAME_MAX] = '\0';
    assert_true(tls_name_normal(longest, out));
    assert_int_equal(strlen(out), TLS_NAME_MAX);
    longest[TLS_NAME_MAX] = '.';
    longest[TLS_NAME_MAX + 1] = '\0';
    assert_true(tls_name_normal(longest, out));
    longest[TLS_NAME_MAX] = 'a';
    assert_false(tls_name_normal(longest, out));
}

static void test_wildcard(void **state)
{
    char out[TLS_NAME_MAX + 1], longest[TLS_NAME_MAX + 1];

    assert_true(tls_name_wildcard("mail.example.com", out));
    assert_string_equal(out, "*.example.com");
    assert_true(tls_name_wildcard("a.b", out));
    assert_string_equal(out, "*.b");
    assert_false(tls_name_wildcard("localhost", out));
    assert_false(tls_name_wildcard(".example.com", out));
    memset(longest, 'a', sizeof(longest));
    longest[1] = '.';
    longest[TLS_NAME_MAX] = '\0';
    assert_true(tls_name_wildcard(longest, out));
    assert_int_equal(strlen(out), TLS_NAME_MAX);
}

static void check_found(const struct tls_names *t, const char *name, const char *want)
{
    const struct tls_name *found = tls_names_find(t, name);

    if (want == NULL) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_string_equal(found->name, want);
}

static void test_of_certificates(void **state)
{
    struct test_certificate a, b, c;
    struct tls_names t = {0};

    certificate_new(&a, &(struct test_want){.name = "ignored.example.com",
                                            .san = "DNS:Mail.example.com,DNS:*.example.com,IP:192.0.2.1,"
                                                   "DNS:mail.example.com,email:a@b.example"});
    certificate_new(&b, &(struct test_want){.name = "only-cn.example.org"});
    certificate_new(&c, &(struct test_want){.name = "cn.example.net", .san = "IP:192.0.2.2"});
    assert_true(tls_names_add(&t, a.x));
    assert_true(tls_names_add(&t, b.x));
    assert_true(tls_names_add(&t, c.x));
    assert_true(tls_names_add(&t, a.x));
    tls_names_sort(&t);
    assert_int_equal(t.n, 4); /* each once; the CN where no SAN DNS name is */
    check_found(&t, "mail.example.com", "mail.example.com");
    check_found(&t, "MAIL.EXAMPLE.COM.", "mail.example.com");
    check_found(&t, "www.example.com", "*.example.com");
    check_found(&t, "a.b.example.com", NULL);
    check_found(&t, "example.com", NULL);
    check_found(&t, ".example.com", NULL);
    check_found(&t, "only-cn.example.org", "only-cn.example.org");
    check_found(&t, "x.example.org", NULL);
    check_found(&t, "cn.example.net", "cn.example.net");
    check_found(&t, "192.0.2.1", NULL);
    check_found(&t, "ignored.example.com", "*.example.com");
    check_found(&t, "", NULL);
    assert_true(tls_names_has(a.x, "mail.example.com"));
    assert_true(tls_names_has(a.x, "*.example.com"));
    assert_false(tls_names_has(a.x, "www.example.com"));
    assert_false(tls_names_has(a.x, "ignored.example.com"));
    assert_true(tls_names_has(b.x, "only-cn.example.org"));
    tls_names_free(&t);
    certificate_end(&a);
    certificate_end(&b);
    certificate_end(&c);
}

/* A NUL inside must not make a name of its first half. */
static void test_nul_inside(void **state)
{
    struct test_certificate c;
    struct tls_names t = {0};
    X509 *x;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();

    certificate_new(&c, &(struct test_want){.name = "cn.example.com"});
    x = X509_dup(c.x);
    ASN1_STRING_set(s, "bank.example\0.evil.example", 26);
    GENERAL_NAME_set0_value(g, GEN_DNS, s);
    sk_GENERAL_NAME_push(names, g);
    assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE), 1);
    GENERAL_NAMES_free(names);
    assert_true(tls_names_add(&t, x));
    assert_int_equal(t.n, 0); /* nor the CN: there is a SAN DNS name, though of no use */
    tls_names_free(&t);
    X509_free(x);
    certificate_end(&c);
}

static void test_many(void **state)
{
    struct tls_names t = {0};
    struct test_certificate c;
    char san[8000], name[40];
    size_t n = 0;

    for (int i = 0; i < 200; i++)
        n += (size_t)snprintf(san + n, sizeof(san) - n, "%sDNS:host%d.example.com", i > 0 ? "," : "", i);
    certificate_new(&c, &(struct test_want){.name = "many", .san = san});
    assert_true(tls_names_add(&t, c.x));
    tls_names_sort(&t);
    assert_int_equal(t.n, 200);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "host%d.example.com", i);
        check_found(&t, name, name);
    }
    check_found(&t, "host200.example.com", NULL);
    tls_names_free(&t);
    certificate_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_wildcard),
        cmocka_unit_test(test_of_certificates),
        cmocka_unit_test(test_nul_inside),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests_name("tls_names", tests, NULL, NULL);
}
