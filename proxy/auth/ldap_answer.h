/*
 * ldap_answer: what a server's answer to a user's bind means.
 */
#ifndef POSTERN_LDAP_ANSWER_H
#define POSTERN_LDAP_ANSWER_H

#include <postern/verifier.h>

#include "ldap_conn.h"

/* The sub-code of Active Directory's "AcceptSecurityContext error, data 52e," in a diagnosticMessage;
 * AUTH_DETAIL_INVALID where there is none or it is unknown. */
enum auth_detail ldap_diagnostic_detail(struct str text);
/* Verdict and detail of a bind as the user. True: the server itself is unwell, another one may do better. */
bool ldap_answer_judge(const struct ldap_answer *a, struct auth_result *ret);

#endif
