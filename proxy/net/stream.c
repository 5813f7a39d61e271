/*
 * A stream's life: birth, connecting, failing, ending, death. See stream_int.h for the other parts.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "stream_int.h"

int stream_init(struct stream *s, struct worker *w, const struct stream_handler *h)
{
    int r;

    memset(s, 0, sizeof(*s));
    r = uv_tcp_init(&w->loop, &s->uv.tcp);
    if (r < 0)
        return r;
    s->uv.handle.data = s;
    s->handler = h;
    s->worker = w;
    s->burst = (uint32_t)w->rx_size;
    s->high_mark = STREAM_HIGH_MARK;
    bufq_init(&s->out, &w->bulk_pool);
    return 0;
}

int stream_fd(const struct stream *s)
{
    uv_os_fd_t fd;

    return uv_fileno(&s->uv.handle, &fd) < 0 ? -1 : fd;
}

enum reason stream_reset_reason(const struct stream *s)
{
    return s->flags & STREAM_ACCEPTED ? REASON_CLIENT_RESET : REASON_BACKEND_RESET;
}

enum reason stream_tls_reason(const struct stream *s)
{
    if (s->flags & STREAM_OPEN)
        return stream_reset_reason(s);
    return s->flags & STREAM_ACCEPTED ? REASON_HANDSHAKE_FAILED : REASON_BACKEND_TLS_FAILED;
}

void stream_opened(struct stream *s)
{
    s->flags |= STREAM_OPEN;
    if ((s->flags & (STREAM_CLOSING | STREAM_FINISHING)) == 0)
        s->handler->on_open(s);
    if ((s->flags & (STREAM_CLOSING | STREAM_FAILED)) == 0 &&
        (bufq_len(&s->out) > 0 || s->flags & STREAM_END))
        stream_pump(s); /* written before it was open */
    stream_tell_drained(s);
}

/* ---- accepted ---- */

int stream_start(struct stream *s, struct tls_server *tls, const char *first, size_t first_n)
{
    int r;

    s->flags |= STREAM_ACCEPTED | STREAM_STARTED;
    uv_tcp_nodelay(&s->uv.tcp, 1); /* not TCP on a Unix socket: no harm */
    if (tls != NULL) {
        r = tls_open_server(s, tls);
        if (r < 0)
            return r;
    }
    if (first_n > 0 && !stream_stash(s, first, first_n))
        return UV_ENOMEM;
    r = stream_read_start(s);
    if (r < 0)
        return r;
    if (first_n > 0)
        worker_soon(s->worker, &s->task, stream_turn);
    if (tls == NULL)
        stream_opened(s);
    return 0;
}

/* ---- outgoing ---- */

static void stream_connected(struct stream *s)
{
    int r = stream_read_start(s);

    s->flags |= STREAM_STARTED;
    if (r < 0)
        stream_fail(s, REASON_NO_MEMORY, uv_strerror(r));
    else if (s->tls != NULL)
        tls_start(s);
    else
        stream_opened(s);
}

static enum reason connect_reason(int error)
{
    switch (error) {
    case UV_ETIMEDOUT:
        return REASON_BACKEND_CONNECT_TIMEOUT;
    case UV_ENOMEM:
    case UV_ENOBUFS:
        return REASON_NO_MEMORY;
    default:
        return REASON_BACKEND_REFUSED;
    }
}

static void on_connect(uv_connect_t *req, int status)
{
    struct stream *s = req->data;

    free(req);
    if (s->flags & STREAM_CLOSING)
        return;
    if (status < 0)
        stream_fail(s, connect_reason(status), uv_strerror(status));
    else
        stream_connected(s);
}

