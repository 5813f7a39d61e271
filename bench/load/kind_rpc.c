/*
 * kind_rpc: Outlook Anywhere (MS-RPCH): a pair of channels, each a request that never ends, and PDUs that go out on the
 * IN channel and come back on the OUT channel. The round trip is measured inside the channels.
 */
#include <stdlib.h>
#include <sys/random.h>
#include "kinds.h"

enum { OP_CONNECT, OP_OUT, OP_IN, OP_ROUND_TRIP, OP_ECHO };
enum { PDU_REQUEST = 0, PDU_RESPONSE = 2, PDU_RTS = 20 };
#define PDU_HEAD 24
#define PDU_LARGEST 65535
#define FLIGHT_MAX 64
#define CHANNEL_LENGTH UINT64_C(1073741824)

struct rpc {
    unsigned char virtual_cookie[16], in_cookie[16], out_cookie[16];
    unsigned char *part; /* an incomplete PDU */
    size_t part_n;
    uint32_t next, awaited; /* call ids */
    uint64_t due;           /* ns: of the next PDU */
    uint64_t used, usable;  /* bytes of PDUs, of what either channel's length leaves room for */
    struct {
        uint64_t due, sent;
        size_t size;
    } flight[FLIGHT_MAX]; /* by call id */
    bool connected;
};

static struct call *out_of(struct client *c)
{
    return &c->calls[0];
}

static struct call *in_of(struct client *c)
{
    return &c->calls[1];
}

static unsigned char *put32(unsigned char *p, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        *p++ = (unsigned char)(n >> 8 * i);
    return p;
}

static unsigned char *put_head(unsigned char *p, unsigned type, size_t size, uint32_t call)
{
    const unsigned char head[8] = {5, 0, (unsigned char)type, 3, 16, 0, 0, 0};
    memcpy(p, head, sizeof head);
    p[8] = (unsigned char)size;
    p[9] = (unsigned char)(size >> 8);
    p[10] = p[11] = 0;
    return put32(p + 12, call);
}

/* RTS commands (MS-RPCH 2.2.3.5): their number, then what they carry. */
static unsigned char *put_command(unsigned char *p, uint32_t command, uint32_t value)
{
    return put32(put32(p, command), value);
}

static unsigned char *put_cookie(unsigned char *p, const unsigned char cookie[16])
{
    p = put32(p, 3);
    memcpy(p, cookie, 16);
    return p + 16;
}

static unsigned char *put_rts(unsigned char *p, size_t size, uint16_t commands)
{
    p = put_head(p, PDU_RTS, size, 0);
    *p++ = 0;
    *p++ = 0;
    *p++ = (unsigned char)commands;
    *p++ = 0;
    return p;
}

/* CONN/A1 (2.2.4.2): Version, virtual connection, OUT channel, ReceiveWindowSize. */
static size_t make_a1(const struct rpc *r, unsigned char *to)
{
    unsigned char *p = put_rts(to, 76, 4);
    p = put_command(p, 6, 1);
    p = put_cookie(p, r->virtual_cookie);
    p = put_cookie(p, r->out_cookie);
    p = put_command(p, 0, 262144);
    return (size_t)(p - to);
}

/* CONN/B1 (2.2.4.5): Version, virtual connection, IN channel, ChannelLifetime, ClientKeepalive, AssociationGroupId. */
static size_t make_b1(const struct rpc *r, unsigned char *to)
{
    unsigned char *p = put_rts(to, 104, 6);
    p = put_command(p, 6, 1);
    p = put_cookie(p, r->virtual_cookie);
    p = put_cookie(p, r->in_cookie);
    p = put_command(p, 4, (uint32_t)CHANNEL_LENGTH);
    p = put_command(p, 5, 300000);
    p = put32(p, 12);
    memcpy(p, r->virtual_cookie, 16);
    return (size_t)(p + 16 - to);
}

/* --- PDUs --- */

static size_t pdu_size(struct client *c)
{
    uint64_t n = thread_random(c->thread, c->entry->size);
    return n < PDU_HEAD ? PDU_HEAD : n > PDU_LARGEST ? PDU_LARGEST : (size_t)n;
}

