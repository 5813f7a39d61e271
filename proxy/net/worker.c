/*
 * The worker's life: made on the main thread, run on its own, joined and freed on the main thread.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <postern/log.h>
#include <postern/secret.h>
#include "tls_int.h"
#include "worker_int.h"

static __thread struct worker *worker_here;

struct worker *worker_self(void)
{
    return worker_here;
}

/* ---- mailbox ---- */

void worker_post(struct worker *w, struct letter *l)
{
    bool ring = false;

    l->next = NULL;
    pthread_mutex_lock(&w->mailbox_lock);
    if (!w->mailbox_closed) {
        ring = w->mailbox_head == NULL;
        *w->mailbox_tail = l;
        w->mailbox_tail = &l->next;
        if (ring)
            uv_async_send(&w->doorbell); /* under the lock: the doorbell is closed only under it */
    }
    pthread_mutex_unlock(&w->mailbox_lock);
}

static bool worker_deliver(struct worker *w)
{
    struct letter *l, *next;

    pthread_mutex_lock(&w->mailbox_lock);
    l = w->mailbox_head;
    w->mailbox_head = NULL;
    w->mailbox_tail = &w->mailbox_head;
    pthread_mutex_unlock(&w->mailbox_lock);
    if (l == NULL)
        return false;
    for (; l != NULL; l = next) {
        next = l->next; /* deliver may free the letter */
        l->deliver(w, l);
    }
    return true;
}

static void on_doorbell(uv_async_t *a)
{
    worker_deliver(a->data);
}

/* ---- deadlines ---- */

static void on_wheel_timer(uv_timer_t *t);

static void worker_wheel_sleep(struct worker *w)
{
    uint64_t next = wheel_next(&w->wheel), now = worker_now(w);

    if (next == UINT64_MAX) {
        w->wheel_wakes = UINT64_MAX;
        uv_timer_stop(&w->wheel_timer);
        return;
    }
    if (next == 0)
        next = 1;
    w->wheel_wakes = now + next;
    uv_timer_start(&w->wheel_timer, on_wheel_timer, next, 0);
}

static void on_wheel_timer(uv_timer_t *t)
{
    struct worker *w = t->data;

    wheel_advance(&w->wheel, worker_now(w));
    worker_wheel_sleep(w);
}

void worker_arm(struct worker *w, struct wheel_node *n, uint64_t after_ms, void (*fire)(struct wheel_node *))
{
    uint64_t now = worker_now(w);
    /* The wheel counts from its last advance, which may lie back as far as the earliest deadline is away. */
    uint64_t behind = now > w->wheel.now ? now - w->wheel.now : 0;
    uint64_t due;

    if (after_ms > UINT64_MAX / 4)
        after_ms = UINT64_MAX / 4;
    wheel_arm(&w->wheel, n, after_ms + behind, fire);
    due = now + after_ms + WHEEL_TICK_MS;
    if (due < w->wheel_wakes) {
        w->wheel_wakes = due;
        uv_timer_start(&w->wheel_timer, on_wheel_timer, after_ms + WHEEL_TICK_MS, 0);
    }
}

void worker_cancel(struct worker *w, struct wheel_node *n)
{
    wheel_cancel(&w->wheel, n);
}

/* ---- the end ---- */

static bool is_own(const struct worker *w, const uv_handle_t *h)
{
    return h == (const uv_handle_t *)&w->doorbell || h == (const uv_handle_t *)&w->wheel_timer ||
           h == (const uv_handle_t *)&w->turn;
}

static void count_foreign(uv_handle_t *h, void *arg)
{
    unsigned *n = arg;
    const struct worker *w = h->loop->data;

    *n += !is_own(w, h);
}

/* Without a handle, what keeps the loop is a look-up on a thread of libuv's. A handle's memory is its owner's: it is waited for. */
static void on_stop_late(struct wheel_node *n)
{
    struct worker *w = (struct worker *)((char *)n - offsetof(struct worker, stop_node));
    unsigned foreign = 0;

    uv_walk(&w->loop, count_foreign, &foreign);
    if (foreign > 0) {
        worker_arm(w, n, WORKER_PATIENCE_MS, on_stop_late);
        return;
    }
    w->given_up = true;
    uv_stop(&w->loop);
}

static void worker_on_stop(struct worker *w, struct letter *l)
{
    w->stopping = true;
    /* The loop now ends by itself when the last handle of anybody else is closed. */
    uv_unref((uv_handle_t *)&w->doorbell);
    worker_arm(w, &w->stop_node, WORKER_PATIENCE_MS, on_stop_late);
}

