/*
 * Names of backend servers, looked up on libuv's threads.
 */
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <postern/resolve.h>

#define RESOLVE_RETRY_MS 5000 /* after a failure, unless the interval is shorter */

struct resolve_job {
    uv_timer_t timer;
    uv_getaddrinfo_t lookup;
    char *host;
    unsigned short port;
    uint64_t interval_ms;
    void (*changed)(void *ctx, const struct resolve_result *r);
    void (*failed)(void *ctx, const char *why);
    void *ctx;
    struct resolve_result last;
    bool literal, asking, stopped, timer_closed;
    struct resolve_job *next, **link; /* of those that are asking; under the lock */
};

static struct {
    pthread_mutex_t lock;
    struct resolve_job *first;
} asking = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void asking_enter(struct resolve_job *j)
{
    j->asking = true;
    pthread_mutex_lock(&asking.lock);
    j->next = asking.first;
    j->link = &asking.first;
    if (j->next != NULL)
        j->next->link = &j->next;
    asking.first = j;
    pthread_mutex_unlock(&asking.lock);
}

static void asking_leave(struct resolve_job *j)
{
    j->asking = false;
    pthread_mutex_lock(&asking.lock);
    *j->link = j->next;
    if (j->next != NULL)
        j->next->link = j->link;
    pthread_mutex_unlock(&asking.lock);
}

unsigned resolve_hanging(void (*each)(void *ctx, const char *host), void *ctx)
{
    unsigned n = 0;

    pthread_mutex_lock(&asking.lock);
    for (const struct resolve_job *j = asking.first; j != NULL; j = j->next, n++)
        each(ctx, j->host);
    pthread_mutex_unlock(&asking.lock);
    return n;
}

static void job_free(struct resolve_job *j)
{
    if (!j->timer_closed || j->asking)
        return;
    free(j->host);
    free(j);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct resolve_job *j = h->data;

    j->timer_closed = true;
    job_free(j);
}

static int address_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct sockaddr_storage));
}

/* Sorted, each once. Of more than fit the first stay, so that the same set gives the same result in whatever order it is
 * answered. */
static void result_insert(struct resolve_result *r, const struct sockaddr_storage *a)
{
    unsigned at = r->n;

    while (at > 0 && address_compare(a, &r->v[at - 1]) < 0)
        at--;
    if (at == RESOLVE_ADDRESSES_MAX || (at > 0 && address_compare(a, &r->v[at - 1]) == 0))
        return;
    if (r->n < RESOLVE_ADDRESSES_MAX)
        r->n++;
    memmove(&r->v[at + 1], &r->v[at], (r->n - 1 - at) * sizeof(r->v[0]));
    r->v[at] = *a;
}

static void result_add(struct resolve_result *r, const struct sockaddr *sa, socklen_t n, unsigned short port)
{
    struct sockaddr_storage a;

    if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
        return;
    memset(&a, 0, sizeof(a)); /* padding is compared too */
    memcpy(&a, sa, n);
    if (sa->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)&a)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)(void *)&a)->sin6_port = htons(port);
    result_insert(r, &a);
}

static bool literal_result(const char *host, unsigned short port, struct resolve_result *r)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    r->n = 0;
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
        result_add(r, (struct sockaddr *)&in, sizeof(in), port);
    else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)
        result_add(r, (struct sockaddr *)&in6, sizeof(in6), port);
    return r->n > 0;
}

static void job_tell(struct resolve_job *j, const struct resolve_result *r)
{
    if (r->n == j->last.n && memcmp(r->v, j->last.v, r->n * sizeof(r->v[0])) == 0)
        return;
    j->last = *r;
    j->changed(j->ctx, &j->last);
}

static void on_due(uv_timer_t *t);

static void job_again(struct resolve_job *j, bool good)
{
    uint64_t after = j->interval_ms;

    if (!good && after > RESOLVE_RETRY_MS)
        after = RESOLVE_RETRY_MS;
    uv_timer_start(&j->timer, on_due, after, 0);
}

static void job_failed(struct resolve_job *j, int status)
{
    j->failed(j->ctx, uv_strerror(status));
    if (!j->stopped)
        job_again(j, false);
}

static void on_answer(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list)
{
    struct resolve_job *j = lookup->data;
    struct resolve_result r = {.n = 0};

    asking_leave(j);
    if (j->stopped) {
        uv_freeaddrinfo(list);
        job_free(j);
        return;
    }
    for (struct addrinfo *a = list; status == 0 && a != NULL; a = a->ai_next)
        result_add(&r, a->ai_addr, a->ai_addrlen, j->port);
    uv_freeaddrinfo(list);
    if (r.n == 0) {
        job_failed(j, status < 0 ? status : UV_EAI_NODATA);
        return;
    }
    job_tell(j, &r);
    if (!j->stopped)
        job_again(j, true);
}

static void on_due(uv_timer_t *t)
{
    struct resolve_job *j = t->data;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct resolve_result r;
    int error;

    if (j->literal) {
        literal_result(j->host, j->port, &r);
        job_tell(j, &r);
        return;
    }
    j->lookup.data = j;
    error = uv_getaddrinfo(t->loop, &j->lookup, on_answer, j->host, NULL, &hints);
    if (error == 0)
        asking_enter(j);
    else
        job_failed(j, error);
}

struct resolve_job *resolve_start(uv_loop_t *loop, const char *host, unsigned short port,
                                  uint64_t interval_ms,
                                  void (*changed)(void *ctx, const struct resolve_result *r),
                                  void (*failed)(void *ctx, const char *why), void *ctx)
{
    struct resolve_job *j = calloc(1, sizeof(*j));
    struct resolve_result r;

    if (j == NULL)
        return NULL;
    j->host = strdup(host);
    if (j->host == NULL || uv_timer_init(loop, &j->timer) < 0) {
        free(j->host);
        free(j);
        return NULL;
    }
    j->timer.data = j;
    j->port = port;
    j->interval_ms = interval_ms > 0 ? interval_ms : 1;
    j->changed = changed;
    j->failed = failed;
    j->ctx = ctx;
    j->literal = literal_result(host, port, &r);
    uv_timer_start(&j->timer, on_due, 0, 0);
    return j;
}

void resolve_stop(struct resolve_job *j)
{
    j->stopped = true;
    if (j->asking)
        (void)uv_cancel((uv_req_t *)&j->lookup); /* one that is under way ends by itself */
    uv_close((uv_handle_t *)&j->timer, on_timer_closed);
}
