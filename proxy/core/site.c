/*
 * What is compiled from a configuration: once for all workers (site_shared), and once on each (site).
 */
#include <stdlib.h>

#include "core_int.h"

/* ---- shared ---- */

static void filter_lists_free(struct filter_list *l)
{
    for (int i = 0; i < PHASE_COUNT; i++)
        free(l[i].v);
}

static void site_shared_free(void *object)
{
    struct site_shared *h = object;

    if (h == NULL)
        return;
    for (unsigned i = 0; h->routes != NULL && i < h->routes_n; i++)
        filter_lists_free(h->routes[i].on);
    filter_lists_free(h->before_route);
    free(h->routes);
    free(h->hsts);
    for (size_t i = 0; i < h->client_trust_n; i++)
        client_trust_free(h->client_trust[i]);
    free(h->client_trust);
    access_log_free(h->access);
    backend_states_free(h->backends);
    verifiers_free(h->verifiers);
    match_table_free(h->table);
    free(h);
}

/* Only the filters that the route needs, in the table's order. `m` NULL: before the route is known. */
static bool filter_lists_build(struct filter_list *l, const struct snapshot *s, const struct match *m)
{
    const struct filter *const *table;
    unsigned n = filter_table_get(&table);

    for (int p = 0; p < PHASE_COUNT; p++) {
        l[p].v = calloc(n + 1, sizeof(*l[p].v));
        if (l[p].v == NULL)
            return false;
        for (unsigned i = 0; i < n; i++) {
            const struct filter *f = table[i];
            bool wanted = m == NULL || f->enabled == NULL || f->enabled(s, m->publish, m->service);
            if (f->on[p] != NULL && wanted)
                l[p].v[l[p].n++] = f;
        }
    }
    return true;
}

/* What asks for credentials is a filter like any other: were it left out of the table, everything would be open. */
static bool route_is_guarded(const struct route *r, struct conf_findings *f)
{
    if (r->match.publish->basic == NULL || r->on[PHASE_AUTH].n > 0)
        return true;
    conf_finding_add(
        f, CONF_ERROR, r->match.publish->mark,
        "defect: `authenticate` is configured, but this program has no filter that asks for credentials");
    return false;
}

static bool route_build(struct route *r, struct site_shared *h, const struct snapshot *s, unsigned i,
                        struct conf_findings *f)
{
    r->match = match_route(h->table, i);
    r->backend = (unsigned)(r->match.publish->to - s->backends);
    r->path_index = backend_state_path_index(&h->backends->v[r->backend], r->match.service);
    if (r->match.publish->basic != NULL)
        r->verifier = verifiers_find(h->verifiers, r->match.publish->basic);
    return filter_lists_build(r->on, s, &r->match) && route_is_guarded(r, f);
}

static bool routes_build(struct site_shared *h, const struct snapshot *s, struct conf_findings *f)
{
    h->routes_n = match_routes(h->table);
    h->routes = calloc(h->routes_n + 1, sizeof(*h->routes));
    if (h->routes == NULL || !filter_lists_build(h->before_route, s, NULL))
        return false;
    for (unsigned i = 0; i < h->routes_n; i++) {
        if (!route_build(&h->routes[i], h, s, i, f))
            return false;
    }
    return true;
}

static bool client_trust_build(struct site_shared *h, const struct snapshot *s, struct conf_findings *f)
{
    bool good = true;

    h->client_trust = calloc(s->publish_n + 1, sizeof(struct client_trust *));
    if (h->client_trust == NULL)
        return false;
    h->client_trust_n = s->publish_n;
    for (size_t i = 0; i < s->publish_n; i++) {
        if (s->publish[i].client_certificate != CONF_CLIENT_OFF)
            good = (h->client_trust[i] = client_trust_new(&s->publish[i], f)) != NULL && good;
    }
    return good;
}

#define HSTS_MAX 64

static bool hsts_build(struct site_shared *h, const struct snapshot *s)
{
    char *text = calloc(s->listeners_n + 1, sizeof(struct str) + HSTS_MAX);

    h->hsts = (struct str *)(void *)text;
    if (text == NULL)
        return false;
    text += s->listeners_n * sizeof(struct str);
    for (size_t i = 0; i < s->listeners_n; i++, text += HSTS_MAX) {
        const struct conf_listener *l = &s->listeners[i];
        int n;
        if (l->hsts_max_age_s == 0 || l->certificates_n == 0)
            continue;
        n = snprintf(text, HSTS_MAX, "max-age=%llu%s", (unsigned long long)l->hsts_max_age_s,
                     l->hsts_include_subdomains ? "; includeSubDomains" : "");
        h->hsts[i] = (struct str){text, (size_t)n};
    }
    return true;
}

