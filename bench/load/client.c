/* client: from session to session: when the next begins, and what a failure does. */
#include <openssl/ssl.h>
#include <postern/str.h>
#include <stdlib.h>
#include <string.h>
#include "load.h"

#define PAUSE_AFTER_FAILURE_MS 100

static void fire(struct wheel_node *n)
{
    struct client *c = (struct client *)((char *)n - offsetof(struct client, timer));
    c->on_timer(c);
}

void client_arm(struct client *c, uint64_t after_ms, void (*on_timer)(struct client *))
{
    c->on_timer = on_timer;
    thread_arm(c->thread, &c->timer, after_ms, fire);
}

void client_disarm(struct client *c)
{
    thread_cancel(c->thread, &c->timer);
}

void client_begin(struct client *c, uint64_t due)
{
    c->busy = true;
    c->due = due;
    c->step = 0;
    c->size = thread_random(c->thread, c->entry->size);
    c->entry->kind->begin(c);
}

static void begin_now(struct client *c)
{
    client_begin(c, uv_hrtime());
}

static void rest(struct client *c, uint64_t pause)
{
    c->busy = false;
    if (!c->thread->closed)
        client_arm(c, pause, c->entry->rate > 0 ? arrivals_idle : begin_now);
}

void client_done(struct client *c)
{
    const struct entry *e = c->entry;
    if (!e->keep)
        for (unsigned i = 0; i < CALLS; i++)
            call_close(&c->calls[i]);
    if (e->think.max || c->thread->closed)
        rest(c, thread_random(c->thread, e->think));
    else if (e->rate > 0)
        arrivals_idle(c);
    else
        begin_now(c);
}

void client_failed(struct client *c, struct call *call, enum fault why)
{
    struct thread *t = c->thread;
    unsigned op = c->entry->first_op + (call->connecting ? 0 : call->ask.op);
    stats_fault(&t->stats, op, t->recording, why);
    if (why == FAULT_status && t->recording && call->status < STATUSES)
        t->stats.ops[op].statuses[call->status]++;
    for (unsigned i = 0; i < CALLS; i++)
        call_close(&c->calls[i]);
    client_disarm(c);
    rest(c, PAUSE_AFTER_FAILURE_MS);
}

static bool make_authorization(struct client *c)
{
    char user[256], password[256], pair[sizeof user + sizeof password], line[1024];
    bool known = scenario_user(c->thread->scenario, c->number, user, sizeof user, password, sizeof password);
    c->user = strdup(user);
    if (!known || !c->user)
        return c->user != NULL;
    int n = snprintf(pair, sizeof pair, "%s:%s", user, password);
    static const char start[] = "Authorization: Basic ";
    size_t at = sizeof start - 1;
    memcpy(line, start, at);
    ptrdiff_t k = str_base64_encode(pair, (size_t)n, line + at, sizeof line - at - 3);
    if (k < 0)
        return false;
    memcpy(line + at + k, "\r\n", 3);
    c->authorization = strdup(line);
    return c->authorization != NULL;
}

static bool make_client(struct thread *t, struct client *c, const struct entry *e, uint64_t number)
{
    c->thread = t;
    c->entry = e;
    c->number = number;
    for (unsigned i = 0; i < CALLS; i++)
        c->calls[i].client = c;
    if (e->kind->state && !(c->state = calloc(1, e->kind->state)))
        return false;
    return make_authorization(c);
}

bool clients_make(struct thread *t)
{
    const struct scenario *s = t->scenario;
    size_t n = 0;
    for (size_t e = 0; e < s->entry_n; e++)
        n += s->entries[e].clients / s->threads + 1;
    t->clients = calloc(n, sizeof *t->clients);
    if (!t->clients)
        return false;
    for (size_t e = 0; e < s->entry_n; e++)
        for (uint64_t i = t->index; i < s->entries[e].clients; i += s->threads)
            if (!make_client(t, &t->clients[t->client_n++], &s->entries[e], i))
                return false;
    return true;
}

/* Spread evenly over the ramp. Those of an open loop wait to be wanted. */
void clients_start(struct thread *t)
{
    uint64_t ramp = t->scenario->ramp_up;
    for (size_t i = 0; i < t->client_n; i++) {
        struct client *c = &t->clients[i];
        if (c->entry->rate > 0)
            arrivals_idle(c);
        else
            client_arm(c, ramp * i / t->client_n, begin_now);
    }
}

void clients_close(struct thread *t)
{
    for (size_t i = 0; i < t->client_n; i++) {
        client_disarm(&t->clients[i]);
        for (unsigned k = 0; k < CALLS; k++)
            call_close(&t->clients[i].calls[k]);
    }
}

void clients_free(struct thread *t)
{
    for (size_t i = 0; i < t->client_n; i++) {
        if (t->clients[i].state && t->clients[i].entry->kind->end)
            t->clients[i].entry->kind->end(&t->clients[i]);
        SSL_SESSION_free(t->clients[i].session);
        free(t->clients[i].state);
        free(t->clients[i].user);
        free(t->clients[i].authorization);
    }
    free(t->clients);
}
