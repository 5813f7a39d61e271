/*
 * stream_int: the halves of a stream (life, reading, writing) and its TLS, among themselves.
 *
 *   stream.c        birth, connecting, failing, ending, death
 *   stream_read.c   socket -> [tls_feed] -> on_data; pausing
 *   stream_write.c  stream_write -> [tls_seal] -> socket; the queue
 *   stream_pace.c   whether the peer takes what is queued fast enough
 *   tls.c           the same two ways through OpenSSL
 *
 * After every upcall the caller asks stream_live() before it touches anything but the stream's own flags: the user may have
 * closed the stream in it. The memory itself stays until on_closed, which libuv never calls from inside another callback.
 */
#ifndef POSTERN_STREAM_INT_H
#define POSTERN_STREAM_INT_H

#include <stddef.h>
#include <stdlib.h>
#include <postern/stream.h>
#include "worker_int.h"

enum {
    STREAM_ACCEPTED = 1 << 0,
    STREAM_STARTED = 1 << 1, /* the socket is connected */
    STREAM_OPEN = 1 << 2,    /* on_open was called: plaintext flows */
    STREAM_PAUSED = 1 << 3,
    STREAM_READING = 1 << 4, /* armed in libuv */
    STREAM_BLOCKED = 1 << 5,
    STREAM_END = 1 << 6,        /* the user ended writing */
    STREAM_NOTIFIED = 1 << 7,   /* close_notify is written */
    STREAM_ENDED = 1 << 8,      /* FIN is sent */
    STREAM_EOF = 1 << 9,        /* on_eof was called */
    STREAM_FIN = 1 << 10,       /* the socket gives no more */
    STREAM_FAILED = 1 << 11,    /* nothing is read or written any more */
    STREAM_FAIL_DUE = 1 << 12,  /* on_fail follows in the next turn */
    STREAM_FINISHING = 1 << 13, /* no upcall but on_closed */
    STREAM_CLOSING = 1 << 14,
    STREAM_LAST = 1 << 15, /* what is written may wait for the FIN */
};

#define STREAM_HIGH_MARK 65536
#define STREAM_BURSTS_PER_TURN 4 /* then other sockets get their turn */
#define STREAM_PEEK_MAX 4096     /* ciphertext taken while paused, to see a close_notify */
#define STREAM_SPANS 4           /* libuv keeps that many in the request itself */

/* One uv_write in flight. Plain: `n` bytes at the front of s->out; TLS: the `n` bytes that follow. */
struct stream_send {
    uv_write_t req;
    struct stream *stream;
    uint32_t n;
    char bytes[];
};

static inline bool stream_live(const struct stream *s)
{
    return (s->flags & (STREAM_CLOSING | STREAM_FAILED | STREAM_FINISHING)) == 0;
}

/* Reason of a connection that broke. */
enum reason stream_reset_reason(const struct stream *s);
enum reason stream_tls_reason(const struct stream *s);

/* stream.c */
void stream_opened(struct stream *s);                                       /* upcall */
void stream_fail(struct stream *s, enum reason why, const char *text);      /* upcall */
void stream_fail_soon(struct stream *s, enum reason why, const char *text); /* no upcall */
/* What on_fail would have been told; for a stream that finishes, the end. */
void stream_ended(struct stream *s);     /* FIN is out */
void stream_turn(struct worker_task *t); /* the stream's task */
int stream_fd(const struct stream *s);   /* -1: none */

/* stream_read.c */
int stream_read_start(struct stream *s);
void stream_read_stop(struct stream *s);
/* upcall; false: stop, the stream is not live any more */
bool stream_deliver(struct stream *s, char *data, size_t n);
void stream_eof(struct stream *s, bool clean); /* upcall */
bool stream_stash(struct stream *s, const char *data, size_t n);
void stream_drain_stash(struct stream *s); /* upcall */
/* upcall: what the kernel still holds of a connection that cannot be written */
void stream_read_rest(struct stream *s);

/* stream_write.c */
void stream_pump(struct stream *s);         /* sends what waits, then what stream_end asked for; no upcall */
void stream_tell_drained(struct stream *s); /* upcall, when there is something to tell */
void stream_drop_output(struct stream *s);
/* Ciphertext to the socket, the unsent part (copied) to s->send; -1: failed (stream_fail_soon was called). */
int stream_send_ciphertext(struct stream *s, const struct iovec *iov, int n);
bool stream_send_tail(struct stream *s, const char *data, size_t n);

/* stream_pace.c; a write is in flight, or none is any more */
void stream_pace_wait(struct stream *s);
void stream_pace_rest(struct stream *s);
void stream_pace_drop(struct stream *s);

/* tls.c */
int tls_open_server(struct stream *s, struct tls_server *t);
int tls_open_client(struct stream *s, struct tls_client *t, struct tls_session_slot *slot);
void tls_start(struct stream *s); /* client: the first flight; may fail soon */
/* Upcalls. `from_stash`: data is s->stash; what is left over stays there. */
void tls_feed(struct stream *s, const char *data, size_t n, bool from_stash);
/* while paused: only looks for the end; upcall */
void tls_peek(struct stream *s, const char *data, size_t n);
bool tls_pending(const struct stream *s);
/* Encrypts and sends one record (n <= WORKER_RECORD_MAX); -1 when failed. `more`: the next follows at once, so that this
 * one may wait for it and leave with it, by one write. */
int tls_seal(struct stream *s, const char *data, size_t n, bool more);
bool tls_send_more(struct stream *s); /* ciphertext that queued behind s->send: true when there was some */
bool tls_has_more(const struct stream *s);
void tls_notify(struct stream *s); /* close_notify */
void tls_free(struct stream *s);
const char *tls_fail_text(const struct stream *s);

#endif
