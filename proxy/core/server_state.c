/*
 * What all threads know of the backend servers. See server_state.h.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include <postern/server_state.h>

/* ---- health paths ---- */

static int path_find(const struct backend_state *b, struct str path)
{
    for (unsigned i = 0; i < b->paths_n; i++) {
        if (str_eq(b->paths[i], path))
            return (int)i;
    }
    return -1;
}

/* The first name that is one: neither "*" nor a wildcard. */
static struct str publish_host(const struct conf_publish *p)
{
    for (size_t i = 0; i < p->hosts.n; i++) {
        if (p->hosts.v[i].n > 0 && p->hosts.v[i].p[0] != '*')
            return p->hosts.v[i];
    }
    return STR_NULL;
}

/* Paths beyond the table's end are left to the passive marks. */
static void path_add(struct backend_state *b, struct str path, struct str host)
{
    int i = path_find(b, path);

    if (path.p == NULL || path.n == 0)
        return;
    if (i >= 0) {
        if (b->path_hosts[i].p == NULL)
            b->path_hosts[i] = host;
        return;
    }
    if (b->paths_n == HEALTH_PATHS_MAX)
        return;
    b->paths[b->paths_n] = path;
    b->path_hosts[b->paths_n++] = host;
}

static void paths_collect(struct backend_state *b, const struct snapshot *s)
{
    if (b->conf->health_interval == 0)
        return;
    for (size_t i = 0; i < s->publish_n; i++) {
        const struct conf_publish *p = &s->publish[i];
        if (p->to != b->conf)
            continue;
        for (size_t j = 0; j < p->services_n; j++) {
            struct str own = p->services[j]->health_path;
            path_add(b, b->conf->health_path.p != NULL ? b->conf->health_path : own, publish_host(p));
        }
    }
}

int backend_state_path_index(const struct backend_state *b, const struct conf_service *service)
{
    struct str path = b->conf->health_path.p != NULL ? b->conf->health_path : service->health_path;

    return path.p == NULL ? -1 : path_find(b, path);
}

/* ---- one server ---- */

static bool result_eq(const struct resolve_result *a, const struct resolve_result *b)
{
    return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof(a->v[0])) == 0;
}

bool server_state_set_addresses(struct server_state *s, const struct resolve_result *r)
{
    bool changed;

    pthread_mutex_lock(&s->lock);
    changed = __atomic_load_n(&s->version, __ATOMIC_RELAXED) == 0 || !result_eq(&s->addresses, r);
    if (changed) {
        s->addresses = *r;
        /* 0 stands for "not resolved yet". */
        if (__atomic_add_fetch(&s->version, 1, __ATOMIC_RELEASE) == 0)
            __atomic_store_n(&s->version, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&s->lock);
    return changed;
}

unsigned server_state_addresses(struct server_state *s, struct resolve_result *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = s->addresses;
    pthread_mutex_unlock(&s->lock);
    return ret->n;
}

bool server_state_set_path(struct server_state *s, unsigned path, bool up)
{
    uint32_t bit = UINT32_C(1) << path, before;

    if (up)
        before = __atomic_fetch_and(&s->down_paths, ~bit, __ATOMIC_RELAXED);
    else
        before = __atomic_fetch_or(&s->down_paths, bit, __ATOMIC_RELAXED);
    return ((before & bit) == 0) != up;
}

/* A literal needs no look-up: the first request need not wait for one. */
static bool literal_address(const struct conf_server *s, struct resolve_result *ret)
{
    char text[INET6_ADDRSTRLEN];
    struct str host = s->host;
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&ret->v[0];
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&ret->v[0];

    if (host.n > 2 && host.p[0] == '[')
        host = (struct str){host.p + 1, host.n - 2};
    if (host.n == 0 || host.n >= sizeof(text))
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(s->port);
    } else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(s->port);
    } else {
        return false;
    }
    ret->n = 1;
    return true;
}

static void server_init(struct server_state *s, const struct conf_backend *b,
                        const struct conf_server *server)
{
    struct resolve_result r;

    s->backend = b;
    s->server = server;
    pthread_mutex_init(&s->lock, NULL);
    memset(&r, 0, sizeof(r));
    if (literal_address(server, &r))
        server_state_set_addresses(s, &r);
}

/* ---- all ---- */

void backend_states_free(void *object)
{
    struct backend_states *all = object;

    if (all == NULL)
        return;
    for (size_t i = 0; i < all->n; i++) {
        struct backend_state *b = &all->v[i];
        for (size_t j = 0; b->servers != NULL && j < b->conf->servers_n; j++)
            pthread_mutex_destroy(&b->servers[j].lock);
        free(b->servers);
    }
    free(all->v);
    free(all);
}

struct backend_states *backend_states_new(const struct snapshot *s)
{
    struct backend_states *all = calloc(1, sizeof(*all));

    if (all == NULL)
        return NULL;
    all->v = calloc(s->backends_n + 1, sizeof(*all->v));
    if (all->v == NULL)
        goto fail;
    for (; all->n < s->backends_n; all->n++) {
        struct backend_state *b = &all->v[all->n];
        b->conf = &s->backends[all->n];
        b->servers = calloc(b->conf->servers_n + 1, sizeof(*b->servers));
        if (b->servers == NULL)
            goto fail;
        for (size_t j = 0; j < b->conf->servers_n; j++)
            server_init(&b->servers[j], b->conf, &b->conf->servers[j]);
        paths_collect(b, s);
    }
    return all;
fail:
    backend_states_free(all);
    return NULL;
}

/* ---- reload ---- */

static const struct backend_state *find_backend(const struct backend_states *all, struct str name)
{
    for (size_t i = 0; i < all->n; i++) {
        if (str_eq(all->v[i].conf->name, name))
            return &all->v[i];
    }
    return NULL;
}

static struct server_state *find_server(const struct backend_state *b, struct str url)
{
    for (size_t i = 0; i < b->conf->servers_n; i++) {
        if (str_eq(b->servers[i].server->url, url))
            return &b->servers[i];
    }
    return NULL;
}

static void inherit_paths(const struct backend_state *to_b, struct server_state *to,
                          const struct backend_state *from_b, const struct server_state *from)
{
    uint32_t down = __atomic_load_n(&from->down_paths, __ATOMIC_RELAXED);

    for (unsigned i = 0; i < to_b->paths_n; i++) {
        int j = path_find(from_b, to_b->paths[i]);
        if (j >= 0 && (down & (UINT32_C(1) << j)) != 0)
            server_state_set_path(to, i, false);
    }
}

static void inherit_server(struct server_state *to, struct server_state *from)
{
    struct resolve_result r;

    if (server_state_addresses(from, &r) > 0)
        server_state_set_addresses(to, &r);
    __atomic_store_n(&to->connect_failures, __atomic_load_n(&from->connect_failures, __ATOMIC_RELAXED),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&to->passive_until_ms, __atomic_load_n(&from->passive_until_ms, __ATOMIC_RELAXED),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&to->requests, __atomic_load_n(&from->requests, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    __atomic_store_n(&to->failures, __atomic_load_n(&from->failures, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

void backend_states_inherit(struct backend_states *to, struct backend_states *from)
{
    for (size_t i = 0; i < to->n; i++) {
        struct backend_state *b = &to->v[i];
        const struct backend_state *old = find_backend(from, b->conf->name);
        for (size_t j = 0; old != NULL && j < b->conf->servers_n; j++) {
            struct server_state *was = find_server(old, b->servers[j].server->url);
            if (was == NULL)
                continue;
            inherit_server(&b->servers[j], was);
            inherit_paths(b, &b->servers[j], old, was);
        }
    }
}
