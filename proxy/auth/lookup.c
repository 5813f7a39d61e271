/*
 * Names of directory servers, and TCP to them.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <netinet/tcp.h>
#include <postern/tls_socket.h>

#include "lookup.h"

#define RETRY_NS UINT64_C(5000000000) /* after a failure */
#define THREAD_STACK (256u << 10)

struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned refs; /* the owner and a thread that runs; under the lock */
    bool running, literal;
    uint64_t keep_ns, answered_ns, failed_ns; /* 0: never */
    struct resolve_result last;
    unsigned first; /* of `last`: the address that connected last */
    char port[6];
    char host[];
};

/* ---- on the thread ---- */

static void result_fill(struct resolve_result *r, const struct addrinfo *all)
{
    for (const struct addrinfo *a = all; a != NULL && r->n < RESOLVE_ADDRESSES_MAX; a = a->ai_next) {
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
            memcpy(&r->v[r->n++], a->ai_addr, a->ai_addrlen);
    }
}

static struct resolve_result lookup_ask(const struct lookup *l)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = l->literal ? AI_NUMERICHOST : AI_ADDRCONFIG};
    struct resolve_result r = {.n = 0};
    struct addrinfo *all = NULL;

    if (getaddrinfo(l->host, l->port, &hints, &all) == 0)
        result_fill(&r, all);
    if (all != NULL)
        freeaddrinfo(all);
    return r;
}

static void lookup_unlock_release(struct lookup *l)
{
    bool last = --l->refs == 0;

    pthread_mutex_unlock(&l->lock);
    if (!last)
        return;
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void *lookup_thread(void *arg)
{
    struct lookup *l = arg;
    struct resolve_result r = lookup_ask(l);

    pthread_mutex_lock(&l->lock);
    l->running = false;
    if (r.n > 0) {
        l->last = r;
        l->first = 0;
        l->answered_ns = uv_hrtime();
        l->failed_ns = 0;
    } else {
        l->failed_ns = uv_hrtime();
    }
    pthread_cond_broadcast(&l->changed);
    lookup_unlock_release(l);
    return NULL;
}

/* Under the lock. */
static void lookup_start(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;

    l->refs++;
    l->running = true;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&thread, &attr, lookup_thread, l) != 0) {
        l->refs--;
        l->running = false;
        l->failed_ns = uv_hrtime();
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

/* ---- for callers ---- */

struct lookup *lookup_new(struct str host, uint16_t port, uint64_t keep_ms)
{
    struct lookup *l = calloc(1, sizeof(*l) + host.n + 1);
    pthread_condattr_t attr;

    if (l == NULL)
        return NULL;
    memcpy(l->host, host.p, host.n);
    snprintf(l->port, sizeof(l->port), "%u", port);
    l->keep_ns = keep_ms * 1000000;
    l->refs = 1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->changed, &attr);
    pthread_condattr_destroy(&attr);
    l->literal = true;
    l->last = lookup_ask(l);
    l->literal = l->last.n > 0;
    return l;
}

void lookup_free(struct lookup *l)
{
    if (l == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    lookup_unlock_release(l);
}

static bool lookup_is_due(const struct lookup *l)
{
    uint64_t now = uv_hrtime();
    uint64_t retry = l->keep_ns < RETRY_NS ? l->keep_ns : RETRY_NS;

    if (l->literal || l->running || (l->failed_ns != 0 && now - l->failed_ns < retry))
        return false;
    return l->last.n == 0 || now - l->answered_ns >= l->keep_ns;
}

int lookup_get(struct lookup *l, uint64_t due_ns, struct resolve_result *ret)
{
    struct timespec until = {(time_t)(due_ns / 1000000000), (long)(due_ns % 1000000000)};
    int result = 0;

    pthread_mutex_lock(&l->lock);
    if (lookup_is_due(l))
        lookup_start(l);
    while (l->last.n == 0 && l->running && result == 0)
        result = pthread_cond_timedwait(&l->changed, &l->lock, &until);
    *ret = l->last;
    /* The one that worked last comes first: a name of many domain controllers may list a dead one for long. */
    for (unsigned i = 0; i < l->last.n; i++)
        ret->v[i] = l->last.v[(i + l->first) % l->last.n];
    pthread_mutex_unlock(&l->lock);
    if (ret->n > 0)
        return 0;
    return result != 0 ? -ETIMEDOUT : -ENOENT;
}

static void lookup_prefer(struct lookup *l, const struct sockaddr_storage *a)
{
    pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < l->last.n; i++) {
        if (memcmp(&l->last.v[i], a, sizeof(*a)) == 0)
            l->first = i;
    }
    pthread_mutex_unlock(&l->lock);
}

/* ---- TCP ---- */

static int socket_finish(int fd, uint64_t due_ns)
{
    socklen_t n = sizeof(int);
    int error = socket_wait(fd, POLLOUT, due_ns);
    int result = 0;

    if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &n) < 0)
        error = -errno;
    return error != 0 ? error : -result;
}

static int socket_connect(const struct sockaddr_storage *a, uint64_t due_ns)
{
    socklen_t n = a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, error = 0;

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (const struct sockaddr *)(const void *)a, n) < 0)
        error = errno == EINPROGRESS ? socket_finish(fd, due_ns) : -errno;
    if (error == 0)
        return fd;
    close(fd);
    return error;
}

int lookup_connect(struct lookup *l, uint64_t due_ns, uint64_t each_ms)
{
    struct resolve_result r;
    int result = lookup_get(l, due_ns, &r);

    if (result < 0)
        return result;
    for (unsigned i = 0; i < r.n; i++) {
        uint64_t each = uv_hrtime() + each_ms * 1000000;
        result = socket_connect(&r.v[i], each < due_ns ? each : due_ns);
        if (result >= 0 && i > 0)
            lookup_prefer(l, &r.v[i]);
        if (result >= 0 || uv_hrtime() >= due_ns)
            break;
    }
    return result;
}
