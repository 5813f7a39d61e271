/*
 * Names of a certificate, and the published names that they cover (RFC 9525). The CN is looked at only to
 * warn of it: no current client reads it (RFC 9525 2, 6.3).
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "certificates_int.h"
#include "tls_int.h"

static void take_cn(const X509 *leaf, struct str *ret)
{
    const X509_NAME *subject = X509_get_subject_name(leaf);
    unsigned char *text = NULL;
    int at = -1, last = -1, n;

    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
        last = at;
    if (last < 0)
        return;
    n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    if (n >= 0)
        *ret = (struct str){(char *)text, (size_t)n};
}

void certificate_names_take(const X509 *leaf, struct certificate_names *ret)
{
    *ret = (struct certificate_names){.san = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL)};
    take_cn(leaf, &ret->cn);
    tls_errors_drop();
}

void certificate_names_free(struct certificate_names *n)
{
    GENERAL_NAMES_free(n->san);
    OPENSSL_free((void *)(uintptr_t)n->cn.p);
    *n = (struct certificate_names){0};
}

static struct str string_of(const ASN1_STRING *s)
{
    return (struct str){(const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)};
}

/* The text after the first label's dot; empty where there is none. */
static struct str parent(struct str name)
{
    const char *dot = name.n > 0 ? memchr(name.p, '.', name.n) : NULL;

    return dot == NULL ? STR("") : (struct str){dot + 1, name.n - (size_t)(dot + 1 - name.p)};
}

static bool is_wildcard(struct str name)
{
    /* Clients take no wildcard for a whole top-level domain. */
    return name.n > 2 && name.p[0] == '*' && name.p[1] == '.' && parent(parent(name)).n > 0;
}

bool certificate_name_covers(struct str name, struct str host)
{
    if (host.n == 0 || name.n == 0)
        return false;
    if (!is_wildcard(name))
        return memchr(name.p, '*', name.n) == NULL && str_eq_nocase(name, host);
    /* One whole label, never none and never two. A published "*.example.com" is such a label too. */
    return host.p[0] != '.' && str_eq_nocase(parent(name), parent(host));
}

/* The octets of an address literal, [::1] or 192.0.2.1; 0: a name. */
static size_t literal(struct str host, unsigned char ret[16])
{
    char text[INET6_ADDRSTRLEN];
    bool six = host.n > 2 && host.p[0] == '[';

    if (six)
        host = (struct str){host.p + 1, host.n - 2};
    if (host.n >= sizeof(text))
        return 0;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    if (inet_pton(six ? AF_INET6 : AF_INET, text, ret) != 1)
        return 0;
    return six ? 16 : 4;
}

static bool covers_address(const GENERAL_NAME *g, const unsigned char *octets, size_t n)
{
    struct str s;

    if (g->type != GEN_IPADD)
        return false;
    s = string_of(g->d.iPAddress);
    return s.n == n && memcmp(s.p, octets, n) == 0;
}

enum certificate_match certificate_names_cover(const struct certificate_names *n, struct str host)
{
    unsigned char octets[16];
    size_t octets_n = literal(host, octets);
    bool named = false;

    if (str_eq(host, STR("*")))
        return MATCH_SAN;
    for (int i = 0; i < sk_GENERAL_NAME_num(n->san); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(n->san, i);
        named |= g->type == GEN_DNS || g->type == GEN_IPADD;
        if (octets_n > 0 ? covers_address(g, octets, octets_n)
                         : g->type == GEN_DNS && certificate_name_covers(string_of(g->d.dNSName), host))
            return MATCH_SAN;
    }
    /* Even the clients that read a CN read it only where the SAN has no name. */
    return !named && certificate_name_covers(n->cn, host) ? MATCH_CN : MATCH_NONE;
}

static bool has_dns(const struct certificate_names *n, struct str name)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(n->san); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(n->san, i);
        if (g->type == GEN_DNS && str_eq_nocase(string_of(g->d.dNSName), name))
            return true;
    }
    return false;
}

bool certificate_names_include(const struct certificate_names *n, const struct certificate_names *other)
{
    bool any = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(other->san); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(other->san, i);
        if (g->type != GEN_DNS)
            continue;
        if (!has_dns(n, string_of(g->d.dNSName)))
            return false;
        any = true;
    }
    return any;
}

static bool is_below(struct str host, struct str domain)
{
    return str_ends_nocase(host, domain) && (host.n == domain.n || host.p[host.n - domain.n - 1] == '.');
}

bool certificate_names_near(const struct certificate_names *n, struct str host, char ret[CERTIFICATE_TEXT])
{
    for (int i = 0; i < sk_GENERAL_NAME_num(n->san); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(n->san, i);
        struct str name, domain;
        if (g->type != GEN_DNS)
            continue;
        name = string_of(g->d.dNSName);
        domain = parent(name);
        if (!is_wildcard(name) || !is_below(host, domain))
            continue;
        snprintf(ret, CERTIFICATE_TEXT, "*.%.*s", STR_ARG(domain));
        return true;
    }
    return false;
}

/* ---- for people ---- */

/* One name, "" for one of a kind that no web client compares. What a name may hold is the authority's choice,
 * so what is not plain is hidden. */
static size_t print_one(const GENERAL_NAME *g, char *ret, size_t size)
{
    size_t n;

    ret[0] = '\0';
    if (g->type == GEN_IPADD) {
        struct str s = string_of(g->d.iPAddress);
        if (s.n == 4 || s.n == 16)
            inet_ntop(s.n == 4 ? AF_INET : AF_INET6, s.p, ret, (socklen_t)size);
        return strlen(ret);
    }
    if (g->type != GEN_DNS)
        return 0;
    n = (size_t)ASN1_STRING_length(g->d.dNSName);
    n = n < size - 1 ? n : size - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = ASN1_STRING_get0_data(g->d.dNSName)[i];
        ret[i] = c > 0x20 && c < 0x7f && c != ',' ? (char)c : '?';
    }
    ret[n] = '\0';
    return n;
}

size_t certificate_names_print(const struct certificate_names *n, char *ret, size_t size)
{
    char one[CERTIFICATE_TEXT];
    size_t at = 0;

    ret[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(n->san); i++) {
        size_t len = print_one(sk_GENERAL_NAME_value(n->san, i), one, sizeof(one));
        if (len == 0)
            continue;
        if (at + len + sizeof(", , ...") > size)
            return at + (size_t)snprintf(ret + at, size - at, "%s...", at > 0 ? ", " : "");
        at += (size_t)snprintf(ret + at, size - at, "%s%s", at > 0 ? ", " : "", one);
    }
    return at;
}
