/* The check of a snapshot: each certificate by itself, then each TLS listener. */
#include <stdlib.h>
#include <postern/conf_tree.h>
#include "certificates_int.h"
#include "tls_int.h"

static void check_one(struct certificates *all, struct certificate *c)
{
    if (!certificate_read_chain(all, c)) {
        EVP_PKEY_free(
            certificate_read_key(all, c)); /* what is wrong with the key is said in the same round */
        return;
    }
    certificate_check_chain(all, c);
    certificate_check_fit(all, c);
    certificate_check_staple(all, c);
}

static void release(struct certificates *all)
{
    for (size_t i = 0; i < all->s->certificates_n; i++) {
        sk_X509_pop_free(all->v[i].chain, X509_free);
        X509_free(all->v[i].issuer);
        certificate_names_free(&all->v[i].names);
    }
    free(all->v);
    X509_STORE_free(all->system);
    sk_X509_pop_free(all->own, X509_free);
}

static void keep_end(struct certificates *all, struct snapshot *s, size_t i)
{
    struct certificate_staple *staple;

    if (all->v[i].staple_until == 0)
        return;
    staple = conf_alloc(s->memory, sizeof(*staple));
    if (staple != NULL)
        staple->until = all->v[i].staple_until;
    else
        CERTIFICATE_ERROR(all, &all->v[i], ocsp, "out of memory");
    s->certificates[i].staple = staple;
}

void certificates_check(struct snapshot *s, struct conf_findings *f)
{
    struct certificates all = {.s = s, .f = f};

    if (s->certificates_n == 0)
        return;
    tls_errors_expect_none("certificates_check");
    all.v = calloc(s->certificates_n, sizeof(*all.v));
    if (all.v == NULL) {
        conf_finding_add(f, CONF_ERROR, s->certificates[0].mark,
                         "out of memory while the certificates were checked");
        return;
    }
    for (size_t i = 0; i < s->certificates_n; i++) {
        all.v[i].conf = &s->certificates[i];
        check_one(&all, &all.v[i]);
        keep_end(&all, s, i);
    }
    certificates_check_profiles(&all);
    certificates_check_listeners(&all);
    release(&all);
    tls_errors_drop();
}
