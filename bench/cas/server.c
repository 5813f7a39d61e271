/* server: workers, their loops, listening sockets, deadlines and the letters they send each other. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <sys/random.h>
#include "cas.h"

struct mail {
    struct mail *next;
    void (*run)(struct worker *, void *);
    void *data;
};

struct counters counters;
static struct worker *workers;

bool worker_post(struct worker *w, void (*run)(struct worker *, void *), void *data)
{
    struct mail *m = malloc(sizeof *m);
    if (!m)
        return false;
    *m = (struct mail){NULL, run, data};
    uv_mutex_lock(&w->mail_lock);
    bool stopping = w->stop;
    if (!stopping) {
        *w->mail_tail = m;
        w->mail_tail = &m->next;
    }
    uv_mutex_unlock(&w->mail_lock);
    if (stopping)
        free(m);
    else
        uv_async_send(&w->wake);
    return !stopping;
}

static void woken(uv_async_t *handle)
{
    struct worker *w = handle->data;
    uv_mutex_lock(&w->mail_lock);
    struct mail *m = w->mail;
    bool stop = w->stop;
    w->mail = NULL;
    w->mail_tail = &w->mail;
    uv_mutex_unlock(&w->mail_lock);
    while (m) {
        struct mail *next = m->next;
        m->run(w, m->data);
        free(m);
        m = next;
    }
    if (stop)
        uv_stop(&w->loop);
}

static void tick(uv_timer_t *timer)
{
    struct worker *w = timer->data;
    wheel_advance(&w->wheel, uv_now(&w->loop));
}

static void before_sleep(uv_prepare_t *prepare)
{
    struct worker *w = prepare->data;
    uint64_t next = wheel_next(&w->wheel), late = uv_now(&w->loop) - w->wheel.now;
    if (next == UINT64_MAX)
        uv_timer_stop(&w->timer);
    else
        uv_timer_start(&w->timer, tick, next > late ? next - late : 1, 0);
}

static void incoming(uv_stream_t *listener, int status)
{
    if (status == 0)
        conn_accept(listener->data, (uv_tcp_t *)listener, false);
}

static void incoming_control(uv_stream_t *listener, int status)
{
    if (status == 0)
        conn_accept(listener->data, (uv_tcp_t *)listener, true);
}

/* ADDR:PORT or [ADDR]:PORT */
static bool parse_address(const char *text, struct sockaddr_storage *ret)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (!n || n >= sizeof host)
        return false;
    bool bracket = text[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(n - 2u * bracket), text + bracket);
    uint64_t port;
    if (!str_to_u64(str_of(colon + 1), &port) || port > 65535)
        return false;
    return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)ret) == 0 ||
           uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)ret) == 0;
}

/* Binds with SO_REUSEPORT; a port 0 in `at` is replaced by the chosen one, so that the next worker gets the same. */
static bool listen_at(struct worker *w, uv_tcp_t *tcp, struct sockaddr_storage *at, uv_connection_cb cb)
{
    int on = 1, fd = socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t n = at->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)at, n) != 0 || getsockname(fd, (struct sockaddr *)at, &n) != 0 ||
        uv_tcp_init(&w->loop, tcp) != 0 || uv_tcp_open(tcp, fd) != 0) {
        close(fd);
        return false;
    }
    tcp->data = w;
    return uv_listen((uv_stream_t *)tcp, 4096, cb) == 0;
}

static void announce(const char *what, const char *scheme, const struct sockaddr_storage *at)
{
    char host[64] = "";
    int port;
    if (at->ss_family == AF_INET) {
        uv_ip4_name((const struct sockaddr_in *)at, host, sizeof host);
        port = ntohs(((const struct sockaddr_in *)at)->sin_port);
        printf("%s %s://%s:%d\n", what, scheme, host, port);
    } else {
        uv_ip6_name((const struct sockaddr_in6 *)at, host, sizeof host);
        port = ntohs(((const struct sockaddr_in6 *)at)->sin6_port);
        printf("%s %s://[%s]:%d\n", what, scheme, host, port);
    }
    fflush(stdout);
}

static SSL_CTX *tls_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    bool good = ctx != NULL;
    for (unsigned i = 0; good && i < options.certificate_count; i++)
        good = SSL_CTX_use_certificate_chain_file(ctx, options.chain[i]) == 1 &&
               SSL_CTX_use_PrivateKey_file(ctx, options.key[i], SSL_FILETYPE_PEM) == 1;
    if (good) {
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"cas", 3);
        if (options.tls12)
            SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
        return ctx;
    }
    SSL_CTX_free(ctx);
    return NULL;
}

static bool worker_init(struct worker *w, int index, SSL_CTX *tls)
{
    w->index = index;
    w->tls = tls;
    if (getrandom(&w->random, sizeof w->random, 0) != sizeof w->random)
        return false;
    w->random |= 1;
    w->mail_tail = &w->mail;
    if (uv_loop_init(&w->loop) != 0 || uv_mutex_init(&w->mail_lock) != 0)
        return false;
    wheel_init(&w->wheel, uv_now(&w->loop));
    w->wake.data = w->prepare.data = w->timer.data = w;
    return uv_async_init(&w->loop, &w->wake, woken) == 0 && uv_prepare_init(&w->loop, &w->prepare) == 0 &&
           uv_timer_init(&w->loop, &w->timer) == 0 && uv_prepare_start(&w->prepare, before_sleep) == 0;
}

static void worker_run(void *arg)
{
    struct worker *w = arg;
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

static bool start_workers(SSL_CTX *tls)
{
    struct sockaddr_storage at, control;
    if (!parse_address(options.listen, &at) || (options.control && !parse_address(options.control, &control)))
        return false;
    for (unsigned i = 0; i < options.workers; i++)
        if (!worker_init(&workers[i], (int)i, tls) ||
            !listen_at(&workers[i], &workers[i].listener, &at, incoming))
            return false;
    if (options.control && !listen_at(&workers[0], &workers[0].control, &control, incoming_control))
        return false;
    for (unsigned i = 0; i < options.workers; i++)
        if (uv_thread_create(&workers[i].thread, worker_run, &workers[i]) != 0)
            return false;
    announce("listening", tls ? "https" : "http", &at);
    if (options.control)
        announce("control", "http", &control);
    return true;
}

int server_run(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    SSL_CTX *tls = options.certificate_count ? tls_context() : NULL;
    workers = calloc(options.workers, sizeof *workers);
    if (!workers || (options.certificate_count && !tls)) {
        fprintf(stderr, "postern-cas: cannot read the certificate or its key\n");
        return 1;
    }
    if (!start_workers(tls)) {
        fprintf(stderr, "postern-cas: cannot listen: %s\n", strerror(errno));
        return 1;
    }
    int sig;
    sigwait(&stop, &sig);
    for (unsigned i = 0; i < options.workers; i++) {
        uv_mutex_lock(&workers[i].mail_lock);
        workers[i].stop = true;
        uv_mutex_unlock(&workers[i].mail_lock);
        uv_async_send(&workers[i].wake);
    }
    for (unsigned i = 0; i < options.workers; i++)
        uv_thread_join(&workers[i].thread);
    return 0;
}
