/*
 * Counters, and the text in which they are exported (Prometheus 0.0.4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <postern/metrics.h>

struct text {
    char p[65536];
    size_t n;
};

static void append(void *ctx, const char *p, size_t n)
{
    struct text *t = ctx;

    assert_true(t->n + n < sizeof(t->p));
    memcpy(t->p + t->n, p, n);
    t->n += n;
    t->p[t->n] = '\0';
}

static struct text *written(const struct metrics *m)
{
    struct text *t = calloc(1, sizeof(*t));

    assert_non_null(t);
    metrics_write(m, append, t);
    return t;
}

static void check_line(const struct text *t, const char *line)
{
    char want[200];

    snprintf(want, sizeof(want), "\n%s\n", line);
    if (strstr(t->p, want) == NULL)
        fail_msg("no line `%s`", line);
}

static void test_values(void **state)
{
    struct metrics *m = aligned_alloc(64, sizeof(*m)), *sum = aligned_alloc(64, sizeof(*sum));
    struct text *t;

    memset(m, 0, sizeof(*m));
    memset(sum, 0, sizeof(*sum));
    metrics_add(m, METRIC_REQUESTS, 5);
    metrics_add(m, METRIC_REQUESTS, 1);
    metrics_add(m, METRIC_CONNECTIONS_OPEN, 3);
    metrics_sub(m, METRIC_CONNECTIONS_OPEN, 2);
    metrics_ended(m, REASON_CLIENT_RESET);
    metrics_status(m, 200);
    metrics_status(m, 299);
    metrics_status(m, 503);
    metrics_status(m, 0);
    metrics_status(m, 99);
    metrics_status(m, 600);
    metrics_status(m, -1);
    metrics_auth(m, 0);
    metrics_add(m, METRIC_CLIENT_BYTES_OUT, UINT64_MAX);
    metrics_sum(sum, m);
    t = written(sum);
    check_line(t, "postern_requests_total 6");
    check_line(t, "postern_connections_open 1");
    check_line(t, "postern_client_body_bytes_out_total 18446744073709551615");
    check_line(t, "postern_ended_total{reason=\"client_reset\"} 1");
    check_line(t, "postern_ended_total{reason=\"client_timeout\"} 0");
    check_line(t, "postern_responses_total{class=\"2xx\"} 2");
    check_line(t, "postern_responses_total{class=\"5xx\"} 1");
    check_line(t, "postern_responses_total{class=\"none\"} 4");
    check_line(t, "# TYPE postern_requests_total counter");
    check_line(t, "# TYPE postern_connections_open gauge");
    free(t);
    metrics_sum(sum, m); /* several workers */
    t = written(sum);
    check_line(t, "postern_requests_total 12");
    check_line(t, "postern_connections_open 2");
    check_line(t, "postern_ended_total{reason=\"client_reset\"} 2");
    free(t);
    free(m);
    free(sum);
}

/* A name of the exposition format; length. */
static size_t name_length(const char *p)
{
    size_t n = 0;

    while (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == ':')
        n++;
    return n > 0 && !isdigit((unsigned char)p[0]) ? n : 0;
}

/* `name value` or `name{label="value"} value`. */
static void check_sample(const char *line, const char *family)
{
    size_t n = name_length(line);
    char *end;

    assert_int_equal(n, strlen(family));
    assert_memory_equal(line, family, n);
    line += n;
    if (*line == '{') {
        n = name_length(++line);
        assert_true(n > 0);
        line += n;
        assert_memory_equal(line, "=\"", 2);
        line += 2;
        while (isalnum((unsigned char)*line) || *line == '_') /* all our values are such words */
            line++;
        assert_memory_equal(line, "\"}", 2);
        line += 2;
    }
    assert_int_equal(*line++, ' ');
    assert_true(isdigit((unsigned char)*line));
    (void)strtoull(line, &end, 10);
    assert_int_equal(*end, '\0');
}

/* Each family once, HELP then TYPE then its samples. */
static void test_format(void **state)
{
    struct metrics *m = aligned_alloc(64, sizeof(*m));
    struct text *t;
    char family[200] = "", seen[32768] = "\n", *line, *rest;
    unsigned families = 0, samples = 0;

    memset(m, 0, sizeof(*m));
    t = written(m);
    assert_int_equal(t->p[t->n - 1], '\n');
    t->p[t->n - 1] = '\0';
    rest = t->p;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char name[220];
        size_t n;

        if (strncmp(line, "# HELP ", 7) == 0) {
            n = name_length(line + 7);
            assert_true(n > 0 && n < sizeof(family) && line[7 + n] == ' ' && line[8 + n] != '\0');
            snprintf(family, sizeof(family), "%.*s", (int)n, line + 7);
            snprintf(name, sizeof(name), "\n%s\n", family);
            assert_null(strstr(seen, name));
            assert_true(strlen(seen) + n + 2 < sizeof(seen));
            snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s\n", family);
            assert_null(strchr(line, '\\'));
            families++;
            line = strsep(&rest, "\n");
            snprintf(name, sizeof(name), "# TYPE %s ", family);
            assert_memory_equal(line, name, strlen(name));
            line += strlen(name);
            assert_true(strcmp(line, "gauge") == 0 || strcmp(line, "counter") == 0);
            /* by the conventions, counters and only counters end in _total */
            assert_int_equal(n > 6 && strcmp(family + n - 6, "_total") == 0, strcmp(line, "counter") == 0);
            continue;
        }
        check_sample(line, family);
        samples++;
    }
    assert_true(families >= METRIC_COUNT);
    assert_true(samples >= METRIC_COUNT + REASON_COUNT);
    free(t);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
