#include <pthread.h>

#include <postern/rules.h>

#include "rule_counters.h"

#define COUNTERS_MAX 512 /* names ever configured; further rules share the last one */

static struct rule_counter counters[COUNTERS_MAX];
static unsigned counters_n; /* atomic for readers; written under the lock */
static pthread_mutex_t counters_lock = PTHREAD_MUTEX_INITIALIZER;

/* Under the lock. */
static struct rule_counter *find_or_add(struct str name)
{
    for (unsigned i = 0; i < counters_n; i++) {
        if (str_eq(name, str_of(counters[i].name)))
            return &counters[i];
    }
    if (counters_n == COUNTERS_MAX)
        return &counters[COUNTERS_MAX - 1];
    memcpy(counters[counters_n].name, name.p, name.n < RULE_NAME_MAX ? name.n : RULE_NAME_MAX);
    __atomic_store_n(&counters_n, counters_n + 1, __ATOMIC_RELEASE);
    return &counters[counters_n - 1];
}

struct rule_counter *rule_counter_of(struct str name)
{
    struct rule_counter *c;

    pthread_mutex_lock(&counters_lock);
    c = find_or_add(name);
    pthread_mutex_unlock(&counters_lock);
    return c;
}

void rules_each(void (*each)(void *ctx, const char *name, uint64_t denied, uint64_t observed), void *ctx)
{
    unsigned n = __atomic_load_n(&counters_n, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; i < n; i++)
        each(ctx, counters[i].name, __atomic_load_n(&counters[i].denied, __ATOMIC_RELAXED),
             __atomic_load_n(&counters[i].observed, __ATOMIC_RELAXED));
}
