/*
 * guard_table: a bounded set of equally sized rows, found by a 128-bit key that nobody outside can choose.
 *
 * Each row has a class that says what it would cost to forget it. When the table is full, the oldest row of the lowest class
 * goes, so that a flood of cheap rows cannot push out dear ones. Rows do not move. The memory is reserved
 * once, touched only as it fills, and left out of core dumps. No locks here: the caller has one.
 */
#ifndef POSTERN_GUARD_TABLE_H
#define POSTERN_GUARD_TABLE_H

#include "guard_mac.h"

#define TABLE_CLASSES 6
#define TABLE_PINNED (TABLE_CLASSES - 1) /* never forgotten: somebody points to it */

/* First in every row. */
struct table_row {
    struct mac key;
    uint32_t chain, newer, older; /* row numbers; 0: none */
    uint8_t class;
};

struct table_list {
    uint32_t newest, oldest, n;
};

struct guard_table {
    char *rows; /* one mapping with the buckets behind */
    uint32_t *buckets;
    size_t row_size, mapped;
    uint32_t mask, max, used, free; /* used: rows ever taken; free: chain of those given back */
    struct table_list lists[TABLE_CLASSES];
};

/* -1 without memory. `row_size`: a multiple of 8. */
int table_init(struct guard_table *t, size_t row_size, uint32_t max);
void table_destroy(struct guard_table *t);
uint32_t table_count(const struct guard_table *t);
void *table_find(const struct guard_table *t, const struct mac *key);
/* A cleared row as the newest of `class`; NULL when the table is full: take table_victim() out first. */
void *table_add(struct guard_table *t, const struct mac *key, unsigned class);
/* What is forgotten next; NULL when everything is pinned. */
void *table_victim(const struct guard_table *t);
void table_remove(struct guard_table *t, void *row);
/* The newest of `class` now. */
void table_touch(struct guard_table *t, void *row, unsigned class);
/* From the oldest to the newest of one class: NULL begins and ends. */
void *table_next(const struct guard_table *t, unsigned class, const void *row);

#endif
