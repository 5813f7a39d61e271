/*
 * What the files of the core room share: a worker's core state, its view of one configuration, and the write batch.
 * Everything here belongs to one worker, except where it says "shared".
 */
#ifndef POSTERN_CORE_INT_H
#define POSTERN_CORE_INT_H

#include <postern/access_log.h>
#include <postern/backend.h>
#include <postern/client_certificate.h>
#include <postern/engine.h>
#include <postern/filter.h>
#include <postern/listener.h>
#include <postern/match.h>
#include <postern/server_state.h>
#include <postern/session.h>
#include <postern/txn.h>
#include <postern/verifier.h>

#include "descriptors.h"

#define DISCARD_MAX (64u << 10) /* request body thrown away to keep a connection after a refusal */
#define INTERIM_MAX 16          /* 1xx answers to one request */
#define PARK_AFTER_MS 1000
/* How long a client that has ended its side, and has nothing to take, may wait for the next octet of its answer: to TCP it looks
 * as one that is gone. */
#define HALF_CLOSED_GRACE_MS 5000
/* How long a client that is between two requests may still send one after the stop: it cannot know yet. */
#define DRAIN_GRACE_MS 500

struct filter_list {
    const struct filter **v;
    unsigned n;
};

struct route {
    struct match match;
    unsigned backend; /* index in the snapshot */
    int path_index;   /* health path that decides for it */
    struct verifier *verifier;
    struct filter_list on[PHASE_COUNT];
};

/* Shared: compiled once per snapshot, attached to it, read-only afterwards. */
struct site_shared {
    struct match_table *table;
    struct route *routes;
    unsigned routes_n;
    struct filter_list before_route[PHASE_COUNT]; /* HEAD and ROUTE */
    struct verifiers *verifiers;
    struct backend_states *backends;
    struct access_log *access;
    struct client_trust **client_trust; /* per publication; NULL: no certificates */
    size_t client_trust_n;
    struct str *hsts;    /* per listener; p NULL: none */
    uint16_t https_port; /* for redirects */
};
struct site_shared *site_shared_new(struct snapshot *s, struct conf_findings *f);
struct site_shared *site_shared_of(const struct snapshot *s);

/* One worker's view of one configuration. Counted by its sessions without atomics; the last one frees it. */
struct site {
    struct core_worker *core;
    struct snapshot *snapshot;
    struct site_shared *shared;
    struct tls_server **listeners; /* per configured listener; NULL: plain HTTP */
    struct backend_pool **backends;
    struct h1_limits request_limits, response_limits;
    unsigned refs, pools_open;
};
/* NULL and findings when a certificate or trust file cannot be used. One reference for the caller. */
struct site *site_new(struct core_worker *core, struct snapshot *s, struct tls_tickets *tickets,
                      struct conf_findings *f);
struct site *site_hold(struct site *s);
void site_release(struct site *s);

/* What is to be written to one stream at the end of the present callback: a small head and body leave as one record, and
 * what one read brought leaves in one write. Never outlives a callback. */
#define BATCH_IOV 64
#define BATCH_FRAMES 32
struct batch {
    struct stream *to;
    int n, frames_n;
    struct iovec iov[BATCH_IOV];
    char frames[BATCH_FRAMES][BODY_FRAME_MAX];
};

struct core_worker {
    struct worker *worker;
    struct engine *engine;
    struct site *site; /* in force; NULL once drained */
    struct listener **listeners;
    unsigned listeners_n, listeners_closing;
    struct session *sessions; /* all */
    struct plain_session *plains;
    unsigned sessions_n;
    struct pool session_pool, txn_pool, plain_pool, codec_pool;
    struct descriptors descriptors;
    struct batch batch;
    struct wheel_node cut; /* the drain's deadline */
    bool draining;
    uint64_t next_id;
};

void batch_add(struct core_worker *c, struct stream *to, const struct iovec *iov, int n);
void batch_str(struct core_worker *c, struct stream *to, struct str s);
/* Frames `data` for `to` and adds it; -1 when it exceeds what was announced. */
int batch_body(struct core_worker *c, struct stream *to, struct body_out *o, struct str data);
int batch_body_end(struct core_worker *c, struct stream *to, struct body_out *o);
void batch_flush(struct core_worker *c);

/* engine.c: the table of client connections. */
bool engine_enter(struct core_worker *c); /* false: full */
void engine_leave(struct core_worker *c);
/* False: not even that; it stays in the queue. */
bool core_refuse_connection(struct listener *l, struct core_worker *c, enum reason why);
/* For want of a place or a descriptor; from time to time. */
void engine_log_full(struct core_worker *c);
/* A session, plain session or listener has left; the drain looks whether it was the last. */
void core_worker_left(struct core_worker *c);
bool core_on_connection(struct listener *l);

/* engine_listeners.c; `reserve` makes room before the round that cannot be taken back */
bool engine_listeners_reserve(struct core_worker *c, size_t more);
void engine_listeners_open(struct core_worker *c, struct listen_set *set); /* of c->site's configuration */
/* Sockets that stay learn their place; others close, and what is in their queue is served as `old` says. */
void engine_listeners_renumber(struct core_worker *c, struct site *old);
void engine_listeners_close(struct core_worker *c);
/* What a connection that this listener accepts is served under. */
struct site *engine_listener_site(struct listener *l);

/* plain_http.c */
struct plain_session;
void plain_http_init(struct core_worker *c);
bool plain_http_accept(struct listener *l);
void plain_http_drain_all(struct core_worker *c);
void plain_http_cut_all(struct core_worker *c);

/* session.c: what a bound connection's events mean between two requests */
extern const struct backend_user session_bound_user;
/* txn.c */
void txn_advance(struct txn *t);
void txn_end(struct txn *t, bool keep);
/* the answer cannot be completed: it must not look whole */
void txn_abort_client(struct txn *t, enum reason why);
/* 503 where no answer has begun and the client returns by itself; false: nothing was done. */
bool txn_put_off(struct txn *t, enum reason why);
bool txn_request_complete(const struct txn *t);
/* The answer is whole: what is left of it goes out, together with the connection's end where that follows. */
void txn_flush_answer(struct txn *t);
/* The connection should end with this answer: Postern stops, or has a newer configuration. */
bool txn_is_last(const struct txn *t);
void txn_drop_backend(struct txn *t, bool abort);
/* Takes one where there is none; false without memory. */
bool txn_codec_take(struct txn *t, struct h1 **codec);
void txn_codec_give(struct txn *t, struct h1 **codec);
struct core_worker *txn_core(const struct txn *t);
/* txn_deadline.c */
void txn_arm(struct txn *t);
void txn_park(struct txn *t);
/* Whether it is the client's body that is waited for has perhaps changed. */
void txn_pace(struct txn *t);
/* txn_backend.c */
void txn_ready(void *ctx, struct backend_conn *b);
void txn_connect_failed(void *ctx, enum reason why);
/* the fixed step of BACKEND; false always: the answer comes later or has come */
bool txn_connect(struct txn *t);
/* A byte of the backend's present message has come. */
static inline bool txn_answer_began(const struct txn *t)
{
    return t->response_codec != NULL && t->response_codec->started;
}
/* txn_response.c */
extern const struct backend_user txn_backend_user;
bool txn_response_begin(struct txn *t); /* the next head of the backend; false without memory */
bool txn_response_send(struct txn *t);  /* the fixed step of RESPONSE_HEAD */
void txn_backend_failed(struct txn *t, enum reason why);
int txn_failure_status(enum reason why);

#endif
