/*
 * conf_tree: a small YAML file as a tree, for rooms whose files are not the configuration: no anchors, aliases or tags, one
 * document, at most CONF_FILE_MAX bytes, CONF_DEPTH_MAX levels and CONF_LIST_MAX entries of a list or map.
 *
 * Everything lives in a conf_memory, which one thread owns and which is freed at once. What is wrong becomes findings with
 * file, line and column.
 */
#ifndef POSTERN_CONF_TREE_H
#define POSTERN_CONF_TREE_H

#include <postern/conf.h>

#define CONF_FILE_MAX (1024 * 1024)
#define CONF_DEPTH_MAX 16
#define CONF_LIST_MAX 1024 /* entries of one list or map */

/* --- memory: everything of one snapshot; overwritten before it is given back, since keys lie in it --- */
struct conf_memory;
struct conf_memory *conf_memory_new(void);
void conf_memory_free(struct conf_memory *m);
void *conf_alloc(struct conf_memory *m, size_t n);         /* cleared; NULL without memory */
void *conf_alloc_secret(struct conf_memory *m, size_t n);  /* the same, in no core dump */
struct str conf_copy(struct conf_memory *m, struct str s); /* NUL added; p NULL without memory */
/* `destroy(object)` runs before the memory goes, last registered first. -1 without memory (nothing
 * registered). */
int conf_memory_defer(struct conf_memory *m, void *object, void (*destroy)(void *));

/* --- tree --- */
enum conf_kind { CONF_SCALAR, CONF_LIST, CONF_MAP };
struct conf_node {
    enum conf_kind kind;
    bool quoted;
    struct conf_mark mark;
    struct str text; /* scalar */
    struct str key;  /* where the parent is a map */
    struct conf_mark key_mark;
    struct conf_node *first, *last, *next;
    size_t n;
};
/* The root map, in `m`; NULL when it cannot be read as one (findings say why). `file` must outlive the nodes.
 */
struct conf_node *conf_tree_read(struct conf_memory *m, const char *file, struct str bytes,
                                 struct conf_findings *f);
const struct conf_node *conf_node_find(const struct conf_node *map, struct str key);
/* The item of the list under `key`; NULL: there is none. */
const struct conf_node *conf_node_item(const struct conf_node *map, struct str key, size_t i);

/* The whole regular file, at most CONF_FILE_MAX bytes; -1 and *ret_why (static text). */
int conf_slurp(struct conf_memory *m, const char *path, struct str *ret, const char **ret_why);
/* Nearest of `n` names, offered by at(ctx, i); p NULL when none is near. */
struct str conf_nearest(struct str word, size_t n, struct str (*at)(const void *ctx, size_t i),
                        const void *ctx);

#endif
