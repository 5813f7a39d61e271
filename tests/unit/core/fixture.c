#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>

#include "fixture.h"

/* ---- a worker ---- */

struct errand {
    struct letter letter;
    void (*fn)(struct worker *w, void *arg);
    void *arg;
    sem_t done;
};

static void errand_deliver(struct worker *w, struct letter *l)
{
    struct errand *e = (struct errand *)(void *)l;

    e->fn(w, e->arg);
    sem_post(&e->done);
}

void fixture_on(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg)
{
    struct errand e = {.letter.deliver = errand_deliver, .fn = fn, .arg = arg};

    sem_init(&e.done, 0, 0);
    worker_post(w, &e.letter);
    while (sem_wait(&e.done) < 0)
        ;
    sem_destroy(&e.done);
}

struct worker *fixture_worker(void)
{
    struct worker_options o = {.index = 0, .rx_size = 65536};
    struct worker *w;

    tls_process_init();
    w = worker_start(&o);
    assert_non_null(w);
    return w;
}

void fixture_worker_end(struct worker *w)
{
    worker_stop(w);
    worker_join(w);
}

void fixture_sleep(unsigned ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

bool fixture_until(const uint32_t *value, uint32_t want)
{
    for (unsigned i = 0; i < WAIT_MS / 5; i++) {
        if (__atomic_load_n(value, __ATOMIC_ACQUIRE) == want)
            return true;
        fixture_sleep(5);
    }
    return false;
}

bool fixture_wait(sem_t *s)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += WAIT_MS / 1000;
    while (sem_timedwait(s, &t) < 0) {
        if (errno != EINTR)
            return false;
    }
    return true;
}

uint64_t fixture_metric(const struct worker *w, enum metric id)
{
    return __atomic_load_n(&w->metrics->v[id], __ATOMIC_RELAXED);
}

bool fixture_metric_until(const struct worker *w, enum metric id, uint64_t want)
{
    for (unsigned i = 0; i < WAIT_MS / 5; i++) {
        if (fixture_metric(w, id) == want)
            return true;
        fixture_sleep(5);
    }
    return false;
}

/* ---- the event log ---- */

static char log_path[64];

void fixture_log_start(void)
{
    struct log_options o = {.event_path = log_path, .level = LOG_INFO};
    char error[200];
    int fd;

    snprintf(log_path, sizeof(log_path), "/tmp/postern-core-XXXXXX");
    fd = mkstemp(log_path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(log_start(&o, error, sizeof(error)), 0);
}

unsigned fixture_log_count(const char *id, const char *also)
{
    char line[2048];
    unsigned n = 0;
    FILE *f;

    log_stop();
    f = fopen(log_path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        n += strstr(line, id) != NULL && strstr(line, also) != NULL;
    fclose(f);
    unlink(log_path);
    return n;
}

/* ---- ports ---- */

static int listen_on(int backlog, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

uint16_t fixture_reserve_port(int *ret_fd)
{
    uint16_t port;

    *ret_fd = listen_on(-1, &port);
    return port;
}

void blackhole_open(struct blackhole *b)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    b->fd = listen_on(0, &b->port);
    a.sin_port = htons(b->port);
    for (int i = 0; i < 4; i++) {
        b->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(b->clients[i], (struct sockaddr *)&a, sizeof(a));
    }
    fixture_sleep(20);
}

void blackhole_close(struct blackhole *b)
{
    for (int i = 0; i < 4; i++)
        close(b->clients[i]);
    close(b->fd);
}

/* ---- configuration ---- */

void fixture_conf_init(struct fixture_conf *c)
{
    memset(c, 0, sizeof(*c));
    c->snapshot.refs = 1000; /* never freed by those who hold it */
    c->snapshot.backends = &c->backend;
    c->snapshot.backends_n = 1;
    c->snapshot.publish = &c->publish;
    c->snapshot.publish_n = 1;
    c->snapshot.limits.backend_buffer = 16384;
    c->snapshot.limits.client_buffer = 16384;
    c->snapshot.limits.response_head_bytes = 65536;
    c->snapshot.limits.response_header_fields = 100;
    c->backend.name = STR("be");
    c->backend.servers = c->servers;
    c->backend.verify = true;
    c->backend.tls_floor = CONF_TLS_INTERMEDIATE;
    c->backend.connect_timeout = 3000;
    c->backend.idle_timeout = 30000;
    c->backend.resolve_interval = 60000;
    c->backend.idle_connections = 8;
    c->backend.health_down = 2;
    c->backend.health_up = 2;
    c->backend.health_timeout = 1000;
    c->backend.health_alive = (struct conf_strings){c->alive, 3};
    c->alive[0] = STR("2xx");
    c->alive[1] = STR("3XX");
    c->alive[2] = STR("401");
    c->host = STR("mail.example.com");
    c->publish.hosts = (struct conf_strings){&c->host, 1};
    c->publish.to = &c->backend;
    c->publish.services = c->published;
    for (int i = 0; i < 3; i++)
        c->published[i] = &c->services[i];
}

void fixture_add_server(struct fixture_conf *c, const char *host, uint16_t port, bool https)
{
    size_t i = c->backend.servers_n++;
    struct conf_server *s = &c->servers[i];

    assert_true(i < FIXTURE_SERVERS);
    snprintf(c->urls[i], sizeof(c->urls[i]), "%s://%s:%u", https ? "https" : "http", host, port);
    s->url = str_of(c->urls[i]);
    s->host = str_of(host);
    s->port = port;
    s->https = https;
}

void fixture_states(struct fixture_conf *c)
{
    c->states = backend_states_new(&c->snapshot);
    assert_non_null(c->states);
}

void fixture_conf_end(struct fixture_conf *c)
{
    backend_states_free(c->states);
    c->states = NULL;
}
