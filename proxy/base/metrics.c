#include <postern/metrics.h>

#include <stdio.h>
#include <string.h>

enum kind { COUNTER, GAUGE };

static const struct {
    enum kind kind;
    const char *name, *help;
} rows[] = {
#define METRIC(id, kind, name, unit, help) {kind, name, help},
#include <postern/metrics.def>
#undef METRIC
};

static void sum_array(uint64_t *to, const uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void metrics_sum(struct metrics *sum, const struct metrics *m)
{
    sum_array(sum->v, m->v, METRIC_COUNT);
    sum_array(sum->ended, m->ended, REASON_COUNT);
    sum_array(sum->status, m->status, sizeof(m->status) / sizeof(*m->status));
    sum_array(sum->auth, m->auth, AUTH_DETAIL_COUNT);
    sum_array(sum->activesync[0], m->activesync[0], ACTIVESYNC_COMMAND_COUNT * ACTIVESYNC_VERSION_COUNT);
}

struct writer {
    void (*emit)(void *ctx, const char *text, size_t n);
    void *ctx;
};

static void write_head(struct writer *w, const char *name, const char *help, enum kind kind)
{
    char line[512];
    int n = snprintf(line, sizeof(line), "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                     kind == COUNTER ? "counter" : "gauge");

    w->emit(w->ctx, line, (size_t)n);
}

static void write_value(struct writer *w, const char *name, const char *label, const char *value, uint64_t u)
{
    char line[256];
    int n = label == NULL ? snprintf(line, sizeof(line), "%s %llu\n", name, (unsigned long long)u)
                          : snprintf(line, sizeof(line), "%s{%s=\"%s\"} %llu\n", name, label, value,
                                     (unsigned long long)u);

    w->emit(w->ctx, line, (size_t)n);
}

/* Of the many combinations only those that have occurred. */
static void write_activesync(struct writer *w, const struct metrics *sum)
{
    char line[256];

    write_head(w, "postern_activesync_total",
               "ActiveSync requests by command (none: OPTIONS) and protocol version", COUNTER);
    for (int c = 0; c < ACTIVESYNC_COMMAND_COUNT; c++)
        for (int v = 0; v < ACTIVESYNC_VERSION_COUNT; v++) {
            int n =
                snprintf(line, sizeof(line), "postern_activesync_total{command=\"%s\",version=\"%s\"} %llu\n",
                         c == 0 ? "none" : activesync_command_name(c).p, activesync_version_name(v),
                         (unsigned long long)sum->activesync[c][v]);
            if (sum->activesync[c][v] > 0)
                w->emit(w->ctx, line, (size_t)n);
        }
}

void metrics_write(const struct metrics *sum, void (*emit)(void *ctx, const char *text, size_t n), void *ctx)
{
    static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct writer w = {emit, ctx};

    for (int i = 0; i < METRIC_COUNT; i++) {
        write_head(&w, rows[i].name, rows[i].help, rows[i].kind);
        write_value(&w, rows[i].name, NULL, NULL, sum->v[i]);
    }
    write_head(&w, "postern_ended_total", "requests and connections by the reason of their end", COUNTER);
    for (int i = 0; i < REASON_COUNT; i++)
        write_value(&w, "postern_ended_total", "reason", reason_name(i), sum->ended[i]);
    write_head(&w, "postern_responses_total", "answers by class of status", COUNTER);
    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
        write_value(&w, "postern_responses_total", "class", classes[i], sum->status[i]);
    write_head(&w, "postern_auth_results_total",
               "passwords that directories were asked about, by their answer", COUNTER);
    for (int i = 0; i < AUTH_DETAIL_COUNT; i++)
        write_value(&w, "postern_auth_results_total", "detail", auth_detail_name(i), sum->auth[i]);
    write_activesync(&w, sum);
}
