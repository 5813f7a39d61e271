/*
 * tls_tickets: how a server context uses the shared ticket keys. Private to tls_tickets.c and tls_server.c.
 */
#ifndef POSTERN_TLS_TICKETS_H
#define POSTERN_TLS_TICKETS_H

#include <openssl/evp.h>
#include <postern/tls.h>

/* RFC 8446 4.6.1: at most seven days. */
#define TLS_TICKET_LIFETIME_MAX_S 604800

/* One per tls_server: what was fetched from its worker's library context. */
struct tls_ticket_use {
    struct tls_tickets *tickets;
    OSSL_LIB_CTX *libctx;
    EVP_CIPHER *aes;
};

/* Whether there are keys: without any, no ticket may be promised to a client. */
bool tls_tickets_usable(struct tls_tickets *t);
uint64_t tls_tickets_lifetime_s(const struct tls_tickets *t);
/* The body of OpenSSL's ticket key callback, with its return values. */
int tls_ticket_crypt(struct tls_ticket_use *u, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt);

#endif
