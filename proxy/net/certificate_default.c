/*
 * Certificates that a server made for itself at installation. They stand in chain files because somebody
 * exported the first certificate that the server's list showed.
 */
#include <stdio.h>
#include <string.h>
#include "certificates_int.h"

enum part { PART_CN, PART_CN_BEGINS, PART_ORGANISATION, PART_FILE_NAME, PART_FRIENDLY_NAME };

static const struct row {
    enum part part;
    const char *text, *maker;
} rows[] = {
    {PART_FRIENDLY_NAME, "Microsoft Exchange", "Exchange Server"},
    {PART_CN_BEGINS, "Microsoft Exchange", "Exchange Server"},
    {PART_CN_BEGINS, "WMSvc", "the Web Management Service of Windows"},
    {PART_CN_BEGINS, "SSL_Self_Signed_Fallback", "SQL Server"},
    {PART_CN_BEGINS, "TRAEFIK DEFAULT CERT", "Traefik"},
    {PART_CN_BEGINS, "Kubernetes Ingress Controller Fake", "a Kubernetes ingress"},
    {PART_ORGANISATION, "SomeOrganization", "Apache"},
    {PART_ORGANISATION, "Internet Widgits Pty Ltd", "the openssl command, asked no questions,"},
    {PART_ORGANISATION, "Default Company Ltd", "the openssl command, asked no questions,"},
    {PART_FILE_NAME, "snakeoil", "Debian's ssl-cert package"},
    {PART_CN, "localhost", "a web server"},
    {PART_CN, "localhost.localdomain", "a web server"},
};

static bool subject_has(const X509 *leaf, int nid, const char *text)
{
    char value[CERTIFICATE_TEXT];

    return X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), nid, value, sizeof(value)) >= 0 &&
           strcasecmp(value, text) == 0;
}

/* openssl pkcs12 writes what Windows shows as the friendly name above the certificate. */
static bool has_friendly_name(struct str pem, const char *text)
{
    static const char label[] = "friendlyName: ";
    const char *at = memmem(pem.p, pem.n, label, sizeof(label) - 1);
    struct str rest;

    if (at == NULL)
        return false;
    at += sizeof(label) - 1;
    rest = (struct str){at, pem.n - (size_t)(at - pem.p)};
    return str_starts_nocase(rest, str_of(text));
}

static bool matches(const struct row *r, const struct certificate *c)
{
    switch (r->part) {
    case PART_CN:
        return str_eq_nocase(c->names.cn, str_of(r->text));
    case PART_CN_BEGINS:
        return str_starts_nocase(c->names.cn, str_of(r->text));
    case PART_ORGANISATION:
        return subject_has(sk_X509_value(c->chain, 0), NID_organizationName, r->text);
    case PART_FILE_NAME:
        return strcasestr(c->conf->chain.path.p, r->text) != NULL;
    case PART_FRIENDLY_NAME:
        return has_friendly_name(c->conf->chain.bytes, r->text);
    }
    return false;
}

/* What Exchange calls itself: the machine's bare name in the CN, and in the SAN both that and the name in its
 * domain. */
static bool is_named_as_machine(const struct certificate *c)
{
    char names[1024], machine[80];

    if (c->names.cn.n == 0 || c->names.cn.n > 63 || memchr(c->names.cn.p, '.', c->names.cn.n) != NULL)
        return false;
    certificate_names_print(&c->names, names, sizeof(names));
    snprintf(machine, sizeof(machine), "%.*s.", STR_ARG(c->names.cn));
    return certificate_names_cover(&c->names, c->names.cn) == MATCH_SAN && strcasestr(names, machine) != NULL;
}

const char *certificate_default_maker(const struct certificate *c)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (matches(&rows[i], c))
            return rows[i].maker;
    }
    return is_named_as_machine(c) ? "Exchange Server" : NULL;
}
