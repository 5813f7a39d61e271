/* Plain values: numbers, sizes, durations, words. */
#include "conf_int.h"
#include "types_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <postern/log.h>

struct str conf_nearest(struct str word, size_t n, struct str (*at)(const void *ctx, size_t i),
                        const void *ctx)
{
    struct str best = STR_NULL;
    unsigned nearest = word.n > 5 ? 3 : 2;
    if (!word.n || word.n > 64)
        return best;
    for (size_t i = 0; i < n; i++) {
        struct str s = at(ctx, i);
        unsigned d = s.n <= 64 ? str_distance(word, s) : 99;
        if (d <= nearest && d < word.n) {
            nearest = d ? d - 1 : 0;
            best = s;
        }
        if (!d)
            break;
    }
    return best;
}

int conf_refuse(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    conf_finding_add(a->findings, CONF_ERROR, n->mark, "`%s`%s%s: %s", o->name, a->where[0] ? " in " : "",
                     a->where, text);
    return -1;
}

void *conf_take(struct conf_apply *a, size_t n)
{
    void *p = conf_alloc(a->memory, n);
    if (!p)
        a->no_memory = true;
    return p;
}

struct str conf_take_str(struct conf_apply *a, struct str s)
{
    struct str copy = conf_copy(a->memory, s);
    if (!copy.p)
        a->no_memory = true;
    return copy;
}

struct str conf_take_lower(struct conf_apply *a, struct str s)
{
    char *p = conf_take(a, s.n + 1);
    if (!p)
        return STR_NULL;
    for (size_t i = 0; i < s.n; i++)
        p[i] = ascii_lower(s.p[i]);
    return (struct str){p, s.n};
}

bool conf_is_scalar(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n)
{
    if (n->kind == CONF_SCALAR)
        return true;
    conf_refuse(a, o, n, "expected %s, found a %s", o->type->describe, n->kind == CONF_MAP ? "map" : "list");
    return false;
}

static int refuse_value(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n)
{
    return conf_refuse(a, o, n, "`%.*s` is not understood; expected %s", STR_ARG(n->text), o->type->describe);
}

