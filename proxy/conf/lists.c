/* Lists of words: hosts, paths, methods, field names, statuses and the like. One reader, one check per type.
 */
#include "types_int.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool is_token(struct str s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (!c || !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr(marks, c)))
            return false;
    }
    return s.n > 0;
}

/* Each: NULL when the word is good, else why not. */
static const char *check_token(struct str s)
{
    return is_token(s) && s.n <= 256 ? NULL : "it is not a token (letters, digits, - and _)";
}

static const char *check_host(struct str s)
{
    if (str_eq(s, STR("*")))
        return NULL;
    if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        return conf_is_literal((struct str){s.p + 1, s.n - 2}) ? NULL : "it is not an IPv6 address";
    struct str name = s;
    if (str_starts_nocase(s, STR("*.")))
        name = (struct str){s.p + 2, s.n - 2};
    if (memchr(s.p, ':', s.n))
        return "write the name alone, without a port";
    if (memchr(name.p, '*', name.n))
        return "`*` stands alone or for the whole first label: *.example.com";
    return conf_is_name(name) ? NULL : "it is not a host name";
}

static const char *check_path(struct str s)
{
    if (!s.n || s.p[0] != '/')
        return "a path begins with /";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7f || strchr("%?#\\;\"<>", c))
            return "it must be plain: no %, ?, #, ;, \\, spaces or octets beyond ASCII";
    }
    if (memmem(s.p, s.n, "//", 2))
        return "empty segments (//) never match";
    struct str rest = s, segment;
    while (str_next(&rest, '/', &segment))
        if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return "dot segments never match";
    return NULL;
}

static const char *check_status(struct str s)
{
    bool class = s.n == 3 && (s.p[1] == 'x' || s.p[1] == 'X') && (s.p[2] == 'x' || s.p[2] == 'X');
    bool exact = s.n == 3 && s.p[1] >= '0' && s.p[1] <= '9' && s.p[2] >= '0' && s.p[2] <= '9';
    return (class || exact) && s.p[0] >= '1' && s.p[0] <= '5'
               ? NULL
               : "write a status such as 401 or a class such as 2xx";
}

static const char *check_port(struct str s)
{
    uint64_t port;
    return str_to_u64(s, &port) && port > 0 && port <= 65535 && s.p[0] != '0'
               ? NULL
               : "write a port from 1 to 65535";
}

static const char *check_pin(struct str s)
{
    char raw[64];
    return str_base64_decode(s, raw, sizeof raw) == 32
               ? NULL
               : "write the base64 SHA-256 of the SubjectPublicKeyInfo (44 characters)";
}

/* A group, a directory: anything that can stand in a line. */
static const char *check_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return "it holds a control character";
    return !s.n ? "it is empty" : s.n > 1024 ? "it is longer than 1024 octets" : NULL;
}

/* CORP or corp.example.com: NetBIOS names may hold what host names may not. */
static const char *check_domain(struct str s)
{
    if (memchr(s.p, '\\', s.n) || memchr(s.p, '@', s.n))
        return "write the domain alone, without `\\` and `@`";
    return s.n > 255 ? "it is longer than 255 octets" : check_name(s);
}

static const char *const methods[] = {
#define METHOD(id, token, flags) token,
#include <postern/methods.def>
#undef METHOD
};
static const char *const access_fields[] = {
#define ACCESS_FIELD(id, json, w3c, meaning) json,
#include <postern/access_fields.def>
#undef ACCESS_FIELD
};

static struct str table_at(const void *ctx, size_t i)
{
    return str_of(((const char *const *)ctx)[i]);
}

static bool in_table(const char *const *table, size_t n, struct str s)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, str_of(table[i])))
            return true;
    return false;
}

static int check_in_table(struct conf_apply *a, const struct conf_option *o, const struct conf_node *x,
                          const char *const *table, size_t n, const char *what)
{
    if (in_table(table, n, x->text))
        return 0;
    struct str near = conf_nearest(x->text, n, table_at, table);
    if (near.p)
        return conf_refuse(a, o, x, "unknown %s `%.*s`; did you mean `%.*s`?", what, STR_ARG(x->text),
                           STR_ARG(near));
    return conf_refuse(a, o, x, "unknown %s `%.*s`", what, STR_ARG(x->text));
}

