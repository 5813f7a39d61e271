#include "credential_cache.h"

#include "lockout.h"

struct proved *cache_proved(struct credential_cache *c, const struct mac *m, uint64_t now)
{
    for (unsigned i = 0; i < PROVED_KEPT; i++) {
        struct proved *p = &c->proved[i];
        if (p->at_ms != 0 && mac_eq(&p->credential, m) && time_since(now, p->at_ms) <= FORMERLY_MS)
            return p;
    }
    return NULL;
}

void cache_prove(struct credential_cache *c, const struct mac *m, uint64_t password, uint64_t groups,
                 uint64_t lifetime, uint64_t now)
{
    struct proved *to = cache_proved(c, m, now);

    for (unsigned i = 0; i < PROVED_KEPT; i++) {
        if (c->proved[i].password != password)
            c->proved[i].fresh_until_ms = 0;
    }
    for (unsigned i = 0; to == NULL && i < PROVED_KEPT; i++) {
        if (c->proved[i].at_ms == 0)
            to = &c->proved[i];
    }
    if (to == NULL)
        to = c->proved[0].at_ms <= c->proved[1].at_ms ? &c->proved[0] : &c->proved[1];
    *to = (struct proved){.credential = *m,
                          .password = password,
                          .at_ms = now + (now == 0),
                          .fresh_until_ms = now + lifetime,
                          .groups = groups};
    for (unsigned i = 0; i < WRONG_KEPT; i++) {
        if (c->wrong[i].seen_ms != 0 && mac_eq(&c->wrong[i].credential, m))
            c->wrong[i] = (struct known_wrong){0};
    }
}

void cache_doubt(struct credential_cache *c, const struct mac *m)
{
    for (unsigned i = 0; i < PROVED_KEPT; i++) {
        if (mac_eq(&c->proved[i].credential, m))
            c->proved[i].fresh_until_ms = 0;
    }
}

static struct known_wrong *wrong_find(struct credential_cache *c, const struct mac *m)
{
    for (unsigned i = 0; i < WRONG_KEPT; i++) {
        if (c->wrong[i].seen_ms != 0 && mac_eq(&c->wrong[i].credential, m))
            return &c->wrong[i];
    }
    return NULL;
}

struct known_wrong *cache_wrong(struct credential_cache *c, const struct mac *m, uint64_t now)
{
    struct known_wrong *w = wrong_find(c, m);

    return w != NULL && w->until_ms > now ? w : NULL;
}

/* A phone repeats itself: the one not seen for longest is a guess that will not come again. */
static struct known_wrong *wrong_slot(struct credential_cache *c)
{
    struct known_wrong *to = &c->wrong[0];

    for (unsigned i = 1; i < WRONG_KEPT; i++) {
        if (c->wrong[i].seen_ms < to->seen_ms)
            to = &c->wrong[i];
    }
    return to;
}

void cache_refute(struct credential_cache *c, const struct mac *m, uint64_t first, uint64_t longest,
                  uint64_t now)
{
    struct known_wrong *w = wrong_find(c, m);
    uint64_t wait = w != NULL ? 2 * (uint64_t)w->wait_ms : first;
    uint32_t times = w != NULL ? w->times : 0;

    for (unsigned i = 0; i < PROVED_KEPT; i++) {
        if (mac_eq(&c->proved[i].credential, m))
            c->proved[i] = (struct proved){0};
    }
    if (first == 0)
        return;
    if (wait > longest)
        wait = longest;
    if (w == NULL)
        w = wrong_slot(c);
    *w = (struct known_wrong){.credential = *m,
                              .until_ms = now + wait,
                              .seen_ms = now + (now == 0),
                              .wait_ms = wait < UINT32_MAX ? (uint32_t)wait : UINT32_MAX,
                              .times = times};
}

bool cache_any_proved(const struct credential_cache *c, uint64_t now)
{
    for (unsigned i = 0; i < PROVED_KEPT; i++) {
        if (c->proved[i].at_ms != 0 && time_since(now, c->proved[i].at_ms) <= FORMERLY_MS)
            return true;
    }
    return false;
}

bool cache_any_wrong(const struct credential_cache *c, uint64_t now)
{
    for (unsigned i = 0; i < WRONG_KEPT; i++) {
        if (c->wrong[i].until_ms > now)
            return true;
    }
    return false;
}
