/*
 * What OpenSSL does for the trials: it says what Postern's TLS profiles mean, and completes handshakes within a device's
 * limits. Nothing is verified here: what a device thinks of a certificate is in rules.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <postern/tls.h>
#include "trial_int.h"

/* ---- profiles ---- */

static const char *const costs[CONF_TLS_COUNT] = {
    [CONF_TLS_MODERN] = "",
    [CONF_TLS_INTERMEDIATE] = "TLS 1.2",
    [CONF_TLS_COMPAT12] = "CBC at TLS 1.2",
    [CONF_TLS_LEGACY10] = "TLS 1.0 and 1.1, and RSA key exchange without forward secrecy",
};

static void take_suites(STACK_OF(SSL_CIPHER) *list, struct trial_codes *ret)
{
    for (int i = 0; i < sk_SSL_CIPHER_num(list); i++)
        trial_codes_add(ret, SSL_CIPHER_get_protocol_id(sk_SSL_CIPHER_value(list, i)));
}

/* "X25519:P-256", "ECDSA+SHA256:RSA-PSS+SHA384": OpenSSL's words into those of the registry. */
static bool take_words(enum trial_table table, const char *list, struct trial_codes *ret)
{
    static const char *const words[][2] = {
        {"P-256", "secp256r1"},
        {"P-384", "secp384r1"},
        {"P-521", "secp521r1"},
        {"ECDSA+SHA1", "ecdsa_sha1"},
        {"ECDSA+SHA256", "ecdsa_sha256"},
        {"ECDSA+SHA384", "ecdsa_sha384"},
        {"ECDSA+SHA512", "ecdsa_sha512"},
        {"RSA+SHA1", "rsa_sha1"},
        {"RSA+SHA256", "rsa_sha256"},
        {"RSA+SHA384", "rsa_sha384"},
        {"RSA+SHA512", "rsa_sha512"},
        {"RSA-PSS+SHA256", "rsa_pss_rsae_sha256"},
        {"RSA-PSS+SHA384", "rsa_pss_rsae_sha384"},
        {"RSA-PSS+SHA512", "rsa_pss_rsae_sha512"},
    };
    struct str rest = str_of(list), word;
    uint32_t code;

    while (str_next(&rest, ':', &word)) {
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            if (str_eq_nocase(word, str_of(words[i][0]))) {
                word = str_of(words[i][1]);
                break;
            }
        }
        if (!trial_code_parse(table, word, &code) || !trial_codes_add(ret, code))
            return false;
    }
    return true;
}

/* OpenSSL counts SHA-1 as 64 bits: from security level 1 on it signs nothing with it. */
static void drop_sha1(struct trial_codes *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->n; i++) {
        if (c->v[i] >> 8 != 2)
            c->v[n++] = c->v[i];
    }
    c->n = n;
}

int trial_policy_of_profile(struct trial_policy *ret, enum conf_tls id)
{
    static struct str http11[] = {{"http/1.1", 8}};
    const struct tls_profile *p = tls_profile_row(id);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int result = -1;

    *ret = (struct trial_policy){.name = str_of(p->name),
                                 .title = str_of(p->doc),
                                 .cost = str_of(costs[id]),
                                 .min = (unsigned)p->min_version,
                                 .max = (unsigned)p->max_version,
                                 .server_order = p->server_order,
                                 .prioritize_chacha = p->server_order,
                                 .alpn = {http11, 1}};
    if (ctx != NULL && SSL_CTX_set_cipher_list(ctx, p->ciphers) == 1 &&
        SSL_CTX_set_ciphersuites(ctx, p->ciphersuites) == 1 &&
        take_words(TRIAL_GROUPS, p->groups, &ret->groups) &&
        take_words(TRIAL_SIGNATURES, p->sigalgs, &ret->signatures)) {
        take_suites(SSL_CTX_get_ciphers(ctx), &ret->suites);
        result = 0;
    }
    if (p->security_level > 0)
        drop_sha1(&ret->signatures);
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return result;
}

/* ---- handshakes ---- */

struct trial_session {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    int64_t deadline_ms;
};

