/*
 * How a backend is spoken to: verification of chain, name and key, and sessions to resume.
 *
 * A full handshake as a client costs about a millisecond, half of it for decoding certificates, so sessions are always
 * resumed. What was verified when a session began holds for it: contexts and sessions end with their configuration.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <postern/str.h>
#include "tls_int.h"
#include "tls_pem.h"
#include "worker_int.h"

#define PIN_BYTES 32

struct tls_session_slot {
    unsigned refs; /* the owner's, and one per SSL */
    bool literal;
    SSL_SESSION *session;
    char name[];
};

struct tls_client {
    SSL_CTX *ctx;
    EVP_MD *sha256;
    bool verify;
    char *expected_name;
    unsigned char (*pins)[PIN_BYTES];
    size_t pins_n;
};

static int slot_index = -1, client_index = -1;
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

/* ---- slots ---- */

struct tls_session_slot *tls_session_slot_new(const char *name)
{
    struct tls_session_slot *s = calloc(1, sizeof(*s) + strlen(name) + 1);
    unsigned char address[16];

    if (s == NULL)
        return NULL;
    memcpy(s->name, name, strlen(name));
    s->literal = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
    s->refs = 1;
    return s;
}

void tls_session_slot_free(struct tls_session_slot *s)
{
    if (s == NULL || --s->refs > 0)
        return;
    SSL_SESSION_free(s->session);
    free(s);
}

void tls_session_slot_store(struct tls_session_slot *s, SSL_SESSION *session)
{
    SSL_SESSION_free(s->session);
    s->session = session;
}

static void on_ssl_freed(void *parent, void *slot, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    tls_session_slot_free(slot);
}

static void index_make(void)
{
    slot_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_freed);
    client_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session_slot *s = SSL_get_ex_data(ssl, slot_index);

    if (s == NULL)
        return 0;
    tls_session_slot_store(s, session);
    return 1;
}

/* A TLS 1.3 session is marked unfit once its successor has come: each connection takes a copy. */
static SSL_SESSION *slot_session(struct tls_session_slot *s)
{
    SSL_SESSION *session = s->session;

    if (session == NULL || !SSL_SESSION_is_resumable(session))
        return NULL;
    if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
        return SSL_SESSION_dup(session);
    SSL_SESSION_up_ref(session);
    return session;
}

/* ---- verification ---- */

static bool pin_matches(const struct tls_client *c, X509 *leaf)
{
    unsigned char *der = NULL, digest[PIN_BYTES];
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
    bool good = n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, c->sha256, NULL) == 1, found = false;

    OPENSSL_free(der);
    for (size_t i = 0; good && i < c->pins_n; i++)
        found = found || memcmp(c->pins[i], digest, PIN_BYTES) == 0;
    return found;
}

static int on_verify(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_client *c = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), client_index);

    if (c == NULL)
        return 0;
    if (!good && c->verify)
        return 0;
    if (X509_STORE_CTX_get_error_depth(store) > 0 || c->pins_n == 0 ||
        pin_matches(c, X509_STORE_CTX_get0_cert(store)))
        return 1;
    tls_refuse(ssl, "the server's key is none of spki_pins");
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static bool expect_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);

    if (name[0] == '\0') /* to OpenSSL that means: any name */
        return false;
    if (X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1)
        return true;
    tls_errors_drop(); /* it is no address */
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(p, name, 0) == 1;
}

/* ---- contexts ---- */

static bool trust_file(X509_STORE *store, OSSL_LIB_CTX *libctx, const struct conf_backend *b,
                       struct conf_findings *f)
{
    STACK_OF(X509) *all = tls_pem_chain(libctx, b->trust.bytes);
    int n = sk_X509_num(all);
    bool good = n > 0;

    for (int i = 0; good && i < n; i++)
        good = X509_STORE_add_cert(store, sk_X509_value(all, i)) == 1;
    sk_X509_pop_free(all, X509_free);
    if (!good)
        conf_finding_add(
            f, CONF_ERROR, b->trust.mark,
            "backend `%.*s`: %.*s holds no certificate that can be used: it must be PEM, the authorities that "
            "sign the servers' certificates",
            STR_ARG(b->name), STR_ARG(b->trust.path));
    return good;
}

