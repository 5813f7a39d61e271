/*
 * The matrix on a terminal: a line a device; with one column all is said, with several each cell is a word.
 */
#include <stdio.h>
#include <unistd.h>
#include "trial_int.h"

#define GREEN "\033[32m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

struct table {
    const struct trial_matrix *m;
    FILE *to;
    bool colour, explain;
};

static const char *tint(const struct table *t, const char *colour)
{
    return t->colour ? colour : "";
}

static const char *key_name(const struct trial_outcome *o)
{
    return o->key == KEY_EC ? "ECDSA" : o->key == KEY_RSA ? "RSA" : "other";
}

static const char *colour_of(const struct trial_cell *c)
{
    return c->differs                              ? YELLOW
           : !trial_cell_passes(c)                 ? RED
           : trial_cell_outcome(c)->warnings_n > 0 ? YELLOW
                                                   : GREEN;
}

static void say_lines(const struct table *t, const struct trial_cell *c, const char *indent)
{
    const struct trial_outcome *o = trial_cell_outcome(c);

    if (o->reason[0] != '\0')
        fprintf(t->to, "%s%s\n", indent, o->reason);
    if (c->has_predicted && c->predicted.change[0] != '\0' && (t->explain || o->stop != STOP_NOWHERE))
        fprintf(t->to, "%s-> %s\n", indent, c->predicted.change);
    if (c->differs)
        fprintf(t->to, "%sprediction and trial differ in %s\n", indent, c->difference);
    for (unsigned i = 0; t->explain && i < o->warnings_n; i++)
        fprintf(t->to, "%swarning: %s\n", indent, o->warnings[i]);
    if (t->explain && o->note[0] != '\0')
        fprintf(t->to, "%s%s\n", indent, o->note);
}

static void single(const struct table *t)
{
    fprintf(t->to, "%s\n\n%-28s %-9s %-8s %-44s %s\n", t->m->columns[0].label, "DEVICE", "CONNECTS",
            "VERSION", "CIPHER SUITE", "CERTIFICATE");
    for (unsigned i = 0; i < t->m->devices->n; i++) {
        const struct trial_cell *c = trial_matrix_cell(t->m, i, 0);
        const struct trial_outcome *o = trial_cell_outcome(c);
        char suite[64];

        fprintf(t->to, "%-28.*s %s%-9s%s %-8s %-44s %s%s\n", STR_ARG(t->m->devices->v[i]->name),
                tint(t, colour_of(c)), trial_cell_passes(c) ? "yes" : "NO", tint(t, PLAIN),
                o->version != 0 ? trial_version_name(o->version) : "-",
                o->version != 0 ? trial_code_name(TRIAL_SUITES, o->suite, suite) : "-",
                o->version != 0 ? key_name(o) : "-", o->version != 0 && o->no_sni ? ", no SNI" : "");
        say_lines(t, c, "    ");
    }
}

static void cell_word(const struct trial_cell *c, char ret[32])
{
    const struct trial_outcome *o = trial_cell_outcome(c);

    if (c->differs)
        snprintf(ret, 32, "DIFFERS");
    else if (trial_cell_passes(c))
        snprintf(ret, 32, "%s %s%s", o->version == 0 ? "-" : trial_version_name(o->version), key_name(o),
                 o->warnings_n > 0 ? " !" : "");
    else
        snprintf(ret, 32, "no: %s", trial_stop_name(o->stop));
}

static void many_row(const struct table *t, unsigned i)
{
    char word[32];

    fprintf(t->to, "%-28.*s", STR_ARG(t->m->devices->v[i]->name));
    for (unsigned k = 0; k < t->m->columns_n; k++) {
        const struct trial_cell *c = trial_matrix_cell(t->m, i, k);

        cell_word(c, word);
        fprintf(t->to, " %s%-18s%s", tint(t, colour_of(c)), word, tint(t, PLAIN));
    }
    fputc('\n', t->to);
    for (unsigned k = 0; t->explain && k < t->m->columns_n; k++) {
        const struct trial_cell *c = trial_matrix_cell(t->m, i, k);

        if (trial_cell_passes(c) && trial_cell_outcome(c)->warnings_n == 0 && !c->differs)
            continue;
        fprintf(t->to, "    %s:\n", t->m->columns[k].label);
        say_lines(t, c, "      ");
    }
}

static void many(const struct table *t)
{
    for (unsigned k = 0; k < t->m->columns_n; k++)
        fprintf(t->to, "[%u] %s\n", k + 1, t->m->columns[k].label);
    fprintf(t->to, "\n%-28s", "DEVICE");
    for (unsigned k = 0; k < t->m->columns_n; k++)
        fprintf(t->to, " [%u]%-15s", k + 1, "");
    fputc('\n', t->to);
    for (unsigned i = 0; i < t->m->devices->n; i++)
        many_row(t, i);
}

static void totals(const struct table *t)
{
    fputc('\n', t->to);
    for (unsigned k = 0; k < t->m->columns_n; k++) {
        unsigned pass = 0, differ = 0;

        for (unsigned i = 0; i < t->m->devices->n; i++) {
            pass += trial_cell_passes(trial_matrix_cell(t->m, i, k));
            differ += trial_matrix_cell(t->m, i, k)->differs;
        }
        fprintf(t->to, "%s: %u of %u devices connect", t->m->columns[k].label, pass, t->m->devices->n);
        if (differ > 0)
            fprintf(t->to, "; %u differ from the prediction", differ);
        fputc('\n', t->to);
    }
}

void trial_report_table(const struct trial_matrix *m, bool explain, FILE *to)
{
    struct table t = {m, to, isatty(fileno(to)) == 1, explain};

    if (m->columns_n == 1)
        single(&t);
    else
        many(&t);
    totals(&t);
}
