#include "call_answer.h"

#include <openssl/ssl.h>
#include <postern/str.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "load.h"

#define ANSWER_HEAD_MAX 65536

void answer_expect(struct call *c)
{
    c->state = CALL_HEAD;
    c->status = 0;
    c->seen = 0;
    c->body_left = 0;
    c->foreign = c->field_seen = false;
}

/* --- the body --- */

static size_t text_size(const struct call *c)
{
    return c->ask.text_n ? c->ask.text_n : strlen(c->ask.text);
}

static enum fault check_bytes(struct call *c, const char *p, size_t n)
{
    uint64_t at = c->seen;
    c->seen += n;
    if (c->ask.length >= 0 && c->seen > (uint64_t)c->ask.length)
        return FAULT_length;
    if (c->ask.on_body)
        return c->ask.on_body(c, p, n);
    if (c->ask.check == CHECK_PATTERN)
        return pattern_matches(at, p, n) ? FAULT_NONE : FAULT_content;
    if (c->ask.check == CHECK_TEXT) {
        size_t len = text_size(c);
        size_t k = at < len ? (len - at < n ? len - (size_t)at : n) : 0;
        return memcmp(c->ask.text + (at < len ? at : 0), p, k) == 0 ? FAULT_NONE : FAULT_content;
    }
    return FAULT_NONE;
}

static enum fault complete(struct call *c, bool *ret_done)
{
    if (c->ask.length >= 0 && c->seen != (uint64_t)c->ask.length)
        return FAULT_length;
    if (c->ask.check == CHECK_TEXT && c->seen < text_size(c))
        return FAULT_length;
    /* Where it was asked to close, the end of the connection belongs to the answer. */
    c->state = c->ask.last ? CALL_EOF : CALL_IDLE;
    *ret_done = !c->ask.last;
    return FAULT_NONE;
}

/* --- the head --- */

static bool same_tag(const struct call *c, struct str value)
{
    char tag[24];
    int n = snprintf(tag, sizeof tag, "%016llx", (unsigned long long)c->tag);
    return str_eq(value, (struct str){tag, (size_t)n});
}

static bool field(struct call *c, struct str name, struct str value, int64_t *length)
{
    uint64_t n;
    c->field_seen |= c->ask.field && str_eq_nocase(name, str_of(c->ask.field));
    if (str_eq_nocase(name, STR("content-length"))) {
        if (*length >= 0 || !str_to_u64(value, &n))
            return false;
        *length = (int64_t)n;
    } else if (str_eq_nocase(name, STR("transfer-encoding"))) {
        c->chunked = true;
        return str_eq_nocase(value, STR("chunked"));
    } else if (str_eq_nocase(name, STR("connection"))) {
        if (str_eq_nocase(value, STR("close")))
            c->keep = false;
    } else if (str_eq_nocase(name, STR(TAG_FIELD)))
        c->foreign |= !same_tag(c, value);
    return true;
}

static bool parse_head(struct call *c, struct str head, int64_t *ret_length)
{
    struct str line, status;
    uint64_t number;
    if (!str_next(&head, '\n', &line) || line.n < 13 || memcmp(line.p, "HTTP/1.", 7) != 0)
        return false;
    status = (struct str){line.p + 9, 3};
    if (line.p[8] != ' ' || !str_to_u64(status, &number))
        return false;
    c->status = (int)number;
    c->keep = line.p[7] == '1';
    c->chunked = false;
    *ret_length = -1;
    while (str_next(&head, '\n', &line)) {
        const char *colon = memchr(line.p, ':', line.n);
        if (line.n < 2)
            break;
        if (!colon || line.p[line.n - 1] != '\r')
            return false;
        struct str name = {line.p, (size_t)(colon - line.p)};
        struct str value = str_trim((struct str){colon + 1, line.n - name.n - 2});
        if (!field(c, name, value, ret_length))
            return false;
    }
    return true;
}

static bool bodiless(const struct call *c)
{
    return c->status == 204 || c->status == 304 || strcmp(c->ask.method, "HEAD") == 0;
}

static bool is_allowed(const struct call *c)
{
    for (unsigned i = 0; c->ask.statuses && i < c->ask.statuses->n; i++)
        if (c->ask.statuses->of[i] == (unsigned)c->status)
            return true;
    return false;
}

static enum fault after_head(struct call *c, int64_t length, bool *ret_done)
{
    if (c->status >= 100 && c->status < 200)
        return FAULT_NONE;
    if (c->foreign)
        return FAULT_order;
    if (c->status != c->ask.status) {
        if (!is_allowed(c))
            return FAULT_status;
        c->ask.length = -1;
        c->ask.check = CHECK_NONE;
    } else if (c->ask.field && !c->field_seen)
        return FAULT_content;
    c->announced = length;
    if (c->ask.endless) {
        c->state = CALL_ENDLESS;
        *ret_done = true;
        return FAULT_NONE;
    }
    if (bodiless(c) || (!c->chunked && length == 0))
        return complete(c, ret_done);
    if (c->ask.length >= 0 && length >= 0 && length != c->ask.length)
        return FAULT_length;
    c->body_left = c->chunked || length < 0 ? 0 : (uint64_t)length;
    c->state = c->chunked ? CALL_CHUNK_HEAD : length < 0 ? CALL_UNTIL_EOF : CALL_LENGTH;
    return FAULT_NONE;
}

