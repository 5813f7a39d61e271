/*
 * worker: one thread with one libuv loop, and all that the connections on it share.
 *
 * Owned by main, created once at start, never on reload. Nothing in a worker is touched by another thread except the
 * mailbox (worker_post). Every module entry that takes a worker or one of its objects runs on that worker's thread.
 */
#ifndef POSTERN_WORKER_H
#define POSTERN_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>
#include <postern/metrics.h>
#include <postern/pool.h>
#include <postern/wheel.h>

struct worker;

/* A message to a worker: embedded in whatever is sent; `deliver` runs once on the worker's thread. */
struct letter {
    struct letter *next;
    void (*deliver)(struct worker *w, struct letter *l);
};

/* Something to be run once, in the next turn of the loop, before the loop waits. Embedded in its owner. */
struct worker_task {
    struct worker_task *next, **link; /* link == NULL: not queued */
    void (*run)(struct worker_task *t);
};

struct worker {
    unsigned index;
    pthread_t thread;
    uv_loop_t loop;
    struct wheel wheel;
    uv_timer_t wheel_timer; /* the only timer of the loop; sleeps for wheel_next() */
    uv_async_t doorbell;
    uv_idle_t turn; /* active while tasks are queued: the loop then does not wait */
    struct worker_task *tasks, **tasks_tail;
    uint64_t wheel_wakes; /* when wheel_timer is due; UINT64_MAX: not running */
    pthread_mutex_t mailbox_lock;
    struct letter *mailbox_head, **mailbox_tail;
    bool mailbox_closed;

    void *libctx; /* OSSL_LIB_CTX of this worker (STYLE: fetches without contention) */
    char *rx;     /* lent to every read: ciphertext, or plaintext of plain streams */
    size_t rx_size;
    bool rx_lent;
    char *plain; /* decrypted bytes of the burst being read */
    size_t plain_size;
    /* ciphertext of the records being written: room for one record and a handshake flight */
    char *tx;
    size_t tx_size;
    char *gather;        /* one record's plaintext, put together from several pieces */
    const void *reading; /* the stream whose socket is being read, and how often without a pause */
    unsigned reads;

    struct pool chunk_pool;  /* 4 KB: arenas and queues */
    struct pool bulk_pool;   /* 16 KB + header: queued bulk data */
    struct metrics *metrics; /* own cache lines */
    void *core;              /* the core room's state on this worker */
    bool stopping, given_up;
    int stop_asked; /* atomic */
    struct letter stop_letter;
    struct wheel_node stop_node;
    struct wheel_node trim_node;
    /* connections: most since memory was last given back; then; ten seconds ago */
    uint64_t open_peak, open_trimmed, open_before;
    void (*start)(struct worker *w, void *arg);
    void (*stop)(struct worker *w);
    void *arg;
};

struct worker_options {
    unsigned index;
    size_t rx_size;                             /* max(client_buffer, backend_buffer) */
    void (*start)(struct worker *w, void *arg); /* on the new thread, before the loop runs; sets w->core */
    void (*stop)(struct worker *w);             /* on the thread, after the loop has ended */
    void *arg;
};

/* Creates loop, buffers and library context, starts the thread; NULL (errno set) on failure. Main thread. */
struct worker *worker_start(const struct worker_options *o);
/* Any thread. The letter is the worker's from here until deliver runs. After the loop has ended nothing is delivered. */
void worker_post(struct worker *w, struct letter *l);
/* Any thread: the loop ends when the last handle is closed. The core room closes its handles in a letter of its own.
 * For look-ups of names, which nobody can take back, it waits half a second and no longer (resolve_hanging). */
void worker_stop(struct worker *w);
/* Main thread: waits, then frees. Reports handles still open in the event log (PO-RUN-0099). What look-ups that still
 * hang will write to stays. */
void worker_join(struct worker *w);
/* ms, monotonic, the loop's cached time. */
static inline uint64_t worker_now(const struct worker *w)
{
    return uv_now(&w->loop);
}
/* Arms a deadline; wakes the wheel's timer earlier when needed. Use these rather than wheel_arm on w->wheel. */
void worker_arm(struct worker *w, struct wheel_node *n, uint64_t after_ms, void (*fire)(struct wheel_node *));
void worker_cancel(struct worker *w, struct wheel_node *n);
/* Runs `t` in the next turn of the loop; again is harmless. Cancel before the memory goes. */
void worker_soon(struct worker *w, struct worker_task *t, void (*run)(struct worker_task *));
void worker_soon_cancel(struct worker *w, struct worker_task *t);
/* The worker that runs on this thread, or NULL. */
struct worker *worker_self(void);

#endif
