/*
 * txn: one request and its answer, from the complete head to LOG.
 *
 * Owned by its session (HTTP/1.1: one at a time). Owns the arena of both heads, the lent backend connection, and the two
 * directions of the relay. It stores (phase, index), so a filter may wait and be resumed where it stood.
 *
 * The response may come, and finish, while the request body is still being sent: the two directions know nothing of
 * each other but for the rules of RFC 9112 9.3 and 9.6 (after an early final answer the connection closes).
 */
#ifndef POSTERN_TXN_H
#define POSTERN_TXN_H

#include <assert.h>
#include <postern/access_log.h>
#include <postern/account.h>
#include <postern/backend.h>
#include <postern/body.h>
#include <postern/client_certificate.h>
#include <postern/filter.h>
#include <postern/guard.h>
#include <postern/match.h>
#include <postern/pace.h>
#include <postern/reply.h>
#include <postern/session.h>
#include <postern/target.h>
#include <postern/verifier.h>

struct site;
struct route;

enum txn_request_side {
    TXN_REQ_HELD,    /* phases run or wait; body bytes stay in the session's stash */
    TXN_REQ_FLOWS,   /* body bytes go to the backend */
    TXN_REQ_DISCARD, /* answered already: what still comes is thrown away (bounded) */
    TXN_REQ_DONE     /* the whole request was read */
};

enum txn_response_side {
    TXN_RESP_NONE,  /* no head yet */
    TXN_RESP_FLOWS, /* head sent, body follows */
    TXN_RESP_DONE
};

struct txn {
    struct session *session;
    struct site *site;
    struct arena arena;
    struct message request, response;
    /* NULL while nothing is to be read: after the request's end; before the backend has it, and while it is parked */
    struct h1 *request_codec, *response_codec;
    struct target target;
    struct match match; /* after ROUTE */
    const struct route *route;
    enum phase phase; /* PHASE_COUNT: the head is still being read */
    uint16_t index;   /* of the filter within the phase */
    bool waiting;     /* a filter has returned FILTER_WAIT */
    const struct filter *waiter;

    enum txn_request_side req;
    enum txn_response_side resp;
    bool close_client;    /* the connection closes after this answer */
    bool tunnel;          /* 101 was relayed: raw bytes both ways */
    bool bind;            /* the request carries connection-bound authentication */
    bool parked;          /* the head's memory was given back (long poll) */
    bool head_sent;       /* a byte of the request has gone to a backend connection */
    bool backend_waiting; /* `backend` is a handle of backend_take */
    bool half_closed;     /* the client ended its side after a complete request */
    bool interim;         /* the backend's present message is a 1xx */
    uint8_t tries, interims;
    struct backend_pool *pool;
    const struct conf_server *server; /* the last one used; for the log */
    bool reused;
    struct backend_conn *backend;
    struct backend_want want;
    struct str head_out; /* the request head as written, for a second try */
    struct body_out to_backend, to_client;

    struct guard_ticket *auth; /* while AUTH waits */
    struct str user;           /* authenticated, or claimed, account as sent; for log and affinity */
    struct str agent;          /* User-Agent, for the log */
    struct str command;        /* of the service's protocol; static */
    struct str device, device_type, device_user; /* as the ActiveSync query says; p NULL: not */
    uint8_t protocol;                            /* ActiveSync version: 141 is 14.1; 0: not known */
    bool has_policy_key;
    uint32_t policy_key;
    struct flood_entry *account; /* counted; NULL: not */
    struct str delegated;        /* replacement of Authorization; p NULL: none */
    bool authenticated;
    bool exempt;     /* needs no pre-authentication: federation */
    bool channel;    /* of Outlook Anywhere: counted as one */
    bool auth_asked; /* a directory was to judge, and auth_result says how it ended */
    struct auth_result auth_result;
    struct guard_proof proof; /* authenticated: what stands for the credentials */

    struct wheel_node deadline;
    uint64_t started_ms, sent_ms, head_ms, active_ms, request_end_ms; /* worker time; 0: not yet */
    uint64_t bytes_in, bytes_out;
    uint64_t body_seen;  /* for body_limit */
    struct pace sending; /* of the request body */
    enum reason reason;
    int status; /* sent to the client; 0: none */
    char *parked_memory;
};

/* At the first byte of a request: its codec builds the head in t->request. NULL without memory. */
struct txn *txn_new(struct session *s);
/* The head is complete and valid. Runs the phases as far as they go; the txn may have ended on return. */
void txn_start(struct txn *t);
/* The head is not valid, was not complete in time, or its client went away. */
void txn_head_bad(struct txn *t, enum reason why);
/* Whether body bytes can be taken now. */
static inline bool txn_takes_body(const struct txn *t)
{
    return t->phase == PHASE_COUNT || t->req == TXN_REQ_FLOWS || t->req == TXN_REQ_DISCARD;
}
/* From the request's codec. The txn may have ended when they return: look at s->txn. */
void txn_request_body(struct txn *t, struct str data);
void txn_request_end(struct txn *t);
/* The rest of the request is malformed, or the client went away. */
void txn_request_bad(struct txn *t, enum reason why);
void txn_client_gone(struct txn *t, enum reason why);
/* The client has ended its side in good order after a complete request: it may still wait for the answer (RFC 9112 9.6). */
void txn_client_ended(struct txn *t);
void txn_client_drained(struct txn *t);
void txn_tunnel_data(struct txn *t, const char *data, size_t n);

/* For filters. */
/* What the client's certificate is worth for the txn's publication; judged once a minute per connection, and by the
 * configuration of now. NULL without memory. */
const struct client_identity *txn_client_certificate(struct txn *t);
void txn_resume(struct txn *t);
/* Answers with `r` (close, head, minor and hsts are filled in here). */
void txn_reply(struct txn *t, struct reply *r, enum reason why);
/* Clients without a person in front of them (phones, Outlook): told 503 with Retry-After they come back by themselves, while a 401
 * makes them ask for a password, and other refusals look like the server's own. */
bool txn_client_returns(const struct txn *t);
/* A plain refusal page: status, and Retry-After for 503; 429 becomes 503 where the client returns. */
void txn_refuse(struct txn *t, int status, enum reason why);
/* Asks about credentials, by way of the guard; `done` with the txn as ctx. NULL: *ret_now has the answer. */
struct guard_ticket *txn_submit_auth(struct txn *t, const struct basic_credentials *c,
                                     void (*done)(void *ctx, const struct guard_result *r),
                                     struct guard_result *ret_now);
/* Credentials that nobody needs to be asked about, refused in the same time. NULL: without memory, at once then. */
struct guard_ticket *txn_refuse_auth(struct txn *t, void (*done)(void *ctx, const struct guard_result *r));
/* The interior has refused what the directory called right. */
void txn_doubt_auth(struct txn *t);
/* Strict-Transport-Security of the listener; p NULL: none. */
struct str txn_hsts(const struct txn *t);
/* What is published under the configuration that the request began with. */
enum match_result txn_match(const struct txn *t, struct str host, struct str canonical_path, enum method m,
                            struct match *ret);
bool txn_host_published(const struct txn *t, struct str host);
struct worker *txn_worker(const struct txn *t);
const struct snapshot *txn_snapshot(const struct txn *t);

#endif
