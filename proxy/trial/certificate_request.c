/*
 * `postern cert request`: a private key and a signing request (RFC 2986) that asks for the names of the configuration.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "trial_int.h"

#define NAMES_MAX 100 /* what authorities take at most */

struct request {
    const char *config, *key_type, *out;
    const char *names[NAMES_MAX];
    unsigned names_n;
    struct conf_memory *memory;
};

static int usage(void)
{
    fputs(
        "usage: postern cert request [-c FILE] [--name HOST]... [--key rsa:2048|rsa:3072|rsa:4096|ecdsa] --out PREFIX\n",
        stderr);
    return 2;
}

static bool options(int argc, char **argv, struct request *r)
{
    r->key_type = "rsa:2048";
    for (int i = 2; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (value == NULL)
            return false;
        if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0)
            r->config = value;
        else if (strcmp(argv[i], "--key") == 0)
            r->key_type = value;
        else if (strcmp(argv[i], "--out") == 0)
            r->out = value;
        else if (strcmp(argv[i], "--name") == 0 && r->names_n < NAMES_MAX)
            r->names[r->names_n++] = value;
        else
            return false;
    }
    return r->out != NULL;
}

static void add_name(struct request *r, const char *name)
{
    for (unsigned i = 0; i < r->names_n; i++) {
        if (strcasecmp(r->names[i], name) == 0)
            return;
    }
    if (r->names_n < NAMES_MAX && name != NULL)
        r->names[r->names_n++] = name;
}

/* The published hosts; "*" is no name that a certificate could have. */
static int names_of_configuration(struct request *r)
{
    struct conf_findings *f = conf_findings_new();
    struct str bytes;
    struct snapshot *s = NULL;
    const char *why;

    /* from memory: the certificate's own files need not exist yet */
    if (f != NULL && conf_slurp(r->memory, r->config, &bytes, &why) == 0)
        s = conf_load_memory(r->config, bytes, f);
    else if (f != NULL)
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){r->config, 0, 0}, "%s", why);
    for (size_t i = 0; s != NULL && i < s->publish_n; i++) {
        for (size_t k = 0; k < s->publish[i].hosts.n; k++) {
            struct str host = s->publish[i].hosts.v[k];

            if (!str_eq(host, STR("*")))
                add_name(r, conf_copy(r->memory, host).p);
        }
    }
    if (s == NULL && f != NULL)
        conf_findings_print(f, stderr);
    if (s != NULL)
        snapshot_release(s);
    conf_findings_free(f);
    return s != NULL ? 0 : -1;
}

static EVP_PKEY *key_make(const char *type)
{
    if (strcmp(type, "ecdsa") == 0)
        return EVP_EC_gen("P-256");
    if (strcmp(type, "rsa:2048") == 0)
        return EVP_RSA_gen(2048);
    if (strcmp(type, "rsa:3072") == 0)
        return EVP_RSA_gen(3072);
    return strcmp(type, "rsa:4096") == 0 ? EVP_RSA_gen(4096) : NULL;
}

static bool add_names(X509_REQ *q, const struct request *r)
{
    char *text = calloc(r->names_n + 1, TRIAL_NAME_MAX + 8);
    STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
    X509_EXTENSION *san = NULL;
    size_t n = 0;
    bool ok;

    for (unsigned i = 0; text != NULL && i < r->names_n; i++)
        n += (size_t)snprintf(text + n, TRIAL_NAME_MAX + 8, "%sDNS:%.255s", i > 0 ? "," : "", r->names[i]);
    if (text != NULL)
        san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
    ok = san != NULL && all != NULL && sk_X509_EXTENSION_push(all, san) > 0 &&
         X509_REQ_add_extensions(q, all) == 1;
    sk_X509_EXTENSION_free(all);
    X509_EXTENSION_free(san);
    free(text);
    return ok;
}

static X509_REQ *request_make(const struct request *r, EVP_PKEY *key)
{
    X509_REQ *q = X509_REQ_new();
    X509_NAME *subject = q != NULL ? X509_REQ_get_subject_name(q) : NULL;
    const char *cn = r->names[0];

    /* a common name has 64 characters at most (RFC 5280 A.1); the names of the extension are what counts */
    if (subject != NULL && X509_REQ_set_version(q, 0) == 1 &&
        (strlen(cn) > 64 || X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                                       (const unsigned char *)cn, -1, -1, 0) == 1) &&
        X509_REQ_set_pubkey(q, key) == 1 && add_names(q, r) && X509_REQ_sign(q, key, EVP_sha256()) > 0)
        return q;
    X509_REQ_free(q);
    return NULL;
}

/* A new file, never over one that is there. */
static FILE *file_new(const char *prefix, const char *ending, mode_t mode)
{
    char path[1024];
    int fd;

    snprintf(path, sizeof(path), "%s%s", prefix, ending);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        fprintf(stderr, "postern cert: %s: %m\n", path);
    else
        printf("%s\n", path);
    return fd >= 0 ? fdopen(fd, "w") : NULL;
}

static int write_both(const struct request *r, EVP_PKEY *key, X509_REQ *q)
{
    FILE *to = file_new(r->out, ".key", 0600);
    int ok = to != NULL && PEM_write_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL) == 1;

    if (to != NULL)
        ok = fclose(to) == 0 && ok;
    if (!ok)
        return 1;
    to = file_new(r->out, ".csr", 0644);
    ok = to != NULL && PEM_write_X509_REQ(to, q) == 1;
    if (to != NULL)
        ok = fclose(to) == 0 && ok;
    return ok ? 0 : 1;
}

static int request_run(struct request *r)
{
    EVP_PKEY *key;
    X509_REQ *q;
    int result = 1;

    if (r->config != NULL && names_of_configuration(r) < 0)
        return 1;
    if (r->names_n == 0) {
        fputs("postern cert: no names: publish hosts in the configuration (-c FILE), or give --name\n",
              stderr);
        return 1;
    }
    key = key_make(r->key_type);
    if (key == NULL)
        return usage();
    q = request_make(r, key);
    if (q == NULL)
        fputs("postern cert: OpenSSL refuses such a request; are the names host names?\n", stderr);
    else
        result = write_both(r, key, q);
    X509_REQ_free(q);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return result;
}

int trial_certificate_command(int argc, char **argv)
{
    struct request r = {.config = NULL};
    int result = 1;

    if (argc < 2 || strcmp(argv[1], "request") != 0 || !options(argc, argv, &r))
        return usage();
    if (r.names_n == 0 && r.config == NULL)
        r.config = "/etc/postern/postern.yaml";
    r.memory = conf_memory_new();
    if (r.memory != NULL) {
        result = request_run(&r);
        conf_memory_free(r.memory);
    }
    return result;
}
