#include <string.h>

#include <postern/pace.h>

void pace_begin(struct pace *p, uint64_t bytes)
{
    memset(p, 0, sizeof(*p));
    p->bytes_at = bytes;
}

void pace_wait(struct pace *p, uint64_t now_ms)
{
    if (p->waits)
        return;
    p->waits = true;
    p->since = now_ms;
}

void pace_rest(struct pace *p, uint64_t now_ms)
{
    if (!p->waits)
        return;
    p->waits = false;
    p->waited += now_ms - p->since;
}

uint64_t pace_judge(struct pace *p, const struct pace_limit *l, uint64_t bytes, uint64_t now_ms)
{
    uint64_t all = l->bytes_per_s * l->grace_ms, earned = (bytes - p->bytes_at) * 1000;

    if (l->bytes_per_s == 0)
        return UINT64_MAX;
    if (p->waits) {
        p->waited += now_ms - p->since;
        p->since = now_ms;
    }
    p->used += p->waited * l->bytes_per_s;
    p->used -= earned < p->used ? earned : p->used;
    p->waited = 0;
    p->bytes_at = bytes;
    if (p->used >= all)
        return 0;
    return p->waits ? (all - p->used) / l->bytes_per_s + 1 : UINT64_MAX;
}
