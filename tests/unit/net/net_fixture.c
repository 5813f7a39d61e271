#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>

#include "../../../proxy/net/stream_int.h"
#include "net_fixture.h"

/* ---- the worker ---- */

static char log_path[64];

int net_setup(void **state)
{
    struct log_options o = {.event_path = log_path, .level = LOG_INFO};
    char error[200];
    int fd;

    signal(SIGPIPE, SIG_IGN);
    tls_process_init();
    snprintf(log_path, sizeof(log_path), "/tmp/postern-net-XXXXXX");
    fd = mkstemp(log_path);
    if (fd < 0)
        return -1;
    close(fd);
    return log_start(&o, error, sizeof(error));
}

int net_teardown(void **state)
{
    char line[2048];
    int defects = 0;
    FILE *f;

    log_stop();
    f = fopen(log_path, "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strstr(line, "defect") == NULL)
            continue;
        print_error("%s", line);
        defects++;
    }
    if (f != NULL)
        fclose(f);
    unlink(log_path);
    return defects;
}

struct worker *net_worker(void)
{
    struct worker_options o = {.index = 0, .rx_size = 65536};
    struct worker *w = worker_make(&o);

    assert_non_null(w);
    return w;
}

static void count_open(uv_handle_t *h, void *arg)
{
    unsigned *n = arg;

    *n += !uv_is_closing(h);
}

void net_worker_end(struct worker *w)
{
    unsigned open = 0;

    net_turns(w, 3);
    uv_walk(&w->loop, count_open, &open);
    assert_int_equal(open, 3); /* the worker's own */
    worker_stop(w);
    worker_run(w);
    worker_free(w);
}

void net_turn(struct worker *w)
{
    struct pollfd p = {.fd = uv_backend_fd(&w->loop), .events = POLLIN};

    (void)poll(&p, 1, 1);
    uv_run(&w->loop, UV_RUN_NOWAIT);
}

void net_turns(struct worker *w, unsigned n)
{
    while (n-- > 0)
        net_turn(w);
}

uint64_t net_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool net_until(struct worker *w, const bool *what)
{
    uint64_t until = net_now_ms() + WAIT_MS;

    while (!*what && net_now_ms() < until)
        net_turn(w);
    return *what;
}

/* ---- a stream and what it told ---- */

static struct probe *note(struct stream *s, enum probe_event e)
{
    struct probe *p = (struct probe *)(void *)s;

    p->told[e]++;
    if (stream_closing(s) || p->closed)
        p->after_close++;
    return p;
}

static void tell(struct probe *p, enum probe_event e)
{
    if (p->hook != NULL)
        p->hook(p, e);
}

static void probe_open(struct stream *s)
{
    struct probe *p = note(s, PROBE_OPEN);

    p->open = true;
    tell(p, PROBE_OPEN);
}

uint64_t digest_add(uint64_t d, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        d = (d ^ (unsigned char)p[i]) * 0x100000001b3u;
    return d;
}

static void probe_data(struct stream *s, char *data, size_t n)
{
    struct probe *p = note(s, PROBE_DATA);

    p->digest = digest_add(p->digest, data, n);
    p->largest = n > p->largest ? n : p->largest;
    while (!p->discard && p->n + n > p->room) {
        p->room = p->room > 0 ? p->room * 2 : 4096;
        p->data = realloc(p->data, p->room);
        assert_non_null(p->data);
    }
    if (!p->discard)
        memcpy(p->data + p->n, data, n);
    memset(data, 'X', n); /* whatever still needs these bytes will be seen */
    p->n += n;
    if (p->wanted > 0 && p->n >= p->wanted)
        p->enough = true;
    tell(p, PROBE_DATA);
}

static void probe_eof(struct stream *s, bool clean)
{
    struct probe *p = note(s, PROBE_EOF);

    p->eof = true;
    p->clean = clean;
    tell(p, PROBE_EOF);
}

static void probe_drained(struct stream *s)
{
    struct probe *p = note(s, PROBE_DRAINED);

    p->drained = true;
    tell(p, PROBE_DRAINED);
}

static void probe_fail(struct stream *s, enum reason why)
{
    struct probe *p = note(s, PROBE_FAIL);

    p->failed = true;
    p->why = why;
    snprintf(p->fail_text, sizeof(p->fail_text), "%s", stream_fail_text(s));
    tell(p, PROBE_FAIL);
}

static void probe_closed(struct stream *s)
{
    struct probe *p = (struct probe *)(void *)s;

    if (p->closed)
        p->after_close++;
    p->closed = true;
}

const struct stream_handler probe_handler = {
    .on_open = probe_open,
    .on_data = probe_data,
    .on_eof = probe_eof,
    .on_drained = probe_drained,
    .on_fail = probe_fail,
    .on_closed = probe_closed,
};

