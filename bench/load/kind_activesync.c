/* kind_activesync: telephones: OPTIONS, Provision, FolderSync, Sync, and the Ping that is held for its heartbeat. */
#include <ctype.h>
#include <postern/str.h>
#include "kinds.h"

enum { OP_CONNECT, OP_OPTIONS, OP_PROVISION, OP_FOLDER_SYNC, OP_SYNC, OP_PING };
#define TARGET_SIZE 1024
#define WBXML                                                                                                \
    "Content-Type: application/vnd.ms-sync.wbxml\r\nMS-ASProtocolVersion: 14.1\r\nX-MS-PolicyKey: 1307199584\r\nUser-Agent: Postern-load/14.1\r\n"

/* The codes of the base64 query (MS-ASHTTP 2.2.1.1.1.2), and the answer's document element: its code page and its tag
 * with content (MS-ASWBXML 2.1.2.1). An answer to another command begins otherwise. */
static const struct {
    const char *name;
    unsigned char code;
    const char *begins;
} commands[] = {
    [OP_PROVISION] = {"Provision", 20, "\3\1\x6a\0\0\x0e\x45"},
    [OP_FOLDER_SYNC] = {"FolderSync", 9, "\3\1\x6a\0\0\x07\x56"},
    [OP_SYNC] = {"Sync", 0, "\3\1\x6a\0\0\0\x45"},
    [OP_PING] = {"Ping", 18, "\3\1\x6a\0\0\x0d\x45"},
};
#define BEGINS_N 7

static bool wants_base64(const struct client *c)
{
    return c->entry->query == QUERY_BASE64 || (c->entry->query == QUERY_BOTH && c->number % 2);
}

/* One telephone for each client of each entry. */
static int device_id(const struct client *c, char *to, size_t size)
{
    return snprintf(to, size, "LOAD%02XD%08llX", (unsigned)(c->entry - c->thread->scenario->entries),
                    (unsigned long long)c->number);
}

/* MS-ASHTTP 2.2.1.1.1.1: version, command, locale, device, policy key, device type. */
static void base64_target(const struct client *c, unsigned op, char *to)
{
    unsigned char bytes[128];
    char device[40];
    int n = device_id(c, device, sizeof device);
    size_t at = 0;
    bytes[at++] = 141;
    bytes[at++] = commands[op].code;
    bytes[at++] = 9;
    bytes[at++] = 4;
    bytes[at++] = (unsigned char)n;
    memcpy(bytes + at, device, (size_t)n);
    at += (size_t)n;
    memcpy(bytes + at, "\4\xa0\x59\xea\x4d\12SmartPhone", 16);
    at += 16;
    int k = snprintf(to, TARGET_SIZE, "%s?", c->entry->path);
    ptrdiff_t b = str_base64_encode(bytes, at, to + k, TARGET_SIZE - (size_t)k - 1);
    to[k + (b > 0 ? b : 0)] = 0;
}

/* A name as part of a query (RFC 3986, section 2.1). */
static void escape(const char *from, char *to, size_t size)
{
    size_t n = 0;
    for (; *from && n + 4 <= size; from++)
        if (isalnum((unsigned char)*from) || strchr("-._~@", *from))
            to[n++] = *from;
        else
            n += (size_t)snprintf(to + n, size - n, "%%%02X", (unsigned char)*from);
    to[n] = 0;
}

static void plain_target(const struct client *c, unsigned op, char *to)
{
    char device[40], user[3 * 128 + 1];
    device_id(c, device, sizeof device);
    escape(c->user, user, sizeof user);
    snprintf(to, TARGET_SIZE, "%s?Cmd=%s&User=%s&DeviceId=%s&DeviceType=SmartPhone", c->entry->path,
             commands[op].name, user, device);
}

/* The kind that does nothing but Ping has only that operation. */
static bool alone(const struct client *c)
{
    return c->entry->kind == &kind_ping;
}

static void command(struct client *c, unsigned op, const void *body, size_t n, uint64_t held)
{
    char target[TARGET_SIZE];
    (wants_base64(c) ? base64_target : plain_target)(c, op, target);
    call_send(&c->calls[0],
              &(struct ask){.op = alone(c) ? 1 : op,
                            .method = "POST",
                            .target = target,
                            .fields = WBXML,
                            .body = body,
                            .body_n = n,
                            .status = 200,
                            .length = -1,
                            .check = CHECK_TEXT,
                            .text = commands[op].begins,
                            .text_n = BEGINS_N,
                            .timeout = held ? held + c->thread->scenario->timeout : 0},
              held ? uv_hrtime() + held * 1000000 : 0);
}

static void send_options(struct client *c)
{
    call_send(&c->calls[0],
              &(struct ask){.op = OP_OPTIONS,
                            .method = "OPTIONS",
                            .target = c->entry->path,
                            .status = 200,
                            .length = 0,
                            .field = "MS-ASProtocolVersions"},
              c->due);
}

/* WBXML: Ping with HeartbeatInterval (code page 13, tags 0x05 and 0x08). Its latency is how late the answer is. */
static void send_ping(struct client *c)
{
    char body[48];
    uint64_t held = c->entry->heartbeat;
    int n = snprintf(body, sizeof body, "\3\1\x6a%c%c\x0d\x45\x48\3%llu%c\1\1", 0, 0,
                     (unsigned long long)(held / 1000), 0);
    command(c, OP_PING, body, (size_t)n, held);
}

static void step(struct client *c)
{
    static const char empty[] = "\3\1\x6a";
    switch (c->step) {
    case OP_OPTIONS:
        send_options(c);
        break;
    case OP_PING:
        send_ping(c);
        break;
    default:
        command(c, c->step, empty, 4, 0);
    }
}

static void begin(struct client *c)
{
    bool *known = c->state;
    c->step = *known && !c->entry->setup ? OP_SYNC : OP_OPTIONS;
    step(c);
}

static void answered(struct client *c, struct call *call)
{
    bool *known = c->state;
    if (c->step++ < OP_PING) {
        step(c);
        return;
    }
    *known = true;
    client_done(c);
}

static void defaults(struct entry *e)
{
    e->path = "/Microsoft-Server-ActiveSync";
    e->heartbeat = 480000;
}

const struct kind kind_activesync = {
    .name = "activesync",
    .doc = "a telephone: OPTIONS, Provision, FolderSync at first; then Sync, and Ping held for `heartbeat`",
    .ops = (const char *const[]){"connect", "OPTIONS", "Provision", "FolderSync", "Sync", "Ping", NULL},
    .state = sizeof(bool),
    .defaults = defaults,
    .begin = begin,
    .answered = answered,
};

/* --- Ping alone --- */

static void begin_ping(struct client *c)
{
    send_ping(c);
}

static void answered_ping(struct client *c, struct call *call)
{
    client_done(c);
}

const struct kind kind_ping = {
    .name = "ping",
    .doc =
        "a telephone that only waits: Ping after Ping, each held for `heartbeat`; latency is how late the answer comes",
    .ops = (const char *const[]){"connect", "Ping", NULL},
    .defaults = defaults,
    .begin = begin_ping,
    .answered = answered_ping,
};
