/*
 * What the operator sees and does. Rows are copied under the lock and told without it.
 */
#include <stdlib.h>

#include <postern/log.h>

#include "guard_int.h"

/* All rows of one shard; NULL: none, or no memory. */
static char *shard_copy(struct guard_shard *s, size_t *ret_n)
{
    size_t size = s->table.row_size, n, used = 0;
    char *copy;

    pthread_mutex_lock(&s->lock);
    n = table_count(&s->table);
    pthread_mutex_unlock(&s->lock);
    copy = n > 0 ? malloc(n * size) : NULL;
    if (copy != NULL) {
        pthread_mutex_lock(&s->lock);
        for (unsigned class = 0; class < TABLE_CLASSES; class ++) {
            const void *row = NULL;
            while (used < n && (row = table_next(&s->table, class, row)) != NULL)
                memcpy(copy + size * used++, row, size);
        }
        pthread_mutex_unlock(&s->lock);
    }
    *ret_n = used;
    return copy;
}

static void shard_copy_free(struct guard_shard *s, char *copy, size_t n)
{
    if (copy != NULL)
        explicit_bzero(copy, n * s->table.row_size);
    free(copy);
}

/* ---- accounts ---- */

static bool account_status(const struct guard_account *a, const struct conf_guard *n, char source[64],
                           uint64_t now, struct guard_account_status *ret)
{
    struct lockout_rules r = account_rules(n);

    *ret = (struct guard_account_status){
        .name = str_of(a->name),
        .locked = lockout_locked(&a->lockout, now),
        .failures = lockout_failures(&a->lockout, &r, now),
        .age_ms = time_since(now, a->failed_ms),
        .detail = a->detail,
        .device = str_of(a->trace.device),
        .service = str_of(a->trace.service),
    };
    if (ret->locked)
        ret->failures = a->lockout.failures;
    for (unsigned i = 0; i < WRONG_KEPT; i++)
        ret->repeats += a->cache.wrong[i].seen_ms != 0 ? a->cache.wrong[i].times : 0;
    ret->locked_for_ms = ret->locked ? a->lockout.until_ms - now : 0;
    source_address_text(&a->trace.source, source);
    ret->source = str_of(source);
    return ret->locked || ret->failures > 0 || cache_any_wrong(&a->cache, now);
}

/* The keys under which the name may be known: one per directory. */
struct name_keys {
    struct mac *v;
    size_t n;
};

static bool keys_of_name(const struct guard *g, const struct snapshot *s, struct str name,
                         struct name_keys *ret)
{
    char normal[ACCOUNT_NORMAL_MAX + 1];

    ret->n = 0;
    ret->v = calloc(s->directories_n + 1, sizeof(*ret->v));
    for (size_t i = 0; ret->v != NULL && i < s->directories_n; i++) {
        bool chain =
            s->directories[i].type == CONF_DIRECTORY_CHAIN; /* its members are looked at by themselves */
        ptrdiff_t n = chain || name.n > ACCOUNT_NAME_MAX
                          ? -1
                          : account_of(name, &s->directories[i], normal, sizeof(normal));
        if (n > 0)
            ret->v[ret->n++] = guard_account_key(g, &s->directories[i], (struct str){normal, (size_t)n});
    }
    return ret->v != NULL;
}

static bool keys_have(const struct name_keys *k, const struct mac *key)
{
    for (size_t i = 0; i < k->n; i++) {
        if (mac_eq(&k->v[i], key))
            return true;
    }
    return false;
}

void guard_accounts(struct guard *g, const struct snapshot *s, struct str name,
                    void (*each)(void *ctx, const struct guard_account_status *a), void *ctx)
{
    const struct conf_guard *n = guard_numbers(g);
    uint64_t now = guard_now();
    struct name_keys keys;

    if (!keys_of_name(g, s, name, &keys))
        return;
    for (unsigned i = 0; i < GUARD_SHARDS; i++) {
        size_t rows;
        char *copy = shard_copy(&g->accounts[i], &rows), source[64];
        for (size_t j = 0; j < rows; j++) {
            const struct guard_account *a = (const void *)(copy + j * sizeof(*a));
            struct guard_account_status status;
            if ((name.n == 0 || keys_have(&keys, &a->row.key)) && account_status(a, n, source, now, &status))
                each(ctx, &status);
        }
        shard_copy_free(&g->accounts[i], copy, rows);
    }
    free(keys.v);
}

