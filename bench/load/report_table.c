#include "report.h"

const char *report_time(uint64_t ns, char to[16])
{
    double us = (double)ns / 1e3;
    if (us < 1000)
        snprintf(to, 16, "%.0f us", us);
    else if (us < 1e6)
        snprintf(to, 16, "%.2f ms", us / 1e3);
    else
        snprintf(to, 16, "%.2f s", us / 1e6);
    return to;
}

static void put_fault(const struct op_stats *o, unsigned f, FILE *to)
{
    fprintf(to, "    %8llu x %s", (unsigned long long)o->faults[f], fault_text(f));
    const char *before = ": ";
    for (unsigned k = 0; f == FAULT_status && k < STATUSES; k++)
        if (o->statuses[k]) {
            fprintf(to, "%s%u (%u)", before, k, o->statuses[k]);
            before = ", ";
        }
    fputc('\n', to);
}

static void put_op(const struct run *r, unsigned i, FILE *to)
{
    const struct op_stats *o = &r->total.ops[i];
    const struct histogram *h = &o->latency;
    uint64_t errors = stats_errors(o);
    char name[128], p50[16], p99[16], p999[16], max[16];
    if (!o->done && !errors)
        return;
    run_op_name(r->scenario, i, name, sizeof name);
    fprintf(to, "%-28.28s %10llu %10.1f/s %10s %10s %10s %10s %8llu\n", name, (unsigned long long)o->done,
            (double)o->done / r->measured_s, report_time(histogram_at(h, .5), p50),
            report_time(histogram_at(h, .99), p99), report_time(histogram_at(h, .999), p999),
            report_time(h->max, max), (unsigned long long)errors);
    for (unsigned f = 1; f < FAULT_COUNT; f++)
        if (o->faults[f])
            put_fault(o, f, to);
}

static void put_bytes(const struct run *r, FILE *to)
{
    uint64_t in = 0, out = 0;
    for (unsigned i = 0; i < r->scenario->op_n; i++) {
        in += r->total.ops[i].bytes_in;
        out += r->total.ops[i].bytes_out;
    }
    fprintf(
        to,
        "received %.1f MB/s, sent %.1f MB/s; %llu connections opened, %llu resumed, %llu open at the end\n",
        (double)in / r->measured_s / 1e6, (double)out / r->measured_s / 1e6,
        (unsigned long long)r->total.opened, (unsigned long long)r->total.resumed,
        (unsigned long long)r->open_held);
}

static void put_costs(const struct run *r, FILE *to)
{
    for (unsigned i = 0; i <= r->group_n; i++) {
        const struct cost *c = &r->costs[i];
        fprintf(to, "%-10s CPU %.2f s (%.2f cores)", r->groups[i].name, c->cpu_s, c->cpu_s / r->measured_s);
        if (i < r->group_n)
            fprintf(to, "; memory %.1f MB before, %.1f MB at the end", c->before / 1024, c->held / 1024);
        if (i < r->group_n && r->scenario->settle)
            fprintf(to, ", %.1f MB when all was closed", c->after / 1024);
        fputc('\n', to);
    }
}

static void put_doubt(const char *text, void *to)
{
    fprintf(to, "note: %s\n", text);
}

void report_table(const struct run *r, FILE *to)
{
    fprintf(to, "%.2f s measured%s\n", r->measured_s, r->interrupted ? " (interrupted)" : "");
    fprintf(to, "%-28s %10s %12s %10s %10s %10s %10s %8s\n", "operation", "done", "rate", "p50", "p99",
            "p99.9", "max", "errors");
    for (unsigned i = 0; i < r->scenario->op_n; i++)
        put_op(r, i, to);
    put_bytes(r, to);
    put_costs(r, to);
    report_doubts(r, put_doubt, to);
}
