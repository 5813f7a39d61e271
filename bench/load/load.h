/*
 * load: the threads, the clients on them and what they share. A client belongs to one thread; only that thread touches
 * it. What crosses threads: the phase (atomic) and the figures of a second (stats.h).
 */
#ifndef LOAD_H
#define LOAD_H

#include <postern/wheel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "call.h"
#include "link.h"
#include "scenario.h"
#include "stats.h"

#define RX_SIZE (256 * 1024)
#define TX_SIZE (128 * 1024)
#define RECORD 16384
#define CALLS 2

/* WARM, HOLD: clients work, nothing is counted. CLOSE: connections end. Forward only. */
enum phase { PHASE_WARM, PHASE_MEASURE, PHASE_HOLD, PHASE_CLOSE, PHASE_STOP };

struct client {
    struct thread *thread;
    const struct entry *entry;
    struct wheel_node timer;
    void (*on_timer)(struct client *c);
    struct client *next; /* in its arrivals' list of those that have nothing to do */
    struct call calls[CALLS];
    SSL_SESSION *session;
    uint64_t due;    /* ns: when the session ought to have begun */
    uint64_t number; /* of all clients of the entry, from 0: name, device */
    unsigned step;   /* the kind's */
    uint64_t size;   /* of what this session asks for or sends */
    bool busy;
    void *state;                /* the kind's, kind->state bytes, cleared once */
    char *user, *authorization; /* the latter NULL without credentials */
};

/* A kind of client: what a session of it does. */
struct kind {
    const char *name, *doc;
    const char *const *ops; /* names, NULL at the end; the first is "connect" */
    size_t state;
    void (*defaults)(struct entry *e);
    /* A session begins: the first call is made. The connections of earlier sessions may still stand. */
    void (*begin)(struct client *c);
    /* The call is over and was as expected. */
    void (*answered)(struct client *c, struct call *call);
    /* Optional: frees what hangs on c->state. */
    void (*end)(struct client *c);
};
extern const struct kind *const kinds[];

/* The open loop of one entry on one thread. */
struct arrivals {
    const struct entry *entry;
    double per_ns, sessions; /* sessions due until `next`, from the start */
    uint64_t next;           /* ns: when the next session is due */
    uint64_t waiting;        /* due, but no client was free */
    uint64_t *late, late_at; /* when those were due: a ring and its first */
    uint64_t started;
    struct client *free;
};

struct thread {
    unsigned index;
    const struct scenario *scenario;
    uv_loop_t loop;
    uv_thread_t id;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_timer_t timer;
    uv_poll_t arrival_poll;
    int arrival_fd;
    struct wheel wheel;
    SSL_CTX *tls[TLS_VERSION_COUNT][TLS_CERTIFICATE_COUNT];
    char *rx, *plain, *tx;
    size_t tx_n;
    int kernel; /* route.h; 0: none yet */
    uint64_t random, tag;
    atomic_int *phase;
    bool recording, closed;
    struct client *clients;
    size_t client_n;
    struct arrivals arrivals[ENTRIES_MAX];
    size_t arrival_n;
    uint64_t sources_used;
    struct stats stats;
};

/* thread.c */
bool thread_init(struct thread *t, unsigned index, const struct scenario *s, atomic_int *phase,
                 struct second *second);
bool thread_start(struct thread *t);
void thread_wake(struct thread *t); /* any thread: look at the phase */
void thread_join(struct thread *t);
void thread_free(struct thread *t);
uint64_t thread_random(struct thread *t, struct span s);
void thread_arm(struct thread *t, struct wheel_node *n, uint64_t after_ms, void (*fire)(struct wheel_node *));
void thread_cancel(struct thread *t, struct wheel_node *n);
/* The next address of the range, in `room`, or NULL. */
const union address *thread_source(struct thread *t, const struct sources *from, union address *room);

/* client.c */
bool clients_make(struct thread *t);
void clients_free(struct thread *t);
void clients_start(struct thread *t);
void clients_close(struct thread *t);
/* The session is over: thinks, or waits to be wanted. */
void client_done(struct client *c);
/* The call went wrong: counted, connections closed, and the session is over. */
void client_failed(struct client *c, struct call *call, enum fault why);
void client_arm(struct client *c, uint64_t after_ms, void (*fire)(struct client *));
void client_disarm(struct client *c);
void client_begin(struct client *c, uint64_t due);

/* arrivals.c: the open loop */
bool arrivals_init(struct thread *t);
void arrivals_start(struct thread *t);
void arrivals_stop(struct thread *t);
void arrivals_free(struct thread *t);
/* The client has nothing to do. */
void arrivals_idle(struct client *c);

/* pattern.c: deterministic bytes, the same as bench/cas sends. */
#define PATTERN_SIZE 16384
extern char pattern[PATTERN_SIZE];
void pattern_fill(void);
bool pattern_matches(uint64_t at, const char *p, size_t n);

#endif
