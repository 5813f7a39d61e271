/*
 * What leaves the organisation: nothing that tells of interior servers; the site's strip list, Server, HSTS.
 */
#include <postern/txn.h>

#include "filters_int.h"

static bool must_stay_inside(const struct field *f)
{
    return f->id == FIELD_ID_SERVER || (field_flags(f->id) & FIELD_LEAK) != 0;
}

/* ---- names of interior servers ---- */

static bool is_name_octet(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* As a word of its own: "cas1.corp" is not in "cas1.corporation". */
static bool contains_name(struct str s, struct str name)
{
    for (size_t i = 0; i + name.n <= s.n; i++) {
        if (ascii_lower(s.p[i]) == ascii_lower(name.p[0]) &&
            str_eq_nocase((struct str){s.p + i, name.n}, name) && (i == 0 || !is_name_octet(s.p[i - 1])) &&
            (i + name.n == s.n || !is_name_octet(s.p[i + name.n])))
            return true;
    }
    return false;
}

static struct str first_label(struct str host)
{
    const char *dot = memchr(host.p, '.', host.n);

    return dot != NULL ? (struct str){host.p, (size_t)(dot - host.p)} : host;
}

/* A field that nobody here knows and that names one of the servers: whatever it is for, it is for inside. */
static bool names_interior(const struct txn *t, const struct field *f)
{
    const struct conf_backend *b = t->match.publish->to;

    for (size_t i = 0; f->id == FIELD_OTHER && i < b->servers_n; i++) {
        struct str host = b->servers[i].host;

        if ((contains_name(f->value, host) || str_eq_nocase(f->value, first_label(host))) &&
            !txn_host_published(t, host))
            return true;
    }
    return false;
}

/* What a proxy inside has added tells its protocol, and not its name (RFC 9110 7.6.3). */
static void hide_via(struct txn *t, struct field *f)
{
    struct str rest = f->value, part, protocol, out = STR("");

    while (str_next(&rest, ',', &part)) {
        struct str words = str_trim(part);

        if (str_next(&words, ' ', &protocol) && protocol.n > 0)
            out = arena_printf(&t->arena, "%.*s%s%.*s interior", STR_ARG(out), out.n > 0 ? ", " : "",
                               STR_ARG(protocol));
        if (out.p == NULL)
            break;
    }
    f->value = out;
    f->dropped = out.p == NULL || out.n == 0 || !txn_snapshot(t)->http.via_response;
}

static enum filter_result leaving_apply(struct txn *t)
{
    const struct conf_http *h = &txn_snapshot(t)->http;
    struct str hsts = txn_hsts(t);

    for (unsigned i = 0; i < t->response.fields_n; i++) {
        struct field *f = &t->response.fields[i];

        if (f->id == FIELD_ID_VIA && !f->dropped)
            hide_via(t, f);
        f->dropped = f->dropped || must_stay_inside(f) || names_interior(t, f);
    }
    for (size_t i = 0; i < h->strip_response_headers.n; i++)
        message_drop_name(&t->response, h->strip_response_headers.v[i]);
    if (h->server_header.n > 0)
        (void)message_add(&t->response, FIELD_ID_SERVER, h->server_header);
    if (h->via_response)
        (void)message_add_via(&t->response);
    if (hsts.p != NULL)
        (void)message_set(&t->response, FIELD_ID_STRICT_TRANSPORT_SECURITY, hsts);
    return FILTER_NEXT;
}

const struct filter filter_leaving = {
    .name = "leaving",
    .doc = "what leaves: nothing of interior servers, the strip list, Server, HSTS",
    .on = {[PHASE_RESPONSE_HEAD] = leaving_apply},
};
