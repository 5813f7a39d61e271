/*
 * Plain HTTP never carries a secret. This listener reads one request head, answers it with a redirect or a refusal, and
 * closes. It has no code that reads a body, a cookie or a credential; it never speaks to a backend.
 */
#include <time.h>

#include <postern/log.h>

#include "core_int.h"

struct plain_session {
    struct stream stream; /* first: callbacks cast */
    struct site *site;
    struct plain_session *next, **link;
    struct h1 codec;
    struct arena arena;
    struct message request;
    struct target target;
    struct wheel_node deadline;
    union session_address peer;
    uint64_t id, started_ms;
    uint16_t listener;
    bool answered;
};

static struct core_worker *plain_core(const struct plain_session *s)
{
    return s->stream.worker->core;
}

/* ---- what to answer ---- */

static bool plain_is_autodiscover(const struct plain_session *s)
{
    return str_eq(s->target.canonical, STR("/autodiscover/autodiscover.xml"));
}

/* Any sign that the client would send a secret or a body here: it must learn not to (Autodiscover's leak). */
static bool plain_is_harmless(const struct plain_session *s)
{
    const struct message *m = &s->request;

    return (m->method == METHOD_GET || m->method == METHOD_HEAD) && m->framing == BODY_NONE &&
           message_find(m, FIELD_ID_AUTHORIZATION) == NULL &&
           message_find(m, FIELD_ID_PROXY_AUTHORIZATION) == NULL && m->upgrade.p == NULL && m->host.n > 0;
}

static bool plain_may_redirect(const struct plain_session *s)
{
    const struct conf_listener *l = &s->site->snapshot->listeners[s->listener];

    if (l->plain_http == CONF_PLAIN_REFUSE || !plain_is_harmless(s))
        return false;
    if (!match_host_published(s->site->shared->table, s->request.host))
        return false;
    return l->plain_http == CONF_PLAIN_REDIRECT ||
           (s->request.method == METHOD_GET && plain_is_autodiscover(s));
}

static struct str plain_location(struct plain_session *s)
{
    const struct target *t = &s->target;
    struct str path = t->path, query = t->query.p != NULL ? t->query : STR("");
    const char *mark = t->query.p != NULL ? "?" : "";
    uint16_t port = s->site->shared->https_port;

    if (port == 443)
        return arena_printf(&s->arena, "https://%.*s%.*s%s%.*s", STR_ARG(s->request.host), STR_ARG(path),
                            mark, STR_ARG(query));
    return arena_printf(&s->arena, "https://%.*s:%u%.*s%s%.*s", STR_ARG(s->request.host), port, STR_ARG(path),
                        mark, STR_ARG(query));
}

/* ---- answering ---- */

static void plain_log(struct plain_session *s, int status, enum reason why)
{
    struct worker *w = s->stream.worker;
    struct timespec wall;
    struct access_record r = {
        .client = &s->peer.sa,
        .method = s->request.method_text,
        .host = s->request.host,
        .path = s->target.canonical.p != NULL ? s->target.canonical : s->request.target_text,
        .query = s->target.query,
        .minor = s->request.minor,
        .head_seen = s->request.method_text.p != NULL,
        .status = status,
        .reason = why,
        .duration_ms = worker_now(w) - s->started_ms,
        .connection = s->id,
    };

    clock_gettime(CLOCK_REALTIME, &wall);
    r.ended_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    if (!access_log_write(s->site->shared->access, &r))
        metrics_add(w->metrics, METRIC_LOG_LINES_LOST, 1);
    metrics_add(w->metrics, METRIC_REQUESTS, 1);
    metrics_ended(w->metrics, why);
    metrics_status(w->metrics, status);
}

static void plain_answer(struct plain_session *s, struct reply *r, enum reason why)
{
    const struct conf_limits *limits = &s->site->snapshot->limits;
    struct str text;

    if (s->answered)
        return;
    s->answered = true;
    r->close = true;
    r->head = s->request.method == METHOD_HEAD;
    r->minor = s->request.minor;
    text = reply_write(r, &s->arena);
    worker_cancel(s->stream.worker, &s->deadline);
    plain_log(s, text.p != NULL ? r->status : 0, why);
    if (text.p != NULL) {
        struct iovec v = {.iov_base = (void *)(uintptr_t)text.p, .iov_len = text.n};
        (void)stream_write(&s->stream, &v, 1);
    }
    if (!stream_closing(&s->stream))
        stream_finish(&s->stream, limits->write_timeout, limits->linger_timeout);
}

static void plain_refuse(struct plain_session *s, int status, enum reason why)
{
    struct reply r = {.status = status};

    plain_answer(s, &r, why);
}

static void plain_head(struct plain_session *s)
{
    enum reason bad = target_parse(&s->target, s->request.target_text, s->request.method, &s->arena);
    struct reply r = {.status = 302};

    if (bad != REASON_OK) {
        plain_refuse(s, message_refusal_status(bad), bad);
    } else if (!plain_may_redirect(s)) {
        plain_refuse(s, 403, REASON_PLAIN_HTTP_REFUSED);
    } else if ((r.location = plain_location(s)).p == NULL) {
        plain_refuse(s, 500, REASON_NO_MEMORY);
    } else {
        plain_answer(s, &r, REASON_LOCAL);
    }
}

