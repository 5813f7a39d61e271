/*
 * guard_int: what the files of the guard share. A row is reached only under its shard's lock; two shards' locks are never
 * held together.
 */
#ifndef POSTERN_GUARD_INT_H
#define POSTERN_GUARD_INT_H

#include <pthread.h>

#include <postern/guard.h>

#include "auth_int.h"
#include "guard_account.h"
#include "guard_source.h"

#define GUARD_SHARDS 16

struct guard_shard {
    pthread_mutex_t lock;
    struct guard_table table;
} __attribute__((aligned(64)));

/* The numbers in force. Replaced as a whole by guard_configure; old ones are kept until the end, since a thread may still look
 * at them: one per reload that changes a number. */
struct guard_rules {
    struct conf_guard n;
    struct guard_rules *older;
};

struct guard {
    struct guard_shard accounts[GUARD_SHARDS], sources[GUARD_SHARDS];
    uint64_t hash_key[2];
    struct guard_mac **macs; /* per worker, and one for the main thread */
    unsigned workers;
    struct guard_rules *rules; /* atomic */
    struct auth_pool *pool;
    pthread_mutex_t strange_lock;
    struct strange_count strange;
    uint32_t sources_locked; /* atomic: while it is 0 nobody's address needs a look */
    struct metrics counts;   /* atomic; added to by any thread */
};

/* Milliseconds, monotonic: the time of worker_now(), on any thread. */
static inline uint64_t guard_now(void)
{
    return uv_hrtime() / 1000000;
}

static inline const struct conf_guard *guard_numbers(const struct guard *g)
{
    return &__atomic_load_n(&g->rules, __ATOMIC_ACQUIRE)->n;
}

static inline void guard_count(struct guard *g, enum metric m, uint64_t n)
{
    __atomic_fetch_add(&g->counts.v[m], n, __ATOMIC_RELAXED);
}

static inline struct guard_shard *shard_of(struct guard_shard *shards, const struct mac *key)
{
    return &shards[key->b[0] % GUARD_SHARDS];
}

/* "accounts" word of the directory and skeleton of the normal form. */
struct mac guard_account_key(const struct guard *g, const struct conf_directory *d, struct str normal);
struct mac guard_source_key(const struct guard *g, const struct source_address *a);

/* Under the shard's lock. Finds or makes it, and forgets a cheaper one where there is no room. NULL: every row is pinned. */
struct guard_account *guard_account_row(struct guard *g, struct guard_shard *s, const struct mac *key);
struct guard_source *guard_source_row(struct guard *g, struct guard_shard *s, const struct mac *key,
                                      const struct source_address *a, uint64_t now);
/* Puts it where its state belongs. */
void guard_account_settle(struct guard *g, struct guard_shard *s, struct guard_account *a, uint64_t now);
void guard_source_settle(struct guard *g, struct guard_shard *s, struct guard_source *v, uint64_t now);

/* Gauges and events; with the lock held or not. */
void guard_say_locked(struct guard *g, struct str name, unsigned failures, enum auth_detail detail,
                      const struct account_trace *t);
void guard_say_unlocked(struct guard *g, struct str name, struct str why);
void guard_say_source_locked(struct guard *g, const struct source_address *a, unsigned accounts,
                             unsigned failures);
void guard_say_source_unlocked(struct guard *g, const struct source_address *a, struct str why);

/* ---- attempts that wait: guard_ticket.c ---- */

struct guard_ticket {
    struct letter letter;
    struct wheel_node node; /* armed: the answer is known, and waits for its time */
    struct guard_ticket *next,
        **link; /* in the flight's list; link NULL: in none. Under the account's lock */
    struct guard_shard *shard;
    struct worker *worker;
    void (*done)(void *ctx, const struct guard_result *r); /* NULL: nobody waits; worker thread only */
    void *ctx;
    struct guard_result result;
    uint64_t due_ms; /* a failure is not told before */
    struct source_address source;
    uint64_t place; /* to be remembered when it is right; 0: none */
    bool exempt;
    bool posted; /* taken off its flight: the letter comes. Under the account's lock */
};

/* The worker's thread. NULL without memory. */
struct guard_ticket *ticket_new(struct guard *g, struct worker *w,
                                void (*done)(void *ctx, const struct guard_result *r), void *ctx);
/* Answers on the ticket's own worker, in time. */
void ticket_answer(struct guard_ticket *t, const struct guard_result *r);
/* Any thread, for a chain of tickets that were taken off a flight: each gets its answer by letter. */
void tickets_post(struct guard_ticket *chain, const struct guard_result *r);

/* ---- look-ups in flight: guard_flight.c ---- */

struct guard_flight {
    struct guard_flight *next; /* of the account; under its lock, as all below but for refs */
    struct guard *guard;
    struct guard_shard *shard;
    struct guard_account *account; /* pinned while this is in its list */
    struct guard_ticket *tickets;
    struct verifier wrapper; /* what the auth pool is given: it asks `inner` */
    struct verifier *inner;
    struct mac credential;
    uint64_t password; /* of the credential, in whatever form */
    uint64_t account_hash;
    struct source_address source; /* who began it */
    uint64_t place;
    struct account_trace trace;
    char client[INET6_ADDRSTRLEN];
    bool again, exempt, ambiguous;
    bool late;     /* its deadline has passed: who comes now is told so at once */
    bool listed;   /* in the account's list */
    unsigned refs; /* atomic: the auth pool's, the beginner's */
};

/* Under the account's lock; NULL: nobody asks the same. */
struct guard_flight *flight_find(struct guard_account *a, const struct mac *credential);
void flight_join(struct guard_flight *f, struct guard_ticket *t);
/* Under the account's lock: it is in the account's list, to be submitted without the lock. NULL without memory. */
struct guard_flight *flight_new(struct guard *g, struct guard_shard *s, struct guard_account *a,
                                struct verifier *inner);
/* Without locks. The flight may be gone on return. */
void flight_submit(struct guard_flight *f, struct worker *w, struct snapshot *snapshot,
                   const struct basic_credentials *c, uint64_t timeout_ms);

/* What the account's state says, as an answer. */
struct guard_result guard_result_of(const struct guard *g, enum guard_answer answer,
                                    const struct guard_account *a, uint64_t now);
/* Passwords of an address that wait for the directory: one more, or one less. */
void guard_source_waits(struct guard *g, const struct source_address *a, bool more);

/* A distinct failure, or a success, of an address; locks it where that is due. */
void guard_source_failed(struct guard *g, const struct source_address *a, uint64_t account,
                         uint64_t credential);
void guard_source_succeeded(struct guard *g, const struct source_address *a, uint64_t account);

#endif
