#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <postern/md5.h>

#define BLOCK 64 /* of MD5, RFC 2104 2 */

bool md5(const struct str *parts, size_t n, unsigned char out[MD5_BYTES])
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c != NULL && EVP_DigestInit_ex(c, EVP_md5(), NULL) == 1;

    for (size_t i = 0; good && i < n; i++)
        good = parts[i].n == 0 || EVP_DigestUpdate(c, parts[i].p, parts[i].n) == 1;
    good = good && EVP_DigestFinal_ex(c, out, NULL) == 1;
    EVP_MD_CTX_free(c);
    if (!good)
        ERR_clear_error();
    return good;
}

#define PARTS_MAX 8

/* By hand: EVP_MAC would be a dozen calls for the same (RFC 2104 2). */
bool md5_hmac(struct str key, const struct str *parts, size_t n, unsigned char out[MD5_BYTES])
{
    unsigned char inner[BLOCK] = {0}, outer[BLOCK], digest[MD5_BYTES];
    struct str all[PARTS_MAX + 1] = {{(const char *)inner, BLOCK}}, last[2] = {{(const char *)outer, BLOCK}};
    bool good = n <= PARTS_MAX;

    if (key.n > BLOCK)
        good = good && md5(&key, 1, inner);
    else if (key.n > 0)
        memcpy(inner, key.p, key.n);
    for (size_t i = 0; i < BLOCK; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    if (good)
        memcpy(&all[1], parts, n * sizeof(*parts));
    last[1] = (struct str){(const char *)digest, MD5_BYTES};
    good = good && md5(all, n + 1, digest) && md5(last, 2, out);
    OPENSSL_cleanse(inner, sizeof(inner));
    OPENSSL_cleanse(outer, sizeof(outer));
    return good;
}

bool md5_equal(const unsigned char a[MD5_BYTES], const unsigned char b[MD5_BYTES])
{
    return CRYPTO_memcmp(a, b, MD5_BYTES) == 0;
}
