/* progress: what a run is doing, each second: one screen on a terminal, else a line. On standard error. */
#ifndef LOAD_PROGRESS_H
#define LOAD_PROGRESS_H

#include "run.h"

void progress_row(struct run *r, const struct row *row);
/* The cursor is where it belongs again. */
void progress_end(void);

#endif
