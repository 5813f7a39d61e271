/*
 * arena: memory that lives as long as one request, freed in one go. Chunks come from a pool (usually 4 KB); what does not
 * fit a chunk gets a block of its own. Bounded by `limit` bytes in all: past it arena_alloc returns NULL.
 * Cleansed when it is released: a request head may hold a password. One thread. Alignment 16 from arena_alloc, 1 from arena_bytes.
 */
#ifndef POSTERN_ARENA_H
#define POSTERN_ARENA_H

#include <postern/pool.h>
#include <postern/str.h>

struct arena_chunk;

struct arena {
    struct pool *chunks;
    struct arena_chunk *current, *large;
    size_t used_in_current;
    size_t total, limit;
};

/* No memory is taken before the first allocation. */
void arena_init(struct arena *a, struct pool *chunks, size_t limit);
void *arena_alloc(struct arena *a, size_t n);  /* not cleared */
void *arena_zalloc(struct arena *a, size_t n); /* cleared */
char *arena_bytes(struct arena *a, size_t n);
/* Grows the allocation `p` of `old_n` bytes to `new_n`: in place when it is the last one and fits, else a copy. */
char *arena_extend(struct arena *a, char *p, size_t old_n, size_t new_n);
/* Copy, NUL added after the end (not counted). p is NULL without memory. */
struct str arena_str(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Everything back to pool and malloc; the arena can be used again. */
void arena_release(struct arena *a);

#endif
