/*
 * Locks and known credentials of one account, by a clock that the test turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../../proxy/auth/credential_cache.h"
#include "../../../proxy/auth/lockout.h"

#define MINUTE UINT64_C(60000)

static const struct lockout_rules rules = {.failures = 4, .window = 30 * MINUTE, .lock_time = 30 * MINUTE};

/* ---- locks ---- */

static void the_fourth_locks(void **state)
{
    struct lockout l = {0};

    assert_false(lockout_fail(&l, &rules, 1000));
    assert_false(lockout_fail(&l, &rules, 2000));
    assert_false(lockout_fail(&l, &rules, 3000));
    assert_int_equal(lockout_failures(&l, &rules, 3000), 3);
    assert_false(lockout_locked(&l, 3000));
    assert_true(lockout_fail(&l, &rules, 4000));
    assert_true(lockout_locked(&l, 4000));
    assert_true(lockout_locked(&l, 4000 + 30 * MINUTE - 1));
    assert_false(lockout_locked(&l, 4000 + 30 * MINUTE));
}

static void a_success_resets(void **state)
{
    struct lockout l = {0};

    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 3; i++)
            assert_false(lockout_fail(&l, &rules, 1000));
        lockout_success(&l, 2000);
        assert_int_equal(lockout_failures(&l, &rules, 2000), 0);
    }
}

/* Added up as directories do: each failure within the window of the one before, however long it goes on. */
static void the_window_runs_from_the_latest_failure(void **state)
{
    struct lockout l = {0};
    uint64_t t = 1000;

    for (int i = 0; i < 3; i++, t += 29 * MINUTE)
        assert_false(lockout_fail(&l, &rules, t));
    assert_true(lockout_fail(&l, &rules, t)); /* 87 minutes after the first */

    l = (struct lockout){0};
    t = 1000;
    for (int i = 0; i < 50; i++, t += 30 * MINUTE + 1)
        assert_false(lockout_fail(&l, &rules, t)); /* too far apart */
}

static void a_lock_does_not_slide(void **state)
{
    struct lockout l = {0};
    uint64_t t = 1000, until;

    for (int i = 0; i < 4; i++)
        (void)lockout_fail(&l, &rules, t);
    until = l.until_ms;
    for (; t < until; t += MINUTE) {
        assert_false(lockout_fail(&l, &rules, t));
        lockout_success(&l, t); /* nor does it end sooner */
        assert_false(lockout_expire(&l, t));
        assert_int_equal(l.until_ms, until);
    }
    assert_true(lockout_expire(&l, until));
    assert_false(lockout_expire(&l, until)); /* once */
    /* and it begins from nothing, although the last attempt was a moment ago */
    for (int i = 0; i < 3; i++)
        assert_false(lockout_fail(&l, &rules, until + 1));
    assert_true(lockout_fail(&l, &rules, until + 2));
}

static void zero_never_locks(void **state)
{
    struct lockout_rules never = rules;
    struct lockout l = {0};

    never.failures = 0;
    for (int i = 0; i < 100000; i++)
        assert_false(lockout_fail(&l, &never, 1000));
    assert_false(lockout_locked(&l, 1000));
}

static void clocks_of_two_threads_may_differ(void **state)
{
    struct lockout l = {0};

    (void)lockout_fail(&l, &rules, 5000);
    assert_int_equal(lockout_failures(&l, &rules, 4990), 1);
    (void)lockout_fail(&l, &rules, 4990);
    assert_int_equal(lockout_failures(&l, &rules, 5000), 2);
}

/* ---- known credentials ---- */

static struct mac mac(unsigned char i)
{
    return (struct mac){{i, i}};
}

static bool fresh(struct credential_cache *c, unsigned char i, uint64_t now)
{
    struct mac m = mac(i);
    const struct proved *p = cache_proved(c, &m, now);

    return p != NULL && p->fresh_until_ms > now;
}

static bool formerly(struct credential_cache *c, unsigned char i, uint64_t now)
{
    struct mac m = mac(i);

    return cache_proved(c, &m, now) != NULL;
}

static bool wrong(struct credential_cache *c, unsigned char i, uint64_t now)
{
    struct mac m = mac(i);

    return cache_wrong(c, &m, now) != NULL;
}

static void prove_form(struct credential_cache *c, unsigned char i, uint64_t password, uint64_t now)
{
    struct mac m = mac(i);

    cache_prove(c, &m, password, 5, 5 * MINUTE, now);
}

static void prove(struct credential_cache *c, unsigned char i, uint64_t now)
{
    prove_form(c, i, i, now);
}

static void refute(struct credential_cache *c, unsigned char i, uint64_t now)
{
    struct mac m = mac(i);

    cache_refute(c, &m, 10 * MINUTE, 60 * MINUTE, now);
}

