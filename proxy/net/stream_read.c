/*
 * From the socket to on_data, and pausing.
 *
 * A pause costs nothing: reading stays armed. Only when bytes do arrive for a paused stream is libuv told to stop (stopping
 * and starting again is two system calls), and the bytes stay in the kernel. So a peer that goes away while nothing is in
 * flight is still seen: on plain streams by a peek, on TLS by decrypting no further than needed to find a close_notify.
 *
 * Nothing is read from a socket while something read earlier is still undelivered: the end comes after the data.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "stream_int.h"

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf);

int stream_read_start(struct stream *s)
{
    int r = uv_read_start(&s->uv.stream, on_alloc, on_read);

    if (r == UV_EALREADY) {
        uv_read_stop(&s->uv.stream); /* the user read the first bytes by itself */
        r = uv_read_start(&s->uv.stream, on_alloc, on_read);
    }
    if (r == 0)
        s->flags |= STREAM_READING;
    return r;
}

void stream_read_stop(struct stream *s)
{
    if (s->flags & STREAM_READING)
        uv_read_stop(&s->uv.stream);
    s->flags &= ~(uint32_t)STREAM_READING;
}

/* ---- what is held back ---- */

bool stream_has_leftover(const struct stream *s)
{
    return s->stash_len > 0 || (s->tls != NULL && tls_pending(s));
}

bool stream_stash(struct stream *s, const char *data, size_t n)
{
    char *copy = malloc(n);

    if (copy == NULL)
        return false;
    memcpy(copy, data, n);
    free(s->stash);
    s->stash = copy;
    s->stash_off = 0;
    s->stash_len = (uint32_t)n;
    return true;
}

static void stream_unstash(struct stream *s)
{
    free(s->stash);
    s->stash = NULL;
    s->stash_off = s->stash_len = 0;
}

static void stream_drain_plain(struct stream *s)
{
    while (s->stash_len > 0) {
        uint32_t n = s->stash_len < s->burst ? s->stash_len : s->burst;
        char *p = s->stash + s->stash_off;

        if (s->flags & STREAM_PAUSED)
            return;
        s->stash_off += n;
        s->stash_len -= n;
        if (!stream_deliver(s, p, n))
            return;
    }
}

void stream_drain_stash(struct stream *s)
{
    if (s->flags & STREAM_FINISHING || (s->flags & STREAM_OPEN && s->flags & STREAM_PAUSED))
        return;
    if (s->tls != NULL)
        tls_feed(s, s->stash + s->stash_off, s->stash_len, true);
    else
        stream_drain_plain(s);
    if (s->flags & STREAM_CLOSING)
        return;
    if (s->stash_len == 0 && s->stash != NULL)
        stream_unstash(s);
    if (!stream_live(s) || s->flags & (STREAM_PAUSED | STREAM_READING | STREAM_FIN) || stream_has_leftover(s))
        return;
    if (stream_read_start(s) < 0)
        stream_fail(s, REASON_NO_MEMORY, NULL);
}

/* ---- upcalls ---- */

bool stream_deliver(struct stream *s, char *data, size_t n)
{
    s->handler->on_data(s, data, n);
    return stream_live(s);
}

void stream_eof(struct stream *s, bool clean)
{
    if (s->flags & (STREAM_EOF | STREAM_CLOSING | STREAM_FAILED))
        return;
    s->flags |= STREAM_EOF;
    if ((s->flags & STREAM_FINISHING) == 0)
        s->handler->on_eof(s, clean);
}

/* ---- pausing ---- */

void stream_pause(struct stream *s)
{
    if (stream_live(s))
        s->flags |= STREAM_PAUSED;
}

void stream_resume(struct stream *s)
{
    if ((s->flags & STREAM_PAUSED) == 0)
        return;
    s->flags &= ~(uint32_t)STREAM_PAUSED;
    if (!stream_live(s) || (s->flags & STREAM_STARTED) == 0)
        return;
    if (stream_has_leftover(s))
        worker_soon(s->worker, &s->task, stream_turn);
    else if ((s->flags & (STREAM_READING | STREAM_FIN)) == 0 && stream_read_start(s) < 0)
        stream_fail_soon(s, REASON_NO_MEMORY, NULL);
}

bool stream_paused(const struct stream *s)
{
    return (s->flags & STREAM_PAUSED) != 0;
}

/* ---- the socket ---- */

static bool paused_open(const struct stream *s)
{
    return (s->flags & (STREAM_PAUSED | STREAM_OPEN | STREAM_FINISHING)) == (STREAM_PAUSED | STREAM_OPEN);
}

