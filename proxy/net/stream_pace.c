/*
 * Whether the peer takes what is queued fast enough. Nothing is kept, and nothing is looked at, while the socket takes all that is
 * written; then what the peer has acknowledged is asked for when a deadline fires, never for a packet.
 */
#include <stdlib.h>

#include "stream_int.h"
#include "tcp_acknowledged.h"

#define PACE_LOOK_MS 100 /* no sooner again, however little is left */

struct stream_pace {
    struct stream *stream;
    struct wheel_node node;
    struct pace pace;
};

static struct pace_limit pace_limit(const struct stream *s)
{
    return (struct pace_limit){s->pace_rate, s->pace_grace};
}

void stream_pace_drop(struct stream *s)
{
    if (s->pace == NULL)
        return;
    worker_cancel(s->worker, &s->pace->node);
    free(s->pace);
    s->pace = NULL;
}

static void stream_too_slow(struct stream *s)
{
    bool finishing = (s->flags & STREAM_FINISHING) != 0;

    stream_pace_drop(s);
    if (!finishing) {
        stream_fail(s, REASON_CLIENT_SLOW_READ, "the peer takes what is sent too slowly");
        return;
    }
    metrics_ended(s->worker->metrics, REASON_CLIENT_SLOW_READ);
    stream_reset(s); /* what was not taken must not look like a complete answer */
}

static void on_pace(struct wheel_node *n)
{
    struct stream_pace *p = (struct stream_pace *)((char *)n - offsetof(struct stream_pace, node));
    struct stream *s = p->stream;
    struct pace_limit l = pace_limit(s);
    uint64_t left = pace_judge(&p->pace, &l, tcp_acknowledged(stream_fd(s)), worker_now(s->worker));

    if (left == 0)
        stream_too_slow(s);
    else if (left == UINT64_MAX)
        stream_pace_drop(s); /* it has caught up */
    else
        worker_arm(s->worker, n, left < PACE_LOOK_MS ? PACE_LOOK_MS : left, on_pace);
}

/* Without memory nobody is hurried. */
static void stream_pace_start(struct stream *s)
{
    s->pace = calloc(1, sizeof(*s->pace));
    if (s->pace == NULL)
        return;
    s->pace->stream = s;
    pace_begin(&s->pace->pace, tcp_acknowledged(stream_fd(s)));
    worker_arm(s->worker, &s->pace->node, s->pace_grace, on_pace);
}

void stream_pace_wait(struct stream *s)
{
    if (s->pace_rate == 0 || s->flags & STREAM_CLOSING)
        return;
    if (s->pace == NULL)
        stream_pace_start(s);
    if (s->pace != NULL)
        pace_wait(&s->pace->pace, worker_now(s->worker));
}

void stream_pace_rest(struct stream *s)
{
    if (s->pace != NULL)
        pace_rest(&s->pace->pace, worker_now(s->worker));
}

static uint32_t pace_32(uint64_t v)
{
    return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

void stream_set_pace(struct stream *s, const struct pace_limit *l)
{
    uint32_t rate = pace_32(l->bytes_per_s), grace = pace_32(l->grace_ms);

    if (rate == s->pace_rate && grace == s->pace_grace)
        return;
    s->pace_rate = rate;
    s->pace_grace = grace;
    stream_pace_drop(s);
    if (s->send != NULL)
        stream_pace_wait(s);
}
