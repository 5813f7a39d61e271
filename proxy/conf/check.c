/* What no single option can see: rules across fields and across objects. */
#include "conf_int.h"

#include <stdlib.h>

#define ERR(a, mark, ...) conf_finding_add((a)->findings, CONF_ERROR, mark, __VA_ARGS__)
#define WARN(a, mark, ...) conf_finding_add((a)->findings, CONF_WARNING, mark, __VA_ARGS__)

static void check_listener(struct conf_apply *a, const struct conf_listener *l, size_t i)
{
    bool plain = l->plain_http != CONF_PLAIN_NONE;
    if (!l->certificates_n && !plain)
        ERR(a, l->mark,
            "listeners[%zu] has neither `certificates` (for TLS) nor `plain_http: redirect`; give it one of "
            "them",
            i);
    if (l->certificates_n && plain)
        ERR(a, l->mark, "listeners[%zu] has both `certificates` and `plain_http`; make two listeners of it",
            i);
    if (l->tls == CONF_TLS_LEGACY10 && l->certificates_n)
        WARN(a, l->mark,
             "listeners[%zu] permits TLS 1.0 (`tls: legacy10`); old devices only, best on an address of "
             "their own",
             i);
}

static void check_addresses(struct conf_apply *a)
{
    const struct snapshot *s = a->s;
    for (size_t i = 0; i < s->listeners_n; i++)
        for (size_t k = 0; k < s->listeners[i].addresses_n; k++)
            for (size_t j = 0; j < i; j++)
                for (size_t m = 0; m < s->listeners[j].addresses_n; m++) {
                    const struct conf_address *x = &s->listeners[i].addresses[k],
                                              *y = &s->listeners[j].addresses[m];
                    if (x->len == y->len && memcmp(&x->sa, &y->sa, x->len) == 0) {
                        ERR(a, s->listeners[i].mark, "address `%.*s` is already that of listeners[%zu]",
                            STR_ARG(x->text), j);
                        return; /* one is enough; the rest would be quadratic in what is written */
                    }
                }
}

static bool is_local(const struct conf_address *x)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&x->sa;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&x->sa;
    if (x->sa.ss_family == AF_INET)
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    return x->sa.ss_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static void check_process(struct conf_apply *a, const struct conf_node *root)
{
    const struct conf_process *p = &a->s->process;
    if (p->admin.len && !is_local(&p->admin)) {
        const struct conf_node *n = conf_node_find(root, STR("admin"));
        ERR(a, n ? n->mark : root->mark,
            "`admin`: `%.*s` is not loopback; use 127.0.0.1:PORT, [::1]:PORT or unix:/path",
            STR_ARG(p->admin.text));
    }
    if (p->tickets == CONF_TICKETS_FILE && !conf_node_find(root, STR("ticket_file"))) {
        const struct conf_node *n = conf_node_find(root, STR("tickets"));
        ERR(a, n ? n->mark : root->mark, "`tickets: file` needs `ticket_file`");
    }
}

static void check_backend(struct conf_apply *a, const struct conf_backend *b)
{
    bool https = false;
    for (size_t i = 0; i < b->servers_n; i++)
        https |= b->servers[i].https;
    if (https && !b->verify)
        WARN(a, b->mark,
             "backends.%.*s: `verify: none` lets anyone between here and the servers read and change "
             "everything",
             STR_ARG(b->name));
    if (https && b->tls_floor == CONF_TLS_LEGACY10)
        WARN(a, b->mark, "backends.%.*s permits TLS 1.0 (`tls: legacy10`)", STR_ARG(b->name));
    if (!b->verify && (b->trust.path.p || b->expected_name.p || b->spki_pins.n))
        ERR(a, b->mark, "backends.%.*s: `verify: none` contradicts `trust`, `expected_name` and `spki_pins`",
            STR_ARG(b->name));
}

static void check_rule(struct conf_apply *a, const struct conf_rule *r)
{
    if (r->where == CONF_RULE_HEADER && !r->header.p)
        ERR(a, r->mark, "rules.%.*s: `where: header` needs `header: NAME`", STR_ARG(r->name));
    if (r->where != CONF_RULE_HEADER && r->header.p)
        ERR(a, r->mark, "rules.%.*s: `header` goes with `where: header`", STR_ARG(r->name));
}

