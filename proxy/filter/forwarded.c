/*
 * Who the client is and how it came, told by us and by nobody else. Via is a site's choice: old IIS resets NTLM when it sees
 * one, so towards the interior it is off by default, a deliberate departure from RFC 9110 7.6.3.
 */
#include <postern/log.h>
#include <postern/txn.h>

#include "filters_int.h"

static bool forwarded_add(struct txn *t)
{
    char text[64];
    size_t n = log_address(&t->session->peer.sa, false, text, sizeof(text));
    struct str client = {text, n}, host = t->request.host;
    const struct field *f = message_find(&t->request, FIELD_ID_HOST);

    /* "[2001:db8::1]" is an address with brackets only where a port may follow. */
    if (n > 2 && text[0] == '[')
        client = (struct str){text + 1, n - 2};
    client = arena_str(&t->arena, client);
    if (f != NULL)
        host = f->value;
    return client.p != NULL && message_add(&t->request, FIELD_ID_X_FORWARDED_FOR, client) == 0 &&
           message_add(&t->request, FIELD_ID_X_FORWARDED_PROTO, STR("https")) == 0 &&
           message_add(&t->request, FIELD_ID_X_FORWARDED_HOST, host) == 0;
}

static enum filter_result forwarded_set(struct txn *t)
{
    bool good = true;

    if (txn_snapshot(t)->http.x_forwarded)
        good = forwarded_add(t);
    if (txn_snapshot(t)->http.front_end_https)
        good = good && message_add(&t->request, FIELD_ID_FRONT_END_HTTPS, STR("On")) == 0;
    if (t->match.publish->to->via)
        good = good && message_add_via(&t->request) == 0;
    else
        message_drop(&t->request, FIELD_ID_VIA);
    if (good)
        return FILTER_NEXT;
    txn_refuse(t, 500, REASON_NO_MEMORY);
    return FILTER_DONE;
}

const struct filter filter_forwarded = {
    .name = "forwarded",
    .doc = "X-Forwarded-For, -Proto and -Host, and Via, set by Postern",
    .on = {[PHASE_REQUEST_OUT] = forwarded_set},
};
