/*
 * One look-up, however many wait for it. It is counted on the auth pool's thread as soon as the directory has spoken, so that
 * nothing that is begun afterwards can overtake a lock, and whether or not its beginner is still there.
 */
#include <stdlib.h>

#include "guard_int.h"

/* ---- life ---- */

static void flight_unref(struct guard_flight *f)
{
    if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(f);
}

struct guard_flight *flight_find(struct guard_account *a, const struct mac *credential)
{
    struct guard_flight *f = a->flights;

    while (f != NULL && !mac_eq(&f->credential, credential))
        f = f->next;
    return f;
}

void flight_join(struct guard_flight *f, struct guard_ticket *t)
{
    t->shard = f->shard;
    t->next = f->tickets;
    t->link = &f->tickets;
    if (t->next != NULL)
        t->next->link = &t->next;
    f->tickets = t;
}

static struct guard_ticket *tickets_take(struct guard_flight *f)
{
    struct guard_ticket *chain = f->tickets;

    f->tickets = NULL;
    for (struct guard_ticket *t = chain; t != NULL; t = t->next) {
        t->link = NULL;
        t->posted = true;
    }
    return chain;
}

/* Nobody finds it any more; the account may go when it has no other. */
static void flight_unlist(struct guard_flight *f, uint64_t now)
{
    struct guard_flight **link;

    if (!f->listed)
        return;
    link = &f->account->flights;
    while (*link != f)
        link = &(*link)->next;
    *link = f->next;
    f->listed = false;
    guard_account_settle(f->guard, f->shard, f->account, now);
    f->account = NULL;
}

/* ---- the end: who waits is told ---- */

static void source_counts(struct guard_flight *f, struct guard_ticket *chain, enum guard_answer answer)
{
    uint64_t credential = mac_short(&f->credential);

    if (answer == GUARD_RIGHT)
        guard_source_succeeded(f->guard, &f->source, f->account_hash);
    else if (guard_is_failure(answer) && !f->exempt)
        guard_source_failed(f->guard, &f->source, f->account_hash, credential);
    for (struct guard_ticket *t = chain; t != NULL; t = t->next) {
        if (memcmp(&t->source, &f->source, sizeof(t->source)) == 0)
            continue;
        if (answer == GUARD_RIGHT)
            guard_source_succeeded(f->guard, &t->source, f->account_hash);
        else if (guard_is_failure(answer) && !t->exempt)
            guard_source_failed(f->guard, &t->source, f->account_hash, credential);
    }
}

/* The lock is held on entry, and not on return. */
static void flight_land(struct guard_flight *f, const struct guard_result *r, bool unlist)
{
    struct guard_ticket *chain = tickets_take(f);

    if (unlist)
        flight_unlist(f, guard_now());
    pthread_mutex_unlock(&f->shard->lock);
    source_counts(f, chain, r->answer);
    tickets_post(chain, r);
}

/* ---- on the auth pool's thread ---- */

static bool source_is_locked(struct guard *g, const struct source_address *a)
{
    struct mac key = guard_source_key(g, a);
    struct guard_shard *s = shard_of(g->sources, &key);
    const struct guard_source *v;
    bool locked;

    if (__atomic_load_n(&g->sources_locked, __ATOMIC_RELAXED) == 0)
        return false;
    pthread_mutex_lock(&s->lock);
    v = table_find(&s->table, &key);
    locked = v != NULL && source_locked(v, guard_now());
    pthread_mutex_unlock(&s->lock);
    return locked;
}

/* What has happened while it waited in the queue may forbid it. */
static bool flight_may_ask(struct guard_flight *f)
{
    static const enum guard_answer answers[] = {
        [STEP_LOCKED] = GUARD_LOCKED, [STEP_BRAKED] = GUARD_BRAKED, [STEP_HOLD] = GUARD_BUSY};
    struct guard *g = f->guard;
    bool braked = !f->exempt && !f->again && source_is_locked(g, &f->source);
    enum account_step step = STEP_BRAKED;
    struct guard_result r;

    pthread_mutex_lock(&f->shard->lock);
    if (!braked)
        step = account_begin(f->account, guard_numbers(g), f->again, f->exempt, guard_now());
    if (step == STEP_ASK) {
        pthread_mutex_unlock(&f->shard->lock);
        return true;
    }
    guard_count(g,
                step == STEP_HOLD     ? METRIC_AUTH_HELD
                : step == STEP_LOCKED ? METRIC_AUTH_LOCKED
                                      : METRIC_AUTH_BRAKED,
                1);
    r = guard_result_of(g, answers[step], f->account, guard_now());
    flight_land(f, &r, true);
    return false;
}

static void flight_right(struct guard_flight *f, const struct auth_result *said, uint64_t now)
{
    struct guard_account *a = f->account;

    account_right(a, guard_numbers(f->guard), &f->credential, f->password, said->groups, now);
    account_add_place(a, f->place);
    for (const struct guard_ticket *t = f->tickets; t != NULL; t = t->next)
        account_add_place(a, t->place);
}

static void flight_wrong(struct guard_flight *f, enum auth_detail detail, unsigned attempts, uint64_t now)
{
    struct guard_account *a = f->account;
    const struct conf_guard *n = guard_numbers(f->guard);

    a->trace = f->trace;
    if (account_wrong(a, n, &f->credential, detail, attempts, f->again, now))
        guard_say_locked(f->guard, str_of(a->name), a->lockout.failures, detail, &a->trace);
}

