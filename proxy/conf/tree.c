#include "conf_int.h"

#include <yaml.h>

/* Builds the node tree from libyaml's events, without recursion: what is open stands on a stack of fixed
 * depth. */
struct builder {
    struct conf_memory *memory;
    struct conf_findings *findings;
    const char *file;
    struct conf_node *open[CONF_DEPTH_MAX];
    struct conf_node *root;
    unsigned depth;
    unsigned documents;
    struct conf_node *key; /* a map's key that waits for its value */
    bool done;
};

static struct conf_mark mark_of(const struct builder *b, yaml_mark_t m)
{
    return (struct conf_mark){b->file, (unsigned)m.line + 1, (unsigned)m.column + 1};
}

static int refuse(struct builder *b, struct conf_mark where, const char *text)
{
    conf_finding_add(b->findings, CONF_ERROR, where, "%s", text);
    return -1;
}

const struct conf_node *conf_node_find(const struct conf_node *map, struct str key)
{
    for (const struct conf_node *n = map ? map->first : NULL; n; n = n->next)
        if (str_eq(n->key, key))
            return n;
    return NULL;
}

const struct conf_node *conf_node_item(const struct conf_node *map, struct str key, size_t i)
{
    const struct conf_node *list = conf_node_find(map, key), *n = list ? list->first : NULL;
    while (n && i--)
        n = n->next;
    return n;
}

static int set_key(struct builder *b, struct conf_node *parent, struct conf_node *n)
{
    if (n->kind != CONF_SCALAR)
        return refuse(b, n->mark, "a key must be a plain word");
    const struct conf_node *twin = conf_node_find(parent, n->text);
    if (twin)
        conf_finding_add(b->findings, CONF_ERROR, n->mark, "`%.*s` is written twice; first in line %u",
                         STR_ARG(n->text), twin->key_mark.line);
    b->key = n;
    return 0;
}

static int append(struct builder *b, struct conf_node *n)
{
    if (!b->depth) {
        b->root = n;
        return 0;
    }
    struct conf_node *parent = b->open[b->depth - 1];
    if (parent->kind == CONF_MAP && !b->key)
        return set_key(b, parent, n);
    if (parent->n >= CONF_LIST_MAX)
        return refuse(b, n->mark, "more than 1024 entries");
    if (b->key) {
        n->key = b->key->text;
        n->key_mark = b->key->mark;
        b->key = NULL;
    }
    if (parent->last)
        parent->last->next = n;
    else
        parent->first = n;
    parent->last = n;
    parent->n++;
    return 0;
}

static struct conf_node *node_new(struct builder *b, enum conf_kind kind, struct conf_mark mark)
{
    struct conf_node *n = conf_alloc(b->memory, sizeof *n);
    if (!n) {
        refuse(b, mark, "out of memory");
        return NULL;
    }
    n->kind = kind;
    n->mark = mark;
    return n;
}

static bool has_controls(const yaml_char_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] == 0x7f)
            return true;
    return false;
}

static int plain_node(struct builder *b, const yaml_char_t *anchor, const yaml_char_t *tag,
                      struct conf_mark m)
{
    if (anchor)
        return refuse(b, m, "anchors are not supported; write the value again where it is needed");
    if (tag)
        return refuse(b, m, "tags are not supported; write the plain value");
    return 0;
}

static int on_scalar(struct builder *b, const yaml_event_t *e)
{
    struct conf_mark m = mark_of(b, e->start_mark);
    if (plain_node(b, e->data.scalar.anchor, e->data.scalar.tag, m) != 0)
        return -1;
    if (has_controls(e->data.scalar.value, e->data.scalar.length))
        return refuse(b, m, "line breaks and control characters are not allowed in a value");
    struct conf_node *n = node_new(b, CONF_SCALAR, m);
    if (!n)
        return -1;
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    n->text = conf_copy(b->memory, (struct str){(const char *)e->data.scalar.value, e->data.scalar.length});
    if (!n->text.p)
        return refuse(b, m, "out of memory");
    return append(b, n);
}

static int on_open(struct builder *b, enum conf_kind kind, const yaml_char_t *anchor, const yaml_char_t *tag,
                   yaml_mark_t start)
{
    struct conf_mark m = mark_of(b, start);
    if (plain_node(b, anchor, tag, m) != 0)
        return -1;
    if (b->depth == CONF_DEPTH_MAX)
        return refuse(b, m, "nested more than 16 deep");
    struct conf_node *n = node_new(b, kind, m);
    if (!n || append(b, n) != 0)
        return -1;
    b->open[b->depth++] = n;
    return 0;
}

