#include "lockout.h"

bool lockout_locked(const struct lockout *l, uint64_t now)
{
    return l->until_ms > now;
}

unsigned lockout_failures(const struct lockout *l, const struct lockout_rules *r, uint64_t now)
{
    return time_since(now, l->last_ms) > r->window ? 0 : l->failures;
}

bool lockout_fail(struct lockout *l, const struct lockout_rules *r, uint64_t now)
{
    if (lockout_locked(l, now))
        return false;
    l->failures = (uint16_t)(lockout_failures(l, r, now) + 1);
    l->last_ms = now;
    if (r->failures == 0 || l->failures < r->failures) {
        l->failures = l->failures < 60000 ? l->failures : 60000;
        return false;
    }
    l->until_ms = now + r->lock_time;
    return true;
}

void lockout_success(struct lockout *l, uint64_t now)
{
    if (!lockout_locked(l, now))
        l->failures = 0;
}

bool lockout_expire(struct lockout *l, uint64_t now)
{
    if (l->until_ms == 0 || lockout_locked(l, now))
        return false;
    l->until_ms = 0;
    l->failures = 0;
    return true;
}