static int stream_connect_tcp(struct stream *s, const struct sockaddr *to)
{
    uv_connect_t *req = malloc(sizeof(*req)); /* needed once in the stream's life: not kept in it */
    int r;

    if (req == NULL)
        return UV_ENOMEM;
    req->data = s;
    r = uv_tcp_connect(req, &s->uv.tcp, to, on_connect);
    if (r < 0)
        free(req);
    else
        uv_tcp_nodelay(&s->uv.tcp, 1);
    return r;
}

/* A Unix socket connects at once or not at all; libuv's TCP handle carries it as well once it is open. */
static int stream_connect_unix(struct stream *s, const struct sockaddr *to)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

    if (fd < 0)
        return -errno;
    if (connect(fd, to, sizeof(struct sockaddr_un)) < 0) {
        r = -errno;
        close(fd);
        stream_fail_soon(s, connect_reason(r), uv_strerror(r));
        return 0;
    }
    r = uv_tcp_open(&s->uv.tcp, fd);
    if (r < 0) {
        close(fd);
        return r;
    }
    worker_soon(s->worker, &s->task, stream_turn);
    return 0;
}

int stream_connect(struct stream *s, const struct sockaddr *to, struct tls_client *tls,
                   struct tls_session_slot *slot)
{
    int r;

    if (tls != NULL) {
        r = tls_open_client(s, tls, slot);
        if (r < 0)
            return r;
    }
    return to->sa_family == AF_UNIX ? stream_connect_unix(s, to) : stream_connect_tcp(s, to);
}

/* ---- failing ---- */

void stream_fail(struct stream *s, enum reason why, const char *text)
{
    if (s->flags & (STREAM_FAILED | STREAM_CLOSING))
        return;
    s->flags = (s->flags | STREAM_FAILED) & ~(uint32_t)STREAM_FAIL_DUE;
    s->fail_text = text;
    stream_read_stop(s);
    stream_drop_output(s);
    if (s->flags & STREAM_FINISHING)
        stream_close(s);
    else
        s->handler->on_fail(s, why);
}

void stream_fail_soon(struct stream *s, enum reason why, const char *text)
{
    if (s->flags & (STREAM_FAILED | STREAM_FAIL_DUE | STREAM_CLOSING))
        return;
    s->flags |= STREAM_FAIL_DUE;
    s->fail_reason = why;
    s->fail_text = text;
    worker_soon(s->worker, &s->task, stream_turn);
}

/* The socket cannot be written any more, but an answer that says why may still lie in it: an early 413, then a reset. */
static void stream_fail_due(struct stream *s)
{
    enum reason why = s->fail_reason;
    const char *text = s->fail_text;

    if (s->flags & STREAM_OPEN && why != REASON_NO_MEMORY && stream_live(s))
        stream_read_rest(s);
    stream_fail(s, why, text);
}

void stream_turn(struct worker_task *t)
{
    struct stream *s = (struct stream *)((char *)t - offsetof(struct stream, task));

    if (s->flags & STREAM_CLOSING)
        return;
    if (s->flags & STREAM_FAIL_DUE) {
        stream_fail_due(s);
        return;
    }
    if (s->flags & STREAM_FAILED)
        return;
    if ((s->flags & STREAM_STARTED) == 0) {
        stream_connected(s);
        return;
    }
    stream_drain_stash(s);
}

/* ---- ending ---- */

void stream_end(struct stream *s)
{
    if (s->flags & (STREAM_END | STREAM_FAILED | STREAM_FAIL_DUE | STREAM_CLOSING))
        return;
    s->flags |= STREAM_END;
    if (s->flags & STREAM_OPEN)
        stream_pump(s);
}

static void on_linger(struct wheel_node *n)
{
    struct stream *s = (struct stream *)((char *)n - offsetof(struct stream, linger));

    if (stream_queued(s) == 0)
        stream_close(s);
    else if (stream_moved(s))
        worker_arm(s->worker, n, s->patience_ms, on_linger);
    else
        stream_reset(s); /* what was not taken in time must not look like a complete answer */
}

