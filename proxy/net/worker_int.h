/*
 * worker_int: a worker in two halves, so that a test can run one on its own thread.
 */
#ifndef POSTERN_WORKER_INT_H
#define POSTERN_WORKER_INT_H

#include <postern/worker.h>

#define WORKER_RX_MIN 4096
#define WORKER_TX_SIZE (32 * 1024)    /* a full record and a handshake flight */
#define WORKER_RECORD_MAX (16 * 1024) /* plaintext of one TLS record, RFC 8446 5.1 */
#define WORKER_BULK_SIZE (16 * 1024 + 32)
#define WORKER_TRIM_MS 2000
#define WORKER_PATIENCE_MS 500 /* at the end, for look-ups of names */

/* Everything but the thread. NULL with errno set. */
struct worker *worker_make(const struct worker_options *o);
/* Runs start, the loop until nothing but the worker's own handles and look-ups that hang is left, stop; then closes those handles. */
void worker_run(struct worker *w);
/* After worker_run. */
void worker_free(struct worker *w);
/* Gives memory back once the number of open connections has halved. */
void worker_idle_trim(struct worker *w);

#endif
