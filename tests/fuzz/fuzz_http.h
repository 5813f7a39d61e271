/*
 * What the fuzz targets of the codec share: a run over octets cut in some way, folded into one number, so
 * that two cuts can be compared, and heads that are written and read again.
 */
#ifndef FUZZ_HTTP_H
#define FUZZ_HTTP_H

#include <stdlib.h>

#include <postern/h1.h>
#include <postern/target.h>

#define FUZZ_CHECK(truth)                                                                                    \
    do {                                                                                                     \
        if (!(truth))                                                                                        \
            abort();                                                                                         \
    } while (0)

struct fuzz_run {
    struct pool chunks;
    struct arena arena;
    struct message message;
    struct h1 codec;
    bool response;
    enum method method;
    uint64_t sum;
};

static const struct h1_limits fuzz_limits = {
    .head_bytes = 4096, .target_bytes = 512, .fields = 24, .chunk_line = 64};

static inline void fuzz_fold(struct fuzz_run *r, const void *p, size_t n)
{
    const uint8_t *octets = p;

    for (size_t i = 0; i < n; i++)
        r->sum = (r->sum ^ octets[i]) * 1099511628211u;
}

static inline void fuzz_fold_number(struct fuzz_run *r, uint64_t v)
{
    fuzz_fold(r, &v, sizeof(v));
}

static inline void fuzz_begin(struct fuzz_run *r)
{
    arena_release(&r->arena);
    message_init(&r->message, &r->arena, r->response);
    if (r->response)
        h1_begin_response(&r->codec, &r->message, &fuzz_limits, r->method);
    else
        h1_begin_request(&r->codec, &r->message, &fuzz_limits);
}

static inline bool fuzz_safe(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((uint8_t)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

/* Whatever is taken can be written without a line end of its own, and is read again as the same. */
static inline void fuzz_write_and_read(const struct fuzz_run *r)
{
    const struct message *m = &r->message;
    struct fuzz_run again = {.response = r->response, .method = r->method};
    struct str text = h1_write_head(m, m->arena), body;
    const char *p = text.p;

    FUZZ_CHECK(text.p != NULL);
    if (text.n > fuzz_limits.head_bytes ||
        (m->minor == 0 && !m->response)) /* written anew it may be longer */
        return;
    pool_init(&again.chunks, 4096, 2);
    arena_init(&again.arena, &again.chunks, 1u << 20);
    fuzz_begin(&again);
    if (m->minor == 0 && m->host.n == 0)
        goto out;
    FUZZ_CHECK(h1_next(&again.codec, &p, text.p + text.n, &body) == H1_HEAD);
    FUZZ_CHECK(p == text.p + text.n);
    FUZZ_CHECK(again.message.framing == m->framing && again.message.content_length == m->content_length);
    FUZZ_CHECK(again.message.fields_n == m->fields_n);
    for (unsigned i = 0; i < m->fields_n; i++) {
        FUZZ_CHECK(fuzz_safe(m->fields[i].value) && fuzz_safe(m->fields[i].name));
        FUZZ_CHECK(str_eq(again.message.fields[i].name, m->fields[i].name));
        FUZZ_CHECK(str_eq(again.message.fields[i].value, m->fields[i].value));
    }
out:
    arena_release(&again.arena);
    pool_destroy(&again.chunks);
}

static inline void fuzz_head(struct fuzz_run *r)
{
    struct message *m = &r->message;

    fuzz_fold_number(r, (uint64_t)m->framing << 32 | m->fields_n);
    fuzz_fold_number(r, m->content_length);
    fuzz_fold_number(r, (uint64_t)m->keep_alive << 8 | m->expect_continue);
    for (unsigned i = 0; i < m->fields_n; i++) {
        fuzz_fold(r, m->fields[i].name.p, m->fields[i].name.n);
        fuzz_fold(r, m->fields[i].value.p, m->fields[i].value.n);
    }
    fuzz_write_and_read(r);
    if (!m->response) {
        struct target t;
        if (target_parse(&t, m->target_text, m->method, m->arena) == REASON_OK)
            FUZZ_CHECK(t.canonical.n > 0 && (t.canonical.p[0] == '/' || t.canonical.p[0] == '*'));
    }
    message_strip_hop(m);
}

/* False: the run is over. */
static inline bool fuzz_take(struct fuzz_run *r, enum h1_event e, struct str body)
{
    if (e == H1_BODY)
        fuzz_fold(r, body.p, body.n);
    else
        fuzz_fold_number(r, 1000u + (unsigned)e);
    if (e == H1_HEAD)
        fuzz_head(r);
    if (e == H1_BAD)
        fuzz_fold_number(r, (uint64_t)r->codec.why << 1 | r->codec.bad_was_body);
    if (e == H1_END)
        fuzz_begin(r);
    return e != H1_BAD;
}

static inline bool fuzz_piece(struct fuzz_run *r, const uint8_t *data, size_t n)
{
    char *copy = malloc(n);
    const char *p = copy, *end = copy + n;
    bool more = true;

    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, n);
    while (more) {
        struct str body = STR_NULL;
        const char *before = p;
        enum h1_event e = h1_next(&r->codec, &p, end, &body);
        FUZZ_CHECK(p >= before && p <= end);
        FUZZ_CHECK(e != H1_BODY || (body.n > 0 && body.p >= before && body.p + body.n == p));
        if (e == H1_MORE) {
            FUZZ_CHECK(p == end);
            break;
        }
        more = fuzz_take(r, e, body);
        if (e == H1_END && p == end)
            break;
    }
    free(copy);
    return more;
}

/* `cut` 0: all at once; 1: octet by octet; else at random from that seed. */
static inline uint64_t fuzz_run(bool response, enum method method, const uint8_t *data, size_t n,
                                unsigned cut)
{
    struct fuzz_run r = {.response = response, .method = method, .sum = 14695981039346656037u};
    size_t at = 0;
    bool more = true;
    unsigned state = cut;

    pool_init(&r.chunks, 4096, 2);
    arena_init(&r.arena, &r.chunks, 1u << 20);
    fuzz_begin(&r);
    while (more && at < n) {
        size_t piece = n - at;
        state = state * 1103515245u + 12345u;
        if (cut > 0)
            piece = cut == 1 ? 1 : 1 + (state >> 16) % 31;
        if (piece > n - at)
            piece = n - at;
        more = fuzz_piece(&r, data + at, piece);
        at += piece;
    }
    if (more) {
        enum h1_event e = h1_eof(&r.codec);
        if (e != H1_MORE)
            fuzz_take(&r, e, STR_NULL);
        fuzz_fold_number(&r, r.codec.started);
    }
    arena_release(&r.arena);
    pool_destroy(&r.chunks);
    return r.sum;
}

static inline void fuzz_all_cuts(bool response, enum method method, const uint8_t *data, size_t n)
{
    uint64_t whole = fuzz_run(response, method, data, n, 0);

    FUZZ_CHECK(whole == fuzz_run(response, method, data, n, 1));
    FUZZ_CHECK(whole ==
               fuzz_run(response, method, data, n, (unsigned)(2 + n * 7 + (n > 0 ? data[n / 2] : 0))));
}

#endif