/* --- bool --- */
static bool is_yaml11_bool(struct str s)
{
    static const char *const words[] = {"yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq_nocase(s, str_of(words[i])))
            return true;
    return str_eq_nocase(s, STR("true")) || str_eq_nocase(s, STR("false"));
}

static int parse_bool(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                      void *member)
{
    if (!conf_is_scalar(a, o, n))
        return -1;
    bool yes = str_eq(n->text, STR("true"));
    if (!yes && !str_eq(n->text, STR("false"))) {
        if (is_yaml11_bool(n->text))
            return conf_refuse(a, o, n, "write true or false, not `%.*s`", STR_ARG(n->text));
        return refuse_value(a, o, n);
    }
    *(bool *)member = yes;
    return 0;
}

static void print_bool(const struct conf_option *o, const void *member, FILE *to)
{
    fputs(*(const bool *)member ? "true" : "false", to);
}

const struct conf_type conf_type_bool = {"bool", "true or false", sizeof(bool), parse_bool, print_bool, NULL};

/* --- numbers with units --- */
struct unit {
    const char *word;
    uint64_t factor;
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit size_units[] = {
    {"", 1},
    {"k", 1024},
    {"K", 1024},
    {"M", 1024 * 1024},
    {"m", 1024 * 1024},
    {"G", 1024 * 1024 * 1024},
    {"g", 1024 * 1024 * 1024},
    {NULL, 0},
};
static const struct unit duration_units[] = {{"ms", 1},          {"s", 1000},         {"m", 60 * 1000},
                                             {"h", 3600 * 1000}, {"d", 86400 * 1000}, {NULL, 0}};

static bool with_unit(struct str s, const struct unit *units, uint64_t *ret)
{
    size_t digits = 0;
    uint64_t v;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    struct str unit = {s.p + digits, s.n - digits};
    if (!str_to_u64((struct str){s.p, digits}, &v))
        return false;
    for (; units->word; units++)
        if (str_eq(unit, str_of(units->word)))
            return !__builtin_mul_overflow(v, units->factor, ret);
    return v == 0 && unit.n == 0 && (*ret = 0, true);
}

static void print_with_unit(uint64_t v, const struct unit *units, FILE *to)
{
    const struct unit *best = NULL;
    for (const struct unit *u = units; u->word; u++)
        if (v % u->factor == 0 && v >= u->factor && (!best || u->factor > best->factor))
            best = u;
    fprintf(to, "%" PRIu64 "%s", best ? v / best->factor : v, best ? best->word : "");
}

static int ranged(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                  const struct unit *units, uint64_t *ret)
{
    uint64_t v;
    if (!conf_is_scalar(a, o, n))
        return -1;
    if (!with_unit(n->text, units, &v))
        return refuse_value(a, o, n);
    if (v < o->min || v > o->max) {
        char range[128] = "";
        FILE *to = fmemopen(range, sizeof range - 1, "w");
        if (to) {
            print_with_unit(o->min, units, to);
            fputs(" to ", to);
            print_with_unit(o->max, units, to);
            fclose(to);
        }
        return conf_refuse(a, o, n, "`%.*s` is out of range; allowed is %s", STR_ARG(n->text), range);
    }
    *ret = v;
    return 0;
}

static const struct unit *units_of(const struct conf_type *t)
{
    if (t == &conf_type_size)
        return size_units;
    return t == &conf_type_duration || t == &conf_type_seconds ? duration_units : no_units;
}

void conf_print_default(const struct conf_option *o, FILE *to)
{
    for (const char *p = o->def ? o->def : ""; *p; p++)
        if (*p == ' ' && o->def[0] == '[')
            fputs(p[1] == ']' ? "" : ", ", to);
        else
            fputc(*p, to);
}

void conf_print_range(const struct conf_option *o, const char *before, const char *after, FILE *to)
{
    if (!o->max)
        return;
    fputs(before, to);
    print_with_unit(o->min, units_of(o->type), to);
    fputs(" to ", to);
    print_with_unit(o->max, units_of(o->type), to);
    fputs(after, to);
}

static int parse_count(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                       void *member)
{
    uint64_t v;
    if (ranged(a, o, n, no_units, &v) != 0)
        return -1;
    *(unsigned *)member = (unsigned)v;
    return 0;
}

static int parse_integer(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                         void *member)
{
    uint64_t v;
    if (ranged(a, o, n, no_units, &v) != 0)
        return -1;
    *(int *)member = (int)v;
    return 0;
}

static int parse_number(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                        void *member)
{
    return ranged(a, o, n, no_units, member);
}

static int parse_workers(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                         void *member)
{
    if (n->kind == CONF_SCALAR && str_eq(n->text, STR("auto"))) {
        *(unsigned *)member = 0;
        return 0;
    }
    return parse_count(a, o, n, member);
}

/* "none" is the word for 0 wherever 0 is in range. */
static int parse_sized(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                       void *member, const struct unit *units)
{
    if (n->kind == CONF_SCALAR && o->min == 0 && str_eq(n->text, STR("none"))) {
        *(uint64_t *)member = 0;
        return 0;
    }
    return ranged(a, o, n, units, member);
}

static int parse_size(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                      void *member)
{
    return parse_sized(a, o, n, member, size_units);
}

static int parse_duration(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                          void *member)
{
    return parse_sized(a, o, n, member, duration_units);
}

static int parse_seconds(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                         void *member)
{
    uint64_t v;
    if (n->kind == CONF_SCALAR && str_eq(n->text, STR("off")))
        v = 0;
    else if (ranged(a, o, n, duration_units, &v) != 0)
        return -1;
    *(uint64_t *)member = v / 1000;
    return 0;
}

static void print_count(const struct conf_option *o, const void *member, FILE *to)
{
    fprintf(to, "%u", *(const unsigned *)member);
}

static void print_integer(const struct conf_option *o, const void *member, FILE *to)
{
    fprintf(to, "%d", *(const int *)member);
}

static void print_number(const struct conf_option *o, const void *member, FILE *to)
{
    fprintf(to, "%" PRIu64, *(const uint64_t *)member);
}

static void print_workers(const struct conf_option *o, const void *member, FILE *to)
{
    unsigned v = *(const unsigned *)member;
    if (v)
        fprintf(to, "%u", v);
    else
        fputs("auto", to);
}

static void print_size(const struct conf_option *o, const void *member, FILE *to)
{
    print_with_unit(*(const uint64_t *)member, size_units, to);
}

static void print_duration(const struct conf_option *o, const void *member, FILE *to)
{
    print_with_unit(*(const uint64_t *)member, duration_units, to);
}

static void print_seconds(const struct conf_option *o, const void *member, FILE *to)
{
    print_with_unit(*(const uint64_t *)member * 1000, duration_units, to);
}

const struct conf_type conf_type_count = {"number",    "a number",  sizeof(unsigned),
                                          parse_count, print_count, NULL};
const struct conf_type conf_type_integer = {"number",      "a number",    sizeof(int),
                                            parse_integer, print_integer, NULL};
const struct conf_type conf_type_number = {"number",     "a number",   sizeof(uint64_t),
                                           parse_number, print_number, NULL};
const struct conf_type conf_type_workers = {"number or auto", "a number, or auto for one per core",
                                            sizeof(unsigned), parse_workers,
                                            print_workers,    NULL};
const struct conf_type conf_type_size = {
    "size", "bytes, with k, M or G where you like: 64k", sizeof(uint64_t), parse_size, print_size, NULL};
const struct conf_type conf_type_duration = {"duration",       "a number with ms, s, m, h or d: 30s",
                                             sizeof(uint64_t), parse_duration,
                                             print_duration,   NULL};
const struct conf_type conf_type_seconds = {"duration or off", "a duration such as 63072000s, or off",
                                            sizeof(uint64_t),  parse_seconds,
                                            print_seconds,     NULL};

/* --- text --- */
static int parse_string(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                        void *member)
{
    if (!conf_is_scalar(a, o, n))
        return -1;
    if (!n->text.n)
        return conf_refuse(a, o, n, "is empty; leave the option out instead");
    struct str s = conf_take_str(a, n->text);
    if (!s.p)
        return -1;
    *(struct str *)member = s;
    return 0;
}

static void print_string(const struct conf_option *o, const void *member, FILE *to)
{
    const struct str *s = member;
    if (s->p)
        conf_print_word(*s, to);
    else
        fputs("none", to);
}

const struct conf_type conf_type_string = {"text",       "text",       sizeof(struct str),
                                           parse_string, print_string, NULL};

void conf_print_word(struct str s, FILE *to)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+";
    bool plain = s.n && s.p[0] != '-';
    for (size_t i = 0; plain && i < s.n; i++)
        plain = strchr(safe, s.p[i]) != NULL;
    if (plain) {
        fprintf(to, "%.*s", STR_ARG(s));
        return;
    }
    fputc('"', to);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            fputc('\\', to);
        fputc(s.p[i], to);
    }
    fputc('"', to);
}

