/*
 * What one account may have open and ask for a minute: a device that has gone mad must not take everybody's mail with it.
 */
#include <postern/flood.h>
#include <postern/txn.h>

#include "filters_int.h"

/* 503 with Retry-After makes phones and Outlook wait; 429 is understood by browsers. */
static int refusal_status(const struct txn *t)
{
    return t->match.service->protocol == CONF_PROTOCOL_PLAIN ? 429 : 503;
}

/* The guard knows a directory's accounts however they are written. Of a certificate's nothing is known but the name, so the
 * same user of two domains is two accounts. */
static struct str account_key(const struct txn *t, char out[ACCOUNT_NORMAL_MAX + 1])
{
    static const struct conf_directory any = {.other_domains = CONF_DOMAINS_APART};
    ptrdiff_t n;

    if (t->match.publish->basic != NULL)
        return (struct str){(const char *)t->proof.account, sizeof(t->proof.account)};
    n = account_of(t->user, &any, out, ACCOUNT_NORMAL_MAX + 1);
    return n >= 0 ? (struct str){out, (size_t)n} : t->user;
}

static enum filter_result flood_account_enter(struct txn *t)
{
    struct worker *w = txn_worker(t);
    char out[ACCOUNT_NORMAL_MAX + 1];

    if (!t->authenticated ||
        flood_account(&txn_snapshot(t)->flood, account_key(t, out), t->user, worker_now(w), &t->account))
        return FILTER_NEXT;
    metrics_add(w->metrics, METRIC_FLOOD_REQUESTS, 1);
    txn_refuse(t, refusal_status(t), REASON_FLOOD_ACCOUNT);
    return FILTER_DONE;
}

static enum filter_result flood_account_leave(struct txn *t)
{
    flood_account_end(t->account);
    t->account = NULL;
    return FILTER_NEXT;
}

static bool flood_account_enabled(const struct snapshot *s, const struct conf_publish *p,
                                  const struct conf_service *v)
{
    return (p->basic != NULL || p->client_certificate != CONF_CLIENT_OFF) &&
           (s->flood.requests_open_per_account > 0 || s->flood.requests_per_minute_per_account > 0);
}

const struct filter filter_flood_account = {
    .name = "flood_account",
    .doc = "requests in progress and a minute of one account",
    .on = {[PHASE_AUTH] = flood_account_enter, [PHASE_LOG] = flood_account_leave},
    .enabled = flood_account_enabled,
};
