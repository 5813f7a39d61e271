/*
 * The workers and the configuration in force. A new configuration is built on every worker first and put in force only when
 * all have succeeded: two rounds of letters, so that an error changes nothing.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <postern/log.h>

#include "engine_int.h"

/* Descriptors that are not connections: listeners, logs, loops, directories. */
#define DESCRIPTORS_RESERVED 128
/* What a name server that hangs may delay a start or a reload. */
#define NAMES_WAIT_MS 2000

/* ---- the table of connections ---- */

bool engine_enter(struct core_worker *c)
{
    struct engine *e = c->engine;

    if (__atomic_add_fetch(&e->open, 1, __ATOMIC_RELAXED) <= engine_capacity(e) &&
        descriptors_take(&c->descriptors)) {
        metrics_add(c->worker->metrics, METRIC_CONNECTIONS_ACCEPTED, 1);
        metrics_add(c->worker->metrics, METRIC_CONNECTIONS_OPEN, 1);
        return true;
    }
    __atomic_sub_fetch(&e->open, 1, __ATOMIC_RELAXED);
    return false;
}

void engine_leave(struct core_worker *c)
{
    __atomic_sub_fetch(&c->engine->open, 1, __ATOMIC_RELAXED);
    descriptors_give(&c->descriptors);
    metrics_sub(c->worker->metrics, METRIC_CONNECTIONS_OPEN, 1);
}

void engine_log_full(struct core_worker *c)
{
    struct engine *e = c->engine;
    uint64_t now = worker_now(c->worker), last = __atomic_load_n(&e->full_logged_ms, __ATOMIC_RELAXED);

    if (last != 0 && now - last < 10000)
        return;
    __atomic_store_n(&e->full_logged_ms, now, __ATOMIC_RELAXED);
    log_event(LOG_EV_TABLE_FULL, LF_U64("capacity", engine_capacity(e)));
}

static void refused_closed(uv_handle_t *h)
{
    free(h);
}

/* The new one is turned away at once; the present ones keep what they have. */
bool core_refuse_connection(struct listener *l, struct core_worker *c, enum reason why)
{
    uv_tcp_t *h = malloc(sizeof(*h));

    if (h == NULL || uv_tcp_init(&c->worker->loop, h) < 0) {
        free(h);
        return false;
    }
    metrics_add(c->worker->metrics, METRIC_CONNECTIONS_REFUSED, 1);
    metrics_ended(c->worker->metrics, why);
    if (uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)h) < 0 || uv_tcp_close_reset(h, refused_closed) < 0)
        uv_close((uv_handle_t *)h, refused_closed);
    return true;
}

bool core_on_connection(struct listener *l)
{
    struct core_worker *c = l->user;
    const struct conf_listener *conf;

    if (!engine_enter(c)) {
        engine_log_full(c);
        return core_refuse_connection(l, c, REASON_TABLE_FULL);
    }
    conf = &engine_listener_site(l)->snapshot->listeners[l->conf_index];
    if (conf->certificates_n > 0)
        return session_accept(l);
    return plain_http_accept(l);
}

unsigned engine_capacity(const struct engine *e)
{
    return __atomic_load_n(&e->capacity, __ATOMIC_RELAXED);
}

static unsigned descriptors_of_connections(void)
{
    struct rlimit r = {1024, 1024};
    rlim_t n;

    getrlimit(RLIMIT_NOFILE, &r);
    n = r.rlim_cur > DESCRIPTORS_RESERVED + 2 ? r.rlim_cur - DESCRIPTORS_RESERVED : 2;
    return n > INT_MAX ? INT_MAX : (unsigned)n;
}

/* Each client may need a backend's connection. */
static void capacity_follow(struct engine *e, const struct snapshot *s)
{
    unsigned descriptors = descriptors_of_connections(), connections = descriptors / 2;

    if (s->limits.connections > 0 && s->limits.connections < connections)
        connections = (unsigned)s->limits.connections;
    descriptors_set(&e->descriptors, descriptors);
    __atomic_store_n(&e->capacity, connections, __ATOMIC_RELAXED);
}

/* ---- rounds: main asks every worker, and waits ---- */

