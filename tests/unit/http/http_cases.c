/*
 * Transcripts of the codec, for octets cut in every way.
 */
#include <string.h>

#include "http_cases.h"

void rig_init(struct rig *r, bool response)
{
    memset(r, 0, sizeof(*r));
    pool_init(&r->chunks, 4096, 8);
    r->limits =
        (struct h1_limits){.head_bytes = 65536, .target_bytes = 8192, .fields = 100, .chunk_line = 4096};
    r->response = response;
    r->method = METHOD_GET;
    arena_init(&r->arena, &r->chunks, 4u << 20);
}

void rig_begin(struct rig *r)
{
    arena_release(&r->arena);
    message_init(&r->message, &r->arena, r->response);
    if (r->response)
        h1_begin_response(&r->codec, &r->message, &r->limits, r->method);
    else
        h1_begin_request(&r->codec, &r->message, &r->limits);
}

void rig_end(struct rig *r)
{
    arena_release(&r->arena);
    pool_destroy(&r->chunks);
}

__attribute__((format(printf, 2, 3))) static void say(struct transcript *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->text + t->n, sizeof(t->text) - t->n, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof(t->text) - t->n);
    t->n += (size_t)n;
}

static void say_head(struct transcript *t, const struct message *m)
{
    if (m->response)
        say(t, "HEAD 1.%u %d [%.*s]", m->minor, m->status, STR_ARG(m->reason));
    else
        say(t, "HEAD 1.%u %.*s=%d [%.*s] host=[%.*s]:%u", m->minor, STR_ARG(m->method_text), m->method,
            STR_ARG(m->target_text), STR_ARG(m->host), m->host_port);
    say(t, " framing=%d/%llu keep=%d expect=%d upgrade=[%.*s]\n", m->framing,
        (unsigned long long)m->content_length, m->keep_alive, m->expect_continue, STR_ARG(m->upgrade));
    for (unsigned i = 0; i < m->fields_n; i++)
        say(t, "  [%.*s]=[%.*s] id=%u\n", STR_ARG(m->fields[i].name), STR_ARG(m->fields[i].value),
            m->fields[i].id);
}

static void say_body(struct transcript *t, struct str body)
{
    for (size_t i = 0; i < body.n; i++)
        say(t, t->body++ == 0 ? "BODY %02x" : "%02x", (uint8_t)body.p[i]);
}

static void say_bad(struct rig *r, struct transcript *t)
{
    say(t, "%sBAD %s after=%d started=%d\n", t->body > 0 ? "\n" : "", reason_name(r->codec.why),
        r->codec.bad_was_body, r->codec.started);
    t->bad = true;
    t->bad_was_body = r->codec.bad_was_body;
    t->why = r->codec.why;
}

/* True when the message has ended and another one was begun. */
static bool take(struct rig *r, struct transcript *t, enum h1_event e, struct str body)
{
    switch (e) {
    case H1_HEAD:
        say_head(t, &r->message);
        t->last_framing = r->message.framing;
        t->last_keep_alive = r->message.keep_alive;
        break;
    case H1_BODY:
        say_body(t, body);
        break;
    case H1_BAD:
        say_bad(r, t);
        break;
    case H1_END:
        say(t, "%sEND\n", t->body > 0 ? "\n" : "");
        t->messages++;
        t->body = 0;
        rig_begin(r);
        return true;
    case H1_MORE:
        break;
    }
    return false;
}

void rig_run(struct rig *r, struct transcript *t, const char *p, size_t n,
             size_t (*cut)(size_t at, void *ctx), void *ctx, bool eof)
{
    size_t at = 0;

    t->text[0] = '\0';
    t->n = t->body = t->used = 0;
    t->messages = 0;
    t->bad = t->bad_was_body = t->ended = false;
    t->why = REASON_OK;
    rig_begin(r);
    while (at < n && !t->bad) {
        size_t piece = cut == NULL ? n - at : cut(at, ctx);
        enum h1_event e;
        char *copy;
        const char *q;
        if (piece == 0 || piece > n - at)
            piece = n - at;
        copy = malloc(piece); /* its own block: reading beyond it, or keeping it, is seen by the sanitizer */
        assert_non_null(copy);
        memcpy(copy, p + at, piece);
        q = copy;
        do {
            struct str body = STR_NULL;
            const char *before = q;
            e = h1_next(&r->codec, &q, copy + piece, &body);
            assert_true(q >= before && q <= copy + piece);
            if (e == H1_BODY) {
                assert_true(body.n > 0 && body.p >= before && body.p + body.n == q);
            }
            if (take(r, t, e, body)) {
                t->used = at + (size_t)(q - copy);
                if (q == copy + piece)
                    break;
            }
        } while (e != H1_MORE && e != H1_BAD);
        if (e == H1_MORE)
            assert_ptr_equal(q, copy + piece);
        free(copy);
        at += piece;
    }
    if (eof && !t->bad) {
        enum h1_event e = h1_eof(&r->codec);
        t->ended = e == H1_END;
        if (e == H1_MORE)
            say(t, "EOF\n");
        else
            take(r, t, e, STR_NULL);
    }
    say(t, "started=%d\n", r->codec.started);
}

static size_t cut_one(size_t at, void *ctx)
{
    return 1;
}

static size_t cut_random(size_t at, void *ctx)
{
    unsigned *state = ctx;

    *state = *state * 1103515245u + 12345u;
    return 1 + (*state >> 16) % 23;
}

void rig_run_all(struct rig *r, struct transcript *ret, const char *p, size_t n, bool eof)
{
    struct transcript *other = malloc(sizeof(*other));

    assert_non_null(other);
    rig_run(r, ret, p, n, NULL, NULL, eof);
    rig_run(r, other, p, n, cut_one, NULL, eof);
    assert_string_equal(ret->text, other->text);
    assert_int_equal(ret->used, other->used);
    for (unsigned seed = 1; seed <= 6; seed++) {
        unsigned state = seed * 2654435761u;
        rig_run(r, other, p, n, cut_random, &state, eof);
        assert_string_equal(ret->text, other->text);
        assert_int_equal(ret->used, other->used);
    }
    free(other);
}

#define CASES_MAX 1000

static struct CMUnitTest cases[CASES_MAX];
static size_t cases_n;

void case_add(const char *name, const void *row, CMUnitTestFunction test)
{
    if (cases_n == CASES_MAX)
        abort();
    cases[cases_n++] = (struct CMUnitTest){.name = name, .test_func = test, .initial_state = (void *)row};
}

void cases_add(const void *rows, size_t n, size_t size, CMUnitTestFunction test)
{
    for (size_t i = 0; i < n; i++) {
        const char *row = (const char *)rows + i * size;
        case_add(*(const char *const *)row, row, test);
    }
}

int cases_run(const char *group)
{
    return _cmocka_run_group_tests(group, cases, cases_n, NULL, NULL);
}
