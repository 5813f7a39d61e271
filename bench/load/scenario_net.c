#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
#include "scenario_int.h"

/* SCHEME://HOST:PORT with nothing behind it. */
static bool split_target(const char *text, bool *ret_https, char *host, size_t size, char port[8])
{
    *ret_https = strncmp(text, "https://", 8) == 0;
    if (!*ret_https && strncmp(text, "http://", 7) != 0)
        return false;
    const char *from = strstr(text, "://") + 3, *colon = strrchr(from, ':');
    if (strchr(from, '/') && strchr(from, '/')[1])
        return false;
    bool has_port = colon && !strchr(colon, ']');
    size_t n = has_port ? (size_t)(colon - from) : strcspn(from, "/");
    if (n > 2 && from[0] == '[' && from[n - 1] == ']') {
        from++;
        n -= 2;
    }
    if (!n || n >= size)
        return false;
    memcpy(host, from, n);
    host[n] = 0;
    const char *digits = has_port ? colon + 1 : *ret_https ? "443" : "80";
    return snprintf(port, 8, "%.*s", (int)strcspn(digits, "/"), digits) < 7;
}

void scenario_resolve(struct option_reader *r, struct scenario *s, const struct conf_node *at,
                      const char *target)
{
    char host[256], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV},
                    *found = NULL;
    if (!target) {
        REFUSE(r, at, "`target` is missing: give https://HOST:PORT here, or --target on the command line");
        return;
    }
    if (!split_target(target, &s->https, host, sizeof host, port)) {
        REFUSE(r, at, "`target` is `%s`: give https://HOST:PORT or http://HOST:PORT, without a path", target);
        return;
    }
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed) {
        REFUSE(r, at, "`target`: %s port %s: %s; give an address, and in `host` the name that clients use",
               host, port, gai_strerror(failed));
        return;
    }
    memcpy(&s->to, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    s->address = conf_copy(r->memory, str_of(host)).p;
    if (!s->host)
        s->host = s->address;
}

/* ADDRESS or ADDRESS/PREFIX; of a range, all but its first and last. */
static bool parse_sources(const char *text, struct sources *ret)
{
    char address[64];
    uint64_t prefix = 32;
    struct str rest = str_of(text), first;
    if (!str_next(&rest, '/', &first) || first.n >= sizeof address ||
        (rest.n && !str_to_u64(rest, &prefix)) || prefix > 32 || prefix < 8)
        return false;
    snprintf(address, sizeof address, "%.*s", STR_ARG(first));
    ret->first.sin_family = AF_INET;
    if (inet_pton(AF_INET, address, &ret->first.sin_addr) != 1)
        return false;
    uint32_t base = ntohl(ret->first.sin_addr.s_addr);
    ret->n = UINT64_C(1) << (32 - prefix);
    base &= ~(uint32_t)(ret->n - 1);
    if (ret->n > 2) {
        base++;
        ret->n -= 2;
    }
    ret->first.sin_addr.s_addr = htonl(base);
    return true;
}

/* 0, or the error of binding a socket to it. */
static int try_address(struct sockaddr_in address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), why = 0;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        why = errno;
    if (fd >= 0)
        close(fd);
    return why;
}

void scenario_sources(struct option_reader *r, const struct scenario *s, const struct conf_node *map,
                      const char *text, struct sources *ret)
{
    char address[INET_ADDRSTRLEN];
    const struct conf_node *at = conf_node_find(map, STR("sources"));
    if (!parse_sources(text, ret)) {
        REFUSE(r, at ? at : map,
               "`sources` is `%s`: give an IPv4 address or a range, as 127.0.1.0/24 (/8 at the largest)",
               text);
        return;
    }
    struct sockaddr_in last = ret->first;
    last.sin_addr.s_addr = htonl(ntohl(last.sin_addr.s_addr) + (uint32_t)ret->n - 1);
    int why = try_address(ret->first);
    struct sockaddr_in *bad = why ? &ret->first : &last;
    if (!why)
        why = try_address(last);
    if (why)
        REFUSE(r, at ? at : map,
               "`sources`: %s: %s; make the range this machine's: ip route add local %s dev lo",
               inet_ntop(AF_INET, &bad->sin_addr, address, sizeof address), strerror(why), text);
    if (s->to.ss_family && s->to.ss_family != AF_INET)
        REFUSE(r, at ? at : map, "`sources` are IPv4, but `target` is not: give an IPv4 target");
}
