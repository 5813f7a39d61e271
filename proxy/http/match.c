/*
 * Which publication and service a request belongs to: a hash of host names, and for each the prefixes from
 * long to short.
 *
 * The most specific host alone decides, and so does the longest prefix: a broader rule never answers for what
 * a narrower one publishes, whatever its methods or its authentication are.
 */
#include <assert.h>
#include <stdlib.h>

#include <postern/match.h>

#include "http_int.h"

_Static_assert(METHOD_COUNT <= 64, "methods are bits of one word");

struct prefix {
    struct str text; /* without a trailing "/" */
    bool exact;
    unsigned route;
};

struct pattern {
    const struct conf_pattern *compiled;
    unsigned route;
};

struct host {
    struct str name;                 /* "*", "*.example.com", "mail.example.com" */
    const struct conf_publish *root; /* the publication that redirects "/" */
    struct prefix *prefixes;         /* longest first */
    struct pattern *patterns;
    unsigned prefixes_n, patterns_n;
    struct host *next; /* same slot */
};

struct route_entry {
    struct match match;
    uint64_t methods; /* bit: enum method */
};

struct match_table {
    struct route_entry *routes;
    unsigned routes_n;
    struct host *hosts;
    unsigned hosts_n;
    struct host **slots;
    unsigned slots_mask;
    const struct host *any;
};

/* ---- building ---- */

static unsigned host_hash(struct str name)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)name.p[i]) * 16777619u;
    return h;
}

static struct host *host_find(const struct match_table *t, struct str name)
{
    struct host *h = t->slots[host_hash(name) & t->slots_mask];

    while (h != NULL && !str_eq(h->name, name))
        h = h->next;
    return h;
}

static uint64_t service_methods(const struct conf_service *s)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < s->methods.n; i++)
        bits |= (uint64_t)1 << method_of(s->methods.v[i]);
    return bits & ~((uint64_t)1 << METHOD_UNKNOWN);
}

static int routes_build(struct match_table *t, const struct snapshot *s)
{
    unsigned n = 0;

    for (size_t i = 0; i < s->publish_n; i++)
        n += (unsigned)s->publish[i].services_n;
    t->routes = calloc(n + 1, sizeof(*t->routes));
    if (t->routes == NULL)
        return -1;
    for (size_t i = 0; i < s->publish_n; i++) {
        const struct conf_publish *p = &s->publish[i];
        for (size_t k = 0; k < p->services_n; k++) {
            struct match m = {.publish = p, .service = p->services[k], .route = t->routes_n};
            t->routes[t->routes_n++] = (struct route_entry){m, service_methods(p->services[k])};
        }
    }
    return 0;
}

static int slots_build(struct match_table *t, const struct snapshot *s)
{
    size_t n = 0, slots = 8;

    for (size_t i = 0; i < s->publish_n; i++)
        n += s->publish[i].hosts.n;
    while (slots < 2 * n)
        slots *= 2;
    t->hosts = calloc(n + 1, sizeof(*t->hosts));
    t->slots = calloc(slots, sizeof(struct host *));
    t->slots_mask = (unsigned)slots - 1;
    return t->hosts == NULL || t->slots == NULL ? -1 : 0;
}

static struct host *host_add(struct match_table *t, struct str name)
{
    struct host *h = host_find(t, name), **slot = &t->slots[host_hash(name) & t->slots_mask];

    if (h != NULL)
        return h;
    h = &t->hosts[t->hosts_n++];
    h->name = name;
    h->next = *slot;
    *slot = h;
    if (str_eq(name, STR("*")))
        t->any = h;
    return h;
}

/* "/rpc/rpcproxy.dll" names a file and has nothing below it; "/owa", "/v1.0/" name folders. */
static struct prefix prefix_of(struct str path, unsigned route)
{
    bool folder = path.n > 0 && path.p[path.n - 1] == '/';
    const char *slash;