/* Bytes of `p` that belong to the head, or 0 when it is not complete and was kept, or -1. */
static ptrdiff_t take_head(struct call *c, const char *p, size_t n, struct str *ret_head)
{
    if (!c->head_n) {
        const char *end = memmem(p, n, "\r\n\r\n", 4);
        if (end) {
            *ret_head = (struct str){p, (size_t)(end - p) + 2};
            return end - p + 4;
        }
    }
    size_t before = c->head_n;
    char *joined = before + n > ANSWER_HEAD_MAX ? NULL : realloc(c->head, before + n);
    if (!joined)
        return -1;
    c->head = joined;
    memcpy(joined + before, p, n);
    c->head_n += n;
    size_t from = before > 3 ? before - 3 : 0;
    const char *end = memmem(joined + from, c->head_n - from, "\r\n\r\n", 4);
    if (!end)
        return 0;
    *ret_head = (struct str){joined, (size_t)(end - joined) + 2};
    return (ptrdiff_t)(ret_head->n + 2 - before);
}

static enum fault feed_head(struct call *c, const char *p, size_t n, size_t *ret_used, bool *ret_done)
{
    struct str head;
    int64_t length;
    ptrdiff_t used = take_head(c, p, n, &head);
    *ret_used = used > 0 ? (size_t)used : n;
    if (used < 0)
        return FAULT_head;
    if (used == 0)
        return FAULT_NONE;
    bool good = parse_head(c, head, &length);
    free(c->head);
    c->head = NULL;
    c->head_n = 0;
    return good ? after_head(c, length, ret_done) : FAULT_head;
}

/* --- chunks --- */

static int hex(char ch)
{
    ch = ascii_lower(ch);
    return ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* One byte outside a chunk's data. In CALL_TRAILER body_left counts the line's bytes. */
static enum fault chunk_byte(struct call *c, char ch, bool *ret_done)
{
    if (c->state == CALL_CHUNK_END) {
        if (ch == '\n')
            c->state = CALL_CHUNK_HEAD;
        return ch == '\r' || ch == '\n' ? FAULT_NONE : FAULT_head;
    }
    if (c->state == CALL_TRAILER) {
        if (ch == '\n' && !c->body_left)
            return complete(c, ret_done);
        c->body_left = ch == '\n' ? 0 : c->body_left + (ch != '\r');
        return FAULT_NONE;
    }
    if (hex(ch) >= 0 && c->body_left < UINT64_C(1) << 56)
        c->body_left = c->body_left * 16 + (unsigned)hex(ch);
    else if (ch == '\n')
        c->state = c->body_left ? CALL_CHUNK : CALL_TRAILER;
    else if (ch != '\r')
        return FAULT_head;
    return FAULT_NONE;
}

static enum fault feed_chunked(struct call *c, const char *p, size_t n, size_t *ret_used, bool *ret_done)
{
    if (c->state != CALL_CHUNK) {
        *ret_used = 1;
        return chunk_byte(c, *p, ret_done);
    }
    size_t k = c->body_left < n ? (size_t)c->body_left : n;
    *ret_used = k;
    c->body_left -= k;
    if (!c->body_left)
        c->state = CALL_CHUNK_END;
    return check_bytes(c, p, k);
}

static enum fault feed_length(struct call *c, const char *p, size_t n, size_t *ret_used, bool *ret_done)
{
    size_t k = c->body_left < n ? (size_t)c->body_left : n;
    *ret_used = k;
    c->body_left -= k;
    enum fault f = check_bytes(c, p, k);
    return f || c->body_left ? f : complete(c, ret_done);
}

enum fault answer_feed(struct call *c, const char *p, size_t n, bool *ret_done)
{
    enum fault f = FAULT_NONE;
    *ret_done = false;
    while (n && !f && !*ret_done) {
        size_t used = n;
        switch (c->state) {
        case CALL_HEAD:
            f = feed_head(c, p, n, &used, ret_done);
            break;
        case CALL_LENGTH:
            f = feed_length(c, p, n, &used, ret_done);
            break;
        case CALL_UNTIL_EOF:
            f = check_bytes(c, p, n);
            break;
        case CALL_ENDLESS:
            f = c->ask.on_body ? c->ask.on_body(c, p, n) : FAULT_length;
            break;
        case CALL_IDLE:
        case CALL_EOF:
            return FAULT_length;
        default:
            f = feed_chunked(c, p, n, &used, ret_done);
        }
        p += used;
        n -= used;
    }
    /* An endless answer may have begun behind its head. */
    if (!f && n && c->state == CALL_ENDLESS && c->ask.on_body)
        return c->ask.on_body(c, p, n);
    return f || !n ? f : FAULT_length;
}

enum fault answer_eof(struct call *c, bool clean, bool *ret_done)
{
    *ret_done = false;
    if (c->state == CALL_UNTIL_EOF) {
        enum fault f = clean ? complete(c, ret_done) : FAULT_unclean;
        *ret_done = !f;
        return f;
    }
    if (c->state == CALL_EOF) {
        *ret_done = clean;
        return clean ? FAULT_NONE : FAULT_unclean;
    }
    return FAULT_closed;
}
