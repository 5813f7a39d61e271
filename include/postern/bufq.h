/*
 * bufq: a byte queue in chunks from a pool. Empty, it owns no memory. One thread. It has no limit of its own: whoever
 * appends stops the source when bufq_len() passes the high mark.
 */
#ifndef POSTERN_BUFQ_H
#define POSTERN_BUFQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <postern/pool.h>

struct bufq_chunk;

struct bufq {
    struct pool *chunks;
    struct bufq_chunk *head, *tail;
    uint32_t len; /* private: bufq_len() */
    bool secret;  /* chunks are cleansed before they are given back; set by the owner */
};

void bufq_init(struct bufq *q, struct pool *chunks);
/* All or nothing; false without memory, or when it would hold 4 GB. */
bool bufq_append(struct bufq *q, const void *data, size_t n);
/* Up to `max` spans from the front; returns how many. They stay valid until the queue is changed. */
int bufq_peek(const struct bufq *q, struct iovec *iov, int max);
void bufq_consume(struct bufq *q, size_t n);
/* Copies up to n bytes out and consumes them. */
size_t bufq_read(struct bufq *q, void *to, size_t n);
void bufq_clear(struct bufq *q);

static inline size_t bufq_len(const struct bufq *q)
{
    return q->len;
}

#endif
