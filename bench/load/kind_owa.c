/* kind_owa: a browser: the page, its resources, and the long poll beside them; and Autodiscover. */
#include "kinds.h"

enum { OP_CONNECT, OP_PAGE, OP_RESOURCE, OP_POLL };

static void send_poll(struct client *c)
{
    char target[256];
    uint64_t held = c->entry->delay;
    snprintf(target, sizeof target, "/owa/bytes?size=32&delay_ms=%llu", (unsigned long long)held);
    call_send(&c->calls[1],
              &(struct ask){.op = OP_POLL,
                            .method = "GET",
                            .target = target,
                            .status = 200,
                            .length = 32,
                            .check = CHECK_PATTERN,
                            .timeout = held + c->thread->scenario->timeout},
              uv_hrtime() + held * 1000000);
}

static void send_resource(struct client *c)
{
    char target[256];
    uint64_t size = thread_random(c->thread, c->entry->size);
    snprintf(target, sizeof target, "/owa/resource?size=%llu", (unsigned long long)size);
    call_send(&c->calls[0],
              &(struct ask){.op = OP_RESOURCE,
                            .method = "GET",
                            .target = target,
                            .status = 200,
                            .length = (int64_t)size,
                            .check = CHECK_PATTERN},
              0);
}

static void begin(struct client *c)
{
    call_send(&c->calls[0],
              &(struct ask){.op = OP_PAGE,
                            .method = "GET",
                            .target = c->entry->path,
                            .status = 200,
                            .length = -1,
                            .check = CHECK_TEXT,
                            .text = "<!DOCTYPE html>"},
              c->due);
}

/* The poll is under way while the resources come; the session ends with the later of the two. */
static void answered(struct client *c, struct call *call)
{
    if (call->ask.op == OP_PAGE && c->entry->delay)
        send_poll(c);
    if (!c->busy)
        return;
    if (call == &c->calls[0] && c->step++ < c->entry->resources)
        send_resource(c);
    else if (!call_busy(&c->calls[0]) && !call_busy(&c->calls[1]))
        client_done(c);
}

static void defaults(struct entry *e)
{
    e->path = "/owa/";
    e->resources = 6;
    e->size = (struct span){16384, 16384};
    e->delay = 20000;
}

const struct kind kind_owa = {
    .name = "owa",
    .doc =
        "a browser: a page, `resources` (6) of `size` bytes (16k), and a long poll of `delay` on a second connection",
    .ops = (const char *const[]){"connect", "page", "resource", "long poll", NULL},
    .defaults = defaults,
    .begin = begin,
    .answered = answered,
};

/* --- Autodiscover --- */

static void autodiscover_begin(struct client *c)
{
    char body[1024];
    int n = snprintf(
        body, sizeof body,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/"
        "autodiscover/outlook/requestschema/2006\"><Request><EMailAddress>%s%s</EMailAddress>"
        "</Request></Autodiscover>",
        c->user, strchr(c->user, '@') ? "" : "@example.com");
    call_send(&c->calls[0],
              &(struct ask){.op = 1,
                            .method = "POST",
                            .target = c->entry->path,
                            .fields = "Content-Type: text/xml\r\n",
                            .body = body,
                            .body_n = (size_t)n,
                            .status = 200,
                            .length = -1,
                            .check = CHECK_TEXT,
                            .text = "<?xml version=\"1.0\""},
              c->due);
}

static void autodiscover_answered(struct client *c, struct call *call)
{
    client_done(c);
}

static void autodiscover_defaults(struct entry *e)
{
    e->path = "/autodiscover/autodiscover.xml";
}

const struct kind kind_autodiscover = {
    .name = "autodiscover",
    .doc = "a client that asks for its settings",
    .ops = (const char *const[]){"connect", "settings", NULL},
    .defaults = autodiscover_defaults,
    .begin = autodiscover_begin,
    .answered = autodiscover_answered,
};
