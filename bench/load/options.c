#include "options.h"

#include <stddef.h>
#include "load.h"

enum type {
    T_TEXT,
    T_NUMBER,
    T_SIZES,
    T_TIME,
    T_SPAN,
    T_RATE,
    T_STATUSES,
    T_FLAG,
    T_TLS,
    T_CERTIFICATE,
    T_QUERY,
    T_ARRIVALS,
    T_ANY
};

static const char *const type_text[] = {
    [T_TEXT] = "text",
    [T_NUMBER] = "a number",
    [T_SIZES] = "a number of bytes: 200, 16k, 3M, or two as 1k-64k",
    [T_TIME] = "a time: 200ms, 30s, 5m, 1h",
    [T_SPAN] = "a time, or two as 2s-8s",
    [T_RATE] = "a number per second: 500, 2.5",
    [T_STATUSES] = "one to six statuses: 302, or 401 429 503",
    [T_FLAG] = "true or false",
    [T_TLS] = "any, 1.2 or 1.3",
    [T_CERTIFICATE] = "any, rsa or ecdsa",
    [T_QUERY] = "plain, base64 or both",
    [T_ARRIVALS] = "even or poisson",
    [T_ANY] = "",
};

struct option {
    enum option_place place;
    const char *name;
    enum type type;
    size_t offset;
    const char *def; /* top level; those of a mix entry depend on its kind */
    uint64_t min, max;
    const char *kinds; /* " rpc request " ; NULL: all */
    const char *doc;
};

#define TOP(name, type, def, min, max, doc)                                                                  \
    {                                                                                                        \
        OPTION_TOP, #name, type, offsetof(struct scenario, name), def, min, max, NULL, doc                   \
    }
#define MIX(name, type, min, max, kinds, doc)                                                                \
    {                                                                                                        \
        OPTION_MIX, #name, type, offsetof(struct entry, name), NULL, min, max, kinds, doc                    \
    }
#define MANY 1000000
#define DAY 86400000
#define HUGE_SIZE (UINT64_C(1) << 40)

