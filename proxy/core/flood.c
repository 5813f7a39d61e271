#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include <postern/affinity.h>
#include <postern/flood.h>
#include <postern/log.h>

#define SHARDS 64
#define SHARD_BUCKETS 1024
#define SHARD_IDLE_MAX 1024
#define PREFIX6 8 /* bytes of an IPv6 address that make a source */

/* What may be spent in a minute, all at once or bit by bit; in thousandths. */
struct allowance {
    uint64_t left, at_ms;
};

struct flood_key {
    uint8_t kind, bytes[23];
};
enum { KIND_V4 = 4, KIND_V6 = 6, KIND_ACCOUNT = 1 };

struct flood_entry {
    struct flood_key key;
    struct flood_entry *next;          /* in its bucket */
    struct flood_entry *newer, *older; /* idle entries only */
    unsigned shard, bucket;
    unsigned open;
    bool idle;
    struct allowance connects, requests;
};

struct shard {
    pthread_mutex_t lock;
    struct flood_entry *buckets[SHARD_BUCKETS];
    struct flood_entry *newest, *oldest;
    unsigned idle_n, n;
};

static struct shard shards[SHARDS];
static uint64_t seed;
static uint64_t logged_ms; /* atomic */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void table_init(void)
{
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_mutex_init(&shards[i].lock, NULL);
    /* Without it a client could choose addresses that all fall into one bucket. */
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = (uint64_t)(uintptr_t)&seed;
}

/* ---- keys ---- */

static bool key_of_address(const struct sockaddr *a, struct flood_key *k)
{
    const struct in6_addr *in6;

    memset(k, 0, sizeof(*k));
    if (a->sa_family == AF_INET) {
        k->kind = KIND_V4;
        memcpy(k->bytes, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
        return true;
    }
    if (a->sa_family != AF_INET6)
        return false;
    in6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(in6)) {
        k->kind = KIND_V4;
        memcpy(k->bytes, in6->s6_addr + 12, 4);
    } else {
        k->kind = KIND_V6;
        memcpy(k->bytes, in6->s6_addr, PREFIX6);
    }
    return true;
}

static uint64_t seeded_hash(const void *data, size_t n, uint64_t salt)
{
    uint64_t parts[2] = {affinity_hash(data, n), seed ^ salt};

    return affinity_hash(parts, sizeof(parts));
}

/* Two accounts that share both hashes would share their limits, no more. */
static void key_of_account(struct str key, struct flood_key *k)
{
    uint64_t h[2] = {affinity_hash(key.p, key.n), 0};

    memset(k, 0, sizeof(*k));
    k->kind = KIND_ACCOUNT;
    h[1] = seeded_hash(key.p, key.n, key.n);
    memcpy(k->bytes, h, sizeof(h));
}

/* ---- entries; all under the shard's lock ---- */

static void idle_take(struct shard *s, struct flood_entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &s->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &s->oldest) = e->newer;
    e->idle = false;
    s->idle_n--;
}

static void entry_drop(struct shard *s, struct flood_entry *e)
{
    struct flood_entry **at = &s->buckets[e->bucket];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    s->n--;
    free(e);
}

static void idle_put(struct shard *s, struct flood_entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(e->older != NULL ? &e->older->newer : &s->oldest) = e;
    s->newest = e;
    e->idle = true;
    if (++s->idle_n <= SHARD_IDLE_MAX)
        return;
    e = s->oldest;
    idle_take(s, e);
    entry_drop(s, e);
}

static struct flood_entry *entry_find(struct shard *s, unsigned bucket, const struct flood_key *k)
{
    for (struct flood_entry *e = s->buckets[bucket]; e != NULL; e = e->next) {
        if (memcmp(&e->key, k, sizeof(*k)) == 0)
            return e;
    }
    return NULL;
}

static struct flood_entry *entry_new(struct shard *s, unsigned shard, unsigned bucket,
                                     const struct flood_key *k)
{
    struct flood_entry *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return NULL;
    e->key = *k;
    e->shard = shard;
    e->bucket = bucket;
    e->next = s->buckets[bucket];
    s->buckets[bucket] = e;
    s->n++;
    return e;
}

/* Locks the shard; NULL without memory. */
static struct flood_entry *entry_lock(const struct flood_key *k, struct shard **ret)
{
    uint64_t h;
    unsigned shard, bucket;
    struct flood_entry *e;

    pthread_once(&once, table_init);
    h = seeded_hash(k, sizeof(*k), 0);
    shard = (unsigned)(h % SHARDS);
    bucket = (unsigned)(h / SHARDS % SHARD_BUCKETS);
    *ret = &shards[shard];
    pthread_mutex_lock(&shards[shard].lock);
    e = entry_find(&shards[shard], bucket, k);
    return e != NULL ? e : entry_new(&shards[shard], shard, bucket, k);
}

