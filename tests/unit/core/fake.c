/*
 * Backend servers made of plain sockets, on a thread of their own. TLS connections get a thread each: blocking is simpler.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/socket.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "fixture.h"

#define FAKE_CONNS 512

struct fake_conn {
    int fd;
    SSL *ssl;
    char name[32];
    char in[4096];
    size_t in_n;
    int late; /* poll turns until the byte that nobody asked for */
};

struct fake {
    int fd, stop[2];
    uint16_t port;
    pthread_t thread;
    SSL_CTX *ctx;
    uint32_t mode, status, accepted, open, resumed, close_all; /* atomic */
    pthread_mutex_t lock;
    char last[4096]; /* under lock */
    struct fake_conn conns[FAKE_CONNS];
};

static void conn_send(struct fake_conn *c, const char *text)
{
    size_t n = strlen(text);

    if (c->ssl != NULL)
        (void)SSL_write(c->ssl, text, (int)n);
    else
        (void)!send(c->fd, text, n, MSG_NOSIGNAL);
}

static void conn_close(struct fake *f, struct fake_conn *c, bool reset)
{
    struct linger l = {1, 0};

    if (c->fd < 0)
        return;
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    SSL_free(c->ssl);
    close(c->fd);
    c->ssl = NULL;
    c->fd = -1;
    __atomic_fetch_sub(&f->open, 1, __ATOMIC_RELEASE);
}

static void answer_line(struct fake *f, struct fake_conn *c, const char *line)
{
    char out[64];

    if (strncmp(line, "LOGIN ", 6) == 0) {
        snprintf(c->name, sizeof(c->name), "%s", line + 6);
        conn_send(c, "in\n");
    } else if (strcmp(line, "WHO") == 0) {
        snprintf(out, sizeof(out), "%s\n", c->name[0] != '\0' ? c->name : "-");
        conn_send(c, out);
    } else if (strcmp(line, "TALK") == 0) {
        conn_send(c, "-\n");
        c->late = 1;
    } else if (strcmp(line, "QUIT") == 0) {
        conn_close(f, c, false);
    }
}

static void answer_head(struct fake *f, struct fake_conn *c)
{
    char out[256];
    uint32_t mode = __atomic_load_n(&f->mode, __ATOMIC_ACQUIRE),
             status = __atomic_load_n(&f->status, __ATOMIC_ACQUIRE);

    pthread_mutex_lock(&f->lock);
    snprintf(f->last, sizeof(f->last), "%s", c->in);
    pthread_mutex_unlock(&f->lock);
    if (mode == FAKE_HTTP_100)
        conn_send(c, "HTTP/1.1 100 Continue\r\n\r\n");
    snprintf(out, sizeof(out), "HTTP/1.1 %u Whatever\r\nContent-Length: 2\r\n\r\nok", status);
    if (mode == FAKE_HTTP || mode == FAKE_HTTP_100) {
        conn_send(c, out);
    } else if (mode == FAKE_GARBAGE) {
        conn_send(c, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
    } else if (mode == FAKE_HALF) {
        conn_send(c, "HTTP/1.1 200 O");
        conn_close(f, c, false);
    }
}

static void conn_input(struct fake *f, struct fake_conn *c)
{
    char *eol;

    if (__atomic_load_n(&f->mode, __ATOMIC_ACQUIRE) != FAKE_LINES) {
        if (strstr(c->in, "\r\n\r\n") != NULL) {
            answer_head(f, c);
            c->in_n = 0;
        }
        return;
    }
    while (c->fd >= 0 && (eol = memchr(c->in, '\n', c->in_n)) != NULL) {
        size_t used = (size_t)(eol - c->in) + 1;
        *eol = '\0';
        answer_line(f, c, c->in);
        memmove(c->in, c->in + used, c->in_n - used);
        c->in_n -= used;
    }
}

static void conn_read(struct fake *f, struct fake_conn *c)
{
    ssize_t n;
    size_t room = sizeof(c->in) - 1 - c->in_n;

    n = c->ssl != NULL ? SSL_read(c->ssl, c->in + c->in_n, (int)room) : recv(c->fd, c->in + c->in_n, room, 0);
    if (n <= 0) {
        conn_close(f, c, false);
        return;
    }
    c->in_n += (size_t)n;
    c->in[c->in_n] = '\0';
    conn_input(f, c);
}

static bool conn_handshake(struct fake *f, struct fake_conn *c)
{
    struct timeval t = {2, 0};

    if (f->ctx == NULL)
        return true;
    if (__atomic_load_n(&f->mode, __ATOMIC_ACQUIRE) == FAKE_HANG)
        return true;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    c->ssl = SSL_new(f->ctx);
    SSL_set_fd(c->ssl, c->fd);
    if (SSL_accept(c->ssl) != 1)
        return false;
    if (SSL_session_reused(c->ssl))
        __atomic_fetch_add(&f->resumed, 1, __ATOMIC_RELEASE);
    return true;
}

static void fake_accept(struct fake *f)
{
    uint32_t mode = __atomic_load_n(&f->mode, __ATOMIC_ACQUIRE);
    int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    for (int i = 0; i < FAKE_CONNS; i++) {
        struct fake_conn *c = &f->conns[i];
        if (c->fd >= 0)
            continue;
        memset(c, 0, sizeof(*c));
        c->fd = fd;
        __atomic_fetch_add(&f->open, 1, __ATOMIC_RELEASE);
        __atomic_fetch_add(&f->accepted, 1, __ATOMIC_RELEASE);
        if (mode == FAKE_CLOSE || mode == FAKE_RESET || !conn_handshake(f, c))
            conn_close(f, c, mode == FAKE_RESET);
        return;
    }
    close(fd);
}

static void fake_turn(struct fake *f, const struct pollfd *p, int n, struct fake_conn **of)
{
    if (__atomic_exchange_n(&f->close_all, 0, __ATOMIC_ACQ_REL) != 0) {
        for (int i = 0; i < FAKE_CONNS; i++)
            conn_close(f, &f->conns[i], false);
        return;
    }
    for (int i = 2; i < n; i++) {
        if (of[i]->late > 0 && --of[i]->late == 0)
            conn_send(of[i], "x");
        if (p[i].revents != 0)
            conn_read(f, of[i]);
    }
    if (p[1].revents != 0)
        fake_accept(f);
}

static void *fake_run(void *arg)
{
    struct fake *f = arg;
    static __thread struct pollfd p[FAKE_CONNS + 2];
    static __thread struct fake_conn *of[FAKE_CONNS + 2];

    for (;;) {
        int n = 2;
        p[0] = (struct pollfd){.fd = f->stop[0], .events = POLLIN};
        p[1] = (struct pollfd){.fd = f->fd, .events = POLLIN};
        for (int i = 0; i < FAKE_CONNS; i++) {
            if (f->conns[i].fd < 0)
                continue;
            of[n] = &f->conns[i];
            p[n++] = (struct pollfd){.fd = f->conns[i].fd, .events = POLLIN};
        }
        if (poll(p, (nfds_t)n, 20) < 0 && errno != EINTR)
            break;
        if (p[0].revents != 0)
            break;
        fake_turn(f, p, n, of);
    }
    for (int i = 0; i < FAKE_CONNS; i++)
        conn_close(f, &f->conns[i], false);
    return NULL;
}

static struct fake *fake_begin(enum fake_mode mode, int status, SSL_CTX *ctx)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    struct fake *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    signal(SIGPIPE, SIG_IGN);
    f->ctx = ctx;
    f->mode = mode;
    f->status = (uint32_t)status;
    pthread_mutex_init(&f->lock, NULL);
    for (int i = 0; i < FAKE_CONNS; i++)
        f->conns[i].fd = -1;
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(f->fd, 128), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&a, &len), 0);
    f->port = ntohs(a.sin_port);
    assert_int_equal(pipe(f->stop), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_run, f), 0);
    return f;
}

