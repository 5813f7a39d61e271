/*
 * secret: memory in which passwords or keys may lie: pages of its own that no core dump holds, cleansed before they are given
 * back. For few and long-lived things: each takes at least a page. Any thread.
 */
#ifndef POSTERN_SECRET_H
#define POSTERN_SECRET_H

#include <stddef.h>

/* Cleared. NULL without memory. */
void *secret_alloc(size_t n);
/* `n` as it was asked for; NULL is allowed. */
void secret_free(void *p, size_t n);

#endif
