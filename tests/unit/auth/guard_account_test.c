/*
 * What follows from an account's past for the next attempt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../../proxy/auth/guard_account.h"

#define MINUTE UINT64_C(60000)
#define OWNER_PLACE 0x1111
#define OWNER_PHONE 0x2222
#define STRANGE_PLACE 0x9999
#define PASSWORD 1 /* the right one; others are guesses */

static const struct conf_guard numbers = {
    .cache_time = 5 * MINUTE,
    .known_wrong_time = 10 * MINUTE,
    .known_wrong_longest = 60 * MINUTE,
    .account_failures = 4,
    .account_window = 30 * MINUTE,
    .account_lock_time = 30 * MINUTE,
};

static struct mac mac(unsigned i)
{
    struct mac m = {{0}};

    memcpy(m.b, &i, sizeof(i));
    return m;
}

static struct account_attempt attempt(unsigned credential, uint64_t place)
{
    return (struct account_attempt){.credential = mac(credential), .places = {place}};
}

static enum account_step consider(struct guard_account *a, struct account_attempt t, uint64_t now)
{
    const struct proved *p = NULL;
    enum account_step s = account_consider(a, &numbers, &t, now, &p);

    if (s == STEP_PROVED)
        assert_non_null(p);
    return s;
}

static enum account_step try(struct guard_account *a, unsigned credential, uint64_t place, uint64_t now)
{
    return consider(a, attempt(credential, place), now);
}

/* As the directory would have it: PASSWORD is right. Returns whether it was asked. */
static bool ask(struct guard_account *a, unsigned credential, uint64_t place, uint64_t now)
{
    enum account_step s = try(a, credential, place, now);
    struct mac m = mac(credential);

    if (s != STEP_ASK && s != STEP_ASK_AGAIN)
        return false;
    if (account_begin(a, &numbers, s == STEP_ASK_AGAIN, false, now) != STEP_ASK)
        return false;
    a->running--;
    if (credential == PASSWORD) {
        account_right(a, &numbers, &m, credential, 0, now);
        account_add_place(a, place);
    } else {
        (void)account_wrong(a, &numbers, &m, AUTH_DETAIL_WRONG_PASSWORD, 1, s == STEP_ASK_AGAIN, now);
    }
    return true;
}

static void lock(struct guard_account *a, uint64_t now)
{
    for (unsigned i = 0; i < 4; i++)
        assert_true(ask(a, 1000 + i, STRANGE_PLACE, now));
    assert_true(lockout_locked(&a->lockout, now));
}

/* ---- without a lock ---- */

static void right_is_asked_once_in_five_minutes(void **state)
{
    struct guard_account a = {0};
    unsigned asked = 0;

    for (uint64_t t = 1000; t < 1000 + 60 * MINUTE; t += 1000)
        asked += ask(&a, PASSWORD, OWNER_PLACE, t);
    assert_int_equal(asked, 12);
}

/* Once a minute for two days, as phones do. */
static void an_old_password_is_asked_seldom(void **state)
{
    struct guard_account a = {0};
    unsigned asked = 0, in_first_hour = 0;

    for (uint64_t t = 1000; t < 1000 + 48 * 60 * MINUTE; t += 1000) {
        asked += ask(&a, 7, OWNER_PHONE, t);
        if (t < 60 * MINUTE)
            in_first_hour = asked;
        assert_false(lockout_locked(&a.lockout, t)); /* and it never locks the account by itself */
    }
    assert_int_equal(in_first_hour, 3); /* at 0, 10 and 30 minutes */
    assert_in_range(asked, 48, 52);
    assert_true(a.cache.wrong[0].times > 1000);
}

