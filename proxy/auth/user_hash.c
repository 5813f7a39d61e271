#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user_hash.h"

#define YESCRYPT_DIGEST 43
#define SHA512_DIGEST 86

const char *user_hash_fault(const char *hash)
{
    const char *digest = strrchr(hash, '$');
    size_t want;

    if (strncmp(hash, "$y$", 3) == 0)
        want = YESCRYPT_DIGEST;
    else if (strncmp(hash, "$6$", 3) == 0)
        want = SHA512_DIGEST;
    else
        return "not a yescrypt ($y$) or sha512crypt ($6$) hash: make one with `postern passwd`";
    if (strlen(hash) >= USER_HASH_MAX || digest == NULL || strlen(digest + 1) != want)
        return "the hash is cut short or damaged: set the password again with `postern passwd`";
    if (crypt_checksalt(hash) != CRYPT_SALT_OK)
        return "libcrypt refuses the hash: set the password again with `postern passwd`";
    return NULL;
}

static bool equal_in_constant_time(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned char differs = n != m;

    for (size_t i = 0; i < n && i < m; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return differs == 0;
}

bool user_hash_verify(const char *hash, const char *password)
{
    struct crypt_data *d = calloc(1, sizeof(*d));
    bool good = false;
    char *made;

    if (d == NULL)
        return false;
    made = crypt_rn(password, hash, d, (int)sizeof(*d));
    if (made != NULL)
        good = equal_in_constant_time(made, hash);
    explicit_bzero(d, sizeof(*d));
    free(d);
    return good;
}

int user_hash_make(const char *password, bool sha512, char out[USER_HASH_MAX])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *d;
    char *made;
    int result = -1;

    if (crypt_gensalt_rn(sha512 ? "$6$" : "$y$", sha512 ? 100000 : 0, NULL, 0, setting,
                         (int)sizeof(setting)) == NULL)
        return -1;
    d = calloc(1, sizeof(*d));
    if (d == NULL)
        return -1;
    made = crypt_rn(password, setting, d, (int)sizeof(*d));
    if (made != NULL && strlen(made) < USER_HASH_MAX) {
        memcpy(out, made, strlen(made) + 1);
        result = 0;
    }
    explicit_bzero(d, sizeof(*d));
    free(d);
    return result;
}
