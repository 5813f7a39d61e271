/*
 * Accounts and addresses that are locked or fail: who, from where, why, since when.
 */
#include <postern/guard.h>
#include <postern/log.h>

#include "status_int.h"

struct account_list {
    FILE *to;
    bool json;
    unsigned n;
};

const char *status_span(uint64_t ms, char out[24])
{
    uint64_t s = ms / 1000;

    if (s < 120)
        snprintf(out, 24, "%llus", (unsigned long long)s);
    else if (s < 7200)
        snprintf(out, 24, "%llum", (unsigned long long)s / 60);
    else if (s < 172800)
        snprintf(out, 24, "%lluh", (unsigned long long)s / 3600);
    else
        snprintf(out, 24, "%llud", (unsigned long long)s / 86400);
    return out;
}

static void field(FILE *to, const char *name, struct str value)
{
    fprintf(to, ",\"%s\":", name);
    json_string(value, to);
}

void status_printable(FILE *to, struct str s, int width)
{
    char text[512];
    size_t n = log_json_escape(s, text, sizeof(text));

    fprintf(to, "%-*.*s ", width, (int)n, text);
}

/* ---- accounts ---- */

static void account_json(struct account_list *l, const struct guard_account_status *a)
{
    fprintf(l->to, "%s{\"account\":", l->n > 0 ? "," : "");
    json_string(a->name, l->to);
    fprintf(l->to, ",\"locked\":%s,\"locked_for_s\":%llu,\"failures\":%u,\"repeats\":%llu,\"age_s\":%llu",
            a->locked ? "true" : "false", (unsigned long long)a->locked_for_ms / 1000, a->failures,
            (unsigned long long)a->repeats, (unsigned long long)a->age_ms / 1000);
    field(l->to, "detail", str_of(auth_detail_name(a->detail)));
    field(l->to, "source", a->source);
    field(l->to, "device", a->device);
    field(l->to, "service", a->service);
    fputc('}', l->to);
}

static void account_line(struct account_list *l, const struct guard_account_status *a)
{
    char locked[24] = "-", age[24];

    if (l->n == 0)
        fprintf(l->to, "%-28s %-7s %8s %8s %6s %-20s %-24s %-18s %s\n", "ACCOUNT", "LOCKED", "FAILURES",
                "REPEATS", "AGE", "REASON", "SOURCE", "SERVICE", "DEVICE");
    status_printable(l->to, a->name, 28);
    fprintf(l->to, "%-7s %8u %8llu %6s %-20s %-24.*s %-18.*s ",
            a->locked ? status_span(a->locked_for_ms, locked) : locked, a->failures,
            (unsigned long long)a->repeats, status_span(a->age_ms, age), auth_detail_name(a->detail),
            STR_ARG(a->source), STR_ARG(a->service));
    status_printable(l->to, a->device, 0);
    fputc('\n', l->to);
}

static void account_one(void *ctx, const struct guard_account_status *a)
{
    struct account_list *l = ctx;

    if (l->json)
        account_json(l, a);
    else
        account_line(l, a);
    l->n++;
}

/* ---- addresses ---- */

static void source_one(void *ctx, const struct guard_source_status *s)
{
    struct account_list *l = ctx;
    char locked[24] = "-", age[24];

    if (l->json) {
        fprintf(l->to, "%s{\"source\":", l->n > 0 ? "," : "");
        json_string(s->source, l->to);
        fprintf(
            l->to,
            ",\"locked\":%s,\"locked_for_s\":%llu,\"accounts\":%u,\"failures\":%u,\"signed_in\":%u,\"age_s\":%llu}",
            s->locked ? "true" : "false", (unsigned long long)s->locked_for_ms / 1000, s->accounts,
            s->failures, s->good, (unsigned long long)s->age_ms / 1000);
    } else {
        if (l->n == 0)
            fprintf(l->to, "\n%-28s %-7s %8s %8s %6s %s\n", "ADDRESS", "LOCKED", "ACCOUNTS", "FAILURES",
                    "AGE", "SIGNED IN");
        fprintf(l->to, "%-28.*s %-7s %8u %8u %6s %u\n", STR_ARG(s->source),
                s->locked ? status_span(s->locked_for_ms, locked) : locked, s->accounts, s->failures,
                status_span(s->age_ms, age), s->good);
    }
    l->n++;
}

void status_accounts(struct engine *e, struct str name, bool json, FILE *to)
{
    struct snapshot *s = engine_snapshot(e);
    struct account_list accounts = {to, json, 0}, sources = {to, json, 0};

    if (json)
        fputs("{\"accounts\":[", to);
    guard_accounts(engine_guard(e), s, name, account_one, &accounts);
    if (json)
        fputs("],\"sources\":[", to);
    if (name.n == 0)
        guard_sources(engine_guard(e), source_one, &sources);
    if (json)
        fputs("]}\n", to);
    else if (accounts.n + sources.n == 0)
        fputs(name.n > 0 ? "nothing is held against it\n" : "no account or address is locked or fails\n", to);
    snapshot_release(s);
}
