#include <stdlib.h>
#include <string.h>

#include <postern/account.h>
#include <postern/activesync.h>
#include <postern/device_rules.h>

#define VALUE_MAX 256
#define CONDITIONS_MAX 16

enum relation { IS, BELOW, AT_MOST, ABOVE, AT_LEAST };

struct condition {
    uint8_t key; /* row of `keys` */
    uint8_t relation, version;
    bool plain; /* of a user: the value is a skeleton, for every way in which the name can be written */
    struct str value;
};

struct rule {
    enum device_action action;
    int status;
    unsigned line;
    unsigned first, n; /* conditions */
};

struct device_rules {
    char *text; /* values point into it */
    struct rule *rules;
    unsigned rules_n;
    struct condition *conditions;
    unsigned conditions_n, conditions_room;
};

/* ---- matching ---- */

bool device_glob(struct str p, struct str s)
{
    size_t i = 0, j = 0, star = SIZE_MAX, from = 0;

    while (j < s.n) {
        if (i < p.n && p.p[i] == '*') {
            star = i++;
            from = j;
        } else if (i < p.n && (p.p[i] == '?' || ascii_lower(p.p[i]) == ascii_lower(s.p[j]))) {
            i++;
            j++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            j = ++from;
        } else {
            return false;
        }
    }
    while (i < p.n && p.p[i] == '*')
        i++;
    return i == p.n;
}

static bool glob_known(struct str pattern, struct str s)
{
    return s.p != NULL && device_glob(pattern, s);
}

static bool holds_device_id(const struct condition *c, const struct device_facts *f)
{
    return glob_known(c->value, f->device_id);
}

static bool holds_device_type(const struct condition *c, const struct device_facts *f)
{
    return glob_known(c->value, f->device_type);
}

static bool holds_user_agent(const struct condition *c, const struct device_facts *f)
{
    return glob_known(c->value, f->user_agent);
}

static bool holds_user(const struct condition *c, const struct device_facts *f)
{
    return glob_known(c->value, f->user) || (c->plain && glob_known(c->value, f->plain_user));
}

static bool holds_command(const struct condition *c, const struct device_facts *f)
{
    return glob_known(c->value, f->command);
}

static bool holds_group(const struct condition *c, const struct device_facts *f)
{
    return f->in_group != NULL && f->in_group(f->ctx, c->value);
}

static bool holds_version(const struct condition *c, const struct device_facts *f)
{
    if (f->version == 0)
        return false;
    switch ((enum relation)c->relation) {
    case IS:
        return f->version == c->version;
    case BELOW:
        return f->version < c->version;
    case AT_MOST:
        return f->version <= c->version;
    case ABOVE:
        return f->version > c->version;
    case AT_LEAST:
        return f->version >= c->version;
    }
    return false;
}

static const struct {
    struct str name;
    bool (*holds)(const struct condition *c, const struct device_facts *f);
} keys[] = {
    {STR("device_id"), holds_device_id},   {STR("device_type"), holds_device_type},
    {STR("user_agent"), holds_user_agent}, {STR("user"), holds_user},
    {STR("command"), holds_command},       {STR("group"), holds_group},
    {STR("version"), holds_version},
};
#define KEYS_N (sizeof(keys) / sizeof(keys[0]))

static bool rule_matches(const struct device_rules *r, const struct rule *rule, const struct device_facts *f)
{
    for (unsigned i = 0; i < rule->n; i++) {
        const struct condition *c = &r->conditions[rule->first + i];

        if (!keys[c->key].holds(c, f))
            return false;
    }
    return true;
}

struct device_verdict device_rules_judge(const struct device_rules *r, const struct device_facts *f)
{
    struct device_verdict v = {.action = DEVICE_ALLOW};

    for (unsigned i = 0; i < r->rules_n; i++) {
        const struct rule *rule = &r->rules[i];

        if (!rule_matches(r, rule, f))
            continue;
        if (rule->action == DEVICE_OBSERVE) {
            v.observed = v.observed > 0 ? v.observed : rule->line;
            continue;
        }
        v.action = rule->action;
        v.status = rule->status;
        v.line = rule->line;
        break;
    }
    return v;
}

/* ---- reading ---- */

