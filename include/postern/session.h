/*
 * session: one client connection on a TLS listener: reads heads, runs one txn after the other, keeps what is bound to the
 * connection (the pinned backend connection, the pipelined bytes).
 *
 * Owned by its worker from accept to the stream's close callback. Holds its site (the worker's view of one configuration), so
 * it finishes under the configuration that it began with. No reference counts: a txn never outlives its session.
 */
#ifndef POSTERN_SESSION_H
#define POSTERN_SESSION_H

#include <netinet/in.h>
#include <postern/backend.h>
#include <postern/bufq.h>
#include <postern/guard.h>
#include <postern/h1.h>
#include <postern/stream.h>

struct client_identity;
struct conf_publish;
struct core_worker;
struct flood_entry;
struct site;
struct txn;

union session_address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct session {
    struct stream stream; /* first: callbacks cast */
    struct site *site;
    struct session *next, **link; /* all sessions of the worker */
    struct txn *txn;              /* the request in progress */
    struct bufq stash;            /* raw bytes that cannot be taken yet (bounded by one burst) */
    struct wheel_node deadline;   /* handshake, head, keep-alive */
    struct backend_conn *bound;   /* parked or in use: connection-bound authentication */
    union session_address peer;   /* the client's address, from the PROXY header where one is trusted */
    uint32_t requests;
    struct guard_memo memo;                   /* of who signed in here last */
    struct client_identity *certificate;      /* as judged for that publication; NULL: nobody has asked */
    const struct conf_publish *certified_for; /* its publication; NULL: judge again */
    uint64_t certified_ms;
    struct flood_entry *source; /* counted; NULL: trusted, or no limit */
    uint64_t id;
    char *proxy_header; /* partial PROXY header, while it is awaited */
    uint16_t proxy_used;
    uint16_t listener; /* index in the configuration */
    bool open;         /* handshake done */
    bool eof;          /* the client has ended its side */
    bool closing;
    bool feeding; /* session_parse is on the stack */
};

/* The listener's on_connection for TLS listeners: true when it took the connection. */
struct listener;
bool session_accept(struct listener *l);
/* The txn is over: next request, or close. `keep`: the connection may serve another one. */
void session_txn_done(struct session *s, bool keep);
/* The txn can take body bytes (again): goes on with the stash, then with the socket. */
void session_continue(struct session *s);
/* Postern stops: the present request is the last, and between requests there is little time left for one. */
void session_drain(struct session *s);
/* A newer configuration is in force: the connection should end, at a time when nothing is lost. Not while it is bound: its
 * client would have to prove itself anew. */
bool session_is_outdated(const struct session *s);
/* How fast the client must take answers from now on; 0: any. */
void session_set_pace(struct session *s, uint64_t bytes_per_s);
/* At once. */
void session_cut(struct session *s);
struct worker *session_worker(const struct session *s);

#endif
