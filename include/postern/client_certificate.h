/*
 * client_certificate: whether the certificate that a client has proved to hold is one that a publication trusts, and whose.
 *
 * The handshake only asks for it (tls_server: for the names of publications that want one) and proves that the client has the
 * key; it accepts any. The judgement is made here, when it is known which publication a request belongs to: so a session that is
 * resumed, or kept open over a new revocation list, gains nothing.
 */
#ifndef POSTERN_CLIENT_CERTIFICATE_H
#define POSTERN_CLIENT_CERTIFICATE_H

#include <postern/conf.h>

struct stream;

/* Authorities and revocation lists of one publication. Read-only after it was made: any thread. */
struct client_trust;
/* NULL and findings when the files hold no usable certificate or list; a list that has ended is a warning. */
struct client_trust *client_trust_new(const struct conf_publish *p, struct conf_findings *f);
void client_trust_free(struct client_trust *t);

enum client_certificate {
    CLIENT_CERTIFICATE_NONE, /* the client has sent none */
    CLIENT_CERTIFICATE_BAD, /* expired, revoked, of another authority, not for clients, or without the wanted name */
    CLIENT_CERTIFICATE_GOOD
};

#define CLIENT_ACCOUNT_MAX 256
struct client_identity {
    enum client_certificate state;
    const char *why;                      /* static words when it is BAD, for the event */
    char account[CLIENT_ACCOUNT_MAX + 1]; /* as written in the certificate; GOOD only */
    char subject[CLIENT_ACCOUNT_MAX + 1]; /* for the event: "CN=alice,O=..." cut when too long; "" for NONE */
};
/* On the stream's worker. Takes some hundred microseconds: ask once a minute per connection and publication. */
void client_certificate_judge(const struct stream *s, const struct client_trust *t,
                              struct client_identity *ret);

#endif
