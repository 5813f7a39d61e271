/* Shared by the tests of this room: an arena, and strings in short. */
#ifndef EXCHANGE_TEST_H
#define EXCHANGE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <postern/arena.h>

struct memory {
    struct pool chunks;
    struct arena arena;
};

static inline void memory_open(struct memory *m)
{
    pool_init(&m->chunks, 4096, 4);
    arena_init(&m->arena, &m->chunks, 1u << 20);
}

static inline void memory_close(struct memory *m)
{
    arena_release(&m->arena);
    pool_destroy(&m->chunks);
}

#define assert_str(s, text)                                                                                  \
    do {                                                                                                     \
        assert_int_equal((s).n, strlen(text));                                                               \
        assert_memory_equal((s).p, text, strlen(text));                                                      \
    } while (0)

#endif
