/*
 * Threads that may block on a directory. A job is in the queue, on a thread, or on its way back by letter;
 * only its worker frees it, so a caller that went away or was answered by the deadline needs no lock to be
 * safe from the late verdict.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <sys/mman.h>

#include "auth_int.h"

struct auth_job {
    struct letter letter;
    struct auth_job *next, **link; /* link == NULL: not in the queue; under the pool's lock */
    struct auth_pool *pool;
    struct worker *worker;
    struct snapshot *snapshot;
    struct verifier *verifier;
    struct basic_credentials *secret; /* a slot of the pool's locked memory; NULL once cleansed */
    struct wheel_node deadline;
    uint64_t due_ns;
    void (*done)(void *ctx, const struct auth_result *r); /* worker only; NULL: nobody waits any more */
    void *ctx;
    struct auth_result result;
};

struct auth_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, quiet; /* quiet: nothing runs */
    struct auth_job *head, **tail;
    unsigned queued, queue_max, running;
    bool stopping;
    unsigned refs; /* atomic: the owner, and every job, whose letter may come after auth_pool_stop */
    struct basic_credentials *secrets, **free_secrets;
    size_t secrets_n, free_n, secrets_bytes;
    unsigned threads_n;
    pthread_t threads[];
};

/* ---- memory that is neither swapped out nor dumped ---- */

static bool secrets_map(struct auth_pool *p, size_t n)
{
    void *memory;

    p->secrets_bytes = n * sizeof(*p->secrets);
    p->free_secrets = calloc(n, sizeof(*p->free_secrets));
    memory = mmap(NULL, p->secrets_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->free_secrets == NULL || memory == MAP_FAILED)
        return false;
    /* Both may be refused (RLIMIT_MEMLOCK, an old kernel): the passwords are cleansed early all the same. */
    (void)mlock(memory, p->secrets_bytes);
    (void)madvise(memory, p->secrets_bytes, MADV_DONTDUMP);
    p->secrets = memory;
    p->secrets_n = n;
    for (size_t i = 0; i < n; i++)
        p->free_secrets[p->free_n++] = &p->secrets[i];
    return true;
}

/* Under the lock. */
static void secret_cleanse(struct auth_job *j)
{
    if (j->secret == NULL)
        return;
    basic_forget(j->secret);
    j->pool->free_secrets[j->pool->free_n++] = j->secret;
    j->secret = NULL;
}

static void pool_unref(struct auth_pool *p)
{
    if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (p->secrets != NULL)
        munmap(p->secrets, p->secrets_bytes);
    free(p->free_secrets);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->quiet);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* ---- queue; all under the lock ---- */

static void queue_push(struct auth_pool *p, struct auth_job *j)
{
    j->next = NULL;
    j->link = p->tail;
    *p->tail = j;
    p->tail = &j->next;
    p->queued++;
}

static void queue_take(struct auth_pool *p, struct auth_job *j)
{
    *j->link = j->next;
    if (j->next != NULL)
        j->next->link = j->link;
    else
        p->tail = j->link;
    j->link = NULL;
    p->queued--;
}

/* ---- on the worker ---- */

static void verifier_gone(const struct verifier *v)
{
    if (v->gone != NULL)
        v->gone(v->state);
}

static void job_free(struct auth_job *j)
{
    struct auth_pool *p = j->pool;

    verifier_gone(j->verifier);
    snapshot_release(j->snapshot);
    free(j);
    pool_unref(p);
}

/* True when no thread has it yet: it is out of the queue, cleansed, and the caller's to free. */
static bool job_withdraw(struct auth_job *j)
{
    struct auth_pool *p = j->pool;
    bool waiting;

    pthread_mutex_lock(&p->lock);
    waiting = j->link != NULL;
    if (waiting) {
        queue_take(p, j);
        secret_cleanse(j);
    }
    pthread_mutex_unlock(&p->lock);
    return waiting;
}