void probe_end(struct probe *p)
{
    assert_true(p->closed);
    assert_int_equal(p->after_close, 0);
    assert_true(p->told[PROBE_OPEN] <= 1 && p->told[PROBE_EOF] <= 1 && p->told[PROBE_FAIL] <= 1);
    free(p->data);
    p->data = NULL;
}

void probe_close(struct worker *w, struct probe *p)
{
    if (!p->closed)
        stream_close(&p->s);
    assert_true(net_until(w, &p->closed));
    probe_end(p);
}

bool probe_want(struct worker *w, struct probe *p, size_t n)
{
    uint64_t until = net_now_ms() + WAIT_MS;

    while (p->n < n && !p->failed && net_now_ms() < until)
        net_turn(w);
    return p->n >= n;
}

ssize_t probe_write(struct probe *p, const char *data, size_t n)
{
    struct iovec v = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};

    return stream_write(&p->s, &v, 1);
}

/* ---- its peer ---- */

static void not_blocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static void pair_tcp(int ret[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    assert_int_equal(bind(listening, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&a, &n), 0);
    ret[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ret[1], (struct sockaddr *)&a, sizeof(a)), 0);
    ret[0] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(ret[0] >= 0);
    setsockopt(ret[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    close(listening);
}

void net_pair(bool tcp, int ret[2])
{
    if (tcp)
        pair_tcp(ret);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret), 0);
    not_blocking(ret[0]);
    not_blocking(ret[1]);
}

void net_narrow(struct probe *p, struct peer *peer)
{
    int few = 4096;

    setsockopt(stream_fd(&p->s), SOL_SOCKET, SO_SNDBUF, &few, sizeof(few));
    setsockopt(peer->fd, SOL_SOCKET, SO_SNDBUF, &few, sizeof(few));
}

static void peer_secure(struct peer *peer, SSL_CTX *ctx, const char *sni)
{
    peer->ssl = SSL_new(ctx);
    assert_non_null(peer->ssl);
    assert_int_equal(SSL_set_fd(peer->ssl, peer->fd), 1);
    if (sni != NULL)
        assert_int_equal(SSL_set_tlsext_host_name(peer->ssl, sni), 1);
    SSL_set_connect_state(peer->ssl);
}

void net_accept(struct worker *w, struct probe *p, struct tls_server *tls, bool tcp, struct peer *peer,
                SSL_CTX *client_ctx, const char *sni)
{
    int fds[2];

    net_pair(tcp, fds);
    memset(p, 0, sizeof(*p));
    *peer = (struct peer){.fd = fds[1]};
    assert_int_equal(stream_init(&p->s, w, &probe_handler), 0);
    assert_int_equal(uv_tcp_open(&p->s.uv.tcp, fds[0]), 0);
    if (tls != NULL)
        peer_secure(peer, client_ctx, sni);
    assert_int_equal(stream_start(&p->s, tls, NULL, 0), 0);
}

void net_connect(struct worker *w, struct probe *p, struct tls_client *tls, struct tls_session_slot *slot,
                 struct peer *peer, SSL_CTX *server_ctx)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    socklen_t n = sizeof(a);

    assert_int_equal(bind(listening, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&a, &n), 0);
    memset(p, 0, sizeof(*p));
    assert_int_equal(stream_init(&p->s, w, &probe_handler), 0);
    assert_int_equal(stream_connect(&p->s, (struct sockaddr *)&a, tls, slot), 0);
    *peer = (struct peer){.fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC)};
    assert_true(peer->fd >= 0);
    not_blocking(peer->fd);
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    close(listening);
    if (server_ctx == NULL)
        return;
    peer->ssl = SSL_new(server_ctx);
    assert_int_equal(SSL_set_fd(peer->ssl, peer->fd), 1);
    SSL_set_accept_state(peer->ssl);
}

int peer_handshake(struct worker *w, struct peer *peer)
{
    uint64_t until = net_now_ms() + WAIT_MS;

    while (net_now_ms() < until) {
        int r, e;

        ERR_clear_error();
        r = SSL_do_handshake(peer->ssl);
        e = SSL_get_error(peer->ssl, r);
        ERR_clear_error();
        if (r == 1)
            return 1;
        if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
            return e == 1 ? -1 : e;
        net_turn(w);
    }
    return 0;
}

void net_shake(struct worker *w, struct probe *p, struct peer *peer)
{
    if (peer->ssl != NULL)
        assert_int_equal(peer_handshake(w, peer), 1);
    assert_true(net_until(w, &p->open));
}

