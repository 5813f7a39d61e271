/*
 * Certificates made on the spot.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "net_fixture.h"

/* Making an RSA key takes long: one serves all. */
static EVP_PKEY *key_new(enum test_key kind)
{
    static EVP_PKEY *rsa;

    if (kind == TEST_EC)
        return EVP_EC_gen("P-256");
    if (kind == TEST_ED25519)
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (rsa == NULL)
        rsa = EVP_RSA_gen(2048);
    assert_int_equal(EVP_PKEY_up_ref(rsa), 1);
    return rsa;
}

static void extension_add(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static char *text_of(BIO *b)
{
    char *p, *text;
    long n = BIO_get_mem_data(b, &p);

    text = calloc(1, (size_t)n + 1);
    assert_non_null(text);
    memcpy(text, p, (size_t)n);
    BIO_free(b);
    return text;
}

static void write_pem(struct test_certificate *c, const struct test_certificate *issuer)
{
    BIO *chain = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_X509(chain, c->x), 1);
    if (issuer != NULL && X509_self_signed(issuer->x, 0) == 0)
        assert_int_equal(PEM_write_bio_X509(chain, issuer->x), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(key, c->key, NULL, NULL, 0, NULL, NULL), 1);
    c->chain_pem = text_of(chain);
    c->key_pem = text_of(key);
}

void certificate_new(struct test_certificate *c, const struct test_want *want)
{
    static long serial = 1;
    const struct test_certificate *issuer = want->issuer != NULL ? want->issuer : c;
    bool usual = want->from_days == 0 && want->to_days == 0;
    X509 *x = X509_new();

    memset(c, 0, sizeof(*c));
    c->x = x;
    c->key = key_new(want->key);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), 86400L * (usual ? -1 : want->from_days));
    X509_gmtime_adj(X509_getm_notAfter(x), 86400L * (usual ? 30 : want->to_days));
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)want->name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer->x));
    X509_set_pubkey(x, c->key);
    extension_add(x, issuer->x, NID_basic_constraints, want->authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (want->san != NULL)
        extension_add(x, issuer->x, NID_subject_alt_name, want->san);
    assert_true(X509_sign(x, issuer->key, EVP_PKEY_is_a(issuer->key, "ED25519") ? NULL : EVP_sha256()) > 0);
    write_pem(c, want->issuer);
    c->conf.name = str_of(want->name);
    c->conf.chain.bytes = str_of(c->chain_pem);
    c->conf.key.bytes = str_of(c->key_pem);
}

void certificate_end(struct test_certificate *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
    free(c->chain_pem);
    free(c->key_pem);
}

/* ---- a group of tests with its certificates ---- */

static struct {
    const struct test_want *wants;
    struct test_certificate *v;
    size_t n;
} group;

static int group_setup(void **state)
{
    int r = net_setup(state); /* first: OpenSSL's memory is taken over before it allocates any */

    for (size_t i = 0; i < group.n; i++)
        certificate_new(&group.v[i], &group.wants[i]);
    return r;
}

static int group_teardown(void **state)
{
    for (size_t i = 0; i < group.n; i++)
        certificate_end(&group.v[i]);
    return net_teardown(state);
}

int net_run(const char *name, const struct CMUnitTest *tests, size_t n, const struct test_want *wants,
            struct test_certificate *certificates, size_t wanted)
{
    group.wants = wants;
    group.v = certificates;
    group.n = wanted;
    return _cmocka_run_group_tests(name, tests, n, group_setup, group_teardown);
}
