/* Addresses, networks, names and URLs: syntax, nothing is resolved. */
#include "types_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

bool conf_is_name(struct str s)
{
    struct str rest = s, label;
    if (!s.n || s.n > 253 || s.p[s.n - 1] == '.')
        return false;
    while (str_next(&rest, '.', &label)) {
        if (!label.n || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++) {
            char c = ascii_lower(label.p[i]);
            if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
                return false;
        }
    }
    return true;
}

static int to_ip(struct str s, uint8_t *ret_bytes)
{
    char z[64];
    if (!s.n || s.n >= sizeof z)
        return 0;
    memcpy(z, s.p, s.n);
    z[s.n] = 0;
    if (inet_pton(AF_INET, z, ret_bytes) == 1)
        return AF_INET;
    return inet_pton(AF_INET6, z, ret_bytes) == 1 ? AF_INET6 : 0;
}

bool conf_is_literal(struct str s)
{
    uint8_t bytes[16];
    return to_ip(s, bytes) != 0;
}

/* "host:port", "[v6]:port"; port 0 where there is none. */
static bool split_port(struct str s, struct str *ret_host, bool *ret_bracket, uint16_t *ret_port)
{
    struct str host = s, port = STR_NULL;
    *ret_bracket = s.n && s.p[0] == '[';
    const char *end = *ret_bracket ? memchr(s.p, ']', s.n) : memrchr(s.p, ':', s.n);
    if (*ret_bracket) {
        if (!end)
            return false;
        host = (struct str){s.p + 1, (size_t)(end - s.p) - 1};
        end++;
        if (end < s.p + s.n && *end != ':')
            return false;
        if (end == s.p + s.n)
            end = NULL;
    } else if (end) {
        host.n = (size_t)(end - s.p);
    }
    uint64_t v = 0;
    if (end) {
        port = (struct str){end + 1, (size_t)(s.p + s.n - end) - 1};
        if (port.n > 5 || !str_to_u64(port, &v) || v == 0 || v > 65535)
            return false;
    }
    *ret_host = host;
    *ret_port = (uint16_t)v;
    return true;
}

static bool have_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static int unix_address(struct str path, struct conf_address *ret, const char **ret_why)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&ret->sa;
    *ret_why = "the path of a Unix socket must be absolute and shorter than 108 bytes";
    if (!path.n || path.p[0] != '/' || path.n >= sizeof un->sun_path)
        return -1;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.p, path.n);
    ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return 0;
}

static void ip_address(int family, const uint8_t *bytes, uint16_t port, struct conf_address *ret)
{
    if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&ret->sa;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, bytes, 4);
        ret->len = sizeof *in;
        return;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->sa;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, bytes, 16);
    ret->len = sizeof *in6;
}

int conf_parse_address(struct str s, struct conf_address *ret, const char **ret_why)
{
    struct str host;
    bool bracket;
    uint16_t port;
    uint8_t bytes[16] = {0};
    memset(&ret->sa, 0, sizeof ret->sa);
    if (s.n > 5 && memcmp(s.p, "unix:", 5) == 0)
        return unix_address((struct str){s.p + 5, s.n - 5}, ret, ret_why);
    *ret_why = "write \"*:443\", \"192.0.2.1:443\", \"[2001:db8::1]:443\" or unix:/path";
    if (!split_port(s, &host, &bracket, &port) || !port)
        return -1;
    int family;
    if (!bracket && str_eq(host, STR("*")))
        family = have_ipv6() ? AF_INET6 : AF_INET;
    else
        family = to_ip(host, bytes);
    if (!family && !bracket && conf_is_name(host))
        *ret_why = "write an address, not a name; \"*:PORT\" listens on all addresses";
    if (!family || bracket != (family == AF_INET6 && !str_eq(host, STR("*"))))
        return -1;
    ip_address(family, bytes, port, ret);
    return 0;
}

