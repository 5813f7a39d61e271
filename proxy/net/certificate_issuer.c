/*
 * Issuers that are not in the file, and what can be known of them.
 *
 * A chain ends well below a root, which clients have themselves. Whether the unknown issuer of its last
 * certificate is such a root is not written in that certificate, so this looks for it in the system's
 * authorities, in the backends' trust bundles and in the other chain files, and then at what public
 * authorities must do:
 *   - the key identifier may name the issuer's own issuer (RFC 5280 4.2.1.1): equal names mean a root;
 *   - public authorities sign servers' certificates with intermediates only (CA/Browser Forum, Baseline
 * Requirements), and mark them with a policy of the Forum and with certificate transparency (RFC 6962);
 *   - an issuer that is called issuing, intermediate or subordinate is one, one that is called root is one;
 *   - who tells clients where to fetch the issuer by HTTP expects them not to have it; Windows' authorities say so by LDAP,
 *     and those of them that are roots do too.
 * What none of this tells stays unknown: a company's own root may well have signed the certificate itself.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/pem.h>
#include "certificates_int.h"
#include "tls_int.h"

bool certificate_issued(X509 *issuer, X509 *x)
{
    int fault = X509_check_issued(issuer, x);
    bool good = (fault == X509_V_OK || fault == X509_V_ERR_KEYUSAGE_NO_CERTSIGN) &&
                X509_verify(x, X509_get0_pubkey(issuer)) == 1;

    tls_errors_drop();
    return good;
}

/* ---- where issuers may be known from ---- */

/* Counted. A root before an intermediate: of one that was cross-signed, both exist, with one name and key. */
static X509 *find_in(STACK_OF(X509) *list, X509 *x)
{
    X509 *found = NULL;

    for (int i = 0; i < sk_X509_num(list); i++) {
        X509 *candidate = sk_X509_value(list, i);
        if (!certificate_issued(candidate, x))
            continue;
        found = candidate;
        if (X509_self_signed(candidate, 0) == 1)
            break;
    }
    return found != NULL && X509_up_ref(found) == 1 ? found : NULL;
}

static X509 *find_in_system(struct certificates *all, X509 *x)
{
    X509_STORE_CTX *ctx;
    STACK_OF(X509) *list = NULL;
    X509 *found;

    if (all->system == NULL) {
        all->system = X509_STORE_new();
        if (all->system != NULL)
            X509_STORE_set_default_paths(all->system);
    }
    ctx = all->system != NULL ? X509_STORE_CTX_new() : NULL;
    if (ctx != NULL && X509_STORE_CTX_init(ctx, all->system, NULL, NULL) == 1)
        list = X509_STORE_CTX_get1_certs(ctx, X509_get_issuer_name(x));
    found = find_in(list, x);
    sk_X509_pop_free(list, X509_free);
    X509_STORE_CTX_free(ctx);
    tls_errors_drop();
    return found;
}

/* The certificates of a bundle that may be long, one after the other: only those that are authorities stay.
 */
static void add_bundle(STACK_OF(X509) *list, struct str pem)
{
    BIO *b = pem.n > 0 ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    X509 *x;

    while (b != NULL && (x = PEM_read_bio_X509(b, NULL, certificate_no_passphrase, NULL)) != NULL) {
        if (X509_check_ca(x) == 0 || sk_X509_push(list, x) <= 0)
            X509_free(x);
    }
    BIO_free(b);
    tls_errors_drop();
}

static X509 *find_in_own(struct certificates *all, X509 *x)
{
    if (all->own == NULL) {
        all->own = sk_X509_new_null();
        if (all->own == NULL)
            return NULL;
        for (size_t i = 0; i < all->s->backends_n; i++)
            add_bundle(all->own, all->s->backends[i].trust.bytes);
        for (size_t i = 0; i < all->s->certificates_n; i++)
            add_bundle(all->own, all->s->certificates[i].chain.bytes);
    }
    return find_in(all->own, x);
}

/* ---- what the certificate itself tells ---- */

static const X509_NAME *name_in(const GENERAL_NAMES *list)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(list, i);
        if (g->type == GEN_DIRNAME)
            return g->d.directoryName;
    }
    return NULL;
}

static enum certificate_origin by_key_identifier(X509 *x)
{
    AUTHORITY_KEYID *id = X509_get_ext_d2i(x, NID_authority_key_identifier, NULL, NULL);
    const X509_NAME *above = id != NULL ? name_in(id->issuer) : NULL;
    enum certificate_origin origin = ORIGIN_UNKNOWN;

