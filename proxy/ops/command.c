/*
 * The command line: one table for what is called, what --help says and what postern(1) says.
 */
#include <string.h>

#include <postern/trial.h>
#include <postern/verifier.h>

#include "check_servers.h"
#include "command.h"
#include "manual.h"
#include "run_int.h"

static int command_check(int argc, char **argv);
static int command_show(int argc, char **argv);
static int command_help(int argc, char **argv);

static const struct command commands[] = {
    {"run", "[-c FILE]",
     "Serve in the foreground. SIGHUP reloads, SIGUSR1 opens the logs again, SIGTERM and SIGINT finish what is "
     "open within drain_timeout; a second one ends at once.",
     command_run},
    {"check", "[-c FILE] [--advice]",
     "Print every error and warning of the configuration and its certificates with its place and a remedy. Where Windows "
     "authentication passes through to Exchange 2019 or later, the servers' certificates are looked at too. "
     "With --advice also what other certificates would win and lose in devices. Exit status 1 on errors.",
     command_check},
    {"show", "config [-c FILE] | options [SECTION] [--format FORMAT] | services [-c FILE]",
     "The effective configuration with the origin of each value; every option; every service. FORMAT is text, "
     "markdown, man, schema, sample or dictionary.",
     command_show},
    {"passwd", "FILE add|change NAME [--sha512] | FILE delete|verify NAME | FILE list",
     "Manage a user file. The password comes from the terminal, hidden, or from standard input. Hashes are "
     "yescrypt, or sha512crypt with --sha512. Postern reads the file at its next reload.",
     user_file_command},
    {"auth", "test NAME [--directory DIRECTORY] [-c FILE] | flush [-c FILE]",
     "test: ask every directory of the configuration, or one, whether NAME and a password are right, and say in plain words "
     "what each answers. The password comes from the terminal, hidden, or from standard input. A wrong one counts as a failed "
     "sign-in with each directory asked. Exit status 0 when one of them says yes. flush: make the running process forget "
     "which passwords are right and which are wrong: the next attempts ask the directory; locks stay.",
     command_auth},
    {"status", "[accounts [NAME] | devices [USER] | channels] [-c FILE] [--json]",
     "What runs now: listeners, certificates and the days they have left, the backends' health, connections. "
     "accounts: which accounts and addresses are locked or fail, from where, and why. "
     "devices: the ActiveSync devices that were seen, with account, version, last command, age and address. "
     "channels: the channels of Outlook Anywhere that are open.",
     command_status},
    {"unlock", "NAME|ADDRESS [-c FILE]",
     "End the soft lock of an account, in any form of its name, or of a client address, and forget its failures.",
     command_unlock},
    {"reload", "[-c FILE]",
     "Put the configuration and certificates in force without losing a connection. An invalid configuration "
     "changes nothing: its errors are printed, exit status 1.",
     command_reload},
    {"trial",
     "[-c FILE | --chain FILE[,FILE] --host NAME [--tls PROFILE]] [--connect HOST[:PORT]] [OPTIONS] | devices | record",
     "Which of the organisation's devices will connect: predicted from the configuration or from a chain and a TLS "
     "profile, and tried at HOST with each device's own handshake; where both are done they are compared. OPTIONS: "
     "--host NAME, --what-if tls, --what-if tls=PROFILE or chain=FILE, --device NAME, --require NAME (all: every one), "
     "--explain, --advice, --json, --html FILE, --junit FILE, --starttls smtp, --user NAME, --password-file FILE, --no-http, "
     "--timeout SECONDS, --devices DIR, --policies DIR. devices lists and checks the profiles; record [--listen "
     "ADDRESS] [--port PORT] [--name NAME] writes the profile of a client that connects. Exit status 1 when a required "
     "device does not connect or a prediction was wrong.",
     trial_command},
    {"cert", "request [-c FILE] [--name HOST] [--key rsa:2048 | rsa:3072 | rsa:4096 | ecdsa] --out PREFIX",
     "Write a new private key, PREFIX.key, and a signing request for it, PREFIX.csr, with the published hosts as its "
     "names. Never over a file that is there.",
     trial_certificate_command},
    {"help", "[COMMAND] | --man", "This text, that of one command, or the manual page.", command_help},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void usage_one(const struct command *c, FILE *to)
{
    fprintf(to, "usage: postern %s %s\n\n%s\n", c->name, c->usage, c->doc);
}

static void usage_all(FILE *to)
{
    fputs("postern: the guarded gate in front of Microsoft Exchange\n\n", to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  postern %-7s %s\n", commands[i].name, commands[i].usage);
    fputs("\nFILE is " CONFIG_DEFAULT " without -c. `postern COMMAND --help` tells more.\n", to);
}

static int command_help(int argc, char **argv)
{
    const struct command *c = argc > 1 ? command_find(argv[1]) : NULL;

    if (argc > 1 && strcmp(argv[1], "--man") == 0) {
        manual_write(commands, COMMANDS, stdout);
        return 0;
    }
    if (c != NULL)
        usage_one(c, stdout);
    else
        usage_all(stdout);
    return 0;
}

int command_options(int argc, char **argv, const char *flag, const char **ret_file, int *ret_flag)
{
    const char *file = CONFIG_DEFAULT;
    int set = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
            file = argv[++i];
        } else if (flag != NULL && strcmp(argv[i], flag) == 0) {
            set = 1;
        } else {
            fprintf(stderr, "postern %s: cannot use \"%s\" here; `postern %s --help` shows how\n", argv[0],
                    argv[i], argv[0]);
            return -1;
        }
    }
    *ret_file = file;
    if (ret_flag != NULL)
        *ret_flag = set;
    return 0;
}

