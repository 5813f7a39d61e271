/*
 * `postern run`: from the command line to the last closed connection.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <postern/resolve.h>
#include <postern/tls.h>

#include "command.h"
#include "notify.h"
#include "process.h"
#include "run_int.h"

#define MINUTE_MS 60000
#define DIRECTORIES_MS 500 /* for checks that run when the last client has gone */

static void handle_close(uv_handle_t *h, void *arg)
{
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void run_drained(void *ctx)
{
    struct run *r = ctx;

    if (r->admin != NULL)
        admin_stop(r->admin);
    r->admin = NULL;
    for (unsigned i = 0; i < r->signals_n; i++)
        handle_close((uv_handle_t *)&r->signals[i], NULL);
    handle_close((uv_handle_t *)&r->watchdog, NULL);
    handle_close((uv_handle_t *)&r->minute, NULL);
}

static void run_stop(void *ctx)
{
    struct run *r = ctx;
    struct snapshot *s;

    if (r->draining)
        return;
    r->draining = true;
    s = engine_snapshot(r->engine);
    log_event(LOG_EV_STOPPING, LF_U64("deadline_ms", s->process.drain_timeout));
    notify_stopping();
    if (r->admin != NULL)
        admin_draining(r->admin);
    engine_drain(r->engine, &r->loop, s->process.drain_timeout, run_drained, r);
    snapshot_release(s);
}

/* The second signal means now: the kernel closes what is open. */
static void on_stop(uv_signal_t *h, int number)
{
    struct run *r = h->data;

    if (!r->draining) {
        run_stop(r);
        return;
    }
    log_event(LOG_EV_STOPPED, LF_STR("how", STR("at once, at the second signal")));
    log_stop();
    _exit(1);
}

static int reload_quietly(void *ctx, struct conf_findings *f)
{
    return run_reload(ctx, f);
}

static void on_reload(uv_signal_t *h, int number)
{
    struct conf_findings *f = conf_findings_new();

    if (f != NULL)
        (void)run_reload(h->data, f);
    conf_findings_free(f);
}

static void on_reopen(uv_signal_t *h, int number)
{
    struct run *r = h->data;
    struct snapshot *s = engine_snapshot(r->engine);
    char error[256] = "";

    if (run_reopen_logs(s, error, sizeof(error)) < 0)
        log_event(LOG_EV_CONFIG_FINDING, LF_STR("text", str_of(error)));
    snapshot_release(s);
}

static void signal_on(struct run *r, int number, uv_signal_cb cb)
{
    uv_signal_t *h = &r->signals[r->signals_n++];

    uv_signal_init(&r->loop, h);
    h->data = r;
    uv_signal_start(h, cb, number);
}

static void on_watchdog(uv_timer_t *t)
{
    notify_alive();
}

static void on_minute(uv_timer_t *t)
{
    struct run *r = t->data;

    engine_tick(r->engine);
}

static void run_watch(struct run *r)
{
    uint64_t every = notify_interval();

    signal_on(r, SIGTERM, on_stop);
    signal_on(r, SIGINT, on_stop);
    signal_on(r, SIGHUP, on_reload);
    signal_on(r, SIGUSR1, on_reopen);
    process_hear_signals();
    uv_timer_init(&r->loop, &r->minute);
    r->minute.data = r;
    uv_timer_start(&r->minute, on_minute, MINUTE_MS, MINUTE_MS);
    uv_timer_init(&r->loop, &r->watchdog);
    if (every > 0)
        uv_timer_start(&r->watchdog, on_watchdog, every, every);
}

/* ---- start ---- */

static int run_logs(const struct snapshot *s, struct conf_findings *f)
{
    struct log_options o = log_options_of(s);
    char error[256] = "";

    log_header_of(s);
    if (log_start(&o, error, sizeof(error)) == 0)
        return 0;
    conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "cannot open the log: %s", error);
    return -1;
}

