/*
 * check_servers: what only the servers themselves can tell about a configuration.
 */
#ifndef POSTERN_CHECK_SERVERS_H
#define POSTERN_CHECK_SERVERS_H

#include <postern/conf.h>

/* Where Windows authentication passes through to servers that may want Extended Protection: compares their certificates with the
 * listeners', by a handshake with each, all within a few seconds; a warning for each that differs or does not answer. For the
 * command line: it blocks. */
void check_servers(const struct snapshot *s, struct conf_findings *f);

#endif
