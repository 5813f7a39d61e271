/*
 * What a head must satisfy beyond its syntax, for both directions, and what forwarding takes away from it
 * again.
 */
#include <assert.h>

#include <postern/target.h>

#include "http_int.h"

#define SEEN_WORDS ((FIELD_ID_COUNT + 63) / 64)

/* What one pass over the fields finds. */
struct survey {
    uint64_t seen[SEEN_WORDS];
    const struct field *host, *length, *coding, *upgrade;
    bool close, keep_alive, lists_upgrade;
};

static bool survey_seen(struct survey *s, unsigned id)
{
    uint64_t bit = (uint64_t)1 << (id % 64);
    bool before = (s->seen[id / 64] & bit) != 0;

    s->seen[id / 64] |= bit;
    return before;
}

/* A client that could have a field dropped by naming it in Connection could strip what protects it. */
static enum reason survey_connection(struct survey *s, struct str value, bool response)
{
    struct str part;

    while (str_next(&value, ',', &part)) {
        part = str_trim(part);
        if (part.n == 0)
            continue;
        if (!octets_all(part, OCTET_TOKEN))
            return REASON_BAD_CONNECTION;
        if ((field_flags(field_id_of(part)) & (response ? FIELD_KEEP : FIELD_KEEP | FIELD_INNER)) != 0)
            return REASON_BAD_CONNECTION;
        if (str_eq_nocase(part, STR("close")))
            s->close = true;
        else if (str_eq_nocase(part, STR("keep-alive")))
            s->keep_alive = true;
        else if (str_eq_nocase(part, STR("upgrade")))
            s->lists_upgrade = true;
    }
    return REASON_OK;
}

static enum reason repeated_reason(unsigned id)
{
    if (id == FIELD_ID_HOST)
        return REASON_BAD_HOST;
    if (id == FIELD_ID_CONTENT_LENGTH || id == FIELD_ID_TRANSFER_ENCODING)
        return REASON_BAD_FRAMING;
    return id == FIELD_ID_EXPECT ? REASON_BAD_EXPECT : REASON_BAD_HEADER;
}

/* Responses: only what frames them must be single; the rest is between the backend and its client. */
static bool repeat_refused(unsigned id, bool response)
{
    if (id == FIELD_ID_TRANSFER_ENCODING || id == FIELD_ID_CONTENT_LENGTH)
        return true;
    return !response && (field_flags(id) & FIELD_ONCE) != 0;
}

static enum reason survey_field(struct survey *s, const struct field *f, bool response)
{
    if (f->name.n == 0 || !octets_all(f->name, OCTET_TOKEN))
        return REASON_BAD_HEADER;
    if (octets_bad_at(f->value.p, f->value.n) != f->value.n)
        return REASON_BAD_HEADER;
    if (f->id == FIELD_OTHER)
        return REASON_OK;
    if (survey_seen(s, f->id) && repeat_refused(f->id, response))
        return repeated_reason(f->id);
    switch (f->id) {
    case FIELD_ID_HOST:
        s->host = f;
        break;
    case FIELD_ID_CONTENT_LENGTH:
        s->length = f;
        break;
    case FIELD_ID_TRANSFER_ENCODING:
        s->coding = f;
        break;
    case FIELD_ID_UPGRADE:
        s->upgrade = f;
        break;
    case FIELD_ID_CONNECTION:
        return survey_connection(s, f->value, response);
    default:
        break;
    }
    return REASON_OK;
}

static enum reason survey_fields(struct survey *s, const struct message *m)
{
    for (unsigned i = 0; i < m->fields_n; i++) {
        enum reason bad = m->fields[i].dropped ? REASON_OK : survey_field(s, &m->fields[i], m->response);
        if (bad != REASON_OK)
            return bad;
    }
    return REASON_OK;
}

/* RFC 9112 6.1 to 6.3. Two ways to say where the body ends are one too many: there is no order of precedence
 * here. */
static enum reason check_framing(struct message *m, const struct survey *s)
{
    m->framing = BODY_NONE;
    m->content_length = 0;
    if (s->coding != NULL) {
        if (s->length != NULL || m->minor == 0 || !str_eq_nocase(s->coding->value, STR("chunked")))
            return REASON_BAD_FRAMING;
        m->framing = BODY_CHUNKED;
    } else if (s->length != NULL) {
        if (!str_to_u64(s->length->value, &m->content_length) || m->content_length > INT64_MAX)
            return REASON_BAD_FRAMING;
        m->framing = BODY_LENGTH;
    }
    return REASON_OK;
}

static void check_persistence(struct message *m, const struct survey *s)
{
    m->keep_alive = !s->close && (m->minor >= 1 || s->keep_alive);
}

/* ---- requests ---- */

/* origin-form, absolute-form, or "*" (RFC 9112 3.2). What the path holds is looked at by target_parse. */
static enum reason check_target(const struct message *m)
{
    struct str t = m->target_text;
    uint16_t port;

    if (t.n == 0 || !octets_all(t, OCTET_VISIBLE) || memchr(t.p, '#', t.n) != NULL)
        return REASON_BAD_TARGET;
    if (t.p[0] == '/' || target_scheme(t, &port) > 0)
        return REASON_OK;
    return m->method == METHOD_OPTIONS && str_eq(t, STR("*")) ? REASON_OK : REASON_BAD_TARGET;
}

static bool same_port(uint16_t a, uint16_t b, uint16_t scheme_port)
{
    return (a != 0 ? a : scheme_port) == (b != 0 ? b : scheme_port);
}

static enum reason check_host(struct message *m, const struct field *field)
{
    uint16_t scheme_port, port = 0;
    struct str authority = target_authority(m->target_text, &scheme_port), host = STR("");
    enum reason bad = REASON_OK;