    while (path.n > 0 && path.p[path.n - 1] == '/')
        path.n--;
    slash = path.n > 0 ? memrchr(path.p, '/', path.n) : NULL;
    return (struct prefix){.text = path,
                           .exact = !folder && slash != NULL &&
                                    memchr(slash, '.', (size_t)(path.p + path.n - slash)) != NULL,
                           .route = route};
}

/* Keeps the list sorted: longest first, and among equals as configured. */
static void prefix_insert(struct host *h, struct prefix p)
{
    unsigned at = h->prefixes_n++;

    for (; at > 0 && h->prefixes[at - 1].text.n < p.text.n; at--)
        h->prefixes[at] = h->prefixes[at - 1];
    h->prefixes[at] = p;
}

static int host_add_route(struct host *h, const struct route_entry *r)
{
    const struct conf_service *s = r->match.service;
    struct prefix *prefixes = reallocarray(h->prefixes, h->prefixes_n + s->paths.n + 1, sizeof(*prefixes));
    struct pattern *patterns;

    if (prefixes == NULL)
        return -1;
    h->prefixes = prefixes;
    patterns = reallocarray(h->patterns, h->patterns_n + s->patterns_n + 1, sizeof(*patterns));
    if (patterns == NULL)
        return -1;
    h->patterns = patterns;
    for (size_t i = 0; i < s->paths.n; i++)
        prefix_insert(h, prefix_of(s->paths.v[i], r->match.route));
    for (size_t i = 0; i < s->patterns_n; i++)
        h->patterns[h->patterns_n++] = (struct pattern){s->patterns[i], r->match.route};
    return 0;
}

static int hosts_build(struct match_table *t, const struct snapshot *s)
{
    unsigned route = 0;

    for (size_t i = 0; i < s->publish_n; i++) {
        const struct conf_publish *p = &s->publish[i];
        for (size_t k = 0; k < p->hosts.n; k++) {
            struct host *h = host_add(t, p->hosts.v[k]);
            if (p->root_redirect && h->root == NULL)
                h->root = p;
            for (unsigned r = 0; r < p->services_n; r++)
                if (host_add_route(h, &t->routes[route + r]) < 0)
                    return -1;
        }
        route += (unsigned)p->services_n;
    }
    return 0;
}

struct match_table *match_table_new(const struct snapshot *s)
{
    struct match_table *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    if (routes_build(t, s) == 0 && slots_build(t, s) == 0 && hosts_build(t, s) == 0)
        return t;
    match_table_free(t);
    return NULL;
}

void match_table_free(void *table)
{
    struct match_table *t = table;

    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->hosts_n; i++) {
        free(t->hosts[i].prefixes);
        free(t->hosts[i].patterns);
    }
    free(t->hosts);
    free(t->slots);
    free(t->routes);
    free(t);
}

unsigned match_routes(const struct match_table *t)
{
    return t->routes_n;
}

struct match match_route(const struct match_table *t, unsigned route)
{
    assert(route < t->routes_n);
    return t->routes[route].match;
}

/* ---- finding ---- */

/* "*.example.com" stands for one label. `name` is looked up as ".example.com" with the star put in front by
 * comparison. */
static const struct host *host_wildcard(const struct match_table *t, struct str host)
{
    const char *dot = memchr(host.p, '.', host.n);
    char pattern[260];
    size_t n;

    if (dot == NULL || dot == host.p)
        return NULL;
    n = host.n - (size_t)(dot - host.p);
    if (n + 1 > sizeof(pattern))
        return NULL;
    pattern[0] = '*';
    memcpy(pattern + 1, dot, n);
    return host_find(t, (struct str){pattern, n + 1});
}

static const struct host *host_match(const struct match_table *t, struct str host)
{
    const struct host *h;

    if (host.n == 0)
        return NULL;
    h = host_find(t, host);
    if (h == NULL)
        h = host_wildcard(t, host);
    return h != NULL ? h : t->any;
}

