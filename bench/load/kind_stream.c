/* kind_stream: answers that come in instalments: EWS notifications and MAPI over HTTP. */
#include <stdlib.h>
#include <sys/time.h>
#include "kinds.h"

/* --- EWS --- */

enum { EWS_CONNECT, EWS_CALL, EWS_SUBSCRIPTION, EWS_NOTIFICATION };
#define LINE_MAX_BYTES 256

struct ews {
    uint64_t sequence;
    size_t n;
    char line[LINE_MAX_BYTES];
};

static uint64_t number_after(const char *line, const char *name)
{
    const char *p = strstr(line, name);
    return p ? strtoull(p + strlen(name), NULL, 10) : 0;
}

/* The simulated server writes the time into each notification; on one machine that is how long it was under way. */
static enum fault notification(struct call *call, struct ews *e)
{
    struct timeval now;
    uint64_t end = uv_hrtime(), sent_us = number_after(e->line, "time_us=\"");
    if (number_after(e->line, "sequence=\"") != ++e->sequence)
        return FAULT_order;
    gettimeofday(&now, NULL);
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_usec;
    uint64_t under_way = now_us > sent_us ? (now_us - sent_us) * 1000 : 0;
    call_count(call, EWS_NOTIFICATION, end - under_way, end - under_way);
    return FAULT_NONE;
}

static enum fault ews_bytes(struct call *call, const char *p, size_t n)
{
    struct ews *e = call->client->state;
    enum fault f = FAULT_NONE;
    for (size_t i = 0; i < n && !f; i++) {
        if (e->n == sizeof e->line - 1)
            return FAULT_content;
        e->line[e->n++] = p[i];
        if (p[i] == '\n') {
            e->line[e->n] = 0;
            e->n = 0;
            f = notification(call, e);
        }
    }
    return f;
}

static void ews_stream(struct client *c)
{
    const struct entry *e = c->entry;
    char target[512];
    snprintf(target, sizeof target, "%s%sstream=%llu&interval_ms=%llu", e->path, kinds_join(e->path),
             (unsigned long long)e->count, (unsigned long long)e->interval);
    *(struct ews *)c->state = (struct ews){0};
    call_send(&c->calls[0],
              &(struct ask){.op = EWS_SUBSCRIPTION,
                            .method = "POST",
                            .target = target,
                            .fields = "Content-Type: text/xml; charset=utf-8\r\n",
                            .body = "<GetStreamingEvents/>",
                            .body_n = 21,
                            .status = 200,
                            .length = -1,
                            .timeout = (e->count + 1) * e->interval + c->thread->scenario->timeout,
                            .on_body = ews_bytes},
              uv_hrtime() + (e->count + 1) * e->interval * 1000000);
}

static void ews_begin(struct client *c)
{
    call_send(&c->calls[0],
              &(struct ask){.op = EWS_CALL,
                            .method = "POST",
                            .target = c->entry->path,
                            .fields = "Content-Type: text/xml; charset=utf-8\r\n",
                            .body = "<GetFolder/>",
                            .body_n = 12,
                            .status = 200,
                            .length = -1,
                            .check = CHECK_TEXT,
                            .text = "<?xml"},
              c->due);
}

static void ews_answered(struct client *c, struct call *call)
{
    if (call->ask.op == EWS_CALL) {
        ews_stream(c);
        return;
    }
    struct ews *e = c->state;
    if (e->sequence == c->entry->count)
        client_done(c);
    else
        client_failed(c, call, FAULT_length);
}

static void ews_defaults(struct entry *e)
{
    e->path = "/ews/exchange.asmx";
    e->count = 10;
    e->interval = 1000;
}

const struct kind kind_ews = {
    .name = "ews",
    .doc =
        "Exchange Web Services: a call, then a stream of `count` notifications (10), one each `interval` (1s)",
    .ops = (const char *const[]){"connect", "call", "subscription", "notification", NULL},
    .state = sizeof(struct ews),
    .defaults = ews_defaults,
    .begin = ews_begin,
    .answered = ews_answered,
};

/* --- MAPI over HTTP --- */

enum { MAPI_CONNECT, MAPI_CALL, MAPI_WAIT };

/* What the answer must be: PROCESSING, so many PENDING, DONE (MS-OXCMAPIHTTP 2.2.2.2). */
struct mapi {
    char *expected;
};

static bool mapi_expect(struct mapi *m, uint64_t count)
{
    static const char done[] = "DONE\r\nX-ElapsedTime: 1\r\nX-ResponseCode: 0\r\n\r\n";
    size_t n = 12 + (size_t)count * 9 + sizeof done;
    free(m->expected);
    m->expected = malloc(n);
    if (!m->expected)
        return false;
    size_t at = (size_t)snprintf(m->expected, n, "PROCESSING\r\n");
    for (uint64_t i = 0; i < count; i++)
        at += (size_t)snprintf(m->expected + at, n - at, "PENDING\r\n");
    snprintf(m->expected + at, n - at, "%s", done);
    return true;
}

static void mapi_send(struct client *c, unsigned op, uint64_t count)
{
    const struct entry *e = c->entry;
    struct mapi *m = c->state;
    char target[512];
    uint64_t held = count * e->interval;
    snprintf(target, sizeof target, "%s%sMailboxId=%llu@mail.example.com&pending_ms=%llu&count=%llu", e->path,
             kinds_join(e->path), (unsigned long long)c->number, (unsigned long long)e->interval,
             (unsigned long long)count);
    if (!mapi_expect(m, count)) {
        client_failed(c, &c->calls[0], FAULT_memory);
        return;
    }
    call_send(&c->calls[0],
              &(struct ask){.op = op,
                            .method = "POST",
                            .target = target,
                            .fields = "Content-Type: application/mapi-http\r\nX-RequestType: Execute\r\n",
                            .body = pattern,
                            .body_n = 256,
                            .status = 200,
                            .length = -1,
                            .check = CHECK_TEXT,
                            .text = m->expected,
                            .timeout = held + c->thread->scenario->timeout},
              count ? uv_hrtime() + (held + e->interval) * 1000000 : c->due);
}

static void mapi_begin(struct client *c)
{
    mapi_send(c, MAPI_CALL, 0);
}

static void mapi_answered(struct client *c, struct call *call)
{
    if (call->ask.op == MAPI_CALL && c->entry->count)
        mapi_send(c, MAPI_WAIT, c->entry->count);
    else
        client_done(c);
}

static void mapi_defaults(struct entry *e)
{
    e->path = "/mapi/emsmdb/";
    e->count = 2;
    e->interval = 1000;
}

static void mapi_end(struct client *c)
{
    free(((struct mapi *)c->state)->expected);
}

const struct kind kind_mapi = {
    .name = "mapi",
    .doc =
        "MAPI over HTTP: a call, then a wait with `count` PENDINGs (2), one each `interval` (1s); latency of the wait is how late it ends",
    .ops = (const char *const[]){"connect", "call", "wait", NULL},
    .state = sizeof(struct mapi),
    .defaults = mapi_defaults,
    .begin = mapi_begin,
    .answered = mapi_answered,
    .end = mapi_end,
};
