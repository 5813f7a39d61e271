/*
 * `type: chain`: several directories as one, asked in their order.
 *
 * Where some list the domain of the name, they alone are asked. The next one is asked only after the answers that
 * `next_when` names: the account is unknown (unknown_user), refused without a reason (invalid: for directories that do not
 * tell an unknown account from a wrong password), or nobody could judge (unavailable). A directory that knows the account and
 * refuses it has the last word. When all were passed over, "nobody could judge" outweighs "unknown": a 401 would make every
 * phone ask its owner for a new password.
 */
#include <stdlib.h>
#include <uv.h>

#include "auth_int.h"
#include "standing.h"

struct chain {
    const struct conf_directory *conf;
    size_t n;
    struct verifier *members[];
};

static bool goes_on(unsigned rule, const struct auth_result *r)
{
    if (r->verdict == VERDICT_OK)
        return false;
    if (r->verdict != VERDICT_WRONG)
        return (rule & CONF_CHAIN_UNAVAILABLE) != 0;
    return (r->detail == AUTH_DETAIL_UNKNOWN_USER && (rule & CONF_CHAIN_UNKNOWN_USER) != 0) ||
           (r->detail == AUTH_DETAIL_INVALID && (rule & CONF_CHAIN_INVALID) != 0);
}

static bool has_last_word(const struct auth_result *r)
{
    return r->verdict == VERDICT_OK || (r->verdict == VERDICT_WRONG && r->detail != AUTH_DETAIL_UNKNOWN_USER);
}

static int weight(const struct auth_result *r)
{
    return r->verdict != VERDICT_WRONG ? 2 : r->detail != AUTH_DETAIL_UNKNOWN_USER;
}

static void chain_verify(void *state, const struct basic_credentials *c, const char *client,
                         uint64_t timeout_ms, struct auth_result *ret)
{
    struct chain *h = state;
    struct str name = {c->user, c->user_n};
    uint64_t due = uv_hrtime() + timeout_ms * 1000000;

    *ret = (struct auth_result){.verdict = VERDICT_WRONG, .detail = AUTH_DETAIL_UNKNOWN_USER};
    for (size_t i = account_member(name, h->conf, 0), after; i < h->n; i = after) {
        after = account_member(name, h->conf, i + 1);
        uint64_t mine = standing_due(due, after < h->n), now = uv_hrtime();
        struct auth_result r = {.verdict = VERDICT_TIMEOUT, .detail = AUTH_DETAIL_TIMED_OUT};
        if (now < mine) {
            verifier_ask(h->members[i], c, client, (mine - now) / 1000000, &r);
        }
        bool next = goes_on(h->conf->next_when, &r);
        if ((!next && has_last_word(&r)) || weight(&r) > weight(ret))
            *ret = r;
        if (!next)
            return;
    }
}

static void *chain_open(const struct conf_directory *d, struct conf_findings *f)
{
    struct chain *h = calloc(1, sizeof(*h) + d->members_n * sizeof(h->members[0]));

    if (h != NULL)
        h->conf = d;
    return h;
}

static void chain_link(void *state, struct verifiers *all)
{
    struct chain *h = state;

    for (size_t i = 0; i < h->conf->members_n; i++)
        h->members[h->n++] = verifiers_find(all, h->conf->members[i]);
}

const struct verifier_type verifier_chain = {.type = CONF_DIRECTORY_CHAIN,
                                             .open = chain_open,
                                             .link = chain_link,
                                             .close = free,
                                             .verify = chain_verify};
