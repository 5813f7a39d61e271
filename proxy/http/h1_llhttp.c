/*
 * llhttp's callbacks. It sees a head only after our own scan, and a body in the very pieces that our own
 * framing expects; where the two disagree about anything the message is refused.
 */
#include "h1_int.h"

static struct h1 *h1_of(llhttp_t *parser)
{
    return (struct h1 *)parser; /* its first member */
}

static int refuse(struct h1 *c, enum reason why)
{
    c->why = why;
    return -1;
}

static void span_extend(struct str *s, const char *at, size_t n)
{
    if (s->p == NULL)
        s->p = at;
    s->n = (size_t)(at + n - s->p);
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    const struct message *m = h1_of(parser)->message;

    return at == m->target_text.p && n == m->target_text.n ? 0 : refuse(h1_of(parser), REASON_BAD_TARGET);
}

/* llhttp calls for trailers as well: those are dropped. */
static struct field *present_field(struct h1 *c)
{
    struct message *m = c->message;

    if (c->state >= H1_STATE_BODY)
        return NULL;
    return m->fields_n < c->lines ? &m->fields[m->fields_n] : NULL;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t n)
{
    struct h1 *c = h1_of(parser);
    struct field *f = present_field(c);

    if (f == NULL)
        return c->state >= H1_STATE_BODY ? 0 : refuse(c, REASON_BAD_HEADER);
    if ((c->event & H1_SEEN_NAME) == 0)
        *f = (struct field){.name = STR_NULL};
    c->event |= H1_SEEN_NAME;
    span_extend(&f->name, at, n);
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t n)
{
    struct field *f = present_field(h1_of(parser));

    if (f != NULL)
        span_extend(&f->value, at, n);
    return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct h1 *c = h1_of(parser);
    struct field *f = present_field(c);

    if (f == NULL)
        return 0;
    if (f->value.p == NULL)
        f->value = STR("");
    f->value = str_trim(f->value);
    f->id = (uint8_t)field_id_of(f->name);
    c->event &= (uint8_t)~H1_SEEN_NAME;
    c->message->fields_n++;
    return 0;
}

/* What llhttp thinks of the framing is settled by ours: no body where we see none, and never a change of
 * protocol. */
static int on_headers_complete(llhttp_t *parser)
{
    struct h1 *c = h1_of(parser);
    struct message *m = c->message;
    enum reason bad;

    if (parser->http_major != 1 || parser->http_minor != m->minor ||
        (c->response && parser->status_code != m->status))
        return refuse(c, REASON_BAD_VERSION);
    bad = c->response ? message_check_response(m, c->answered) : message_check_request(m);
    if (bad != REASON_OK)
        return refuse(c, bad);
    c->event |= H1_SEEN_HEAD;
    parser->upgrade = 0;
    return m->framing == BODY_NONE ? 1 : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct h1 *c = h1_of(parser);

    if ((c->event & H1_SEEN_BODY) != 0)
        return -1;
    c->event |= H1_SEEN_BODY;
    c->body = (struct str){at, n};
    return 0;
}

static int on_chunk_header(llhttp_t *parser)
{
    struct h1 *c = h1_of(parser);

    c->event |= H1_SEEN_CHUNK;
    return parser->content_length == c->left ? 0 : -1;
}

static int on_message_complete(llhttp_t *parser)
{
    h1_of(parser)->event |= H1_SEEN_END;
    return 0;
}

const llhttp_settings_t h1_settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_message_complete,
};

bool h1_feed(struct h1 *c, const char *p, size_t n)
{
    return llhttp_execute(&c->parser, p, n) == HPE_OK;
}
