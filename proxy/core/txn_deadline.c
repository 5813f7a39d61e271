/*
 * Time and memory of a request that lasts: one deadline per txn, looked at again when it fires rather than moved for every
 * packet; and parking, which gives a long poll's head memory back.
 */
#include <stdlib.h>

#include <postern/flood.h>

#include "core_int.h"

/* A write may begin to block, and so need its own deadline, while the txn sleeps towards a later one. */
#define LONGEST_SLEEP_MS 60000

struct due {
    uint64_t at; /* UINT64_MAX: never */
    enum reason why;
    int status; /* refused with, while no answer has begun */
};

static void due_at(struct due *d, uint64_t at, enum reason why, int status)
{
    if (at < d->at)
        *d = (struct due){at, why, status};
}

static void due_min(struct due *d, uint64_t since, uint64_t limit, enum reason why, int status)
{
    if (limit > 0)
        due_at(d, since + limit, why, status);
}

/* ---- the pace of a request body ---- */

/* Channels stay silent as they like; a client that asked may wait for 100 Continue. */
static bool txn_awaits_body(const struct txn *t)
{
    bool asked = t->request.expect_continue && t->interims == 0 && t->body_seen == 0;

    return t->req == TXN_REQ_FLOWS && !t->tunnel && !asked && t->request.framing != BODY_NONE &&
           (method_flags(t->request.method) & METHOD_RPC) == 0 && t->backend != NULL && !t->backend_waiting &&
           !stream_blocked(&t->backend->stream);
}

void txn_pace(struct txn *t)
{
    uint64_t now = worker_now(txn_worker(t));

    if (txn_awaits_body(t))
        pace_wait(&t->sending, now);
    else
        pace_rest(&t->sending, now);
}

static void due_of_body(struct txn *t, struct due *d)
{
    struct pace_limit l = {t->match.service != NULL ? t->match.service->body_rate : 0,
                           txn_snapshot(t)->limits.rate_grace};
    uint64_t left, now = worker_now(txn_worker(t));

    if (t->req != TXN_REQ_FLOWS)
        return;
    txn_pace(t);
    left = pace_judge(&t->sending, &l, t->body_seen, now);
    if (left != UINT64_MAX)
        due_at(d, now + left, REASON_CLIENT_SLOW_BODY, 408);
}

/* ---- */

static void due_before_answer(const struct txn *t, struct due *d)
{
    const struct conf_service *v = t->match.service;
    bool backend_slow = t->backend != NULL && !t->backend_waiting && stream_blocked(&t->backend->stream);

    if (t->waiting) {
        due_min(d, t->active_ms, txn_snapshot(t)->process.auth_timeout + 2000, REASON_AUTH_TIMEOUT, 503);
    } else if (t->backend_waiting || v == NULL) {
        return; /* the pool has its own deadline */
    } else if (t->req == TXN_REQ_DONE) {
        due_min(d, t->request_end_ms, v->response_timeout, REASON_BACKEND_TIMEOUT, 504);
    } else if (t->request.method == METHOD_RPC_IN_DATA) {
        /* no answer for its whole life is normal */
        due_min(d, t->active_ms, v->idle_timeout, REASON_RELAY_IDLE, 0);
    } else if (backend_slow) {
        due_min(d, t->active_ms, v->idle_timeout, REASON_BACKEND_TIMEOUT, 504);
    } else {
        due_min(d, t->active_ms, v->body_timeout, REASON_CLIENT_TIMEOUT, 408);
    }
}

static struct due txn_due(struct txn *t)
{
    const struct conf_limits *l = &txn_snapshot(t)->limits;
    const struct conf_service *v = t->match.service;
    struct due d = {UINT64_MAX, REASON_OK, 0};

