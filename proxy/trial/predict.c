/*
 * The handshake, computed: which version, suite and certificate a server of this policy would choose for this device (RFC
 * 5246 7.4, RFC 8446 4.1; where they leave it open, as OpenSSL 3 does it), and what the device makes of the certificate.
 */
#include <stdio.h>
#include "trial_int.h"

/* The certificates that one name selects, the first of each kind of key. */
struct choice {
    const struct trial_certificate *of[KEY_OTHER + 1];
    int at[KEY_OTHER + 1];
};

struct game {
    const struct trial_device *d;
    const struct trial_server *s;
    const struct trial_policy *p;
    struct choice certificates;
    bool ecdsa_signs, rsa_signs; /* a shared signature algorithm exists */
    struct trial_outcome *o;
};

static void choose_for(const struct trial_server *s, const char *host, struct choice *ret)
{
    for (unsigned i = 0; i < s->certificates_n; i++) {
        const struct trial_certificate *c = s->certificates[i];

        if (ret->of[c->key] != NULL || trial_certificate_cover(c, host, NAMES_SAN) == COVER_NONE)
            continue;
        ret->of[c->key] = c;
        ret->at[c->key] = (int)i;
    }
}

/* A name that nobody has, or none: the first certificate, and those of other kinds for one of its names. */
static struct choice choose(const struct trial_server *s, const char *host_or_null)
{
    struct choice ret = {{NULL, NULL, NULL}, {-1, -1, -1}};
    const struct trial_certificate *first = s->certificates[0];

    if (host_or_null != NULL)
        choose_for(s, host_or_null, &ret);
    if (ret.of[KEY_RSA] != NULL || ret.of[KEY_EC] != NULL || ret.of[KEY_OTHER] != NULL ||
        s->certificates_n == 0)
        return ret;
    for (unsigned i = 0; i < first->names_n && ret.of[first->key] == NULL; i++)
        choose_for(s, first->names[i], &ret);
    ret.of[first->key] = first;
    ret.at[first->key] = 0;
    return ret;
}

static bool lists_ecdsa(const struct trial_device *d)
{
    bool suite = false, signature = false;

    for (unsigned i = 0; i < d->tls.suites.n; i++)
        suite = suite || trial_suite_of(d->tls.suites.v[i]).auth == AUTH_ECDSA;
    for (unsigned i = 0; i < d->tls.signatures.n; i++)
        signature = signature || (d->tls.signatures.v[i] & 0xff) == 3;
    return suite && signature;
}

/* By the hello, or without a server name the first of the listener. */
static void choose_one(const struct trial_device *d, const struct trial_server *s, struct choice *c)
{
    if (!d->tls.sni && s->certificates_n > 0)
        c->of[s->certificates[0]->key == KEY_EC ? KEY_RSA : KEY_EC] = NULL;
    if (c->of[KEY_RSA] != NULL && c->of[KEY_EC] != NULL)
        c->of[lists_ecdsa(d) ? KEY_RSA : KEY_EC] = NULL;
}

static unsigned version_shared(const struct trial_device *d, const struct trial_policy *p)
{
    unsigned best = 0, max = d->tls.max < p->max ? d->tls.max : p->max;

    if (d->tls.versions.n == 0)
        return max >= p->min && max >= d->tls.min ? max : 0;
    for (unsigned i = 0; i < d->tls.versions.n; i++) {
        unsigned v = d->tls.versions.v[i];

        if (!trial_is_grease(v) && v <= p->max && v >= p->min && v > best)
            best = v;
    }
    return best;
}

static bool signature_is(uint32_t s, enum trial_key key)
{
    if (key == KEY_EC)
        return (s & 0xff) == 3 && s >> 8 <= 6;
    return ((s & 0xff) == 1 && s >> 8 <= 6) || (s >= 0x0804 && s <= 0x0806);
}

static bool signature_shared(const struct game *g, enum trial_key key)
{
    for (unsigned i = 0; i < g->p->signatures.n; i++) {
        uint32_t s = g->p->signatures.v[i];

        if (signature_is(s, key) && trial_codes_has(&g->d->tls.signatures, s))
            return true;
    }
    return false;
}

/* What a client that lists no algorithms takes: SHA-1 (RFC 5246 7.4.1.4.1). */
static void signatures_find(struct game *g, unsigned version)
{
    bool listed = g->d->tls.signatures.n > 0;

    g->ecdsa_signs = listed ? signature_shared(g, KEY_EC) : trial_codes_has(&g->p->signatures, 0x0203);
    g->rsa_signs = version < TRIAL_TLS12 ||
                   (listed ? signature_shared(g, KEY_RSA) : trial_codes_has(&g->p->signatures, 0x0201));
}

static uint32_t group_shared(const struct game *g)
{
    const struct trial_codes *prefer = g->p->server_order ? &g->p->groups : &g->d->tls.groups;
    const struct trial_codes *other = g->p->server_order ? &g->d->tls.groups : &g->p->groups;

    for (unsigned i = 0; i < prefer->n; i++) {
        if (!trial_is_grease(prefer->v[i]) && prefer->v[i] < 256 && trial_codes_has(other, prefer->v[i]))
            return prefer->v[i];
    }
    return 0;
}