struct reading {
    struct device_rules *rules;
    const struct conf_strings *groups;
    struct conf_findings *findings;
    struct conf_mark mark;
    const char *line; /* for columns */
    bool good;
};

static void refuse(struct reading *r, struct str word, const char *text)
{
    r->mark.column = (unsigned)(word.p - r->line) + 1;
    conf_finding_add(r->findings, CONF_ERROR, r->mark, "`%.*s`: %s", STR_ARG(word), text);
    r->good = false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word, with a quoted part taken whole; n == 0: the line is used up. */
static struct str next_word(struct str *rest)
{
    struct str w;
    bool quoted = false;

    while (rest->n > 0 && is_space(rest->p[0]))
        *rest = (struct str){rest->p + 1, rest->n - 1};
    w = (struct str){rest->p, 0};
    while (w.n < rest->n && (quoted || !is_space(rest->p[w.n]))) {
        if (rest->p[w.n] == '"')
            quoted = !quoted;
        w.n++;
    }
    *rest = (struct str){rest->p + w.n, rest->n - w.n};
    return w;
}

static bool unquote(struct str *value)
{
    if (value->n > 0 && value->p[0] == '"') {
        if (value->n < 2 || value->p[value->n - 1] != '"')
            return false;
        *value = (struct str){value->p + 1, value->n - 2};
    }
    return value->n > 0 && value->n <= VALUE_MAX && memchr(value->p, '"', value->n) == NULL;
}

static bool condition_add(struct device_rules *r, const struct condition *c)
{
    if (r->conditions_n == r->conditions_room) {
        unsigned room = r->conditions_room > 0 ? r->conditions_room * 2 : 64;
        struct condition *v = realloc(r->conditions, room * sizeof(*v));

        if (v == NULL)
            return false;
        r->conditions = v;
        r->conditions_room = room;
    }
    r->conditions[r->conditions_n++] = *c;
    return true;
}

/* "name", then =, <, <=, > or >=, then a value. */
static bool condition_split(struct str w, struct str *ret_name, enum relation *ret_relation,
                            struct str *ret_value)
{
    static const struct {
        struct str sign;
        enum relation relation;
    } signs[] = {
        {STR("<="), AT_MOST}, {STR(">="), AT_LEAST}, {STR("<"), BELOW}, {STR(">"), ABOVE}, {STR("="), IS}};
    size_t n = 0;

    while (n < w.n && strchr("<>=", w.p[n]) == NULL)
        n++;
    *ret_name = (struct str){w.p, n};
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        struct str sign = signs[i].sign;

        if (w.n - n < sign.n || memcmp(w.p + n, sign.p, sign.n) != 0)
            continue;
        *ret_relation = signs[i].relation;
        *ret_value = (struct str){w.p + n + sign.n, w.n - n - sign.n};
        return true;
    }
    return false;
}

static void take_status(struct reading *r, struct rule *rule, struct str w, struct str value)
{
    uint64_t status;

    if (rule->action != DEVICE_DENY)
        refuse(r, w, "only a deny rule has a status");
    else if (!str_to_u64(value, &status) || (status != 403 && status != 449 && status != 456))
        refuse(r, w, "write 403 (refused), 449 (provision first) or 456 (blocked)");
    else
        rule->status = (int)status;
}

static bool group_is_asked(const struct conf_strings *groups, struct str pattern)
{
    for (size_t i = 0; groups != NULL && i < groups->n; i++) {
        if (device_glob(pattern, groups->v[i]))
            return true;
    }
    return groups == NULL;
}

/* Who is denied must not get by with another spelling of his name; who is allowed is allowed as written. */
static void make_plain(const struct device_rules *r, struct condition *c)
{
    char skeleton[2 * VALUE_MAX];
    size_t n;

    if (memchr(c->value.p, '\\', c->value.n) != NULL || memchr(c->value.p, '@', c->value.n) != NULL)
        return;
    n = account_skeleton(c->value, skeleton, sizeof(skeleton));
    if (n == 0 || n > c->value.n)
        return;
    memcpy(r->text + (c->value.p - r->text), skeleton, n);
    c->value.n = n;
    c->plain = true;
}