static uint16_t address_port(const struct conf_address *a)
{
    if (a->sa.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)&a->sa)->sin_port);
    if (a->sa.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)&a->sa)->sin6_port);
    return 443;
}

/* Where a redirect from plain HTTP leads: 443 if anything listens there, else the first TLS listener's port. */
static uint16_t https_port(const struct snapshot *s)
{
    uint16_t first = 0;

    for (size_t i = 0; i < s->listeners_n; i++) {
        const struct conf_listener *l = &s->listeners[i];
        for (size_t j = 0; l->certificates_n > 0 && j < l->addresses_n; j++) {
            uint16_t port = address_port(&l->addresses[j]);
            if (port == 443)
                return 443;
            first = first != 0 ? first : port;
        }
    }
    return first != 0 ? first : 443;
}

struct site_shared *site_shared_new(struct snapshot *s, struct conf_findings *f)
{
    struct site_shared *h = calloc(1, sizeof(*h));
    size_t errors = conf_findings_count(f, CONF_ERROR);

    if (h == NULL)
        goto memory;
    h->table = match_table_new(s);
    h->backends = backend_states_new(s);
    h->verifiers = verifiers_new(s, f);
    h->access = access_log_new(&s->log);
    h->https_port = https_port(s);
    if (h->table != NULL && h->backends != NULL && h->verifiers != NULL && h->access != NULL &&
        hsts_build(h, s) && client_trust_build(h, s, f) && routes_build(h, s, f) &&
        snapshot_attach(s, h, site_shared_free) == 0)
        return h;
memory:
    if (conf_findings_count(f, CONF_ERROR) == errors)
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "out of memory");
    site_shared_free(h);
    return NULL;
}

struct site_shared *site_shared_of(const struct snapshot *s)
{
    for (unsigned i = 0; i < s->attached_n; i++) {
        if (s->attached[i].destroy == site_shared_free)
            return s->attached[i].object;
    }
    return NULL;
}

/* ---- one worker's view ---- */

static void site_free(struct site *site)
{
    snapshot_release(site->snapshot);
    free(site->listeners);
    free(site->backends);
    free(site);
}

static void site_pool_empty(void *ctx)
{
    struct site *site = ctx;

    if (--site->pools_open == 0)
        site_free(site);
}

struct site *site_hold(struct site *s)
{
    s->refs++;
    return s;
}

void site_release(struct site *site)
{
    const struct snapshot *s = site->snapshot;

    if (--site->refs > 0)
        return;
    for (size_t i = 0; i < s->listeners_n; i++)
        tls_server_free(site->listeners[i]);
    site->pools_open++;
    for (size_t i = 0; i < s->backends_n; i++) {
        if (site->backends[i] == NULL)
            continue;
        site->pools_open++;
        backend_pool_close(site->backends[i], site_pool_empty, site);
    }
    site_pool_empty(site);
}

static void site_limits(struct site *site, const struct conf_limits *l)
{
    site->request_limits = (struct h1_limits){.head_bytes = (uint32_t)l->header_bytes,
                                              .target_bytes = (uint32_t)l->header_bytes,
                                              .fields = (uint16_t)l->header_fields,
                                              .chunk_line = 4096};
    site->response_limits = (struct h1_limits){.head_bytes = (uint32_t)l->response_head_bytes,
                                               .fields = (uint16_t)l->response_header_fields,
                                               .chunk_line = 4096};
}

struct site *site_new(struct core_worker *core, struct snapshot *s, struct tls_tickets *tickets,
                      struct conf_findings *f)
{
    struct site *site = calloc(1, sizeof(*site));
    bool good = true;

    if (site == NULL)
        return NULL;
    site->core = core;
    site->refs = 1;
    site->snapshot = snapshot_hold(s);
    site->shared = site_shared_of(s);
    site->listeners = calloc(s->listeners_n + 1, sizeof(void *));
    site->backends = calloc(s->backends_n + 1, sizeof(void *));
    if (site->listeners == NULL || site->backends == NULL) {
        site_free(site);
        return NULL;
    }
    site_limits(site, &s->limits);
    for (size_t i = 0; i < s->listeners_n && good; i++) {
        if (s->listeners[i].certificates_n > 0)
            good = (site->listeners[i] = tls_server_new(core->worker, &s->listeners[i], tickets, f)) != NULL;
    }
    for (size_t i = 0; i < s->backends_n && good; i++) {
        site->backends[i] = backend_pool_new(core->worker, &site->shared->backends->v[i], &s->limits, f);
        good = site->backends[i] != NULL;
        if (good)
            descriptors_join(&core->descriptors, site->backends[i]);
    }
    if (good)
        return site;
    site_release(site);
    return NULL;
}