static void job_deliver(struct worker *w, struct letter *l)
{
    struct auth_job *j = (struct auth_job *)((char *)l - offsetof(struct auth_job, letter));

    if (j->done != NULL) {
        worker_cancel(w, &j->deadline);
        metrics_auth(w->metrics, j->result.detail);
        j->done(j->ctx, &j->result);
    }
    job_free(j);
}

static void job_late(struct wheel_node *n)
{
    struct auth_job *j = (struct auth_job *)((char *)n - offsetof(struct auth_job, deadline));
    const struct auth_result late = {.verdict = VERDICT_TIMEOUT, .detail = AUTH_DETAIL_TIMED_OUT};
    void (*done)(void *ctx, const struct auth_result *r) = j->done;
    void *ctx = j->ctx;
    bool withdrawn;

    metrics_auth(j->worker->metrics, late.detail);
    j->done = NULL;
    withdrawn = job_withdraw(j);
    done(ctx, &late);
    if (withdrawn)
        job_free(j);
}

void auth_cancel(struct auth_job *j)
{
    worker_cancel(j->worker, &j->deadline);
    j->done = NULL;
    if (job_withdraw(j))
        job_free(j);
}

static struct auth_job *job_new(struct auth_pool *pool, struct worker *w, struct snapshot *s,
                                struct verifier *v)
{
    struct auth_job *j = calloc(1, sizeof(*j));

    if (j == NULL)
        return NULL;
    __atomic_add_fetch(&pool->refs, 1, __ATOMIC_RELAXED);
    j->letter.deliver = job_deliver;
    j->pool = pool;
    j->worker = w;
    j->snapshot = snapshot_hold(s);
    j->verifier = v;
    return j;
}

static struct auth_result job_enqueue(struct auth_job *j, const struct basic_credentials *c)
{
    struct auth_pool *p = j->pool;
    struct auth_result r = {.verdict = VERDICT_OK};

    pthread_mutex_lock(&p->lock);
    if (p->stopping) {
        r = (struct auth_result){.verdict = VERDICT_UNAVAILABLE, .detail = AUTH_DETAIL_CANCELLED};
    } else if (p->queued >= p->queue_max || p->free_n == 0) {
        r = (struct auth_result){.verdict = VERDICT_BUSY, .detail = AUTH_DETAIL_BUSY};
    } else {
        j->secret = p->free_secrets[--p->free_n];
        *j->secret = *c;
        queue_push(p, j);
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

struct auth_job *auth_submit(struct auth_pool *pool, struct worker *w, struct snapshot *snapshot,
                             struct verifier *v, const struct basic_credentials *c, uint64_t timeout_ms,
                             void (*done)(void *ctx, const struct auth_result *r), void *ctx,
                             struct auth_result *ret_refused)
{
    struct auth_job *j = v != NULL ? job_new(pool, w, snapshot, v) : NULL;
    struct auth_result refused;

    if (j == NULL) {
        if (v != NULL)
            verifier_gone(v);
        *ret_refused = (struct auth_result){.verdict = VERDICT_UNAVAILABLE, .detail = AUTH_DETAIL_NO_MEMORY};
        return NULL;
    }
    j->done = done;
    j->ctx = ctx;
    j->due_ns = uv_hrtime() + timeout_ms * 1000000;
    worker_arm(w, &j->deadline, timeout_ms, job_late);
    refused = job_enqueue(j, c);
    if (refused.verdict == VERDICT_OK)
        return j;
    worker_cancel(w, &j->deadline);
    job_free(j);
    metrics_auth(w->metrics, refused.detail);
    *ret_refused = refused;
    return NULL;
}

/* ---- on the threads ---- */

static void job_run(struct auth_job *j)
{
    uint64_t now = uv_hrtime();
    struct auth_result r = {0};

    if (now < j->due_ns)
        j->verifier->type->verify(j->verifier->state, j->secret, "", (j->due_ns - now) / 1000000, &r);
    else
        r = (struct auth_result){.verdict = VERDICT_TIMEOUT, .detail = AUTH_DETAIL_TIMED_OUT};
    j->result = r;
    pthread_mutex_lock(&j->pool->lock);
    secret_cleanse(j);
    if (--j->pool->running == 0)
        pthread_cond_signal(&j->pool->quiet);
    pthread_mutex_unlock(&j->pool->lock);
    worker_post(j->worker, &j->letter);
}

static struct auth_job *pool_next(struct auth_pool *p)
{
    struct auth_job *j = NULL;

    pthread_mutex_lock(&p->lock);
    while (p->head == NULL && !p->stopping)
        pthread_cond_wait(&p->work, &p->lock);
    if (!p->stopping) {
        j = p->head;
        queue_take(p, j);
        p->running++;
    }
    pthread_mutex_unlock(&p->lock);
    return j;
}

static void *pool_thread(void *arg)
{
    struct auth_pool *p = arg;
    struct auth_job *j;

    while ((j = pool_next(p)) != NULL)
        job_run(j);
    return NULL;
}

/* ---- start and stop ---- */

/* Signals are the main loop's: no thread of ours may take one. */
static bool threads_start(struct auth_pool *p, unsigned n)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (p->threads_n < n && pthread_create(&p->threads[p->threads_n], NULL, pool_thread, p) == 0)
        p->threads_n++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return p->threads_n > 0;
}

struct auth_pool *auth_pool_start(const struct conf_process *conf)
{
    unsigned threads = conf->auth_threads > 0 ? conf->auth_threads : 1;
    unsigned queue = conf->auth_queue > 0 ? conf->auth_queue : 1;
    struct auth_pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->threads[0]));
    pthread_condattr_t attr;

    if (p == NULL)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->quiet, &attr);
    pthread_condattr_destroy(&attr);
    p->tail = &p->head;
    p->queue_max = queue;
    p->refs = 1;
    if (secrets_map(p, (size_t)queue + threads) && threads_start(p, threads))
        return p;
    pool_unref(p);
    return NULL;
}

