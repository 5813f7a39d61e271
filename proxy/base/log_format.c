#include <postern/log.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "log_int.h"

static const char *const level_names[LOG_LEVEL_COUNT] = {"debug", "info", "notice", "warning", "error"};

static const struct {
    const char *name, *text;
    enum log_level level;
} events[] = {
#define DEBUG LOG_DEBUG
#define INFO LOG_INFO
#define NOTICE LOG_NOTICE
#define WARNING LOG_WARNING
#define ERROR LOG_ERROR
#define LOG_EVENT(id, name, level, text) {name, text, level},
#include <postern/log_events.def>
#undef LOG_EVENT
#undef DEBUG
#undef INFO
#undef NOTICE
#undef WARNING
#undef ERROR
};

const char *log_event_name(enum log_event_id id)
{
    return id < LOG_EVENT_COUNT ? events[id].name : "";
}

enum log_level log_event_level(enum log_event_id id)
{
    return events[id].level;
}

static bool json_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t plain_run(struct str s, size_t from)
{
    size_t i = from;

    while (i < s.n && json_plain((unsigned char)s.p[i]))
        i++;
    return i - from;
}

size_t log_json_escape(struct str s, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        size_t run = plain_run(s, i);
        if (run > size - n)
            run = size - n;
        if (run > 0) {
            memcpy(out + n, s.p + i, run);
            n += run;
            i += run;
        }
        if (i == s.n || n == size)
            break;
        unsigned char c = (unsigned char)s.p[i];
        char esc[8];
        size_t m = 1;
        esc[0] = (char)c;
        if (c == '"' || c == '\\') {
            esc[0] = '\\';
            esc[1] = (char)c;
            m = 2;
        } else if (c < 0x20 || c == 0x7f) {
            m = (size_t)snprintf(esc, sizeof(esc), "\\u%04x", c);
        } else if (c >= 0x80) {
            /* One octet that need not be UTF-8: kept readable as the code point of its value. */
            m = (size_t)snprintf(esc, sizeof(esc), "\\u00%02x", c);
        }
        if (m > size - n)
            break;
        memcpy(out + n, esc, m);
        n += m;
    }
    return n;
}

/* By hand: every request names its client, and inet_ntop() and snprintf() would cost more than all else about that. */
static size_t put_v4(const uint8_t *a, unsigned port, bool with_port, char out[24])
{
    size_t n = 0;

    for (int i = 0; i < 4; i++) {
        n += str_put_u64(a[i], out + n);
        out[n++] = '.';
    }
    n--;
    if (with_port) {
        out[n++] = ':';
        n += str_put_u64(port, out + n);
    }
    return n;
}

static size_t log_address_v4(const uint8_t *a, unsigned port, bool with_port, char *out, size_t size)
{
    char text[24];
    size_t n = put_v4(a, port, with_port, text);

    n = n < size ? n : size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
    return n;
}

size_t log_address(const struct sockaddr *a, bool port, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    int n;

    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)a;
        return log_address_v4((const uint8_t *)&in->sin_addr, ntohs(in->sin_port), port, out, size);
    }
    if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)a;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
            return log_address_v4(in6->sin6_addr.s6_addr + 12, ntohs(in6->sin6_port), port, out, size);
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        n = port ? snprintf(out, size, "[%s]:%u", host, ntohs(in6->sin6_port))
                 : snprintf(out, size, "[%s]", host);
    } else {
        n = snprintf(out, size, "unix");
    }
    return (size_t)n < size ? (size_t)n : size - 1;
}

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c >= 0x7f)
            return true;
    }
    return s.n == 0;
}

static size_t put_text(struct str s, char *out, size_t size)
{
    size_t n = 0;

    if (!needs_quotes(s)) {
        n = s.n < size ? s.n : size;
        memcpy(out, s.p, n);
        return n;
    }
    if (size < 2)
        return 0;
    out[n++] = '"';
    n += log_json_escape(s, out + 1, size - 2);
    out[n++] = '"';
    return n;
}

static size_t put_field(const struct log_field *f, char *out, size_t size)
{
    char text[128];
    size_t n;

    switch (f->type) {
    case LOG_FIELD_STR:
        return put_text(f->value.s, out, size);
    case LOG_FIELD_REASON:
        return put_text(str_of(reason_name((enum reason)f->value.u)), out, size);
    case LOG_FIELD_ERRNO:
        return put_text(str_of(strerrordesc_np((int)f->value.u)), out, size);
    case LOG_FIELD_ADDRESS:
        n = log_address(f->value.a, true, text, sizeof(text));
        return put_text((struct str){text, n}, out, size);
    case LOG_FIELD_U64:
        break;
    }
    n = (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)f->value.u);
    return put_text((struct str){text, n}, out, size);
}

size_t log_format_event(enum log_event_id id, const struct log_field *fields, size_t n,
                        const struct timespec *now, char *out, size_t size)
{
    struct tm tm;
    size_t at;

    gmtime_r(&now->tv_sec, &tm);
    at = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
    at += (size_t)snprintf(out + at, size - at, ".%03ldZ %s %s %s", now->tv_nsec / 1000000,
                           level_names[events[id].level], events[id].name, events[id].text);
    for (size_t i = 0; i < n && size - at > strlen(fields[i].name) + 8; i++) {
        at += (size_t)snprintf(out + at, size - at, " %s=", fields[i].name);
        at += put_field(&fields[i], out + at, size - at);
    }
    return at;
}
