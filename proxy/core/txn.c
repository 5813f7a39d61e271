/*
 * The engine of the phases, and the beginning and end of every request. What happens with the backend is in txn_backend.c
 * (request side) and txn_response.c (response side), the time in txn_deadline.c.
 */
#include <stdlib.h>
#include <time.h>

#include <postern/log.h>

#include "core_int.h"

struct core_worker *txn_core(const struct txn *t)
{
    return t->site->core;
}

struct worker *txn_worker(const struct txn *t)
{
    return t->site->core->worker;
}

const struct snapshot *txn_snapshot(const struct txn *t)
{
    return t->site->snapshot;
}

struct str txn_hsts(const struct txn *t)
{
    return t->site->shared->hsts[t->session->listener];
}

enum match_result txn_match(const struct txn *t, struct str host, struct str canonical_path, enum method m,
                            struct match *ret)
{
    return match_find(t->site->shared->table, host, canonical_path, m, ret);
}

bool txn_host_published(const struct txn *t, struct str host)
{
    return match_host_published(t->site->shared->table, host);
}

bool txn_request_complete(const struct txn *t)
{
    return t->req == TXN_REQ_DONE || (t->phase != PHASE_COUNT && t->request.framing == BODY_NONE);
}

bool txn_codec_take(struct txn *t, struct h1 **codec)
{
    if (*codec == NULL)
        *codec = pool_take(&txn_core(t)->codec_pool);
    return *codec != NULL;
}

void txn_codec_give(struct txn *t, struct h1 **codec)
{
    pool_give(&txn_core(t)->codec_pool, *codec);
    *codec = NULL;
}

/* ---- beginning ---- */

struct txn *txn_new(struct session *s)
{
    struct core_worker *c = s->site->core;
    const struct conf_limits *l = &s->site->snapshot->limits;
    struct txn *t = pool_take(&c->txn_pool);

    if (t == NULL)
        return NULL;
    memset(t, 0, sizeof(*t));
    t->session = s;
    t->site = s->site;
    if (!txn_codec_take(t, &t->request_codec)) {
        pool_give(&c->txn_pool, t);
        return NULL;
    }
    t->phase = PHASE_COUNT;
    t->want = (struct backend_want){.path_index = -1, .server = -1, .new_client = true};
    t->started_ms = worker_now(c->worker);
    arena_init(&t->arena, &c->worker->chunk_pool,
               4 * (l->header_bytes + l->response_head_bytes) + (64u << 10));
    message_init(&t->request, &t->arena, false);
    h1_begin_request(t->request_codec, &t->request, &s->site->request_limits);
    metrics_add(c->worker->metrics, METRIC_REQUESTS_OPEN, 1);
    return t;
}

void txn_head_bad(struct txn *t, enum reason why)
{
    t->phase = PHASE_HEAD;
    t->close_client = true;
    if (why == REASON_CLIENT_TIMEOUT && !t->request_codec->started)
        txn_client_gone(t, REASON_IDLE_TIMEOUT);
    else
        txn_refuse(t, why == REASON_CLIENT_TIMEOUT ? 408 : message_refusal_status(why), why);
}

void txn_start(struct txn *t)
{
    const struct field *agent = message_find(&t->request, FIELD_ID_USER_AGENT);
    enum reason bad;

    metrics_add(txn_worker(t)->metrics, METRIC_REQUESTS, 1);
    t->phase = PHASE_HEAD;
    t->active_ms = worker_now(txn_worker(t));
    if (agent != NULL)
        t->agent = agent->value;
    bad = target_parse(&t->target, t->request.target_text, t->request.method, &t->arena);
    if (bad != REASON_OK) {
        t->close_client = true;
        txn_refuse(t, message_refusal_status(bad), bad);
        return;
    }
    txn_advance(t);
}

/* ---- phases ---- */

static const struct filter_list *phase_filters(const struct txn *t)
{
    return t->route != NULL ? &t->route->on[t->phase] : &t->site->shared->before_route[t->phase];
}

/* False: a filter waits, or the request was answered and may be gone. */
static bool phase_run(struct txn *t)
{
    const struct filter_list *l = phase_filters(t);

    while (t->index < l->n) {
        const struct filter *f = l->v[t->index++];
        switch (f->on[t->phase](t)) {
        case FILTER_NEXT:
            break;
        case FILTER_DONE:
            return false;
        case FILTER_WAIT:
            t->waiting = true;
            t->waiter = f;
            txn_arm(t);
            return false;
        }
    }
    return true;
}

