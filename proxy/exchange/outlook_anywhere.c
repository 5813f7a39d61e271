/*
 * Outlook Anywhere: whom a channel may reach, and what it may announce (MS-RPCH 2.1.2.1, 2.2.2).
 *
 * A channel is relayed like any other request; nothing here looks into its bytes.
 */
#include <stdio.h>

#include <postern/rpc_target.h>
#include <postern/txn.h>

#include "exchange_int.h"

/* ---- the target ---- */

static bool name_fits(struct str pattern, struct str name)
{
    const char *dot;

    if (str_eq(pattern, STR("*")))
        return true;
    if (!str_starts_nocase(pattern, STR("*.")))
        return str_eq_nocase(pattern, name);
    dot = memchr(name.p, '.', name.n);
    return dot != NULL && dot > name.p &&
           str_eq_nocase((struct str){pattern.p + 1, pattern.n - 1},
                         (struct str){dot, name.n - (size_t)(dot - name.p)});
}

static bool listed(const struct conf_strings *list, struct str name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (name_fits(list->v[i], name))
            return true;
    }
    return false;
}

static bool is_first_label(struct str name, struct str host)
{
    const char *dot = memchr(host.p, '.', host.n);

    return dot != NULL && str_eq_nocase(name, (struct str){host.p, (size_t)(dot - host.p)});
}

/* The servers that this publication leads to anyway, by full or NetBIOS name. */
static bool is_backend(const struct conf_backend *b, struct str name)
{
    for (size_t i = 0; i < b->servers_n; i++) {
        if (str_eq_nocase(name, b->servers[i].host) || is_first_label(name, b->servers[i].host))
            return true;
    }
    return b->expected_name.p != NULL &&
           (str_eq_nocase(name, b->expected_name) || is_first_label(name, b->expected_name));
}

/* "*" publishes any Host; it does not open any interior name. */
static bool is_published(const struct conf_publish *p, struct str name)
{
    for (size_t i = 0; i < p->hosts.n; i++) {
        if (!str_eq(p->hosts.v[i], STR("*")) && name_fits(p->hosts.v[i], name))
            return true;
    }
    return false;
}

/* The domain of mailbox-guid@domain is one of mail: a published host lies in it. */
static bool is_domain(const struct conf_publish *p, struct str domain)
{
    for (size_t i = 0; i < p->hosts.n; i++) {
        struct str h = p->hosts.v[i];

        if (str_eq_nocase(h, domain))
            return true;
        if (h.n > domain.n + 1 && h.p[h.n - domain.n - 1] == '.' && str_ends_nocase(h, domain))
            return true;
    }
    return false;
}

static bool target_allowed(const struct txn *t, const struct rpc_target *to)
{
    const struct conf_service *v = t->match.service;
    const struct conf_publish *p = t->match.publish;
    char port[8];

    snprintf(port, sizeof(port), "%u", to->port);
    if (!listed(&v->rpc_ports, str_of(port)))
        return false;
    if (to->mailbox.p != NULL)
        return is_domain(p, to->domain) || listed(&v->rpc_targets, to->domain);
    return listed(&v->rpc_targets, to->name) || is_backend(p->to, to->name) || is_published(p, to->name);
}

/* ---- the filter ---- */

static enum filter_result refuse(struct txn *t, int status, enum reason why)
{
    t->close_client = true;
    txn_refuse(t, status, why);
    return FILTER_DONE;
}

static struct str channel_name(enum rpc_request r)
{
    return r == RPC_REQUEST_ECHO ? STR("echo") : r == RPC_REQUEST_IN ? STR("in") : STR("out");
}

static enum metric open_in_direction(const struct txn *t)
{
    return t->request.method == METHOD_RPC_IN_DATA ? METRIC_CHANNELS_IN_OPEN : METRIC_CHANNELS_OUT_OPEN;
}

static void channel_open(struct txn *t)
{
    struct metrics *m = txn_worker(t)->metrics;

    t->channel = true;
    metrics_add(m, METRIC_CHANNELS, 1);
    metrics_add(m, METRIC_CHANNELS_OPEN, 1);
    metrics_add(m, open_in_direction(t), 1);
}

static void channel_end(struct txn *t)
{
    struct metrics *m = txn_worker(t)->metrics;

    t->channel = false;
    metrics_sub(m, METRIC_CHANNELS_OPEN, 1);
    metrics_sub(m, open_in_direction(t), 1);
    metrics_add(m, METRIC_CHANNEL_BYTES_IN, t->bytes_in);
    metrics_add(m, METRIC_CHANNEL_BYTES_OUT, t->bytes_out);
    metrics_add(m, METRIC_CHANNEL_SECONDS, (worker_now(txn_worker(t)) - t->started_ms) / 1000);
}

static enum filter_result outlook_anywhere_check(struct txn *t)
{
    struct rpc_target to;
    enum rpc_request kind;

    if ((method_flags(t->request.method) & METHOD_RPC) == 0)
        return FILTER_NEXT;
    if (t->request.framing == BODY_CHUNKED) /* rpcproxy knows no chunks */
        return refuse(t, 411, REASON_RPC_LENGTH);
    kind = rpc_request_of(t->request.method == METHOD_RPC_IN_DATA, t->request.content_length);
    if (kind == RPC_REQUEST_BAD)
        return refuse(t, 400, REASON_RPC_LENGTH);
    if (!rpc_target_parse(t->target.query, &to) || !target_allowed(t, &to))
        return refuse(t, 403, REASON_RPC_TARGET_DENIED);
    t->command = channel_name(kind);
    if (kind != RPC_REQUEST_ECHO) {
        channel_open(t);
    }
    return FILTER_NEXT;
}

static enum filter_result outlook_anywhere_end(struct txn *t)
{
    if (t->channel)
        channel_end(t);
    return FILTER_NEXT;
}

static bool outlook_anywhere_enabled(const struct snapshot *s, const struct conf_publish *p,
                                     const struct conf_service *v)
{
    return v->protocol == CONF_PROTOCOL_RPC;
}

const struct filter filter_outlook_anywhere = {
    .name = "outlook_anywhere",
    .doc = "RPC over HTTP reaches allowed names and ports only, with the lengths that channels have",
    .on = {[PHASE_ACCESS] = outlook_anywhere_check, [PHASE_LOG] = outlook_anywhere_end},
    .enabled = outlook_anywhere_enabled,
};
