/* postern-cas: a simulated Client Access server for demos, tests and benchmarks. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "cas.h"

struct options options = {.listen = "127.0.0.1:0", .workers = 1, .rpc_ping = 60, .rpc_length = 1073741824};

static const char help[] =
    "postern-cas: simulated Client Access server (no Exchange, no mail: a stand-in for tests)\n"
    "  --listen ADDR:PORT     default 127.0.0.1:0; the chosen port is printed\n"
    "  --tls CHAIN KEY        serve TLS with these PEM files (twice: one RSA, one ECDSA)\n"
    "  --tls12                TLS 1.2 only, as Exchange before Windows 2022\n"
    "  --workers N            loops (1)\n"
    "  --user NAME:PASSWORD   accept this user (repeat)      --any-user  accept every Basic user\n"
    "  --no-auth              ask for nothing                --offer-ntlm  offer Negotiate and NTLM too\n"
    "  --control ADDR:PORT    GET /sim/stats there           --record FILE  append each request head\n"
    "  --behave TEXT          how slow, faulty or large a service's answers are (repeat; the last word counts):\n"
    "                         'owa latency=20ms-80ms slow=1%:2s-5s fail=0.5%:503 size=1k-64k'; 'all ...'; README.md\n"
    "  --behaviour FILE       the same, a service on each line\n"
    "  --rpc-length N         Content-Length of RPC_OUT_DATA answers (1073741824)\n"
    "  --rpc-ping SECONDS     ping PDU on OUT channels (60; 0: none)\n"
    "Faults to ask for, under /sim/ (no credentials): reset half-head truncated garbage drip no-notify continue\n"
    "early-hints informational early huge-head dup-length length-and-chunked bad-chunk http10 204 304 trailers\n"
    "no-keep-alive never. See README.md.\n";

enum {
    LISTEN = 256,
    TLS,
    TLS12,
    BEHAVE,
    BEHAVIOUR,
    WORKERS,
    USER,
    ANY,
    NOAUTH,
    NTLM,
    CONTROL,
    RECORD,
    LENGTH,
    PING,
    HELP
};
static const struct option longs[] = {
    {"listen", 1, 0, LISTEN},     {"tls", 1, 0, TLS},
    {"tls12", 0, 0, TLS12},       {"workers", 1, 0, WORKERS},
    {"user", 1, 0, USER},         {"any-user", 0, 0, ANY},
    {"no-auth", 0, 0, NOAUTH},    {"offer-ntlm", 0, 0, NTLM},
    {"control", 1, 0, CONTROL},   {"record", 1, 0, RECORD},
    {"behave", 1, 0, BEHAVE},     {"behaviour", 1, 0, BEHAVIOUR},
    {"rpc-length", 1, 0, LENGTH}, {"rpc-ping", 1, 0, PING},
    {"help", 0, 0, HELP},         {0},
};

static bool take_number(unsigned *ret, uint64_t min, uint64_t max)
{
    uint64_t n;
    if (!str_to_u64(str_of(optarg), &n) || n < min || n > max)
        return false;
    *ret = (unsigned)n;
    return true;
}

static bool take(int o, int argc, char **argv)
{
    switch (o) {
    case LISTEN:
        options.listen = optarg;
        return true;
    case TLS:
        if (options.certificate_count == CERTIFICATES_MAX || optind >= argc)
            return false;
        options.chain[options.certificate_count] = optarg;
        options.key[options.certificate_count++] = argv[optind++];
        return true;
    case TLS12:
        return options.tls12 = true;
    case BEHAVE:
        return behave_add(optarg);
    case BEHAVIOUR:
        return behave_read(optarg);
    case WORKERS:
        return take_number(&options.workers, 1, 64);
    case USER:
        if (options.user_count == USERS_MAX || !strchr(optarg, ':'))
            return false;
        options.users[options.user_count++] = optarg;
        return true;
    case ANY:
        return options.any_user = true;
    case NOAUTH:
        return options.no_auth = true;
    case NTLM:
        return options.offer_ntlm = true;
    case CONTROL:
        options.control = optarg;
        return true;
    case RECORD:
        options.record = optarg;
        return true;
    case LENGTH:
        return str_to_u64(str_of(optarg), &options.rpc_length);
    case PING:
        return take_number(&options.rpc_ping, 0, UINT32_MAX);
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    int o;
    while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (o == HELP) {
            fputs(help, stdout);
            return 0;
        }
        if (!take(o, argc, argv)) {
            fputs("postern-cas: --help lists the options\n", stderr);
            return 2;
        }
    }
    if (optind < argc || (!options.user_count && !options.any_user && !options.no_auth)) {
        fputs("postern-cas: give --user NAME:PASSWORD, --any-user or --no-auth; --help for all\n", stderr);
        return 2;
    }
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    if (options.record && !record_open(options.record)) {
        perror(options.record);
        return 1;
    }
    return server_run();
}
