/*
 * manual: postern(1), made from the table of commands.
 */
#ifndef POSTERN_MANUAL_H
#define POSTERN_MANUAL_H

#include <stddef.h>
#include <stdio.h>

struct command {
    const char *name, *usage, *doc;
    int (*run)(int argc, char **argv);
};

void manual_write(const struct command *v, size_t n, FILE *to);

#endif
