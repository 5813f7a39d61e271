/*
 * filter: one feature of the request path. One const struct in one file of proxy/filter, one line in filters.def.
 *
 * Hooks run on the txn's worker. A hook that returns FILTER_WAIT is not called again: whoever it waits for calls
 * txn_resume(t), and the engine goes on with the next filter. The engine enforces the deadline of a wait (`wait_timeout`)
 * and calls `cancel` when the request ends meanwhile.
 */
#ifndef POSTERN_FILTER_H
#define POSTERN_FILTER_H

#include <stdbool.h>
#include <stdint.h>

struct txn;
struct snapshot;
struct conf_publish;
struct conf_service;

enum phase {
#define PHASE(id, name, doc) PHASE_##id,
#include <postern/phases.def>
#undef PHASE
    PHASE_COUNT
};
const char *phase_name(enum phase p);

enum filter_result {
    FILTER_NEXT,
    FILTER_DONE, /* txn_reply or txn_refuse was called: the request is answered */
    FILTER_WAIT, /* txn_resume or txn_reply will be called later, never before this returns */
};

struct filter {
    const char *name;
    const char *doc;
    enum filter_result (*on[PHASE_COUNT])(struct txn *t);
    /* Whether a route needs it at all; NULL: every route. Decided once per configuration. */
    bool (*enabled)(const struct snapshot *s, const struct conf_publish *p, const struct conf_service *v);
    /* The request ends while this filter waits. */
    void (*cancel)(struct txn *t);
};

/* The ordered table; given once by main before any engine_prepare (core knows no filter by name). */
void filter_table_set(const struct filter *const *table, unsigned n);
unsigned filter_table_get(const struct filter *const **ret_table);

#endif