/* --- words from a list --- */
static struct str value_at(const void *ctx, size_t i)
{
    return str_of(((const struct conf_value *)ctx)[i].word);
}

static int parse_enum(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                      void *member)
{
    const struct conf_value *v = o->type->values;
    size_t count = 0;
    if (!conf_is_scalar(a, o, n))
        return -1;
    for (; v[count].word; count++) {
        if (str_eq(n->text, str_of(v[count].word))) {
            if (o->type->size == sizeof(bool))
                *(bool *)member = v[count].value;
            else
                *(int *)member = v[count].value;
            return 0;
        }
    }
    struct str near = conf_nearest(n->text, count, value_at, v);
    if (near.p)
        return conf_refuse(a, o, n, "unknown value `%.*s`; did you mean `%.*s`? (%s)", STR_ARG(n->text),
                           STR_ARG(near), o->type->describe);
    return conf_refuse(a, o, n, "unknown value `%.*s`; supported: %s", STR_ARG(n->text), o->type->describe);
}

static void print_enum(const struct conf_option *o, const void *member, FILE *to)
{
    int value = o->type->size == sizeof(bool) ? *(const bool *)member : *(const int *)member;
    for (const struct conf_value *v = o->type->values; v->word; v++)
        if (v->value == value) {
            fputs(v->word, to);
            return;
        }
    fputs("none", to);
}

#define ENUM_TYPE(t, member, describe, ...)                                                                  \
    static const struct conf_value t##_values[] = {__VA_ARGS__, {NULL, 0}};                                  \
    const struct conf_type conf_type_##t = {"word",     describe,   sizeof(member),                          \
                                            parse_enum, print_enum, t##_values}

ENUM_TYPE(level, int, "debug, info, notice, warning or error", {"debug", LOG_DEBUG}, {"info", LOG_INFO},
          {"notice", LOG_NOTICE}, {"warning", LOG_WARNING}, {"error", LOG_ERROR});
ENUM_TYPE(tls, enum conf_tls, "modern, intermediate, compat12 or legacy10", {"modern", CONF_TLS_MODERN},
          {"intermediate", CONF_TLS_INTERMEDIATE}, {"compat12", CONF_TLS_COMPAT12},
          {"legacy10", CONF_TLS_LEGACY10});
ENUM_TYPE(plain_http, enum conf_plain_http, "redirect, autodiscover_only or refuse",
          {"redirect", CONF_PLAIN_REDIRECT}, {"autodiscover_only", CONF_PLAIN_AUTODISCOVER_ONLY},
          {"refuse", CONF_PLAIN_REFUSE});
ENUM_TYPE(refuse, enum conf_refuse, "403 or close", {"403", CONF_REFUSE_403}, {"close", CONF_REFUSE_CLOSE});
ENUM_TYPE(verify, bool, "full or none", {"full", true}, {"none", false});
ENUM_TYPE(balance, enum conf_balance, "round_robin or least_connections",
          {"round_robin", CONF_BALANCE_ROUND_ROBIN}, {"least_connections", CONF_BALANCE_LEAST_CONNECTIONS});
