/*
 * reply: answers of Postern's own: status, headers and a small page. They never tell what only the interior knows (no
 * realm echo, no backend name, no reason beyond the status).
 */
#ifndef POSTERN_REPLY_H
#define POSTERN_REPLY_H

#include <postern/message.h>

struct reply {
    int status;
    bool close;             /* Connection: close */
    bool head;              /* answers a HEAD request: headers of the page, no page */
    uint8_t minor;          /* of the client: HTTP/1.0 keep-alive needs a header */
    struct str location;    /* 302 */
    struct str allow;       /* 405 */
    struct str challenge;   /* 401: the whole value of WWW-Authenticate */
    unsigned retry_after_s; /* 503; 0: none */
    struct str hsts;        /* Strict-Transport-Security; p NULL: none */
    struct str extra;       /* further complete header lines with CRLF; p NULL: none */
};

/* The whole answer, head and page, in the arena; p NULL without memory. Content-Length, Date, Cache-Control: no-store,
 * Content-Type text/html; charset=utf-8, X-Content-Type-Options: nosniff. */
struct str reply_write(const struct reply *r, struct arena *a);
/* Standard phrase of RFC 9110 15 and 18 (and 421, 429, 431); "Unknown" else. */
const char *reply_phrase(int status);
/* Value of Date for the wall clock `now_s`, cached per thread for the second. */
struct str reply_date(int64_t now_s);

#endif
