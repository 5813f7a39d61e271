#include "guard_source.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "lockout.h"

/* ---- addresses ---- */

struct source_address source_address_of(const struct sockaddr *a)
{
    struct source_address r = {{0}};

    if (a->sa_family == AF_INET) {
        r.b[10] = r.b[11] = 0xff;
        memcpy(r.b + 12, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
    } else if (a->sa_family == AF_INET6) {
        const struct in6_addr *in = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
        memcpy(r.b, in->s6_addr, IN6_IS_ADDR_V4MAPPED(in) ? 16 : 8);
    }
    return r;
}

static bool is_v4(const struct source_address *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

void source_address_text(const struct source_address *a, char out[64])
{
    char text[INET6_ADDRSTRLEN] = "";

    if (is_v4(a))
        inet_ntop(AF_INET, a->b + 12, text, sizeof(text));
    else
        inet_ntop(AF_INET6, a->b, text, sizeof(text));
    snprintf(out, 64, "%s%s", text, is_v4(a) ? "" : "/64");
}

void source_text(const struct sockaddr *sa, char out[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)sa;
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)sa;
    bool mapped = sa != NULL && sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);

    out[0] = '\0';
    if (mapped || (sa != NULL && sa->sa_family == AF_INET))
        inet_ntop(AF_INET, mapped ? (const void *)&six->sin6_addr.s6_addr[12] : &four->sin_addr, out,
                  INET6_ADDRSTRLEN);
    else if (sa != NULL && sa->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &six->sin6_addr, out, INET6_ADDRSTRLEN);
}

bool source_address_read(struct str text, struct source_address *ret)
{
    char z[64];
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (str_ends_nocase(text, STR("/64")))
        text.n -= 3;
    if (text.n >= sizeof(z))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (inet_pton(AF_INET, z, &in.sin_addr) == 1)
        *ret = source_address_of((const struct sockaddr *)&in);
    else if (inet_pton(AF_INET6, z, &in6.sin6_addr) == 1)
        *ret = source_address_of((const struct sockaddr *)&in6);
    else
        return false;
    return true;
}

/* ---- bitmaps ---- */

static bool bits_set(struct source_bits *b, uint64_t hash)
{
    uint64_t *word = &b->v[hash % SOURCE_BITS / 64], bit = UINT64_C(1) << (hash % 64);
    bool new = (*word & bit) == 0;

    *word |= bit;
    return new;
}

unsigned source_good_count(const struct guard_source *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SOURCE_BITS / 64; i++)
        n += (unsigned)__builtin_popcountll(s->good.v[i] | s->good_before.v[i]);
    return n;
}

bool source_is_strange(const struct guard_source *s)
{
    return source_good_count(s) == 0;
}

/* ---- windows and locks ---- */

static void failures_forget(struct guard_source *s)
{
    s->accounts = s->credentials = 0;
    s->failed_accounts = s->failed_credentials = (struct source_bits){{0}};
}

/* Who has signed in is known for one window longer, so that a gateway does not begin each window without credit. */
static void window_roll(struct guard_source *s, const struct conf_guard *g, uint64_t now)
{
    uint64_t age = time_since(now, s->window_ms);

    if (s->window_ms != 0 && age <= g->source_window)
        return;
    s->good_before = age <= 2 * g->source_window ? s->good : (struct source_bits){{0}};
    s->good = (struct source_bits){{0}};
    failures_forget(s);
    s->window_ms = now + (now == 0);
}

bool source_locked(const struct guard_source *s, uint64_t now)
{
    return s->until_ms > now;
}

bool source_expire(struct guard_source *s, uint64_t now)
{
    if (s->until_ms == 0 || source_locked(s, now))
        return false;
    source_unlock(s);
    return true;
}

void source_unlock(struct guard_source *s)
{
    s->until_ms = 0;
    failures_forget(s);
}

/* ---- what happened ---- */

static bool over_limit(const struct guard_source *s, const struct conf_guard *g, bool strict)
{
    unsigned good = source_good_count(s), accounts = g->source_accounts;

    if (strict && good == 0 && (accounts == 0 || accounts > 2))
        accounts = 2;
    else if (accounts > 0)
        accounts += good * g->nat_allowance / 100;
    return (accounts > 0 && s->accounts >= accounts) ||
           (g->source_failures > 0 && s->credentials >= g->source_failures + good);
}

enum source_count source_fail(struct guard_source *s, const struct conf_guard *g, uint64_t account,
                              uint64_t credential, bool strict, uint64_t now)
{
    if (source_locked(s, now))
        return SOURCE_SAME;
    window_roll(s, g, now);
    s->last_ms = now;
    if (!bits_set(&s->failed_credentials, credential))
        return SOURCE_SAME;
    s->credentials++;
    if (bits_set(&s->failed_accounts, account))
        s->accounts++;
    if (!over_limit(s, g, strict))
        return SOURCE_COUNTED;
    s->until_ms = now + g->source_lock_time;
    return SOURCE_LOCKS;
}

void source_succeed(struct guard_source *s, const struct conf_guard *g, uint64_t account, uint64_t now)
{
    window_roll(s, g, now);
    s->last_ms = now;
    (void)bits_set(&s->good, account);
}

bool source_may_wait(const struct guard_source *s, const struct conf_guard *g)
{
    return s->waiting < g->source_waiting + source_good_count(s);
}

enum source_class source_class(const struct guard_source *s, uint64_t now)
{
    if (source_locked(s, now))
        return SOURCE_CLASS_LOCKED;
    if (s->accounts >= 2)
        return SOURCE_CLASS_FAILING;
    if (!source_is_strange(s))
        return SOURCE_CLASS_GOOD;
    return s->credentials > 0 ? SOURCE_CLASS_FAILED : SOURCE_CLASS_NEW;
}

/* ---- all strange addresses ---- */

bool strange_alarm(struct strange_count *c, const struct conf_guard *g, uint64_t now, bool *ret_over)
{
    bool was = c->alarm;

    if (time_since(now, c->window_ms) > g->source_window)
        *c = (struct strange_count){.window_ms = now};
    *ret_over = was && !c->alarm;
    return c->alarm;
}

bool strange_fail(struct strange_count *c, const struct conf_guard *g, uint64_t now)
{
    bool over, was = strange_alarm(c, g, now, &over);

    c->failures++;
    c->alarm = g->strange_failures > 0 && c->failures >= g->strange_failures;
    return c->alarm && !was;
}