static bool ec_usable(const struct game *g)
{
    const struct trial_certificate *c = g->certificates.of[KEY_EC];

    return c != NULL && g->ecdsa_signs &&
           (g->d->tls.groups.n == 0 || trial_codes_has(&g->d->tls.groups, c->curve));
}

static bool suite_usable(const struct game *g, uint32_t suite, unsigned version)
{
    struct trial_suite s = trial_suite_of(suite);

    if (s.tls13 != (version == TRIAL_TLS13))
        return false;
    if (s.tls13)
        return true;
    if (s.kx == KX_NONE || (s.needs_tls12 && version < TRIAL_TLS12))
        return false;
    if (s.auth == AUTH_RSA && g->certificates.of[KEY_RSA] == NULL)
        return false;
    if (s.auth == AUTH_ECDSA && !ec_usable(g))
        return false;
    if (s.kx == KX_ECDHE && group_shared(g) == 0)
        return false;
    return s.kx != KX_DHE || !g->p->no_dh;
}

static bool client_leads_with_chacha(const struct trial_device *d)
{
    for (unsigned i = 0; i < d->tls.suites.n; i++) {
        struct trial_suite s = trial_suite_of(d->tls.suites.v[i]);

        if (!s.old && s.kx != KX_NONE)
            return s.chacha;
    }
    return false;
}

/* `chacha`: 1 only those, 0 only the others, -1 any. */
static uint32_t suite_pick(const struct game *g, unsigned version, int chacha)
{
    const struct trial_codes *prefer = g->p->server_order ? &g->p->suites : &g->d->tls.suites;
    const struct trial_codes *other = g->p->server_order ? &g->d->tls.suites : &g->p->suites;

    for (unsigned i = 0; i < prefer->n; i++) {
        if (chacha >= 0 && trial_suite_of(prefer->v[i]).chacha != (chacha == 1))
            continue;
        if (trial_codes_has(other, prefer->v[i]) && suite_usable(g, prefer->v[i], version))
            return prefer->v[i];
    }
    return 0;
}

static uint32_t suite_choose(const struct game *g, unsigned version)
{
    uint32_t suite = 0;

    if (g->p->server_order && g->p->prioritize_chacha && client_leads_with_chacha(g->d))
        suite = suite_pick(g, version, 1);
    return suite != 0 ? suite : suite_pick(g, version, -1);
}

/* TLS 1.3: the first shared algorithm that a certificate can make chooses the certificate (RFC 8446 4.4.2.2). */
static enum trial_key key_of_tls13(const struct game *g)
{
    const struct trial_codes *prefer = g->p->server_order ? &g->p->signatures : &g->d->tls.signatures;
    const struct trial_codes *other = g->p->server_order ? &g->d->tls.signatures : &g->p->signatures;
    const struct trial_certificate *ec = g->certificates.of[KEY_EC];

    for (unsigned i = 0; i < prefer->n; i++) {
        uint32_t s = prefer->v[i];

        if (!trial_codes_has(other, s))
            continue;
        if (s >= 0x0804 && s <= 0x0806 && g->certificates.of[KEY_RSA] != NULL)
            return KEY_RSA;
        if (ec != NULL && ((s == 0x0403 && ec->curve == 23) || (s == 0x0503 && ec->curve == 24) ||
                           (s == 0x0603 && ec->curve == 25)))
            return KEY_EC;
    }
    return KEY_OTHER;
}

static bool alpn_shared(const struct game *g)
{
    if (g->d->tls.alpn.n == 0 || g->p->alpn.n == 0)
        return true;
    for (size_t i = 0; i < g->d->tls.alpn.n; i++) {
        for (size_t k = 0; k < g->p->alpn.n; k++) {
            if (str_eq(g->d->tls.alpn.v[i], g->p->alpn.v[k]))
                return true;
        }
    }
    return false;
}

static const char *keys_word(const struct choice *c)
{
    if (c->of[KEY_RSA] != NULL && c->of[KEY_EC] != NULL)
        return "RSA and ECDSA certificates";
    return c->of[KEY_EC] != NULL ? "an ECDSA certificate" : "an RSA certificate";
}

static bool offers(const struct trial_device *d, const char *what)
{
    char name[64];

    for (unsigned i = 0; i < d->tls.suites.n; i++) {
        if (strstr(trial_code_name(TRIAL_SUITES, d->tls.suites.v[i], name), what) != NULL)
            return true;
    }
    return false;
}