    if (field == NULL && m->minor >= 1)
        return REASON_BAD_HOST;
    if (field != NULL)
        bad = target_host(field->value, m->arena, &host, &port);
    if (bad != REASON_OK)
        return bad;
    if (authority.p != NULL) {
        struct str named;
        uint16_t named_port;
        bad = target_host(authority, m->arena, &named, &named_port);
        if (bad != REASON_OK)
            return bad;
        if (field != NULL && (!str_eq(named, host) || !same_port(named_port, port, scheme_port)))
            return REASON_BAD_HOST;
        host = named;
        port = named_port;
    }
    m->host = host;
    m->host_port = port;
    return REASON_OK;
}

/* RFC 9110 10.1.1: HTTP/1.0 has no 100, so the expectation is ignored there. */
static enum reason check_expect(struct message *m)
{
    const struct field *f = message_find(m, FIELD_ID_EXPECT);

    m->expect_continue = false;
    if (f == NULL)
        return REASON_OK;
    if (!str_eq_nocase(f->value, STR("100-continue")))
        return REASON_BAD_EXPECT;
    if (m->minor == 0)
        message_drop(m, FIELD_ID_EXPECT);
    else
        m->expect_continue = m->framing != BODY_NONE;
    return REASON_OK;
}

/* A body before the switch of protocols would be read by one side as the body and by the other as the new
 * protocol. */
static enum reason check_upgrade(struct message *m, const struct survey *s)
{
    m->upgrade = STR_NULL;
    if (s->upgrade == NULL || !s->lists_upgrade || m->minor == 0 || s->upgrade->value.n == 0)
        return REASON_OK;
    if (m->framing == BODY_CHUNKED || m->content_length > 0)
        return REASON_BAD_FRAMING;
    m->upgrade = s->upgrade->value;
    return REASON_OK;
}

enum reason message_check_request(struct message *m)
{
    struct survey s = {0};
    enum reason bad = check_target(m);

    if (bad == REASON_OK)
        bad = survey_fields(&s, m);
    if (bad == REASON_OK)
        bad = check_framing(m, &s);
    if (bad == REASON_OK)
        bad = check_host(m, s.host);
    if (bad == REASON_OK)
        bad = check_expect(m);
    if (bad == REASON_OK)
        bad = check_upgrade(m, &s);
    check_persistence(m, &s);
    return bad;
}

/* ---- responses ---- */

static bool response_has_no_body(const struct message *m, enum method method)
{
    return method == METHOD_HEAD || m->status < 200 || m->status == 204 || m->status == 304;
}

enum reason message_check_response(struct message *m, enum method method)
{
    struct survey s = {0};

    if (survey_fields(&s, m) != REASON_OK || check_framing(m, &s) != REASON_OK)
        return REASON_BACKEND_BAD_RESPONSE;
    check_persistence(m, &s);
    if (response_has_no_body(m, method)) {
        /* A body announced where none can be: whatever follows must not be taken for the next answer. */
        if (method != METHOD_HEAD && m->status != 304 &&
            (m->framing == BODY_CHUNKED || m->content_length > 0))
            m->keep_alive = false;
        m->framing = BODY_NONE;
    } else if (m->framing == BODY_NONE) {
        m->framing = BODY_CLOSE;
        m->keep_alive = false;
    }
    if (s.upgrade != NULL && s.lists_upgrade)
        m->upgrade = s.upgrade->value;
    return REASON_OK;
}

/* ---- forwarding ---- */

static void strip_listed(struct message *m, struct str list)
{
    struct str part;

    while (str_next(&list, ',', &part)) {
        part = str_trim(part);
        if (part.n > 0)
            message_drop_name(m, part);
    }
}

void message_strip_hop(struct message *m)
{
    unsigned had = m->fields_n;

    for (unsigned i = 0; i < had; i++)
        if (m->fields[i].id == FIELD_ID_CONNECTION)
            strip_listed(m, m->fields[i].value);
    for (unsigned i = 0; i < had; i++)
        if ((field_flags(m->fields[i].id) & FIELD_HOP) != 0)
            m->fields[i].dropped = true;
    if (m->framing == BODY_CHUNKED)
        message_drop(m, FIELD_ID_CONTENT_LENGTH);
}

int message_refusal_status(enum reason why)
{
    switch (why) {
    case REASON_NOT_PUBLISHED:
        return 404;
    case REASON_METHOD_NOT_ALLOWED:
        return 405;
    case REASON_CLIENT_TIMEOUT:
        return 408;
    case REASON_BODY_TOO_LARGE:
        return 413;
    case REASON_URL_TOO_LONG:
    case REASON_QUERY_TOO_LONG:
        return 414;
    case REASON_BAD_EXPECT:
        return 417;
    case REASON_HOST_NOT_PUBLISHED:
    case REASON_HOST_NOT_SNI:
        return 421;
    case REASON_HEAD_TOO_LARGE:
        return 431;
    case REASON_PLAIN_HTTP_REFUSED:
        return 403;
    case REASON_INTERNAL:
        return 500;
    case REASON_BACKEND_REFUSED:
    case REASON_BACKEND_TLS_FAILED:
    case REASON_BACKEND_RESET:
    case REASON_BACKEND_CLOSED:
    case REASON_BACKEND_BAD_RESPONSE:
    case REASON_BACKEND_HEAD_TOO_LARGE:
        return 502;
    case REASON_TABLE_FULL:
    case REASON_NO_BACKEND:
    case REASON_BACKEND_BUSY:
    case REASON_NO_MEMORY:
        return 503;
    case REASON_BACKEND_TIMEOUT:
    case REASON_BACKEND_CONNECT_TIMEOUT:
        return 504;
    case REASON_BAD_VERSION:
        return 505;
    default:
        return 400;
    }
}
