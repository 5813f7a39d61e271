/*
 * stats: what was counted, by operation. Written by one thread; a second's figures are handed over under a lock.
 */
#ifndef LOAD_STATS_H
#define LOAD_STATS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "fault.h"
#include "histogram.h"
#include "scenario.h"

#define STATUSES 1000

struct op_stats {
    uint64_t done, bytes_in, bytes_out;
    uint64_t faults[FAULT_COUNT];
    uint32_t statuses[STATUSES]; /* of FAULT_status: what came instead */
    bool held; /* due after it was sent: the server was asked to wait, latency is how late it was */
    struct histogram latency; /* since it was due: corrected for coordinated omission */
    struct histogram service; /* since it was sent */
};

struct second_op {
    uint64_t done, faults;
    struct histogram latency;
};

/* What happened since the last look, of all threads. */
struct second {
    pthread_mutex_t lock;
    pthread_cond_t complete;
    unsigned round, missing; /* which look it is, and how many threads have yet to answer */
    struct second_op *ops;
    unsigned op_n;
    uint64_t open, waiting;
};

struct stats {
    struct op_stats *ops;  /* measured phase only */
    struct second_op *now; /* since the last hand-over, in any phase */
    unsigned op_n;
    uint64_t opened, resumed, open;
    uint64_t late_max,
        waiting; /* open loop: ns that a session began late though a client was free; without one */
    union address bad_source; /* the first that could not be bound; AF_UNSPEC: none */
    struct second *second;
    unsigned round;
};

bool stats_init(struct stats *s, unsigned op_n, struct second *second);
void stats_free(struct stats *s);
void stats_merge(struct stats *to, const struct stats *from);
void stats_done(struct stats *s, unsigned op, bool recording, uint64_t due, uint64_t sent, uint64_t end);
void stats_fault(struct stats *s, unsigned op, bool recording, enum fault f);
void stats_bad_source(struct stats *s, const union address *a);
uint64_t stats_errors(const struct op_stats *o);
/* The thread's part of a second, when it was asked for. */
void stats_hand_over(struct stats *s);

bool second_init(struct second *s, unsigned op_n);
void second_free(struct second *s);
void second_clear(struct second *s);
/* Main thread: begins a look at `threads` threads, which then must be woken; and waits for all. */
void second_ask(struct second *s, unsigned threads);
void second_wait(struct second *s);

#endif
