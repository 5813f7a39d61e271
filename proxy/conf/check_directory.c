/* Rules of directories: which options a type has, what belongs together, who is asked for which groups. */
#include "conf_int.h"

#define ERR(a, mark, ...) conf_finding_add((a)->findings, CONF_ERROR, mark, __VA_ARGS__)
#define WARN(a, mark, ...) conf_finding_add((a)->findings, CONF_WARNING, mark, __VA_ARGS__)

enum {
    FILE_ = 1 << CONF_DIRECTORY_USER_FILE,
    LDAP_ = 1 << CONF_DIRECTORY_LDAP,
    RADIUS_ = 1 << CONF_DIRECTORY_RADIUS,
    CHAIN_ = 1 << CONF_DIRECTORY_CHAIN
};

/* Options that not every type has. */
static const struct {
    const char *option;
    unsigned types, required;
} of_types[] = {
    {"path", FILE_, FILE_},
    {"servers", LDAP_ | RADIUS_, LDAP_ | RADIUS_},
    {"connect_timeout", LDAP_, 0},
    {"answer_timeout", LDAP_ | RADIUS_, 0},
    {"retry_after", LDAP_ | RADIUS_, 0},
    {"resolve_interval", LDAP_ | RADIUS_, 0},
    {"domains", FILE_ | LDAP_ | RADIUS_, 0},
    {"other_domains", FILE_ | LDAP_ | RADIUS_, 0},
    {"accounts", FILE_ | LDAP_ | RADIUS_, 0},
    {"default_domain", LDAP_ | RADIUS_, 0},
    {"trust", LDAP_, LDAP_},
    {"expected_name", LDAP_, 0},
    {"bind_as", LDAP_ | RADIUS_, 0},
    {"search_base", LDAP_, 0},
    {"search_filter", LDAP_, 0},
    {"bind_dn", LDAP_, 0},
    {"bind_password_file", LDAP_, 0},
    {"membership", LDAP_, 0},
    {"idle_timeout", LDAP_, 0},
    {"idle_connections", LDAP_, 0},
    {"secret_file", RADIUS_, RADIUS_},
    {"attempts", RADIUS_, 0},
    {"nas_identifier", RADIUS_, 0},
    {"directories", CHAIN_, CHAIN_},
    {"next_when", CHAIN_, 0},
};

static void check_options(struct conf_apply *a, const struct conf_directory *d, const struct conf_node *map)
{
    const char *type = conf_directory_type_name(d->type);
    unsigned bit = 1u << d->type;
    for (size_t i = 0; i < sizeof of_types / sizeof *of_types; i++) {
        const struct conf_node *n = conf_node_find(map, str_of(of_types[i].option));
        if (n && !(of_types[i].types & bit))
            ERR(a, n->key_mark, "`%s` in directories.%.*s: `type: %s` has no such option", of_types[i].option,
                STR_ARG(d->name), type);
        if (!n && (of_types[i].required & bit))
            ERR(a, d->mark, "`%s` is missing in directories.%.*s (`type: %s`)", of_types[i].option,
                STR_ARG(d->name), type);
    }
}

/* --- ldap, radius --- */
static void check_servers(struct conf_apply *a, const struct conf_directory *d)
{
    bool radius = d->type == CONF_DIRECTORY_RADIUS;
    if (d->servers_n > CONF_DIRECTORY_SERVERS_MAX)
        ERR(a, d->mark, "directories.%.*s has more than %d servers", STR_ARG(d->name),
            CONF_DIRECTORY_SERVERS_MAX);
    for (size_t i = 0; i < d->servers_n; i++)
        if ((d->servers[i].scheme == CONF_SCHEME_RADIUS) != radius)
            ERR(a, d->servers[i].mark, "`%.*s` is not a server of `type: %s`", STR_ARG(d->servers[i].url),
                conf_directory_type_name(d->type));
}

