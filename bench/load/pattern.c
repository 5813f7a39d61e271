/* pattern: deterministic bytes, the same as bench/cas sends and expects. */
#include <string.h>
#include "load.h"

char pattern[PATTERN_SIZE];

void pattern_fill(void)
{
    for (size_t i = 0; i < PATTERN_SIZE; i++)
        pattern[i] = "0123456789abcdef"[(i + i / 16) % 16];
}

bool pattern_matches(uint64_t at, const char *p, size_t n)
{
    while (n) {
        size_t from = at % PATTERN_SIZE, k = PATTERN_SIZE - from < n ? PATTERN_SIZE - from : n;
        if (memcmp(pattern + from, p, k) != 0)
            return false;
        at += k;
        p += k;
        n -= k;
    }
    return true;
}
