/* What each certificate of a chain must be, whoever signed it: its dates, its key, its signature, its usages.
 */
#include <openssl/objects.h>
#include "certificates_int.h"
#include "tls_int.h"

#define WARN_DAYS 30
#define RSA_BITS_MIN 2048
/* iOS up to 8 and OS X up to 10.9 take no longer keys. */
#define RSA_BITS_MAX 4096
/* iOS 13 and macOS 10.15 refuse servers' certificates that are valid for longer, whoever issued them. */
#define VALID_DAYS_MAX 825

/* One certificate of the chain, as a finding speaks of it. */
struct link {
    X509 *x;
    bool leaf, root;
    char name[CERTIFICATE_TEXT];
    const char *renew;
};

/* ---- dates ---- */

static void check_end(struct certificates *all, const struct certificate *c, const struct link *k)
{
    const ASN1_TIME *end = X509_get0_notAfter(k->x);
    int days = certificate_days(end);
    char date[16];

    certificate_date(end, date);
    if (days < 0 && k->root)
        CERTIFICATE_WARNING(
            all, c, chain,
            "`%s` of %s, a root, expired on %s, and some clients then refuse the whole chain; take it "
            "out: clients have roots themselves",
            k->name, c->conf->chain.path.p, date);
    else if (days < 0)
        CERTIFICATE_ERROR(all, c, chain, "`%s` of %s expired on %s; %s", k->name, c->conf->chain.path.p, date,
                          k->renew);
    else if (days <= WARN_DAYS && !k->root)
        CERTIFICATE_WARNING(all, c, chain, "`%s` of %s expires in %d day%s, on %s; %s", k->name,
                            c->conf->chain.path.p, days, days == 1 ? "" : "s", date, k->renew);
}

static void check_start(struct certificates *all, const struct certificate *c, const struct link *k)
{
    const ASN1_TIME *start = X509_get0_notBefore(k->x);
    char date[16];

    if (X509_cmp_current_time(start) > 0)
        CERTIFICATE_ERROR(
            all, c, chain,
            "`%s` of %s is not valid before %s; check this machine's clock, or use one that is valid now",
            k->name, c->conf->chain.path.p, certificate_date(start, date));
}

static void check_length(struct certificates *all, const struct certificate *c, const struct link *k)
{
    int64_t days =
        (certificate_seconds(X509_get0_notAfter(k->x)) - certificate_seconds(X509_get0_notBefore(k->x))) /
        86400;

    if (days > VALID_DAYS_MAX)
        CERTIFICATE_WARNING(
            all, c, chain,
            "`%s` of %s is valid for %lld days, and Apple's devices refuse more than %d; order one for "
            "a shorter time",
            k->name, c->conf->chain.path.p, (long long)days, VALID_DAYS_MAX);
}

/* ---- key and signature ---- */

static void check_rsa(struct certificates *all, const struct certificate *c, const struct link *k, int bits)
{
    if (bits < RSA_BITS_MIN)
        CERTIFICATE_ERROR(all, c, chain,
                          "`%s` of %s has an RSA key of %d bits, which can be broken and clients refuse; %s",
                          k->name, c->conf->chain.path.p, bits,
                          k->leaf ? "make a key of 2048 bits and order a certificate for it"
                                  : "order a certificate from an authority with 2048 bits or more");
    else if (bits > RSA_BITS_MAX && k->leaf)
        CERTIFICATE_WARNING(
            all, c, chain,
            "`%s` of %s has an RSA key of %d bits, which old Apple devices refuse and which makes each "
            "handshake slow; 2048 bits, or EC P-256 beside it, serve better",
            k->name, c->conf->chain.path.p, bits);
}

