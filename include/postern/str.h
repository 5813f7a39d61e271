/*
 * str: counted, unowned byte ranges, and the small comparisons that HTTP and TLS names need.
 *
 * A `struct str` never owns its bytes and need not end in NUL. Case folding is ASCII only: header names, host names
 * and paths are compared as octets (RFC 9110 5.1, RFC 4343). Any thread; nothing here allocates unless it says so.
 */
#ifndef POSTERN_STR_H
#define POSTERN_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NULL ((struct str){NULL, 0})
/* for printf: printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline char ascii_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c + 32) : c;
}

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends_nocase(struct str s, struct str suffix);
/* Without leading and trailing SP and HTAB (OWS, RFC 9110 5.6.3). */
struct str str_trim(struct str s);
/* Takes the part before `sep` off the front of *rest (all of it where there is no sep); false when *rest is used up. */
bool str_next(struct str *rest, char sep, struct str *ret_part);
/* Strict decimal: digits only, no sign, no space; false on overflow or on an empty string. */
bool str_to_u64(struct str s, uint64_t *ret);
/* Decimal, without NUL; the length, at most STR_U64_MAX. */
#define STR_U64_MAX 20
size_t str_put_u64(uint64_t n, char *out);
/* Base64 of RFC 4648 4, padding required, no white space; -1 when malformed or when `size` is too small, else length. */
ptrdiff_t str_base64_decode(struct str s, void *out, size_t size);
/* Length written without the NUL; -1 when `size` is too small. */
ptrdiff_t str_base64_encode(const void *data, size_t n, char *out, size_t size);
/* malloc'd NUL-terminated copy, NULL without memory. */
char *str_dup(struct str s);
/* Distance for "did you mean" (Damerau-Levenshtein, at most 64 characters each). */
unsigned str_distance(struct str a, struct str b);

#endif
