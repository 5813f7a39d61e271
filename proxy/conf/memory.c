#include "conf_int.h"

#include <stdlib.h>

#include <postern/secret.h>

struct block {
    struct block *next;
    size_t n;
    bool secret;
    _Alignas(16) char bytes[];
};

struct deferred {
    struct deferred *next;
    void *object;
    void (*destroy)(void *);
};

struct conf_memory {
    struct block *blocks;
    struct deferred *deferred;
};

struct conf_memory *conf_memory_new(void)
{
    return calloc(1, sizeof(struct conf_memory));
}

void conf_memory_free(struct conf_memory *m)
{
    if (!m)
        return;
    for (struct deferred *d = m->deferred; d; d = d->next)
        d->destroy(d->object);
    while (m->blocks) {
        struct block *b = m->blocks;
        m->blocks = b->next;
        if (b->secret) {
            secret_free(b, sizeof *b + b->n);
            continue;
        }
        explicit_bzero(b->bytes, b->n);
        free(b);
    }
    free(m);
}

static void *block_new(struct conf_memory *m, size_t n, bool secret)
{
    struct block *b = secret ? secret_alloc(sizeof *b + n) : calloc(1, sizeof *b + n);
    if (!b)
        return NULL;
    b->n = n;
    b->secret = secret;
    b->next = m->blocks;
    m->blocks = b;
    return b->bytes;
}

void *conf_alloc(struct conf_memory *m, size_t n)
{
    return block_new(m, n, false);
}

void *conf_alloc_secret(struct conf_memory *m, size_t n)
{
    return block_new(m, n, true);
}

struct str conf_copy(struct conf_memory *m, struct str s)
{
    char *p = conf_alloc(m, s.n + 1);
    if (!p)
        return STR_NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    return (struct str){p, s.n};
}

int conf_memory_defer(struct conf_memory *m, void *object, void (*destroy)(void *))
{
    struct deferred *d = conf_alloc(m, sizeof *d);
    if (!d)
        return -1;
    *d = (struct deferred){m->deferred, object, destroy};
    m->deferred = d;
    return 0;
}
