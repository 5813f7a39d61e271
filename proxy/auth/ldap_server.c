/*
 * Kept connections, per server.
 */
#include <pthread.h>
#include <stdlib.h>

#include "ldap_server.h"

#define KEPT_MAX 64

struct kept {
    struct ldap_conn *conn[KEPT_MAX]; /* the one used last stands last */
    uint64_t since_ns[KEPT_MAX];
    unsigned n;
};

struct ldap_server {
    struct ldap_peer peer;
    const struct conf_directory *directory;
    struct standing standing;
    unsigned open;        /* atomic: connections, in use and kept */
    pthread_mutex_t lock; /* of kept */
    struct kept kept[LDAP_PURPOSES];
};

void ldap_server_drop(struct ldap_server *s, struct ldap_conn *c)
{
    ldap_conn_close(c);
    __atomic_sub_fetch(&s->open, 1, __ATOMIC_RELAXED);
}

/* ---- kept connections ---- */

static struct ldap_conn *kept_pop(struct ldap_server *s, enum ldap_purpose p)
{
    struct kept *k = &s->kept[p];
    struct ldap_conn *c = NULL;

    pthread_mutex_lock(&s->lock);
    if (k->n > 0)
        c = k->conn[--k->n];
    pthread_mutex_unlock(&s->lock);
    return c;
}

static bool kept_push(struct ldap_server *s, enum ldap_purpose p, struct ldap_conn *c)
{
    struct kept *k = &s->kept[p];
    bool room;

    pthread_mutex_lock(&s->lock);
    room = k->n < s->directory->idle_connections && k->n < KEPT_MAX;
    if (room) {
        k->since_ns[k->n] = uv_hrtime();
        k->conn[k->n++] = c;
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

/* The oldest one, if it is too old. */
static struct ldap_conn *kept_old(struct ldap_server *s, enum ldap_purpose p)
{
    struct kept *k = &s->kept[p];
    struct ldap_conn *c = NULL;

    pthread_mutex_lock(&s->lock);
    if (k->n > 0 && uv_hrtime() - k->since_ns[0] >= s->directory->idle_timeout * 1000000) {
        c = k->conn[0];
        k->n--;
        memmove(&k->conn[0], &k->conn[1], k->n * sizeof(k->conn[0]));
        memmove(&k->since_ns[0], &k->since_ns[1], k->n * sizeof(k->since_ns[0]));
    }
    pthread_mutex_unlock(&s->lock);
    return c;
}

void ldap_server_tidy(struct ldap_server *s)
{
    struct ldap_conn *c;

    for (int p = 0; p < LDAP_PURPOSES; p++) {
        while ((c = kept_old(s, (enum ldap_purpose)p)) != NULL)
            ldap_server_drop(s, c);
    }
}

static void kept_drop(struct ldap_server *s)
{
    struct ldap_conn *c;

    for (int p = 0; p < LDAP_PURPOSES; p++) {
        while ((c = kept_pop(s, (enum ldap_purpose)p)) != NULL)
            ldap_server_drop(s, c);
    }
}

struct ldap_conn *ldap_server_take(struct ldap_server *s, enum ldap_purpose p, uint64_t due_ns,
                                   bool *ret_kept, enum auth_detail *ret_fault)
{
    struct ldap_conn *c;
    char why[200] = "";

    ldap_server_tidy(s);
    *ret_kept = true;
    while ((c = kept_pop(s, p)) != NULL) {
        if (ldap_conn_is_quiet(c))
            return c;
        ldap_server_drop(s, c);
    }
    *ret_kept = false;
    c = ldap_conn_open(&s->peer, due_ns, ret_fault, why, sizeof(why));
    if (c == NULL)
        ldap_server_failed(s, *ret_fault, why);
    else
        __atomic_add_fetch(&s->open, 1, __ATOMIC_RELAXED);
    return c;
}

void ldap_server_give(struct ldap_server *s, enum ldap_purpose p, struct ldap_conn *c)
{
    if (!kept_push(s, p, c))
        ldap_server_drop(s, c);
}

/* ---- failures ---- */

void ldap_server_failed(struct ldap_server *s, enum auth_detail fault, const char *why)
{
    if (standing_failed(&s->standing, fault, why))
        kept_drop(s);
}

struct standing *ldap_server_standing(struct ldap_server *s)
{
    return &s->standing;
}

struct verifier_server ldap_server_status(struct ldap_server *s)
{
    struct verifier_server r = standing_status(&s->standing);

    r.open = __atomic_load_n(&s->open, __ATOMIC_RELAXED);
    pthread_mutex_lock(&s->lock);
    for (int p = 0; p < LDAP_PURPOSES; p++)
        r.idle += s->kept[p].n;
    pthread_mutex_unlock(&s->lock);
    return r;
}

/* ---- begin and end ---- */

struct ldap_server *ldap_server_new(const struct conf_directory *d, const struct conf_directory_server *conf,
                                    struct tls_trust *trust)
{
    struct ldap_server *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->directory = d;
    standing_init(&s->standing, d, conf);
    s->peer = (struct ldap_peer){.lookup = lookup_new(conf->host, conf->port, d->resolve_interval),
                                 .trust = trust,
                                 .name = str_dup(d->expected_name.p != NULL ? d->expected_name : conf->host),
                                 .start_tls = conf->scheme == CONF_SCHEME_LDAP,
                                 .connect_ms = d->connect_timeout};
    pthread_mutex_init(&s->lock, NULL);
    if (s->peer.lookup != NULL && s->peer.name != NULL)
        return s;
    ldap_server_free(s);
    return NULL;
}

void ldap_server_free(struct ldap_server *s)
{
    if (s == NULL)
        return;
    kept_drop(s);
    lookup_free(s->peer.lookup);
    free((char *)(uintptr_t)s->peer.name);
    pthread_mutex_destroy(&s->lock);
    standing_fini(&s->standing);
    free(s);
}