static bool context_trust(SSL_CTX *ctx, OSSL_LIB_CTX *libctx, const struct conf_backend *b,
                          struct conf_findings *f)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);

    if (!b->verify)
        return true;
    /* An interior authority is often given without its root: any certificate of the file is trusted by itself. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    if (b->trust.path.p != NULL)
        return trust_file(store, libctx, b, f);
    return SSL_CTX_set_default_verify_paths(ctx) == 1;
}

/* Interior servers on Windows before 2016 have GCM only with ECDSA or DHE, so CBC and RSA key exchange stay at TLS 1.2. */
static bool context_floor(SSL_CTX *ctx, const struct conf_backend *b)
{
    static const int levels[CONF_TLS_COUNT] = {
        [CONF_TLS_MODERN] = 2, [CONF_TLS_INTERMEDIATE] = 2, [CONF_TLS_COMPAT12] = 1, [CONF_TLS_LEGACY10] = 0};

    SSL_CTX_set_security_level(ctx, levels[b->tls_floor]);
    if (b->tls_floor == CONF_TLS_LEGACY10) /* servers without RFC 5746 */
        SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
    return SSL_CTX_set_min_proto_version(ctx, tls_profile_row(b->tls_floor)->min_version) == 1 &&
           SSL_CTX_set_cipher_list(
               ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:RSA+AESGCM:RSA+AES:"
                    "!aNULL:!eNULL:!PSK:!SRP:!AESCCM") == 1;
}

static bool context_pins(struct tls_client *c, const struct conf_backend *b)
{
    c->pins = calloc(b->spki_pins.n + 1, PIN_BYTES);
    for (size_t i = 0; c->pins != NULL && i < b->spki_pins.n; i++) {
        if (str_base64_decode(b->spki_pins.v[i], c->pins[c->pins_n], PIN_BYTES) == PIN_BYTES)
            c->pins_n++;
    }
    return c->pins != NULL && c->pins_n == b->spki_pins.n;
}

static bool client_make(struct tls_client *c, OSSL_LIB_CTX *libctx, const struct conf_backend *b,
                        struct conf_findings *f)
{
    c->ctx = SSL_CTX_new_ex(libctx, NULL, TLS_client_method());
    c->sha256 = EVP_MD_fetch(libctx, "SHA256", NULL);
    c->verify = b->verify;
    if (b->expected_name.p != NULL && (c->expected_name = str_dup(b->expected_name)) == NULL)
        return false;
    if (c->ctx == NULL || c->sha256 == NULL || SSL_CTX_set_ex_data(c->ctx, client_index, c) != 1)
        return false;
    tls_ctx_prepare(c->ctx);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, on_session);
    SSL_CTX_set_verify(c->ctx, b->verify || b->spki_pins.n > 0 ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                       on_verify);
    return context_pins(c, b) && context_floor(c->ctx, b) && context_trust(c->ctx, libctx, b, f);
}

struct tls_client *tls_client_new(struct worker *w, const struct conf_backend *b, struct conf_findings *f)
{
    struct tls_client *c = calloc(1, sizeof(*c));
    size_t errors = conf_findings_count(f, CONF_ERROR);
    char text[200];

    if (c == NULL) {
        conf_finding_add(f, CONF_ERROR, b->mark, "out of memory");
        return NULL;
    }
    pthread_once(&index_once, index_make);
    if (slot_index >= 0 && client_index >= 0 && client_make(c, w->libctx, b, f)) {
        tls_errors_drop();
        return c;
    }
    tls_errors_take(text, sizeof(text));
    if (conf_findings_count(f, CONF_ERROR) == errors)
        conf_finding_add(f, CONF_ERROR, b->mark, "backend `%.*s`: TLS cannot be set up: %s", STR_ARG(b->name),
                         text);
    tls_client_free(c);
    return NULL;
}

void tls_client_free(struct tls_client *c)
{
    if (c == NULL)
        return;
    if (c->ctx != NULL)
        SSL_CTX_set_ex_data(c->ctx, client_index, NULL); /* a handshake that is still under way is refused */
    SSL_CTX_free(c->ctx);
    EVP_MD_free(c->sha256);
    free(c->expected_name);
    free(c->pins);
    free(c);
}

/* ---- connections ---- */

static bool ssl_slot(SSL *ssl, struct tls_session_slot *slot)
{
    SSL_SESSION *session = slot_session(slot);
    bool good = true;

    if (session != NULL)
        good = SSL_set_session(ssl, session) == 1;
    SSL_SESSION_free(session);
    if (!slot->literal)
        good = good && SSL_set_tlsext_host_name(ssl, slot->name) == 1;
    if (!good || SSL_set_ex_data(ssl, slot_index, slot) != 1)
        return false;
    slot->refs++;
    return true;
}

SSL *tls_client_ssl(struct tls_client *c, struct tls_session_slot *slot)
{
    SSL *ssl = SSL_new(c->ctx);
    const char *name = c->expected_name != NULL ? c->expected_name : slot != NULL ? slot->name : NULL;

    if (ssl == NULL)
        return NULL;
    if ((slot == NULL || ssl_slot(ssl, slot)) && (!c->verify || (name != NULL && expect_name(ssl, name))))
        return ssl;
    SSL_free(ssl);
    return NULL;
}
