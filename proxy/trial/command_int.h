/*
 * command_int: the words of `postern trial`, and what they select: columns of a matrix.
 */
#ifndef POSTERN_TRIAL_COMMAND_INT_H
#define POSTERN_TRIAL_COMMAND_INT_H

#include "trial_int.h"

#define TRIAL_WORDS_MAX 32

struct trial_words {
    const char *v[TRIAL_WORDS_MAX];
    unsigned n;
};
struct trial_options {
    const char *config, *tls, *connect, *devices, *policies, *html, *junit, *starttls, *user, *password_file,
        *timeout;
    struct trial_words chains, hosts, only, require, what_if;
    bool json, explain, no_http, advice;
};
/* False: wrong usage, told. */
bool trial_options_read(int argc, char **argv, struct trial_options *ret);

/* Everything that columns borrow from. */
struct trial_setup {
    struct trial_options o;
    struct conf_findings *findings;
    struct conf_memory *memory;
    struct trial_devices all, chosen;
    struct trial_policy policies[TRIAL_COLUMNS_MAX]; /* the first CONF_TLS_COUNT: Postern's own */
    unsigned policies_n;
    struct trial_certificate certificates[TRIAL_COLUMNS_MAX];
    unsigned certificates_n;
    struct snapshot *snapshot;
    struct trial_choices choices;
    struct trial_matrix matrix;
    unsigned base_n; /* columns that are no what-if */
    char connect_host[256], connect_port[8], password[256], policies_folder[512], devices_folder[512];
};
/* Columns of the configuration or of the chain, their variants, and what is tried live. -1: findings say why. */
int trial_columns_make(struct trial_setup *s);
/* What each choice of certificates would win and lose, for the columns that stand for a listener each. */
void trial_setup_advise(struct trial_setup *s, FILE *to);
const struct trial_policy *trial_setup_policy(struct trial_setup *s, const char *name);
/* The certificates of a file list "A.pem,B.pem" into `server`. */
int trial_setup_chain(struct trial_setup *s, const char *files, struct trial_server *server);

#endif