static const struct option options[] = {
    TOP(target, T_TEXT, NULL, 0, 0, "https://HOST:PORT or http://HOST:PORT: where to connect"),
    TOP(host, T_TEXT, NULL, 0, 0, "Host field, and where it is a name SNI; default: the target's"),
    TOP(trust, T_TEXT, NULL, 0, 0, "PEM file of authorities; with it certificate and name are verified"),
    TOP(threads, T_NUMBER, "1", 1, 256, "loops, each on a thread of its own"),
    TOP(clients, T_NUMBER, "0", 0, MANY, "clients in all, shared out by weight"),
    TOP(rate, T_RATE, "0", 0, 10000000, "sessions a second in all, shared out by weight (open loop)"),
    TOP(arrivals, T_ARRIVALS, "even", 0, 0, "of an open loop: at equal distances, or at random"),
    TOP(warm_up, T_TIME, "0s", 0, DAY, "work that is not counted, after the ramp"),
    TOP(ramp_up, T_TIME, "0s", 0, DAY, "time over which clients begin, or the rate grows"),
    TOP(duration, T_TIME, "10s", 1, 7 * (uint64_t)DAY, "what is counted"),
    TOP(settle, T_TIME, "0s", 0, DAY,
        "wait after all connections have closed, before memory is looked at again"),
    TOP(timeout, T_TIME, "60s", 1, DAY, "longest wait for an answer, beyond what was asked to be held"),
    TOP(user, T_TEXT, NULL, 0, 0, "name for Basic; % is the client's number"),
    TOP(password, T_TEXT, "", 0, 0, "password for Basic; % is the client's number"),
    TOP(users, T_NUMBER, "0", 0, UINT32_MAX, "how many users there are; 0: one for each client"),
    TOP(credentials, T_TEXT, NULL, 0, 0,
        "instead of user and password: file of lines NAME:PASSWORD, shared out to the clients in turn"),
    TOP(tags, T_FLAG, "true", 0, 0,
        "number each request (X-Load-Tag); the simulated server repeats the number, and an answer with another is an error"),
    TOP(sources, T_TEXT, NULL, 0, 0,
        "addresses to connect from, in turn: one, a prefix (127.0.1.0/24) or a range (2001:db8::5-2001:db8::60)"),
    {OPTION_TOP, "mix", T_ANY, 0, NULL, 0, 0, NULL, "list of kinds of client, below"},

    {OPTION_MIX, "kind", T_ANY, 0, NULL, 0, 0, NULL, "what the clients do, below"},
    MIX(label, T_TEXT, 0, 0, NULL, "name in tables; default: the kind"),
    MIX(weight, T_NUMBER, 0, MANY, NULL, "share of the clients or rate of the top level (1)"),
    MIX(clients, T_NUMBER, 1, MANY, NULL, "clients of this kind; in an open loop the most at once"),
    MIX(rate, T_RATE, 0, 10000000, NULL, "sessions a second (open loop)"),
    MIX(think, T_SPAN, 0, DAY, NULL, "pause between two sessions of a client (none)"),
    MIX(tls, T_TLS, 0, 0, NULL, "TLS version (any)"),
    MIX(certificate, T_CERTIFICATE, 0, 0, NULL,
        "kind of key that the server is to show, where it has both (any)"),
    MIX(resume, T_FLAG, 0, 0, NULL,
        "resume TLS sessions; a full handshake is then an error, after a client's first (false)"),
    MIX(keep, T_FLAG, 0, 0, NULL, "keep connections between sessions (true; handshake: false)"),
    MIX(sources, T_TEXT, 0, 0, NULL, "addresses to connect from, instead of the top level's"),
    MIX(path, T_TEXT, 0, 0, NULL, "path to ask for"),
    MIX(method, T_TEXT, 0, 0, " request ", "method (GET)"),
    MIX(size, T_SIZES, 0, HUGE_SIZE, " request handshake download upload owa rpc idle ",
        "bytes of an answer, an upload or a PDU, each time another where two are given; of an answer 0: any"),
    MIX(status, T_STATUSES, 0, 0, " request handshake download idle wrong_password ",
        "the status of a right answer (200; wrong_password: 401), and others that are no error either"),
    MIX(begins, T_TEXT, 0, 0, " request handshake idle ",
        "how the body of a right answer begins (not checked); with size: 0"),
    MIX(count, T_NUMBER, 1, MANY, " ews mapi rpc ",
        "notifications of a stream, PENDINGs of a call, PDUs at once in a channel"),
    MIX(resources, T_NUMBER, 0, 1000, " owa ", "resources of a page (6)"),
    MIX(heartbeat, T_TIME, 1000, DAY, " activesync ping ", "how long a Ping is held (8m)"),
    MIX(delay, T_TIME, 0, DAY, " owa request handshake download idle ",
        "how long the server is asked to wait: the long poll (20s)"),
    MIX(interval, T_TIME, 0, DAY, " rpc ews mapi ",
        "between PDUs (none: the next follows the answer), notifications, PENDINGs"),
    MIX(round_trips, T_NUMBER, 0, UINT32_MAX, " rpc ",
        "after which a pair is closed and the session over (0: when the length of a channel is used up)"),
    MIX(echo, T_FLAG, 0, 0, " rpc ", "an echo request before the channels (false)"),
    MIX(query, T_QUERY, 0, 0, " activesync ping ", "form of the query (plain)"),
    MIX(setup, T_FLAG, 0, 0, " activesync ",
        "OPTIONS, Provision and FolderSync in every session, not only the first (false)"),
};
#define OPTION_N (sizeof options / sizeof *options)

static const struct option *find(enum option_place place, struct str name)
{
    for (size_t i = 0; i < OPTION_N; i++)
        if (options[i].place == place && str_eq(name, str_of(options[i].name)))
            return &options[i];
    return NULL;
}

/* Digits, then a unit of the table (value 0 at its end); the number in the smallest unit. */
struct unit {
    const char *name;
    uint64_t value;
};
static const struct unit times[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {0}};
static const struct unit sizes[] = {{"", 1}, {"k", 1024}, {"M", 1048576}, {"G", 1073741824}, {0}};
static const struct unit plain[] = {{"", 1}, {0}};

static bool number(struct str s, const struct unit *units, uint64_t *ret)
{
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    struct str rest = {s.p + digits, s.n - digits};
    for (; units->value; units++)
        if (str_eq(rest, str_of(units->name)))
            return str_to_u64((struct str){s.p, digits}, ret) &&
                   !__builtin_mul_overflow(*ret, units->value, ret);
    return false;
}