static int on_document(struct builder *b, const yaml_event_t *e)
{
    struct conf_mark m = mark_of(b, e->start_mark);
    if (b->documents++)
        return refuse(b, m, "a second document; the configuration is one document");
    if (e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end)
        return refuse(b, m, "tags are not supported; write the plain value");
    return 0;
}

static int on_event(struct builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, e);
    case YAML_ALIAS_EVENT:
        return refuse(
            b, mark_of(b, e->start_mark),
            "aliases are not supported; write the value again (text that begins with `*` needs quotes)");
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, CONF_LIST, e->data.sequence_start.anchor, e->data.sequence_start.tag,
                       e->start_mark);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, CONF_MAP, e->data.mapping_start.anchor, e->data.mapping_start.tag, e->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return 0;
    case YAML_STREAM_END_EVENT:
        b->done = true;
        return 0;
    default:
        return 0;
    }
}

static void say_syntax(struct builder *b, const yaml_parser_t *p)
{
    struct conf_mark m = mark_of(b, p->problem_mark);
    if (p->error == YAML_MEMORY_ERROR)
        conf_finding_add(b->findings, CONF_ERROR, m, "out of memory");
    else if (p->context)
        conf_finding_add(b->findings, CONF_ERROR, m, "YAML: %s, %s (begun in line %zu)",
                         p->problem ? p->problem : "not understood", p->context, p->context_mark.line + 1);
    else
        conf_finding_add(b->findings, CONF_ERROR, m, "YAML: %s", p->problem ? p->problem : "not understood");
}

static int read_events(struct builder *b, struct str bytes)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return refuse(b, (struct conf_mark){b->file, 0, 0}, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes.p, bytes.n);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    int rc = 0;
    while (rc == 0 && !b->done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            say_syntax(b, &parser);
            rc = -1;
            break;
        }
        rc = on_event(b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return rc;
}

/* Length of the UTF-8 sequence at p (RFC 3629), 0 when it is none. */
static size_t utf8_at(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return p[0] ? 1 : 0;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

static int check_bytes(struct builder *b, struct str bytes)
{
    struct conf_mark m = {b->file, 1, 1};
    const unsigned char *p = (const unsigned char *)bytes.p;
    if (bytes.n > CONF_FILE_MAX)
        return refuse(b, (struct conf_mark){b->file, 0, 0}, "larger than 1 MB");
    for (size_t i = 0, len; i < bytes.n; i += len) {
        len = utf8_at(p + i, bytes.n - i);
        if (!len)
            return refuse(b, m, p[i] ? "not valid UTF-8" : "a NUL byte");
        m.column++;
        if (p[i] == '\n') {
            m.line++;
            m.column = 1;
        }
    }
    return 0;
}

struct conf_node *conf_tree_read(struct conf_memory *m, const char *file, struct str bytes,
                                 struct conf_findings *f)
{
    struct builder b = {.memory = m, .findings = f, .file = file};
    if (check_bytes(&b, bytes) != 0 || read_events(&b, bytes) != 0)
        return NULL;
    if (!b.root) {
        refuse(&b, (struct conf_mark){file, 0, 0}, "nothing is configured");
        return NULL;
    }
    if (b.root->kind != CONF_MAP) {
        refuse(&b, b.root->mark,
               "the configuration must be a map: `listeners:`, `backends:`, `publish:` ...");
        return NULL;
    }
    return b.root;
}

struct conf_node *conf_tree_default(struct conf_memory *m, const char *text)
{
    struct builder b = {.memory = m};
    struct conf_node *top = conf_alloc(m, sizeof *top);
    if (!top)
        return NULL;
    top->text = str_of(text);
    if (text[0] != '[')
        return top;
    top->kind = CONF_LIST;
    b.open[b.depth++] = top;
    struct str rest = {text + 1, strlen(text) - 2}, part;
    while (str_next(&rest, ' ', &part)) {
        struct conf_node *n = part.n ? conf_alloc(m, sizeof *n) : NULL;
        if (part.n && !n)
            return NULL;
        if (!n)
            continue;
        n->text = part;
        append(&b, n);
    }
    return top;
}