static void print_count(const char *file, struct conf_findings *f)
{
    const char *slash = strrchr(file, '/');
    size_t errors = conf_findings_count(f, CONF_ERROR), warnings = conf_findings_count(f, CONF_WARNING);

    printf("%s: ", slash != NULL ? slash + 1 : file);
    if (errors == 0)
        printf("no errors, ");
    else
        printf("%zu error%s, ", errors, errors == 1 ? "" : "s");
    printf("%zu warning%s\n", warnings, warnings == 1 ? "" : "s");
}

static int command_check(int argc, char **argv)
{
    struct conf_findings *f;
    struct snapshot *s;
    const char *file;
    int result, advice;

    if (command_options(argc, argv, "--advice", &file, &advice) < 0)
        return 2;
    f = conf_findings_new();
    if (f == NULL)
        return 1;
    s = load_checked(file, f);
    if (s != NULL)
        check_servers(s, f);
    conf_findings_print(f, stdout);
    print_count(file, f);
    result = s != NULL && conf_findings_count(f, CONF_ERROR) == 0 ? 0 : 1;
    if (s != NULL)
        snapshot_release(s);
    conf_findings_free(f);
    if (result == 0 && advice && trial_advise(file, stdout) < 0)
        result = 1;
    return result;
}

static int show_services(const char *file, bool given)
{
    struct conf_findings *f = conf_findings_new();
    struct snapshot *s = given && f != NULL ? conf_load(file, f) : NULL;
    int result = 1;

    if (given && s == NULL && f != NULL)
        conf_findings_print(f, stderr);
    else
        result = conf_show_services(s, stdout) < 0;
    if (s != NULL)
        snapshot_release(s);
    conf_findings_free(f);
    return result;
}

static int show_options(int argc, char **argv)
{
    const char *section = NULL, *format = "text";

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--format") == 0 && i + 1 < argc)
            format = argv[++i];
        else if (argv[i][0] != '-' && section == NULL)
            section = argv[i];
        else
            return 2;
    }
    if (strcmp(format, "text") == 0)
        return conf_show_options(section, stdout) < 0;
    if (strcmp(format, "markdown") == 0)
        format = "reference";
    if (conf_generate(format, stdout) == 0)
        return 0;
    fputs("postern show: FORMAT is text, markdown, man, schema, sample or dictionary\n", stderr);
    return 2;
}

static int command_show(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "", *file;
    int result = 2;

    if (strcmp(what, "options") == 0)
        result = show_options(argc - 1, argv + 1);
    else if (strcmp(what, "config") == 0 && command_options(argc - 1, argv + 1, NULL, &file, NULL) == 0)
        result = conf_show_config(file, stdout) < 0;
    else if (strcmp(what, "services") == 0 && command_options(argc - 1, argv + 1, NULL, &file, NULL) == 0)
        result = show_services(file, argc > 2);
    if (result == 2)
        usage_one(command_find("show"), stderr);
    return result;
}

static int command_unknown(const char *name)
{
    const struct command *best = &commands[0];

    for (size_t i = 1; i < COMMANDS; i++) {
        if (str_distance(str_of(name), str_of(commands[i].name)) <
            str_distance(str_of(name), str_of(best->name)))
            best = &commands[i];
    }
    fprintf(stderr, "postern: no command \"%s\"; did you mean `postern %s`? `postern --help` lists all\n",
            name, best->name);
    return 2;
}

int command_main(int argc, char **argv)
{
    const struct command *c;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage_all(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("postern " POSTERN_VERSION);
        return 0;
    }
    c = command_find(argv[1]);
    if (c == NULL)
        return command_unknown(argv[1]);
    if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
        usage_one(c, stdout);
        return 0;
    }
    return c->run(argc - 1, argv + 1);
}
