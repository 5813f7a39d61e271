#include "guard_account.h"

struct lockout_rules account_rules(const struct conf_guard *g)
{
    return (struct lockout_rules){
        .failures = g->account_failures, .window = g->account_window, .lock_time = g->account_lock_time};
}

bool detail_is_guess(enum auth_detail d)
{
    switch (d) {
    case AUTH_DETAIL_NOT_NOW:
    case AUTH_DETAIL_NOT_HERE:
    case AUTH_DETAIL_PASSWORD_EXPIRED:
    case AUTH_DETAIL_ACCOUNT_DISABLED:
    case AUTH_DETAIL_ACCOUNT_EXPIRED:
    case AUTH_DETAIL_MUST_CHANGE_PASSWORD:
    case AUTH_DETAIL_NOT_MEMBER:
        return false;
    default:
        return true;
    }
}

/* ---- places ---- */

static bool is_place(const struct guard_account *a, uint64_t place)
{
    for (unsigned i = 0; place != 0 && i < PLACES_KEPT; i++) {
        if (a->places[i] == place)
            return true;
    }
    return false;
}

void account_add_place(struct guard_account *a, uint64_t place)
{
    if (place == 0 || is_place(a, place))
        return;
    a->places[a->next_place] = place;
    a->next_place = (uint8_t)((a->next_place + 1) % PLACES_KEPT);
}

/* ---- comparing while locked ---- */

static bool probe_seen(const struct guard_account *a, uint64_t credential)
{
    for (unsigned i = 0; i < PROBES_SEEN; i++) {
        if (a->probes[i] == credential)
            return true;
    }
    return false;
}

static void probes_forget(struct guard_account *a, uint64_t now)
{
    a->probes_since_ms = now;
    a->probes_known = a->probes_strange = 0;
    memset(a->probes, 0, sizeof(a->probes));
}

/* Decided before the comparison, so that the answer past the limit is the same whether the password is right or not. */
static bool probe_allowed(struct guard_account *a, const struct conf_guard *g,
                          const struct account_attempt *t, bool known, uint64_t now)
{
    unsigned limit = g->account_failures > 0 ? g->account_failures : 1;

    if (time_since(now, a->probes_since_ms) > g->account_window)
        probes_forget(a, now);
    if (t->braked && !known)
        return false;
    return probe_seen(a, mac_short(&t->credential)) ||
           (known ? a->probes_known < 2 * limit : a->probes_strange < limit);
}

static void probe_note(struct guard_account *a, const struct account_attempt *t, bool known)
{
    uint64_t credential = mac_short(&t->credential);

    if (probe_seen(a, credential))
        return;
    a->probes[a->next_probe] = credential;
    a->next_probe = (uint8_t)((a->next_probe + 1) % PROBES_SEEN);
    if (known)
        a->probes_known++;
    else
        a->probes_strange++;
}

/* ---- an attempt ---- */

static enum account_step consider_refused(struct guard_account *a, const struct conf_guard *g,
                                          const struct account_attempt *t, enum account_step refused,
                                          uint64_t now, const struct proved **ret_proved)
{
    bool known = is_place(a, t->places[0]) || is_place(a, t->places[1]);
    const struct proved *p;

    if (!probe_allowed(a, g, t, known, now))
        return refused;
    p = cache_proved(&a->cache, &t->credential, now);
    if (p == NULL) {
        probe_note(a, t, known);
        return refused;
    }
    *ret_proved = p;
    if (p->fresh_until_ms > now)
        return STEP_PROVED;
    return a->asked_again ? refused : STEP_ASK_AGAIN;
}