static bool refuse_method(struct txn *t)
{
    struct reply r = {.status = 405};

    r.allow = match_allow(t->site->shared->table, t->request.host, t->target.canonical, &t->arena);
    txn_reply(t, &r, REASON_METHOD_NOT_ALLOWED);
    return false;
}

static bool redirect_root(struct txn *t)
{
    struct reply r = {.status = 302};

    if ((method_flags(t->request.method) & METHOD_SAFE) == 0 || t->request.framing != BODY_NONE) {
        txn_refuse(t, 404, REASON_NOT_PUBLISHED);
        return false;
    }
    r.location = STR("/owa/");
    txn_reply(t, &r, REASON_LOCAL);
    return false;
}

/* The fixed step between HEAD and ROUTE. */
static bool txn_route(struct txn *t)
{
    struct site_shared *shared = t->site->shared;

    switch (match_find(shared->table, t->request.host, t->target.canonical, t->request.method, &t->match)) {
    case MATCH_FOUND:
        t->route = &shared->routes[t->match.route];
        t->pool = t->site->backends[t->route->backend];
        t->want.path_index = t->route->path_index;
        return true;
    case MATCH_NO_HOST:
        txn_refuse(t, 421, REASON_HOST_NOT_PUBLISHED);
        return false;
    case MATCH_NO_PATH:
        txn_refuse(t, 404, REASON_NOT_PUBLISHED);
        return false;
    case MATCH_NO_METHOD:
        return refuse_method(t);
    case MATCH_ROOT:
        return redirect_root(t);
    }
    return false;
}

/* Before REQUEST_OUT, so that what its filters add stays. */
static bool txn_strip_hop(struct txn *t)
{
    message_strip_hop(&t->request);
    return true;
}

/* What runs after the filters of a phase. */
static bool (*const phase_step[PHASE_COUNT])(struct txn *t) = {
    [PHASE_HEAD] = txn_route,
    [PHASE_AUTH] = txn_strip_hop,
    [PHASE_BACKEND] = txn_connect,
    [PHASE_RESPONSE_HEAD] = txn_response_send,
};

void txn_advance(struct txn *t)
{
    while (phase_run(t)) {
        if (phase_step[t->phase] != NULL && !phase_step[t->phase](t))
            return;
        t->phase++;
        t->index = 0;
    }
}

void txn_resume(struct txn *t)
{
    struct session *s = t->session;

    assert(t->waiting);
    t->waiting = false;
    t->waiter = NULL;
    t->active_ms = worker_now(txn_worker(t));
    txn_advance(t);
    batch_flush(s->site->core);
    session_continue(s);
}

struct guard_ticket *txn_submit_auth(struct txn *t, const struct basic_credentials *c,
                                     void (*done)(void *ctx, const struct guard_result *r),
                                     struct guard_result *ret_now)
{
    struct guard_question q = {
        .worker = txn_worker(t),
        .snapshot = t->site->snapshot,
        .verifier = t->route->verifier,
        .credentials = c,
        .source = &t->session->peer.sa,
        .service = t->match.service->name,
        .device = t->device,
        .memo = &t->session->memo,
    };

    return guard_ask(engine_guard(txn_core(t)->engine), &q, done, t, ret_now);
}

struct guard_ticket *txn_refuse_auth(struct txn *t, void (*done)(void *ctx, const struct guard_result *r))
{
    return guard_refuse(engine_guard(txn_core(t)->engine), txn_worker(t), done, t);
}

void txn_doubt_auth(struct txn *t)
{
    guard_doubt(engine_guard(txn_core(t)->engine), &t->proof);
}

static const struct client_trust *trust_of(const struct site *site, const struct match *m)
{
    return site->shared->client_trust[m->publish - site->snapshot->publish];
}

/* A connection that is kept over a reload is judged by the lists of now: who is revoked gets no last request. */
static const struct client_trust *trust_of_now(const struct txn *t)
{
    const struct site *now = txn_core(t)->site;
    struct match m;

    if (now == NULL || now == t->site ||
        match_find(now->shared->table, t->request.host, t->target.canonical, t->request.method, &m) !=
            MATCH_FOUND)
        return NULL;
    return trust_of(now, &m);
}

#define CERTIFICATE_GOOD_FOR_MS 60000 /* it and the lists may end while the connection is kept */

