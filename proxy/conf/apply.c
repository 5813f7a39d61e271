/* The tree, through the option table, into the snapshot. */
#include "conf_int.h"

#include <stdio.h>

static const struct conf_node *value_of(struct conf_apply *a, const struct conf_option *o,
                                        const struct conf_node *map, const struct conf_preset *preset)
{
    const struct conf_node *n = conf_node_find(map, str_of(o->name));
    if (n)
        return n;
    const char *text = preset ? conf_preset_value(preset, o->name, a->s->process.exchange) : NULL;
    if (!text)
        text = o->def;
    if (!text)
        return NULL;
    n = conf_tree_default(a->memory, text);
    if (!n)
        a->no_memory = true;
    return n;
}

struct section_names {
    enum conf_section section;
};

static struct str option_at(const void *ctx, size_t i)
{
    const struct section_names *s = ctx;
    if (conf_options[i].section != s->section)
        return STR("");
    return str_of(conf_options[i].name);
}

static struct str top_at(const void *ctx, size_t i)
{
    const struct section_names process = {CONF_SECTION_process};
    if (i < conf_options_n)
        return option_at(&process, i);
    const char *name = conf_sections[i - conf_options_n].name;
    return str_of(name ? name : "");
}

static void say_unknown(struct conf_apply *a, enum conf_section section, const struct conf_node *n)
{
    const struct section_names names = {section};
    bool top = section == CONF_SECTION_process;
    struct str near = top ? conf_nearest(n->key, conf_options_n + CONF_SECTION_COUNT, top_at, &names)
                          : conf_nearest(n->key, conf_options_n, option_at, &names);
    const char *in = a->where[0] ? " in " : "";
    if (near.p)
        conf_finding_add(a->findings, CONF_ERROR, n->key_mark,
                         "unknown option `%.*s`%s%s; did you mean `%.*s`?", STR_ARG(n->key), in, a->where,
                         STR_ARG(near));
    else
        conf_finding_add(a->findings, CONF_ERROR, n->key_mark, "unknown option `%.*s`%s%s", STR_ARG(n->key),
                         in, a->where);
}

static bool is_known(enum conf_section section, struct str key)
{
    for (size_t i = 0; i < conf_options_n; i++)
        if (conf_options[i].section == section && str_eq(key, str_of(conf_options[i].name)))
            return true;
    if (section != CONF_SECTION_process)
        return false;
    for (size_t i = 0; i < CONF_SECTION_COUNT; i++)
        if (conf_sections[i].name && str_eq(key, str_of(conf_sections[i].name)))
            return true;
    return false;
}

static void say_missing(struct conf_apply *a, const struct conf_option *o, struct conf_mark where)
{
    if (o->type == &conf_type_authenticate)
        conf_finding_add(a->findings, CONF_ERROR, where,
                         "`authenticate` is missing in %s; write {basic: DIRECTORY} to ask for passwords "
                         "here, or none to let "
                         "every client reach the backend unproven",
                         a->where);
    else
        conf_finding_add(a->findings, CONF_ERROR, where, "`%s` is missing in %s; expected %s", o->name,
                         a->where, o->type->describe);
}

/* A service that has patterns needs no paths. */
static bool is_excused(struct conf_apply *a, const struct conf_option *o, const struct conf_node *map,
                       const struct conf_preset *preset)
{
    return o->type == &conf_type_paths &&
           (conf_node_find(map, STR("patterns")) ||
            (preset && conf_preset_value(preset, "patterns", a->s->process.exchange)));
}

/* One object of a section: every option read or set to its default; -1 when any was refused. */
static int apply_object(struct conf_apply *a, enum conf_section section, const struct conf_node *map,
                        const struct conf_preset *preset, struct conf_mark where, void *object)
{
    int rc = 0;
    for (size_t i = 0; i < conf_options_n; i++) {
        const struct conf_option *o = &conf_options[i];
        if (o->section != section)
            continue;
        const struct conf_node *n = value_of(a, o, map, preset);
        if (n && o->type->parse(a, o, n, (char *)object + o->offset) != 0) {
            rc = -1;
            if (o->type == &conf_type_directory_type)
                return -1; /* the other options would be measured against the wrong type */
        } else if (!n && (o->flags & CONF_REQUIRED) && !is_excused(a, o, map, preset)) {
            say_missing(a, o, where);
            rc = -1;
        }
    }
    for (const struct conf_node *n = map ? map->first : NULL; n; n = n->next)
        if (!is_known(section, n->key))
            say_unknown(a, section, n);
    return rc;
}

static const struct conf_node *section_node(struct conf_apply *a, const struct conf_node *root,
                                            enum conf_section section, enum conf_kind kind)
{
    const struct conf_section_info *info = &conf_sections[section];
    const struct conf_node *n = conf_node_find(root, str_of(info->name));
    if (!n || n->kind == kind)
        return n;
    conf_finding_add(a->findings, CONF_ERROR, n->mark, "`%s` must be %s", info->name,
                     kind == CONF_LIST ? "a list: one `- {...}` for each"
                     : info->plural    ? "a map: `NAME: {...}` for each"
                                       : "a map of options");
    return NULL;
}

static void apply_single(struct conf_apply *a, const struct conf_node *root, enum conf_section section,
                         void *object)
{
    snprintf(a->where, sizeof a->where, "%s", conf_sections[section].name);
    apply_object(a, section, section_node(a, root, section, CONF_MAP), NULL, (struct conf_mark){0}, object);
}

static struct conf_mark mark_of(const struct conf_node *n)
{
    return n->key.p ? n->key_mark : n->mark;
}

/* Where the name stands is kept, whatever is wrong with the rest, so that references to it are not errors as
 * well. */
