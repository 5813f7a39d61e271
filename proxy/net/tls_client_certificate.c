/*
 * Client certificates: the chain, the lists of what is revoked, the name.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <postern/client_certificate.h>
#include "tls_conn.h"
#include "tls_pem.h"

#define UPN_OID "1.3.6.1.4.1.311.20.2.3" /* szOID_NT_PRINCIPAL_NAME */

struct client_trust {
    X509_STORE *store;
    enum conf_client_account account;
};

/* ---- authorities and lists ---- */

static struct client_trust *trust_fault(struct client_trust *t, const struct conf_publish *p,
                                        struct conf_findings *f, const char *option, const char *what)
{
    tls_errors_drop();
    conf_finding_add(f, CONF_ERROR, p->mark, "`%s`: %s", option, what);
    client_trust_free(t);
    return NULL;
}

/* An intermediate may stand for its root: who trusts the issuing authority trusts all that it issued. */
static bool authorities_add(struct client_trust *t, struct str pem)
{
    STACK_OF(X509) *chain = tls_pem_chain(NULL, pem);
    bool good = chain != NULL && sk_X509_num(chain) > 0;

    for (int i = 0; good && i < sk_X509_num(chain); i++)
        good = X509_STORE_add_cert(t->store, sk_X509_value(chain, i)) == 1;
    sk_X509_pop_free(chain, X509_free);
    return good;
}

static bool list_add(struct client_trust *t, X509_CRL *list, const struct conf_publish *p,
                     struct conf_findings *f)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(list);

    if (next != NULL && X509_cmp_current_time(next) < 0)
        conf_finding_add(
            f, CONF_WARNING, p->mark,
            "`client_revocations`: a list has passed its next update: its authority's certificates are refused "
            "until there is a newer one");
    return X509_STORE_add_crl(t->store, list) == 1;
}

static bool lists_add(struct client_trust *t, const struct conf_publish *p, struct conf_findings *f)
{
    struct str pem = p->client_revocations.bytes;
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509_CRL *list;
    bool good = b != NULL;
    int n = 0;

    while (good && (list = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL)) != NULL) {
        good = list_add(t, list, p, f);
        X509_CRL_free(list);
        n++;
    }
    BIO_free(b);
    return good && n > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

struct client_trust *client_trust_new(const struct conf_publish *p, struct conf_findings *f)
{
    struct client_trust *t = calloc(1, sizeof(*t));
    X509_VERIFY_PARAM *param;

    if (t == NULL || (t->store = X509_STORE_new()) == NULL)
        return trust_fault(t, p, f, "client_authorities", "out of memory");
    t->account = p->client_account;
    param = X509_STORE_get0_param(t->store);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
    X509_VERIFY_PARAM_set_auth_level(param, 1);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    if (!authorities_add(t, p->client_authorities.bytes))
        return trust_fault(t, p, f, "client_authorities",
                           "the file holds no certificate, or one that cannot be read");
    if (p->client_revocations.bytes.p != NULL && p->client_revocations.bytes.n > 0) {
        if (!lists_add(t, p, f))
            return trust_fault(t, p, f, "client_revocations",
                               "the file holds no revocation list in PEM, or one that cannot be read");
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    }
    tls_errors_drop();
    return t;
}

void client_trust_free(struct client_trust *t)
{
    if (t == NULL)
        return;
    X509_STORE_free(t->store);
    free(t);
}

/* ---- the name ---- */

static bool text_take(const unsigned char *p, int n, char out[CLIENT_ACCOUNT_MAX + 1])
{
    if (n <= 0 || n > CLIENT_ACCOUNT_MAX)
        return false;
    for (int i = 0; i < n; i++) {
        if (p[i] < 0x20 || p[i] == 0x7f)
            return false;
    }
    memcpy(out, p, (size_t)n);
    out[n] = '\0';
    return true;
}

