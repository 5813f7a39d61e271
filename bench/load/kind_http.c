/* kind_http: single requests: small ones, downloads, uploads, handshakes, connections that stay, wrong passwords. */
#include <postern/str.h>
#include "kinds.h"

static int first_status(const struct entry *e, int otherwise)
{
    return e->status.n ? (int)e->status.of[0] : otherwise;
}

/* Size 0: any answer, for servers that send no pattern. What is no 200 has a body of its own. */
static void get(struct client *c, bool last)
{
    const struct entry *e = c->entry;
    char target[1024], delay[48] = "";
    int status = first_status(e, 200);
    bool measured = c->size && status == 200;
    if (e->delay)
        snprintf(delay, sizeof delay, "&delay_ms=%llu", (unsigned long long)e->delay);
    if (c->size)
        snprintf(target, sizeof target, "%s%ssize=%llu%s", e->path, kinds_join(e->path),
                 (unsigned long long)c->size, delay);
    else
        snprintf(target, sizeof target, "%s", e->path);
    call_send(&c->calls[0],
              &(struct ask){.op = 1,
                            .method = e->method,
                            .target = target,
                            .status = status,
                            .statuses = &e->status,
                            .length = measured ? (int64_t)c->size : -1,
                            .check = e->begins  ? CHECK_TEXT
                                     : measured ? CHECK_PATTERN
                                                : CHECK_NONE,
                            .text = e->begins,
                            .timeout = e->delay ? e->delay + c->thread->scenario->timeout : 0,
                            .last = last},
              c->due);
}

static void begin_get(struct client *c)
{
    get(c, false);
}

static void answered(struct client *c, struct call *call)
{
    client_done(c);
}

static void request_defaults(struct entry *e)
{
    e->size = (struct span){1024, 1024};
}

static void download_defaults(struct entry *e)
{
    e->size = (struct span){1048576, 1048576};
}

const struct kind kind_request = {
    .name = "request",
    .doc = "a GET of `size` bytes (1k) on a kept connection",
    .ops = (const char *const[]){"connect", "request", NULL},
    .defaults = request_defaults,
    .begin = begin_get,
    .answered = answered,
};

const struct kind kind_download = {
    .name = "download",
    .doc = "an attachment of `size` bytes (1M)",
    .ops = (const char *const[]){"connect", "download", NULL},
    .defaults = download_defaults,
    .begin = begin_get,
    .answered = answered,
};

/* --- uploads --- */

struct upload {
    char expected[96];
};

static void upload_defaults(struct entry *e)
{
    e->size = (struct span){1048576, 1048576};
    e->path = "/owa/sink?check=pattern";
}

static void begin_upload(struct client *c)
{
    struct upload *u = c->state;
    const struct entry *e = c->entry;
    int n =
        snprintf(u->expected, sizeof u->expected, "length %llu\npattern same\n", (unsigned long long)c->size);
    call_send(&c->calls[0],
              &(struct ask){.op = 1,
                            .method = "POST",
                            .target = e->path,
                            .fields = "Content-Type: application/octet-stream\r\n",
                            .pattern_n = c->size,
                            .status = 200,
                            .length = n,
                            .check = CHECK_TEXT,
                            .text = u->expected},
              c->due);
}

const struct kind kind_upload = {
    .name = "upload",
    .doc = "a POST of `size` bytes (1M), whose content the server checks",
    .ops = (const char *const[]){"connect", "upload", NULL},
    .state = sizeof(struct upload),
    .defaults = upload_defaults,
    .begin = begin_upload,
    .answered = answered,
};

/* --- handshakes --- */

static void handshake_defaults(struct entry *e)
{
    e->size = (struct span){64, 64};
    e->keep = false;
}

static void begin_handshake(struct client *c)
{
    get(c, true);
}

const struct kind kind_handshake = {
    .name = "handshake",
    .doc = "a new connection for one request; see `tls` and `resume`",
    .ops = (const char *const[]){"connect", "request", NULL},
    .defaults = handshake_defaults,
    .begin = begin_handshake,
    .answered = answered,
};

/* --- idle connections --- */

static void stay(struct client *c, struct call *call)
{
}

const struct kind kind_idle = {
    .name = "idle",
    .doc = "one request, then the connection stays open unused",
    .ops = (const char *const[]){"connect", "request", NULL},
    .defaults = request_defaults,
    .begin = begin_get,
    .answered = stay,
};

/* --- wrong passwords --- */

struct wrong {
    uint64_t tries;
};

static void wrong_defaults(struct entry *e)
{
    e->path = "/owa/";
}

static void begin_wrong(struct client *c)
{
    struct wrong *w = c->state;
    char pair[320], line[512] = "Authorization: Basic ";
    int n = snprintf(pair, sizeof pair, "%s:wrong-%llu", c->user, (unsigned long long)++w->tries);
    size_t at = strlen(line);
    ptrdiff_t k = str_base64_encode(pair, (size_t)n, line + at, sizeof line - at - 3);
    memcpy(line + at + (k > 0 ? k : 0), "\r\n", 3);
    call_send(&c->calls[0],
              &(struct ask){.op = 1,
                            .method = "GET",
                            .target = c->entry->path,
                            .fields = line,
                            .status = first_status(c->entry, 401),
                            .statuses = &c->entry->status,
                            .length = -1,
                            .anonymous = true},
              c->due);
}

const struct kind kind_wrong_password = {
    .name = "wrong_password",
    .doc = "a request whose password is wrong, each time another; 401 is the right answer, or see `status`",
    .ops = (const char *const[]){"connect", "refusal", NULL},
    .state = sizeof(struct wrong),
    .defaults = wrong_defaults,
    .begin = begin_wrong,
    .answered = answered,
};
