/*
 * message: one request or response head, validated, with header case and order kept.
 *
 * Built by h1 (later by h2), edited by the filters, written by h1 again. All strings lie in the arena it was built with;
 * nothing of the raw bytes is ever forwarded. One worker.
 */
#ifndef POSTERN_MESSAGE_H
#define POSTERN_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <postern/arena.h>
#include <postern/reason.h>
#include <postern/str.h>

enum method_flags { METHOD_SAFE = 1, METHOD_IDEMPOTENT = 2, METHOD_DAV = 4, METHOD_RPC = 8 };
enum method {
    METHOD_UNKNOWN, /* a valid token that the table does not have */
#define METHOD(id, token, flags) METHOD_##id,
#include <postern/methods.def>
#undef METHOD
    METHOD_COUNT
};
enum method method_of(struct str token);
struct str method_token(enum method m);
unsigned method_flags(enum method m);

enum field_flags { FIELD_HOP = 1, FIELD_ONCE = 2, FIELD_INNER = 4, FIELD_KEEP = 8, FIELD_LEAK = 16 };
enum field_id {
    FIELD_OTHER,
#define FIELD(id, name, flags) FIELD_ID_##id,
#include <postern/fields.def>
#undef FIELD
    FIELD_ID_COUNT
};
enum field_id field_id_of(struct str name); /* case-insensitive */
struct str field_name(enum field_id id);
unsigned field_flags(enum field_id id);

struct field {
    struct str name, value;
    uint8_t id;   /* enum field_id */
    bool dropped; /* not written */
};

enum body_framing {
    BODY_NONE,
    BODY_LENGTH,
    BODY_CHUNKED,
    BODY_CLOSE, /* responses only: ends with the connection */
};

struct message {
    struct arena *arena;
    bool response;
    uint8_t minor; /* HTTP/1.minor */
    /* request */
    enum method method;
    struct str method_text, target_text;
    /* response */
    int status;
    struct str reason; /* as sent, also when empty */
    struct field *fields;
    unsigned fields_n, fields_cap;
    /* derived by message_check_* */
    enum body_framing framing;
    uint64_t content_length;
    bool keep_alive; /* the peer keeps the connection open after this message */
    bool expect_continue;
    /* request: lower-cased name or literal without port; from an absolute target where there is one */
    struct str host;
    uint16_t host_port; /* 0: none given */
    struct str upgrade; /* value of Upgrade where Connection lists it; p NULL: none */
};

void message_init(struct message *m, struct arena *a, bool response);
/* First field with that id (dropped ones are passed over), or NULL. */
struct field *message_find(const struct message *m, enum field_id id);
struct field *message_find_name(const struct message *m, struct str name);
/* Marks all fields of that id (or name) as dropped; how many. */
unsigned message_drop(struct message *m, enum field_id id);
unsigned message_drop_name(struct message *m, struct str name);
/* At the end; -1 without memory. Value is not copied: literal or in the arena. Refuses CR, LF, NUL (asserts). */
int message_add(struct message *m, enum field_id id, struct str value);
int message_add_name(struct message *m, struct str name, struct str value);
/* Via: the version in which the message was received, and our name (RFC 9110 7.6.3). */
int message_add_via(struct message *m);
/* Replaces the value of the first, drops the others, adds when there is none (its place in the order is kept). */
int message_set(struct message *m, enum field_id id, struct str value);

/* All that RFC 9112 and 9110 ask of a head beyond syntax, and what llhttp lets through that we must not: field names are
 * tokens, values without controls, no obs-fold, Host exactly one and valid (HTTP/1.0: at most one), framing (2.2, 6.1-6.3),
 * Connection (9110 7.6.1), Expect, Upgrade. Fills the derived members. REASON_OK, or why it must be refused; the connection
 * is closed then. Called by h1 itself before it reports a head. */
enum reason message_check_request(struct message *m);
/* `method`: of the request that it answers (HEAD has no body, RFC 9112 6.3). */
enum reason message_check_response(struct message *m, enum method method);
/* Drops hop-by-hop fields and those that Connection lists, Content-Length when chunked; forwarding may follow. */
void message_strip_hop(struct message *m);
/* The status with which a request head of that reason is refused (400, 405, 413, 414, 417, 421, 431, 505...). */
int message_refusal_status(enum reason why);

#endif
