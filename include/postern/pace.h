/*
 * pace: whether a peer is fast enough, counting only the time in which it is what is waited for.
 *
 * An allowance of `grace_ms` is used up by waiting and earned back by bytes, `bytes_per_s` of them a second, never beyond the grace: so
 * a peer may pause, but a fast beginning does not pay for an endless rest. Knows no clock; the owner says what time it is, and
 * asks pace_judge() when a deadline fires, not for every packet. One thread.
 */
#ifndef POSTERN_PACE_H
#define POSTERN_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace_limit {
    uint64_t bytes_per_s; /* 0: any pace is fast enough */
    uint64_t grace_ms;
};

struct pace {
    uint64_t since;    /* waiting since; while `waits` */
    uint64_t waited;   /* ms, since it was last judged; without those since `since` */
    uint64_t bytes_at; /* the owner's count when it was last judged */
    uint64_t used;     /* of the allowance; ms * bytes_per_s */
    bool waits;
};

/* The whole allowance, nobody is waited for. `bytes` is the owner's count: it only grows. */
void pace_begin(struct pace *p, uint64_t bytes);
/* From now on the peer is what is waited for, or no longer. Again is harmless. */
void pace_wait(struct pace *p, uint64_t now_ms);
void pace_rest(struct pace *p, uint64_t now_ms);
/* Ms until the allowance is used up if nothing more comes, at least 1; 0: it is used up, the peer is too slow; UINT64_MAX: not
 * while nobody waits, or no pace is asked for. */
uint64_t pace_judge(struct pace *p, const struct pace_limit *l, uint64_t bytes, uint64_t now_ms);

#endif
