#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)
#define ROWS_MAX 7200

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    stop_asked++;
}

/* --- names --- */

const struct entry *run_op_entry(const struct scenario *s, unsigned op)
{
    size_t e = s->entry_n - 1;
    while (e > 0 && s->entries[e].first_op > op)
        e--;
    return &s->entries[e];
}

void run_op_name(const struct scenario *s, unsigned op, char *to, size_t size)
{
    const struct entry *e = run_op_entry(s, op);
    snprintf(to, size, "%s: %s", e->label, e->kind->ops[op - e->first_op]);
}

double run_left(const struct run *r)
{
    const struct scenario *s = r->scenario;
    double whole = (double)(s->ramp_up + s->warm_up + s->duration) / 1e3;
    double left = whole - (double)(uv_hrtime() - r->began) / 1e9;
    return left > 0 ? left : 0;
}

/* --- rows --- */

static struct row *new_row(struct run *r)
{
    if (r->row_n == r->row_cap) {
        size_t cap = r->row_cap ? 2 * r->row_cap : 64;
        struct row *more = realloc(r->rows, cap * sizeof *more);
        if (!more)
            return NULL;
        r->rows = more;
        r->row_cap = cap;
    }
    struct row *row = &r->rows[r->row_n];
    *row = (struct row){.ops = calloc(r->scenario->op_n, sizeof *row->ops)};
    if (!row->ops)
        return NULL;
    r->row_n++;
    return row;
}

static void fill_op(struct row_op *to, const struct second_op *from)
{
    to->done = from->done;
    to->faults = from->faults;
    to->p50 = (float)((double)histogram_at(&from->latency, 0.5) / 1e3);
    to->p90 = (float)((double)histogram_at(&from->latency, 0.9) / 1e3);
    to->p99 = (float)((double)histogram_at(&from->latency, 0.99) / 1e3);
    to->p999 = (float)((double)histogram_at(&from->latency, 0.999) / 1e3);
    to->max = (float)((double)from->latency.max / 1e3);
}

/* Connections are not an answer anyone waits for: they are left out of the sum, their errors are not. */
static void fill_ops(struct run *r, struct row *row)
{
    const struct scenario *s = r->scenario;
    struct second_op *all = calloc(1, sizeof *all);
    const struct row *before = row > r->rows ? row - 1 : NULL;
    for (unsigned i = 0; i < s->op_n; i++) {
        const struct second_op *op = &r->second.ops[i];
        fill_op(&row->ops[i], op);
        row->ops[i].done_so_far = op->done + (before ? before->ops[i].done_so_far : 0);
        row->ops[i].faults_so_far = op->faults + (before ? before->ops[i].faults_so_far : 0);
        if (all)
            all->faults += op->faults;
        if (!all || i == run_op_entry(s, i)->first_op)
            continue;
        all->done += op->done;
        histogram_merge(&all->latency, &op->latency);
    }
    if (all)
        fill_op(&row->all, all);
    free(all);
}

static void fill_costs(struct run *r, struct row *row)
{
    for (unsigned i = 0; i <= r->group_n; i++) {
        double cpu = procs_cpu(&r->groups[i]);
        row->cpu[i] = row->length > 0 ? (float)((cpu - r->costs[i].last_cpu) / row->length) : 0;
        r->costs[i].last_cpu = cpu;
        if (i < r->group_n)
            row->memory_kb[i] = (float)procs_resident_kb(&r->groups[i]);
    }
}

static void take_row(struct run *r)
{
    const struct scenario *s = r->scenario;
    second_ask(&r->second, (unsigned)s->threads);
    for (uint64_t i = 0; i < s->threads; i++)
        thread_wake(&r->threads[i]);
    second_wait(&r->second);
    struct row *row = new_row(r);
    if (!row)
        return;
    row->at = (double)(uv_hrtime() - r->began) / 1e9;
    row->length = r->row_n > 1 ? row->at - r->rows[r->row_n - 2].at : row->at;
    row->measured = atomic_load(&r->phase) == PHASE_MEASURE;
    row->open = r->second.open;
    row->waiting = r->second.waiting;
    fill_ops(r, row);
    fill_costs(r, row);
    if (r->on_row)
        r->on_row(r, row);
}

/* --- phases --- */

