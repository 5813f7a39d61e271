/*
 * rpc_join: the registry of virtual connections (MS-RPCH 3.2.3.1), across workers. The lock guards the list and each
 * entry's ends; an end's channel is used only by the worker that owns its connection.
 */
#include <pthread.h>
#include <stdlib.h>
#include "rpc_int.h"

struct virtual_connection {
    struct virtual_connection *next;
    unsigned char cookie[16];
    struct channel *in, *out;
    struct worker *out_worker;
    unsigned refs;
};

struct parcel {
    struct virtual_connection *v;
    size_t n;
    unsigned char bytes[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
#define BUCKETS 1024
static struct virtual_connection *table[BUCKETS];

static struct virtual_connection **bucket(const unsigned char *cookie)
{
    return &table[((unsigned)(cookie[0] ^ cookie[5]) | (unsigned)(cookie[1] ^ cookie[15]) << 8) % BUCKETS];
}

static void unref_locked(struct virtual_connection *v)
{
    if (--v->refs)
        return;
    struct virtual_connection **at = bucket(v->cookie);
    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    free(v);
}

static void deliver(struct worker *w, void *data)
{
    struct parcel *p = data;
    pthread_mutex_lock(&lock);
    struct channel *out = p->v->out_worker == w ? p->v->out : NULL;
    unref_locked(p->v);
    pthread_mutex_unlock(&lock);
    /* Only this worker's own thread ends this channel, so it is still there. */
    if (out)
        conn_write(out->c, p->bytes, p->n);
    free(p);
}

static void send_out(struct virtual_connection *v, struct worker *from, const void *bytes, size_t n)
{
    pthread_mutex_lock(&lock);
    struct channel *out = v->out;
    struct worker *to = v->out_worker;
    bool here = out && to == from;
    struct parcel *p = out && !here ? malloc(sizeof *p + n) : NULL;
    v->refs += p != NULL;
    pthread_mutex_unlock(&lock);
    if (here)
        conn_write(out->c, bytes, n);
    if (!p)
        return;
    p->v = v;
    p->n = n;
    memcpy(p->bytes, bytes, n);
    if (!worker_post(to, deliver, p)) {
        pthread_mutex_lock(&lock);
        unref_locked(v);
        pthread_mutex_unlock(&lock);
        free(p);
    }
}

bool rpc_join(struct channel *ch, const unsigned char cookie[16])
{
    /* CONN/C2, MS-RPCH 2.2.4.9: Version, ReceiveWindowSize, ConnectionTimeout */
    static const unsigned char c2[44] = {5, 0, 20, 3, 16, 0, 0, 0, 44, 0, 0,    0,    0, 0, 0,
                                         0, 0, 0,  3, 0,  6, 0, 0, 0,  1, 0,    0,    0, 0, 0,
                                         0, 0, 0,  0, 1,  0, 2, 0, 0,  0, 0xc0, 0xd4, 1, 0};
    pthread_mutex_lock(&lock);
    struct virtual_connection *v = *bucket(cookie);
    while (v && memcmp(v->cookie, cookie, 16) != 0)
        v = v->next;
    if (!v && (v = calloc(1, sizeof *v))) {
        memcpy(v->cookie, cookie, 16);
        v->next = *bucket(cookie);
        *bucket(cookie) = v;
    }
    if (v) {
        v->refs++;
        ch->v = v;
        *(ch->out ? &v->out : &v->in) = ch;
        if (ch->out)
            v->out_worker = ch->c->w;
    }
    bool both = v && v->in && v->out;
    pthread_mutex_unlock(&lock);
    if (both)
        send_out(v, ch->c->w, c2, sizeof c2);
    return v != NULL;
}

void rpc_leave(struct channel *ch)
{
    struct virtual_connection *v = ch->v;
    if (!v)
        return;
    pthread_mutex_lock(&lock);
    if (v->in == ch)
        v->in = NULL;
    if (v->out == ch)
        v->out = NULL;
    unref_locked(v);
    pthread_mutex_unlock(&lock);
    ch->v = NULL;
}

void rpc_to_out(struct channel *in, const unsigned char *pdu, size_t n)
{
    if (in->v)
        send_out(in->v, in->c->w, pdu, n);
}