static void an_old_guess_may_become_right(void **state)
{
    struct guard_account a = {0};
    struct mac m = mac(PASSWORD);

    (void)account_wrong(&a, &numbers, &m, AUTH_DETAIL_WRONG_PASSWORD, 1, false, 1000); /* before the change */
    assert_int_equal(try(&a, PASSWORD, OWNER_PLACE, 2000), STEP_KNOWN_WRONG);
    assert_int_equal(try(&a, PASSWORD, OWNER_PLACE, 1000 + 10 * MINUTE), STEP_ASK);
    assert_true(ask(&a, PASSWORD, OWNER_PLACE, 1000 + 10 * MINUTE));
    assert_int_equal(try(&a, PASSWORD, OWNER_PLACE, 1001 + 10 * MINUTE), STEP_PROVED);
}

/* Hundreds at once: no more may be with the directory than may still fail. */
static void parallel_guesses_are_held(void **state)
{
    struct guard_account a = {0};
    unsigned begun = 0;

    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(try(&a, 100 + i, STRANGE_PLACE, 1000), STEP_ASK);
        begun += account_begin(&a, &numbers, false, false, 1000) == STEP_ASK;
    }
    assert_int_equal(begun, 4);
    assert_int_equal(account_begin(&a, &numbers, false, false, 1000), STEP_HOLD);
    for (unsigned i = 0; i < 4; i++) {
        struct mac m = mac(100 + i);
        a.running--;
        assert_int_equal(account_wrong(&a, &numbers, &m, AUTH_DETAIL_WRONG_PASSWORD, 1, false, 2000), i == 3);
    }
    assert_int_equal(account_begin(&a, &numbers, false, false, 3000),
                     STEP_LOCKED); /* what waited in the queue */
}

static void other_refusals_are_no_guesses(void **state)
{
    static const enum auth_detail details[] = {AUTH_DETAIL_PASSWORD_EXPIRED, AUTH_DETAIL_MUST_CHANGE_PASSWORD,
                                               AUTH_DETAIL_ACCOUNT_DISABLED, AUTH_DETAIL_NOT_NOW};
    struct guard_account a = {0};

    for (unsigned i = 0; i < 40; i++) {
        struct mac m = mac(50 + i);
        assert_false(account_wrong(&a, &numbers, &m, details[i % 4], 1, false, 1000));
    }
    assert_false(lockout_locked(&a.lockout, 1000));
    assert_int_equal(a.lockout.failures, 0);
}

static void two_charsets_only_where_there_is_room(void **state)
{
    struct guard_account a = {0};
    struct mac m = mac(60);

    assert_int_equal(account_begin(&a, &numbers, false, false, 1000), STEP_ASK);
    assert_true(account_may_fail_twice(&a, &numbers, 1000));
    a.running--;
    assert_false(account_wrong(&a, &numbers, &m, AUTH_DETAIL_WRONG_PASSWORD, 2, false, 1000));
    assert_int_equal(a.lockout.failures, 2);
    assert_int_equal(account_begin(&a, &numbers, false, false, 1000), STEP_ASK);
    assert_false(account_may_fail_twice(&a, &numbers, 1000)); /* the second would lock */
}

/* ---- locked ---- */

static void locked_asks_nobody(void **state)
{
    struct guard_account a = {0};

    lock(&a, 1000);
    for (unsigned i = 0; i < 1000; i++)
        assert_false(ask(&a, 5000 + i, STRANGE_PLACE, 2000));
    assert_false(ask(&a, PASSWORD, OWNER_PLACE, 2000)); /* not known to be right */
    assert_true(account_expire(&a, 1000 + 30 * MINUTE));
    assert_true(ask(&a, PASSWORD, OWNER_PLACE, 1000 + 30 * MINUTE));
}

/* An attacker must not be able to lock the owner out of mail. */
static void the_owner_goes_on_while_strangers_attack(void **state)
{
    struct guard_account a = {0};
    uint64_t t = 1000;
    unsigned guess = 5000, asked = 0;

    assert_true(ask(&a, PASSWORD, OWNER_PLACE, t));
    lock(&a, t);
    for (; t < 1000 + 29 * MINUTE; t += 1000) {
        enum account_step s;
        for (int i = 0; i < 10; i++)
            assert_false(ask(&a, guess++, STRANGE_PLACE, t));
        s = try(&a, PASSWORD, OWNER_PLACE, t);
        if (s == STEP_ASK_AGAIN) { /* its five minutes are over */
            assert_true(ask(&a, PASSWORD, OWNER_PLACE, t));
            asked++;
        } else {
            assert_int_equal(s, STEP_PROVED);
        }
        assert_true(lockout_locked(&a.lockout, t)); /* which does not unlock it for strangers */
    }
    assert_in_range(asked, 5, 6);
}