    if (above != NULL)
        origin = X509_NAME_cmp(above, X509_get_issuer_name(x)) == 0 ? ORIGIN_ROOT : ORIGIN_INTERMEDIATE;
    AUTHORITY_KEYID_free(id);
    return origin;
}

/* 2.23.140.1.* : the Forum's policies: domain, organisation, individual and extended validation. */
static bool has_public_policy(X509 *x)
{
    CERTIFICATEPOLICIES *list = X509_get_ext_d2i(x, NID_certificate_policies, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_POLICYINFO_num(list) && !found; i++) {
        char oid[64];
        OBJ_obj2txt(oid, sizeof(oid), sk_POLICYINFO_value(list, i)->policyid, 1);
        found = strncmp(oid, "2.23.140.1.", 11) == 0;
    }
    CERTIFICATEPOLICIES_free(list);
    return found;
}

static bool is_public_server(X509 *x)
{
    return X509_check_ca(x) == 0 &&
           (X509_get_ext_by_NID(x, NID_ct_precert_scts, -1) >= 0 || has_public_policy(x));
}

static bool is_called(const char *name, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcasestr(name, *words) != NULL)
            return true;
    }
    return false;
}

static bool find_url(const X509 *x, struct str scheme, char ret[CERTIFICATE_TEXT])
{
    AUTHORITY_INFO_ACCESS *list = X509_get_ext_d2i(x, NID_info_access, NULL, NULL);

    ret[0] = '\0';
    for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(list) && ret[0] == '\0'; i++) {
        const ACCESS_DESCRIPTION *a = sk_ACCESS_DESCRIPTION_value(list, i);
        struct str url;
        if (OBJ_obj2nid(a->method) != NID_ad_ca_issuers || a->location->type != GEN_URI)
            continue;
        url.p = (const char *)ASN1_STRING_get0_data(a->location->d.uniformResourceIdentifier);
        url.n = (size_t)ASN1_STRING_length(a->location->d.uniformResourceIdentifier);
        if (!str_starts_nocase(url, scheme) || url.n >= CERTIFICATE_TEXT)
            continue;
        for (size_t k = 0; k <= url.n; k++)
            ret[k] = k == url.n ? '\0' : url.p[k] > 0x20 && url.p[k] < 0x7f ? url.p[k] : '?';
    }
    AUTHORITY_INFO_ACCESS_free(list);
    return ret[0] != '\0';
}

void certificate_issuer_url(const X509 *x, char ret[CERTIFICATE_TEXT])
{
    find_url(x, STR("http://"), ret);
}

static enum certificate_origin by_looks(X509 *x)
{
    static const char *const below[] = {"intermediate", "issuing", "subordinate", NULL};
    static const char *const top[] = {"root", NULL};
    char name[CERTIFICATE_TEXT], url[CERTIFICATE_TEXT];

    if (is_public_server(x))
        return ORIGIN_INTERMEDIATE;
    certificate_name(X509_get_issuer_name(x), name);
    if (is_called(name, below))
        return ORIGIN_INTERMEDIATE;
    if (is_called(name, top))
        return ORIGIN_UNKNOWN;
    /* An intermediate's own issuer is a root more often than not, whatever it publishes. */
    if (X509_check_ca(x) != 0 || find_url(x, STR("ldap:"), url))
        return ORIGIN_UNKNOWN;
    return find_url(x, STR("http://"), url) ? ORIGIN_INTERMEDIATE : ORIGIN_UNKNOWN;
}

enum certificate_origin certificate_origin(struct certificates *all, X509 *x, X509 **ret_issuer)
{
    enum certificate_origin origin;
    X509 *issuer = find_in_own(all, x);

    if (issuer == NULL || X509_self_signed(issuer, 0) != 1) {
        X509 *other = find_in_system(all, x);
        if (other != NULL) {
            X509_free(issuer);
            issuer = other;
        }
    }
    *ret_issuer = issuer;
    if (issuer != NULL)
        origin = X509_self_signed(issuer, 0) == 1 ? ORIGIN_ROOT : ORIGIN_INTERMEDIATE;
    else if ((origin = by_key_identifier(x)) == ORIGIN_UNKNOWN)
        origin = by_looks(x);
    tls_errors_drop();
    return origin;
}
