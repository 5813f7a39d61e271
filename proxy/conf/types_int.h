/* Shared by the files that define types. */
#ifndef POSTERN_CONF_TYPES_INT_H
#define POSTERN_CONF_TYPES_INT_H

#include "conf_int.h"

/* A pointer with the count behind it, as conf.h's structures have them. */
struct conf_list {
    void *v;
    size_t n;
};

#define CONF_NO_SERVER "the list is empty; name at least one server"

/* As YAML would have it: quoted where needed. */
void conf_print_word(struct str s, FILE *to);
/* The nodes of a list, or the one node itself where a single value stands for a list of one. */
size_t conf_items(const struct conf_node *n, const struct conf_node **ret_first);
/* Every item a scalar, no item twice; -1 with findings. */
int conf_check_items(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                     bool or_one);
/* A list, or one alone, of things of `size` octets, each read by `parse` and taken from the snapshot's memory; `member` is a
 * conf_list. -1 with findings: of every bad item, or the words `empty`. */
int conf_parse_items(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                     void *member, size_t size, const char *empty,
                     int (*parse)(struct conf_apply *a, const struct conf_option *o,
                                  const struct conf_node *n, void *item));
/* Of each the `struct str` at that offset. */
void conf_print_items(const void *member, size_t size, size_t text_offset, FILE *to);

#endif
