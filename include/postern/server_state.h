/*
 * server_state: what all threads know of one backend server under one configuration: its addresses and whether it is up.
 *
 * Written by the house worker (names, active checks) and by any worker (passive marks, counts); read by all. Everything is
 * atomic, but for the addresses: a worker copies them under the lock when `version` has changed.
 */
#ifndef POSTERN_SERVER_STATE_H
#define POSTERN_SERVER_STATE_H

#include <pthread.h>
#include <postern/conf.h>
#include <postern/resolve.h>

#define HEALTH_PATHS_MAX 32

struct server_state {
    const struct conf_backend *backend;
    const struct conf_server *server;
    pthread_mutex_t lock;
    struct resolve_result addresses; /* under lock */
    uint32_t version;                /* atomic; 0: not resolved yet */
    uint32_t down_paths;             /* atomic; bit i: the active check of backend_state.paths[i] says down */
    uint32_t connect_failures;       /* atomic; in a row */
    /* atomic; monotonic: takes no new requests before, after connect failures in a row */
    uint64_t passive_until_ms;
    uint32_t open, idle, active; /* atomic; sums over the workers */
    uint64_t requests, failures; /* atomic */
};

struct backend_state {
    const struct conf_backend *conf;
    struct server_state *servers;       /* conf->servers_n of them */
    struct str paths[HEALTH_PATHS_MAX]; /* distinct health paths of the services published to this backend */
    struct str path_hosts[HEALTH_PATHS_MAX]; /* a published host for the check's Host header */
    unsigned paths_n;
};

/* All backends of one snapshot; attached to it. */
struct backend_states {
    struct backend_state *v; /* snapshot->backends_n of them, same order */
    size_t n;
};
struct backend_states *backend_states_new(const struct snapshot *s);
void backend_states_free(void *b);
/* A reload keeps what is known: addresses and health of servers with the same backend name and URL. */
void backend_states_inherit(struct backend_states *to, struct backend_states *from);
/* Index of the health path that decides for `service` of this backend, or -1: only passive marks. */
int backend_state_path_index(const struct backend_state *b, const struct conf_service *service);

/* Any thread. Whether anything has changed: the events are written by who knows why. */
bool server_state_set_addresses(struct server_state *s, const struct resolve_result *r);
bool server_state_set_path(struct server_state *s, unsigned path, bool up);
/* Copies them; how many. */
unsigned server_state_addresses(struct server_state *s, struct resolve_result *ret);

/* Checks and resolves for one snapshot, on the house worker; health_stop when it is replaced (no callback after). */
struct health;
struct worker;
struct health *health_start(struct worker *house, struct snapshot *s, struct backend_states *b);
/* `ready` once, when every name has been looked up, found or not, or after `wait_ms`; perhaps before it returns. At most one
 * call; not before health_stop. */
void health_when_named(struct health *h, uint64_t wait_ms, void (*ready)(void *ctx), void *ctx);
void health_stop(struct health *h);

#endif
