/*
 * What a directory server or a client's name may hold: frames and diagnostics of LDAP, names into DNs and filters. Whatever a
 * name is, the DN and the filter that come of it keep their form.
 */
#include <stdlib.h>

#include "../../proxy/auth/ldap_answer.h"
#include "../../proxy/auth/ldap_check.h"
#include "../../proxy/auth/ldap_frame.h"
#include "../../proxy/auth/login.h"

#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            abort();                                                                                         \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frame(const uint8_t *data, size_t size)
{
    size_t body = 0;
    int head = ldap_frame_head(data, size, &body);

    CHECK(head <= (int)LDAP_FRAME_HEAD_MAX &&
          (head <= 0 || (body <= LDAP_FRAME_MAX && (size_t)head <= size)));
    CHECK(head != 0 || size < LDAP_FRAME_HEAD_MAX);
    CHECK(ldap_frame_number(data, size) >= -1);
}

static void check_answer(struct str text)
{
    struct ldap_answer a = {.code = 49, .policy = -1};
    struct auth_result r = {0};

    CHECK(ldap_diagnostic_detail(text) != AUTH_DETAIL_NONE);
    memcpy(a.text, text.p, text.n < sizeof(a.text) ? text.n : sizeof(a.text) - 1);
    (void)ldap_answer_judge(&a, &r);
    CHECK(r.verdict == VERDICT_WRONG);
}

static void check_login(struct str name)
{
    static const struct conf_directory d = {.default_domain = {"HOME", 4}};
    struct basic_credentials c = {.user_n = name.n < ACCOUNT_NAME_MAX ? name.n : ACCOUNT_NAME_MAX};
    char text[LOGIN_TEXT_MAX];
    struct login l;
    ptrdiff_t n;

    memcpy(c.user, name.p, c.user_n);
    if (!login_parse(&d, &c, &l))
        return;
    CHECK(login_is_text(name.n == c.user_n ? name : l.account));
    CHECK(login_expand(STR("(&(a={user})(b={account}))"), &l, LOGIN_FILTER, text, sizeof(text)) > 0);
    CHECK(ldap_filter_is_good(str_of(text)) && strchr(text, '*') == NULL);
    n = login_expand(STR("uid={user},dc=x"), &l, LOGIN_DN, text, sizeof(text));
    CHECK(n > 0 && strchr(text, ',') == text + n - 5 && strchr(text, '=') == text + 3 &&
          strrchr(text, '=') == text + n - 2);
    n = login_expand(STR("{domain}\\{user}"), &l, LOGIN_PLAIN, text, sizeof(text));
    CHECK(n < 0 || strchr(text, '\\') == strrchr(text, '\\'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};

    check_frame(data, size);
    check_answer(text);
    (void)ldap_filter_is_good(text);
    (void)login_template_fault(text, true);
    check_login(text);
    return 0;
}
