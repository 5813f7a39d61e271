/*
 * Deadlines: never early, at most a tick late, however far away, and whatever callbacks do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <postern/wheel.h>

#define TICK WHEEL_TICK_MS
#define HOUR UINT64_C(3600000)
#define DAY (24 * HOUR)

static struct wheel wheel;

struct mark {
    struct wheel_node node; /* first */
    uint64_t due, fired_at; /* UINT64_MAX: not yet */
    unsigned fired;
    struct mark *cancels;
    uint64_t again; /* > 0: armed again, that far away */
    bool once;
};

static void fire(struct wheel_node *n)
{
    struct mark *m = (struct mark *)(void *)n;

    assert_false(wheel_armed(n));
    m->fired++;
    m->fired_at = wheel.now;
    if (m->cancels != NULL)
        wheel_cancel(&wheel, &m->cancels->node);
    if (m->again > 0) {
        m->due = wheel.now + m->again;
        wheel_arm(&wheel, &m->node, m->again, fire);
        if (m->once)
            m->again = 0;
    }
}

static void arm(struct mark *m, uint64_t after)
{
    m->due = wheel.now + after;
    m->fired_at = UINT64_MAX;
    wheel_arm(&wheel, &m->node, after, fire);
}

/* As the worker does: sleeps as long as it may, and a little longer. */
static void run_until(uint64_t end, uint64_t late)
{
    while (wheel.now < end) {
        uint64_t next = wheel_next(&wheel), step;

        step = next == UINT64_MAX || next > end - wheel.now ? end - wheel.now : next;
        wheel_advance(&wheel, wheel.now + (step > 0 ? step : 1) + late);
    }
}

static void check_fired(const struct mark *m)
{
    assert_int_equal(m->fired, 1);
    assert_true(m->fired_at >= m->due);
    assert_true(m->fired_at <= m->due + TICK);
}

/* ---- one deadline ---- */

static void test_every_distance(void **state)
{
    static const uint64_t away[] = {0,
                                    1,
                                    15,
                                    16,
                                    17,
                                    1000,
                                    1023,
                                    1024,
                                    1025,
                                    16 * 63,
                                    16 * 64,
                                    16 * 65,
                                    65535,
                                    65536,
                                    65537,
                                    16 * 4095,
                                    16 * 4096,
                                    16 * 4097,
                                    HOUR,
                                    12 * HOUR,
                                    16 * 262143,
                                    16 * 262144,
                                    16 * 262145,
                                    DAY,
                                    3 * DAY,
                                    16 * UINT64_C(16777215),
                                    16 * UINT64_C(16777216),
                                    16 * UINT64_C(16777217),
                                    4 * DAY};
    static const uint64_t starts[] = {0, 1, 16, 1008, 65535, 123456789, 16 * UINT64_C(16777216) - 1};

    for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
        for (size_t i = 0; i < sizeof(away) / sizeof(away[0]); i++) {
            struct mark m = {0};

            if (away[i] > HOUR && s % 6 != 0) /* each of these takes a while */
                continue;
            wheel_init(&wheel, starts[s]);
            arm(&m, away[i]);
            assert_true(wheel_armed(&m.node));
            assert_true(wheel_next(&wheel) <= away[i] + TICK);
            run_until(m.due + 2 * TICK, 0);
            check_fired(&m);
            assert_int_equal(wheel.armed, 0);
            assert_true(wheel_next(&wheel) == UINT64_MAX);
        }
    }
}

/* The loop was held up: late, but not lost, and in one go. */
static void test_after_a_jump(void **state)
{
    static const uint64_t jumps[] = {1, 100, 5000, 70000, 2 * HOUR, 9 * DAY};

    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct mark before = {0}, after = {0};

        wheel_init(&wheel, 777);
        arm(&before, jumps[i]);
        arm(&after, jumps[i] + 3 * TICK);
        wheel_advance(&wheel, 777 + jumps[i] + TICK);
        assert_int_equal(before.fired, 1);
        assert_int_equal(after.fired, 0);
        run_until(after.due + TICK, 0);
        check_fired(&after);
    }
}

static void test_for_ever(void **state)
{
    struct mark m = {0};

    wheel_init(&wheel, 1000);
    arm(&m, UINT64_MAX);
    arm(&m, UINT64_MAX - 999); /* no overflow into the past */
    wheel_advance(&wheel, 1000 + 9 * DAY);
    assert_int_equal(m.fired, 0);
    wheel_cancel(&wheel, &m.node);
    assert_int_equal(wheel.armed, 0);
}

