/*
 * Pools, arenas and byte queues.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <postern/arena.h>
#include <postern/bufq.h>
#include <postern/pool.h>

/* ---- no memory: malloc gives nothing after `mallocs_left` more ---- */

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
static long mallocs_left = -1; /* -1: for ever */
static size_t mallocs;

void *__wrap_malloc(size_t n)
{
    mallocs++;
    if (mallocs_left == 0)
        return NULL;
    if (mallocs_left > 0)
        mallocs_left--;
    return __real_malloc(n);
}

/* ---- pool ---- */

static void test_pool(void **state)
{
    struct pool p;
    void *blocks[6];

    pool_init(&p, 100, 3);
    for (int i = 0; i < 6; i++) {
        blocks[i] = pool_take(&p);
        assert_non_null(blocks[i]);
        memset(blocks[i], 'a' + i, 100);
    }
    assert_int_equal(p.live, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(((char *)blocks[i])[99], 'a' + i);
    for (int i = 0; i < 6; i++)
        pool_give(&p, blocks[i]);
    pool_give(&p, NULL);
    assert_int_equal(p.live, 0);
    assert_int_equal(p.kept, p.keep); /* the rest went back */
    mallocs = 0;
    for (unsigned i = 0; i < p.keep; i++)
        blocks[i] = pool_take(&p);
    assert_int_equal(mallocs, 0);
    for (unsigned i = 0; i < p.keep; i++)
        pool_give(&p, blocks[i]);
    pool_trim(&p, 1);
    assert_true(p.kept <= 1);
    pool_trim(&p, 5);
    assert_true(p.kept <= 1);
    pool_destroy(&p);
    assert_int_equal(p.kept, 0);
}

static void test_pool_small_and_empty(void **state)
{
    struct pool p;
    void *block;

    pool_init(&p, 1, 2); /* a free block holds a pointer */
    block = pool_take(&p);
    pool_give(&p, block);
    assert_true(p.size >= sizeof(void *));
    pool_destroy(&p);
    pool_init(&p, 64, 0);
    mallocs_left = 0;
    assert_null(pool_take(&p));
    mallocs_left = -1;
    assert_int_equal(p.live, 0);
    pool_destroy(&p);
}

/* ---- arena ---- */

static void test_arena(void **state)
{
    struct pool chunks;
    struct arena a;
    char *p[100];

    pool_init(&chunks, 4096, 8);
    arena_init(&a, &chunks, 1u << 20);
    assert_int_equal(chunks.live, 0); /* nothing before it is needed */
    for (int i = 0; i < 100; i++) {
        size_t n = (size_t)i * 7 % 300 + 1;

        p[i] = arena_alloc(&a, n);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], i, n);
    }
    for (int i = 0; i < 100; i++) {
        size_t n = (size_t)i * 7 % 300 + 1;

        for (size_t k = 0; k < n; k++)
            assert_int_equal(p[i][k], i);
    }
    assert_true(chunks.live > 1);
    arena_release(&a);
    assert_int_equal(chunks.live, 0);
    assert_int_equal(a.total, 0);
    assert_non_null(arena_alloc(&a, 10)); /* it can be used again */
    arena_release(&a);
    arena_release(&a);
    pool_destroy(&chunks);
}

static void test_arena_large(void **state)
{
    struct pool chunks;
    struct arena a;
    char *small, *large, *next;

    pool_init(&chunks, 4096, 8);
    arena_init(&a, &chunks, 1u << 20);
    small = arena_bytes(&a, 10);
    large = arena_alloc(&a, 100000);
    next = arena_bytes(&a, 10);
    assert_non_null(large);
    memset(large, 1, 100000);
    assert_ptr_equal(next, small + 10); /* the chunk goes on being filled */
    assert_int_equal(chunks.live, 1);
    arena_release(&a);
    pool_destroy(&chunks);
}

static void test_arena_limit(void **state)
{
    struct pool chunks;
    struct arena a;
    size_t n = 0;

    pool_init(&chunks, 4096, 8);
    arena_init(&a, &chunks, 100000);
    assert_null(arena_alloc(&a, 100001));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 10));
    while (arena_alloc(&a, 1000) != NULL)
        n++;
    assert_in_range(n, 70, 100);
    assert_true(a.total <= 100000 + 4096);
    assert_null(arena_bytes(&a, 50000));
    arena_release(&a);
    assert_non_null(arena_alloc(&a, 60000));
    assert_null(arena_alloc(&a, 60000));
    arena_release(&a);
    pool_destroy(&chunks);
}

static void test_arena_zero_and_text(void **state)
{
    struct pool chunks;
    struct arena a;
    struct str s;
    char *p;

    pool_init(&chunks, 4096, 8);
    arena_init(&a, &chunks, 1u << 20);
    memset(arena_alloc(&a, 4000), 0xff, 4000);
    arena_release(&a);
    p = arena_zalloc(&a, 1000); /* of the same block, maybe */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(p[i], 0);
    s = arena_str(&a, STR("hello"));
    assert_int_equal(s.n, 5);
    assert_string_equal(s.p, "hello");
    s = arena_str(&a, STR_NULL);
    assert_non_null(s.p);
    assert_string_equal(s.p, "");
    s = arena_printf(&a, "%d of %s", 7, "nine");
    assert_int_equal(s.n, 9);
    assert_string_equal(s.p, "7 of nine");
    s = arena_printf(&a, "%*s", 50000, "x");
    assert_int_equal(s.n, 50000);
    arena_release(&a);
    arena_init(&a, &chunks, 10);
    assert_null(arena_str(&a, STR("longer than ten")).p);
    assert_null(arena_printf(&a, "%s", "longer than ten").p);
    arena_release(&a);
    pool_destroy(&chunks);
}

