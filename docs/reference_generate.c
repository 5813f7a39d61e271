/*
 * Writes docs/reference.md from the tables: what the logs and metrics say, and in which order a request is looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <postern/auth_detail.h>
#include <postern/filter.h>
#include <postern/filters.h>
#include <postern/metrics.h>
#include <postern/reason.h>
#include <postern/str.h>

struct row {
    const char *a, *b, *c;
};

static void cell(const char *text)
{
    for (; *text != '\0'; text++)
        printf(*text == '|' ? "\\%c" : "%c", *text);
}

static void table(const char *head, const struct row *v, size_t n, int columns)
{
    printf("%s\n|%.*s\n", head, columns * 4, "---|---|---|---|");
    for (size_t i = 0; i < n; i++) {
        printf("| `%s` | ", v[i].a);
        cell(v[i].b);
        if (columns == 3) {
            printf(" | ");
            cell(v[i].c);
        }
        puts(" |");
    }
}

/* ---- metrics: read back from what a scrape would show, so that families with labels are not forgotten ---- */

static void collect(void *ctx, const char *text, size_t n)
{
    fwrite(text, 1, n, ctx);
}

static struct str word(struct str *line)
{
    struct str w = STR_NULL;

    (void)str_next(line, ' ', &w);
    return w;
}

/* Of `name{command="Sync",version="14.1"} 1`: the names. No value has a comma in it. */
static void print_labels(struct str sample)
{
    struct str part, label;
    const char *between = "";

    if (!str_next(&sample, '{', &part) || sample.n == 0)
        return;
    while (str_next(&sample, ',', &part) && str_next(&part, '=', &label) && part.n > 0) {
        printf("%s%.*s", between, STR_ARG(label));
        between = ", ";
    }
}

static void metric_row(struct str help, struct str type, struct str rest)
{
    struct str name, sample;

    (void)word(&help);
    (void)word(&help);
    name = word(&help);
    (void)word(&type);
    (void)word(&type);
    (void)word(&type);
    (void)str_next(&rest, '\n', &sample);
    printf("| `%.*s` | %.*s | ", STR_ARG(name), STR_ARG(type));
    print_labels(sample);
    printf(" | %.*s |\n", STR_ARG(help));
}

static void metrics_table(void)
{
    static struct metrics some;
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    struct str rest, line, type;

    if (to == NULL)
        exit(1);
    metrics_activesync(&some, ACTIVESYNC_SYNC, ACTIVESYNC_VERSION_NONE); /* shown only where there are any */
    metrics_write(&some, collect, to);
    fclose(to);
    rest = (struct str){text, n};
    puts("| metric | kind | label | meaning |\n|---|---|---|---|");
    while (rest.n > 0 && str_next(&rest, '\n', &line)) {
        if (!str_starts_nocase(line, STR("# HELP")))
            continue;
        (void)str_next(&rest, '\n', &type);
        metric_row(line, type, rest);
    }
    free(text);
}

/* ---- tables of their own ---- */

static const struct row events[] = {
#define LOG_EVENT(id, name, level, text) {name, #level, text},
#include <postern/log_events.def>
#undef LOG_EVENT
};

static const struct row access_fields[] = {
#define ACCESS_FIELD(id, json, w3c, doc) {json, w3c, doc},
#include <postern/access_fields.def>
#undef ACCESS_FIELD
};

static const struct row reasons[] = {
#define REASON(id, name, doc) {name, doc, NULL},
#include <postern/reasons.def>
#undef REASON
};

static const struct row details[] = {
#define AUTH_DETAIL(id, name, doc) {name, doc, NULL},
#include <postern/auth_details.def>
#undef AUTH_DETAIL
};

static const struct row phases[] = {
#define PHASE(id, name, doc) {name, doc, NULL},
#include <postern/phases.def>
#undef PHASE
};

static void filters_table(void)
{
    const struct filter *const *v;
    unsigned n;

    filters_register();
    n = filter_table_get(&v);
    puts("| filter | phases | what it does |\n|---|---|---|");
    for (unsigned i = 0; i < n; i++) {
        const char *comma = "";
        printf("| `%s` | ", v[i]->name);
        for (int p = 0; p < PHASE_COUNT; p++) {
            if (v[i]->on[p] != NULL) {
                printf("%s%s", comma, phase_name((enum phase)p));
                comma = ", ";
            }
        }
        printf(" | %s |\n", v[i]->doc);
    }
}

static const struct row rules[] = {
#define RULE(name, where, header, pattern, doc) {name, where, doc},
#include <postern/rules.def>
#undef RULE
};

#define TABLE(head, v, columns) table(head, v, sizeof(v) / sizeof((v)[0]), columns)

int main(void)
{
    puts(
        "# Reference: metrics, logs, phases\n\n"
        "Generated from the tables in `include/postern/*.def` by `ninja docs-update`; a test compares. The options of\n"
        "`postern.yaml` are in [configuration.md](configuration.md).\n\n"
        "## Metrics\n\nAt `/metrics` of `admin`, in Prometheus' text format; sums over all workers.\n");
    metrics_table();
    puts(
        "\n## Events\n\nThe event log (`log.event_path`): time, level, id, text, then fields as name=value. An id never\n"
        "changes its meaning.\n");
    TABLE("| id | level | text |", events, 3);
    puts("\n## Access log\n\nOne line a request, as JSON or in W3C extended format (`log.access_format`).\n");
    TABLE("| JSON | W3C | meaning |", access_fields, 3);
    puts("\n## Reasons\n\nWhy a request or connection ended: `reason` in the access log, the label of "
         "`postern_ended_total`, `reason`\nof many events.\n");
    TABLE("| reason | meaning |", reasons, 2);
    puts("\n## Details of authentication\n\nWhat a directory said: `auth` in the access log, the label of "
         "`postern_auth_results_total`. Clients never learn it.\n");
    TABLE("| detail | meaning |", details, 2);
    puts("\n## Phases\n\nWhat happens to a request, in this order.\n");
    TABLE("| phase | what happens there |", phases, 2);
    puts(
        "\n## Filters\n\nThe features of the request path. Within a phase they run in this order; a route runs only those that "
        "it\nneeds.\n");
    filters_table();
    puts(
        "\n## Rules\n\nAgainst published attacks, on by default; a site changes each, or adds its own, under `rules`.\n");
    TABLE("| rule | looks at | against |", rules, 3);
    return 0;
}
