/*
 * Octet classes and small helpers that the files of this room share.
 *
 * Any thread: tables are constant, nothing allocates.
 */
#ifndef HTTP_INT_H
#define HTTP_INT_H

#include <postern/message.h>

enum octet_class {
    OCTET_TOKEN = 1, /* tchar, RFC 9110 5.6.2 */
    OCTET_DIGIT = 2,
    OCTET_HEX = 4,
    OCTET_VISIBLE = 8, /* 0x21..0x7e */
    OCTET_NAME = 16,   /* letters, digits, "-", ".", "_": host names */
};
extern const uint8_t octet_classes[256];

static inline bool octet_is(char c, unsigned classes)
{
    return (octet_classes[(uint8_t)c] & classes) != 0;
}

/* Every octet of `s` has one of these classes; true for the empty string. */
bool octets_all(struct str s, unsigned classes);
/* Index of the first octet that no line may hold (a control other than HTAB, DEL), or `n`. RFC 9110 5.5. */
size_t octets_bad_at(const char *p, size_t n);
int hex_value(char c); /* -1: not a digit */

/* "http://" or "https://" in front of a target: its length and default port, or 0. */
size_t target_scheme(struct str text, uint16_t *ret_port);
/* Authority of an absolute-form target, p NULL when it is in another form. */
struct str target_authority(struct str text, uint16_t *ret_default_port);

#endif
