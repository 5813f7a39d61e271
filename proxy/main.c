/*
 * The command line; the words and their meaning are the table of ops/command.c.
 */
#include <postern/filters.h>
#include "ops/command.h"

int main(int argc, char **argv)
{
    filters_register();
    return command_main(argc, argv);
}
