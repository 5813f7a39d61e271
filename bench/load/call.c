#include "call.h"

#include <stdlib.h>
#include <string.h>
#include "call_answer.h"
#include "load.h"

#define REQUEST_MAX 16384
#define PATTERN_WRITE 65536

static const struct link_handler handler;

static struct op_stats *op_of(struct call *c, unsigned op)
{
    return &c->client->thread->stats.ops[c->client->entry->first_op + op];
}

void call_count(struct call *c, unsigned op, uint64_t due, uint64_t sent)
{
    struct thread *t = c->client->thread;
    stats_done(&t->stats, c->client->entry->first_op + op, t->recording, due, sent, uv_hrtime());
}

bool call_busy(const struct call *c)
{
    return c->state != CALL_IDLE;
}

void call_close(struct call *c)
{
    struct thread *t = c->client->thread;
    struct link *l = c->link;
    c->link = NULL;
    c->connecting = false;
    c->state = CALL_IDLE;
    free(c->head);
    c->head = NULL;
    c->head_n = 0;
    c->pattern_left = 0;
    thread_cancel(t, &c->timer);
    link_close(l);
}

static void failed(struct call *c, enum fault why)
{
    client_failed(c->client, c, why);
}

static void late(struct wheel_node *n)
{
    failed((struct call *)((char *)n - offsetof(struct call, timer)), FAULT_timeout);
}

void call_deadline(struct call *c, uint64_t after_ms)
{
    thread_arm(c->client->thread, &c->timer, after_ms, late);
}

/* --- sending --- */

static bool write_bytes(struct call *c, const void *p, size_t n)
{
    if (c->client->thread->recording)
        op_of(c, c->ask.op)->bytes_out += n;
    return link_write(c->link, p, n);
}

/* As much of the pattern as the socket takes. */
static bool write_pattern(struct call *c)
{
    uint64_t total = c->ask.pattern_n;
    while (c->pattern_left && !c->link->queued) {
        char out[PATTERN_WRITE];
        size_t n = 0;
        while (n < sizeof out && c->pattern_left) {
            size_t at = (size_t)((total - c->pattern_left) % PATTERN_SIZE), k = PATTERN_SIZE - at;
            k = k < c->pattern_left ? k : (size_t)c->pattern_left;
            k = k < sizeof out - n ? k : sizeof out - n;
            memcpy(out + n, pattern + at, k);
            n += k;
            c->pattern_left -= k;
        }
        if (!write_bytes(c, out, n))
            return false;
    }
    return true;
}

static bool has_body(const struct ask *a)
{
    return a->body_n || a->pattern_n || a->announce || strcmp(a->method, "POST") == 0;
}

static size_t compose(struct call *c, char *to, size_t size)
{
    const struct ask *a = &c->ask;
    const struct client *client = c->client;
    char length[48] = "", tag[40] = "";
    uint64_t body = a->announce ? a->announce : a->pattern_n ? a->pattern_n : a->body_n;
    if (has_body(a))
        snprintf(length, sizeof length, "Content-Length: %llu\r\n", (unsigned long long)body);
    const char *proof = a->anonymous || !client->authorization ? "" : client->authorization;
    if (client->thread->scenario->tags)
        snprintf(tag, sizeof tag, TAG_FIELD ": %016llx\r\n", (unsigned long long)c->tag);
    int n = snprintf(to, size, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s\r\n", a->method, a->target,
                     client->thread->scenario->host, proof, a->fields ? a->fields : "", tag, length,
                     a->last ? "Connection: close\r\n" : "");
    if (n < 0 || (size_t)n + a->body_n > size)
        return 0;
    memcpy(to + n, a->body ? a->body : "", a->body_n);
    return (size_t)n + a->body_n;
}

static bool start(struct call *c, const char *request, size_t n)
{
    c->sent = uv_hrtime();
    answer_expect(c);
    return write_bytes(c, request, n) && write_pattern(c);
}