static void test_arena_extend(void **state)
{
    struct pool chunks;
    struct arena a;
    char *p, *q;

    pool_init(&chunks, 4096, 8);
    arena_init(&a, &chunks, 1u << 20);
    p = arena_extend(&a, NULL, 0, 10);
    memcpy(p, "0123456789", 10);
    assert_ptr_equal(arena_extend(&a, p, 10, 100), p); /* the last one: in place */
    q = arena_bytes(&a, 1);
    assert_ptr_equal(q, p + 100);
    q = arena_extend(&a, p, 100, 200); /* not the last any more */
    assert_ptr_not_equal(q, p);
    assert_memory_equal(q, "0123456789", 10);
    p = arena_extend(&a, q, 200, 20000);
    assert_memory_equal(p, "0123456789", 10);
    assert_null(arena_extend(&a, p, 20000, 2u << 20));
    assert_memory_equal(p, "0123456789", 10);
    arena_release(&a);
    pool_destroy(&chunks);
}

static void test_arena_no_memory(void **state)
{
    struct pool chunks;
    struct arena a;

    pool_init(&chunks, 4096, 0);
    arena_init(&a, &chunks, 1u << 20);
    mallocs_left = 0;
    assert_null(arena_alloc(&a, 10));
    assert_null(arena_zalloc(&a, 10));
    assert_null(arena_alloc(&a, 10000));
    assert_null(arena_str(&a, STR("x")).p);
    assert_int_equal(a.total, 0);
    mallocs_left = 1;
    assert_non_null(arena_alloc(&a, 10));
    assert_null(arena_alloc(&a, 10000));
    mallocs_left = -1;
    arena_release(&a);
    pool_destroy(&chunks);
}

/* ---- bufq, against a plain array ---- */

struct model {
    struct bufq q;
    char want[300000];
    size_t from, to;
};

static void check_queue(struct model *m)
{
    struct iovec v[100];
    int n = bufq_peek(&m->q, v, 100);
    size_t at = m->from;

    assert_int_equal(bufq_len(&m->q), m->to - m->from);
    for (int i = 0; i < n; i++) {
        assert_true(v[i].iov_len > 0);
        assert_memory_equal(v[i].iov_base, m->want + at, v[i].iov_len);
        at += v[i].iov_len;
    }
    assert_true(at == m->to || n == 100);
}

static void put(struct model *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        m->want[m->to + i] = (char)((m->to + i) * 31 >> 3);
    assert_true(bufq_append(&m->q, m->want + m->to, n));
    m->to += n;
}

static void test_queue(void **state)
{
    struct model *m = calloc(1, sizeof(*m));
    struct pool chunks;
    uint32_t seed = 12345;
    char out[5000];

    pool_init(&chunks, 256, 4);
    bufq_init(&m->q, &chunks);
    check_queue(m);
    for (int i = 0; i < 3000; i++) {
        size_t have = m->to - m->from, n;

        seed = seed * 1103515245u + 12345u;
        n = (seed >> 16) % 700;
        if (seed >> 31 && m->to + n < sizeof(m->want)) {
            put(m, n);
        } else if (seed >> 30 & 1) {
            n = n < have ? n : have;
            bufq_consume(&m->q, n);
            m->from += n;
        } else {
            size_t got = bufq_read(&m->q, out, n);

            assert_int_equal(got, n < have ? n : have);
            assert_memory_equal(out, m->want + m->from, got);
            m->from += got;
        }
        check_queue(m);
        if (m->from == m->to)
            assert_int_equal(chunks.live, 0); /* empty, it owns nothing */
    }
    assert_true(m->to > 100000);
    bufq_clear(&m->q);
    assert_int_equal(bufq_len(&m->q), 0);
    assert_int_equal(chunks.live, 0);
    assert_int_equal(bufq_read(&m->q, out, 10), 0);
    bufq_clear(&m->q);
    pool_destroy(&chunks);
    free(m);
}

static void test_queue_sizes(void **state)
{
    struct pool chunks;
    struct bufq q;
    struct iovec v[2];
    char text[1000] = "", out[1000];

    pool_init(&chunks, 64, 4);
    for (size_t n = 0; n < 200; n++) {
        bufq_init(&q, &chunks);
        memset(text, (int)n, n);
        assert_true(bufq_append(&q, text, n));
        assert_int_equal(bufq_len(&q), n);
        assert_int_equal(bufq_peek(&q, v, 0), 0);
        assert_int_equal(bufq_read(&q, out, sizeof(out)), n);
        assert_memory_equal(out, text, n);
        assert_int_equal(chunks.live, 0);
    }
    pool_destroy(&chunks);
}

/* All or nothing. */
static void test_queue_no_memory(void **state)
{
    struct pool chunks;
    struct bufq q;
    char text[1000], out[1000];

    memset(text, 'x', sizeof(text));
    pool_init(&chunks, 64, 0);
    bufq_init(&q, &chunks);
    assert_true(bufq_append(&q, "abc", 3));
    mallocs_left = 3;
    assert_false(bufq_append(&q, text, 1000));
    mallocs_left = 0;
    assert_false(bufq_append(&q, text, 64));
    assert_true(bufq_append(&q, "de", 2)); /* there is room for that */
    mallocs_left = -1;
    assert_int_equal(bufq_read(&q, out, sizeof(out)), 5);
    assert_memory_equal(out, "abcde", 5);
    assert_int_equal(chunks.live, 0);
    pool_destroy(&chunks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_pool_small_and_empty),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_large),
        cmocka_unit_test(test_arena_limit),
        cmocka_unit_test(test_arena_zero_and_text),
        cmocka_unit_test(test_arena_extend),
        cmocka_unit_test(test_arena_no_memory),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_queue_sizes),
        cmocka_unit_test(test_queue_no_memory),
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
