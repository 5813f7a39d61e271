/*
 * What the files of the backend share: one pool per worker and backend, and its servers as this worker sees
 * them. Everything here belongs to one worker.
 */
#ifndef POSTERN_BACKEND_INT_H
#define POSTERN_BACKEND_INT_H

#include <postern/backend.h>
#include <postern/log.h>

#include "descriptors.h"

#define BACKEND_KEEP 64          /* blocks of closed connections kept for the next ones */
#define BACKEND_PASSIVE_MS 10000 /* how long a server rests after connect failures in a row */
#define BACKEND_QUIET_TRIES 4    /* idle connections looked at before a new one is opened */

/* A connection as the idle list knows it. Only backend_idle.c can make one out of a backend_conn, and it
 * refuses those that are bound. */
struct idle_conn;

struct backend_server {
    struct backend_pool *pool;
    struct server_state *state;
    struct tls_session_slot *slot;
    struct resolve_result addresses; /* this worker's copy */
    uint32_t version;                /* of the copy */
    uint8_t good;                    /* address that answered last: the first to be tried */
    struct idle_conn *idle;          /* last given first */
    unsigned idle_n;
    unsigned open_n; /* all that count for max_connections: connecting, idle, lent, bound */
    unsigned connecting_n;
    uint64_t token;
};

struct backend_pool {
    struct worker *worker;
    struct backend_state *state;
    const struct conf_backend *conf;
    const struct conf_limits *limits;
    struct tls_client *tls;
    struct backend_server *servers;
    unsigned servers_n, turn;
    struct pool conns;
    size_t live;                       /* connections whose memory is in use, closing ones included */
    struct descriptors *descriptors;   /* NULL: not counted */
    struct backend_pool *next, **link; /* of descriptors */
    bool closing;
    void (*on_empty)(void *ctx);
    void *ctx;
};

/* ---- backend.c ---- */
extern const struct stream_handler backend_stream_handler;
/* Takes the connection out of every count and list. Once. */
void backend_detach(struct backend_conn *c);
/* Frees it after its close callback. */
void backend_conn_free(struct backend_conn *c);
/* A new connection of `s`, counted, not yet connecting; NULL: *ret_why. */
struct backend_conn *backend_conn_new(struct backend_server *s, const struct backend_user *user, void *ctx,
                                      enum reason *ret_why);

/* ---- backend_connect.c ---- */
/* Starts with the address that answered last. on_ready or on_failed follow in a later turn. -1: could not
 * even start. */
int backend_connect(struct backend_conn *c);
void backend_connect_opened(struct backend_conn *c);
void backend_connect_failed(struct backend_conn *c, enum reason why);
/* The attempt's socket is closed: the next address, or the end. */
void backend_connect_closed(struct backend_conn *c);

/* ---- backend_idle.c ---- */
/* Refuses (false) bound connections, and those that are not quite finished with their last request. */
bool backend_idle_put(struct backend_conn *c);
/* The one that was used last and is still quiet, or NULL. */
struct backend_conn *backend_idle_take(struct backend_server *s);
void backend_idle_remove(struct backend_conn *c);
void backend_idle_drop(struct backend_server *s); /* one; there is one */
void backend_idle_clear(struct backend_server *s);

/* ---- backend_balance.c ---- */
/* NULL and why: NO_BACKEND, or BACKEND_BUSY where only max_connections stands in the way. */
struct backend_server *backend_choose(struct backend_pool *p, const struct backend_want *want,
                                      enum reason *ret_why);
/* Takes over changed addresses. */
void backend_server_refresh(struct backend_server *s);

#endif
