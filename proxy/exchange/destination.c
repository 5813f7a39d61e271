/*
 * WebDAV's Destination leads to what is published here: without this check COPY and MOVE would write wherever the server can.
 */
#include <postern/redirect.h>
#include <postern/txn.h>

#include "exchange_int.h"

static enum filter_result refuse(struct txn *t)
{
    t->close_client = true;
    txn_refuse(t, 403, REASON_DESTINATION_DENIED);
    return FILTER_DONE;
}

static bool is_published(void *ctx, struct str host, struct str canonical)
{
    const struct txn *t = ctx;
    struct match found;

    return txn_match(t, host, canonical, t->request.method, &found) == MATCH_FOUND &&
           found.publish == t->match.publish;
}

static bool backend_is_plain(const struct conf_backend *b)
{
    for (size_t i = 0; i < b->servers_n; i++) {
        if (b->servers[i].https)
            return false;
    }
    return true;
}

static enum filter_result destination_check(struct txn *t)
{
    struct destination_from from = {
        .host = t->request.host,
        .plain = !txn_snapshot(t)->http.front_end_https && backend_is_plain(t->match.publish->to),
        .published = is_published,
        .ctx = t,
    };
    struct field *found = NULL;
    struct str to;

    for (unsigned i = 0; i < t->request.fields_n; i++) {
        struct field *f = &t->request.fields[i];

        if (f->dropped || f->id != FIELD_OTHER || !str_eq_nocase(f->name, STR("Destination")))
            continue;
        if (found != NULL)
            return refuse(t);
        found = f;
    }
    if (found == NULL)
        return FILTER_NEXT;
    to = destination_rewrite(&from, found->value, &t->arena);
    if (to.p == NULL)
        return refuse(t);
    found->value = to;
    return FILTER_NEXT;
}

static bool destination_enabled(const struct snapshot *s, const struct conf_publish *p,
                                const struct conf_service *v)
{
    for (size_t i = 0; i < v->methods.n; i++) {
        if ((method_flags(method_of(v->methods.v[i])) & METHOD_DAV) != 0)
            return true;
    }
    return false;
}

const struct filter filter_destination = {
    .name = "destination",
    .doc = "a WebDAV Destination leads to what is published here",
    .on = {[PHASE_ACCESS] = destination_check},
    .enabled = destination_enabled,
};
