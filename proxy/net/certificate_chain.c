/* The order of a chain, whether it is complete, and whether there is one at all. */
#include "certificates_int.h"
#include "tls_int.h"

static const char *subject(X509 *x, char ret[CERTIFICATE_TEXT])
{
    return certificate_name(X509_get_subject_name(x), ret);
}

static const char *issuer(X509 *x, char ret[CERTIFICATE_TEXT])
{
    return certificate_name(X509_get_issuer_name(x), ret);
}

/* ---- key ---- */

static bool fits(X509 *x, EVP_PKEY *key)
{
    bool good = X509_check_private_key(x, key) == 1;

    tls_errors_drop();
    return good;
}

/* Which certificate of the file is the server's: that of the key, or, without one, the first that is no
 * authority. */
static int find_leaf(const struct certificate *c, EVP_PKEY *key)
{
    for (int i = 0; i < sk_X509_num(c->chain); i++) {
        X509 *x = sk_X509_value(c->chain, i);
        if (key != NULL ? fits(x, key) : X509_check_ca(x) == 0)
            return i;
    }
    return -1;
}

static void lead_with(struct certificates *all, struct certificate *c, int i)
{
    X509 *leaf = sk_X509_delete(c->chain, i);
    char name[CERTIFICATE_TEXT];

    CERTIFICATE_ERROR(
        all, c, chain,
        "%s is out of order: certificate %d of it (`%s`) is the server's own; put it first, then its "
        "issuer, then the issuer's issuer",
        c->conf->chain.path.p, i + 1, subject(leaf, name));
    sk_X509_unshift(c->chain, leaf); /* into the room that it left */
    certificate_names_free(&c->names);
    certificate_names_take(leaf, &c->names);
}

/* True: the leaf was misplaced. */
static bool check_key(struct certificates *all, struct certificate *c)
{
    EVP_PKEY *key = certificate_read_key(all, c);
    int at = find_leaf(c, key);
    char name[CERTIFICATE_TEXT];

    if (at > 0)
        lead_with(all, c, at);
    else if (at < 0 && key != NULL)
        CERTIFICATE_ERROR(all, c, key,
                          "the key %s does not belong to the certificate in %s (`%s`); give the key that the "
                          "certificate was ordered with, or order a certificate for this key",
                          c->conf->key.path.p, c->conf->chain.path.p,
                          subject(sk_X509_value(c->chain, 0), name));
    EVP_PKEY_free(key);
    return at > 0;
}

/* ---- order ---- */

static int find_issuer_in_file(const struct certificate *c, X509 *x)
{
    for (int i = 0; i < sk_X509_num(c->chain); i++) {
        X509 *candidate = sk_X509_value(c->chain, i);
        if (candidate != x && certificate_issued(candidate, x))
            return i;
    }
    return -1;
}

/* The name is right and the key is not: an intermediate of another generation, mostly. */
static bool is_namesake(X509 *a, X509 *b)
{
    return X509_NAME_cmp(X509_get_subject_name(b), X509_get_issuer_name(a)) == 0;
}

static void report_link(struct certificates *all, const struct certificate *c, int i)
{
    X509 *x = sk_X509_value(c->chain, i), *next = sk_X509_value(c->chain, i + 1);
    const char *file = c->conf->chain.path.p;
    char a[CERTIFICATE_TEXT], b[CERTIFICATE_TEXT], d[CERTIFICATE_TEXT];
    int at = find_issuer_in_file(c, x);

    if (X509_self_signed(x, 0) == 1)
        CERTIFICATE_ERROR(
            all, c, chain,
            "%s goes on after certificate %d (`%s`), which signed itself; take what follows it out", file,
            i + 1, subject(x, a));
    else if (at >= 0)
        CERTIFICATE_ERROR(
            all, c, chain,
            "%s is out of order: certificate %d (`%s`) was issued by certificate %d (`%s`), which must "
            "follow it; change the order",
            file, i + 1, subject(x, a), at + 1, issuer(x, b));
    else if (is_namesake(x, next))
        CERTIFICATE_ERROR(
            all, c, chain,
            "certificate %d of %s (`%s`) bears the name of the issuer of certificate %d (`%s`) but did "
            "not sign it; get the intermediate of that name that belongs to it from the authority",
            i + 2, file, subject(next, b), i + 1, subject(x, a));
    else
        CERTIFICATE_ERROR(
            all, c, chain,
            "%s lacks the intermediate `%s`, which issued certificate %d (`%s`): certificate %d is "
            "`%s`; put `%s` between them",
            file, issuer(x, b), i + 1, subject(x, a), i + 2, subject(next, d), b);
}

