/*
 * A protocol upgrade turns the connection into a tunnel that nobody looks into: only what the service lists is passed on;
 * any other offer is simply not taken up (RFC 9110 7.8: a server may ignore Upgrade).
 */
#include <postern/txn.h>

#include "filters_int.h"

static enum filter_result upgrade_check(struct txn *t)
{
    const struct conf_strings *allowed = &t->match.service->upgrade;

    if (t->request.upgrade.p == NULL)
        return FILTER_NEXT;
    for (size_t i = 0; i < allowed->n; i++) {
        if (str_eq_nocase(allowed->v[i], t->request.upgrade))
            return FILTER_NEXT;
    }
    t->request.upgrade = STR_NULL;
    return FILTER_NEXT;
}

const struct filter filter_upgrade = {
    .name = "upgrade",
    .doc = "protocol upgrades only from the service's list",
    .on = {[PHASE_ACCESS] = upgrade_check},
};
