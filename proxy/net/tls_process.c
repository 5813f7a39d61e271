/*
 * OpenSSL, once per process.
 */
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <postern/tls.h>
#include "tls_int.h"

void tls_process_init(void)
{
    tls_memory_init();
    /* No clean-up at exit: it would race with threads that still run (a directory that hangs, a second signal). */
    OPENSSL_init_ssl(
        OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
}
