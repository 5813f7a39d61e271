/*
 * lockout: how failures of one account become a soft lock, and how the lock ends. Time is passed in (ms, monotonic; clocks of
 * two threads may differ by a little). No locks here.
 *
 * Failures are added up as the directories themselves do it: while each comes within `window` of the one before and no success
 * comes between. (A window that began anew at fixed times would let the directory count on across its edges.)
 * A lock begins with the failure that completes the number and ends when its time has passed, whatever comes meanwhile:
 * attempts while locked neither count nor prolong it; neither does a success shorten it.
 */
#ifndef POSTERN_LOCKOUT_H
#define POSTERN_LOCKOUT_H

#include <stdbool.h>
#include <stdint.h>

struct lockout {
    uint64_t last_ms;  /* the latest failure that counted */
    uint64_t until_ms; /* 0: not locked */
    uint16_t failures;
};

struct lockout_rules {
    unsigned failures; /* 0: never locks */
    uint64_t window, lock_time;
};

/* How much later `now` is; 0 when it is not. */
static inline uint64_t time_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

bool lockout_locked(const struct lockout *l, uint64_t now);
/* Failures that count at `now`. */
unsigned lockout_failures(const struct lockout *l, const struct lockout_rules *r, uint64_t now);
/* True: this one has locked it. */
bool lockout_fail(struct lockout *l, const struct lockout_rules *r, uint64_t now);
void lockout_success(struct lockout *l, uint64_t now);
/* True once, when the time of a lock has passed; it begins from nothing then. */
bool lockout_expire(struct lockout *l, uint64_t now);

#endif