static void report_no_authority(struct certificates *all, const struct certificate *c, int i)
{
    char a[CERTIFICATE_TEXT], b[CERTIFICATE_TEXT];

    CERTIFICATE_ERROR(
        all, c, chain,
        "certificate %d of %s (`%s`) signed certificate %d (`%s`) but is no authority (its basic "
        "constraints say so), so clients refuse both; order a certificate from an authority",
        i + 2, c->conf->chain.path.p, subject(sk_X509_value(c->chain, i + 1), a), i + 1,
        subject(sk_X509_value(c->chain, i), b));
}

/* Each must be signed by the next (RFC 5246 7.4.2; RFC 8446 4.4.2 lets clients be more patient, old ones are
 * not). */
static bool check_order(struct certificates *all, const struct certificate *c)
{
    for (int i = 0; i + 1 < sk_X509_num(c->chain); i++) {
        X509 *next = sk_X509_value(c->chain, i + 1);
        if (certificate_issued(next, sk_X509_value(c->chain, i)) && X509_check_ca(next) != 0)
            continue;
        if (certificate_issued(next, sk_X509_value(c->chain, i)))
            report_no_authority(all, c, i);
        else
            report_link(all, c, i);
        return false;
    }
    return true;
}

/* ---- the end ---- */

static void report_missing(struct certificates *all, const struct certificate *c, X509 *last)
{
    char a[CERTIFICATE_TEXT], b[CERTIFICATE_TEXT], url[CERTIFICATE_TEXT];

    certificate_issuer_url(last, url);
    CERTIFICATE_ERROR(
        all, c, chain,
        "%s lacks the intermediate `%s`, which issued `%s`; phones and most other clients do not fetch "
        "it: append it to the file%s%s",
        c->conf->chain.path.p, issuer(last, b), subject(last, a),
        url[0] != '\0' ? "; the authority has it at " : "", url);
}

static void report_unknown(struct certificates *all, const struct certificate *c, X509 *last)
{
    char a[CERTIFICATE_TEXT], b[CERTIFICATE_TEXT];

    CERTIFICATE_WARNING(
        all, c, chain,
        "%s holds `%s` alone, and its issuer `%s` is not known here; if that is an intermediate, "
        "append it to the file, as clients do not fetch it; if it is your own root, which clients "
        "have, append it as well and this warning ends",
        c->conf->chain.path.p, subject(last, a), issuer(last, b));
}

static void check_end(struct certificates *all, struct certificate *c)
{
    int n = sk_X509_num(c->chain);
    X509 *last = sk_X509_value(c->chain, n - 1), *found = NULL;
    enum certificate_origin origin;

    if (X509_self_signed(last, 1) == 1)
        return;
    origin = certificate_origin(all, last, &found);
    if (n == 1)
        c->issuer = found;
    else
        X509_free(found);
    if (origin == ORIGIN_INTERMEDIATE)
        report_missing(all, c, last);
    else if (origin == ORIGIN_UNKNOWN && n == 1)
        report_unknown(all, c, last);
}

static void report_self_signed(struct certificates *all, const struct certificate *c)
{
    const char *maker = certificate_default_maker(c);
    char name[CERTIFICATE_TEXT];

    if (maker != NULL)
        CERTIFICATE_ERROR(
            all, c, chain,
            "%s (`%s`) is the certificate that %s makes for itself, which no client trusts; order one "
            "with the published names, or, in a laboratory, say `allow_self_signed: true`",
            c->conf->chain.path.p, subject(sk_X509_value(c->chain, 0), name), maker);
    else
        CERTIFICATE_ERROR(
            all, c, chain,
            "%s (`%s`) is self-signed, so no client trusts it; have an authority sign it, or, in a "
            "laboratory, say `allow_self_signed: true`",
            c->conf->chain.path.p, subject(sk_X509_value(c->chain, 0), name));
}

void certificate_check_chain(struct certificates *all, struct certificate *c)
{
    bool misplaced = check_key(all, c), ordered = false;

    c->self_signed = X509_self_signed(sk_X509_value(c->chain, 0), 1) == 1;
    tls_errors_drop();
    if (c->self_signed && !c->conf->allow_self_signed)
        report_self_signed(all, c);
    if (!misplaced)
        ordered = check_order(all, c);
    if (ordered)
        check_end(all, c);
    if (c->issuer == NULL && sk_X509_num(c->chain) > 1 &&
        certificate_issued(sk_X509_value(c->chain, 1), sk_X509_value(c->chain, 0))) {
        c->issuer = sk_X509_value(c->chain, 1);
        X509_up_ref(c->issuer);
    }
}
