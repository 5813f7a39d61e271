/*
 * One source's requests a minute. Long polls and channels are few requests, so it does not hurt them.
 */
#include <postern/flood.h>
#include <postern/txn.h>

#include "filters_int.h"

static enum filter_result flood_source_check(struct txn *t)
{
    struct worker *w = txn_worker(t);

    if (flood_request(&txn_snapshot(t)->flood, t->session->source, worker_now(w)))
        return FILTER_NEXT;
    metrics_add(w->metrics, METRIC_FLOOD_REQUESTS, 1);
    t->close_client = true;
    txn_refuse(t, 429, REASON_FLOOD_REQUESTS);
    return FILTER_DONE;
}

const struct filter filter_flood_source = {
    .name = "flood_source",
    .doc = "requests a minute of one source",
    .on = {[PHASE_HEAD] = flood_source_check},
};