static void take_condition(struct reading *r, struct rule *rule, struct str w)
{
    struct condition c = {.key = KEYS_N};
    enum relation relation;
    struct str name;

    if (!condition_split(w, &name, &relation, &c.value) || !unquote(&c.value)) {
        refuse(r, w, "is not a condition: write name=value, with \"...\" around a value with spaces");
        return;
    }
    if (str_eq(name, STR("status")) && relation == IS) {
        take_status(r, rule, w, c.value);
        return;
    }
    for (size_t i = 0; i < KEYS_N; i++) {
        if (str_eq(name, keys[i].name))
            c.key = (uint8_t)i;
    }
    c.relation = (uint8_t)relation;
    if (c.key < KEYS_N && keys[c.key].holds == holds_user && rule->action != DEVICE_ALLOW)
        make_plain(r->rules, &c);
    if (c.key == KEYS_N)
        refuse(r, w, "the conditions are device_id, device_type, user_agent, user, command, group, version");
    else if (keys[c.key].holds == holds_version && (c.version = activesync_version_of(c.value)) == 0)
        refuse(r, w, "write a protocol version such as 14.1");
    else if (keys[c.key].holds != holds_version && relation != IS)
        refuse(r, w, "only version can be above or below a value");
    else if (keys[c.key].holds == holds_group && !group_is_asked(r->groups, c.value))
        refuse(r, w, "directories are not asked for such a group: name it in the service's device_groups");
    else if (++rule->n > CONDITIONS_MAX)
        refuse(r, w, "a rule has at most 16 conditions");
    else if (!condition_add(r->rules, &c))
        refuse(r, w, "out of memory");
}

static bool action_of(struct str w, enum device_action *ret)
{
    static const struct {
        struct str word;
        enum device_action action;
    } actions[] = {
        {STR("allow"), DEVICE_ALLOW}, {STR("deny"), DEVICE_DENY}, {STR("observe"), DEVICE_OBSERVE}};

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (str_eq(w, actions[i].word)) {
            *ret = actions[i].action;
            return true;
        }
    }
    return false;
}

/* "#" begins a comment where a word could begin. */
static void take_line(struct reading *r, struct str line)
{
    struct rule rule = {.status = 403, .line = r->mark.line, .first = r->rules->conditions_n};
    struct str w = next_word(&line);

    if (w.n == 0 || w.p[0] == '#')
        return;
    if (!action_of(w, &rule.action)) {
        refuse(r, w, "is no action: a rule begins with allow, deny or observe");
        return;
    }
    while ((w = next_word(&line)).n > 0 && w.p[0] != '#')
        take_condition(r, &rule, w);
    if (r->rules->rules_n == DEVICE_RULES_MAX)
        refuse(r, (struct str){r->line, 0}, "more than 10000 rules in this file");
    else
        r->rules->rules[r->rules->rules_n++] = rule;
}

static size_t count_lines(struct str s)
{
    size_t n = 1;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n < DEVICE_RULES_MAX ? n : DEVICE_RULES_MAX;
}

static struct device_rules *rules_new(struct str text)
{
    struct device_rules *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->text = str_dup(text);
    r->rules = calloc(count_lines(text), sizeof(*r->rules));
    if (r->text != NULL && r->rules != NULL)
        return r;
    device_rules_free(r);
    return NULL;
}

struct device_rules *device_rules_parse(const char *file, struct str text, const struct conf_strings *groups,
                                        struct conf_findings *f)
{
    struct reading r = {
        .groups = groups, .findings = f, .mark = {.file = file}, .good = true, .rules = rules_new(text)};
    struct str rest, line;

    if (r.rules == NULL) {
        conf_finding_add(f, CONF_ERROR, r.mark, "out of memory");
        return NULL;
    }
    rest = (struct str){r.rules->text, text.n};
    while (str_next(&rest, '\n', &line)) {
        r.mark.line++;
        r.line = line.p;
        take_line(&r, line);
    }
    if (r.good)
        return r.rules;
    device_rules_free(r.rules);
    return NULL;
}

void device_rules_free(struct device_rules *r)
{
    if (r == NULL)
        return;
    free(r->text);
    free(r->rules);
    free(r->conditions);
    free(r);
}
