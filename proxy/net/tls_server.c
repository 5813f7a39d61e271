/*
 * What a TLS listener presents: a context for every set of certificates, chosen by server name (RFC 6066 3).
 *
 * Certificates of different key kinds for one name share a context, and OpenSSL gives each client the one that it can use.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <postern/certificates.h>
#include "tls_int.h"
#include "tls_names.h"
#include "tls_pem.h"
#include "tls_tickets.h"
#include "worker_int.h"

enum key_kind { KEY_RSA, KEY_EC, KEY_OTHER, KEY_KINDS };

struct server_certificate {
    const struct conf_certificate *conf;
    enum key_kind kind;
    EVP_PKEY *key;
    X509 *leaf;
    STACK_OF(X509) *chain; /* without the leaf */
};

/* Which certificate serves for each kind of key; -1: none. And whether clients are asked for theirs. */
struct certificate_set {
    int of[KEY_KINDS];
    int asks;
};

struct tls_server {
    OSSL_LIB_CTX *libctx;
    const struct conf_listener *conf;
    struct tls_ticket_use tickets; /* .tickets NULL: no resumption */
    struct server_certificate *certificates;
    unsigned certificates_n;
    struct tls_names names; /* value: index of the context */
    SSL_CTX **contexts;     /* [0]: clients that send no name, or one that nobody has */
    struct certificate_set *sets;
    unsigned contexts_n;
    STACK_OF(X509_NAME) *authorities; /* of client certificates; NULL: nobody is asked for one */
};

/* ---- what OpenSSL calls; all contexts of a server point at it until it is freed ---- */

static int server_index = -1;
static pthread_once_t server_index_once = PTHREAD_ONCE_INIT;

static void server_index_make(void)
{
    server_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static struct tls_server *server_of(SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), server_index);
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *t = server_of(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_name *found = t != NULL && name != NULL ? tls_names_find(&t->names, name) : NULL;

    if (found != NULL)
        SSL_set_SSL_CTX(ssl, t->contexts[found->value]);
    return SSL_TLSEXT_ERR_OK; /* an unknown name gets the first certificate, and 421 for what it asks */
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
                   unsigned in_n, void *arg)
{
    static const unsigned char http11[] = "\x08http/1.1";
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, out_n, http11, sizeof(http11) - 1, in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    struct tls_server *t = server_of(ssl);

    int r = t != NULL ? tls_ticket_crypt(&t->tickets, name, iv, cipher, mac, encrypt) : 0;

    /* TLS 1.3 clients use a ticket once (RFC 8446 C.4): without a new one every second handshake would be a full one. */
    return r == 1 && !encrypt && SSL_version(ssl) == TLS1_3_VERSION ? 2 : r;
}

static const struct conf_certificate *certificate_in_use(const struct tls_server *t, const X509 *leaf)
{
    for (unsigned i = 0; leaf != NULL && i < t->certificates_n; i++) {
        if (t->certificates[i].leaf == leaf)
            return t->certificates[i].conf;
    }
    return NULL;
}

static int on_status(SSL *ssl, void *arg)
{
    struct tls_server *t = server_of(ssl);
    const struct conf_certificate *c = t != NULL ? certificate_in_use(t, SSL_get_certificate(ssl)) : NULL;
    unsigned char *copy;

    if (c == NULL || c->ocsp.bytes.n == 0 || !certificate_staple_good(c))
        return SSL_TLSEXT_ERR_NOACK;
    copy = OPENSSL_memdup(c->ocsp.bytes.p, c->ocsp.bytes.n); /* OpenSSL frees it */
    if (copy == NULL || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)c->ocsp.bytes.n) != 1) {
        OPENSSL_free(copy);
        return SSL_TLSEXT_ERR_NOACK;
    }
    return SSL_TLSEXT_ERR_OK;
}

/* ---- client certificates ---- */

/* The key is proved by the handshake; whether the certificate is good is judged when the publication is known
 * (client_certificate.h). */
static int any_certificate(X509_STORE_CTX *c, void *arg)
{
    return 1;
}

/* The name in a server_name extension (RFC 6066 3); false: none. */
static bool hello_name(SSL *ssl, char out[TLS_NAME_MAX + 2])
{
    const unsigned char *p;
    size_t n, name_n;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) != 1 || n < 5 ||
        p[2] != TLSEXT_NAMETYPE_host_name)
        return false;
    name_n = (size_t)p[3] << 8 | p[4];
    if (name_n != n - 5 || name_n == 0 || name_n > TLS_NAME_MAX + 1 || memchr(p + 5, '\0', name_n) != NULL)
        return false;
    memcpy(out, p + 5, name_n);
    out[name_n] = '\0';
    return true;
}