static bool span(struct str s, const struct unit *units, struct span *ret)
{
    struct str rest = s, first;
    if (!str_next(&rest, '-', &first) || !number(first, units, &ret->min))
        return false;
    ret->max = ret->min;
    return !rest.n || (number(rest, units, &ret->max) && ret->max >= ret->min);
}

static bool rate(struct str s, double *ret)
{
    struct str rest = s, whole;
    uint64_t n, fraction = 0;
    double scale = 1;
    if (!str_next(&rest, '.', &whole) || !str_to_u64(whole, &n) || (rest.n && !str_to_u64(rest, &fraction)))
        return false;
    for (size_t i = 0; i < rest.n; i++)
        scale *= 10;
    *ret = (double)n + (double)fraction / scale;
    return true;
}

static bool word(struct str s, const char *const *words, int *ret)
{
    for (int i = 0; words[i]; i++)
        if (str_eq(s, str_of(words[i]))) {
            *ret = i;
            return true;
        }
    return false;
}

static bool in_range(const struct option *o, uint64_t n)
{
    return n >= o->min && n <= o->max;
}

static bool parse_number(const struct option *o, struct str s, const struct unit *units, void *to)
{
    uint64_t n;
    if (!number(s, units, &n) || !in_range(o, n))
        return false;
    *(uint64_t *)to = n;
    return true;
}

static bool parse_span(const struct option *o, struct str s, const struct unit *units, void *to)
{
    struct span n;
    if (!span(s, units, &n) || !in_range(o, n.min) || !in_range(o, n.max))
        return false;
    *(struct span *)to = n;
    return true;
}

static bool parse_statuses(struct str s, struct statuses *to)
{
    struct str one;
    uint64_t n;
    to->n = 0;
    while (str_next(&s, ' ', &one)) {
        if (to->n == STATUSES_MAX || !str_to_u64(one, &n) || n < 200 || n > 599)
            return false;
        to->of[to->n++] = (unsigned)n;
    }
    return to->n > 0;
}

static bool parse_words(const struct option *o, struct str s, void *to)
{
    static const char *const flags[] = {"false", "true", NULL}, *const tls[] = {"any", "1.2", "1.3", NULL};
    static const char *const queries[] = {"plain", "base64", "both", NULL};
    static const char *const ways[] = {"even", "poisson", NULL}, *const keys[] = {"any", "rsa", "ecdsa",
                                                                                  NULL};
    int n = 0;
    if (o->type == T_CERTIFICATE) {
        bool ok = word(s, keys, &n);
        *(enum tls_certificate *)to = ok ? (enum tls_certificate)n : TLS_CERTIFICATE_ANY;
        return ok;
    }
    if (o->type == T_TLS) {
        bool ok = word(s, tls, &n);
        *(enum tls_version *)to = ok ? (enum tls_version)n : TLS_VERSION_ANY;
        return ok;
    }
    if (o->type == T_QUERY) {
        bool ok = word(s, queries, &n);
        *(enum query_form *)to = ok ? (enum query_form)n : QUERY_PLAIN;
        return ok;
    }
    bool ok = word(s, o->type == T_FLAG ? flags : ways, &n);
    *(bool *)to = n == 1;
    return ok;
}

static bool parse(struct option_reader *r, const struct option *o, struct str s, void *to)
{
    struct str copy;
    switch (o->type) {
    case T_ANY:
        return true;
    case T_TEXT:
        copy = conf_copy(r->memory, s);
        *(const char **)to = copy.p;
        return copy.p != NULL;
    case T_NUMBER:
        return parse_number(o, s, plain, to);
    case T_SIZES:
        return parse_span(o, s, sizes, to);
    case T_TIME:
        return parse_number(o, s, times, to);
    case T_SPAN:
        return parse_span(o, s, times, to);
    case T_RATE:
        return rate(s, to) && *(double *)to <= (double)o->max;
    case T_STATUSES:
        return parse_statuses(s, to);
    default:
        return parse_words(o, s, to);
    }
}

static bool serves(const struct option *o, const char *kind)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, " %s ", kind ? kind : "");
    return !o->kinds || !kind || strstr(o->kinds, wanted);
}

static struct str option_at(const void *ctx, size_t i)
{
    return options[i].place == *(const enum option_place *)ctx ? str_of(options[i].name) : STR("");
}

