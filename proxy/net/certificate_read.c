/* PEM files into certificates and keys, and what a file is that is no such PEM. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>
#include "certificates_int.h"
#include "tls_int.h"

/* ---- what else it may be ---- */

/* What an administrator may have in hand instead, and the next command. One of `marker` and `is_der`. */
enum wanted { WANTED_CHAIN = 1, WANTED_KEY = 2 };

static bool is_der_pkcs12(const unsigned char *p, long n)
{
    PKCS12 *x = d2i_PKCS12(NULL, &p, n);

    PKCS12_free(x);
    return x != NULL;
}

static bool is_der_pkcs7(const unsigned char *p, long n)
{
    PKCS7 *x = d2i_PKCS7(NULL, &p, n);

    PKCS7_free(x);
    return x != NULL;
}

static bool is_der_certificate(const unsigned char *p, long n)
{
    X509 *x = d2i_X509(NULL, &p, n);

    X509_free(x);
    return x != NULL;
}

static bool is_der_key(const unsigned char *p, long n)
{
    EVP_PKEY *x = d2i_AutoPrivateKey(NULL, &p, n);

    EVP_PKEY_free(x);
    return x != NULL;
}

static const struct kind {
    unsigned wanted;
    const char *marker;
    bool (*is_der)(const unsigned char *p, long n);
    const char *remedy;
} kinds[] = {
    {WANTED_CHAIN, "CERTIFICATE REQUEST-----", NULL,
     "is a signing request; give the certificate that the authority made of it"},
    {WANTED_CHAIN, "-----BEGIN PKCS7-----", NULL,
     "is a PKCS#7 file (.p7b); convert it: openssl pkcs7 -print_certs -in FILE -out NEW.pem"},
    {WANTED_CHAIN, "PRIVATE KEY-----", NULL,
     "holds a key but no certificate; give the certificate here and the key under `key`"},
    {WANTED_CHAIN, NULL, is_der_certificate,
     "is DER, not PEM; convert it: openssl x509 -inform der -in FILE -out NEW.pem"},
    {WANTED_CHAIN, NULL, is_der_pkcs7,
     "is a PKCS#7 file (.p7b); convert it: openssl pkcs7 -inform der -print_certs -in FILE -out NEW.pem"},
    {WANTED_CHAIN | WANTED_KEY, NULL, is_der_pkcs12,
     "is a PKCS#12 file (.pfx); take it apart: openssl pkcs12 -in FILE -nokeys -out CHAIN.pem and openssl "
     "pkcs12 -in "
     "FILE -nocerts -out KEY.pem"},
    {WANTED_KEY, "PRIVATE KEY-----", NULL, "is damaged or holds a key of an unknown kind; copy it again"},
    {WANTED_KEY, "-----BEGIN PUBLIC KEY-----", NULL, "holds a public key alone; give the private key"},
    {WANTED_KEY, NULL, is_der_key,
     "is DER, not PEM; convert it: openssl pkey -inform der -in FILE -out NEW.pem"},
};

/* NULL: nothing that is known. */
static const char *kind_of(struct str s, enum wanted wanted)
{
    const char *remedy = NULL;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && remedy == NULL; i++) {
        const struct kind *k = &kinds[i];
        if (!(k->wanted & wanted) || s.n == 0)
            continue;
        if (k->marker != NULL ? memmem(s.p, s.n, k->marker, strlen(k->marker)) != NULL
                              : k->is_der((const unsigned char *)s.p, (long)s.n))
            remedy = k->remedy;
    }
    tls_errors_drop();
    return remedy;
}

/* ---- certificates ---- */

int certificate_no_passphrase(char *buf, int size, int writing, void *ctx)
{
    return -1;
}

static bool is_end(void)
{
    unsigned long e = ERR_peek_last_error();

    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static bool read_into(BIO *b, STACK_OF(X509) *chain, char why[CERTIFICATE_TEXT])
{
    char reason[128];
    int n = 0;
    X509 *x;

    for (; (x = PEM_read_bio_X509(b, NULL, certificate_no_passphrase, NULL)) != NULL; n++) {
        if (n == CERTIFICATE_CHAIN_MAX || sk_X509_push(chain, x) <= 0) {
            X509_free(x);
            snprintf(why, CERTIFICATE_TEXT,
                     "holds more than %d certificates; give the server's and its intermediates",
                     CERTIFICATE_CHAIN_MAX);
            return false;
        }
    }
    if (is_end())
        return n > 0;
    tls_errors_take(reason, sizeof(reason));
    snprintf(why, CERTIFICATE_TEXT, "is damaged at certificate %d (%s); copy it again", n + 1, reason);
    return false;
}

STACK_OF(X509) *certificate_read_all(struct str pem, char why[CERTIFICATE_TEXT])
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    BIO *b = pem.n > 0 ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;

    why[0] = '\0';
    if (chain == NULL || b == NULL || !read_into(b, chain, why)) {
        sk_X509_pop_free(chain, X509_free);
        chain = NULL;
    }
    BIO_free(b);
    tls_errors_drop();
    return chain;
}

