/*
 * Connections to backend servers: who owns them. See backend.h.
 */
#include <assert.h>
#include <stdlib.h>

#include "backend_int.h"

/* ---- the pool ---- */

static void pool_free(struct backend_pool *p)
{
    if (p == NULL)
        return;
    for (unsigned i = 0; p->servers != NULL && i < p->servers_n; i++) {
        if (p->servers[i].slot != NULL)
            tls_session_slot_free(p->servers[i].slot);
    }
    if (p->tls != NULL)
        tls_client_free(p->tls);
    free(p->servers);
    descriptors_part(p);
    pool_destroy(&p->conns);
    free(p);
}

static void pool_look_empty(struct backend_pool *p)
{
    void (*on_empty)(void *ctx) = p->on_empty;
    void *ctx = p->ctx;

    if (!p->closing || p->live > 0)
        return;
    pool_free(p);
    on_empty(ctx);
}

static uint64_t token_hash(uint64_t h, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return h;
}

/* Of names that a reload or another node has as well, so that a cookie means the same server everywhere. */
static uint64_t server_token(const struct conf_backend *b, const struct conf_server *s)
{
    uint64_t h = token_hash(0xcbf29ce484222325u, b->name);

    h = token_hash(h, STR("\n"));
    h = token_hash(h, s->url);
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    return h ^ (h >> 33);
}

static bool server_init(struct backend_pool *p, unsigned i)
{
    struct backend_server *s = &p->servers[i];

    s->pool = p;
    s->state = &p->state->servers[i];
    s->token = server_token(p->conf, s->state->server);
    if (!s->state->server->https)
        return true;
    char *name = str_dup(s->state->server->host);
    if (name != NULL)
        s->slot = tls_session_slot_new(name);
    free(name);
    return s->slot != NULL;
}

static bool pool_needs_tls(const struct conf_backend *b)
{
    for (size_t i = 0; i < b->servers_n; i++) {
        if (b->servers[i].https)
            return true;
    }
    return false;
}

struct backend_pool *backend_pool_new(struct worker *w, struct backend_state *state,
                                      const struct conf_limits *limits, struct conf_findings *f)
{
    struct backend_pool *p = calloc(1, sizeof(*p));
    bool good;

    if (p == NULL)
        goto memory;
    p->worker = w;
    p->state = state;
    p->conf = state->conf;
    p->limits = limits;
    pool_init(&p->conns, sizeof(struct backend_conn), BACKEND_KEEP);
    p->servers_n = (unsigned)p->conf->servers_n;
    p->servers = calloc(p->servers_n + 1u, sizeof(*p->servers));
    good = p->servers != NULL;
    for (unsigned i = 0; good && i < p->servers_n; i++)
        good = server_init(p, i);
    if (!good)
        goto memory;
    if (pool_needs_tls(p->conf) && (p->tls = tls_client_new(w, p->conf, f)) == NULL) {
        pool_free(p);
        return NULL;
    }
    return p;
memory:
    conf_finding_add(f, CONF_ERROR, state->conf->mark, "out of memory");
    pool_free(p);
    return NULL;
}

void backend_pool_close(struct backend_pool *p, void (*on_empty)(void *ctx), void *ctx)
{
    assert(!p->closing);
    p->closing = true;
    p->on_empty = on_empty;
    p->ctx = ctx;
    for (unsigned i = 0; i < p->servers_n; i++)
        backend_idle_clear(&p->servers[i]);
    pool_look_empty(p);
}

/* ---- one connection ---- */

struct backend_conn *backend_conn_new(struct backend_server *s, const struct backend_user *user, void *ctx,
                                      enum reason *ret_why)
{
    struct descriptors *d = s->pool->descriptors;
    struct backend_conn *c;

    if (!descriptors_take(d)) {
        *ret_why = REASON_TABLE_FULL;
        return NULL;
    }
    c = pool_take(&s->pool->conns);
    if (c == NULL) {
        descriptors_give(d);
        *ret_why = REASON_NO_MEMORY;
        return NULL;
    }
    memset(c, 0, sizeof(*c));
    c->pool = s->pool;
    c->server = s;
    c->owner = BACKEND_POOL;
    c->user = user;
    c->ctx = ctx;
    s->open_n++;
    s->pool->live++;
    return c;
}

