/*
 * The names of methods and fields, and the edits that filters make to a head.
 */
#include <assert.h>

#include "http_int.h"

#define FIELDS_FIRST 16

/* ---- methods ---- */

static const struct {
    struct str token;
    unsigned flags;
} methods[METHOD_COUNT] = {
    [METHOD_UNKNOWN] = {STR("UNKNOWN"), 0},
#define METHOD(id, text, bits) [METHOD_##id] = {STR(text), bits},
#include <postern/methods.def>
#undef METHOD
};

enum method method_of(struct str token)
{
    for (unsigned i = METHOD_UNKNOWN + 1; i < METHOD_COUNT; i++)
        if (methods[i].token.n == token.n && memcmp(methods[i].token.p, token.p, token.n) == 0)
            return (enum method)i;
    return METHOD_UNKNOWN;
}

struct str method_token(enum method m)
{
    return methods[m].token;
}

unsigned method_flags(enum method m)
{
    return methods[m].flags;
}

/* ---- fields ---- */

static const struct {
    struct str name;
    unsigned flags;
} fields[FIELD_ID_COUNT] = {
    [FIELD_OTHER] = {STR(""), 0},
#define FIELD(id, text, bits) [FIELD_ID_##id] = {STR(text), bits},
#include <postern/fields.def>
#undef FIELD
};

#define FIELD_SLOTS 256
_Static_assert(FIELD_ID_COUNT <= FIELD_SLOTS / 2, "the field table must stay sparse");

static uint8_t field_slots[FIELD_SLOTS]; /* open addressing; 0: empty */

/* Names share their ends ("X-...", "...-Type"), so the middle takes part. */
static unsigned field_hash(struct str name)
{
    unsigned first = name.p[0] | 0x20, middle = name.p[name.n / 2] | 0x20, last = name.p[name.n - 1] | 0x20;

    return ((unsigned)name.n * 41 + first * 7 + middle * 19 + last * 3) % FIELD_SLOTS;
}

/* Before main: threads only ever read the table. */
__attribute__((constructor)) static void field_slots_fill(void)
{
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_ID_COUNT; id++) {
        unsigned h = field_hash(fields[id].name);
        while (field_slots[h] != 0)
            h = (h + 1) % FIELD_SLOTS;
        field_slots[h] = (uint8_t)id;
    }
}

enum field_id field_id_of(struct str name)
{
    if (name.n == 0)
        return FIELD_OTHER;
    for (unsigned h = field_hash(name); field_slots[h] != 0; h = (h + 1) % FIELD_SLOTS)
        if (fields[field_slots[h]].name.n == name.n && str_eq_nocase(fields[field_slots[h]].name, name))
            return (enum field_id)field_slots[h];
    return FIELD_OTHER;
}

struct str field_name(enum field_id id)
{
    return fields[id].name;
}

unsigned field_flags(enum field_id id)
{
    return fields[id].flags;
}

/* ---- the message ---- */

void message_init(struct message *m, struct arena *a, bool response)
{
    *m = (struct message){.arena = a, .response = response};
}

static bool field_is(const struct field *f, enum field_id id, struct str name)
{
    if (f->dropped || f->id != id)
        return false;
    return id != FIELD_OTHER || str_eq_nocase(f->name, name);
}

static struct field *field_next(const struct message *m, unsigned from, enum field_id id, struct str name)
{
    for (unsigned i = from; i < m->fields_n; i++)
        if (field_is(&m->fields[i], id, name))
            return &m->fields[i];
    return NULL;
}

struct field *message_find(const struct message *m, enum field_id id)
{
    return field_next(m, 0, id, fields[id].name);
}

struct field *message_find_name(const struct message *m, struct str name)
{
    return field_next(m, 0, field_id_of(name), name);
}

static unsigned field_drop_from(struct message *m, unsigned from, enum field_id id, struct str name)
{
    unsigned n = 0;

    for (struct field *f; (f = field_next(m, from, id, name)) != NULL; n++) {
        f->dropped = true;
        from = (unsigned)(f - m->fields) + 1;
    }
    return n;
}

unsigned message_drop(struct message *m, enum field_id id)
{
    return field_drop_from(m, 0, id, fields[id].name);
}

unsigned message_drop_name(struct message *m, struct str name)
{
    return field_drop_from(m, 0, field_id_of(name), name);
}

static int message_grow(struct message *m)
{
    unsigned cap = m->fields_cap == 0 ? FIELDS_FIRST : m->fields_cap * 2;
    struct field *v = arena_alloc(m->arena, cap * sizeof(*v));

    if (v == NULL)
        return -1;
    if (m->fields_n > 0)
        memcpy(v, m->fields, m->fields_n * sizeof(*v));
    m->fields = v;
    m->fields_cap = cap;
    return 0;
}

static int field_append(struct message *m, enum field_id id, struct str name, struct str value)
{
    assert(name.n > 0 && octets_all(name, OCTET_TOKEN));
    assert(octets_bad_at(value.p, value.n) == value.n);
    if (m->fields_n == m->fields_cap && message_grow(m) < 0)
        return -1;
    m->fields[m->fields_n++] = (struct field){.name = name, .value = value, .id = (uint8_t)id};
    return 0;
}

int message_add(struct message *m, enum field_id id, struct str value)
{
    assert(id != FIELD_OTHER);
    return field_append(m, id, fields[id].name, value);
}

int message_add_name(struct message *m, struct str name, struct str value)
{
    return field_append(m, field_id_of(name), name, value);
}

int message_add_via(struct message *m)
{
    return message_add(m, FIELD_ID_VIA, m->minor == 0 ? STR("1.0 postern") : STR("1.1 postern"));
}

int message_set(struct message *m, enum field_id id, struct str value)
{
    struct field *f = message_find(m, id);

    if (f == NULL)
        return message_add(m, id, value);
    assert(octets_bad_at(value.p, value.n) == value.n);
    f->value = value;
    field_drop_from(m, (unsigned)(f - m->fields) + 1, id, f->name);
    return 0;
}
