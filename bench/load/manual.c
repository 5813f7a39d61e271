/* The manual page: what people need beside the tables, and the tables. */
#include <string.h>
#include "command.h"
#include "kinds.h"
#include "options.h"

static const char begin[] =
    ".TH POSTERN-LOAD 1 \"\" \"Postern\" \"User Commands\"\n"
    ".SH NAME\n"
    "postern-load \\- load generator for published Exchange services\n"
    ".SH SYNOPSIS\n"
    ".B postern-load\n"
    ".RI [ options ]\n"
    ".I SCENARIO.yaml\n"
    ".SH DESCRIPTION\n"
    "Loads a published Exchange the way its clients do: browsers, telephones, Outlook in its three dialects, programs. A\n"
    "scenario says how many of each there are and how often they come. Every answer is checked: its status, its length, its\n"
    "order and its content. While it runs, a view of one screen shows rates, latencies, errors and the time that is left; where\n"
    "standard error is no terminal, a line each second does. At the end a table goes to standard output, and with\n"
    ".B \\-\\-json\n"
    "and\n"
    ".B \\-\\-html\n"
    "the whole result to files.\n"
    ".PP\n"
    "Most kinds of client speak to\n"
    ".BR postern-cas ,\n"
    "a simulated Client Access server that stands behind the proxy that is tested; they ask it for answers of a known length and\n"
    "content. Against another server use\n"
    ".B request\n"
    "with\n"
    ".BR \"size: 0\" ,\n"
    ".B status\n"
    "and\n"
    ".BR begins ,\n"
    "or\n"
    ".BR wrong_password .\n"
    ".PP\n"
    ".B Load only what is yours:\n"
    "what looks like many clients to a test looks like an attack to everybody else.\n"
    ".SH OPTIONS\n";

static const char scenarios[] =
    ".SH SCENARIOS\n"
    "A scenario is a YAML file. The top of it says where to connect, for how long, and who the clients are;\n"
    ".B mix\n"
    "lists kinds of client. There are two ways to load:\n"
    ".TP\n"
    ".B closed loop\n"
    "With\n"
    ".B clients\n"
    "alone, each client begins its next session when the last is over and it has thought for\n"
    ".BR think .\n"
    "A slow server is asked less often.\n"
    ".TP\n"
    ".B open loop\n"
    "With\n"
    ".BR rate ,\n"
    "sessions begin at times that do not depend on the answers. One that finds no free client begins late, and its latency counts\n"
    "from when it was due: a server that stalls cannot hide it (coordinated omission).\n"
    ".PP\n"
    "A run has four phases:\n"
    ".B ramp_up\n"
    "(clients begin one after the other, or the rate grows),\n"
    ".B warm_up\n"
    "(all work, nothing is counted),\n"
    ".B duration\n"
    "(what is counted), and, after all connections have closed,\n"
    ".B settle\n"
    "(until memory is looked at for the last time).\n"
    ".PP\n"
    "Connections come from any address of this machine, or from those of\n"
    ".B sources\n"
    "in turn: an address, a prefix or a range, in IPv4 or IPv6. A prefix stands for all its addresses but the first and the last.\n"
    "At most 16,777,216 addresses can be given: a /8, or a /104 of IPv6. Since limits count IPv6 by /64, a prefix of /40 to /63\n"
    "stands for one address in each /64 of it. All must be this machine's, and be routed back to it from the server:\n"
    ".PP\n"
    ".EX\n"
    "    ip route add local 10.20.0.0/16 dev lo\n"
    "    ip \\-6 route add local 2001:db8:20::/48 dev lo\n"
    ".EE\n"
    ".PP\n"
    "Where\n"
    ".B target\n"
    "is a name with addresses of both families, a connection goes to the first of the family that it comes from; without\n"
    ".BR sources ,\n"
    "to the system's first choice of all.\n"
    ".SS The top of the file\n";

static const char end[] =
    ".SH LATENCY\n"
    "Latency is the time from when a request was due to the last byte of its answer, service time from when it was sent. For what\n"
    "a server is asked to hold (a Ping, a long poll, a MAPI wait) it is how late the answer comes. For a notification of EWS it is\n"
    "how long it was under way, from the time that the simulated server wrote into it: their clocks must agree. For Outlook\n"
    "Anywhere it is measured inside the channels: a PDU out on IN, its answer back on OUT. Histograms are log-linear: a percentile\n"
    "is at most 1/128 above the exact one.\n"
    ".SH \"EXIT STATUS\"\n"
    "0: all was as expected. 1: there were errors. 2: it could not begin, or not write its result.\n"
    ".SH SIGNALS\n"
    "SIGINT and SIGTERM end a run early, with a result.\n"
    ".SH EXAMPLES\n"
    "The ordinary morning of 1,000 mailboxes against a proxy whose process is to be measured:\n"
    ".PP\n"
    ".EX\n"
    "    postern-load \\-\\-target https://gate.example.com:443 \\-\\-measure postern=$(pidof \\-s postern) \\e\n"
    "        \\-\\-html report.html /usr/share/postern/scenarios/morning.yaml\n"
    ".EE\n"
    ".PP\n"
    "A scenario of its own:\n"
    ".PP\n"
    ".EX\n"
    "    target: https://192.0.2.10:443\n"
    "    host: mail.example.com\n"
    "    user: user%\n"
    "    password: secret%\n"
    "    ramp_up: 10s\n"
    "    duration: 2m\n"
    "    mix:\n"
    "      \\- {kind: owa, clients: 200, think: 10s\\-60s}\n"
    "      \\- {kind: ping, clients: 1000, heartbeat: 8m, query: both}\n"
    "      \\- {kind: handshake, rate: 50, clients: 100, tls: '1.3'}\n"
    ".EE\n"
    ".SH \"SEE ALSO\"\n"
    ".BR postern (1),\n"
    ".BR postern.yaml (5)\n";

/* Text of the tables as roff: hyphens that may be typed stay such. */
static void put(const char *text, FILE *to)
{
    for (; *text; text++)
        if (*text == '-' || *text == '\\')
            fprintf(to, "\\%c", *text == '\\' ? 'e' : '-');
        else
            fputc(*text, to);
}

static void put_options(FILE *to)
{
    for (const struct command_option *o = command_options; o->name; o++) {
        if (!o->doc)
            continue;
        fprintf(to, ".TP\n.B \\-\\-%s", o->name);
        if (o->argument)
            fprintf(to, " \\fI%s\\fP", o->argument);
        fputc('\n', to);
        put(o->doc, to);
        fputs(".\n", to);
    }
}

static void put_place(enum option_place place, FILE *to)
{
    struct option_text o;
    for (size_t i = 0; options_text(place, i, &o); i++) {
        fputs(".TP\n.B ", to);
        put(o.name, to);
        fputc('\n', to);
        put(o.text, to);
        fputs(".\n", to);
    }
}

void command_manual(FILE *to)
{
    fputs(begin, to);
    put_options(to);
    fputs(scenarios, to);
    put_place(OPTION_TOP, to);
    fputs(".SS An entry of mix\n", to);
    put_place(OPTION_MIX, to);
    fputs(".SS Kinds of client\n", to);
    for (size_t i = 0; kinds[i]; i++) {
        fprintf(to, ".TP\n.B %s\n", kinds[i]->name);
        put(kinds[i]->doc, to);
        fputs(".\n", to);
    }
    fputs(end, to);
}
