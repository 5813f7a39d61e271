#include "report.h"

#define BUSY 0.85
#define LATE_US 5000.0

static void measured_to_the_end(const struct run *r, void (*each)(const char *text, void *arg), void *arg)
{
    char text[256];
    for (unsigned i = 0; i < r->group_n; i++) {
        /* both are 0 where its memory may not be read */
        if (r->costs[i].before <= 0 || r->costs[i].held > 0)
            continue;
        snprintf(text, sizeof text, "%s (process %d) ended before the work did: what it cost is not known.",
                 r->groups[i].name, (int)r->groups[i].root);
        each(text, arg);
    }
}

static void sources_bound(const struct run *r, void (*each)(const char *text, void *arg), void *arg)
{
    char text[256], address[INET6_ADDRSTRLEN];
    const union address *bad = &r->total.bad_source;
    if (bad->any.sa_family == AF_UNSPEC)
        return;
    snprintf(
        text, sizeof text,
        "No connection could be made from %s, which is in `sources`: it is not this machine's, or no longer.",
        address_text(bad, address));
    each(text, arg);
}

void report_doubts(const struct run *r, void (*each)(const char *text, void *arg), void *arg)
{
    const struct scenario *s = r->scenario;
    double cores = r->costs[r->group_n].cpu_s / r->measured_s, late_us = (double)r->total.late_max / 1e3;
    char text[256];
    if (r->interrupted)
        each("It was interrupted before its time was over.", arg);
    measured_to_the_end(r, each, arg);
    sources_bound(r, each, arg);
    if (cores > BUSY * (double)s->threads) {
        snprintf(
            text, sizeof text,
            "The load generator was busy %.2f of %llu cores: it may have been the limit; give it more threads.",
            cores, (unsigned long long)s->threads);
        each(text, arg);
    }
    if (r->total.waiting) {
        snprintf(
            text, sizeof text,
            "%llu sessions were due and had not begun, since no client was free: the load was not all sent; "
            "give more clients or a lower rate.",
            (unsigned long long)r->total.waiting);
        each(text, arg);
    }
    if (late_us > LATE_US) {
        snprintf(
            text, sizeof text,
            "The load generator began a session %.1f ms late, which the latencies contain; give it more threads, or a core of its own.",
            late_us / 1e3);
        each(text, arg);
    }
}
