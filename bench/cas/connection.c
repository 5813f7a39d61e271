/* connection: one accepted socket, with or without TLS: reading, writing, deadlines, and the ways to end. */
#include <stdlib.h>
#include <sys/socket.h>
#include <openssl/err.h>
#include "cas.h"

#define LINGER_MS 1000

struct pending {
    uv_write_t req;
    size_t n;
    char bytes[];
};

uint64_t conn_now(struct conn *c)
{
    return uv_now(&c->w->loop);
}

static void timer_fire(struct wheel_node *n)
{
    struct conn *c = (struct conn *)((char *)n - offsetof(struct conn, timer));
    c->on_timer(c);
}

void conn_arm(struct conn *c, uint64_t after_ms, void (*fire)(struct conn *))
{
    struct wheel *wheel = &c->w->wheel;
    c->on_timer = fire;
    /* The wheel's clock stands still while the loop sleeps. */
    wheel_arm(wheel, &c->timer, after_ms + (conn_now(c) - wheel->now), timer_fire);
}

void conn_disarm(struct conn *c)
{
    if (wheel_armed(&c->timer))
        wheel_cancel(&c->w->wheel, &c->timer);
}

void conn_hold_data(struct conn *c, void *data, void (*release)(void *))
{
    if (c->data && c->data_free)
        c->data_free(c->data);
    c->data = data;
    c->data_free = release;
}

static void conn_free(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    SSL_free(c->ssl);
    rpc_free(c);
    free(c->in);
    free(c);
}

static bool conn_end(struct conn *c)
{
    if (c->closing)
        return false;
    c->closing = true;
    conn_disarm(c);
    rpc_end(c);
    http_request_reset(c);
    atomic_fetch_sub_explicit(&counters.open, c->is_control ? 0 : 1, memory_order_relaxed);
    return true;
}

void conn_close(struct conn *c)
{
    if (conn_end(c))
        uv_close((uv_handle_t *)&c->tcp, conn_free);
}

void conn_reset(struct conn *c)
{
    if (!conn_end(c))
        return;
    if (uv_tcp_close_reset(&c->tcp, conn_free) != 0)
        uv_close((uv_handle_t *)&c->tcp, conn_free);
}

static void flush_tls(struct conn *c);

static void linger(struct conn *c)
{
    if (c->ssl && !c->abrupt && SSL_is_init_finished(c->ssl)) {
        SSL_shutdown(c->ssl);
        flush_tls(c);
        if (c->closing)
            return;
        if (c->queued) {
            c->abrupt = c->close_when_drained = true; /* the alert is on its way; once is enough */
            return;
        }
    }
    uv_os_fd_t fd;
    /* Without the client's close first, unread input would turn our FIN into an RST that eats the answer. */
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
        shutdown(fd, SHUT_WR);
    conn_arm(c, LINGER_MS, conn_close);
}

void conn_finish(struct conn *c)
{
    if (c->closing || c->state == CONN_LINGER)
        return;
    c->state = CONN_LINGER;
    c->on_drain = NULL;
    c->close_when_drained = c->queued > 0;
    if (!c->close_when_drained)
        linger(c);
}

static void wrote(uv_write_t *req, int status)
{
    struct pending *p = (struct pending *)req;
    struct conn *c = req->data;
    c->queued -= p->n;
    free(p);
    if (c->closing)
        return;
    if (status < 0)
        conn_close(c);
    else if (!c->queued && c->close_when_drained) {
        c->close_when_drained = false;
        linger(c);
    } else if (!c->queued && c->on_drain)
        c->on_drain(c);
}

