/*
 * Basic credentials: whatever is taken is bounded, free of controls, and written again reads the same.
 */
#include <stdlib.h>

#include <postern/account.h>

#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            abort();                                                                                         \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(const char *p, size_t n, size_t most)
{
    CHECK(n > 0 && n <= most && p[n] == '\0');
    for (size_t i = 0; i < n; i++)
        CHECK((unsigned char)p[i] >= 0x20 && p[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value = {(const char *)data, size};
    struct basic_credentials c, again;
    char text[1024], name[ACCOUNT_NAME_MAX + 1];
    ptrdiff_t n;

    (void)auth_scheme_of(value);
    if (basic_parse(value, &c) != BASIC_OK)
        return 0;
    check_part(c.user, c.user_n, ACCOUNT_NAME_MAX);
    check_part(c.password, c.password_n, ACCOUNT_PASSWORD_MAX);
    CHECK(memchr(c.user, ':', c.user_n) == NULL);
    CHECK(account_normal((struct str){c.user, c.user_n}, name, sizeof(name)) > 0);
    n = basic_write((struct str){c.user, c.user_n}, (struct str){c.password, c.password_n}, text,
                    sizeof(text));
    CHECK(n > 0 && basic_parse((struct str){text, (size_t)n}, &again) == BASIC_OK);
    CHECK(again.user_n == c.user_n && memcmp(again.user, c.user, c.user_n) == 0);
    CHECK(again.password_n == c.password_n && memcmp(again.password, c.password, c.password_n) == 0);
    return 0;
}
