/*
 * Names as directories want them: what is escaped, what is refused, which templates are good.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../../proxy/auth/ldap_check.h"
#include "../../../proxy/auth/login.h"

static bool parse(const struct conf_directory *d, const char *name, struct login *ret)
{
    static struct basic_credentials c;

    memset(&c, 0, sizeof(c));
    c.user_n = strlen(name);
    memcpy(c.user, name, c.user_n);
    return login_parse(d, &c, ret);
}

static void parts(void **state)
{
    static const struct {
        const char *name, *user, *domain;
    } rows[] = {
        {"alice", "alice", "HOME"},
        {"CORP\\alice", "alice", "CORP"},
        {"alice@corp.example.com", "alice", "corp.example.com"},
        {"CORP\\a@b", "a@b", "CORP"},
        {"a@b@c", "a@b", "c"},
        {"m\xc3\xbcller", "m\xc3\xbcller", "HOME"},
        {"a b", "a b", "HOME"},
    };
    struct conf_directory d = {.default_domain = STR("HOME")};
    struct login l;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(parse(&d, rows[i].name, &l));
        assert_true(str_eq(l.user, str_of(rows[i].user)));
        assert_true(str_eq(l.domain, str_of(rows[i].domain)));
        assert_true(str_eq(l.account, str_of(rows[i].name)));
    }
}

static void no_account_has_these(void **state)
{
    static const char *const names[] = {
        "",
        "\\alice",
        "CORP\\",
        "@corp",
        "alice@",
        " alice",
        "alice ",
        "CORP\\ a",
        "CORP \\a",
        "a@ corp",
        "a\tb",
        "a\x7f",
        "a\x1f",
        "m\xfcller",
        "a\xc3",
        "a\xc3(",
        "\xc0\xaf",
        "\xe0\x80\xaf",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xf0\x80\x80\xaf",
        "\xf8\x88\x80\x80\x80",
        "a\xc2\x85",
        "\x80",
    };
    struct conf_directory d = {.default_domain = STR_NULL};
    struct login l;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (parse(&d, names[i], &l))
            fail_msg("%zu is taken", i);
    }
}

static void domains(void **state)
{
    struct str known[] = {STR("corp"), STR("corp.example.com")};
    struct conf_directory d = {.domains = {known, 2}};
    struct login l;

    assert_true(parse(&d, "alice", &l));
    assert_null(l.domain.p);
    assert_true(parse(&d, "Corp\\alice", &l));
    assert_true(parse(&d, "alice@CORP.example.com", &l));
    assert_false(parse(&d, "other\\alice", &l));
    assert_false(parse(&d, "alice@corp.example.com.", &l));
    d.other_domains = CONF_DOMAINS_SAME;
    assert_true(parse(&d, "other\\alice", &l) && str_eq(l.domain, STR("other")));
    d.other_domains = CONF_DOMAINS_APART;
    assert_true(parse(&d, "alice@other", &l) && str_eq(l.domain, STR("other")));
    d = (struct conf_directory){.other_domains = CONF_DOMAINS_REFUSE};
    assert_true(parse(&d, "alice", &l));
    assert_false(parse(&d, "other\\alice", &l));
}

static const char *expand(const char *template, const char *user, enum login_place place)
{
    static char out[LOGIN_TEXT_MAX];
    struct login l = {
        .user = str_of(user), .domain = STR("CORP"), .account = str_of(user), .dn = STR("cn=x,dc=y")};
    ptrdiff_t n = login_expand(str_of(template), &l, place, out, sizeof(out));

    if (n < 0)
        return "refused";
    assert_int_equal(strlen(out), n);
    return out;
}

static void escapes(void **state)
{
    /* RFC 4514 2.4 and RFC 4515 3 in one form */
    assert_string_equal(expand("uid={user},dc=x", "a,b", LOGIN_DN), "uid=a\\2Cb,dc=x");
    assert_string_equal(expand("uid={user},dc=x", "#a+b\"c\\d<e>f;g=h", LOGIN_DN),
                        "uid=\\23a\\2Bb\\22c\\5Cd\\3Ce\\3Ef\\3Bg\\3Dh,dc=x");
    assert_string_equal(expand("uid={user},dc=x", " a b ", LOGIN_DN), "uid=\\20a b\\20,dc=x");
    assert_string_equal(expand("(uid={user})", "*)(uid=*", LOGIN_FILTER), "(uid=\\2A\\29\\28uid\\3D\\2A)");
    assert_string_equal(expand("(uid={user})", "a\\2a\x01", LOGIN_FILTER), "(uid=a\\5C2a\\01)");
    assert_string_equal(expand("(uid={user})", "m\xc3\xbcller", LOGIN_FILTER), "(uid=m\xc3\xbcller)");
    assert_string_equal(expand("(member={dn})", "x", LOGIN_FILTER), "(member=cn\\3Dx\\2Cdc\\3Dy)");
    assert_string_equal(expand("{domain}\\{user}", "alice", LOGIN_PLAIN), "CORP\\alice");
    assert_string_equal(expand("{user}@corp.example.com", "o'neil-x_1.2", LOGIN_PLAIN),
                        "o'neil-x_1.2@corp.example.com");
    assert_string_equal(expand("{domain}", "x", LOGIN_PLAIN), "CORP");
}

