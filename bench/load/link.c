#include "link.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "load.h"
#include "route.h"

/* From linux/in.h; netinet/in.h of older C libraries has no name for it. */
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

struct rest {
    uv_write_t request;
    size_t n;
    char bytes[];
};

static void freed(uv_handle_t *h)
{
    struct link *l = h->data;
    SSL_free(l->ssl);
    free(l);
}

static void fail(struct link *l, enum fault why)
{
    if (!l->closing)
        l->on->on_fail(l, why);
}

static void wrote(uv_write_t *request, int status)
{
    struct rest *r = (struct rest *)request;
    struct link *l = request->data;
    l->queued -= r->n;
    free(r);
    if (l->closing)
        return;
    if (status < 0)
        fail(l, FAULT_reset);
    else if (!l->queued)
        l->on->on_drained(l);
}

/* The socket's own part of a write: at once, or queued behind what is queued. */
static bool send_bytes(struct link *l, const char *p, size_t n)
{
    if (!l->queued) {
        uv_buf_t b = uv_buf_init((char *)p, (unsigned)n);
        int k = uv_try_write((uv_stream_t *)&l->tcp, &b, 1);
        if (k < 0 && k != UV_EAGAIN)
            return false;
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    if (!n)
        return true;
    struct rest *r = malloc(sizeof *r + n);
    if (!r)
        return false;
    memcpy(r->bytes, p, n);
    r->n = n;
    r->request.data = l;
    uv_buf_t b = uv_buf_init(r->bytes, (unsigned)n);
    if (uv_write(&r->request, (uv_stream_t *)&l->tcp, &b, 1, wrote) != 0) {
        free(r);
        return false;
    }
    l->queued += n;
    return true;
}

static bool flush(struct link *l)
{
    struct thread *t = l->thread;
    size_t n = t->tx_n;
    t->tx_n = 0;
    return !n || send_bytes(l, t->tx, n);
}

/* --- the BIO: reads from the bytes just received, writes into the thread's buffer --- */

static int bio_read(BIO *bio, char *to, int n)
{
    struct link *l = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!l->in_n) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t k = l->in_n < (size_t)n ? l->in_n : (size_t)n;
    memcpy(to, l->in, k);
    l->in += k;
    l->in_n -= k;
    return (int)k;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct link *l = BIO_get_data(bio);
    struct thread *t = l->thread;
    BIO_clear_retry_flags(bio);
    if ((size_t)n > TX_SIZE - t->tx_n)
        return -1;
    memcpy(t->tx + t->tx_n, p, (size_t)n);
    t->tx_n += (size_t)n;
    return n;
}

static long bio_control(BIO *bio, int command, long n, void *p)
{
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *method;

static void method_make(void)
{
    method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "link");
    if (!method)
        abort();
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    BIO_meth_set_create(method, bio_create);
}

/* --- reading --- */

static void handshake(struct link *l)
{
    int k = SSL_do_handshake(l->ssl);
    if (!flush(l)) {
        fail(l, FAULT_reset);
        return;
    }
    if (k == 1) {
        l->open = true;
        l->on->on_open(l);
    } else if (SSL_get_error(l->ssl, k) != SSL_ERROR_WANT_READ)
        fail(l, FAULT_tls);
    ERR_clear_error();
}

static void read_tls(struct link *l)
{
    struct thread *t = l->thread;
    while (!l->closing) {
        int k = SSL_read(l->ssl, t->plain, RECORD);
        int why = k > 0 ? SSL_ERROR_NONE : SSL_get_error(l->ssl, k);
        if (k <= 0)
            ERR_clear_error();
        /* Before the user may write on another link: the buffer is the thread's. */
        if (!flush(l))
            why = SSL_ERROR_SYSCALL;
        if (why == SSL_ERROR_NONE) {
            l->on->on_data(l, t->plain, (size_t)k);
            continue;
        }
        if (why == SSL_ERROR_ZERO_RETURN && !l->notified) {
            l->notified = true;
            l->on->on_eof(l, true);
        } else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_ZERO_RETURN)
            fail(l, FAULT_reset);
        return;
    }
}

