/*
 * guard_mac: the keyed hash under which accounts, credentials and sources are known. HMAC-SHA-256 with a secret of this
 * start, cut to 128 bits: what is kept of a password says nothing without the secret, and nobody can choose where
 * his rows fall. One guard_mac per thread.
 */
#ifndef POSTERN_GUARD_MAC_H
#define POSTERN_GUARD_MAC_H

#include <postern/str.h>

struct mac {
    uint8_t b[16];
};

static inline bool mac_eq(const struct mac *a, const struct mac *b)
{
    uint64_t x[2], y[2];

    memcpy(x, a->b, sizeof(x));
    memcpy(y, b->b, sizeof(y));
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

/* A part of it, for places where 64 bits are enough; never 0. */
static inline uint64_t mac_short(const struct mac *m)
{
    uint64_t x;

    memcpy(&x, m->b, sizeof(x));
    return x != 0 ? x : 1;
}

/* A keyed hash of what is no secret itself, such as names and addresses: SipHash-2-4. `kind` keeps sorts of values apart. */
uint64_t guard_hash(const uint64_t key[2], char kind, struct str s);
/* The same, twice, as the key of a table. */
struct mac guard_hash_wide(const uint64_t key[2], char kind, struct str s);

struct guard_mac;
/* `key`: 32 random bytes, the same for all of one guard. NULL without memory. */
struct guard_mac *guard_mac_new(const uint8_t key[32]);
void guard_mac_free(struct guard_mac *m);
/* Over the parts with their lengths, so that ("a", "bc") is not ("ab", "c"). False: OpenSSL failed. */
bool guard_mac_of(struct guard_mac *m, const struct str *parts, size_t n, struct mac *ret);

#endif
