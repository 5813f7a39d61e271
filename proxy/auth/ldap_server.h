/*
 * ldap_server: one server of a directory, and its connections that are kept for the next question.
 *
 * Connections of users are bound anew for each verification; a bind ends the one before (RFC 4511 4.2.1: the server takes the
 * connection for anonymous from the request on, and after a failure), so nothing of one user is left to the next. Connections
 * of the service account stay bound and never carry a user's bind. Any thread; locked inside, never while it waits.
 */
#ifndef POSTERN_LDAP_SERVER_H
#define POSTERN_LDAP_SERVER_H

#include <postern/conf.h>

#include "ldap_conn.h"
#include "standing.h"

enum ldap_purpose { LDAP_FOR_USER, LDAP_FOR_SERVICE, LDAP_PURPOSES };

struct ldap_server;
struct ldap_server *ldap_server_new(const struct conf_directory *d, const struct conf_directory_server *s,
                                    struct tls_trust *trust);
void ldap_server_free(struct ldap_server *s);

/* A kept connection that is still quiet, or a new one. NULL when none can be had: the server is then marked as failed. */
struct ldap_conn *ldap_server_take(struct ldap_server *s, enum ldap_purpose p, uint64_t due_ns,
                                   bool *ret_kept, enum auth_detail *ret_fault);
/* Takes the connection over; only one whose last question was answered. */
void ldap_server_give(struct ldap_server *s, enum ldap_purpose p, struct ldap_conn *c);
/* Closes it instead. */
void ldap_server_drop(struct ldap_server *s, struct ldap_conn *c);

/* It did not answer: what is kept is closed. */
void ldap_server_failed(struct ldap_server *s, enum auth_detail fault, const char *why);
struct standing *ldap_server_standing(struct ldap_server *s);
struct verifier_server ldap_server_status(struct ldap_server *s);
/* Closes what was kept too long. */
void ldap_server_tidy(struct ldap_server *s);

#endif
