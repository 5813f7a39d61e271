/*
 * The narrow way past pre-authentication: exact paths of a service, from the sources that the site has listed for it. Partners in
 * a federation bring tokens that only Exchange can judge.
 */
#include <postern/txn.h>

#include "filters_int.h"

static enum filter_result exempt_check(struct txn *t)
{
    t->exempt = conf_cidrs_match(&t->match.service->unauthenticated_from, &t->session->peer.sa);
    return FILTER_NEXT;
}

static bool exempt_enabled(const struct snapshot *s, const struct conf_publish *p,
                           const struct conf_service *v)
{
    return v->unauthenticated_from.n > 0;
}

const struct filter filter_exempt = {
    .name = "exempt",
    .doc = "sources that need no pre-authentication for a service",
    .on = {[PHASE_AUTH] = exempt_check},
    .enabled = exempt_enabled,
};
