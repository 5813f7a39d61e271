/*
 * PEM bytes of the configuration into OpenSSL's objects, in a worker's library context.
 */
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include "tls_pem.h"

static int passphrase(char *out, int size, int writing, void *arg)
{
    const struct str *p = arg;

    if (p->p == NULL || p->n > (size_t)size)
        return -1;
    memcpy(out, p->p, p->n);
    return (int)p->n;
}

EVP_PKEY *tls_pem_key(OSSL_LIB_CTX *libctx, const struct conf_certificate *c)
{
    BIO *b = BIO_new_mem_buf(c->key.bytes.p, (int)c->key.bytes.n);
    struct str phrase = c->passphrase.bytes;
    EVP_PKEY *k = b != NULL ? PEM_read_bio_PrivateKey_ex(b, NULL, passphrase, &phrase, libctx, NULL) : NULL;

    BIO_free(b);
    return k;
}

static X509 *next_certificate(OSSL_LIB_CTX *libctx, BIO *b)
{
    X509 *x = X509_new_ex(libctx, NULL);

    if (x != NULL && PEM_read_bio_X509(b, &x, NULL, NULL) != NULL)
        return x;
    X509_free(x);
    return NULL;
}

STACK_OF(X509) *tls_pem_chain(OSSL_LIB_CTX *libctx, struct str pem)
{
    BIO *b = pem.p != NULL ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    STACK_OF(X509) *chain = b != NULL ? sk_X509_new_null() : NULL;
    X509 *x;

    while (chain != NULL && (x = next_certificate(libctx, b)) != NULL) {
        if (sk_X509_push(chain, x) <= 0) {
            X509_free(x);
            break;
        }
    }
    BIO_free(b);
    /* The end of the text is an error to OpenSSL; any other means that a certificate of it would silently be missing. */
    if (chain != NULL && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
        ERR_clear_error();
        return chain;
    }
    sk_X509_pop_free(chain, X509_free);
    return NULL;
}
