/*
 * Servers of directories: which answer, which have failed and why, who waits.
 */
#include <postern/log.h>

#include "status_int.h"

struct server_list {
    FILE *to;
    bool colour;
    unsigned n;
};

/* ---- for people ---- */

static void table_state(const struct server_list *l, const struct verifier_server *s)
{
    char since[24], text[32];
    bool unknown = !s->failed && s->answers == 0;

    if (s->failed)
        snprintf(text, sizeof(text), "failed %s", status_span(s->failed_for_ms, since));
    else
        snprintf(text, sizeof(text), "%s", unknown ? "not asked" : "answers");
    fputc(' ', l->to);
    status_shaded(l->to, l->colour, s->failed ? BAD : unknown ? DOUBTFUL : GOOD, text);
    fprintf(l->to, "%*s", 12 - (int)strlen(text), "");
}

static void table_fault(const struct server_list *l, const struct verifier_server *s)
{
    char age[24];

    if (s->fault == AUTH_DETAIL_NONE)
        return;
    fprintf(l->to, " %s, %s ago: ", auth_detail_name(s->fault), status_span(s->fault_age_ms, age));
    status_printable(l->to, str_of(s->why), 0);
}

static void table_one(void *ctx, const struct verifier_server *s)
{
    struct server_list *l = ctx;

    if (l->n++ == 0)
        fprintf(l->to, "\n%-20s %-36s %-12s %6s %6s %7s %8s %8s %s\n", "DIRECTORY", "SERVER", "STATE", "OPEN",
                "IDLE", "WAITING", "ANSWERS", "FAILURES", "LATEST FAILURE");
    fprintf(l->to, "%-20.*s %-36.*s", STR_ARG(s->directory), STR_ARG(s->server));
    table_state(l, s);
    fprintf(l->to, " %6u %6u %7u %8llu %8llu", s->open, s->idle, s->asking, (unsigned long long)s->answers,
            (unsigned long long)s->failures);
    table_fault(l, s);
    fputc('\n', l->to);
}

void status_directories_table(struct engine *e, bool colour, FILE *to)
{
    struct server_list l = {to, colour, 0};
    struct metrics m;

    engine_directories(e, table_one, &l);
    engine_metrics(e, &m);
    fprintf(to, "\ndirectories are asked about %llu passwords now, and %llu wait for a thread\n",
            (unsigned long long)m.v[METRIC_AUTH_RUNNING], (unsigned long long)m.v[METRIC_AUTH_WAITING]);
}

/* ---- for programs ---- */

static void json_one(void *ctx, const struct verifier_server *s)
{
    struct server_list *l = ctx;

    fprintf(l->to, "%s{\"directory\":", l->n++ > 0 ? "," : "");
    json_string(s->directory, l->to);
    fputs(",\"server\":", l->to);
    json_string(s->server, l->to);
    fprintf(l->to,
            ",\"failed\":%s,\"failed_for_s\":%llu,\"open\":%u,\"idle\":%u,\"waiting\":%u,\"answers\":%llu,"
            "\"failures\":%llu",
            s->failed ? "true" : "false", (unsigned long long)s->failed_for_ms / 1000, s->open, s->idle,
            s->asking, (unsigned long long)s->answers, (unsigned long long)s->failures);
    if (s->fault != AUTH_DETAIL_NONE) {
        fprintf(l->to, ",\"fault\":\"%s\",\"fault_age_s\":%llu,\"fault_text\":", auth_detail_name(s->fault),
                (unsigned long long)s->fault_age_ms / 1000);
        json_string(str_of(s->why), l->to);
    }
    fputc('}', l->to);
}

void status_directories_json(struct engine *e, FILE *to)
{
    struct server_list l = {to, false, 0};

    fputs("\"directories\":[", to);
    engine_directories(e, json_one, &l);
    fputc(']', to);
}
