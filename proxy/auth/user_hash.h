/*
 * user_hash: the two password hashes that a user file may hold, through crypt(5): yescrypt ($y$) and
 * sha512crypt ($6$). Any thread.
 */
#ifndef POSTERN_USER_HASH_H
#define POSTERN_USER_HASH_H

#include <stdbool.h>

#define USER_HASH_MAX 384

/* NULL when `hash` is a whole hash of a permitted method, else what is wrong with it (static text). */
const char *user_hash_fault(const char *hash);
/* Takes the hash's full time whatever the answer. */
bool user_hash_verify(const char *hash, const char *password);
/* A new hash with a fresh salt into `out`; 0, or -1 with errno. */
int user_hash_make(const char *password, bool sha512, char out[USER_HASH_MAX]);

#endif