static void unknown(struct option_reader *r, enum option_place place, const struct conf_node *n)
{
    struct str near = conf_nearest(n->key, OPTION_N, option_at, &place);
    conf_finding_add(r->findings, CONF_ERROR, n->key_mark, "unknown option `%.*s`%s%.*s%s", STR_ARG(n->key),
                     near.n ? "; did you mean `" : "", (int)near.n, near.n ? near.p : "", near.n ? "`?" : "");
}

/* The number in the largest unit that holds it whole. */
static const char *in_units(uint64_t n, const struct unit *units, char to[32])
{
    const struct unit *best = units;
    if (!n)
        return "0";
    for (const struct unit *u = units; u->value; u++)
        if (n && n % u->value == 0 && u->value > best->value)
            best = u;
    snprintf(to, 32, "%llu%s", (unsigned long long)(n / best->value), best->name);
    return to;
}

/* ", from 1 to 256": empty for what has no range. */
static const char *range_text(const struct option *o, char to[96])
{
    char low[32], high[32];
    const struct unit *units = o->type == T_SIZES                       ? sizes
                               : o->type == T_TIME || o->type == T_SPAN ? times
                                                                        : plain;
    to[0] = 0;
    if (o->max)
        snprintf(to, 96, ", from %s to %s", in_units(o->min, units, low), in_units(o->max, units, high));
    return to;
}

static void unfit(struct option_reader *r, const struct option *o, const struct conf_node *x)
{
    char range[96];
    bool scalar = x->kind == CONF_SCALAR;
    struct str text = scalar ? x->text : STR("a list or map");
    conf_finding_add(r->findings, CONF_ERROR, x->mark, "`%s` is %s%.*s%s: give %s%s", o->name,
                     scalar ? "`" : "", text.n < 60 ? (int)text.n : 60, text.p, scalar ? "`" : "",
                     type_text[o->type], range_text(o, range));
}

void options_read(struct option_reader *r, enum option_place place, const char *kind,
                  const struct conf_node *n, void *to)
{
    for (const struct conf_node *x = n->first; x; x = x->next) {
        const struct option *o = find(place, x->key);
        if (!o)
            unknown(r, place, x);
        else if (!serves(o, kind))
            conf_finding_add(r->findings, CONF_ERROR, x->key_mark,
                             "`%s` means nothing to the kind %s: remove it (it is for%.*s)", o->name, kind,
                             (int)strlen(o->kinds) - 1, o->kinds);
        else if (o->type != T_ANY &&
                 (x->kind != CONF_SCALAR || !parse(r, o, x->text, (char *)to + o->offset)))
            unfit(r, o, x);
    }
}

void options_defaults(struct option_reader *r, void *to)
{
    for (size_t i = 0; i < OPTION_N; i++)
        if (options[i].place == OPTION_TOP && options[i].def)
            parse(r, &options[i], str_of(options[i].def), (char *)to + options[i].offset);
}

void options_set(struct option_reader *r, const struct conf_node *at, struct str name, struct str value,
                 void *to)
{
    char range[96];
    enum option_place place = OPTION_TOP;
    const struct option *o = find(place, name);
    struct str near = o ? name : conf_nearest(name, OPTION_N, option_at, &place);
    if (!o || o->type == T_ANY)
        conf_finding_add(r->findings, CONF_ERROR, at->mark,
                         "--set %.*s: no such option at the top of a scenario%s%.*s%s", STR_ARG(name),
                         near.n ? "; did you mean `" : "", (int)near.n, near.n ? near.p : "",
                         near.n ? "`?" : "");
    else if (!parse(r, o, value, (char *)to + o->offset))
        conf_finding_add(r->findings, CONF_ERROR, at->mark, "command line: `%s` is `%.*s`: give %s%s",
                         o->name, STR_ARG(value), type_text[o->type], range_text(o, range));
}

bool options_text(enum option_place place, size_t i, struct option_text *ret)
{
    char range[96];
    const struct option *o = options;
    for (; o < options + OPTION_N; o++)
        if (o->place == place && i-- == 0)
            break;
    if (o == options + OPTION_N)
        return false;
    bool has_default = o->def && o->def[0];
    ret->name = o->name;
    snprintf(ret->text, sizeof ret->text, "%s%s%s%s%s%s%s%.*s", o->doc, o->type != T_ANY ? "; " : "",
             type_text[o->type], range_text(o, range), has_default ? "; default " : "",
             has_default ? o->def : "", o->kinds ? "; for" : "", o->kinds ? (int)strlen(o->kinds) - 1 : 0,
             o->kinds ? o->kinds : "");
    return true;
}
