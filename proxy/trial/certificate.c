/*
 * What matters of a certificate to clients of all ages, as plain data, so that a change of it can be thought through too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "trial_int.h"

#define CHAIN_MAX 16
#define NAMES_MAX 512

static void copy_lower(char *to, const char *from, size_t n)
{
    if (n >= TRIAL_NAME_MAX)
        n = TRIAL_NAME_MAX - 1;
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] > 0x20 && from[i] < 0x7f ? ascii_lower(from[i]) : '?';
    to[n] = '\0';
}

static void take_san(const GENERAL_NAME *g, struct trial_certificate *c)
{
    char *name = c->names[c->names_n];
    const ASN1_STRING *s = g->type == GEN_DNS ? g->d.dNSName : g->type == GEN_IPADD ? g->d.iPAddress : NULL;

    if (s == NULL)
        return;
    if (g->type == GEN_DNS)
        copy_lower(name, (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    else if (inet_ntop(ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), name,
                       TRIAL_NAME_MAX) == NULL ||
             (ASN1_STRING_length(s) != 4 && ASN1_STRING_length(s) != 16))
        return;
    c->names_n++;
}

static int take_names(X509 *x, struct trial_certificate *c)
{
    GENERAL_NAMES *san = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int n = san != NULL ? sk_GENERAL_NAME_num(san) : 0, cn = -1, next;

    if (n > NAMES_MAX)
        n = NAMES_MAX;
    c->names = calloc((size_t)n + 1, sizeof(*c->names));
    for (int i = 0; c->names != NULL && i < n; i++)
        take_san(sk_GENERAL_NAME_value(san, i), c);
    GENERAL_NAMES_free(san);
    while ((next = X509_NAME_get_index_by_NID(X509_get_subject_name(x), NID_commonName, cn)) >= 0)
        cn = next;
    if (cn >= 0) {
        const ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(X509_get_subject_name(x), cn));

        copy_lower(c->cn, (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    }
    return c->names != NULL ? 0 : -1;
}

static void take_key(X509 *x, struct trial_certificate *c)
{
    const EVP_PKEY *key = X509_get0_pubkey(x);
    char group[64] = "";
    size_t n;

    c->key = KEY_OTHER;
    if (key == NULL)
        return;
    c->bits = (unsigned)EVP_PKEY_get_bits(key);
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        c->key = KEY_RSA;
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
        EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1) {
        c->key = KEY_EC;
        c->curve = strcmp(group, "prime256v1") == 0 ? 23 : strcmp(group, "secp384r1") == 0 ? 24 : 25;
    }
}

static void take_digest(X509 *x, struct trial_certificate *c)
{
    int digest = NID_undef;

    if (X509_get_signature_info(x, &digest, NULL, NULL, NULL) != 1)
        return;
    c->sha1 = c->sha1 || digest == NID_sha1 || digest == NID_md5;
    c->sha256 = c->sha256 || digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512;
    c->sha512 = c->sha512 || digest == NID_sha384 || digest == NID_sha512;
}

/* A policy of the CA/Browser Forum (2.23.140.1) is everybody's; with none of them it is one authority's own. */
static void take_policies(X509 *x, struct trial_certificate *c)
{
    CERTIFICATEPOLICIES *p = X509_get_ext_d2i(x, NID_certificate_policies, NULL, NULL);
    bool common = false;
    char oid[80];

    for (int i = 0; p != NULL && i < sk_POLICYINFO_num(p); i++) {
        OBJ_obj2txt(oid, sizeof(oid), sk_POLICYINFO_value(p, i)->policyid, 1);
        common = common || strncmp(oid, "2.23.140.1.", 11) == 0 || strcmp(oid, "2.5.29.32.0") == 0;
    }
    c->policies = p != NULL && !common;
    CERTIFICATEPOLICIES_free(p);
}

static int64_t seconds(const ASN1_TIME *t)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, rest = 0, ok = epoch != NULL && ASN1_TIME_diff(&days, &rest, epoch, t);

    ASN1_TIME_free(epoch);
    return ok ? (int64_t)days * 86400 + rest : 0;
}

/* The system's authorities, read once: a trial looks at hundreds of chains. */
static X509_STORE *system_store(void)
{
    static X509_STORE *store;

    if (store == NULL) {
        store = X509_STORE_new();
        if (store != NULL && X509_STORE_set_default_paths(store) != 1)
            ERR_clear_error();
    }
    return store;
}

static bool issuer_is_public(X509 *last)
{
    X509_STORE *store = system_store();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509 *issuer = NULL;
    bool found = false;

    if (store != NULL && ctx != NULL && X509_STORE_CTX_init(ctx, store, last, NULL) == 1)
        found = X509_STORE_CTX_get1_issuer(&issuer, ctx, last) == 1;
    X509_free(issuer);
    X509_STORE_CTX_free(ctx);
    return found;
}

