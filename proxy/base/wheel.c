#include <postern/wheel.h>

#include <assert.h>
#include <string.h>

#define SLOT_BITS 6
#define SLOT_MASK (WHEEL_SLOTS - 1)

static void node_link(struct wheel_node **list, struct wheel_node *n)
{
    n->next = *list;
    n->link = list;
    if (n->next != NULL)
        n->next->link = &n->next;
    *list = n;
}

static void node_unlink(struct wheel_node *n)
{
    *n->link = n->next;
    if (n->next != NULL)
        n->next->link = n->link;
    n->next = NULL;
    n->link = NULL;
}

/* Rounded up: never early. */
static uint64_t tick_of(uint64_t ms)
{
    return (ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
}

static struct wheel_node **slot_for(struct wheel *w, uint64_t due_tick)
{
    uint64_t away = due_tick - w->tick;

    for (int level = 0; level < WHEEL_LEVELS; level++) {
        if (away < (uint64_t)1 << (SLOT_BITS * (level + 1)))
            return &w->slots[level][(due_tick >> (SLOT_BITS * level)) & SLOT_MASK];
    }
    return &w->overflow;
}

static void node_place(struct wheel *w, struct wheel_node *n)
{
    uint64_t due_tick = tick_of(n->due);

    if (due_tick <= w->tick)
        due_tick = w->tick + 1;
    node_link(slot_for(w, due_tick), n);
}

void wheel_init(struct wheel *w, uint64_t now_ms)
{
    memset(w, 0, sizeof(*w));
    w->now = now_ms;
    w->tick = now_ms / WHEEL_TICK_MS;
}

void wheel_arm(struct wheel *w, struct wheel_node *n, uint64_t after_ms, void (*fire)(struct wheel_node *))
{
    wheel_cancel(w, n);
    n->due = after_ms > UINT64_MAX - w->now ? UINT64_MAX - WHEEL_TICK_MS : w->now + after_ms;
    n->fire = fire;
    node_place(w, n);
    w->armed++;
}

void wheel_cancel(struct wheel *w, struct wheel_node *n)
{
    if (!wheel_armed(n))
        return;
    node_unlink(n);
    w->armed--;
}

static void cascade(struct wheel *w, struct wheel_node **list)
{
    struct wheel_node *n, *all = *list;

    *list = NULL;
    if (all != NULL)
        all->link = &all;
    while ((n = all) != NULL) {
        uint64_t due_tick = tick_of(n->due);
        node_unlink(n);
        node_link(slot_for(w, due_tick < w->tick ? w->tick : due_tick), n);
    }
}

static void cascade_levels(struct wheel *w)
{
    for (int level = 1; level < WHEEL_LEVELS; level++) {
        if (((w->tick >> (SLOT_BITS * (level - 1))) & SLOT_MASK) != 0)
            return;
        cascade(w, &w->slots[level][(w->tick >> (SLOT_BITS * level)) & SLOT_MASK]);
    }
    if (((w->tick >> (SLOT_BITS * (WHEEL_LEVELS - 1))) & SLOT_MASK) == 0)
        cascade(w, &w->overflow);
}

static void fire_slot(struct wheel *w, struct wheel_node **slot)
{
    struct wheel_node *n, *due = *slot;

    *slot = NULL;
    if (due != NULL)
        due->link = &due;
    while ((n = due) != NULL) {
        node_unlink(n);
        w->armed--;
        n->fire(n);
    }
}

void wheel_advance(struct wheel *w, uint64_t now_ms)
{
    uint64_t until = now_ms / WHEEL_TICK_MS;

    w->now = now_ms > w->now ? now_ms : w->now;
    if (w->armed == 0) {
        w->tick = until > w->tick ? until : w->tick;
        return;
    }
    while (w->tick < until) {
        w->tick++;
        cascade_levels(w);
        fire_slot(w, &w->slots[0][w->tick & SLOT_MASK]);
        if (w->armed == 0)
            w->tick = until > w->tick ? until : w->tick;
    }
}

uint64_t wheel_next(const struct wheel *w)
{
    uint64_t elapsed = w->now - w->tick * WHEEL_TICK_MS;

    if (w->armed == 0)
        return UINT64_MAX;
    for (uint64_t i = 1; i <= WHEEL_SLOTS; i++) {
        uint64_t at = i * WHEEL_TICK_MS;
        /* A slot of level 0, or the moment when upper levels come down into it. */
        if (w->slots[0][(w->tick + i) & SLOT_MASK] != NULL || ((w->tick + i) & SLOT_MASK) == 0)
            return at > elapsed ? at - elapsed : 0;
    }
    return 0;
}
