/*
 * log_int: between the writer thread (log.c) and the formats (log_format.c).
 */
#ifndef POSTERN_LOG_INT_H
#define POSTERN_LOG_INT_H

#include <time.h>

#include <postern/log.h>

enum log_level log_event_level(enum log_event_id id);
/* One line without newline; never longer than `size`. */
size_t log_format_event(enum log_event_id id, const struct log_field *fields, size_t n,
                        const struct timespec *now, char *out, size_t size);

#endif
