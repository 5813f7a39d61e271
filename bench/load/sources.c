#include "sources.h"

#include <arpa/inet.h>
#include <postern/str.h>
#include <stdarg.h>
#include <stdio.h>

/* The length of what limits and guards take for one source in IPv6. */
#define NETWORK 64

/* --- one address --- */

socklen_t address_len(const union address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

const char *address_family(const union address *a)
{
    return a->any.sa_family == AF_INET6 ? "IPv6" : "IPv4";
}

const char *address_text(const union address *a, char to[INET6_ADDRSTRLEN])
{
    const void *bytes = a->any.sa_family == AF_INET6 ? (const void *)&a->v6.sin6_addr : &a->v4.sin_addr;
    return inet_ntop(a->any.sa_family, bytes, to, INET6_ADDRSTRLEN);
}

bool address_is_loopback(const union address *a)
{
    if (a->any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
    return ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* The bits of an address; IPv4's are the lowest 32. */
struct bits {
    uint64_t high, low;
};

static uint64_t get(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n--)
        v = v << 8 | *p++;
    return v;
}

static void put(uint64_t v, uint8_t *p, size_t n)
{
    for (; n--; v >>= 8)
        p[n] = (uint8_t)v;
}

static struct bits bits_of(const union address *a)
{
    const uint8_t *six = a->v6.sin6_addr.s6_addr;
    if (a->any.sa_family == AF_INET6)
        return (struct bits){get(six, 8), get(six + 8, 8)};
    return (struct bits){0, get((const uint8_t *)&a->v4.sin_addr, 4)};
}

static void set_bits(union address *a, struct bits b)
{
    if (a->any.sa_family == AF_INET6) {
        put(b.high, a->v6.sin6_addr.s6_addr, 8);
        put(b.low, a->v6.sin6_addr.s6_addr + 8, 8);
    } else
        put(b.low, (uint8_t *)&a->v4.sin_addr, 4);
}

static unsigned width_of(const union address *a)
{
    return a->any.sa_family == AF_INET6 ? 128 : 32;
}

static struct bits masked(struct bits b, unsigned host_bits)
{
    if (host_bits >= 64)
        return (struct bits){b.high >> (host_bits - 64) << (host_bits - 64), 0};
    return (struct bits){b.high, b.low >> host_bits << host_bits};
}

/* --- what may be written --- */

__attribute__((format(printf, 2, 3))) static bool refuse(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, SOURCES_WHY, format, args);
    va_end(args);
    return false;
}

/* Whether a connection can come from it, on some machine. */
static bool is_usable(const union address *a, const char *text, char *why)
{
    const struct in6_addr *six = &a->v6.sin6_addr;
    uint32_t four = ntohl(a->v4.sin_addr.s_addr);
    char plain[INET_ADDRSTRLEN];
    if (a->any.sa_family == AF_INET) {
        if (four == INADDR_ANY || four == INADDR_BROADCAST || IN_MULTICAST(four))
            return refuse(why, "`%s` is not the address of one machine", text);
        return true;
    }
    if (IN6_IS_ADDR_V4MAPPED(six))
        return refuse(why, "`%s` is an IPv4 address in IPv6 form: write it as %s", text,
                      inet_ntop(AF_INET, six->s6_addr + 12, plain, sizeof plain));
    if (IN6_IS_ADDR_LINKLOCAL(six))
        return refuse(
            why,
            "`%s` is link-local, and means something else on each link: give global or unique local "
            "addresses",
            text);
    if (IN6_IS_ADDR_UNSPECIFIED(six) || IN6_IS_ADDR_MULTICAST(six))
        return refuse(why, "`%s` is not the address of one machine", text);
    return true;
}

static bool parse_address(struct str s, union address *ret, char *why)
{
    char text[INET6_ADDRSTRLEN + 16];
    snprintf(text, sizeof text, "%.*s", STR_ARG(s));
    *ret = (union address){.v6.sin6_family = AF_UNSPEC};
    if (s.n < sizeof text && inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1)
        ret->v4.sin_family = AF_INET;
    else if (s.n < sizeof text && inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1)
        ret->v6.sin6_family = AF_INET6;
    else
        return refuse(
            why,
            "`%.*s` is not an address: give one, as 192.0.2.7 or 2001:db8::7, a prefix, as 10.20.0.0/16, "
            "or two with a hyphen between them",
            s.n < 60 ? (int)s.n : 60, s.p);
    return is_usable(ret, text, why);
}

/* All but the first and the last, which in IPv4 are the network and its broadcasts and in IPv6 its routers. */
static void count_addresses(struct sources *s, struct bits base, unsigned host_bits)
{
    s->n = UINT64_C(1) << host_bits;
    if (s->n > 2) {
        base.low++;
        s->n -= 2;
    }
    set_bits(&s->first, base);
}

/* One address in each network. */
static void count_networks(struct sources *s, struct bits base, unsigned host_bits)
{
    s->networks = true;
    s->n = UINT64_C(1) << (host_bits - NETWORK);
    base.low = 1;
    set_bits(&s->first, base);
}

static bool parse_prefix(struct str digits, struct sources *s, char *why)
{
    unsigned width = width_of(&s->first);
    bool six = width == 128;
    uint64_t prefix;
    if (!str_to_u64(digits, &prefix) || prefix > width)
        return refuse(why, "`/%.*s` is not the length of a prefix: give %s",
                      digits.n < 20 ? (int)digits.n : 20, digits.p,
                      six ? "/104 to /128, or /40 to /63" : "/8 to /32");
    unsigned host_bits = width - (unsigned)prefix;
    bool networks = six && host_bits > NETWORK && host_bits <= NETWORK + SOURCES_BITS;
    if (host_bits > SOURCES_BITS && !networks)
        return refuse(why, "/%u is too large: give %s", (unsigned)prefix,
                      six ? "/104 to /128, or /40 to /63, of which one address in each /64 is taken"
                          : "/8 to /32");
    s->prefix = (unsigned)prefix;
    (networks ? count_networks : count_addresses)(s, masked(bits_of(&s->first), host_bits), host_bits);
    return true;
}

static bool parse_last(struct str text, struct sources *s, char *why)
{
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
    union address last;
    if (!parse_address(text, &last, why))
        return false;
    address_text(&s->first, from);
    address_text(&last, to);
    if (last.any.sa_family != s->first.any.sa_family)
        return refuse(why, "%s is %s and %s is %s: give two addresses of one family", from,
                      address_family(&s->first), to, address_family(&last));
    struct bits a = bits_of(&s->first), b = bits_of(&last);
    if (b.high < a.high || (b.high == a.high && b.low < a.low))
        return refuse(why, "it ends before it begins; write %s-%s", to, from);
    struct bits more = {b.high - a.high - (b.low < a.low), b.low - a.low};
    if (more.high || more.low >= SOURCES_MAX)
        return refuse(why, "it is too large; give at most %llu addresses", (unsigned long long)SOURCES_MAX);
    s->n = more.low + 1;
    return true;
}

bool sources_parse(const char *text, struct sources *ret, char ret_why[SOURCES_WHY])
{
    size_t n = strcspn(text, "-/");
    struct str rest = str_of(text[n] ? text + n + 1 : text + n);
    *ret = (struct sources){.n = 1};
    if (strchr(text, '%'))
        return refuse(ret_why, "zones (%%) are not taken: give addresses that are valid without one");
    if (!parse_address((struct str){text, n}, &ret->first, ret_why))
        return false;
    if (text[n] == '-')
        return parse_last(rest, ret, ret_why);
    return !text[n] || parse_prefix(rest, ret, ret_why);
}

/* --- what was meant --- */

union address sources_at(const struct sources *s, uint64_t i)
{
    union address a = s->first;
    struct bits b = bits_of(&a);
    if (s->networks)
        b.high += i;
    else {
        b.low += i;
        b.high += b.low < i;
    }
    set_bits(&a, b);
    return a;
}

void sources_route(const struct sources *s, char ret[SOURCES_TEXT])
{
    char text[INET6_ADDRSTRLEN];
    union address a = s->first;
    set_bits(&a, masked(bits_of(&a), width_of(&a) - s->prefix));
    snprintf(ret, SOURCES_TEXT, "%s/%u", address_text(&a, text), s->prefix);
}