static void send_pdu(struct client *c)
{
    struct rpc *r = c->state;
    unsigned char pdu[PDU_LARGEST];
    size_t n = pdu_size(c);
    memset(put_head(pdu, PDU_REQUEST, n, r->next), 0, PDU_HEAD - 16);
    for (size_t at = PDU_HEAD; at < n; at += PATTERN_SIZE)
        memcpy(pdu + at, pattern, n - at < PATTERN_SIZE ? n - at : PATTERN_SIZE);
    r->used += n;
    r->flight[r->next % FLIGHT_MAX].size = n;
    r->flight[r->next % FLIGHT_MAX].due = r->due;
    r->flight[r->next % FLIGHT_MAX].sent = uv_hrtime();
    r->next++;
    call_deadline(out_of(c), c->thread->scenario->timeout);
    call_body(in_of(c), pdu, n);
}

/* How late the timer is, is not the server's doing. */
static void send_on_time(struct client *c)
{
    ((struct rpc *)c->state)->due = uv_hrtime();
    send_pdu(c);
}

/* The next PDU is due one interval after the last one was, whenever its answer came. */
static void after_answer(struct client *c)
{
    struct rpc *r = c->state;
    uint64_t now = uv_hrtime(), interval = c->entry->interval * 1000000;
    r->due = interval ? r->due + interval : now;
    if (r->due > now)
        client_arm(c, (r->due - now) / 1000000, send_on_time);
    else
        send_pdu(c);
}

/* Channels are not recycled (MS-RPCH 3.2.2.3.1.4): a pair whose announced length is nearly used up is given up, and
 * another is opened. */
static bool is_spent(const struct client *c)
{
    const struct rpc *r = c->state;
    uint64_t most = c->entry->round_trips;
    return r->used + PDU_LARGEST > r->usable || (most && r->next >= most);
}

static void end_pair(struct client *c)
{
    call_close(in_of(c));
    call_close(out_of(c));
    client_done(c);
}

static enum fault take_response(struct client *c, const unsigned char *pdu, size_t n)
{
    struct rpc *r = c->state;
    uint32_t id = pdu[12] | (uint32_t)pdu[13] << 8 | (uint32_t)pdu[14] << 16 | (uint32_t)pdu[15] << 24;
    if (id != r->awaited)
        return FAULT_order;
    if (n != r->flight[id % FLIGHT_MAX].size || pdu[2] != PDU_RESPONSE)
        return FAULT_length;
    if (!pattern_matches(0, (const char *)pdu + PDU_HEAD, n - PDU_HEAD))
        return FAULT_content;
    r->awaited++;
    call_count(out_of(c), OP_ROUND_TRIP, r->flight[id % FLIGHT_MAX].due, r->flight[id % FLIGHT_MAX].sent);
    if (!is_spent(c))
        after_answer(c);
    else if (r->awaited == r->next)
        end_pair(c);
    return FAULT_NONE;
}

static enum fault take_pdu(struct client *c, const unsigned char *pdu, size_t n)
{
    struct rpc *r = c->state;
    if (pdu[2] != PDU_RTS)
        return take_response(c, pdu, n);
    /* CONN/C2 (2.2.4.9) has three commands and says that both channels are joined; the rest is keep-alive and flow. */
    if (r->connected || pdu[18] != 3)
        return FAULT_NONE;
    r->connected = true;
    out_of(c)->ask.op = in_of(c)->ask.op = OP_ROUND_TRIP; /* what passes and fails from here on */
    r->due = uv_hrtime();
    for (uint64_t i = 0; i < c->entry->count && i < FLIGHT_MAX && in_of(c)->link && !is_spent(c); i++)
        send_pdu(c);
    return FAULT_NONE;
}

/* Takes the whole PDUs of p; *ret_used of its bytes. Stops when the channel has been closed on the way. */
static enum fault take_pdus(struct client *c, const unsigned char *p, size_t n, size_t *ret_used)
{
    const struct link *link = out_of(c)->link;
    size_t used = 0;
    enum fault f = FAULT_NONE;
    while (!f && n - used >= 16 && out_of(c)->link == link) {
        size_t size = p[used + 8] | (size_t)p[used + 9] << 8;
        if (size < 16)
            return FAULT_content;
        if (size > n - used)
            break;
        f = take_pdu(c, p + used, size);
        used += size;
    }
    *ret_used = used;
    return f;
}

