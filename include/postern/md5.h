/*
 * md5: MD5 and HMAC-MD5 for RADIUS, which knows nothing else (RFC 2865, RFC 2869). For nothing new. Any thread.
 */
#ifndef POSTERN_MD5_H
#define POSTERN_MD5_H

#include <stdbool.h>
#include <postern/str.h>

#define MD5_BYTES 16

/* Over all parts, one after the other. False: this machine's OpenSSL has no MD5 (FIPS mode). */
bool md5(const struct str *parts, size_t n, unsigned char out[MD5_BYTES]);
bool md5_hmac(struct str key, const struct str *parts, size_t n, unsigned char out[MD5_BYTES]);
/* In a time that does not depend on where they differ. */
bool md5_equal(const unsigned char a[MD5_BYTES], const unsigned char b[MD5_BYTES]);

#endif
