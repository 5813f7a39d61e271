/*
 * Names of certificates, sorted.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/x509v3.h>
#include <postern/str.h>
#include "tls_names.h"

bool tls_name_normal(const char *name, char out[TLS_NAME_MAX + 1])
{
    size_t n = strlen(name);

    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n == 0 || n > TLS_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        out[i] = ascii_lower(name[i]);
    out[n] = '\0';
    return true;
}

bool tls_name_wildcard(const char *name, char out[TLS_NAME_MAX + 1])
{
    const char *dot = strchr(name, '.');

    if (dot == NULL || dot == name || strlen(dot) + 1 > TLS_NAME_MAX)
        return false;
    out[0] = '*';
    memcpy(out + 1, dot, strlen(dot) + 1);
    return true;
}

/* ---- the names of one certificate ---- */

static bool of_asn1(const ASN1_STRING *s, char out[TLS_NAME_MAX + 1])
{
    const char *p = (const char *)ASN1_STRING_get0_data(s);
    size_t n = (size_t)ASN1_STRING_length(s);
    char text[TLS_NAME_MAX + 2];

    if (n > TLS_NAME_MAX + 1 || memchr(p, '\0', n) != NULL)
        return false;
    memcpy(text, p, n);
    text[n] = '\0';
    return tls_name_normal(text, out);
}

/* Calls `each` until it returns false; whether all were seen. */
static bool each_name(X509 *leaf, bool (*each)(void *ctx, const char *name), void *ctx)
{
    GENERAL_NAMES *san = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    X509_NAME *subject = X509_get_subject_name(leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    char name[TLS_NAME_MAX + 1];
    bool any = false, more = true;

    for (int i = 0; more && i < sk_GENERAL_NAME_num(san); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

        if (g->type != GEN_DNS)
            continue;
        any = true;
        more = !of_asn1(g->d.dNSName, name) || each(ctx, name);
    }
    GENERAL_NAMES_free(san);
    if (!any && at >= 0 && of_asn1(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), name))
        more = each(ctx, name);
    return more;
}

static bool name_differs(void *ctx, const char *name)
{
    return strcmp(name, ctx) != 0;
}

bool tls_names_has(X509 *leaf, const char *name)
{
    return !each_name(leaf, name_differs, (void *)(uintptr_t)name);
}

/* ---- the table ---- */

static bool name_add(void *ctx, const char *name)
{
    struct tls_names *t = ctx;

    for (unsigned i = 0; i < t->n; i++) {
        if (strcmp(t->v[i].name, name) == 0)
            return true;
    }
    if (t->n == t->room) {
        unsigned room = t->room > 0 ? t->room * 2 : 8;
        struct tls_name *v = realloc(t->v, room * sizeof(*v));

        if (v == NULL)
            return false;
        t->v = v;
        t->room = room;
    }
    t->v[t->n] = (struct tls_name){strdup(name), -1};
    return t->v[t->n++].name != NULL;
}

bool tls_names_add(struct tls_names *t, X509 *leaf)
{
    return each_name(leaf, name_add, t);
}

bool tls_names_add_name(struct tls_names *t, const char *name)
{
    return name_add(t, name);
}

static int by_name(const void *a, const void *b)
{
    const struct tls_name *x = a, *y = b;

    return strcmp(x->name, y->name);
}

void tls_names_sort(struct tls_names *t)
{
    if (t->n > 0)
        qsort(t->v, t->n, sizeof(t->v[0]), by_name);
}

void tls_names_free(struct tls_names *t)
{
    for (unsigned i = 0; i < t->n; i++)
        free(t->v[i].name);
    free(t->v);
}

static const struct tls_name *find_normal(const struct tls_names *t, char *name)
{
    struct tls_name key = {name, 0};

    return t->n > 0 ? bsearch(&key, t->v, t->n, sizeof(t->v[0]), by_name) : NULL;
}

const struct tls_name *tls_names_find(const struct tls_names *t, const char *name)
{
    char normal[TLS_NAME_MAX + 1], wildcard[TLS_NAME_MAX + 1];
    const struct tls_name *found;

    if (!tls_name_normal(name, normal))
        return NULL;
    found = find_normal(t, normal);
    if (found == NULL && tls_name_wildcard(normal, wildcard))
        found = find_normal(t, wildcard);
    return found;
}
