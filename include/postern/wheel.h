/*
 * wheel: all deadlines of one worker. Intrusive nodes, O(1) arm and cancel, no allocation. Knows no libuv: its owner
 * calls wheel_advance() with the loop's time and sleeps for wheel_next() at most. Granularity WHEEL_TICK_MS: a deadline
 * never fires early and at most one tick late. One thread.
 */
#ifndef POSTERN_WHEEL_H
#define POSTERN_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_TICK_MS 16
#define WHEEL_LEVELS 4
#define WHEEL_SLOTS 64

struct wheel_node {
    struct wheel_node *next, **link; /* link == NULL: not armed */
    uint64_t due;                    /* ms */
    void (*fire)(struct wheel_node *);
};

struct wheel {
    uint64_t now; /* ms, as of the last wheel_advance */
    uint64_t tick;
    size_t armed;
    struct wheel_node *slots[WHEEL_LEVELS][WHEEL_SLOTS];
    struct wheel_node *overflow;
};

void wheel_init(struct wheel *w, uint64_t now_ms);
/* Arms, or moves, the node to `after_ms` from w->now. Any length of time is allowed (hours for a Ping). */
void wheel_arm(struct wheel *w, struct wheel_node *n, uint64_t after_ms, void (*fire)(struct wheel_node *));
void wheel_cancel(struct wheel *w, struct wheel_node *n);
/* Fires what is due; a callback may arm and cancel any node, itself included. */
void wheel_advance(struct wheel *w, uint64_t now_ms);
/* ms until the earliest node could be due (may be early, never late); UINT64_MAX when none is armed. */
uint64_t wheel_next(const struct wheel *w);

static inline bool wheel_armed(const struct wheel_node *n)
{
    return n->link != NULL;
}

#endif