/* Afterwards: an entry with nothing open goes to (the front of) the idle ones. */
static void entry_unlock(struct shard *s, struct flood_entry *e)
{
    if (e->idle)
        idle_take(s, e);
    if (e->open == 0)
        idle_put(s, e);
    pthread_mutex_unlock(&s->lock);
}

/* ---- allowances ---- */

static bool spend(struct allowance *a, unsigned per_minute, uint64_t now_ms)
{
    uint64_t full = (uint64_t)per_minute * 1000;

    if (per_minute == 0)
        return true;
    if (a->at_ms == 0 || now_ms - a->at_ms >= 60000)
        a->left = full;
    else
        a->left += (now_ms - a->at_ms) * per_minute / 60;
    a->at_ms = now_ms > 0 ? now_ms : 1;
    if (a->left > full)
        a->left = full;
    if (a->left < 1000)
        return false;
    a->left -= 1000;
    return true;
}

static bool log_is_due(uint64_t now_ms)
{
    uint64_t last = __atomic_load_n(&logged_ms, __ATOMIC_RELAXED);

    return now_ms - last >= 1000 &&
           __atomic_compare_exchange_n(&logged_ms, &last, now_ms, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* ---- the contract ---- */

void flood_told(const struct sockaddr *source, enum reason why, uint64_t now_ms)
{
    if (log_is_due(now_ms))
        log_event(LOG_EV_FLOOD, LF_ADDRESS("source", source), LF_REASON(why));
}

bool flood_connect(const struct conf_flood *f, const struct sockaddr *a, uint64_t now_ms,
                   struct flood_entry **ret)
{
    struct flood_key k;
    struct shard *s;
    struct flood_entry *e;
    bool good;

    *ret = NULL;
    if ((f->connections_per_source == 0 && f->connects_per_minute == 0 && f->requests_per_minute == 0) ||
        conf_cidrs_match(&f->trusted, a) || !key_of_address(a, &k))
        return true;
    e = entry_lock(&k, &s);
    if (e == NULL) {
        pthread_mutex_unlock(&s->lock);
        return true;
    }
    good = (f->connections_per_source == 0 || e->open < f->connections_per_source) &&
           spend(&e->connects, f->connects_per_minute, now_ms);
    e->open += good;
    entry_unlock(s, e);
    if (good)
        *ret = e;
    else
        flood_told(a, REASON_FLOOD_CONNECTIONS, now_ms);
    return good;
}

static void entry_leave(struct flood_entry *e)
{
    struct shard *s;

    if (e == NULL)
        return;
    s = &shards[e->shard];
    pthread_mutex_lock(&s->lock);
    e->open--;
    entry_unlock(s, e);
}

void flood_disconnect(struct flood_entry *source)
{
    entry_leave(source);
}

void flood_account_end(struct flood_entry *account)
{
    entry_leave(account);
}

bool flood_request(const struct conf_flood *f, struct flood_entry *e, uint64_t now_ms)
{
    struct shard *s;
    bool good;

    if (e == NULL || f->requests_per_minute == 0)
        return true;
    s = &shards[e->shard];
    pthread_mutex_lock(&s->lock);
    good = spend(&e->requests, f->requests_per_minute, now_ms);
    pthread_mutex_unlock(&s->lock);
    return good;
}

bool flood_account(const struct conf_flood *f, struct str key, struct str name, uint64_t now_ms,
                   struct flood_entry **ret)
{
    struct flood_key k;
    struct shard *s;
    struct flood_entry *e;
    bool good;

    *ret = NULL;
    if (f->requests_open_per_account == 0 && f->requests_per_minute_per_account == 0)
        return true;
    pthread_once(&once, table_init);
    key_of_account(key, &k);
    e = entry_lock(&k, &s);
    if (e == NULL) {
        pthread_mutex_unlock(&s->lock);
        return true;
    }
    good = (f->requests_open_per_account == 0 || e->open < f->requests_open_per_account) &&
           spend(&e->requests, f->requests_per_minute_per_account, now_ms);
    e->open += good;
    entry_unlock(s, e);
    if (good)
        *ret = e;
    else if (log_is_due(now_ms))
        log_event(LOG_EV_FLOOD, LF_STR("account", name), LF_REASON(REASON_FLOOD_ACCOUNT));
    return good;
}

size_t flood_entries(void)
{
    size_t n = 0;

    pthread_once(&once, table_init);
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&shards[i].lock);
        n += shards[i].n;
        pthread_mutex_unlock(&shards[i].lock);
    }
    return n;
}
