/*
 * Basic credentials (RFC 7617). Octets above 0x7f are kept as they are; what they mean is a question of its own.
 */
#include <postern/account.h>

#include "fold.h"

#define BASIC_DECODED_MAX (ACCOUNT_NAME_MAX + 1 + ACCOUNT_PASSWORD_MAX)

/* RFC 7617 2: neither part holds control characters. A NUL would end the password early for crypt(3). */
static bool has_controls(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            return true;
    }
    return false;
}

static enum basic_result basic_split(const char *text, size_t n, struct basic_credentials *ret)
{
    const char *colon = memchr(text, ':', n);
    size_t user_n, password_n;

    if (colon == NULL || has_controls(text, n))
        return BASIC_MALFORMED;
    user_n = (size_t)(colon - text);
    password_n = n - user_n - 1;
    if (user_n > ACCOUNT_NAME_MAX || password_n > ACCOUNT_PASSWORD_MAX)
        return BASIC_MALFORMED;
    if (user_n == 0 || password_n == 0 || account_parse((struct str){text, user_n}).user.n == 0)
        return BASIC_EMPTY;
    memcpy(ret->user, text, user_n);
    memcpy(ret->password, colon + 1, password_n);
    ret->user[user_n] = ret->password[password_n] = '\0';
    ret->user_n = user_n;
    ret->password_n = password_n;
    return BASIC_OK;
}

enum basic_result basic_parse(struct str value, struct basic_credentials *ret)
{
    char text[BASIC_DECODED_MAX + 8];
    enum basic_result r;
    struct str token;
    ptrdiff_t n;

    value = str_trim(value);
    if (auth_scheme_of(value) != AUTH_SCHEME_BASIC)
        return BASIC_ABSENT;
    token = str_trim((struct str){value.p + 5, value.n - 5});
    n = str_base64_decode(token, text, sizeof(text));
    r = n < 0 ? BASIC_MALFORMED : basic_split(text, (size_t)n, ret);
    explicit_bzero(text, sizeof(text));
    return r;
}

/* ---- charsets ---- */

enum basic_charset basic_charset_of(const struct basic_credentials *c)
{
    bool utf8 =
        utf8_valid((struct str){c->user, c->user_n}) && utf8_valid((struct str){c->password, c->password_n});

    return utf8 ? BASIC_UTF8 : BASIC_LATIN1;
}

/* The controls of ISO-8859-1 in their UTF-8 form (RFC 7617 2: no control characters). */
static bool has_c1(struct str s)
{
    for (size_t i = 0; i + 1 < s.n; i++) {
        if ((unsigned char)s.p[i] == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
            return true;
    }
    return false;
}

static bool part_read_as(struct str s, enum basic_charset charset, char *out, size_t max, size_t *ret_n)
{
    ptrdiff_t n = (ptrdiff_t)s.n;

    if (charset == BASIC_LATIN1)
        n = latin1_to_utf8(s, out, max);
    else
        memcpy(out, s.p, s.n);
    if (n < 0 || has_c1((struct str){out, (size_t)n}))
        return false;
    out[n] = '\0';
    *ret_n = (size_t)n;
    return true;
}

bool basic_read_as(const struct basic_credentials *c, enum basic_charset charset,
                   struct basic_credentials *ret)
{
    return part_read_as((struct str){c->user, c->user_n}, charset, ret->user, sizeof(ret->user) - 1,
                        &ret->user_n) &&
           part_read_as((struct str){c->password, c->password_n}, charset, ret->password,
                        sizeof(ret->password) - 1, &ret->password_n);
}

/* Octets 0x80 to 0x9f are controls in ISO-8859-1, which nobody types: most UTF-8 is told apart by them. */
static bool part_may_be_latin1(struct str s, bool *beyond)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80 && c < 0xa0)
            return false;
        *beyond = *beyond || c >= 0xa0;
    }
    return true;
}

bool basic_is_ambiguous(const struct basic_credentials *c)
{
    bool beyond = false;

    return part_may_be_latin1((struct str){c->user, c->user_n}, &beyond) &&
           part_may_be_latin1((struct str){c->password, c->password_n}, &beyond) && beyond &&
           basic_charset_of(c) == BASIC_UTF8;
}

void basic_forget(struct basic_credentials *c)
{
    explicit_bzero(c, sizeof(*c));
}

ptrdiff_t basic_write(struct str user, struct str password, char *out, size_t size)
{
    char text[BASIC_DECODED_MAX];
    ptrdiff_t n;

    if (user.n > ACCOUNT_NAME_MAX || password.n > ACCOUNT_PASSWORD_MAX || size < 7)
        return -1;
    memcpy(text, user.p, user.n);
    text[user.n] = ':';
    memcpy(text + user.n + 1, password.p, password.n);
    n = str_base64_encode(text, user.n + 1 + password.n, out + 6, size - 6);
    explicit_bzero(text, sizeof(text));
    if (n < 0)
        return -1;
    memcpy(out, "Basic ", 6);
    return n + 6;
}
