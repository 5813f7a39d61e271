/*
 * stream: one TCP or Unix connection, plain or TLS, as its user sees it: plaintext in, plaintext out.
 *
 * Embedded in a session (client side) or a backend connection. Runs on one worker. Owned by its embedder until
 * on_closed, the last callback of all; only there may the memory be freed. After stream_close() no other callback comes.
 *
 * Reading: bytes lie in the worker's scratch memory and are valid only during on_data; the user takes all of them (uses or
 * copies). stream_pause() bounds what can follow: no further on_data after the present one until stream_resume().
 * One on_data delivers at most `burst` bytes (see stream_set_burst), TLS or plain. Pausing is lazy on purpose: reading
 * stays armed while nothing arrives, so that a peer that goes away is seen, and costs no system call.
 *
 * Writing: stream_write() takes everything. It sends at once what the socket takes, and queues (copies) the rest. When
 * stream_queued() passes the high mark, stream_blocked() is true and the user must stop its source; on_drained tells when
 * the queue has fallen below half of the mark. No write is ever held back to gather more.
 *
 * TLS: ciphertext lives in the worker's buffers; the stream owns ciphertext only while it is blocked (a partial record in,
 * an unsent tail out), and so does what OpenSSL itself needs for a record.
 */
#ifndef POSTERN_STREAM_H
#define POSTERN_STREAM_H

#include <stdbool.h>
#include <sys/uio.h>
#include <uv.h>
#include <postern/bufq.h>
#include <postern/pace.h>
#include <postern/reason.h>
#include <postern/worker.h>

struct stream;
struct tls;        /* one TLS connection, private to tls.c */
struct tls_server; /* what a TLS listener presents: contexts by server name */
struct tls_client; /* how one backend is spoken to */

struct stream_handler {
    /* Ready for plaintext: accepted (plain), connected, or TLS handshake complete. Once. */
    void (*on_open)(struct stream *s);
    void (*on_data)(struct stream *s, char *data, size_t n);
    /* The peer will send no more. `clean`: FIN on plain, close_notify on TLS; false: TLS ended without close_notify (a body
     * that ends with the connection is then truncated; a message complete by its own framing is not, RFC 9112 9.8). */
    void (*on_eof)(struct stream *s, bool clean);
    void (*on_drained)(struct stream *s);
    /* Reset, refused, handshake failed, certificate refused...: nothing more is read or written. The user closes. */
    void (*on_fail)(struct stream *s, enum reason why);
    void (*on_closed)(struct stream *s);
};

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
    } uv; /* uv.handle.data == this stream */
    const struct stream_handler *handler;
    struct worker *worker;
    struct tls *tls; /* NULL: plain */
    struct bufq out; /* plaintext that waits */
    /* what libuv is writing now; at most one. Its request is not kept here: it is large, and needed only while the peer is slow */
    struct stream_send *send;
    uint32_t tail_len; /* ciphertext in `send` */
    uint32_t burst, high_mark;
    uint32_t flags; /* private: STREAM_* of stream_int.h */
    /* received but not yet given to the user: ciphertext, or plaintext of plain streams */
    char *stash;
    uint32_t stash_off, stash_len;
    uint32_t linger_ms, patience_ms; /* of stream_finish */
    uint32_t taken;                  /* of stream_moved */
    uint32_t pace_rate, pace_grace;  /* of stream_set_pace */
    enum reason fail_reason;         /* to be told in the next turn */
    const char *fail_text;           /* static */
    struct stream_pace *pace;        /* while the peer is slow to take what is queued */
    struct worker_task task;
    struct wheel_node linger;
};

/* A stream for an accepted connection: call, then uv_accept into &s->uv.stream, then stream_start_*. 0 or negative errno. */
int stream_init(struct stream *s, struct worker *w, const struct stream_handler *h);
/* Accepted sockets. Sets TCP_NODELAY, starts reading. tls == NULL: plain. Callbacks may come before it returns only on
 * plain streams (on_open). `first`: bytes already read from the socket (PROXY header's rest), or NULL. */
int stream_start(struct stream *s, struct tls_server *tls, const char *first, size_t first_n);
/* Outgoing: connect to `to`; on_open or on_fail follows, never before return. tls == NULL: plain. `slot` keeps the TLS
 * session for resumption (owned by the caller, may be shared by all connections to that server on this worker). */
struct tls_session_slot;
int stream_connect(struct stream *s, const struct sockaddr *to, struct tls_client *tls,
                   struct tls_session_slot *slot);

/* Returns the bytes queued now, or -1 when the stream has failed or memory ran out (on_fail follows in the next turn). */
ssize_t stream_write(struct stream *s, const struct iovec *iov, int n);
static inline size_t stream_queued(const struct stream *s)
{
    return s->out.len + s->tail_len;
}
bool stream_blocked(const struct stream *s);
/* Whether the peer has taken anything since the last call (true at the first): the kernel's buffer is large, and a slow peer
 * may need minutes before it is seen to drain. */
bool stream_moved(struct stream *s);
void stream_pause(struct stream *s);
/* may deliver on_data only in a later turn of the loop, never from inside */
void stream_resume(struct stream *s);
bool stream_paused(const struct stream *s);
/* Received, but neither given to the user nor waiting in the kernel. */
bool stream_has_leftover(const struct stream *s);
/* Most bytes of one on_data: 1..rx_size. */
void stream_set_burst(struct stream *s, uint32_t bytes);
void stream_set_high_mark(struct stream *s, uint32_t bytes);
/* The slowest pace at which the peer may take what is queued; counted only while something is, also after stream_finish(). One that
 * is slower fails with REASON_CLIENT_SLOW_READ. Default: any. */
void stream_set_pace(struct stream *s, const struct pace_limit *l);
/* The next stream_write is the last, and stream_end or stream_finish follows at once: text, close_notify and FIN may leave in one
 * segment, which wakes the peer once. */
void stream_last(struct stream *s);
/* After the queue is out: close_notify, then FIN. Reading goes on. */
void stream_end(struct stream *s);
/* Graceful last words: stream_end, then read and discard until EOF or `linger_ms`, then close (RFC 9112 9.6: an answer
 * must not be destroyed by a reset). While something is queued the peer may take nothing of it for `patience_ms`, then it is
 * reset. No further callback but on_closed. */
void stream_finish(struct stream *s, uint64_t patience_ms, uint64_t linger_ms);
/* At once; idempotent; on_closed follows in a later turn. `reset` sends RST (a truncated answer must not look whole). */
void stream_close(struct stream *s);
void stream_reset(struct stream *s);
bool stream_closing(const struct stream *s);

/* What the TLS handshake told; all NUL-terminated, "" when there is none; valid while the stream lives. */
const char *stream_sni(const struct stream *s);
const char *stream_tls_version(const struct stream *s); /* "TLSv1.3" */
const char *stream_tls_cipher(const struct stream *s);
bool stream_tls_resumed(const struct stream *s);
/* SHA-256 of the certificate that the peer has shown; false: none. */
bool stream_tls_peer_sha256(const struct stream *s, unsigned char ret[32]);
/* Why on_fail came, in words, for the event log ("certificate verify failed: ..."); "" if none. */
const char *stream_fail_text(const struct stream *s);

#endif
