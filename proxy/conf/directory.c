/* Values that only directories have: their servers, and when a chain goes on. */
#include "types_int.h"

#include <stdio.h>

/* --- servers --- */
static const struct scheme {
    const char *prefix;
    enum conf_directory_scheme scheme;
    uint16_t port;
} schemes[] = {
    {"ldaps://", CONF_SCHEME_LDAPS, 636},
    {"ldap://", CONF_SCHEME_LDAP, 389},
    {"radius://", CONF_SCHEME_RADIUS, 1812},
};

static const char *to_server(struct str url, struct conf_directory_server *ret)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct str prefix = str_of(schemes[i].prefix);
        if (!str_starts_nocase(url, prefix))
            continue;
        ret->scheme = schemes[i].scheme;
        ret->port = schemes[i].port;
        return conf_parse_host((struct str){url.p + prefix.n, url.n - prefix.n}, &ret->host, &ret->port);
    }
    return "begin it with ldaps://, ldap:// (StartTLS) or radius://";
}

static int parse_server(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                        void *item)
{
    struct conf_directory_server *s = item;
    s->mark = n->mark;
    s->url = conf_take_str(a, n->text);
    if (!s->url.p)
        return -1;
    const char *why = to_server(s->url, s);
    if (why)
        return conf_refuse(a, o, n, "`%.*s` cannot be a server: %s", STR_ARG(n->text), why);
    s->host = conf_take_lower(a, s->host);
    return s->host.p ? 0 : -1;
}

static int parse_directory_servers(struct conf_apply *a, const struct conf_option *o,
                                   const struct conf_node *n, void *member)
{
    return conf_parse_items(a, o, n, member, sizeof(struct conf_directory_server), CONF_NO_SERVER,
                            parse_server);
}

static void print_directory_servers(const struct conf_option *o, const void *member, FILE *to)
{
    conf_print_items(member, sizeof(struct conf_directory_server),
                     offsetof(struct conf_directory_server, url), to);
}

const struct conf_type conf_type_directory_servers = {
    "URL list",
    "servers such as ldaps://dc1.corp.example.com or radius://192.0.2.7:1812",
    sizeof(void *),
    parse_directory_servers,
    print_directory_servers,
    NULL};

/* --- when a chain goes on --- */
static const struct conf_value rules[] = {
    {"unknown_user", CONF_CHAIN_UNKNOWN_USER},
    {"invalid", CONF_CHAIN_INVALID},
    {"unavailable", CONF_CHAIN_UNAVAILABLE},
    {NULL, 0},
};

static struct str rule_at(const void *ctx, size_t i)
{
    return str_of(rules[i].word);
}

static int parse_rule(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                      unsigned *ret)
{
    size_t count = sizeof rules / sizeof *rules - 1;
    for (size_t i = 0; i < count; i++)
        if (str_eq(n->text, str_of(rules[i].word))) {
            *ret |= (unsigned)rules[i].value;
            return 0;
        }
    struct str near = conf_nearest(n->text, count, rule_at, NULL);
    return conf_refuse(a, o, n, "unknown answer `%.*s`%s%.*s%s; known: %s", STR_ARG(n->text),
                       near.p ? "; did you mean `" : "", (int)near.n, near.p ? near.p : "", near.p ? "`" : "",
                       o->type->describe);
}

static int parse_chain_rule(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                            void *member)
{
    const struct conf_node *x;
    unsigned rule = 0;
    int rc = 0;
    if (conf_check_items(a, o, n, true) != 0)
        return -1;
    for (size_t count = conf_items(n, &x); count; count--, x = n->kind == CONF_LIST ? x->next : NULL)
        if (parse_rule(a, o, x, &rule) != 0)
            rc = -1;
    if (rc == 0)
        *(unsigned *)member = rule;
    return rc;
}

static void print_chain_rule(const struct conf_option *o, const void *member, FILE *to)
{
    unsigned rule = *(const unsigned *)member;
    const char *gap = "";
    fputc('[', to);
    for (const struct conf_value *v = rules; v->word; v++)
        if (rule & (unsigned)v->value) {
            fprintf(to, "%s%s", gap, v->word);
            gap = ", ";
        }
    fputc(']', to);
}

const struct conf_type conf_type_chain_rule = {
    "list",           "unknown_user, invalid (refused, and the directory does not say why) and unavailable",
    sizeof(unsigned), parse_chain_rule,
    print_chain_rule, NULL};
