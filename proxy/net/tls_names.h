/*
 * tls_names: which server name gets which certificates. Private to tls_server.c.
 *
 * Filled while a tls_server is made, read-only afterwards. Names are those of the certificates' SAN (their CN where there is
 * no SAN DNS name), in lower case; a value is small and the caller's own.
 */
#ifndef POSTERN_TLS_NAMES_H
#define POSTERN_TLS_NAMES_H

#include <openssl/x509.h>
#include <stdbool.h>

#define TLS_NAME_MAX 253 /* RFC 1035 2.3.4, without the root */

struct tls_name {
    char *name; /* "mail.example.com" or "*.example.com" */
    int value;
};

struct tls_names {
    struct tls_name *v;
    unsigned n, room;
};

/* Adds each name of the certificate once, with value -1; false without memory. */
bool tls_names_add(struct tls_names *t, X509 *leaf);
/* One more name, whoever has a certificate for it: lower case. */
bool tls_names_add_name(struct tls_names *t, const char *name);
void tls_names_sort(struct tls_names *t);
void tls_names_free(struct tls_names *t);
/* After tls_names_sort: the exact name, then the wildcard over its first label, or NULL. `name` in any case, with or without
 * the root's dot. */
const struct tls_name *tls_names_find(const struct tls_names *t, const char *name);
/* Whether the certificate has this very name ("*.example.com" is a name like any other). */
bool tls_names_has(X509 *leaf, const char *name);
/* Lower case, without the root's dot; false: not a name. */
bool tls_name_normal(const char *name, char out[TLS_NAME_MAX + 1]);
/* "*.example.com" of "mail.example.com"; false when there is no second label. */
bool tls_name_wildcard(const char *name, char out[TLS_NAME_MAX + 1]);

#endif