/* Before OpenSSL looks for a session to resume: one that was begun without a certificate must not spare its client being asked. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *t = server_of(ssl);
    char name[TLS_NAME_MAX + 2];
    const struct tls_name *found =
        t != NULL && hello_name(ssl, name) ? tls_names_find(&t->names, name) : NULL;
    int i = found != NULL ? found->value : 0;

    if (t == NULL || !t->sets[i].asks)
        return SSL_CLIENT_HELLO_SUCCESS;
    SSL_set_SSL_CTX(ssl, t->contexts[i]);
    SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, NULL);
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    return SSL_set_num_tickets(ssl, 0) == 1 ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

/* Whether a publication that may serve the host asks for certificates: as requests are matched, the exact name before the
 * wildcard before any. */
static bool host_asks(const struct conf_listener *l, const char *name)
{
    char wildcard[TLS_NAME_MAX + 1] = "";
    const char *forms[3] = {name, tls_name_wildcard(name, wildcard) ? wildcard : NULL, "*"};

    for (int form = 0; form < 3; form++) {
        bool any = false, asks = false;
        for (size_t i = 0; forms[form] != NULL && i < l->publish_n; i++) {
            const struct conf_publish *p = &l->publish[i];
            for (size_t k = 0; k < p->hosts.n; k++) {
                if (!str_eq(p->hosts.v[k], str_of(forms[form])))
                    continue;
                any = true;
                asks = asks || p->client_certificate != CONF_CLIENT_OFF;
            }
        }
        if (any)
            return asks;
    }
    return false;
}

static bool authorities_add(struct tls_server *t, const struct conf_publish *p)
{
    STACK_OF(X509) *chain = tls_pem_chain(t->libctx, p->client_authorities.bytes);
    bool good = chain != NULL;

    for (int i = 0; good && i < sk_X509_num(chain); i++) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(sk_X509_value(chain, i)));
        good = name != NULL && sk_X509_NAME_push(t->authorities, name) > 0;
        if (!good)
            X509_NAME_free(name);
    }
    sk_X509_pop_free(chain, X509_free);
    return good;
}

/* Hosts get names of their own: a certificate may cover more of them than ask. */
static bool client_names_load(struct tls_server *t)
{
    const struct conf_listener *l = t->conf;
    bool good = true;

    for (size_t i = 0; i < l->publish_n; i++) {
        if (l->publish[i].client_certificate == CONF_CLIENT_OFF)
            continue;
        if (t->authorities == NULL && (t->authorities = sk_X509_NAME_new_null()) == NULL)
            return false;
        good = good && authorities_add(t, &l->publish[i]);
    }
    for (size_t i = 0; t->authorities != NULL && good && i < l->publish_n; i++) {
        for (size_t k = 0; good && k < l->publish[i].hosts.n; k++) {
            char name[TLS_NAME_MAX + 1];
            if (tls_name_normal(l->publish[i].hosts.v[k].p, name) && strcmp(name, "*") != 0)
                good = tls_names_add_name(&t->names, name);
        }
    }
    tls_names_sort(&t->names);
    return good;
}

/* ---- certificates ---- */

static bool certificate_finding(const struct conf_certificate *c, struct conf_findings *f, const char *what)
{
    char text[200];

    tls_errors_take(text, sizeof(text));
    conf_finding_add(f, CONF_ERROR, c->mark, "certificate `%.*s`: %s: %s", STR_ARG(c->name), what, text);
    return false;
}

static bool certificate_load(struct tls_server *t, struct server_certificate *c,
                             const struct conf_certificate *conf, struct conf_findings *f)
{
    c->conf = conf;
    c->key = tls_pem_key(t->libctx, conf);
    if (c->key == NULL)
        return certificate_finding(conf, f, "the key cannot be read");
    c->kind = EVP_PKEY_is_a(c->key, "RSA") ? KEY_RSA : EVP_PKEY_is_a(c->key, "EC") ? KEY_EC : KEY_OTHER;
    c->chain = tls_pem_chain(t->libctx, conf->chain.bytes);
    if (c->chain == NULL)
        return certificate_finding(conf, f, "the chain cannot be read");
    c->leaf = sk_X509_shift(c->chain);
    if (c->leaf == NULL)
        return certificate_finding(conf, f, "the file holds no certificate");
    return tls_names_add(&t->names, c->leaf);
}

