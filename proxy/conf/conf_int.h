/*
 * conf, inside: the option table and its types, one load. Nothing here is used by other rooms.
 */
#ifndef POSTERN_CONF_INT_H
#define POSTERN_CONF_INT_H

#include <postern/conf_tree.h>

/* A default of the option table: "[a b]" is a list of scalars, anything else one scalar. NULL without memory.
 */
struct conf_node *conf_tree_default(struct conf_memory *m, const char *text);

/* --- options --- */
enum conf_section {
    CONF_SECTION_process,
    CONF_SECTION_limits,
    CONF_SECTION_flood,
    CONF_SECTION_http,
    CONF_SECTION_log,
    CONF_SECTION_guard,
    CONF_SECTION_listener,
    CONF_SECTION_certificate,
    CONF_SECTION_backend,
    CONF_SECTION_directory,
    CONF_SECTION_service,
    CONF_SECTION_rule,
    CONF_SECTION_publish,
    CONF_SECTION_COUNT
};

enum { CONF_REQUIRED = 1, CONF_SECRET = 2, CONF_RESTART = 4, CONF_DEPRECATED = 8 };

struct conf_apply;
struct conf_option;

struct conf_value {
    const char *word;
    int value;
};

struct conf_type {
    const char *name;
    const char *describe; /* what may be written, for messages and documents */
    size_t size;          /* of the member (of the pointer alone where a count follows it) */
    /* -1: refused, and a finding says why; the member is then untouched. */
    int (*parse)(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n, void *member);
    void (*print)(const struct conf_option *o, const void *member, FILE *to);
    const struct conf_value *values; /* enums; ends with word NULL */
};

struct conf_option {
    enum conf_section section;
    const char *name;
    const struct conf_type *type;
    size_t offset;
    const char *def; /* NULL: none */
    uint64_t min, max;
    unsigned flags;
    const char *doc;
};
extern const struct conf_option conf_options[];
extern const size_t conf_options_n;

struct conf_section_info {
    const char *name;   /* key at the top of the file; NULL: the options stand there themselves */
    const char *plural; /* "list", "map" (by name), or NULL for one object */
    size_t size;
    const char *doc;
};
extern const struct conf_section_info conf_sections[CONF_SECTION_COUNT];

#define CONF_PRESET_VALUES 9
/* What goes without saying: an object of a section, whose values the site may change one by one under its name. */
struct conf_preset {
    enum conf_section section;
    const char *name, *doc;
    struct {
        const char *option, *value; /* value NULL: the option's default */
    } values[CONF_PRESET_VALUES];
};
extern const struct conf_preset conf_presets[];
extern const size_t conf_presets_n;
/* NULL where the preset says nothing about that option. */
const char *conf_preset_value(const struct conf_preset *p, const char *option, enum conf_exchange version);
/* NULL: no preset of that section has the name. */
const struct conf_preset *conf_preset_named(enum conf_section section, struct str name);

/* --- one load --- */
struct conf_apply {
    struct snapshot *s;
    struct conf_memory *memory;
    struct conf_findings *findings;
    const char *file;
    struct str folder; /* of the file, with its last '/', or empty */
    bool read_files;
    bool no_memory;
    char where[128]; /* "listeners[0]" */
};

/* "`option` in where: text". Returns -1. */
int conf_refuse(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Memory of the snapshot, and notes when there is none. */
void *conf_take(struct conf_apply *a, size_t n);
struct str conf_take_str(struct conf_apply *a, struct str s);
struct str conf_take_lower(struct conf_apply *a, struct str s);
bool conf_is_scalar(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n);

struct snapshot *conf_load_bytes(const char *file, struct str bytes, bool read_files,
                                 struct conf_findings *f);
void conf_apply_root(struct conf_apply *a, const struct conf_node *root);
void conf_check(struct conf_apply *a, const struct conf_node *root);
void conf_check_guard(struct conf_apply *a, const struct conf_node *root);
void conf_identify_directories(struct conf_apply *a, const struct conf_node *root);
/* The part of it about directories and the groups that are asked of them. */
void conf_check_directories(struct conf_apply *a, const struct conf_node *root);

/* Whether the publication, written as `map`, asks for passwords. Where `authenticate` is missing or was refused it may well have been
 * meant to: what else would be said of it then is no help. */
bool conf_may_ask_passwords(const struct conf_publish *p, const struct conf_node *map);

/* Reads path (relative: to the folder of the configuration) into the snapshot. */
int conf_read_file(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                   struct conf_file *ret);
/* `whole`: the pattern describes the subject from end to end; else it is looked for inside. */
struct conf_pattern *conf_pattern_new(struct conf_memory *m, struct str pattern, bool whole,
                                      uint64_t match_limit, char *ret_why, size_t why_size, size_t *ret_at);

/* Where the option has a range: before, "min to max", after; else nothing. */
void conf_print_range(const struct conf_option *o, const char *before, const char *after, FILE *to);

/* The default as a file would have it; nothing where there is none. */
void conf_print_default(const struct conf_option *o, FILE *to);

/* Syntax only. */
bool conf_is_name(struct str s);    /* LDH labels */
bool conf_is_literal(struct str s); /* IPv4 or IPv6, no brackets */
/* "host", "host:port", "[v6]:port": NULL, or why not. *ret_port stays where none is written. */
const char *conf_parse_host(struct str s, struct str *ret_host, uint16_t *ret_port);
int conf_parse_address(struct str s, struct conf_address *ret, const char **ret_why); /* text is left alone */

#define CONF_TYPE(t) extern const struct conf_type conf_type_##t;
#include "types.def"
#undef CONF_TYPE

#endif