static enum fault open_link(struct call *c)
{
    struct client *client = c->client;
    union address room;
    const struct entry *e = client->entry;
    c->opened = uv_hrtime();
    c->connecting = true;
    c->resuming = e->resume && client->session;
    return link_open(client->thread, (struct tls_choice){e->tls, e->certificate},
                     e->resume ? client->session : NULL, thread_source(client->thread, &e->from, &room),
                     &handler, c, &c->link);
}

/* Keeps the request until the connection is there. */
static enum fault keep(struct call *c, const char *request, size_t n)
{
    c->head = malloc(n);
    if (!c->head)
        return FAULT_memory;
    memcpy(c->head, request, n);
    c->head_n = n;
    c->state = CALL_HEAD;
    return c->link ? FAULT_NONE : open_link(c);
}

void call_send(struct call *c, const struct ask *a, uint64_t due)
{
    struct thread *t = c->client->thread;
    char request[REQUEST_MAX];
    c->ask = *a;
    c->due = due ? due : uv_hrtime();
    c->pattern_left = a->pattern_n;
    c->tag = ++t->tag;
    size_t n = compose(c, request, sizeof request);
    c->ask.target = c->ask.fields = NULL;
    c->ask.body = NULL;
    if (a->timeout != CALL_NO_DEADLINE)
        call_deadline(c, a->timeout ? a->timeout : t->scenario->timeout);
    enum fault why = FAULT_NONE;
    if (!n)
        why = FAULT_memory;
    else if (!c->link || !c->link->open)
        why = keep(c, request, n);
    else if (!start(c, request, n))
        why = FAULT_reset;
    if (why)
        failed(c, why);
}

bool call_body(struct call *c, const void *p, size_t n)
{
    if (c->link && write_bytes(c, p, n))
        return true;
    failed(c, FAULT_reset);
    return false;
}

/* --- what the link tells --- */

static void on_open(struct link *l)
{
    struct call *c = l->user;
    struct thread *t = c->client->thread;
    t->stats.opened++;
    t->stats.resumed += link_resumed(l);
    if (c->resuming && !link_resumed(l)) {
        failed(c, FAULT_not_resumed);
        return;
    }
    c->connecting = false;
    call_count(c, 0, c->opened, c->opened);
    char *request = c->head;
    size_t n = c->head_n;
    c->head = NULL;
    c->head_n = 0;
    bool ok = start(c, request, n);
    free(request);
    if (!ok)
        failed(c, FAULT_reset);
}

static void finish(struct call *c)
{
    struct client *client = c->client;
    thread_cancel(client->thread, &c->timer);
    call_count(c, c->ask.op, c->due, c->sent);
    if (c->state != CALL_ENDLESS && (!c->keep || c->pattern_left || c->ask.last))
        call_close(c);
    client->entry->kind->answered(client, c);
}

static void on_data(struct link *l, const char *p, size_t n)
{
    struct call *c = l->user;
    bool done;
    if (c->client->thread->recording)
        op_of(c, c->ask.op)->bytes_in += n;
    enum fault f = answer_feed(c, p, n, &done);
    if (c->link != l) /* closed by what the bytes led to */
        return;
    if (f)
        failed(c, f);
    else if (done)
        finish(c);
}

static void on_eof(struct link *l, bool clean)
{
    struct call *c = l->user;
    bool done;
    if (c->state == CALL_IDLE) {
        call_close(c);
        return;
    }
    enum fault f = answer_eof(c, clean, &done);
    if (f)
        failed(c, f);
    else if (done) {
        c->keep = false;
        c->state = CALL_IDLE;
        finish(c);
    }
}

static void on_drained(struct link *l)
{
    struct call *c = l->user;
    if (c->pattern_left && !write_pattern(c))
        failed(c, FAULT_reset);
}

static void on_fail(struct link *l, enum fault why)
{
    struct call *c = l->user;
    if (c->state == CALL_IDLE)
        call_close(c);
    else
        failed(c, why);
}

static void on_ticket(struct link *l, SSL_SESSION *session)
{
    struct client *client = ((struct call *)l->user)->client;
    SSL_SESSION_free(client->session);
    client->session = session;
}

static const struct link_handler handler = {
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drained = on_drained,
    .on_fail = on_fail,
    .on_ticket = on_ticket,
};
