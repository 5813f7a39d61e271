/*
 * The directory's texts, tried with a name that stands for all names.
 */
#include <ldap.h>

#include "ldap_check.h"
#include "login.h"

#define FILTER_DEPTH_MAX 16

/* ---- filters, RFC 4515 3 ---- */

static bool filter_at(struct str *rest, unsigned depth);

/* attribute, perhaps with a rule, "=", value: no bare parenthesis, and every backslash has its two digits. */
static bool filter_item(struct str *rest)
{
    size_t i = 0, equals = 0;

    for (; i < rest->n && rest->p[i] != ')'; i++) {
        char c = rest->p[i];
        if (c == '(' || c == '\0')
            return false;
        if (c == '=' && equals == 0)
            equals = i + 1;
        if (c == '\\' && (rest->n - i < 3 || memchr("0123456789abcdefABCDEF", rest->p[i + 1], 22) == NULL ||
                          memchr("0123456789abcdefABCDEF", rest->p[i + 2], 22) == NULL))
            return false;
    }
    *rest = (struct str){rest->p + i, rest->n - i};
    return equals > 1;
}

static bool filter_set(struct str *rest, unsigned depth, bool one)
{
    unsigned n = 0;

    while (rest->n > 0 && rest->p[0] == '(') {
        if (!filter_at(rest, depth + 1))
            return false;
        n++;
    }
    return one ? n == 1 : n > 0;
}

static bool filter_at(struct str *rest, unsigned depth)
{
    bool good;
    char kind;

    if (depth > FILTER_DEPTH_MAX || rest->n < 3 || rest->p[0] != '(')
        return false;
    kind = rest->p[1];
    *rest = (struct str){rest->p + 1, rest->n - 1};
    if (kind == '&' || kind == '|' || kind == '!') {
        *rest = (struct str){rest->p + 1, rest->n - 1};
        good = filter_set(rest, depth, kind == '!');
    } else {
        good = filter_item(rest);
    }
    if (!good || rest->n == 0 || rest->p[0] != ')')
        return false;
    *rest = (struct str){rest->p + 1, rest->n - 1};
    return true;
}

bool ldap_filter_is_good(struct str filter)
{
    return filter_at(&filter, 0) && filter.n == 0;
}

/* ---- DNs, RFC 4514 ---- */

static bool dn_is_good(const char *text)
{
    LDAPDN dn = NULL;
    bool good =
        text[0] != '\0' && ldap_str2dn(text, &dn, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && dn != NULL;

    if (dn != NULL)
        ldap_dnfree(dn);
    return good;
}

struct check {
    const struct conf_directory *d;
    const char *who;
    struct conf_findings *f;
    bool good;
};

static void refuse(struct check *c, const char *option, const char *why)
{
    conf_finding_add(c->f, CONF_ERROR, c->d->mark, "%s: `%s`: %s", c->who, option, why);
    c->good = false;
}

static void check_dn(struct check *c, const char *option, struct str text)
{
    if (text.p != NULL && (text.n >= LOGIN_TEXT_MAX || !login_is_text(text) || !dn_is_good(text.p)))
        refuse(c, option, "it is not a DN such as ou=People,dc=example,dc=com");
}

/* As a name that needs no escape, so that what is judged is the template. */
static bool expand_sample(struct str template, enum login_place place, char *out, size_t size)
{
    static const struct login sample = {{"x", 1}, {"x", 1}, {"x", 1}, {"x", 1}};

    return login_expand(template, &sample, place, out, size) > 0;
}

static void check_bind_as(struct check *c)
{
    struct str t = c->d->bind_as;
    const char *why = t.p != NULL ? login_template_fault(t, true) : NULL;
    char text[LOGIN_TEXT_MAX];

    if (why != NULL)
        refuse(c, "bind_as", why);
    else if (t.p != NULL && login_place_of(t) == LOGIN_DN &&
             (!expand_sample(t, LOGIN_DN, text, sizeof(text)) || !dn_is_good(text)))
        refuse(c, "bind_as", "it has a `=`, but is not a DN such as uid={user},ou=People,dc=example,dc=com");
}

static void check_filter(struct check *c)
{
    struct str t = c->d->search_filter;
    const char *why = t.p != NULL ? login_template_fault(t, true) : NULL;
    char text[LOGIN_TEXT_MAX];

    if (why != NULL)
        refuse(c, "search_filter", why);
    else if (t.p != NULL &&
             (!expand_sample(t, LOGIN_FILTER, text, sizeof(text)) || !ldap_filter_is_good(str_of(text))))
        refuse(c, "search_filter", "it is not a filter such as (&(objectClass=user)(sAMAccountName={user}))");
}

static void check_groups(struct check *c)
{
    for (unsigned i = 0; i < c->d->group_names->n; i++) {
        if ((c->d->groups >> i & 1) != 0)
            check_dn(c, "require_groups", c->d->group_names->v[i]);
    }
}

bool ldap_check(const struct conf_directory *d, const char *who, struct conf_findings *f)
{
    struct check c = {.d = d, .who = who, .f = f, .good = true};

    check_bind_as(&c);
    check_filter(&c);
    check_dn(&c, "search_base", d->search_base);
    /* bind_dn may also be user@domain or DOMAIN\user. */
    if (d->bind_dn.p != NULL && login_place_of(d->bind_dn) == LOGIN_DN)
        check_dn(&c, "bind_dn", d->bind_dn);
    check_groups(&c);
    return c.good;
}
