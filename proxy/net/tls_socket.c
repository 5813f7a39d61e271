/*
 * TLS on a plain socket, for the threads that ask directories.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <uv.h>
#include <postern/tls_socket.h>
#include "tls_int.h"
#include "tls_pem.h"

struct tls_trust {
    SSL_CTX *ctx;
};

struct tls_socket {
    SSL *ssl;
    int fd;
};

/* ---- trust ---- */

static bool trust_add(SSL_CTX *ctx, struct str pem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    STACK_OF(X509) *all = tls_pem_chain(NULL, pem);
    int n = sk_X509_num(all);
    bool good = n > 0;

    /* An interior authority is often given without its root: any certificate of the file is trusted by itself. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    for (int i = 0; good && i < n; i++) {
        /* What OpenSSL works out of a certificate once is worked out here, before threads share it. */
        (void)X509_check_ca(sk_X509_value(all, i));
        good = X509_STORE_add_cert(store, sk_X509_value(all, i)) == 1;
    }
    sk_X509_pop_free(all, X509_free);
    return good;
}

/* Domain controllers before Windows 2016 have GCM only with ECDSA or DHE. */
static bool trust_prepare(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_security_level(ctx, 2);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(
               ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:RSA+AESGCM:RSA+AES:"
                    "!aNULL:!eNULL:!PSK:!SRP") == 1;
}

struct tls_trust *tls_trust_new(const struct conf_file *trust, const char *who, struct conf_findings *f)
{
    struct tls_trust *t = calloc(1, sizeof(*t));

    tls_process_init();
    if (t == NULL)
        return NULL;
    t->ctx = SSL_CTX_new(TLS_client_method());
    if (t->ctx != NULL && trust_prepare(t->ctx) && trust_add(t->ctx, trust->bytes)) {
        tls_errors_drop();
        return t;
    }
    conf_finding_add(
        f, CONF_ERROR, trust->mark,
        "%s: %.*s holds no certificate that can be used: it must be PEM, the authorities that sign "
        "the servers' certificates",
        who, STR_ARG(trust->path));
    tls_errors_drop();
    tls_trust_free(t);
    return NULL;
}

void tls_trust_free(struct tls_trust *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

/* ---- waiting ---- */

int socket_wait(int fd, short events, uint64_t due_ns)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        uint64_t now = uv_hrtime();
        int n = now < due_ns ? poll(&p, 1, (int)((due_ns - now) / 1000000 + 1)) : 0;

        if (n > 0)
            return 0;
        if (n == 0 && uv_hrtime() >= due_ns)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

/* After a call that gave no result: 0 to try again, or -errno. */
static int socket_turn(struct tls_socket *s, int result, uint64_t due_ns)
{
    int error = errno;

    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return socket_wait(s->fd, POLLIN, due_ns);
    case SSL_ERROR_WANT_WRITE:
        return socket_wait(s->fd, POLLOUT, due_ns);
    case SSL_ERROR_ZERO_RETURN:
        return -ENODATA;
    case SSL_ERROR_SYSCALL:
        return error != 0 ? -error : -ECONNRESET;
    default:
        /* The peer closed without a farewell of TLS. */
        return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? -ECONNRESET : -EPROTO;
    }
}

/* ---- handshake ---- */

static bool expect_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
    unsigned char address[16];

    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                           X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(p, name, 0) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static void say_why(const struct tls_socket *s, int error, char *out, size_t size)
{
    long verified = SSL_get_verify_result(s->ssl);

    if (error != -EPROTO)
        snprintf(out, size, "%s", error == -ENODATA ? "closed by the server" : strerror(-error));
    else if (verified != X509_V_OK)
        snprintf(out, size, "%s", X509_verify_cert_error_string(verified));
    else
        tls_errors_take(out, size);
}

static int handshake(struct tls_socket *s, uint64_t due_ns)
{
    int error = 0;

    while (error == 0) {
        ERR_clear_error();
        errno = 0;
        int n = SSL_connect(s->ssl);
        if (n == 1)
            return 0;
        error = socket_turn(s, n, due_ns);
    }
    return error;
}

int tls_socket_open(struct tls_trust *t, int fd, const char *name, uint64_t due_ns, struct tls_socket **ret,
                    char *ret_why, size_t why_size)
{
    struct tls_socket *s = calloc(1, sizeof(*s));
    int error = -ENOMEM;

    *ret = NULL;
    snprintf(ret_why, why_size, "out of memory");
    if (s == NULL)
        return error;
    s->fd = fd;
    s->ssl = SSL_new(t->ctx);
    if (s->ssl != NULL && SSL_set_fd(s->ssl, fd) == 1 && expect_name(s->ssl, name)) {
        error = handshake(s, due_ns);
        if (error < 0)
            say_why(s, error, ret_why, why_size);
    }
    tls_errors_drop();
    if (error == 0)
        *ret = s;
    else
        tls_socket_free(s);
    return error == -ENODATA ? -ECONNRESET : error;
}

/* ---- a look at the certificate ---- */

static SSL_CTX *peek_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_security_level(ctx, 0);
    return ctx;
}

int tls_socket_peek(int fd, const char *name, uint64_t due_ns, unsigned char ret_sha256[32], char *ret_why,
                    size_t why_size)
{
    struct tls_socket s = {.fd = fd};
    SSL_CTX *ctx;
    int error = -ENOMEM;

    tls_process_init();
    ctx = peek_context();
    snprintf(ret_why, why_size, "out of memory");
    s.ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    if (s.ssl != NULL && SSL_set_fd(s.ssl, fd) == 1 && expect_name(s.ssl, name)) {
        error = handshake(&s, due_ns);
        if (error == 0 && !tls_peer_sha256(s.ssl, ret_sha256))
            error = -EPROTO;
        if (error < 0)
            say_why(&s, error, ret_why, why_size);
    }
    SSL_free(s.ssl);
    SSL_CTX_free(ctx);
    tls_errors_drop();
    return error == -ENODATA ? -ECONNRESET : error;
}

/* ---- bytes ---- */

ssize_t tls_socket_read(struct tls_socket *s, void *p, size_t n, uint64_t due_ns)
{
    int error = 0;
    size_t got;

    while (error == 0) {
        ERR_clear_error();
        errno = 0;
        int result = SSL_read_ex(s->ssl, p, n, &got);
        if (result == 1)
            return (ssize_t)got;
        error = socket_turn(s, result, due_ns);
    }
    tls_errors_drop();
    return error == -ENODATA ? 0 : error;
}

ssize_t tls_socket_write(struct tls_socket *s, const void *p, size_t n, uint64_t due_ns)
{
    int error = 0;
    size_t put;

    while (error == 0) {
        ERR_clear_error();
        errno = 0;
        int result = SSL_write_ex(s->ssl, p, n, &put); /* all of it, or nothing: partial writes are off */
        if (result == 1)
            return (ssize_t)n;
        error = socket_turn(s, result, due_ns);
    }
    tls_errors_drop();
    return error == -ENODATA ? -EPIPE : error;
}

bool tls_socket_pending(const struct tls_socket *s)
{
    return SSL_has_pending(s->ssl) == 1;
}

void tls_socket_free(struct tls_socket *s)
{
    if (s == NULL)
        return;
    SSL_free(s->ssl);
    free(s);
}
