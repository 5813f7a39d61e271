/*
 * certificates_int: what the files of the certificate check agree on.
 *
 *   certificates.c         the check of a snapshot: each certificate, then each TLS listener.
 *   certificate_read.c     PEM files into certificates and keys, and what a file is that is no such PEM.
 *   certificate_chain.c    the order of a chain, and whether it is complete.
 *   certificate_issuer.c   issuers that are not in the file, and what can be known of them.
 *   certificate_default.c  certificates that a server made for itself.
 *   certificate_fit.c      dates, keys, signatures, usages of each certificate of a chain.
 *   certificate_names.c    names of a certificate, and what they cover (RFC 9525).
 *   certificate_cover.c    every published host on every TLS listener.
 *   certificate_profile.c  whether the TLS profile of a listener takes its certificates.
 *   certificate_staple.c   the OCSP response that is stapled (RFC 6960).
 *   certificate_facts.c    words for people: dates, names, keys; the facts of `status`.
 *
 * Each function that calls into OpenSSL leaves the thread's error queue as it found it or empty, never
 * fuller.
 */
#ifndef POSTERN_CERTIFICATES_INT_H
#define POSTERN_CERTIFICATES_INT_H

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <postern/certificates.h>

/* Most certificates of one chain file. A bundle of authorities is no chain, and each pair of them is looked
 * at. */
#define CERTIFICATE_CHAIN_MAX 16
/* Fits any name that a message quotes; a longer one is cut. */
#define CERTIFICATE_TEXT 256

struct certificate_names {
    GENERAL_NAMES *san; /* NULL: the extension is missing */
    struct str cn;      /* the most specific CN as UTF-8; p == NULL: none */
};

struct certificate {
    const struct conf_certificate *conf;
    STACK_OF(X509) *chain; /* the leaf first; NULL: not readable, which was reported */
    X509 *issuer;          /* of the leaf, where it is known; counted */
    bool self_signed;
    struct certificate_names names; /* of the leaf */
    int64_t staple_until;           /* 0: no end is known */
};

/* One check of one snapshot. */
struct certificates {
    const struct snapshot *s;
    struct conf_findings *f;
    struct certificate *v; /* as many, in the same order, as the snapshot's */
    X509_STORE *system;    /* the system's authorities; made when first asked for */
    STACK_OF(X509) *own;   /* the backends' trust bundles and all chain files; made when first asked for */
};

/* A finding about one certificate: its name in front, `mark` one of its files. */
#define CERTIFICATE_FINDING(all, severity, c, which, format, ...)                                            \
    conf_finding_add((all)->f, severity, (c)->conf->which.mark, "certificate `%.*s`: " format,               \
                     STR_ARG((c)->conf->name), ##__VA_ARGS__)
#define CERTIFICATE_ERROR(all, c, which, ...) CERTIFICATE_FINDING(all, CONF_ERROR, c, which, __VA_ARGS__)
#define CERTIFICATE_WARNING(all, c, which, ...) CERTIFICATE_FINDING(all, CONF_WARNING, c, which, __VA_ARGS__)

/* ---- certificate_read.c ---- */

/* All certificates of a PEM file, in its order. NULL: ret_why says why not, in words that follow the file's
 * name, or is NULL where the file holds none. ret_why is static or in `why`. */
STACK_OF(X509) *certificate_read_all(struct str pem, char why[CERTIFICATE_TEXT]);
/* For PEM_read_bio_*: without a callback OpenSSL asks on the terminal. */
int certificate_no_passphrase(char *buf, int size, int writing, void *ctx);
/* Fills c->chain. False: a finding was made. */
bool certificate_read_chain(struct certificates *all, struct certificate *c);
/* The private key; NULL: a finding was made. The caller frees it. */
EVP_PKEY *certificate_read_key(struct certificates *all, const struct certificate *c);

/* ---- certificate_chain.c ---- */

/* Key, order, completeness, self-signed. Puts a misplaced leaf in front, so that all else is said of the
 * right one. */
void certificate_check_chain(struct certificates *all, struct certificate *c);

/* ---- certificate_issuer.c ---- */

enum certificate_origin {
    ORIGIN_ROOT,         /* issued by a root: nothing is missing */
    ORIGIN_INTERMEDIATE, /* issued by an intermediate that clients do not have */
    ORIGIN_UNKNOWN,
};

/* `issuer` signed `x`, and names and key identifiers agree. Whether it may is X509_check_ca's to say. */
bool certificate_issued(X509 *issuer, X509 *x);
/* Who issued `x`, whose issuer its file lacks? *ret_issuer, where it was found, is counted. */
enum certificate_origin certificate_origin(struct certificates *all, X509 *x, X509 **ret_issuer);
/* Where the authority says its own certificate is (AIA caIssuers, RFC 5280 4.2.2.1): the first http address,
 * or "". */
void certificate_issuer_url(const X509 *x, char ret[CERTIFICATE_TEXT]);

/* ---- certificate_default.c ---- */

/* Who makes such a certificate for itself ("Exchange Server"), or NULL. For self-signed ones. */
const char *certificate_default_maker(const struct certificate *c);

/* ---- certificate_fit.c ---- */

void certificate_check_fit(struct certificates *all, const struct certificate *c);

/* ---- certificate_names.c ---- */

enum certificate_match { MATCH_NONE, MATCH_CN, MATCH_SAN };

/* What cannot be decoded is as if it were not there. */
void certificate_names_take(const X509 *leaf, struct certificate_names *ret);
void certificate_names_free(struct certificate_names *n);
/* `host` as in `publish.hosts`: lower case, "*", "*.example.com", an address literal. */
enum certificate_match certificate_names_cover(const struct certificate_names *n, struct str host);
/* Does one DNS name of a certificate cover the host (RFC 9525 6.3)? */
bool certificate_name_covers(struct str name, struct str host);
/* `other` has DNS names, and `n` has every one of them, as written. */
bool certificate_names_include(const struct certificate_names *n, const struct certificate_names *other);
/* A wildcard whose domain the host lies in without being covered by it, written to `ret`; false: none. */
bool certificate_names_near(const struct certificate_names *n, struct str host, char ret[CERTIFICATE_TEXT]);
/* "a, b, 192.0.2.1"; whole names only, "..." where they do not fit. The length written. */
size_t certificate_names_print(const struct certificate_names *n, char *ret, size_t size);

/* ---- certificate_cover.c ---- */

void certificates_check_listeners(struct certificates *all);

/* ---- certificate_profile.c ---- */

void certificates_check_profiles(struct certificates *all);

/* ---- certificate_staple.c ---- */

void certificate_check_staple(struct certificates *all, struct certificate *c);

/* ---- certificate_facts.c ---- */

/* "CN=Demo CA,O=Demo"; escapes control characters. Returns `ret`. */
const char *certificate_name(const X509_NAME *name, char ret[CERTIFICATE_TEXT]);
/* "RSA 2048", "EC P-256". Returns `ret`. */
const char *certificate_key_name(const EVP_PKEY *key, char ret[32]);
/* "2026-08-31". Returns `ret`. */
const char *certificate_date(const ASN1_TIME *t, char ret[16]);
/* Seconds since the epoch; 0 where `t` is no time. */
int64_t certificate_seconds(const ASN1_TIME *t);
/* Whole days until then, rounded down: negative once it is past. */
int certificate_days(const ASN1_TIME *t);

#endif
