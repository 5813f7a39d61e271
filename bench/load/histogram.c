#include "histogram.h"

#include <string.h>

static unsigned bucket_of(uint64_t v)
{
    if (v < 2 * HISTOGRAM_HALF)
        return (unsigned)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - 7;
    return shift * HISTOGRAM_HALF + (unsigned)(v >> shift);
}

static uint64_t bucket_upper(unsigned i)
{
    if (i < 2 * HISTOGRAM_HALF)
        return i;
    unsigned shift = i / HISTOGRAM_HALF - 1;
    uint64_t mantissa = i - shift * HISTOGRAM_HALF;
    return ((mantissa + 1) << shift) - 1;
}

void histogram_clear(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

void histogram_add(struct histogram *h, uint64_t value)
{
    if (value > HISTOGRAM_LARGEST)
        value = HISTOGRAM_LARGEST;
    if (h->total == 0 || value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
    h->total++;
    h->sum += (double)value;
    h->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    if (from->total == 0)
        return;
    if (to->total == 0 || from->min < to->min)
        to->min = from->min;
    if (from->max > to->max)
        to->max = from->max;
    to->total += from->total;
    to->sum += from->sum;
    for (unsigned i = bucket_of(from->min), last = bucket_of(from->max); i <= last; i++)
        to->buckets[i] += from->buckets[i];
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    if (h->total == 0)
        return 0;
    double exact = share * (double)h->total;
    uint64_t wanted = exact <= 1 ? 1 : (uint64_t)exact, seen = 0;
    wanted += (double)wanted < exact;
    if (wanted > h->total)
        wanted = h->total;
    unsigned i = bucket_of(h->min);
    for (; seen + h->buckets[i] < wanted; i++)
        seen += h->buckets[i];
    uint64_t upper = bucket_upper(i);
    return upper < h->max ? upper : h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->total ? h->sum / (double)h->total : 0;
}

void histogram_each(const struct histogram *h, void (*each)(uint64_t upper, uint64_t count, void *arg),
                    void *arg)
{
    if (h->total == 0)
        return;
    for (unsigned i = bucket_of(h->min), last = bucket_of(h->max); i <= last; i++)
        if (h->buckets[i])
            each(bucket_upper(i), h->buckets[i], arg);
}