static void right_for_five_minutes_at_most(void **state)
{
    struct credential_cache c = {0};
    uint64_t t = 1000;

    prove(&c, 1, t);
    assert_true(fresh(&c, 1, t + 5 * MINUTE - 1));
    assert_false(fresh(&c, 1, t + 5 * MINUTE)); /* however often it was used meanwhile */
    assert_true(formerly(&c, 1, t + 5 * MINUTE));
    assert_true(formerly(&c, 1, t + FORMERLY_MS));
    assert_false(formerly(&c, 1, t + FORMERLY_MS + 1));
    assert_false(formerly(&c, 2, t));
}

static void a_new_password_makes_the_old_one_doubtful(void **state)
{
    struct credential_cache c = {0};

    prove(&c, 1, 1000);
    prove(&c, 2, 2000);
    assert_true(fresh(&c, 2, 2000));
    assert_false(fresh(&c, 1, 2000));
    assert_true(formerly(&c, 1, 2000));
    prove(&c, 3, 3000); /* two are kept: the oldest goes */
    assert_false(formerly(&c, 1, 3000));
    assert_true(formerly(&c, 2, 3000));
}

static void doubted_and_refuted(void **state)
{
    struct credential_cache c = {0};
    struct mac m = mac(1);

    prove(&c, 1, 1000);
    cache_doubt(&c, &m);
    assert_false(fresh(&c, 1, 1001));
    assert_true(formerly(&c, 1, 1001));
    prove(&c, 1, 2000);
    refute(&c, 1, 3000);
    assert_false(formerly(&c, 1, 3000));
    assert_true(wrong(&c, 1, 3000));
    prove(&c, 1, 4000); /* the old guess has become right */
    assert_false(wrong(&c, 1, 4000));
    assert_true(fresh(&c, 1, 4000));
}

/* One attempt gets through after the time, and twice the time after that. */
static void wrong_for_longer_each_time(void **state)
{
    static const uint64_t waits[] = {10, 20, 40, 60, 60};
    struct credential_cache c = {0};
    uint64_t t = 1000;

    for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        refute(&c, 1, t);
        assert_true(wrong(&c, 1, t + waits[i] * MINUTE - 1));
        assert_false(wrong(&c, 1, t + waits[i] * MINUTE));
        t += waits[i] * MINUTE;
    }
    refute(&c, 2, t); /* another guess begins anew */
    assert_false(wrong(&c, 2, t + 10 * MINUTE));
}

static void guesses_do_not_push_out_what_repeats(void **state)
{
    struct credential_cache c = {0};
    struct mac m = mac(1);
    uint64_t t = 1000;

    refute(&c, 1, t);
    for (unsigned char i = 2; i < 100; i++, t += 1000) {
        struct known_wrong *w;
        refute(&c, i, t);
        w = cache_wrong(&c, &m, t);
        assert_non_null(w);
        w->seen_ms = t + 1; /* the phone asks again */
    }
    assert_true(wrong(&c, 1, t));
    assert_true(wrong(&c, 99, t));
    assert_false(wrong(&c, 2, t));
}

static void forms_of_one_password(void **state)
{
    struct credential_cache c = {0};

    prove_form(&c, 1, 7, 1000);
    assert_false(formerly(&c, 2, 1000)); /* each is proved by itself */
    prove_form(&c, 2, 7, 1000);
    assert_true(fresh(&c, 1, 1000) && fresh(&c, 2, 1000));
    prove_form(&c, 3, 8, 2000); /* the password has changed */
    assert_true(fresh(&c, 3, 2000));
    assert_false(fresh(&c, 1, 2000) || fresh(&c, 2, 2000));
}

static void zero_remembers_nothing(void **state)
{
    struct credential_cache c = {0};
    struct mac m = mac(1);

    cache_refute(&c, &m, 0, 0, 1000);
    assert_false(wrong(&c, 1, 1000));
    cache_prove(&c, &m, 1, 0, 0, 1000);
    assert_false(fresh(&c, 1, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fourth_locks),
        cmocka_unit_test(a_success_resets),
        cmocka_unit_test(the_window_runs_from_the_latest_failure),
        cmocka_unit_test(a_lock_does_not_slide),
        cmocka_unit_test(zero_never_locks),
        cmocka_unit_test(clocks_of_two_threads_may_differ),
        cmocka_unit_test(right_for_five_minutes_at_most),
        cmocka_unit_test(a_new_password_makes_the_old_one_doubtful),
        cmocka_unit_test(doubted_and_refuted),
        cmocka_unit_test(wrong_for_longer_each_time),
        cmocka_unit_test(guesses_do_not_push_out_what_repeats),
        cmocka_unit_test(forms_of_one_password),
        cmocka_unit_test(zero_remembers_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
