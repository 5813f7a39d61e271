/*
 * http: request heads and bodies, as lenient as a simulation may be: what is malformed gets 400 and a close. llhttp
 * does not know RPC_IN_DATA, BPROPFIND or X-MS-ENUMATTS, hence a parser of our own.
 */
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>
#include "cas.h"

static const struct route routes[] = {
    {STR("/owa"), SERVICE_OWA, true, owa_begin, owa_finish},
    {STR("/ecp"), SERVICE_OWA, true, NULL, owa_finish},
    {STR("/microsoft-server-activesync"), SERVICE_ACTIVESYNC, true, NULL, activesync_finish},
    {STR("/rpc"), SERVICE_RPC, true, rpc_begin, NULL},
    {STR("/rpcwithcert"), SERVICE_RPC, true, rpc_begin, NULL},
    {STR("/autodiscover"), SERVICE_AUTODISCOVER, true, NULL, autodiscover_finish},
    {STR("/ews"), SERVICE_EWS, true, NULL, ews_finish},
    {STR("/mapi"), SERVICE_MAPI, true, NULL, mapi_finish},
    {STR("/oab"), SERVICE_OAB, true, NULL, oab_finish},
    {STR("/unifiedmessaging"), SERVICE_UM, true, NULL, um_finish},
    {STR("/exchange"), SERVICE_WEBDAV, true, NULL, webdav_finish},
    {STR("/exchweb"), SERVICE_WEBDAV, true, NULL, webdav_finish},
    {STR("/public"), SERVICE_WEBDAV, true, NULL, webdav_finish},
    {STR("/sim"), SERVICE_SIM, false, sim_begin, sim_finish},
};
static void not_found(struct conn *c)
{
    answer_text(c, 404, "Not Found", "Simulated Client Access server: nothing here\n");
}
static const struct route route_other = {STR("/"), SERVICE_OTHER, false, NULL, not_found};
static const struct route route_control = {STR("/"), SERVICE_OTHER, false, NULL, control_finish};

const struct route *route_find(struct conn *c)
{
    if (c->is_control)
        return &route_control;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        struct str prefix = routes[i].prefix;
        if (str_starts_nocase(c->path, prefix) && (c->path.n == prefix.n || c->path.p[prefix.n] == '/'))
            return &routes[i];
    }
    return &route_other;
}

bool head_get(struct conn *c, struct str name, struct str *ret_value)
{
    struct str rest = {c->head, c->head_len}, line;
    if (!c->head)
        return false;
    while (str_next(&rest, '\n', &line))
        if (line.n > name.n && line.p[name.n] == ':' && strncasecmp(line.p, name.p, name.n) == 0) {
            line.n -= line.p[line.n - 1] == '\r';
            *ret_value = str_trim((struct str){line.p + name.n + 1, line.n - name.n - 1});
            return true;
        }
    return false;
}

bool query_get(struct conn *c, struct str name, struct str *ret_value)
{
    struct str rest = c->query, part;
    while (rest.n && str_next(&rest, '&', &part))
        if (part.n > name.n && part.p[name.n] == '=' && strncasecmp(part.p, name.p, name.n) == 0) {
            *ret_value = (struct str){part.p + name.n + 1, part.n - name.n - 1};
            return true;
        }
    return false;
}

uint64_t query_number(struct conn *c, struct str name, uint64_t otherwise)
{
    struct str s;
    uint64_t n;
    return query_get(c, name, &s) && str_to_u64(s, &n) ? n : otherwise;
}

void http_request_reset(struct conn *c)
{
    conn_hold_data(c, NULL, NULL);
    free(c->head_copy);
    free(c->body);
    c->head = c->head_copy = c->body = NULL;
    c->body_len = c->head_len = 0;
    c->on_body = NULL;
    c->on_end = c->on_drain = NULL;
    c->state = CONN_HEAD;
    c->answered = c->chunked_answer = c->expect = c->head_only = false;
    memset(c->v, 0, sizeof c->v);
    c->wanted = 0;
    c->serial++;
}

static bool parse_line(struct conn *c, struct str line)
{
    const char *sp = memchr(line.p, ' ', line.n);
    if (!sp || sp == line.p)
        return false;
    c->method = (struct str){line.p, (size_t)(sp - line.p)};
    struct str rest = {sp + 1, line.n - c->method.n - 1};
    const char *end = memchr(rest.p, ' ', rest.n);
    if (!end || end == rest.p || rest.n - (size_t)(end - rest.p) != 9 || memcmp(end + 1, "HTTP/1.", 7) != 0)
        return false;
    c->minor = end[8] == '1';
    c->path = (struct str){rest.p, (size_t)(end - rest.p)};
    const char *q = memchr(c->path.p, '?', c->path.n);
    c->query = STR_NULL;
    if (q) {
        c->query = (struct str){q + 1, c->path.n - (size_t)(q - c->path.p) - 1};
        c->path.n = (size_t)(q - c->path.p);
    }
    c->head_only = str_eq(c->method, STR("HEAD"));
    return true;
}