/* ---- addresses ---- */

void guard_sources(struct guard *g, void (*each)(void *ctx, const struct guard_source_status *a), void *ctx)
{
    uint64_t now = guard_now();

    for (unsigned i = 0; i < GUARD_SHARDS; i++) {
        size_t rows;
        char *copy = shard_copy(&g->sources[i], &rows), source[64];
        for (size_t j = 0; j < rows; j++) {
            const struct guard_source *v = (const void *)(copy + j * sizeof(*v));
            struct guard_source_status status = {.locked = source_locked(v, now),
                                                 .accounts = v->accounts,
                                                 .failures = v->credentials,
                                                 .good = source_good_count(v),
                                                 .age_ms = time_since(now, v->last_ms)};
            status.locked_for_ms = status.locked ? v->until_ms - now : 0;
            source_address_text(&v->address, source);
            status.source = str_of(source);
            if (status.locked ||
                (v->credentials > 0 && time_since(now, v->window_ms) <= guard_numbers(g)->source_window))
                each(ctx, &status);
        }
        shard_copy_free(&g->sources[i], copy, rows);
    }
}

/* ---- commands ---- */

static unsigned unlock_account(struct guard *g, const struct mac *key)
{
    struct guard_shard *s = shard_of(g->accounts, key);
    uint64_t now = guard_now();
    struct guard_account *a;

    pthread_mutex_lock(&s->lock);
    a = table_find(&s->table, key);
    if (a != NULL) {
        if (account_unlock(a, now))
            guard_say_unlocked(g, str_of(a->name), STR("command"));
        guard_account_settle(g, s, a, now);
    }
    pthread_mutex_unlock(&s->lock);
    return a != NULL;
}

static unsigned unlock_source(struct guard *g, const struct source_address *a)
{
    struct mac key = guard_source_key(g, a);
    struct guard_shard *s = shard_of(g->sources, &key);
    uint64_t now = guard_now();
    struct guard_source *v;

    pthread_mutex_lock(&s->lock);
    v = table_find(&s->table, &key);
    if (v != NULL) {
        if (v->until_ms != 0)
            guard_say_source_unlocked(g, a, STR("command"));
        source_unlock(v);
        guard_source_settle(g, s, v, now);
    }
    pthread_mutex_unlock(&s->lock);
    return v != NULL;
}

unsigned guard_unlock(struct guard *g, const struct snapshot *s, struct str name)
{
    struct source_address address;
    struct name_keys keys;
    unsigned done = 0;

    if (source_address_read(name, &address))
        return unlock_source(g, &address);
    if (!keys_of_name(g, s, name, &keys))
        return 0;
    for (size_t i = 0; i < keys.n; i++)
        done += unlock_account(g, &keys.v[i]);
    free(keys.v);
    return done;
}

unsigned guard_flush(struct guard *g)
{
    uint64_t now = guard_now();
    unsigned n = 0;

    for (unsigned i = 0; i < GUARD_SHARDS; i++) {
        struct guard_shard *s = &g->accounts[i];
        pthread_mutex_lock(&s->lock);
        for (unsigned class = 0; class < TABLE_CLASSES; class ++) {
            struct guard_account *a, *next;
            for (a = table_next(&s->table, class, NULL); a != NULL; a = next) {
                next = table_next(&s->table, class, a);
                n += cache_any_proved(&a->cache, now) || cache_any_wrong(&a->cache, now);
                memset(&a->cache, 0, sizeof(a->cache));
            }
        }
        pthread_mutex_unlock(&s->lock);
    }
    log_event(LOG_EV_CACHE_FLUSHED, LF_U64("accounts", n));
    return n;
}
