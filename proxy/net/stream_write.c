/*
 * From stream_write to the socket: at once what the socket takes, the rest from the queue as it drains.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "stream_int.h"
#include "tcp_acknowledged.h"

/* A place in a list of pieces. */
struct cursor {
    const struct iovec *iov;
    int n;
    size_t off, left;
};

static struct cursor cursor_of(const struct iovec *iov, int n)
{
    struct cursor c = {.iov = iov, .n = n};

    for (int i = 0; i < n; i++)
        c.left += iov[i].iov_len;
    return c;
}

static void cursor_skip_empty(struct cursor *c)
{
    while (c->n > 0 && c->off == c->iov->iov_len) {
        c->iov++;
        c->n--;
        c->off = 0;
    }
}

/* The next piece in place, at most `max`. */
static const char *cursor_next(struct cursor *c, size_t max, size_t *ret_n)
{
    const char *p;
    size_t n;

    cursor_skip_empty(c);
    p = (const char *)c->iov->iov_base + c->off;
    n = c->iov->iov_len - c->off;
    n = n < max ? n : max;
    c->off += n;
    c->left -= n;
    *ret_n = n;
    return p;
}

static void cursor_skip(struct cursor *c, size_t n)
{
    size_t skipped;

    for (; n > 0; n -= skipped)
        cursor_next(c, n, &skipped);
}

/* The next `n` bytes in one piece: in place where they lie together, else copied to `buffer`. */
static const char *cursor_gather(struct cursor *c, size_t n, char *buffer)
{
    size_t have, got = 0;
    const char *p = cursor_next(c, n, &have);

    if (have == n)
        return p;
    for (;;) {
        memcpy(buffer + got, p, have);
        got += have;
        if (got == n)
            return buffer;
        p = cursor_next(c, n - got, &have);
    }
}

/* ---- the queue ---- */

static bool stream_enqueue(struct stream *s, struct cursor *c)
{
    while (c->left > 0) {
        size_t n;
        const char *p = cursor_next(c, c->left, &n);

        if (!bufq_append(&s->out, p, n)) {
            stream_fail_soon(s, REASON_NO_MEMORY, NULL);
            return false;
        }
    }
    return true;
}

void stream_drop_output(struct stream *s)
{
    if (s->send == NULL || s->send->n == s->tail_len)
        /* else libuv still refers to its front: the write's callback or the close clears it */
        bufq_clear(&s->out);
}

void stream_tell_drained(struct stream *s)
{
    if ((s->flags & STREAM_BLOCKED) == 0 || stream_queued(s) > s->high_mark / 2 || !stream_live(s) ||
        s->flags & STREAM_FAIL_DUE)
        return;
    s->flags &= ~(uint32_t)STREAM_BLOCKED;
    s->handler->on_drained(s);
}

static void on_sent(uv_write_t *req, int status)
{
    struct stream_send *send = (struct stream_send *)req;
    struct stream *s = send->stream;
    bool plain = s->tail_len == 0;

    s->send = NULL;
    s->tail_len = 0;
    if (plain)
        bufq_consume(&s->out, send->n);
    free(send);
    if (s->flags & STREAM_CLOSING)
        return;
    if (s->flags & STREAM_FAILED) {
        bufq_clear(&s->out);
        return;
    }
    if (status < 0) {
        stream_fail_soon(s, stream_tls_reason(s), uv_strerror(status));
        return;
    }
    if (wheel_armed(&s->linger) && s->flags & STREAM_FINISHING)
        /* it moves: still within our patience */
        worker_arm(s->worker, &s->linger, s->patience_ms, s->linger.fire);
    stream_pump(s);
    if (s->send == NULL)
        stream_pace_rest(s);
    stream_tell_drained(s);
}

/* ---- to the socket ---- */

static struct stream_send *stream_send_new(struct stream *s, size_t bytes)
{
    struct stream_send *send = malloc(sizeof(*send) + bytes);

    if (send == NULL) {
        stream_fail_soon(s, REASON_NO_MEMORY, NULL);
        return NULL;
    }
    send->stream = s;
    return send;
}

static bool stream_send_start(struct stream *s, struct stream_send *send, const uv_buf_t *bufs, unsigned n)
{
    int r = uv_write(&send->req, &s->uv.stream, bufs, n, on_sent);

    if (r < 0) {
        free(send);
        s->tail_len = 0;
        stream_fail_soon(s, stream_tls_reason(s), uv_strerror(r));
        return false;
    }
    s->send = send;
    stream_pace_wait(s);
    return true;
}

static bool stream_send_rest(struct stream *s, struct cursor *c)
{
    size_t n = c->left, at = 0, part;
    struct stream_send *send = stream_send_new(s, n);
    uv_buf_t buf;

    if (send == NULL)
        return false;
    for (; c->left > 0; at += part) {
        const char *p = cursor_next(c, c->left, &part);

        memcpy(send->bytes + at, p, part);
    }
    send->n = (uint32_t)n;
    s->tail_len = (uint32_t)n;
    buf = uv_buf_init(send->bytes, (unsigned)n);
    return stream_send_start(s, send, &buf, 1);
}

bool stream_send_tail(struct stream *s, const char *data, size_t n)
{
    struct iovec iov = {.iov_base = (char *)data, .iov_len = n};
    struct cursor c = cursor_of(&iov, 1);

    return stream_send_rest(s, &c);
}

void stream_last(struct stream *s)
{
    s->flags |= STREAM_LAST;
}

