/*
 * Byte ranges: comparisons, parts, numbers, base64, distances.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <postern/str.h>

static void test_equal(void **state)
{
    assert_true(str_eq(STR("abc"), STR("abc")));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_false(str_eq(STR("abc"), STR("ab")));
    assert_true(str_eq(STR_NULL, STR("")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_true(str_eq_nocase(STR("Host"), STR("hOST")));
    assert_false(str_eq_nocase(STR("Host"), STR("Hosts")));
    /* ASCII alone: neither the neighbours of the letters nor Latin-1 */
    assert_false(str_eq_nocase(STR("@[`{"), STR("`{@[")));
    assert_false(str_eq_nocase(STR("\xc4"), STR("\xe4")));
    assert_true(str_starts_nocase(STR("Bearer x"), STR("bearer")));
    assert_false(str_starts_nocase(STR("Bea"), STR("bearer")));
    assert_true(str_starts_nocase(STR(""), STR("")));
    assert_true(str_ends_nocase(STR("a.ASMX"), STR(".asmx")));
    assert_false(str_ends_nocase(STR("asmx"), STR(".asmx")));
    assert_false(str_ends_nocase(STR("x"), STR("xx")));
}

static void check_trim(struct str s, struct str want)
{
    assert_true(str_eq(str_trim(s), want));
}

static void test_trim(void **state)
{
    check_trim(STR(" \t a b\t "), STR("a b"));
    check_trim(STR(" \t "), STR(""));
    check_trim(STR(""), STR(""));
    check_trim(STR_NULL, STR(""));
    check_trim(STR("\r\na\v"), STR("\r\na\v")); /* SP and HTAB only */
}

static void test_next(void **state)
{
    struct str rest = STR("a,,b,"), part;

    assert_true(str_next(&rest, ',', &part) && str_eq(part, STR("a")));
    assert_true(str_next(&rest, ',', &part) && str_eq(part, STR("")));
    assert_true(str_next(&rest, ',', &part) && str_eq(part, STR("b")));
    assert_true(str_next(&rest, ',', &part) && str_eq(part, STR("")));
    assert_false(str_next(&rest, ',', &part));
    assert_false(str_next(&rest, ',', &part));
    rest = STR("");
    assert_true(str_next(&rest, ',', &part) && part.n == 0);
    assert_false(str_next(&rest, ',', &part));
}

