/* Rules for devices: the first that matches decides. */
#include "exchange_test.h"

#include <postern/device_rules.h>

static struct device_rules *parse(const char *text)
{
    struct conf_findings *f = conf_findings_new();
    struct device_rules *r = device_rules_parse("rules", str_of(text), NULL, f);

    assert_non_null(r);
    assert_int_equal(conf_findings_count(f, CONF_ERROR), 0);
    conf_findings_free(f);
    return r;
}

static bool in_admins(void *ctx, struct str group)
{
    return str_eq_nocase(group, STR("admins"));
}

/* A denial holds for every way in which the name can be written, a permission for the one in the rule. */
static void spellings_of_a_user(void **state)
{
    struct device_rules *r = parse("allow user=carol\n"
                                   "deny user=bob\n"
                                   "deny user=M\xc3\x9cLL*\n"
                                   "deny user=CORP\\dave\n"
                                   "deny user=carol\n");
    struct device_facts f = {.user = STR("CORP\\B\xc3\xb6"
                                         "b"),
                             .plain_user = STR("bob")};

    assert_int_equal(device_rules_judge(r, &f).line, 2);
    f = (struct device_facts){.user = STR("m\xfcller@corp"), .plain_user = STR("muller")};
    assert_int_equal(device_rules_judge(r, &f).line, 3);
    f = (struct device_facts){.user = STR("dave"), .plain_user = STR("dave")};
    assert_int_equal(device_rules_judge(r, &f).line, 0);
    f.user = STR("corp\\Dave");
    assert_int_equal(device_rules_judge(r, &f).line, 4);
    f = (struct device_facts){.user = STR("Carol"), .plain_user = STR("carol")};
    assert_int_equal(device_rules_judge(r, &f).line, 1);
    f.user = STR("OTHER\\carol");
    assert_int_equal(device_rules_judge(r, &f).line, 5);
    device_rules_free(r);
}

static void first_match(void **state)
{
    struct device_rules *r = parse("# a comment\n"
                                   "allow device_id=ApplGOOD\n"
                                   "observe user_agent=\"*Nokia *\"\n"
                                   "\n"
                                   "deny device_type=evil* status=456   # behind a rule\n"
                                   "deny version<12.1 user=bob\n"
                                   "deny group=admins command=GetAttachment\n"
                                   "deny version>=16.1\r\n");
    struct device_facts f = {.device_id = STR("ApplGOOD"), .device_type = STR("EvilPhone")};
    struct device_verdict v = device_rules_judge(r, &f);

    assert_int_equal(v.action, DEVICE_ALLOW);
    assert_int_equal(v.line, 2);
    f.device_id = STR("applgood2");
    v = device_rules_judge(r, &f);
    assert_int_equal(v.action, DEVICE_DENY);
    assert_int_equal(v.status, 456);
    assert_int_equal(v.line, 5);
    f = (struct device_facts){
        .device_type = STR("iPhone"), .user_agent = STR("x Nokia E72"), .user = STR("BOB"), .version = 120};
    v = device_rules_judge(r, &f);
    assert_int_equal(v.action, DEVICE_DENY);
    assert_int_equal(v.status, 403);
    assert_int_equal(v.observed, 3);
    f.version = 121;
    assert_int_equal(device_rules_judge(r, &f).action, DEVICE_ALLOW);
    f.version = 0; /* not known: it fits no condition on versions */
    assert_int_equal(device_rules_judge(r, &f).action, DEVICE_ALLOW);
    f.version = 161;
    assert_int_equal(device_rules_judge(r, &f).line, 8);
    f = (struct device_facts){.command = STR("GetAttachment"), .version = 141};
    assert_int_equal(device_rules_judge(r, &f).action, DEVICE_ALLOW);
    f.in_group = in_admins;
    assert_int_equal(device_rules_judge(r, &f).line, 7);
    device_rules_free(r);
}

static void none(void **state)
{
    struct device_rules *r = parse("");
    struct device_facts f = {.device_id = STR("a")};

    assert_int_equal(device_rules_judge(r, &f).action, DEVICE_ALLOW);
    device_rules_free(r);
    r = parse("deny");
    assert_int_equal(device_rules_judge(r, &f).action, DEVICE_DENY);
    device_rules_free(r);
}

static void globs(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } rows[] = {
        {"*", "", true},
        {"*", "abc", true},
        {"", "", true},
        {"", "a", false},
        {"a?c", "ABC", true},
        {"a?c", "ac", false},
        {"*c", "abc", true},
        {"a*", "abc", true},
        {"a*b*c", "aXbYbc", true},
        {"a*b", "abc", false},
        {"**x**", "axb", true},
        {"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(device_glob(str_of(rows[i].pattern), str_of(rows[i].text)), rows[i].fits);
}

struct told {
    char text[512];
    struct conf_mark where;
    unsigned n;
};

static void keep(void *ctx, enum conf_severity s, struct conf_mark where, const char *text)
{
    struct told *t = ctx;

    if (t->n++ == 0) {
        t->where = where;
        snprintf(t->text, sizeof(t->text), "%s", text);
    }
}

static void faults(void **state)
{
    static const struct conf_strings no_groups = {NULL, 0};
    static const struct {
        const char *rule, *says;
        unsigned line, column;
    } rows[] = {
        {"permit device_id=a", "begins with allow, deny or observe", 1, 1},
        {"allow\ndeny devide_id=a", "the conditions are", 2, 6},
        {"deny device_id", "is not a condition", 1, 6},
        {"deny device_id=", "is not a condition", 1, 6},
        {"deny user_agent=\"a b", "is not a condition", 1, 6},
        {"deny version=abc", "protocol version such as 14.1", 1, 6},
        {"deny  user<a", "only version can be above or below", 1, 7},
        {"allow status=403", "only a deny rule has a status", 1, 7},
        {"deny group=admins", "name it in the service's device_groups", 1, 6},
        {"deny status=200", "write 403", 1, 6},
        {"deny user=a user=a user=a user=a user=a user=a user=a user=a user=a user=a user=a user=a user=a user=a user=a user=a user=a",
         "at most 16 conditions", 1, 118},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf_findings *f = conf_findings_new();
        struct told t = {.n = 0};

        assert_null(device_rules_parse("rules", str_of(rows[i].rule), &no_groups, f));
        conf_findings_each(f, keep, &t);
        assert_int_equal(t.n, 1);
        if (strstr(t.text, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].rule, t.text);
        assert_string_equal(t.where.file, "rules");
        assert_int_equal(t.where.line, rows[i].line);
        assert_int_equal(t.where.column, rows[i].column);
        conf_findings_free(f);
    }
}

static void groups_that_are_asked(void **state)
{
    struct str names[] = {STR("CN=No Phones,DC=corp"), STR("admins")};
    const struct conf_strings groups = {names, 2};
    struct conf_findings *f = conf_findings_new();
    struct device_rules *r =
        device_rules_parse("rules", STR("deny group=ADMINS\ndeny group=\"cn=no*\"\n"), &groups, f);

    assert_non_null(r);
    device_rules_free(r);
    assert_null(device_rules_parse("rules", STR("deny group=admin"), &groups, f));
    conf_findings_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_match), cmocka_unit_test(spellings_of_a_user),
                                       cmocka_unit_test(none),        cmocka_unit_test(groups_that_are_asked),
                                       cmocka_unit_test(globs),       cmocka_unit_test(faults)};

    return cmocka_run_group_tests_name("device_rules", tests, NULL, NULL);
}