static bool certificates_load(struct tls_server *t, const struct conf_listener *l, struct conf_findings *f)
{
    t->certificates = calloc(l->certificates_n, sizeof(*t->certificates));
    for (size_t i = 0; t->certificates != NULL && i < l->certificates_n; i++) {
        t->certificates_n++;
        if (!certificate_load(t, &t->certificates[i], l->certificates[i], f))
            return false;
    }
    return t->certificates != NULL && client_names_load(t);
}

/* ---- sets ---- */

/* The first certificate of each kind wins. */
static void set_fill(const struct tls_server *t, struct certificate_set *set, const char *name)
{
    for (unsigned i = 0; i < t->certificates_n; i++) {
        const struct server_certificate *c = &t->certificates[i];

        if (set->of[c->kind] < 0 && tls_names_has(c->leaf, name))
            set->of[c->kind] = (int)i;
    }
}

static struct certificate_set set_for(const struct tls_server *t, const char *name)
{
    struct certificate_set set = {{-1, -1, -1}, 0};
    char wildcard[TLS_NAME_MAX + 1];

    set_fill(t, &set, name);
    if (tls_name_wildcard(name, wildcard))
        set_fill(t, &set, wildcard);
    return set;
}

/* The first certificate, and those of other kinds that a client of one of its names would get. */
static struct certificate_set set_default(const struct tls_server *t)
{
    struct certificate_set set = {{-1, -1, -1}, 0};

    for (unsigned i = 0; i < t->names.n; i++) {
        if (tls_names_has(t->certificates[0].leaf, t->names.v[i].name)) {
            set = set_for(t, t->names.v[i].name);
            break;
        }
    }
    set.of[t->certificates[0].kind] = 0;
    for (unsigned i = 0; t->authorities != NULL && !set.asks && i < t->names.n; i++)
        set.asks = tls_names_has(t->certificates[0].leaf, t->names.v[i].name) &&
                   host_asks(t->conf, t->names.v[i].name);
    return set;
}

/* A host that no certificate names gets the first, as it would without a name of its own. */
static struct certificate_set set_named(const struct tls_server *t, const char *name)
{
    struct certificate_set set = set_for(t, name);
    bool any = false;

    for (int k = 0; k < KEY_KINDS; k++)
        any = any || set.of[k] >= 0;
    if (!any)
        set = set_default(t);
    set.asks = t->authorities != NULL && host_asks(t->conf, name);
    return set;
}

/* ---- contexts ---- */

static bool context_certificates(const struct tls_server *t, SSL_CTX *ctx, const struct certificate_set *set,
                                 struct conf_findings *f)
{
    for (int k = 0; k < KEY_KINDS; k++) {
        const struct server_certificate *c = set->of[k] >= 0 ? &t->certificates[set->of[k]] : NULL;

        if (c != NULL && SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1) != 1)
            return certificate_finding(c->conf, f, "it cannot be used");
    }
    return true;
}

static bool context_profile(SSL_CTX *ctx, const struct tls_profile *p)
{
    SSL_CTX_set_security_level(ctx, p->security_level);
    if (p->server_order)
        SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    return SSL_CTX_set_min_proto_version(ctx, p->min_version) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, p->max_version) == 1 &&
           SSL_CTX_set_cipher_list(ctx, p->ciphers) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, p->ciphersuites) == 1 &&
           SSL_CTX_set1_groups_list(ctx, p->groups) == 1 && SSL_CTX_set1_sigalgs_list(ctx, p->sigalgs) == 1 &&
           SSL_CTX_set_dh_auto(ctx, 1) == 1;
}

/* A ticket is good for listeners of the same profile, on every worker and machine that has the keys. */
static bool context_sessions(struct tls_server *t, SSL_CTX *ctx, const struct tls_profile *p)
{
    char id[SSL_MAX_SID_CTX_LENGTH + 1] = "";

    snprintf(id, sizeof(id), "postern %s", p->name);
    if (t->tickets.tickets == NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ctx, 0) == 1;
    }
    SSL_CTX_set_timeout(ctx, (long)tls_tickets_lifetime_s(t->tickets.tickets));
    return SSL_CTX_set_session_id_context(ctx, (const unsigned char *)id, (unsigned)strlen(id)) == 1 &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}