/* Only what is harmless in an answer's head. */
static void take_tag(struct conn *c, struct str value)
{
    size_t n = 0;
    while (n < value.n && n < TAG_SIZE - 1 && isalnum((unsigned char)value.p[n]))
        n++;
    memcpy(c->tag, value.p, n);
    c->tag[n] = 0;
}

static bool parse_field(struct conn *c, struct str name, struct str value, bool *length_seen)
{
    if (str_eq_nocase(name, STR("content-length"))) {
        bool again = *length_seen;
        *length_seen = true;
        return !again && str_to_u64(value, &c->body_left);
    }
    if (str_eq_nocase(name, STR("transfer-encoding"))) {
        c->chunked = true;
        return str_eq_nocase(value, STR("chunked"));
    }
    if (str_eq_nocase(name, STR("connection"))) {
        struct str part;
        while (value.n && str_next(&value, ',', &part))
            c->keep = str_eq_nocase(str_trim(part), STR("close"))        ? false
                      : str_eq_nocase(str_trim(part), STR("keep-alive")) ? true
                                                                         : c->keep;
    } else if (str_eq_nocase(name, STR("x-load-tag")))
        take_tag(c, value);
    else if (str_eq_nocase(name, STR("expect")))
        c->expect = str_eq_nocase(value, STR("100-continue"));
    return true;
}

static bool parse_head(struct conn *c)
{
    struct str rest = {c->head, c->head_len - 2}, line;
    bool first = true, length_seen = false;
    c->body_left = c->body_seen = 0;
    c->chunked = false;
    c->tag[0] = 0;
    while (rest.n && str_next(&rest, '\n', &line)) {
        if (!line.n || line.p[line.n - 1] != '\r')
            return false;
        line.n--;
        if (first) {
            if (!parse_line(c, line))
                return false;
            c->keep = c->minor == 1;
            first = false;
            continue;
        }
        const char *colon = memchr(line.p, ':', line.n);
        if (!colon || colon == line.p || colon[-1] == ' ' || line.p[0] == ' ' || line.p[0] == '\t')
            return false;
        struct str name = {line.p, (size_t)(colon - line.p)};
        if (!parse_field(c, name, str_trim((struct str){colon + 1, line.n - name.n - 1}), &length_seen))
            return false;
    }
    c->has_body = c->chunked || c->body_left > 0;
    c->chunk_state = CHUNK_SIZE;
    return !first && !(length_seen && c->chunked);
}

static void bad_request(struct conn *c)
{
    COUNT(malformed, 1);
    c->keep = false;
    c->has_body = false;
    c->head_only = false;
    answer_text(c, 400, "Bad Request", "Simulated Client Access server: malformed request\n");
}

static void after_request(struct conn *c)
{
    if (!c->answered && !c->closing)
        c->state = CONN_HOLD;
    else if (!c->closing && c->state != CONN_LINGER)
        http_request_reset(c);
}

/* The head's text must outlive the read buffer when the body is not all here. */
static void keep_head(struct conn *c)
{
    if (!c->head || c->head_copy || c->closing)
        return;
    char *copy = malloc(c->head_len);
    if (!copy) {
        conn_reset(c);
        return;
    }
    memcpy(copy, c->head, c->head_len);
    c->method.p = copy + (c->method.p - c->head);
    c->path.p = copy + (c->path.p - c->head);
    if (c->query.p)
        c->query.p = copy + (c->query.p - c->head);
    c->head = c->head_copy = copy;
}

static void finish(struct conn *c)
{
    if (c->on_end)
        c->on_end(c);
    else if (!c->answered && c->route->finish && !sim_told(c))
        c->route->finish(c);
}

/* The head and the body of a request that has been looked at are of no more use. */
static void release(struct conn *c)
{
    free(c->head_copy);
    c->head = c->head_copy = NULL;
    if (!c->answered) {
        free(c->body);
        c->body = NULL;
    }
}

/* The answer that was put off. It may end the request, and the next one may begin, before this returns. */
static void finish_late(struct conn *c)
{
    unsigned serial = c->serial;
    finish(c);
    if (!c->closing && c->serial == serial)
        release(c);
}

/* true: the answer comes later, or is a failure. */
static bool misbehave(struct conn *c)
{
    if (c->is_control || c->answered || c->route->service == SERVICE_RPC)
        return false;
    if (behave_fails(c)) {
        if (!c->closing && !c->answered) /* nothing is to come, ever */
            release(c);
        return true;
    }
    uint64_t latency = behave_latency(c);
    c->wanted = behave_size(c);
    if (!latency)
        return false;
    keep_head(c);
    if (!c->closing)
        conn_arm(c, latency, finish_late);
    return true;
}

static void body_ended(struct conn *c)
{
    c->has_body = false;
    c->state = CONN_HOLD;
    if (misbehave(c)) {
        if (c->answered && !c->closing)
            after_request(c);
        return;
    }
    finish(c);
    if (c->closing)
        return;
    release(c);
    after_request(c);
}

