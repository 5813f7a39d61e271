/* Words for people: dates, names, keys; the facts of `status`. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <openssl/ec.h>
#include "certificates_int.h"
#include "tls_int.h"

#define DAY 86400

static void take_text(BIO *b, char *ret, size_t size)
{
    int n = BIO_read(b, ret, (int)size - 1);

    ret[n > 0 ? n : 0] = '\0';
}

const char *certificate_name(const X509_NAME *name, char ret[CERTIFICATE_TEXT])
{
    BIO *b = BIO_new(BIO_s_mem());
    unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;

    ret[0] = '\0';
    if (b != NULL && X509_NAME_print_ex(b, name, 0, flags) >= 0)
        take_text(b, ret, CERTIFICATE_TEXT);
    BIO_free(b);
    return ret;
}

static const char *curve_name(const char *group)
{
    const char *nist = EC_curve_nid2nist(OBJ_txt2nid(group));

    return nist != NULL ? nist : group;
}

const char *certificate_key_name(const EVP_PKEY *key, char ret[32])
{
    char group[64];
    const char *type = key != NULL ? EVP_PKEY_get0_type_name(key) : NULL;

    if (type == NULL)
        snprintf(ret, 32, "unknown");
    else if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1)
        snprintf(ret, 32, "EC %.28s", curve_name(group));
    else if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS") || EVP_PKEY_is_a(key, "DSA"))
        snprintf(ret, 32, "%.16s %d", type, EVP_PKEY_get_bits(key));
    else
        snprintf(ret, 32, "%.31s", type);
    return ret;
}

int64_t certificate_seconds(const ASN1_TIME *t)
{
    struct tm tm;

    return ASN1_TIME_to_tm(t, &tm) == 1 && t != NULL ? (int64_t)timegm(&tm) : 0;
}

const char *certificate_date(const ASN1_TIME *t, char ret[16])
{
    time_t seconds = (time_t)certificate_seconds(t);
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL || strftime(ret, 16, "%Y-%m-%d", &tm) == 0)
        snprintf(ret, 16, "never");
    return ret;
}

int certificate_days(const ASN1_TIME *t)
{
    int64_t left = certificate_seconds(t) - (int64_t)time(NULL);

    return (int)(left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY));
}

static X509 *read_leaf(struct str pem)
{
    char why[CERTIFICATE_TEXT];
    STACK_OF(X509) *chain = certificate_read_all(pem, why);
    X509 *leaf = chain != NULL ? sk_X509_shift(chain) : NULL;

    sk_X509_pop_free(chain, X509_free);
    return leaf;
}

int certificates_facts(const struct conf_certificate *c, struct certificate_facts *ret)
{
    struct certificate_names names = {0};
    X509 *leaf;
    int rc = -1;

    tls_errors_expect_none("certificates_facts");
    leaf = read_leaf(c->chain.bytes);
    if (leaf != NULL) {
        certificate_names_take(leaf, &names);
        certificate_name(X509_get_subject_name(leaf), ret->subject);
        certificate_name(X509_get_issuer_name(leaf), ret->issuer);
        certificate_names_print(&names, ret->names, sizeof(ret->names));
        certificate_key_name(X509_get0_pubkey(leaf), ret->key);
        ret->not_after = certificate_seconds(X509_get0_notAfter(leaf));
        ret->days_left = certificate_days(X509_get0_notAfter(leaf));
        rc = X509_digest(leaf, EVP_sha256(), ret->sha256, NULL) == 1 ? 0 : -1;
    }
    certificate_names_free(&names);
    X509_free(leaf);
    tls_errors_drop();
    return rc;
}

bool certificates_have(const struct snapshot *s, const unsigned char sha256[32])
{
    struct certificate_facts facts;

    for (size_t i = 0; i < s->certificates_n; i++) {
        if (certificates_facts(&s->certificates[i], &facts) == 0 && memcmp(facts.sha256, sha256, 32) == 0)
            return true;
    }
    return false;
}