static const SSL_CIPHER *cipher_of(SSL *ssl, uint32_t suite)
{
    const unsigned char bytes[2] = {(unsigned char)(suite >> 8), (unsigned char)suite};

    return suite <= 0xffff ? SSL_CIPHER_find(ssl, bytes) : NULL;
}

bool trial_tls_can(const struct trial_device *d, unsigned version, uint32_t suite)
{
    SSL_CTX *ctx = version >= TRIAL_TLS10 ? SSL_CTX_new(TLS_client_method()) : NULL;
    SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    bool can = ssl != NULL && trial_codes_has(&d->tls.suites, suite) && cipher_of(ssl, suite) != NULL;

    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return can;
}

static bool limit_suites(SSL *ssl, const struct trial_device *d, bool tls13)
{
    char list[4096] = "";
    size_t n = 0;

    for (unsigned i = 0; i < d->tls.suites.n; i++) {
        const SSL_CIPHER *c = cipher_of(ssl, d->tls.suites.v[i]);
        const char *name = c != NULL ? SSL_CIPHER_get_name(c) : NULL;

        if (name == NULL || (strncmp(name, "TLS_", 4) == 0) != tls13 || n + strlen(name) + 2 > sizeof(list))
            continue;
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n > 0 ? ":" : "", name);
    }
    if (n == 0)
        return !tls13 || SSL_set_ciphersuites(ssl, "") == 1;
    return tls13 ? SSL_set_ciphersuites(ssl, list) == 1 : SSL_set_cipher_list(ssl, list) == 1;
}

static bool limit_groups(SSL *ssl, const struct trial_device *d)
{
    static const struct {
        uint32_t code;
        int nid;
    } known[] = {{23, NID_X9_62_prime256v1},
                 {24, NID_secp384r1},
                 {25, NID_secp521r1},
                 {29, NID_X25519},
                 {30, NID_X448}};
    int groups[8];
    size_t n = 0;

    for (unsigned i = 0; i < d->tls.groups.n; i++) {
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            if (known[k].code == d->tls.groups.v[i] && n < 8)
                groups[n++] = known[k].nid;
        }
    }
    return n == 0 || SSL_set1_groups(ssl, groups, n) == 1;
}

static bool limit_signatures(SSL *ssl, const struct trial_device *d)
{
    static const struct {
        uint32_t code;
        const char *name;
    } known[] = {{0x0201, "RSA+SHA1"},
                 {0x0203, "ECDSA+SHA1"},
                 {0x0401, "RSA+SHA256"},
                 {0x0403, "ECDSA+SHA256"},
                 {0x0501, "RSA+SHA384"},
                 {0x0503, "ECDSA+SHA384"},
                 {0x0601, "RSA+SHA512"},
                 {0x0603, "ECDSA+SHA512"},
                 {0x0804, "rsa_pss_rsae_sha256"},
                 {0x0805, "rsa_pss_rsae_sha384"},
                 {0x0806, "rsa_pss_rsae_sha512"},
                 {0x0301, "RSA+SHA224"},
                 {0x0303, "ECDSA+SHA224"}};
    char list[1024] = "";
    size_t n = 0;
    struct trial_codes seen = {.n = 0};

    for (unsigned i = 0; i < d->tls.signatures.n; i++) {
        uint32_t code = d->tls.signatures.v[i];

        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            if (known[k].code != code || trial_codes_has(&seen, code))
                continue;
            trial_codes_add(&seen, code);
            n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n > 0 ? ":" : "", known[k].name);
        }
    }
    return n == 0 || SSL_set1_sigalgs_list(ssl, list) == 1;
}

static bool limit_alpn(SSL *ssl, const struct trial_device *d)
{
    unsigned char list[512];
    unsigned n = 0;

    /* What follows is HTTP/1.1, whatever else the device could speak. */
    for (size_t i = 0; i < d->tls.alpn.n; i++) {
        if (str_eq(d->tls.alpn.v[i], STR("http/1.1"))) {
            list[n++] = 8;
            memcpy(list + n, "http/1.1", 8);
            n += 8;
        }
    }
    return n == 0 || SSL_set_alpn_protos(ssl, list, n) == 0;
}

