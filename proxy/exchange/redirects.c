/*
 * Where answers send the client: published names only. Interior names are rewritten to the name that the client asked for, a
 * host that the site has listed is passed on, and anything else is refused, for a redirect may carry credentials with it.
 */
#include <postern/log.h>
#include <postern/redirect.h>
#include <postern/txn.h>

#include "exchange_int.h"

static const struct str redirect_fields[] = {STR("Location"), STR("Content-Location"), STR("X-MS-Location")};

static bool is_redirect_field(const struct field *f)
{
    for (size_t i = 0; i < sizeof(redirect_fields) / sizeof(redirect_fields[0]); i++) {
        if (str_eq_nocase(f->name, redirect_fields[i]))
            return true;
    }
    return false;
}

static bool is_published(void *ctx, struct str host)
{
    return txn_host_published(ctx, host);
}

static enum filter_result redirects_check(struct txn *t)
{
    struct redirect_from from = {t->match.publish, t->request.host, t->request.host_port, is_published, t};

    for (unsigned i = 0; i < t->response.fields_n; i++) {
        struct field *f = &t->response.fields[i];
        struct str to;

        if (f->dropped || !is_redirect_field(f))
            continue;
        to = redirect_rewrite(&from, f->value, &t->arena);
        if (to.p != NULL) {
            f->value = to;
            continue;
        }
        log_event(LOG_EV_REDIRECT_REFUSED, LF_STR("service", t->match.service->name),
                  LF_STR("field", f->name), LF_STR("to", f->value));
        txn_refuse(t, 502, REASON_REDIRECT_REFUSED);
        return FILTER_DONE;
    }
    return FILTER_NEXT;
}

const struct filter filter_redirects = {
    .name = "redirects",
    .doc = "Location and X-MS-Location lead to published names",
    .on = {[PHASE_RESPONSE_HEAD] = redirects_check},
};
