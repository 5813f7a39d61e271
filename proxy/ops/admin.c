/*
 * Metrics, health and status for those on this machine. Bounded: so many connections, so many octets of
 * question, so many seconds; one answer and the connection is closed.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <postern/rules.h>

#include "admin_int.h"

struct admin_connection {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } h;
    uv_timer_t timer;
    uv_write_t write;
    struct desk *desk;
    struct admin *admin;
    struct admin_connection *next, **link;
    unsigned open; /* handles */
    char question[ADMIN_QUESTION_MAX];
    size_t n;
    char *answer;
};

/* ---- closing ---- */

static void admin_unhandle(struct admin *a)
{
    if (--a->handles > 0 || !a->stopping)
        return;
    free(a->desks[0]);
    free(a->desks[1]);
    free(a);
}

static void connection_closed(uv_handle_t *h)
{
    struct admin_connection *c = h->data;
    struct admin *a = c->admin;

    if (--c->open == 0) {
        *c->link = c->next;
        if (c->next != NULL)
            c->next->link = c->link;
        a->connections--;
        free(c->answer);
        free(c);
    }
    admin_unhandle(a);
}

static void connection_close(struct admin_connection *c)
{
    if (uv_is_closing((uv_handle_t *)&c->timer))
        return;
    uv_close((uv_handle_t *)&c->h.stream, connection_closed);
    uv_close((uv_handle_t *)&c->timer, connection_closed);
}

static void connection_late(uv_timer_t *t)
{
    connection_close(t->data);
}

/* ---- question and answer ---- */

static void answer_written(uv_write_t *w, int status)
{
    connection_close(w->data);
}

static void connection_answer(struct admin_connection *c, struct str question)
{
    size_t n = 0;
    FILE *to = open_memstream(&c->answer, &n);
    uv_buf_t b;

    uv_read_stop(&c->h.stream);
    if (to == NULL) {
        connection_close(c);
        return;
    }
    c->desk->answer(c->admin, question, to);
    if (fclose(to) != 0 || uv_is_closing((uv_handle_t *)&c->timer)) {
        connection_close(c);
        return;
    }
    b = uv_buf_init(c->answer, (unsigned)n);
    c->write.data = c;
    if (uv_write(&c->write, &c->h.stream, &b, 1, answer_written) < 0)
        connection_close(c);
}

static void connection_lend(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    struct admin_connection *c = h->data;

    *b = uv_buf_init(c->question + c->n, (unsigned)(sizeof(c->question) - c->n));
}

static void connection_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct admin_connection *c = s->data;
    const char *end;

    if (n < 0) {
        connection_close(c);
        return;
    }
    c->n += (size_t)n;
    end = memmem(c->question, c->n, c->desk->end, strlen(c->desk->end));
    if (end != NULL)
        connection_answer(c, (struct str){c->question, (size_t)(end - c->question)});
    else if (c->n == sizeof(c->question))
        connection_close(c);
}

/* ---- accepting ---- */

static int stream_init(uv_loop_t *loop, uv_stream_t *s, bool pipe)
{
    return pipe ? uv_pipe_init(loop, (uv_pipe_t *)s, 0) : uv_tcp_init(loop, (uv_tcp_t *)s);
}

static void connection_new(uv_stream_t *server, int status)
{
    struct desk *d = server->data;
    struct admin *a = d->admin;
    struct admin_connection *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;

    if (c == NULL)
        return;
    c->desk = d;
    c->admin = a;
    stream_init(a->loop, &c->h.stream, server->type == UV_NAMED_PIPE);
    uv_timer_init(a->loop, &c->timer);
    c->h.stream.data = c->timer.data = c;
    c->open = 2;
    a->handles += 2;
    c->next = a->list;
    c->link = &a->list;
    if (a->list != NULL)
        a->list->link = &c->next;
    a->list = c;
    a->connections++;
    if (uv_accept(server, &c->h.stream) < 0 || a->connections > ADMIN_CONNECTIONS ||
        uv_timer_start(&c->timer, connection_late, ADMIN_DEADLINE_MS, 0) < 0 ||
        uv_read_start(&c->h.stream, connection_lend, connection_read) < 0)
        connection_close(c);
}

/* ---- HTTP ---- */

struct status_now admin_now(struct admin *a)
{
    return (struct status_now){
        .engine = a->engine, .uptime_s = (uv_now(a->loop) - a->started_ms) / 1000, .draining = a->draining};
}

static void emit_text(void *ctx, const char *text, size_t n)
{
    fwrite(text, 1, n, ctx);
}

static void emit_rule(void *ctx, const char *name, uint64_t denied, uint64_t observed)
{
    fprintf(ctx, "postern_rule_matches_total{rule=\"%s\",mode=\"deny\"} %llu\n", name,
            (unsigned long long)denied);
    fprintf(ctx, "postern_rule_matches_total{rule=\"%s\",mode=\"observe\"} %llu\n", name,
            (unsigned long long)observed);
}

static void page_metrics(struct admin *a, FILE *to)
{
    struct metrics m;

    engine_metrics(a->engine, &m);
    metrics_write(&m, emit_text, to);
    fputs("# HELP postern_rule_matches_total requests that a rule refused or observed\n"
          "# TYPE postern_rule_matches_total counter\n",
          to);
    rules_each(emit_rule, to);
}

static void page_health(struct admin *a, FILE *to)
{
    fputs(a->draining ? "stopping\n" : "ok\n", to);
}

static void page_status(struct admin *a, FILE *to)
{
    struct status_now now = admin_now(a);

    status_json(&now, to);
}

static const struct page {
    const char *path, *type;
    void (*write)(struct admin *a, FILE *to);
} pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics},
    {"/health", "text/plain; charset=utf-8", page_health},
    {"/status", "application/json", page_status},
};

