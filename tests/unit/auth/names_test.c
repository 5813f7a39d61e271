/*
 * Names and Basic credentials.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <postern/account.h>

static enum basic_result parse_plain(const char *text, size_t n, struct basic_credentials *c)
{
    char value[2048] = "Basic ";
    ptrdiff_t m = str_base64_encode(text, n, value + 6, sizeof(value) - 6);

    assert_true(m >= 0);
    return basic_parse((struct str){value, 6 + (size_t)m}, c);
}

static void basic_takes_all_forms(void **state)
{
    struct basic_credentials c;

    /* RFC 7617 2: the example */
    assert_int_equal(basic_parse(STR("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), &c), BASIC_OK);
    assert_string_equal(c.user, "Aladdin");
    assert_string_equal(c.password, "open sesame");
    assert_int_equal(basic_parse(STR("bASIC  QWxhZGRpbjpvcGVuIHNlc2FtZQ== "), &c), BASIC_OK);
    assert_int_equal(parse_plain("C\\u:a:b", 7, &c), BASIC_OK);
    assert_string_equal(c.user, "C\\u");
    assert_string_equal(c.password, "a:b");
    assert_int_equal(parse_plain("m\xfcller:\xa3", 8, &c), BASIC_OK);
    assert_int_equal(parse_plain("m\xc3\xbcller:\xc2\xa3", 10, &c), BASIC_OK);
    assert_int_equal(c.user_n, 7);
}

static void basic_refuses(void **state)
{
    struct basic_credentials c = {.user_n = 77};
    char longer[600];

    memset(longer, 'a', sizeof(longer));
    longer[257] = ':';
    assert_int_equal(parse_plain("nocolon", 7, &c), BASIC_MALFORMED);
    assert_int_equal(parse_plain("u:p\0q", 5, &c), BASIC_MALFORMED);
    assert_int_equal(parse_plain("u\n:p", 4, &c), BASIC_MALFORMED);
    assert_int_equal(parse_plain("u:p\x7f", 4, &c), BASIC_MALFORMED);
    assert_int_equal(parse_plain(longer, 300, &c), BASIC_MALFORMED);
    longer[257] = 'a';
    longer[1] = ':';
    assert_int_equal(parse_plain(longer, 2 + 257, &c), BASIC_MALFORMED);
    assert_int_equal(parse_plain(":p", 2, &c), BASIC_EMPTY);
    assert_int_equal(parse_plain("u:", 2, &c), BASIC_EMPTY);
    assert_int_equal(parse_plain("D\\:p", 4, &c), BASIC_EMPTY);
    assert_int_equal(basic_parse(STR("Basic"), &c), BASIC_MALFORMED);
    assert_int_equal(basic_parse(STR("Basic !!!!"), &c), BASIC_MALFORMED);
    assert_int_equal(basic_parse(STR("BasicQTpi"), &c), BASIC_ABSENT);
    assert_int_equal(basic_parse(STR("NTLM QTpi"), &c), BASIC_ABSENT);
    assert_int_equal(basic_parse(STR(""), &c), BASIC_ABSENT);
    assert_int_equal(c.user_n, 77);
}

static void basic_longest(void **state)
{
    struct basic_credentials c;
    char text[513];

    memset(text, 'x', sizeof(text));
    text[256] = ':';
    assert_int_equal(parse_plain(text, 513, &c), BASIC_OK);
    assert_int_equal(c.user_n, 256);
    assert_int_equal(c.password_n, 256);
}

static void basic_written_is_read(void **state)
{
    struct basic_credentials c;
    char value[64];
    ptrdiff_t n = basic_write(STR("svc"), STR("p:w"), value, sizeof(value));

    assert_true(n > 0);
    assert_int_equal(basic_parse((struct str){value, (size_t)n}, &c), BASIC_OK);
    assert_string_equal(c.password, "p:w");
    assert_int_equal(basic_write(STR("svc"), STR("p:w"), value, 10), -1);
    basic_forget(&c);
    for (size_t i = 0; i < sizeof(c); i++)
        assert_int_equal(((char *)&c)[i], 0);
}

static void account_parts(void **state)
{
    struct account a = account_parse(STR("CORP\\anna"));
    char out[8];

    assert_true(str_eq(a.user, STR("anna")) && str_eq(a.domain, STR("CORP")));
    a = account_parse(STR("anna@corp.example"));
    assert_true(str_eq(a.user, STR("anna")) && str_eq(a.domain, STR("corp.example")));
    a = account_parse(STR("anna"));
    assert_true(str_eq(a.user, STR("anna")) && a.domain.p == NULL);
    a = account_parse(STR("a@b@corp.example"));
    assert_true(str_eq(a.user, STR("a@b")) && str_eq(a.domain, STR("corp.example")));
    assert_int_equal(account_normal(STR("C\\ANN\xc4"), out, sizeof(out)), 5);
    assert_string_equal(out, "ann\xc3\xa4");
    assert_int_equal(account_normal(STR("12345678"), out, sizeof(out)), -1);
}

/* ---- one form ---- */

static struct str domain_list[] = {STR("CORP"), STR("corp.example.com")};
static const struct conf_directory any = {.type = CONF_DIRECTORY_LDAP, .name = STR("any")};
static const struct conf_directory corp = {
    .type = CONF_DIRECTORY_LDAP, .name = STR("corp"), .domains = {domain_list, 2}};

static const char *form(const char *name, const struct conf_directory *d)
{
    static char out[ACCOUNT_NORMAL_MAX + 1];

    return account_of(str_of(name), d, out, sizeof(out)) < 0 ? "(refused)" : out;
}

static void one_form(void **state)
{
    static const char *const alice[] = {"alice",
                                        "ALICE",
                                        "CORP\\alice",
                                        "corp\\Alice",
                                        "alice@corp.example.com",
                                        "Alice@CORP.example.COM",
                                        " alice ",
                                        "Corp \\ ALICE"};
    struct conf_directory apart = corp, same = corp;

    for (size_t i = 0; i < sizeof(alice) / sizeof(*alice); i++) {
        assert_string_equal(form(alice[i], &any), "alice");
        assert_string_equal(form(alice[i], &corp), "alice");
    }
    /* domains that are not listed */
    assert_string_equal(form("OTHER\\alice", &any), "alice");
    assert_string_equal(form("OTHER\\alice", &corp), "(refused)");
    assert_string_equal(form("alice@other.example", &corp), "(refused)");
    apart.other_domains = CONF_DOMAINS_APART;
    assert_string_equal(form("OTHER\\Alice", &apart), "alice@other");
    assert_string_equal(form("Alice@OTHER", &apart), "alice@other");
    assert_string_equal(form("alice@corp.example.com", &apart), "alice");
    same.other_domains = CONF_DOMAINS_SAME;
    assert_string_equal(form("OTHER\\alice", &same), "alice");
    assert_string_equal(form("CORP\\", &corp), "(refused)");
    assert_string_equal(form("  ", &corp), "(refused)");
}

static void letters_fold(void **state)
{
    assert_string_equal(form("M\xc3\x9cLLER", &any), "m\xc3\xbcller");         /* MÜLLER */
    assert_string_equal(form("m\xdcLLER", &any), "m\xc3\xbcller");             /* the same in ISO-8859-1 */
    assert_string_equal(form("\xc4\x8c\xc3\x81P", &any), "\xc4\x8d\xc3\xa1p"); /* ČÁP */
    assert_string_equal(form("\xce\x91\xce\xa3", &any), form("\xce\xb1\xcf\x82", &any)); /* ΑΣ, ας */
    assert_string_equal(form("\xd0\x98\xd0\x92\xd0\x90\xd0\x9d", &any),
                        "\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd"); /* ИВАН */
    assert_string_equal(form("\xc5\xb8", &any), "\xc3\xbf"); /* Ÿ */
    assert_string_equal(form("a\x81", &any), "(refused)");   /* nothing in Windows-1252 */
    assert_string_equal(form("\x80uro", &any), "\xe2\x82\xacuro");
}

static void skeleton_is(const char *name, const char *expected)
{
    char normal[ACCOUNT_NORMAL_MAX + 1], out[ACCOUNT_NORMAL_MAX + 1];
    ptrdiff_t n = account_of(str_of(name), &any, normal, sizeof(normal));
    size_t m;

    assert_true(n > 0);
    m = account_skeleton((struct str){normal, (size_t)n}, out, sizeof(out));
    assert_int_equal(m, strlen(expected));
    assert_memory_equal(out, expected, m);
    assert_true(m <= (size_t)n);
}

/* Active Directory takes these for "alice" or "muller"; a new counter for each would be many guesses. */
static void variants_share_a_skeleton(void **state)
{
    skeleton_is("\xc3\xa1lice", "alice");
    skeleton_is("al\xc3\xac"
                "ce",
                "alice");
    skeleton_is("a\xcc\x81lice", "alice");     /* combining acute */
    skeleton_is("\xef\xbd\x81lice", "alice");  /* full width a */
    skeleton_is("al\xe2\x80\x8bice", "alice"); /* zero width space */
    skeleton_is("al\xc2\xadice", "alice");     /* soft hyphen */
    skeleton_is("m\xc3\xbcller", "muller");
    skeleton_is("m\xe1\xb9\xb3ller", "muller"); /* ṳ */
    skeleton_is("stra\xc3\x9f"
                "e",
                "strasse");
    skeleton_is("\xc3\x86sop", "aesop");
    skeleton_is("\xf0\x9d\x90\x9a"
                "lice",
                "alice"); /* a mathematical a, and so on; all of them OpenLDAP's */
    skeleton_is("al\xe2\x85\xb0"
                "ce",
                "alice");
    skeleton_is("\xe2\x93\x90lic\xe2\x82\x91", "alice");
    skeleton_is("o\xef\xac\x83"
                "ce\xc2\xb2",
                "office2");
    skeleton_is("john   smith", "john smith");
    skeleton_is("john\xe2\x80\x83\xc2\xa0smith\xc2\xa0", "john smith");
    skeleton_is("al\xef\xb8\x8fice", "alice");                 /* a variation selector */
    skeleton_is("alice\xee\x80\x80\xf0\x9f\x98\x80", "alice"); /* a private character, a face */
    skeleton_is("\xf0\x9d\x9b\xbc", "\xce\xb1");               /* a mathematical alpha */
    skeleton_is("\xe1\xbc\x84", "\xce\xb1");                   /* ἄ */
    skeleton_is("\xd3\xa5", "\xd0\xb8");                       /* ӥ */
    skeleton_is("\xce\xac", "\xce\xb1");                       /* ά */
    skeleton_is("\xd0\x99", "\xd0\xb8");                       /* Й */
}

static void longest_names(void **state)
{
    char name[ACCOUNT_NAME_MAX + 1], out[ACCOUNT_NORMAL_MAX + 1];

    memset(name, '\x80', sizeof(name)); /* each becomes three octets */
    assert_int_equal(account_of((struct str){name, ACCOUNT_NAME_MAX}, &any, out, sizeof(out)),
                     3 * ACCOUNT_NAME_MAX);
    assert_int_equal(account_of((struct str){name, ACCOUNT_NAME_MAX + 1}, &any, out, sizeof(out)), -1);
    memset(name, 'A', sizeof(name));
    assert_int_equal(account_of((struct str){name, ACCOUNT_NAME_MAX}, &any, out, 100), -1);
}

static void chain_picks_the_domain(void **state)
{
    static struct str partner_list[] = {STR("PARTNERS")};
    static const struct conf_directory partners = {
        .type = CONF_DIRECTORY_LDAP, .name = STR("partners"), .domains = {partner_list, 1}};
    const struct conf_directory *members[] = {&corp, &partners};
    struct conf_directory chain = {.type = CONF_DIRECTORY_CHAIN, .members = members, .members_n = 2};

    assert_ptr_equal(account_directory(STR("bob"), &chain), &corp);
    assert_ptr_equal(account_directory(STR("corp\\bob"), &chain), &corp);
    assert_ptr_equal(account_directory(STR("bob@partners"), &chain), &partners);
    assert_null(account_directory(STR("OTHER\\bob"), &chain));
    members[1] = &any;
    assert_ptr_equal(account_directory(STR("OTHER\\bob"), &chain), &any);
    assert_ptr_equal(account_directory(STR("OTHER\\bob"), &corp), &corp);
}

static bool written_is(const char *name, enum conf_delegate f, const struct conf_directory *d,
                       const char *expected)
{
    char out[600];

    return str_eq(account_written(str_of(name), d, f, out, sizeof(out)), str_of(expected));
}

static void forms_for_the_backend(void **state)
{
    assert_true(written_is("corp\\Alice", CONF_DELEGATE_AS_SENT, &corp, "corp\\Alice"));
    assert_true(written_is("corp\\Alice", CONF_DELEGATE_USER, &corp, "Alice"));
    assert_true(written_is("Alice@corp.example.com", CONF_DELEGATE_DOMAIN_BACKSLASH, &corp, "CORP\\Alice"));
    assert_true(written_is("Alice", CONF_DELEGATE_DOMAIN_BACKSLASH, &corp, "CORP\\Alice"));
    assert_true(written_is("CORP\\Alice", CONF_DELEGATE_UPN, &corp, "Alice@corp.example.com"));
    assert_true(written_is("Alice", CONF_DELEGATE_UPN, &corp, "Alice@corp.example.com"));
    /* another domain's account must not become one of ours */
    assert_true(written_is("OTHER\\alice", CONF_DELEGATE_UPN, &corp, "OTHER\\alice"));
    assert_true(written_is("alice", CONF_DELEGATE_UPN, &any, "alice"));
    assert_true(written_is("M\xdcLLER", CONF_DELEGATE_UPN, &corp, "M\xdcLLER@corp.example.com"));
}

/* ---- charsets ---- */

static void credentials_of(struct basic_credentials *c, const char *user, const char *password)
{
    memset(c, 0, sizeof(*c));
    c->user_n = strlen(user);
    c->password_n = strlen(password);
    memcpy(c->user, user, c->user_n);
    memcpy(c->password, password, c->password_n);
}

static void octets_tell_the_charset(void **state)
{
    struct basic_credentials c, r;

    credentials_of(&c, "alice", "gr\xfcn");
    assert_int_equal(basic_charset_of(&c), BASIC_LATIN1);
    assert_false(basic_is_ambiguous(&c));
    assert_true(basic_read_as(&c, BASIC_LATIN1, &r));
    assert_string_equal(r.password, "gr\xc3\xbcn");
    assert_int_equal(r.password_n, 5);
    credentials_of(&c, "alice", "gr\xc3\xbcn"); /* "grÃ¼n" is a text too */
    assert_int_equal(basic_charset_of(&c), BASIC_UTF8);
    assert_true(basic_is_ambiguous(&c));
    assert_true(basic_read_as(&c, BASIC_LATIN1, &r));
    assert_string_equal(r.password, "gr\xc3\x83\xc2\xbcn");
    credentials_of(&c, "alice",
                   "stra\xc3\x9f"
                   "e"); /* 0x9f is a control in ISO-8859-1 */
    assert_int_equal(basic_charset_of(&c), BASIC_UTF8);
    assert_false(basic_is_ambiguous(&c));
    credentials_of(&c, "alice", "plain");
    assert_int_equal(basic_charset_of(&c), BASIC_UTF8);
    assert_false(basic_is_ambiguous(&c));
    credentials_of(&c, "m\xfcller", "gr\xc3\xbcn"); /* one part decides for both */
    assert_int_equal(basic_charset_of(&c), BASIC_LATIN1);
    credentials_of(&c, "alice",
                   "a\xc2\x85"
                   "b"); /* U+0085 */
    assert_false(basic_read_as(&c, BASIC_UTF8, &r));
    credentials_of(&c, "alice", "a\x81");
    assert_false(basic_read_as(&c, BASIC_LATIN1, &r));
}

static void read_must_fit(void **state)
{
    struct basic_credentials c, r;
    char text[ACCOUNT_PASSWORD_MAX + 1];

    memset(text, 0xfc, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    credentials_of(&c, "a", text);
    assert_false(basic_read_as(&c, BASIC_LATIN1, &r));
    text[ACCOUNT_PASSWORD_MAX / 2] = '\0';
    credentials_of(&c, "a", text);
    assert_true(basic_read_as(&c, BASIC_LATIN1, &r));
    assert_int_equal(r.password_n, ACCOUNT_PASSWORD_MAX);
}

/* ---- schemes ---- */

static void offers(void **state)
{
    assert_true(auth_offers(STR("Basic realm=\"x\""), AUTH_SCHEME_BASIC));
    assert_true(
        auth_offers(STR("Negotiate, NTLM, Basic realm=\"a, b\", charset=\"UTF-8\""), AUTH_SCHEME_BASIC));
    assert_true(auth_offers(STR("Negotiate, NTLM, Basic realm=\"a\""), AUTH_SCHEME_NTLM));
    assert_false(auth_offers(STR("Negotiate, NTLM"), AUTH_SCHEME_BASIC));
    assert_false(auth_offers(STR("Digest realm=\"Basic, Basic\", opaque=Basic"), AUTH_SCHEME_BASIC));
    assert_false(auth_offers(STR("NTLM TlRMTVNTUAAC=="), AUTH_SCHEME_BASIC));
    assert_true(auth_offers(STR(",, basic"), AUTH_SCHEME_BASIC));
    assert_false(auth_offers(STR("Digest realm=\"\\\", Basic\""), AUTH_SCHEME_BASIC));
    assert_false(auth_offers(STR("Newer basic = x"), AUTH_SCHEME_BASIC));
    assert_false(auth_offers(STR(""), AUTH_SCHEME_BASIC));
}

static void schemes(void **state)
{
    assert_int_equal(auth_scheme_of(STR("ntlm TlRM")), AUTH_SCHEME_NTLM);
    assert_int_equal(auth_scheme_of(STR("Negotiate")), AUTH_SCHEME_NEGOTIATE);
    assert_int_equal(auth_scheme_of(STR("Basic realm=\"x\"")), AUTH_SCHEME_BASIC);
    assert_int_equal(auth_scheme_of(STR("NTLMx")), AUTH_SCHEME_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(basic_takes_all_forms),
        cmocka_unit_test(basic_refuses),
        cmocka_unit_test(basic_longest),
        cmocka_unit_test(basic_written_is_read),
        cmocka_unit_test(account_parts),
        cmocka_unit_test(schemes),
        cmocka_unit_test(one_form),
        cmocka_unit_test(letters_fold),
        cmocka_unit_test(variants_share_a_skeleton),
        cmocka_unit_test(longest_names),
        cmocka_unit_test(chain_picks_the_domain),
        cmocka_unit_test(forms_for_the_backend),
        cmocka_unit_test(octets_tell_the_charset),
        cmocka_unit_test(read_must_fit),
        cmocka_unit_test(offers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
