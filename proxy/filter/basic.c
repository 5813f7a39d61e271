/*
 * Basic pre-authentication: no byte reaches the interior, and no body is read, before a directory has vouched for the
 * credentials (RFC 7617).
 */
#include <postern/txn.h>

#include "filters_int.h"

static enum filter_result basic_challenge(struct txn *t, enum reason why)
{
    const struct conf_publish *p = t->match.publish;
    struct reply r = {.status = 401};

    r.challenge = arena_printf(&t->arena, "Basic realm=\"%.*s\", charset=\"UTF-8\"", STR_ARG(p->realm));
    if (r.challenge.p == NULL)
        txn_refuse(t, 500, REASON_NO_MEMORY);
    else
        txn_reply(t, &r, why);
    return FILTER_DONE;
}

static enum filter_result basic_later(struct txn *t, const struct guard_result *g, enum reason why)
{
    struct reply r = {.status = 503, .retry_after_s = txn_client_returns(t) ? g->retry_after_s : 0};

    txn_reply(t, &r, why);
    return FILTER_DONE;
}

/* Membership of any one of the required groups is enough. */
static bool groups_suffice(const struct txn *t)
{
    uint64_t wanted = t->match.publish->groups;

    return wanted == 0 || (t->auth_result.groups & wanted) != 0;
}

static enum filter_result basic_right(struct txn *t, const struct guard_result *g)
{
    if (!groups_suffice(t)) {
        t->auth_result.detail = AUTH_DETAIL_NOT_MEMBER;
        txn_refuse(t, 403, REASON_AUTH_NOT_MEMBER);
        return FILTER_DONE;
    }
    t->authenticated = true;
    t->proof = g->proof;
    return FILTER_NEXT;
}

/* What each answer means for the client. A statement that nobody could make is never a 401. */
static enum filter_result basic_answer(struct txn *t, const struct guard_result *g)
{
    static const enum reason reasons[] = {
        [GUARD_WRONG] = REASON_AUTH_FAILED,    [GUARD_KNOWN_WRONG] = REASON_AUTH_KNOWN_WRONG,
        [GUARD_REFUSED] = REASON_AUTH_DOMAIN,  [GUARD_LOCKED] = REASON_AUTH_LOCKED,
        [GUARD_BRAKED] = REASON_AUTH_BRAKED,   [GUARD_UNAVAILABLE] = REASON_AUTH_UNAVAILABLE,
        [GUARD_TIMEOUT] = REASON_AUTH_TIMEOUT, [GUARD_BUSY] = REASON_AUTH_BUSY,
    };
    bool locked = g->answer == GUARD_LOCKED || g->answer == GUARD_BRAKED;

    t->auth_asked = true;
    t->auth_result = (struct auth_result){.verdict = g->answer == GUARD_RIGHT ? VERDICT_OK : VERDICT_WRONG,
                                          .detail = g->detail,
                                          .groups = g->groups};
    if (g->answer == GUARD_RIGHT)
        return basic_right(t, g);
    if (!guard_is_failure(g->answer))
        return basic_later(t, g, reasons[g->answer]);
    metrics_add(txn_worker(t)->metrics, METRIC_AUTH_FAILURES, 1);
    if (locked && txn_client_returns(t))
        return basic_later(t, g, reasons[g->answer]);
    return basic_challenge(t, reasons[g->answer]);
}

static void basic_done(void *ctx, const struct guard_result *g)
{
    struct txn *t = ctx;

    t->auth = NULL;
    if (basic_answer(t, g) == FILTER_NEXT)
        txn_resume(t);
}

static enum filter_result basic_ask(struct txn *t, const struct basic_credentials *c)
{
    struct guard_result now;

    metrics_add(txn_worker(t)->metrics, METRIC_AUTH_ATTEMPTS, 1);
    t->user = arena_str(&t->arena, (struct str){c->user, c->user_n});
    t->auth = txn_submit_auth(t, c, basic_done, &now);
    return t->auth != NULL ? FILTER_WAIT : basic_answer(t, &now);
}

static void basic_refused(void *ctx, const struct guard_result *g)
{
    struct txn *t = ctx;

    t->auth = NULL;
    metrics_add(txn_worker(t)->metrics, METRIC_AUTH_FAILURES, 1);
    (void)basic_challenge(t, t->reason);
}

/* Credentials that cannot be right cost their sender the time of wrong ones. */
static enum filter_result basic_refuse(struct txn *t, enum reason why)
{
    t->reason = why;
    t->auth = txn_refuse_auth(t, basic_refused);
    return t->auth != NULL ? FILTER_WAIT : basic_challenge(t, why);
}

static enum filter_result basic_check(struct txn *t)
{
    const struct field *f = message_find(&t->request, FIELD_ID_AUTHORIZATION);
    struct basic_credentials c;
    enum filter_result r;

    if (t->exempt)
        return FILTER_NEXT;
    if (f == NULL)
        return basic_challenge(t, REASON_AUTH_MISSING);
    switch (basic_parse(f->value, &c)) {
    case BASIC_OK:
        break;
    case BASIC_ABSENT:
        return basic_challenge(t, REASON_AUTH_MISSING);
    case BASIC_EMPTY:
        return basic_refuse(t, REASON_AUTH_EMPTY);
    case BASIC_MALFORMED:
        return basic_refuse(t, REASON_AUTH_MALFORMED);
    }
    r = basic_ask(t, &c);
    basic_forget(&c);
    return r;
}

/* The password has changed since it was proved, as far as the interior is concerned: the next request asks again. */
static enum filter_result basic_doubt(struct txn *t)
{
    enum conf_delegate d = t->match.publish->delegate;

    if (t->authenticated && t->response.status == 401 && d != CONF_DELEGATE_NONE &&
        d != CONF_DELEGATE_ACCOUNT)
        txn_doubt_auth(t);
    return FILTER_NEXT;
}

static void basic_cancel(struct txn *t)
{
    if (t->auth != NULL)
        guard_cancel(t->auth);
    t->auth = NULL;
}

static bool basic_enabled(const struct snapshot *s, const struct conf_publish *p,
                          const struct conf_service *v)
{
    return p->basic != NULL;
}

const struct filter filter_basic = {
    .name = "basic",
    .doc = "Basic credentials proved by a directory",
    .on = {[PHASE_AUTH] = basic_check, [PHASE_RESPONSE_HEAD] = basic_doubt},
    .enabled = basic_enabled,
    .cancel = basic_cancel,
};
