/*
 * The request target, taken apart and decoded once. Everything that a second reader could read differently is
 * refused.
 */
#include <arpa/inet.h>

#include <postern/target.h>

#include "http_int.h"

#define HOST_MAX 255
#define LABEL_MAX 63

/* ---- host[:port] ---- */

static enum reason host_port(struct str text, uint16_t *ret_port)
{
    uint64_t port;

    if (text.n > 5 || !str_to_u64(text, &port) || port == 0 || port > UINT16_MAX)
        return REASON_BAD_HOST;
    *ret_port = (uint16_t)port;
    return REASON_OK;
}

static bool host_is_ipv6(struct str name)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr a;

    if (name.n < 4 || name.n - 2 >= sizeof(text) || name.p[name.n - 1] != ']')
        return false;
    memcpy(text, name.p + 1, name.n - 2);
    text[name.n - 2] = '\0';
    return inet_pton(AF_INET6, text, &a) == 1;
}

/* Letters, digits, "-" and "_" in labels of 1 to 63. "_" is no host name, but NetBIOS names have it. */
static bool host_is_name(struct str name)
{
    struct str rest = name, label;

    if (name.n == 0 || name.n > HOST_MAX || !octets_all(name, OCTET_NAME))
        return false;
    if (name.p[name.n - 1] == '.')
        return false;
    while (str_next(&rest, '.', &label))
        if (label.n == 0 || label.n > LABEL_MAX)
            return false;
    return true;
}

/* Only digits and dots: dotted decimal of four parts, or nothing (inet_aton's other forms mean different
 * hosts to some). */
static bool host_is_numeric(struct str name)
{
    struct str rest = name, label, last = STR("");

    while (str_next(&rest, '.', &label))
        last = label;
    return octets_all(last, OCTET_DIGIT);
}

static bool host_is_ipv4(struct str name)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr a;

    if (name.n >= sizeof(text))
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    return inet_pton(AF_INET, text, &a) == 1;
}

static bool host_valid(struct str name)
{
    if (name.n > 0 && name.p[0] == '[')
        return host_is_ipv6(name);
    if (!host_is_name(name))
        return false;
    return !host_is_numeric(name) || host_is_ipv4(name);
}

/* Where the name ends and ":port" begins. */
static size_t host_split(struct str text)
{
    const char *from = text.p, *colon;

    if (text.n > 0 && text.p[0] == '[') {
        from = memchr(text.p, ']', text.n);
        if (from == NULL)
            return text.n;
    }
    colon = memchr(from, ':', text.n - (size_t)(from - text.p));
    return colon == NULL ? text.n : (size_t)(colon - text.p);
}

enum reason target_host(struct str text, struct arena *a, struct str *ret_host, uint16_t *ret_port)
{
    size_t split;
    struct str name;
    uint16_t port = 0;
    char *lower;

    if (text.n == 0)
        return REASON_BAD_HOST;
    split = host_split(text);
    name = (struct str){text.p, split};
    if (split < text.n && host_port((struct str){text.p + split + 1, text.n - split - 1}, &port) != REASON_OK)
        return REASON_BAD_HOST;
    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    if (!host_valid(name))
        return REASON_BAD_HOST;
    lower = arena_bytes(a, name.n + 1);
    if (lower == NULL)
        return REASON_NO_MEMORY;
    for (size_t i = 0; i < name.n; i++)
        lower[i] = ascii_lower(name.p[i]);
    lower[name.n] = '\0';
    *ret_host = (struct str){lower, name.n};
    *ret_port = port;
    return REASON_OK;
}

/* ---- absolute form ---- */

size_t target_scheme(struct str text, uint16_t *ret_port)
{
    if (str_starts_nocase(text, STR("http://"))) {
        *ret_port = 80;
        return 7;
    }
    if (str_starts_nocase(text, STR("https://"))) {
        *ret_port = 443;
        return 8;
    }
    return 0;
}

struct str target_authority(struct str text, uint16_t *ret_default_port)
{
    size_t at = target_scheme(text, ret_default_port), end = at;

    if (at == 0)
        return STR_NULL;
    while (end < text.n && text.p[end] != '/' && text.p[end] != '?')
        end++;
    return (struct str){text.p + at, end - at};
}

/* ---- path ---- */

/* Length of the well-formed UTF-8 sequence at `p` (RFC 3629 4), 0 when it is none. Overlong forms are how "/"
 * was once hidden. */
static size_t utf8_length(const uint8_t *p, size_t n)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high, length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (p[0] < forms[i].first_low || p[0] > forms[i].first_high)
            continue;
        if (n < forms[i].length || p[1] < forms[i].second_low || p[1] > forms[i].second_high)
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

