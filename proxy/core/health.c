/*
 * The house worker's part in the backends: names to addresses, and the active checks.
 */
#include <stdlib.h>

#include "health_int.h"

/* The first round of all checks is spread over this time, or over one interval. */
#define FIRST_ROUND_MS 5000

/* ---- names ---- */

static void health_ready(struct health *h)
{
    void (*ready)(void *ctx) = h->ready;

    h->ready = NULL;
    worker_cancel(h->worker, &h->patience);
    if (ready != NULL)
        ready(h->ready_ctx);
}

static bool health_named(const struct health *h)
{
    for (size_t i = 0; i < h->servers_n; i++) {
        if (!h->servers[i].asked && __atomic_load_n(&h->servers[i].state->version, __ATOMIC_RELAXED) == 0)
            return false;
    }
    return true;
}

static void server_asked(struct health_server *s)
{
    if (s->asked)
        return;
    s->asked = true;
    if (s->health->ready != NULL && health_named(s->health))
        health_ready(s->health);
}

static void on_patience(struct wheel_node *n)
{
    health_ready((struct health *)((char *)n - offsetof(struct health, patience)));
}

void health_when_named(struct health *h, uint64_t wait_ms, void (*ready)(void *ctx), void *ctx)
{
    h->ready = ready;
    h->ready_ctx = ctx;
    if (health_named(h))
        health_ready(h);
    else
        worker_arm(h->worker, &h->patience, wait_ms, on_patience);
}

static void server_resolved(void *ctx, const struct resolve_result *r)
{
    struct health_server *s = ctx;
    bool changed = r->n > 0 && server_state_set_addresses(s->state, r);

    s->unresolved = false;
    server_asked(s);
    if (!changed)
        return;
    log_event(LOG_EV_BACKEND_RESOLVED, LF_STR("backend", s->backend->conf->name),
              LF_STR("server", s->state->server->url), LF_U64("addresses", r->n),
              LF_ADDRESS("first", &r->v[0]));
}

static void server_unresolved(void *ctx, const char *why)
{
    struct health_server *s = ctx;

    server_asked(s);
    if (s->unresolved)
        return;
    s->unresolved = true;
    log_event(LOG_EV_BACKEND_UNRESOLVED, LF_STR("backend", s->backend->conf->name),
              LF_STR("server", s->state->server->url), LF_STR("detail", str_of(why)));
}

static void server_resolve_start(struct health_server *s)
{
    char *host = str_dup(s->state->server->host);

    if (host != NULL)
        s->resolve = resolve_start(&s->health->worker->loop, host, s->state->server->port,
                                   s->backend->conf->resolve_interval, server_resolved, server_unresolved, s);
    if (s->resolve == NULL)
        server_unresolved(s, "out of memory");
    free(host);
}

/* ---- start ---- */

static bool server_tls_ready(struct health_server *s)
{
    char *name;

    if (!s->state->server->https)
        return true;
    name = str_dup(s->state->server->host);
    if (name != NULL)
        s->slot = tls_session_slot_new(name);
    free(name);
    return s->tls != NULL && s->slot != NULL;
}

/* Without a context there is no check: a server that cannot be verified is never asked in clear text. */
static bool server_start(struct health_server *s, struct health *h, const struct backend_state *b, size_t i)
{
    size_t backend = (size_t)(b->conf - h->snapshot->backends);

    s->health = h;
    s->backend = b;
    s->state = &b->servers[i];
    s->tls = h->tls[backend];
    if (b->paths_n == 0)
        return true;
    if (!server_tls_ready(s)) {
        log_event(LOG_EV_INTERNAL, LF_STR("detail", STR("no TLS context for health checks")),
                  LF_STR("server", s->state->server->url));
        return true;
    }
    s->checks = calloc(b->paths_n + 1, sizeof(*s->checks));
    s->checks_n = s->checks != NULL ? b->paths_n : 0;
    return s->checks != NULL;
}

