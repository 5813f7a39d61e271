/*
 * Bodies. Our own framing decides how many octets are data; llhttp is fed the same pieces and must agree.
 * Chunk lines are looked at octet by octet before llhttp sees them: hexadecimal digits, CR LF, no control
 * anywhere (RFC 9112 7.1).
 */
#include "h1_int.h"

#define SIZE_DIGITS 16
#define CHUNK_CREDIT 16 /* octets of a chunk line that any chunk may have */

enum h1_state h1_body_state(struct h1 *c)
{
    const struct message *m = c->message;
    bool ended = (c->event & H1_SEEN_END) != 0;

    c->line_used = c->head_used = 0;
    c->head = NULL;
    c->lines = 0;
    if (ended != (m->framing == BODY_NONE || (m->framing == BODY_LENGTH && m->content_length == 0)))
        return H1_STATE_BAD;
    c->left = m->content_length;
    if (ended)
        return H1_STATE_DONE;
    c->left = m->framing == BODY_LENGTH ? m->content_length : 0;
    if (m->framing == BODY_CHUNKED)
        return H1_STATE_CHUNK_SIZE;
    return m->framing == BODY_LENGTH ? H1_STATE_LENGTH : H1_STATE_UNTIL_CLOSE;
}

/* ---- data ---- */

/* Feeds data that llhttp must report in one piece, as it stands. */
static enum h1_event take_data(struct h1 *c, const char **p, size_t n, struct str *ret_body)
{
    c->event &= (uint8_t)~H1_SEEN_BODY;
    if (!h1_feed(c, *p, n) || (c->event & H1_SEEN_BODY) == 0 || c->body.p != *p || c->body.n != n)
        return h1_bad(c, REASON_BAD_FRAMING);
    *ret_body = c->body;
    *p += n;
    return H1_BODY;
}

static enum h1_event take_counted(struct h1 *c, const char **p, const char *end, struct str *ret_body)
{
    size_t n = (size_t)(end - *p);
    enum h1_event e;

    if (n == 0)
        return H1_MORE;
    if (n > c->left)
        n = (size_t)c->left;
    e = take_data(c, p, n, ret_body);
    if (e != H1_BODY)
        return e;
    c->left -= n;
    if (c->left > 0)
        return e;
    if (c->state == H1_STATE_CHUNK_DATA)
        c->state = H1_STATE_CHUNK_CR;
    else if ((c->event & H1_SEEN_END) != 0)
        c->state = H1_STATE_DONE;
    else
        return h1_bad(c, REASON_BAD_FRAMING);
    return e;
}

static enum h1_event take_until_close(struct h1 *c, const char **p, const char *end, struct str *ret_body)
{
    return *p == end ? H1_MORE : take_data(c, p, (size_t)(end - *p), ret_body);
}

/* ---- chunk lines ---- */

static int chunk_size_octet(struct h1 *c, char o)
{
    int digit = hex_value(o);

    if (digit >= 0) {
        if (c->line_used > SIZE_DIGITS || c->left > (uint64_t)INT64_MAX >> 4)
            return -1;
        c->left = c->left << 4 | (unsigned)digit;
        return H1_STATE_CHUNK_SIZE;
    }
    if (c->line_used == 1) /* no digit at all */
        return -1;
    if (o == '\r')
        return H1_STATE_CHUNK_SIZE_LF;
    return o == ';' ? H1_STATE_CHUNK_EXTENSION : -1;
}

static int chunk_extension_octet(char o)
{
    if (o == '\r')
        return H1_STATE_CHUNK_SIZE_LF;
    return octet_is(o, OCTET_VISIBLE) || o == ' ' || o == '\t' ? H1_STATE_CHUNK_EXTENSION : -1;
}

/* Extensions must not be a way to send much for nothing: each chunk's data pays for its line. */
static int chunk_line_done(struct h1 *c, char o)
{
    uint64_t credit = CHUNK_CREDIT + 2 * (c->left < UINT16_MAX ? c->left : UINT16_MAX);

    if (o != '\n')
        return -1;
    c->excess += c->line_used;
    c->excess = c->excess > credit ? c->excess - (uint32_t)credit : 0;
    if (c->excess > 4u * c->limits->chunk_line)
        return -1;
    c->line_used = 0;
    return c->left > 0 ? H1_STATE_CHUNK_DATA : H1_STATE_TRAILER_START;
}

