#include "scenario.h"

#include "load.h"
#include "scenario_int.h"

/* --- the mix --- */

static const struct kind *kind_named(struct str name)
{
    for (size_t i = 0; kinds[i]; i++)
        if (str_eq(name, str_of(kinds[i]->name)))
            return kinds[i];
    return NULL;
}

static struct str kind_at(const void *ctx, size_t i)
{
    return str_of(kinds[i]->name);
}

static void unknown_kind(struct option_reader *r, const struct conf_node *entry, const struct conf_node *kind)
{
    char all[256];
    size_t n = 0, at = 0;
    for (; kinds[n]; n++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", n ? ", " : "", kinds[n]->name);
    if (!kind || kind->kind != CONF_SCALAR) {
        REFUSE(r, kind ? kind : entry, "`kind` is missing: give one of %s", all);
        return;
    }
    struct str near = conf_nearest(kind->text, n, kind_at, NULL);
    if (near.n)
        REFUSE(r, kind, "`kind` is `%.*s`: did you mean `%.*s`?", STR_ARG(kind->text), STR_ARG(near));
    else
        REFUSE(r, kind, "`kind` is `%.*s`: give one of %s", STR_ARG(kind->text), all);
}

static void read_entry(struct option_reader *r, struct scenario *s, const struct conf_node *n)
{
    const struct conf_node *kind = n->kind == CONF_MAP ? conf_node_find(n, STR("kind")) : NULL;
    if (s->entry_n == ENTRIES_MAX) {
        REFUSE(r, n, "too many entries: at most %d", ENTRIES_MAX);
        return;
    }
    struct entry *e = &s->entries[s->entry_n];
    *e = (struct entry){.node = n, .weight = 1, .keep = true, .method = "GET", .path = "/owa/bytes"};
    e->kind = kind && kind->kind == CONF_SCALAR ? kind_named(kind->text) : NULL;
    if (!e->kind) {
        unknown_kind(r, n, kind);
        return;
    }
    if (e->kind->defaults)
        e->kind->defaults(e);
    e->label = e->kind->name;
    options_read(r, OPTION_MIX, e->kind->name, n, e);
    e->from = s->from;
    if (e->sources)
        scenario_sources(r, s, n, e->sources, &e->from);
    s->entry_n++;
}

static void read_mix(struct option_reader *r, struct scenario *s, const struct conf_node *root)
{
    const struct conf_node *mix = conf_node_find(root, STR("mix"));
    if (!mix || mix->kind != CONF_LIST || !mix->first) {
        REFUSE(r, mix ? mix : root,
               "`mix` must list at least one kind of client, as `- {kind: request, clients: 10}`");
        return;
    }
    for (const struct conf_node *x = mix->first; x; x = x->next)
        read_entry(r, s, x);
}

/* Clients and rates that the top level shares out; the largest remainder is not worth the code: rounded up. */
static void share_out(struct option_reader *r, struct scenario *s, const struct conf_node *root)
{
    uint64_t weights = 0;
    for (size_t i = 0; i < s->entry_n; i++)
        weights += s->entries[i].clients || s->entries[i].rate > 0 ? 0 : s->entries[i].weight;
    for (size_t i = 0; i < s->entry_n; i++) {
        struct entry *e = &s->entries[i];
        if (!e->clients && !(e->rate > 0) && weights) {
            e->rate = s->rate * (double)e->weight / (double)weights;
            e->clients = (s->clients * e->weight + weights - 1) / weights;
        }
        if (!e->clients && e->rate > 0)
            e->clients = e->rate > 10000 ? 10000 : e->rate < 64 ? 64 : (uint64_t)e->rate;
        if (!e->clients && !conf_node_find(e->node, STR("clients")) && !conf_node_find(e->node, STR("rate")))
            REFUSE(r, e->node,
                   "%s has nothing to do: give `clients` or `rate`, here or at the top of the file",
                   e->label);
        e->first_op = s->op_n;
        for (const char *const *op = e->kind->ops; *op; op++)
            s->op_n++;
    }
}

/* Where the file says it; its beginning where it says nothing. */
static const struct conf_node *place_of(const struct conf_node *root, struct str name)
{
    const struct conf_node *n = conf_node_find(root, name);
    return n ? n : root;
}

static void read_root(struct option_reader *r, struct scenario *s, const struct conf_node *root,
                      const struct overrides *o)
{
    options_defaults(r, s);
    options_read(r, OPTION_TOP, NULL, root, s);
    for (unsigned i = 0; i < o->n; i++) {
        struct str value = str_of(o->of[i].value), name = str_of(o->of[i].name);
        if (!name.p && (!strchr(value.p, '=') || !str_next(&value, '=', &name)))
            REFUSE(r, root, "--set %s: give NAME=VALUE, as clients=100", value.p);
        else
            options_set(r, root, name, value, s);
    }
    scenario_resolve(r, s, place_of(root, STR("target")), s->target);
    if (s->sources)
        scenario_sources(r, s, root, s->sources, &s->from);
    if (s->credentials)
        scenario_credentials(r, s, place_of(root, STR("credentials")));
    read_mix(r, s, root);
    share_out(r, s, root);
}

struct scenario *scenario_load(const char *file, const struct overrides *o)
{
    struct conf_memory *m = conf_memory_new();
    struct option_reader r = {m, conf_findings_new()};
    struct scenario *s = m ? conf_alloc(m, sizeof *s) : NULL;
    const char *why = "no memory";
    struct str bytes;
    bool good = s && r.findings && conf_slurp(m, file, &bytes, &why) == 0;
    if (!good)
        fprintf(stderr, "%s: %s\n", file, why);
    else {
        const struct conf_node *root = conf_tree_read(m, file, bytes, r.findings);
        s->name = file;
        s->memory = m;
        if (root)
            read_root(&r, s, root, o);
        good = root && conf_findings_count(r.findings, CONF_ERROR) == 0;
        conf_findings_print(r.findings, stderr);
    }
    conf_findings_free(r.findings);
    if (good)
        return s;
    conf_memory_free(m);
    return NULL;
}

void scenario_free(struct scenario *s)
{
    conf_memory_free(s->memory);
}

static void print_place(enum option_place place, FILE *to)
{
    struct option_text o;
    for (size_t i = 0; options_text(place, i, &o); i++)
        fprintf(to, "  %-11s %s\n", o.name, o.text);
}

void scenario_print_options(FILE *to)
{
    fputs("Top of the file:\n", to);
    print_place(OPTION_TOP, to);
    fputs("\nAn entry of `mix`:\n", to);
    print_place(OPTION_MIX, to);
    fputs("\nKinds:\n", to);
    for (size_t i = 0; kinds[i]; i++)
        fprintf(to, "  %-14s %s\n", kinds[i]->name, kinds[i]->doc);
}
