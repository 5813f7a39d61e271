#include <math.h>
#include <time.h>
#include "report.h"

void report_string(const char *text, FILE *to)
{
    fputc('"', to);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == '"' || *p == '\\' || *p == '<')
            fprintf(to, "\\u%04x", *p);
        else
            fputc(*p, to);
    fputc('"', to);
}

static void member(const char *name, const char *text, FILE *to)
{
    fprintf(to, "\"%s\": ", name);
    report_string(text, to);
}

static void put_histogram(const char *name, const struct histogram *h, FILE *to)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50", .5},  {"p75", .75},    {"p90", .9},      {"p95", .95},
                  {"p99", .99}, {"p99_9", .999}, {"p99_99", .9999}};
    fprintf(to, "\"%s\": {\"min\": %.1f, \"mean\": %.1f", name, (double)h->min / 1e3,
            histogram_mean(h) / 1e3);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        fprintf(to, ", \"%s\": %.1f", points[i].name, (double)histogram_at(h, points[i].share) / 1e3);
    fprintf(to, ", \"max\": %.1f}", (double)h->max / 1e3);
}

struct buckets {
    FILE *to;
    bool more;
};

static void put_bucket(uint64_t upper, uint64_t count, void *arg)
{
    struct buckets *b = arg;
    fprintf(b->to, "%s[%.1f, %llu]", b->more ? ", " : "", (double)upper / 1e3, (unsigned long long)count);
    b->more = true;
}

static void put_op(const struct run *r, unsigned i, FILE *to)
{
    const struct op_stats *o = &r->total.ops[i];
    const struct entry *e = run_op_entry(r->scenario, i);
    bool more = false;
    fprintf(to, "%s    {", i ? ",\n" : "");
    member("entry", e->label, to);
    fputs(", ", to);
    member("operation", e->kind->ops[i - e->first_op], to);
    fprintf(
        to,
        ", \"done\": %llu, \"per_second\": %.2f, \"bytes_in\": %llu, \"bytes_out\": %llu, \"held\": %s,\n     ",
        (unsigned long long)o->done, (double)o->done / r->measured_s, (unsigned long long)o->bytes_in,
        (unsigned long long)o->bytes_out, o->held ? "true" : "false");
    put_histogram("latency_us", &o->latency, to);
    fputs(",\n     ", to);
    put_histogram("service_us", &o->service, to);
    fputs(",\n     \"errors\": {", to);
    for (unsigned f = 1; f < FAULT_COUNT; f++)
        if (o->faults[f]) {
            fprintf(to, "%s\"%s\": %llu", more ? ", " : "", fault_name(f), (unsigned long long)o->faults[f]);
            more = true;
        }
    fputs("}, \"statuses\": {", to);
    more = false;
    for (unsigned k = 0; k < STATUSES; k++)
        if (o->statuses[k]) {
            fprintf(to, "%s\"%u\": %u", more ? ", " : "", k, o->statuses[k]);
            more = true;
        }
    fputs("},\n     \"distribution\": [", to);
    histogram_each(&o->latency, put_bucket, &(struct buckets){to, false});
    fputs("]}", to);
}

static void put_process(const struct run *r, unsigned i, FILE *to)
{
    const struct cost *c = &r->costs[i];
    fprintf(to, "%s    {", i ? ",\n" : "");
    member("name", r->groups[i].name, to);
    fprintf(to, ", \"pid\": %d, \"processes\": %u, \"threads\": %u, \"cpu_s\": %.4f, \"cores\": %.4f",
            (int)r->groups[i].root, r->groups[i].n, procs_threads(&r->groups[i]), c->cpu_s,
            c->cpu_s / r->measured_s);
    if (i < r->group_n)
        fprintf(to, ", \"pss_kb\": {\"before\": %.0f, \"held\": %.0f, \"after\": %.0f}", c->before, c->held,
                c->after);
    fputc('}', to);
}

static void put_row_op(const struct row_op *o, FILE *to)
{
    fprintf(to, "[%llu, %llu, %.0f, %.0f, %.0f, %.0f, %.0f]", (unsigned long long)o->done,
            (unsigned long long)o->faults, (double)o->p50, (double)o->p90, (double)o->p99, (double)o->p999,
            (double)o->max);
}

