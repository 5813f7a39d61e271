#include <stdio.h>

#include "pool_rig.h"

/* ---- the pool ---- */

static void do_start(struct worker *w, void *arg)
{
    struct rig *r = arg;
    struct conf_findings *f = conf_findings_new();

    r->pool = backend_pool_new(w, &r->conf.states->v[0], &r->conf.snapshot.limits, f);
    if (r->pool == NULL)
        conf_findings_print(f, stderr);
    conf_findings_free(f);
}

void rig_start(struct rig *r)
{
    r->w = fixture_worker();
    r->empty = 0;
    fixture_states(&r->conf);
    fixture_on(r->w, do_start, r);
    assert_non_null(r->pool);
}

static void pool_empty(void *ctx)
{
    struct rig *r = ctx;

    __atomic_store_n(&r->empty, 1, __ATOMIC_RELEASE);
}

static void do_close(struct worker *w, void *arg)
{
    struct rig *r = arg;

    backend_pool_close(r->pool, pool_empty, r);
}

void rig_close_pool(struct rig *r)
{
    fixture_on(r->w, do_close, r);
    r->pool = NULL;
}

void rig_end(struct rig *r)
{
    if (r->pool != NULL)
        rig_close_pool(r);
    assert_true(fixture_until(&r->empty, 1));
    assert_int_equal(fixture_metric(r->w, METRIC_BACKEND_OPEN), 0);
    assert_int_equal(fixture_metric(r->w, METRIC_BACKEND_IDLE), 0);
    assert_int_equal(fixture_metric(r->w, METRIC_BACKEND_PINNED), 0);
    for (size_t i = 0; i < r->conf.backend.servers_n; i++) {
        struct server_state *s = &r->conf.states->v[0].servers[i];

        assert_int_equal(__atomic_load_n(&s->open, __ATOMIC_RELAXED), 0);
        assert_int_equal(__atomic_load_n(&s->idle, __ATOMIC_RELAXED), 0);
        assert_int_equal(__atomic_load_n(&s->active, __ATOMIC_RELAXED), 0);
    }
    fixture_worker_end(r->w);
    fixture_conf_end(&r->conf);
}

/* ---- what is heard; on the worker ---- */

static void add(uint32_t *what)
{
    __atomic_fetch_add(what, 1, __ATOMIC_RELEASE);
}

static void on_ready(void *ctx, struct backend_conn *c)
{
    struct borrower *b = ctx;

    b->conn = c;
    b->reused = c->reused;
    add(&b->ready);
}

static void on_failed(void *ctx, enum reason why)
{
    struct borrower *b = ctx;

    b->conn = NULL;
    b->why = why;
    add(&b->failed);
}

static void on_data(void *ctx, char *data, size_t n)
{
    struct borrower *b = ctx;

    for (size_t i = 0; i < n; i++) {
        if (data[i] == '\n') {
            b->line[b->line_n] = '\0';
            b->line_n = 0;
            add(&b->lines);
        } else if (b->line_n + 1 < sizeof(b->line)) {
            b->line[b->line_n++] = data[i];
        }
    }
}

static void on_eof(void *ctx, bool clean)
{
    struct borrower *b = ctx;

    add(&b->ends);
}

static void on_drained(void *ctx)
{
}

static void on_fail(void *ctx, enum reason why)
{
    struct borrower *b = ctx;

    b->why = why;
    add(&b->broken);
}

static const struct backend_user borrower_user = {
    .on_ready = on_ready,
    .on_failed = on_failed,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drained = on_drained,
    .on_fail = on_fail,
};

/* ---- what is done ---- */

void borrower_init(struct borrower *b, struct rig *r)
{
    memset(b, 0, sizeof(*b));
    b->rig = r;
    b->want = (struct backend_want){.path_index = -1, .server = -1, .new_client = true};
}

void borrower_take_here(struct borrower *b)
{
    b->result = backend_take(b->rig->pool, &b->want, &borrower_user, b, &b->conn, &b->why);
    if (b->result == BACKEND_LENT)
        b->reused = b->conn->reused;
}

static void do_take(struct worker *w, void *arg)
{
    borrower_take_here(arg);
}

void borrower_ask(struct borrower *b)
{
    b->ready = b->failed = b->lines = b->ends = b->broken = 0;
    b->line_n = 0;
    b->conn = NULL;
    fixture_on(b->rig->w, do_take, b);
}

bool borrower_outcome(struct borrower *b)
{
    if (b->result != BACKEND_WAIT)
        return b->result == BACKEND_LENT;
    for (unsigned i = 0; i < WAIT_MS / 2; i++) {
        if (__atomic_load_n(&b->ready, __ATOMIC_ACQUIRE) > 0)
            return true;
        if (__atomic_load_n(&b->failed, __ATOMIC_ACQUIRE) > 0)
            return false;
        fixture_sleep(2);
    }
    fail_msg("neither on_ready nor on_failed");
    return false;
}

bool borrower_take(struct borrower *b)
{
    borrower_ask(b);
    return borrower_outcome(b);
}

struct line {
    struct borrower *b;
    const char *text;
};

static void do_say(struct worker *w, void *arg)
{
    struct line *l = arg;
    struct iovec v[2] = {{(void *)(uintptr_t)l->text, strlen(l->text)}, {(char[]){'\n'}, 1}};

    (void)stream_write(&l->b->conn->stream, v, 2);
}

const char *borrower_say(struct borrower *b, const char *line)
{
    uint32_t before = __atomic_load_n(&b->lines, __ATOMIC_ACQUIRE);
    struct line l = {b, line};

    fixture_on(b->rig->w, do_say, &l);
    for (unsigned i = 0; i < WAIT_MS / 2; i++) {
        if (__atomic_load_n(&b->lines, __ATOMIC_ACQUIRE) > before)
            return b->line;
        if (__atomic_load_n(&b->ends, __ATOMIC_ACQUIRE) + __atomic_load_n(&b->broken, __ATOMIC_ACQUIRE) > 0)
            return NULL;
        fixture_sleep(2);
    }
    return NULL;
}

#define ON_WORKER(name, call)                                                                                \
    static void do_##name(struct worker *w, void *arg)                                                       \
    {                                                                                                        \
        struct borrower *b = arg;                                                                            \
        call;                                                                                                \
    }                                                                                                        \
    void borrower_##name(struct borrower *b)                                                                 \
    {                                                                                                        \
        fixture_on(b->rig->w, do_##name, b);                                                                 \
    }

ON_WORKER(give, backend_give(b->conn))
ON_WORKER(discard, backend_discard(b->conn, false))
ON_WORKER(bind, backend_bind(b->conn))
ON_WORKER(park, backend_park(b->conn, &borrower_user, b))
ON_WORKER(unpark, backend_unpark(b->conn, &borrower_user, b))
ON_WORKER(cancel, backend_cancel(b->conn))

int borrower_server(struct borrower *b)
{
    return backend_conn_server(b->conn);
}

static void do_begin(struct worker *w, void *arg)
{
    struct borrower *b = arg;

    backend_request_begin(b->conn);
}

bool borrower_begin(struct borrower *b)
{
    if (!borrower_take(b))
        return false;
    fixture_on(b->rig->w, do_begin, b);
    return true;
}

static void do_end_good(struct worker *w, void *arg)
{
    struct borrower *b = arg;

    backend_request_end(b->conn, false);
}

static void do_end_bad(struct worker *w, void *arg)
{
    struct borrower *b = arg;

    backend_request_end(b->conn, true);
}

void borrower_end(struct borrower *b, bool failed)
{
    fixture_on(b->rig->w, failed ? do_end_bad : do_end_good, b);
}