/* The owner somewhere new: as long as nobody has tried too much there. */
static void a_new_place_while_locked(void **state)
{
    struct guard_account a = {0};

    assert_true(ask(&a, PASSWORD, OWNER_PLACE, 1000));
    lock(&a, 1000);
    assert_int_equal(try(&a, PASSWORD, STRANGE_PLACE, 2000), STEP_PROVED);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(try(&a, 200 + i, STRANGE_PLACE, 2000), STEP_LOCKED);
    assert_int_equal(try(&a, PASSWORD, STRANGE_PLACE, 2000), STEP_LOCKED);
    assert_int_equal(try(&a, PASSWORD, OWNER_PLACE, 2000), STEP_PROVED);
    /* a phone is known by its id, wherever it is */
    account_add_place(&a, OWNER_PHONE);
    assert_int_equal(
        consider(&a, (struct account_attempt){.credential = mac(PASSWORD), .places = {0x8888, OWNER_PHONE}},
                 2000),
        STEP_PROVED);
}

/* What is compared with the known password while locked is limited, or the cache would answer what the directory is not asked. */
static void the_cache_is_no_oracle(void **state)
{
    struct guard_account a = {0};
    unsigned compared = 0;

    assert_true(ask(&a, PASSWORD, OWNER_PLACE, 1000));
    lock(&a, 1000);
    for (unsigned i = 0; i < 10000; i++) {
        (void)try(&a, 3000 + i, i % 2 ? STRANGE_PLACE : OWNER_PLACE, 2000);
        compared = a.probes_strange + a.probes_known;
    }
    assert_int_equal(compared, 4 + 8);
    assert_int_equal(try(&a, PASSWORD, STRANGE_PLACE, 2000), STEP_LOCKED);
    assert_int_equal(try(&a, PASSWORD, OWNER_PLACE, 2000),
                     STEP_LOCKED); /* guesses from where the owner is: the price */
}

static void a_phone_that_repeats_uses_up_nothing(void **state)
{
    struct guard_account a = {0};

    assert_true(ask(&a, PASSWORD, OWNER_PLACE, 1000));
    lock(&a, 1000);
    for (unsigned i = 0; i < 1000; i++) /* the owner's other phone, with a password nobody has judged yet */
        assert_int_equal(try(&a, 77, OWNER_PLACE, 2000 + i), STEP_LOCKED);
    assert_int_equal(a.probes_known, 1);
    assert_int_equal(try(&a, PASSWORD, OWNER_PLACE, 4000), STEP_PROVED);
}

/* Of formerly right ones that have become wrong, the directory hears one. */
static void one_more_failure_at_most_while_locked(void **state)
{
    struct guard_account a = {0};
    struct mac old = mac(2);
    uint64_t t = 1000 + 6 * MINUTE;

    account_right(&a, &numbers, &old, 2, 0, 1000);
    account_right(&a, &numbers, &(struct mac){{3}}, 3, 0, 1000);
    account_add_place(&a, OWNER_PLACE);
    lock(&a, 1000);
    assert_int_equal(try(&a, 2, OWNER_PLACE, t), STEP_ASK_AGAIN);
    assert_int_equal(try(&a, 3, OWNER_PLACE, t), STEP_ASK_AGAIN);
    assert_int_equal(account_begin(&a, &numbers, true, false, t), STEP_ASK);
    assert_int_equal(account_begin(&a, &numbers, true, false, t), STEP_HOLD);
    a.running--;
    assert_false(account_wrong(&a, &numbers, &old, AUTH_DETAIL_WRONG_PASSWORD, 1, true, t));
    assert_int_equal(try(&a, 3, OWNER_PLACE, t), STEP_LOCKED);
    assert_int_equal(account_begin(&a, &numbers, true, false, t), STEP_LOCKED);
}

