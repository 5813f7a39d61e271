/*
 * Heads. The raw octets are gathered in the message's arena and looked at once, in front of llhttp, for what
 * it forgives: bare LF, controls, folded lines, spaces in the start line, versions. Every finding depends on
 * the position in the octets alone, never on how reads cut them. Then llhttp parses the whole head in one
 * piece.
 */
#include "h1_int.h"

/* Steps of the head's memory; beyond the last it gets the whole of the limit, so that copies never add up to
 * much more. */
#define HEAD_SMALL 1024
#define HEAD_USUAL 2048
#define HEAD_LARGE 8192
#define METHOD_MAX 32
#define VERSION_LEN 8
#define FIELDS_SPARE 8 /* filters add some */

/* llhttp does not know all methods of Exchange, so it is given one that it knows. */
static const struct str method_stand_in = STR("POST ");

/* ---- gathering ---- */

static uint32_t head_step(const struct h1 *c, uint32_t need)
{
    if (need <= HEAD_SMALL)
        return HEAD_SMALL;
    if (need <= HEAD_USUAL)
        return HEAD_USUAL;
    return need <= HEAD_LARGE ? HEAD_LARGE : c->limits->head_bytes;
}

static bool head_reserve(struct h1 *c, size_t n)
{
    uint32_t need = c->head_used + (uint32_t)n, cap;
    char *p;

    if (need <= c->head_cap)
        return true;
    cap = head_step(c, need);
    p = c->head == NULL ? arena_bytes(c->message->arena, cap)
                        : arena_extend(c->message->arena, c->head, c->head_cap, cap);
    if (p == NULL)
        return false;
    c->head = p;
    c->head_cap = cap;
    return true;
}

static bool head_append(struct h1 *c, const char *p, size_t n)
{
    if (!head_reserve(c, n))
        return false;
    memcpy(c->head + c->head_used, p, n);
    c->head_used += (uint32_t)n;
    return true;
}

/* ---- start lines, as far as they have come ---- */

static enum reason method_scan(struct h1 *c, uint32_t *from, uint32_t to)
{
    for (; c->method_len == 0 && *from < to; (*from)++) {
        if (c->head[*from] == ' ' && *from > 0)
            c->method_len = (uint8_t)*from;
        else if (*from >= METHOD_MAX || !octet_is(c->head[*from], OCTET_TOKEN))
            return REASON_BAD_METHOD;
    }
    return REASON_OK;
}

static enum reason request_line_scan(struct h1 *c, uint32_t from, uint32_t to)
{
    enum reason bad = method_scan(c, &from, to);
    uint32_t target = c->method_len + 1u;
    const char *space;

    if (bad != REASON_OK || c->method_len == 0)
        return bad;
    if (c->span_len == 0) {
        space = memchr(c->head + from, ' ', to - from);
        uint32_t stop = space == NULL ? to : (uint32_t)(space - c->head);
        if (stop - target > c->limits->target_bytes)
            return REASON_URL_TOO_LONG;
        if (space == NULL)
            return REASON_OK;
        if (stop == target)
            return REASON_BAD_REQUEST_LINE;
        c->span_len = stop - target;
    }
    return to - (target + c->span_len + 1) > VERSION_LEN ? REASON_BAD_REQUEST_LINE : REASON_OK;
}

static enum reason status_line_scan(const struct h1 *c, uint32_t from, uint32_t to)
{
    static const char form[] = "HTTP/1.d ddd ";

    for (; from < to && from < sizeof(form) - 1; from++)
        if (form[from] == 'd' ? !octet_is(c->head[from], OCTET_DIGIT) : c->head[from] != form[from])
            return REASON_BACKEND_BAD_RESPONSE;
    return REASON_OK;
}

static enum reason start_line_scan(struct h1 *c, uint32_t from, uint32_t to)
{
    return c->response ? status_line_scan(c, from, to) : request_line_scan(c, from, to);
}

/* ---- whole lines ---- */

/* RFC 9112 2.3: two digits, case-sensitive. A higher minor version could frame messages in a way unknown to
 * us. */
static enum reason version_of(const char *p, uint8_t *ret_minor)
{
    if (memcmp(p, "HTTP/", 5) != 0 || !octet_is(p[5], OCTET_DIGIT) || p[6] != '.' ||
        !octet_is(p[7], OCTET_DIGIT))
        return REASON_BAD_REQUEST_LINE;
    if (p[5] != '1' || p[7] > '1')
        return REASON_BAD_VERSION;
    *ret_minor = (uint8_t)(p[7] - '0');
    return REASON_OK;
}

static enum reason request_line_done(struct h1 *c, uint32_t len)
{
    uint32_t target = c->method_len + 1u, version = target + c->span_len + 1;
    struct message *m = c->message;

    if (c->method_len == 0 || c->span_len == 0 || len - version != VERSION_LEN)
        return REASON_BAD_REQUEST_LINE;
    if (memchr(c->head + target, '\t', c->span_len) != NULL)
        return REASON_BAD_REQUEST_LINE;
    return version_of(c->head + version, &m->minor);
}

/* The phrase may be empty, and old servers leave out the space before it as well. */
static enum reason status_line_done(struct h1 *c, uint32_t len)
{
    struct message *m = c->message;

    if (len < 12 || version_of(c->head, &m->minor) != REASON_OK)
        return REASON_BACKEND_BAD_RESPONSE;
    m->status = (c->head[9] - '0') * 100 + (c->head[10] - '0') * 10 + (c->head[11] - '0');
    return m->status >= 100 && m->status < 600 ? REASON_OK : REASON_BACKEND_BAD_RESPONSE;
}

