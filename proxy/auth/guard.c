/*
 * The memory of accounts and addresses: rows, locks that end, numbers that change.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <postern/log.h>

#include "guard_int.h"

/* ---- rows ---- */

struct mac guard_account_key(const struct guard *g, const struct conf_directory *d, struct str normal)
{
    char text[2 * ACCOUNT_NORMAL_MAX];
    struct str space = d->accounts.p != NULL ? d->accounts : d->name;
    size_t n = space.n < ACCOUNT_NORMAL_MAX - 1 ? space.n : ACCOUNT_NORMAL_MAX - 1;

    memcpy(text, space.p, n);
    text[n++] = '\0';
    n += account_skeleton(normal, text + n, sizeof(text) - n);
    return guard_hash_wide(g->hash_key, 'a', (struct str){text, n});
}

struct mac guard_source_key(const struct guard *g, const struct source_address *a)
{
    return guard_hash_wide(g->hash_key, 's', (struct str){(const char *)a->b, sizeof(a->b)});
}

static void account_forget(struct guard *g, struct guard_shard *s, struct guard_account *a)
{
    if (a->lockout.until_ms != 0)
        guard_say_unlocked(g, str_of(a->name), STR("forgotten: too many accounts are locked"));
    guard_count(g, METRIC_GUARD_FORGOTTEN, 1);
    table_remove(&s->table, a);
}

struct guard_account *guard_account_row(struct guard *g, struct guard_shard *s, const struct mac *key)
{
    struct guard_account *a = table_find(&s->table, key);

    if (a == NULL)
        a = table_add(&s->table, key, ACCOUNT_EMPTY);
    if (a == NULL && (a = table_victim(&s->table)) != NULL) {
        account_forget(g, s, a);
        a = table_add(&s->table, key, ACCOUNT_EMPTY);
    }
    return a;
}

static void source_forget(struct guard *g, struct guard_shard *s, struct guard_source *v)
{
    if (v->until_ms != 0)
        guard_say_source_unlocked(g, &v->address, STR("forgotten: too many addresses are locked"));
    guard_count(g, METRIC_GUARD_FORGOTTEN, 1);
    table_remove(&s->table, v);
}

/* Whoever finds an address first after its lock has ended says so. */
struct guard_source *guard_source_row(struct guard *g, struct guard_shard *s, const struct mac *key,
                                      const struct source_address *a, uint64_t now)
{
    struct guard_source *v = table_find(&s->table, key);

    if (v == NULL && (v = table_add(&s->table, key, SOURCE_CLASS_NEW)) == NULL &&
        (v = table_victim(&s->table)) != NULL) {
        source_forget(g, s, v);
        v = table_add(&s->table, key, SOURCE_CLASS_NEW);
    }
    if (v == NULL)
        return NULL;
    if (source_expire(v, now))
        guard_say_source_unlocked(g, a, STR("time"));
    v->address = *a;
    return v;
}

void guard_account_settle(struct guard *g, struct guard_shard *s, struct guard_account *a, uint64_t now)
{
    enum account_class class;

    if (account_expire(a, now))
        guard_say_unlocked(g, str_of(a->name), STR("time"));
    class = account_class(a, guard_numbers(g), now);
    if (class == ACCOUNT_EMPTY)
        table_remove(&s->table, a);
    else if (class != ACCOUNT_LOCKED ||
             a->row.class != ACCOUNT_LOCKED) /* the order of locks is that of their ends */
        table_touch(&s->table, a, class);
}

void guard_source_settle(struct guard *g, struct guard_shard *s, struct guard_source *v, uint64_t now)
{
    unsigned class;

    if (source_expire(v, now))
        guard_say_source_unlocked(g, &v->address, STR("time"));
    class = v->waiting > 0 ? TABLE_PINNED : source_class(v, now);
    if (class != SOURCE_CLASS_LOCKED || v->row.class != SOURCE_CLASS_LOCKED)
        table_touch(&s->table, v, class);
}

/* ---- events ---- */

void guard_say_locked(struct guard *g, struct str name, unsigned failures, enum auth_detail detail,
                      const struct account_trace *t)
{
    char source[64];

    source_address_text(&t->source, source);
    guard_count(g, METRIC_GUARD_ACCOUNT_LOCKS, 1);
    guard_count(g, METRIC_GUARD_ACCOUNTS_LOCKED, 1);
    log_event(LOG_EV_ACCOUNT_LOCKED, LF_STR("account", name), LF_U64("failures", failures),
              LF_STR("source", str_of(source)), LF_STR("device", str_of(t->device)),
              LF_STR("service", str_of(t->service)), LF_STR("detail", str_of(auth_detail_name(detail))),
              LF_U64("lock_s", guard_numbers(g)->account_lock_time / 1000));
}