/* How much may be read now; 0 makes libuv report UV_ENOBUFS without touching the socket. */
static size_t stream_room(struct stream *s)
{
    struct worker *w = s->worker;

    if (s->flags & STREAM_FINISHING)
        return w->rx_size;
    if (stream_has_leftover(s) || (s->tls == NULL && paused_open(s)))
        return 0;
    if (w->reading != s) {
        w->reading = s;
        w->reads = 0;
    }
    if (++w->reads > STREAM_BURSTS_PER_TURN) {
        w->reading = NULL;
        return 0;
    }
    if (paused_open(s) && s->burst > STREAM_PEEK_MAX)
        return STREAM_PEEK_MAX;
    return s->burst;
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct stream *s = h->data;

    *buf = uv_buf_init(s->worker->rx, (unsigned)stream_room(s));
}

static void stream_broken(struct stream *s, int error)
{
    stream_fail(s, stream_tls_reason(s), uv_strerror(error));
}

static void stream_fin(struct stream *s)
{
    s->flags = (s->flags | STREAM_FIN) & ~(uint32_t)STREAM_READING;
    if (s->flags & STREAM_FINISHING) {
        if (s->flags & STREAM_ENDED)
            stream_close(s);
    } else if (s->tls == NULL) {
        stream_eof(s, true);
    } else if (s->flags & STREAM_OPEN) {
        stream_eof(s, false);
    } else {
        stream_fail(s, stream_tls_reason(s), "the peer closed during the handshake");
    }
}

/* Bytes or the end came while they cannot be taken: which is it? */
static void stream_peek_plain(struct stream *s)
{
    char c;
    ssize_t n = recv(stream_fd(s), &c, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n > 0) {
        stream_read_stop(s);
    } else if (n == 0) {
        stream_read_stop(s);
        stream_fin(s);
    } else if (errno != EAGAIN && errno != EINTR) {
        stream_broken(s, -errno);
    }
}

static void stream_no_room(struct stream *s)
{
    if (stream_has_leftover(s)) {
        if (s->flags & STREAM_PAUSED)
            stream_read_stop(s);
        else
            worker_soon(s->worker, &s->task, stream_turn);
    } else if (s->tls == NULL && paused_open(s)) {
        stream_peek_plain(s);
    }
    /* else: its share of this turn is used up; the socket is still readable and will be reported again */
}

/* libuv tells POLLHUP after a short read as the end, a reset as well: a body that ends with the connection would look whole. */
static int stream_pending_error(const struct stream *s)
{
    int error = 0;
    socklen_t n = sizeof(error);

    return getsockopt(stream_fd(s), SOL_SOCKET, SO_ERROR, &error, &n) < 0 ? errno : error;
}

static void stream_received_end(struct stream *s)
{
    int error;

    if ((s->flags & (STREAM_FINISHING | STREAM_ENDED)) == (STREAM_FINISHING | STREAM_ENDED)) {
        stream_fin(s); /* nobody is told how it ended */
        return;
    }
    if (s->flags & STREAM_FAIL_DUE)
        return; /* a write has taken the socket's error: what is left of it looks like an end, and is none */
    error = stream_pending_error(s);
    if (error != 0)
        stream_broken(s, -error);
    else
        stream_fin(s);
}

static void stream_received(struct stream *s, char *data, size_t n)
{
    if (s->flags & (STREAM_FINISHING | STREAM_EOF))
        return; /* after close_notify nothing counts; read on only to see the FIN */
    if (s->tls == NULL)
        stream_deliver(s, data, n);
    else if (paused_open(s))
        tls_peek(s, data, n);
    else
        tls_feed(s, data, n, false);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = h->data;

    if (s->flags & (STREAM_CLOSING | STREAM_FAILED))
        return;
    if (n >= 0 && (size_t)n < buf->len)
        s->worker->reading = NULL; /* emptied: libuv reads no more in this turn */
    if (n > 0)
        stream_received(s, buf->base, (size_t)n);
    else if (n == UV_ENOBUFS)
        stream_no_room(s);
    else if (n == UV_EOF)
        stream_received_end(s);
    else if (n < 0)
        stream_broken(s, (int)n);
}

void stream_read_rest(struct stream *s)
{
    int turns = STREAM_BURSTS_PER_TURN;

    while (turns-- > 0 && stream_live(s) && !stream_has_leftover(s) &&
           (s->flags & (STREAM_PAUSED | STREAM_EOF)) == 0) {
        ssize_t n = recv(stream_fd(s), s->worker->rx, s->burst, MSG_DONTWAIT);

        if (n <= 0)
            return;
        stream_received(s, s->worker->rx, (size_t)n);
    }
}
