/*
 * Opening a connection: the addresses of one server in turn, the one that answered last first, all within
 * connect_timeout. An address that does not answer gets its share of the time that is left, so that a dead
 * one cannot use up that of the others.
 *
 * A server that failed health_down times in a row, on any worker, rests for BACKEND_PASSIVE_MS. The first
 * success after it brings it back.
 */
#include <assert.h>
#include <errno.h>

#include "backend_int.h"

/* ---- passive marks (shared by all workers) ---- */

static void server_failed(struct backend_server *s, enum reason why, const char *text)
{
    struct server_state *st = s->state;
    uint32_t limit = s->pool->conf->health_down > 0 ? s->pool->conf->health_down : 1;
    uint32_t n = __atomic_add_fetch(&st->connect_failures, 1, __ATOMIC_RELAXED);
    uint64_t before;

    if (n < limit)
        return;
    before = __atomic_exchange_n(&st->passive_until_ms, worker_now(s->pool->worker) + BACKEND_PASSIVE_MS,
                                 __ATOMIC_RELAXED);
    if (before == 0)
        log_event(LOG_EV_BACKEND_DOWN, LF_STR("backend", st->backend->name),
                  LF_STR("server", st->server->url), LF_REASON(why), LF_U64("failures", n),
                  LF_STR("detail", str_of(text)));
}

static void server_answered(struct backend_server *s)
{
    struct server_state *st = s->state;

    /* Reads first: in the ordinary case no worker writes what all read. */
    if (__atomic_load_n(&st->connect_failures, __ATOMIC_RELAXED) != 0)
        __atomic_store_n(&st->connect_failures, 0, __ATOMIC_RELAXED);
    if (__atomic_load_n(&st->passive_until_ms, __ATOMIC_RELAXED) == 0)
        return;
    if (__atomic_exchange_n(&st->passive_until_ms, 0, __ATOMIC_RELAXED) != 0)
        log_event(LOG_EV_BACKEND_UP, LF_STR("backend", st->backend->name), LF_STR("server", st->server->url),
                  LF_STR("detail", STR("connects again")));
}

/* ---- one attempt after the other ---- */

static struct backend_conn *conn_of_deadline(struct wheel_node *n)
{
    return (struct backend_conn *)(void *)((char *)n - offsetof(struct backend_conn, deadline));
}

static void attempt_timeout(struct wheel_node *n)
{
    backend_connect_failed(conn_of_deadline(n), REASON_BACKEND_CONNECT_TIMEOUT);
}

static void attempt_arm(struct backend_conn *c)
{
    uint64_t now = worker_now(c->pool->worker);
    uint64_t left = c->connect_until > now ? c->connect_until - now : 1;

    worker_arm(c->pool->worker, &c->deadline, left / (c->left + 1u) + 1, attempt_timeout);
}

static enum reason attempt_reason(int error)
{
    return error == -ENOMEM                       ? REASON_NO_MEMORY
           : error == -EMFILE || error == -ENFILE ? REASON_TABLE_FULL
                                                  : REASON_BACKEND_REFUSED;
}

/* -1: not even a handle to be closed. */
static int attempt_start(struct backend_conn *c)
{
    struct backend_server *s = c->server;
    const struct sockaddr *to = (const struct sockaddr *)&s->addresses.v[c->address % s->addresses.n];
    int e = stream_init(&c->stream, c->pool->worker, &backend_stream_handler);

    if (e < 0) {
        c->why = (uint8_t)attempt_reason(e);
        return -1;
    }
    c->stream.out.secret = true; /* request heads that wait */
    stream_set_burst(&c->stream, (uint32_t)c->pool->limits->backend_buffer);
    stream_set_high_mark(&c->stream, (uint32_t)c->pool->limits->backend_buffer);
    attempt_arm(c);
    e = stream_connect(&c->stream, to, s->state->server->https ? c->pool->tls : NULL, s->slot);
    if (e < 0)
        backend_connect_failed(c, attempt_reason(e));
    return 0;
}

int backend_connect(struct backend_conn *c)
{
    struct backend_server *s = c->server;

    if (s->addresses.n == 0)
        return -1;
    c->connecting = true;
    c->address = s->good;
    c->left = (uint8_t)(s->addresses.n - 1);
    c->why = REASON_BACKEND_REFUSED;
    c->connect_until = worker_now(c->pool->worker) + c->pool->conf->connect_timeout;
    s->connecting_n++;
    return attempt_start(c);
}

static bool reason_is_ours(enum reason r)
{
    return r == REASON_NO_MEMORY || r == REASON_TABLE_FULL || r == REASON_INTERNAL;
}

/* Until it is open, a connection that breaks was refused, whatever word the stream has for it. */
static enum reason connect_reason(enum reason why)
{
    switch (why) {
    case REASON_BACKEND_CONNECT_TIMEOUT:
    case REASON_BACKEND_TLS_FAILED:
    case REASON_NO_MEMORY:
    case REASON_TABLE_FULL:
    case REASON_INTERNAL:
        return why;
    case REASON_HANDSHAKE_FAILED:
        return REASON_BACKEND_TLS_FAILED;
    default:
        return REASON_BACKEND_REFUSED;
    }
}

void backend_connect_failed(struct backend_conn *c, enum reason why)
{
    bool late = worker_now(c->pool->worker) >= c->connect_until;

    why = connect_reason(why);
    c->why = (uint8_t)why;
    if (late || reason_is_ours(why))
        c->left = 0;
    worker_cancel(c->pool->worker, &c->deadline);
    if (c->left == 0 && !reason_is_ours(why))
        server_failed(c->server, why, stream_fail_text(&c->stream));
    metrics_add(c->pool->worker->metrics, METRIC_BACKEND_CONNECT_FAILURES, 1);
    stream_close(&c->stream);
}

/* The waiter may ask for another connection, or end, in on_failed. The handle is valid until it returns. */
static void connect_give_up(struct backend_conn *c)
{
    const struct backend_user *user = c->user;
    void *ctx = c->ctx;
    enum reason why = (enum reason)c->why;

    backend_detach(c);
    user->on_failed(ctx, why);
    backend_conn_free(c);
}

void backend_connect_closed(struct backend_conn *c)
{
    struct backend_server *s = c->server;

    if (c->left == 0 || s->addresses.n == 0) {
        connect_give_up(c);
        return;
    }
    c->left--;
    c->address++;
    if (attempt_start(c) < 0)
        connect_give_up(c);
}

void backend_connect_opened(struct backend_conn *c)
{
    struct backend_server *s = c->server;
    struct metrics *m = c->pool->worker->metrics;

    worker_cancel(c->pool->worker, &c->deadline);
    c->connecting = false;
    c->ready = true;
    c->owner = BACKEND_TXN;
    s->connecting_n--;
    s->good = s->addresses.n > 0 ? (uint8_t)(c->address % s->addresses.n) : 0;
    server_answered(s);
    __atomic_fetch_add(&s->state->open, 1, __ATOMIC_RELAXED);
    metrics_add(m, METRIC_BACKEND_CONNECTS, 1);
    metrics_add(m, METRIC_BACKEND_OPEN, 1);
    if (c->stream.tls != NULL) {
        metrics_add(m, METRIC_BACKEND_TLS_HANDSHAKES, 1);
        metrics_add(m, METRIC_BACKEND_TLS_RESUMED, stream_tls_resumed(&c->stream) ? 1 : 0);
    }
    c->user->on_ready(c->ctx, c);
}
