/*
 * ldap_frame: one message of a server, looked at before libldap sees it.
 *
 * libldap believes its server more than we do: it keeps every message with number 0, and every one of a size of the
 * server's choosing, leaks what a notice of disconnection holds and stops the process at one without a name. So only
 * whole messages of a bounded size that answer the question asked get through.
 */
#ifndef POSTERN_LDAP_FRAME_H
#define POSTERN_LDAP_FRAME_H

#include <stddef.h>

#define LDAP_FRAME_MAX (64u << 10)
#define LDAP_FRAME_HEAD_MAX 6

/* `p` holds the first `n` octets of a message (RFC 4511 5.1: definite lengths only). The octets of tag and length together, and
 * *ret_body those that follow; 0: more are needed to tell; -1: no message, or one over LDAP_FRAME_MAX. */
int ldap_frame_head(const unsigned char *p, size_t n, size_t *ret_body);
/* The message's number (RFC 4511 4.1.1.1), or -1. `p` begins behind tag and length. */
long ldap_frame_number(const unsigned char *p, size_t n);

#endif
