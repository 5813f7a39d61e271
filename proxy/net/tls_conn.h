/*
 * tls_conn: one TLS connection, shared by tls.c and tls_bio.c only.
 */
#ifndef POSTERN_TLS_CONN_H
#define POSTERN_TLS_CONN_H

#include "stream_int.h"
#include "tls_int.h"

struct tls {
    SSL *ssl;
    struct stream *stream;
    /* ciphertext on its way into OpenSSL, in the worker's buffer or the stash; NULL between calls */
    const char *in;
    uint32_t in_n;
    uint32_t tx_n; /* ciphertext in the worker's tx, of the call into OpenSSL that is under way */
    uint32_t
        filled; /* octets given to OpenSSL since it took its buffer for reading; the last ones, if it is many */
    uint32_t extra;   /* messages beside application data since extra_since */
    uint32_t tiny;    /* records that carry next to nothing, less what others have carried */
    bool untidy : 1;  /* a handshake message or an alert has left its buffer behind */
    bool sealing : 1; /* inside tls_seal's SSL_write */
    bool broken : 1;  /* memory ran out in a callback, or the peer floods: give up */
    bool flood : 1;   /* the peer floods */
    uint64_t extra_since;
    /* ciphertext that came while s->send was in flight: answers to the peer's KeyUpdate, alerts */
    char *more;
    uint32_t more_n, more_size;
    const char *refused; /* static */
    char *fail;
};

/* Sends what lies in the worker's tx, or in records lent. After every call into OpenSSL. -1 when the stream fails. */
int tls_flush(struct tls *t);
/* The BIO between an SSL and `t`; NULL without memory. */
BIO *tls_bio_new(struct tls *t);
/* NULL: another kind of BIO, or none. */
struct tls *tls_of_bio(BIO *b);

#endif