static void test_numbers(void **state)
{
    static const struct str bad[] = {STR(""),
                                     STR("-1"),
                                     STR("+1"),
                                     STR(" 1"),
                                     STR("1 "),
                                     STR("0x1"),
                                     STR("1.0"),
                                     STR("a"),
                                     STR("1\0"),
                                     STR("\xb2"),
                                     STR("18446744073709551616"),
                                     STR("99999999999999999999999"),
                                     STR("184467440737095516150"),
                                     STR("18446744073709551620")};
    uint64_t v = 7;

    assert_true(str_to_u64(STR("0"), &v));
    assert_int_equal(v, 0);
    assert_true(str_to_u64(STR("007"), &v));
    assert_int_equal(v, 7);
    assert_true(str_to_u64(STR("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
    v = 42;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(str_to_u64(bad[i], &v));
    assert_int_equal(v, 42); /* untouched */
}

/* ---- base64 ---- */

static void check_base64(const char *plain, size_t n, const char *text)
{
    char out[100];

    assert_int_equal(str_base64_encode(plain, n, out, sizeof(out)), strlen(text));
    assert_string_equal(out, text);
    memset(out, 'x', sizeof(out));
    assert_int_equal(str_base64_decode(str_of(text), out, sizeof(out)), n);
    assert_memory_equal(out, plain, n);
    assert_int_equal(out[n], 'x');
    assert_int_equal(str_base64_decode(str_of(text), out, n), n); /* exactly the room */
    if (n > 0)
        assert_int_equal(str_base64_decode(str_of(text), out, n - 1), -1);
    assert_int_equal(str_base64_encode(plain, n, out, strlen(text) + 1), strlen(text));
    assert_int_equal(str_base64_encode(plain, n, out, strlen(text)), -1);
}

static void test_base64(void **state)
{
    check_base64("", 0, ""); /* RFC 4648 10 */
    check_base64("f", 1, "Zg==");
    check_base64("fo", 2, "Zm8=");
    check_base64("foo", 3, "Zm9v");
    check_base64("foob", 4, "Zm9vYg==");
    check_base64("fooba", 5, "Zm9vYmE=");
    check_base64("foobar", 6, "Zm9vYmFy");
    check_base64("\xff\xfe\xfd", 3, "//79");
    check_base64("\xfb\xef\xbe", 3, "++++");
    check_base64("\0\0\0", 3, "AAAA");
}

static void test_base64_malformed(void **state)
{
    static const char *const bad[] = {
        "Z",      "Zg",     "Zg=",  "Zg===", "=",    "====", "Z===",     "=Zg=",  "Zg=g",     "Z g=",
        "Zg==\n", "\nZg==", "Zh==", "Zm9=",  "Zm-v", "Zm_v", "Zg==Zg==", "Zm9v=", "Zm9v====", "Zm\xc3\xb6"};
    char out[100];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (str_base64_decode(str_of(bad[i]), out, sizeof(out)) != -1)
            fail_msg("`%s` was taken", bad[i]);
    }
    assert_int_equal(str_base64_decode(STR("Zm9\0"), out, sizeof(out)), -1);
}

/* Every text of four: it decodes to what encodes to it again, or not at all. */
static void test_base64_one_text_for_one_value(void **state)
{
    static const char some[] = "AQgw+/9=z_-. ";
    char text[5] = "", out[4], again[5];

    for (size_t i = 0; i < sizeof(some) - 1; i++)
        for (size_t j = 0; j < sizeof(some) - 1; j++)
            for (size_t k = 0; k < sizeof(some) - 1; k++)
                for (size_t l = 0; l < sizeof(some) - 1; l++) {
                    ptrdiff_t n;

                    text[0] = some[i], text[1] = some[j], text[2] = some[k], text[3] = some[l];
                    n = str_base64_decode(str_of(text), out, sizeof(out));
                    if (n < 0)
                        continue;
                    assert_int_equal(str_base64_encode(out, (size_t)n, again, sizeof(again)), 4);
                    assert_string_equal(again, text);
                }
}

static void test_dup(void **state)
{
    char *z = str_dup(STR("ab\0c"));

    assert_memory_equal(z, "ab\0c", 5);
    free(z);
    z = str_dup(STR_NULL);
    assert_string_equal(z, "");
    free(z);
    assert_null(str_of(NULL).p);
    assert_int_equal(str_of(NULL).n, 0);
}

/* ---- distances ---- */

static void test_distance(void **state)
{
    char longest[66];

    assert_int_equal(str_distance(STR(""), STR("")), 0);
    assert_int_equal(str_distance(STR("timeout"), STR("timeout")), 0);
    assert_int_equal(str_distance(STR("tmeout"), STR("timeout")), 1);
    assert_int_equal(str_distance(STR("itmeout"), STR("timeout")), 1); /* neighbours changed places */
    assert_int_equal(str_distance(STR("timeoutt"), STR("timeout")), 1);
    assert_int_equal(str_distance(STR("tineout"), STR("timeout")), 1);
    assert_int_equal(str_distance(STR(""), STR("abc")), 3);
    assert_int_equal(str_distance(STR("abc"), STR("")), 3);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
    assert_int_equal(str_distance(STR("ab"), STR("ba")), 1);
    assert_int_equal(str_distance(STR("ca"), STR("abc")), 3);
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(str_distance((struct str){longest, 64}, (struct str){longest, 63}), 1);
    assert_int_equal(str_distance((struct str){longest, 65}, STR("a")), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_base64_malformed),
        cmocka_unit_test(test_base64_one_text_for_one_value),
        cmocka_unit_test(test_dup),
        cmocka_unit_test(test_distance),
    };

    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
