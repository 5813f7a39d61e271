/*
 * What the tests of the net room and of the transport share: a worker on the test's own thread, turned by hand; a stream
 * with everything that it told; its peer as a plain socket or an OpenSSL connection; certificates made on the spot.
 *
 * One thread, so that nothing but the order of events decides. What never comes ends the test after WAIT_MS.
 */
#ifndef NET_FIXTURE_H
#define NET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <postern/log.h>
#include <postern/stream.h>
#include <postern/tls.h>
#include <postern/worker.h>

#define WAIT_MS 10000

/* ---- the worker ---- */
/* Group setup and teardown: the event log goes to a file; teardown fails when a defect was logged in it. */
int net_setup(void **state);
int net_teardown(void **state);
struct worker *net_worker(void);
/* Fails the test when a handle is left open. */
void net_worker_end(struct worker *w);
/* One turn of the loop, which waits a moment when there is nothing to do. */
void net_turn(struct worker *w);
void net_turns(struct worker *w, unsigned n);
/* Turns until *what; false after WAIT_MS. */
bool net_until(struct worker *w, const bool *what);
uint64_t net_now_ms(void);

/* ---- a stream and what it told ---- */
enum probe_event { PROBE_OPEN, PROBE_DATA, PROBE_EOF, PROBE_DRAINED, PROBE_FAIL, PROBE_EVENTS };

struct probe {
    struct stream s; /* first */
    bool open, eof, clean, drained, failed, closed;
    unsigned told[PROBE_EVENTS], after_close; /* callbacks, and those that must not have come */
    enum reason why;
    char fail_text[200];
    char *data; /* all that came, unless `discard` */
    size_t n, room, largest;
    bool discard;
    uint64_t digest;                                   /* of all that came */
    void (*hook)(struct probe *p, enum probe_event e); /* after it was noted */
    size_t wanted;                                     /* sets `enough` */
    bool enough;
};
extern const struct stream_handler probe_handler;
void probe_end(struct probe *p); /* frees what it holds; the stream is closed */
/* Closes and waits for on_closed. */
void probe_close(struct worker *w, struct probe *p);
/* Turns until `n` bytes have come in all; false: not in time, or the stream has failed. */
bool probe_want(struct worker *w, struct probe *p, size_t n);
uint64_t digest_add(uint64_t d, const char *p, size_t n);
ssize_t probe_write(struct probe *p, const char *data, size_t n);

/* ---- its peer ---- */
struct peer {
    int fd; /* not blocking */
    SSL *ssl;
};
enum peer_end {
    PEER_OPEN,      /* has not ended */
    PEER_CLEAN,     /* close_notify on TLS, FIN on plain */
    PEER_TRUNCATED, /* TLS: FIN without close_notify */
    PEER_BROKEN     /* reset, or an alert */
};
/* Connected sockets; `tcp`: over loopback, else a Unix pair. */
void net_pair(bool tcp, int ret[2]);
/* Small buffers in the kernel; of a Unix pair: on TCP they would bring its timers into play. */
void net_narrow(struct probe *p, struct peer *peer);
/* `p` accepted on one end; the other is `peer`. tls NULL: plain; then client_ctx is not used. */
void net_accept(struct worker *w, struct probe *p, struct tls_server *tls, bool tcp, struct peer *peer,
                SSL_CTX *client_ctx, const char *sni);
/* `p` connects over loopback; `peer` is what accepted it, a TLS server when server_ctx is not NULL. */
void net_connect(struct worker *w, struct probe *p, struct tls_client *tls, struct tls_session_slot *slot,
                 struct peer *peer, SSL_CTX *server_ctx);
/* The peer's handshake, turning the loop; 1, or what SSL_get_error() said. */
int peer_handshake(struct worker *w, struct peer *peer);
/* Both sides shake hands and the stream has opened; fails the test otherwise. */
void net_shake(struct worker *w, struct probe *p, struct peer *peer);
/* As much as goes at once; -1: broken. */
ssize_t peer_try_write(struct peer *peer, const char *data, size_t n);
ssize_t peer_try_read(struct peer *peer, char *to, size_t n, enum peer_end *ret_end);
void peer_write(struct worker *w, struct peer *peer, const char *data, size_t n);
/* Reads exactly `n` bytes. */
void peer_read(struct worker *w, struct peer *peer, char *to, size_t n);
/* Reads until the end; how it ended, *ret_n bytes, *ret_digest of them (both may be NULL). */
enum peer_end peer_read_end(struct worker *w, struct peer *peer, size_t *ret_n, uint64_t *ret_digest);
/* close_notify where there is TLS, then FIN. */
void peer_finish(struct peer *peer);
void peer_fin(struct peer *peer); /* FIN alone */
void peer_close(struct peer *peer);
void peer_reset(struct peer *peer);

/* ---- certificates ---- */
enum test_key { TEST_EC, TEST_RSA, TEST_ED25519 };
struct test_certificate {
    X509 *x;
    EVP_PKEY *key;
    char *chain_pem, *key_pem; /* chain: the leaf, then its issuer unless that is a root */
    struct conf_certificate conf;
};
struct test_want {
    const char *name, *san; /* CN, and "DNS:a,IP:127.0.0.1" or NULL */
    enum test_key key;
    int from_days, to_days; /* 0 and 0: -1 to 30 */
    bool authority;
    const struct test_certificate *issuer; /* NULL: self-signed */
};
void certificate_new(struct test_certificate *c, const struct test_want *want);
void certificate_end(struct test_certificate *c);
/* The tests as a group, with what net_setup does and `wanted` certificates. */
int net_run(const char *group, const struct CMUnitTest *tests, size_t n, const struct test_want *wants,
            struct test_certificate *certificates, size_t wanted);

/* ---- both kinds of TLS ---- */
/* A listener with these certificates. */
struct tls_server *net_tls_server(struct worker *w, struct conf_listener *conf, enum conf_tls tls,
                                  struct tls_tickets *tickets,
                                  const struct test_certificate *const *certificates, size_t n);
/* A client that trusts `root` (NULL: nobody is asked). */
SSL_CTX *net_client_ctx(const struct test_certificate *root);
/* A server with the certificate, for streams that connect. */
SSL_CTX *net_server_ctx(const struct test_certificate *c);

#endif