static void check_ldap(struct conf_apply *a, const struct conf_directory *d, const struct conf_node *map)
{
    bool password = conf_node_find(map, STR("bind_password_file")); /* told of where it cannot be read */
    bool searches = d->search_base.p && d->search_filter.p;
    if (!d->search_base.p != !d->search_filter.p)
        ERR(a, d->mark, "directories.%.*s: `search_base` and `search_filter` belong together",
            STR_ARG(d->name));
    if (!d->bind_dn.p != !password)
        ERR(a, d->mark, "directories.%.*s: `bind_dn` and `bind_password_file` belong together",
            STR_ARG(d->name));
    if (!d->bind_as.p && !(searches && d->bind_dn.p))
        ERR(a, d->mark,
            "directories.%.*s: write `bind_as`, or `search_base`, `search_filter`, `bind_dn` and "
            "`bind_password_file` to search accounts first",
            STR_ARG(d->name));
    if (d->bind_dn.p && !searches)
        ERR(a, d->mark, "directories.%.*s: `bind_dn` searches nothing without `search_base`",
            STR_ARG(d->name));
}

bool conf_template_has_domain(struct str t)
{
    return t.p && (memmem(t.p, t.n, "{domain}", 8) || memmem(t.p, t.n, "{account}", 9));
}

/* Else alice@a, alice@b and so on would be one account there, and as many here: each with guesses of its own. */
static void check_apart(struct conf_apply *a, const struct conf_directory *d)
{
    bool radius = d->type == CONF_DIRECTORY_RADIUS;
    struct str asked = d->bind_as.p ? d->bind_as : radius ? STR("{account}") : d->search_filter;
    if (d->other_domains == CONF_DOMAINS_APART && asked.p && !conf_template_has_domain(asked))
        ERR(a, d->mark,
            "directories.%.*s: `other_domains: apart` needs {domain} or {account} in `%s`: else made-up domains would be "
            "accounts of their own, each with guesses of its own",
            STR_ARG(d->name), d->bind_as.p ? "bind_as" : "search_filter");
}

/* --- chain --- */
static const struct conf_directory *directory_named(const struct snapshot *s, struct str name)
{
    for (size_t i = 0; i < s->directories_n; i++)
        if (str_eq(s->directories[i].name, name))
            return &s->directories[i];
    return NULL;
}

static struct str name_at(const void *ctx, size_t i)
{
    return ((const struct snapshot *)ctx)->directories[i].name;
}

static void check_member(struct conf_apply *a, struct conf_directory *d, struct str name,
                         const struct conf_node *n)
{
    const struct conf_directory *m = directory_named(a->s, name);
    struct conf_mark mark = n ? n->mark : d->mark;
    if (m && m->type != CONF_DIRECTORY_CHAIN) {
        d->members[d->members_n++] = m;
        return;
    }
    struct str near = m ? STR_NULL : conf_nearest(name, a->s->directories_n, name_at, a->s);
    if (m)
        ERR(a, mark, "`%.*s` is a chain itself: a chain holds directories alone", STR_ARG(name));
    else
        ERR(a, mark, "unknown directory `%.*s`%s%.*s%s", STR_ARG(name), near.p ? "; did you mean `" : "",
            (int)near.n, near.p ? near.p : "", near.p ? "`?" : "");
}

static void check_chain(struct conf_apply *a, struct conf_directory *d, const struct conf_node *map)
{
    const struct conf_node *list = conf_node_find(map, STR("directories"));
    const struct conf_node *n = list ? list->first : NULL;
    if (list && !d->directories.n)
        ERR(a, list->mark, "`directories` in directories.%.*s: the list is empty", STR_ARG(d->name));
    d->members = conf_alloc(a->memory, (d->directories.n + 1) * sizeof(const struct conf_directory *));
    if (!d->members)
        a->no_memory = true;
    for (size_t i = 0; d->members && i < d->directories.n; i++, n = n ? n->next : NULL)
        check_member(a, d, d->directories.v[i], n);
}

