/*
 * The codec's frame: begin, take events, end. A head is gathered line by line into the message's arena
 * (h1_head.c) and parsed there in one piece, so that it makes no difference how the network cut it; bodies
 * pass through in place (h1_body.c).
 */
#include "h1_int.h"

/* RFC 9112 2.2: a client may send an empty line too many after a body. */
#define BLANK_LINES 2

static void h1_begin(struct h1 *c, struct message *m, const struct h1_limits *limits, bool response)
{
    llhttp_type_t type = response ? HTTP_RESPONSE : HTTP_REQUEST;

    memset(c, 0, sizeof(*c));
    llhttp_init(&c->parser, type, &h1_settings);
    c->message = m;
    c->limits = limits;
    c->response = response;
    c->state = H1_STATE_BLANK;
    c->answered = METHOD_UNKNOWN;
}

void h1_begin_request(struct h1 *c, struct message *m, const struct h1_limits *limits)
{
    h1_begin(c, m, limits, false);
}

void h1_begin_response(struct h1 *c, struct message *m, const struct h1_limits *limits, enum method method)
{
    h1_begin(c, m, limits, true);
    c->state = H1_STATE_HEAD;
    c->answered = method;
}

enum h1_event h1_bad(struct h1 *c, enum reason why)
{
    c->bad_was_body = c->state >= H1_STATE_BODY;
    if (c->response && why != REASON_NO_MEMORY && why != REASON_BACKEND_CLOSED)
        why = why == REASON_HEAD_TOO_LARGE ? REASON_BACKEND_HEAD_TOO_LARGE : REASON_BACKEND_BAD_RESPONSE;
    c->why = why;
    c->state = H1_STATE_BAD;
    return H1_BAD;
}

/* Skips empty lines in front of a request. Its first other octet begins the head. */
static enum h1_event h1_blank(struct h1 *c, const char **p, const char *end)
{
    for (; *p < end; (*p)++) {
        if (**p == '\r' && !c->cr_seen && c->line_used < BLANK_LINES) {
            c->cr_seen = true;
        } else if (**p == '\n' && c->cr_seen) {
            c->cr_seen = false;
            c->line_used++;
        } else if (c->cr_seen || **p == '\r' || **p == '\n') {
            return h1_bad(c, REASON_BAD_REQUEST_LINE);
        } else {
            c->line_used = 0;
            c->state = H1_STATE_HEAD;
            return H1_HEAD;
        }
    }
    return H1_MORE;
}

enum h1_event h1_next(struct h1 *c, const char **p, const char *end, struct str *ret_body)
{
    switch (c->state) {
    case H1_STATE_BLANK:
        if (h1_blank(c, p, end) != H1_HEAD)
            return c->state == H1_STATE_BAD ? H1_BAD : H1_MORE;
        return h1_take_head(c, p, end);
    case H1_STATE_HEAD:
        return h1_take_head(c, p, end);
    case H1_STATE_DONE:
        return H1_END;
    case H1_STATE_BAD:
        return H1_BAD;
    default:
        return h1_take_body(c, p, end, ret_body);
    }
}

enum h1_event h1_eof(struct h1 *c)
{
    if (c->state == H1_STATE_BAD)
        return H1_BAD;
    if (c->state == H1_STATE_UNTIL_CLOSE) {
        c->state = H1_STATE_DONE;
        return H1_END;
    }
    if (c->state == H1_STATE_DONE || !c->started)
        return H1_MORE;
    return h1_bad(c, c->response ? REASON_BACKEND_CLOSED : REASON_CLIENT_CLOSED);
}