void worker_stop(struct worker *w)
{
    if (__atomic_exchange_n(&w->stop_asked, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    w->stop_letter.deliver = worker_on_stop;
    worker_post(w, &w->stop_letter);
}

/* ---- tasks of the next turn ---- */

void worker_soon_cancel(struct worker *w, struct worker_task *t)
{
    if (t->link == NULL)
        return;
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    if (w->tasks_tail == &t->next)
        w->tasks_tail = t->link;
    t->next = NULL;
    t->link = NULL;
}

/* Runs what was queued before; what these tasks queue runs in the turn after, so that sockets get their share. */
static void on_turn(uv_idle_t *h)
{
    struct worker *w = h->data;
    struct worker_task *batch = w->tasks, *t;

    w->tasks = NULL;
    w->tasks_tail = &w->tasks;
    if (batch != NULL)
        batch->link = &batch;
    while ((t = batch) != NULL) {
        worker_soon_cancel(w, t);
        t->run(t);
    }
    if (w->tasks == NULL)
        uv_idle_stop(h);
}

void worker_soon(struct worker *w, struct worker_task *t, void (*run)(struct worker_task *))
{
    if (t->link != NULL)
        return;
    t->run = run;
    t->next = NULL;
    t->link = w->tasks_tail;
    *w->tasks_tail = t;
    w->tasks_tail = &t->next;
    uv_idle_start(&w->turn, on_turn);
}

/* ---- memory ---- */

#define TRIM_CONNECTIONS 64 /* fewer hold no memory worth the while */

/* glibc keeps what lies below its high-water mark; after a peak of idle connections that is most of it. And handshakes need
 * several times the memory of the connections they lead to: when many have come to stay, they leave holes. */
void worker_idle_trim(struct worker *w)
{
    uint64_t open = w->metrics->v[METRIC_CONNECTIONS_OPEN], before = w->open_before;
    uint64_t moved = open > before ? open - before : before - open;
    bool fallen, more;

    if (open > w->open_peak)
        w->open_peak = open;
    w->open_before = open;
    fallen = w->open_peak >= TRIM_CONNECTIONS && open <= w->open_peak / 2;
    more = open >= TRIM_CONNECTIONS && open > w->open_trimmed + w->open_trimmed / 4 && moved <= open / 16;
    if (!fallen && !more)
        return;
    w->open_trimmed = open;
    if (fallen) {
        w->open_peak = open;
        pool_trim(&w->chunk_pool, 16);
        pool_trim(&w->bulk_pool, 8);
        tls_memory_trim();
    }
    malloc_trim(0);
}

static void on_trim(struct wheel_node *n)
{
    struct worker *w = (struct worker *)((char *)n - offsetof(struct worker, trim_node));

    worker_idle_trim(w);
    worker_arm(w, n, WORKER_TRIM_MS, on_trim);
}

/* ---- birth ---- */

/* A library context of its own spares the worker the locks of the shared one, but reads no openssl.cnf by itself: without
 * the load the machine's policy (FIPS, minimum versions) would silently not hold. */
static OSSL_LIB_CTX *worker_libctx(void)
{
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();

    if (ctx != NULL)
        CONF_modules_load_file_ex(ctx, NULL, NULL,
                                  CONF_MFLAGS_DEFAULT_SECTION | CONF_MFLAGS_IGNORE_MISSING_FILE);
    ERR_clear_error();
    return ctx;
}

static bool worker_allocate(struct worker *w, const struct worker_options *o)
{
    w->rx_size = o->rx_size < WORKER_RX_MIN ? WORKER_RX_MIN : o->rx_size;
    w->plain_size = w->rx_size;
    w->tx_size = WORKER_TX_SIZE;
    w->rx = secret_alloc(w->rx_size);
    w->plain = secret_alloc(w->plain_size);
    w->tx = malloc(w->tx_size);
    w->gather = secret_alloc(WORKER_RECORD_MAX);
    w->metrics = aligned_alloc(64, sizeof(struct metrics));
    w->libctx = worker_libctx();
    if (w->metrics != NULL)
        memset(w->metrics, 0, sizeof(struct metrics));
    return w->rx != NULL && w->plain != NULL && w->tx != NULL && w->gather != NULL && w->metrics != NULL &&
           w->libctx != NULL;
}

static int worker_init_loop(struct worker *w)
{
    int r = uv_loop_init(&w->loop);

    if (r < 0)
        return r;
    r = uv_async_init(&w->loop, &w->doorbell, on_doorbell);
    if (r < 0) {
        uv_loop_close(&w->loop);
        return r;
    }
    uv_timer_init(&w->loop, &w->wheel_timer);
    uv_idle_init(&w->loop, &w->turn);
    uv_unref((uv_handle_t *)&w->wheel_timer);
    w->doorbell.data = w->wheel_timer.data = w->turn.data = w->loop.data = w;
    return 0;
}

static void worker_free_memory(struct worker *w)
{
    secret_free(w->rx, w->rx_size);
    secret_free(w->plain, w->plain_size);
    free(w->tx);
    secret_free(w->gather, WORKER_RECORD_MAX);
    free(w->metrics);
    OSSL_LIB_CTX_free(w->libctx);
    pthread_mutex_destroy(&w->mailbox_lock);
    free(w);
}

struct worker *worker_make(const struct worker_options *o)
{
    struct worker *w = calloc(1, sizeof(*w));
    int r;

    if (w == NULL)
        return NULL;
    w->index = o->index;
    w->start = o->start;
    w->stop = o->stop;
    w->arg = o->arg;
    w->tasks_tail = &w->tasks;
    w->mailbox_tail = &w->mailbox_head;
    w->wheel_wakes = UINT64_MAX;
    pthread_mutex_init(&w->mailbox_lock, NULL);
    r = worker_allocate(w, o) ? worker_init_loop(w) : UV_ENOMEM;
    if (r < 0) {
        worker_free_memory(w);
        errno = -r;
        return NULL;
    }
    pool_init(&w->chunk_pool, 4096, 256);
    pool_init(&w->bulk_pool, WORKER_BULK_SIZE, 64);
    wheel_init(&w->wheel, worker_now(w));
    return w;
}

/* ---- run ---- */

/* Leaks of handles are seen by no sanitizer: they hang in the loop's list, reachable. */
static void report_handle(uv_handle_t *h, void *arg)
{
    struct worker *w = arg;

    if (uv_is_closing(h) || is_own(w, h))
        return;
    log_event(LOG_EV_INTERNAL, LF_STR("what", STR("handle still open")),
              LF_STR("type", str_of(uv_handle_type_name(uv_handle_get_type(h)))), LF_U64("worker", w->index));
}

static void worker_turns(struct worker *w)
{
    uv_run(&w->loop, w->given_up ? UV_RUN_NOWAIT : UV_RUN_DEFAULT);
}

static void worker_close_own(struct worker *w)
{
    pthread_mutex_lock(&w->mailbox_lock);
    w->mailbox_closed = true;
    uv_close((uv_handle_t *)&w->doorbell, NULL);
    pthread_mutex_unlock(&w->mailbox_lock);
    uv_close((uv_handle_t *)&w->wheel_timer, NULL);
    uv_close((uv_handle_t *)&w->turn, NULL);
    worker_turns(w);
}

void worker_run(struct worker *w)
{
    worker_here = w;
    uv_update_time(&w->loop);
    worker_arm(w, &w->trim_node, WORKER_TRIM_MS, on_trim);
    if (w->start != NULL)
        w->start(w, w->arg);
    do {
        worker_turns(w);
    } while (worker_deliver(w));
    if (w->stop != NULL)
        w->stop(w);
    worker_cancel(w, &w->trim_node);
    worker_cancel(w, &w->stop_node);
    uv_walk(&w->loop, report_handle, w);
    worker_close_own(w);
    ERR_clear_error();
    OPENSSL_thread_stop_ex(w->libctx);
    OPENSSL_thread_stop();
    tls_memory_trim();
    worker_here = NULL;
}

static void *worker_thread(void *arg)
{
    struct worker *w = arg;
    char name[16];

    snprintf(name, sizeof(name), "worker %u", w->index % 1000);
    pthread_setname_np(pthread_self(), name);
    worker_run(w);
    return NULL;
}

struct worker *worker_start(const struct worker_options *o)
{
    struct worker *w = worker_make(o);
    sigset_t all, before;
    int r;

    if (w == NULL)
        return NULL;
    /* Signals belong to the main loop. The mask is inherited, so that none can arrive before the thread sets its own. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&w->thread, NULL, worker_thread, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        worker_close_own(w);
        worker_free(w);
        errno = r;
        return NULL;
    }
    return w;
}

void worker_free(struct worker *w)
{
    if (uv_loop_close(&w->loop) != 0) {
        /* A handle of another room is still open (reported above), or a look-up hangs. Their memory may still refer to the loop:
         * keep it. */
        return;
    }
    pool_destroy(&w->chunk_pool);
    pool_destroy(&w->bulk_pool);
    worker_free_memory(w);
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    worker_free(w);
}
