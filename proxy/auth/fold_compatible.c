/*
 * Characters that stand for others (Unicode's compatibility decompositions, UAX 15) and end in Latin letters or digits, and what
 * is not seen. OpenLDAP takes a name written with the former, AD one with any of the latter, for the plain one.
 */
#include <string.h>

#include "fold.h"

/* What first..last stand for, one word each; "." for itself. */
static const struct compatible_run {
    uint32_t first, last;
    const char *words;
} runs[] = {
    {0x00aa, 0x00ba, "a . . . . . . . 2 3 . . . . . 1 o"},
    {0x01c4, 0x01cc, "dz dz dz lj lj lj nj nj nj"},
    {0x01f1, 0x01f3, "dz dz dz"},
    {0x02b0, 0x02b8, "h . j r . . . w y"},
    {0x02e1, 0x02e3, "l s x"},
    {0x1d2c, 0x1d65,
     "a . b . d e . g h i j k l m n . o . p r t u w a . . . b d e . . . g . k m . o . . . p t u . . v . . . . . . i r u v"},
    {0x1d9c, 0x1da0, "c . . . f"},
    {0x1dbb, 0x1dbb, "z"},
    {0x2070, 0x209c,
     "0 i . . 4 5 6 7 8 9 . . . . . n 0 1 2 3 4 5 6 7 8 9 . . . . . . a e o x . h k l m n p s t"},
    {0x20a8, 0x20a8, "rs"},
    {0x2102, 0x213b,
     "c . . . . . . . g h h h h . i i l l . n no . . p q r r r . . sm tel tm . z . . . z . k a b c . e e f . m o . . . . i . fax"},
    {0x2145, 0x2149, "d d e i j"},
    {0x2160, 0x217f,
     "i ii iii iv v vi vii viii ix x xi xii l c d m i ii iii iv v vi vii viii ix x xi xii l c d m"},
    {0x2460, 0x2473, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"},
    {0x24b6, 0x24ea,
     "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r s t u v w x y z 0"},
    {0x2c7c, 0x2c7d, "j v"},
    {0x3250, 0x325f, "pte 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35"},
    {0x32b1, 0x32bf, "36 37 38 39 40 41 42 43 44 45 46 47 48 49 50"},
    {0x32cc, 0x32cf, "hg erg ev ltd"},
    {0x3371, 0x33dd,
     "hpa da au bar ov pc dm dm2 dm3 iu . . . . . pa na . ma ka kb mb gb cal kcal pf nf . . mg kg hz khz mhz ghz thz . ml dl kl fm nm . mm cm km mm2 cm2 m2 km2 mm3 cm3 m3 km3 . . pa kpa mpa gpa rad . . ps ns . ms pv nv . mv kv mv pw nw . mw kw mw . . . bq cc cd . . db gy ha hp in kk km kt lm ln log lx mb mil mol ph . ppm pr sr sv wb"},
    {0x33ff, 0x33ff, "gal"},
    {0xa7f2, 0xa7f4, "c f q"},
    {0xfb00, 0xfb06, "ff fi fl ffi ffl st st"},
    {0x1f12b, 0x1f14f, "c r cd wz . a b c d e f g h i j k l m n o p q r s t u v w x y z hv mv sd ss ppv wc"},
    {0x1f16a, 0x1f16c, "mc md mr"},
    {0x1f190, 0x1f190, "dj"},
    {0x1fbf0, 0x1fbf9, "0 1 2 3 4 5 6 7 8 9"},
};

static unsigned run_letters(const struct compatible_run *r, uint32_t c, uint32_t ret[FOLD_MAX])
{
    const char *p = r->words;
    unsigned n = 0;

    for (uint32_t i = r->first; i < c; i++)
        p += strcspn(p, " ") + 1;
    if (*p == '.')
        return 0;
    for (; n < FOLD_MAX && p[n] != ' ' && p[n] != '\0'; n++)
        ret[n] = (uint32_t)(unsigned char)p[n];
    return n;
}

/* The mathematical alphabets (U+1D400 to U+1D7FF): Latin ones of 52 letters, Greek ones of 58, decimal digits. */
static uint32_t mathematical(uint32_t c)
{
    static const uint16_t symbols[] = {0x3b5, 0x3b8, 0x3ba,
                                       0x3c6, 0x3c1, 0x3c0}; /* the last of each Greek one */
    uint32_t k;

    if (c < 0x1d6a4)
        return 'a' + (c - 0x1d400) % 26;
    if (c < 0x1d6a8)
        return c == 0x1d6a4 ? 'i' : 'j';
    if (c >= 0x1d7ce)
        return '0' + (c - 0x1d7ce) % 10;
    if (c >= 0x1d7ca)
        return 0x3dd;
    k = (c - 0x1d6a8) % 58;
    if (k == 25 || k == 51) /* nabla, partial */
        return c;
    if (k > 51)
        return symbols[k - 52];
    if (k == 17)
        return 0x3b8;
    k = 0x3b1 + (k < 26 ? k : k - 26); /* the capital theta stands where small letters have the final sigma */
    return k == 0x3c2 ? 0x3c3 : k;
}

unsigned fold_compatible(uint32_t c, uint32_t ret[FOLD_MAX])
{
    if (c >= 0x1d400 && c <= 0x1d7ff) {
        ret[0] = mathematical(c);
        return 1;
    }
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]) && c >= runs[i].first; i++) {
        if (c <= runs[i].last)
            return run_letters(&runs[i], c, ret);
    }
    return 0;
}

/* Marks that follow their letter, joiners, directions, variation selectors; and what is no part of a name in any script: symbols,
 * private and unassigned characters, which Windows gives no weight. */
static const struct unseen_run {
    uint32_t first, last;
} unseen[] = {
    {0x00ad, 0x00ad},   {0x0300, 0x036f},    {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x05bf, 0x05bf},
    {0x05c1, 0x05c2},   {0x05c4, 0x05c5},    {0x05c7, 0x05c7}, {0x0610, 0x061a}, {0x061c, 0x061c},
    {0x064b, 0x065f},   {0x0670, 0x0670},    {0x06d6, 0x06ed}, {0x115f, 0x1160}, {0x17b4, 0x17b5},
    {0x180b, 0x180f},   {0x1ab0, 0x1aff},    {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x2028, 0x202e},
    {0x2060, 0x206f},   {0x20d0, 0x20ff},    {0x2190, 0x2bff}, {0x2de0, 0x2dff}, {0x302a, 0x302f},
    {0x3164, 0x3164},   {0xa66f, 0xa672},    {0xa674, 0xa67d}, {0xe000, 0xf8ff}, {0xfe00, 0xfe0f},
    {0xfe20, 0xfe2f},   {0xfeff, 0xfeff},    {0xffa0, 0xffa0}, {0xfff0, 0xffff}, {0x1d000, 0x1d3ff},
    {0x1f000, 0x1ffff}, {0xe0000, 0x10ffff},
};

bool fold_is_unseen(uint32_t c)
{
    for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]) && c >= unseen[i].first; i++) {
        if (c <= unseen[i].last)
            return true;
    }
    return false;
}

bool fold_is_space(uint32_t c)
{
    return c == ' ' || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}