/* --- one address --- */
static int parse_address(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                         void *member)
{
    struct conf_address x = {0};
    const char *why;
    if (!conf_is_scalar(a, o, n))
        return -1;
    if (conf_parse_address(n->text, &x, &why) != 0)
        return conf_refuse(a, o, n, "`%.*s` is not an address: %s", STR_ARG(n->text), why);
    x.text = conf_take_str(a, n->text);
    if (!x.text.p)
        return -1;
    memcpy(member, &x, sizeof x);
    return 0;
}

static void print_address(const struct conf_option *o, const void *member, FILE *to)
{
    const struct conf_address *x = member;
    if (x->len)
        conf_print_word(x->text, to);
    else
        fputs("none", to);
}

const struct conf_type conf_type_address = {"address",
                                            "an address such as 127.0.0.1:9101 or unix:/path",
                                            sizeof(struct conf_address),
                                            parse_address,
                                            print_address,
                                            NULL};

/* --- several --- */
size_t conf_items(const struct conf_node *n, const struct conf_node **ret_first)
{
    *ret_first = n->kind == CONF_LIST ? n->first : n;
    return n->kind == CONF_LIST ? n->n : 1;
}

int conf_check_items(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                     bool or_one)
{
    const struct conf_node *x;
    int rc = 0;
    if (n->kind == CONF_MAP || (n->kind == CONF_SCALAR && !or_one))
        return conf_refuse(a, o, n, "expected a list of %s: [a, b]", o->type->describe);
    if (n->kind == CONF_SCALAR)
        return 0;
    for (x = n->first; x; x = x->next) {
        if (x->kind != CONF_SCALAR) {
            rc = conf_refuse(a, o, x, "expected %s, found a %s", o->type->describe,
                             x->kind == CONF_MAP ? "map" : "list");
            continue;
        }
        for (const struct conf_node *y = n->first; y != x; y = y->next)
            if (y->kind == CONF_SCALAR && str_eq(x->text, y->text)) {
                rc = conf_refuse(a, o, x, "`%.*s` stands twice in the list", STR_ARG(x->text));
                break;
            }
    }
    return rc;
}

int conf_parse_items(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                     void *member, size_t size, const char *empty,
                     int (*parse)(struct conf_apply *a, const struct conf_option *o,
                                  const struct conf_node *n, void *item))
{
    const struct conf_node *x;
    int rc = 0;
    if (conf_check_items(a, o, n, true) != 0)
        return -1;
    struct conf_list list = {NULL, conf_items(n, &x)};
    if (!list.n)
        return conf_refuse(a, o, n, "%s", empty);
    list.v = conf_take(a, list.n * size);
    if (!list.v)
        return -1;
    for (size_t i = 0; i < list.n; i++, x = n->kind == CONF_LIST ? x->next : NULL)
        if (parse(a, o, x, (char *)list.v + i * size) != 0)
            rc = -1;
    if (rc == 0)
        memcpy(member, &list, sizeof list);
    return rc;
}

void conf_print_items(const void *member, size_t size, size_t text_offset, FILE *to)
{
    struct conf_list list;
    struct str text;
    memcpy(&list, member, sizeof list);
    fputc('[', to);
    for (size_t i = 0; i < list.n; i++) {
        fputs(i ? ", " : "", to);
        memcpy(&text, (const char *)list.v + i * size + text_offset, sizeof text);
        conf_print_word(text, to);
    }
    fputc(']', to);
}

static int parse_addresses(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                           void *member)
{
    return conf_parse_items(a, o, n, member, sizeof(struct conf_address),
                            "the list is empty; a listener needs an address", parse_address);
}

static void print_addresses(const struct conf_option *o, const void *member, FILE *to)
{
    conf_print_items(member, sizeof(struct conf_address), offsetof(struct conf_address, text), to);
}

const struct conf_type conf_type_addresses = {
    "address or list", "addresses such as \"*:443\"", sizeof(void *), parse_addresses, print_addresses, NULL};

