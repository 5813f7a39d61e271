/*
 * The process's descriptors, shared by the connections of clients and backends.
 *
 * libuv closes what it cannot accept for want of a descriptor, without a word; so it must never come to that: connections are
 * counted, and refused here. Idle backend connections are held only while descriptors abound, and go first when they run out.
 */
#include "backend_int.h"
#include "descriptors.h"

void descriptors_set(struct descriptor_count *d, unsigned max)
{
    __atomic_store_n(&d->max, max, __ATOMIC_RELAXED);
}

static bool take(struct descriptor_count *d)
{
    if (__atomic_add_fetch(&d->used, 1, __ATOMIC_RELAXED) <= __atomic_load_n(&d->max, __ATOMIC_RELAXED))
        return true;
    __atomic_sub_fetch(&d->used, 1, __ATOMIC_RELAXED);
    return false;
}

static bool close_idle(struct descriptors *d)
{
    for (struct backend_pool *p = d->pools; p != NULL; p = p->next) {
        for (unsigned i = 0; i < p->servers_n; i++) {
            if (p->servers[i].idle != NULL) {
                backend_idle_drop(&p->servers[i]);
                return true;
            }
        }
    }
    return false;
}

bool descriptors_take(struct descriptors *d)
{
    if (d == NULL)
        return true;
    while (!take(d->all)) {
        if (!close_idle(d))
            return false;
    }
    return true;
}

void descriptors_give(struct descriptors *d)
{
    if (d != NULL)
        __atomic_sub_fetch(&d->all->used, 1, __ATOMIC_RELAXED);
}

bool descriptors_scarce(const struct descriptors *d)
{
    unsigned max;

    if (d == NULL)
        return false;
    max = __atomic_load_n(&d->all->max, __ATOMIC_RELAXED);
    return __atomic_load_n(&d->all->used, __ATOMIC_RELAXED) > max - max / 4;
}

void descriptors_join(struct descriptors *d, struct backend_pool *p)
{
    p->descriptors = d;
    p->next = d->pools;
    p->link = &d->pools;
    if (p->next != NULL)
        p->next->link = &p->next;
    d->pools = p;
}

void descriptors_part(struct backend_pool *p)
{
    if (p->link == NULL)
        return;
    *p->link = p->next;
    if (p->next != NULL)
        p->next->link = p->link;
    p->link = NULL;
}
