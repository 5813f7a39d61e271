#include <unistd.h>

#include <postern/certificates.h>
#include <postern/log.h>

#include "status_int.h"

void json_string(struct str s, FILE *to)
{
    char text[2048];
    size_t n = log_json_escape(s, text, sizeof(text));

    fprintf(to, "\"%.*s\"", (int)n, text);
}

static void json_listeners(const struct snapshot *s, FILE *to)
{
    const char *comma = "";

    fputs("\"listeners\":[", to);
    for (size_t i = 0; i < s->listeners_n; i++) {
        const struct conf_listener *l = &s->listeners[i];
        for (size_t j = 0; j < l->addresses_n; j++) {
            fprintf(to, "%s{\"address\":", comma);
            json_string(l->addresses[j].text, to);
            fprintf(to, ",\"serves\":\"%s\"}",
                    l->certificates_n > 0 ? conf_tls_name(l->tls) : conf_plain_http_name(l->plain_http));
            comma = ",";
        }
    }
    fputs("],", to);
}

static void json_certificates(const struct snapshot *s, FILE *to)
{
    const char *comma = "";

    fputs("\"certificates\":[", to);
    for (size_t i = 0; i < s->certificates_n; i++) {
        struct certificate_facts c = {0};
        fprintf(to, "%s{\"name\":", comma);
        json_string(s->certificates[i].name, to);
        if (certificates_facts(&s->certificates[i], &c) == 0) {
            fprintf(to, ",\"days_left\":%d,\"not_after\":%lld,\"key\":", c.days_left, (long long)c.not_after);
            json_string(str_of(c.key), to);
            fputs(",\"names\":", to);
            json_string(str_of(c.names), to);
            fputs(",\"issuer\":", to);
            json_string(str_of(c.issuer), to);
        }
        fputc('}', to);
        comma = ",";
    }
    fputs("],", to);
}

struct server_list {
    FILE *to;
    const char *comma;
};

static void json_server(void *ctx, const struct engine_server_status *s)
{
    struct server_list *l = ctx;

    fprintf(l->to, "%s{\"backend\":", l->comma);
    json_string(s->backend, l->to);
    fputs(",\"server\":", l->to);
    json_string(s->server, l->to);
    fprintf(l->to,
            ",\"up\":%s,\"passive_down\":%s,\"drain\":%s,\"resolved\":%s,\"addresses\":%u,\"open\":%u,"
            "\"idle\":%u,"
            "\"active_requests\":%u,\"requests\":%llu,\"failures\":%llu}",
            s->up ? "true" : "false", s->passive_down ? "true" : "false", s->drain ? "true" : "false",
            s->resolved ? "true" : "false", s->addresses, s->open, s->idle, s->active_requests,
            (unsigned long long)s->requests, (unsigned long long)s->failures);
    l->comma = ",";
}

void status_json(const struct status_now *now, FILE *to)
{
    struct snapshot *s = engine_snapshot(now->engine);
    struct server_list list = {to, ""};
    struct metrics m;

    engine_metrics(now->engine, &m);
    fprintf(
        to,
        "{\"pid\":%d,\"uptime_s\":%llu,\"draining\":%s,\"generation\":%llu,\"loaded_at_ms\":%llu,\"config\":",
        (int)getpid(), (unsigned long long)now->uptime_s, now->draining ? "true" : "false",
        (unsigned long long)s->generation, (unsigned long long)s->loaded_at_ms);
    json_string(s->path, to);
    fprintf(to, ",\"workers\":%u,\"capacity\":%u,\"connections\":%llu,\"requests\":%llu,",
            engine_workers(now->engine), engine_capacity(now->engine),
            (unsigned long long)m.v[METRIC_CONNECTIONS_OPEN], (unsigned long long)m.v[METRIC_REQUESTS]);
    json_listeners(s, to);
    json_certificates(s, to);
    fputs("\"servers\":[", to);
    engine_servers(now->engine, json_server, &list);
    fputs("],", to);
    status_directories_json(now->engine, to);
    fputs("}\n", to);
    snapshot_release(s);
}