/* --- networks --- */
static bool to_cidr(struct str s, struct conf_cidr *ret)
{
    struct str rest = s, host, bits;
    uint64_t v;
    if (!str_next(&rest, '/', &host))
        return false;
    int family = to_ip(host, ret->bytes);
    if (!family)
        return false;
    ret->family_bits = family == AF_INET ? 32 : 128;
    v = ret->family_bits;
    if (memchr(s.p, '/', s.n)) {
        bits = (struct str){host.p + host.n + 1, s.n - host.n - 1};
        if (bits.n > 3 || !str_to_u64(bits, &v) || v > ret->family_bits)
            return false;
    }
    ret->prefix = (uint8_t)v;
    for (unsigned i = (unsigned)v; i < ret->family_bits; i++)
        if (ret->bytes[i / 8] & (0x80 >> i % 8))
            return false; /* bits behind the prefix: a slip that would hide which network is meant */
    return true;
}

static int parse_cidrs(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                       void *member)
{
    const struct conf_node *x;
    int rc = 0;
    if (conf_check_items(a, o, n, true) != 0)
        return -1;
    size_t count = conf_items(n, &x);
    struct conf_cidr *v = conf_take(a, count * sizeof *v);
    if (!v)
        return -1;
    for (size_t i = 0; i < count; i++, x = n->kind == CONF_LIST ? x->next : NULL)
        if (!to_cidr(x->text, &v[i]))
            rc = conf_refuse(
                a, o, x,
                "`%.*s` is not a network; write 192.0.2.0/24 or 2001:db8::/32, no bits set behind the prefix",
                STR_ARG(x->text));
    if (rc == 0)
        *(struct conf_cidrs *)member = (struct conf_cidrs){v, count};
    return rc;
}

static void print_cidrs(const struct conf_option *o, const void *member, FILE *to)
{
    const struct conf_cidrs *l = member;
    fputc('[', to);
    for (size_t i = 0; i < l->n; i++) {
        char text[INET6_ADDRSTRLEN] = "";
        inet_ntop(l->v[i].family_bits == 32 ? AF_INET : AF_INET6, l->v[i].bytes, text, sizeof text);
        fprintf(to, "%s\"%s/%u\"", i ? ", " : "", text, l->v[i].prefix);
    }
    fputc(']', to);
}

const struct conf_type conf_type_cidrs = {"network list",
                                          "networks such as 192.0.2.0/24",
                                          sizeof(struct conf_cidrs),
                                          parse_cidrs,
                                          print_cidrs,
                                          NULL};

