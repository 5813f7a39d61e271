/*
 * What a request of a service must look like beyond its path and method: the HTTP filter of old, for those who had one.
 */
#include <stdio.h>

#include <postern/log.h>
#include <postern/txn.h>

#include "filters_int.h"
#include "rule_counters.h"

static uint64_t head_bytes(const struct message *m)
{
    uint64_t bytes = m->method_text.n + m->target_text.n + 12; /* two spaces, the version, CRLF */

    for (unsigned i = 0; i < m->fields_n; i++)
        bytes += m->fields[i].name.n + m->fields[i].value.n + 4;
    return bytes;
}

static bool extension_refused(const struct conf_strings *list, struct str path)
{
    const char *dot = memrchr(path.p, '.', path.n);
    struct str extension;

    if (dot == NULL)
        return false;
    extension = (struct str){dot + 1, path.n - (size_t)(dot + 1 - path.p)};
    for (size_t i = 0; i < list->n; i++) {
        if (str_eq_nocase(list->v[i], extension))
            return true;
    }
    return false;
}

/* How many of the names the head has. */
static size_t count_fields(const struct message *m, const struct conf_strings *names)
{
    size_t n = 0;

    for (size_t i = 0; i < names->n; i++)
        n += message_find_name(m, names->v[i]) != NULL;
    return n;
}

/* The path is decoded; in the query an escape of 80 or more says it (raw octets were refused before). */
static bool has_high_bit(const struct target *t)
{
    for (size_t i = 0; i < t->canonical.n; i++) {
        if ((uint8_t)t->canonical.p[i] >= 0x80)
            return true;
    }
    for (size_t i = 0; t->query.p != NULL && i + 2 < t->query.n; i++) {
        char c = ascii_lower(t->query.p[i + 1]);

        if (t->query.p[i] == '%' && (c == '8' || c == '9' || (c >= 'a' && c <= 'f')))
            return true;
    }
    return false;
}

/* ---- one rule for each option ---- */

static bool bytes_hit(const struct conf_service *v, const struct txn *t)
{
    return v->header_bytes > 0 && head_bytes(&t->request) > v->header_bytes;
}

static bool fields_hit(const struct conf_service *v, const struct txn *t)
{
    return v->header_fields > 0 && t->request.fields_n > v->header_fields;
}

static bool high_bit_hit(const struct conf_service *v, const struct txn *t)
{
    return v->refuse_high_bit && has_high_bit(&t->target);
}

static bool extension_hit(const struct conf_service *v, const struct txn *t)
{
    return extension_refused(&v->refused_extensions, t->target.canonical);
}

static bool required_hit(const struct conf_service *v, const struct txn *t)
{
    return count_fields(&t->request, &v->required_headers) < v->required_headers.n;
}

static bool refused_hit(const struct conf_service *v, const struct txn *t)
{
    return count_fields(&t->request, &v->refused_headers) > 0;
}

static const struct {
    const char *option;
    bool (*hit)(const struct conf_service *v, const struct txn *t);
    int status;
    enum reason why;
} checks[] = {
    {"header_bytes", bytes_hit, 431, REASON_HEAD_TOO_LARGE},
    {"header_fields", fields_hit, 431, REASON_HEAD_TOO_LARGE},
    {"refuse_high_bit", high_bit_hit, 403, REASON_FILTER_DENIED},
    {"refused_extensions", extension_hit, 403, REASON_FILTER_DENIED},
    {"required_headers", required_hit, 403, REASON_FILTER_DENIED},
    {"refused_headers", refused_hit, 403, REASON_FILTER_DENIED},
};

/* Counted and told as the rules of rules.c are, under the name "SERVICE.OPTION". */
static void form_hit(const struct txn *t, const char *option)
{
    const struct conf_service *v = t->match.service;
    bool deny = v->form_mode == CONF_RULE_DENY;
    char name[RULE_NAME_MAX + 1];
    struct rule_counter *c;

    snprintf(name, sizeof(name), "%.*s.%s", (int)(v->name.n < 40 ? v->name.n : 40), v->name.p, option);
    c = rule_counter_of(str_of(name));
    __atomic_add_fetch(deny ? &c->denied : &c->observed, 1, __ATOMIC_RELAXED);
    log_event(deny ? LOG_EV_RULE_DENIED : LOG_EV_RULE_OBSERVED, LF_STR("rule", str_of(name)),
              LF_STR("service", v->name), LF_STR("host", t->request.host),
              LF_STR("path", t->target.canonical), LF_ADDRESS("client", &t->session->peer.sa));
}

static enum filter_result form_check(struct txn *t)
{
    const struct conf_service *v = t->match.service;

    for (size_t i = 0; v->form_mode != CONF_RULE_OFF && i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (!checks[i].hit(v, t))
            continue;
        form_hit(t, checks[i].option);
        if (v->form_mode == CONF_RULE_OBSERVE)
            continue;
        txn_refuse(t, checks[i].status, checks[i].why);
        return FILTER_DONE;
    }
    return FILTER_NEXT;
}

static enum filter_result form_remove(struct txn *t)
{
    const struct conf_strings *names = &t->match.service->removed_headers;

    for (size_t i = 0; i < names->n; i++)
        message_drop_name(&t->request, names->v[i]);
    return FILTER_NEXT;
}

static bool form_enabled(const struct snapshot *s, const struct conf_publish *p, const struct conf_service *v)
{
    return v->header_bytes > 0 || v->header_fields > 0 || v->refuse_high_bit || v->refused_extensions.n > 0 ||
           v->required_headers.n > 0 || v->refused_headers.n > 0 || v->removed_headers.n > 0;
}

const struct filter filter_form = {
    .name = "form",
    .doc = "header sizes, extensions, fields and characters as the service wants them",
    .on = {[PHASE_ACCESS] = form_check, [PHASE_REQUEST_OUT] = form_remove},
    .enabled = form_enabled,
};