int trial_certificate_take(X509 *leaf, STACK_OF(X509) *chain, const char *label,
                           struct trial_certificate *ret)
{
    unsigned n = sizeof(ret->fingerprint);
    X509 *last = leaf;

    *ret = (struct trial_certificate){.self_signed = X509_self_signed(leaf, 0) == 1};
    snprintf(ret->label, sizeof(ret->label), "%s", label);
    if (take_names(leaf, ret) < 0)
        return -1;
    take_key(leaf, ret);
    take_policies(leaf, ret);
    take_digest(leaf, ret);
    ret->not_before = seconds(X509_get0_notBefore(leaf));
    ret->not_after = seconds(X509_get0_notAfter(leaf));
    X509_digest(leaf, EVP_sha256(), ret->fingerprint, &n);
    for (int i = 0; chain != NULL && i < sk_X509_num(chain) && i < CHAIN_MAX; i++) {
        X509 *x = sk_X509_value(chain, i);

        last = x;
        if (X509_cmp(x, leaf) != 0 && X509_self_signed(x, 0) != 1)
            take_digest(x, ret);
    }
    ret->public_root = !ret->self_signed && issuer_is_public(last);
    ERR_clear_error();
    return 0;
}

static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    return -1;
}

int trial_certificate_read(struct str pem, const char *label, struct trial_certificate *ret,
                           char ret_why[TRIAL_TEXT])
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *x;
    int result = -1;

    while (bio != NULL && chain != NULL && sk_X509_num(chain) < CHAIN_MAX &&
           (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        if (sk_X509_push(chain, x) <= 0)
            X509_free(x);
    }
    if (chain == NULL || sk_X509_num(chain) == 0)
        snprintf(ret_why, TRIAL_TEXT, "holds no certificate in PEM");
    else if (trial_certificate_take(sk_X509_value(chain, 0), chain, label, ret) < 0)
        snprintf(ret_why, TRIAL_TEXT, "out of memory");
    else
        result = 0;
    sk_X509_pop_free(chain, X509_free);
    BIO_free(bio);
    ERR_clear_error();
    return result;
}

int trial_certificate_read_list(struct str list, struct trial_certificate *ret)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    const uint8_t *p = (const uint8_t *)list.p, *end = p + list.n;
    int result = -1;

    while (chain != NULL && end - p >= 3 && sk_X509_num(chain) < CHAIN_MAX) {
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        const uint8_t *der = p + 3;
        X509 *x = n <= (size_t)(end - der) ? d2i_X509(NULL, &der, (long)n) : NULL;

        if (x == NULL || sk_X509_push(chain, x) <= 0) {
            X509_free(x);
            break;
        }
        p += 3 + n;
    }
    if (chain != NULL && sk_X509_num(chain) > 0)
        result = trial_certificate_take(sk_X509_value(chain, 0), chain, "served", ret);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return result;
}

void trial_certificate_free(struct trial_certificate *c)
{
    free(c->names);
    c->names = NULL;
    c->names_n = 0;
}

static enum trial_cover name_covers(const char *name, const char *host)
{
    const char *dot = strchr(host, '.');

    if (strcasecmp(name, host) == 0)
        return COVER_EXACT;
    /* The leftmost label, whole (RFC 9525 6.3). */
    if (name[0] == '*' && name[1] == '.' && dot != NULL && dot != host && strcasecmp(name + 1, dot) == 0)
        return COVER_WILDCARD;
    return COVER_NONE;
}

enum trial_cover trial_certificate_cover(const struct trial_certificate *c, const char *host,
                                         enum trial_names how)
{
    enum trial_cover best = COVER_NONE, now;
    unsigned n = how == NAMES_CN ? 0 : how == NAMES_FIRST_SAN && c->names_n > 1 ? 1 : c->names_n;

    for (unsigned i = 0; i < n; i++) {
        now = name_covers(c->names[i], host);
        best = now > best ? now : best;
    }
    if (c->names_n == 0 || how != NAMES_SAN) {
        now = name_covers(c->cn, host);
        if (now == COVER_EXACT)
            now = how == NAMES_SAN ? COVER_CN : COVER_EXACT;
        best = now > best ? now : best;
    }
    return best;
}

bool trial_certificate_wild(const struct trial_certificate *c)
{
    for (unsigned i = 0; i < c->names_n; i++) {
        if (c->names[i][0] == '*')
            return true;
    }
    return c->cn[0] == '*';
}
