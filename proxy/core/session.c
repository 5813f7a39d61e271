#include <postern/proxy_protocol.h>

#include <stdlib.h>

#include <postern/flood.h>

#include "core_int.h"

static void session_parse_stash(struct session *s);

struct worker *session_worker(const struct session *s)
{
    return s->stream.worker;
}

static struct core_worker *session_core(const struct session *s)
{
    return s->stream.worker->core;
}

static const struct snapshot *session_conf(const struct session *s)
{
    return s->site->snapshot;
}

void session_set_pace(struct session *s, uint64_t bytes_per_s)
{
    struct pace_limit l = {bytes_per_s, session_conf(s)->limits.rate_grace};

    stream_set_pace(&s->stream, &l);
}

/* ---- closing ---- */

static void session_release(struct session *s)
{
    s->closing = true;
    worker_cancel(session_worker(s), &s->deadline);
    if (s->bound != NULL) {
        backend_discard(s->bound, false);
        s->bound = NULL;
    }
    bufq_clear(&s->stash);
}

static void session_close(struct session *s)
{
    if (!s->closing)
        session_release(s);
    stream_close(&s->stream);
}

/* The answer is on its way: the client must get all of it although it may still be sending (RFC 9112 9.6). */
static void session_finish(struct session *s)
{
    const struct conf_limits *l = &session_conf(s)->limits;

    if (s->closing)
        return;
    session_release(s);
    if (!stream_closing(&s->stream))
        stream_finish(&s->stream, l->write_timeout, l->linger_timeout);
}

static void session_closed(struct stream *stream)
{
    struct session *s = (struct session *)stream;
    struct core_worker *c = session_core(s);

    session_release(s);
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    c->sessions_n--;
    free(s->proxy_header);
    free(s->certificate);
    flood_disconnect(s->source);
    site_release(s->site);
    pool_give(&c->session_pool, s);
    engine_leave(c);
    core_worker_left(c);
}

void session_cut(struct session *s)
{
    if (s->txn != NULL && txn_put_off(s->txn, REASON_DRAINED))
        return;
    if (s->txn != NULL && s->txn->resp == TXN_RESP_FLOWS)
        txn_abort_client(s->txn, REASON_DRAINED);
    else if (s->txn != NULL)
        txn_client_gone(s->txn, REASON_DRAINED);
    session_close(s);
}

/* ---- deadlines between requests ---- */

static void session_deadline(struct wheel_node *n)
{
    struct session *s = (struct session *)((char *)n - offsetof(struct session, deadline));
    struct core_worker *c = session_core(s);

    if (!s->open) {
        metrics_ended(c->worker->metrics, REASON_HANDSHAKE_TIMEOUT);
        metrics_add(c->worker->metrics, METRIC_TLS_FAILED, 1);
        session_close(s);
    } else if (s->txn != NULL) {
        txn_head_bad(s->txn, REASON_CLIENT_TIMEOUT);
    } else {
        metrics_ended(c->worker->metrics, c->draining ? REASON_DRAINED : REASON_IDLE_TIMEOUT);
        session_finish(s);
    }
}

static void session_await(struct session *s)
{
    const struct conf_limits *l = &session_conf(s)->limits;
    uint64_t wait = s->requests == 0 ? l->head_timeout : l->keepalive_timeout;

    worker_arm(session_worker(s), &s->deadline, session_core(s)->draining ? DRAIN_GRACE_MS : wait,
               session_deadline);
}

/* A request in progress ends with its answer, a handshake leads to one request more. */
void session_drain(struct session *s)
{
    if (s->txn == NULL && s->open)
        session_await(s);
}

bool session_is_outdated(const struct session *s)
{
    return s->bound == NULL && s->site != session_core(s)->site;
}

/* ---- parsing ---- */

/* No new request while the client does not take the answers to the last ones. */
static bool session_can_parse(const struct session *s)
{
    if (s->closing)
        return false;
    if (s->txn == NULL)
        return !stream_blocked(&s->stream);
    return s->txn->tunnel || txn_takes_body(s->txn);
}

static bool session_begin_head(struct session *s)
{
    s->txn = txn_new(s);
    if (s->txn == NULL) {
        metrics_ended(session_worker(s)->metrics, REASON_NO_MEMORY);
        session_close(s);
        return false;
    }
    worker_arm(session_worker(s), &s->deadline, session_conf(s)->limits.head_timeout, session_deadline);
    return true;
}

