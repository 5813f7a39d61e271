#include <postern/redirect.h>
#include <postern/target.h>

/* "scheme://authority" in front; false: none of http and https. */
struct absolute {
    bool https;
    struct str authority, rest;
};

static bool absolute_split(struct str v, struct absolute *ret)
{
    size_t n = 0;

    ret->https = true;
    if (str_starts_nocase(v, STR("https://")))
        v = (struct str){v.p + 8, v.n - 8};
    else if (str_starts_nocase(v, STR("http://")))
        v = (struct str){v.p + 7, v.n - 7}, ret->https = false;
    else if (str_starts_nocase(v, STR("//"))) /* the scheme of the page: ours */
        v = (struct str){v.p + 2, v.n - 2};
    else
        return false;
    while (n < v.n && memchr("/?#\\", v.p[n], 4) == NULL)
        n++;
    ret->authority = (struct str){v.p, n};
    ret->rest = (struct str){v.p + n, v.n - n};
    return true;
}

/* A reference without scheme and authority stays where it is; "\" and a colon before any "/" might not. */
static bool is_relative(struct str v)
{
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '/' || v.p[i] == '?' || v.p[i] == '#')
            return i + 1 >= v.n || (v.p[i] != '/' && i > 0) || (v.p[i + 1] != '/' && v.p[i + 1] != '\\');
        if (v.p[i] == ':' || v.p[i] == '\\')
            return false;
    }
    return true;
}

static bool is_interior(const struct conf_backend *b, struct str host)
{
    for (size_t i = 0; i < b->servers_n; i++) {
        if (str_eq_nocase(host, b->servers[i].host))
            return true;
    }
    if (b->expected_name.p != NULL && str_eq_nocase(host, b->expected_name))
        return true;
    if (b->host_header.p != NULL && str_eq_nocase(host, b->host_header))
        return true;
    return memchr(host.p, '.', host.n) == NULL && memchr(host.p, ':', host.n) == NULL; /* a NetBIOS name */
}

static bool is_listed(const struct conf_publish *p, struct str host)
{
    for (size_t i = 0; i < p->redirect_hosts.n; i++) {
        struct str h = p->redirect_hosts.v[i];

        if (str_eq(h, STR("*")) || str_eq_nocase(h, host))
            return true;
        if (str_starts_nocase(h, STR("*.")) && str_ends_nocase(host, (struct str){h.p + 1, h.n - 1}))
            return true;
    }
    return false;
}

static struct str to_requested_host(const struct redirect_from *from, struct str rest, struct arena *a)
{
    if (from->port != 0 && from->port != 443)
        return arena_printf(a, "https://%.*s:%u%.*s", STR_ARG(from->host), from->port, STR_ARG(rest));
    return arena_printf(a, "https://%.*s%.*s", STR_ARG(from->host), STR_ARG(rest));
}

/* The same host under our scheme; a port of plain HTTP goes with it. */
static struct str to_https(struct str host, uint16_t port, struct str rest, struct arena *a)
{
    if (port != 0 && port != 80 && port != 443)
        return arena_printf(a, "https://%.*s:%u%.*s", STR_ARG(host), port, STR_ARG(rest));
    return arena_printf(a, "https://%.*s%.*s", STR_ARG(host), STR_ARG(rest));
}

struct str redirect_rewrite(const struct redirect_from *from, struct str value, struct arena *a)
{
    const struct conf_publish *p = from->publish;
    struct absolute to;
    struct str host;
    uint16_t port = 0;

    /* Browsers take tabs out before they read a reference: "/<tab>/host" is "//host" to them. */
    if (memchr(value.p, '\t', value.n) != NULL)
        return STR_NULL;
    if (!absolute_split(value, &to))
        return is_relative(value) ? value : STR_NULL;
    if (target_host(to.authority, a, &host, &port) != REASON_OK)
        return STR_NULL;
    if (is_listed(p, host))
        return value;
    if (str_eq(host, from->host) || (!is_interior(p->to, host) && from->published(from->ctx, host)))
        return to.https ? value : to_https(host, port, to.rest, a);
    return is_interior(p->to, host) ? to_requested_host(from, to.rest, a) : STR_NULL;
}

/* ---- Destination ---- */

struct str destination_rewrite(const struct destination_from *from, struct str value, struct arena *a)
{
    struct str host = from->host;
    struct target to;
    uint16_t port;

    if (target_parse(&to, value, METHOD_GET, a) != REASON_OK)
        return STR_NULL;
    if (to.authority.p != NULL && target_host(to.authority, a, &host, &port) != REASON_OK)
        return STR_NULL;
    if (!from->published(from->ctx, host, to.canonical))
        return STR_NULL;
    if (!from->plain || !str_starts_nocase(value, STR("https:")))
        return value;
    return arena_printf(a, "http%.*s", (int)(value.n - 5), value.p + 5);
}
