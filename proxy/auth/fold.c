/*
 * Letters. The tables cover what account names are written in: Latin, Greek and Cyrillic.
 */
#include "fold.h"

/* Capitals first..last, every `step`th, become their own number plus `delta`. */
static const struct fold_run {
    uint16_t first, last;
    uint8_t step;
    int16_t delta;
} capitals[] = {
    {0x00c0, 0x00d6, 1, 32}, {0x00d8, 0x00de, 1, 32},    {0x0100, 0x012e, 2, 1},  {0x0130, 0x0130, 1, -199},
    {0x0132, 0x0136, 2, 1},  {0x0139, 0x0147, 2, 1},     {0x014a, 0x0176, 2, 1},  {0x0178, 0x0178, 1, -121},
    {0x0179, 0x017d, 2, 1},  {0x0386, 0x0386, 1, 38},    {0x0388, 0x038a, 1, 37}, {0x038c, 0x038c, 1, 64},
    {0x038e, 0x038f, 1, 63}, {0x0391, 0x03a1, 1, 32},    {0x03a3, 0x03ab, 1, 32}, {0x03c2, 0x03c2, 1, 1},
    {0x03cf, 0x03cf, 1, 8},  {0x0400, 0x040f, 1, 80},    {0x0410, 0x042f, 1, 32}, {0x0460, 0x0480, 2, 1},
    {0x048a, 0x04be, 2, 1},  {0x04c0, 0x04c0, 1, 15},    {0x04c1, 0x04cd, 2, 1},  {0x04d0, 0x052e, 2, 1},
    {0x1e00, 0x1e94, 2, 1},  {0x1e9e, 0x1e9e, 1, -7615}, {0x1ea0, 0x1efe, 2, 1},
};

uint32_t fold_lower(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    for (size_t i = 0; i < sizeof(capitals) / sizeof(capitals[0]) && c >= capitals[i].first; i++) {
        const struct fold_run *r = &capitals[i];
        if (c <= r->last && (c - r->first) % r->step == 0)
            return (uint32_t)((int32_t)c + r->delta);
    }
    return c;
}

/* Base letters of U+00C0 to U+024F and U+1E00 to U+1EFF; '.' keeps its own. */
static const char latin[] =
    "aaaaaaaceeeeiiiidnooooo.ouuuuytsaaaaaaaceeeeiiiidnooooo.ouuuuytyaaaaaaccccccccdd"
    "ddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssss"
    "ssttttttuuuuuuuuuuuuwwyyyzzzzzzs.......................i........oo.............u"
    "u...................dddlllnnnaaiioouuuuuuuuuu.aaaaaa..ggkkoooo..jdddgg..nnaaaaoo"
    "aaaaeeeeiiiioooorrrruuuusstt..hh......aaeeooooooooyy............................";
static const char latin_more[] =
    "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooo"
    "oooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy.s..s."
    "aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuu"
    "uuyyyyyyyy......";

/* What is written with two letters; the first is in the table above. */
static const struct fold_second {
    uint16_t letter;
    char second;
} seconds[] = {
    {0x00c6, 'e'}, {0x00e6, 'e'}, {0x00de, 'h'}, {0x00fe, 'h'}, {0x00df, 's'}, {0x0132, 'j'}, {0x0133, 'j'},
    {0x0152, 'e'}, {0x0153, 'e'}, {0x01e2, 'e'}, {0x01e3, 'e'}, {0x01fc, 'e'}, {0x01fd, 'e'}, {0x1e9e, 's'},
};