static unsigned workers_wanted(const struct snapshot *s)
{
    long n = s->process.workers > 0 ? (long)s->process.workers : sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

static void finding_of_reload(void *ctx, enum conf_severity s, struct conf_mark where, const char *text)
{
    if (s == CONF_ERROR)
        conf_finding_add(ctx, CONF_WARNING, where, "a reload would be refused: %s", text);
}

/* Files that only root may read were read; whoever we have become may not, and would learn it at a reload in the night. */
static void run_foresee_reload(const char *path, struct conf_findings *f)
{
    struct conf_findings *then = conf_findings_new();
    struct snapshot *s = then != NULL ? conf_load(path, then) : NULL;

    if (s != NULL)
        snapshot_release(s);
    else if (then != NULL)
        conf_findings_each(then, finding_of_reload, f);
    conf_findings_free(then);
}

static int run_start(struct run *r, struct snapshot *s, struct conf_findings *f)
{
    struct admin_calls calls = {.reload = reload_quietly, .stop = run_stop, .ctx = r};

    r->listeners = listen_set_update(NULL, s, workers_wanted(s), f);
    if (r->listeners == NULL)
        return -1;
    if (process_drop_privileges(&s->process, f) < 0 || run_logs(s, f) < 0)
        return -1;
    if (s->process.user.n > 0)
        run_foresee_reload(r->path, f);
    r->engine = engine_start(s, r->listeners, f);
    if (r->engine == NULL)
        return -1;
    r->admin = admin_start(&r->loop, r->engine, &calls, &s->process, f);
    return r->admin != NULL ? 0 : -1;
}

/* A directory that hangs must not hold the stop up: its thread cannot be ended, so the process ends around it. */
static void run_leave_directories(struct run *r)
{
    unsigned hang = engine_quiesce(r->engine, DIRECTORIES_MS);

    if (hang == 0)
        return;
    engine_abandon(r->engine);
    log_event(LOG_EV_DIRECTORY_HANGS, LF_U64("checks", hang));
    log_event(LOG_EV_STOPPED, LF_U64("pid", getpid()));
    log_stop();
    _exit(0);
}

static void name_hangs(void *ctx, const char *host)
{
    log_event(LOG_EV_NAME_HANGS, LF_STR("name", str_of(host)));
}

static void run_serve(struct run *r, const struct snapshot *s)
{
    run_watch(r);
    log_event(LOG_EV_CONFIG_LOADED, LF_STR("file", str_of(r->path)), LF_U64("generation", s->generation));
    process_log_capacity(engine_capacity(r->engine));
    log_event(LOG_EV_STARTED, LF_U64("pid", getpid()), LF_U64("workers", engine_workers(r->engine)));
    notify_ready();
    uv_run(&r->loop, UV_RUN_DEFAULT);
    run_leave_directories(r);
    engine_free(r->engine);
    r->names_hang = resolve_hanging(name_hangs, NULL) > 0;
    log_event(LOG_EV_STOPPED, LF_U64("pid", getpid()));
    log_stop();
    uv_loop_close(&r->loop);
}

/* Ends a start that failed. With workers that run already, the process ends without them. */
static int run_abandon(struct run *r, struct snapshot *s)
{
    fprintf(stderr, "postern: not started: correct %s, then `postern check -c %s`\n", r->path, r->path);
    log_stop();
    if (r->engine != NULL)
        _exit(1);
    if (r->listeners != NULL)
        listen_set_free(r->listeners);
    if (s != NULL)
        snapshot_release(s);
    uv_loop_close(&r->loop);
    return 1;
}

int command_run(int argc, char **argv)
{
    struct run r = {0};
    struct conf_findings *f;
    struct snapshot *s;
    int started = -1;

    if (command_options(argc, argv, NULL, &r.path, NULL) < 0)
        return 2;
    f = conf_findings_new();
    if (f == NULL || uv_loop_init(&r.loop) < 0)
        return 1;
    process_prepare();
    tls_process_init();
    s = load_checked(r.path, f);
    if (s != NULL)
        started = run_start(&r, s, f);
    conf_findings_print(f, stderr);
    conf_findings_free(f);
    if (started < 0)
        return run_abandon(&r, s);
    run_serve(&r, s);
    snapshot_release(s);
    if (r.names_hang)
        _exit(0); /* exit() would wait for libuv's threads */
    return 0;
}