const struct client_identity *txn_client_certificate(struct txn *t)
{
    struct session *s = t->session;
    const struct client_trust *newer = trust_of_now(t);
    uint64_t now = worker_now(txn_worker(t));

    if (s->certificate != NULL && s->certified_for == t->match.publish && newer == NULL &&
        now - s->certified_ms < CERTIFICATE_GOOD_FOR_MS)
        return s->certificate;
    if (s->certificate == NULL)
        s->certificate = malloc(sizeof(*s->certificate));
    if (s->certificate == NULL)
        return NULL;
    s->certified_for = newer == NULL ? t->match.publish : NULL;
    s->certified_ms = now;
    client_certificate_judge(&s->stream, newer != NULL ? newer : trust_of(t->site, &t->match),
                             s->certificate);
    if (s->certificate->state == CLIENT_CERTIFICATE_BAD)
        log_event(LOG_EV_CLIENT_CERTIFICATE_BAD, LF_STR("why", str_of(s->certificate->why)),
                  LF_STR("subject", str_of(s->certificate->subject)), LF_ADDRESS("client", &s->peer.sa));
    return s->certificate;
}

/* ---- answers of our own ---- */

bool txn_is_last(const struct txn *t)
{
    if (t->bind && t->response.status == 401)
        return false; /* a challenge to be answered on this very connection */
    return txn_core(t)->draining || session_is_outdated(t->session);
}

/* After a refusal the connection lives on only if the body that was announced is small enough to throw away. */
static bool reply_may_keep(const struct txn *t)
{
    const struct message *m = &t->request;

    if (t->close_client || !m->keep_alive || t->session->eof || txn_is_last(t))
        return false;
    if (txn_request_complete(t))
        return true;
    return m->framing == BODY_LENGTH && m->content_length <= DISCARD_MAX && !m->expect_continue &&
           t->body_seen == 0;
}

void txn_flush_answer(struct txn *t)
{
    if (t->close_client)
        stream_last(&t->session->stream);
    batch_flush(txn_core(t));
}

void txn_reply(struct txn *t, struct reply *r, enum reason why)
{
    struct session *s = t->session;
    struct core_worker *c = txn_core(t);
    struct str text;

    t->waiting = false;
    t->waiter = NULL;
    t->reason = why;
    txn_drop_backend(t, true);
    if (r->close || !reply_may_keep(t))
        t->close_client = true;
    r->close = t->close_client;
    r->head = t->request.method == METHOD_HEAD;
    r->minor = t->request.minor;
    r->hsts = txn_hsts(t);
    t->resp = TXN_RESP_DONE;
    text = reply_write(r, &t->arena);
    if (text.p == NULL) {
        txn_client_gone(t, REASON_NO_MEMORY);
        session_cut(s);
        return;
    }
    t->status = r->status;
    batch_str(c, &s->stream, text);
    txn_flush_answer(t);
    if (t->close_client || t->req == TXN_REQ_DONE) {
        txn_end(t, !t->close_client);
        return;
    }
    t->req = TXN_REQ_DISCARD;
    t->active_ms = worker_now(txn_worker(t));
    txn_arm(t);
    session_continue(s);
}

bool txn_client_returns(const struct txn *t)
{
    struct match found = t->match;

    if (found.service == NULL && t->target.canonical.p != NULL) /* before the route is known */
        (void)txn_match(t, t->request.host, t->target.canonical, t->request.method, &found);
    if (found.service == NULL)
        return false;
    switch (found.service->protocol) {
    case CONF_PROTOCOL_ACTIVESYNC:
    case CONF_PROTOCOL_EWS:
    case CONF_PROTOCOL_MAPI:
        return true;
    default:
        return false;
    }
}

bool txn_put_off(struct txn *t, enum reason why)
{
    if (t->resp != TXN_RESP_NONE || t->phase == PHASE_COUNT || !txn_client_returns(t))
        return false;
    if (t->waiting && t->waiter->cancel != NULL)
        t->waiter->cancel(t);
    t->close_client = true;
    txn_refuse(t, 503, why);
    return true;
}

void txn_refuse(struct txn *t, int status, enum reason why)
{
    if ((status == 429 || why == REASON_NO_MEMORY) && txn_client_returns(t))
        status = 503;

    struct reply r = {.status = status, .retry_after_s = status == 503 || status == 429 ? 30 : 0};

    txn_reply(t, &r, why);
}

/* ---- ends ---- */

static struct str record_path(const struct txn *t)
{
    return t->target.canonical.p != NULL ? t->target.canonical : t->request.target_text;
}

static struct str record_protocol(const struct txn *t, char out[8])
{
    int n = t->protocol > 0 ? snprintf(out, 8, "%u.%u", t->protocol / 10u, t->protocol % 10u) : 0;

    return (struct str){out, (size_t)n};
}

static struct str record_policy_key(const struct txn *t, char out[12])
{
    int n = t->has_policy_key ? snprintf(out, 12, "%u", t->policy_key) : 0;

    return (struct str){out, (size_t)n};
}

