/* answer: response heads, chunks, and answers that come in instalments. */
#include <stdio.h>
#include <stdlib.h>
#include "cas.h"

#define HEAD_ROOM 2048

struct series {
    uint64_t start, interval, count, sent;
    void (*each)(struct conn *);
    void (*last)(struct conn *);
};

static int head_text(struct conn *c, char *to, size_t size, int status, const char *reason, const char *type,
                     const char *more, int64_t length)
{
    char framing[64] = "";
    if (length == LENGTH_CHUNKED && c->minor == 0)
        c->keep = false;
    else if (length == LENGTH_CHUNKED) {
        c->chunked_answer = true;
        snprintf(framing, sizeof framing, "Transfer-Encoding: chunked\r\n");
    } else if (length >= 0)
        snprintf(framing, sizeof framing, "Content-Length: %lld\r\n", (long long)length);
    /* A rest of a body too long to read away ends the connection. */
    if (c->has_body && !c->chunked && c->body_left > DRAIN_MAX)
        c->keep = false;
    const char *user = c->bound_user[0] ? c->bound_user : NULL;
    return snprintf(to, size, "HTTP/1.1 %d %s\r\nServer: " SIM_SERVER "\r\n%s%s%s%s%s%s%s%s%s%s%s%s\r\n",
                    status, reason, type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "",
                    framing, more ? more : "", user ? "X-Sim-Connection-User: " : "", user ? user : "",
                    user ? "\r\n" : "", c->tag[0] ? "X-Load-Tag: " : "", c->tag, c->tag[0] ? "\r\n" : "",
                    !c->keep        ? "Connection: close\r\n"
                    : c->minor == 0 ? "Connection: keep-alive\r\n"
                                    : "");
}

void answer_head(struct conn *c, int status, const char *reason, const char *type, const char *more,
                 int64_t length)
{
    char head[HEAD_ROOM];
    int n = head_text(c, head, sizeof head, status, reason, type, more, length);
    if (n < 0 || (size_t)n >= sizeof head)
        conn_reset(c);
    else
        conn_write(c, head, (size_t)n);
}

/* What a comment may be put behind. */
static bool is_markup(const char *type)
{
    return type && (str_starts_nocase(str_of(type), STR("text/html")) ||
                    str_starts_nocase(str_of(type), STR("text/xml")));
}

/* As many bytes as are wanted, by a comment at the end; one that is shorter than its own frame is left away. */
static void answer_padded(struct conn *c, int status, const char *reason, const char *type, const char *more,
                          const void *body, size_t n)
{
    static const char open[] = "<!-- ", shut[] = " -->\n";
    size_t frame = sizeof open + sizeof shut - 2, size = (size_t)c->wanted;
    char *out = size - n >= frame ? malloc(size) : NULL, *to = out;
    c->wanted = 0;
    if (!out) {
        answer(c, status, reason, type, more, body, n);
        return;
    }
    to = mempcpy(to, body, n);
    to = mempcpy(to, open, sizeof open - 1);
    memset(to, '.', size - n - frame);
    memcpy(to + (size - n - frame), shut, sizeof shut - 1);
    answer(c, status, reason, type, more, out, size);
    free(out);
}

void answer(struct conn *c, int status, const char *reason, const char *type, const char *more,
            const void *body, size_t n)
{
    char out[16384];
    if (c->wanted > n && status == 200 && is_markup(type)) {
        answer_padded(c, status, reason, type, more, body, n);
        return;
    }
    int k = head_text(c, out, sizeof out, status, reason, type, more, (int64_t)n);
    if (k < 0 || (size_t)k >= sizeof out) {
        conn_reset(c);
        return;
    }
    size_t used = (size_t)k;
    if (c->head_only)
        n = 0;
    if (n <= sizeof out - used) {
        if (n)
            memcpy(out + used, body, n);
        conn_write(c, out, used + n);
    } else {
        conn_write(c, out, used);
        conn_write(c, body, n);
    }
    answer_done(c);
}

void answer_text(struct conn *c, int status, const char *reason, const char *text)
{
    answer(c, status, reason, "text/plain; charset=utf-8", NULL, text, strlen(text));
}

void answer_chunk(struct conn *c, const void *data, size_t n)
{
    char out[4096];
    if (!c->chunked_answer) {
        conn_write(c, data, n);
        return;
    }
    int k = snprintf(out, sizeof out, "%zx\r\n", n);
    if (n + (size_t)k + 2 > sizeof out) {
        conn_write(c, out, (size_t)k);
        conn_write(c, data, n);
        conn_write(c, "\r\n", 2);
        return;
    }
    memcpy(out + k, data, n);
    memcpy(out + k + n, "\r\n", 2);
    conn_write(c, out, (size_t)k + n + 2);
}

void answer_done(struct conn *c)
{
    if (c->closing || c->answered)
        return;
    if (c->chunked_answer)
        conn_write(c, "0\r\n\r\n", 5);
    if (c->closing)
        return;
    c->answered = true;
    conn_disarm(c);
    c->on_drain = NULL;
    if (!c->keep) {
        conn_finish(c);
        return;
    }
    if (c->has_body || c->feeding || c->state != CONN_HOLD)
        return;
    http_request_reset(c);
    conn_resume(c);
}

static void series_next(struct conn *c)
{
    struct series *s = c->data;
    if (s->sent == s->count) {
        s->last(c);
        return;
    }
    c->v[0] = ++s->sent;
    s->each(c);
    if (c->closing)
        return;
    uint64_t due = s->start + s->interval * (s->sent + 1), now = conn_now(c);
    conn_arm(c, due > now ? due - now : 0, series_next);
}

void answer_series(struct conn *c, uint64_t interval_ms, uint64_t count, void (*each)(struct conn *),
                   void (*last)(struct conn *))
{
    struct series *s = malloc(sizeof *s);
    if (!s) {
        conn_reset(c);
        return;
    }
    *s = (struct series){conn_now(c), interval_ms, count, 0, each, last};
    conn_hold_data(c, s, free);
    conn_arm(c, count ? interval_ms : 0, series_next);
}
