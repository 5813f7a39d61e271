/* owa: a page that looks like a mailbox, bytes of any size, and a sink for uploads. */
#include <stdio.h>
#include <stdlib.h>
#include <openssl/evp.h>
#include "cas.h"

#define BLOCK 65536

static char block[BLOCK];

static void fill_block(void)
{
    for (size_t i = 0; i < BLOCK; i++)
        block[i] = "0123456789abcdef"[(i + i / 16) % 16];
}

static void need_block(void)
{
    static uv_once_t once = UV_ONCE_INIT;
    uv_once(&once, fill_block);
}

static struct str shown(struct conn *c, struct str name)
{
    struct str s;
    if (!head_get(c, name, &s))
        return STR("-");
    for (size_t i = 0; i < s.n; i++)
        if (strchr("<>&\"", s.p[i]))
            return STR("(not shown)");
    return s;
}

static void page(struct conn *c)
{
    char out[6144];
    struct str host = shown(c, STR("Host")), xff = shown(c, STR("X-Forwarded-For"));
    struct str proto = shown(c, STR("X-Forwarded-Proto")), xhost = shown(c, STR("X-Forwarded-Host"));
    int n = snprintf(
        out, sizeof out,
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Inbox - simulated Client Access server</title>"
        "<style>body{font:15px sans-serif;margin:0;color:#223}header{background:#0a5ba8;color:#fff;padding:1em 2em}"
        "main{padding:1em 2em}td{padding:.3em 1em;border-bottom:1px solid #dde}</style>"
        "<header><b>Simulated Client Access server</b> &middot; no mail lives here</header>"
        "<main><h1>Inbox of %s</h1><table><tr><td>Host<td>%.*s<tr><td>X-Forwarded-For<td>%.*s"
        "<tr><td>X-Forwarded-Proto<td>%.*s<tr><td>X-Forwarded-Host<td>%.*s</table>"
        "<p><a href=\"/owa/resource?size=1024\">1 KB</a> <a href=\"/owa/resource?size=65536\">64 KB</a> "
        "<a href=\"/owa/resource?size=1048576\">1 MB</a></p></main></html>\n",
        c->user[0] ? c->user : "nobody", STR_ARG(host), STR_ARG(xff), STR_ARG(proto), STR_ARG(xhost));
    if (n < 0 || (size_t)n >= sizeof out) {
        answer_text(c, 200, "OK", "Simulated Client Access server\n");
        return;
    }
    answer(c, 200, "OK", "text/html; charset=utf-8",
           "Set-Cookie: sessionid=sim; path=/; HttpOnly\r\nSet-Cookie: UserContext=sim; path=/owa\r\n"
           "X-AspNet-Version: 4.0.30319\r\nX-Powered-By: ASP.NET\r\nX-FEServer: SIM1\r\nX-DiagInfo: SIM1\r\n",
           out, (size_t)n);
}

/* v[1] bytes are left, v[2] is the chunk's size or 0, v[3] the position. Goes on when the queue has run empty. */
static void pump(struct conn *c)
{
    while (c->v[1] && !c->queued && !c->closing) {
        size_t at = c->v[3] % BLOCK, n = BLOCK - at;
        n = c->v[1] < n ? (size_t)c->v[1] : n;
        n = c->v[2] && c->v[2] < n ? (size_t)c->v[2] : n;
        answer_chunk(c, block + at, n);
        c->v[1] -= n;
        c->v[3] += n;
    }
    if (!c->v[1] && !c->closing)
        answer_done(c);
}

static void send_bytes(struct conn *c)
{
    if (c->v[1] <= BLOCK && !c->v[2]) {
        answer(c, 200, "OK", "application/octet-stream", NULL, block, (size_t)c->v[1]);
        return;
    }
    answer_head(c, 200, "OK", "application/octet-stream", NULL, c->v[2] ? LENGTH_CHUNKED : (int64_t)c->v[1]);
    if (c->head_only) {
        c->chunked_answer = false;
        answer_done(c);
        return;
    }
    c->on_drain = pump;
    pump(c);
}

static void begin_bytes(struct conn *c)
{
    need_block();
    c->v[1] = query_number(c, STR("size"), c->wanted ? c->wanted : 1024);
    c->v[2] = query_number(c, STR("chunk"), 0);
    uint64_t delay = query_number(c, STR("delay_ms"), 0);
    if (delay)
        conn_arm(c, delay, send_bytes);
    else
        send_bytes(c);
}

static void sink_free(void *hash)
{
    EVP_MD_CTX_free(hash);
}

static void sink_bytes(struct conn *c, const char *p, size_t n)
{
    EVP_DigestUpdate(c->data, p, n);
}

static void sink_end(struct conn *c)
{
    unsigned char sum[32];
    char text[160];
    unsigned n = 0;
    EVP_DigestFinal_ex(c->data, sum, &n);
    int k = snprintf(text, sizeof text, "length %llu\nsha256 ", (unsigned long long)c->body_seen);
    for (unsigned i = 0; i < n; i++)
        k += snprintf(text + k, sizeof text - (size_t)k, "%02x", sum[i]);
    snprintf(text + k, sizeof text - (size_t)k, "\n");
    answer_text(c, 200, "OK", text);
}

/* v[0]: some byte was not the pattern's. Far cheaper than a hash: a sink for benchmarks. */
static void compare_bytes(struct conn *c, const char *p, size_t n)
{
    uint64_t from = c->body_seen - n;
    while (n) {
        size_t at = (size_t)(from % BLOCK), k = BLOCK - at < n ? BLOCK - at : n;
        c->v[0] |= memcmp(block + at, p, k) != 0;
        from += k;
        p += k;
        n -= k;
    }
}

static void compare_end(struct conn *c)
{
    char text[96];
    snprintf(text, sizeof text, "length %llu\npattern %s\n", (unsigned long long)c->body_seen,
             c->v[0] ? "differs" : "same");
    answer_text(c, 200, "OK", text);
}

void owa_begin(struct conn *c)
{
    struct str check;
    if (!str_eq_nocase(c->path, STR("/owa/sink")))
        return;
    if (query_get(c, STR("check"), &check) && str_eq(check, STR("pattern"))) {
        need_block();
        c->on_body = compare_bytes;
        c->on_end = compare_end;
        return;
    }
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(hash);
        conn_reset(c);
        return;
    }
    conn_hold_data(c, hash, sink_free);
    c->on_body = sink_bytes;
    c->on_end = sink_end;
}

void owa_finish(struct conn *c)
{
    if (str_ends_nocase(c->path, STR("/healthcheck.htm")))
        answer_text(c, 200, "OK", "200 OK\nsimulated\n");
    else if (str_eq_nocase(c->path, STR("/owa/bytes")) || str_eq_nocase(c->path, STR("/owa/resource")))
        begin_bytes(c);
    else if (str_eq_nocase(c->path, STR("/owa/logon")))
        answer(c, 302, "Found", NULL, "Location: /owa/\r\nSet-Cookie: cadata=sim; path=/owa; HttpOnly\r\n",
               NULL, 0);
    else
        page(c);
}