static void locked_addresses_compare_nothing(void **state)
{
    struct guard_account a = {0};
    struct account_attempt t = attempt(PASSWORD, STRANGE_PLACE);

    assert_true(ask(&a, PASSWORD, OWNER_PLACE, 1000));
    t.braked = true;
    assert_int_equal(consider(&a, t, 2000), STEP_BRAKED); /* right, but a sprayer must not learn it */
    t.places[0] = OWNER_PLACE;
    assert_int_equal(consider(&a, t, 2000), STEP_PROVED); /* the owner behind the same gateway */
    t.credential = mac(9);
    assert_int_equal(consider(&a, t, 2000), STEP_BRAKED);
}

static void exempt_networks(void **state)
{
    struct guard_account a = {0};
    struct account_attempt t = attempt(PASSWORD, STRANGE_PLACE);

    lock(&a, 1000);
    t.exempt = true;
    assert_int_equal(consider(&a, t, 2000), STEP_ASK);
    assert_int_equal(account_begin(&a, &numbers, false, true, 2000), STEP_ASK);
    t.credential = mac(1000);
    assert_int_equal(consider(&a, t, 2000), STEP_KNOWN_WRONG);
}

static void unlocked_by_command(void **state)
{
    struct guard_account a = {0};

    lock(&a, 1000);
    assert_true(account_unlock(&a, 2000));
    assert_false(account_unlock(&a, 2000));
    assert_int_equal(try(&a, 1000, STRANGE_PLACE, 2000), STEP_ASK); /* known wrong ones too are asked again */
    assert_int_equal(account_class(&a, &numbers, 2000), ACCOUNT_EMPTY);
}

static void classes(void **state)
{
    struct guard_account a = {0};
    struct mac m = mac(PASSWORD);

    assert_int_equal(account_class(&a, &numbers, 1000), ACCOUNT_EMPTY);
    (void)ask(&a, 7, STRANGE_PLACE, 1000);
    assert_int_equal(account_class(&a, &numbers, 1000), ACCOUNT_FAILED);
    account_right(&a, &numbers, &m, PASSWORD, 0, 1000);
    assert_int_equal(account_class(&a, &numbers, 1000), ACCOUNT_PROVED);
    (void)ask(&a, 8, STRANGE_PLACE, 1000);
    (void)ask(&a, 9, STRANGE_PLACE, 1000);
    assert_int_equal(account_class(&a, &numbers, 1000), ACCOUNT_FAILING);
    assert_int_equal(account_class(&a, &numbers, 1000 + 40 * MINUTE), ACCOUNT_PROVED); /* failures age */
    lock(&(struct guard_account){0}, 1000);
    a.flights = (struct guard_flight *)&a;
    assert_int_equal(account_class(&a, &numbers, 1000), ACCOUNT_PINNED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_is_asked_once_in_five_minutes),
        cmocka_unit_test(an_old_password_is_asked_seldom),
        cmocka_unit_test(an_old_guess_may_become_right),
        cmocka_unit_test(parallel_guesses_are_held),
        cmocka_unit_test(other_refusals_are_no_guesses),
        cmocka_unit_test(two_charsets_only_where_there_is_room),
        cmocka_unit_test(locked_asks_nobody),
        cmocka_unit_test(the_owner_goes_on_while_strangers_attack),
        cmocka_unit_test(a_new_place_while_locked),
        cmocka_unit_test(the_cache_is_no_oracle),
        cmocka_unit_test(a_phone_that_repeats_uses_up_nothing),
        cmocka_unit_test(one_more_failure_at_most_while_locked),
        cmocka_unit_test(locked_addresses_compare_nothing),
        cmocka_unit_test(exempt_networks),
        cmocka_unit_test(unlocked_by_command),
        cmocka_unit_test(classes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