static void plain_templates_take_no_metacharacters(void **state)
{
    static const char bad[] = "\"/\\[]:;|=,+*?<>@";
    char user[] = "axb";

    for (size_t i = 0; i < sizeof(bad) - 1; i++) {
        user[1] = bad[i];
        assert_string_equal(expand("{user}@corp", user, LOGIN_PLAIN), "refused");
        assert_string_not_equal(expand("(uid={user})", user, LOGIN_FILTER), "refused");
    }
}

static void too_long(void **state)
{
    char user[ACCOUNT_NAME_MAX + 1], out[32], template[LOGIN_TEXT_MAX];
    struct login l;

    memset(user, ',', sizeof(user));
    l = (struct login){.user = {user, ACCOUNT_NAME_MAX}};
    assert_int_equal(login_expand(STR("{user}"), &l, LOGIN_DN, out, sizeof(out)), -1);
    assert_int_equal(login_expand(STR("0123456789012345678901234567890"), &l, LOGIN_DN, out, sizeof(out)),
                     31);
    assert_int_equal(login_expand(STR("01234567890123456789012345678901"), &l, LOGIN_DN, out, sizeof(out)),
                     -1);
    assert_int_equal(login_expand(STR("{domain}"), &l, LOGIN_DN, out, sizeof(out)), -1); /* none */
    assert_int_equal(login_expand(STR(""), &l, LOGIN_DN, out, sizeof(out)), -1); /* would bind anonymously */
    memset(template, 'x', sizeof(template));
    assert_non_null(login_template_fault((struct str){template, sizeof(template)}, false));
}

static void templates(void **state)
{
    static const char *const good[] = {"{user}",    "{account}",       "{user}@x",
                                       "X\\{user}", "uid={user},dc=x", "(a={user})"};
    static const char *const bad[] = {"x",       "{domain}", "{usr}{user}", "{user",   "user}",
                                      "{user}}", "{}{user}", "{USER}",      "{user}\n"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_null(login_template_fault(str_of(good[i]), true));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_non_null(login_template_fault(str_of(bad[i]), true));
    assert_null(login_template_fault(STR("{domain}"), false));
}

static void filters(void **state)
{
    static const char *const good[] = {
        "(a=b)",        "(a=*)",  "(a=)",      "(&(a=b)(c=d))", "(|(a=b)(!(c=d)))",
        "(a:1.2.3:=b)", "(a>=b)", "(a=b\\2a)", "(&(a=b))",      "(a=m\xc3\xbc)",
    };
    static const char *const bad[] = {
        "",
        "a=b",
        "(a=b",
        "a=b)",
        "((a=b))",
        "(a)",
        "(=b)",
        "()",
        "(&)",
        "(!(a=b)(c=d))",
        "(a=b)(c=d)",
        "(a=b) ",
        " (a=b)",
        "(a=b(c)",
        "(a=\\)",
        "(a=\\2)",
        "(a=\\zz)",
        "(a=b\\",
        "(&(a=b)",
        "(&a=b)",
        "(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(a=b)))))))))))))))))))",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!ldap_filter_is_good(str_of(good[i])))
            fail_msg("%s is refused", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ldap_filter_is_good(str_of(bad[i])))
            fail_msg("%s is taken", bad[i]);
    }
}

static bool checked(struct conf_directory d, const char *says)
{
    struct conf_findings *f = conf_findings_new();
    struct conf_strings none = {NULL, 0};
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    bool good;

    d.name = STR("corp");
    if (d.group_names == NULL)
        d.group_names = &none;
    good = ldap_check(&d, "directories.corp", f);
    conf_findings_print(f, to);
    fclose(to);
    assert_int_equal(good, says == NULL);
    if (says != NULL && strstr(text, says) == NULL)
        fail_msg("\"%s\" is not in: %s", says, text);
    free(text);
    conf_findings_free(f);
    return good;
}

static void checks(void **state)
{
    struct str names[] = {STR("cn=a,dc=b"), STR("Mail")};
    struct conf_strings groups = {names, 2};

    checked((struct conf_directory){.bind_as = STR("{user}@corp")}, NULL);
    checked((struct conf_directory){.bind_as = STR("uid={user},ou=people,dc=x")}, NULL);
    checked((struct conf_directory){.bind_as = STR("corp")}, "`bind_as`: it must hold");
    checked((struct conf_directory){.bind_as = STR("uid={user},,dc=x")}, "`bind_as`: it has a `=`");
    checked((struct conf_directory){.bind_as = STR("{user}"), .search_base = STR("people")},
            "`search_base`: it is not a DN");
    checked((struct conf_directory){.bind_as = STR("{user}"), .search_filter = STR("uid={user}")},
            "`search_filter`: it is not a filter");
    checked((struct conf_directory){.bind_as = STR("{user}"), .bind_dn = STR("postern@corp")}, NULL);
    checked((struct conf_directory){.bind_as = STR("{user}"), .bind_dn = STR("cn=a,b")},
            "`bind_dn`: it is not a DN");
    checked((struct conf_directory){.bind_as = STR("{user}"), .group_names = &groups, .groups = 1}, NULL);
    checked((struct conf_directory){.bind_as = STR("{user}"), .group_names = &groups, .groups = 2},
            "`require_groups`: it is not a DN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(no_account_has_these),
        cmocka_unit_test(domains),
        cmocka_unit_test(escapes),
        cmocka_unit_test(plain_templates_take_no_metacharacters),
        cmocka_unit_test(too_long),
        cmocka_unit_test(templates),
        cmocka_unit_test(filters),
        cmocka_unit_test(checks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
