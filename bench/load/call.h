/*
 * call: one connection of a client and the one request on it. The connection is opened when the first request needs it
 * and stays for the next. Answers are checked as they come: status, length, order, content.
 *
 * Exactly one of client->entry->kind->answered and client_failed() follows each call_send().
 */
#ifndef LOAD_CALL_H
#define LOAD_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include <postern/wheel.h>
#include "fault.h"

struct client;
struct link;
struct call;

/* The body of an answer: anything; the pattern; text that begins so. */
enum check { CHECK_NONE, CHECK_PATTERN, CHECK_TEXT };

#define CALL_NO_DEADLINE UINT64_MAX

struct ask {
    unsigned op; /* among the kind's operations */
    const char *method;
    const char *target; /* used during call_send only */
    const char *fields; /* further lines, each with CRLF; NULL: none; during call_send only */
    const void *body;   /* sent with the head; during call_send only */
    size_t body_n;
    uint64_t pattern_n; /* or: so many bytes of the pattern */
    uint64_t announce;  /* or: this Content-Length, and call_body() sends the rest */
    int status;
    const struct statuses
        *statuses;  /* or one of these; only an answer with `status` is held to what follows */
    int64_t length; /* of the answer's body; -1: any */
    enum check check;
    const char *text;  /* stays until the answer */
    size_t text_n;     /* 0: up to its NUL */
    const char *field; /* must be in the answer's head; static */
    uint64_t timeout;  /* ms; 0: the scenario's; CALL_NO_DEADLINE */
    bool last;         /* Connection: close; the server is to close cleanly */
    bool anonymous;    /* without Authorization */
    bool endless;      /* a channel: answered() comes after the head, on_body sees what follows */
    enum fault (*on_body)(struct call *call, const char *p, size_t n);
};

enum call_state {
    CALL_IDLE,
    CALL_HEAD,
    CALL_LENGTH,
    CALL_CHUNK_HEAD,
    CALL_CHUNK,
    CALL_CHUNK_END,
    CALL_TRAILER,
    CALL_UNTIL_EOF,
    CALL_EOF,
    CALL_ENDLESS
};

struct call {
    struct client *client;
    struct link *link;
    struct wheel_node timer;
    char *head; /* a request not yet sent, or part of an answer's head */
    size_t head_n;
    struct ask ask;
    uint64_t due, sent, opened; /* ns */
    uint64_t body_left, seen, pattern_left;
    uint64_t tag;      /* of the request; an answer that carries another is not its own */
    int64_t announced; /* Content-Length of the answer; -1: none */
    enum call_state state;
    int status;
    bool chunked, keep, resuming, connecting, field_seen, foreign;
};

/* `due`: when it ought to have been sent, in ns (uv_hrtime); 0: now. */
void call_send(struct call *c, const struct ask *a, uint64_t due);
/* More of an announced body. false: failed, and client_failed() was called. */
bool call_body(struct call *c, const void *p, size_t n);
/* A new deadline for what is under way on a channel. */
void call_deadline(struct call *c, uint64_t after_ms);
/* A request is under way. */
bool call_busy(const struct call *c);
/* The channel's operation is over: counts it, as answered() does for others. */
void call_count(struct call *c, unsigned op, uint64_t due, uint64_t sent);
/* Closes the connection; what was asked on it is forgotten. */
void call_close(struct call *c);

#endif
