/*
 * The table of `postern status`. It is written by the process that serves, so that the asking side needs
 * neither the configuration's secrets nor a parser.
 */
#include <postern/certificates.h>

#include "status_int.h"

void status_shaded(FILE *to, bool colour, enum shade s, const char *text)
{
    static const char *const code[] = {[GOOD] = "32", [DOUBTFUL] = "33", [BAD] = "31"};

    if (colour)
        fprintf(to, "\033[%sm%s\033[0m", code[s], text);
    else
        fputs(text, to);
}

static void table_head(const struct status_now *now, const struct snapshot *s, FILE *to)
{
    struct metrics m;

    engine_metrics(now->engine, &m);
    fprintf(to, "Postern %s, up %llud %02llu:%02llu:%02llu, configuration %.*s (generation %llu)\n",
            now->draining ? "is stopping" : "serves", (unsigned long long)now->uptime_s / 86400,
            (unsigned long long)now->uptime_s / 3600 % 24, (unsigned long long)now->uptime_s / 60 % 60,
            (unsigned long long)now->uptime_s % 60, STR_ARG(s->path), (unsigned long long)s->generation);
    fprintf(to, "workers %u, connections %llu of at most %u, requests in progress %llu\n",
            engine_workers(now->engine), (unsigned long long)m.v[METRIC_CONNECTIONS_OPEN],
            engine_capacity(now->engine), (unsigned long long)m.v[METRIC_REQUESTS_OPEN]);
}

static void table_listeners(const struct snapshot *s, FILE *to)
{
    fprintf(to, "\n%-32s %s\n", "LISTENER", "SERVES");
    for (size_t i = 0; i < s->listeners_n; i++) {
        const struct conf_listener *l = &s->listeners[i];
        for (size_t j = 0; j < l->addresses_n; j++)
            fprintf(to, "%-32.*s %s %s\n", STR_ARG(l->addresses[j].text),
                    l->certificates_n > 0 ? "TLS" : "plain HTTP",
                    l->certificates_n > 0 ? conf_tls_name(l->tls) : conf_plain_http_name(l->plain_http));
    }
}

static void table_certificates(const struct snapshot *s, bool colour, FILE *to)
{
    char days[32];

    fprintf(to, "\n%-20s %-10s %-12s %s\n", "CERTIFICATE", "DAYS LEFT", "KEY", "NAMES");
    for (size_t i = 0; i < s->certificates_n; i++) {
        struct certificate_facts c = {0};
        fprintf(to, "%-20.*s ", STR_ARG(s->certificates[i].name));
        if (certificates_facts(&s->certificates[i], &c) < 0) {
            status_shaded(to, colour, BAD, "cannot be read\n");
            continue;
        }
        snprintf(days, sizeof(days), "%-10d", c.days_left);
        status_shaded(to, colour, c.days_left < 7 ? BAD : c.days_left < 30 ? DOUBTFUL : GOOD, days);
        fprintf(to, " %-12s %s\n", c.key, c.names[0] != '\0' ? c.names : c.subject);
    }
}

struct table {
    FILE *to;
    bool colour;
};

static void table_server(void *ctx, const struct engine_server_status *s)
{
    const struct table *t = ctx;
    bool up = s->up && s->resolved;

    fprintf(t->to, "%-20.*s %-36.*s ", STR_ARG(s->backend), STR_ARG(s->server));
    status_shaded(t->to, t->colour,
                  !up                           ? BAD
                  : s->passive_down || s->drain ? DOUBTFUL
                                                : GOOD,
                  !s->resolved      ? "no address"
                  : !s->up          ? "down      "
                  : s->passive_down ? "avoided   "
                  : s->drain        ? "draining  "
                                    : "up        ");
    fprintf(t->to, " %6u %6u %10llu %8llu\n", s->open, s->idle, (unsigned long long)s->requests,
            (unsigned long long)s->failures);
}

void status_table(const struct status_now *now, bool colour, FILE *to)
{
    struct snapshot *s = engine_snapshot(now->engine);
    struct table t = {to, colour};

    table_head(now, s, to);
    table_listeners(s, to);
    table_certificates(s, colour, to);
    fprintf(to, "\n%-20s %-36s %-10s %6s %6s %10s %8s\n", "BACKEND", "SERVER", "STATE", "OPEN", "IDLE",
            "REQUESTS", "FAILURES");
    engine_servers(now->engine, table_server, &t);
    if (s->directories_n > 0)
        status_directories_table(now->engine, colour, to);
    snapshot_release(s);
}
