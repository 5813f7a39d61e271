/*
 * rule_counters: how often each rule has matched, by name, for the life of the process. Counting: any thread; finding a counter
 * takes a lock.
 */
#ifndef POSTERN_RULE_COUNTERS_H
#define POSTERN_RULE_COUNTERS_H

#include <stdint.h>
#include <postern/str.h>

#define RULE_NAME_MAX 64

struct rule_counter {
    char name[RULE_NAME_MAX + 1];
    uint64_t denied, observed; /* atomic */
};

/* The name's counter, a new one at first; never NULL, never freed. */
struct rule_counter *rule_counter_of(struct str name);

#endif
