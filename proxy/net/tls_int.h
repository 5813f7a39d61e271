/*
 * tls_int: what the TLS files of this room agree on.
 *
 *   tls_ctx*.c  makes contexts: certificates, server names, profiles, tickets, verification, sessions to resume.
 *   tls.c       one connection: handshake, records, shutdown. tls_bio.c is its way to the worker's buffers.
 *
 * All runs on the thread of the worker whose library context was used. The error queue belongs to the thread, not to a
 * connection: every entry into OpenSSL starts with tls_errors_expect_none() and every failure ends with
 * tls_errors_take() or tls_errors_drop().
 */
#ifndef POSTERN_TLS_INT_H
#define POSTERN_TLS_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>
#include <openssl/ssl.h>
#include <postern/tls.h>

struct tls;

/* ---- tls_ctx*.c gives ---- */

/* The context of new connections of a listener (its first certificate). The client-hello or server-name callback on it
 * switches to the context of the name. Borrowed: SSL_new takes its own reference. */
SSL_CTX *tls_server_ctx(struct tls_server *t);

/* A new client SSL: server name (none for literals), verification with the expected name, pins, and the slot's session
 * (SSL_SESSION_dup for TLS 1.3, where a session is marked unfit once its successor has come). The SSL keeps the slot alive until
 * SSL_free, by a count inside the slot. NULL without memory. `slot` may be NULL: no SNI, expected_name or nothing. */
SSL *tls_client_ssl(struct tls_client *c, struct tls_session_slot *slot);

/* Puts a session that may be resumed into the slot; takes over the caller's reference. Called by the new-session callback
 * of the client contexts. */
void tls_session_slot_store(struct tls_session_slot *slot, SSL_SESSION *session);

/* ---- tls_memory.c gives ---- */

#define TLS_PIECE (22 * 1024) /* of what holds a record: OpenSSL asks for less */
/* Once, before OpenSSL allocates anything. */
void tls_memory_init(void);
/* Gives back what this thread keeps for records. */
void tls_memory_trim(void);
/* What the buffers for records hold that OpenSSL frees on this thread from now on, so that no more is cleansed than was
 * written: plaintext of at most *filled octets that the BIO has given since the buffer was taken (which sets it to 0). NULL:
 * nobody knows, all is cleansed. */
void tls_memory_filled(uint32_t *filled);
/* Nothing that is secret: ciphertext on its way out. */
void tls_memory_sealed(void);
/* A record that OpenSSL has just written stays where it is, in the piece that this thread took last, until tls_memory_settle(),
 * even when OpenSSL gives the piece back (as SSL_MODE_RELEASE_BUFFERS has it do when all of an SSL_write is out). false: it
 * lies elsewhere, or so much is lent already; copy it. */
#define TLS_LENT_MAX 8
bool tls_memory_lend(const char *data, size_t n);
/* Whether one more could be lent, and OpenSSL is done with the last: else its next record would overwrite that. */
bool tls_memory_may_lend(void);
/* What is lent, in its order. */
const struct iovec *tls_memory_lent(int *ret_n);
void tls_memory_settle(void);

/* ---- tls.c gives ---- */

/* Modes, options and callbacks that tls.c depends on; every server and client context is passed through it once:
 * partial writes, moving buffer, no renegotiation, no read-ahead, no internal session cache for servers, the message
 * callback that counts KeyUpdate, one TLS 1.3 ticket. */
void tls_ctx_prepare(SSL_CTX *ctx);

/* Digest of the other side's certificate; false: it has sent none. Errors stay in the queue. */
bool tls_peer_sha256(const SSL *ssl, unsigned char ret[32]);

/* The connection an SSL belongs to; NULL while it is being made. For callbacks. */
struct tls *tls_of_ssl(const SSL *ssl);

/* Words for a failed verification or another local refusal made inside a callback ("pin does not match"); replaces
 * OpenSSL's own text. `text` is static. */
void tls_refuse(SSL *ssl, const char *text);

/* Reports PO-TLS-0001 and empties the queue when something was left in it. */
void tls_errors_expect_none(const char *where);
/* Empties the queue into words: the first reason that says something, with the file of OpenSSL never shown. */
void tls_errors_take(char *out, size_t size);
void tls_errors_drop(void);

#endif
