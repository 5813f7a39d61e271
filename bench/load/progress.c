#include "progress.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "report.h"

#define NARROWEST 60
#define NAME_WIDTH 26

static unsigned lines_up; /* lines of the view that stand on the screen */

static const char *phase_name(const struct run *r, const struct row *row)
{
    double since = row->at * 1e3;
    if (row->measured)
        return "measuring";
    return since <= (double)r->scenario->ramp_up + 50 ? "ramping up" : "warming up";
}

static uint64_t all_faults(const struct run *r, const struct row *row)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < r->scenario->op_n; i++)
        n += row->ops[i].faults_so_far;
    return n;
}

static void plain_line(struct run *r, const struct row *row)
{
    char p50[16], p99[16];
    fprintf(stderr, "%6.1f s  %-10s  %9.0f/s  p50 %8s  p99 %8s  errors %llu  open %llu  %.0f s left\n",
            row->at, phase_name(r, row), (double)row->all.done / row->length,
            report_time((uint64_t)(row->all.p50 * 1e3f), p50),
            report_time((uint64_t)(row->all.p99 * 1e3f), p99), (unsigned long long)all_faults(r, row),
            (unsigned long long)row->open, run_left(r));
}

/* --- the screen --- */

struct screen {
    FILE *to;
    unsigned width, height, used; /* lines */
};

static struct screen size_of_terminal(void)
{
    struct winsize w;
    struct screen s = {.width = 80, .height = 24};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= NARROWEST && w.ws_row >= 8)
        s = (struct screen){.width = w.ws_col, .height = w.ws_row};
    return s;
}

/* One line, cut at the screen's edge: a line that wraps would be two. */
static void __attribute__((format(printf, 3, 4))) put(struct screen *s, bool alarm, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (s->width <= sizeof line)
        line[s->width - 1] = 0;
    fprintf(s->to, alarm && !getenv("NO_COLOR") ? "\033[31m%s\033[0m\n" : "%s\n", line);
    s->used++;
}

/* A share of the work as a bar. */
static void bar(double share, char to[25])
{
    unsigned full = share <= 0 ? 0 : share >= 1 ? 24 : (unsigned)(share * 24);
    memset(to, '.', 24);
    memset(to, '#', full);
    to[24] = 0;
}

static bool is_seen(const struct row_op *o)
{
    return o->done_so_far || o->faults_so_far;
}

static void put_op(struct screen *s, const struct run *r, const struct row *row, unsigned i)
{
    const struct row_op *o = &row->ops[i];
    char name[128], p50[16], p99[16], max[16];
    uint64_t faults = o->faults_so_far;
    run_op_name(r->scenario, i, name, sizeof name);
    put(s, faults > 0, "  %-*.*s %9.0f/s %9s %9s %9s %8llu", NAME_WIDTH, NAME_WIDTH, name,
        (double)o->done / row->length, report_time((uint64_t)(o->p50 * 1e3f), p50),
        report_time((uint64_t)(o->p99 * 1e3f), p99), report_time((uint64_t)(o->max * 1e3f), max),
        (unsigned long long)faults);
}

/* As many as there is room for, with errors or not; the table at the end has all. */
static void put_ops(struct screen *s, struct run *r, const struct row *row)
{
    unsigned seen = 0, room = s->height - s->used - (r->group_n + 1) - 2, shown = 0;
    for (unsigned i = 0; i < r->scenario->op_n; i++)
        seen += is_seen(&row->ops[i]);
    if (s->height < s->used + r->group_n + 4)
        room = 1;
    for (unsigned i = 0; i < r->scenario->op_n; i++)
        if (is_seen(&row->ops[i]) && shown < room) {
            put_op(s, r, row, i);
            shown++;
        }
    if (seen > shown)
        put(s, false, "  and %u more", seen - shown);
}

static void put_costs(struct screen *s, const struct run *r, const struct row *row)
{
    for (unsigned i = 0; i <= r->group_n; i++)
        if (i < r->group_n)
            put(s, false, "  %-*.*s %7.2f cores %8.1f MB", NAME_WIDTH, NAME_WIDTH, r->groups[i].name,
                (double)row->cpu[i], (double)row->memory_kb[i] / 1024);
        else
            put(s, false, "  %-*.*s %7.2f of %llu cores", NAME_WIDTH, NAME_WIDTH, "the load generator",
                (double)row->cpu[i], (unsigned long long)r->scenario->threads);
}

static void put_view(struct screen *s, struct run *r, const struct row *row)
{
    const struct scenario *sc = r->scenario;
    double whole = (double)(sc->ramp_up + sc->warm_up + sc->duration) / 1e3, left = run_left(r);
    const char *slash = strrchr(sc->name, '/');
    unsigned long long faults = all_faults(r, row);
    char done[25];
    bar(1 - left / whole, done);
    put(s, false, "%-.24s  %s  [%s]  %u:%02u left", slash ? slash + 1 : sc->name, phase_name(r, row), done,
        (unsigned)left / 60, (unsigned)left % 60);
    put(s, faults > 0, "  %.0f answers/s, %llu errors, %llu connections%s",
        (double)row->all.done / row->length, faults, (unsigned long long)row->open,
        row->waiting ? "; behind its schedule" : "");
    put(s, false, "  %-*s %11s %9s %9s %9s %8s", NAME_WIDTH, "", "rate", "p50", "p99", "max", "errors");
    put_ops(s, r, row);
    put_costs(s, r, row);
}

/* Composed whole and written at once, so that nothing flickers. */
static void screen(struct run *r, const struct row *row)
{
    char *text = NULL;
    size_t n = 0;
    struct screen s = size_of_terminal();
    s.to = open_memstream(&text, &n);
    if (!s.to)
        return;
    if (lines_up)
        fprintf(s.to, "\033[%uA\r\033[J", lines_up);
    put_view(&s, r, row);
    lines_up = s.used;
    if (fclose(s.to) == 0)
        fwrite(text, 1, n, stderr);
    free(text);
}

void progress_row(struct run *r, const struct row *row)
{
    if (isatty(STDERR_FILENO))
        screen(r, row);
    else
        plain_line(r, row);
}

void progress_end(void)
{
    lines_up = 0;
}
