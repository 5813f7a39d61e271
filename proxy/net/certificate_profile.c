/*
 * Would OpenSSL load each certificate into the contexts of a listener? Its security level refuses weak keys and signatures
 * when the context is made, which is after the check; here the same is said earlier, and with a remedy.
 */
#include <openssl/objects.h>
#include "certificates_int.h"
#include "tls_int.h"

/* SSL_CTX_set_security_level(3) */
static int level_bits(int level)
{
    static const int bits[] = {0, 80, 112, 128, 192, 256};

    return bits[level < 0 ? 0 : level > 5 ? 5 : level];
}

struct use {
    const struct conf_listener *l;
    size_t number;
    int bits;
    const struct certificate *c;
};

static void report(struct certificates *all, const struct use *u, X509 *x, const char *what, const char *of)
{
    char name[CERTIFICATE_TEXT];

    conf_finding_add(
        all->f, CONF_ERROR, u->l->mark,
        "listeners[%zu] cannot serve certificate `%.*s` with `tls: %s`: `%s` %s %s; order a certificate with RSA "
        "2048 or EC P-256, signed with SHA-256, or, for old devices, give it a listener of its own with `tls: "
        "legacy10`",
        u->number, STR_ARG(u->c->conf->name), conf_tls_name(u->l->tls),
        certificate_name(X509_get_subject_name(x), name), what, of);
}

static void check_certificate(struct certificates *all, const struct use *u, X509 *x)
{
    EVP_PKEY *key = X509_get0_pubkey(x);
    int digest = NID_undef, bits = 0;
    char name[32];

    if (key != NULL && EVP_PKEY_get_security_bits(key) < u->bits)
        report(all, u, x, "has a key of the kind", certificate_key_name(key, name));
    if (X509_self_signed(x, 0) != 1 && X509_get_signature_info(x, &digest, NULL, &bits, NULL) == 1 &&
        bits < u->bits)
        report(all, u, x, "is signed with", digest != NID_undef ? OBJ_nid2sn(digest) : "a weak digest");
}

void certificates_check_profiles(struct certificates *all)
{
    for (size_t i = 0; i < all->s->listeners_n; i++) {
        const struct conf_listener *l = &all->s->listeners[i];
        struct use u = {l, i, level_bits(tls_profile_row(l->tls)->security_level), NULL};
        for (size_t k = 0; k < l->certificates_n; k++) {
            u.c = &all->v[l->certificates[k] - all->s->certificates];
            for (int j = 0; j < sk_X509_num(u.c->chain); j++)
                check_certificate(all, &u, sk_X509_value(u.c->chain, j));
        }
    }
    tls_errors_drop();
}
