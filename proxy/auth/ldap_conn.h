/*
 * ldap_conn: one connection to an LDAP server, always inside TLS. One thread at a time; every call ends by its deadline
 * (nanoseconds of uv_hrtime()).
 *
 * libldap encodes, decodes and matches answers to questions; the bytes go through our own socket layer (LDAP_PROTO_EXT), for
 * three reasons. Its own TLS (GnuTLS on Debian) reads authorities from a path, accepts the common name where subjectAltName
 * does not fit and takes "localhost" for the machine's own name: tls_socket verifies as strictly as towards backends, with the
 * bytes that were read when the configuration was loaded. Its own connecting waits for name servers without a deadline. And
 * every byte that is written can be overwritten, so that no password stays behind in libldap's buffers.
 */
#ifndef POSTERN_LDAP_CONN_H
#define POSTERN_LDAP_CONN_H

#include <postern/auth_detail.h>
#include <postern/tls_socket.h>

#include "lookup.h"

struct ldap_conn;

/* What a connection needs to know of its server; lives longer than it. */
struct ldap_peer {
    struct lookup *lookup;
    struct tls_trust *trust;
    const char *name; /* verified */
    bool start_tls;
    uint64_t connect_ms; /* most for TCP and TLS together */
};

/* The result of one operation, as the server gave it. */
struct ldap_answer {
    int code;       /* resultCode, RFC 4511 4.1.9 */
    int policy;     /* error of draft-behera-ldap-password-policy 6.2; -1: none */
    char text[256]; /* diagnosticMessage, cut */
};

/* NULL, *ret_fault and words for the log (static or in `why`). */
struct ldap_conn *ldap_conn_open(const struct ldap_peer *p, uint64_t due_ns, enum auth_detail *ret_fault,
                                 char *why, size_t why_size);
/* Sends a farewell if that takes no time. */
void ldap_conn_close(struct ldap_conn *c);

/* Simple bind (RFC 4511 4.2). False: no answer, and the connection is good for nothing but ldap_conn_close. `name` and
 * `password` are never empty: a server would take that for an anonymous bind. */
bool ldap_conn_bind(struct ldap_conn *c, const char *name, struct str password, uint64_t due_ns,
                    struct ldap_answer *ret);
/* Searches at `base` alone or in all below. *ret_n is the number of entries found, 2 for any more than one; `dn` gets the
 * name of the first (NUL-terminated; `size` 0: not wanted). False as above; an answer with a code other than 0 is true. */
bool ldap_conn_search(struct ldap_conn *c, const char *base, bool below, const char *filter, uint64_t due_ns,
                      unsigned *ret_n, char *dn, size_t size, struct ldap_answer *ret);
/* Why a call returned false. */
enum auth_detail ldap_conn_fault(const struct ldap_conn *c);
/* Whether nothing has come in since the last answer: a server that closed, or said goodbye, is readable. */
bool ldap_conn_is_quiet(const struct ldap_conn *c);

/* Once, before threads: libldap reads its own configuration files and looks up the machine's name when it is first used. */
void ldap_conn_process_init(void);

#endif
