/* faults: /sim/NAME answers wrongly, or rightly in an unusual way, so that proxies can be tested. One row each. */
#include <stdio.h>
#include <stdlib.h>
#include "cas.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nServer: " SIM_SERVER "\r\n"
enum { KEEP, FINISH, RESET, HOLD };

struct fault {
    struct str name;
    const char *bytes;
    int then;
};

static const struct fault faults[] = {
    {STR("reset"), "", RESET},
    {STR("half-head"), "HTTP/1.1 200 OK\r\nContent-Le", FINISH},
    {STR("half-head-reset"), "HTTP/1.1 200 OK\r\nContent-Le", RESET},
    {STR("truncated"), OK_HEAD "Content-Length: 1000\r\n\r\nonly this", FINISH},
    {STR("truncated-chunk"), OK_HEAD "Transfer-Encoding: chunked\r\n\r\n64\r\nonly this", FINISH},
    {STR("reset-body"), OK_HEAD "Content-Length: 1000\r\n\r\nonly this", RESET},
    {STR("garbage"), "\x16\x03\x01 this is not HTTP\r\n\r\n", FINISH},
    {STR("no-notify"), OK_HEAD "Content-Length: 3\r\nConnection: close\r\n\r\nok\n", FINISH},
    {STR("no-notify-body"), OK_HEAD "Connection: close\r\n\r\nok\n", FINISH},
    {STR("early-hints"),
     "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" OK_HEAD
     "Content-Length: 3\r\n\r\nok\n",
     KEEP},
    {STR("informational"),
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" OK_HEAD
     "Content-Length: 3\r\n\r\nok\n",
     KEEP},
    {STR("dup-length"), OK_HEAD "Content-Length: 3\r\nContent-Length: 4\r\n\r\nok\n\n", FINISH},
    {STR("length-and-chunked"),
     OK_HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n", FINISH},
    {STR("bad-chunk"), OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\nzz\r\nmore\r\n0\r\n\r\n",
     FINISH},
    {STR("http10"), "HTTP/1.0 200 OK\r\nServer: " SIM_SERVER "\r\n\r\nclosed by the end\n", FINISH},
    {STR("204"), "HTTP/1.1 204 No Content\r\n\r\n", KEEP},
    {STR("304"), "HTTP/1.1 304 Not Modified\r\nETag: \"sim\"\r\nContent-Length: 1000\r\n\r\n", KEEP},
    {STR("trailers"),
     OK_HEAD "Transfer-Encoding: chunked\r\nTrailer: X-Sim\r\n\r\n3\r\nok\n\r\n0\r\nX-Sim: yes\r\n\r\n",
     KEEP},
    {STR("no-keep-alive"), OK_HEAD "Content-Length: 3\r\nConnection: close\r\n\r\nok\n", FINISH},
    {STR("never"), "", HOLD},
};

static void play(struct conn *c, const struct fault *f)
{
    c->abrupt = str_starts_nocase(f->name, STR("no-notify"));
    conn_write(c, f->bytes, strlen(f->bytes));
    if (f->then == RESET)
        conn_reset(c);
    else if (f->then == FINISH)
        conn_finish(c);
    else if (f->then == KEEP)
        answer_done(c);
}

static const struct fault *find(struct str name)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (str_eq(name, faults[i].name))
            return &faults[i];
    return NULL;
}

bool fault_known(struct str name)
{
    return find(name) != NULL;
}

bool fault_play(struct conn *c, struct str name)
{
    const struct fault *f = find(name);
    if (f)
        play(c, f);
    return f != NULL;
}

static void drip_one(struct conn *c)
{
    conn_write(c, "x", 1);
}

static void drip(struct conn *c)
{
    uint64_t n = query_number(c, STR("size"), 20), interval = query_number(c, STR("interval_ms"), 100);
    answer_head(c, 200, "OK", "text/plain", NULL, (int64_t)n);
    if (!c->closing)
        answer_series(c, interval, n, drip_one, answer_done);
}

static void huge_head(struct conn *c)
{
    static const char begin[] = OK_HEAD "Content-Length: 3\r\n", end[] = "\r\nok\n";
    uint64_t n = query_number(c, STR("size"), 65536);
    char *out = n <= 4 * 1024 * 1024 ? malloc((size_t)n + 256) : NULL, *to;
    if (!out) {
        answer_text(c, 400, "Bad Request", "size is too large\n");
        return;
    }
    to = mempcpy(out, begin, sizeof begin - 1);
    while ((size_t)(to - out) < n) {
        size_t left = (size_t)n - (size_t)(to - out), fill = left > 1000 ? 990 : left > 10 ? left - 10 : 1;
        to = mempcpy(to, "X-Fill: ", 8);
        memset(to, 'f', fill);
        to = mempcpy(to + fill, "\r\n", 2);
    }
    to = mempcpy(to, end, sizeof end - 1);
    conn_write(c, out, (size_t)(to - out));
    free(out);
    answer_done(c);
}

static struct str name_of(struct conn *c)
{
    return c->path.n > 5 ? (struct str){c->path.p + 5, c->path.n - 5} : STR("");
}

/* What must happen while the body is still coming. */
void sim_begin(struct conn *c)
{
    struct str name = name_of(c);
    if (str_eq(name, STR("early"))) {
        static const char text[] = "HTTP/1.1 413 Content Too Large\r\nServer: " SIM_SERVER
                                   "\r\nContent-Length: 6\r\nConnection: close\r\n\r\nearly\n";
        conn_write(c, text, sizeof text - 1);
        conn_finish(c);
    } else if (str_eq(name, STR("reset-upload")))
        conn_reset(c);
    else if (str_eq(name, STR("continue"))) {
        c->expect = false;
        conn_write(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
}

void sim_finish(struct conn *c)
{
    struct str name = name_of(c);
    if (fault_play(c, name))
        return;
    if (str_eq(name, STR("drip")))
        drip(c);
    else if (str_eq(name, STR("huge-head")))
        huge_head(c);
    else if (str_eq(name, STR("continue")))
        answer_text(c, 200, "OK", "ok\n");
    else
        answer_text(c, 404, "Not Found", "no such fault\n");
}

/* ---- answers of other services, as their query wants them ---- */

static int hex(char c)
{
    const char *digits = "0123456789abcdef",
               *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The value decoded once; nothing that would end a field. */
static void decode(struct str s, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n && n + 1 < size; i++) {
        int c = s.p[i];
        if (c == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            c = hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]);
            i += 2;
        }
        if (c >= 0x20 && c < 0x7f)
            out[n++] = (char)c;
    }
    out[n] = '\0';
}

bool sim_told(struct conn *c)
{
    uint64_t status = query_number(c, STR("sim_status"), 0);
    struct str location;
    char to[1024], more[1200] = "";
    if (c->is_control || status < 200 || status > 599)
        return false;
    if (query_get(c, STR("sim_location"), &location)) {
        decode(location, to, sizeof to);
        snprintf(more, sizeof more, "%s: %s\r\n", status == 451 ? "X-MS-Location" : "Location", to);
    }
    answer(c, (int)status, "Simulated", NULL, more, NULL, 0);
    return true;
}
