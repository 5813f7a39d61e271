/*
 * arrivals: the open loop. Sessions are due at times that do not depend on the answers; one that finds no free client
 * begins late and its latency counts from when it was due, so that a stalled server cannot hide its stall.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "load.h"

#define LATE_MAX (1u << 20)

/* Sessions until the next one: one, or at random one on average. */
static double gap(struct thread *t)
{
    if (!t->scenario->arrivals)
        return 1;
    double u = (double)(thread_random(t, (struct span){1, 1u << 30})) / (double)(1u << 30);
    return -log(u);
}

/* When so many sessions are due in all: during the ramp the rate grows evenly to its full height. */
static uint64_t time_of(const struct thread *t, const struct arrivals *a)
{
    double ramp = (double)t->scenario->ramp_up * 1e6, in_ramp = a->per_ns * ramp / 2;
    double since = a->sessions < in_ramp ? sqrt(2 * ramp * a->sessions / a->per_ns)
                                         : ramp + (a->sessions - in_ramp) / a->per_ns;
    return a->started + (uint64_t)since;
}

static void plan_next(struct thread *t, struct arrivals *a)
{
    a->sessions += gap(t);
    a->next = time_of(t, a);
}

static struct client *take_free(struct arrivals *a)
{
    struct client *c = a->free;
    if (c)
        a->free = c->next;
    return c;
}

static void keep_late(struct thread *t, struct arrivals *a, uint64_t due)
{
    if (a->waiting < LATE_MAX)
        a->late[(a->late_at + a->waiting++) % LATE_MAX] = due;
    t->stats.waiting = a->waiting;
}

static void arrive(struct thread *t, struct arrivals *a, uint64_t now)
{
    while (a->next <= now) {
        uint64_t due = a->next;
        plan_next(t, a);
        struct client *c = take_free(a);
        if (!c) {
            keep_late(t, a, due);
            continue;
        }
        uint64_t late = now - due;
        if (late > t->stats.late_max)
            t->stats.late_max = late;
        client_begin(c, due);
    }
}

static void set_alarm(struct thread *t)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < t->arrival_n; i++)
        if (t->arrivals[i].next < next)
            next = t->arrivals[i].next;
    /* uv_hrtime and CLOCK_MONOTONIC are the same clock. */
    struct itimerspec at = {.it_value = {(time_t)(next / 1000000000), (long)(next % 1000000000)}};
    timerfd_settime(t->arrival_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void due(uv_poll_t *poll, int status, int events)
{
    struct thread *t = poll->data;
    uint64_t times;
    if (read(t->arrival_fd, &times, sizeof times) < 0 && errno != EAGAIN)
        return;
    for (size_t i = 0; i < t->arrival_n; i++)
        arrive(t, &t->arrivals[i], uv_hrtime());
    set_alarm(t);
}

static struct arrivals *of(struct thread *t, const struct entry *e)
{
    for (size_t i = 0; i < t->arrival_n; i++)
        if (t->arrivals[i].entry == e)
            return &t->arrivals[i];
    return NULL;
}

void arrivals_idle(struct client *c)
{
    struct arrivals *a = of(c->thread, c->entry);
    if (a->waiting && !c->thread->closed) {
        uint64_t when = a->late[a->late_at];
        a->late_at = (a->late_at + 1) % LATE_MAX;
        a->waiting--;
        client_begin(c, when);
        return;
    }
    c->next = a->free;
    a->free = c;
}

bool arrivals_init(struct thread *t)
{
    const struct scenario *s = t->scenario;
    t->arrival_fd = -1;
    for (size_t i = 0; i < s->entry_n; i++) {
        const struct entry *e = &s->entries[i];
        if (e->rate <= 0)
            continue;
        struct arrivals *a = &t->arrivals[t->arrival_n++];
        a->entry = e;
        a->per_ns = e->rate / 1e9 / (double)s->threads;
        a->late = malloc(LATE_MAX * sizeof *a->late);
        if (!a->late)
            return false;
    }
    if (!t->arrival_n)
        return true;
    t->arrival_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    t->arrival_poll.data = t;
    return t->arrival_fd >= 0 && uv_poll_init(&t->loop, &t->arrival_poll, t->arrival_fd) == 0;
}

void arrivals_start(struct thread *t)
{
    if (!t->arrival_n)
        return;
    uint64_t now = uv_hrtime();
    for (size_t i = 0; i < t->arrival_n; i++) {
        t->arrivals[i].started = now;
        /* Those of an even distance: the threads take turns. */
        if (!t->scenario->arrivals)
            t->arrivals[i].sessions = -(double)t->index / (double)t->scenario->threads;
        plan_next(t, &t->arrivals[i]);
    }
    uv_poll_start(&t->arrival_poll, UV_READABLE, due);
    set_alarm(t);
}

void arrivals_stop(struct thread *t)
{
    if (t->arrival_n)
        uv_poll_stop(&t->arrival_poll);
}

void arrivals_free(struct thread *t)
{
    for (size_t i = 0; i < t->arrival_n; i++)
        free(t->arrivals[i].late);
    if (t->arrival_fd >= 0)
        close(t->arrival_fd);
}
