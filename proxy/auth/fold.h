/*
 * fold: letters as a directory compares them, and UTF-8. Any thread; nothing allocates.
 */
#ifndef POSTERN_FOLD_H
#define POSTERN_FOLD_H

#include <postern/str.h>

/* Simple lower case of Latin, Greek and Cyrillic letters; anything else is itself. */
uint32_t fold_lower(uint32_t c);
/* The letter without marks, case, width and fashion, as up to FOLD_MAX letters: directories take names that differ only in these for
 * the same. How many; 0: not seen at all (joiners, marks). */
#define FOLD_MAX 4
unsigned fold_base(uint32_t c, uint32_t ret[FOLD_MAX]);
/* fold_compatible.c: the same for what stands for Latin letters or digits; 0: it does not. */
unsigned fold_compatible(uint32_t c, uint32_t ret[FOLD_MAX]);
bool fold_is_unseen(uint32_t c);
bool fold_is_space(uint32_t c);

/* The code point at *p < end, which moves behind it; -1: not UTF-8 (RFC 3629: shortest form, no surrogates). */
int32_t utf8_next(const char **p, const char *end);
size_t utf8_put(uint32_t c, char out[4]);
bool utf8_valid(struct str s);
/* ISO-8859-1, read as Windows-1252 as everybody does; -1: does not fit, or an octet that means nothing. */
ptrdiff_t latin1_to_utf8(struct str s, char *out, size_t size);

#endif