/* Greek and Cyrillic letters whose marks, or shapes, do not tell accounts apart. */
static const struct fold_marked {
    uint16_t first, last, base;
} marked[] = {
    {0x00b5, 0x00b5, 0x03bc}, {0x0390, 0x0390, 0x03b9}, {0x03ac, 0x03ac, 0x03b1}, {0x03ad, 0x03ad, 0x03b5},
    {0x03ae, 0x03ae, 0x03b7}, {0x03af, 0x03af, 0x03b9}, {0x03b0, 0x03b0, 0x03c5}, {0x03ca, 0x03ca, 0x03b9},
    {0x03cb, 0x03cb, 0x03c5}, {0x03cc, 0x03cc, 0x03bf}, {0x03cd, 0x03cd, 0x03c5}, {0x03ce, 0x03ce, 0x03c9},
    {0x03d0, 0x03d0, 0x03b2}, {0x03d1, 0x03d1, 0x03b8}, {0x03d2, 0x03d4, 0x03c5}, {0x03d5, 0x03d5, 0x03c6},
    {0x03d6, 0x03d6, 0x03c0}, {0x03f0, 0x03f0, 0x03ba}, {0x03f1, 0x03f1, 0x03c1}, {0x03f2, 0x03f2, 0x03c3},
    {0x03f4, 0x03f4, 0x03b8}, {0x03f5, 0x03f5, 0x03b5}, {0x03f9, 0x03f9, 0x03c3}, {0x0439, 0x0439, 0x0438},
    {0x0450, 0x0451, 0x0435}, {0x0453, 0x0453, 0x0433}, {0x0457, 0x0457, 0x0456}, {0x045c, 0x045c, 0x043a},
    {0x045d, 0x045d, 0x0438}, {0x045e, 0x045e, 0x0443}, {0x0477, 0x0477, 0x0475}, {0x04c2, 0x04c2, 0x0436},
    {0x04d1, 0x04d1, 0x0430}, {0x04d3, 0x04d3, 0x0430}, {0x04d7, 0x04d7, 0x0435}, {0x04db, 0x04db, 0x04d9},
    {0x04dd, 0x04dd, 0x0436}, {0x04df, 0x04df, 0x0437}, {0x04e3, 0x04e3, 0x0438}, {0x04e5, 0x04e5, 0x0438},
    {0x04e7, 0x04e7, 0x043e}, {0x04eb, 0x04eb, 0x04e9}, {0x04ed, 0x04ed, 0x044d}, {0x04ef, 0x04ef, 0x0443},
    {0x04f1, 0x04f1, 0x0443}, {0x04f3, 0x04f3, 0x0443}, {0x04f5, 0x04f5, 0x0447}, {0x04f9, 0x04f9, 0x044b},
    {0x1f00, 0x1f0f, 0x03b1}, {0x1f10, 0x1f15, 0x03b5}, {0x1f18, 0x1f1d, 0x03b5}, {0x1f20, 0x1f2f, 0x03b7},
    {0x1f30, 0x1f3f, 0x03b9}, {0x1f40, 0x1f45, 0x03bf}, {0x1f48, 0x1f4d, 0x03bf}, {0x1f50, 0x1f57, 0x03c5},
    {0x1f59, 0x1f59, 0x03c5}, {0x1f5b, 0x1f5b, 0x03c5}, {0x1f5d, 0x1f5d, 0x03c5}, {0x1f5f, 0x1f5f, 0x03c5},
    {0x1f60, 0x1f6f, 0x03c9}, {0x1f70, 0x1f71, 0x03b1}, {0x1f72, 0x1f73, 0x03b5}, {0x1f74, 0x1f75, 0x03b7},
    {0x1f76, 0x1f77, 0x03b9}, {0x1f78, 0x1f79, 0x03bf}, {0x1f7a, 0x1f7b, 0x03c5}, {0x1f7c, 0x1f7d, 0x03c9},
    {0x1f80, 0x1f8f, 0x03b1}, {0x1f90, 0x1f9f, 0x03b7}, {0x1fa0, 0x1faf, 0x03c9}, {0x1fb0, 0x1fb4, 0x03b1},
    {0x1fb6, 0x1fbc, 0x03b1}, {0x1fbe, 0x1fbe, 0x03b9}, {0x1fc2, 0x1fc4, 0x03b7}, {0x1fc6, 0x1fc7, 0x03b7},
    {0x1fc8, 0x1fc9, 0x03b5}, {0x1fca, 0x1fcc, 0x03b7}, {0x1fd0, 0x1fd3, 0x03b9}, {0x1fd6, 0x1fdb, 0x03b9},
    {0x1fe0, 0x1fe3, 0x03c5}, {0x1fe4, 0x1fe5, 0x03c1}, {0x1fe6, 0x1feb, 0x03c5}, {0x1fec, 0x1fec, 0x03c1},
    {0x1ff2, 0x1ff4, 0x03c9}, {0x1ff6, 0x1ff7, 0x03c9}, {0x1ff8, 0x1ff9, 0x03bf}, {0x1ffa, 0x1ffc, 0x03c9},
    {0x2126, 0x2126, 0x03c9},
};

static uint32_t marked_base(uint32_t c)
{
    for (size_t i = 0; i < sizeof(marked) / sizeof(marked[0]); i++) {
        if (c >= marked[i].first && c <= marked[i].last)
            return marked[i].base;
    }
    return c;
}

static uint32_t latin_base(uint32_t c)
{
    char base = c >= 0x1e00 ? latin_more[c - 0x1e00] : latin[c - 0xc0];

    return base == '.' ? c : (uint32_t)base;
}

unsigned fold_base(uint32_t c, uint32_t ret[FOLD_MAX])
{
    unsigned n = fold_compatible(c, ret);

    if (n > 0)
        return n;
    if (c >= 0xff01 && c <= 0xff5e) /* full width */
        c -= 0xff01 - 0x21;
    c = fold_lower(c);
    if (fold_is_unseen(c))
        return 0;
    ret[0] = fold_is_space(c) ? ' ' : c;
    if ((c >= 0xc0 && c <= 0x24f) || (c >= 0x1e00 && c <= 0x1eff))
        ret[0] = latin_base(c);
    else if (c >= 0xb5 && c <= 0x2126)
        ret[0] = marked_base(ret[0]);
    for (size_t i = 0; c >= 0xc0 && i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        if (seconds[i].letter == c) {
            ret[1] = (uint32_t)seconds[i].second;
            return 2;
        }
    }
    return 1;
}

/* ---- UTF-8 (RFC 3629) ---- */

static unsigned utf8_length(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

int32_t utf8_next(const char **p, const char *end)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned n = utf8_length((unsigned char)**p);
    uint32_t c = (unsigned char)**p;

    if (n == 0 || (size_t)(end - *p) < n)
        return -1;
    if (n > 1)
        c &= 0xffu >> (n + 1);
    for (unsigned i = 1; i < n; i++) {
        if (((unsigned char)(*p)[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | ((unsigned char)(*p)[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return -1;
    *p += n;
    return (int32_t)c;
}

size_t utf8_put(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

bool utf8_valid(struct str s)
{
    const char *p = s.p, *end = s.p + s.n;

    while (p < end) {
        if (utf8_next(&p, end) < 0)
            return false;
    }
    return true;
}

/* What "ISO-8859-1" means in the world: Windows-1252; 0 where that has nothing. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

ptrdiff_t latin1_to_utf8(struct str s, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        uint32_t cp = c >= 0x80 && c < 0xa0 ? windows_1252[c - 0x80] : c;
        char octets[4];
        size_t k = utf8_put(cp, octets);
        if ((cp == 0 && c != 0) || k > size - n)
            return -1;
        memcpy(out + n, octets, k);
        n += k;
    }
    return (ptrdiff_t)n;
}