static void stop_suite(struct game *g, unsigned version)
{
    trial_stop(g->o, STOP_SUITE, "it shares no cipher suite of %s with `%.*s` and %s: it offers %s%s%s%s",
               trial_version_name(version), STR_ARG(g->p->name), keys_word(&g->certificates),
               offers(g->d, "_GCM_")   ? "GCM "
               : offers(g->d, "_AES_") ? "AES in CBC alone "
                                       : "no AES ",
               offers(g->d, "3DES") ? "3DES " : "", offers(g->d, "RC4") ? "RC4 " : "",
               offers(g->d, "ECDHE") ? "with ECDHE" : "without ECDHE");
}

static void stop_version(struct game *g)
{
    if (g->d->tls.max < g->p->min)
        trial_stop(g->o, STOP_VERSION, "it speaks %s at most, and `%.*s` begins at %s",
                   trial_version_name(g->d->tls.max), STR_ARG(g->p->name), trial_version_name(g->p->min));
    else
        trial_stop(g->o, STOP_VERSION, "it begins at %s, and `%.*s` ends at %s",
                   trial_version_name(g->d->tls.min), STR_ARG(g->p->name), trial_version_name(g->p->max));
}

static unsigned dh_bits(const struct trial_policy *p, const struct trial_certificate *c)
{
    if (p->dh_bits != 0)
        return p->dh_bits;
    /* As strong as the key (NIST SP 800-57, table 2). */
    if (c == NULL || c->bits < 2048)
        return 1024;
    return c->bits < 3072 ? 2048 : c->bits < 4096 ? 3072 : 4096;
}

static void check_dh(struct game *g, const struct trial_certificate *c)
{
    unsigned bits = dh_bits(g->p, c);

    if (trial_suite_of(g->o->suite).kx != KX_DHE)
        return;
    if (g->d->tls.dh_bits_max != 0 && bits > g->d->tls.dh_bits_max)
        trial_stop(g->o, STOP_LIMIT,
                   "it takes Diffie-Hellman groups of at most %u bits, and the server's has %u",
                   g->d->tls.dh_bits_max, bits);
    if (bits < g->d->tls.dh_bits_min)
        trial_stop(g->o, STOP_LIMIT,
                   "it asks for Diffie-Hellman groups of at least %u bits, and the server's has %u",
                   g->d->tls.dh_bits_min, bits);
}

static enum trial_key key_served(const struct game *g, unsigned version)
{
    if (version == TRIAL_TLS13)
        return key_of_tls13(g);
    return trial_suite_of(g->o->suite).auth == AUTH_ECDSA ? KEY_EC : KEY_RSA;
}

static void serve(struct game *g, const char *host, unsigned version)
{
    enum trial_key key = key_served(g, version);
    const struct trial_certificate *c = g->certificates.of[key];
    bool signs =
        key == KEY_EC || version == TRIAL_TLS13 || trial_suite_of(g->o->suite).kx == KX_RSA || g->rsa_signs;

    if (c == NULL || !signs) {
        trial_stop(g->o, STOP_SIGNATURE, "it takes no signature that `%.*s` makes with %s",
                   STR_ARG(g->p->name), keys_word(&g->certificates));
        return;
    }
    g->o->key = key;
    g->o->certificate = g->certificates.at[key];
    memcpy(g->o->fingerprint, c->fingerprint, sizeof(c->fingerprint));
    if (trial_suite_of(g->o->suite).kx != KX_RSA && trial_suite_of(g->o->suite).kx != KX_DHE)
        g->o->group = group_shared(g);
    check_dh(g, c);
    trial_rules_apply(g->d, c, host, g->o->no_sni, g->o);
}

static bool no_signatures_shared(const struct game *g, unsigned version)
{
    if (version < TRIAL_TLS12 || g->d->tls.signatures.n == 0)
        return false;
    for (unsigned i = 0; i < g->p->signatures.n; i++) {
        if (trial_codes_has(&g->d->tls.signatures, g->p->signatures.v[i]))
            return false;
    }
    return true;
}

void trial_predict(const struct trial_device *d, const struct trial_server *s, const char *host,
                   struct trial_outcome *ret)
{
    struct game g = {.d = d, .s = s, .p = s->policy, .o = ret};
    unsigned version = version_shared(d, s->policy);

    *ret = (struct trial_outcome){.certificate = -1, .no_sni = !d->tls.sni};
    g.certificates = choose(s, d->tls.sni ? host : NULL);
    if (s->policy->one_certificate)
        choose_one(d, s, &g.certificates);
    if (version == 0) {
        stop_version(&g);
        return;
    }
    signatures_find(&g, version);
    if (!alpn_shared(&g)) {
        trial_stop(ret, STOP_ALPN, "it asks for an application protocol that the server does not have");
        return;
    }
    if (no_signatures_shared(&g, version)) {
        trial_stop(ret, STOP_SIGNATURE, "it shares no signature algorithm with `%.*s`",
                   STR_ARG(s->policy->name));
        return;
    }
    ret->suite = suite_choose(&g, version);
    if (ret->suite == 0 || (version == TRIAL_TLS13 && group_shared(&g) == 0)) {
        stop_suite(&g, version);
        return;
    }
    ret->version = version;
    serve(&g, host, version);
}