static bool body_bytes(struct conn *c, const char *p, size_t n)
{
    c->body_seen += n;
    if (c->on_body) {
        c->on_body(c, p, n);
        return !c->closing && c->state == CONN_BODY;
    }
    if (c->answered || c->body_len == BODY_KEPT)
        return true;
    size_t take = n < BODY_KEPT - c->body_len ? n : BODY_KEPT - c->body_len;
    char *more = realloc(c->body, c->body_len + take);
    if (!more) {
        conn_reset(c);
        return false;
    }
    memcpy(more + c->body_len, p, take);
    c->body = more;
    c->body_len += take;
    return true;
}

static size_t feed_length(struct conn *c, const char *p, size_t n)
{
    size_t take = n < c->body_left ? n : (size_t)c->body_left;
    c->body_left -= take;
    if (!body_bytes(c, p, take))
        return n;
    if (!c->body_left)
        body_ended(c);
    return take;
}

static int hex(char ch)
{
    return ch >= '0' && ch <= '9'                             ? ch - '0'
           : ascii_lower(ch) >= 'a' && ascii_lower(ch) <= 'f' ? ascii_lower(ch) - 'a' + 10
                                                              : -1;
}

/* One byte of a chunk's framing; false when it is malformed. v: body_left is the size, or the trailer line's length. */
static bool chunk_byte(struct conn *c, char ch)
{
    switch (c->chunk_state) {
    case CHUNK_SIZE:
        if (hex(ch) >= 0 && c->body_left < (1ull << 58)) {
            c->body_left = c->body_left * 16 + (unsigned)hex(ch);
            return true;
        }
        c->chunk_state = CHUNK_EXTENSION;
        return ch == '\r' || ch == ';' || ch == ' ';
    case CHUNK_EXTENSION:
        if (ch == '\n')
            c->chunk_state = c->body_left ? CHUNK_DATA : CHUNK_TRAILER;
        return true;
    case CHUNK_AFTER:
        if (ch == '\n')
            c->chunk_state = CHUNK_SIZE;
        return ch == '\r' || ch == '\n';
    case CHUNK_TRAILER:
        if (ch == '\n' && !c->body_left)
            body_ended(c);
        else if (ch == '\n')
            c->body_left = 0;
        else if (ch != '\r')
            c->body_left++;
        return true;
    default:
        return false;
    }
}

static size_t feed_chunked(struct conn *c, const char *p, size_t n)
{
    if (c->chunk_state != CHUNK_DATA) {
        if (!chunk_byte(c, *p))
            bad_request(c);
        return 1;
    }
    size_t take = n < c->body_left ? n : (size_t)c->body_left;
    c->body_left -= take;
    if (!c->body_left)
        c->chunk_state = CHUNK_AFTER;
    return body_bytes(c, p, take) ? take : n;
}

static void begin_request(struct conn *c)
{
    if (!parse_head(c)) {
        bad_request(c);
        return;
    }
    c->route = route_find(c);
    if (!c->is_control) {
        COUNT(requests, 1);
        COUNT(by_service[c->route->service], 1);
    }
    c->state = CONN_BODY;
    if (c->route->auth && !options.no_auth && !auth_check(c)) {
        if (!c->has_body && !c->closing)
            after_request(c);
        return;
    }
    /* A channel's request has no end that could be waited for. */
    if (c->route->service == SERVICE_RPC && behave_fails(c)) {
        if (!c->has_body && !c->closing)
            after_request(c);
        return;
    }
    if (c->route->begin)
        c->route->begin(c);
    if (c->closing || c->state == CONN_LINGER)
        return;
    if (c->has_body && c->expect && !c->answered)
        conn_write(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    if (!c->has_body)
        body_ended(c);
}

static size_t feed_head(struct conn *c, const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) {
        if (n > HEAD_MAX || (n && (p[0] < 'A' || p[0] > 'Z') && p[0] != '\r'))
            bad_request(c);
        return 0;
    }
    if (n >= 2 && p[0] == '\r' && p[1] == '\n')
        return 2;
    c->head = p;
    c->head_len = (size_t)(end - p) + 4;
    if (!c->is_control)
        record_head(c->head, c->head_len);
    size_t used = c->head_len;
    begin_request(c);
    return used;
}

size_t http_feed(struct conn *c, const char *p, size_t n)
{
    size_t used = 0;
    c->feeding = true;
    while (used < n && !c->closing && (c->state == CONN_HEAD || c->state == CONN_BODY)) {
        size_t k = c->state == CONN_HEAD ? feed_head(c, p + used, n - used)
                   : c->chunked          ? feed_chunked(c, p + used, n - used)
                                         : feed_length(c, p + used, n - used);
        if (!k)
            break;
        used += k;
    }
    c->feeding = false;
    if (c->state == CONN_BODY)
        keep_head(c);
    return used;
}
