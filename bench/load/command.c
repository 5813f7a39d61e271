#include "command.h"

#include <getopt.h>
#include <string.h>

enum { TARGET, DURATION, THREADS, SET, MEASURE, JSON, HTML, QUIET, CHECK, OPTIONS, MAN, HELP, COUNT };

const struct command_option command_options[COUNT + 1] = {
    [TARGET] = {"target", "URL", "instead of the scenario's: https://HOST:PORT or http://HOST:PORT"},
    [DURATION] = {"duration", "TIME", "instead of the scenario's"},
    [THREADS] = {"threads", "N", "instead of the scenario's"},
    [SET] = {"set", "NAME=VALUE", "an option of the scenario's top instead of what it says (repeat)"},
    [MEASURE] = {"measure", "[NAME=]PID",
                 "CPU and memory of this process and its descendants (repeat); --process is the same"},
    [JSON] = {"json", "FILE", "write the result as JSON; - is standard output"},
    [HTML] = {"html", "FILE", "write a report with charts, one file that needs no network"},
    [QUIET] = {"quiet", NULL, "no progress view"},
    [CHECK] = {"check", NULL, "read the scenario and stop"},
    [OPTIONS] = {"options", NULL, "print what a scenario may say"},
    [MAN] = {"man", NULL, NULL},
    [HELP] = {"help", NULL, "print this"},
};

static bool take_override(struct command *c, const char *name, const char *value)
{
    if (c->overrides.n == OVERRIDES_MAX) {
        fprintf(stderr, "postern-load: at most %d options can be set\n", OVERRIDES_MAX);
        return false;
    }
    c->overrides.of[c->overrides.n].name = name;
    c->overrides.of[c->overrides.n++].value = value;
    return true;
}

static bool take_process(struct command *c, char *text)
{
    if (c->group_n == PROC_GROUPS_MAX) {
        fprintf(stderr, "postern-load: --measure: at most %d processes\n", PROC_GROUPS_MAX);
        return false;
    }
    if (procs_parse(text, &c->groups[c->group_n])) {
        c->group_n++;
        return true;
    }
    fprintf(stderr, "postern-load: --measure %s: give the PID of a running process, or NAME=PID\n", text);
    return false;
}

static bool take(int o, struct command *c)
{
    switch (o) {
    case TARGET:
    case DURATION:
    case THREADS:
    case SET:
        return take_override(c, o == SET ? NULL : command_options[o].name, optarg);
    case MEASURE:
        return take_process(c, optarg);
    case JSON:
        c->json = optarg;
        return true;
    case HTML:
        c->html = optarg;
        return true;
    case QUIET:
        return c->quiet = true;
    case CHECK:
        return c->check = true;
    case OPTIONS:
        return c->options = true;
    case MAN:
        return c->manual = true;
    case HELP:
        return c->help = true;
    default:
        fputs("postern-load --help lists the options\n", stderr);
        return false;
    }
}

bool command_parse(int argc, char **argv, struct command *ret)
{
    struct option longs[COUNT + 2] = {0};
    int o;
    for (int i = 0; i < COUNT; i++)
        longs[i] = (struct option){command_options[i].name, command_options[i].argument != NULL, NULL, i};
    longs[COUNT] = (struct option){"process", 1, NULL, MEASURE};
    *ret = (struct command){0};
    while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1)
        if (!take(o, ret))
            return false;
    if (ret->help || ret->options || ret->manual)
        return true;
    if (optind + 1 != argc) {
        fprintf(stderr, "postern-load: %s; postern-load --help says more\n",
                optind == argc ? "which scenario? Give a YAML file" : "one scenario at a time");
        return false;
    }
    ret->scenario = argv[optind];
    return true;
}

void command_help(FILE *to)
{
    fputs(
        "usage: postern-load [options] SCENARIO.yaml\n"
        "Loads a published Exchange as its clients do, checks every answer, and says how long each took.\n\n",
        to);
    for (const struct command_option *o = command_options; o->name; o++)
        if (o->doc) {
            int n = fprintf(to, "  --%s %s", o->name, o->argument ? o->argument : "");
            fprintf(to, "%*s%s\n", n < 24 ? 24 - n : 1, "", o->doc);
        }
    fputs(
        "\nExit status: 0 all was as expected, 1 there were errors, 2 it could not begin or not write its result.\n"
        "Ctrl-C ends a run early, with a result. The manual page postern-load(1) describes scenarios.\n",
        to);
}
