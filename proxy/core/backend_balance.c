/*
 * Which server gets a request.
 *
 * A server is fit when it has addresses, has not failed for this request already, the active check of the
 * service's health path does not say down, it is not draining (its bound clients excepted), and no connect
 * failures in a row have made it rest. When none is fit, one that merely rests is better than none: the one
 * that rests the shortest. Where the active checks say down for all, the answer is NO_BACKEND at once: a
 * client waits less, and the checks bring the servers back.
 */
#include "backend_int.h"

enum fitness { UNFIT, RESTING, FULL, FIT };

void backend_server_refresh(struct backend_server *s)
{
    struct server_state *st = s->state;
    uint32_t version = __atomic_load_n(&st->version, __ATOMIC_ACQUIRE);

    if (version == s->version)
        return;
    pthread_mutex_lock(&st->lock);
    s->addresses = st->addresses;
    s->version = __atomic_load_n(&st->version, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&st->lock);
    s->good = 0;
}

static bool server_up(const struct backend_server *s, int path_index)
{
    uint32_t down;

    if (path_index < 0 || path_index >= HEALTH_PATHS_MAX)
        return true;
    down = __atomic_load_n(&s->state->down_paths, __ATOMIC_RELAXED);
    return (down & (UINT32_C(1) << path_index)) == 0;
}

static bool server_full(const struct backend_server *s)
{
    unsigned max = s->pool->conf->max_connections;

    /* An idle one serves, or makes room for a fresh one. */
    return max > 0 && s->open_n >= max && s->idle_n == 0;
}

static enum fitness server_fitness(struct backend_server *s, unsigned i, const struct backend_want *want)
{
    bool bound_here = want->server == (int)i && !want->new_client;

    if (i < 32 && (want->tried & (UINT32_C(1) << i)) != 0)
        return UNFIT;
    if (s->state->server->drain && !bound_here)
        return UNFIT;
    if (!server_up(s, want->path_index))
        return UNFIT;
    backend_server_refresh(s);
    if (s->addresses.n == 0)
        return UNFIT;
    if (server_full(s))
        return FULL;
    if (__atomic_load_n(&s->state->passive_until_ms, __ATOMIC_RELAXED) > worker_now(s->pool->worker))
        return RESTING;
    return FIT;
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}

/* Higher wins; each rule breaks ties by the order in which it looks at the servers. */
static uint64_t server_score(const struct backend_server *s, const struct backend_want *want)
{
    uint64_t load;

    if (want->has_key)
        return mix(want->key ^ mix(s->token));
    if (s->pool->conf->balance == CONF_BALANCE_LEAST_CONNECTIONS) {
        load = (uint64_t)__atomic_load_n(&s->state->active, __ATOMIC_RELAXED) + s->connecting_n;
        return UINT64_MAX - load;
    }
    return 0;
}

/* The one that rests the shortest is the least bad. */
static uint64_t server_rest_score(const struct backend_server *s)
{
    return UINT64_MAX - __atomic_load_n(&s->state->passive_until_ms, __ATOMIC_RELAXED);
}

struct backend_server *backend_choose(struct backend_pool *p, const struct backend_want *want,
                                      enum reason *ret_why)
{
    struct backend_server *best = NULL, *resting = NULL;
    uint64_t best_score = 0, rest_score = 0;
    bool full = false;
    unsigned first = want->has_key || p->servers_n == 0 ? 0 : p->turn++ % p->servers_n;

    for (unsigned k = 0; k < p->servers_n; k++) {
        unsigned i = (first + k) % p->servers_n;
        struct backend_server *s = &p->servers[i];
        enum fitness fit = server_fitness(s, i, want);
        uint64_t score = fit == FIT ? server_score(s, want) : server_rest_score(s);
        if (fit == FIT && want->server == (int)i)
            return s;
        full = full || fit == FULL;
        if (fit == FIT && (best == NULL || score > best_score)) {
            best = s;
            best_score = score;
        } else if (fit == RESTING && (resting == NULL || score > rest_score)) {
            resting = s;
            rest_score = score;
        }
    }
    if (best == NULL)
        best = resting;
    if (best == NULL)
        *ret_why = full ? REASON_BACKEND_BUSY : REASON_NO_BACKEND;
    return best;
}