void backend_conn_free(struct backend_conn *c)
{
    struct backend_pool *p = c->pool;

    assert(c->owner == BACKEND_NOBODY && c->link == NULL && !wheel_armed(&c->deadline));
    pool_give(&p->conns, c);
    p->live--;
    pool_look_empty(p);
}

void backend_detach(struct backend_conn *c)
{
    struct backend_server *s = c->server;
    struct metrics *m = c->pool->worker->metrics;

    if (c->link != NULL)
        backend_idle_remove(c);
    worker_cancel(c->pool->worker, &c->deadline);
    backend_request_end(c, true);
    if (c->connecting)
        s->connecting_n--;
    if (c->ready) {
        __atomic_fetch_sub(&s->state->open, 1, __ATOMIC_RELAXED);
        metrics_sub(m, METRIC_BACKEND_OPEN, 1);
    }
    if (c->bound)
        metrics_sub(m, METRIC_BACKEND_PINNED, 1);
    s->open_n--;
    c->connecting = c->ready = false;
    c->owner = BACKEND_NOBODY;
    c->user = NULL;
    c->ctx = NULL;
    descriptors_give(c->pool->descriptors);
}

static enum backend_result conn_lend(struct backend_conn *c, const struct backend_user *user, void *ctx,
                                     struct backend_conn **ret)
{
    assert(!c->bound && c->reused);
    c->owner = BACKEND_TXN;
    c->user = user;
    c->ctx = ctx;
    metrics_add(c->pool->worker->metrics, METRIC_BACKEND_REUSED, 1);
    *ret = c;
    return BACKEND_LENT;
}

/* The oldest idle one would be fairer, the first is at hand; either is only worth a handshake. */
static void server_make_room(struct backend_server *s)
{
    unsigned max = s->pool->conf->max_connections;

    if (max > 0 && s->open_n >= max && s->idle != NULL)
        backend_idle_drop(s);
}

enum backend_result backend_take(struct backend_pool *p, const struct backend_want *want,
                                 const struct backend_user *user, void *ctx, struct backend_conn **ret,
                                 enum reason *ret_why)
{
    struct backend_server *s = backend_choose(p, want, ret_why);
    struct backend_conn *c;

    if (s == NULL)
        return BACKEND_NONE;
    c = want->fresh ? NULL : backend_idle_take(s);
    if (c != NULL)
        return conn_lend(c, user, ctx, ret);
    server_make_room(s);
    c = backend_conn_new(s, user, ctx, ret_why);
    if (c == NULL)
        return BACKEND_NONE;
    if (backend_connect(c) < 0) {
        *ret_why = (enum reason)c->why;
        backend_detach(c);
        backend_conn_free(c);
        return BACKEND_NONE;
    }
    *ret = c;
    return BACKEND_WAIT;
}

void backend_cancel(struct backend_conn *waiting)
{
    assert(waiting->owner == BACKEND_POOL && waiting->connecting);
    backend_discard(waiting, false);
}

void backend_discard(struct backend_conn *c, bool abort)
{
    if (c->owner == BACKEND_NOBODY)
        return;
    backend_detach(c);
    if (abort)
        stream_reset(&c->stream);
    else
        stream_close(&c->stream);
}

void backend_give(struct backend_conn *c)
{
    assert(c->owner != BACKEND_POOL && c->owner != BACKEND_NOBODY);
    if (c->bound) {
        log_event(LOG_EV_INTERNAL, LF_STR("detail", STR("a bound backend connection was given to the pool")),
                  LF_STR("server", c->server->state->server->url));
        backend_discard(c, true);
        return;
    }
    backend_request_end(c, false);
    if (!backend_idle_put(c))
        backend_discard(c, false);
}

