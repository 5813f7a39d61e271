/*
 * The request side: which backend connection, the head, the body.
 */
#include <postern/log.h>

#include "core_int.h"

/* ---- the head ---- */

static bool head_set_host(struct txn *t)
{
    struct str host = backend_pool_conf(t->pool)->host_header;
    const struct field *f = message_find(&t->request, FIELD_ID_HOST);

    if (host.p == NULL) {
        if (f != NULL && t->target.authority.p == NULL)
            return true;
        host = t->target.authority.p != NULL ? t->target.authority : t->request.host;
    }
    return message_set(&t->request, FIELD_ID_HOST, host) == 0;
}

/* origin-form, whatever came (RFC 9112 3.2.1). */
static bool head_set_target(struct txn *t)
{
    if (t->target.authority.p == NULL)
        return true;
    if (t->target.query.p != NULL)
        t->request.target_text =
            arena_printf(&t->arena, "%.*s?%.*s", STR_ARG(t->target.path), STR_ARG(t->target.query));
    else
        t->request.target_text = t->target.path;
    return t->request.target_text.p != NULL;
}

static bool head_set_upgrade(struct txn *t)
{
    if (t->request.upgrade.p == NULL)
        return true;
    return message_add(&t->request, FIELD_ID_CONNECTION, STR("Upgrade")) == 0 &&
           message_add(&t->request, FIELD_ID_UPGRADE, t->request.upgrade) == 0;
}

/* Hop-by-hop fields went before REQUEST_OUT's filters, so that what these add stays. */
static bool head_build(struct txn *t)
{
    if (!head_set_host(t) || !head_set_target(t) || body_out_begin(&t->to_backend, &t->request, 1) < 0 ||
        !head_set_upgrade(t))
        return false;
    t->head_out = h1_write_head(&t->request, &t->arena);
    return t->head_out.p != NULL;
}

/* ---- the connection ---- */

/* The connection is ours: the head leaves, together with what the client's present read holds of the body. */
static void txn_forward(struct txn *t, struct backend_conn *b)
{
    struct worker *w = txn_worker(t);

    t->backend = b;
    t->backend_waiting = false;
    t->server = backend_conn_conf(b);
    t->reused = b->reused;
    if (t->bind && !b->bound) {
        backend_bind(b);
        t->session->bound = b;
    }
    backend_request_begin(b);
    (void)txn_response_begin(t); /* txn_connect has taken the codec */
    batch_str(txn_core(t), &b->stream, t->head_out);
    t->head_sent = true;
    t->sent_ms = t->active_ms = worker_now(w);
    if (t->req == TXN_REQ_HELD)
        t->req = TXN_REQ_FLOWS;
    pace_begin(&t->sending, t->body_seen);
    txn_arm(t);
}

void txn_ready(void *ctx, struct backend_conn *b)
{
    struct txn *t = ctx;
    struct session *s = t->session;

    txn_forward(t, b);
    batch_flush(txn_core(t));
    session_continue(s);
}

/* Nobody but us could say that no server was reached. */
static void txn_not_connected(struct txn *t, enum reason why)
{
    txn_refuse(t, txn_client_returns(t) ? 503 : txn_failure_status(why), why);
}

static bool txn_take(struct txn *t)
{
    struct backend_conn *b = NULL;
    enum reason why = REASON_NO_BACKEND;

    switch (backend_take(t->pool, &t->want, &txn_backend_user, t, &b, &why)) {
    case BACKEND_LENT:
        txn_forward(t, b);
        return true;
    case BACKEND_WAIT:
        t->backend = b;
        t->backend_waiting = true;
        worker_cancel(txn_worker(t), &t->deadline);
        return true;
    case BACKEND_NONE:
        break;
    }
    if (why == REASON_TABLE_FULL)
        engine_log_full(txn_core(t));
    txn_not_connected(t, why);
    return false;
}

/* Not one byte has reached a server: another may serve the request, whatever its method (RFC 9110 9.2.2). */
void txn_connect_failed(void *ctx, enum reason why)
{
    struct txn *t = ctx;
    struct backend_conn *b = t->backend;
    struct session *s = t->session;
    int server = b != NULL ? backend_conn_server(b) : -1;
    unsigned servers = backend_pool_servers(t->pool);

    t->backend = NULL;
    t->backend_waiting = false;
    if (server >= 0)
        t->server = backend_conn_conf(b);
    if (server >= 0 && server < 32 && ++t->tries < servers) {
        t->want.tried |= 1u << server;
        metrics_add(txn_worker(t)->metrics, METRIC_BACKEND_RETRIES, 1);
        if (!txn_take(t))
            return;
        batch_flush(s->site->core);
        session_continue(s);
        return;
    }
    txn_not_connected(t, why);
}