/* --- what Exchange's version says --- */
static void check_version(struct conf_apply *a, const struct conf_publish *p, const struct conf_service *v)
{
    static const struct {
        const char *service;
        enum conf_exchange first, last;
        const char *why;
    } rows[] = {
        {"mapi", CONF_EXCHANGE_2007, CONF_EXCHANGE_2010, "MAPI over HTTP came with Exchange 2013 SP1"},
        {"ecp", CONF_EXCHANGE_2007, CONF_EXCHANGE_2007, "the Exchange Control Panel came with Exchange 2010"},
        {"webdav", CONF_EXCHANGE_2010, CONF_EXCHANGE_SE, "WebDAV ended with Exchange 2007"},
        {"unified_messaging", CONF_EXCHANGE_2019, CONF_EXCHANGE_SE,
         "Unified Messaging ended with Exchange 2016"},
        {"autodiscover_v2", CONF_EXCHANGE_2007, CONF_EXCHANGE_2013,
         "Autodiscover version 2 came with Exchange 2016 CU3"},
    };
    for (size_t i = 0; v->preset && i < sizeof rows / sizeof *rows; i++)
        if (str_eq(v->name, str_of(rows[i].service)) && a->s->process.exchange >= rows[i].first &&
            a->s->process.exchange <= rows[i].last)
            WARN(a, p->mark, "`%s` is published, but `exchange` says a version without it: %s",
                 rows[i].service, rows[i].why);
}

static bool has_plain_server(const struct conf_backend *b)
{
    for (size_t i = 0; i < b->servers_n; i++)
        if (!b->servers[i].https)
            return true;
    return false;
}

/* Windows authentication that passes through: Extended Protection binds it to the TLS channel that the client sees. */
static void check_extended_protection(struct conf_apply *a, const struct conf_publish *p)
{
    if (p->basic || !p->to || a->s->process.exchange < CONF_EXCHANGE_2019)
        return;
    if (has_plain_server(p->to))
        WARN(
            a, p->mark,
            "nothing is authenticated here and backends.%.*s has servers without TLS: NTLM and Negotiate that pass through will be "
            "refused where Extended Protection is on (Exchange 2019 CU14 and later turn it on); use https servers with the "
            "listener's own certificate, or {basic: DIRECTORY}",
            STR_ARG(p->to->name));
}

static void check_publish(struct conf_apply *a, const struct conf_publish *p)
{
    check_extended_protection(a, p);
    for (size_t i = 0; i < p->services_n; i++) {
        const struct conf_service *v = p->services[i];
        check_version(a, p, v);
        if (v->preset && str_eq(v->name, STR("federation")) && p->basic && !v->unauthenticated_from.n)
            WARN(
                a, p->mark,
                "`federation` is published, but services.federation.unauthenticated_from names no partner: all of it "
                "asks for passwords");
    }
}

/* --- the same host and service twice --- */
struct pair {
    struct str host;
    const struct conf_service *service;
    const struct conf_publish *publish;
};

static int by_host_and_service(const void *x_, const void *y_)
{
    const struct pair *x = x_, *y = y_;
    size_t n = x->host.n < y->host.n ? x->host.n : y->host.n;
    int d = memcmp(x->host.p, y->host.p, n);
    if (d || x->host.n != y->host.n)
        return d ? d : x->host.n < y->host.n ? -1 : 1;
    if (x->service != y->service)
        return x->service < y->service ? -1 : 1;
    return x->publish < y->publish ? -1 : x->publish > y->publish;
}

#define PAIRS_MAX 100000

