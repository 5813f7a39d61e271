#include <postern/str.h>

#include <stdlib.h>

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool bytes_eq_nocase(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ascii_lower(a[i]) != ascii_lower(b[i]))
            return false;
    }
    return true;
}

bool str_eq_nocase(struct str a, struct str b)
{
    return a.n == b.n && bytes_eq_nocase(a.p, b.p, a.n);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.n >= prefix.n && bytes_eq_nocase(s.p, prefix.p, prefix.n);
}

bool str_ends_nocase(struct str s, struct str suffix)
{
    return s.n >= suffix.n && bytes_eq_nocase(s.p + s.n - suffix.n, suffix.p, suffix.n);
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool str_next(struct str *rest, char sep, struct str *ret_part)
{
    const char *end;

    if (rest->p == NULL)
        return false;
    end = memchr(rest->p, sep, rest->n);
    if (end == NULL) {
        *ret_part = *rest;
        *rest = STR_NULL;
        return true;
    }
    *ret_part = (struct str){rest->p, (size_t)(end - rest->p)};
    rest->n -= ret_part->n + 1;
    rest->p = end + 1;
    return true;
}

size_t str_put_u64(uint64_t n, char *out)
{
    char digits[STR_U64_MAX];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';
        if (d > 9 || v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *ret = v;
    return true;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t base64_padding(struct str s)
{
    return s.p[s.n - 1] != '=' ? 0 : s.p[s.n - 2] != '=' ? 1 : 2;
}

ptrdiff_t str_base64_decode(struct str s, void *out, size_t size)
{
    unsigned char *to = out;
    size_t pad, n = 0;

    if (s.n == 0)
        return 0;
    if (s.n % 4 != 0)
        return -1;
    pad = base64_padding(s);
    if (s.n / 4 * 3 - pad > size)
        return -1;
    for (size_t i = 0; i < s.n; i += 4) {
        size_t here = i + 4 == s.n ? 3 - pad : 3;
        uint32_t v = 0;
        for (size_t j = 0; j < 4; j++) {
            int d = j > here ? 0 : base64_digit(s.p[i + j]);
            if (d < 0)
                return -1;
            v = v << 6 | (uint32_t)d;
        }
        /* Bits that the padding leaves over must be zero: one text for one value (RFC 4648 3.5). */
        if ((v & ((1u << (8 * (3 - here))) - 1)) != 0)
            return -1;
        for (size_t j = 0; j < here; j++)
            to[n++] = (unsigned char)(v >> (16 - 8 * j));
    }
    return (ptrdiff_t)n;
}

ptrdiff_t str_base64_encode(const void *data, size_t n, char *out, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = data;
    size_t need = (n + 2) / 3 * 4, at = 0;

    if (size < need + 1)
        return -1;
    for (size_t i = 0; i < n; i += 3) {
        size_t here = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16;
        v |= here > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        v |= here > 2 ? p[i + 2] : 0;
        out[at++] = digits[v >> 18];
        out[at++] = digits[v >> 12 & 63];
        out[at++] = here > 1 ? digits[v >> 6 & 63] : '=';
        out[at++] = here > 2 ? digits[v & 63] : '=';
    }
    out[at] = '\0';
    return (ptrdiff_t)at;
}

char *str_dup(struct str s)
{
    char *z = malloc(s.n + 1);

    if (z == NULL)
        return NULL;
    if (s.n > 0)
        memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    return z;
}

#define DISTANCE_MAX 64

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein with adjacent transpositions (optimal string alignment), three rows. */
unsigned str_distance(struct str a, struct str b)
{
    unsigned rows[3][DISTANCE_MAX + 1];

    if (a.n > DISTANCE_MAX || b.n > DISTANCE_MAX)
        return DISTANCE_MAX;
    for (unsigned j = 0; j <= b.n; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned cost = a.p[i - 1] != b.p[j - 1];
            now[j] = least(least(before[j] + 1, now[j - 1] + 1), before[j - 1] + cost);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                now[j] = least(now[j], two[j - 2] + 1);
        }
    }
    return rows[a.n % 3][b.n];
}
