/*
 * Who is too slow, and when: an owner with a wheel as its clock, which looks only when pace_judge() told it to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <postern/pace.h>
#include <postern/wheel.h>

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

static const struct pace_limit limit = {240, 120 * SECOND};

struct peer {
    struct wheel wheel;
    struct wheel_node look;
    struct pace pace;
    uint64_t bytes, ended; /* ended: when it was found too slow; 0: never */
    unsigned looks;
};

static void look(struct wheel_node *n)
{
    struct peer *p = (struct peer *)((char *)n - offsetof(struct peer, look));
    uint64_t left = pace_judge(&p->pace, &limit, p->bytes, p->wheel.now);

    p->looks++;
    if (left == 0)
        p->ended = p->wheel.now;
    else if (left != UINT64_MAX)
        wheel_arm(&p->wheel, n, left, look);
}

static void peer_begin(struct peer *p)
{
    *p = (struct peer){.bytes = 77};
    wheel_init(&p->wheel, HOUR);
    pace_begin(&p->pace, p->bytes);
}

static void peer_wait(struct peer *p)
{
    pace_wait(&p->pace, p->wheel.now);
    if (!wheel_armed(&p->look))
        look(&p->look);
}

/* `bytes` every `every_ms`, for `ms`; how long it lasted. */
static uint64_t peer_send(struct peer *p, uint64_t bytes, uint64_t every_ms, uint64_t ms)
{
    uint64_t start = p->wheel.now;

    while (p->ended == 0 && p->wheel.now - start < ms) {
        wheel_advance(&p->wheel, p->wheel.now + every_ms);
        p->bytes += bytes;
    }
    return p->wheel.now - start;
}

static void test_silence_ends_with_the_grace(void **state)
{
    struct peer p;
    uint64_t t;

    peer_begin(&p);
    peer_wait(&p);
    t = peer_send(&p, 0, 100, HOUR);
    assert_true(t >= limit.grace_ms && t <= limit.grace_ms + SECOND);
    assert_int_equal(p.looks, 2); /* at the beginning, and at the end */
}

static void test_half_the_pace_lasts_twice_the_grace(void **state)
{
    struct peer p;
    uint64_t t;

    peer_begin(&p);
    peer_wait(&p);
    t = peer_send(&p, 12, 100, HOUR);
    assert_true(t >= 2 * limit.grace_ms - SECOND && t <= 2 * limit.grace_ms + 2 * SECOND);
    assert_true(p.looks < 40);
}

static void test_the_pace_itself_lasts(void **state)
{
    struct peer p;

    peer_begin(&p);
    peer_wait(&p);
    assert_int_equal(peer_send(&p, 24, 100, 10 * HOUR), 10 * HOUR);
    assert_int_equal(p.ended, 0);
    /* in large pieces, each just within the grace */
    peer_begin(&p);
    peer_wait(&p);
    assert_int_equal(peer_send(&p, 240 * 115, 115 * SECOND, 23 * HOUR), 23 * HOUR);
    assert_int_equal(p.ended, 0);
}

static void test_a_fast_beginning_pays_for_no_slow_end(void **state)
{
    struct peer p;
    uint64_t t;

    peer_begin(&p);
    peer_wait(&p);
    p.bytes += UINT64_C(10) << 30;
    t = peer_send(&p, 1, SECOND, HOUR);
    assert_true(p.ended != 0);
    assert_true(t <= 2 * limit.grace_ms + 10 * SECOND);
}

/* Only what is waited for counts: an hour of somebody else's silence is nothing. */
static void test_rest_does_not_count(void **state)
{
    struct peer p;
    uint64_t t;

    peer_begin(&p);
    peer_wait(&p);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(peer_send(&p, 0, 100, 11 * SECOND), 11 * SECOND);
        pace_rest(&p.pace, p.wheel.now);
        pace_rest(&p.pace, p.wheel.now);
        assert_int_equal(peer_send(&p, 0, 100, HOUR), HOUR);
        peer_wait(&p);
        peer_wait(&p);
    }
    assert_int_equal(p.ended, 0);
    t = peer_send(&p, 0, 100, HOUR); /* 110 s of 120 are used up */
    assert_true(t >= 9 * SECOND && t <= 11 * SECOND);
}

static void test_nobody_waits(void **state)
{
    struct pace p;

    pace_begin(&p, 0);
    assert_true(pace_judge(&p, &limit, 0, HOUR) == UINT64_MAX);
    assert_true(pace_judge(&p, &limit, 0, 99 * HOUR) == UINT64_MAX);
}

static void test_any_pace(void **state)
{
    static const struct pace_limit any = {0, 120 * SECOND};
    struct pace p;

    pace_begin(&p, 0);
    pace_wait(&p, 0);
    assert_true(pace_judge(&p, &any, 0, 99 * HOUR) == UINT64_MAX);
}

/* The largest that a configuration may ask for, over a week. */
static void test_no_overflow(void **state)
{
    static const struct pace_limit most = {UINT64_C(1) << 30, 24 * HOUR};
    struct pace p;

    pace_begin(&p, 0);
    pace_wait(&p, 0);
    assert_int_equal(pace_judge(&p, &most, 0, 23 * HOUR), HOUR + 1);
    assert_int_equal(pace_judge(&p, &most, 0, 7 * 24 * HOUR), 0);
    assert_true(pace_judge(&p, &most, UINT64_C(1) << 50, 7 * 24 * HOUR) == 24 * HOUR + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence_ends_with_the_grace),
        cmocka_unit_test(test_half_the_pace_lasts_twice_the_grace),
        cmocka_unit_test(test_the_pace_itself_lasts),
        cmocka_unit_test(test_a_fast_beginning_pays_for_no_slow_end),
        cmocka_unit_test(test_rest_does_not_count),
        cmocka_unit_test(test_nobody_waits),
        cmocka_unit_test(test_any_pace),
        cmocka_unit_test(test_no_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