    if (stream_queued(&t->session->stream) > 0)
        due_min(&d, t->active_ms, l->write_timeout, REASON_CLIENT_TIMEOUT, 0);
    else if (t->half_closed && t->resp != TXN_RESP_DONE)
        /* most such have gone, which only writing would tell */
        due_min(&d, t->active_ms, HALF_CLOSED_GRACE_MS, REASON_CLIENT_CLOSED, 0);
    if (t->resp == TXN_RESP_NONE)
        due_before_answer(t, &d);
    else if (t->resp == TXN_RESP_DONE)
        due_min(&d, t->active_ms, l->head_timeout, REASON_CLIENT_TIMEOUT, 0);
    else
        due_min(&d, t->active_ms, v->idle_timeout, REASON_RELAY_IDLE, 0);
    due_of_body(t, &d);
    return d;
}

static void txn_overdue(struct txn *t, struct due d)
{
    struct session *s = t->session;

    if (d.why == REASON_CLIENT_SLOW_BODY)
        flood_told(&s->peer.sa, d.why, worker_now(txn_worker(t)));
    if (t->resp == TXN_RESP_NONE && d.status > 0) {
        if (t->waiting && t->waiter->cancel != NULL)
            t->waiter->cancel(t);
        t->close_client = t->close_client || d.status == 408;
        txn_refuse(t, d.status, d.why);
        return;
    }
    if (t->resp == TXN_RESP_FLOWS || t->resp == TXN_RESP_NONE) {
        txn_abort_client(t, d.why);
    } else {
        txn_client_gone(t, d.why);
        session_cut(s);
    }
}

/* A slow client that takes its answer all the same: neither side is silent. */
static bool txn_is_taken(const struct txn *t)
{
    struct stream *client = &t->session->stream;

    return t->resp == TXN_RESP_FLOWS && stream_queued(client) > 0 && stream_moved(client);
}

static bool txn_can_park(const struct txn *t)
{
    return !t->parked && !t->tunnel && t->req == TXN_REQ_DONE && t->resp == TXN_RESP_NONE &&
           t->backend != NULL && !t->backend_waiting && !t->waiting && !txn_answer_began(t) &&
           stream_queued(&t->backend->stream) == 0;
}

static void txn_deadline(struct wheel_node *n)
{
    struct txn *t = (struct txn *)((char *)n - offsetof(struct txn, deadline));
    struct due d = txn_due(t);

    if (d.at <= worker_now(txn_worker(t))) {
        if (d.why == REASON_CLIENT_SLOW_BODY || !txn_is_taken(t)) {
            txn_overdue(t, d);
            return;
        }
        t->active_ms = worker_now(txn_worker(t));
    }
    if (txn_can_park(t))
        txn_park(t);
    txn_arm(t);
}

void txn_arm(struct txn *t)
{
    struct worker *w = txn_worker(t);
    uint64_t now = worker_now(w), at = txn_due(t).at, wait;

    wait = at <= now ? 1 : at - now;
    if (!t->parked && t->req == TXN_REQ_DONE && t->resp == TXN_RESP_NONE && wait > PARK_AFTER_MS)
        wait = PARK_AFTER_MS;
    if (wait > LONGEST_SLEEP_MS)
        wait = LONGEST_SLEEP_MS;
    worker_arm(w, &t->deadline, wait, txn_deadline);
}

static void park_str(char **to, struct str *s)
{
    if (s->p == NULL)
        return;
    memcpy(*to, s->p, s->n);
    s->p = *to;
    *to += s->n;
}

/* Keeps what the access log and a late 101 will want, gives back the rest. Filters of RESPONSE_HEAD therefore find no request fields after
 * a long poll. */
void txn_park(struct txn *t)
{
    struct str *kept[] = {
        &t->request.method_text, &t->request.host, &t->request.upgrade, &t->target.canonical,
        &t->target.query,        &t->user,         &t->agent,           &t->device,
        &t->device_type,         &t->device_user};
    size_t total = 1;
    char *to;

    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        total += kept[i]->n;
    to = t->parked_memory = malloc(total);
    t->parked = true;
    if (to == NULL)
        return;
    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        park_str(&to, kept[i]);
    t->request.fields = NULL;
    t->request.fields_n = t->request.fields_cap = 0;
    t->request.target_text = t->target.path = t->head_out = t->delegated = STR_NULL;
    txn_codec_give(t, &t->response_codec);
    arena_release(&t->arena);
}
