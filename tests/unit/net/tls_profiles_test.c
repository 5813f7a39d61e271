/*
 * The profiles: each row makes a context that holds exactly what the row says.
 */
#include "net_fixture.h"

static const enum conf_tls all[] = {CONF_TLS_MODERN, CONF_TLS_INTERMEDIATE, CONF_TLS_COMPAT12,
                                    CONF_TLS_LEGACY10};

static SSL_CTX *context_of(const struct tls_profile *p)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, p->security_level);
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, p->min_version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, p->max_version), 1);
    assert_int_equal(SSL_CTX_set_cipher_list(ctx, p->ciphers), 1);
    assert_int_equal(SSL_CTX_set_ciphersuites(ctx, p->ciphersuites), 1);
    assert_int_equal(SSL_CTX_set1_groups_list(ctx, p->groups), 1);
    assert_int_equal(SSL_CTX_set1_sigalgs_list(ctx, p->sigalgs), 1);
    return ctx;
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < CONF_TLS_COUNT; i++) {
        const struct tls_profile *p = tls_profile_row(all[i]);
        SSL_CTX *ctx = context_of(p);

        assert_int_equal(p->id, all[i]);
        assert_string_equal(p->name, conf_tls_name(all[i]));
        assert_true(p->min_version <= p->max_version);
        assert_int_equal(p->max_version, TLS1_3_VERSION);
        assert_true(strlen(p->doc) > 0);
        SSL_CTX_free(ctx);
    }
    assert_int_equal(sizeof(all) / sizeof(all[0]), CONF_TLS_COUNT);
}

/* The names of the row in its order, TLS 1.3 first: OpenSSL drops names that it does not know without a word. */
static void test_ciphers_resolve(void **state)
{
    for (size_t i = 0; i < CONF_TLS_COUNT; i++) {
        const struct tls_profile *p = tls_profile_row(all[i]);
        SSL_CTX *ctx = context_of(p);
        STACK_OF(SSL_CIPHER) *list = SSL_CTX_get_ciphers(ctx);
        char want[4000], *rest = want, *name;
        int n = 0;

        snprintf(want, sizeof(want), "%s:%s", p->ciphersuites, p->ciphers);
        while ((name = strsep(&rest, ":")) != NULL) {
            assert_true(n < sk_SSL_CIPHER_num(list));
            assert_string_equal(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(list, n)), name);
            n++;
        }
        assert_int_equal(n, sk_SSL_CIPHER_num(list));
        SSL_CTX_free(ctx);
    }
}

static bool forward_secret(const SSL_CIPHER *c)
{
    int kx = SSL_CIPHER_get_kx_nid(c);

    return kx == NID_kx_ecdhe || kx == NID_kx_dhe || kx == NID_kx_any;
}

/* What must be in none, whatever a row says. */
static void check_cipher(const SSL_CIPHER *c, enum conf_tls profile)
{
    int bits = SSL_CIPHER_get_bits(c, NULL), cipher = SSL_CIPHER_get_cipher_nid(c);

    assert_true(bits >= 128);
    assert_true(SSL_CIPHER_get_auth_nid(c) != NID_auth_null);
    assert_true(cipher != NID_rc4 && cipher != NID_des_ede3_cbc && cipher != NID_undef);
    assert_true(SSL_CIPHER_get_digest_nid(c) != NID_md5);
    assert_null(strstr(SSL_CIPHER_get_name(c), "CCM"));
    assert_null(strstr(SSL_CIPHER_get_name(c), "CAMELLIA"));
    assert_null(strstr(SSL_CIPHER_get_name(c), "PSK"));
    if (profile != CONF_TLS_LEGACY10)
        assert_true(forward_secret(c));
    if (profile == CONF_TLS_MODERN || profile == CONF_TLS_INTERMEDIATE)
        assert_true(SSL_CIPHER_is_aead(c));
}

static void test_nothing_weak(void **state)
{
    for (size_t i = 0; i < CONF_TLS_COUNT; i++) {
        SSL_CTX *ctx = context_of(tls_profile_row(all[i]));
        STACK_OF(SSL_CIPHER) *list = SSL_CTX_get_ciphers(ctx);

        for (int n = 0; n < sk_SSL_CIPHER_num(list); n++)
            check_cipher(sk_SSL_CIPHER_value(list, n), all[i]);
        SSL_CTX_free(ctx);
    }
}

/* Each profile takes what the stricter ones take. */
static void test_each_contains_the_stricter(void **state)
{
    for (size_t i = 1; i < CONF_TLS_COUNT; i++) {
        const struct tls_profile *p = tls_profile_row(all[i]), *strict = tls_profile_row(all[i - 1]);

        assert_true(p->min_version <= strict->min_version);
        assert_true(p->security_level <= strict->security_level);
        assert_memory_equal(p->ciphers, strict->ciphers, strlen(strict->ciphers));
        assert_memory_equal(p->sigalgs, strict->sigalgs, strlen(strict->sigalgs));
        assert_string_equal(p->groups, strict->groups);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_ciphers_resolve),
        cmocka_unit_test(test_nothing_weak),
        cmocka_unit_test(test_each_contains_the_stricter),
    };

    return cmocka_run_group_tests_name("tls_profiles", tests, NULL, NULL);
}
