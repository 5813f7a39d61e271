/*
 * Addresses that fail: spraying, gateways, many strangers.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../../proxy/auth/guard_source.h"

#define MINUTE UINT64_C(60000)

static const struct conf_guard numbers = {
    .source_accounts = 10,
    .source_failures = 40,
    .source_window = 30 * MINUTE,
    .source_lock_time = 15 * MINUTE,
    .source_waiting = 64,
    .nat_allowance = 25,
    .strange_failures = 200,
};

/* Hashes that share no bit. */
static uint64_t hash(unsigned i)
{
    return i;
}

static enum source_count fails(struct guard_source *s, unsigned account, unsigned credential, uint64_t now)
{
    return source_fail(s, &numbers, hash(account), hash(credential), false, now);
}

static void the_tenth_account_locks(void **state)
{
    struct guard_source s = {0};

    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(fails(&s, i, i, 1000), SOURCE_COUNTED);
    assert_false(source_locked(&s, 1000));
    assert_int_equal(fails(&s, 9, 9, 2000), SOURCE_LOCKS);
    assert_true(source_locked(&s, 2000 + 15 * MINUTE - 1));
    assert_false(source_locked(&s, 2000 + 15 * MINUTE));
}

static void repeats_count_once(void **state)
{
    struct guard_source s = {0};

    for (unsigned i = 0; i < 100000; i++)
        (void)fails(&s, i % 9, i % 9, 1000 + i);
    assert_false(source_locked(&s, 101000));
    assert_int_equal(s.accounts, 9);
    assert_int_equal(s.credentials, 9);
}

static void many_guesses_at_few_accounts_lock_too(void **state)
{
    struct guard_source s = {0};

    for (unsigned i = 0; i < 39; i++)
        assert_int_equal(fails(&s, i % 3, i, 1000), SOURCE_COUNTED);
    assert_int_equal(fails(&s, 0, 39, 1000), SOURCE_LOCKS);
}

static void neither_window_nor_lock_slides(void **state)
{
    struct guard_source s = {0};
    uint64_t t, until;

    for (unsigned i = 0; i < 9; i++)
        (void)fails(&s, i, i, 1000 + i * 3 * MINUTE);
    /* 31 minutes after the first failure a new window has begun */
    assert_int_equal(fails(&s, 9, 9, 1000 + 31 * MINUTE), SOURCE_COUNTED);
    assert_int_equal(s.accounts, 1);
    for (unsigned i = 10; i < 19; i++)
        (void)fails(&s, i, i, 1000 + 32 * MINUTE);
    assert_true(source_locked(&s, 1000 + 32 * MINUTE));
    until = s.until_ms;
    for (t = 1000 + 32 * MINUTE; t < until; t += MINUTE) {
        assert_int_equal(fails(&s, (unsigned)t, (unsigned)t, t), SOURCE_SAME);
        assert_int_equal(s.until_ms, until);
        assert_false(source_expire(&s, t));
    }
    assert_true(source_expire(&s, until));
    assert_false(source_expire(&s, until));
    for (unsigned i = 20; i < 29; i++)
        assert_int_equal(fails(&s, i, i, until + 1), SOURCE_COUNTED);
}

/* 200 people behind one address, 40 of whose phones have an old password. */
static void gateways_have_credit(void **state)
{
    struct guard_source s = {0};

    for (unsigned i = 0; i < 200; i++)
        source_succeed(&s, &numbers, hash(i), 1000);
    assert_int_equal(source_good_count(&s), 200);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(fails(&s, i, 300 + i, 2000), SOURCE_COUNTED);
    for (unsigned i = 40; i < 59; i++)
        assert_int_equal(fails(&s, i, 300 + i, 2000), SOURCE_COUNTED);
    assert_int_equal(fails(&s, 59, 359, 2000), SOURCE_LOCKS); /* 10 + 25 % of 200 */
}

/* One stolen account does not buy a thousand guesses. */
static void the_same_success_counts_once(void **state)
{
    struct guard_source s = {0};

    for (unsigned i = 0; i < 9; i++) {
        for (int k = 0; k < 100; k++)
            source_succeed(&s, &numbers, hash(77), 1000);
        assert_int_equal(fails(&s, i, i, 1000), SOURCE_COUNTED);
    }
    assert_int_equal(fails(&s, 9, 9, 1000), SOURCE_LOCKS);
}

static void credit_lasts_one_window_longer(void **state)
{
    struct guard_source s = {0};
    uint64_t t = 1000;

    for (unsigned i = 0; i < 80; i++)
        source_succeed(&s, &numbers, hash(i), t);
    t += 31 * MINUTE;
    for (unsigned i = 0; i < 29; i++)
        assert_int_equal(fails(&s, i, i, t), SOURCE_COUNTED);
    t += 31 * MINUTE;
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(fails(&s, i, i, t), SOURCE_COUNTED);
    assert_int_equal(fails(&s, 9, 9, t), SOURCE_LOCKS);
}

