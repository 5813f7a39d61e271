/*
 * h1: the HTTP/1.1 codec of one connection direction. llhttp parses; we decide what may pass (message_check_*), and write
 * heads anew from their validated parts.
 *
 * Pull style: feed it the bytes of one read and take events until H1_MORE. It keeps no pointer into the caller's bytes
 * between calls. Memory only in the message's arena, and none between messages. One worker.
 */
#ifndef POSTERN_H1_H
#define POSTERN_H1_H

#include <llhttp.h>
#include <postern/message.h>

enum h1_event {
    H1_MORE, /* all bytes used, more are needed */
    H1_HEAD, /* the head in h1->message is complete and valid; *p stands behind it */
    H1_BODY, /* *ret_body: decoded body bytes, a slice of the caller's bytes */
    /* message complete; *p stands at what follows it (the next message). h1_begin_* before going on */
    H1_END,
    H1_BAD /* h1->why says it; nothing more can be parsed on this connection */
};

struct h1_limits {
    uint32_t head_bytes;   /* whole head, start line included */
    uint32_t target_bytes; /* requests */
    uint16_t fields;
    uint16_t chunk_line; /* chunk-size line with its extensions (4096 is generous) */
};

struct h1 {
    llhttp_t parser;
    struct message *message;
    const struct h1_limits *limits;
    enum reason why;
    uint8_t state; /* private */
    uint8_t event; /* private: set by llhttp's callbacks */
    bool response;
    /* a byte of the present message has arrived (blank lines before a request line do not count) */
    bool started;
    bool bad_was_body;    /* H1_BAD after the head was reported */
    uint8_t method_len;   /* private from here on, but for head_used */
    bool cr_seen;         /* a CR that may turn out to be half of a blank line */
    enum method answered; /* responses: the request's method */
    char *head;           /* the head as it came, in the message's arena */
    uint32_t head_used, head_cap;
    uint32_t scanned; /* octets of the head that have been looked at */
    uint32_t line_start, line_used;
    uint32_t span_len; /* requests: length of the target */
    uint32_t excess;   /* octets of chunk lines beyond what their data justifies */
    uint16_t lines;    /* field lines */
    uint64_t left;     /* octets of the body or chunk still to come */
    struct str body;   /* the slice of the present event */
};

/* The next message is a request; `m` was message_init'ed with an empty arena. At most 2 blank lines before it are skipped. */
void h1_begin_request(struct h1 *c, struct message *m, const struct h1_limits *limits);
/* The next message is a response to `method`. After a 1xx (not 101): H1_HEAD, H1_END, then call this again. */
void h1_begin_response(struct h1 *c, struct message *m, const struct h1_limits *limits, enum method method);
enum h1_event h1_next(struct h1 *c, const char **p, const char *end, struct str *ret_body);
/* The peer has closed: H1_END when the message ends with the connection (BODY_CLOSE), H1_MORE when no message had begun,
 * else H1_BAD (REASON_CLIENT_CLOSED or REASON_BACKEND_CLOSED). */
enum h1_event h1_eof(struct h1 *c);
/* Start line and all fields that are not dropped, and the blank line. p NULL without memory. Request: method_text,
 * target_text; response: status and reason verbatim. Version is always written as HTTP/1.1. */
struct str h1_write_head(const struct message *m, struct arena *to);

#endif