static enum fault out_bytes(struct call *call, const char *bytes, size_t n)
{
    struct client *c = call->client;
    struct rpc *r = c->state;
    const struct link *link = call->link;
    const unsigned char *p = (const unsigned char *)bytes;
    size_t used = 0;
    if (r->part_n) {
        memcpy(r->part + r->part_n, bytes, n);
        n += r->part_n;
        r->part_n = 0;
        p = r->part;
    }
    enum fault f = take_pdus(c, p, n, &used);
    if (f || call->link != link || used == n)
        return f;
    if (!r->part && !(r->part = malloc(PDU_LARGEST + RX_SIZE)))
        return FAULT_memory;
    memmove(r->part, p + used, n - used);
    r->part_n = n - used;
    return FAULT_NONE;
}

/* --- channels --- */

static void open_out(struct client *c)
{
    unsigned char a1[128];
    struct rpc *r = c->state;
    call_send(
        out_of(c),
        &(struct ask){.op = OP_OUT,
                      .method = "RPC_OUT_DATA",
                      .target = c->entry->path,
                      .fields = "Accept: application/rpc\r\nUser-Agent: MSRPC\r\nCache-Control: no-cache\r\n",
                      .body = a1,
                      .body_n = make_a1(r, a1),
                      .status = 200,
                      .length = -1,
                      .endless = true,
                      .on_body = out_bytes},
        c->entry->echo ? 0 : c->due);
}

static void open_in(struct client *c)
{
    unsigned char b1[128];
    struct rpc *r = c->state;
    call_send(
        in_of(c),
        &(struct ask){.op = OP_IN,
                      .method = "RPC_IN_DATA",
                      .target = c->entry->path,
                      .fields = "Accept: application/rpc\r\nUser-Agent: MSRPC\r\nCache-Control: no-cache\r\n",
                      .body = b1,
                      .body_n = make_b1(r, b1),
                      .announce = CHANNEL_LENGTH,
                      .status = 200,
                      .length = -1,
                      .timeout = CALL_NO_DEADLINE},
        0);
}

/* MS-RPCH 2.1.2.1.4: a request of up to 16 bytes, which the proxy answers itself with an RTS PDU that says echo. */
static void send_echo(struct client *c)
{
    static const char pdu[] = "\5\0\x14\3\x10\0\0\0\x14\0\0\0\0\0\0\0\x40\0\0";
    call_send(
        in_of(c),
        &(struct ask){.op = OP_ECHO,
                      .method = "RPC_IN_DATA",
                      .target = c->entry->path,
                      .fields = "Accept: application/rpc\r\nUser-Agent: MSRPC\r\nCache-Control: no-cache\r\n",
                      .body = "echo",
                      .body_n = 4,
                      .status = 200,
                      .length = sizeof pdu,
                      .check = CHECK_TEXT,
                      .text = pdu,
                      .text_n = sizeof pdu},
        c->due);
}

static void begin(struct client *c)
{
    struct rpc *r = c->state;
    free(r->part);
    *r = (struct rpc){0};
    if (getrandom(r, 3 * sizeof r->virtual_cookie, 0) < 0) {
        client_failed(c, out_of(c), FAULT_memory);
        return;
    }
    if (c->entry->echo)
        send_echo(c);
    else
        open_out(c);
}

/* The OUT channel's head has come; an answer on the IN channel is an error of the server's (MS-RPCH 2.1.2.1.3). */
static void answered(struct client *c, struct call *call)
{
    struct rpc *r = c->state;
    if (call->ask.op == OP_ECHO)
        open_out(c);
    else if (call == out_of(c)) {
        uint64_t length = call->announced >= 0 ? (uint64_t)call->announced : CHANNEL_LENGTH;
        length = length < CHANNEL_LENGTH ? length : CHANNEL_LENGTH;
        r->usable = length - length / 64; /* the rest is for what keeps channels alive and in step */
        call_deadline(call, c->thread->scenario->timeout);
        open_in(c);
    } else
        client_failed(c, call, FAULT_status);
}

static void defaults(struct entry *e)
{
    e->path = "/rpc/rpcproxy.dll?mail.example.com:6001";
    e->size = (struct span){1024, 1024};
    e->count = 1;
}

static void end(struct client *c)
{
    free(((struct rpc *)c->state)->part);
}

const struct kind kind_rpc = {
    .name = "rpc",
    .doc =
        "Outlook Anywhere: a pair of channels; PDUs of `size` bytes (1k), each answered, `count` in flight (1)",
    .ops = (const char *const[]){"connect", "OUT channel", "IN channel", "round trip", "echo", NULL},
    .state = sizeof(struct rpc),
    .defaults = defaults,
    .begin = begin,
    .answered = answered,
    .end = end,
};
