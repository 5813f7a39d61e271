/*
 * The matrix for programs: JSON, and JUnit XML for continuous integration.
 */
#include <stdio.h>
#include "trial_int.h"

static void json_text(FILE *to, const char *p, size_t n)
{
    fputc('"', to);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

static void json_member(FILE *to, const char *name, const char *value)
{
    fprintf(to, ", \"%s\": ", name);
    json_text(to, value, strlen(value));
}

static void json_outcome(FILE *to, const struct trial_outcome *o)
{
    static const char *const keys[] = {"RSA", "ECDSA", "other"};
    char suite[64], group[64];

    fprintf(to, "{\"connects\": %s", o->stop == STOP_NOWHERE ? "true" : "false");
    json_member(to, "ends_at", trial_stop_name(o->stop));
    if (o->version != 0) {
        json_member(to, "version", trial_version_name(o->version));
        json_member(to, "suite", trial_code_name(TRIAL_SUITES, o->suite, suite));
        json_member(to, "certificate", keys[o->key]);
        if (o->group != 0)
            json_member(to, "group", trial_code_name(TRIAL_GROUPS, o->group, group));
    }
    fprintf(to, ", \"server_name_sent\": %s", o->no_sni ? "false" : "true");
    if (o->reason[0] != '\0')
        json_member(to, "reason", o->reason);
    if (o->change[0] != '\0')
        json_member(to, "change", o->change);
    if (o->note[0] != '\0')
        json_member(to, "note", o->note);
    fputs(", \"warnings\": [", to);
    for (unsigned i = 0; i < o->warnings_n; i++) {
        fputs(i > 0 ? ", " : "", to);
        json_text(to, o->warnings[i], strlen(o->warnings[i]));
    }
    fputs("]}", to);
}

static void json_cell(const struct trial_matrix *m, unsigned i, unsigned k, FILE *to)
{
    const struct trial_cell *c = trial_matrix_cell(m, i, k);
    const struct trial_device *d = m->devices->v[i];

    fputs(i + k > 0 ? ",\n  {\"device\": " : "\n  {\"device\": ", to);
    json_text(to, d->name.p, d->name.n);
    json_member(to, "title", d->title.p);
    json_member(to, "column", m->columns[k].label);
    json_member(to, "host", m->columns[k].host);
    fprintf(to, ", \"connects\": %s, \"differs\": %s", trial_cell_passes(c) ? "true" : "false",
            c->differs ? "true" : "false");
    if (c->differs)
        json_member(to, "difference", c->difference);
    if (c->has_predicted) {
        fputs(", \"predicted\": ", to);
        json_outcome(to, &c->predicted);
    }
    if (c->has_live) {
        fputs(", \"live\": ", to);
        json_outcome(to, &c->live);
    }
    fputc('}', to);
}

void trial_report_json(const struct trial_matrix *m, FILE *to)
{
    fputs("{\"trials\": [", to);
    for (unsigned i = 0; i < m->devices->n; i++) {
        for (unsigned k = 0; k < m->columns_n; k++)
            json_cell(m, i, k, to);
    }
    fputs("\n]}\n", to);
}

/* ---- JUnit ---- */

static void xml_text(FILE *to, const char *p)
{
    for (; *p != '\0'; p++) {
        if (*p == '<')
            fputs("&lt;", to);
        else if (*p == '>')
            fputs("&gt;", to);
        else if (*p == '&')
            fputs("&amp;", to);
        else if (*p == '"')
            fputs("&quot;", to);
        else if ((unsigned char)*p >= 0x20)
            fputc(*p, to);
    }
}

static void junit_case(const struct trial_matrix *m, unsigned i, unsigned k, FILE *to)
{
    const struct trial_cell *c = trial_matrix_cell(m, i, k);

    fputs("    <testcase classname=\"", to);
    xml_text(to, m->columns[k].label);
    fputs("\" name=\"", to);
    xml_text(to, m->devices->v[i]->name.p);
    if (trial_cell_passes(c) && !c->differs) {
        fputs("\"/>\n", to);
        return;
    }
    fputs("\"><failure message=\"", to);
    xml_text(to, c->differs ? c->difference : trial_cell_outcome(c)->reason);
    fputs("\">", to);
    xml_text(to, c->predicted.change);
    fputs("</failure></testcase>\n", to);
}

static unsigned failures(const struct trial_matrix *m, unsigned k)
{
    unsigned n = 0;

    for (unsigned i = 0; i < m->devices->n; i++) {
        const struct trial_cell *c = trial_matrix_cell(m, i, k);

        n += !trial_cell_passes(c) || c->differs;
    }
    return n;
}

void trial_report_junit(const struct trial_matrix *m, FILE *to)
{
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", to);
    for (unsigned k = 0; k < m->columns_n; k++) {
        fputs("  <testsuite name=\"", to);
        xml_text(to, m->columns[k].label);
        fprintf(to, "\" tests=\"%u\" failures=\"%u\">\n", m->devices->n, failures(m, k));
        for (unsigned i = 0; i < m->devices->n; i++)
            junit_case(m, i, k, to);
        fputs("  </testsuite>\n", to);
    }
    fputs("</testsuites>\n", to);
}
