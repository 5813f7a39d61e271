/*
 * Names into bind names, DNs and filters.
 */
#include "login.h"

/* No account name of a Windows domain has one of these (MS-ADTS 3.1.1.3: sAMAccountName); "@" stands between user and domain. */
#define NEVER_IN_A_NAME "\"/\\[]:;|=,+*?<>@"

/* ---- text ---- */

static size_t utf8_length(unsigned char c)
{
    return c < 0x80                ? 1
           : c >= 0xc2 && c < 0xe0 ? 2
           : c >= 0xe0 && c < 0xf0 ? 3
           : c >= 0xf0 && c < 0xf5 ? 4
                                   : 0;
}

/* Over-long forms, surrogates and what lies beyond U+10FFFF (RFC 3629 4). */
static bool utf8_second(unsigned char first, unsigned char second)
{
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

    return second >= low && second <= high;
}

static bool is_control(unsigned char first, unsigned char second)
{
    return first < 0x20 || first == 0x7f || (first == 0xc2 && second < 0xa0);
}

bool login_is_text(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;

    for (size_t i = 0, n; i < s.n; i += n) {
        n = utf8_length(p[i]);
        if (n == 0 || n > s.n - i || (n > 1 && !utf8_second(p[i], p[i + 1])) ||
            is_control(p[i], n > 1 ? p[i + 1] : 0))
            return false;
        for (size_t k = 2; k < n; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
        }
    }
    return true;
}

/* ---- the name ---- */

static bool part_is_good(struct str s)
{
    return s.n > 0 && s.p[0] != ' ' && s.p[s.n - 1] != ' ';
}

/* As the counters see it: one rule says what a domain means. */
static bool domain_is_known(const struct conf_directory *d, struct str name)
{
    char normal[ACCOUNT_NORMAL_MAX + 1];

    return account_of(name, d, normal, sizeof(normal)) >= 0;
}

bool login_parse(const struct conf_directory *d, const struct basic_credentials *c, struct login *ret)
{
    struct str name = {c->user, c->user_n};
    struct account a = account_parse(name);

    if (!login_is_text(name) || !part_is_good(a.user))
        return false;
    if (a.domain.p != NULL && (!part_is_good(a.domain) || !domain_is_known(d, name)))
        return false;
    *ret = (struct login){
        .user = a.user, .domain = a.domain.p != NULL ? a.domain : d->default_domain, .account = name};
    return true;
}

/* ---- templates ---- */

static const struct {
    const char *word;
    size_t offset;
    bool names; /* tells one account from another */
} placeholders[] = {
    {"{user}", offsetof(struct login, user), true},
    {"{account}", offsetof(struct login, account), true},
    {"{domain}", offsetof(struct login, domain), false},
    {"{dn}", offsetof(struct login, dn), true},
};
#define PLACEHOLDERS (sizeof(placeholders) / sizeof(placeholders[0]))

static int placeholder_at(struct str rest)
{
    for (size_t i = 0; i < PLACEHOLDERS; i++) {
        size_t n = strlen(placeholders[i].word);
        if (rest.n >= n && memcmp(rest.p, placeholders[i].word, n) == 0)
            return (int)i;
    }
    return -1;
}

enum login_place login_place_of(struct str bind_as)
{
    return memchr(bind_as.p, '=', bind_as.n) != NULL ? LOGIN_DN : LOGIN_PLAIN;
}

const char *login_template_fault(struct str t, bool needs_name)
{
    bool names = false;

    if (t.n > LOGIN_TEXT_MAX / 2 || !login_is_text(t))
        return "it is too long, not UTF-8 or holds a control character";
    while (t.n > 0) {
        int i = t.p[0] == '{' ? placeholder_at(t) : -1;
        size_t n = i >= 0 ? strlen(placeholders[i].word) : 1;
        if (i < 0 && (t.p[0] == '{' || t.p[0] == '}'))
            return "braces hold {user}, {domain} or {account}";
        names = names || (i >= 0 && placeholders[i].names);
        t = (struct str){t.p + n, t.n - n};
    }
    return names || !needs_name ? NULL : "it must hold {user} or {account}: else all accounts are one";
}

struct text {
    char *p;
    size_t n, size;
    bool full;
};

static void put(struct text *t, char c)
{
    if (t->n + 1 < t->size)
        t->p[t->n++] = c;
    else
        t->full = true;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') ||
           (ascii_lower((char)c) >= 'a' && ascii_lower((char)c) <= 'z') ||
           (c != '\0' && strchr(" '-.@_", c) != NULL);
}

static void put_escaped(struct text *t, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool end_space = c == ' ' && (i == 0 || i + 1 == s.n); /* RFC 4514 2.4 */
        if (is_plain(c) && !end_space) {
            put(t, (char)c);
            continue;
        }
        put(t, '\\');
        put(t, hex[c >> 4]);
        put(t, hex[c & 15]);
    }
}

static bool put_plain(struct text *t, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        put(t, s.p[i]);
    return true;
}

static bool never_in_a_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (strchr(NEVER_IN_A_NAME, s.p[i]) != NULL)
            return true;
    }
    return false;
}

static bool put_value(struct text *t, const struct login *l, int which, enum login_place place)
{
    struct str value;

    memcpy(&value, (const char *)l + placeholders[which].offset, sizeof(value));
    if (value.p == NULL)
        return false;
    if (place == LOGIN_PLAIN)
        return !never_in_a_name(l->user) && !never_in_a_name(l->domain) && put_plain(t, value);
    put_escaped(t, value);
    return true;
}

ptrdiff_t login_expand(struct str template, const struct login *l, enum login_place place, char *out,
                       size_t size)
{
    struct text t = {.p = out, .size = size};
    struct str rest = template;

    while (rest.n > 0) {
        int i = rest.p[0] == '{' ? placeholder_at(rest) : -1;
        size_t n = i >= 0 ? strlen(placeholders[i].word) : 1;
        if (i >= 0 && !put_value(&t, l, i, place))
            return -1;
        if (i < 0)
            put(&t, rest.p[0]);
        rest = (struct str){rest.p + n, rest.n - n};
    }
    if (t.full || t.n == 0)
        return -1;
    out[t.n] = '\0';
    return (ptrdiff_t)t.n;
}