/* One at a time: a job that the lock let go is its worker's, which may free it at once. */
static void queue_refuse(struct auth_pool *p)
{
    struct auth_job *j;

    for (;;) {
        pthread_mutex_lock(&p->lock);
        j = p->head;
        if (j != NULL) {
            queue_take(p, j);
            secret_cleanse(j);
        }
        pthread_mutex_unlock(&p->lock);
        if (j == NULL)
            return;
        j->result = (struct auth_result){.verdict = VERDICT_UNAVAILABLE, .detail = AUTH_DETAIL_CANCELLED};
        worker_post(j->worker, &j->letter);
    }
}

static void pool_refuse(struct auth_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    queue_refuse(p);
}

unsigned auth_pool_quiesce(struct auth_pool *p, uint64_t patience_ms)
{
    uint64_t due_ns = uv_hrtime() + patience_ms * 1000000;
    struct timespec until = {(time_t)(due_ns / 1000000000), (long)(due_ns % 1000000000)};
    unsigned running;
    int late = 0;

    pool_refuse(p);
    pthread_mutex_lock(&p->lock);
    while (p->running > 0 && late == 0)
        late = pthread_cond_timedwait(&p->quiet, &p->lock, &until);
    running = p->running;
    pthread_mutex_unlock(&p->lock);
    return running;
}

void auth_pool_abandon(struct auth_pool *p)
{
    for (unsigned i = 0; i < p->threads_n; i++)
        pthread_detach(p->threads[i]);
}

void auth_pool_stop(struct auth_pool *p)
{
    if (p == NULL)
        return;
    pool_refuse(p);
    for (unsigned i = 0; i < p->threads_n; i++)
        pthread_join(p->threads[i], NULL);
    pool_unref(p);
}

void auth_pool_metrics(struct auth_pool *p, struct metrics *sum)
{
    pthread_mutex_lock(&p->lock);
    metrics_add(sum, METRIC_AUTH_RUNNING, p->running);
    metrics_add(sum, METRIC_AUTH_WAITING, p->queued);
    pthread_mutex_unlock(&p->lock);
}
