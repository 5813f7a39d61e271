/*
 * What only Exchange's and IIS's own servers, or this gate, may say about a request is taken out of every client's.
 */
#include <postern/txn.h>

#include "filters_int.h"

static const struct str inner_prefixes[] = {STR("X-Forwarded-"), STR("X-Proxy"), STR("X-AnonResource"),
                                            STR("X-BEResource"), STR("X-Original")};

static bool is_inner(const struct field *f)
{
    if ((field_flags(f->id) & FIELD_INNER) != 0)
        return true;
    for (size_t i = 0; f->id == FIELD_OTHER && i < sizeof(inner_prefixes) / sizeof(*inner_prefixes); i++) {
        if (str_starts_nocase(f->name, inner_prefixes[i]))
            return true;
    }
    /* "X_Forwarded_For" reaches CGI-like consumers as the same variable. */
    return f->id == FIELD_OTHER && memchr(f->name.p, '_', f->name.n) != NULL && f->name.n > 2 &&
           ascii_lower(f->name.p[0]) == 'x' && f->name.p[1] == '_';
}

static enum filter_result inner_fields_strip(struct txn *t)
{
    const struct conf_strings *more = &txn_snapshot(t)->http.strip_request_headers;

    for (unsigned i = 0; i < t->request.fields_n; i++) {
        if (is_inner(&t->request.fields[i]))
            t->request.fields[i].dropped = true;
    }
    for (size_t i = 0; i < more->n; i++)
        message_drop_name(&t->request, more->v[i]);
    return FILTER_NEXT;
}

const struct filter filter_inner_fields = {
    .name = "inner_fields",
    .doc = "fields that a client must never be able to set, and the site's own list",
    .on = {[PHASE_REQUEST_OUT] = inner_fields_strip},
};