static bool prefix_equal(const uint8_t *x, const uint8_t *y, unsigned bits)
{
    if (memcmp(x, y, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return !rest || ((x[bits / 8] ^ y[bits / 8]) & (0xff00 >> rest & 0xff)) == 0;
}

bool conf_cidrs_match(const struct conf_cidrs *list, const struct sockaddr *sa)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const uint8_t *bytes;
    unsigned bits;
    if (sa->sa_family == AF_INET) {
        bytes = (const uint8_t *)&((const struct sockaddr_in *)sa)->sin_addr;
        bits = 32;
    } else if (sa->sa_family == AF_INET6) {
        bytes = ((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr;
        bits = 128;
        if (memcmp(bytes, mapped, sizeof mapped) == 0) {
            bytes += 12;
            bits = 32;
        }
    } else {
        return false;
    }
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i].family_bits == bits && prefix_equal(list->v[i].bytes, bytes, list->v[i].prefix))
            return true;
    return false;
}

/* --- servers --- */
const char *conf_parse_host(struct str s, struct str *ret_host, uint16_t *ret_port)
{
    uint16_t port;
    bool bracket;
    if (memchr(s.p, '@', s.n))
        return "user names and passwords do not belong in it";
    if (memchr(s.p, '/', s.n) || memchr(s.p, '?', s.n) || memchr(s.p, '#', s.n))
        return "end it after host and port";
    if (!split_port(s, ret_host, &bracket, &port))
        return "the port must be a number from 1 to 65535";
    if (port)
        *ret_port = port;
    if (bracket ? !conf_is_literal(*ret_host) || !memchr(ret_host->p, ':', ret_host->n)
                : !conf_is_name(*ret_host))
        return "the host must be a name, an IPv4 address or an [IPv6 address]";
    return NULL;
}

static const char *to_server(struct str url, struct conf_server *ret)
{
    if (str_starts_nocase(url, STR("https://")))
        ret->https = true;
    else if (!str_starts_nocase(url, STR("http://")))
        return "begin it with https:// or http://";
    size_t scheme = ret->https ? 8 : 7;
    ret->port = ret->https ? 443 : 80;
    return conf_parse_host((struct str){url.p + scheme, url.n - scheme}, &ret->host, &ret->port);
}

static int parse_server(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                        void *item)
{
    struct conf_server *s = item;
    struct str url = conf_take_str(a, n->text);
    if (!url.p)
        return -1;
    s->url = url;
    s->mark = n->mark;
    const char *why = to_server(url, s);
    if (why)
        return conf_refuse(a, o, n, "`%.*s` cannot be a server: %s", STR_ARG(n->text), why);
    s->host = conf_take_lower(a, s->host);
    return s->host.p ? 0 : -1;
}

static int parse_servers(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                         void *member)
{
    return conf_parse_items(a, o, n, member, sizeof(struct conf_server), CONF_NO_SERVER, parse_server);
}

static void print_servers(const struct conf_option *o, const void *member, FILE *to)
{
    conf_print_items(member, sizeof(struct conf_server), offsetof(struct conf_server, url), to);
}

const struct conf_type conf_type_servers = {"URL list",     "servers such as https://cas1.corp.example.com",
                                            sizeof(void *), parse_servers,
                                            print_servers,  NULL};

static struct str server_at(const void *ctx, size_t i)
{
    return ((const struct conf_server *)ctx)[i].url;
}

/* The member is `servers`: this option marks some of them. */
static int parse_drain(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                       void *member)
{
    struct conf_list list;
    const struct conf_node *x;
    int rc = 0;
    memcpy(&list, member, sizeof list);
    if (conf_check_items(a, o, n, true) != 0)
        return -1;
    struct conf_server *v = list.v;
    for (size_t count = conf_items(n, &x); v && count; count--, x = n->kind == CONF_LIST ? x->next : NULL) {
        size_t i = 0;
        while (i < list.n && !str_eq_nocase(v[i].url, x->text))
            i++;
        if (i < list.n) {
            v[i].drain = true;
            continue;
        }
        struct str near = conf_nearest(x->text, list.n, server_at, v);
        rc = conf_refuse(a, o, x, "`%.*s` is not one of the servers above%s%.*s%s", STR_ARG(x->text),
                         near.p ? "; did you mean `" : "", (int)near.n, near.p ? near.p : "",
                         near.p ? "`?" : "");
    }
    return rc;
}

static void print_drain(const struct conf_option *o, const void *member, FILE *to)
{
    struct conf_list list;
    const char *gap = "";
    memcpy(&list, member, sizeof list);
    const struct conf_server *v = list.v;
    fputc('[', to);
    for (size_t i = 0; i < list.n; i++) {
        if (!v[i].drain)
            continue;
        fputs(gap, to);
        conf_print_word(v[i].url, to);
        gap = ", ";
    }
    fputc(']', to);
}

const struct conf_type conf_type_drain = {"URL list",  "some of the servers", sizeof(void *),
                                          parse_drain, print_drain,           NULL};

/* --- one host name --- */
static int parse_name(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                      void *member)
{
    if (!conf_is_scalar(a, o, n))
        return -1;
    if (!conf_is_name(n->text))
        return conf_refuse(a, o, n, "`%.*s` is not a host name", STR_ARG(n->text));
    struct str s = conf_take_lower(a, n->text);
    if (!s.p)
        return -1;
    *(struct str *)member = s;
    return 0;
}

static void print_name(const struct conf_option *o, const void *member, FILE *to)
{
    const struct str *s = member;
    fprintf(to, "%.*s", (int)s->n, s->p ? s->p : "");
}

const struct conf_type conf_type_name = {"host name", "a host name", sizeof(struct str),
                                         parse_name,  print_name,    NULL};
