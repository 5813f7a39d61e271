/*
 * link: one client connection, plain or TLS, as its user sees it: plaintext in, plaintext out. One thread.
 *
 * link_open() gives it, link_close() takes it back: after that the pointer is dead and no callback comes. Any callback
 * may close its own link. Received bytes lie in the thread's memory and are valid only during on_data.
 */
#ifndef LOAD_LINK_H
#define LOAD_LINK_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <uv.h>
#include "fault.h"
#include "sources.h"

struct thread;
struct link;

enum tls_version { TLS_VERSION_ANY, TLS_VERSION_12, TLS_VERSION_13, TLS_VERSION_COUNT };

/* Which key the server is to show: of two certificates, or else the handshake fails. */
enum tls_certificate {
    TLS_CERTIFICATE_ANY,
    TLS_CERTIFICATE_RSA,
    TLS_CERTIFICATE_ECDSA,
    TLS_CERTIFICATE_COUNT
};

struct tls_choice {
    enum tls_version version;
    enum tls_certificate certificate;
};

struct link_handler {
    void (*on_open)(struct link *l); /* connected, handshake included */
    void (*on_data)(struct link *l, const char *p, size_t n);
    void (*on_eof)(struct link *l, bool clean); /* FIN; on TLS clean means close_notify came before it */
    void (*on_drained)(struct link *l);         /* all that was written has left */
    void (*on_fail)(struct link *l, enum fault why);
    void (*on_ticket)(struct link *l, SSL_SESSION *s); /* TLS: takes over the reference */
};

struct link {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct thread *thread;
    SSL *ssl; /* NULL: plain */
    const struct link_handler *on;
    void *user;
    const char *in; /* ciphertext of the read being worked on */
    size_t in_n, queued;
    bool open, closing, notified;
};

/* Connects to the scenario's target, from `source` (NULL: any). `resume` may be NULL; it stays the caller's.
 * Returns why there is no link; without a fault on_open or on_fail follows, never before return. */
enum fault link_open(struct thread *t, struct tls_choice tls, SSL_SESSION *resume,
                     const union address *source, const struct link_handler *on, void *user,
                     struct link **ret);
/* Takes everything; what the socket does not take at once is queued. false: the link has failed, on_fail does not follow. */
bool link_write(struct link *l, const void *p, size_t n);
/* With close_notify, where the peer may still want it. NULL is allowed. */
void link_close(struct link *l);
bool link_resumed(const struct link *l);

/* The thread's TLS contexts, those that its scenario needs; false and a message on stderr when they cannot be made. */
bool link_tls_init(struct thread *t, const char *trust_file);
void link_tls_free(struct thread *t);

#endif
