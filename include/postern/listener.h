/*
 * listener: listening sockets, one SO_REUSEPORT socket per worker and address, so that accepting needs no lock.
 *
 * A listen_set is opened by main (before privileges are dropped) and survives reloads: sockets of addresses that stay are
 * never closed. A listener is one socket on one worker; what it does with a connection is decided by `conf_index`, which the
 * core room sets to the listener's place in the configuration in force (in the one before, when it is not in that any more and
 * is being closed).
 */
#ifndef POSTERN_LISTENER_H
#define POSTERN_LISTENER_H

#include <uv.h>
#include <postern/conf.h>
#include <postern/worker.h>

struct listen_socket {
    struct conf_address address; /* text duplicated */
    int *fds;                    /* one per worker; -1 once handed over */
    unsigned workers;
    bool fresh; /* opened by the latest listen_set_update */
};

struct listen_set {
    struct listen_socket *v;
    size_t n;
};

/* Binds and listens on the addresses of `s` that `old` does not have yet (old may be NULL). On any error a finding (which
 * address, why, what to do) and NULL: nothing has changed. Main thread. */
struct listen_set *listen_set_update(const struct listen_set *old, const struct snapshot *s, unsigned workers,
                                     struct conf_findings *f);
void listen_set_free(struct listen_set *l); /* closes fds not handed over */

#define LISTENER_RETRY_MS 100

struct listener {
    uv_tcp_t tcp;
    struct worker *worker;
    /* Returns true when it took the connection (it called uv_accept); false: none can be taken now (no memory). The
     * connection and those behind it stay queued, and it is asked again after LISTENER_RETRY_MS. */
    bool (*on_connection)(struct listener *l);
    void (*on_closed)(struct listener *l);
    bool waiting; /* a connection was offered and not taken */
    bool closing;
    unsigned accepted; /* in the turn of the loop that began at turn_at */
    unsigned close_turns, idle_turns;
    uint64_t turn_at;
    struct worker_task task;
    struct wheel_node due; /* the next retry; once closing, the end */
    int conf_index;
    void *user; /* the caller's; untouched */
};

/* On the worker: takes over `fd` in any case, sets conf_index to -1. 0, or negative errno; on_closed then follows. */
int listener_open(struct listener *l, struct worker *w, int fd, int backlog,
                  bool (*on_connection)(struct listener *l), void (*on_closed)(struct listener *l));
/* No new connection begins; those that the kernel has begun are accepted for a moment more; on_closed follows. Again is
 * harmless. */
void listener_close(struct listener *l);

#endif
