#include "guard_mac.h"

#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

/* ---- SipHash (Aumasson, Bernstein 2012) ---- */

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t turn(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->c += s->d;
    s->b = turn(s->b, 13) ^ s->a;
    s->d = turn(s->d, 16) ^ s->c;
    s->a = turn(s->a, 32) + s->d;
    s->c += s->b;
    s->b = turn(s->b, 17) ^ s->c;
    s->d = turn(s->d, 21) ^ s->a;
    s->c = turn(s->c, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
    s->d ^= m;
    sip_round(s);
    sip_round(s);
    s->a ^= m;
}

uint64_t guard_hash(const uint64_t key[2], char kind, struct str text)
{
    struct sip s = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                    key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t last = (uint64_t)text.n << 56, m;
    size_t i = 0;

    sip_word(&s, (unsigned char)kind);
    for (; i + 8 <= text.n; i += 8) {
        memcpy(&m, text.p + i, 8);
        sip_word(&s, m);
    }
    for (size_t k = 0; i + k < text.n; k++)
        last |= (uint64_t)(unsigned char)text.p[i + k] << (8 * k);
    sip_word(&s, last);
    s.c ^= 0xff;
    for (int k = 0; k < 4; k++)
        sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

struct mac guard_hash_wide(const uint64_t key[2], char kind, struct str s)
{
    uint64_t both[2] = {guard_hash(key, kind, s), guard_hash(key, (char)(kind | 0x80), s)};
    struct mac m;

    memcpy(m.b, both, sizeof(m.b));
    return m;
}

/* ---- HMAC ---- */

struct guard_mac {
    EVP_MAC_CTX *ctx; /* keyed once; each use begins from that state */
};

struct guard_mac *guard_mac_new(const uint8_t key[32])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    struct guard_mac *m = calloc(1, sizeof(*m));
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    if (m != NULL && hmac != NULL)
        m->ctx = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    if (m != NULL && m->ctx != NULL && EVP_MAC_init(m->ctx, key, 32, params) == 1)
        return m;
    guard_mac_free(m);
    return NULL;
}

void guard_mac_free(struct guard_mac *m)
{
    if (m == NULL)
        return;
    EVP_MAC_CTX_free(m->ctx);
    free(m);
}

bool guard_mac_of(struct guard_mac *m, const struct str *parts, size_t n, struct mac *ret)
{
    uint8_t full[32];
    size_t got = 0;
    bool good = EVP_MAC_init(m->ctx, NULL, 0, NULL) == 1;

    for (size_t i = 0; good && i < n; i++) {
        uint32_t length = (uint32_t)parts[i].n;
        good = EVP_MAC_update(m->ctx, (const uint8_t *)&length, sizeof(length)) == 1 &&
               EVP_MAC_update(m->ctx, (const uint8_t *)parts[i].p, parts[i].n) == 1;
    }
    good = good && EVP_MAC_final(m->ctx, full, &got, sizeof(full)) == 1 && got == sizeof(full);
    if (good)
        memcpy(ret->b, full, sizeof(ret->b));
    OPENSSL_cleanse(full, sizeof(full));
    return good;
}