enum account_step account_consider(struct guard_account *a, const struct conf_guard *g,
                                   const struct account_attempt *t, uint64_t now,
                                   const struct proved **ret_proved)
{
    bool locked = lockout_locked(&a->lockout, now) && !t->exempt, braked = t->braked && !t->exempt;
    struct known_wrong *w = cache_wrong(&a->cache, &t->credential, now);
    const struct proved *p;

    if (w != NULL) {
        w->seen_ms = now;
        w->times++;
    }
    if (w != NULL)
        return locked ? STEP_LOCKED : braked ? STEP_BRAKED : STEP_KNOWN_WRONG;
    if (locked || braked)
        return consider_refused(a, g, t, locked ? STEP_LOCKED : STEP_BRAKED, now, ret_proved);
    p = cache_proved(&a->cache, &t->credential, now);
    if (p == NULL || p->fresh_until_ms <= now)
        return STEP_ASK;
    *ret_proved = p;
    return STEP_PROVED;
}

enum account_step account_begin(struct guard_account *a, const struct conf_guard *g, bool again, bool exempt,
                                uint64_t now)
{
    struct lockout_rules r = account_rules(g);

    if (!again && !exempt) {
        if (lockout_locked(&a->lockout, now))
            return STEP_LOCKED;
        if (r.failures > 0 && lockout_failures(&a->lockout, &r, now) + a->running >= r.failures)
            return STEP_HOLD;
    } else if (again && a->asked_again) {
        return STEP_LOCKED;
    } else if (again && a->running > 0) {
        return STEP_HOLD;
    }
    a->running++;
    return STEP_ASK;
}

void account_right(struct guard_account *a, const struct conf_guard *g, const struct mac *credential,
                   uint64_t password, uint64_t groups, uint64_t now)
{
    cache_prove(&a->cache, credential, password, groups, g->cache_time, now);
    lockout_success(&a->lockout, now);
}

bool account_wrong(struct guard_account *a, const struct conf_guard *g, const struct mac *credential,
                   enum auth_detail detail, unsigned attempts, bool again, uint64_t now)
{
    struct lockout_rules r = account_rules(g);
    bool guess = detail_is_guess(detail), locks = false;

    cache_refute(&a->cache, credential, g->known_wrong_time,
                 guess ? g->known_wrong_longest : g->known_wrong_time, now);
    a->detail = detail;
    a->failed_ms = now;
    if (!guess)
        return false;
    a->asked_again = a->asked_again || again;
    for (unsigned i = 0; i < attempts && !locks; i++)
        locks = lockout_fail(&a->lockout, &r, now);
    if (locks) {
        a->asked_again = false;
        probes_forget(a, now);
    }
    return locks;
}

bool account_may_fail_twice(const struct guard_account *a, const struct conf_guard *g, uint64_t now)
{
    struct lockout_rules r = account_rules(g);

    return !lockout_locked(&a->lockout, now) &&
           (r.failures == 0 || lockout_failures(&a->lockout, &r, now) + a->running + 1 < r.failures);
}

/* ---- the end of a lock ---- */

static void lock_over(struct guard_account *a, uint64_t now)
{
    a->asked_again = false;
    probes_forget(a, now);
}

bool account_expire(struct guard_account *a, uint64_t now)
{
    if (!lockout_expire(&a->lockout, now))
        return false;
    lock_over(a, now);
    return true;
}

bool account_unlock(struct guard_account *a, uint64_t now)
{
    bool was = lockout_locked(&a->lockout, now);

    a->lockout = (struct lockout){0};
    memset(a->cache.wrong, 0, sizeof(a->cache.wrong));
    lock_over(a, now);
    return was;
}

enum account_class account_class(const struct guard_account *a, const struct conf_guard *g, uint64_t now)
{
    struct lockout_rules r = account_rules(g);
    unsigned failures = lockout_failures(&a->lockout, &r, now);

    if (a->flights != NULL)
        return ACCOUNT_PINNED;
    if (lockout_locked(&a->lockout, now))
        return ACCOUNT_LOCKED;
    if (failures >= 2)
        return ACCOUNT_FAILING;
    if (cache_any_proved(&a->cache, now))
        return ACCOUNT_PROVED;
    return failures > 0 || cache_any_wrong(&a->cache, now) ? ACCOUNT_FAILED : ACCOUNT_EMPTY;
}