/* A connection that is bound to this client serves all its requests to that backend: it *is* the client there. */
static bool txn_take_bound(struct txn *t)
{
    struct session *s = t->session;
    struct backend_conn *b = s->bound;

    if (b == NULL)
        return false;
    if (b->pool != t->pool) {
        if (t->bind) {
            s->bound = NULL;
            backend_discard(b, false);
        }
        return false;
    }
    backend_unpark(b, &txn_backend_user, t);
    txn_forward(t, b);
    return true;
}

/* The last gate: whatever the filters did, nobody unproved gets past it. */
static bool txn_is_proved(const struct txn *t)
{
    return t->match.publish->basic == NULL || t->authenticated || t->exempt;
}

bool txn_connect(struct txn *t)
{
    if (!txn_is_proved(t)) {
        log_event(LOG_EV_INTERNAL,
                  LF_STR("detail", STR("a request came to the backend without proof of identity")),
                  LF_STR("service", t->match.service->name));
        txn_refuse(t, 500, REASON_INTERNAL);
        return false;
    }
    if (!head_build(t) || !txn_codec_take(t, &t->response_codec)) {
        txn_refuse(t, 500, REASON_NO_MEMORY);
        return false;
    }
    if (!txn_take_bound(t))
        (void)txn_take(t);
    return false;
}

/* A connection that had been idle was closed by the server just as we used it. */
static bool txn_may_retry(const struct txn *t)
{
    const struct backend_conn *b = t->backend;

    return b->reused && !b->bound && !txn_answer_began(t) && t->resp == TXN_RESP_NONE && !t->interim &&
           t->request.framing == BODY_NONE && t->head_out.p != NULL &&
           (method_flags(t->request.method) & METHOD_IDEMPOTENT) != 0;
}

void txn_backend_failed(struct txn *t, enum reason why)
{
    struct session *s = t->session;

    if (t->resp == TXN_RESP_FLOWS) {
        txn_abort_client(t, why);
        return;
    }
    if (!txn_may_retry(t)) {
        txn_refuse(t, txn_failure_status(why), why);
        return;
    }
    txn_drop_backend(t, false);
    t->want.fresh = true;
    metrics_add(txn_worker(t)->metrics, METRIC_BACKEND_RETRIES, 1);
    if (txn_take(t)) {
        batch_flush(s->site->core);
        session_continue(s);
    }
}

int txn_failure_status(enum reason why)
{
    switch (why) {
    case REASON_NO_BACKEND:
    case REASON_BACKEND_BUSY:
    case REASON_TABLE_FULL:
        return 503;
    case REASON_BACKEND_CONNECT_TIMEOUT:
    case REASON_BACKEND_TIMEOUT:
        return 504;
    case REASON_NO_MEMORY:
    case REASON_INTERNAL:
        return 500;
    default:
        return 502;
    }
}

/* ---- the body ---- */

static void request_body_too_large(struct txn *t)
{
    t->close_client = true;
    if (t->resp == TXN_RESP_NONE)
        txn_refuse(t, 413, REASON_BODY_TOO_LARGE);
    else
        txn_abort_client(t, REASON_BODY_TOO_LARGE);
}

void txn_request_body(struct txn *t, struct str data)
{
    uint64_t limit = t->match.service != NULL ? t->match.service->body_limit : 0;

    t->body_seen += data.n;
    if (t->req == TXN_REQ_DISCARD) { /* no activity: a dripped rest would hold the connection for ever */
        if (t->body_seen > DISCARD_MAX)
            txn_end(t, false);
        return;
    }
    if (limit > 0 && t->body_seen > limit) {
        request_body_too_large(t);
        return;
    }
    t->active_ms = worker_now(txn_worker(t));
    t->bytes_in += data.n;
    metrics_add(txn_worker(t)->metrics, METRIC_CLIENT_BYTES_IN, data.n);
    if (batch_body(txn_core(t), &t->backend->stream, &t->to_backend, data) < 0)
        txn_request_bad(t, REASON_BAD_FRAMING);
}

void txn_request_end(struct txn *t)
{
    t->request_end_ms = worker_now(txn_worker(t));
    txn_codec_give(t, &t->request_codec);
    if (t->req == TXN_REQ_FLOWS && batch_body_end(txn_core(t), &t->backend->stream, &t->to_backend) < 0) {
        txn_request_bad(t, REASON_BAD_FRAMING);
        return;
    }
    t->req = TXN_REQ_DONE;
    if (t->resp == TXN_RESP_DONE)
        txn_end(t, !t->close_client);
    else
        txn_arm(t);
}

void txn_request_bad(struct txn *t, enum reason why)
{
    t->close_client = true;
    if (t->resp == TXN_RESP_NONE)
        txn_refuse(t, message_refusal_status(why), why);
    else if (t->resp == TXN_RESP_FLOWS)
        txn_abort_client(t, why);
    else
        txn_end(t, false);
}

void txn_tunnel_data(struct txn *t, const char *data, size_t n)
{
    struct str s = {data, n};

    t->bytes_in += n;
    t->active_ms = worker_now(txn_worker(t));
    if (n > 0 && t->backend != NULL)
        batch_str(txn_core(t), &t->backend->stream, s);
}
