#include <stdlib.h>

#include <postern/device_rules.h>
#include <postern/exchange.h>

#include "exchange_int.h"

struct compiled {
    size_t n;
    struct device_rules *rules[]; /* per service; NULL: none */
};

static void compiled_free(void *object)
{
    struct compiled *c = object;

    for (size_t i = 0; i < c->n; i++)
        device_rules_free(c->rules[i]);
    free(c);
}

static bool compile_service(const struct snapshot *s, const struct conf_service *v, struct device_rules **ret,
                            struct conf_findings *f)
{
    if (v->device_rules.path.p == NULL)
        return true;
    *ret = device_rules_parse(v->device_rules.path.p, v->device_rules.bytes, &s->groups, f);
    return *ret != NULL;
}

int exchange_prepare(struct snapshot *s, struct conf_findings *f)
{
    struct compiled *c = calloc(1, sizeof(*c) + s->services_n * sizeof(c->rules[0]));
    bool good = c != NULL;

    for (size_t i = 0; c != NULL && i < s->services_n; i++, c->n++)
        good = compile_service(s, &s->services[i], &c->rules[i], f) && good;
    if (good && snapshot_attach(s, c, compiled_free) == 0)
        return 0;
    if (c == NULL || good)
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "out of memory");
    if (c != NULL)
        compiled_free(c);
    return -1;
}

const struct device_rules *exchange_device_rules(const struct snapshot *s, const struct conf_service *v)
{
    for (unsigned i = 0; i < s->attached_n; i++) {
        if (s->attached[i].destroy == compiled_free)
            return ((const struct compiled *)s->attached[i].object)->rules[v - s->services];
    }
    return NULL;
}

bool exchange_is_activesync(const struct snapshot *s, const struct conf_publish *p,
                            const struct conf_service *v)
{
    return v->protocol == CONF_PROTOCOL_ACTIVESYNC;
}
