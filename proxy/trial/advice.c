/*
 * Before a certificate is bought: what each choice wins and loses among the known devices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "advice_int.h"

enum choice { AS_IS, NAMED, WILDCARD, RSA_ALONE, ECDSA_ALONE, BOTH, CHOICES };

static const char *const words[CHOICES] = {
    [AS_IS] = "as it is",
    [NAMED] = "one certificate that names each host",
    [WILDCARD] = "one wildcard certificate",
    [RSA_ALONE] = "an RSA certificate alone",
    [ECDSA_ALONE] = "an ECDSA certificate alone",
    [BOTH] = "an RSA and an ECDSA certificate",
};

struct thought {
    struct trial_server server;
    struct trial_certificate certificates[2];
    char (*names)[TRIAL_NAME_MAX];
};

/* "*.example.com" for "mail.example.com"; the host itself where nothing stands before the dot. */
static void wildcard_of(const char *host, char ret[TRIAL_NAME_MAX])
{
    const char *dot = strchr(host, '.');

    if (dot != NULL && strchr(dot + 1, '.') != NULL)
        snprintf(ret, TRIAL_NAME_MAX, "*%s", dot);
    else
        snprintf(ret, TRIAL_NAME_MAX, "%s", host);
}

static void name_them(struct thought *t, const struct trial_advice *a, bool wild)
{
    for (unsigned i = 0; i < a->hosts_n; i++) {
        if (wild)
            wildcard_of(a->hosts[i], t->names[i]);
        else
            snprintf(t->names[i], TRIAL_NAME_MAX, "%s", a->hosts[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        t->certificates[i].names = t->names;
        t->certificates[i].names_n = a->hosts_n;
        snprintf(t->certificates[i].cn, TRIAL_NAME_MAX, "%s", t->names[0]);
    }
}

static void set_key(struct trial_certificate *c, enum trial_key key)
{
    c->key = key;
    c->bits = key == KEY_RSA ? 2048 : 256;
    c->curve = 23;
}

/* The first certificate with other names or keys; what else it is stays. */
static bool think(struct thought *t, const struct trial_advice *a, enum choice choice)
{
    *t = (struct thought){.server = *a->server, .names = calloc(a->hosts_n + 1, sizeof(*t->names))};
    if (t->names == NULL || choice == AS_IS)
        return t->names != NULL;
    t->certificates[0] = t->certificates[1] = *a->server->certificates[0];
    t->server.certificates_n = choice == BOTH ? 2 : 1;
    t->server.certificates[0] = &t->certificates[0];
    t->server.certificates[1] = &t->certificates[1];
    name_them(t, a, choice == WILDCARD);
    if (choice == RSA_ALONE || choice == BOTH)
        set_key(&t->certificates[0], KEY_RSA);
    if (choice == ECDSA_ALONE)
        set_key(&t->certificates[0], KEY_EC);
    set_key(&t->certificates[1], KEY_EC);
    return true;
}

static bool connects(const struct trial_device *d, const struct trial_advice *a, const struct trial_server *s)
{
    struct trial_outcome o;

    for (unsigned i = 0; i < a->hosts_n; i++) {
        trial_predict(d, s, a->hosts[i], &o);
        if (o.stop != STOP_NOWHERE)
            return false;
    }
    return true;
}

#define SHOWN_MAX 8

static void list_changed(const struct trial_advice *a, const bool *before, const bool *after, bool won,
                         FILE *to)
{
    unsigned n = 0;

    for (unsigned i = 0; i < a->devices->n; i++) {
        if (before[i] == after[i] || after[i] != won)
            continue;
        if (n < SHOWN_MAX)
            fprintf(to, "%s%.*s",
                    n > 0 ? ", "
                    : won ? "      wins "
                          : "      loses ",
                    STR_ARG(a->devices->v[i]->name));
        n++;
    }
    if (n > SHOWN_MAX)
        fprintf(to, " and %u more", n - SHOWN_MAX);
    if (n > 0)
        fputc('\n', to);
}

static void say_choice(const struct trial_advice *a, enum choice choice, const bool *now, bool *then,
                       FILE *to)
{
    struct thought t;
    unsigned n = 0;

    if (think(&t, a, choice)) {
        for (unsigned i = 0; i < a->devices->n; i++) {
            then[i] = connects(a->devices->v[i], a, &t.server);
            n += then[i];
        }
        fprintf(to, "  %-40s %3u of %u devices connect to every host\n", words[choice], n, a->devices->n);
        if (choice != AS_IS) {
            list_changed(a, now, then, true, to);
            list_changed(a, now, then, false, to);
        }
    }
    free(t.names);
}

static void say_certificate(const struct trial_certificate *c, FILE *to)
{
    int64_t days = (c->not_after - (int64_t)time(NULL)) / 86400;

    fprintf(to, "  %s: %s %u, %s, %s", c->label,
            c->key == KEY_RSA  ? "RSA"
            : c->key == KEY_EC ? "ECDSA"
                               : "another key",
            c->bits,
            trial_certificate_wild(c) ? "wildcard"
            : c->names_n > 0          ? "SAN"
                                      : "common name alone",
            c->self_signed   ? "self-signed"
            : c->public_root ? "a root that this system trusts"
                             : "a private root, which each device must be given");
    if (days < 0)
        fputs(", expired\n", to);
    else
        fprintf(to, ", %lld days left\n", (long long)days);
}

static void say_names(const struct trial_advice *a, FILE *to)
{
    fputs("  names needed: ", to);
    for (unsigned i = 0; i < a->hosts_n; i++)
        fprintf(to, "%s%s", i > 0 ? ", " : "", a->hosts[i]);
    fputc('\n', to);
    for (unsigned i = 0; i < a->hosts_n; i++) {
        if (trial_certificate_cover(a->server->certificates[0], a->hosts[i], NAMES_SAN) == COVER_NONE)
            fprintf(to,
                    "  the first certificate, which clients without a server name get, does not name %s\n",
                    a->hosts[i]);
    }
}

void trial_advice_write(const struct trial_advice *a, FILE *to)
{
    bool *now = calloc(2 * (size_t)a->devices->n + 1, sizeof(*now));

    if (now == NULL || a->hosts_n == 0 || a->server->certificates_n == 0) {
        free(now);
        return;
    }
    fprintf(to, "%s, TLS profile %.*s\n", a->title, STR_ARG(a->server->policy->name));
    for (unsigned i = 0; i < a->server->certificates_n; i++)
        say_certificate(a->server->certificates[i], to);
    say_names(a, to);
    say_choice(a, AS_IS, now, now, to);
    for (int choice = NAMED; choice < CHOICES; choice++)
        say_choice(a, (enum choice)choice, now, now + a->devices->n, to);
    free(now);
}
