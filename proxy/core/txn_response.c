/*
 * The response side: heads, interim answers, bodies, and how a backend connection ends.
 */
#include <postern/log.h>

#include "core_int.h"

/* ---- heads ---- */

bool txn_response_begin(struct txn *t)
{
    if (!txn_codec_take(t, &t->response_codec))
        return false;
    message_init(&t->response, &t->arena, true);
    h1_begin_response(t->response_codec, &t->response, &t->site->response_limits, t->request.method);
    return true;
}

/* 101: the service allows what the backend agreed to, else the answer makes no sense to anybody. */
static bool response_upgrade(struct txn *t)
{
    struct session *s = t->session;

    if (t->request.upgrade.p == NULL || t->response.upgrade.p == NULL ||
        !str_eq_nocase(t->request.upgrade, t->response.upgrade)) {
        txn_backend_failed(t, REASON_BACKEND_BAD_RESPONSE);
        return false;
    }
    message_strip_hop(&t->response);
    if (message_add(&t->response, FIELD_ID_CONNECTION, STR("Upgrade")) < 0 ||
        message_add(&t->response, FIELD_ID_UPGRADE, t->request.upgrade) < 0) {
        txn_backend_failed(t, REASON_NO_MEMORY);
        return false;
    }
    batch_str(txn_core(t), &s->stream, h1_write_head(&t->response, &t->arena));
    t->status = 101;
    t->reason = REASON_OK;
    t->tunnel = true;
    t->close_client = true;
    t->resp = TXN_RESP_FLOWS;
    session_set_pace(t->session, 0);
    t->head_ms = t->active_ms;
    return true;
}

/* 1xx: on its own at once, never together with the final head (RFC 9110 15.2); never to HTTP/1.0. */
static bool response_interim(struct txn *t)
{
    struct core_worker *c = txn_core(t);

    if (t->response.status == 101)
        return response_upgrade(t);
    if (++t->interims > INTERIM_MAX) {
        txn_backend_failed(t, REASON_BACKEND_BAD_RESPONSE);
        return false;
    }
    t->interim = true;
    txn_arm(t); /* perhaps it is the body that is waited for now */
    if (t->request.minor == 0 || (t->response.status == 100 && !t->request.expect_continue))
        return true;
    message_strip_hop(&t->response);
    batch_flush(c);
    batch_str(c, &t->session->stream, h1_write_head(&t->response, &t->arena));
    batch_flush(c);
    return true;
}

static bool response_head(struct txn *t)
{
    struct session *s = t->session;
    struct backend_conn *b = t->backend;

    t->active_ms = worker_now(txn_worker(t));
    if (t->response.status < 200)
        return response_interim(t);
    t->head_ms = t->active_ms;
    t->interim = false;
    if (!txn_request_complete(t) || t->session->eof || txn_is_last(t) || !t->request.keep_alive)
        t->close_client = true;
    message_strip_hop(&t->response);
    t->phase = PHASE_RESPONSE_HEAD;
    t->index = 0;
    txn_advance(t);
    /* A filter may have answered in the backend's place; then the txn is gone. */
    return s->txn == t && t->resp == TXN_RESP_FLOWS && t->backend == b;
}

static bool response_persistence(struct txn *t)
{
    if (t->close_client)
        return message_add(&t->response, FIELD_ID_CONNECTION, STR("close")) == 0;
    if (t->request.minor == 0)
        return message_add(&t->response, FIELD_ID_CONNECTION, STR("keep-alive")) == 0;
    return true;
}

bool txn_response_send(struct txn *t)
{
    bool rpc = (method_flags(t->request.method) & METHOD_RPC) != 0;
    struct str head = STR_NULL;

    /* rpcproxy's clients do not expect chunks (MS-RPCH 2.1.2.1.4): a body that ends with the connection stays one. */
    if (body_out_begin(&t->to_client, &t->response, rpc ? 0 : t->request.minor) == 0) {
        if (t->to_client.framing == BODY_CLOSE)
            t->close_client = true;
        if (response_persistence(t))
            head = h1_write_head(&t->response, &t->arena);
    }
    if (head.p == NULL) {
        txn_refuse(t, 500, REASON_NO_MEMORY);
        return false;
    }
    batch_str(txn_core(t), &t->session->stream, head);
    t->status = t->response.status;
    t->reason = REASON_OK;
    t->resp = TXN_RESP_FLOWS;
    session_set_pace(t->session, rpc ? 0 : t->match.service->read_rate);
    txn_arm(t);
    return false;
}

/* ---- bodies ---- */

static bool response_body(struct txn *t, struct str data)
{
    t->bytes_out += data.n;
    t->active_ms = worker_now(txn_worker(t));
    metrics_add(txn_worker(t)->metrics, METRIC_CLIENT_BYTES_OUT, data.n);
    if (batch_body(txn_core(t), &t->session->stream, &t->to_client, data) == 0)
        return true;
    txn_abort_client(t, REASON_BACKEND_BAD_RESPONSE);
    return false;
}

