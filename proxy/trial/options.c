/*
 * The words of `postern trial`.
 */
#include <stdio.h>
#include "command_int.h"

enum kind { FLAG, VALUE, LIST };

#define AT(member) offsetof(struct trial_options, member)
static const struct {
    const char *word;
    enum kind kind;
    size_t offset;
} rows[] = {
    {"-c", VALUE, AT(config)},         {"--config", VALUE, AT(config)},
    {"--chain", LIST, AT(chains)},     {"--tls", VALUE, AT(tls)},
    {"--host", LIST, AT(hosts)},       {"--connect", VALUE, AT(connect)},
    {"--devices", VALUE, AT(devices)}, {"--policies", VALUE, AT(policies)},
    {"--device", LIST, AT(only)},      {"--require", LIST, AT(require)},
    {"--what-if", LIST, AT(what_if)},  {"--html", VALUE, AT(html)},
    {"--junit", VALUE, AT(junit)},     {"--starttls", VALUE, AT(starttls)},
    {"--user", VALUE, AT(user)},       {"--password-file", VALUE, AT(password_file)},
    {"--timeout", VALUE, AT(timeout)}, {"--json", FLAG, AT(json)},
    {"--explain", FLAG, AT(explain)},  {"--advice", FLAG, AT(advice)},
    {"--no-http", FLAG, AT(no_http)},
};
#undef AT

static bool put(struct trial_options *o, size_t row, char *value)
{
    char *member = (char *)o + rows[row].offset;
    struct trial_words *words = (struct trial_words *)member;

    if (rows[row].kind == FLAG)
        *(bool *)member = true;
    else if (rows[row].kind == VALUE)
        *(const char **)member = value;
    else if (words->n < TRIAL_WORDS_MAX)
        words->v[words->n++] = value;
    return true;
}

static bool take(int argc, char **argv, int *i, struct trial_options *ret)
{
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        if (strcmp(argv[*i], rows[row].word) != 0)
            continue;
        if (rows[row].kind == FLAG)
            return put(ret, row, NULL);
        if (*i + 1 == argc) {
            fprintf(stderr, "postern trial: %s needs a value\n", argv[*i]);
            return false;
        }
        return put(ret, row, argv[++*i]);
    }
    fprintf(stderr, "postern trial: cannot use \"%s\" here; `postern trial --help` shows how\n", argv[*i]);
    return false;
}

bool trial_options_read(int argc, char **argv, struct trial_options *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (int i = 1; i < argc; i++) {
        if (!take(argc, argv, &i, ret))
            return false;
    }
    if (ret->chains.n > 0 && (ret->hosts.n == 0 || ret->config != NULL)) {
        fputs("postern trial: --chain needs --host, and no --config\n", stderr);
        return false;
    }
    if (ret->tls != NULL && ret->chains.n == 0) {
        fputs(
            "postern trial: --tls needs --chain; for a configuration with another profile: --what-if tls=PROFILE\n",
            stderr);
        return false;
    }
    if (ret->starttls != NULL && (strcmp(ret->starttls, "smtp") != 0 || ret->connect == NULL)) {
        fputs("postern trial: --starttls is smtp, and needs --connect\n", stderr);
        return false;
    }
    return true;
}
