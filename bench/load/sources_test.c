/* What may be written for `sources`, which addresses are meant, and what is said of what may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "sources.h"

static const struct {
    const char *text, *first, *last, *route;
    uint64_t n;
} good[] = {
    {"192.0.2.7", "192.0.2.7", "192.0.2.7", NULL, 1},
    {"192.0.2.7/32", "192.0.2.7", "192.0.2.7", "192.0.2.7/32", 1},
    {"192.0.2.7/31", "192.0.2.6", "192.0.2.7", "192.0.2.6/31", 2},
    {"127.0.9.5/29", "127.0.9.1", "127.0.9.6", "127.0.9.0/29", 6},
    {"10.1.2.3/8", "10.0.0.1", "10.255.255.254", "10.0.0.0/8", 16777214},
    {"10.0.0.250-10.0.1.5", "10.0.0.250", "10.0.1.5", NULL, 12},
    {"10.0.0.0-10.255.255.255", "10.0.0.0", "10.255.255.255", NULL, 16777216},
    {"::1", "::1", "::1", NULL, 1},
    {"::1/128", "::1", "::1", "::1/128", 1},
    {"::1-::1", "::1", "::1", NULL, 1},
    {"2001:db8::5/127", "2001:db8::4", "2001:db8::5", "2001:db8::4/127", 2},
    {"2001:DB8::ff00/120", "2001:db8::ff01", "2001:db8::fffe", "2001:db8::ff00/120", 254},
    {"2001:db8::7:8:9/104", "2001:db8::7:0:1", "2001:db8::7:ff:fffe", "2001:db8::7:0:0/104", 16777214},
    {"2001:db8::fffe-2001:db8::1:3", "2001:db8::fffe", "2001:db8::1:3", NULL, 6},
    {"2001:db8:0:1:ffff:ffff:ffff:fffe-2001:db8:0:2::1", "2001:db8:0:1:ffff:ffff:ffff:fffe",
     "2001:db8:0:2::1", NULL, 4},
    {"2001:db8::-2001:db8::ff:ffff", "2001:db8::", "2001:db8::ff:ffff", NULL, 16777216},
    {"2001:db8:0:7::9/63", "2001:db8:0:6::1", "2001:db8:0:7::1", "2001:db8:0:6::/63", 2},
    {"2001:db8:5::/48", "2001:db8:5::1", "2001:db8:5:ffff::1", "2001:db8:5::/48", 65536},
    {"2001:db8:5::/40", "2001:db8::1", "2001:db8:ff:ffff::1", "2001:db8::/40", 16777216},
};

static void test_what_is_meant(void **state)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct sources s;
        char why[SOURCES_WHY] = "", text[INET6_ADDRSTRLEN], route[SOURCES_TEXT];
        if (!sources_parse(good[i].text, &s, why))
            fail_msg("%s: %s", good[i].text, why);
        union address first = sources_at(&s, 0), last = sources_at(&s, s.n - 1);
        assert_int_equal(s.n, good[i].n);
        assert_string_equal(address_text(&first, text), good[i].first);
        assert_string_equal(address_text(&last, text), good[i].last);
        assert_int_equal(s.prefix != 0, good[i].route != NULL);
        if (!good[i].route)
            continue;
        sources_route(&s, route);
        assert_string_equal(route, good[i].route);
    }
}

#define NOT_AN_ADDRESS                                                                                       \
    "is not an address: give one, as 192.0.2.7 or 2001:db8::7, a prefix, as 10.20.0.0/16, or two with a "    \
    "hyphen between them"
#define NO_ZONE "zones (%) are not taken: give addresses that are valid without one"
#define SIX_LENGTHS "/104 to /128, or /40 to /63"

static const struct {
    const char *text, *why;
} bad[] = {
    {"", "`` " NOT_AN_ADDRESS},
    {"mail.example.com", "`mail.example.com` " NOT_AN_ADDRESS},
    {"10.0.0", "`10.0.0` " NOT_AN_ADDRESS},
    {"[::1]", "`[::1]` " NOT_AN_ADDRESS},
    {"::1-", "`` " NOT_AN_ADDRESS},
    {"-::1", "`` " NOT_AN_ADDRESS},
    {"10.0.0.1 - 10.0.0.2", "`10.0.0.1 ` " NOT_AN_ADDRESS},
    {"10.0.0.1-10.0.0.2-10.0.0.3", "`10.0.0.2-10.0.0.3` " NOT_AN_ADDRESS},
    {"10.0.0.1-10.0.0.0/24", "`10.0.0.0/24` " NOT_AN_ADDRESS},
    {"10.0.0.0/", "`/` is not the length of a prefix: give /8 to /32"},
    {"10.0.0.0/33", "`/33` is not the length of a prefix: give /8 to /32"},
    {"10.0.0.0/24-10.0.0.9", "`/24-10.0.0.9` is not the length of a prefix: give /8 to /32"},
    {"::1/129", "`/129` is not the length of a prefix: give " SIX_LENGTHS},
    {"10.0.0.0/7", "/7 is too large: give /8 to /32"},
    {"10.0.0.0/0", "/0 is too large: give /8 to /32"},
    {"2001:db8::/103", "/103 is too large: give " SIX_LENGTHS ", of which one address in each /64 is taken"},
    {"2001:db8::/64", "/64 is too large: give " SIX_LENGTHS ", of which one address in each /64 is taken"},
    {"2001:db8::/39", "/39 is too large: give " SIX_LENGTHS ", of which one address in each /64 is taken"},
    {"2001:db8::/0", "/0 is too large: give " SIX_LENGTHS ", of which one address in each /64 is taken"},
    {"10.0.0.0-11.0.0.0", "it is too large; give at most 16777216 addresses"},
    {"2001:db8::-2001:db8::100:0", "it is too large; give at most 16777216 addresses"},
    {"2001:db8::-2001:db8:0:1::", "it is too large; give at most 16777216 addresses"},
    {"10.0.0.9-10.0.0.2", "it ends before it begins; write 10.0.0.2-10.0.0.9"},
    {"2001:db8::2-2001:DB8::1", "it ends before it begins; write 2001:db8::1-2001:db8::2"},
    {"2001:db8:0:1::-2001:db8::9", "it ends before it begins; write 2001:db8::9-2001:db8:0:1::"},
    {"10.0.0.1-2001:db8::1", "10.0.0.1 is IPv4 and 2001:db8::1 is IPv6: give two addresses of one family"},
    {"::1-127.0.0.1", "::1 is IPv6 and 127.0.0.1 is IPv4: give two addresses of one family"},
    {"fe80::1%eth0", NO_ZONE},
    {"fe80::1%br-lan/64", NO_ZONE},
    {"fe80::1-fe80::9%eth0", NO_ZONE},
    {"fe80::1", "`fe80::1` is link-local, and means something else on each link: give global or unique local "
                "addresses"},
    {"::ffff:192.0.2.7", "`::ffff:192.0.2.7` is an IPv4 address in IPv6 form: write it as 192.0.2.7"},
    {"::ffff:10.0.0.0/120", "`::ffff:10.0.0.0` is an IPv4 address in IPv6 form: write it as 10.0.0.0"},
    {"10.0.0.1-::ffff:10.0.0.9", "`::ffff:10.0.0.9` is an IPv4 address in IPv6 form: write it as 10.0.0.9"},
    {"0.0.0.0", "`0.0.0.0` is not the address of one machine"},
    {"224.0.0.1-224.0.0.5", "`224.0.0.1` is not the address of one machine"},
    {"255.255.255.255", "`255.255.255.255` is not the address of one machine"},
    {"::", "`::` is not the address of one machine"},
    {"ff02::1", "`ff02::1` is not the address of one machine"},
};

static void test_what_is_refused(void **state)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sources s;
        char why[SOURCES_WHY] = "";
        if (sources_parse(bad[i].text, &s, why))
            fail_msg("%s is taken", bad[i].text);
        assert_string_equal(why, bad[i].why);
    }
}

static void test_loopback(void **state)
{
    static const struct {
        const char *text;
        bool is;
    } rows[] = {
        {"127.0.0.1", true}, {"127.9.9.9", true}, {"128.0.0.1", false}, {"::1", true}, {"::2", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sources s;
        char why[SOURCES_WHY];
        assert_true(sources_parse(rows[i].text, &s, why));
        assert_int_equal(address_is_loopback(&s.first), rows[i].is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_meant),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_loopback),
    };
    return cmocka_run_group_tests_name("load: sources", tests, NULL, NULL);
}