/* ---- the stream ---- */

static void plain_data(struct stream *stream, char *data, size_t n)
{
    struct plain_session *s = (struct plain_session *)stream;
    const char *p = data;
    struct str body;

    if (s->answered)
        return;
    switch (h1_next(&s->codec, &p, data + n, &body)) {
    case H1_HEAD:
        plain_head(s);
        break;
    case H1_BAD:
        plain_refuse(s, message_refusal_status(s->codec.why), s->codec.why);
        break;
    default:
        break;
    }
}

static void plain_eof(struct stream *stream, bool clean)
{
    struct plain_session *s = (struct plain_session *)stream;

    if (s->codec.started && !s->answered)
        plain_log(s, 0, REASON_CLIENT_CLOSED);
    stream_close(stream);
}

static void plain_failed(struct stream *stream, enum reason why)
{
    metrics_ended(stream->worker->metrics, why);
    stream_close(stream);
}

static void plain_nothing(struct stream *stream)
{
}

static void plain_closed(struct stream *stream)
{
    struct plain_session *s = (struct plain_session *)stream;
    struct core_worker *c = plain_core(s);

    worker_cancel(c->worker, &s->deadline);
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    arena_release(&s->arena);
    site_release(s->site);
    pool_give(&c->plain_pool, s);
    engine_leave(c);
    core_worker_left(c);
}

static void plain_deadline(struct wheel_node *n)
{
    struct plain_session *s = (struct plain_session *)((char *)n - offsetof(struct plain_session, deadline));

    if (s->codec.started)
        plain_refuse(s, 408, REASON_CLIENT_TIMEOUT);
    else
        stream_close(&s->stream);
}

static const struct stream_handler plain_handler = {
    .on_open = plain_nothing,
    .on_data = plain_data,
    .on_eof = plain_eof,
    .on_drained = plain_nothing,
    .on_fail = plain_failed,
    .on_closed = plain_closed,
};

static struct plain_session *plain_new(struct listener *l, struct core_worker *c)
{
    struct plain_session *s = pool_take(&c->plain_pool);

    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof(*s));
    if (stream_init(&s->stream, c->worker, &plain_handler) < 0) {
        pool_give(&c->plain_pool, s);
        return NULL;
    }
    s->site = site_hold(engine_listener_site(l));
    s->listener = (uint16_t)l->conf_index;
    s->id = ((uint64_t)c->worker->index << 48) | ++c->next_id;
    s->started_ms = worker_now(c->worker);
    s->next = c->plains;
    s->link = &c->plains;
    if (s->next != NULL)
        s->next->link = &s->next;
    c->plains = s;
    return s;
}

void plain_http_init(struct core_worker *c)
{
    pool_init(&c->plain_pool, sizeof(struct plain_session), 32);
}

bool plain_http_accept(struct listener *l)
{
    struct core_worker *c = l->user;
    const struct snapshot *snapshot = engine_listener_site(l)->snapshot;
    const struct conf_limits *limits = &snapshot->limits;
    const struct conf_listener *conf = &snapshot->listeners[l->conf_index];
    struct plain_session *s;
    int n = sizeof(s->peer);

    if (conf->plain_http == CONF_PLAIN_REFUSE && conf->refuse_with == CONF_REFUSE_CLOSE) {
        engine_leave(c);
        return core_refuse_connection(l, c, REASON_PLAIN_HTTP_REFUSED);
    }
    s = plain_new(l, c);
    if (s == NULL) {
        engine_leave(c);
        return core_refuse_connection(l, c, REASON_NO_MEMORY);
    }
    arena_init(&s->arena, &c->worker->chunk_pool, 2 * limits->header_bytes + (16u << 10));
    message_init(&s->request, &s->arena, false);
    h1_begin_request(&s->codec, &s->request, &s->site->request_limits);
    if (uv_accept((uv_stream_t *)&l->tcp, &s->stream.uv.stream) < 0 ||
        uv_tcp_getpeername(&s->stream.uv.tcp, &s->peer.sa, &n) < 0) {
        stream_close(&s->stream);
        return true;
    }
    stream_set_burst(&s->stream, 4096);
    worker_arm(c->worker, &s->deadline, limits->head_timeout, plain_deadline);
    if (stream_start(&s->stream, NULL, NULL, 0) < 0)
        stream_close(&s->stream);
    return true;
}

void plain_http_drain_all(struct core_worker *c)
{
    for (struct plain_session *s = c->plains; s != NULL; s = s->next) {
        if (!s->answered && !s->codec.started)
            worker_arm(c->worker, &s->deadline, DRAIN_GRACE_MS, plain_deadline);
    }
}

void plain_http_cut_all(struct core_worker *c)
{
    for (struct plain_session *s = c->plains; s != NULL; s = s->next)
        stream_close(&s->stream);
}
