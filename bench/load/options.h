/*
 * options: the options of a scenario as a table; each is parsed, checked, defaulted and described from its row.
 * It stands on conf's node tree, so messages name file, line and column as Postern's own do.
 */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdio.h>
#include "conf_int.h"

enum option_place { OPTION_TOP, OPTION_MIX };

struct option_reader {
    struct conf_memory *memory;
    struct conf_findings *findings;
};

/* All options of the map `n` into the struct at `to`; `kind` restricts those of a mix entry. Findings tell what is wrong. */
void options_read(struct option_reader *r, enum option_place place, const char *kind,
                  const struct conf_node *n, void *to);
/* The defaults of the top level. */
void options_defaults(struct option_reader *r, void *to);
/* One value from the command line; findings stand at `at`. */
void options_set(struct option_reader *r, const struct conf_node *at, struct str name, struct str value,
                 void *to);
struct option_text {
    const char *name;
    char text[512];
};
/* The option number `i` of the place, for people: what it is, what may be written, its default, its kinds. false: none. */
bool options_text(enum option_place place, size_t i, struct option_text *ret);

#endif
