#include <postern/pool.h>

#include <assert.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_PASSES_THROUGH 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_PASSES_THROUGH 1
#endif
#endif
#ifndef POOL_PASSES_THROUGH
#define POOL_PASSES_THROUGH 0
#endif

void pool_init(struct pool *p, size_t size, unsigned keep)
{
    *p = (struct pool){.size = size < sizeof(void *) ? sizeof(void *) : size,
                       .keep = POOL_PASSES_THROUGH ? 0 : keep};
}

void *pool_take(struct pool *p)
{
    void *block = p->head;

    if (block != NULL) {
        p->head = *(void **)block;
        p->kept--;
    } else {
        block = malloc(p->size);
    }
    if (block != NULL)
        p->live++;
    return block;
}

void pool_give(struct pool *p, void *block)
{
    if (block == NULL)
        return;
    assert(p->live > 0);
    p->live--;
    if (p->kept >= p->keep) {
        free(block);
        return;
    }
    *(void **)block = p->head;
    p->head = block;
    p->kept++;
}

void pool_trim(struct pool *p, unsigned keep_now)
{
    while (p->kept > keep_now) {
        void *block = p->head;
        p->head = *(void **)block;
        p->kept--;
        free(block);
    }
}

void pool_destroy(struct pool *p)
{
    assert(p->live == 0);
    pool_trim(p, 0);
}
