/*
 * log_syslog: one finished line to syslog(3).
 */
#ifndef POSTERN_LOG_SYSLOG_H
#define POSTERN_LOG_SYSLOG_H

#include <stddef.h>

void log_to_syslog(const char *line, size_t n);

#endif