static bool session_is_used_up(const struct session *s)
{
    const struct conf_limits *l = &session_conf(s)->limits;

    return l->requests_per_connection > 0 && s->requests >= l->requests_per_connection;
}

/* A body that is long, and that a backend takes, is read in larger pieces: fewer writes, each a wake-up of the server. Never
 * before: what nobody has let in yet may hold no more than client_buffer. */
static void session_widen(struct session *s)
{
    const struct conf_limits *l = &session_conf(s)->limits;

    if (s->txn != NULL && s->txn->req == TXN_REQ_FLOWS && s->txn->body_seen > l->client_buffer &&
        l->backend_buffer > l->client_buffer)
        stream_set_burst(&s->stream, (uint32_t)l->backend_buffer);
}

static void session_narrow(struct session *s)
{
    stream_set_burst(&s->stream, (uint32_t)session_conf(s)->limits.client_buffer);
}

static void session_event(struct session *s, enum h1_event e, struct str body)
{
    struct txn *t = s->txn;

    switch (e) {
    case H1_HEAD:
        worker_cancel(session_worker(s), &s->deadline);
        s->requests++;
        /* said with the answer, so that the client sends no more */
        t->close_client = t->close_client || session_is_used_up(s);
        txn_start(t);
        break;
    case H1_BODY:
        txn_request_body(t, body);
        session_widen(s);
        break;
    case H1_END:
        session_narrow(s);
        txn_request_end(t);
        break;
    case H1_BAD:
        if (t->request_codec->bad_was_body)
            txn_request_bad(t, t->request_codec->why);
        else
            txn_head_bad(t, t->request_codec->why);
        break;
    case H1_MORE:
        break;
    }
}

/* Takes what can be taken now; how many bytes that were. */
static size_t session_parse(struct session *s, const char *data, size_t n)
{
    const char *p = data, *end = data + n;
    enum h1_event e = H1_HEAD;

    s->feeding = true;
    while (e != H1_MORE && session_can_parse(s)) {
        struct str body = STR_NULL;
        if (s->txn == NULL && (p == end || !session_begin_head(s)))
            break;
        if (s->txn->tunnel) {
            txn_tunnel_data(s->txn, p, (size_t)(end - p));
            p = end;
            break;
        }
        e = h1_next(s->txn->request_codec, &p, end, &body);
        session_event(s, e, body);
    }
    s->feeding = false;
    batch_flush(session_core(s));
    return (size_t)(p - data);
}

static void session_hold(struct session *s, const char *data, size_t n)
{
    if (n > 0 && !bufq_append(&s->stash, data, n)) {
        if (s->txn != NULL)
            txn_client_gone(s->txn, REASON_NO_MEMORY);
        session_close(s);
        return;
    }
    stream_pause(&s->stream);
}

/* A request head of no bytes but blank lines holds no txn that could be logged. */
static void session_drop_blank(struct session *s)
{
    if (s->txn != NULL && s->txn->phase == PHASE_COUNT && !s->txn->request_codec->started && s->eof)
        txn_client_gone(s->txn, REASON_OK);
}

static void session_parse_stash(struct session *s)
{
    while (session_can_parse(s)) {
        struct iovec v;
        size_t used;
        if (s->txn != NULL && s->txn->backend != NULL && !s->txn->backend_waiting &&
            stream_blocked(&s->txn->backend->stream))
            return;
        if (bufq_peek(&s->stash, &v, 1) == 0) {
            (void)session_parse(s, "", 0);
            break;
        }
        used = session_parse(s, v.iov_base, v.iov_len);
        if (s->closing)
            return;
        bufq_consume(&s->stash, used);
        if (used < v.iov_len)
            break;
    }
}

void session_continue(struct session *s)
{
    if (s->feeding || s->closing)
        return;
    session_parse_stash(s);
    if (s->closing || bufq_len(&s->stash) > 0)
        return;
    if (s->eof && s->txn == NULL)
        session_finish(s);
    else
        stream_resume(&s->stream);
}

void session_txn_done(struct session *s, bool keep)
{
    s->txn = NULL;
    if (s->closing)
        return;
    if (!keep) {
        session_finish(s);
        return;
    }
    session_await(s);
    session_continue(s);
}

