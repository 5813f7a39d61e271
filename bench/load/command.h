/* command: what the command line says. Its options are a table, from which the help and the manual page are made. */
#ifndef LOAD_COMMAND_H
#define LOAD_COMMAND_H

#include <stdbool.h>
#include "run.h"

struct command {
    struct overrides overrides;
    const char *scenario, *json, *html;
    struct proc_group groups[PROC_GROUPS_MAX];
    unsigned group_n;
    bool quiet, check, options, manual, help;
};

struct command_option {
    const char *name, *argument, *doc; /* argument NULL: it is a flag; doc NULL: not for people */
};
extern const struct command_option command_options[];

/* false, and a message on stderr, when it makes no sense. */
bool command_parse(int argc, char **argv, struct command *ret);
void command_help(FILE *to);
/* The manual page, in roff (man(7)). */
void command_manual(FILE *to);

#endif
