/*
 * target: the request target, taken apart and canonicalised exactly once (RFC 9112 3.2, RFC 3986 5.2.4, 6.2).
 *
 * What the rules see is what the backend sees: a target whose second decoding, dot segments, encoded separators, back-slashes
 * or NULs could be read differently there is refused, not mended. The raw path and query are forwarded as they came.
 */
#ifndef POSTERN_TARGET_H
#define POSTERN_TARGET_H

#include <postern/message.h>

struct target {
    struct str path;      /* as sent, begins with "/" ("*" for OPTIONS *) */
    struct str canonical; /* decoded once, ASCII lower case: for matching only */
    struct str query;     /* as sent, without "?"; p NULL: none */
    struct str authority; /* of an absolute-form target (already in message.host), else p NULL */
};

/* REASON_OK, REASON_BAD_TARGET. Raw octets above 0x7f, "#", controls, spaces, bad percent escapes are refused; %2f %5c %00,
 * encoded controls, ".", "..", empty inner segments ("//"), "\\" and double encoding ("%25" that would decode again)
 * likewise, in the path; in the query bad escapes and controls only. authority-form and CONNECT are refused. */
enum reason target_parse(struct target *ret, struct str text, enum method m, struct arena *a);
/* host[:port] of Host or an absolute target: reg-name (letters, digits, "-", ".", "_"), IPv4, "[IPv6]"; lower-cased into
 * the arena; trailing dot dropped. REASON_OK or REASON_BAD_HOST. */
enum reason target_host(struct str text, struct arena *a, struct str *ret_host, uint16_t *ret_port);

#endif