static enum reason line_done(struct h1 *c, uint32_t len)
{
    if (c->line_start == 0)
        return c->response ? status_line_done(c, len) : request_line_done(c, len);
    if (c->head[c->line_start] == ' ' || c->head[c->line_start] == '\t')
        return REASON_BAD_HEADER;
    if (c->lines == c->limits->fields)
        return REASON_HEAD_TOO_LARGE;
    c->lines++;
    return REASON_OK;
}

/* Looks at what was appended. The last octet is LF when the line is `whole`. */
static enum reason line_scan(struct h1 *c, bool whole)
{
    uint32_t from = c->scanned, to = whole ? c->head_used - 1 : c->head_used;
    bool first = c->line_start == 0, cr = to > c->line_start && c->head[to - 1] == '\r';
    enum reason bad = REASON_OK, reason = first ? REASON_BAD_REQUEST_LINE : REASON_BAD_HEADER;
    uint32_t clean;

    if (cr)
        to--;
    clean = to > from ? from + (uint32_t)octets_bad_at(c->head + from, to - from) : to;
    if (first && clean > from)
        bad = start_line_scan(c, from, clean);
    if (bad == REASON_OK && (clean < to || (whole && !cr)))
        bad = reason;
    c->scanned = to;
    return bad;
}

static enum h1_event head_done(struct h1 *c);

/* One line, or what there is of it. H1_MORE: go on. */
static enum h1_event head_line(struct h1 *c, const char **p, const char *end)
{
    const char *lf = memchr(*p, '\n', (size_t)(end - *p));
    size_t n = (size_t)((lf != NULL ? lf + 1 : end) - *p), room = c->limits->head_bytes - c->head_used;
    enum reason bad;
    uint32_t len;

    if (n > room)
        lf = NULL;
    if (!head_append(c, *p, n > room ? room : n))
        return h1_bad(c, REASON_NO_MEMORY);
    bad = line_scan(c, lf != NULL);
    if (bad == REASON_OK && n > room)
        bad = c->method_len > 0 && c->span_len == 0 ? REASON_URL_TOO_LONG : REASON_HEAD_TOO_LARGE;
    if (bad != REASON_OK)
        return h1_bad(c, bad);
    *p += n;
    if (lf == NULL)
        return H1_MORE;
    len = c->head_used - 2 - c->line_start;
    if (len == 0 && c->line_start > 0)
        return head_done(c);
    bad = line_done(c, len);
    if (bad != REASON_OK)
        return h1_bad(c, bad);
    c->line_start = c->scanned = c->head_used;
    return H1_MORE;
}

enum h1_event h1_take_head(struct h1 *c, const char **p, const char *end)
{
    enum h1_event e = H1_MORE;

    if (*p < end)
        c->started = true;
    while (e == H1_MORE && *p < end)
        e = head_line(c, p, end);
    return e;
}

/* ---- the whole head ---- */

static enum reason reason_of_llhttp(const struct h1 *c)
{
    switch (llhttp_get_errno(&c->parser)) {
    case HPE_INVALID_URL:
        return REASON_BAD_TARGET;
    case HPE_INVALID_VERSION:
        return REASON_BAD_VERSION;
    case HPE_INVALID_METHOD:
    case HPE_INVALID_CONSTANT:
        return REASON_BAD_REQUEST_LINE;
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_INVALID_TRANSFER_ENCODING:
        return REASON_BAD_FRAMING;
    default:
        return REASON_BAD_HEADER;
    }
}

static bool fields_reserve(struct h1 *c)
{
    struct message *m = c->message;

    m->fields_n = 0;
    m->fields_cap = c->lines + FIELDS_SPARE;
    m->fields = arena_alloc(m->arena, m->fields_cap * sizeof(*m->fields));
    return m->fields != NULL;
}

/* Method, target and phrase come from our own scan; what llhttp makes of them is compared in callbacks. */
static void start_line_take(struct h1 *c)
{
    struct message *m = c->message;

    if (c->response) {
        const char *cr = memchr(c->head, '\r', c->head_used);
        size_t len = (size_t)(cr - c->head);
        m->reason = (struct str){c->head + (len > 12 ? 13 : 12), len > 12 ? len - 13 : 0};
        return;
    }
    m->method_text = (struct str){c->head, c->method_len};
    m->method = method_of(m->method_text);
    m->target_text = (struct str){c->head + c->method_len + 1, c->span_len};
}

enum reason h1_parse_head(struct h1 *c)
{
    uint32_t skip = c->response ? 0 : c->method_len + 1u;
    bool fed;

    if (!fields_reserve(c))
        return REASON_NO_MEMORY;
    start_line_take(c);
    fed = c->response || h1_feed(c, method_stand_in.p, method_stand_in.n);
    fed = fed && h1_feed(c, c->head + skip, c->head_used - skip);
    if (c->why != REASON_OK)
        return c->why;
    if (!fed)
        return reason_of_llhttp(c);
    if ((c->event & H1_SEEN_HEAD) == 0 || c->message->fields_n != c->lines)
        return REASON_BAD_HEADER;
    return REASON_OK;
}

static enum h1_event head_done(struct h1 *c)
{
    enum reason bad = h1_parse_head(c);

    if (bad != REASON_OK)
        return h1_bad(c, bad);
    c->state = (uint8_t)h1_body_state(c);
    if (c->state == H1_STATE_BAD)
        return h1_bad(c, REASON_BAD_FRAMING);
    return H1_HEAD;
}