static void txn_log(struct txn *t)
{
    struct session *s = t->session;
    struct worker *w = txn_worker(t);
    uint64_t now = worker_now(w);
    struct timespec wall;
    char protocol[8], policy_key[12];
    struct access_record r = {
        .client = &s->peer.sa,
        .user = t->user,
        .method = t->request.method_text,
        .host = t->request.host,
        .path = record_path(t),
        .query = t->target.query,
        .tls_version = str_of(stream_tls_version(&s->stream)),
        .tls_cipher = str_of(stream_tls_cipher(&s->stream)),
        .sni = str_of(stream_sni(&s->stream)),
        .agent = t->agent,
        .command = t->command,
        .device = t->device,
        .device_type = t->device_type,
        .device_user = t->device_user,
        .protocol = record_protocol(t, protocol),
        .policy_key = record_policy_key(t, policy_key),
        .minor = t->request.minor,
        .head_seen = t->request.method_text.p != NULL,
        .status = t->status,
        .reason = t->reason,
        .auth_asked = t->auth_asked,
        .auth = t->auth_result.detail,
        .bytes_in = t->bytes_in,
        .bytes_out = t->bytes_out,
        .duration_ms = now - t->started_ms,
        .backend_ms = t->head_ms > 0 && t->sent_ms > 0 ? t->head_ms - t->sent_ms : 0,
        .connection = s->id,
    };

    clock_gettime(CLOCK_REALTIME, &wall);
    r.ended_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    if (t->match.service != NULL)
        r.service = t->match.service->name;
    if (t->server != NULL) {
        r.backend = t->server->url;
        r.reused = t->reused;
    }
    if (!access_log_write(t->site->shared->access, &r))
        metrics_add(w->metrics, METRIC_LOG_LINES_LOST, 1);
}

static void txn_count(struct txn *t)
{
    struct metrics *m = txn_worker(t)->metrics;

    if (log_access_wanted())
        txn_log(t);
    metrics_ended(m, t->reason);
    metrics_status(m, t->status);
}

static bool reason_is_backends(enum reason r)
{
    return r >= REASON_NO_BACKEND && r <= REASON_BACKEND_HEAD_TOO_LARGE;
}

void txn_drop_backend(struct txn *t, bool abort)
{
    struct backend_conn *b = t->backend;

    if (b == NULL)
        return;
    t->backend = NULL;
    if (t->backend_waiting) {
        t->backend_waiting = false;
        backend_cancel(b);
        return;
    }
    backend_request_end(b, reason_is_backends(t->reason));
    if (t->session->bound == b)
        t->session->bound = NULL;
    if (b->bound)
        t->close_client = true;
    batch_flush(txn_core(t));
    backend_discard(b, abort);
}

void txn_end(struct txn *t, bool keep)
{
    struct session *s = t->session;
    struct core_worker *c = txn_core(t);

    worker_cancel(c->worker, &t->deadline);
    if (t->waiting && t->waiter->cancel != NULL)
        t->waiter->cancel(t);
    t->waiting = false;
    txn_drop_backend(t, true);
    batch_flush(c);
    if (t->close_client)
        keep = false;
    if (t->tunnel ||
        method_flags(t->request.method) & METHOD_RPC) /* what is left of it is an answer like any other */
        session_set_pace(s, txn_snapshot(t)->limits.read_rate);
    t->phase = PHASE_LOG;
    t->index = 0;
    (void)phase_run(t);
    if (!(t->reason == REASON_OK && t->status == 0))
        txn_count(t);
    metrics_sub(c->worker->metrics, METRIC_REQUESTS_OPEN, 1);
    txn_codec_give(t, &t->request_codec);
    txn_codec_give(t, &t->response_codec);
    arena_release(&t->arena);
    free(t->parked_memory);
    pool_give(&c->txn_pool, t);
    session_txn_done(s, keep);
}

void txn_abort_client(struct txn *t, enum reason why)
{
    struct session *s = t->session;

    t->reason = why;
    t->close_client = true;
    txn_drop_backend(t, true);
    batch_flush(txn_core(t));
    /* A body that ends with the connection looks whole after a FIN; only a reset tells. */
    stream_reset(&s->stream);
    txn_end(t, false);
}

void txn_client_gone(struct txn *t, enum reason why)
{
    if (t->resp == TXN_RESP_DONE && t->status != 0) {
        txn_end(t, false);
        return;
    }
    t->reason = why;
    t->close_client = true;
    txn_drop_backend(t, true);
    txn_end(t, false);
}

void txn_client_ended(struct txn *t)
{
    t->half_closed = true;
    t->close_client = true;
    txn_arm(t);
}