struct fake *fake_start(enum fake_mode mode, int status)
{
    return fake_begin(mode, status, NULL);
}

struct fake *fake_start_tls(enum fake_mode mode, int status, const char *cert_pem, const char *key_pem)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BIO *cb = BIO_new_mem_buf(cert_pem, -1), *kb = BIO_new_mem_buf(key_pem, -1);
    X509 *cert = PEM_read_bio_X509(cb, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(kb, NULL, NULL, NULL);

    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"fake", 4);
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(cb);
    BIO_free(kb);
    return fake_begin(mode, status, ctx);
}

void fake_stop(struct fake *f)
{
    (void)!write(f->stop[1], "x", 1);
    pthread_join(f->thread, NULL);
    close(f->fd);
    close(f->stop[0]);
    close(f->stop[1]);
    SSL_CTX_free(f->ctx);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

uint16_t fake_port(const struct fake *f)
{
    return f->port;
}

void fake_set(struct fake *f, enum fake_mode mode, int status)
{
    __atomic_store_n(&f->status, (uint32_t)status, __ATOMIC_RELEASE);
    __atomic_store_n(&f->mode, mode, __ATOMIC_RELEASE);
}

unsigned fake_accepted(const struct fake *f)
{
    return __atomic_load_n(&f->accepted, __ATOMIC_ACQUIRE);
}

unsigned fake_open(const struct fake *f)
{
    return __atomic_load_n(&f->open, __ATOMIC_ACQUIRE);
}

unsigned fake_resumed(const struct fake *f)
{
    return __atomic_load_n(&f->resumed, __ATOMIC_ACQUIRE);
}

void fake_last(struct fake *f, char *out, size_t size)
{
    pthread_mutex_lock(&f->lock);
    snprintf(out, size, "%s", f->last);
    pthread_mutex_unlock(&f->lock);
}

void fake_close_all(struct fake *f)
{
    __atomic_store_n(&f->close_all, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < WAIT_MS / 5 && __atomic_load_n(&f->close_all, __ATOMIC_ACQUIRE) != 0; i++)
        fixture_sleep(5);
}

/* ---- certificates ---- */

static char *bio_text(BIO *b)
{
    char *p, *copy;
    long n = BIO_get_mem_data(b, &p);

    copy = calloc(1, (size_t)n + 1);
    memcpy(copy, p, (size_t)n);
    BIO_free(b);
    return copy;
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

void certificate_make(const char *name, char **ret_cert, char **ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *cb = BIO_new(BIO_s_mem()), *kb = BIO_new(BIO_s_mem());
    char san[100];

    snprintf(san, sizeof(san), name[0] >= '0' && name[0] <= '9' ? "IP:%s" : "DNS:%s", name);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                               -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    add_extension(x, NID_subject_alt_name, san);
    add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    PEM_write_bio_X509(cb, x);
    PEM_write_bio_PrivateKey(kb, key, NULL, NULL, 0, NULL, NULL);
    *ret_cert = bio_text(cb);
    *ret_key = bio_text(kb);
    X509_free(x);
    EVP_PKEY_free(key);
}
