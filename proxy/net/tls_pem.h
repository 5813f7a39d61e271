/*
 * tls_pem: PEM bytes into keys and chains. The caller owns what comes back; NULL, and words in the error queue, on failure.
 */
#ifndef POSTERN_TLS_PEM_H
#define POSTERN_TLS_PEM_H

#include <openssl/x509.h>
#include <postern/conf.h>

EVP_PKEY *tls_pem_key(OSSL_LIB_CTX *libctx, const struct conf_certificate *c);
/* All certificates of the text in their order; empty when there is none; NULL when one of them cannot be read. */
STACK_OF(X509) *tls_pem_chain(OSSL_LIB_CTX *libctx, struct str pem);

#endif