/* ---- trailers: read and dropped ---- */

static int trailer_start_octet(struct h1 *c, char o)
{
    if (o == '\r')
        return H1_STATE_LAST_LF;
    if (!octet_is(o, OCTET_TOKEN) || c->lines == c->limits->fields)
        return -1;
    c->lines++;
    return H1_STATE_TRAILER_NAME;
}

static int trailer_name_octet(char o)
{
    if (o == ':')
        return H1_STATE_TRAILER_VALUE;
    return octet_is(o, OCTET_TOKEN) ? H1_STATE_TRAILER_NAME : -1;
}

static int trailer_value_octet(char o)
{
    if (o == '\r')
        return H1_STATE_TRAILER_LF;
    return octets_bad_at(&o, 1) == 1 ? H1_STATE_TRAILER_VALUE : -1;
}

static bool frame_octet_counts(struct h1 *c)
{
    if (c->state >= H1_STATE_TRAILER_START)
        return ++c->head_used <= c->limits->head_bytes;
    return ++c->line_used <= c->limits->chunk_line;
}

/* The next state, or -1. */
static int frame_octet(struct h1 *c, char o)
{
    if (!frame_octet_counts(c))
        return -1;
    switch (c->state) {
    case H1_STATE_CHUNK_SIZE:
        return chunk_size_octet(c, o);
    case H1_STATE_CHUNK_EXTENSION:
        return chunk_extension_octet(o);
    case H1_STATE_CHUNK_SIZE_LF:
        return chunk_line_done(c, o);
    case H1_STATE_CHUNK_CR:
        return o == '\r' ? H1_STATE_CHUNK_LF : -1;
    case H1_STATE_CHUNK_LF:
        c->line_used = 0;
        return o == '\n' ? H1_STATE_CHUNK_SIZE : -1;
    case H1_STATE_TRAILER_START:
        return trailer_start_octet(c, o);
    case H1_STATE_TRAILER_NAME:
        return trailer_name_octet(o);
    case H1_STATE_TRAILER_VALUE:
        return trailer_value_octet(o);
    case H1_STATE_TRAILER_LF:
        return o == '\n' ? H1_STATE_TRAILER_START : -1;
    case H1_STATE_LAST_LF:
        return o == '\n' ? H1_STATE_DONE : -1;
    default:
        return -1;
    }
}

/* Everything between data: up to the next data, or the end. */
static enum h1_event take_frame(struct h1 *c, const char **p, const char *end)
{
    const char *from = *p;
    int state = c->state;

    c->event = 0;
    while (*p < end && state != H1_STATE_CHUNK_DATA && state != H1_STATE_DONE) {
        state = frame_octet(c, *(*p)++);
        if (state < 0)
            return h1_bad(c, REASON_BAD_CHUNK);
        c->state = (uint8_t)state;
    }
    if (*p > from && !h1_feed(c, from, (size_t)(*p - from)))
        return h1_bad(c, REASON_BAD_CHUNK);
    if (state == H1_STATE_CHUNK_DATA && (c->event & (H1_SEEN_CHUNK | H1_SEEN_END)) != H1_SEEN_CHUNK)
        return h1_bad(c, REASON_BAD_CHUNK);
    if ((state == H1_STATE_DONE) != ((c->event & H1_SEEN_END) != 0))
        return h1_bad(c, REASON_BAD_CHUNK);
    return state == H1_STATE_DONE ? H1_END : H1_MORE;
}

enum h1_event h1_take_body(struct h1 *c, const char **p, const char *end, struct str *ret_body)
{
    if (c->state == H1_STATE_UNTIL_CLOSE)
        return take_until_close(c, p, end, ret_body);
    if (c->state != H1_STATE_LENGTH && c->state != H1_STATE_CHUNK_DATA) {
        enum h1_event e = take_frame(c, p, end);
        if (e != H1_MORE || c->state != H1_STATE_CHUNK_DATA)
            return e;
    }
    return take_counted(c, p, end, ret_body);
}