static void got(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct link *l = s->data;
    if (n == 0 || l->closing)
        return;
    if (n == UV_EOF && l->ssl && !l->open)
        fail(l, FAULT_tls);
    else if (n == UV_EOF && !l->notified)
        l->on->on_eof(l, !l->ssl);
    else if (n < 0 && n != UV_EOF)
        fail(l, l->ssl && !l->open ? FAULT_tls : FAULT_reset);
    else if (n > 0 && !l->ssl)
        l->on->on_data(l, b->base, (size_t)n);
    if (n < 0 || !l->ssl || l->closing)
        return;
    l->in = b->base;
    l->in_n = (size_t)n;
    if (!l->open)
        handshake(l);
    if (l->open)
        read_tls(l);
}

static void space(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    struct link *l = h->data;
    *b = uv_buf_init(l->thread->rx, RX_SIZE);
}

/* --- opening --- */

static bool tls_start(struct link *l, struct tls_choice tls, SSL_SESSION *resume)
{
    static uv_once_t once = UV_ONCE_INIT;
    uv_once(&once, method_make);
    const struct scenario *s = l->thread->scenario;
    BIO *bio = BIO_new(method);
    l->ssl = SSL_new(l->thread->tls[tls.version][tls.certificate]);
    if (!bio || !l->ssl) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, l);
    SSL_set_bio(l->ssl, bio, bio);
    SSL_set_app_data(l->ssl, l);
    SSL_set_connect_state(l->ssl);
    if (!s->peer_is_address && SSL_set_tlsext_host_name(l->ssl, s->peer) != 1)
        return false;
    if (s->trust && SSL_set1_host(l->ssl, s->peer) != 1)
        return false;
    return !resume || SSL_set_session(l->ssl, resume) == 1;
}

static void connected(uv_connect_t *request, int status)
{
    struct link *l = request->data;
    if (l->closing)
        return;
    if (status < 0) {
        fail(l, FAULT_connect);
        return;
    }
    uv_tcp_nodelay(&l->tcp, 1);
    uv_read_start((uv_stream_t *)&l->tcp, space, got);
    if (l->ssl) {
        handshake(l);
        return;
    }
    l->open = true;
    l->on->on_open(l);
}

static enum fault bind_address(const struct thread *t, int fd, const union address *source)
{
    int one = 1;
    if (bind(fd, &source->any, address_len(source)) == 0)
        return FAULT_NONE;
    if (errno != EADDRNOTAVAIL)
        return FAULT_memory;
    /* IPv6 refuses an address that is this machine's by a local route alone, unless told not to look. */
    if (source->any.sa_family == AF_INET6 && route_is_local(t->kernel, source) &&
        setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof one) == 0 &&
        bind(fd, &source->any, address_len(source)) == 0)
        return FAULT_NONE;
    return FAULT_source;
}

/* Many connections of one source address: the port is chosen by connect, when the whole four-tuple is known. Both
 * families have this option at the level of IPv4. */
