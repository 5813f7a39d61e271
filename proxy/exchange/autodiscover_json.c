/*
 * Autodiscover version 2: a GET in one of two shapes, and nothing that only looks like one. ProxyShell and ProxyNotShell came in by
 * this path.
 *
 *   /autodiscover/autodiscover.json?Email=ADDRESS&Protocol=WORD[&RedirectCount=N]
 *   /autodiscover/autodiscover.json/v1.0/ADDRESS?Protocol=WORD[&RedirectCount=N]
 */
#include <postern/txn.h>

#include "exchange_int.h"

#define ADDRESS_MAX 320 /* RFC 5321 4.5.3.1: 64, "@", 255 */

static bool all_of(struct str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr(more, c) != NULL)))
            return false;
    }
    return s.n > 0;
}

/* One "@", a plain local part, a host name; "%40" for the "@" of a query, no other escape. */
static bool is_address(struct str s)
{
    struct str rest = s, local, domain;
    const char *at = memmem(s.p, s.n, "%40", 3);

    if (s.n > ADDRESS_MAX)
        return false;
    if (at != NULL) {
        local = (struct str){s.p, (size_t)(at - s.p)};
        domain = (struct str){at + 3, s.n - local.n - 3};
    } else if (str_next(&rest, '@', &local)) {
        domain = rest;
    } else {
        return false;
    }
    return all_of(local, ".-_+'") && all_of(domain, ".-") && memchr(domain.p, '.', domain.n) != NULL &&
           memmem(domain.p, domain.n, "..", 2) == NULL;
}

struct seen {
    bool email, protocol, count;
};

static bool parameter_fits(struct str name, struct str value, struct seen *seen)
{
    bool *once;
    bool good;

    if (str_eq_nocase(name, STR("Email")))
        once = &seen->email, good = is_address(value);
    else if (str_eq_nocase(name, STR("Protocol")))
        once = &seen->protocol, good = all_of(value, "") && value.n <= 32;
    else if (str_eq_nocase(name, STR("RedirectCount")))
        once = &seen->count, good = value.n == 1 && value.p[0] >= '0' && value.p[0] <= '9';
    else
        return false;
    good = good && !*once;
    *once = true;
    return good;
}

static bool query_fits(struct str query, struct seen *seen)
{
    struct str rest = query, part;

    while (query.p != NULL && str_next(&rest, '&', &part)) {
        struct str value = part, name;

        if (!str_next(&value, '=', &name) || !parameter_fits(name, value, seen))
            return false;
    }
    return seen->protocol;
}

static bool shape_fits(const struct target *t)
{
    static const struct str base = STR("/autodiscover/autodiscover.json"),
                            below = STR("/autodiscover/autodiscover.json/v1.0/");
    struct seen seen = {false, false, false};

    /* The path as sent: an escape in it has no business here. */
    if (memchr(t->path.p, '%', t->path.n) != NULL || !query_fits(t->query, &seen))
        return false;
    if (str_eq_nocase(t->path, base))
        return seen.email;
    return !seen.email && str_starts_nocase(t->path, below) &&
           is_address((struct str){t->path.p + below.n, t->path.n - below.n});
}

static enum filter_result autodiscover_json_check(struct txn *t)
{
    if (t->request.method == METHOD_GET && t->request.framing == BODY_NONE && shape_fits(&t->target))
        return FILTER_NEXT;
    t->close_client = true;
    txn_refuse(t, 404, REASON_NOT_PUBLISHED);
    return FILTER_DONE;
}

static bool autodiscover_json_enabled(const struct snapshot *s, const struct conf_publish *p,
                                      const struct conf_service *v)
{
    return v->protocol == CONF_PROTOCOL_AUTODISCOVER_JSON;
}

const struct filter filter_autodiscover_json = {
    .name = "autodiscover_json",
    .doc = "Autodiscover version 2 in its two exact shapes",
    .on = {[PHASE_ACCESS] = autodiscover_json_check},
    .enabled = autodiscover_json_enabled,
};