static void put_row(const struct run *r, const struct row *row, bool first, FILE *to)
{
    fprintf(
        to,
        "%s    {\"at\": %.2f, \"length\": %.3f, \"measured\": %s, \"open\": %llu, \"waiting\": %llu, \"all\": ",
        first ? "" : ",\n", row->at, row->length, row->measured ? "true" : "false",
        (unsigned long long)row->open, (unsigned long long)row->waiting);
    put_row_op(&row->all, to);
    fputs(", \"ops\": [", to);
    for (unsigned i = 0; i < r->scenario->op_n; i++) {
        fputs(i ? ", " : "", to);
        put_row_op(&row->ops[i], to);
    }
    fputs("], \"cores\": [", to);
    for (unsigned i = 0; i <= r->group_n; i++)
        fprintf(to, "%s%.3f", i ? ", " : "", (double)row->cpu[i]);
    fputs("], \"rss_kb\": [", to);
    for (unsigned i = 0; i < r->group_n; i++)
        fprintf(to, "%s%.0f", i ? ", " : "", (double)row->memory_kb[i]);
    fputs("]}", to);
}

static void put_head(const struct run *r, FILE *to)
{
    const struct scenario *s = r->scenario;
    char when[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (gmtime_r(&now, &tm))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    fputs("{", to);
    member("scenario", s->name, to);
    fputs(", ", to);
    member("target", s->address, to);
    fputs(", ", to);
    member("host", s->host, to);
    fprintf(to, ", \"tls\": %s, \"finished\": \"%s\", \"threads\": %llu,\n", s->https ? "true" : "false",
            when, (unsigned long long)s->threads);
    fprintf(
        to,
        "  \"ramp_up_s\": %.3f, \"warm_up_s\": %.3f, \"duration_s\": %.3f, \"measured_s\": %.6f, \"interrupted\": %s,\n",
        (double)s->ramp_up / 1e3, (double)s->warm_up / 1e3, (double)s->duration / 1e3, r->measured_s,
        r->interrupted ? "true" : "false");
    fprintf(to, "  \"connections\": {\"opened\": %llu, \"resumed\": %llu, \"held\": %llu},\n",
            (unsigned long long)r->total.opened, (unsigned long long)r->total.resumed,
            (unsigned long long)r->open_held);
    fprintf(to, "  \"open_loop\": {\"waiting\": %llu, \"generator_late_us\": %.1f},\n",
            (unsigned long long)r->total.waiting, (double)r->total.late_max / 1e3);
}

static void put_doubt(const char *text, void *arg)
{
    struct buckets *b = arg;
    fputs(b->more ? ", " : "", b->to);
    report_string(text, b->to);
    b->more = true;
}

static void put_mix(const struct scenario *s, FILE *to)
{
    fputs("  \"mix\": [", to);
    for (size_t i = 0; i < s->entry_n; i++) {
        const struct entry *e = &s->entries[i];
        fputs(i ? ", {" : "{", to);
        member("label", e->label, to);
        fputs(", ", to);
        member("kind", e->kind->name, to);
        fprintf(to, ", \"clients\": %llu, \"rate\": %.3f}", (unsigned long long)e->clients, e->rate);
    }
    fputs("],\n  \"reasons\": {", to);
    for (unsigned f = 1; f < FAULT_COUNT; f++) {
        fputs(f > 1 ? ", " : "", to);
        member(fault_name(f), fault_text(f), to);
    }
    fputs("},\n", to);
}

void report_json(const struct run *r, FILE *to)
{
    put_head(r, to);
    put_mix(r->scenario, to);
    fputs("  \"doubts\": [", to);
    report_doubts(r, put_doubt, &(struct buckets){to, false});
    fputs("],\n", to);
    fputs("  \"operations\": [\n", to);
    for (unsigned i = 0; i < r->scenario->op_n; i++)
        put_op(r, i, to);
    fputs("\n  ],\n  \"processes\": [\n", to);
    for (unsigned i = 0; i <= r->group_n; i++)
        put_process(r, i, to);
    fputs("\n  ],\n  \"rows\": [\n", to);
    for (size_t i = 0; i < r->row_n; i++)
        put_row(r, &r->rows[i], i == 0, to);
    fputs("\n  ]}\n", to);
}
