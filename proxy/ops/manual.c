#include "command.h"
#include "manual.h"

/* What no command's own text says. */
static const char manual_rest[] =
    ".SH SIGNALS\n"
    "To a process of\n.BR \"postern run\" :\n"
    ".TP\n.B SIGHUP\nreload, as\n.B postern reload\ndoes; what is wrong goes to the event log.\n"
    ".TP\n.B SIGUSR1\nopen the log files again, after they were renamed.\n"
    ".TP\n.BR SIGTERM \", \" SIGINT\naccept nothing new, let requests finish for at most\n.I drain_timeout\n"
    "and end; a second one ends at once.\n"
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nall is well; for\n.BR run ,\nit was told to stop and has.\n"
    ".TP\n.B 1\nthe command failed: errors in the configuration, nobody answers at the control socket, a wrong "
    "password for\n.BR \"passwd verify\" .\n"
    ".TP\n.B 2\nwrong usage.\n"
    ".SH FILES\n"
    ".TP\n.I " CONFIG_DEFAULT "\nthe configuration, when\n.B \\-c\nnames no other; files that it names are "
    "relative to its folder.\n"
    ".TP\n.I /run/postern/control.sock\nwhere\n.B status\nand\n.B reload\nreach the running process, unless\n"
    ".I control_socket\nsays otherwise; for its owner alone.\n"
    ".SH EXAMPLES\n"
    ".nf\n"
    "postern check \\-c postern.yaml && postern run \\-c postern.yaml\n"
    "postern passwd /etc/postern/users add alice && postern reload\n"
    "postern show options listeners\n"
    "postern status \\-\\-json | jq .servers\n"
    ".fi\n"
    ".SH SEE ALSO\n.BR postern.yaml (5)\n";

static void roff_text(const char *text, FILE *to)
{
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\')
            fputc('\\', to);
        fputc(*text, to);
    }
}

void manual_write(const struct command *v, size_t n, FILE *to)
{
    fputs(
        ".TH POSTERN 1 \"\" \"Postern " POSTERN_VERSION "\" \"Postern\"\n"
        ".SH NAME\npostern \\- the guarded gate in front of Microsoft Exchange\n"
        ".SH SYNOPSIS\n.B postern\n.I COMMAND\n[options]\n.br\n.B postern \\-\\-version | \\-\\-help\n"
        ".SH DESCRIPTION\n"
        "A reverse proxy that stands in the perimeter network, takes HTTPS from the Internet, proves who asks,\n"
        "and then opens one narrow way to the interior Client Access servers. Nothing is published but the\n"
        "paths and methods of the services that the configuration names.\n"
        ".SH COMMANDS\n",
        to);
    for (size_t i = 0; i < n; i++) {
        fprintf(to, ".TP\n.B postern %s ", v[i].name);
        roff_text(v[i].usage, to);
        fputc('\n', to);
        roff_text(v[i].doc, to);
        fputc('\n', to);
    }
    fputs(manual_rest, to);
}
