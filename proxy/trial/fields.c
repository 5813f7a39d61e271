/*
 * Reading a file by a table of fields: every fault is told with its place, and what is near to what was meant.
 */
#include <stdio.h>
#include "trial_int.h"

struct reader {
    const struct trial_field *fields;
    size_t n;
    struct conf_memory *memory;
    struct conf_findings *findings;
    char *object;
};

#define FAULT(r, node, ...) conf_finding_add((r)->findings, CONF_ERROR, (node)->mark, __VA_ARGS__)

static void no_memory(struct reader *r, const struct conf_node *n)
{
    FAULT(r, n, "out of memory");
}

static struct str near_at(const void *ctx, size_t i)
{
    return str_of(((const char *const *)ctx)[i]);
}

static bool take_word(struct reader *r, const struct trial_field *f, const struct conf_node *n, unsigned *ret)
{
    size_t count = 0;
    struct str near;

    for (; f->words[count] != NULL; count++) {
        if (str_eq(n->text, str_of(f->words[count]))) {
            *ret = (unsigned)count;
            return true;
        }
    }
    near = conf_nearest(n->text, count, near_at, f->words);
    FAULT(r, n, "`%s`: no value `%.*s`%s%.*s%s", f->name, STR_ARG(n->text), near.p ? "; did you mean `" : "",
          STR_ARG(near), near.p ? "`?" : "");
    return false;
}

static bool take_code(struct reader *r, const struct trial_field *f, const struct conf_node *n, uint32_t *ret)
{
    struct str near;

    if (n->kind != CONF_SCALAR) {
        FAULT(r, n, "`%s`: each entry is one word", f->name);
        return false;
    }
    if (trial_code_parse(f->table, n->text, ret))
        return true;
    near = f->table == TRIAL_NUMBERS ? STR_NULL : trial_code_near(f->table, n->text);
    FAULT(r, n, "`%s`: `%.*s` is not known%s%.*s%s", f->name, STR_ARG(n->text),
          near.p ? "; did you mean `" : "", STR_ARG(near), near.p ? "`? A number is written as 0x1234" : "");
    return false;
}

static int hex_digit(char c)
{
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "=0a0b": the bytes. */
static bool take_hex(struct reader *r, const struct conf_node *n, struct str text, struct str *ret)
{
    char *bytes = conf_alloc(r->memory, text.n / 2 + 1);

    if (bytes == NULL) {
        no_memory(r, n);
        return false;
    }
    for (size_t i = 0; i + 1 < text.n; i += 2) {
        int high = hex_digit(text.p[i]), low = hex_digit(text.p[i + 1]);

        if (high < 0 || low < 0)
            break;
        bytes[ret->n++] = (char)(high << 4 | low);
    }
    ret->p = bytes;
    if (ret->n * 2 == text.n && ret->n <= 4096)
        return true;
    FAULT(r, n, "`%.*s`: after `=` stand at most 4096 bytes in hex", STR_ARG(n->text));
    return false;
}

static void take_extension(struct reader *r, const struct trial_field *f, const struct conf_node *n,
                           struct trial_extension *ret)
{
    struct conf_node word = *n;
    const char *equals = n->kind == CONF_SCALAR ? memchr(n->text.p, '=', n->text.n) : NULL;

    if (equals != NULL)
        word.text.n = (size_t)(equals - n->text.p);
    if (!take_code(r, f, &word, &ret->type) || equals == NULL)
        return;
    ret->given = take_hex(r, n, (struct str){equals + 1, n->text.n - word.text.n - 1}, &ret->body);
}

static void take_extensions(struct reader *r, const struct trial_field *f, const struct conf_node *n)
{
    struct trial_device *d = (struct trial_device *)r->object;

    for (const struct conf_node *e = n->first; e != NULL; e = e->next) {
        if (d->tls.extensions_n == TRIAL_EXTENSIONS_MAX) {
            FAULT(r, e, "more than %d extensions", TRIAL_EXTENSIONS_MAX);
            return;
        }
        take_extension(r, f, e, &d->tls.extensions[d->tls.extensions_n++]);
    }
}

static void take_codes(struct reader *r, const struct trial_field *f, const struct conf_node *n,
                       struct trial_codes *ret)
{
    uint32_t code;

    for (const struct conf_node *e = n->first; e != NULL; e = e->next) {
        if (!take_code(r, f, e, &code))
            continue;
        if (!trial_codes_add(ret, code)) {
            FAULT(r, e, "`%s`: more than %d entries", f->name, TRIAL_CODES_MAX);
            return;
        }
    }
}

static void take_texts(struct reader *r, const struct trial_field *f, const struct conf_node *n,
                       struct conf_strings *ret)
{
    unsigned at;

    ret->n = 0; /* a key that is written twice, which was told, comes here twice */
    ret->v = conf_alloc(r->memory, (n->n + 1) * sizeof(*ret->v));
    if (ret->v == NULL) {
        no_memory(r, n);
        return;
    }
    for (const struct conf_node *e = n->first; e != NULL; e = e->next) {
        if (e->kind != CONF_SCALAR || e->text.n == 0 || e->text.n > 255)
            FAULT(r, e, "`%s`: each entry is a word of 1 to 255 bytes", f->name);
        else if (f->words == NULL || take_word(r, f, e, &at))
            ret->v[ret->n++] = e->text;
    }
}

static void take_number(struct reader *r, const struct trial_field *f, const struct conf_node *n,
                        unsigned *ret)
{
    uint64_t value;

    if (!str_to_u64(n->text, &value) || value > f->max)
        FAULT(r, n, "`%s`: a number from 0 to %u is needed", f->name, f->max);
    else
        *ret = (unsigned)value;
}

static void take_scalar(struct reader *r, const struct trial_field *f, const struct conf_node *n,
                        void *member)
{
    uint32_t code;

    switch (f->type) {
    case TYPE_TEXT:
        if (n->text.n == 0 || n->text.n > 200)
            FAULT(r, n, "`%s`: 1 to 200 bytes are needed", f->name);
        else
            *(struct str *)member = n->text;
        break;
    case TYPE_BOOL:
        *(bool *)member = str_eq(n->text, STR("true"));
        if (!*(bool *)member && !str_eq(n->text, STR("false")))
            FAULT(r, n, "`%s`: true or false is needed", f->name);
        break;
    case TYPE_NUMBER:
        take_number(r, f, n, member);
        break;
    case TYPE_WORD:
        take_word(r, f, n, member);
        break;
    case TYPE_CODE:
        if (take_code(r, f, n, &code))
            *(unsigned *)member = code;
        break;
    case TYPE_HEX: {
        struct str bytes = {NULL, 0};

        if (n->text.n == 4 && take_hex(r, n, n->text, &bytes))
            *(unsigned *)member = (unsigned)((uint8_t)bytes.p[0] << 8 | (uint8_t)bytes.p[1]);
        else
            FAULT(r, n, "`%s`: four hex digits are needed", f->name);
        break;
    }
    default:
        break;
    }
}

static void take(struct reader *r, const struct trial_field *f, const struct conf_node *n)
{
    bool list = f->type == TYPE_CODES || f->type == TYPE_TEXTS || f->type == TYPE_EXTENSIONS;
    void *member = r->object + f->offset;

    if (n->kind != (list ? CONF_LIST : CONF_SCALAR))
        FAULT(r, n, "`%s`: %s is needed", f->name, list ? "a list in [ ]" : "one value");
    else if (f->type == TYPE_CODES)
        take_codes(r, f, n, member);
    else if (f->type == TYPE_TEXTS)
        take_texts(r, f, n, member);
    else if (f->type == TYPE_EXTENSIONS)
        take_extensions(r, f, n);
    else
        take_scalar(r, f, n, member);
}

static const struct trial_field *field_find(const struct reader *r, const char *section, struct str name)
{
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->fields[i].section, section) == 0 && str_eq(name, str_of(r->fields[i].name)))
            return &r->fields[i];
    }
    return NULL;
}

