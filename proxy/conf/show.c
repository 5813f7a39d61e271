/* What `postern show` prints. */
#include "conf_int.h"

#include <inttypes.h>

static void show_value(const struct conf_option *o, const void *object, FILE *to)
{
    if (o->flags & CONF_SECRET && o->type == &conf_type_string)
        fputs("(hidden)", to);
    else
        o->type->print(o, (const char *)object + o->offset, to);
}

static void show_object(enum conf_section section, const void *object, const struct conf_node *map,
                        const struct conf_preset *preset, const char *indent, FILE *to)
{
    for (size_t i = 0; i < conf_options_n; i++) {
        const struct conf_option *o = &conf_options[i];
        if (o->section != section)
            continue;
        const struct conf_node *n = conf_node_find(map, str_of(o->name));
        bool from_preset = !n && preset && conf_preset_value(preset, o->name, CONF_EXCHANGE_2016);
        if (!n && !from_preset && !o->def)
            continue; /* neither written nor set by default */
        fprintf(to, "%s%s: ", indent, o->name);
        show_value(o, object, to);
        if (n)
            fprintf(to, "  # line %u\n", n->mark.line);
        else
            fputs(from_preset ? "  # preset\n" : "  # default\n", to);
    }
}

static void show_named(enum conf_section section, const void *objects, size_t n, const struct conf_node *root,
                       FILE *to)
{
    const struct conf_section_info *info = &conf_sections[section];
    const struct conf_node *map = conf_node_find(root, str_of(info->name));
    if (n)
        fprintf(to, "%s:\n", info->name);
    for (size_t i = 0; i < n; i++) {
        const char *object = (const char *)objects + i * info->size;
        struct str name;
        const struct conf_preset *preset = NULL;
        memcpy(&name, object, sizeof name);
        preset = conf_preset_named(section, name);
        fprintf(to, "  %.*s:\n", STR_ARG(name));
        show_object(section, object, map ? conf_node_find(map, name) : NULL, preset, "    ", to);
    }
}

static void show_list(enum conf_section section, const void *objects, size_t n, const struct conf_node *root,
                      FILE *to)
{
    const struct conf_section_info *info = &conf_sections[section];
    const struct conf_node *list = conf_node_find(root, str_of(info->name));
    const struct conf_node *x = list ? list->first : NULL;
    fprintf(to, "%s:\n", info->name);
    for (size_t i = 0; i < n && x; i++, x = x->next) {
        fprintf(to, "  -  # line %u\n", x->mark.line);
        show_object(section, (const char *)objects + i * info->size, x, NULL, "    ", to);
    }
}

static void show_single(enum conf_section section, const void *object, const struct conf_node *root, FILE *to)
{
    const char *name = conf_sections[section].name;
    fprintf(to, "%s:\n", name);
    show_object(section, object, conf_node_find(root, str_of(name)), NULL, "  ", to);
}

static void show_all(const struct snapshot *s, const struct conf_node *root, FILE *to)
{
    show_object(CONF_SECTION_process, &s->process, root, NULL, "", to);
    show_single(CONF_SECTION_limits, &s->limits, root, to);
    show_single(CONF_SECTION_flood, &s->flood, root, to);
    show_single(CONF_SECTION_http, &s->http, root, to);
    show_single(CONF_SECTION_log, &s->log, root, to);
    show_list(CONF_SECTION_listener, s->listeners, s->listeners_n, root, to);
    show_named(CONF_SECTION_certificate, s->certificates, s->certificates_n, root, to);
    show_named(CONF_SECTION_backend, s->backends, s->backends_n, root, to);
    show_named(CONF_SECTION_directory, s->directories, s->directories_n, root, to);
    show_named(CONF_SECTION_service, s->services, s->services_n, root, to);
    show_named(CONF_SECTION_rule, s->rules, s->rules_n, root, to);
    show_list(CONF_SECTION_publish, s->publish, s->publish_n, root, to);
}

/* The tree is read a second time for the places: the snapshot does not carry them. */
int conf_show_config(const char *path, FILE *to)
{
    const char *why;
    struct str bytes;
    int rc = -1;
    struct snapshot *s = NULL;
    const struct conf_node *root = NULL;
    struct conf_memory *m = conf_memory_new();
    struct conf_findings *f = conf_findings_new();
    if (!m || !f)
        goto out;
    if (conf_slurp(m, path, &bytes, &why) != 0) {
        fprintf(stderr, "%s: error: cannot be read: %s\n", path, why);
        goto out;
    }
    s = conf_load_bytes(path, bytes, true, f);
    root = s ? conf_tree_read(m, path, bytes, f) : NULL;
    if (root) {
        show_all(s, root, to);
        rc = 0;
    }
    conf_findings_print(f, stderr);
out:
    snapshot_release(s);
    conf_findings_free(f);
    conf_memory_free(m);
    return rc;
}

int conf_show_options(const char *only, FILE *to)
{
    bool any = false;
    for (size_t i = 0; i < conf_options_n; i++) {
        const struct conf_option *o = &conf_options[i];
        const char *section = conf_sections[o->section].name;
        if (only && strcmp(only, section ? section : "process") != 0)
            continue;
        any = true;
        fprintf(to, "%s%s%s\n    %s (%s%s%s)\n    type: %s\n", section ? section : "", section ? "." : "",
                o->name, o->doc, o->flags & CONF_REQUIRED ? "required; " : "",
                o->flags & CONF_RESTART ? "needs a restart" : "changes with a reload",
                o->flags & CONF_SECRET ? "; secret" : "", o->type->describe);
        if (o->def) {
            fputs("    default: ", to);
            conf_print_default(o, to);
            fputc('\n', to);
        }
        conf_print_range(o, "    range: ", "\n", to);
    }
    return any ? 0 : -1;
}

static void show_preset(const struct conf_preset *p, FILE *to)
{
    fprintf(to, "%s: %s\n", p->name, p->doc);
    for (size_t i = 0; i < conf_options_n; i++) {
        const struct conf_option *o = &conf_options[i];
        const char *v = o->section == p->section ? conf_preset_value(p, o->name, CONF_EXCHANGE_2016) : NULL;
        if (v)
            fprintf(to, "    %s: %s\n", o->name, v);
    }
}

int conf_show_services(const struct snapshot *s, FILE *to)
{
    if (!s) {
        for (size_t i = 0; i < conf_presets_n; i++)
            if (conf_presets[i].section == CONF_SECTION_service)
                show_preset(&conf_presets[i], to);
        return 0;
    }
    for (size_t i = 0; i < s->services_n; i++) {
        fprintf(to, "%.*s:%s\n", STR_ARG(s->services[i].name), s->services[i].preset ? " (preset)" : "");
        for (size_t k = 0; k < conf_options_n; k++) {
            if (conf_options[k].section != CONF_SECTION_service)
                continue;
            fprintf(to, "    %s: ", conf_options[k].name);
            show_value(&conf_options[k], &s->services[i], to);
            fputc('\n', to);
        }
    }
    return 0;
}
