#include "stats.h"

#include <stdlib.h>

bool stats_init(struct stats *s, unsigned op_n, struct second *second)
{
    *s = (struct stats){.op_n = op_n, .second = second};
    s->ops = calloc(op_n, sizeof *s->ops);
    s->now = calloc(op_n, sizeof *s->now);
    return s->ops && s->now;
}

void stats_free(struct stats *s)
{
    free(s->ops);
    free(s->now);
}

static void merge_op(struct op_stats *to, const struct op_stats *from)
{
    to->done += from->done;
    to->bytes_in += from->bytes_in;
    to->bytes_out += from->bytes_out;
    for (unsigned f = 0; f < FAULT_COUNT; f++)
        to->faults[f] += from->faults[f];
    for (unsigned i = 0; i < STATUSES; i++)
        to->statuses[i] += from->statuses[i];
    to->held |= from->held;
    histogram_merge(&to->latency, &from->latency);
    histogram_merge(&to->service, &from->service);
}

void stats_merge(struct stats *to, const struct stats *from)
{
    for (unsigned i = 0; i < to->op_n; i++)
        merge_op(&to->ops[i], &from->ops[i]);
    to->opened += from->opened;
    to->resumed += from->resumed;
    to->open += from->open;
    to->waiting += from->waiting;
    if (from->late_max > to->late_max)
        to->late_max = from->late_max;
    stats_bad_source(to, &from->bad_source);
}

void stats_done(struct stats *s, unsigned op, bool recording, uint64_t due, uint64_t sent, uint64_t end)
{
    uint64_t latency = end > due ? end - due : 0;
    s->now[op].done++;
    histogram_add(&s->now[op].latency, latency);
    if (!recording)
        return;
    s->ops[op].done++;
    s->ops[op].held |= due > sent;
    histogram_add(&s->ops[op].latency, latency);
    histogram_add(&s->ops[op].service, end > sent ? end - sent : 0);
}

void stats_fault(struct stats *s, unsigned op, bool recording, enum fault f)
{
    s->now[op].faults++;
    if (recording)
        s->ops[op].faults[f]++;
}

void stats_bad_source(struct stats *s, const union address *a)
{
    if (s->bad_source.any.sa_family == AF_UNSPEC)
        s->bad_source = *a;
}

uint64_t stats_errors(const struct op_stats *o)
{
    uint64_t n = 0;
    for (unsigned f = 1; f < FAULT_COUNT; f++)
        n += o->faults[f];
    return n;
}

/* --- seconds --- */

void stats_hand_over(struct stats *s)
{
    struct second *to = s->second;
    pthread_mutex_lock(&to->lock);
    if (s->round != to->round) {
        s->round = to->round;
        for (unsigned i = 0; i < s->op_n; i++) {
            to->ops[i].done += s->now[i].done;
            to->ops[i].faults += s->now[i].faults;
            histogram_merge(&to->ops[i].latency, &s->now[i].latency);
            if (s->now[i].done || s->now[i].faults)
                s->now[i] = (struct second_op){0};
        }
        to->open += s->open;
        to->waiting += s->waiting;
        if (--to->missing == 0)
            pthread_cond_signal(&to->complete);
    }
    pthread_mutex_unlock(&to->lock);
}

bool second_init(struct second *s, unsigned op_n)
{
    *s = (struct second){.op_n = op_n, .ops = calloc(op_n, sizeof *s->ops)};
    return s->ops && pthread_mutex_init(&s->lock, NULL) == 0 && pthread_cond_init(&s->complete, NULL) == 0;
}

void second_free(struct second *s)
{
    free(s->ops);
    pthread_cond_destroy(&s->complete);
    pthread_mutex_destroy(&s->lock);
}

void second_clear(struct second *s)
{
    for (unsigned i = 0; i < s->op_n; i++)
        s->ops[i] = (struct second_op){0};
    s->open = s->waiting = 0;
}

void second_ask(struct second *s, unsigned threads)
{
    pthread_mutex_lock(&s->lock);
    second_clear(s);
    s->round++;
    s->missing = threads;
    pthread_mutex_unlock(&s->lock);
}

void second_wait(struct second *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->missing)
        pthread_cond_wait(&s->complete, &s->lock);
    pthread_mutex_unlock(&s->lock);
}