static bool section_known(const struct reader *r, struct str name)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->fields[i].section[0] != '\0' && str_eq(name, str_of(r->fields[i].section)))
            return true;
    }
    return str_eq(name, STR("sources"));
}

static struct str field_at(const void *ctx, size_t i)
{
    return str_of(((const struct trial_field *)ctx)[i].name);
}

static void unknown(struct reader *r, const struct conf_node *n)
{
    struct str near = conf_nearest(n->key, r->n, field_at, r->fields);

    conf_finding_add(r->findings, CONF_ERROR, n->key_mark, "`%.*s` is no key here%s%.*s%s", STR_ARG(n->key),
                     near.p ? "; did you mean `" : "", STR_ARG(near), near.p ? "`?" : "");
}

static void read_section(struct reader *r, const char *section, const struct conf_node *map)
{
    for (const struct conf_node *n = map->first; n != NULL; n = n->next) {
        const struct trial_field *f = field_find(r, section, n->key);

        if (f != NULL)
            take(r, f, n);
        else if (section[0] != '\0' || !section_known(r, n->key))
            unknown(r, n);
    }
}

static void read_missing(struct reader *r, const struct conf_node *root)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct trial_field *f = &r->fields[i];
        const struct conf_node *map = f->section[0] == '\0' ? root : conf_node_find(root, str_of(f->section));

        if (f->required && (map == NULL || conf_node_find(map, str_of(f->name)) == NULL))
            FAULT(r, root, "`%s%s%s` is missing", f->section, f->section[0] != '\0' ? "." : "", f->name);
    }
}

void trial_fields_read(const struct trial_field *fields, size_t n, struct conf_memory *m,
                       const struct conf_node *root, void *object, struct conf_findings *f)
{
    struct reader r = {fields, n, m, f, object};

    read_section(&r, "", root);
    for (const struct conf_node *s = root->first; s != NULL; s = s->next) {
        if (!section_known(&r, s->key) || str_eq(s->key, STR("sources")))
            continue;
        if (s->kind == CONF_MAP)
            read_section(&r, s->key.p, s);
        else
            FAULT(&r, s, "`%.*s` holds keys of its own", STR_ARG(s->key));
    }
    read_missing(&r, root);
}