static bool name_take(const GENERAL_NAME *g, enum conf_client_account from, char out[CLIENT_ACCOUNT_MAX + 1])
{
    char oid[64] = "";

    if (from == CONF_CLIENT_EMAIL && g->type == GEN_EMAIL)
        return text_take(ASN1_STRING_get0_data(g->d.rfc822Name), ASN1_STRING_length(g->d.rfc822Name), out);
    if (from != CONF_CLIENT_UPN || g->type != GEN_OTHERNAME ||
        g->d.otherName->value->type != V_ASN1_UTF8STRING)
        return false;
    (void)OBJ_obj2txt(oid, sizeof(oid), g->d.otherName->type_id, 1);
    return strcmp(oid, UPN_OID) == 0 && text_take(g->d.otherName->value->value.utf8string->data,
                                                  g->d.otherName->value->value.utf8string->length, out);
}

/* The last one is the most specific (X.501). */
static bool common_name_take(X509 *x, char out[CLIENT_ACCOUNT_MAX + 1])
{
    X509_NAME *subject = X509_get_subject_name(x);
    unsigned char *utf8 = NULL;
    int at = -1, next, n;
    bool good;

    while ((next = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
        at = next;
    n = at < 0 ? -1 : ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    good = n > 0 && text_take(utf8, n, out);
    OPENSSL_free(utf8);
    return good;
}

static bool account_take(X509 *x, enum conf_client_account from, char out[CLIENT_ACCOUNT_MAX + 1])
{
    GENERAL_NAMES *names;
    bool found = false;

    if (from == CONF_CLIENT_CN)
        return common_name_take(x, out);
    names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++)
        found = name_take(sk_GENERAL_NAME_value(names, i), from, out);
    GENERAL_NAMES_free(names);
    return found;
}

/* ---- the judgement ---- */

/* The client's own certificate needs a list; those above it are looked up where there is one of their issuer. */
static int list_not_needed(int ok, X509_STORE_CTX *c)
{
    int error = X509_STORE_CTX_get_error(c);

    if (ok || X509_STORE_CTX_get_error_depth(c) == 0 ||
        (error != X509_V_ERR_UNABLE_TO_GET_CRL && error != X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER))
        return ok;
    X509_STORE_CTX_set_error(c, X509_V_OK);
    return 1;
}

static int chain_verify(const struct client_trust *t, X509 *leaf, STACK_OF(X509) *chain)
{
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    int error = X509_V_ERR_OUT_OF_MEM;

    if (c != NULL && X509_STORE_CTX_init(c, t->store, leaf, chain) == 1) {
        X509_STORE_CTX_set_verify_cb(c, list_not_needed);
        error = X509_verify_cert(c) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(c);
        if (error == X509_V_OK && X509_STORE_CTX_get_error(c) != X509_V_OK)
            error = X509_STORE_CTX_get_error(c);
    }
    X509_STORE_CTX_free(c);
    return error;
}

void client_certificate_judge(const struct stream *s, const struct client_trust *t,
                              struct client_identity *ret)
{
    SSL *ssl = s->tls != NULL ? s->tls->ssl : NULL;
    X509 *leaf = ssl != NULL ? SSL_get0_peer_certificate(ssl) : NULL;
    int error;

    *ret = (struct client_identity){.state = CLIENT_CERTIFICATE_NONE, .why = ""};
    if (leaf == NULL)
        return;
    ret->state = CLIENT_CERTIFICATE_BAD;
    (void)X509_NAME_oneline(X509_get_subject_name(leaf), ret->subject, sizeof(ret->subject));
    error = chain_verify(t, leaf, SSL_get_peer_cert_chain(ssl));
    if (error != X509_V_OK)
        ret->why = X509_verify_cert_error_string(error);
    else if (!account_take(leaf, t->account, ret->account))
        ret->why = "it has no name of the wanted kind";
    else
        ret->state = CLIENT_CERTIFICATE_GOOD;
    tls_errors_drop();
}
