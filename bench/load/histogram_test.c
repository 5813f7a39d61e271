/* Percentiles of the histogram against exact ones, of sorted values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "histogram.h"

#define MANY 50000

static uint64_t seed;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static uint64_t exact_at(const uint64_t *sorted, size_t n, double share)
{
    size_t wanted = (size_t)(share * (double)n);
    wanted += (double)wanted < share * (double)n;
    return sorted[wanted ? wanted - 1 : 0];
}

static const double shares[] = {0, 0.0001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1};

/* Never below the exact value, at most 1/128 above it. */
static void check_against(uint64_t *values, size_t n, const struct histogram *h)
{
    qsort(values, n, sizeof *values, by_size);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        uint64_t exact = exact_at(values, n, shares[i]), got = histogram_at(h, shares[i]);
        assert_true(got >= exact);
        assert_true(got - exact <= exact / 128);
    }
    assert_int_equal(h->min, values[0]);
    assert_int_equal(h->max, values[n - 1]);
    assert_int_equal(h->total, n);
}

static void fill_and_check(uint64_t (*value)(size_t i))
{
    uint64_t *values = malloc(MANY * sizeof *values);
    struct histogram *h = calloc(1, sizeof *h);
    double sum = 0;
    assert_true(values && h);
    for (size_t i = 0; i < MANY; i++) {
        values[i] = value(i);
        sum += (double)values[i];
        histogram_add(h, values[i]);
    }
    check_against(values, MANY, h);
    assert_true(histogram_mean(h) >= sum / MANY * 0.999999 && histogram_mean(h) <= sum / MANY * 1.000001);
    free(values);
    free(h);
}

static uint64_t small(size_t i)
{
    return next_random() % 300;
}

static uint64_t uniform(size_t i)
{
    return next_random() % 5000000000;
}

/* As latencies are: most near each other, a few a thousand times as long. */
static uint64_t long_tail(size_t i)
{
    return 40000 + next_random() % 9000 + (i % 100 == 0 ? next_random() % 90000000 : 0);
}

static uint64_t all_sizes(size_t i)
{
    return next_random() >> (20 + next_random() % 44);
}

static uint64_t constant(size_t i)
{
    return 123456;
}

static uint64_t climbing(size_t i)
{
    return i * i;
}

static void test_percentiles(void **state)
{
    uint64_t (*const distributions[])(size_t) = {small, uniform, long_tail, all_sizes, constant, climbing};
    seed = 88172645463325252;
    for (size_t i = 0; i < sizeof distributions / sizeof *distributions; i++)
        fill_and_check(distributions[i]);
}

static void test_edges(void **state)
{
    struct histogram *h = calloc(1, sizeof *h);
    assert_non_null(h);
    assert_int_equal(histogram_at(h, 0.5), 0);
    assert_true(histogram_mean(h) == 0);
    histogram_add(h, 0);
    assert_int_equal(histogram_at(h, 1), 0);
    histogram_add(h, UINT64_MAX);
    assert_int_equal(histogram_at(h, 1), HISTOGRAM_LARGEST);
    assert_int_equal(h->total, 2);
    histogram_clear(h);
    assert_int_equal(h->total, 0);
    free(h);
}

static void test_merge(void **state)
{
    struct histogram *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b), *both = calloc(1, sizeof *both);
    assert_true(a && b && both);
    seed = 42;
    for (size_t i = 0; i < MANY; i++) {
        uint64_t v = long_tail(i);
        histogram_add(i % 3 ? a : b, v);
        histogram_add(both, v);
    }
    histogram_merge(a, b);
    assert_int_equal(a->total, both->total);
    assert_int_equal(a->min, both->min);
    assert_int_equal(a->max, both->max);
    assert_memory_equal(a->buckets, both->buckets, sizeof a->buckets);
    histogram_clear(b);
    histogram_merge(a, b);
    assert_int_equal(a->total, both->total);
    histogram_merge(b, a);
    assert_int_equal(b->min, both->min);
    free(a);
    free(b);
    free(both);
}

struct walk {
    uint64_t last, sum;
};

static void step(uint64_t upper, uint64_t count, void *arg)
{
    struct walk *w = arg;
    assert_true(w->sum == 0 || upper > w->last);
    assert_true(count > 0);
    w->last = upper;
    w->sum += count;
}

static void test_each(void **state)
{
    struct histogram *h = calloc(1, sizeof *h);
    struct walk w = {0};
    assert_non_null(h);
    seed = 7;
    for (size_t i = 0; i < MANY; i++)
        histogram_add(h, all_sizes(i));
    histogram_each(h, step, &w);
    assert_int_equal(w.sum, MANY);
    assert_true(w.last >= h->max);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