static size_t count_servers(const struct backend_states *all)
{
    size_t n = 0;

    for (size_t i = 0; i < all->n; i++)
        n += all->v[i].conf->servers_n;
    return n;
}

static bool backend_needs_tls(const struct backend_state *b)
{
    for (size_t i = 0; i < b->conf->servers_n && b->paths_n > 0; i++) {
        if (b->conf->servers[i].https)
            return true;
    }
    return false;
}

static bool servers_make(struct health *h, const struct backend_states *all)
{
    struct conf_findings *f = conf_findings_new();
    bool good = f != NULL;

    for (size_t i = 0; i < all->n && good; i++) {
        const struct backend_state *b = &all->v[i];
        if (backend_needs_tls(b))
            h->tls[i] = tls_client_new(h->worker, b->conf, f);
        for (size_t j = 0; j < b->conf->servers_n && good; j++)
            good = server_start(&h->servers[h->servers_n++], h, b, j);
    }
    if (f != NULL)
        conf_findings_free(f);
    return good;
}

/* Every check has its own place in the first round and keeps it, so that the servers are never asked all at
 * once. */
static void checks_start(struct health *h)
{
    size_t all = 0, k = 0;

    for (size_t i = 0; i < h->servers_n; i++)
        all += h->servers[i].checks_n;
    for (size_t i = 0; i < h->servers_n; i++) {
        struct health_server *s = &h->servers[i];
        uint64_t interval = s->backend->conf->health_interval;
        uint64_t spread = interval < FIRST_ROUND_MS ? interval : FIRST_ROUND_MS;
        for (unsigned p = 0; p < s->checks_n; p++)
            health_check_start(&s->checks[p], s, p, 1 + spread * k++ / all);
    }
}

static void health_free(struct health *h)
{
    for (size_t i = 0; h->servers != NULL && i < h->servers_n; i++) {
        free(h->servers[i].checks);
        if (h->servers[i].slot != NULL)
            tls_session_slot_free(h->servers[i].slot);
    }
    for (size_t i = 0; h->tls != NULL && i < h->snapshot->backends_n; i++) {
        if (h->tls[i] != NULL)
            tls_client_free(h->tls[i]);
    }
    free(h->servers);
    free(h->tls);
    snapshot_release(h->snapshot);
    free(h);
}

struct health *health_start(struct worker *house, struct snapshot *s, struct backend_states *b)
{
    struct health *h = calloc(1, sizeof(*h));

    if (h == NULL)
        return NULL;
    h->worker = house;
    h->snapshot = snapshot_hold(s);
    h->limits = (struct h1_limits){.head_bytes = (uint32_t)s->limits.response_head_bytes,
                                   .fields = (uint16_t)s->limits.response_header_fields,
                                   .chunk_line = 4096};
    h->tls = calloc(s->backends_n + 1, sizeof(struct tls_client *));
    h->servers = calloc(count_servers(b) + 1, sizeof(*h->servers));
    if (h->tls == NULL || h->servers == NULL || !servers_make(h, b)) {
        health_free(h);
        return NULL;
    }
    for (size_t i = 0; i < h->servers_n; i++)
        server_resolve_start(&h->servers[i]);
    checks_start(h);
    return h;
}

/* ---- stop ---- */

void health_closed(struct health *h)
{
    if (h->open == 0)
        health_free(h);
}

void health_stop(struct health *h)
{
    if (h == NULL)
        return;
    h->stopping = true;
    worker_cancel(h->worker, &h->patience);
    for (size_t i = 0; i < h->servers_n; i++) {
        struct health_server *s = &h->servers[i];
        if (s->resolve != NULL)
            resolve_stop(s->resolve);
        s->resolve = NULL;
        for (unsigned p = 0; p < s->checks_n; p++)
            health_check_stop(&s->checks[p]);
    }
    health_closed(h);
}