static void check_key(struct certificates *all, const struct certificate *c, const struct link *k)
{
    EVP_PKEY *key = X509_get0_pubkey(k->x);
    char name[32];

    if (key != NULL && (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))) {
        check_rsa(all, c, k, EVP_PKEY_get_bits(key));
        return;
    }
    certificate_key_name(key, name);
    if (k->leaf && !str_eq(str_of(name), STR("EC P-256")) && !str_eq(str_of(name), STR("EC P-384")))
        CERTIFICATE_WARNING(
            all, c, chain,
            "`%s` of %s has a key of the kind %s, which few clients know; RSA 2048, EC P-256 and EC "
            "P-384 are known to all",
            k->name, c->conf->chain.path.p, name);
}

static void check_signature(struct certificates *all, const struct certificate *c, const struct link *k)
{
    int digest = NID_undef;

    if (X509_get_signature_info(k->x, &digest, NULL, NULL, NULL) != 1)
        return;
    if (digest == NID_md5 || digest == NID_md5_sha1 || digest == NID_md4 || digest == NID_md2)
        CERTIFICATE_ERROR(
            all, c, chain,
            "`%s` of %s is signed with %s, which can be forged and clients refuse; have it issued again with "
            "SHA-256",
            k->name, c->conf->chain.path.p, OBJ_nid2sn(digest));
    else if (digest == NID_sha1)
        CERTIFICATE_WARNING(
            all, c, chain,
            "`%s` of %s is signed with SHA-1, which current clients refuse; have it issued again with "
            "SHA-256",
            k->name, c->conf->chain.path.p);
}

/* ---- usages ---- */

static void check_usage(struct certificates *all, const struct certificate *c, const struct link *k)
{
    uint32_t extended = X509_get_extended_key_usage(k->x);

    if (extended == UINT32_MAX)
        CERTIFICATE_WARNING(
            all, c, chain,
            "`%s` of %s has no extended key usage, and Apple's devices demand serverAuth; order it again "
            "for server authentication",
            k->name, c->conf->chain.path.p);
    else if (!(extended & (XKU_SSL_SERVER | XKU_ANYEKU)))
        CERTIFICATE_ERROR(
            all, c, chain,
            "`%s` of %s is not for servers (its extended key usage lacks serverAuth), so clients refuse it; "
            "order a certificate for server authentication",
            k->name, c->conf->chain.path.p);
    /* UINT32_MAX where the extension is missing: everything is permitted */
    if (!(X509_get_key_usage(k->x) & KU_DIGITAL_SIGNATURE))
        CERTIFICATE_ERROR(
            all, c, chain,
            "`%s` of %s may not sign (its key usage lacks digitalSignature), which TLS with forward secrecy "
            "needs; order a certificate for a web server",
            k->name, c->conf->chain.path.p);
}

/* What only the server's own certificate must be. */
static void check_server(struct certificates *all, const struct certificate *c, const struct link *k)
{
    if (X509_check_ca(k->x) == 1) {
        CERTIFICATE_ERROR(
            all, c, chain,
            "`%s` of %s is an authority's certificate, whose key must lie on no server; order a "
            "certificate for a server",
            k->name, c->conf->chain.path.p);
        return;
    }
    check_length(all, c, k);
    check_usage(all, c, k);
}

/* ---- all ---- */

static struct link link_of(const struct certificate *c, int i)
{
    struct link k = {.x = sk_X509_value(c->chain, i), .leaf = i == 0};

    k.root = i > 0 && X509_self_signed(k.x, 0) == 1;
    k.renew = k.leaf ? "order a new one and put it into this file"
                     : "get the one that replaces it from the authority and put it into this file";
    certificate_name(X509_get_subject_name(k.x), k.name);
    return k;
}

void certificate_check_fit(struct certificates *all, const struct certificate *c)
{
    for (int i = 0; i < sk_X509_num(c->chain); i++) {
        struct link k = link_of(c, i);
        check_end(all, c, &k);
        check_start(all, c, &k);
        if (!k.root)
            check_key(all, c, &k);
        /* A self-signature proves nothing, whatever it is made with. */
        if (!k.root && !c->self_signed)
            check_signature(all, c, &k);
        if (k.leaf && !c->self_signed)
            check_server(all, c, &k);
    }
    tls_errors_drop();
}
