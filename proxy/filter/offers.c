/*
 * What the interior offers to a client that has signed in here with Basic. Of several schemes only Basic leads anywhere: NTLM or
 * Negotiate would be refused by our own filter and could only loop. And its realm is a server's name: ours stands for it. Where the client is not heard at
 * all, a challenge is a fault of ours.
 */
#include <postern/log.h>
#include <postern/txn.h>

#include "filters_int.h"

#define SAY_AGAIN_MS 60000

/* The client cannot answer a challenge: what it sends goes no further. */
static bool client_is_not_heard(const struct conf_publish *p)
{
    return p->delegate == CONF_DELEGATE_ACCOUNT || p->delegate == CONF_DELEGATE_NONE;
}

static bool drop_offers(struct txn *t)
{
    bool basic = false;

    for (unsigned i = 0; i < t->response.fields_n; i++) {
        struct field *f = &t->response.fields[i];
        if (f->id != FIELD_ID_WWW_AUTHENTICATE || f->dropped)
            continue;
        basic = basic || auth_offers(f->value, AUTH_SCHEME_BASIC);
        f->dropped = true;
    }
    return basic;
}

/* Not once per request: somebody has to mend the configuration. */
static bool may_say(const struct txn *t)
{
    static uint64_t last_ms; /* atomic */
    uint64_t now = worker_now(txn_worker(t)), last = __atomic_load_n(&last_ms, __ATOMIC_RELAXED);

    if (last != 0 && now - last < SAY_AGAIN_MS)
        return false;
    __atomic_store_n(&last_ms, now, __ATOMIC_RELAXED);
    return true;
}

/* The directory has said that the password is right, and no password will do for this server: a 401 would only make the client
 * ask its owner for another one. */
static enum filter_result no_basic(struct txn *t)
{
    if (may_say(t))
        log_event(LOG_EV_BACKEND_NO_BASIC, LF_STR("server", t->server->url),
                  LF_STR("service", t->match.service->name));
    txn_refuse(t, 502, REASON_BACKEND_NO_BASIC);
    return FILTER_DONE;
}

static enum filter_result no_delegate(struct txn *t)
{
    if (may_say(t))
        log_event(LOG_EV_BACKEND_NO_DELEGATE, LF_STR("server", t->server->url),
                  LF_STR("service", t->match.service->name));
    txn_refuse(t, 502, REASON_BACKEND_NO_DELEGATE);
    return FILTER_DONE;
}

static enum filter_result offers_check(struct txn *t)
{
    struct str challenge;

    if (t->exempt)
        return FILTER_NEXT;
    if (t->response.status != 401) {
        message_drop(&t->response, FIELD_ID_WWW_AUTHENTICATE);
        return FILTER_NEXT;
    }
    if (client_is_not_heard(t->match.publish))
        return no_delegate(t);
    if (!drop_offers(t))
        return no_basic(t);
    challenge =
        arena_printf(&t->arena, "Basic realm=\"%.*s\", charset=\"UTF-8\"", STR_ARG(t->match.publish->realm));
    if (challenge.p != NULL)
        (void)message_add(&t->response, FIELD_ID_WWW_AUTHENTICATE, challenge);
    return FILTER_NEXT;
}

static bool offers_enabled(const struct snapshot *s, const struct conf_publish *p,
                           const struct conf_service *v)
{
    return p->basic != NULL || (p->client_certificate != CONF_CLIENT_OFF && client_is_not_heard(p));
}

const struct filter filter_offers = {
    .name = "offers",
    .doc = "no offers of NTLM and Negotiate to who has signed in with Basic",
    .on = {[PHASE_RESPONSE_HEAD] = offers_check},
    .enabled = offers_enabled,
};
