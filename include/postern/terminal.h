/*
 * terminal: a secret from whoever sits there, for the command line. Main thread.
 */
#ifndef POSTERN_TERMINAL_H
#define POSTERN_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* One line of standard input; where that is a terminal, after `prompt` and without echo. False: empty, longer than `size` - 1 or
 * with a NUL in it. NUL-terminated; the caller overwrites it. */
bool terminal_secret(const char *prompt, char *out, size_t size);

#endif
