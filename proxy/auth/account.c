/*
 * Names as clients write them: DOMAIN\user, user@domain, user.
 */
#include <postern/account.h>

#include <stdio.h>

#include "fold.h"

struct account account_parse(struct str name)
{
    const char *slash, *at;

    if (name.p == NULL)
        return (struct account){.user = STR("")};
    slash = memchr(name.p, '\\', name.n);
    if (slash != NULL)
        return (struct account){.domain = {name.p, (size_t)(slash - name.p)},
                                .user = {slash + 1, (size_t)(name.p + name.n - slash - 1)}};
    at = memrchr(name.p, '@', name.n);
    if (at != NULL)
        return (struct account){.user = {name.p, (size_t)(at - name.p)},
                                .domain = {at + 1, (size_t)(name.p + name.n - at - 1)}};
    return (struct account){.user = name};
}

/* ---- the normal form ---- */

/* Lower case, in UTF-8, whichever of the two charsets it is in. */
static ptrdiff_t text_lower(struct str s, char *out, size_t size)
{
    char read[ACCOUNT_NORMAL_MAX];
    const char *p, *end;
    size_t n = 0;

    if (!utf8_valid(s)) {
        ptrdiff_t k = latin1_to_utf8(s, read, sizeof(read));
        if (k < 0)
            return -1;
        s = (struct str){read, (size_t)k};
    }
    for (p = s.p, end = s.p + s.n; p < end;) {
        char octets[4];
        size_t k = utf8_put(fold_lower((uint32_t)utf8_next(&p, end)), octets);
        if (k >= size - n)
            return -1;
        memcpy(out + n, octets, k);
        n += k;
    }
    out[n] = '\0';
    return (ptrdiff_t)n;
}

ptrdiff_t account_normal(struct str name, char *out, size_t size)
{
    return size > 0 ? text_lower(account_parse(name).user, out, size) : -1;
}

/* Some directories overlook spaces around a name: they must not make another account of it. */
static struct str spaces_off(struct str s)
{
    while (s.n > 0 && s.p[0] == ' ')
        s = (struct str){s.p + 1, s.n - 1};
    while (s.n > 0 && s.p[s.n - 1] == ' ')
        s.n--;
    return s;
}

static struct account account_bare(struct str name)
{
    struct account a = account_parse(name);

    return (struct account){.user = spaces_off(a.user), .domain = spaces_off(a.domain)};
}

static bool is_domain_of(const struct conf_directory *d, struct str normal_domain)
{
    char listed[ACCOUNT_NORMAL_MAX + 1];

    for (size_t i = 0; i < d->domains.n; i++) {
        ptrdiff_t n = text_lower(d->domains.v[i], listed, sizeof(listed));
        if (n >= 0 && str_eq((struct str){listed, (size_t)n}, normal_domain))
            return true;
    }
    return false;
}

static enum conf_domains policy_of(const struct conf_directory *d)
{
    if (d->other_domains != CONF_DOMAINS_AUTO)
        return d->other_domains;
    return d->domains.n > 0 ? CONF_DOMAINS_REFUSE : CONF_DOMAINS_SAME;
}

size_t account_member(struct str name, const struct conf_directory *chain, size_t i)
{
    struct account a = account_bare(name);
    char text[ACCOUNT_NORMAL_MAX + 1];
    ptrdiff_t n = a.domain.n > 0 ? text_lower(a.domain, text, sizeof(text)) : 0;
    struct str domain = {text, n > 0 ? (size_t)n : 0};
    bool listed = false;

    if (n < 0)
        return chain->members_n;
    for (size_t k = 0; n > 0 && k < chain->members_n; k++)
        listed = listed || is_domain_of(chain->members[k], domain);
    for (; i < chain->members_n; i++) {
        const struct conf_directory *m = chain->members[i];
        if (n == 0 || (listed ? is_domain_of(m, domain) : policy_of(m) != CONF_DOMAINS_REFUSE))
            break;
    }
    return i;
}

const struct conf_directory *account_directory(struct str name, const struct conf_directory *d)
{
    size_t i;

    if (d->type != CONF_DIRECTORY_CHAIN)
        return d;
    i = account_member(name, d, 0);
    return i < d->members_n ? d->members[i] : NULL;
}

ptrdiff_t account_of(struct str name, const struct conf_directory *d, char *out, size_t size)
{
    struct account a = account_bare(name);
    char domain[ACCOUNT_NORMAL_MAX + 1];
    ptrdiff_t n, m = 0;

    if (a.user.n == 0 || size == 0)
        return -1;
    if (a.domain.n > 0 && (m = text_lower(a.domain, domain, sizeof(domain))) < 0)
        return -1;
    n = text_lower(a.user, out, size);
    if (n < 0 || m == 0 || policy_of(d) == CONF_DOMAINS_SAME ||
        is_domain_of(d, (struct str){domain, (size_t)m}))
        return n;
    if (policy_of(d) == CONF_DOMAINS_REFUSE || (size_t)(n + 1 + m) >= size)
        return -1;
    out[n] = '@';
    memcpy(out + n + 1, domain, (size_t)m + 1);
    return n + 1 + m;
}

