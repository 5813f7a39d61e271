/*
 * What the files of the codec share. One worker, as h1.h says.
 */
#ifndef H1_INT_H
#define H1_INT_H

#include <postern/h1.h>

#include "http_int.h"

enum h1_state {
    H1_STATE_BLANK, /* before a request line */
    H1_STATE_HEAD,
    H1_STATE_BODY, /* from here on the head was reported */
    H1_STATE_CHUNK_SIZE = H1_STATE_BODY,
    H1_STATE_CHUNK_EXTENSION,
    H1_STATE_CHUNK_SIZE_LF,
    H1_STATE_CHUNK_DATA,
    H1_STATE_CHUNK_CR,
    H1_STATE_CHUNK_LF,
    H1_STATE_TRAILER_START,
    H1_STATE_TRAILER_NAME,
    H1_STATE_TRAILER_VALUE,
    H1_STATE_TRAILER_LF,
    H1_STATE_LAST_LF,
    H1_STATE_LENGTH,
    H1_STATE_UNTIL_CLOSE,
    H1_STATE_DONE,
    H1_STATE_BAD
};

/* Bits of h1.event: what llhttp has called since the last look. */
enum h1_seen { H1_SEEN_HEAD = 1, H1_SEEN_BODY = 2, H1_SEEN_END = 4, H1_SEEN_CHUNK = 8, H1_SEEN_NAME = 16 };

extern const llhttp_settings_t h1_settings;

enum h1_event h1_bad(struct h1 *c, enum reason why);
enum h1_event h1_take_head(struct h1 *c, const char **p, const char *end);
enum h1_event h1_take_body(struct h1 *c, const char **p, const char *end, struct str *ret_body);
/* The state in which the body begins, by the framing of the checked message. */
enum h1_state h1_body_state(struct h1 *c);
/* llhttp over these octets: false when it does not take all of them. */
bool h1_feed(struct h1 *c, const char *p, size_t n);
/* The whole gathered head: start line and fields into c->message. */
enum reason h1_parse_head(struct h1 *c);

#endif