void guard_say_unlocked(struct guard *g, struct str name, struct str why)
{
    guard_count(g, METRIC_GUARD_ACCOUNT_UNLOCKS, 1);
    guard_count(g, METRIC_GUARD_ACCOUNTS_LOCKED, (uint64_t)0 - 1);
    log_event(LOG_EV_ACCOUNT_UNLOCKED, LF_STR("account", name), LF_STR("why", why));
}

void guard_say_source_locked(struct guard *g, const struct source_address *a, unsigned accounts,
                             unsigned failures)
{
    char source[64];

    source_address_text(a, source);
    guard_count(g, METRIC_GUARD_SOURCE_LOCKS, 1);
    guard_count(g, METRIC_GUARD_SOURCES_LOCKED, 1);
    __atomic_add_fetch(&g->sources_locked, 1, __ATOMIC_RELAXED);
    log_event(LOG_EV_SOURCE_LOCKED, LF_STR("source", str_of(source)), LF_U64("accounts", accounts),
              LF_U64("failures", failures), LF_U64("lock_s", guard_numbers(g)->source_lock_time / 1000));
}

void guard_say_source_unlocked(struct guard *g, const struct source_address *a, struct str why)
{
    char source[64];

    source_address_text(a, source);
    guard_count(g, METRIC_GUARD_SOURCE_UNLOCKS, 1);
    guard_count(g, METRIC_GUARD_SOURCES_LOCKED, (uint64_t)0 - 1);
    __atomic_sub_fetch(&g->sources_locked, 1, __ATOMIC_RELAXED);
    log_event(LOG_EV_SOURCE_UNLOCKED, LF_STR("source", str_of(source)), LF_STR("why", why));
}

/* ---- addresses ---- */

static bool strange_now(struct guard *g, uint64_t now)
{
    bool over, on;

    pthread_mutex_lock(&g->strange_lock);
    on = strange_alarm(&g->strange, guard_numbers(g), now, &over);
    pthread_mutex_unlock(&g->strange_lock);
    if (over)
        log_event(LOG_EV_SPRAY_OVER, LF_STR("brake", STR("as configured again")));
    return on;
}

static void strange_failed(struct guard *g, uint64_t now)
{
    const struct conf_guard *n = guard_numbers(g);
    bool raised;

    pthread_mutex_lock(&g->strange_lock);
    raised = strange_fail(&g->strange, n, now);
    pthread_mutex_unlock(&g->strange_lock);
    if (raised)
        log_event(LOG_EV_SPRAY, LF_U64("failures", n->strange_failures),
                  LF_U64("window_s", n->source_window / 1000));
}

void guard_source_failed(struct guard *g, const struct source_address *a, uint64_t account,
                         uint64_t credential)
{
    const struct conf_guard *n = guard_numbers(g);
    struct mac key = guard_source_key(g, a);
    struct guard_shard *s = shard_of(g->sources, &key);
    uint64_t now = guard_now();
    bool strict = strange_now(g, now), strange = false;
    enum source_count count = SOURCE_SAME;
    struct guard_source *v;

    pthread_mutex_lock(&s->lock);
    v = guard_source_row(g, s, &key, a, now);
    if (v != NULL) {
        count = source_fail(v, n, account, credential, strict, now);
        strange = source_is_strange(v);
        if (count == SOURCE_LOCKS)
            guard_say_source_locked(g, a, v->accounts, v->credentials);
        guard_source_settle(g, s, v, now);
    }
    pthread_mutex_unlock(&s->lock);
    if (count != SOURCE_SAME && strange)
        strange_failed(g, now);
}