static void http_write(FILE *to, const char *status, const char *type, const char *body, size_t n, bool head)
{
    fprintf(to,
            "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
            "Connection: close\r\n\r\n",
            status, type, n);
    if (!head)
        fwrite(body, 1, n, to);
}

static void http_page(struct admin *a, const struct page *p, FILE *to)
{
    bool unwell = a->draining && strcmp(p->path, "/health") == 0;
    char *body = NULL;
    size_t n = 0;
    FILE *b = open_memstream(&body, &n);

    if (b == NULL)
        return;
    p->write(a, b);
    if (fclose(b) == 0)
        http_write(to, unwell ? "503 Service Unavailable" : "200 OK", p->type, body, n, false);
    free(body);
}

/* GET and one space, a known path, one space, HTTP/1.x: whatever is not exactly that is refused. */
void admin_answer_http(struct admin *a, struct str question, FILE *to)
{
    struct str line, method, path, version;
    const char *fault = "400 Bad Request";

    if (str_next(&question, '\n', &line) && str_next(&line, ' ', &method) && str_next(&line, ' ', &path) &&
        str_next(&line, ' ', &version) && line.n == 0 &&
        (str_eq(str_trim(version), STR("HTTP/1.1\r")) || str_eq(version, STR("HTTP/1.1")) ||
         str_eq(version, STR("HTTP/1.0\r")) || str_eq(version, STR("HTTP/1.0")))) {
        fault = str_eq(method, STR("GET")) ? "404 Not Found" : "405 Method Not Allowed\r\nAllow: GET";
        for (size_t i = 0; fault[2] == '4' && i < sizeof(pages) / sizeof(pages[0]); i++) {
            if (str_eq(path, str_of(pages[i].path))) {
                http_page(a, &pages[i], to);
                return;
            }
        }
    }
    http_write(to, fault, "text/plain", "", 0, false);
}

/* ---- start and stop ---- */

static bool somebody_answers(const struct sockaddr_un *u)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)u, sizeof(*u)) == 0;

    if (fd >= 0)
        close(fd);
    return answers;
}

/* A socket that a dead process left is replaced; one that answers is another Postern's. */
static int desk_bind_path(struct desk *d, struct str path)
{
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    struct stat st;
    mode_t mask;
    int error;

    if (path.n >= sizeof(u.sun_path))
        return UV_ENAMETOOLONG;
    memcpy(u.sun_path, path.p, path.n);
    if (lstat(u.sun_path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        if (somebody_answers(&u))
            return UV_EADDRINUSE;
        unlink(u.sun_path);
    }
    mask = umask(0177);
    error = uv_pipe_bind(&d->h.pipe, u.sun_path);
    umask(mask);
    return error;
}

static int desk_listen(struct desk *d, const struct conf_address *tcp, struct str path)
{
    int error = path.p != NULL ? desk_bind_path(d, path)
                               : uv_tcp_bind(&d->h.tcp, (const struct sockaddr *)&tcp->sa, 0);

    return error < 0 ? error : uv_listen(&d->h.stream, 16, connection_new);
}

static bool desk_open(struct admin *a, unsigned i, const struct conf_address *tcp, struct str path,
                      struct conf_findings *f)
{
    struct desk *d = calloc(1, sizeof(*d));
    struct str where = path.p != NULL ? path : tcp->text;
    int error;

    if (d == NULL)
        return false;
    a->desks[i] = d;
    d->admin = a;
    d->end = i == 0 ? "\r\n\r\n" : "\n";
    d->answer = i == 0 ? admin_answer_http : admin_answer_control;
    stream_init(a->loop, &d->h.stream, path.p != NULL);
    d->h.stream.data = d;
    a->handles++;
    error = desk_listen(d, tcp, path);
    if (error < 0)
        conf_finding_add(f, i == 0 ? CONF_ERROR : CONF_WARNING, (struct conf_mark){0},
                         "%s: cannot listen on %.*s: %s", i == 0 ? "admin" : "control_socket", STR_ARG(where),
                         uv_strerror(error));
    return error == 0 || i == 1; /* without a control socket mail still flows */
}

struct admin *admin_start(uv_loop_t *loop, struct engine *e, const struct admin_calls *calls,
                          const struct conf_process *p, struct conf_findings *f)
{
    struct admin *a = calloc(1, sizeof(*a));
    struct str path = STR_NULL;
    bool good = a != NULL;

    if (!good)
        return NULL;
    a->loop = loop;
    a->engine = e;
    a->calls = *calls;
    a->started_ms = uv_now(loop);
    if (p->admin.len > 0 && p->admin.sa.ss_family == AF_UNIX)
        path = str_of(((const struct sockaddr_un *)&p->admin.sa)->sun_path);
    if (p->admin.len > 0)
        good = desk_open(a, 0, &p->admin, path, f);
    if (good && p->control_socket.n > 0)
        good = desk_open(a, 1, NULL, p->control_socket, f);
    if (good)
        return a;
    admin_stop(a);
    return NULL;
}

void admin_draining(struct admin *a)
{
    a->draining = true;
}

static void desk_closed(uv_handle_t *h)
{
    admin_unhandle(((struct desk *)h->data)->admin);
}

/* libuv removes the sockets' files. */
void admin_stop(struct admin *a)
{
    a->stopping = true;
    a->handles++; /* ours, while handles are being closed */
    for (struct admin_connection *c = a->list; c != NULL; c = c->next)
        connection_close(c);
    for (unsigned i = 0; i < 2; i++) {
        if (a->desks[i] != NULL)
            uv_close((uv_handle_t *)&a->desks[i]->h.stream, desk_closed);
    }
    admin_unhandle(a);
}