static void write_raw(struct conn *c, const char *data, size_t n)
{
    if (c->closing || !n)
        return;
    COUNT(bytes_out, c->is_control ? 0 : n);
    if (!c->queued) {
        uv_buf_t b = uv_buf_init((char *)data, (unsigned)n);
        int k = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
        if (k < 0 && k != UV_EAGAIN) {
            conn_reset(c);
            return;
        }
        data += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    if (!n)
        return;
    struct pending *p = c->queued + n > QUEUE_MAX ? NULL : malloc(sizeof *p + n);
    if (!p) {
        conn_reset(c);
        return;
    }
    memcpy(p->bytes, data, n);
    p->n = n;
    p->req.data = c;
    uv_buf_t b = uv_buf_init(p->bytes, (unsigned)n);
    if (uv_write(&p->req, (uv_stream_t *)&c->tcp, &b, 1, wrote) != 0) {
        free(p);
        conn_reset(c);
        return;
    }
    c->queued += n;
}

static void flush_tls(struct conn *c)
{
    BIO *out = SSL_get_wbio(c->ssl);
    char *p;
    long n = BIO_get_mem_data(out, &p);
    if (n > 0) {
        write_raw(c, p, (size_t)n);
        (void)BIO_reset(out);
    }
}

void conn_write(struct conn *c, const void *data, size_t n)
{
    if (c->closing || !n)
        return;
    if (!c->ssl) {
        write_raw(c, data, n);
        return;
    }
    if (SSL_write(c->ssl, data, (int)n) <= 0)
        conn_reset(c);
    else
        flush_tls(c);
}

/* Consumes p..p+n behind what already waits; keeps the rest. */
static void consume(struct conn *c, const char *p, size_t n)
{
    if (c->in) {
        char *joined = realloc(c->in, c->in_len + n);
        if (!joined) {
            conn_reset(c);
            return;
        }
        memcpy(joined + c->in_len, p, n);
        c->in = joined;
        c->in_len += n;
        if (!c->feeding)
            conn_resume(c);
        return;
    }
    size_t used = http_feed(c, p, n);
    if (c->closing || used == n || c->state == CONN_LINGER)
        return;
    c->in = malloc(n - used);
    if (!c->in) {
        conn_reset(c);
        return;
    }
    memcpy(c->in, p + used, n - used);
    c->in_len = n - used;
}

void conn_resume(struct conn *c)
{
    if (!c->in || c->feeding || c->closing)
        return;
    char *p = c->in;
    size_t n = c->in_len;
    c->in = NULL;
    c->in_len = 0;
    consume(c, p, n);
    free(p);
}

static void read_tls(struct conn *c, const char *p, size_t n)
{
    if (BIO_write(SSL_get_rbio(c->ssl), p, (int)n) != (int)n) {
        conn_reset(c);
        return;
    }
    for (;;) {
        int k = SSL_read(c->ssl, c->w->plain, sizeof c->w->plain);
        if (k > 0) {
            consume(c, c->w->plain, (size_t)k);
            if (c->closing || c->state == CONN_LINGER)
                return;
            continue;
        }
        flush_tls(c);
        int why = SSL_get_error(c->ssl, k);
        if (!c->closing && why != SSL_ERROR_WANT_READ)
            conn_close(c);
        ERR_clear_error();
        return;
    }
}

static void got(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (n == 0 || c->closing)
        return;
    if (n < 0) {
        conn_close(c);
        return;
    }
    COUNT(bytes_in, c->is_control ? 0 : (size_t)n);
    if (c->state == CONN_LINGER)
        return;
    if (c->in_len > HEAD_MAX) {
        conn_reset(c);
        return;
    }
    if (c->ssl)
        read_tls(c, buf->base, (size_t)n);
    else
        consume(c, buf->base, (size_t)n);
}

static void space(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;
    *buf = uv_buf_init(c->w->read, sizeof c->w->read);
}

static bool start_tls(struct conn *c)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    c->ssl = SSL_new(c->w->tls);
    if (!in || !out || !c->ssl) {
        BIO_free(in);
        BIO_free(out);
        return false;
    }
    SSL_set_bio(c->ssl, in, out);
    SSL_set_accept_state(c->ssl);
    return true;
}

void conn_accept(struct worker *w, uv_tcp_t *listener, bool control)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        return;
    c->w = w;
    c->is_control = control;
    if (uv_tcp_init(&w->loop, &c->tcp) != 0) {
        free(c);
        return;
    }
    c->tcp.data = c;
    COUNT(open, control ? 0 : 1);
    if (uv_accept((uv_stream_t *)listener, (uv_stream_t *)&c->tcp) != 0 ||
        (w->tls && !control && !start_tls(c))) {
        conn_close(c);
        return;
    }
    COUNT(accepted, control ? 0 : 1);
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, space, got);
}