void engine_round_answer(struct engine *e, bool good)
{
    pthread_mutex_lock(&e->lock);
    if (!good)
        e->failed = true;
    if (--e->waiting_for == 0)
        pthread_cond_signal(&e->answered);
    pthread_mutex_unlock(&e->lock);
}

bool engine_round(struct engine *e, void (*deliver)(struct worker *w, struct letter *l))
{
    bool good;

    pthread_mutex_lock(&e->lock);
    e->waiting_for = e->workers;
    e->failed = false;
    pthread_mutex_unlock(&e->lock);
    for (unsigned i = 0; i < e->workers; i++) {
        e->slots[i].letter.deliver = deliver;
        worker_post(e->slots[i].worker, &e->slots[i].letter);
    }
    pthread_mutex_lock(&e->lock);
    while (e->waiting_for > 0)
        pthread_cond_wait(&e->answered, &e->lock);
    good = !e->failed;
    pthread_mutex_unlock(&e->lock);
    return good;
}

static void copy_finding(void *ctx, enum conf_severity s, struct conf_mark where, const char *text)
{
    conf_finding_add(ctx, s, where, "%s", text);
}

/* Round 1: build. Errors are the same on every worker; the first one's findings are enough. */
static void deliver_build(struct worker *w, struct letter *l)
{
    struct engine_slot *slot = engine_slot_of(l);
    struct engine *e = slot->engine;
    struct core_worker *c = w->core;
    struct conf_findings *own = conf_findings_new();

    slot->next = own != NULL && engine_listeners_reserve(c, e->incoming_listeners->n)
                     ? site_new(c, e->incoming, e->tickets, own)
                     : NULL;
    if (slot->next == NULL && own != NULL && w->index == 0) {
        pthread_mutex_lock(&e->lock);
        conf_findings_each(own, copy_finding, e->findings);
        pthread_mutex_unlock(&e->lock);
    }
    conf_findings_free(own);
    engine_round_answer(e, slot->next != NULL);
}

/* Round 2, when all could build. */
static void deliver_commit(struct worker *w, struct letter *l)
{
    struct engine_slot *slot = engine_slot_of(l);
    struct core_worker *c = w->core;
    struct site *old = c->site;

    c->site = slot->next;
    slot->next = NULL;
    engine_listeners_renumber(c, old);
    engine_listeners_open(c, slot->engine->incoming_listeners);
    if (old != NULL)
        site_release(old);
    engine_round_answer(slot->engine, true);
}

static void deliver_discard(struct worker *w, struct letter *l)
{
    struct engine_slot *slot = engine_slot_of(l);

    if (slot->next != NULL)
        site_release(slot->next);
    slot->next = NULL;
    engine_round_answer(slot->engine, true);
}

/* ---- health follows the configuration ---- */

static void names_known(void *ctx)
{
    engine_round_answer(ctx, true);
}

static void deliver_health(struct worker *house, struct letter *l)
{
    struct engine *e = (struct engine *)((char *)l - offsetof(struct engine, health_letter));

    if (e->health != NULL)
        health_stop(e->health);
    e->health = NULL;
    if (e->health_snapshot != NULL)
        e->health = health_start(house, e->health_snapshot, site_shared_of(e->health_snapshot)->backends);
    if (e->health != NULL)
        health_when_named(e->health, NAMES_WAIT_MS, names_known, e);
    else
        engine_round_answer(e, true);
}