bool certificate_read_chain(struct certificates *all, struct certificate *c)
{
    const struct conf_file *file = &c->conf->chain;
    char why[CERTIFICATE_TEXT];
    const char *kind;

    c->chain = certificate_read_all(file->bytes, why);
    if (c->chain != NULL) {
        certificate_names_take(sk_X509_value(c->chain, 0), &c->names);
        return true;
    }
    kind = why[0] != '\0' ? why : kind_of(file->bytes, WANTED_CHAIN);
    CERTIFICATE_ERROR(all, c, chain, "%s %s", file->path.p,
                      kind != NULL
                          ? kind
                          : "holds no certificate; give a PEM file: the server's certificate, then its "
                            "intermediates in order");
    return false;
}

/* ---- keys ---- */

struct passphrase {
    struct str bytes;
    bool asked, too_long;
};

static int give_passphrase(char *buf, int size, int writing, void *ctx)
{
    struct passphrase *p = ctx;

    p->asked = true;
    p->too_long = p->bytes.n > (size_t)size;
    if (p->bytes.n == 0 || p->too_long)
        return -1;
    memcpy(buf, p->bytes.p, p->bytes.n);
    return (int)p->bytes.n;
}

static void report_key(struct certificates *all, const struct certificate *c, const struct passphrase *p)
{
    const struct conf_file *key = &c->conf->key, *secret = &c->conf->passphrase;
    const char *kind = kind_of(key->bytes, WANTED_KEY);

    if (p->too_long)
        CERTIFICATE_ERROR(all, c, passphrase,
                          "the pass phrase in %s is too long; encrypt the key with a shorter one",
                          secret->path.p);
    else if (p->asked && p->bytes.n > 0)
        CERTIFICATE_ERROR(
            all, c, passphrase,
            "the pass phrase in %s does not open the key %s; its first line must be the pass phrase alone",
            secret->path.p, key->path.p);
    else if (p->asked)
        CERTIFICATE_ERROR(all, c, key,
                          "the key %s is encrypted; put its pass phrase into a file and name it with "
                          "`passphrase_file`, or decrypt the key: openssl pkey -in FILE -out NEW.pem",
                          key->path.p);
    else if (kind != NULL)
        CERTIFICATE_ERROR(all, c, key, "%s %s", key->path.p, kind);
    else
        CERTIFICATE_ERROR(
            all, c, key,
            "%s holds no private key; give the PEM file of the key that the certificate was ordered with",
            key->path.p);
}

static void check_access(struct certificates *all, const struct certificate *c)
{
    struct stat st;

    if (stat(c->conf->key.path.p, &st) == 0 && (st.st_mode & S_IROTH))
        CERTIFICATE_WARNING(
            all, c, key,
            "every user of this machine may read the key %s; take that right away: chmod o-rwx %s",
            c->conf->key.path.p, c->conf->key.path.p);
}

EVP_PKEY *certificate_read_key(struct certificates *all, const struct certificate *c)
{
    struct passphrase p = {.bytes = c->conf->passphrase.bytes};
    struct str pem = c->conf->key.bytes;
    BIO *b = pem.n > 0 ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *key = b != NULL ? PEM_read_bio_PrivateKey(b, NULL, give_passphrase, &p) : NULL;

    BIO_free(b);
    tls_errors_drop();
    check_access(all, c);
    if (key == NULL)
        report_key(all, c, &p);
    else if (p.bytes.n > 0 && !p.asked)
        CERTIFICATE_WARNING(
            all, c, passphrase,
            "the key %s is not encrypted and needs no pass phrase; take `passphrase_file` out, or "
            "encrypt the key: openssl pkey -aes256 -in FILE -out NEW.pem",
            c->conf->key.path.p);
    return key;
}
