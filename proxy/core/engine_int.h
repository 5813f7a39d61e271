/*
 * engine_int: the engine, and how main asks all workers at once. Private to engine*.c.
 */
#ifndef POSTERN_ENGINE_INT_H
#define POSTERN_ENGINE_INT_H

#include "core_int.h"

struct engine_slot {
    struct letter letter; /* one in flight per worker */
    struct engine *engine;
    struct worker *worker;
    struct site *next;               /* built, not in force yet */
    struct engine_channel *channels; /* what a look has found */
    size_t channels_n;
    int *fds; /* sockets that this worker is to open, in the order of `fresh` */
};

struct engine {
    struct engine_slot *slots;
    unsigned workers;
    struct worker *house; /* health checks and names; serves no client */
    struct health *health;
    struct auth_pool *auth;
    struct guard *guard;
    struct wheel_node guard_tick; /* the house worker's */
    struct tls_tickets *tickets;
    struct snapshot *snapshot, *incoming;
    struct listen_set *listeners, *incoming_listeners;
    struct conf_findings *findings; /* of the round in progress; under `lock` */
    pthread_mutex_t lock;
    pthread_cond_t answered;
    unsigned waiting_for;
    bool failed;
    unsigned capacity, open; /* atomic */
    struct descriptor_count descriptors;
    uint64_t full_logged_ms; /* atomic */
    unsigned busy_workers;   /* atomic; of the drain */
    uint64_t drain_deadline_ms;
    uv_async_t drained;
    void (*done)(void *ctx);
    void *done_ctx;
    struct letter health_letter;
    struct snapshot *health_snapshot;
};

/* Delivers on every worker and waits until each has answered; false when any has failed. Main thread. */
bool engine_round(struct engine *e, void (*deliver)(struct worker *w, struct letter *l));
/* Once per delivery, on the worker. */
void engine_round_answer(struct engine *e, bool good);

static inline struct engine_slot *engine_slot_of(struct letter *l)
{
    return (struct engine_slot *)((char *)l - offsetof(struct engine_slot, letter));
}

#endif