/* Whom clients are told to have a certificate from. */
static bool context_authorities(const struct tls_server *t, SSL_CTX *ctx, const struct certificate_set *set)
{
    STACK_OF(X509_NAME) *names = set->asks ? SSL_dup_CA_list(t->authorities) : NULL;

    SSL_CTX_set_client_CA_list(ctx, names);
    return names != NULL || !set->asks;
}

static SSL_CTX *context_new(struct tls_server *t, const struct certificate_set *set, struct conf_findings *f)
{
    const struct tls_profile *p = tls_profile_row(t->conf->tls);
    SSL_CTX *ctx = SSL_CTX_new_ex(t->libctx, NULL, TLS_server_method());

    if (ctx == NULL)
        return NULL;
    tls_ctx_prepare(ctx);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    if (t->authorities != NULL)
        SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, any_certificate, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    if (SSL_CTX_set_ex_data(ctx, server_index, t) == 1 && context_profile(ctx, p) &&
        context_sessions(t, ctx, p) && context_authorities(t, ctx, set) &&
        context_certificates(t, ctx, set, f))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* The context's index, made when it is the first with this set; -1. */
static int context_for(struct tls_server *t, const struct certificate_set *set, struct conf_findings *f)
{
    for (unsigned i = 0; i < t->contexts_n; i++) {
        if (memcmp(&t->sets[i], set, sizeof(*set)) == 0)
            return (int)i;
    }
    t->contexts[t->contexts_n] = context_new(t, set, f);
    if (t->contexts[t->contexts_n] == NULL)
        return -1;
    t->sets[t->contexts_n] = *set;
    return (int)t->contexts_n++;
}

static bool contexts_make(struct tls_server *t, struct conf_findings *f)
{
    struct certificate_set set = set_default(t);

    t->contexts = calloc(t->names.n + 1, sizeof(*t->contexts));
    t->sets = calloc(t->names.n + 1, sizeof(*t->sets));
    if (t->contexts == NULL || t->sets == NULL || context_for(t, &set, f) < 0)
        return false;
    for (unsigned i = 0; i < t->names.n; i++) {
        set = set_named(t, t->names.v[i].name);
        t->names.v[i].value = context_for(t, &set, f);
        if (t->names.v[i].value < 0)
            return false;
    }
    return true;
}

/* ---- the server ---- */

static bool server_make(struct tls_server *t, struct tls_tickets *tickets, struct conf_findings *f)
{
    if (tickets != NULL && tls_tickets_usable(tickets)) {
        t->tickets =
            (struct tls_ticket_use){tickets, t->libctx, EVP_CIPHER_fetch(t->libctx, "AES-256-CBC", NULL)};
        if (t->tickets.aes == NULL)
            return false;
    }
    return server_index >= 0 && certificates_load(t, t->conf, f) && contexts_make(t, f);
}

struct tls_server *tls_server_new(struct worker *w, const struct conf_listener *l,
                                  struct tls_tickets *tickets, struct conf_findings *f)
{
    struct tls_server *t = calloc(1, sizeof(*t));
    size_t errors = conf_findings_count(f, CONF_ERROR);
    char text[200];

    if (t == NULL) {
        conf_finding_add(f, CONF_ERROR, l->mark, "out of memory");
        return NULL;
    }
    pthread_once(&server_index_once, server_index_make);
    t->libctx = w->libctx;
    t->conf = l;
    if (server_make(t, tickets, f)) {
        tls_errors_drop();
        return t;
    }
    tls_errors_take(text, sizeof(text));
    if (conf_findings_count(f, CONF_ERROR) == errors)
        conf_finding_add(f, CONF_ERROR, l->mark, "the listener's TLS cannot be set up: %s", text);
    tls_server_free(t);
    return NULL;
}

void tls_server_free(struct tls_server *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->contexts_n; i++) {
        SSL_CTX_set_ex_data(t->contexts[i], server_index, NULL);
        SSL_CTX_free(t->contexts[i]);
    }
    for (unsigned i = 0; i < t->certificates_n; i++) {
        X509_free(t->certificates[i].leaf);
        sk_X509_pop_free(t->certificates[i].chain, X509_free);
        EVP_PKEY_free(t->certificates[i].key);
    }
    tls_names_free(&t->names);
    sk_X509_NAME_pop_free(t->authorities, X509_NAME_free);
    EVP_CIPHER_free(t->tickets.aes);
    free(t->certificates);
    free(t->contexts);
    free(t->sets);
    free(t);
}

SSL_CTX *tls_server_ctx(struct tls_server *t)
{
    return t->contexts[0];
}