static bool prefix_matches(const struct prefix *p, struct str path)
{
    if (path.n < p->text.n || path.p[0] != '/' || memcmp(path.p, p->text.p, p->text.n) != 0)
        return false;
    return path.n == p->text.n || (!p->exact && path.p[p->text.n] == '/');
}

typedef bool candidate_fn(void *ctx, const struct route_entry *r);

/* Calls for each route that publishes the path, until one returns true; whether there was any. */
static bool candidates_each(const struct match_table *t, const struct host *h, struct str path,
                            candidate_fn *each, void *ctx)
{
    bool any = false;
    size_t longest = 0;

    for (unsigned i = 0; i < h->prefixes_n; i++) {
        const struct prefix *p = &h->prefixes[i];
        if (any && p->text.n < longest)
            break;
        if (!prefix_matches(p, path))
            continue;
        any = true;
        longest = p->text.n;
        if (each(ctx, &t->routes[p->route]))
            return true;
    }
    for (unsigned i = 0; !any && i < h->patterns_n; i++)
        if (conf_pattern_match(h->patterns[i].compiled, path))
            any = true, each(ctx, &t->routes[h->patterns[i].route]);
    return any;
}

struct finder {
    uint64_t method;
    const struct route_entry *found;
};

static bool find_candidate(void *ctx, const struct route_entry *r)
{
    struct finder *f = ctx;

    if (f->found == NULL && (r->methods & f->method) != 0)
        f->found = r;
    return f->found != NULL;
}

/* "/" leads to /owa/, so only where that can be asked for. */
static bool root_redirects(const struct match_table *t, const struct host *h, struct str canonical_path)
{
    struct finder f = {.method = (uint64_t)1 << METHOD_GET};

    if (h->root == NULL || !str_eq(canonical_path, STR("/")))
        return false;
    (void)candidates_each(t, h, STR("/owa/"), find_candidate, &f);
    return f.found != NULL;
}

enum match_result match_find(const struct match_table *t, struct str host, struct str canonical_path,
                             enum method m, struct match *ret)
{
    const struct host *h = host_match(t, host);
    struct finder f = {.method = (uint64_t)1 << m};
    bool any;

    if (h == NULL)
        return MATCH_NO_HOST;
    any = candidates_each(t, h, canonical_path, find_candidate, &f);
    if (f.found != NULL) {
        *ret = f.found->match;
        return MATCH_FOUND;
    }
    if (any)
        return MATCH_NO_METHOD;
    if (root_redirects(t, h, canonical_path)) {
        *ret = (struct match){.publish = h->root};
        return MATCH_ROOT;
    }
    return MATCH_NO_PATH;
}

bool match_host_published(const struct match_table *t, struct str host)
{
    return host_match(t, host) != NULL;
}

static bool collect_candidate(void *ctx, const struct route_entry *r)
{
    *(uint64_t *)ctx |= r->methods;
    return false;
}

struct str match_allow(const struct match_table *t, struct str host, struct str canonical_path,
                       struct arena *a)
{
    const struct host *h = host_match(t, host);
    uint64_t methods = 0;
    size_t n = 0;
    char *p;

    if (h != NULL)
        candidates_each(t, h, canonical_path, collect_candidate, &methods);
    for (unsigned m = METHOD_UNKNOWN + 1; m < METHOD_COUNT; m++)
        n += (methods >> m & 1) != 0 ? method_token((enum method)m).n + 2 : 0;
    p = arena_bytes(a, n + 1);
    if (p == NULL)
        return STR_NULL;
    n = 0;
    for (unsigned m = METHOD_UNKNOWN + 1; m < METHOD_COUNT; m++) {
        struct str token = method_token((enum method)m);
        if ((methods >> m & 1) == 0)
            continue;
        if (n > 0) {
            memcpy(p + n, ", ", 2);
            n += 2;
        }
        memcpy(p + n, token.p, token.n);
        n += token.n;
    }
    return (struct str){p, n};
}
