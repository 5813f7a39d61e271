/*
 * What LDAP servers answer: sub-codes, result codes, frames. (Conversations: tests/auth.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <ldap.h>
#include <cmocka.h>

#include "../../../proxy/auth/ldap_answer.h"
#include "../../../proxy/auth/ldap_frame.h"

#define AD(code)                                                                                             \
    "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data " code ", v4563"

static void sub_codes(void **state)
{
    static const struct {
        const char *text;
        enum auth_detail detail;
    } rows[] = {
        {AD("525"), AUTH_DETAIL_UNKNOWN_USER},
        {AD("52e"), AUTH_DETAIL_WRONG_PASSWORD},
        {AD("52E"), AUTH_DETAIL_WRONG_PASSWORD},
        {AD("0000052e"), AUTH_DETAIL_WRONG_PASSWORD},
        {AD("530"), AUTH_DETAIL_NOT_NOW},
        {AD("531"), AUTH_DETAIL_NOT_HERE},
        {AD("532"), AUTH_DETAIL_PASSWORD_EXPIRED},
        {AD("533"), AUTH_DETAIL_ACCOUNT_DISABLED},
        {AD("534"), AUTH_DETAIL_NOT_HERE},
        {AD("701"), AUTH_DETAIL_ACCOUNT_EXPIRED},
        {AD("773"), AUTH_DETAIL_MUST_CHANGE_PASSWORD},
        {AD("775"), AUTH_DETAIL_ACCOUNT_LOCKED},
        {"AcceptSecurityContext error, data 775", AUTH_DETAIL_ACCOUNT_LOCKED}, /* cut behind it */
        {AD("5"), AUTH_DETAIL_INVALID},
        {AD("52e5"), AUTH_DETAIL_INVALID},
        {AD("00000052e"), AUTH_DETAIL_INVALID},
        {AD("52g"), AUTH_DETAIL_INVALID},
        {AD("-52e"), AUTH_DETAIL_INVALID},
        {AD(""), AUTH_DETAIL_INVALID},
        {"AcceptSecurityContext error, data ", AUTH_DETAIL_INVALID},
        {"AcceptSecurityContext error", AUTH_DETAIL_INVALID},
        {"data 525, v1", AUTH_DETAIL_INVALID},
        {"", AUTH_DETAIL_INVALID},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (ldap_diagnostic_detail(str_of(rows[i].text)) != rows[i].detail)
            fail_msg("%s", rows[i].text);
    }
    assert_int_equal(ldap_diagnostic_detail(STR_NULL), AUTH_DETAIL_INVALID);
}

static struct auth_result judged(int code, int policy, const char *text, bool unwell)
{
    struct ldap_answer a = {.code = code, .policy = policy};
    struct auth_result r = {0};

    strcpy(a.text, text);
    assert_int_equal(ldap_answer_judge(&a, &r), unwell);
    return r;
}

#define IS(r_, verdict_, detail_)                                                                            \
    do {                                                                                                     \
        struct auth_result is = (r_);                                                                        \
        assert_int_equal(is.verdict, VERDICT_##verdict_);                                                    \
        assert_int_equal(is.detail, AUTH_DETAIL_##detail_);                                                  \
        assert_int_equal(is.groups, 0);                                                                      \
    } while (0)

static void result_codes(void **state)
{
    IS(judged(LDAP_SUCCESS, -1, "", false), OK, NONE);
    IS(judged(LDAP_INVALID_CREDENTIALS, -1, "", false), WRONG, INVALID);
    IS(judged(LDAP_INVALID_CREDENTIALS, -1, AD("533"), false), WRONG, ACCOUNT_DISABLED);
    IS(judged(LDAP_NO_SUCH_OBJECT, -1, "", false), WRONG, UNKNOWN_USER);
    IS(judged(LDAP_BUSY, -1, "", true), UNAVAILABLE, UNREACHABLE);
    IS(judged(LDAP_UNAVAILABLE, -1, AD("52e"), true), UNAVAILABLE, UNREACHABLE);
    IS(judged(LDAP_UNWILLING_TO_PERFORM, -1, "", false), UNAVAILABLE, REFUSED);
    IS(judged(LDAP_UNWILLING_TO_PERFORM, -1, "Account inactivated.", false), WRONG, ACCOUNT_DISABLED);
    IS(judged(LDAP_REFERRAL, -1, "", false), UNAVAILABLE, REFUSED);
    /* Nothing but a plain success is one. */
    for (int code = -128; code < 4200; code++) {
        struct ldap_answer a = {.code = code, .policy = -1};
        struct auth_result r = {0};
        (void)ldap_answer_judge(&a, &r);
        assert_int_equal(r.verdict == VERDICT_OK, code == LDAP_SUCCESS);
    }
}

static void policies(void **state)
{
    IS(judged(LDAP_SUCCESS, PP_changeAfterReset, "", false), WRONG, MUST_CHANGE_PASSWORD);
    IS(judged(LDAP_SUCCESS, PP_passwordExpired, "", false), WRONG, PASSWORD_EXPIRED);
    IS(judged(LDAP_INVALID_CREDENTIALS, PP_accountLocked, "", false), WRONG, ACCOUNT_LOCKED);
    IS(judged(LDAP_SUCCESS, PP_passwordTooShort, "", false), OK, NONE);
    IS(judged(LDAP_BUSY, PP_accountLocked, "", true), UNAVAILABLE, UNREACHABLE);
}

static void frames(void **state)
{
    static const struct {
        const char *octets;
        size_t n;
        int head;
        size_t body;
    } rows[] = {
        {"\x30\x0c", 2, 2, 12},
        {"\x30\x00", 2, 2, 0},
        {"\x30\x81\x80", 3, 3, 128},
        {"\x30\x82\x01\x00", 4, 4, 256},
        {"\x30\x84\x00\x00\x00\x10", 6, 6, 16},
        {"\x30\x83\x01\x00\x00", 5, 5, 65536},
        {"\x30\x83\x01\x00\x01", 5, -1, 0},
        {"\x30\x84\x7f\xff\xff\xff", 6, -1, 0},
        {"\x30\x84\xff\xff\xff\xff", 6, -1, 0},
        {"\x30\x80", 2, -1, 0},
        {"\x30\x85\x00\x00\x00\x00\x01", 7, -1, 0},
        {"\x30\xff", 2, -1, 0},
        {"\x31\x00", 2, -1, 0},
        {"H", 1, -1, 0},
        {"\x30", 1, 0, 0},
        {"\x30\x82\x01", 3, 0, 0},
        {"", 0, 0, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t body = 0;
        int head = ldap_frame_head((const unsigned char *)rows[i].octets, rows[i].n, &body);
        if (head != rows[i].head || (head > 0 && body != rows[i].body))
            fail_msg("%zu: %d %zu", i, head, body);
    }
}

static void numbers(void **state)
{
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x02\x01\x05", 3), 5);
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x02\x02\x01\x00\x61", 5), 256);
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x02\x04\x7f\xff\xff\xff", 6), 2147483647);
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x02\x01\x00", 3), 0);
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x02\x01\xff", 3), -1);
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x02\x02\x01", 3), -1);
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x02\x05\x00\x00\x00\x00\x01", 7), -1);
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x02\x00\x00", 3), -1);
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x04\x01\x05", 3), -1);
    assert_int_equal(ldap_frame_number((const unsigned char *)"\x02\x01", 2), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sub_codes), cmocka_unit_test(result_codes), cmocka_unit_test(policies),
        cmocka_unit_test(frames),    cmocka_unit_test(numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
