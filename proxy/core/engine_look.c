/*
 * Looking in from outside: metrics, servers, channels.
 */
#include <stdlib.h>

#include "engine_int.h"

struct snapshot *engine_snapshot(struct engine *e)
{
    return snapshot_hold(e->snapshot);
}

unsigned engine_workers(const struct engine *e)
{
    return e->workers;
}

struct guard *engine_guard(const struct engine *e)
{
    return e->guard;
}

void engine_metrics(struct engine *e, struct metrics *sum)
{
    struct snapshot *s = engine_snapshot(e);

    memset(sum, 0, sizeof(*sum));
    for (unsigned i = 0; i < e->workers; i++)
        metrics_sum(sum, e->slots[i].worker->metrics);
    metrics_sum(sum, e->house->metrics);
    guard_metrics(e->guard, sum);
    auth_pool_metrics(e->auth, sum);
    verifiers_metrics(site_shared_of(s)->verifiers, sum);
    snapshot_release(s);
}

static void server_status(const struct backend_state *b, struct server_state *v, uint64_t now,
                          struct engine_server_status *ret)
{
    *ret = (struct engine_server_status){
        .backend = b->conf->name,
        .server = v->server->url,
        .up = __atomic_load_n(&v->down_paths, __ATOMIC_RELAXED) == 0,
        .passive_down = __atomic_load_n(&v->passive_until_ms, __ATOMIC_RELAXED) > now,
        .drain = v->server->drain,
        .resolved = __atomic_load_n(&v->version, __ATOMIC_RELAXED) > 0,
        .open = __atomic_load_n(&v->open, __ATOMIC_RELAXED),
        .idle = __atomic_load_n(&v->idle, __ATOMIC_RELAXED),
        .active_requests = __atomic_load_n(&v->active, __ATOMIC_RELAXED),
        .requests = __atomic_load_n(&v->requests, __ATOMIC_RELAXED),
        .failures = __atomic_load_n(&v->failures, __ATOMIC_RELAXED),
    };
    pthread_mutex_lock(&v->lock);
    ret->addresses = v->addresses.n;
    pthread_mutex_unlock(&v->lock);
}

void engine_servers(struct engine *e, void (*each)(void *ctx, const struct engine_server_status *s),
                    void *ctx)
{
    struct snapshot *s = engine_snapshot(e);
    struct backend_states *all = site_shared_of(s)->backends;
    uint64_t now = uv_hrtime() / 1000000;

    for (size_t i = 0; i < all->n; i++) {
        for (size_t j = 0; j < all->v[i].conf->servers_n; j++) {
            struct engine_server_status one;
            server_status(&all->v[i], &all->v[i].servers[j], now, &one);
            each(ctx, &one);
        }
    }
    snapshot_release(s);
}

void engine_directories(struct engine *e, void (*each)(void *ctx, const struct verifier_server *s), void *ctx)
{
    struct snapshot *s = engine_snapshot(e);

    verifiers_servers(site_shared_of(s)->verifiers, each, ctx);
    snapshot_release(s);
}

/* ---- channels ---- */

static void copy_str(char *to, size_t size, struct str s)
{
    size_t n = s.n < size ? s.n : size - 1;

    if (n > 0)
        memcpy(to, s.p, n);
    to[n] = '\0';
}

static void channel_fill(struct engine_channel *c, const struct session *s, const struct txn *t)
{
    memset(c, 0, sizeof(*c));
    copy_str(c->user, sizeof(c->user), t->user);
    copy_str(c->direction, sizeof(c->direction), t->command);
    copy_str(c->target, sizeof(c->target), t->target.query);
    if (t->server != NULL)
        copy_str(c->server, sizeof(c->server), t->server->url);
    memcpy(&c->client, &s->peer, sizeof(s->peer));
    c->age_ms = worker_now(txn_worker(t)) - t->started_ms;
    c->bytes_in = t->bytes_in;
    c->bytes_out = t->bytes_out;
}

static size_t channels_count(const struct core_worker *c)
{
    size_t n = 0;

    for (const struct session *s = c->sessions; s != NULL; s = s->next)
        n += s->txn != NULL && s->txn->channel;
    return n;
}

static void deliver_channels(struct worker *w, struct letter *l)
{
    struct engine_slot *slot = engine_slot_of(l);
    struct core_worker *c = w->core;

    slot->channels_n = 0;
    slot->channels = calloc(channels_count(c) + 1, sizeof(*slot->channels));
    for (const struct session *s = c->sessions; slot->channels != NULL && s != NULL; s = s->next) {
        if (s->txn != NULL && s->txn->channel)
            channel_fill(&slot->channels[slot->channels_n++], s, s->txn);
    }
    engine_round_answer(slot->engine, slot->channels != NULL);
}

void engine_channels(struct engine *e, void (*each)(void *ctx, const struct engine_channel *c), void *ctx)
{
    (void)engine_round(e, deliver_channels);
    for (unsigned i = 0; i < e->workers; i++) {
        struct engine_slot *slot = &e->slots[i];

        for (size_t k = 0; k < slot->channels_n; k++)
            each(ctx, &slot->channels[k]);
        free(slot->channels);
        slot->channels = NULL;
        slot->channels_n = 0;
    }
}
