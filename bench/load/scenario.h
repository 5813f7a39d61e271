/*
 * scenario: what is to be done, read from a YAML file; constant once loaded. Times are milliseconds, sizes bytes.
 * Every option is a row of a table in scenario.c, which `postern-load --options` prints.
 */
#ifndef LOAD_SCENARIO_H
#define LOAD_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "link.h"
#include "sources.h"

#define ENTRIES_MAX 64

struct kind;
struct conf_node;

struct span {
    uint64_t min, max;
};

/* What `status` says is right, in place of the kind's own; n 0: nothing. */
#define STATUSES_MAX 6
struct statuses {
    unsigned n, of[STATUSES_MAX];
};

struct credential {
    const char *name, *password;
};

enum query_form { QUERY_PLAIN, QUERY_BASE64, QUERY_BOTH };

/* One line of `mix`. */
struct entry {
    const struct kind *kind;
    const char *label;
    uint64_t clients, weight;
    double rate;       /* sessions a second, open loop; 0: as fast as the clients go */
    struct span think; /* between sessions */

    const char *path, *method, *begins;
    const char *sources; /* as written */
    struct sources from;
    struct statuses status;
    struct span size;
    uint64_t count, resources, round_trips;
    uint64_t heartbeat, delay, interval;
    enum query_form query;
    enum tls_version tls;
    enum tls_certificate certificate;
    bool resume, setup, keep, echo;

    const struct conf_node *node; /* where it stands in the file */
    unsigned first_op;            /* where its operations begin among all */
};

struct scenario {
    const char *name;
    const char *target, *sources; /* as written */
    bool https;
    const char *host;     /* as in Host: an IPv6 address has brackets */
    const char *peer;     /* whom the certificate is to name: without brackets */
    bool peer_is_address; /* which SNI never carries (RFC 6066 3) */
    const char *address;
    union address to[2]; /* one of each family, the system's first choice first; AF_UNSPEC: there is none */
    const char *trust;
    struct sources from;
    uint64_t threads, clients;
    double rate;
    uint64_t warm_up, ramp_up, duration, settle, timeout;
    uint64_t users;
    const char *user, *password; /* '%' stands for the number */
    const char *credentials;     /* or: a file of NAME:PASSWORD, as written */
    struct credential *known;    /* what stands in it */
    uint64_t known_n;
    bool arrivals; /* true: at random (Poisson), false: at equal distances */
    bool tags;
    struct entry entries[ENTRIES_MAX];
    size_t entry_n;
    unsigned op_n;
    void *memory; /* of the strings above */
};

#define OVERRIDES_MAX 32
/* What the command line says instead of the file's top; name NULL: the value is NAME=VALUE. */
struct overrides {
    struct {
        const char *name, *value;
    } of[OVERRIDES_MAX];
    unsigned n;
};

/* NULL, and every error on stderr as file:line:column, when it cannot be used. */
struct scenario *scenario_load(const char *file, const struct overrides *o);
void scenario_free(struct scenario *s);
/* Where to connect from an address of this family; AF_UNSPEC: from any. NULL when the target has none of it. */
const union address *scenario_target(const struct scenario *s, int family);
/* The user of a client, by its number among those of its entry. `name` is never empty; returns false, and leaves
 * `password` alone, where the scenario gives no credentials. */
bool scenario_user(const struct scenario *s, uint64_t number, char *name, size_t name_size, char *password,
                   size_t password_size);
void scenario_print_options(FILE *to);

#endif
