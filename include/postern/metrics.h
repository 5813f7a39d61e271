/*
 * metrics: one block of counters per worker, written by that worker only, read by anybody (relaxed atomics: each value
 * is whole, the set is not a snapshot). Rows in metrics.def. Four labelled families have rows of their own:
 * requests by status class, ends by reason, answers of directories by detail, ActiveSync requests by command and
 * version.
 */
#ifndef POSTERN_METRICS_H
#define POSTERN_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <postern/activesync_command.h>
#include <postern/auth_detail.h>
#include <postern/reason.h>

enum metric {
#define METRIC(id, kind, name, unit, help) METRIC_##id,
#include <postern/metrics.def>
#undef METRIC
    METRIC_COUNT
};

struct metrics {
    uint64_t v[METRIC_COUNT];
    uint64_t ended[REASON_COUNT];     /* requests and connections by reason */
    uint64_t status[6];               /* answers by class; [0] = no answer was sent */
    uint64_t auth[AUTH_DETAIL_COUNT]; /* answers of directories by detail */
    uint64_t activesync[ACTIVESYNC_COMMAND_COUNT][ACTIVESYNC_VERSION_COUNT];
} __attribute__((aligned(64)));

static inline void metrics_add(struct metrics *m, enum metric id, uint64_t n)
{
    __atomic_store_n(&m->v[id], __atomic_load_n(&m->v[id], __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void metrics_sub(struct metrics *m, enum metric id, uint64_t n)
{
    metrics_add(m, id, (uint64_t)0 - n);
}

static inline void metrics_ended(struct metrics *m, enum reason r)
{
    __atomic_store_n(&m->ended[r], __atomic_load_n(&m->ended[r], __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static inline void metrics_status(struct metrics *m, int status)
{
    int c = status >= 100 && status < 600 ? status / 100 : 0;
    __atomic_store_n(&m->status[c], __atomic_load_n(&m->status[c], __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static inline void metrics_auth(struct metrics *m, enum auth_detail d)
{
    __atomic_store_n(&m->auth[d], __atomic_load_n(&m->auth[d], __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static inline void metrics_activesync(struct metrics *m, enum activesync_command c, enum activesync_version v)
{
    uint64_t *n = &m->activesync[c][v];
    __atomic_store_n(n, __atomic_load_n(n, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

/* Adds block `m` to `sum` (gauges are sums over the workers too). */
void metrics_sum(struct metrics *sum, const struct metrics *m);
/* Prometheus text exposition format 0.0.4 of `sum`, appended by `emit`. */
void metrics_write(const struct metrics *sum, void (*emit)(void *ctx, const char *text, size_t n), void *ctx);

#endif
