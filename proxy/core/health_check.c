/*
 * One active check: GET on a connection of its own, verified like the traffic's. Only the status counts; the
 * connection is closed when the head has come. A round tries the server's addresses in turn and is over
 * within health_timeout.
 */
#include <stdio.h>

#include <postern/certificates.h>

#include "health_int.h"

#define HEAD_ROOM 4096 /* of the arena, beyond the head's own bytes */

static void round_begin(struct wheel_node *n);

/* ---- the verdict ---- */

bool health_status_alive(const struct conf_strings *list, int status)
{
    char digits[4];

    snprintf(digits, sizeof(digits), "%03d", status >= 0 && status <= 999 ? status : 0);
    for (size_t i = 0; i < list->n; i++) {
        struct str s = list->v[i];
        bool same = s.n == 3;
        for (size_t k = 0; same && k < 3; k++)
            same = ascii_lower(s.p[k]) == 'x' || s.p[k] == digits[k];
        if (same)
            return true;
    }
    return false;
}

static void check_report(const struct health_check *c, bool up, enum reason why, int status,
                         const char *detail)
{
    const struct health_server *s = c->server;
    enum log_event_id event = up ? LOG_EV_BACKEND_UP : LOG_EV_BACKEND_DOWN;
    struct log_field fields[6] = {LF_STR("backend", s->backend->conf->name),
                                  LF_STR("server", s->state->server->url),
                                  LF_STR("path", s->backend->paths[c->path])};
    size_t n = 3;

    if (status > 0)
        fields[n++] = LF_U64("status", status);
    else
        fields[n++] = LF_REASON(why);
    if (detail[0] != '\0')
        fields[n++] = LF_STR("detail", str_of(detail));
    log_emit(event, fields, n);
}

/* `status` 0: no answer came, `why` says what instead. */
static void check_decide(struct health_check *c, bool alive, enum reason why, int status, const char *detail)
{
    const struct conf_backend *conf = c->server->backend->conf;

    c->decided = true;
    c->alive_n = alive ? c->alive_n + 1 : 0;
    c->dead_n = alive ? 0 : c->dead_n + 1;
    if (alive && c->alive_n >= conf->health_up && server_state_set_path(c->server->state, c->path, true))
        check_report(c, true, why, status, "");
    if (!alive && c->dead_n >= conf->health_down && server_state_set_path(c->server->state, c->path, false))
        check_report(c, false, why, status, detail);
}

static void round_end(struct health_check *c, bool alive, enum reason why, int status)
{
    const char *detail = alive        ? ""
                         : status > 0 ? "health_alive does not list the status"
                                      : stream_fail_text(&c->stream);

    worker_cancel(c->server->health->worker, &c->timer);
    check_decide(c, alive, why, status, detail);
    stream_close(&c->stream);
}

/* ---- one attempt after the other ---- */

static struct health_check *check_of_timer(struct wheel_node *n)
{
    return (struct health_check *)(void *)((char *)n - offsetof(struct health_check, timer));
}

static uint64_t round_left(const struct health_check *c)
{
    uint64_t now = worker_now(c->server->health->worker);
    uint64_t end = c->began_ms + c->server->backend->conf->health_timeout;

    return end > now ? end - now : 0;
}

static void round_again(struct health_check *c)
{
    const struct conf_backend *conf = c->server->backend->conf;
    uint64_t spent = worker_now(c->server->health->worker) - c->began_ms;
    uint64_t wait = spent < conf->health_interval ? conf->health_interval - spent : conf->health_interval / 2;

    worker_arm(c->server->health->worker, &c->timer, wait, round_begin);
}

/* An address that cannot be reached: the next one's turn, when this socket is closed. */
static void attempt_failed(struct health_check *c, enum reason why)
{
    if (c->connected || c->left == 0 || round_left(c) == 0) {
        round_end(c, false, why, 0);
        return;
    }
    worker_cancel(c->server->health->worker, &c->timer);
    stream_close(&c->stream);
}

static void attempt_timeout(struct wheel_node *n)
{
    struct health_check *c = check_of_timer(n);

    attempt_failed(c, c->connected ? REASON_BACKEND_TIMEOUT : REASON_BACKEND_CONNECT_TIMEOUT);
}

static void attempt_begin(struct health_check *c)
{
    struct health_server *s = c->server;
    struct worker *w = s->health->worker;
    const struct sockaddr *to = (const struct sockaddr *)&c->to.v[c->address];

    if (stream_init(&c->stream, w, &health_stream_handler) < 0) {
        round_again(c);
        return;
    }
    c->open = true;
    s->health->open++;
    worker_arm(w, &c->timer, round_left(c) / (c->left + 1) + 1, attempt_timeout);
    if (stream_connect(&c->stream, to, s->state->server->https ? s->tls : NULL, s->slot) < 0)
        attempt_failed(c, REASON_BACKEND_REFUSED);
}

static void round_begin(struct wheel_node *n)
{
    struct health_check *c = check_of_timer(n);
    unsigned addresses = server_state_addresses(c->server->state, &c->to);

    c->began_ms = worker_now(c->server->health->worker);
    c->connected = c->decided = false;
    c->address = 0;
    /* A server without addresses gets no requests anyway. */
    if (addresses == 0) {
        round_again(c);
        return;
    }
    c->left = addresses - 1;
    attempt_begin(c);
}