static void apply_entry(struct conf_apply *a, enum conf_section section, const struct conf_node *n,
                        const struct conf_preset *preset, void *object)
{
    if (n->kind != CONF_MAP) {
        conf_finding_add(a->findings, CONF_ERROR, n->mark, "%s must be a map of options: {...}", a->where);
        return;
    }
    apply_object(a, section, n, preset, mark_of(n), object);
}

static bool is_good_name(struct str s)
{
    if (!s.n || s.n > 64)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (i && (c == '_' || c == '-' || c == '.'))))
            return false;
    }
    return true;
}

static void *apply_list(struct conf_apply *a, const struct conf_node *root, enum conf_section section,
                        size_t mark_offset, size_t *ret_n)
{
    const struct conf_node *list = section_node(a, root, section, CONF_LIST);
    size_t size = conf_sections[section].size, i = 0;
    char *v = list ? conf_take(a, list->n * size) : NULL;
    if (!v)
        return NULL;
    for (const struct conf_node *n = list->first; n; n = n->next, i++) {
        memcpy(v + i * size + mark_offset, &n->mark, sizeof n->mark);
        snprintf(a->where, sizeof a->where, "%s[%zu]", conf_sections[section].name, i);
        apply_entry(a, section, n, NULL, v + i * size);
    }
    *ret_n = i;
    return v;
}

static size_t presets_count(enum conf_section section)
{
    size_t n = 0;
    for (size_t i = 0; i < conf_presets_n; i++)
        n += conf_presets[i].section == section;
    return n;
}

/* A map whose entries are changes to presets, and objects of the site's own. The name comes first in every object; the rest
 * that the options do not set is written by position. */
struct named {
    enum conf_section section;
    size_t mark_offset, preset_offset; /* of sections without presets: 0 */
    const struct conf_node *map;
    char *v;
    size_t n;
};

static char *named_begin(struct conf_apply *a, struct named *m, struct str name, struct conf_mark mark)
{
    const struct conf_section_info *info = &conf_sections[m->section];
    char *object = m->v + m->n++ * info->size;
    memcpy(object, &name, sizeof name);
    memcpy(object + m->mark_offset, &mark, sizeof mark);
    snprintf(a->where, sizeof a->where, "%s.%.*s", info->name, STR_ARG(name));
    return object;
}

static void apply_preset(struct conf_apply *a, struct named *m, const struct conf_preset *p)
{
    struct str name = str_of(p->name);
    const struct conf_node *n = conf_node_find(m->map, name);
    struct conf_mark mark = n ? mark_of(n) : (struct conf_mark){0};
    char *object = named_begin(a, m, name, mark);
    *(bool *)(object + m->preset_offset) = true;
    if (n)
        apply_entry(a, m->section, n, p, object);
    else
        apply_object(a, m->section, NULL, p, mark, object);
}

static void apply_own(struct conf_apply *a, struct named *m, const struct conf_node *n)
{
    char *object = named_begin(a, m, conf_take_str(a, n->key), mark_of(n));
    if (!is_good_name(n->key))
        conf_finding_add(a->findings, CONF_ERROR, mark_of(n),
                         "`%.*s` cannot be a name: letters, digits, `_`, `-` and `.`", STR_ARG(n->key));
    apply_entry(a, m->section, n, NULL, object);
}

static void *apply_named(struct conf_apply *a, const struct conf_node *root, struct named m, size_t *ret_n)
{
    m.map = section_node(a, root, m.section, CONF_MAP);
    m.v = conf_take(a, (presets_count(m.section) + (m.map ? m.map->n : 0)) * conf_sections[m.section].size);
    if (!m.v)
        return NULL;
    for (size_t i = 0; i < conf_presets_n; i++)
        if (conf_presets[i].section == m.section)
            apply_preset(a, &m, &conf_presets[i]);
    for (const struct conf_node *n = m.map ? m.map->first : NULL; n; n = n->next)
        if (!conf_preset_named(m.section, n->key))
            apply_own(a, &m, n);
    *ret_n = m.n;
    return m.v;
}

#define NAMED(section, type) ((struct named){CONF_SECTION_##section, offsetof(type, mark), 0, NULL, NULL, 0})
#define WITH_PRESETS(section, type)                                                                          \
    ((struct named){CONF_SECTION_##section, offsetof(type, mark), offsetof(type, preset), NULL, NULL, 0})

void conf_apply_root(struct conf_apply *a, const struct conf_node *root)
{
    struct snapshot *s = a->s;
    a->where[0] = 0;
    apply_object(a, CONF_SECTION_process, root, NULL, root->mark, &s->process);
    apply_single(a, root, CONF_SECTION_limits, &s->limits);
    apply_single(a, root, CONF_SECTION_flood, &s->flood);
    apply_single(a, root, CONF_SECTION_http, &s->http);
    apply_single(a, root, CONF_SECTION_log, &s->log);
    apply_single(a, root, CONF_SECTION_guard, &s->guard);
    s->certificates = apply_named(a, root, NAMED(certificate, struct conf_certificate), &s->certificates_n);
    s->backends = apply_named(a, root, NAMED(backend, struct conf_backend), &s->backends_n);
    s->directories = apply_named(a, root, NAMED(directory, struct conf_directory), &s->directories_n);
    s->services = apply_named(a, root, WITH_PRESETS(service, struct conf_service), &s->services_n);
    s->rules = apply_named(a, root, WITH_PRESETS(rule, struct conf_rule), &s->rules_n);
    s->listeners =
        apply_list(a, root, CONF_SECTION_listener, offsetof(struct conf_listener, mark), &s->listeners_n);
    s->publish =
        apply_list(a, root, CONF_SECTION_publish, offsetof(struct conf_publish, mark), &s->publish_n);
    a->where[0] = 0;
}