static int check_word(struct conf_apply *a, const struct conf_option *o, const struct conf_node *x)
{
    const char *why = NULL;
    if (o->type == &conf_type_methods)
        return check_in_table(a, o, x, methods, sizeof methods / sizeof *methods, "method");
    if (o->type == &conf_type_access_fields)
        return check_in_table(a, o, x, access_fields, sizeof access_fields / sizeof *access_fields, "field");
    if (o->type == &conf_type_hosts)
        why = check_host(x->text);
    else if (o->type == &conf_type_paths || o->type == &conf_type_path)
        why = check_path(x->text);
    else if (o->type == &conf_type_statuses)
        why = check_status(x->text);
    else if (o->type == &conf_type_ports)
        why = check_port(x->text);
    else if (o->type == &conf_type_pins)
        why = check_pin(x->text);
    else if (o->type == &conf_type_names)
        why = check_name(x->text);
    else if (o->type == &conf_type_domains)
        why = check_domain(x->text);
    else
        why = check_token(x->text);
    return why ? conf_refuse(a, o, x, "`%.*s` is refused: %s", STR_ARG(x->text), why) : 0;
}

/* As requests are compared: folded where case says nothing, a prefix without its last slash. */
static struct str canonical(struct conf_apply *a, const struct conf_option *o, struct str s)
{
    if (o->type == &conf_type_paths && s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    if (o->type == &conf_type_hosts || o->type == &conf_type_paths || o->type == &conf_type_statuses ||
        o->type == &conf_type_domains)
        return conf_take_lower(a, s);
    return conf_take_str(a, s);
}

static int parse_words(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                       void *member)
{
    const struct conf_node *x;
    int rc = 0;
    if (conf_check_items(a, o, n, false) != 0)
        return -1;
    struct conf_strings list = {NULL, conf_items(n, &x)};
    if (!list.n && (o->flags & CONF_REQUIRED))
        return conf_refuse(a, o, n, "the list is empty");
    list.v = conf_take(a, list.n * sizeof *list.v);
    if (!list.v)
        return -1;
    for (size_t i = 0; i < list.n; i++, x = x->next) {
        if (check_word(a, o, x) != 0)
            rc = -1;
        else if (!(list.v[i] = canonical(a, o, x->text)).p)
            return -1;
    }
    if (rc == 0)
        *(struct conf_strings *)member = list;
    return rc;
}

static void print_words(const struct conf_option *o, const void *member, FILE *to)
{
    const struct conf_strings *l = member;
    fputc('[', to);
    for (size_t i = 0; i < l->n; i++) {
        fputs(i ? ", " : "", to);
        conf_print_word(l->v[i], to);
    }
    fputc(']', to);
}

static int parse_path(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                      void *member)
{
    if (!conf_is_scalar(a, o, n) || check_word(a, o, n) != 0)
        return -1;
    struct str s = conf_take_str(a, n->text);
    if (!s.p)
        return -1;
    *(struct str *)member = s;
    return 0;
}

static void print_path(const struct conf_option *o, const void *member, FILE *to)
{
    const struct str *s = member;
    fprintf(to, "%.*s", (int)s->n, s->p ? s->p : "");
}

const struct conf_type conf_type_header = {
    "field name", "a header field name such as User-Agent", sizeof(struct str), parse_path, print_path, NULL};

#define WORDS_TYPE(t, describe)                                                                              \
    const struct conf_type conf_type_##t = {"list",      describe,    sizeof(struct conf_strings),           \
                                            parse_words, print_words, NULL}

WORDS_TYPE(hosts, "host names such as mail.example.com, *.example.com, or * for any");
WORDS_TYPE(paths, "paths such as /owa");
WORDS_TYPE(methods, "methods such as GET");
WORDS_TYPE(headers, "header field names");
WORDS_TYPE(statuses, "statuses such as 401, or classes such as 2xx");
WORDS_TYPE(pins, "base64 SHA-256 hashes");
WORDS_TYPE(tokens, "protocol names such as websocket");
WORDS_TYPE(names, "names");
WORDS_TYPE(domains, "domains such as CORP or corp.example.com");
WORDS_TYPE(ports, "ports such as 6001");
WORDS_TYPE(access_fields, "fields of the access log");
const struct conf_type conf_type_path = {
    "path", "a path such as /owa/healthcheck.htm", sizeof(struct str), parse_path, print_path, NULL};
