/*
 * Every published host on every TLS listener: any of them may be asked for any of the names. And certificates of a listener
 * that no name leads to.
 */
#include <stdio.h>
#include "certificates_int.h"

struct coverage {
    const struct conf_listener *l;
    size_t number;
    const struct certificate *by_cn; /* the first whose CN alone has the name */
};

static struct certificate *certificate_of(struct certificates *all, const struct conf_certificate *conf)
{
    return &all->v[conf - all->s->certificates];
}

/* What a certificate that cannot be read would cover is not known, and that it cannot be read was told. */
static bool readable(struct certificates *all, const struct conf_listener *l)
{
    for (size_t i = 0; i < l->certificates_n; i++) {
        if (certificate_of(all, l->certificates[i])->chain == NULL)
            return false;
    }
    return l->certificates_n > 0;
}

static enum certificate_match cover(struct certificates *all, struct coverage *v, struct str host)
{
    v->by_cn = NULL;
    for (size_t i = 0; i < v->l->certificates_n; i++) {
        const struct certificate *c = certificate_of(all, v->l->certificates[i]);
        enum certificate_match m = certificate_names_cover(&c->names, host);
        if (m == MATCH_SAN)
            return m;
        if (m == MATCH_CN && v->by_cn == NULL)
            v->by_cn = c;
    }
    return v->by_cn != NULL ? MATCH_CN : MATCH_NONE;
}

/* "`mail` (a.example, b.example), `old` (no names)" */
static void names_of(struct certificates *all, const struct conf_listener *l, char *ret, size_t size)
{
    size_t at = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < l->certificates_n && at < size; i++) {
        const struct certificate *c = certificate_of(all, l->certificates[i]);
        char one[400];
        if (certificate_names_print(&c->names, one, sizeof(one)) == 0)
            snprintf(one, sizeof(one), "no names");
        at += (size_t)snprintf(ret + at, size - at, "%s`%.*s` (%s)", i > 0 ? ", " : "",
                               STR_ARG(c->conf->name), one);
    }
}

static bool near_of(struct certificates *all, const struct conf_listener *l, struct str host,
                    char ret[CERTIFICATE_TEXT])
{
    for (size_t i = 0; i < l->certificates_n; i++) {
        if (certificate_names_near(&certificate_of(all, l->certificates[i])->names, host, ret))
            return true;
    }
    return false;
}

static void report_uncovered(struct certificates *all, const struct coverage *v, const struct conf_publish *p,
                             struct str host)
{
    char names[2048], near[CERTIFICATE_TEXT];
    bool has_near = near_of(all, v->l, host, near);

    names_of(all, v->l, names, sizeof(names));
    conf_finding_add(
        all->f, CONF_ERROR, p->mark,
        "host `%.*s` is published, but no certificate of listeners[%zu] (`%.*s`) covers it%s%s%s; there "
        "are %s; order a certificate with this name and add it to the listener's "
        "`certificates`, or take the host out of `hosts`",
        STR_ARG(host), v->number, STR_ARG(v->l->addresses[0].text), has_near ? " (`" : "",
        has_near ? near : "", has_near ? "` covers exactly one label)" : "", names);
}

static void report_cn(struct certificates *all, const struct coverage *v, const struct conf_publish *p,
                      struct str host)
{
    conf_finding_add(
        all->f, CONF_WARNING, p->mark,
        "host `%.*s` stands on listeners[%zu] only in the CN of certificate `%.*s`, which current "
        "clients do not read; order it again with the name as subject alternative name (SAN)",
        STR_ARG(host), v->number, STR_ARG(v->by_cn->conf->name));
}

static void check_publish(struct certificates *all, struct coverage *v, const struct conf_publish *p)
{
    for (size_t i = 0; i < p->hosts.n; i++) {
        enum certificate_match m = cover(all, v, p->hosts.v[i]);
        if (m == MATCH_NONE)
            report_uncovered(all, v, p, p->hosts.v[i]);
        else if (m == MATCH_CN)
            report_cn(all, v, p, p->hosts.v[i]);
    }
}

static bool is_hidden_by(const struct certificate *c, const struct certificate *earlier)
{
    const EVP_PKEY *a = X509_get0_pubkey(sk_X509_value(c->chain, 0));
    const EVP_PKEY *b = X509_get0_pubkey(sk_X509_value(earlier->chain, 0));

    return a != NULL && b != NULL && EVP_PKEY_get_base_id(a) == EVP_PKEY_get_base_id(b) &&
           certificate_names_include(&earlier->names, &c->names);
}

/* Of certificates with one kind of key the first that has a name serves it: the renewed one beside the old is never seen. */
static void check_hidden(struct certificates *all, const struct coverage *v)
{
    for (size_t i = 1; i < v->l->certificates_n; i++) {
        const struct certificate *c = certificate_of(all, v->l->certificates[i]);
        for (size_t k = 0; k < i; k++) {
            const struct certificate *earlier = certificate_of(all, v->l->certificates[k]);
            if (!is_hidden_by(c, earlier))
                continue;
            conf_finding_add(
                all->f, CONF_WARNING, v->l->mark,
                "listeners[%zu] never serves certificate `%.*s`: `%.*s` before it has the same names and kind of "
                "key; take the one that you do not want out of `certificates`",
                v->number, STR_ARG(c->conf->name), STR_ARG(earlier->conf->name));
            break;
        }
    }
}

void certificates_check_listeners(struct certificates *all)
{
    for (size_t i = 0; i < all->s->listeners_n; i++) {
        struct coverage v = {.l = &all->s->listeners[i], .number = i};
        if (!readable(all, v.l))
            continue;
        check_hidden(all, &v);
        for (size_t k = 0; k < all->s->publish_n; k++)
            check_publish(all, &v, &all->s->publish[k]);
    }
}
