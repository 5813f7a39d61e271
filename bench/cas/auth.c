/*
 * auth: Basic per request, and an NTLM-like exchange bound to the connection. The latter proves nothing about the user:
 * whoever a type 3 message names is that connection's user until it closes; that is what tests of pinning need.
 */
#include <stdio.h>
#include "cas.h"

static bool refuse(struct conn *c, const char *challenge)
{
    char more[512];
    COUNT(unauthorized, 1);
    snprintf(more, sizeof more, "%s%s",
             challenge ? challenge : "WWW-Authenticate: Basic realm=\"Simulated Client Access server\"\r\n",
             !challenge && options.offer_ntlm ? "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n"
                                              : "");
    static const char text[] = "Simulated Client Access server: credentials, please\n";
    answer(c, 401, "Unauthorized", "text/plain; charset=utf-8", more, text, sizeof text - 1);
    return false;
}

/* alice is let in as DOMAIN\alice and alice@domain too */
static struct str bare_name(struct str name)
{
    const char *slash = memchr(name.p, '\\', name.n);
    if (slash) {
        name.n -= (size_t)(slash + 1 - name.p);
        name.p = slash + 1;
    }
    const char *at = memchr(name.p, '@', name.n);
    return at ? (struct str){name.p, (size_t)(at - name.p)} : name;
}

static bool known(struct str name, struct str password)
{
    if (options.any_user)
        return true;
    for (unsigned i = 0; i < options.user_count; i++) {
        struct str rest = str_of(options.users[i]), want;
        str_next(&rest, ':', &want);
        if (str_eq(rest, password) && (str_eq_nocase(want, name) || str_eq_nocase(want, bare_name(name))))
            return true;
    }
    return false;
}

/* Names go into headers and pages: only what is harmless there. */
static void set_name(char *to, struct str name)
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n < NAME_SIZE - 1; i++)
        if (name.p[i] > ' ' && name.p[i] < 127 && !strchr("<>&\"'", name.p[i]))
            to[n++] = name.p[i];
    to[n] = 0;
}

static bool basic(struct conn *c, struct str value)
{
    char plain[512];
    ptrdiff_t n = str_base64_decode(str_trim(value), plain, sizeof plain);
    const char *colon = n > 0 ? memchr(plain, ':', (size_t)n) : NULL;
    bool ok = false;
    if (colon) {
        struct str name = {plain, (size_t)(colon - plain)};
        ok = known(name, (struct str){colon + 1, (size_t)n - name.n - 1});
        if (ok)
            set_name(c->user, name);
    }
    explicit_bzero(plain, sizeof plain);
    return ok || refuse(c, NULL);
}

static unsigned le16(const unsigned char *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

/* MS-NLMP 2.2.1.3: the name's fields are at 36 (UTF-16LE as a rule); the short form has the bare name at 12. */
static void type3_name(const unsigned char *m, size_t n, char *to)
{
    char text[NAME_SIZE];
    size_t length = 0;
    unsigned size = n >= 64 ? le16(m + 36) : 0, at = n >= 64 ? le16(m + 40) : 0;
    if (size && at >= 52 && at + size <= n) {
        for (unsigned i = 0; i < size && length < sizeof text; i++)
            if (m[at + i])
                text[length++] = (char)m[at + i];
        set_name(to, (struct str){text, length});
    } else
        set_name(to, (struct str){(const char *)m + 12, n - 12});
}

static bool ntlm(struct conn *c, struct str scheme, struct str value)
{
    unsigned char m[2048];
    ptrdiff_t n = str_base64_decode(str_trim(value), m, sizeof m);
    if (n < 12 || memcmp(m, "NTLMSSP", 8) != 0)
        return refuse(c, NULL);
    if (m[8] == 1) {
        unsigned char challenge[48] = "NTLMSSP\0\2\0\0\0\0\0\0\0\x30\0\0\0\1\2\2\0SIMULATE";
        char coded[80], more[160];
        coded[str_base64_encode(challenge, sizeof challenge, coded, sizeof coded - 1)] = 0;
        snprintf(more, sizeof more, "WWW-Authenticate: %.*s %s\r\n", STR_ARG(scheme), coded);
        c->ntlm_step = 1;
        c->bound_user[0] = 0;
        return refuse(c, more);
    }
    if (m[8] != 3 || n < 13 || c->ntlm_step != 1)
        return refuse(c, NULL);
    c->ntlm_step = 2;
    type3_name(m, (size_t)n, c->bound_user);
    memcpy(c->user, c->bound_user, sizeof c->user);
    return c->user[0] || refuse(c, NULL);
}

bool auth_check(struct conn *c)
{
    struct str value, scheme;
    if (!head_get(c, STR("Authorization"), &value)) {
        if (!c->bound_user[0])
            return refuse(c, NULL);
        memcpy(c->user, c->bound_user, sizeof c->user);
        return true;
    }
    str_next(&value, ' ', &scheme);
    if (str_eq_nocase(scheme, STR("Basic")))
        return basic(c, value);
    if (str_eq_nocase(scheme, STR("NTLM")) || str_eq_nocase(scheme, STR("Negotiate")))
        return ntlm(c, scheme, value);
    return refuse(c, NULL);
}
