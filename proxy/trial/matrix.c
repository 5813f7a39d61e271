/*
 * Devices by columns: each cell predicted, tried, or both, and then compared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "trial_int.h"

/* So many devices in a row that cannot even reach the server: it is not there. */
#define UNREACHABLE_MAX 3

struct trial_cell *trial_matrix_cell(const struct trial_matrix *m, unsigned device, unsigned column)
{
    return &m->cells[device * m->columns_n + column];
}

const struct trial_outcome *trial_cell_outcome(const struct trial_cell *c)
{
    return c->has_live ? &c->live : &c->predicted;
}

bool trial_cell_passes(const struct trial_cell *c)
{
    return trial_cell_outcome(c)->stop == STOP_NOWHERE;
}

static bool shaken(const struct trial_outcome *o)
{
    return o->stop == STOP_NOWHERE || o->stop == STOP_HTTP;
}

static void differ(struct trial_cell *c, const char *what, const char *predicted, const char *live)
{
    if (c->differs)
        return;
    c->differs = true;
    snprintf(c->difference, TRIAL_TEXT, "%s: predicted %.120s, seen %.120s", what, predicted, live);
}

static void compare(struct trial_cell *c)
{
    const struct trial_outcome *p = &c->predicted, *l = &c->live;
    static const unsigned char none[32];
    char a[64], b[64];

    if (l->stop == STOP_NETWORK)
        return;
    if (shaken(p) != shaken(l))
        differ(c, "outcome", p->reason[0] != '\0' ? p->reason : "it connects",
               l->reason[0] != '\0' ? l->reason : "it connects");
    if (p->version == 0 || l->version == 0)
        return;
    if (p->version != l->version)
        differ(c, "version", trial_version_name(p->version), trial_version_name(l->version));
    if (p->suite != l->suite)
        differ(c, "cipher suite", trial_code_name(TRIAL_SUITES, p->suite, a),
               trial_code_name(TRIAL_SUITES, l->suite, b));
    if (memcmp(p->fingerprint, none, sizeof(none)) != 0 && memcmp(l->fingerprint, none, sizeof(none)) != 0 &&
        memcmp(p->fingerprint, l->fingerprint, sizeof(none)) != 0)
        differ(c, "certificate", p->key == KEY_EC ? "an ECDSA one" : "an RSA one",
               l->key == KEY_EC ? "another, ECDSA" : "another, RSA");
}

static void predict(struct trial_matrix *m, const struct trial_device *d, const struct trial_column *column,
                    struct trial_cell *c)
{
    trial_predict(d, &column->server, column->host, &c->predicted);
    if (m->choices != NULL)
        trial_change_find(d, &column->server, column->host, m->devices, m->choices, &c->predicted);
    c->has_predicted = true;
}

static void try_live(const struct trial_device *d, const struct trial_column *column, struct trial_cell *c,
                     unsigned *unreachable)
{
    c->has_live = true;
    if (*unreachable >= UNREACHABLE_MAX) {
        c->live = (struct trial_outcome){.certificate = -1};
        trial_stop(&c->live, STOP_NETWORK, "not tried: the server could not be reached by those before");
        return;
    }
    trial_live(d, &column->target, &c->live);
    if (c->live.stop == STOP_NETWORK)
        ++*unreachable;
    else
        *unreachable = 0;
}

static void run_column(struct trial_matrix *m, unsigned column, bool progress)
{
    const struct trial_column *k = &m->columns[column];
    unsigned unreachable = 0;

    for (unsigned i = 0; i < m->devices->n; i++) {
        struct trial_cell *c = trial_matrix_cell(m, i, column);

        if (progress)
            fprintf(stderr, "\r%s: %u of %u\033[K", k->label, i + 1, m->devices->n);
        if (k->predict)
            predict(m, m->devices->v[i], k, c);
        if (k->live)
            try_live(m->devices->v[i], k, c, &unreachable);
        if (c->has_predicted && c->has_live)
            compare(c);
    }
    if (progress)
        fputs("\r\033[K", stderr);
}

int trial_matrix_run(struct trial_matrix *m, bool progress)
{
    m->cells = calloc((size_t)m->devices->n * m->columns_n + 1, sizeof(*m->cells));
    if (m->cells == NULL)
        return -1;
    for (unsigned i = 0; i < m->columns_n; i++)
        run_column(m, i, progress && m->columns[i].live);
    return 0;
}