static void sleep_until(uint64_t ns)
{
    struct timespec at = {(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)};
    while (!stop_asked && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

/* A second, or what gives a run of hours no more than ROWS_MAX rows. */
static uint64_t row_length(const struct scenario *s)
{
    uint64_t least = (s->ramp_up + s->warm_up + s->duration) * 1000000 / ROWS_MAX;
    return least > SECOND_NS ? least : SECOND_NS;
}

/* Until `end`, with a row each second; the last row takes what is left. */
static void spend(struct run *r, uint64_t end, bool rows)
{
    uint64_t length = row_length(r->scenario), next = uv_hrtime() + length;
    while (!stop_asked && uv_hrtime() < end) {
        bool last = next + length / 2 > end;
        sleep_until(last ? end : next);
        if (rows && !last)
            take_row(r);
        next += length;
    }
}

static void set_phase(struct run *r, enum phase phase)
{
    atomic_store(&r->phase, phase);
    for (uint64_t i = 0; i < r->scenario->threads; i++)
        thread_wake(&r->threads[i]);
}

static void measure_begin(struct run *r)
{
    for (unsigned i = 0; i <= r->group_n; i++)
        procs_refresh(&r->groups[i]);
    for (unsigned i = 0; i <= r->group_n; i++)
        r->costs[i].cpu_from = r->costs[i].last_cpu = procs_cpu(&r->groups[i]);
    r->measured_from = uv_hrtime();
    set_phase(r, PHASE_MEASURE);
}

static void measure_end(struct run *r)
{
    r->measured_s = (double)(uv_hrtime() - r->measured_from) / 1e9;
    for (unsigned i = 0; i <= r->group_n; i++)
        r->costs[i].cpu_s = procs_cpu(&r->groups[i]) - r->costs[i].cpu_from;
    set_phase(r, PHASE_HOLD);
}

static void memory(struct run *r, size_t offset)
{
    for (unsigned i = 0; i < r->group_n; i++) {
        procs_refresh(&r->groups[i]);
        *(double *)((char *)&r->costs[i] + offset) = procs_pss_kb(&r->groups[i]);
    }
}

static void all_phases(struct run *r)
{
    const struct scenario *s = r->scenario;
    r->began = uv_hrtime();
    spend(r, r->began + (s->ramp_up + s->warm_up) * 1000000, true);
    if (s->ramp_up + s->warm_up)
        take_row(r);
    measure_begin(r);
    spend(r, r->measured_from + s->duration * 1000000, true);
    take_row(r);
    measure_end(r);
    r->open_held = r->row_n ? r->rows[r->row_n - 1].open : 0;
    memory(r, offsetof(struct cost, held));
    set_phase(r, PHASE_CLOSE);
    r->interrupted = stop_asked > 0;
    if (s->settle && !stop_asked) {
        spend(r, uv_hrtime() + s->settle * 1000000, false);
        memory(r, offsetof(struct cost, after));
    }
    set_phase(r, PHASE_STOP);
}

/* --- set up --- */

static void prepare_process(void)
{
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    struct rlimit files;
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static bool make_threads(struct run *r)
{
    const struct scenario *s = r->scenario;
    r->threads = calloc(s->threads, sizeof *r->threads);
    if (!r->threads || !second_init(&r->second, s->op_n) || !stats_init(&r->total, s->op_n, NULL))
        return false;
    for (uint64_t i = 0; i < s->threads; i++)
        if (!thread_init(&r->threads[i], (unsigned)i, s, &r->phase, &r->second))
            return false;
    return true;
}

bool run_scenario(struct run *r)
{
    const struct scenario *s = r->scenario;
    prepare_process();
    pattern_fill();
    r->groups[r->group_n] = (struct proc_group){.name = "load", .root = getpid()};
    memory(r, offsetof(struct cost, before));
    procs_refresh(&r->groups[r->group_n]);
    if (!make_threads(r)) {
        fprintf(stderr, "postern-load: no memory or no descriptors left\n");
        return false;
    }
    for (uint64_t i = 0; i < s->threads; i++)
        if (!thread_start(&r->threads[i])) {
            fprintf(stderr, "postern-load: no thread: %s\n", strerror(errno));
            exit(1);
        }
    all_phases(r);
    for (uint64_t i = 0; i < s->threads; i++) {
        thread_join(&r->threads[i]);
        stats_merge(&r->total, &r->threads[i].stats);
    }
    return true;
}

void run_free(struct run *r)
{
    for (uint64_t i = 0; r->threads && i < r->scenario->threads; i++)
        thread_free(&r->threads[i]);
    free(r->threads);
    for (size_t i = 0; i < r->row_n; i++)
        free(r->rows[i].ops);
    free(r->rows);
    stats_free(&r->total);
    second_free(&r->second);
}