static struct pair *all_pairs(struct conf_apply *a, size_t *ret_n)
{
    const struct snapshot *s = a->s;
    size_t n = 0;
    for (size_t i = 0; i < s->publish_n; i++)
        n += s->publish[i].hosts.n * s->publish[i].services_n;
    if (n > PAIRS_MAX) {
        ERR(a, s->publish[0].mark, "more than %d pairs of host and service are published", PAIRS_MAX);
        return NULL;
    }
    struct pair *v = malloc((n + 1) * sizeof *v);
    a->no_memory |= !v;
    n = 0;
    for (size_t i = 0; v && i < s->publish_n; i++)
        for (size_t h = 0; h < s->publish[i].hosts.n; h++)
            for (size_t k = 0; k < s->publish[i].services_n; k++)
                v[n++] = (struct pair){s->publish[i].hosts.v[h], s->publish[i].services[k], &s->publish[i]};
    *ret_n = n;
    return v;
}

static void check_twice(struct conf_apply *a)
{
    size_t n = 0;
    struct pair *v = all_pairs(a, &n);
    if (!v)
        return;
    qsort(v, n, sizeof *v, by_host_and_service);
    for (size_t i = 1; i < n; i++)
        if (v[i].service == v[i - 1].service && str_eq(v[i].host, v[i - 1].host))
            ERR(a, v[i].publish->mark, "service `%.*s` of host `%.*s` is published twice; first in line %u",
                STR_ARG(v[i].service->name), STR_ARG(v[i].host), v[i - 1].publish->mark.line);
    free(v);
}

/* --- what nothing uses --- */
static bool directory_used(const struct snapshot *s, const struct conf_directory *d)
{
    for (size_t p = 0; p < s->publish_n; p++) {
        const struct conf_directory *asked = s->publish[p].basic;
        if (asked == d)
            return true;
        for (size_t i = 0; asked && i < asked->members_n; i++)
            if (asked->members[i] == d)
                return true;
    }
    return false;
}

static void warn_unused(struct conf_apply *a)
{
    const struct snapshot *s = a->s;
    for (size_t i = 0; i < s->certificates_n; i++) {
        bool used = false;
        for (size_t l = 0; l < s->listeners_n; l++)
            for (size_t k = 0; k < s->listeners[l].certificates_n; k++)
                used |= s->listeners[l].certificates[k] == &s->certificates[i];
        if (!used)
            WARN(a, s->certificates[i].mark, "certificate `%.*s` is used by no listener",
                 STR_ARG(s->certificates[i].name));
    }
    for (size_t i = 0; i < s->backends_n; i++) {
        bool used = false;
        for (size_t p = 0; p < s->publish_n; p++)
            used |= s->publish[p].to == &s->backends[i];
        if (!used)
            WARN(a, s->backends[i].mark, "backend `%.*s` is used by nothing published",
                 STR_ARG(s->backends[i].name));
    }
    for (size_t i = 0; i < s->directories_n; i++) {
        if (!directory_used(s, &s->directories[i]))
            WARN(a, s->directories[i].mark, "directory `%.*s` is used by nothing published",
                 STR_ARG(s->directories[i].name));
    }
}

void conf_check(struct conf_apply *a, const struct conf_node *root)
{
    const struct snapshot *s = a->s;
    check_process(a, root);
    for (size_t i = 0; i < s->listeners_n; i++)
        check_listener(a, &s->listeners[i], i);
    check_addresses(a);
    for (size_t i = 0; i < s->rules_n; i++)
        check_rule(a, &s->rules[i]);
    for (size_t i = 0; i < s->backends_n; i++)
        check_backend(a, &s->backends[i]);
    if (!conf_node_find(root, STR("listeners")) || (s->listeners && !s->listeners_n))
        ERR(a, root->mark, "no listeners; write `listeners: [{address: \"*:443\", certificates: [NAME]}]`");
    if (!conf_node_find(root, STR("publish")) || (s->publish && !s->publish_n))
        ERR(a, root->mark,
            "nothing is published; write `publish:` with hosts, to, authenticate and services");
    for (size_t i = 0; !conf_findings_count(a->findings, CONF_ERROR) && i < s->publish_n; i++)
        check_publish(a, &s->publish[i]);
    check_twice(a);
    conf_check_directories(a, root);
    conf_check_guard(a, root);
    conf_identify_directories(a, root);
    if (!conf_findings_count(a->findings, CONF_ERROR)) /* what is refused above uses nothing */
        warn_unused(a);
}
