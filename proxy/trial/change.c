/*
 * The least change of the server that would win a device back: first what costs nothing, then certificates, then the TLS
 * profiles from strict to lax.
 */
#include <stdio.h>
#include <stdlib.h>
#include "trial_int.h"

struct changed {
    struct trial_server server;
    struct trial_certificate certificates[TRIAL_CERTIFICATES_MAX + 1];
    char names[TRIAL_CERTIFICATES_MAX + 1][1][TRIAL_NAME_MAX];
};

static bool connects(const struct trial_device *d, const struct trial_server *s, const char *host)
{
    struct trial_outcome o;

    trial_predict(d, s, host, &o);
    return o.stop == STOP_NOWHERE;
}

static void copy(struct changed *c, const struct trial_server *s)
{
    *c = (struct changed){.server = *s};
    for (unsigned i = 0; i < s->certificates_n; i++) {
        c->certificates[i] = *s->certificates[i];
        c->server.certificates[i] = &c->certificates[i];
    }
}

static void rename_all(struct changed *c, const char *host)
{
    for (unsigned i = 0; i < c->server.certificates_n; i++) {
        snprintf(c->names[i][0], TRIAL_NAME_MAX, "%s", host);
        c->certificates[i].names = c->names[i];
        c->certificates[i].names_n = 1;
        snprintf(c->certificates[i].cn, TRIAL_NAME_MAX, "%s", host);
    }
}

static void digest_all(struct changed *c)
{
    for (unsigned i = 0; i < c->server.certificates_n; i++) {
        c->certificates[i].sha256 = true;
        c->certificates[i].sha512 = c->certificates[i].sha1 = false;
    }
}

static void key_add(struct changed *c, enum trial_key key, const char *host)
{
    unsigned n = c->server.certificates_n;

    if (n >= TRIAL_CERTIFICATES_MAX)
        return;
    c->certificates[n] = c->certificates[0];
    c->certificates[n].key = key;
    c->certificates[n].bits = key == KEY_RSA ? 2048 : 256;
    c->certificates[n].curve = 23;
    c->server.certificates[n] = &c->certificates[n];
    c->server.certificates_n++;
    (void)host;
}

static void policies_drop(struct changed *c)
{
    for (unsigned i = 0; i < c->server.certificates_n; i++)
        c->certificates[i].policies = false;
}

static bool has_key(const struct trial_server *s, enum trial_key key)
{
    for (unsigned i = 0; i < s->certificates_n; i++) {
        if (s->certificates[i]->key == key)
            return true;
    }
    return false;
}

static unsigned count_won(const struct trial_devices *all, const struct trial_device *but,
                          const struct trial_server *before, const struct trial_server *after,
                          const char *host)
{
    unsigned n = 0;

    for (unsigned i = 0; i < all->n; i++) {
        if (all->v[i] != but && !connects(all->v[i], before, host) && connects(all->v[i], after, host))
            n++;
    }
    return n;
}

struct search {
    const struct trial_device *d;
    const struct trial_server *before;
    const char *host;
    const struct trial_devices *all;
    struct trial_outcome *o;
};

static bool try_it(const struct search *q, const struct trial_server *after, const char *what,
                   const char *costs)
{
    unsigned more;

    if (!connects(q->d, after, q->host))
        return false;
    more = count_won(q->all, q->d, q->before, after, q->host);
    snprintf(q->o->change, TRIAL_TEXT, "%s would let it connect, and %u more device%s%s%s", what, more,
             more == 1 ? "" : "s", costs[0] != '\0' ? "; costs: " : "", costs);
    return true;
}

static bool try_certificates(const struct search *q, struct changed *c)
{
    copy(c, q->before);
    rename_all(c, q->host);
    if (try_it(q, &c->server,
               "a certificate that names the host itself, not by wildcard, first on the listener", ""))
        return true;
    copy(c, q->before);
    policies_drop(c);
    if (try_it(q, &c->server, "a certificate without the authority's own policies", ""))
        return true;
    copy(c, q->before);
    digest_all(c);
    if (try_it(q, &c->server, "a chain signed with SHA-256 throughout", ""))
        return true;
    for (int key = KEY_RSA; key <= KEY_EC; key++) {
        if (has_key(q->before, (enum trial_key)key))
            continue;
        copy(c, q->before);
        key_add(c, (enum trial_key)key, q->host);
        if (try_it(q, &c->server,
                   key == KEY_RSA ? "an RSA certificate beside it" : "an ECDSA certificate beside it", ""))
            return true;
    }
    return false;
}

static bool try_policies(const struct search *q, const struct trial_choices *choices, struct changed *c,
                         bool renamed)
{
    char what[200], costs[TRIAL_TEXT];

    for (unsigned i = 0; i < choices->policies_n; i++) {
        const struct trial_policy *p = &choices->policies[i];

        if (str_eq(p->name, q->before->policy->name) || p->min > q->before->policy->min)
            continue;
        copy(c, q->before);
        c->server.policy = p;
        if (renamed)
            rename_all(c, q->host);
        snprintf(what, sizeof(what), "the TLS profile `%.*s`%s", STR_ARG(p->name),
                 renamed ? " and a certificate that names the host itself" : "");
        snprintf(costs, sizeof(costs), "%.*s", STR_ARG(p->cost));
        if (try_it(q, &c->server, what, costs))
            return true;
    }
    return false;
}

void trial_change_find(const struct trial_device *d, const struct trial_server *s, const char *host,
                       const struct trial_devices *all, const struct trial_choices *choices,
                       struct trial_outcome *o)
{
    struct search q = {d, s, host, all, o};
    struct changed *c = o->stop != STOP_NOWHERE ? malloc(sizeof(*c)) : NULL;

    if (c == NULL)
        return;
    if (!try_certificates(&q, c) && !try_policies(&q, choices, c, false) &&
        !try_policies(&q, choices, c, true))
        snprintf(o->change, TRIAL_TEXT,
                 "no profile of Postern lets it connect; it needs a gateway of its own, or leave");
    free(c);
}
