/* rpc: RPC over HTTP v2 channels (MS-RPCH), as much as carries PDUs: CONN/A1..C2, echo, ping, flow control. */
#include <stdlib.h>
#include "rpc_int.h"

enum { PDU_REQUEST = 0, PDU_RESPONSE = 2, PDU_BIND = 11, PDU_BIND_ACK = 12, PDU_RTS = 20 };
enum { RTS_COOKIE = 3, RTS_OTHER = 2 };
#define RPC_TYPE "application/rpc"
#define ECHO_MAX 16
#define WINDOW 65536

/* Sizes of RTS commands behind their type (MS-RPCH 2.2.3.5); padding and client address carry their own length. */
static const uint8_t command_size[] = {4, 24, 4, 16, 4, 4, 4, 0, 0, 0, 0, 0, 16, 4, 4};

static uint32_t le32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(unsigned char *p, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(n >> 8 * i);
}

static void rts_head(unsigned char *p, uint16_t size, uint16_t flags, uint16_t commands)
{
    memset(p, 0, RTS_HEAD);
    p[0] = 5;
    p[2] = PDU_RTS;
    p[3] = 3;
    p[4] = 16;
    p[8] = (unsigned char)size;
    p[16] = (unsigned char)flags;
    p[18] = (unsigned char)commands;
}

/* FlowControlAck to the client, MS-RPCH 2.2.4.50: what IN has taken; sent when half a window is used. */
static void acknowledge(struct channel *ch)
{
    if (ch->received - ch->acknowledged < WINDOW / 2)
        return;
    unsigned char p[56];
    rts_head(p, sizeof p, RTS_OTHER, 2);
    put32(p + 20, 13);
    put32(p + 24, 0);
    put32(p + 28, 1);
    put32(p + 32, (uint32_t)ch->received);
    put32(p + 36, WINDOW);
    memcpy(p + 40, ch->cookie, 16);
    ch->acknowledged = ch->received;
    rpc_to_out(ch, p, sizeof p);
}

static void ping(struct conn *c)
{
    unsigned char p[RTS_HEAD];
    rts_head(p, sizeof p, 1, 0);
    conn_arm(c, options.rpc_ping * 1000ull, ping);
    conn_write(c, p, sizeof p);
}

/* CONN/A1 on OUT and CONN/B1 on IN begin with Version, the virtual connection's cookie, the channel's cookie. */
static bool open_channel(struct channel *ch, const unsigned char *p, size_t n)
{
    const unsigned char *cookies[2];
    unsigned found = 0;
    for (size_t at = RTS_HEAD; at + 4 <= n && found < 2;) {
        uint32_t type = le32(p + at);
        if (type >= sizeof command_size || at + 4 + command_size[type] > n)
            return false;
        if (type == RTS_COOKIE)
            cookies[found++] = p + at + 4;
        at += 4u + command_size[type];
    }
    if (found < 2)
        return false;
    memcpy(ch->cookie, cookies[1], 16);
    ch->opened = true;
    if (ch->out) {
        unsigned char a3[28];
        rts_head(a3, sizeof a3, 0, 1);
        put32(a3 + 20, 2);
        put32(a3 + 24, 120000);
        conn_write(ch->c, a3, sizeof a3);
    }
    return !ch->c->closing && rpc_join(ch, cookies[0]);
}

static bool take_pdu(struct channel *ch, const unsigned char *p, size_t n)
{
    if (p[2] == PDU_RTS)
        return ch->opened ? true : n < RTS_HEAD ? false : open_channel(ch, p, n);
    ch->received += n;
    if (p[2] == PDU_REQUEST || p[2] == PDU_BIND) {
        unsigned char *reply = malloc(n);
        if (!reply)
            return false;
        memcpy(reply, p, n);
        reply[2] = p[2] == PDU_REQUEST ? PDU_RESPONSE : PDU_BIND_ACK;
        rpc_to_out(ch, reply, n);
        free(reply);
    }
    acknowledge(ch);
    return true;
}