/* The kernel holds an incomplete segment back until the shutdown, for 200 ms at most. */
static int stream_try_last(struct stream *s, const struct iovec *iov, int n)
{
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    ssize_t r = sendmsg(stream_fd(s), &m, MSG_MORE | MSG_NOSIGNAL | MSG_DONTWAIT);

    if (r >= 0)
        return (int)r;
    return errno == EINTR ? UV_EAGAIN : uv_translate_sys_error(errno);
}

/* Bytes taken, 0 when the socket is full, -1 when it is broken. */
static ssize_t stream_try(struct stream *s, const struct iovec *iov, int n)
{
    int r = s->flags & STREAM_LAST ? stream_try_last(s, iov, n)
                                   : uv_try_write(&s->uv.stream, (const uv_buf_t *)iov, (unsigned)n);

    if (r >= 0)
        return r;
    if (r == UV_EAGAIN || r == UV_ENOBUFS)
        return 0;
    stream_fail_soon(s, stream_tls_reason(s), uv_strerror(r));
    return -1;
}

int stream_send_ciphertext(struct stream *s, const struct iovec *iov, int n)
{
    struct cursor c = cursor_of(iov, n);
    ssize_t r = stream_try(s, iov, n);

    if (r < 0)
        return -1;
    cursor_skip(&c, (size_t)r);
    return c.left == 0 || stream_send_rest(s, &c) ? 0 : -1;
}

/* ---- plain ---- */

static void stream_pump_plain(struct stream *s)
{
    struct iovec spans[STREAM_SPANS];

    while (bufq_len(&s->out) > 0) {
        int n = bufq_peek(&s->out, spans, STREAM_SPANS);
        ssize_t r = stream_try(s, spans, n);
        struct stream_send *send;

        if (r < 0)
            return;
        bufq_consume(&s->out, (size_t)r);
        if (r > 0)
            continue;
        send = stream_send_new(s, 0);
        if (send == NULL)
            return;
        send->n = 0;
        for (int i = 0; i < n; i++)
            send->n += (uint32_t)spans[i].iov_len;
        stream_send_start(s, send, (const uv_buf_t *)spans, (unsigned)n);
        return;
    }
}

static void stream_write_plain(struct stream *s, struct cursor *c, const struct iovec *iov, int n)
{
    ssize_t r = stream_try(s, iov, n);

    if (r < 0)
        return;
    cursor_skip(c, (size_t)r);
    if (c->left > 0 && stream_enqueue(s, c))
        stream_pump_plain(s);
}

/* ---- TLS ---- */

static void stream_pump_tls(struct stream *s)
{
    while (s->send == NULL && bufq_len(&s->out) > 0) {
        size_t n = bufq_read(&s->out, s->worker->gather, WORKER_RECORD_MAX);

        if (tls_seal(s, s->worker->gather, n, bufq_len(&s->out) > 0) < 0)
            return;
    }
}

static void stream_write_tls(struct stream *s, struct cursor *c)
{
    while (c->left > 0 && s->send == NULL) {
        size_t n = c->left < WORKER_RECORD_MAX ? c->left : WORKER_RECORD_MAX;
        const char *p = cursor_gather(c, n, s->worker->gather);

        if (tls_seal(s, p, n, c->left > 0) < 0)
            return;
    }
    if (c->left > 0)
        stream_enqueue(s, c);
}

/* ---- */

static void stream_pump_end(struct stream *s)
{
    if (s->tls != NULL && (s->flags & STREAM_NOTIFIED) == 0)
        tls_notify(s);
    if (s->send == NULL && (s->flags & STREAM_FAIL_DUE) == 0)
        stream_ended(s);
}

void stream_pump(struct stream *s)
{
    if (s->send != NULL || s->flags & STREAM_FAIL_DUE)
        return;
    if (s->tls != NULL) {
        if (tls_send_more(s))
            return;
        if (s->flags & STREAM_OPEN)
            stream_pump_tls(s);
    } else {
        stream_pump_plain(s);
    }
    if ((s->flags & (STREAM_OPEN | STREAM_END | STREAM_ENDED | STREAM_FAIL_DUE)) ==
            (STREAM_OPEN | STREAM_END) &&
        s->send == NULL && bufq_len(&s->out) == 0)
        stream_pump_end(s);
}

ssize_t stream_write(struct stream *s, const struct iovec *iov, int n)
{
    struct cursor c = cursor_of(iov, n);

    if (!stream_live(s) || s->flags & (STREAM_END | STREAM_FAIL_DUE))
        return -1;
    if (c.left == 0)
        return (ssize_t)stream_queued(s);
    if ((s->flags & STREAM_OPEN) == 0 || s->send != NULL || bufq_len(&s->out) > 0)
        stream_enqueue(s, &c);
    else if (s->tls != NULL)
        stream_write_tls(s, &c);
    else
        stream_write_plain(s, &c, iov, n);
    if (s->flags & STREAM_FAIL_DUE)
        return -1;
    if (stream_queued(s) > s->high_mark)
        s->flags |= STREAM_BLOCKED;
    return (ssize_t)stream_queued(s);
}

bool stream_moved(struct stream *s)
{
    uint32_t before = s->taken;

    s->taken = (uint32_t)tcp_acknowledged(stream_fd(s));
    return s->taken != before;
}

bool stream_blocked(const struct stream *s)
{
    return (s->flags & STREAM_BLOCKED) != 0;
}
