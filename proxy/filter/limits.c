/*
 * The service's limits on what the head announces. What only the body shows (chunks) is counted by the relay.
 */
#include <postern/txn.h>

#include "filters_int.h"

static enum filter_result limits_check(struct txn *t)
{
    const struct conf_service *v = t->match.service;

    if (v->url_limit > 0 && t->target.path.n > v->url_limit) {
        txn_refuse(t, 414, REASON_URL_TOO_LONG);
        return FILTER_DONE;
    }
    if (v->query_limit > 0 && t->target.query.n > v->query_limit) {
        txn_refuse(t, 414, REASON_QUERY_TOO_LONG);
        return FILTER_DONE;
    }
    if (v->body_limit > 0 && t->request.framing == BODY_LENGTH && t->request.content_length > v->body_limit) {
        txn_refuse(t, 413, REASON_BODY_TOO_LARGE);
        return FILTER_DONE;
    }
    return FILTER_NEXT;
}

const struct filter filter_limits = {
    .name = "limits",
    .doc = "URL, query and announced body within the service's limits",
    .on = {[PHASE_ACCESS] = limits_check},
};
