/*
 * command: the words of the command line, one function each, and the table from which --help and postern(1)
 * are made. argv[0] is the command's own name; the result is the exit status: 0 good, 1 failed, 2 wrong
 * usage.
 */
#ifndef POSTERN_COMMAND_H
#define POSTERN_COMMAND_H

#include <stdio.h>

#define CONFIG_DEFAULT "/etc/postern/postern.yaml"

int command_main(int argc, char **argv);
int command_run(int argc, char **argv);
int command_status(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_unlock(int argc, char **argv);
int command_auth(int argc, char **argv);
int command_auth_flush(int argc, char **argv);
/* Takes "-c FILE" and flags; *ret_file is CONFIG_DEFAULT without -c. -1: wrong usage, already told. */
int command_options(int argc, char **argv, const char *flag, const char **ret_file, int *ret_flag);

#endif
