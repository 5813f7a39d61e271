#include <postern/bufq.h>

#include <string.h>

struct bufq_chunk {
    struct bufq_chunk *next;
    size_t from, to;
    char bytes[];
};

void bufq_init(struct bufq *q, struct pool *chunks)
{
    *q = (struct bufq){.chunks = chunks};
}

static size_t chunk_room(const struct bufq *q)
{
    return q->chunks->size - sizeof(struct bufq_chunk);
}

static struct bufq_chunk *chunk_new(struct bufq *q)
{
    struct bufq_chunk *c = pool_take(q->chunks);

    if (c != NULL)
        *c = (struct bufq_chunk){0};
    return c;
}

static void chunk_give(struct bufq *q, struct bufq_chunk *c)
{
    if (q->secret)
        explicit_bzero(c->bytes, c->to);
    pool_give(q->chunks, c);
}

static void chunks_give(struct bufq *q, struct bufq_chunk *c)
{
    while (c != NULL) {
        struct bufq_chunk *next = c->next;
        chunk_give(q, c);
        c = next;
    }
}

/* As many chunks as `n` bytes need beyond `tail`'s room, linked but not filled; false without memory. */
static bool chunks_reserve(struct bufq *q, size_t n, struct bufq_chunk **ret_first)
{
    size_t room = chunk_room(q), free_now = q->tail != NULL ? room - q->tail->to : 0;
    struct bufq_chunk *first = NULL, **link = &first;

    for (size_t have = free_now; have < n; have += room) {
        *link = chunk_new(q);
        if (*link == NULL) {
            chunks_give(q, first);
            return false;
        }
        link = &(*link)->next;
    }
    *ret_first = first;
    return true;
}

bool bufq_append(struct bufq *q, const void *data, size_t n)
{
    const char *p = data;
    struct bufq_chunk *more, *c;

    if (n == 0)
        return true;
    if (n > UINT32_MAX - q->len)
        return false;
    if (!chunks_reserve(q, n, &more))
        return false;
    c = q->tail;
    if (c != NULL)
        c->next = more;
    else
        q->head = c = more;
    q->len += (uint32_t)n;
    for (;;) {
        size_t here = chunk_room(q) - c->to < n ? chunk_room(q) - c->to : n;
        memcpy(c->bytes + c->to, p, here);
        c->to += here;
        p += here;
        n -= here;
        if (n == 0)
            break;
        c = c->next;
    }
    q->tail = c;
    return true;
}

int bufq_peek(const struct bufq *q, struct iovec *iov, int max)
{
    int n = 0;

    for (struct bufq_chunk *c = q->head; c != NULL && n < max; c = c->next) {
        if (c->to > c->from)
            iov[n++] = (struct iovec){.iov_base = c->bytes + c->from, .iov_len = c->to - c->from};
    }
    return n;
}

void bufq_consume(struct bufq *q, size_t n)
{
    q->len -= (uint32_t)n;
    while (q->head != NULL) {
        struct bufq_chunk *c = q->head;
        size_t here = c->to - c->from < n ? c->to - c->from : n;
        c->from += here;
        n -= here;
        if (c->from < c->to)
            return;
        if (c->next == NULL && q->len > 0)
            return;
        q->head = c->next;
        if (q->head == NULL)
            q->tail = NULL;
        chunk_give(q, c);
        if (n == 0 && (q->head == NULL || q->head->from < q->head->to))
            return;
    }
}

size_t bufq_read(struct bufq *q, void *to, size_t n)
{
    char *p = to;
    size_t done = 0;
    struct iovec v;

    while (done < n && bufq_peek(q, &v, 1) == 1) {
        size_t here = v.iov_len < n - done ? v.iov_len : n - done;
        memcpy(p + done, v.iov_base, here);
        bufq_consume(q, here);
        done += here;
    }
    return done;
}

void bufq_clear(struct bufq *q)
{
    chunks_give(q, q->head);
    q->head = q->tail = NULL;
    q->len = 0;
}
