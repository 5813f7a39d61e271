/*
 * behave: how slow, how faulty and how large the answers of a service are. Constant once the options are read; what a
 * request gets is drawn at random by its worker.
 */
#include <stdio.h>
#include <stdlib.h>
#include "cas.h"

#define SIZE_MAX_BYTES (64 * 1024 * 1024)
#define TIME_MAX_MS 86400000
#define MILLION 1000000

struct span {
    uint64_t min, max;
};

static struct behaviour {
    bool known;
    struct span latency, slow, size; /* ms, ms, bytes */
    uint64_t slow_share, fail_share; /* of a million */
    unsigned status;                 /* of a failure; 0: a fault */
    char fault[32];
} behaviours[SERVICE_COUNT];

/* --- reading --- */

struct unit {
    const char *name;
    uint64_t value;
};
static const struct unit times[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1}, {"k", 1024}, {"M", 1048576}, {NULL, 0}};

static bool number(struct str s, const struct unit *units, uint64_t max, uint64_t *ret)
{
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    for (; units->name; units++)
        if (str_eq((struct str){s.p + digits, s.n - digits}, str_of(units->name)))
            return str_to_u64((struct str){s.p, digits}, ret) && *ret <= max / units->value &&
                   (*ret *= units->value, true);
    return false;
}

/* One, or two with '-' between. */
static bool span(struct str s, const struct unit *units, uint64_t max, struct span *ret)
{
    struct str first;
    if (!str_next(&s, '-', &first) || !number(first, units, max, &ret->min))
        return false;
    ret->max = ret->min;
    return !s.n || (number(s, units, max, &ret->max) && ret->max >= ret->min);
}

/* "0.5%" of a million. */
static bool share(struct str s, uint64_t *ret)
{
    struct str whole;
    uint64_t n, scale = MILLION / 100, fraction = 0;
    if (!s.n || s.p[s.n - 1] != '%')
        return false;
    s.n--;
    if (!str_next(&s, '.', &whole) || !str_to_u64(whole, &n) || n > 100 || s.n > 4 ||
        (s.n && !str_to_u64(s, &fraction)))
        return false;
    *ret = n * scale;
    for (size_t i = 0; i < s.n; i++)
        scale /= 10;
    *ret += fraction * scale;
    return *ret <= MILLION;
}

static bool failure(struct str what, struct behaviour *b)
{
    uint64_t status;
    b->status = 0;
    if (str_to_u64(what, &status)) {
        b->status = (unsigned)status;
        return status >= 400 && status <= 599;
    }
    if (!fault_known(what) || what.n >= sizeof b->fault)
        return false;
    snprintf(b->fault, sizeof b->fault, "%.*s", STR_ARG(what));
    return true;
}

static bool take(struct str setting, struct behaviour *b)
{
    struct str name, first;
    if (!str_next(&setting, '=', &name))
        return false;
    if (str_eq(name, STR("latency")))
        return span(setting, times, TIME_MAX_MS, &b->latency);
    if (str_eq(name, STR("size")))
        return span(setting, sizes, SIZE_MAX_BYTES, &b->size);
    if (!str_next(&setting, ':', &first))
        return false;
    if (str_eq(name, STR("slow")))
        return share(first, &b->slow_share) && span(setting, times, TIME_MAX_MS, &b->slow);
    return str_eq(name, STR("fail")) && share(first, &b->fail_share) && failure(setting, b);
}

static bool served(enum service s)
{
    return s != SERVICE_OTHER && s != SERVICE_SIM;
}

bool behave_add(const char *text)
{
    struct str rest = str_of(text), name, setting;
    struct behaviour b = {.known = true};
    bool found = false;
    if (!str_next(&rest, ' ', &name))
        return false;
    while (str_next(&rest, ' ', &setting))
        if (setting.n && !take(setting, &b)) {
            fprintf(
                stderr,
                "postern-cas: `%.*s`: give latency=20ms-80ms, slow=1%%:2s-5s, fail=0.5%%:503 (or a fault of "
                "/sim/) or size=1k-64k\n",
                STR_ARG(setting));
            return false;
        }
    for (enum service s = 0; s < SERVICE_COUNT; s++)
        if (served(s) && (str_eq(name, STR("all")) || str_eq(name, str_of(service_names[s])))) {
            behaviours[s] = b;
            found = true;
        }
    if (!found)
        fprintf(
            stderr,
            "postern-cas: `%.*s` is no service: give all, or one of owa activesync rpc autodiscover ews mapi "
            "oab unified_messaging webdav\n",
            STR_ARG(name));
    return found;
}

bool behave_read(const char *path)
{
    char line[512];
    FILE *f = fopen(path, "re");
    bool good = f != NULL;
    if (!f)
        perror(path);
    for (unsigned n = 1; good && fgets(line, sizeof line, f); n++) {
        line[strcspn(line, "#\r\n")] = 0;
        good = !line[strspn(line, " ")] || behave_add(line);
        if (!good)
            fprintf(stderr, "postern-cas: %s, line %u\n", path, n);
    }
    if (f)
        fclose(f);
    return good;
}

/* --- behaving --- */

/* xorshift64*, as good as is needed here. */
static uint64_t next_random(struct worker *w)
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (w->random * UINT64_C(2685821657736338717)) >> 16;
}

static uint64_t draw(struct worker *w, struct span s)
{
    return s.min + (s.max > s.min ? next_random(w) % (s.max - s.min + 1) : 0);
}

static bool happens(struct worker *w, uint64_t of_a_million)
{
    return of_a_million && next_random(w) % MILLION < of_a_million;
}

bool behave_fails(struct conn *c)
{
    const struct behaviour *b = &behaviours[c->route->service];
    if (!b->known || !happens(c->w, b->fail_share))
        return false;
    if (b->status)
        answer_text(c, (int)b->status, "Simulated Failure",
                    "Simulated Client Access server: a failure that was asked for\n");
    else
        fault_play(c, str_of(b->fault));
    return true;
}

uint64_t behave_latency(struct conn *c)
{
    const struct behaviour *b = &behaviours[c->route->service];
    if (!b->known)
        return 0;
    return draw(c->w, happens(c->w, b->slow_share) ? b->slow : b->latency);
}

uint64_t behave_size(struct conn *c)
{
    const struct behaviour *b = &behaviours[c->route->service];
    return b->known ? draw(c->w, b->size) : 0;
}