void stream_ended(struct stream *s)
{
    /* uv_shutdown() would wait for a turn of the loop; nothing is queued here */
    shutdown(stream_fd(s), SHUT_WR);
    s->flags |= STREAM_ENDED;
    if ((s->flags & STREAM_FINISHING) == 0)
        return;
    if (s->flags & STREAM_FIN || s->linger_ms == 0)
        stream_close(s);
    else
        worker_arm(s->worker, &s->linger, s->linger_ms, on_linger);
}

static uint32_t ms32(uint64_t ms)
{
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

void stream_finish(struct stream *s, uint64_t patience_ms, uint64_t linger_ms)
{
    if (s->flags & (STREAM_CLOSING | STREAM_FINISHING))
        return;
    if ((s->flags & STREAM_OPEN) == 0 || s->flags & (STREAM_FAILED | STREAM_FAIL_DUE)) {
        stream_close(s);
        return;
    }
    s->flags = (s->flags | STREAM_FINISHING) & ~(uint32_t)STREAM_PAUSED;
    s->linger_ms = ms32(linger_ms);
    s->patience_ms = ms32(patience_ms);
    s->stash_len = 0;
    if (s->flags & STREAM_ENDED && (s->flags & STREAM_FIN || linger_ms == 0)) {
        stream_close(s);
        return;
    }
    /* Until the FIN is out; stream_ended() arms it anew. */
    worker_arm(s->worker, &s->linger, s->flags & STREAM_ENDED ? linger_ms : patience_ms, on_linger);
    if ((s->flags & (STREAM_READING | STREAM_FIN)) == 0 && stream_read_start(s) < 0) {
        stream_close(s);
        return;
    }
    stream_end(s);
}

/* ---- death ---- */

static void on_close(uv_handle_t *h)
{
    struct stream *s = h->data;

    tls_free(s);
    free(s->stash);
    s->stash = NULL;
    bufq_clear(&s->out);
    s->handler->on_closed(s);
}

static bool stream_begin_close(struct stream *s)
{
    if (s->flags & STREAM_CLOSING)
        return false;
    worker_cancel(s->worker, &s->linger);
    stream_pace_drop(s);
    worker_soon_cancel(s->worker, &s->task);
    if (s->worker->reading == s)
        s->worker->reading = NULL;
    return true;
}

void stream_close(struct stream *s)
{
    const uint32_t whole = STREAM_OPEN, broken = STREAM_FAILED | STREAM_FAIL_DUE | STREAM_NOTIFIED;

    if (!stream_begin_close(s))
        return;
    /* Only when everything was sent: a truncated message must not get a clean end. */
    if (s->tls != NULL && (s->flags & (whole | broken)) == whole && stream_queued(s) == 0 && !tls_has_more(s))
        tls_notify(s);
    worker_soon_cancel(s->worker, &s->task); /* the notice may have failed */
    s->flags |= STREAM_CLOSING;
    uv_close(&s->uv.handle, on_close);
}

void stream_reset(struct stream *s)
{
    if (!stream_begin_close(s))
        return;
    s->flags |= STREAM_CLOSING;
    if (stream_fd(s) < 0 || uv_tcp_close_reset(&s->uv.tcp, on_close) < 0)
        uv_close(&s->uv.handle, on_close);
}

bool stream_closing(const struct stream *s)
{
    return (s->flags & STREAM_CLOSING) != 0;
}

void stream_set_burst(struct stream *s, uint32_t bytes)
{
    uint32_t max = (uint32_t)s->worker->rx_size;

    s->burst = bytes == 0 ? 1 : bytes > max ? max : bytes;
}

void stream_set_high_mark(struct stream *s, uint32_t bytes)
{
    s->high_mark = bytes;
}

const char *stream_fail_text(const struct stream *s)
{
    const char *text = s->tls != NULL ? tls_fail_text(s) : NULL;

    if (text == NULL)
        text = s->fail_text;
    return text != NULL ? text : "";
}
