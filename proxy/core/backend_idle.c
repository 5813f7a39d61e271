/*
 * The idle list: the one place where a connection of one client can become a connection of another.
 *
 * Its elements have a type of their own, idle_conn, that only idle_from() can make, and that refuses bound
 * connections. What leaves the list is looked at again. Both are asserted in every build: a defect here must
 * end the process rather than give one user's authenticated connection to another.
 */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "backend_int.h"

struct idle_conn {
    struct backend_conn c;
};

static struct idle_conn *idle_from(struct backend_conn *c)
{
    if (c->bound || c->owner != BACKEND_TXN)
        return NULL;
    return (struct idle_conn *)(void *)c;
}

static void idle_expire(struct wheel_node *n)
{
    struct backend_conn *c =
        (struct backend_conn *)(void *)((char *)n - offsetof(struct backend_conn, deadline));

    backend_discard(c, false);
}

/* A paused stream may hold bytes that belong to nobody's answer; queued bytes are of a request nobody waits
 * for. */
static bool conn_reusable(const struct backend_conn *c)
{
    const struct backend_pool *p = c->pool;

    return !p->closing && !descriptors_scarce(p->descriptors) && c->ready &&
           c->server->idle_n < p->conf->idle_connections && stream_queued(&c->stream) == 0 &&
           !stream_paused(&c->stream) && !stream_has_leftover(&c->stream) && !stream_closing(&c->stream);
}

bool backend_idle_put(struct backend_conn *c)
{
    struct backend_server *s = c->server;
    struct idle_conn *idle = idle_from(c);

    if (idle == NULL || !conn_reusable(c))
        return false;
    c->owner = BACKEND_POOL;
    c->user = NULL;
    c->ctx = NULL;
    c->reused = true;
    c->next = s->idle != NULL ? &s->idle->c : NULL;
    c->link = (struct backend_conn **)(void *)&s->idle;
    if (c->next != NULL)
        c->next->link = &c->next;
    s->idle = idle;
    s->idle_n++;
    __atomic_fetch_add(&s->state->idle, 1, __ATOMIC_RELAXED);
    metrics_add(c->pool->worker->metrics, METRIC_BACKEND_IDLE, 1);
    if (c->pool->conf->idle_timeout > 0)
        worker_arm(c->pool->worker, &c->deadline, c->pool->conf->idle_timeout, idle_expire);
    return true;
}

void backend_idle_remove(struct backend_conn *c)
{
    struct backend_server *s = c->server;

    assert(c->owner == BACKEND_POOL && c->link != NULL && !c->bound);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    c->next = NULL;
    c->link = NULL;
    s->idle_n--;
    __atomic_fetch_sub(&s->state->idle, 1, __ATOMIC_RELAXED);
    metrics_sub(c->pool->worker->metrics, METRIC_BACKEND_IDLE, 1);
    worker_cancel(c->pool->worker, &c->deadline);
}

/* Nothing to read: neither the end that the loop has yet to see, nor bytes that would pass for the next
 * answer. */
static bool conn_quiet(const struct backend_conn *c)
{
    uv_os_fd_t fd;
    char byte;

    if (stream_has_leftover(&c->stream))
        return false;
    if (uv_fileno(&c->stream.uv.handle, &fd) < 0)
        return false;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

struct backend_conn *backend_idle_take(struct backend_server *s)
{
    struct backend_conn *c = s->idle != NULL ? &s->idle->c : NULL;

    for (int i = 0; c != NULL && i < BACKEND_QUIET_TRIES; i++, c = c->next) {
        if (!conn_quiet(c))
            continue; /* its own events will close it */
        assert(!c->bound && c->owner == BACKEND_POOL);
        backend_idle_remove(c);
        return c;
    }
    return NULL;
}

void backend_idle_drop(struct backend_server *s)
{
    backend_discard(&s->idle->c, false);
}

void backend_idle_clear(struct backend_server *s)
{
    while (s->idle != NULL)
        backend_idle_drop(s);
}
