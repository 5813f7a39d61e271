/*
 * tls_socket: TLS for threads that may block: a client on a connected socket, every call bounded by a deadline.
 *
 * For directories, which are asked on threads of their own; streams on an event loop have tls.c. Chain and name are always
 * verified, against the given authorities and no others (RFC 9525: names of subjectAltName, never the common name); TLS 1.2
 * at least. A tls_trust is read-only once made, so any number of threads may use it; a tls_socket has one thread at a time.
 * Deadlines are absolute: nanoseconds of uv_hrtime(). Sockets must not block (O_NONBLOCK); they stay the caller's.
 */
#ifndef POSTERN_TLS_SOCKET_H
#define POSTERN_TLS_SOCKET_H

#include <sys/types.h>
#include <postern/conf.h>

struct tls_trust;
/* Reads the PEM bytes of `trust`. NULL and a finding, in the words of `who`, when there is no certificate in them. */
struct tls_trust *tls_trust_new(const struct conf_file *trust, const char *who, struct conf_findings *f);
void tls_trust_free(struct tls_trust *t);

struct tls_socket;
/* Handshakes as a client with `name` (a host name or an address) verified. 0; -ETIMEDOUT; -EPROTO and words in `ret_why` when
 * TLS failed or the certificate was refused; another -errno when the connection broke. */
int tls_socket_open(struct tls_trust *t, int fd, const char *name, uint64_t due_ns, struct tls_socket **ret,
                    char *ret_why, size_t why_size);
/* At least one byte; 0 at the end of the stream; -errno, -ETIMEDOUT at the deadline. */
ssize_t tls_socket_read(struct tls_socket *s, void *p, size_t n, uint64_t due_ns);
/* Everything, or -errno. */
ssize_t tls_socket_write(struct tls_socket *s, const void *p, size_t n, uint64_t due_ns);
/* Whether bytes can be read that are not on the socket any more. */
bool tls_socket_pending(const struct tls_socket *s);
/* Without a farewell: the caller closes the socket. */
void tls_socket_free(struct tls_socket *s);

/* The SHA-256 of the certificate that a server presents, for comparisons alone: nothing is verified, and nothing is sent but the
 * handshake. As tls_socket_open; `name` is sent as SNI unless it is an address. */
int tls_socket_peek(int fd, const char *name, uint64_t due_ns, unsigned char ret_sha256[32], char *ret_why,
                    size_t why_size);

/* Waits for `events` of poll(2). 0, -ETIMEDOUT or -errno. */
int socket_wait(int fd, short events, uint64_t due_ns);

#endif