static void test_clock_goes_back(void **state)
{
    struct mark m = {0};

    wheel_init(&wheel, 100000);
    arm(&m, 100);
    wheel_advance(&wheel, 50000);
    assert_int_equal(wheel.now, 100000);
    assert_int_equal(m.fired, 0);
    run_until(100200, 0);
    check_fired(&m);
}

/* ---- arming, moving, cancelling ---- */

static void test_moved_and_cancelled(void **state)
{
    struct mark a = {0}, b = {0};

    wheel_init(&wheel, 0);
    arm(&a, 100);
    arm(&a, 5000); /* moved */
    assert_int_equal(wheel.armed, 1);
    run_until(4900, 0);
    assert_int_equal(a.fired, 0);
    arm(&a, 10);
    run_until(5000, 0);
    check_fired(&a);
    arm(&b, 100);
    wheel_cancel(&wheel, &b.node);
    wheel_cancel(&wheel, &b.node);
    run_until(10000, 0);
    assert_int_equal(b.fired, 0);
    assert_int_equal(wheel.armed, 0);
}

static void test_in_callbacks(void **state)
{
    struct mark a = {0}, b = {0}, c = {0}, self = {0};

    /* Each cancels the other; which one comes first is not said, but exactly one comes. */
    wheel_init(&wheel, 0);
    a.cancels = &b;
    b.cancels = &a;
    arm(&a, 100);
    arm(&b, 100);
    run_until(1000, 0);
    assert_int_equal(a.fired + b.fired, 1);
    assert_int_equal(wheel.armed, 0);
    /* One cancels what is due much later, and itself. */
    self.cancels = &self;
    a = (struct mark){.cancels = &c};
    arm(&c, 5000);
    arm(&a, 10);
    arm(&self, 10);
    run_until(10000, 0);
    assert_int_equal(c.fired, 0);
    assert_int_equal(self.fired, 1);
    /* One arms itself again: not in the same turn for ever. */
    a = (struct mark){.again = 1};
    arm(&a, 1);
    wheel_advance(&wheel, wheel.now + 2 * TICK);
    assert_in_range(a.fired, 1, 3);
    a.again = 0;
    run_until(wheel.now + 1000, 0);
    assert_int_equal(wheel.armed, 0);
}

static void test_again_and_again(void **state)
{
    struct mark m = {.again = 1000};

    wheel_init(&wheel, 5);
    arm(&m, 1000);
    run_until(100000, 0);
    assert_in_range(m.fired, 97, 99);
    wheel_cancel(&wheel, &m.node);
}

/* ---- many, at random, against what was asked for ---- */

#define MARKS 500

static uint32_t seed;

static uint32_t next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static uint64_t random_distance(void)
{
    static const uint64_t scales[] = {10, 100, 1000, 1000, 10000, 10000, 100000, HOUR};

    return (uint64_t)next_random() * scales[next_random() % 8] >> 24;
}

static void run_at_random(uint64_t late)
{
    struct mark *marks = calloc(MARKS, sizeof(*marks));
    size_t armed = 0;

    wheel_init(&wheel, next_random());
    for (unsigned round = 0; round < 1000; round++) {
        struct mark *m = &marks[next_random() % MARKS];

        if (next_random() % 4 == 0) {
            armed -= wheel_armed(&m->node);
            wheel_cancel(&wheel, &m->node);
        } else {
            armed += !wheel_armed(&m->node);
            m->fired = 0;
            arm(m, random_distance());
        }
        assert_int_equal(wheel.armed, armed);
        run_until(wheel.now + random_distance() / 64 + 1, late);
        for (size_t i = 0; i < MARKS; i++) {
            m = &marks[i];
            if (wheel_armed(&m->node)) {
                assert_true(m->due + TICK + late >= wheel.now);
            } else if (m->fired > 0) {
                assert_int_equal(m->fired, 1);
                assert_true(m->fired_at >= m->due && m->fired_at <= m->due + 2 * TICK + 2 * late);
                m->fired = 0;
                armed--;
            }
        }
    }
    for (size_t i = 0; i < MARKS; i++)
        wheel_cancel(&wheel, &marks[i].node);
    free(marks);
}

static void test_at_random(void **state)
{
    for (uint32_t i = 1; i <= 8; i++) {
        seed = i * 2654435761u;
        run_at_random(i % 2 == 0 ? 0 : 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_distance),
        cmocka_unit_test(test_after_a_jump),
        cmocka_unit_test(test_for_ever),
        cmocka_unit_test(test_clock_goes_back),
        cmocka_unit_test(test_moved_and_cancelled),
        cmocka_unit_test(test_in_callbacks),
        cmocka_unit_test(test_again_and_again),
        cmocka_unit_test(test_at_random),
    };

    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
