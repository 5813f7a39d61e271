/*
 * The kinds of directory, one row each, and the directories of one snapshot.
 */
#include <stdlib.h>

#include "auth_int.h"

struct user_directory {
    const struct conf_directory *conf;
    struct user_file *users;
};

static void user_file_close(void *state)
{
    struct user_directory *d = state;

    user_file_free(d->users);
    free(d);
}

static void *user_file_open(const struct conf_directory *conf, struct conf_findings *f)
{
    struct user_directory *d = calloc(1, sizeof(*d));
    struct conf_mark where = conf->mark;

    if (d == NULL)
        return NULL;
    where.file =
        conf->file.path.p != NULL ? conf->file.path.p : conf->mark.file; /* conf's strings end in NUL */
    d->conf = conf;
    d->users = user_file_parse(conf->file.bytes, where, f);
    if (d->users != NULL)
        return d;
    user_file_close(d);
    return NULL;
}

/* A chain asks about names of any domain; the file holds names alone. */
static bool user_file_has_domain(const struct conf_directory *d, const struct basic_credentials *c)
{
    struct str name = {c->user, c->user_n};
    char one[ACCOUNT_NORMAL_MAX + 1], user[ACCOUNT_NORMAL_MAX + 1];
    ptrdiff_t n = account_of(name, d, one, sizeof(one));

    return n > 0 && account_normal(name, user, sizeof(user)) == n && memcmp(one, user, (size_t)n) == 0;
}

static void user_file_ask(void *state, const struct basic_credentials *c, const char *client,
                          uint64_t timeout_ms, struct auth_result *ret)
{
    const struct user_directory *d = state;

    ret->detail = user_file_judge(d->users, c);
    if (!user_file_has_domain(d->conf, c))
        ret->detail = AUTH_DETAIL_UNKNOWN_USER;
    ret->verdict = ret->detail == AUTH_DETAIL_NONE ? VERDICT_OK : VERDICT_WRONG;
}

static const struct verifier_type verifier_user_file = {.type = CONF_DIRECTORY_USER_FILE,
                                                        .open = user_file_open,
                                                        .close = user_file_close,
                                                        .verify = user_file_ask};

static const struct verifier_type *const verifier_types[] = {&verifier_user_file, &verifier_ldap,
                                                             &verifier_radius, &verifier_chain};

const struct verifier_type *verifier_type_of(enum conf_directory_type t)
{
    for (size_t i = 0; i < sizeof(verifier_types) / sizeof(verifier_types[0]); i++) {
        if (verifier_types[i]->type == t)
            return verifier_types[i];
    }
    return NULL;
}

struct verifiers {
    size_t n;
    struct verifier v[];
};

static bool verifier_open(struct verifier *v, const struct conf_directory *d, struct conf_findings *f)
{
    v->type = verifier_type_of(d->type);
    v->directory = d;
    if (v->type != NULL)
        v->state = v->type->open(d, f);
    else
        conf_finding_add(f, CONF_ERROR, d->mark, "directories.%.*s: this build has no `type: %s`",
                         STR_ARG(d->name), conf_directory_type_name(d->type));
    return v->state != NULL;
}

struct verifiers *verifiers_new(const struct snapshot *s, struct conf_findings *f)
{
    struct verifiers *v = calloc(1, sizeof(*v) + s->directories_n * sizeof(v->v[0]));
    bool good = v != NULL;

    if (v == NULL)
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "out of memory");
    for (size_t i = 0; v != NULL && i < s->directories_n; i++) {
        v->n++;
        if (!verifier_open(&v->v[i], &s->directories[i], f))
            good = false;
    }
    if (!good) {
        verifiers_free(v);
        return NULL;
    }
    for (size_t i = 0; i < v->n; i++) {
        if (v->v[i].type->link != NULL)
            v->v[i].type->link(v->v[i].state, v);
    }
    return v;
}

void verifiers_free(void *object)
{
    struct verifiers *v = object;

    for (size_t i = 0; v != NULL && i < v->n; i++) {
        if (v->v[i].state != NULL)
            v->v[i].type->close(v->v[i].state);
    }
    free(v);
}

void verifier_ask(struct verifier *v, const struct basic_credentials *c, const char *client,
                  uint64_t timeout_ms, struct auth_result *ret)
{
    *ret = (struct auth_result){.verdict = VERDICT_OK};
    v->type->verify(v->state, c, client, timeout_ms, ret);
}

void verifiers_tidy(struct verifiers *v)
{
    for (size_t i = 0; v != NULL && i < v->n; i++) {
        if (v->v[i].type->tidy != NULL)
            v->v[i].type->tidy(v->v[i].state);
    }
}

void verifiers_servers(struct verifiers *v, void (*each)(void *ctx, const struct verifier_server *s),
                       void *ctx)
{
    for (size_t i = 0; v != NULL && i < v->n; i++) {
        if (v->v[i].type->servers != NULL)
            v->v[i].type->servers(v->v[i].state, each, ctx);
    }
}

static void server_metrics(void *ctx, const struct verifier_server *s)
{
    struct metrics *sum = ctx;

    metrics_add(sum, METRIC_DIRECTORY_SERVERS, 1);
    metrics_add(sum, METRIC_DIRECTORY_SERVERS_FAILED, s->failed);
    metrics_add(sum, METRIC_DIRECTORY_CONNECTIONS, s->open);
    metrics_add(sum, METRIC_DIRECTORY_CONNECTIONS_IDLE, s->idle);
}

void verifiers_metrics(struct verifiers *v, struct metrics *sum)
{
    verifiers_servers(v, server_metrics, sum);
}

struct verifier *verifiers_find(struct verifiers *v, const struct conf_directory *d)
{
    for (size_t i = 0; d != NULL && i < v->n; i++) {
        if (v->v[i].directory == d)
            return &v->v[i];
    }
    return NULL;
}
