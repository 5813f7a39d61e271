/*
 * run: a scenario carried out from start to end, and all that was measured.
 */
#ifndef LOAD_RUN_H
#define LOAD_RUN_H

#include "load.h"
#include "procs.h"

/* What one process group cost. */
struct cost {
    double cpu_from, cpu_s; /* measured phase */
    double before, held,
        after;       /* PSS in KB: before the first connection, at the end of the work, when all is closed */
    double last_cpu; /* at the last row */
};

/* One operation during one row. Microseconds. */
struct row_op {
    uint64_t done, faults, done_so_far, faults_so_far;
    float p50, p90, p99, p999, max;
};

/* About a second; longer in runs of hours, so that their number is bounded. */
struct row {
    double at, length; /* seconds since the start */
    bool measured;
    uint64_t open, waiting;
    struct row_op *ops, all;
    float cpu[PROC_GROUPS_MAX + 1]; /* cores; the last is the load generator's own */
    float memory_kb[PROC_GROUPS_MAX];
};

struct run {
    const struct scenario *scenario;
    struct thread *threads;
    atomic_int phase;
    struct second second;
    struct stats total;
    struct proc_group groups[PROC_GROUPS_MAX + 1];
    unsigned group_n;
    struct cost costs[PROC_GROUPS_MAX + 1]; /* [group_n]: the load generator itself */
    struct row *rows;
    size_t row_n, row_cap;
    uint64_t began, measured_from; /* ns */
    double measured_s;
    uint64_t open_held; /* connections at the end of the measured phase */
    bool interrupted;
    void (*on_row)(struct run *r, const struct row *row);
};

/* false when it could not begin; a message says why. */
bool run_scenario(struct run *r);
void run_free(struct run *r);
/* Name of operation `op` of all: "label: name" into `to`. */
void run_op_name(const struct scenario *s, unsigned op, char *to, size_t size);
const struct entry *run_op_entry(const struct scenario *s, unsigned op);
/* Seconds until the measured phase ends. */
double run_left(const struct run *r);

#endif
