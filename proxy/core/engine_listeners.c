/*
 * The listening sockets of one worker across configurations: which are opened, told their new place, or closed.
 */
#include <stdlib.h>

#include <postern/log.h>

#include "core_int.h"

static int conf_index_of(const struct snapshot *s, const struct conf_address *a)
{
    for (size_t i = 0; i < s->listeners_n; i++) {
        for (size_t j = 0; j < s->listeners[i].addresses_n; j++) {
            const struct conf_address *b = &s->listeners[i].addresses[j];
            if (a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0)
                return (int)i;
        }
    }
    return -1;
}

struct core_listener {
    struct listener listener;
    struct conf_address address;
    struct site *old; /* of a socket that a new configuration has no more, until it is closed */
};

static void core_listener_closed(struct listener *l)
{
    struct core_listener *k = (struct core_listener *)l;
    struct core_worker *c = l->user;

    if (k->old != NULL)
        site_release(k->old);
    free(k);
    c->listeners_closing--;
    core_worker_left(c);
}

static void core_listener_close(struct core_worker *c, struct listener *l)
{
    c->listeners_closing++;
    listener_close(l);
}

struct site *engine_listener_site(struct listener *l)
{
    struct core_worker *c = l->user;
    struct core_listener *k = (struct core_listener *)l;

    return k->old != NULL ? k->old : c->site;
}

void engine_listeners_open(struct core_worker *c, struct listen_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        struct listen_socket *k = &set->v[i];
        struct core_listener *l;
        int index = conf_index_of(c->site->snapshot, &k->address), error;
        if (k->fds[c->worker->index] < 0 || index < 0)
            continue;
        l = calloc(1, sizeof(*l));
        if (l == NULL)
            continue;
        l->address = k->address;
        l->listener.user = c;
        error = listener_open(&l->listener, c->worker, k->fds[c->worker->index],
                              c->site->snapshot->listeners[index].backlog, core_on_connection,
                              core_listener_closed);
        k->fds[c->worker->index] = -1;
        if (error < 0) {
            log_event(LOG_EV_LISTEN_FAILED, LF_ADDRESS("address", &k->address.sa), LF_ERRNO(-error));
            c->listeners_closing++;
            continue;
        }
        l->listener.conf_index = index;
        c->listeners[c->listeners_n++] = &l->listener;
    }
}

bool engine_listeners_reserve(struct core_worker *c, size_t more)
{
    struct listener **v = realloc(c->listeners, (c->listeners_n + more + 1) * sizeof(*v));

    if (v != NULL)
        c->listeners = v;
    return v != NULL;
}

void engine_listeners_renumber(struct core_worker *c, struct site *old)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < c->listeners_n; i++) {
        struct core_listener *l = (struct core_listener *)c->listeners[i];
        int index = conf_index_of(c->site->snapshot, &l->address);
        if (index >= 0) {
            l->listener.conf_index = index;
            c->listeners[kept++] = &l->listener;
        } else {
            l->old = site_hold(old);
            core_listener_close(c, &l->listener);
        }
    }
    c->listeners_n = kept;
}

void engine_listeners_close(struct core_worker *c)
{
    for (unsigned i = 0; i < c->listeners_n; i++)
        core_listener_close(c, c->listeners[i]);
    c->listeners_n = 0;
}
