/*
 * histogram: how often each value came, log-linear: exact below 256, then 128 buckets to each power of two, so that a
 * value read back is at most 1/128 too high, whatever its size. Fixed memory, no allocation. One thread.
 * Values are nanoseconds here, but nothing depends on it.
 */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_HALF 128
#define HISTOGRAM_LARGEST ((UINT64_C(1) << 44) - 1) /* nearly five hours; more counts as this */
#define HISTOGRAM_BUCKETS (2 * HISTOGRAM_HALF + 36 * HISTOGRAM_HALF)

struct histogram {
    uint64_t total, min, max; /* min and max are exact */
    double sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The smallest value v of the buckets' upper ends such that at least `share` (0 to 1) of all values are <= v. 0 when empty. */
uint64_t histogram_at(const struct histogram *h, double share);
double histogram_mean(const struct histogram *h);
/* Calls with each bucket that is not empty: its upper end and its count, upwards. */
void histogram_each(const struct histogram *h, void (*each)(uint64_t upper, uint64_t count, void *arg),
                    void *arg);

#endif