ENUM_TYPE(directory_type, enum conf_directory_type, "user_file, ldap, radius or chain",
          {"user_file", CONF_DIRECTORY_USER_FILE}, {"ldap", CONF_DIRECTORY_LDAP},
          {"radius", CONF_DIRECTORY_RADIUS}, {"chain", CONF_DIRECTORY_CHAIN});
ENUM_TYPE(membership, enum conf_membership, "nested, member_of, member, unique_member or member_uid",
          {"nested", CONF_MEMBERSHIP_NESTED}, {"member_of", CONF_MEMBERSHIP_MEMBER_OF},
          {"member", CONF_MEMBERSHIP_MEMBER}, {"unique_member", CONF_MEMBERSHIP_UNIQUE_MEMBER},
          {"member_uid", CONF_MEMBERSHIP_MEMBER_UID});
ENUM_TYPE(protocol, enum conf_protocol,
          "plain, rpc, activesync, autodiscover, autodiscover_json, ews, mapi or ecp",
          {"plain", CONF_PROTOCOL_PLAIN}, {"rpc", CONF_PROTOCOL_RPC},
          {"activesync", CONF_PROTOCOL_ACTIVESYNC}, {"autodiscover", CONF_PROTOCOL_AUTODISCOVER},
          {"autodiscover_json", CONF_PROTOCOL_AUTODISCOVER_JSON}, {"ews", CONF_PROTOCOL_EWS},
          {"mapi", CONF_PROTOCOL_MAPI}, {"ecp", CONF_PROTOCOL_ECP});
ENUM_TYPE(client_certificate, enum conf_client_certificate, "off, optional or required",
          {"off", CONF_CLIENT_OFF}, {"optional", CONF_CLIENT_OPTIONAL}, {"required", CONF_CLIENT_REQUIRED});
ENUM_TYPE(client_account, enum conf_client_account, "upn, email or cn", {"upn", CONF_CLIENT_UPN},
          {"email", CONF_CLIENT_EMAIL}, {"cn", CONF_CLIENT_CN});
ENUM_TYPE(other_domains, enum conf_domains, "auto, same, refuse or apart", {"auto", CONF_DOMAINS_AUTO},
          {"same", CONF_DOMAINS_SAME}, {"refuse", CONF_DOMAINS_REFUSE}, {"apart", CONF_DOMAINS_APART});
ENUM_TYPE(affinity, enum conf_affinity, "none, user, client_address or cookie", {"none", CONF_AFFINITY_NONE},
          {"user", CONF_AFFINITY_USER}, {"client_address", CONF_AFFINITY_CLIENT_ADDRESS},
          {"cookie", CONF_AFFINITY_COOKIE});
ENUM_TYPE(access_format, enum conf_access_format, "json or w3c", {"json", CONF_ACCESS_JSON},
          {"w3c", CONF_ACCESS_W3C});
ENUM_TYPE(tickets, enum conf_tickets, "memory, file or off", {"memory", CONF_TICKETS_MEMORY},
          {"file", CONF_TICKETS_FILE}, {"off", CONF_TICKETS_OFF});

static const char *word_of(const struct conf_type *type, int value)
{
    for (const struct conf_value *v = type->values; v->word; v++)
        if (v->value == value)
            return v->word;
    return "none";
}

const char *conf_tls_name(enum conf_tls t)
{
    return word_of(&conf_type_tls, (int)t);
}

const char *conf_plain_http_name(enum conf_plain_http p)
{
    return word_of(&conf_type_plain_http, (int)p);
}

const char *conf_directory_type_name(enum conf_directory_type t)
{
    return word_of(&conf_type_directory_type, (int)t);
}

const char *conf_affinity_name(enum conf_affinity x)
{
    return word_of(&conf_type_affinity, (int)x);
}
ENUM_TYPE(rule_where, enum conf_rule_where, "path, query, url or header", {"path", CONF_RULE_PATH},
          {"query", CONF_RULE_QUERY}, {"url", CONF_RULE_URL}, {"header", CONF_RULE_HEADER});
ENUM_TYPE(rule_mode, enum conf_rule_mode, "deny, observe or off", {"deny", CONF_RULE_DENY},
          {"observe", CONF_RULE_OBSERVE}, {"off", CONF_RULE_OFF});
ENUM_TYPE(exchange, enum conf_exchange, "2007, 2010, 2013, 2016, 2019 or se", {"2007", CONF_EXCHANGE_2007},
          {"2010", CONF_EXCHANGE_2010}, {"2013", CONF_EXCHANGE_2013}, {"2016", CONF_EXCHANGE_2016},
          {"2019", CONF_EXCHANGE_2019}, {"se", CONF_EXCHANGE_SE});
