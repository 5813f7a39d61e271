/* Rules of the guard, and of the forms in which names go to backends. */
#include "conf_int.h"

#define ERR(a, mark, ...) conf_finding_add((a)->findings, CONF_ERROR, mark, __VA_ARGS__)
#define WARN(a, mark, ...) conf_finding_add((a)->findings, CONF_WARNING, mark, __VA_ARGS__)

/* A UPN suffix is dotted, a NetBIOS name is not. Of a chain every member needs one. */
static bool has_domain(const struct conf_directory *d, bool dotted)
{
    bool all = d->members_n > 0;
    for (size_t i = 0; i < d->members_n; i++)
        all = all && has_domain(d->members[i], dotted);
    if (d->type == CONF_DIRECTORY_CHAIN)
        return all;
    for (size_t i = 0; i < d->domains.n; i++)
        if ((memchr(d->domains.v[i].p, '.', d->domains.v[i].n) != NULL) == dotted)
            return true;
    return false;
}

static void check_delegate(struct conf_apply *a, const struct conf_publish *p, const struct conf_node *map,
                           size_t i)
{
    bool upn = p->delegate == CONF_DELEGATE_UPN, backslash = p->delegate == CONF_DELEGATE_DOMAIN_BACKSLASH;
    if ((upn || backslash || p->delegate == CONF_DELEGATE_USER) && !conf_may_ask_passwords(p, map))
        ERR(a, p->mark,
            "publish[%zu]: `delegate` rewrites names, which needs `authenticate: {basic: DIRECTORY}`", i);
    else if ((upn || backslash) && p->basic && !has_domain(p->basic, upn))
        ERR(a, p->mark, "publish[%zu]: `delegate: %s` needs a %s among the `domains` of directory `%.*s`", i,
            upn ? "upn" : "domain_backslash",
            upn ? "UPN suffix such as corp.example.com" : "NetBIOS name such as CORP",
            STR_ARG(p->basic->name));
}

static void check_numbers(struct conf_apply *a, const struct conf_node *root)
{
    const struct conf_guard *g = &a->s->guard;
    const struct conf_node *n = conf_node_find(root, STR("guard"));
    struct conf_mark mark = n ? n->mark : root->mark;
    if (g->failure_time + g->failure_jitter > a->s->process.auth_timeout)
        ERR(a, mark, "`failure_time` and `failure_jitter` in guard are longer than `auth_timeout` together");
    if (g->known_wrong_longest < g->known_wrong_time)
        ERR(a, mark, "`known_wrong_longest` in guard is shorter than `known_wrong_time`");
    if (g->account_failures > 0 && g->account_lock_time < g->account_window)
        WARN(a, mark,
             "`account_lock_time` in guard is shorter than `account_window`: the directory may still add up "
             "failures from before the lock");
}

static bool is_off(const struct conf_node *n)
{
    return !n || (n->kind == CONF_SCALAR && str_eq(n->text, STR("off")));
}

/* Looks at what is written, not at what was read: what was refused has been told of. */
static void check_client_certificate(struct conf_apply *a, const struct conf_publish *p,
                                     const struct conf_node *map, size_t i)
{
    bool authorities = conf_node_find(map, STR("client_authorities"));
    bool revocations = conf_node_find(map, STR("client_revocations"));
    bool asked = p->client_certificate != CONF_CLIENT_OFF;
    if (asked && !authorities)
        ERR(a, p->mark, "publish[%zu]: `client_certificate` needs `client_authorities`", i);
    if (is_off(conf_node_find(map, STR("client_certificate"))) && (authorities || revocations))
        ERR(a, p->mark,
            "publish[%zu]: `client_authorities` and `client_revocations` need `client_certificate: required`, or optional",
            i);
    if (p->client_certificate == CONF_CLIENT_OPTIONAL && !conf_may_ask_passwords(p, map))
        ERR(a, p->mark,
            "publish[%zu]: `client_certificate: optional` proves nothing without `authenticate: {basic: DIRECTORY}`",
            i);
}

/* Every listener serves every publication. */
static void set_publications(struct snapshot *s)
{
    for (size_t i = 0; i < s->listeners_n; i++) {
        s->listeners[i].publish = s->publish;
        s->listeners[i].publish_n = s->publish_n;
    }
}

void conf_check_guard(struct conf_apply *a, const struct conf_node *root)
{
    check_numbers(a, root);
    set_publications(a->s);
    for (size_t i = 0; i < a->s->publish_n; i++) {
        const struct conf_node *map = conf_node_item(root, STR("publish"), i);
        check_client_certificate(a, &a->s->publish[i], map, i);
        check_delegate(a, &a->s->publish[i], map, i);
    }
}
