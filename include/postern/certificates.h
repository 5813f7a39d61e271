/*
 * certificates: are the configured certificates fit to meet the public? Used by check, start and reload. Any thread that
 * owns the snapshot alone; uses OpenSSL's default library context.
 *
 * Each finding says what to do; docs/certificates.md has a row for each. Errors: no certificate or key in the file, key does
 * not match, wrong passphrase, chain out of order or incomplete (each must be signed by the next; a missing intermediate is told
 * by name), expired, not yet valid, self-signed or a server's default certificate without allow_self_signed, RSA under 2048
 * bits, weaker than the listener's TLS profile takes, not for servers, a published host that no certificate of a TLS listener
 * covers (SAN, RFC 9525; a bare CN only warns), an OCSP staple that is not for this certificate or not good. Warnings: expires
 * within 30 days, SHA-1 signatures, staple old, a leaf alone whose issuer may be a root, what some clients refuse.
 */
#ifndef POSTERN_CERTIFICATES_H
#define POSTERN_CERTIFICATES_H

#include <postern/conf.h>

/* Also notes in the snapshot, before it is shared, until when each staple may be handed out. */
void certificates_check(struct snapshot *s, struct conf_findings *f);

/* A client that is given a response past its next update refuses the connection, where without one it may go on. */
struct certificate_staple {
    int64_t until; /* seconds since the epoch */
    bool told;     /* that it has ended; atomic */
};
/* Whether the certificate's response may be handed out now. Says so once, in the event log, when not. Any thread. */
bool certificate_staple_good(const struct conf_certificate *c);

/* Facts of the leaf, for `status` and for comparisons. */
struct certificate_facts {
    char subject[256];
    char names[1024]; /* SAN DNS and IP, comma-separated */
    char key[32];     /* "RSA 2048", "EC P-256" */
    char issuer[256];
    int64_t not_after; /* seconds since the epoch */
    int days_left;
    unsigned char sha256[32]; /* of the whole certificate, DER */
};
int certificates_facts(const struct conf_certificate *c, struct certificate_facts *ret);
/* Whether one of the configuration's certificates has this digest. */
bool certificates_have(const struct snapshot *s, const unsigned char sha256[32]);

#endif