static bool limit(SSL *ssl, const struct trial_device *d, const char *name, unsigned min, unsigned max)
{
    SSL_set_security_level(ssl, 0);
    SSL_set_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_NO_TICKET);
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return SSL_set_min_proto_version(ssl, (int)min) == 1 && SSL_set_max_proto_version(ssl, (int)max) == 1 &&
           limit_suites(ssl, d, false) && limit_suites(ssl, d, true) && limit_groups(ssl, d) &&
           limit_signatures(ssl, d) && limit_alpn(ssl, d) &&
           (!d->tls.sni || SSL_set_tlsext_host_name(ssl, name) == 1);
}

static void say_why(const char *what, char why[TRIAL_TEXT])
{
    unsigned long e = ERR_peek_error();
    const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;

    snprintf(why, TRIAL_TEXT, "%s%s%s", what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
    ERR_clear_error();
}

/* Waits for what OpenSSL wants; false: late or failed. */
static bool again(const struct trial_session *s, int rc)
{
    int what = SSL_get_error(s->ssl, rc);

    if (what == SSL_ERROR_WANT_READ)
        return trial_wait(s->fd, false, s->deadline_ms);
    return what == SSL_ERROR_WANT_WRITE && trial_wait(s->fd, true, s->deadline_ms);
}

static bool handshake(struct trial_session *s)
{
    int rc;

    while ((rc = SSL_connect(s->ssl)) != 1) {
        if (!again(s, rc))
            return false;
    }
    return true;
}

struct trial_session *trial_tls_connect(const struct trial_device *d, const struct trial_target *t,
                                        unsigned min, unsigned max, struct trial_outcome *o,
                                        struct trial_certificate *ret_leaf, char why[TRIAL_TEXT])
{
    struct trial_session *s = calloc(1, sizeof(*s));
    X509 *leaf;

    ERR_clear_error();
    if (s == NULL)
        return NULL;
    s->fd = -1;
    s->deadline_ms = trial_now_ms() + t->timeout_ms;
    s->ctx = SSL_CTX_new(TLS_client_method());
    s->ssl = s->ctx != NULL ? SSL_new(s->ctx) : NULL;
    if (s->ssl == NULL || !limit(s->ssl, d, t->name, min, max))
        say_why("OpenSSL cannot be held to the device's limits", why);
    else if ((s->fd = trial_connect(t, s->deadline_ms, why)) < 0)
        ;
    else if (SSL_set_fd(s->ssl, s->fd) != 1 || !handshake(s))
        say_why("the handshake by OpenSSL failed", why);
    else {
        leaf = SSL_get0_peer_certificate(s->ssl);
        o->version = (unsigned)SSL_version(s->ssl);
        o->suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(s->ssl));
        if (leaf != NULL &&
            trial_certificate_take(leaf, SSL_get_peer_cert_chain(s->ssl), "served", ret_leaf) == 0)
            return s;
        snprintf(why, TRIAL_TEXT, "the server shows no certificate");
    }
    trial_tls_close(s);
    return NULL;
}

ssize_t trial_tls_read(struct trial_session *s, void *p, size_t n)
{
    int rc;

    while ((rc = SSL_read(s->ssl, p, n > 16384 ? 16384 : (int)n)) <= 0) {
        if (SSL_get_error(s->ssl, rc) == SSL_ERROR_ZERO_RETURN)
            return 0;
        if (!again(s, rc)) {
            ERR_clear_error();
            return -1;
        }
    }
    return rc;
}

int trial_tls_write(struct trial_session *s, const void *p, size_t n)
{
    int rc;

    while ((rc = SSL_write(s->ssl, p, (int)n)) <= 0) {
        if (!again(s, rc)) {
            ERR_clear_error();
            return -1;
        }
    }
    return 0;
}

void trial_tls_close(struct trial_session *s)
{
    SSL_free(s->ssl);
    SSL_CTX_free(s->ctx);
    if (s->fd >= 0)
        close(s->fd);
    ERR_clear_error();
    free(s);
}