void backend_bind(struct backend_conn *c)
{
    assert(c->owner == BACKEND_TXN && c->link == NULL);
    if (c->bound)
        return;
    c->bound = true;
    metrics_add(c->pool->worker->metrics, METRIC_BACKEND_PINNED, 1);
}

void backend_park(struct backend_conn *c, const struct backend_user *user, void *ctx)
{
    assert(c->bound && c->owner == BACKEND_TXN);
    c->owner = BACKEND_SESSION;
    c->user = user;
    c->ctx = ctx;
    stream_resume(&c->stream);
}

void backend_unpark(struct backend_conn *c, const struct backend_user *user, void *ctx)
{
    assert(c->bound && c->owner == BACKEND_SESSION);
    c->owner = BACKEND_TXN;
    c->user = user;
    c->ctx = ctx;
    c->reused = true;
}

/* ---- what the stream tells ---- */

static struct backend_conn *conn_of(struct stream *s)
{
    return (struct backend_conn *)(void *)s;
}

static void conn_on_open(struct stream *s)
{
    struct backend_conn *c = conn_of(s);

    if (c->connecting)
        backend_connect_opened(c);
}

static void conn_on_data(struct stream *s, char *data, size_t n)
{
    struct backend_conn *c = conn_of(s);

    if (c->user == NULL || c->connecting)
        backend_discard(c, false); /* bytes that nobody asked for */
    else
        c->user->on_data(c->ctx, data, n);
}

static void conn_on_eof(struct stream *s, bool clean)
{
    struct backend_conn *c = conn_of(s);

    if (c->connecting)
        backend_connect_failed(c, REASON_BACKEND_REFUSED);
    else if (c->user == NULL)
        backend_discard(c, false);
    else
        c->user->on_eof(c->ctx, clean);
}

static void conn_on_drained(struct stream *s)
{
    struct backend_conn *c = conn_of(s);

    if (c->user != NULL && c->ready)
        c->user->on_drained(c->ctx);
}

static void conn_on_fail(struct stream *s, enum reason why)
{
    struct backend_conn *c = conn_of(s);

    if (c->connecting)
        backend_connect_failed(c, why);
    else if (c->user == NULL)
        backend_discard(c, false);
    else
        c->user->on_fail(c->ctx, why == REASON_CLIENT_RESET ? REASON_BACKEND_RESET : why);
}

static void conn_on_closed(struct stream *s)
{
    struct backend_conn *c = conn_of(s);

    if (c->owner == BACKEND_POOL && c->connecting)
        backend_connect_closed(c);
    else
        backend_conn_free(c);
}

const struct stream_handler backend_stream_handler = {
    .on_open = conn_on_open,
    .on_data = conn_on_data,
    .on_eof = conn_on_eof,
    .on_drained = conn_on_drained,
    .on_fail = conn_on_fail,
    .on_closed = conn_on_closed,
};

/* ---- looking ---- */

int backend_conn_server(const struct backend_conn *c)
{
    return (int)(c->server - c->pool->servers);
}

const struct conf_server *backend_conn_conf(const struct backend_conn *c)
{
    return c->server->state->server;
}

unsigned backend_pool_servers(const struct backend_pool *p)
{
    return p->servers_n;
}

const struct conf_backend *backend_pool_conf(const struct backend_pool *p)
{
    return p->conf;
}

uint64_t backend_pool_server_token(const struct backend_pool *p, unsigned server)
{
    return p->servers[server].token;
}

void backend_request_begin(struct backend_conn *c)
{
    struct server_state *st = c->server->state;

    if (c->busy)
        return;
    c->busy = true;
    __atomic_fetch_add(&st->active, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&st->requests, 1, __ATOMIC_RELAXED);
}

void backend_request_end(struct backend_conn *c, bool failed)
{
    struct server_state *st = c->server->state;

    if (!c->busy)
        return;
    c->busy = false;
    __atomic_fetch_sub(&st->active, 1, __ATOMIC_RELAXED);
    if (failed)
        __atomic_fetch_add(&st->failures, 1, __ATOMIC_RELAXED);
}