/* "." and "..", also with parameters behind them, and longer runs of dots, which old Windows climbs too. */
static bool segment_is_dots(struct str segment)
{
    size_t i = 0;

    while (i < segment.n && segment.p[i] == '.')
        i++;
    return i > 0 && (i == segment.n || segment.p[i] == ';');
}

static bool segments_valid(struct str decoded)
{
    struct str rest = decoded, segment;

    while (str_next(&rest, '/', &segment))
        if (segment_is_dots(segment))
            return false;
    return true;
}

static bool escape_at(const char *p, size_t left, int *ret_octet)
{
    int high, low;

    if (left < 3 || p[0] != '%')
        return false;
    high = hex_value(p[1]);
    low = hex_value(p[2]);
    if (high < 0 || low < 0)
        return false;
    *ret_octet = high * 16 + low;
    return true;
}

/* Decoded path in lower case, or -1. An escape must not hide what is refused in the open. */
static ptrdiff_t path_decode(struct str path, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < path.n; i++) {
        int c = (uint8_t)path.p[i];
        if (c == '%') {
            if (!escape_at(path.p + i, path.n - i, &c) || c < 0x20 || c == 0x7f || c == '/')
                return -1;
            i += 2;
        }
        if (c == '\\')
            return -1;
        out[n++] = ascii_lower((char)c);
    }
    return (ptrdiff_t)n;
}

/* After one decoding nothing may be left that decodes again, and what is not ASCII must be UTF-8. */
static bool decoded_valid(struct str s)
{
    int octet;
    size_t more;

    for (size_t i = 0; i < s.n; i += more) {
        more = 1;
        if (s.p[i] == '%' && escape_at(s.p + i, s.n - i, &octet))
            return false;
        if ((uint8_t)s.p[i] >= 0x80 && (more = utf8_length((const uint8_t *)s.p + i, s.n - i)) == 0)
            return false;
    }
    for (size_t i = 1; i < s.n; i++)
        if (s.p[i] == '/' && s.p[i - 1] == '/')
            return false;
    return segments_valid(s);
}

static enum reason path_canonical(struct str path, struct arena *a, struct str *ret)
{
    char *out = arena_bytes(a, path.n + 1);
    ptrdiff_t n;

    if (out == NULL)
        return REASON_NO_MEMORY;
    n = path_decode(path, out);
    if (n <= 0)
        return REASON_BAD_TARGET;
    out[n] = '\0';
    *ret = (struct str){out, (size_t)n};
    return decoded_valid(*ret) ? REASON_OK : REASON_BAD_TARGET;
}

static bool query_valid(struct str query)
{
    int octet;

    for (size_t i = 0; i < query.n; i++)
        if (query.p[i] == '%' && !escape_at(query.p + i, query.n - i, &octet))
            return false;
    return true;
}

/* ---- the whole ---- */

static bool target_octets_valid(struct str text)
{
    return text.n > 0 && octets_all(text, OCTET_VISIBLE) && memchr(text.p, '#', text.n) == NULL;
}

static void target_split(struct target *t, struct str rest)
{
    const char *mark = memchr(rest.p, '?', rest.n);

    t->path = rest;
    t->query = STR_NULL;
    if (mark != NULL) {
        t->path.n = (size_t)(mark - rest.p);
        t->query = (struct str){mark + 1, rest.n - t->path.n - 1};
    }
}

enum reason target_parse(struct target *ret, struct str text, enum method m, struct arena *a)
{
    struct target t = {.query = STR_NULL};
    uint16_t port;
    enum reason bad;

    if (!target_octets_valid(text))
        return REASON_BAD_TARGET;
    t.authority = target_authority(text, &port);
    if (t.authority.p != NULL) {
        size_t skip = (size_t)(t.authority.p + t.authority.n - text.p);
        text = (struct str){text.p + skip, text.n - skip};
    }
    target_split(&t, text);
    if (t.authority.p != NULL && t.path.n == 0)
        t.path = m == METHOD_OPTIONS && t.query.p == NULL ? STR("*") : STR("/"); /* RFC 9112 3.2.1, 3.2.4 */
    if (m == METHOD_OPTIONS && str_eq(t.path, STR("*")) && t.query.p == NULL) {
        t.canonical = t.path;
        *ret = t;
        return REASON_OK;
    }
    if (t.path.n == 0 || t.path.p[0] != '/' || !query_valid(t.query))
        return REASON_BAD_TARGET;
    bad = path_canonical(t.path, a, &t.canonical);
    if (bad == REASON_OK)
        *ret = t;
    return bad;
}