void guard_source_succeeded(struct guard *g, const struct source_address *a, uint64_t account)
{
    struct mac key = guard_source_key(g, a);
    struct guard_shard *s = shard_of(g->sources, &key);
    uint64_t now = guard_now();
    struct guard_source *v;

    pthread_mutex_lock(&s->lock);
    v = guard_source_row(g, s, &key, a, now);
    if (v != NULL) {
        source_succeed(v, guard_numbers(g), account, now);
        guard_source_settle(g, s, v, now);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- locks end ---- */

static void tick_accounts(struct guard *g, struct guard_shard *s, uint64_t now)
{
    struct guard_account *a, *next;

    pthread_mutex_lock(&s->lock);
    for (a = table_next(&s->table, ACCOUNT_LOCKED, NULL); a != NULL; a = next) {
        next = table_next(&s->table, ACCOUNT_LOCKED, a);
        if (!lockout_locked(&a->lockout, now))
            guard_account_settle(g, s, a, now);
    }
    pthread_mutex_unlock(&s->lock);
}

static void tick_sources(struct guard *g, struct guard_shard *s, uint64_t now)
{
    struct guard_source *v, *next;

    pthread_mutex_lock(&s->lock);
    for (v = table_next(&s->table, SOURCE_CLASS_LOCKED, NULL); v != NULL; v = next) {
        next = table_next(&s->table, SOURCE_CLASS_LOCKED, v);
        if (!source_locked(v, now))
            guard_source_settle(g, s, v, now);
    }
    pthread_mutex_unlock(&s->lock);
}

void guard_tick(struct guard *g)
{
    uint64_t now = guard_now();

    for (unsigned i = 0; i < GUARD_SHARDS; i++) {
        tick_accounts(g, &g->accounts[i], now);
        tick_sources(g, &g->sources[i], now);
    }
    (void)strange_now(g, now);
}

void guard_metrics(const struct guard *g, struct metrics *sum)
{
    metrics_sum(sum, &g->counts);
}

/* ---- numbers ---- */

static struct guard_rules *rules_new(const struct conf_guard *n)
{
    struct guard_rules *r = calloc(1, sizeof(*r));
    struct conf_cidr *v = calloc(n->exempt.n + 1, sizeof(*v));

    if (r == NULL || v == NULL) {
        free(r);
        free(v);
        return NULL;
    }
    r->n = *n;
    for (size_t i = 0; i < n->exempt.n; i++)
        v[i] = n->exempt.v[i];
    r->n.exempt.v = v;
    return r;
}

static void rules_free(struct guard_rules *r)
{
    while (r != NULL) {
        struct guard_rules *older = r->older;
        free(r->n.exempt.v);
        free(r);
        r = older;
    }
}

static bool numbers_same(const struct conf_guard *a, const struct conf_guard *b)
{
    struct conf_guard x = *a, y = *b;

    if (a->exempt.n != b->exempt.n ||
        (a->exempt.n > 0 && memcmp(a->exempt.v, b->exempt.v, a->exempt.n * sizeof(*a->exempt.v)) != 0))
        return false;
    x.exempt = y.exempt = (struct conf_cidrs){NULL, 0};
    return memcmp(&x, &y, sizeof(x)) == 0;
}

int guard_configure(struct guard *g, const struct conf_guard *numbers)
{
    struct guard_rules *r;

    if (numbers_same(guard_numbers(g), numbers))
        return 0;
    r = rules_new(numbers);
    if (r == NULL)
        return -1;
    r->older = g->rules;
    __atomic_store_n(&g->rules, r, __ATOMIC_RELEASE);
    return 0;
}

/* ---- life ---- */

static bool shards_init(struct guard_shard *shards, size_t row_size, unsigned rows)
{
    bool good = true;

    for (unsigned i = 0; i < GUARD_SHARDS; i++) {
        pthread_mutex_init(&shards[i].lock, NULL);
        good = table_init(&shards[i].table, row_size, rows / GUARD_SHARDS) == 0 && good;
    }
    return good;
}

static void shards_destroy(struct guard_shard *shards)
{
    for (unsigned i = 0; i < GUARD_SHARDS; i++) {
        table_destroy(&shards[i].table);
        pthread_mutex_destroy(&shards[i].lock);
    }
}

static bool secrets_make(struct guard *g)
{
    uint8_t key[32];
    bool good = g->macs != NULL && RAND_bytes(key, sizeof(key)) == 1 &&
                RAND_bytes((unsigned char *)g->hash_key, sizeof(g->hash_key)) == 1;

    for (unsigned i = 0; good && i <= g->workers; i++)
        good = (g->macs[i] = guard_mac_new(key)) != NULL;
    OPENSSL_cleanse(key, sizeof(key));
    return good;
}

struct guard *guard_new(const struct conf_guard *numbers, struct auth_pool *pool, unsigned workers)
{
    void *memory =
        mmap(NULL, sizeof(struct guard), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct guard *g = memory == MAP_FAILED ? NULL : memory;
    bool good;

    if (g == NULL)
        return NULL;
    (void)madvise(g, sizeof(*g), MADV_DONTDUMP);
    g->pool = pool;
    g->workers = workers;
    g->macs = calloc(workers + 1, sizeof(*g->macs));
    g->rules = rules_new(numbers);
    pthread_mutex_init(&g->strange_lock, NULL);
    good = shards_init(g->accounts, sizeof(struct guard_account), numbers->accounts);
    good = shards_init(g->sources, sizeof(struct guard_source), numbers->sources) && good;
    if (good && g->rules != NULL && secrets_make(g))
        return g;
    guard_free(g);
    return NULL;
}

void guard_free(struct guard *g)
{
    if (g == NULL)
        return;
    shards_destroy(g->accounts);
    shards_destroy(g->sources);
    for (unsigned i = 0; g->macs != NULL && i <= g->workers; i++)
        guard_mac_free(g->macs[i]);
    free(g->macs);
    rules_free(g->rules);
    pthread_mutex_destroy(&g->strange_lock);
    explicit_bzero(g, sizeof(*g));
    munmap(g, sizeof(*g));
}
