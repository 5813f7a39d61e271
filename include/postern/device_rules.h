/*
 * device_rules: which ActiveSync devices may come, by a file of the site that reload reads again.
 *
 * One rule a line, "#" begins a comment; the first rule that matches decides, and a device that none matches is allowed:
 *
 *   ACTION [CONDITION ...]
 *
 * ACTION is allow, deny or observe (counted and logged, then the next rules are looked at). Conditions, all of which must hold:
 * device_id=, device_type=, user_agent=, user=, command=, group= with "*" and "?" in the value (any case); version= with <, <=, >
 * or >= instead of = as well. A user without a domain means, except in an allow rule, whoever has the name in any spelling and
 * domain. status= says what a denied device is told (403 unless said otherwise). A value with spaces stands in double quotes.
 *
 * Read-only once parsed; any thread.
 */
#ifndef POSTERN_DEVICE_RULES_H
#define POSTERN_DEVICE_RULES_H

#include <postern/conf.h>

#define DEVICE_RULES_MAX 10000

enum device_action { DEVICE_ALLOW, DEVICE_DENY, DEVICE_OBSERVE };

/* What is known of a request; p NULL where nothing is. */
struct device_facts {
    struct str device_id, device_type, user_agent, user, command;
    struct str plain_user; /* skeleton of the user's own part (account.h) */
    uint8_t version;       /* 0: not known; it then fits no condition on versions */
    /* Whether the account is in that group; NULL: groups are not known, no condition on them holds. */
    bool (*in_group)(void *ctx, struct str group);
    void *ctx;
};

struct device_verdict {
    enum device_action action; /* ALLOW or DENY */
    int status;                /* of DENY */
    unsigned line;             /* of the rule that decided; 0: none */
    unsigned observed;         /* line of the first observe rule that matched; 0: none */
};

struct device_rules;
/* NULL and findings ("FILE:LINE:COLUMN", what is wrong, what would be right). */
/* `groups`: those that directories are asked for; a condition on any other would never hold, and is refused. NULL: not looked at. */
struct device_rules *device_rules_parse(const char *file, struct str text, const struct conf_strings *groups,
                                        struct conf_findings *f);
void device_rules_free(struct device_rules *r);
struct device_verdict device_rules_judge(const struct device_rules *r, const struct device_facts *facts);
/* Whether `s` fits `pattern` with "*" and "?"; ASCII case does not matter. Linear in practice, bounded by n * m. */
bool device_glob(struct str pattern, struct str s);

#endif
