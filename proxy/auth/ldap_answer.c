/*
 * Result codes (RFC 4511 4.1.9), Active Directory's sub-codes, and the errors of the password policy draft.
 */
#include <ldap.h>

#include "ldap_answer.h"

/* ---- Active Directory: Windows error numbers, in hexadecimal ---- */

static const struct {
    unsigned code;
    enum auth_detail detail;
} sub_codes[] = {
    {0x525, AUTH_DETAIL_UNKNOWN_USER},         /* ERROR_NO_SUCH_USER */
    {0x52e, AUTH_DETAIL_WRONG_PASSWORD},       /* ERROR_LOGON_FAILURE */
    {0x530, AUTH_DETAIL_NOT_NOW},              /* ERROR_INVALID_LOGON_HOURS */
    {0x531, AUTH_DETAIL_NOT_HERE},             /* ERROR_INVALID_WORKSTATION */
    {0x534, AUTH_DETAIL_NOT_HERE},             /* ERROR_LOGON_TYPE_NOT_GRANTED */
    {0x532, AUTH_DETAIL_PASSWORD_EXPIRED},     /* ERROR_PASSWORD_EXPIRED */
    {0x533, AUTH_DETAIL_ACCOUNT_DISABLED},     /* ERROR_ACCOUNT_DISABLED */
    {0x701, AUTH_DETAIL_ACCOUNT_EXPIRED},      /* ERROR_ACCOUNT_EXPIRED */
    {0x773, AUTH_DETAIL_MUST_CHANGE_PASSWORD}, /* ERROR_PASSWORD_MUST_CHANGE */
    {0x775, AUTH_DETAIL_ACCOUNT_LOCKED},       /* ERROR_ACCOUNT_LOCKED_OUT */
};

static int hex_value(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum auth_detail ldap_diagnostic_detail(struct str text)
{
    static const char mark[] = "AcceptSecurityContext error, data ";
    const char *found = text.n > 0 ? memmem(text.p, text.n, mark, sizeof(mark) - 1) : NULL;
    const char *p = found != NULL ? found + sizeof(mark) - 1 : NULL;
    unsigned code = 0, digits = 0;

    for (; p != NULL && p < text.p + text.n && hex_value(*p) >= 0 && digits < 8; p++, digits++)
        code = code * 16 + (unsigned)hex_value(*p);
    /* A number that goes on is another number. */
    if (digits == 0 || (p < text.p + text.n && *p != ',' && *p != ' ' && *p != '\0'))
        return AUTH_DETAIL_INVALID;
    for (size_t i = 0; i < sizeof(sub_codes) / sizeof(sub_codes[0]); i++) {
        if (sub_codes[i].code == code)
            return sub_codes[i].detail;
    }
    return AUTH_DETAIL_INVALID;
}

/* ---- result codes ---- */

static const struct {
    int code;
    enum verdict verdict;
    enum auth_detail detail;
    bool unwell;
} results[] = {
    {LDAP_SUCCESS, VERDICT_OK, AUTH_DETAIL_NONE, false},
    {LDAP_INVALID_CREDENTIALS, VERDICT_WRONG, AUTH_DETAIL_INVALID, false},
    {LDAP_INAPPROPRIATE_AUTH, VERDICT_WRONG, AUTH_DETAIL_INVALID, false}, /* an account without a password */
    {LDAP_INSUFFICIENT_ACCESS, VERDICT_WRONG, AUTH_DETAIL_INVALID, false},
    {LDAP_NO_SUCH_OBJECT, VERDICT_WRONG, AUTH_DETAIL_UNKNOWN_USER, false},
    {LDAP_INVALID_DN_SYNTAX, VERDICT_WRONG, AUTH_DETAIL_UNKNOWN_USER, false},
    {LDAP_CONSTRAINT_VIOLATION, VERDICT_WRONG, AUTH_DETAIL_ACCOUNT_LOCKED,
     false}, /* 389 Directory Server: too many tries */
    {LDAP_BUSY, VERDICT_UNAVAILABLE, AUTH_DETAIL_UNREACHABLE, true},
    {LDAP_UNAVAILABLE, VERDICT_UNAVAILABLE, AUTH_DETAIL_UNREACHABLE, true},
    {LDAP_OPERATIONS_ERROR, VERDICT_UNAVAILABLE, AUTH_DETAIL_UNREACHABLE, true},
    {LDAP_TIMELIMIT_EXCEEDED, VERDICT_UNAVAILABLE, AUTH_DETAIL_UNREACHABLE, true},
    {LDAP_ADMINLIMIT_EXCEEDED, VERDICT_UNAVAILABLE, AUTH_DETAIL_UNREACHABLE, true},
    {LDAP_OTHER, VERDICT_UNAVAILABLE, AUTH_DETAIL_UNREACHABLE, true},
};

/* Everything else - a referral, a stronger method wanted, unwilling - will be the same with every server. */
static bool judge_code(int code, struct auth_result *ret)
{
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        if (results[i].code != code)
            continue;
        ret->verdict = results[i].verdict;
        ret->detail = results[i].detail;
        return results[i].unwell;
    }
    ret->verdict = VERDICT_UNAVAILABLE;
    ret->detail = AUTH_DETAIL_REFUSED;
    return false;
}

/* A bind that succeeds, but only to change the password, is none for us. */
static void judge_policy(int error, struct auth_result *ret)
{
    if (error == PP_passwordExpired)
        ret->detail = AUTH_DETAIL_PASSWORD_EXPIRED;
    else if (error == PP_accountLocked)
        ret->detail = AUTH_DETAIL_ACCOUNT_LOCKED;
    else if (error == PP_changeAfterReset)
        ret->detail = AUTH_DETAIL_MUST_CHANGE_PASSWORD;
    else
        return;
    ret->verdict = VERDICT_WRONG;
}

bool ldap_answer_judge(const struct ldap_answer *a, struct auth_result *ret)
{
    bool unwell = judge_code(a->code, ret);
    struct str text = str_of(a->text);

    if (a->code == LDAP_INVALID_CREDENTIALS)
        ret->detail = ldap_diagnostic_detail(text);
    /* 389 Directory Server says so of accounts that are switched off. */
    if (a->code == LDAP_UNWILLING_TO_PERFORM && memmem(text.p, text.n, "ccount", 6) != NULL)
        *ret = (struct auth_result){.verdict = VERDICT_WRONG, .detail = AUTH_DETAIL_ACCOUNT_DISABLED};
    if (ret->verdict == VERDICT_OK || ret->verdict == VERDICT_WRONG)
        judge_policy(a->policy, ret);
    return unwell;
}
