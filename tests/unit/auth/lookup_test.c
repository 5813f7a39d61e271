/*
 * Names with a deadline, and which server is asked first.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <cmocka.h>

#include "../../../proxy/auth/lookup.h"
#include "../../../proxy/auth/standing.h"

#define MS UINT64_C(1000000)

/* Linked with --wrap=getaddrinfo. */
static int resolver_delay_ms, resolver_asked, resolver_fails; /* atomic */
int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret);

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret)
{
    struct addrinfo literal = *hints;

    if ((hints->ai_flags & AI_NUMERICHOST) != 0)
        return __real_getaddrinfo(host, port, hints, ret);
    __atomic_add_fetch(&resolver_asked, 1, __ATOMIC_SEQ_CST);
    usleep((useconds_t)__atomic_load_n(&resolver_delay_ms, __ATOMIC_SEQ_CST) * 1000);
    if (__atomic_load_n(&resolver_fails, __ATOMIC_SEQ_CST) != 0)
        return EAI_NONAME;
    literal.ai_flags = AI_NUMERICHOST;
    return __real_getaddrinfo("127.0.0.7", port, &literal, ret);
}

static void set(int *what, int value)
{
    __atomic_store_n(what, value, __ATOMIC_SEQ_CST);
}

static int asked(void)
{
    return __atomic_load_n(&resolver_asked, __ATOMIC_SEQ_CST);
}

static uint64_t in_ms(uint64_t ms)
{
    return uv_hrtime() + ms * MS;
}

static void literals_are_not_looked_up(void **state)
{
    struct lookup *l = lookup_new(STR("::1"), 636, 1);
    struct resolve_result r;

    set(&resolver_asked, 0);
    assert_int_equal(lookup_get(l, 0, &r), 0);
    assert_int_equal(r.n, 1);
    assert_int_equal(((struct sockaddr_in6 *)&r.v[0])->sin6_port, htons(636));
    assert_int_equal(asked(), 0);
    lookup_free(l);
}

static void waits_no_longer_than_it_may(void **state)
{
    struct lookup *l = lookup_new(STR("slow.example"), 636, 60000);
    struct resolve_result r;

    set(&resolver_asked, 0);
    set(&resolver_delay_ms, 200);
    assert_int_equal(lookup_get(l, in_ms(5), &r), -ETIMEDOUT);
    assert_int_equal(lookup_get(l, in_ms(5), &r), -ETIMEDOUT);
    assert_int_equal(lookup_get(l, in_ms(20000), &r), 0);
    assert_int_equal(r.n, 1);
    assert_int_equal(lookup_get(l, 0, &r), 0); /* kept */
    assert_int_equal(asked(), 1);
    lookup_free(l);
    l = lookup_new(STR("slow.example"), 636, 60000);
    assert_int_equal(lookup_get(l, in_ms(5), &r), -ETIMEDOUT);
    lookup_free(l); /* while the thread still asks */
    set(&resolver_delay_ms, 0);
    usleep(400000);
}

static void a_failure_keeps_what_was_known(void **state)
{
    struct lookup *l = lookup_new(STR("some.example"), 636, 1);
    struct resolve_result r;

    set(&resolver_fails, 1);
    set(&resolver_asked, 0);
    assert_int_equal(lookup_get(l, in_ms(20000), &r), -ENOENT);
    set(&resolver_fails, 0);
    usleep(5000);
    assert_int_equal(lookup_get(l, in_ms(20000), &r), 0);
    set(&resolver_fails, 1);
    for (int i = 0; i < 50; i++) {
        usleep(2000);
        assert_int_equal(lookup_get(l, 0, &r), 0); /* old, but better than none; never waits */
        assert_int_equal(r.n, 1);
    }
    assert_true(asked() > 2);
    set(&resolver_fails, 0);
    lookup_free(l);
    usleep(20000);
}

static void order_of_asking(void **state)
{
    struct conf_directory d = {.name = STR("corp"), .retry_after = 300};
    struct conf_directory_server server = {.url = STR("ldaps://x")};
    struct standing s[3], *all[] = {&s[0], &s[1], &s[2]};
    uint8_t order[STANDINGS_MAX];

    for (int i = 0; i < 3; i++)
        standing_init(&s[i], &d, &server);
    assert_true(standing_failed(&s[0], AUTH_DETAIL_TIMED_OUT, "test"));
    assert_false(standing_failed(&s[0], AUTH_DETAIL_TIMED_OUT, "test"));
    standing_order(all, 3, order);
    assert_memory_equal(order, "\1\2\0", 3);
    assert_true(standing_failed(&s[2], AUTH_DETAIL_TIMED_OUT, "test"));
    standing_order(all, 3, order);
    assert_memory_equal(order, "\1\0\2", 3);
    usleep(350000);
    standing_order(all, 3, order); /* the one who tries */
    assert_memory_equal(order, "\0\1\2", 3);
    standing_order(all, 3, order); /* the others */
    assert_memory_equal(order, "\1\0\2", 3);
    standing_worked(&s[0]);
    standing_worked(&s[2]);
    standing_order(all, 3, order);
    assert_memory_equal(order, "\0\1\2", 3);
    for (int i = 0; i < 3; i++)
        standing_fini(&s[i]);
}

static void shares_of_time(void **state)
{
    uint64_t due = in_ms(10000), half = standing_due(due, true);

    assert_int_equal(standing_due(due, false), due);
    assert_true(half < due && half > uv_hrtime() + 4000 * MS);
    assert_int_equal(standing_due(1, true), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_not_looked_up),
        cmocka_unit_test(waits_no_longer_than_it_may),
        cmocka_unit_test(a_failure_keeps_what_was_known),
        cmocka_unit_test(order_of_asking),
        cmocka_unit_test(shares_of_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