static void flight_judged(struct guard_flight *f, const struct auth_result *said, unsigned attempts)
{
    static const enum guard_answer answers[] = {[VERDICT_OK] = GUARD_RIGHT,
                                                [VERDICT_WRONG] = GUARD_WRONG,
                                                [VERDICT_UNAVAILABLE] = GUARD_UNAVAILABLE,
                                                [VERDICT_TIMEOUT] = GUARD_TIMEOUT,
                                                [VERDICT_BUSY] = GUARD_BUSY};
    uint64_t now = guard_now();
    struct guard_result r;

    pthread_mutex_lock(&f->shard->lock);
    f->account->running--;
    if (said->verdict == VERDICT_OK)
        flight_right(f, said, now);
    else if (said->verdict == VERDICT_WRONG)
        flight_wrong(f, said->detail, attempts, now);
    r = guard_result_of(f->guard, answers[said->verdict], f->account, now);
    r.detail = said->detail;
    r.groups = said->groups;
    memcpy(r.proof.credential, f->credential.b, sizeof(r.proof.credential));
    flight_land(f, &r, true);
}

/* One second try, if the octets make sense in ISO-8859-1 too, and if it cannot lock the account. */
static bool flight_reads_again(struct guard_flight *f, const struct basic_credentials *c,
                               struct basic_credentials *ret)
{
    bool may;

    if (!f->ambiguous || !basic_read_as(c, BASIC_LATIN1, ret))
        return false;
    pthread_mutex_lock(&f->shard->lock);
    may = account_may_fail_twice(f->account, guard_numbers(f->guard), guard_now());
    pthread_mutex_unlock(&f->shard->lock);
    return may;
}

static void flight_verify(void *state, const struct basic_credentials *c, const char *client,
                          uint64_t timeout_ms, struct auth_result *ret)
{
    struct guard_flight *f = state;
    struct basic_credentials second;
    uint64_t began = guard_now(), used;
    unsigned attempts = 1;

    if (!flight_may_ask(f)) {
        *ret = (struct auth_result){.verdict = VERDICT_BUSY, .detail = AUTH_DETAIL_BUSY};
        return;
    }
    guard_count(f->guard, METRIC_AUTH_ASKED, 1);
    f->inner->type->verify(f->inner->state, c, f->client, timeout_ms, ret);
    used = time_since(guard_now(), began);
    if (ret->verdict == VERDICT_WRONG && detail_is_guess(ret->detail) && used < timeout_ms &&
        flight_reads_again(f, c, &second)) {
        struct auth_result again = {0};
        guard_count(f->guard, METRIC_AUTH_ASKED, 1);
        guard_count(f->guard, METRIC_AUTH_SECOND_CHARSET, 1);
        f->inner->type->verify(f->inner->state, &second, f->client, timeout_ms - used, &again);
        attempts = again.verdict == VERDICT_WRONG ? 2 : 1;
        if (again.verdict == VERDICT_OK)
            *ret = again;
        basic_forget(&second);
    }
    flight_judged(f, ret, attempts);
}

/* ---- on the beginner's worker ---- */

/* Unless the thread has told everybody already: the deadline has passed, or nobody could be asked. */
static void flight_done(void *ctx, const struct auth_result *r)
{
    struct guard_flight *f = ctx;
    enum guard_answer answer = r->verdict == VERDICT_TIMEOUT ? GUARD_TIMEOUT
                               : r->verdict == VERDICT_BUSY  ? GUARD_BUSY
                                                             : GUARD_UNAVAILABLE;
    struct guard_result result = guard_result_of(f->guard, answer, NULL, 0);

    result.detail = r->detail;
    pthread_mutex_lock(&f->shard->lock);
    f->late = true;
    flight_land(f, &result, false);
}

/* The auth pool has nothing to do with it any more. */
static void flight_gone(void *state)
{
    struct guard_flight *f = state;

    pthread_mutex_lock(&f->shard->lock);
    flight_unlist(f, guard_now());
    pthread_mutex_unlock(&f->shard->lock);
    guard_source_waits(f->guard, &f->source, false);
    flight_unref(f);
}

static const struct verifier_type flight_type = {.verify = flight_verify};

struct guard_flight *flight_new(struct guard *g, struct guard_shard *s, struct guard_account *a,
                                struct verifier *inner)
{
    struct guard_flight *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return NULL;
    f->guard = g;
    f->shard = s;
    f->account = a;
    f->inner = inner;
    f->wrapper = (struct verifier){
        .type = &flight_type, .directory = inner->directory, .state = f, .gone = flight_gone};
    f->refs = 2;
    f->listed = true;
    f->next = a->flights;
    a->flights = f;
    return f;
}

void flight_submit(struct guard_flight *f, struct worker *w, struct snapshot *snapshot,
                   const struct basic_credentials *c, uint64_t timeout_ms)
{
    struct auth_result refused = {0};

    guard_source_waits(f->guard, &f->source, true);
    if (auth_submit(f->guard->pool, w, snapshot, &f->wrapper, c, timeout_ms, flight_done, f, &refused) ==
        NULL)
        flight_done(f, &refused);
    flight_unref(f);
}
