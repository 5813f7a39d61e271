/*
 * The scan for controls against its plain definition: every octet at every position of every short length.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "../../../proxy/http/http_int.h"

#define LONGEST 40

static bool is_bad(unsigned o)
{
    return (o < 0x20 && o != '\t') || o == 0x7f;
}

static void test_every_octet_everywhere(void **state)
{
    for (size_t n = 1; n <= LONGEST; n++) {
        char *line = malloc(n);
        for (size_t at = 0; at < n; at++)
            for (unsigned o = 0; o < 256; o++) {
                memset(line, (o & 1) != 0 ? 'a' : 0xff, n);
                line[at] = (char)o;
                assert_int_equal(octets_bad_at(line, n), is_bad(o) ? at : n);
            }
        free(line);
    }
    assert_int_equal(octets_bad_at(NULL, 0), 0);
}

static void test_first_of_two(void **state)
{
    char line[LONGEST];

    for (size_t first = 0; first < LONGEST; first++)
        for (size_t second = first; second < LONGEST; second++) {
            memset(line, '\t', sizeof(line));
            line[first] = '\r';
            line[second] = '\0';
            assert_int_equal(octets_bad_at(line, sizeof(line)), first);
        }
}

static void test_classes(void **state)
{
    static const char tchar[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    for (unsigned o = 0; o < 256; o++) {
        char c = (char)o;
        assert_int_equal(octet_is(c, OCTET_TOKEN), o != 0 && strchr(tchar, (int)o) != NULL);
        assert_int_equal(octet_is(c, OCTET_VISIBLE), o > 0x20 && o < 0x7f);
        assert_int_equal(octet_is(c, OCTET_DIGIT), o >= '0' && o <= '9');
        assert_int_equal(octet_is(c, OCTET_HEX), hex_value(c) >= 0);
    }
    assert_int_equal(hex_value('f'), 15);
    assert_int_equal(hex_value('A'), 10);
    assert_int_equal(hex_value('g'), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_octet_everywhere),
        cmocka_unit_test(test_first_of_two),
        cmocka_unit_test(test_classes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