ptrdiff_t account_domain(struct str name, char *out, size_t size)
{
    struct account a = account_bare(name);

    return a.domain.n > 0 && size > 0 ? text_lower(a.domain, out, size) : 0;
}

size_t account_skeleton(struct str normal, char *out, size_t size)
{
    const char *p = normal.p, *end = normal.p + normal.n;
    size_t n = 0;

    while (p < end) {
        int32_t c = utf8_next(&p, end);
        uint32_t base[FOLD_MAX];
        unsigned k = c >= 0 ? fold_base((uint32_t)c, base) : 0;
        if (c < 0)
            p++;
        if (k == 1 && base[0] == ' ' && (n == 0 || out[n - 1] == ' '))
            continue; /* several are one (RFC 4518 2.6.1) */
        for (unsigned i = 0; i < k && size - n >= 4; i++)
            n += utf8_put(base[i], out + n);
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    return n;
}

/* ---- as a backend wants it ---- */

/* The first listed domain of that kind: a UPN suffix has a dot, a NetBIOS name has none. */
static struct str domain_of_kind(const struct conf_directory *d, bool upn)
{
    for (size_t i = 0; i < d->domains.n; i++) {
        if ((memchr(d->domains.v[i].p, '.', d->domains.v[i].n) != NULL) == upn)
            return d->domains.v[i];
    }
    return STR_NULL;
}

static struct str written(struct str user, struct str domain, bool upn, char *out, size_t size)
{
    struct str first = upn ? user : domain, second = upn ? domain : user;
    int n = snprintf(out, size, "%.*s%c%.*s", STR_ARG(first), upn ? '@' : '\\', STR_ARG(second));

    return n > 0 && (size_t)n < size ? (struct str){out, (size_t)n} : STR_NULL;
}

struct str account_written(struct str name, const struct conf_directory *d, enum conf_delegate form,
                           char *out, size_t size)
{
    struct account a = account_parse(name);
    bool upn = form == CONF_DELEGATE_UPN;
    char domain[ACCOUNT_NORMAL_MAX + 1];
    struct str wanted, result = name;
    ptrdiff_t n = a.domain.n > 0 ? text_lower(a.domain, domain, sizeof(domain)) : 0;
    bool ours;

    if (form == CONF_DELEGATE_USER)
        return a.user;
    if (d == NULL)
        return name;
    if (form != CONF_DELEGATE_UPN && form != CONF_DELEGATE_DOMAIN_BACKSLASH)
        return name;
    ours = a.domain.n == 0 || (n >= 0 && is_domain_of(d, (struct str){domain, (size_t)n}));
    wanted = domain_of_kind(d, upn);
    /* A domain that is not one of this directory's would be another account in ours. */
    if (wanted.p != NULL && (ours || d->domains.n == 0))
        result = written(a.user, wanted, upn, out, size);
    return result.p != NULL ? result : name;
}

/* ---- schemes ---- */

static struct str scheme_token(struct str value)
{
    size_t n = 0;

    value = str_trim(value);
    while (n < value.n && value.p[n] != ' ' && value.p[n] != '\t' && value.p[n] != ',')
        n++;
    return (struct str){value.p, n};
}

enum auth_scheme auth_scheme_of(struct str value)
{
    struct str scheme = scheme_token(value);

    if (str_eq_nocase(scheme, STR("Basic")))
        return AUTH_SCHEME_BASIC;
    if (str_eq_nocase(scheme, STR("NTLM")))
        return AUTH_SCHEME_NTLM;
    if (str_eq_nocase(scheme, STR("Negotiate")))
        return AUTH_SCHEME_NEGOTIATE;
    return AUTH_SCHEME_OTHER;
}

/* The part before the next comma that is not inside a quoted string. */
static struct str list_element(struct str *rest)
{
    struct str element = {rest->p, 0};
    bool quoted = false;
    size_t n = 0;

    for (; n < rest->n && (quoted || rest->p[n] != ','); n++) {
        if (quoted && rest->p[n] == '\\' && n + 1 < rest->n)
            n++;
        else if (rest->p[n] == '"')
            quoted = !quoted;
    }
    element.n = n;
    *rest = n < rest->n ? (struct str){rest->p + n + 1, rest->n - n - 1} : (struct str){rest->p + n, 0};
    return str_trim(element);
}

/* An element begins a challenge unless it is a parameter of the one before: name=value. */
static bool begins_challenge(struct str element)
{
    struct str token = scheme_token(element);
    struct str rest = str_trim((struct str){element.p + token.n, element.n - token.n});

    return token.n > 0 && memchr(token.p, '=', token.n) == NULL && (rest.n == 0 || rest.p[0] != '=');
}

bool auth_offers(struct str value, enum auth_scheme s)
{
    while (value.n > 0) {
        struct str element = list_element(&value);
        if (element.n > 0 && begins_challenge(element) && auth_scheme_of(element) == s)
            return true;
    }
    return false;
}
