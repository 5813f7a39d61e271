/*
 * Octet classes, and the scan that every line of a head goes through: sixteen octets at a time.
 */
#include "http_int.h"

#define TOKEN OCTET_TOKEN | OCTET_VISIBLE
#define VISIBLE OCTET_VISIBLE

const uint8_t octet_classes[256] = {
    ['!'] = TOKEN,
    ['"'] = VISIBLE,
    ['#'] = TOKEN,
    ['$'] = TOKEN,
    ['%'] = TOKEN,
    ['&'] = TOKEN,
    ['\''] = TOKEN,
    ['('] = VISIBLE,
    [')'] = VISIBLE,
    ['*'] = TOKEN,
    ['+'] = TOKEN,
    [','] = VISIBLE,
    ['-'] = TOKEN | OCTET_NAME,
    ['.'] = TOKEN | OCTET_NAME,
    ['/'] = VISIBLE,
    ['0' ... '9'] = TOKEN | OCTET_NAME | OCTET_DIGIT | OCTET_HEX,
    [':'] = VISIBLE,
    [';'] = VISIBLE,
    ['<'] = VISIBLE,
    ['='] = VISIBLE,
    ['>'] = VISIBLE,
    ['?'] = VISIBLE,
    ['@'] = VISIBLE,
    ['A' ... 'F'] = TOKEN | OCTET_NAME | OCTET_HEX,
    ['G' ... 'Z'] = TOKEN | OCTET_NAME,
    ['['] = VISIBLE,
    ['\\'] = VISIBLE,
    [']'] = VISIBLE,
    ['^'] = TOKEN,
    ['_'] = TOKEN | OCTET_NAME,
    ['`'] = TOKEN,
    ['a' ... 'f'] = TOKEN | OCTET_NAME | OCTET_HEX,
    ['g' ... 'z'] = TOKEN | OCTET_NAME,
    ['{'] = VISIBLE,
    ['|'] = TOKEN,
    ['}'] = VISIBLE,
    ['~'] = TOKEN,
};

bool octets_all(struct str s, unsigned classes)
{
    for (size_t i = 0; i < s.n; i++)
        if (!octet_is(s.p[i], classes))
            return false;
    return true;
}

static bool octet_bad(uint8_t c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

#define BLOCK 16
typedef uint8_t block_octets __attribute__((vector_size(BLOCK)));

/* octet_bad() of sixteen at once. */
static bool block_bad(const char *p)
{
    block_octets x, bad;
    uint64_t halves[2];

    memcpy(&x, p, BLOCK);
    bad = (block_octets)(((x < 0x20) & (x != '\t')) | (x == 0x7f));
    memcpy(halves, &bad, BLOCK);
    return (halves[0] | halves[1]) != 0;
}

size_t octets_bad_at(const char *p, size_t n)
{
    size_t i = 0;

    while (n - i >= BLOCK && !block_bad(p + i))
        i += BLOCK;
    if (n - i < BLOCK && n >= BLOCK && !block_bad(p + n - BLOCK)) /* the last block overlaps the one before */
        return n;
    while (i < n && !octet_bad((uint8_t)p[i]))
        i++;
    return i;
}

int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
