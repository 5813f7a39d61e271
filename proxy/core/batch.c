#include "core_int.h"

void batch_flush(struct core_worker *c)
{
    struct batch *b = &c->batch;
    struct stream *to = b->to;
    int n = b->n;

    b->to = NULL;
    b->n = b->frames_n = 0;
    if (to != NULL && n > 0 && !stream_closing(to))
        (void)stream_write(to, b->iov, n);
}

static void batch_room(struct core_worker *c, struct stream *to, int n, int frames)
{
    struct batch *b = &c->batch;

    if (b->to != to || b->n + n > BATCH_IOV || b->frames_n + frames > BATCH_FRAMES)
        batch_flush(c);
    b->to = to;
}

void batch_add(struct core_worker *c, struct stream *to, const struct iovec *iov, int n)
{
    batch_room(c, to, n, 0);
    for (int i = 0; i < n; i++)
        c->batch.iov[c->batch.n++] = iov[i];
}

void batch_str(struct core_worker *c, struct stream *to, struct str s)
{
    struct iovec v = {.iov_base = (void *)(uintptr_t)s.p, .iov_len = s.n};

    batch_add(c, to, &v, 1);
}

int batch_body(struct core_worker *c, struct stream *to, struct body_out *o, struct str data)
{
    int n;

    batch_room(c, to, BODY_IOV_MAX, 1);
    n = body_encode(o, data, c->batch.frames[c->batch.frames_n++], &c->batch.iov[c->batch.n]);
    if (n < 0)
        return -1;
    c->batch.n += n;
    return 0;
}

int batch_body_end(struct core_worker *c, struct stream *to, struct body_out *o)
{
    int n;

    batch_room(c, to, 1, 0);
    n = body_finish(o, &c->batch.iov[c->batch.n]);
    if (n < 0)
        return -1;
    c->batch.n += n;
    return 0;
}
