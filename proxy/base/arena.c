#include <postern/arena.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGN 16

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of the payload */
    _Alignas(ALIGN) char bytes[];
};

void arena_init(struct arena *a, struct pool *chunks, size_t limit)
{
    *a = (struct arena){.chunks = chunks, .limit = limit};
}

static size_t chunk_room(const struct arena *a)
{
    return a->chunks->size - sizeof(struct arena_chunk);
}

/* Too big for a chunk: a block of its own, behind the others so that the present chunk goes on being filled. */
static void *arena_large(struct arena *a, size_t n)
{
    struct arena_chunk *c = malloc(sizeof(*c) + n);

    if (c == NULL)
        return NULL;
    c->size = n;
    c->next = a->large;
    a->large = c;
    a->total += n;
    return c->bytes;
}

static bool arena_next_chunk(struct arena *a)
{
    struct arena_chunk *c = pool_take(a->chunks);

    if (c == NULL)
        return false;
    c->size = chunk_room(a);
    c->next = a->current;
    a->current = c;
    a->used_in_current = 0;
    a->total += c->size;
    return true;
}

static void *arena_take(struct arena *a, size_t n, size_t align)
{
    size_t at = (a->used_in_current + align - 1) & ~(align - 1);

    if (a->current == NULL || at > a->current->size || n > a->current->size - at) {
        if (n > a->limit || a->total > a->limit - n)
            return NULL;
        if (n > chunk_room(a) / 2)
            return arena_large(a, n);
        if (!arena_next_chunk(a))
            return NULL;
        at = 0;
    }
    a->used_in_current = at + n;
    return a->current->bytes + at;
}

void *arena_alloc(struct arena *a, size_t n)
{
    return arena_take(a, n, ALIGN);
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_take(a, n, ALIGN);

    if (p != NULL)
        memset(p, 0, n);
    return p;
}

char *arena_bytes(struct arena *a, size_t n)
{
    return arena_take(a, n, 1);
}

char *arena_extend(struct arena *a, char *p, size_t old_n, size_t new_n)
{
    struct arena_chunk *c = a->current;
    char *to;

    if (p != NULL && c != NULL && p + old_n == c->bytes + a->used_in_current &&
        new_n - old_n <= c->size - a->used_in_current) {
        a->used_in_current += new_n - old_n;
        return p;
    }
    to = arena_bytes(a, new_n);
    if (to != NULL && old_n > 0)
        memcpy(to, p, old_n);
    return to;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_bytes(a, s.n + 1);

    if (p == NULL)
        return STR_NULL;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    char *p;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || (p = arena_bytes(a, (size_t)n + 1)) == NULL)
        return STR_NULL;
    va_start(args, format);
    vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    return (struct str){p, (size_t)n};
}

void arena_release(struct arena *a)
{
    size_t used = a->used_in_current;

    while (a->current != NULL) {
        struct arena_chunk *c = a->current;
        a->current = c->next;
        explicit_bzero(c->bytes, used);
        used = c->next != NULL ? c->next->size : 0; /* of those before it all may have been used */
        pool_give(a->chunks, c);
    }
    while (a->large != NULL) {
        struct arena_chunk *c = a->large;
        a->large = c->next;
        explicit_bzero(c->bytes, c->size);
        free(c);
    }
    a->used_in_current = a->total = 0;
}