static void health_follow(struct engine *e, struct snapshot *s)
{
    pthread_mutex_lock(&e->lock);
    e->waiting_for = 1;
    e->failed = false;
    pthread_mutex_unlock(&e->lock);
    e->health_snapshot = s;
    e->health_letter.deliver = deliver_health;
    worker_post(e->house, &e->health_letter);
    pthread_mutex_lock(&e->lock);
    while (e->waiting_for > 0)
        pthread_cond_wait(&e->answered, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

/* ---- putting a configuration in force ---- */

int engine_prepare(struct snapshot *s, struct conf_findings *f)
{
    if (site_shared_of(s) != NULL)
        return 0;
    return site_shared_new(s, f) != NULL ? 0 : -1;
}

int engine_apply(struct engine *e, struct snapshot *s, struct listen_set *l, struct conf_findings *f)
{
    struct snapshot *old = e->snapshot;
    struct listen_set *old_listeners = e->listeners;

    e->incoming = s;
    e->incoming_listeners = l;
    e->findings = f;
    if (old != NULL)
        backend_states_inherit(site_shared_of(s)->backends, site_shared_of(old)->backends);
    tls_tickets_refresh(e->tickets, &s->process, uv_hrtime() / 1000000);
    if (!engine_round(e, deliver_build)) {
        (void)engine_round(e, deliver_discard);
        if (old != NULL)
            tls_tickets_refresh(e->tickets, &old->process, uv_hrtime() / 1000000);
        if (conf_findings_count(f, CONF_ERROR) == 0)
            conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "out of memory");
        return -1;
    }
    /* Names are looked up before the first request asks for them; of one that is not known by then, requests get 503. */
    health_follow(e, s);
    (void)guard_configure(e->guard, &s->guard); /* without memory the old numbers stay */
    (void)engine_round(e, deliver_commit);
    capacity_follow(e, s);
    e->snapshot = snapshot_hold(s);
    e->listeners = l;
    if (old != NULL)
        snapshot_release(old);
    if (old_listeners != NULL && old_listeners != l)
        listen_set_free(old_listeners);
    return 0;
}

void engine_tick(struct engine *e)
{
    tls_tickets_refresh(e->tickets, &e->snapshot->process, uv_hrtime() / 1000000);
    verifiers_tidy(site_shared_of(e->snapshot)->verifiers);
}

/* ---- start ---- */

static void core_worker_start(struct worker *w, void *arg)
{
    struct engine *e = arg;
    struct core_worker *c = calloc(1, sizeof(*c));

    w->core = c;
    if (c == NULL)
        return;
    c->worker = w;
    c->engine = e;
    c->descriptors.all = &e->descriptors;
    pool_init(&c->session_pool, sizeof(struct session), 256);
    pool_init(&c->txn_pool, sizeof(struct txn), 256);
    pool_init(&c->codec_pool, sizeof(struct h1), 64);
    plain_http_init(c);
}

static void core_worker_stop(struct worker *w)
{
    struct core_worker *c = w->core;

    if (c == NULL)
        return;
    pool_destroy(&c->session_pool);
    pool_destroy(&c->txn_pool);
    pool_destroy(&c->codec_pool);
    pool_destroy(&c->plain_pool);
    free(c->listeners);
    free(c);
    w->core = NULL;
}

#define GUARD_TICK_MS 1000

static void house_tick(struct wheel_node *n)
{
    struct engine *e = (struct engine *)((char *)n - offsetof(struct engine, guard_tick));

    guard_tick(e->guard);
    worker_arm(worker_self(), n, GUARD_TICK_MS, house_tick);
}

static void house_start(struct worker *w, void *arg)
{
    struct engine *e = arg;

    worker_arm(w, &e->guard_tick, GUARD_TICK_MS, house_tick);
}

static void house_stop(struct worker *w)
{
}

static size_t rx_size_of(const struct snapshot *s)
{
    size_t a = (size_t)s->limits.client_buffer, b = (size_t)s->limits.backend_buffer;

    return a > b ? a : b;
}

static bool workers_start(struct engine *e, const struct snapshot *s)
{
    struct worker_options o = {
        .rx_size = rx_size_of(s), .start = core_worker_start, .stop = core_worker_stop, .arg = e};

    for (unsigned i = 0; i < e->workers; i++) {
        o.index = i;
        e->slots[i].engine = e;
        e->slots[i].worker = worker_start(&o);
        if (e->slots[i].worker == NULL)
            return false;
    }
    o = (struct worker_options){
        .index = e->workers, .rx_size = 64u << 10, .start = house_start, .stop = house_stop, .arg = e};
    e->house = worker_start(&o);
    return e->house != NULL;
}

static unsigned worker_count(const struct snapshot *s)
{
    long n = s->process.workers > 0 ? (long)s->process.workers : sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

struct engine *engine_start(struct snapshot *s, struct listen_set *l, struct conf_findings *f)
{
    struct engine *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return NULL;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->answered, NULL);
    e->workers = worker_count(s);
    capacity_follow(e, s);
    e->slots = calloc(e->workers, sizeof(*e->slots));
    e->tickets = tls_tickets_new(&s->process);
    e->auth = auth_pool_start(&s->process);
    e->guard = e->auth != NULL ? guard_new(&s->guard, e->auth, e->workers) : NULL;
    if (e->slots != NULL && e->guard != NULL && workers_start(e, s) && engine_apply(e, s, l, f) == 0)
        return e;
    if (conf_findings_count(f, CONF_ERROR) == 0)
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "cannot start the workers: %s",
                         strerror(errno));
    engine_free(e);
    return NULL;
}

