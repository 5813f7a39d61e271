/*
 * Rules against what requests look like: the shipped ones for published attacks, and the site's own.
 *
 * A rule sees a path and a query decoded once, as the server will; what could be decoded twice was refused before (target.h).
 */
#include <stdlib.h>

#include <postern/log.h>
#include <postern/rules.h>
#include <postern/txn.h>

#include "filters_int.h"
#include "rule_counters.h"

/* ---- what a snapshot's rules need ---- */

struct compiled {
    size_t n;
    struct rule_counter *counters[]; /* per rule */
};

static void compiled_free(void *object)
{
    free(object);
}

int rules_prepare(struct snapshot *s, struct conf_findings *f)
{
    struct compiled *c = calloc(1, sizeof(*c) + s->rules_n * sizeof(c->counters[0]));

    if (c == NULL || snapshot_attach(s, c, compiled_free) < 0) {
        free(c);
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "out of memory");
        return -1;
    }
    c->n = s->rules_n;
    for (size_t i = 0; i < c->n; i++)
        c->counters[i] = rule_counter_of(s->rules[i].name);
    return 0;
}

static struct rule_counter *rule_counter(const struct snapshot *s, const struct conf_rule *r)
{
    for (unsigned i = 0; i < s->attached_n; i++) {
        if (s->attached[i].destroy == compiled_free)
            return ((const struct compiled *)s->attached[i].object)->counters[r - s->rules];
    }
    return NULL;
}

/* ---- what is looked at ---- */

struct view {
    struct txn *t;
    struct str query, url; /* decoded; p NULL: not made yet */
    bool no_memory;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The target is valid: every "%" has two digits behind it. */
static size_t decode(struct str s, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%' && i + 2 < s.n) {
            c = (char)(hex_digit(s.p[i + 1]) * 16 + hex_digit(s.p[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    return n;
}

static struct str view_url(struct view *v)
{
    const struct target *t = &v->t->target;
    char *p;
    size_t n;

    if (v->url.p != NULL || v->no_memory)
        return v->url;
    if (t->query.p == NULL) {
        v->url = t->canonical;
        v->query = STR("");
        return v->url;
    }
    p = arena_bytes(&v->t->arena, t->canonical.n + 1 + t->query.n);
    v->no_memory = p == NULL;
    if (p == NULL)
        return STR_NULL;
    memcpy(p, t->canonical.p, t->canonical.n);
    p[t->canonical.n] = '?';
    n = decode(t->query, p + t->canonical.n + 1);
    v->query = (struct str){p + t->canonical.n + 1, n};
    v->url = (struct str){p, t->canonical.n + 1 + n};
    return v->url;
}

/* ---- matching ---- */

static bool matches(const struct conf_rule *r, struct str subject)
{
    /* A search that a limit ended was built to be endless: it counts as a match. */
    return subject.p != NULL && conf_pattern_search(r->pattern, subject) != 0;
}

static bool header_matches(const struct conf_rule *r, const struct message *m)
{
    for (unsigned i = 0; i < m->fields_n; i++) {
        const struct field *f = &m->fields[i];

        if (!f->dropped && str_eq_nocase(f->name, r->header) && matches(r, f->value))
            return true;
    }
    return false;
}

static bool rule_matches(const struct conf_rule *r, struct view *v)
{
    switch (r->where) {
    case CONF_RULE_PATH:
        return matches(r, v->t->target.canonical);
    case CONF_RULE_QUERY:
        (void)view_url(v);
        return v->query.n > 0 && matches(r, v->query);
    case CONF_RULE_URL:
        return matches(r, view_url(v));
    case CONF_RULE_HEADER:
        return header_matches(r, &v->t->request);
    }
    return false;
}

static bool rule_applies(const struct conf_rule *r, const struct conf_service *service)
{
    if (r->mode == CONF_RULE_OFF)
        return false;
    for (size_t i = 0; i < r->services_n; i++) {
        if (r->services[i] == service)
            return true;
    }
    return r->services_n == 0;
}

/* ---- the filter ---- */

static void rule_hit(const struct txn *t, const struct conf_rule *r)
{
    struct rule_counter *c = rule_counter(txn_snapshot(t), r);
    bool deny = r->mode == CONF_RULE_DENY;

    if (c != NULL)
        __atomic_add_fetch(deny ? &c->denied : &c->observed, 1, __ATOMIC_RELAXED);
    log_event(deny ? LOG_EV_RULE_DENIED : LOG_EV_RULE_OBSERVED, LF_STR("rule", r->name),
              LF_STR("service", t->match.service->name), LF_STR("host", t->request.host),
              LF_STR("path", t->target.canonical), LF_ADDRESS("client", &t->session->peer.sa));
}

static enum filter_result rules_check(struct txn *t)
{
    const struct snapshot *s = txn_snapshot(t);
    struct view v = {.t = t};

    for (size_t i = 0; i < s->rules_n; i++) {
        const struct conf_rule *r = &s->rules[i];

        if (!rule_applies(r, t->match.service) || !rule_matches(r, &v))
            continue;
        rule_hit(t, r);
        if (r->mode == CONF_RULE_OBSERVE)
            continue;
        t->close_client = true;
        txn_refuse(t, 403, REASON_RULE_DENIED);
        return FILTER_DONE;
    }
    if (!v.no_memory)
        return FILTER_NEXT;
    txn_refuse(t, 500, REASON_NO_MEMORY);
    return FILTER_DONE;
}

static bool rules_enabled(const struct snapshot *s, const struct conf_publish *p,
                          const struct conf_service *v)
{
    for (size_t i = 0; i < s->rules_n; i++) {
        if (rule_applies(&s->rules[i], v))
            return true;
    }
    return false;
}

const struct filter filter_rules = {
    .name = "rules",
    .doc = "the shipped rules against published attacks, and the site's own",
    .on = {[PHASE_ACCESS] = rules_check},
    .enabled = rules_enabled,
};
