#include "guard_table.h"

#include <sys/mman.h>

int table_init(struct guard_table *t, size_t row_size, uint32_t max)
{
    size_t buckets = 16;
    void *memory;

    while (buckets < max)
        buckets *= 2;
    *t = (struct guard_table){.row_size = row_size, .max = max, .mask = (uint32_t)buckets - 1};
    t->mapped = row_size * (max + (size_t)1) + buckets * sizeof(uint32_t);
    memory =
        mmap(NULL, t->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    (void)madvise(memory, t->mapped, MADV_DONTDUMP);
    t->rows = memory;
    t->buckets = (uint32_t *)(void *)(t->rows + row_size * (max + (size_t)1));
    return 0;
}

void table_destroy(struct guard_table *t)
{
    if (t->rows != NULL)
        munmap(t->rows, t->mapped);
    *t = (struct guard_table){0};
}

uint32_t table_count(const struct guard_table *t)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < TABLE_CLASSES; i++)
        n += t->lists[i].n;
    return n;
}

/* Row 0 is nobody's. */
static struct table_row *row_at(const struct guard_table *t, uint32_t number)
{
    return number == 0 ? NULL : (struct table_row *)(void *)(t->rows + t->row_size * number);
}

static uint32_t number_of(const struct guard_table *t, const void *row)
{
    return row == NULL ? 0 : (uint32_t)((size_t)((const char *)row - t->rows) / t->row_size);
}

static uint32_t *bucket_of(const struct guard_table *t, const struct mac *key)
{
    uint32_t hash;

    memcpy(&hash, key->b + 4, sizeof(hash));
    return &t->buckets[hash & t->mask];
}

void *table_find(const struct guard_table *t, const struct mac *key)
{
    struct table_row *r = row_at(t, *bucket_of(t, key));

    while (r != NULL && !mac_eq(&r->key, key))
        r = row_at(t, r->chain);
    return r;
}

/* ---- the lists of the classes ---- */

static void list_push(struct guard_table *t, struct table_row *r, unsigned class)
{
    struct table_list *l = &t->lists[class];
    uint32_t number = number_of(t, r);

    r->class = (uint8_t) class;
    r->newer = 0;
    r->older = l->newest;
    if (l->newest != 0)
        row_at(t, l->newest)->newer = number;
    else
        l->oldest = number;
    l->newest = number;
    l->n++;
}

static void list_take(struct guard_table *t, struct table_row *r)
{
    struct table_list *l = &t->lists[r->class];

    if (r->newer != 0)
        row_at(t, r->newer)->older = r->older;
    else
        l->newest = r->older;
    if (r->older != 0)
        row_at(t, r->older)->newer = r->newer;
    else
        l->oldest = r->newer;
    l->n--;
}

void table_touch(struct guard_table *t, void *row, unsigned class)
{
    list_take(t, row);
    list_push(t, row, class);
}

void *table_next(const struct guard_table *t, unsigned class, const void *row)
{
    return row_at(t, row == NULL ? t->lists[class].oldest : ((const struct table_row *)row)->newer);
}

void *table_victim(const struct guard_table *t)
{
    for (unsigned i = 0; i < TABLE_PINNED; i++) {
        if (t->lists[i].oldest != 0)
            return row_at(t, t->lists[i].oldest);
    }
    return NULL;
}

/* ---- in and out ---- */

void *table_add(struct guard_table *t, const struct mac *key, unsigned class)
{
    struct table_row *r = row_at(t, t->free);
    uint32_t *bucket = bucket_of(t, key);

    if (r != NULL)
        t->free = r->chain;
    else if (t->used < t->max)
        r = row_at(t, ++t->used);
    if (r == NULL)
        return NULL;
    memset(r, 0, t->row_size);
    r->key = *key;
    r->chain = *bucket;
    *bucket = number_of(t, r);
    list_push(t, r, class);
    return r;
}

void table_remove(struct guard_table *t, void *row)
{
    struct table_row *r = row;
    uint32_t number = number_of(t, r), *link = bucket_of(t, &r->key);

    while (*link != number)
        link = &row_at(t, *link)->chain;
    *link = r->chain;
    list_take(t, r);
    explicit_bzero(r, t->row_size);
    r->chain = t->free;
    t->free = number;
}