static void strict_times(void **state)
{
    struct guard_source strange = {0}, good = {0};

    assert_int_equal(source_fail(&strange, &numbers, 1, 1, true, 1000), SOURCE_COUNTED);
    assert_int_equal(source_fail(&strange, &numbers, 1, 2, true, 1000),
                     SOURCE_COUNTED); /* its own account, mistyped */
    assert_int_equal(source_fail(&strange, &numbers, 2, 3, true, 1000), SOURCE_LOCKS);
    source_succeed(&good, &numbers, 1, 1000);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(source_fail(&good, &numbers, i, i, true, 1000), SOURCE_COUNTED);
}

static void strangers_raise_the_alarm_together(void **state)
{
    struct strange_count c = {0};
    bool over;

    for (unsigned i = 0; i < 199; i++)
        assert_false(strange_fail(&c, &numbers, 1000 + i));
    assert_true(strange_fail(&c, &numbers, 2000));
    assert_false(strange_fail(&c, &numbers, 3000)); /* said once */
    assert_true(strange_alarm(&c, &numbers, 3000, &over));
    assert_false(over);
    assert_false(strange_alarm(&c, &numbers, 1000 + 31 * MINUTE, &over));
    assert_true(over);
    assert_false(strange_alarm(&c, &numbers, 1000 + 31 * MINUTE, &over));
    assert_false(over);
}

static void few_wait_from_one_address(void **state)
{
    struct guard_source s = {.waiting = 63};

    assert_true(source_may_wait(&s, &numbers));
    s.waiting = 64;
    assert_false(source_may_wait(&s, &numbers));
    source_succeed(&s, &numbers, 1, 1000);
    assert_true(source_may_wait(&s, &numbers));
}

static void classes(void **state)
{
    struct guard_source s = {0};

    assert_int_equal(source_class(&s, 1000), SOURCE_CLASS_NEW);
    (void)fails(&s, 1, 1, 1000);
    assert_int_equal(source_class(&s, 1000), SOURCE_CLASS_FAILED);
    source_succeed(&s, &numbers, 1, 1000);
    assert_int_equal(source_class(&s, 1000), SOURCE_CLASS_GOOD);
    (void)fails(&s, 2, 2, 1000);
    assert_int_equal(source_class(&s, 1000), SOURCE_CLASS_FAILING);
    for (unsigned i = 3; i < 20; i++)
        (void)fails(&s, i, i, 1000);
    assert_int_equal(source_class(&s, 1000), SOURCE_CLASS_LOCKED);
}

/* ---- addresses ---- */

static const char *text_of(const char *z)
{
    static char out[64];
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct source_address a;

    if (inet_pton(AF_INET, z, &in.sin_addr) == 1)
        a = source_address_of((struct sockaddr *)&in);
    else if (inet_pton(AF_INET6, z, &in6.sin6_addr) == 1)
        a = source_address_of((struct sockaddr *)&in6);
    else
        fail_msg("%s", z);
    source_address_text(&a, out);
    return out;
}

static void one_customer_is_one_address(void **state)
{
    struct source_address a, b;

    assert_string_equal(text_of("192.0.2.7"), "192.0.2.7");
    assert_string_equal(text_of("::ffff:192.0.2.7"), "192.0.2.7");
    assert_string_equal(text_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    assert_string_equal(text_of("2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
    assert_true(source_address_read(STR("2001:db8:1:2::/64"), &a));
    assert_true(source_address_read(STR("2001:db8:1:2::77"), &b));
    assert_memory_equal(&a, &b, sizeof(a));
    assert_true(source_address_read(STR("192.0.2.7"), &a));
    assert_false(source_address_read(STR("alice"), &a));
    assert_false(source_address_read(STR("192.0.2.777"), &a));
    assert_false(source_address_read(STR(""), &a));
}

static void whole_addresses(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {{"::ffff:192.0.2.7", "192.0.2.7"}, {"2001:db8::1:2", "2001:db8::1:2"}};
    struct sockaddr_in four = {.sin_family = AF_INET};
    char out[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sockaddr_in6 six = {.sin6_family = AF_INET6};
        assert_int_equal(inet_pton(AF_INET6, rows[i].in, &six.sin6_addr), 1);
        source_text((const struct sockaddr *)&six, out);
        assert_string_equal(out, rows[i].out);
    }
    assert_int_equal(inet_pton(AF_INET, "192.0.2.8", &four.sin_addr), 1);
    source_text((const struct sockaddr *)&four, out);
    assert_string_equal(out, "192.0.2.8");
    four.sin_family = AF_UNIX;
    source_text((const struct sockaddr *)&four, out);
    assert_string_equal(out, "");
    source_text(NULL, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tenth_account_locks),
        cmocka_unit_test(whole_addresses),
        cmocka_unit_test(repeats_count_once),
        cmocka_unit_test(many_guesses_at_few_accounts_lock_too),
        cmocka_unit_test(neither_window_nor_lock_slides),
        cmocka_unit_test(gateways_have_credit),
        cmocka_unit_test(the_same_success_counts_once),
        cmocka_unit_test(credit_lasts_one_window_longer),
        cmocka_unit_test(strict_times),
        cmocka_unit_test(strangers_raise_the_alarm_together),
        cmocka_unit_test(few_wait_from_one_address),
        cmocka_unit_test(classes),
        cmocka_unit_test(one_customer_is_one_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
