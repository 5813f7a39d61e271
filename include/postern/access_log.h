/*
 * access_log: one line per request, JSON or W3C extended, of the fields that the site chose (access_fields.def).
 * Compiled once per configuration; written on any worker. Never holds a credential: no field has one.
 */
#ifndef POSTERN_ACCESS_LOG_H
#define POSTERN_ACCESS_LOG_H

#include <postern/auth_detail.h>
#include <postern/conf.h>
#include <postern/reason.h>

struct access_record {
    int64_t ended_ms; /* wall clock, ms since the epoch */
    const struct sockaddr *client;
    struct str user, method, host, path, query, service, backend, tls_version, tls_cipher, sni, agent;
    struct str command, device, device_type, device_user, protocol, policy_key;
    uint8_t minor;
    bool head_seen; /* a request line was read */
    int status;
    enum reason reason;
    bool auth_asked;
    enum auth_detail auth;
    uint64_t bytes_in, bytes_out, duration_ms, backend_ms, connection;
    bool reused;
};

struct access_log;
/* Never fails on names: conf has checked them. NULL without memory. */
struct access_log *access_log_new(const struct conf_log *c);
void access_log_free(void *a);
/* Formats into a buffer of its own on the stack (over-long values are cut and end in "...") and hands it to the log. */
bool access_log_write(const struct access_log *a, const struct access_record *r);
/* "#Fields: ..." of the W3C format, or empty for JSON. */
struct str access_log_header(const struct access_log *a);
/* For tests: formats into `out`, length. */
size_t access_log_format(const struct access_log *a, const struct access_record *r, char *out, size_t size);

#endif