ssize_t peer_try_write(struct peer *peer, const char *data, size_t n)
{
    ssize_t r;
    int e;

    if (peer->ssl == NULL) {
        r = send(peer->fd, data, n, MSG_NOSIGNAL);
        return r >= 0 ? r : errno == EAGAIN ? 0 : -1;
    }
    SSL_set_mode(peer->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    ERR_clear_error();
    r = SSL_write(peer->ssl, data, (int)n);
    e = SSL_get_error(peer->ssl, (int)r);
    ERR_clear_error();
    return r > 0 ? r : e == SSL_ERROR_WANT_WRITE || e == SSL_ERROR_WANT_READ ? 0 : -1;
}

static ssize_t peer_try_read_plain(struct peer *peer, char *to, size_t n, enum peer_end *ret_end)
{
    ssize_t r = recv(peer->fd, to, n, 0);

    if (r == 0)
        *ret_end = PEER_CLEAN;
    if (r < 0 && errno != EAGAIN)
        *ret_end = PEER_BROKEN;
    return r > 0 ? r : 0;
}

ssize_t peer_try_read(struct peer *peer, char *to, size_t n, enum peer_end *ret_end)
{
    int r, e;

    *ret_end = PEER_OPEN;
    if (peer->ssl == NULL)
        return peer_try_read_plain(peer, to, n, ret_end);
    ERR_clear_error();
    r = SSL_read(peer->ssl, to, (int)n);
    if (r > 0)
        return r;
    e = SSL_get_error(peer->ssl, r);
    if (e == SSL_ERROR_ZERO_RETURN)
        *ret_end = PEER_CLEAN;
    else if (e == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        *ret_end = PEER_TRUNCATED;
    else if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
        *ret_end = PEER_BROKEN;
    ERR_clear_error();
    return 0;
}

void peer_write(struct worker *w, struct peer *peer, const char *data, size_t n)
{
    uint64_t until = net_now_ms() + WAIT_MS;

    while (n > 0 && net_now_ms() < until) {
        ssize_t r = peer_try_write(peer, data, n);

        assert_true(r >= 0);
        data += r;
        n -= (size_t)r;
        net_turn(w);
    }
    assert_int_equal(n, 0);
}

void peer_read(struct worker *w, struct peer *peer, char *to, size_t n)
{
    uint64_t until = net_now_ms() + WAIT_MS;
    enum peer_end end = PEER_OPEN;

    while (n > 0 && end == PEER_OPEN && net_now_ms() < until) {
        ssize_t r = peer_try_read(peer, to, n, &end);

        to += r;
        n -= (size_t)r;
        if (r == 0)
            net_turn(w);
    }
    assert_int_equal(n, 0);
}

enum peer_end peer_read_end(struct worker *w, struct peer *peer, size_t *ret_n, uint64_t *ret_digest)
{
    uint64_t until = net_now_ms() + WAIT_MS, digest = 0;
    enum peer_end end = PEER_OPEN;
    static char buffer[65536];
    size_t n = 0;

    while (end == PEER_OPEN && net_now_ms() < until) {
        ssize_t r = peer_try_read(peer, buffer, sizeof(buffer), &end);

        digest = digest_add(digest, buffer, (size_t)r);
        n += (size_t)r;
        if (r == 0)
            net_turn(w);
    }
    if (ret_n != NULL)
        *ret_n = n;
    if (ret_digest != NULL)
        *ret_digest = digest;
    return end;
}

void peer_fin(struct peer *peer)
{
    shutdown(peer->fd, SHUT_WR);
}

void peer_finish(struct peer *peer)
{
    if (peer->ssl != NULL)
        (void)SSL_shutdown(peer->ssl);
    ERR_clear_error();
    peer_fin(peer);
}

void peer_close(struct peer *peer)
{
    if (peer->ssl != NULL)
        SSL_set_shutdown(peer->ssl,
                         SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* its session may be used again */
    SSL_free(peer->ssl);
    if (peer->fd >= 0)
        close(peer->fd);
    *peer = (struct peer){.fd = -1};
}

void peer_reset(struct peer *peer)
{
    struct linger l = {1, 0};

    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    peer_close(peer);
}

/* ---- both kinds of TLS ---- */

struct tls_server *net_tls_server(struct worker *w, struct conf_listener *conf, enum conf_tls tls,
                                  struct tls_tickets *tickets,
                                  const struct test_certificate *const *certificates, size_t n)
{
    static const struct conf_certificate *list[8];
    struct conf_findings *f = conf_findings_new();
    struct tls_server *t;

    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++)
        list[i] = &certificates[i]->conf;
    memset(conf, 0, sizeof(*conf));
    conf->certificates = list;
    conf->certificates_n = n;
    conf->tls = tls;
    t = tls_server_new(w, conf, tickets, f);
    if (t == NULL)
        conf_findings_print(f, stderr);
    conf_findings_free(f);
    assert_non_null(t);
    assert_int_equal(ERR_peek_error(), 0);
    return t;
}

SSL_CTX *net_client_ctx(const struct test_certificate *root)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    if (root != NULL) {
        assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root->x), 1);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    return ctx;
}

SSL_CTX *net_server_ctx(const struct test_certificate *c)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    assert_int_equal(SSL_CTX_use_certificate(ctx, c->x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, c->key), 1);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"test", 4);
    return ctx;
}
