/*
 * ldap_check: what can be said about a directory's templates, DNs and filters before a server is asked.
 */
#ifndef POSTERN_LDAP_CHECK_H
#define POSTERN_LDAP_CHECK_H

#include <postern/conf.h>

/* False, and findings, when something cannot work. `who` names the directory. */
bool ldap_check(const struct conf_directory *d, const char *who, struct conf_findings *f);
/* Whether the text is a filter of RFC 4515, as far as its form goes. */
bool ldap_filter_is_good(struct str filter);

#endif
