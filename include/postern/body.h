/*
 * body: how a body is framed towards the other side, chosen anew and never copied from raw bytes (RFC 9112 6, 7).
 */
#ifndef POSTERN_BODY_H
#define POSTERN_BODY_H

#include <sys/uio.h>
#include <postern/message.h>

struct body_out {
    enum body_framing framing;
    uint64_t left; /* BODY_LENGTH: bytes still owed */
    bool ended;
};

/* Room that body_encode needs for a chunk's frame. */
#define BODY_FRAME_MAX 24
#define BODY_IOV_MAX 3

/* Decides the framing for a message that is forwarded and sets the fields for it (Content-Length or Transfer-Encoding).
 * `peer_minor`: HTTP/1.minor of the receiver (requests to backends: 1): HTTP/1.0 gets no chunks but BODY_CLOSE, and the caller
 * must close. Content-Length of a HEAD, 204 or 304 answer is kept as a header with BODY_NONE. -1 without memory. */
int body_out_begin(struct body_out *o, struct message *m, uint8_t peer_minor);
/* iov[] for `data` in this framing, built in `frame` (BODY_FRAME_MAX bytes, alive until written): how many entries (0 for no
 * data), or -1 when `data` exceeds what was announced. */
int body_encode(struct body_out *o, struct str data, char *frame, struct iovec *iov);
/* The end: 0 or 1 entries (last chunk), or -1 when bytes are still owed (the connection must be closed, not finished). */
int body_finish(struct body_out *o, struct iovec *iov);

#endif