/* ---- drain ---- */

static void worker_empty(struct core_worker *c)
{
    struct engine *e = c->engine;

    worker_cancel(c->worker, &c->cut);
    site_release(c->site);
    c->site = NULL;
    if (__atomic_sub_fetch(&e->busy_workers, 1, __ATOMIC_ACQ_REL) == 0)
        uv_async_send(&e->drained);
}

void core_worker_left(struct core_worker *c)
{
    if (c->draining && c->sessions == NULL && c->plains == NULL && c->listeners_closing == 0 &&
        c->site != NULL)
        worker_empty(c);
}

static void drain_cut(struct wheel_node *n)
{
    struct core_worker *c = (struct core_worker *)((char *)n - offsetof(struct core_worker, cut));

    log_event(LOG_EV_DRAIN_CUT, LF_U64("worker", c->worker->index), LF_U64("connections", c->sessions_n));
    for (struct session *s = c->sessions; s != NULL; s = s->next)
        session_cut(s);
    plain_http_cut_all(c);
}

static void deliver_drain(struct worker *w, struct letter *l)
{
    struct engine_slot *slot = engine_slot_of(l);
    struct core_worker *c = w->core;

    c->draining = true;
    engine_listeners_close(c);
    worker_arm(w, &c->cut, slot->engine->drain_deadline_ms, drain_cut);
    for (struct session *s = c->sessions; s != NULL; s = s->next)
        session_drain(s);
    plain_http_drain_all(c);
    core_worker_left(c);
}

static void drain_done_closed(uv_handle_t *h)
{
    struct engine *e = h->data;

    e->done(e->done_ctx);
}

static void drain_done(uv_async_t *a)
{
    uv_close((uv_handle_t *)a, drain_done_closed);
}

void engine_drain(struct engine *e, uv_loop_t *main_loop, uint64_t deadline_ms, void (*done)(void *ctx),
                  void *ctx)
{
    e->done = done;
    e->done_ctx = ctx;
    e->drain_deadline_ms = deadline_ms;
    e->drained.data = e;
    uv_async_init(main_loop, &e->drained, drain_done);
    __atomic_store_n(&e->busy_workers, e->workers, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < e->workers; i++) {
        e->slots[i].letter.deliver = deliver_drain;
        worker_post(e->slots[i].worker, &e->slots[i].letter);
    }
}

unsigned engine_quiesce(struct engine *e, uint64_t patience_ms)
{
    return auth_pool_quiesce(e->auth, patience_ms);
}

void engine_abandon(struct engine *e)
{
    auth_pool_abandon(e->auth);
}

void engine_free(struct engine *e)
{
    if (e->auth != NULL)
        auth_pool_stop(e->auth);
    if (e->house != NULL) {
        if (e->health != NULL)
            health_follow(e, NULL);
        worker_stop(e->house);
        worker_join(e->house);
    }
    for (unsigned i = 0; e->slots != NULL && i < e->workers; i++) {
        if (e->slots[i].worker != NULL)
            worker_stop(e->slots[i].worker);
    }
    for (unsigned i = 0; e->slots != NULL && i < e->workers; i++) {
        if (e->slots[i].worker != NULL)
            worker_join(e->slots[i].worker);
    }
    guard_free(e->guard);
    if (e->snapshot != NULL)
        snapshot_release(e->snapshot);
    if (e->listeners != NULL)
        listen_set_free(e->listeners);
    tls_tickets_free(e->tickets);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->answered);
    free(e->slots);
    free(e);
}