/* --- groups --- */
static uint64_t group_bit(struct conf_apply *a, const struct conf_publish *p, struct str name)
{
    struct conf_strings *g = &a->s->groups;
    for (size_t i = 0; i < g->n; i++)
        if (str_eq_nocase(g->v[i], name))
            return UINT64_C(1) << i;
    if (!g->v && !(g->v = conf_alloc(a->memory, CONF_GROUPS_MAX * sizeof *g->v)))
        a->no_memory = true;
    if (g->n == CONF_GROUPS_MAX)
        ERR(a, p->mark, "more than %d different groups are required", CONF_GROUPS_MAX);
    if (!g->v || g->n == CONF_GROUPS_MAX)
        return 0;
    g->v[g->n] = name;
    return UINT64_C(1) << g->n++;
}

/* Whether the directory can tell the groups of an account; else why not. */
static const char *groups_fault(const struct conf_directory *d)
{
    if (d->type == CONF_DIRECTORY_USER_FILE)
        return "a user file knows no groups";
    if (d->type == CONF_DIRECTORY_LDAP && !d->search_base.p &&
        !(d->bind_as.p && memchr(d->bind_as.p, '=', d->bind_as.n)))
        return "it needs `search_base` and `search_filter` to find the account";
    return NULL;
}

static void ask_for_groups(struct conf_apply *a, const struct conf_publish *p, const char *option,
                           uint64_t groups, struct conf_directory *d)
{
    const char *why = groups_fault(d);
    if (why)
        ERR(a, p->mark, "`%s` cannot be asked of the directory `%.*s`: %s", option, STR_ARG(d->name), why);
    d->groups |= groups;
    for (size_t i = 0; i < d->members_n; i++)
        ask_for_groups(a, p, option, groups, &a->s->directories[d->members[i] - a->s->directories]);
}

bool conf_may_ask_passwords(const struct conf_publish *p, const struct conf_node *map)
{
    const struct conf_node *n = conf_node_find(map, STR("authenticate"));
    return p->basic || !n || n->kind != CONF_SCALAR || !str_eq(n->text, STR("none"));
}

/* The bits of the groups, which the publication's directory is asked for. */
static uint64_t check_groups_of(struct conf_apply *a, const struct conf_publish *p,
                                const struct conf_node *map, const char *option,
                                const struct conf_strings *names)
{
    uint64_t groups = 0;
    for (size_t i = 0; i < names->n; i++)
        groups |= group_bit(a, p, names->v[i]);
    if (names->n && !conf_may_ask_passwords(p, map))
        ERR(a, p->mark, "`%s` needs `authenticate: {basic: DIRECTORY}`", option);
    if (groups && p->basic)
        ask_for_groups(a, p, option, groups, &a->s->directories[p->basic - a->s->directories]);
    return groups;
}

static void check_groups(struct conf_apply *a, struct conf_publish *p, const struct conf_node *map)
{
    p->groups = check_groups_of(a, p, map, "require_groups", &p->require_groups);
    for (size_t i = 0; i < p->services_n; i++) {
        struct conf_service *v = &a->s->services[p->services[i] - a->s->services];
        v->admin_mask |= check_groups_of(a, p, map, "admin_groups", &v->admin_groups);
        (void)check_groups_of(a, p, map, "device_groups", &v->device_groups);
    }
}

void conf_check_directories(struct conf_apply *a, const struct conf_node *root)
{
    const struct conf_node *all = conf_node_find(root, STR("directories"));
    for (size_t i = 0; i < a->s->directories_n; i++) {
        struct conf_directory *d = &a->s->directories[i];
        d->group_names = &a->s->groups;
        const struct conf_node *map = all ? conf_node_find(all, d->name) : NULL;
        const struct conf_node *type = map ? conf_node_find(map, STR("type")) : NULL;
        if (!type || !str_eq(type->text, str_of(conf_directory_type_name(d->type))))
            continue; /* refused already */
        check_options(a, d, map);
        check_servers(a, d);
        if (d->type == CONF_DIRECTORY_LDAP)
            check_ldap(a, d, map);
        if (d->type == CONF_DIRECTORY_LDAP || d->type == CONF_DIRECTORY_RADIUS)
            check_apart(a, d);
        if (d->type == CONF_DIRECTORY_CHAIN)
            check_chain(a, d, map);
    }
    for (size_t i = 0; i < a->s->publish_n; i++)
        check_groups(a, &a->s->publish[i], conf_node_item(root, STR("publish"), i));
}