/* Takes whole PDUs from p; the number of bytes used, or -1. */
static ptrdiff_t take_pdus(struct channel *ch, const unsigned char *p, size_t n)
{
    size_t used = 0;
    while (n - used >= 16) {
        size_t size = p[used + 8] | (size_t)p[used + 9] << 8;
        if (size < 16)
            return -1;
        if (size > n - used)
            break;
        if (!take_pdu(ch, p + used, size) || ch->c->closing)
            return -1;
        used += size;
    }
    return (ptrdiff_t)used;
}

static void channel_body(struct conn *c, const char *bytes, size_t n)
{
    struct channel *ch = c->channel;
    const unsigned char *p = (const unsigned char *)bytes;
    unsigned char *joined = NULL;
    if (ch->pdu) {
        joined = realloc(ch->pdu, ch->pdu_len + n);
        if (!joined) {
            conn_reset(c);
            return;
        }
        memcpy(joined + ch->pdu_len, bytes, n);
        n += ch->pdu_len;
        ch->pdu = NULL;
        p = joined;
    }
    ptrdiff_t used = take_pdus(ch, p, n);
    if (!c->closing && used < 0)
        conn_reset(c);
    if (!c->closing && (size_t)used < n) {
        ch->pdu_len = n - (size_t)used;
        ch->pdu = malloc(ch->pdu_len);
        if (ch->pdu)
            memcpy(ch->pdu, p + used, ch->pdu_len);
        else
            conn_reset(c);
    }
    free(joined);
}

static void in_over(struct conn *c)
{
    conn_finish(c);
}

/* The OUT request's body is only its first PDU; the answer goes on. */
static void out_over(struct conn *c)
{
    if (options.rpc_ping)
        conn_arm(c, options.rpc_ping * 1000ull, ping);
}

void rpc_end(struct conn *c)
{
    if (c->channel)
        rpc_leave(c->channel);
}

void rpc_free(struct conn *c)
{
    if (c->channel)
        free(c->channel->pdu);
    free(c->channel);
}

static void echo(struct conn *c)
{
    unsigned char p[RTS_HEAD];
    rts_head(p, sizeof p, 0x40, 0);
    answer(c, 200, "Success", RPC_TYPE, NULL, p, sizeof p);
}

static void refused(struct conn *c)
{
    static const char text[] =
        "HTTP/1.0 503 RPC Error: 6ba\r\nServer: " SIM_SERVER "\r\nContent-Length: 0\r\n\r\n";
    conn_write(c, text, sizeof text - 1);
    conn_finish(c);
}

void rpc_begin(struct conn *c)
{
    bool out = str_eq(c->method, STR("RPC_OUT_DATA"));
    if (str_ends_nocase(c->path, STR("/healthcheck.htm"))) {
        answer_text(c, 200, "OK", "200 OK\nsimulated\n");
        return;
    }
    if (!out && !str_eq(c->method, STR("RPC_IN_DATA"))) {
        answer(c, 405, "Method Not Allowed", NULL, "Allow: RPC_IN_DATA, RPC_OUT_DATA\r\n", NULL, 0);
        return;
    }
    if (!c->chunked && c->body_left <= ECHO_MAX) {
        c->on_end = echo;
        return;
    }
    if (str_starts_nocase(c->query, STR("refused:"))) {
        refused(c);
        return;
    }
    struct channel *ch = calloc(1, sizeof *ch);
    if (!ch) {
        conn_reset(c);
        return;
    }
    ch->c = c;
    ch->out = out;
    c->channel = ch;
    c->keep = true;
    c->on_body = channel_body;
    c->on_end = out ? out_over : in_over;
    if (out)
        answer_head(c, 200, "Success", RPC_TYPE, NULL, (int64_t)options.rpc_length);
}
