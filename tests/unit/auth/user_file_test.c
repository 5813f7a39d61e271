/*
 * The user file: what is taken, what is refused, with the line.
 */
#include <crypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <postern/verifier.h>

static char yescrypt[384], sha512[384];

static int hashes_make(void **state)
{
    struct crypt_data *d = calloc(1, sizeof(*d));
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];

    assert_non_null(d);
    assert_non_null(crypt_gensalt_rn("$y$", 1, NULL, 0, setting, sizeof(setting)));
    assert_non_null(crypt_rn("secret", setting, d, sizeof(*d)));
    strcpy(yescrypt, d->output);
    assert_non_null(crypt_gensalt_rn("$6$", 5000, NULL, 0, setting, sizeof(setting)));
    assert_non_null(crypt_rn("word", setting, d, sizeof(*d)));
    strcpy(sha512, d->output);
    free(d);
    return 0;
}

static struct basic_credentials credentials(const char *user, const char *password)
{
    struct basic_credentials c = {.user_n = strlen(user), .password_n = strlen(password)};

    strcpy(c.user, user);
    strcpy(c.password, password);
    return c;
}

static bool right(const struct user_file *u, const char *user, const char *password)
{
    struct basic_credentials c = credentials(user, password);

    return user_file_verify(u, &c);
}

static enum auth_detail judged(const struct user_file *u, const char *user, const char *password)
{
    struct basic_credentials c = credentials(user, password);

    return user_file_judge(u, &c);
}

static void verifies(void **state)
{
    struct conf_findings *f = conf_findings_new();
    struct user_file *u;
    char text[1024];

    snprintf(text, sizeof(text), "# staff\n\nAnna:%s:a comment\r\nm\xfcller:%s", yescrypt, sha512);
    u = user_file_parse(str_of(text), (struct conf_mark){"users", 0, 0}, f);
    assert_non_null(u);
    assert_true(right(u, "anna", "secret"));
    assert_true(right(u, "CORP\\ANNA", "secret"));
    assert_true(right(u, "anna@corp.example", "secret"));
    assert_true(right(u, "m\xfcller", "word"));
    assert_true(right(u, "M\xc3\x9cLLER", "word")); /* the same name, in UTF-8 and in capitals */
    assert_false(right(u, "anna", "Secret"));
    assert_false(right(u, "anna", "word"));
    assert_false(right(u, "anna", ""));
    assert_false(right(u, "nobody", "secret")); /* the row it is timed against has this password */
    assert_int_equal(judged(u, "anna", "secret"), AUTH_DETAIL_NONE);
    assert_int_equal(judged(u, "anna", "word"), AUTH_DETAIL_WRONG_PASSWORD);
    assert_int_equal(judged(u, "nobody", "word"), AUTH_DETAIL_UNKNOWN_USER);
    user_file_free(u);
    conf_findings_free(f);
}

static void empty_file_refuses_all(void **state)
{
    struct conf_findings *f = conf_findings_new();
    struct user_file *u = user_file_parse(STR("# nobody\n"), (struct conf_mark){"users", 0, 0}, f);

    assert_non_null(u);
    assert_false(right(u, "anna", "secret"));
    user_file_free(u);
    conf_findings_free(f);
}

static void line_of_finding(void *ctx, enum conf_severity s, struct conf_mark where, const char *text)
{
    *(unsigned *)ctx = where.line;
    assert_null(strstr(text, "$y$j75"));
}

static void refused(const char *text, unsigned line)
{
    struct conf_findings *f = conf_findings_new();
    unsigned found = 0;

    assert_null(user_file_parse(str_of(text), (struct conf_mark){"users", 0, 0}, f));
    assert_int_equal(conf_findings_count(f, CONF_ERROR), 1);
    conf_findings_each(f, line_of_finding, &found);
    assert_int_equal(found, line);
    conf_findings_free(f);
}

static void refuses_with_line(void **state)
{
    char text[2048];

    refused("x\n", 1);
    refused("\nanna:plain\n", 2);
    refused("anna:$1$abc$0123456789012345678901\n", 1);
    refused("anna:$y$j75$abc$short\n", 1);
    refused("anna:\n", 1);
    snprintf(text, sizeof(text), ":%s\n", yescrypt);
    refused(text, 1);
    snprintf(text, sizeof(text), "a\tb:%s\n", yescrypt);
    refused(text, 1);
    snprintf(text, sizeof(text), "#\nanna:%s\nb:%s\nANNA:%s\n", yescrypt, sha512, sha512);
    refused(text, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifies),
        cmocka_unit_test(empty_file_refuses_all),
        cmocka_unit_test(refuses_with_line),
    };

    return cmocka_run_group_tests(tests, hashes_make, NULL);
}