static enum fault bind_source(struct link *l, const union address *source)
{
    int one = 1, fd = socket(source->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return FAULT_memory;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    enum fault why = bind_address(l->thread, fd, source);
    if (!why && uv_tcp_open(&l->tcp, fd) == 0)
        return FAULT_NONE;
    close(fd);
    if (why == FAULT_source)
        stats_bad_source(&l->thread->stats, source);
    return why ? why : FAULT_memory;
}

static enum fault begin(struct link *l, struct tls_choice tls, SSL_SESSION *resume,
                        const union address *source)
{
    const struct scenario *s = l->thread->scenario;
    enum fault why = source ? bind_source(l, source) : FAULT_NONE;
    if (why)
        return why;
    if (s->https && !tls_start(l, tls, resume))
        return FAULT_memory;
    const union address *to = scenario_target(s, source ? source->any.sa_family : AF_UNSPEC);
    int failed = uv_tcp_connect(&l->connect, &l->tcp, &to->any, connected);
    /* no port left, and what is no matter of the network */
    bool ours = failed == UV_EADDRNOTAVAIL || failed == UV_EAGAIN || failed == UV_ENOMEM ||
                failed == UV_ENOBUFS || failed == UV_EMFILE || failed == UV_ENFILE;
    return !failed ? FAULT_NONE : ours ? FAULT_memory : FAULT_connect;
}

enum fault link_open(struct thread *t, struct tls_choice tls, SSL_SESSION *resume,
                     const union address *source, const struct link_handler *on, void *user,
                     struct link **ret)
{
    struct link *l = calloc(1, sizeof *l);
    *ret = NULL;
    if (!l)
        return FAULT_memory;
    if (uv_tcp_init(&t->loop, &l->tcp) != 0) {
        free(l);
        return FAULT_memory;
    }
    l->thread = t;
    l->on = on;
    l->user = user;
    l->tcp.data = l->connect.data = l;
    t->stats.open++;
    enum fault why = begin(l, tls, resume, source);
    if (why)
        link_close(l);
    else
        *ret = l;
    return why;
}

/* --- writing and closing --- */

bool link_write(struct link *l, const void *p, size_t n)
{
    const char *at = p;
    if (!l->ssl)
        return send_bytes(l, at, n);
    while (n) {
        size_t k = n < RECORD ? n : RECORD;
        if (SSL_write(l->ssl, at, (int)k) != (int)k) {
            ERR_clear_error();
            return false;
        }
        at += k;
        n -= k;
        if ((TX_SIZE - l->thread->tx_n < 2 * RECORD || !n) && !flush(l))
            return false;
    }
    return true;
}

void link_close(struct link *l)
{
    if (!l || l->closing)
        return;
    l->closing = true;
    l->thread->stats.open--;
    if (l->ssl && l->open) {
        SSL_shutdown(l->ssl);
        flush(l);
        ERR_clear_error();
    }
    /* Without this OpenSSL takes the session for spoiled and refuses to resume it. */
    if (l->ssl)
        SSL_set_shutdown(l->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    uv_close((uv_handle_t *)&l->tcp, freed);
}

bool link_resumed(const struct link *l)
{
    return l->ssl && SSL_session_reused(l->ssl);
}

/* --- contexts --- */

static int any_certificate(X509_STORE_CTX *store, void *arg)
{
    return 1;
}

static int new_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct link *l = SSL_get_app_data(ssl);
    if (l->closing)
        return 0;
    l->on->on_ticket(l, session);
    return 1;
}

/* Both the suites (TLS 1.2) and the signatures (either version) that leave the server no other certificate. */
static bool choose_certificate(SSL_CTX *ctx, enum tls_certificate certificate)
{
    static const struct {
        const char *suites, *signatures;
    } choices[TLS_CERTIFICATE_COUNT] = {
        [TLS_CERTIFICATE_RSA] = {"ECDHE+aRSA",
                                 "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pkcs1_sha256:rsa_pkcs1_sha384"},
        [TLS_CERTIFICATE_ECDSA] = {"ECDHE+aECDSA",
                                   "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512"},
    };
    return certificate == TLS_CERTIFICATE_ANY ||
           (SSL_CTX_set_cipher_list(ctx, choices[certificate].suites) == 1 &&
            SSL_CTX_set1_sigalgs_list(ctx, choices[certificate].signatures) == 1);
}

static SSL_CTX *context(struct tls_choice tls, const char *trust_file)
{
    static const int versions[TLS_VERSION_COUNT][2] = {
        {TLS1_2_VERSION, TLS1_3_VERSION}, {TLS1_2_VERSION, TLS1_2_VERSION}, {TLS1_3_VERSION, TLS1_3_VERSION}};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return NULL;
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, new_ticket);
    bool ok = SSL_CTX_set_min_proto_version(ctx, versions[tls.version][0]) == 1 &&
              SSL_CTX_set_max_proto_version(ctx, versions[tls.version][1]) == 1 &&
              choose_certificate(ctx, tls.certificate);
    if (trust_file) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        ok = ok && SSL_CTX_load_verify_locations(ctx, trust_file, NULL) == 1;
    } else /* the chain is not even built: that would cost more than the rest of the handshake */
        SSL_CTX_set_cert_verify_callback(ctx, any_certificate, NULL);
    if (ok)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

bool link_tls_init(struct thread *t, const char *trust_file)
{
    const struct scenario *s = t->scenario;
    for (size_t i = 0; i < s->entry_n; i++) {
        const struct entry *e = &s->entries[i];
        SSL_CTX **ctx = &t->tls[e->tls][e->certificate];
        if (!*ctx && !(*ctx = context((struct tls_choice){e->tls, e->certificate}, trust_file))) {
            fprintf(stderr, "postern-load: TLS cannot be set up%s%s\n", trust_file ? "; trust: " : "",
                    trust_file ? trust_file : "");
            return false;
        }
    }
    return true;
}

void link_tls_free(struct thread *t)
{
    for (unsigned v = 0; v < TLS_VERSION_COUNT; v++)
        for (unsigned c = 0; c < TLS_CERTIFICATE_COUNT; c++)
            SSL_CTX_free(t->tls[v][c]);
}
