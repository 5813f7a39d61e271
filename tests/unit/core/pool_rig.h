/*
 * A pool on its worker, driven from the test's thread: every call runs on the worker and has returned when it returns here.
 */
#ifndef CORE_POOL_RIG_H
#define CORE_POOL_RIG_H

#include "fixture.h"

struct borrower;

struct rig {
    struct worker *w;
    struct fixture_conf conf;
    struct backend_pool *pool;
    uint32_t empty; /* atomic: the pool is gone */
};

/* What one request heard. Written on the worker, read by the test after it was told by `news`. */
struct borrower {
    struct rig *rig;
    struct backend_want want;
    enum backend_result result;
    enum reason why;
    struct backend_conn *conn;
    bool reused;
    char line[64]; /* the last one */
    size_t line_n;
    uint32_t ready, failed, lines, ends, broken; /* atomic: how often */
};

/* After fixture_conf_init and fixture_add_server in rig->conf. */
void rig_start(struct rig *r);
void rig_end(struct rig *r); /* closes the pool, waits until it is gone, ends the worker */
void rig_close_pool(struct rig *r);

void borrower_init(struct borrower *b, struct rig *r);
/* Takes, and waits for the outcome; whether a connection was had. */
bool borrower_take(struct borrower *b);
void borrower_ask(struct borrower *b); /* takes, and does not wait */
bool borrower_outcome(struct borrower *b);
void borrower_take_here(struct borrower *b); /* on the worker: as borrower_ask */
/* Sends a line and waits for the answer, which it returns; NULL: none came. */
const char *borrower_say(struct borrower *b, const char *line);
void borrower_give(struct borrower *b);
void borrower_discard(struct borrower *b);
void borrower_bind(struct borrower *b);
void borrower_park(struct borrower *b);
void borrower_unpark(struct borrower *b);
void borrower_cancel(struct borrower *b);
int borrower_server(struct borrower *b);
/* Takes, begins a request, and keeps it. */
bool borrower_begin(struct borrower *b);
void borrower_end(struct borrower *b, bool failed);

#endif
