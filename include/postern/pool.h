/*
 * pool: a free list of equally sized blocks. One thread only (the worker that owns it).
 * A block handed back is kept for reuse up to `keep` blocks; the rest goes back to malloc, so that memory falls again
 * after a peak. Under AddressSanitizer blocks are malloc'd and freed one by one, so that misuse is seen.
 */
#ifndef POSTERN_POOL_H
#define POSTERN_POOL_H

#include <stddef.h>

struct pool {
    size_t size;   /* bytes of one block */
    unsigned keep; /* most blocks kept free */
    unsigned kept; /* blocks free now */
    size_t live;   /* blocks handed out now */
    void *head;
};

void pool_init(struct pool *p, size_t size, unsigned keep);
/* NULL without memory; the bytes are not cleared. */
void *pool_take(struct pool *p);
/* NULL is allowed. */
void pool_give(struct pool *p, void *block);
/* Frees the free blocks; asserts that none is live. */
void pool_destroy(struct pool *p);
/* Frees the free blocks beyond `keep_now`; for a worker that falls idle. */
void pool_trim(struct pool *p, unsigned keep_now);

#endif
