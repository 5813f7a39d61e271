/*
 * What one device says of a certificate: refuses it, prompts, or needs something set.
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "trial_int.h"

void trial_warn(struct trial_outcome *o, const char *format, ...)
{
    va_list ap;

    if (o->warnings_n == TRIAL_WARNINGS_MAX)
        return;
    va_start(ap, format);
    vsnprintf(o->warnings[o->warnings_n++], TRIAL_TEXT, format, ap);
    va_end(ap);
}

void trial_stop(struct trial_outcome *o, enum trial_stop stop, const char *format, ...)
{
    va_list ap;

    if (o->stop != STOP_NOWHERE)
        return;
    o->stop = stop;
    va_start(ap, format);
    vsnprintf(o->reason, TRIAL_TEXT, format, ap);
    va_end(ap);
}

const char *trial_stop_name(enum trial_stop s)
{
    static const char *const names[] = {"connects", "network", "version",     "suite", "signature",
                                        "alpn",     "limit",   "certificate", "http"};

    return names[s];
}

#define LORE(d, fact) (trial_device_lore(d, fact) ? " (lore, not measured)" : "")

static void judge_names(const struct trial_device *d, const struct trial_certificate *c, const char *host,
                        bool no_sni, struct trial_outcome *o)
{
    enum trial_cover cover = trial_certificate_cover(c, host, d->certificate.names);

    if (cover == COVER_NONE && no_sni)
        trial_stop(
            o, STOP_CERTIFICATE,
            "it sends no server name, so it gets the listener's first certificate, which does not name %s",
            host);
    else if (cover == COVER_NONE && d->certificate.names != NAMES_SAN)
        trial_stop(o, STOP_CERTIFICATE, "it reads %s of the certificate, which is not %s%s",
                   d->certificate.names == NAMES_CN ? "only the common name"
                                                    : "only the common name and the first name",
                   host, LORE(d, "certificate.names"));
    else if (cover == COVER_NONE)
        trial_stop(o, STOP_CERTIFICATE, "the certificate does not name %s", host);
    else if (cover == COVER_WILDCARD && !d->certificate.wildcard)
        trial_stop(o, STOP_CERTIFICATE, "it does not accept wildcard certificates%s",
                   LORE(d, "certificate.wildcard"));
    else if (cover == COVER_CN)
        trial_warn(o, "the certificate names %s in its common name alone, which clients since 2017 ignore",
                   host);
}

static void judge_digests(const struct trial_device *d, const struct trial_certificate *c,
                          struct trial_outcome *o)
{
    if (c->sha512 && !d->certificate.sha512)
        trial_stop(o, STOP_CERTIFICATE,
                   "it cannot verify SHA-384 or SHA-512 signatures, which the chain has%s",
                   LORE(d, "certificate.sha512"));
    else if (c->sha256 && !d->certificate.sha256)
        trial_stop(o, STOP_CERTIFICATE, "it cannot verify SHA-256 signatures, which the chain has%s",
                   LORE(d, "certificate.sha256"));
    else if (c->sha1 && !d->certificate.sha1)
        trial_stop(o, STOP_CERTIFICATE, "it refuses SHA-1 signatures, which the chain has%s",
                   LORE(d, "certificate.sha1"));
}

static void judge_key(const struct trial_device *d, const struct trial_certificate *c,
                      struct trial_outcome *o)
{
    if (c->key != KEY_RSA)
        return;
    if (d->tls.rsa_bits_max != 0 && c->bits > d->tls.rsa_bits_max)
        trial_stop(o, STOP_LIMIT, "it takes RSA keys of at most %u bits, and the certificate has %u",
                   d->tls.rsa_bits_max, c->bits);
    if (c->bits < d->certificate.rsa_bits_min)
        trial_stop(o, STOP_LIMIT, "it asks for RSA keys of at least %u bits, and the certificate has %u",
                   d->certificate.rsa_bits_min, c->bits);
}

/* Outlook compares the name of its profile ("msstd:") with the certificate. */
static void judge_msstd(const struct trial_device *d, const struct trial_certificate *c, const char *host,
                        struct trial_outcome *o)
{
    if (d->certificate.msstd == MSSTD_NONE)
        return;
    if (trial_certificate_cover(c, host, NAMES_SAN) == COVER_WILDCARD)
        trial_warn(o,
                   "Outlook Anywhere asks for the password without end unless CertPrincipalName is msstd:*%s "
                   "(Set-OutlookProvider EXPR)",
                   strchr(host, '.') != NULL ? strchr(host, '.') : "");
    else if (d->certificate.msstd == MSSTD_CN && strcasecmp(c->cn, host) != 0)
        trial_warn(o,
                   "Windows XP compares msstd with the common name alone: set CertPrincipalName to msstd:%s",
                   c->cn);
}

static void judge_root(const struct trial_device *d, const struct trial_certificate *c,
                       struct trial_outcome *o)
{
    if (c->self_signed)
        trial_warn(o, "self-signed: each device must be given the certificate by hand, and some take none");
    else if (d->certificate.roots == ROOTS_EXPIRED)
        trial_warn(o,
                   "none of the roots that it came with issues today: install the root of the chain on it%s",
                   LORE(d, "certificate.roots"));
    else if (!c->public_root)
        trial_warn(o, "a private root: it must be installed on the device");
}

void trial_rules_apply(const struct trial_device *d, const struct trial_certificate *c, const char *host,
                       bool no_sni, struct trial_outcome *o)
{
    int64_t now = (int64_t)time(NULL);

    if (c->not_after < now)
        trial_stop(o, STOP_CERTIFICATE, "the certificate has expired");
    if (c->not_before > now)
        trial_stop(o, STOP_CERTIFICATE, "the certificate is not valid yet");
    judge_key(d, c, o);
    judge_names(d, c, host, no_sni, o);
    judge_digests(d, c, o);
    if (c->policies && !d->certificate.policies)
        trial_stop(o, STOP_CERTIFICATE,
                   "it refuses certificates with an authority's own certificate policies%s",
                   LORE(d, "certificate.policies"));
    judge_msstd(d, c, host, o);
    judge_root(d, c, o);
}