/* ---- a bound backend connection between requests ---- */

/* The server has ended what the client was authenticated on: the client's own connection ends too, so that it starts anew
 * rather than go on as somebody whom nobody knows. */
static void bound_lost(struct session *s)
{
    backend_discard(s->bound, false);
    s->bound = NULL;
    if (s->txn == NULL)
        session_finish(s);
    else
        s->txn->close_client = true;
}

static void bound_data(void *ctx, char *data, size_t n)
{
    bound_lost(ctx);
}

static void bound_eof(void *ctx, bool clean)
{
    bound_lost(ctx);
}

static void bound_drained(void *ctx)
{
}

static void bound_fail(void *ctx, enum reason why)
{
    bound_lost(ctx);
}

const struct backend_user session_bound_user = {
    .on_data = bound_data,
    .on_eof = bound_eof,
    .on_drained = bound_drained,
    .on_fail = bound_fail,
};

/* ---- the stream's callbacks ---- */

static void session_opened(struct stream *stream)
{
    struct session *s = (struct session *)stream;
    struct metrics *m = session_worker(s)->metrics;

    s->open = true;
    metrics_add(m, METRIC_TLS_HANDSHAKES, 1);
    if (stream_tls_resumed(stream))
        metrics_add(m, METRIC_TLS_RESUMED, 1);
    session_await(s);
}

static void session_data(struct stream *stream, char *data, size_t n)
{
    struct session *s = (struct session *)stream;
    size_t used = 0;

    if (bufq_len(&s->stash) == 0)
        used = session_parse(s, data, n);
    if (!s->closing && used < n)
        session_hold(s, data + used, n - used);
    else if (!s->closing && s->txn != NULL && s->txn->backend != NULL && !s->txn->backend_waiting &&
             stream_blocked(&s->txn->backend->stream)) {
        txn_pace(s->txn);
        stream_pause(stream);
    }
}

static void session_eof(struct stream *stream, bool clean)
{
    struct session *s = (struct session *)stream;
    struct txn *t = s->txn;

    s->eof = true;
    session_drop_blank(s);
    t = s->txn;
    if (t == NULL) {
        if (bufq_len(&s->stash) == 0)
            session_finish(s);
    } else if (t->phase == PHASE_COUNT) {
        txn_client_gone(t, REASON_CLIENT_CLOSED);
        session_close(s);
    } else if (t->tunnel || !clean || !txn_request_complete(t)) {
        txn_client_gone(t, REASON_CLIENT_CLOSED);
        session_close(s);
    } else {
        txn_client_ended(t);
    }
}

static void session_drained(struct stream *stream)
{
    struct session *s = (struct session *)stream;

    if (s->txn != NULL)
        txn_client_drained(s->txn);
    else
        session_continue(s);
}

static bool session_is_attack(enum reason why)
{
    return why == REASON_TLS_FLOOD || why == REASON_CLIENT_SLOW_READ;
}

static void session_failed(struct stream *stream, enum reason why)
{
    struct session *s = (struct session *)stream;
    struct metrics *m = session_worker(s)->metrics;

    if (!s->open)
        metrics_add(m, METRIC_TLS_FAILED, 1);
    if (!s->open || (s->txn == NULL && session_is_attack(why)))
        metrics_ended(m, why);
    if (session_is_attack(why)) {
        flood_told(&s->peer.sa, why, worker_now(session_worker(s)));
        stream_reset(stream); /* nothing more is owed, and the kernel should not go on sending it */
    }
    if (s->txn != NULL)
        txn_client_gone(s->txn, why);
    session_close(s);
}

static const struct stream_handler session_handler = {
    .on_open = session_opened,
    .on_data = session_data,
    .on_eof = session_eof,
    .on_drained = session_drained,
    .on_fail = session_failed,
    .on_closed = session_closed,
};

/* ---- accepting ---- */

/* Before TLS, so that it costs nothing; after the PROXY header, so that it is the client who is counted. */
static bool session_admitted(struct session *s)
{
    const struct conf_flood *f = &session_conf(s)->flood;
    struct metrics *m = session_worker(s)->metrics;

    if (flood_connect(f, &s->peer.sa, worker_now(session_worker(s)), &s->source))
        return true;
    metrics_add(m, METRIC_FLOOD_CONNECTIONS, 1);
    metrics_ended(m, REASON_FLOOD_CONNECTIONS);
    stream_reset(&s->stream);
    return false;
}