/* Where the connection goes from here. Reusable only if both messages ended by their own framing and nothing followed. */
static void response_release(struct txn *t, bool leftover)
{
    struct backend_conn *b = t->backend;
    struct session *s = t->session;
    bool whole = t->req == TXN_REQ_DONE || (t->req == TXN_REQ_FLOWS && t->request.framing == BODY_NONE);

    if (!whole || leftover || !t->response.keep_alive || t->response.framing == BODY_CLOSE || t->tunnel) {
        txn_drop_backend(t, !whole);
        return;
    }
    t->backend = NULL;
    backend_request_end(b, false);
    if (b->bound)
        backend_park(b, &session_bound_user, s);
    else
        backend_give(b);
}

/* The answer is complete; the txn may be gone on return. */
static void response_end(struct txn *t, bool leftover)
{
    struct session *s = t->session;

    if (batch_body_end(txn_core(t), &s->stream, &t->to_client) < 0) {
        txn_abort_client(t, REASON_BACKEND_CLOSED);
        return;
    }
    t->resp = TXN_RESP_DONE;
    txn_flush_answer(t);
    response_release(t, leftover);
    if (t->req == TXN_REQ_DONE || t->close_client) {
        txn_end(t, !t->close_client);
        return;
    }
    /* The request's end has not been read from its codec yet, although nothing more is to come. */
    t->req = TXN_REQ_DISCARD;
    session_continue(s);
}

/* Client slower than backend: the backend waits. */
static void response_throttle(struct txn *t, struct backend_conn *b)
{
    if (t->backend == b && stream_blocked(&t->session->stream))
        stream_pause(&b->stream);
}

static void response_tunnel(struct txn *t, const char *data, size_t n)
{
    struct str s = {data, n};

    t->bytes_out += n;
    t->active_ms = worker_now(txn_worker(t));
    batch_str(txn_core(t), &t->session->stream, s);
}

/* One event of the codec. False: stop, the txn may be gone. */
static bool response_event(struct txn *t, enum h1_event e, struct str body, bool leftover)
{
    switch (e) {
    case H1_HEAD:
        return response_head(t);
    case H1_BODY:
        return response_body(t, body);
    case H1_END:
        if (t->response.status >= 200) {
            response_end(t, leftover);
            return false;
        }
        if (!t->tunnel)
            (void)txn_response_begin(t);
        return true;
    case H1_BAD:
        log_event(LOG_EV_BACKEND_BAD_RESPONSE, LF_STR("server", t->server->url),
                  LF_REASON(t->response_codec->why));
        txn_backend_failed(t, t->response_codec->why);
        return false;
    case H1_MORE:
        break;
    }
    return false;
}

static void txn_backend_data(void *ctx, char *data, size_t n)
{
    struct txn *t = ctx;
    struct core_worker *c = txn_core(t);
    struct backend_conn *b = t->backend;
    const char *p = data, *end = data + n;
    bool go = true;

    if (t->response_codec == NULL && !txn_response_begin(t)) { /* it was parked */
        txn_backend_failed(t, REASON_NO_MEMORY);
        return;
    }
    while (go) {
        struct str body = STR_NULL;
        enum h1_event e;
        if (t->tunnel) {
            if (p < end)
                response_tunnel(t, p, (size_t)(end - p));
            break;
        }
        e = h1_next(t->response_codec, &p, end, &body);
        go = response_event(t, e, body, p < end);
        if (!go && e != H1_MORE) {
            batch_flush(c);
            return;
        }
    }
    batch_flush(c);
    response_throttle(t, b);
}

static void txn_backend_eof(void *ctx, bool clean)
{
    struct txn *t = ctx;
    struct core_worker *c = txn_core(t);

    if (t->tunnel) {
        t->resp = TXN_RESP_DONE;
        txn_drop_backend(t, false);
        txn_end(t, false);
    } else if (t->response_codec != NULL && h1_eof(t->response_codec) == H1_END && clean) {
        response_end(t, false);
    } else {
        txn_backend_failed(t, REASON_BACKEND_CLOSED);
    }
    batch_flush(c);
}

static void txn_backend_fail(void *ctx, enum reason why)
{
    struct txn *t = ctx;
    struct core_worker *c = txn_core(t);

    txn_backend_failed(t, why);
    batch_flush(c);
}

static void txn_backend_drained(void *ctx)
{
    struct txn *t = ctx;

    t->active_ms = worker_now(txn_worker(t));
    if (t->req == TXN_REQ_FLOWS)
        txn_arm(t); /* it is the client again that is waited for */
    session_continue(t->session);
}

void txn_client_drained(struct txn *t)
{
    t->active_ms = worker_now(txn_worker(t));
    if (t->backend != NULL && !t->backend_waiting)
        stream_resume(&t->backend->stream);
}

const struct backend_user txn_backend_user = {
    .on_ready = txn_ready,
    .on_failed = txn_connect_failed,
    .on_data = txn_backend_data,
    .on_eof = txn_backend_eof,
    .on_drained = txn_backend_drained,
    .on_fail = txn_backend_fail,
};
