/*
 * backend: connections to backend servers, lent to one request at a time.
 *
 * Per worker and configuration: one backend_pool per configured backend. A backend_conn belongs at any time to exactly one of:
 * the pool (connecting or idle), one txn (lent), one session (bound). Ownership moves only through the functions below.
 *
 * A connection that has carried NTLM or Negotiate is bound (backend_bind) to one client session for ever: the flag is set once
 * and never cleared, and the only way out of a bound connection is backend_discard. Nothing that is bound can reach the idle
 * list: backend_give on it is a defect that closes it and is logged (MS-NTHT: the server takes the connection for the user).
 *
 * One worker.
 */
#ifndef POSTERN_BACKEND_H
#define POSTERN_BACKEND_H

#include <postern/h1.h>
#include <postern/server_state.h>
#include <postern/stream.h>
#include <postern/tls.h>

struct backend_conn;
struct backend_pool;

/* What the borrower hears. All NULL-less. ctx is the txn, or the session once bound and between requests. */
struct backend_user {
    void (*on_ready)(void *ctx, struct backend_conn *c); /* after BACKEND_WAIT: it is yours now */
    void (*on_failed)(void *ctx, enum reason why);       /* after BACKEND_WAIT: none to be had */
    void (*on_data)(void *ctx, char *data, size_t n);
    void (*on_eof)(void *ctx, bool clean);
    void (*on_drained)(void *ctx);
    void (*on_fail)(void *ctx, enum reason why); /* the connection is dead; discard it */
};

enum backend_owner { BACKEND_POOL, BACKEND_TXN, BACKEND_SESSION, BACKEND_NOBODY /* closing */ };

struct backend_conn {
    struct stream stream; /* first: callbacks cast */
    struct backend_pool *pool;
    struct backend_server *server; /* private: one server of the pool on this worker */
    enum backend_owner owner;
    bool bound;            /* carried connection-bound authentication: never pooled again */
    bool reused;           /* has served a request before the present one */
    bool ready;            /* established */
    bool connecting, busy; /* private: an address is being tried; between request_begin and request_end */
    uint8_t address, left; /* private: the address being tried, and how many may follow it */
    uint8_t why;           /* private: enum reason of the last attempt */
    const struct backend_user *user;
    void *ctx;
    struct backend_conn *next, **link; /* private: idle list */
    struct wheel_node deadline;        /* private: connect or idle time-out */
    uint64_t connect_until;            /* private: worker time */
};

struct backend_want {
    int path_index; /* health path that must be up; -1: none */
    bool has_key;   /* affinity: rendezvous hash of `key` over the servers that are up */
    uint64_t key;
    int server;      /* >= 0: this server if it is up (affinity cookie), -1: any */
    uint32_t tried;  /* bit per server that has already failed for this request (first 32) */
    bool fresh;      /* no idle connection: a new one (after an idle one broke) */
    bool new_client; /* false: the client was bound to `server` before; it may use a draining server */
};

enum backend_result { BACKEND_LENT, BACKEND_WAIT, BACKEND_NONE };

/* tls contexts are made here; NULL and findings on failure. */
struct backend_pool *backend_pool_new(struct worker *w, struct backend_state *state,
                                      const struct conf_limits *limits, struct conf_findings *f);
/* The descriptors of its connections count towards those of the process. Optional; once, before the first backend_take. */
struct descriptors;
void descriptors_join(struct descriptors *d, struct backend_pool *p);
/* Closes idle connections; lent and bound ones are closed by their borrowers; `on_empty` once none is left and the pool has
 * freed itself. */
void backend_pool_close(struct backend_pool *p, void (*on_empty)(void *ctx), void *ctx);

/* LENT: *ret is the caller's now, events go to `user`. WAIT: *ret is a handle for backend_cancel only, until on_ready or
 * on_failed (never before this returns). NONE: *ret_why. One or several addresses of the chosen server are tried within
 * connect_timeout; another server is the caller's choice (want.tried). */
enum backend_result backend_take(struct backend_pool *p, const struct backend_want *want,
                                 const struct backend_user *user, void *ctx, struct backend_conn **ret,
                                 enum reason *ret_why);
void backend_cancel(struct backend_conn *waiting);
/* A lent connection, its response complete and reusable: back to the idle list (or closed when enough are idle). */
void backend_give(struct backend_conn *c);
/* Closes it; no further event. Any owner. `abort`: by RST. */
void backend_discard(struct backend_conn *c, bool abort);
/* The request carries, or the backend offered and the client took up, connection-bound authentication: bound for ever. */
void backend_bind(struct backend_conn *c);
/* Between two requests of a bound session: the session becomes owner, its events go to `user`/`ctx`; and back. */
void backend_park(struct backend_conn *c, const struct backend_user *user, void *ctx);
void backend_unpark(struct backend_conn *c, const struct backend_user *user, void *ctx);

int backend_conn_server(const struct backend_conn *c); /* index in the backend's servers */
const struct conf_server *backend_conn_conf(const struct backend_conn *c);
unsigned backend_pool_servers(const struct backend_pool *p);
const struct conf_backend *backend_pool_conf(const struct backend_pool *p);
/* Stable token of a server for the affinity cookie: 64-bit hash of backend and URL, told apart from other servers'. */
uint64_t backend_pool_server_token(const struct backend_pool *p, unsigned server);
/* Counts for passive marks and least_connections. Called by the borrower when a request begins and ends on `c`. */
void backend_request_begin(struct backend_conn *c);
void backend_request_end(struct backend_conn *c, bool failed);

#endif