/* ---- the question ---- */

static struct str check_host(const struct health_check *c, char *room, size_t size)
{
    const struct health_server *s = c->server;
    const struct conf_server *server = s->state->server;
    bool bare6 = memchr(server->host.p, ':', server->host.n) != NULL && server->host.p[0] != '[';
    int n;

    if (s->backend->conf->host_header.p != NULL)
        return s->backend->conf->host_header;
    if (s->backend->path_hosts[c->path].p != NULL)
        return s->backend->path_hosts[c->path];
    n = snprintf(room, size, bare6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(server->host), (unsigned)server->port);
    return (struct str){room, n > 0 && (size_t)n < size ? (size_t)n : 0};
}

static void check_ask(struct health_check *c)
{
    char room[300];
    struct str host = check_host(c, room, sizeof(room)), path = c->server->backend->paths[c->path];
    struct str tail = STR("\r\nUser-Agent: Postern-Health\r\nConnection: close\r\n\r\n");
    struct str parts[] = {STR("GET "), path, STR(" HTTP/1.1\r\nHost: "), host, tail};
    struct iovec iov[5];

    for (int i = 0; i < 5; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)parts[i].p, parts[i].n};
    (void)stream_write(&c->stream, iov, 5); /* on_fail tells */
}

/* ---- Extended Protection ---- */

/* Whether clients sign in to this backend by themselves. */
static bool passes_authentication(const struct snapshot *s, const struct conf_backend *b)
{
    for (size_t i = 0; i < s->publish_n; i++) {
        if (s->publish[i].to == b && s->publish[i].basic == NULL)
            return true;
    }
    return false;
}

/* Windows authentication that passes through is bound to the certificate that the client has seen: ours (RFC 5929 4). Once per server
 * and configuration. */
static void compare_certificates(struct health_server *s, const struct stream *stream)
{
    const struct snapshot *conf = s->health->snapshot;
    unsigned char sha256[32];

    if (s->compared || !stream_tls_peer_sha256(stream, sha256))
        return;
    s->compared = true;
    if (passes_authentication(conf, s->backend->conf) && !certificates_have(conf, sha256))
        log_event(LOG_EV_EXTENDED_PROTECTION, LF_STR("backend", s->backend->conf->name),
                  LF_STR("server", s->state->server->url));
}

static void check_on_open(struct stream *stream)
{
    struct health_check *c = (struct health_check *)(void *)stream;
    struct health *h = c->server->health;

    if (c->decided || h->stopping)
        return;
    c->connected = true;
    compare_certificates(c->server, stream);
    worker_arm(h->worker, &c->timer, round_left(c) + 1, attempt_timeout);
    arena_init(&c->arena, &h->worker->chunk_pool, h->limits.head_bytes + HEAD_ROOM);
    message_init(&c->message, &c->arena, true);
    h1_begin_response(&c->codec, &c->message, &h->limits, METHOD_GET);
    check_ask(c);
}

static void check_on_data(struct stream *stream, char *data, size_t n)
{
    struct health_check *c = (struct health_check *)(void *)stream;
    const char *p = data, *end = data + n;

    while (!c->decided) {
        struct str body;
        enum h1_event e = h1_next(&c->codec, &p, end, &body);
        if (e == H1_MORE)
            return;
        if (e == H1_BAD)
            round_end(c, false, REASON_BACKEND_BAD_RESPONSE, 0);
        else if (e == H1_HEAD && c->message.status >= 200)
            round_end(c, health_status_alive(&c->server->backend->conf->health_alive, c->message.status),
                      REASON_OK, c->message.status);
        else if (e == H1_END)
            h1_begin_response(&c->codec, &c->message, &c->server->health->limits,
                              METHOD_GET); /* after a 1xx */
    }
}

static void check_on_eof(struct stream *stream, bool clean)
{
    struct health_check *c = (struct health_check *)(void *)stream;

    if (!c->decided)
        attempt_failed(c, c->connected ? REASON_BACKEND_CLOSED : REASON_BACKEND_REFUSED);
}

static void check_on_drained(struct stream *stream)
{
}

static void check_on_fail(struct stream *stream, enum reason why)
{
    struct health_check *c = (struct health_check *)(void *)stream;

    if (!c->decided)
        attempt_failed(c, why);
}

static void check_on_closed(struct stream *stream)
{
    struct health_check *c = (struct health_check *)(void *)stream;
    struct health *h = c->server->health;

    c->open = false;
    if (c->connected)
        arena_release(&c->arena);
    h->open--;
    if (h->stopping) {
        health_closed(h);
    } else if (c->decided) {
        round_again(c);
    } else {
        c->left--;
        c->address++;
        attempt_begin(c);
    }
}

const struct stream_handler health_stream_handler = {
    .on_open = check_on_open,
    .on_data = check_on_data,
    .on_eof = check_on_eof,
    .on_drained = check_on_drained,
    .on_fail = check_on_fail,
    .on_closed = check_on_closed,
};

void health_check_start(struct health_check *c, struct health_server *s, unsigned path, uint64_t delay_ms)
{
    c->server = s;
    c->path = path;
    worker_arm(s->health->worker, &c->timer, delay_ms, round_begin);
}

void health_check_stop(struct health_check *c)
{
    worker_cancel(c->server->health->worker, &c->timer);
    c->decided = true;
    if (c->open)
        stream_close(&c->stream);
}
