/*
 * Attempts that wait, on their own worker: for a look-up, or for the time that every failure takes.
 */
#include <stdlib.h>

#include <openssl/rand.h>

#include "guard_int.h"

static uint64_t random_below(uint64_t n)
{
    uint64_t r = 0;

    if (n == 0 || RAND_bytes((unsigned char *)&r, sizeof(r)) != 1)
        return 0;
    return r % n;
}

struct guard_ticket *ticket_new(struct guard *g, struct worker *w,
                                void (*done)(void *ctx, const struct guard_result *r), void *ctx)
{
    const struct conf_guard *n = guard_numbers(g);
    struct guard_ticket *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->worker = w;
    t->done = done;
    t->ctx = ctx;
    t->due_ms = worker_now(w) + n->failure_time + random_below(n->failure_jitter + 1);
    return t;
}

static void ticket_finish(struct guard_ticket *t)
{
    struct guard_result r = t->result;
    void (*done)(void *ctx, const struct guard_result *r) = t->done;
    void *ctx = t->ctx;

    free(t);
    done(ctx, &r);
}

static void ticket_due(struct wheel_node *n)
{
    ticket_finish((struct guard_ticket *)((char *)n - offsetof(struct guard_ticket, node)));
}

void ticket_answer(struct guard_ticket *t, const struct guard_result *r)
{
    uint64_t now = worker_now(t->worker);

    t->result = *r;
    if (!guard_is_failure(r->answer))
        ticket_finish(t);
    else
        worker_arm(t->worker, &t->node, t->due_ms > now ? t->due_ms - now : 0, ticket_due);
}

static void ticket_arrives(struct worker *w, struct letter *l)
{
    struct guard_ticket *t = (struct guard_ticket *)((char *)l - offsetof(struct guard_ticket, letter));
    struct guard_result r = t->result;

    if (t->done == NULL) {
        free(t);
        return;
    }
    t->posted = false; /* nobody else has it any more */
    ticket_answer(t, &r);
}

void tickets_post(struct guard_ticket *chain, const struct guard_result *r)
{
    while (chain != NULL) {
        struct guard_ticket *t = chain;
        chain = t->next;
        t->result = *r;
        t->letter.deliver = ticket_arrives;
        worker_post(t->worker, &t->letter);
    }
}

void guard_cancel(struct guard_ticket *t)
{
    bool listed = false, posted = false;

    if (t->shard != NULL) {
        pthread_mutex_lock(&t->shard->lock);
        listed = t->link != NULL;
        posted = t->posted;
        if (listed) {
            *t->link = t->next;
            if (t->next != NULL)
                t->next->link = t->link;
        }
        pthread_mutex_unlock(&t->shard->lock);
    }
    if (posted && !listed) {
        t->done = NULL;
        return;
    }
    worker_cancel(t->worker, &t->node);
    free(t);
}

struct guard_ticket *guard_refuse(struct guard *g, struct worker *w,
                                  void (*done)(void *ctx, const struct guard_result *r), void *ctx)
{
    static const struct guard_result refused = {.answer = GUARD_REFUSED};
    struct guard_ticket *t = ticket_new(g, w, done, ctx);

    if (t != NULL)
        ticket_answer(t, &refused);
    return t;
}