static void session_secure(struct session *s, const char *first, size_t n)
{
    const struct conf_limits *l = &session_conf(s)->limits;

    if (!session_admitted(s)) {
        session_close(s);
        return;
    }
    session_narrow(s);
    stream_set_high_mark(&s->stream, (uint32_t)l->client_buffer);
    session_set_pace(s, l->read_rate);
    worker_arm(session_worker(s), &s->deadline, l->handshake_timeout, session_deadline);
    if (stream_start(&s->stream, s->site->listeners[s->listener], first, n) < 0)
        session_close(s);
}

static void proxy_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct session *s = h->data;

    *buf = uv_buf_init(s->proxy_header + s->proxy_used, (unsigned)(PROXY_PROTOCOL_MAX - s->proxy_used));
}

static void proxy_bad(struct session *s)
{
    metrics_ended(session_worker(s)->metrics, REASON_PROXY_HEADER_BAD);
    session_close(s);
}

static void proxy_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct session *s = h->data;
    struct sockaddr_storage source;
    size_t used;
    char *header;

    if (n == 0 || s->closing)
        return;
    if (n < 0) {
        proxy_bad(s);
        return;
    }
    s->proxy_used = (uint16_t)(s->proxy_used + n);
    switch (proxy_protocol_parse(s->proxy_header, s->proxy_used, &used, &source)) {
    case PROXY_PROTOCOL_MORE:
        if (s->proxy_used == PROXY_PROTOCOL_MAX)
            proxy_bad(s);
        return;
    case PROXY_PROTOCOL_BAD:
        proxy_bad(s);
        return;
    case PROXY_PROTOCOL_OK:
        break;
    }
    uv_read_stop(h);
    if (source.ss_family == AF_INET || source.ss_family == AF_INET6)
        memcpy(&s->peer, &source, sizeof(s->peer));
    header = s->proxy_header;
    s->proxy_header = NULL;
    session_secure(s, header + used, s->proxy_used - used);
    free(header);
}

static void session_await_proxy_header(struct session *s)
{
    s->proxy_header = malloc(PROXY_PROTOCOL_MAX);
    worker_arm(session_worker(s), &s->deadline, session_conf(s)->limits.handshake_timeout, session_deadline);
    if (s->proxy_header == NULL || uv_read_start(&s->stream.uv.stream, proxy_alloc, proxy_read) < 0)
        session_close(s);
}

static void session_link(struct session *s, struct core_worker *c)
{
    s->next = c->sessions;
    s->link = &c->sessions;
    if (s->next != NULL)
        s->next->link = &s->next;
    c->sessions = s;
    c->sessions_n++;
}

static struct session *session_new(struct listener *l, struct core_worker *c)
{
    struct session *s = pool_take(&c->session_pool);

    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof(*s));
    if (stream_init(&s->stream, c->worker, &session_handler) < 0) {
        pool_give(&c->session_pool, s);
        return NULL;
    }
    bufq_init(&s->stash, &c->worker->bulk_pool);
    s->stash.secret = true; /* request heads */
    s->site = site_hold(engine_listener_site(l));
    s->listener = (uint16_t)l->conf_index;
    s->id = ((uint64_t)c->worker->index << 48) | ++c->next_id;
    session_link(s, c);
    return s;
}

bool session_accept(struct listener *l)
{
    struct core_worker *c = l->user;
    struct session *s = session_new(l, c);
    int n = sizeof(s->peer);

    if (s == NULL) {
        engine_leave(c);
        return core_refuse_connection(l, c, REASON_NO_MEMORY);
    }
    if (uv_accept((uv_stream_t *)&l->tcp, &s->stream.uv.stream) < 0 ||
        uv_tcp_getpeername(&s->stream.uv.tcp, &s->peer.sa, &n) < 0) {
        session_close(s);
        return true;
    }
    if (conf_cidrs_match(&session_conf(s)->listeners[s->listener].proxy_protocol_from, &s->peer.sa))
        session_await_proxy_header(s);
    else
        session_secure(s, NULL, 0);
    return true;
}
