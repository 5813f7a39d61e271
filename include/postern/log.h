/*
 * log: the event log (for the operator, stable ids) and the access log's writer (one line per request).
 *
 * Both are written by one thread of this module; callers on any thread copy into a bounded ring and never block on a
 * disk. When a ring is full the line is dropped and counted. Rows of events in log_events.def.
 *
 * A field carries a name and a typed value. There is no field type for credentials, header values or bodies: a secret
 * has no way in. Every value is escaped so that a line stays one line and a terminal stays sane.
 */
#ifndef POSTERN_LOG_H
#define POSTERN_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <postern/reason.h>
#include <postern/str.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERROR, LOG_LEVEL_COUNT };

enum log_event_id {
#define LOG_EVENT(id, name, level, text) LOG_EV_##id,
#include <postern/log_events.def>
#undef LOG_EVENT
    LOG_EVENT_COUNT
};

enum log_field_type { LOG_FIELD_STR, LOG_FIELD_U64, LOG_FIELD_ADDRESS, LOG_FIELD_REASON, LOG_FIELD_ERRNO };

struct log_field {
    const char *name;
    enum log_field_type type;
    union {
        struct str s;
        uint64_t u;
        const struct sockaddr *a;
    } value;
};

#define LF_STR(name_, s_) ((struct log_field){.name = name_, .type = LOG_FIELD_STR, .value.s = (s_)})
#define LF_U64(name_, u_)                                                                                    \
    ((struct log_field){.name = name_, .type = LOG_FIELD_U64, .value.u = (uint64_t)(u_)})
#define LF_ADDRESS(name_, a_)                                                                                \
    ((struct log_field){.name = name_, .type = LOG_FIELD_ADDRESS, .value.a = (const struct sockaddr *)(a_)})
#define LF_REASON(r_)                                                                                        \
    ((struct log_field){.name = "reason", .type = LOG_FIELD_REASON, .value.u = (uint64_t)(r_)})
#define LF_ERRNO(e_) ((struct log_field){.name = "error", .type = LOG_FIELD_ERRNO, .value.u = (uint64_t)(e_)})

/* log_event(LOG_EV_BACKEND_DOWN, LF_STR("server", name), LF_REASON(r)); at least one field. */
#define log_event(id, ...)                                                                                   \
    log_emit(id, (const struct log_field[]){__VA_ARGS__},                                                    \
             sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
void log_emit(enum log_event_id id, const struct log_field *fields, size_t n);

struct log_options {
    const char *event_path;  /* NULL or "stderr": standard error; "syslog"; else a file, appended */
    const char *access_path; /* NULL or "off": none; "stdout"; else a file, appended */
    enum log_level level;    /* events below it are dropped */
    size_t ring_bytes;       /* per log; 0 = 1 MiB */
};

/* Before log_start events go to standard error, unbuffered. -1 and *ret_error (static text + path) when a file cannot
 * be opened; then nothing has changed. */
int log_start(const struct log_options *o, char *ret_error, size_t error_size);
/* Opens both files again (after logrotate) and applies a changed level or path; same errors. */
int log_reopen(const struct log_options *o, char *ret_error, size_t error_size);
/* Writes out everything, stops the thread. */
void log_stop(void);
/* Whether there is an access log at all: a line that goes nowhere need not be put together. Any thread. */
bool log_access_wanted(void);
/* Copies one finished line (without newline) to the access log; false when it was dropped. Any thread. */
bool log_access_line(const char *line, size_t n);
/* For W3C extended format: written at the start of each new file, and by log_start or log_reopen when it has changed;
 * copied. */
void log_access_set_header(const char *text);
uint64_t log_lines_lost(void);

/* Appends `s` as the inside of a JSON string to out (always fits in `size`, cuts at a whole escape); length written. */
size_t log_json_escape(struct str s, char *out, size_t size);
const char *log_event_name(enum log_event_id id);

/* "192.0.2.7:443" or "[2001:db8::1]:443" or "unix"; without the port when `port` is false. Returns the length. */
size_t log_address(const struct sockaddr *a, bool port, char *out, size_t size);

#endif
