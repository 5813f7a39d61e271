#include <netdb.h>
#include <string.h>
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

const union address *scenario_target(const struct scenario *s, int family)
{
    for (size_t i = 0; i < 2 && s->to[i].any.sa_family != AF_UNSPEC; i++)
        if (family == AF_UNSPEC || s->to[i].any.sa_family == family)
            return &s->to[i];
    return NULL;
}

static void take_addresses(struct scenario *s, const struct addrinfo *found)
{
    for (; found; found = found->ai_next)
        if ((found->ai_family == AF_INET || found->ai_family == AF_INET6) &&
            !scenario_target(s, found->ai_family))
            memcpy(&s->to[scenario_target(s, AF_UNSPEC) != NULL], found->ai_addr, found->ai_addrlen);
}

/* First what suits the machine's addresses; then all, for of a family that it has on the loopback alone the system says
 * nothing, even where the address is written. 0, or getaddrinfo's error. */
static int look_up(struct scenario *s, const char *host, const char *port)
{
    static const int flags[] = {AI_ADDRCONFIG, 0};
    int failed = 0;
    for (size_t i = 0; i < 2; i++) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags[i] | AI_NUMERICSERV}, *found;
        failed = getaddrinfo(host, port, &hints, &found);
        if (failed)
            continue;
        take_addresses(s, found);
        freeaddrinfo(found);
    }
    return scenario_target(s, AF_UNSPEC) ? 0 : failed;
}

/* The zone of an address is nobody else's business. */
static void name_peer(struct option_reader *r, struct scenario *s)
{
    char bracketed[INET6_ADDRSTRLEN + 2];
    struct str name = str_of(s->host ? s->host : s->address), zone = name, bare = name;
    if (name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        zone = name = (struct str){name.p + 1, name.n - 2};
    str_next(&zone, '%', &bare);
    s->peer_is_address = conf_is_literal(bare);
    s->peer = conf_copy(r->memory, s->peer_is_address ? bare : name).p;
    if (s->peer_is_address && memchr(bare.p, ':', bare.n)) {
        snprintf(bracketed, sizeof bracketed, "[%.*s]", STR_ARG(bare));
        s->host = conf_copy(r->memory, str_of(bracketed)).p;
    } else if (!s->host)
        s->host = s->peer;
}

void scenario_resolve(struct option_reader *r, struct scenario *s, const struct conf_node *at,
                      const char *target)
{
    char host[256], port[8];
    if (!target) {
        REFUSE(r, at, "`target` is missing: give https://HOST:PORT here, or --target on the command line");
        return;
    }
    if (!split_target(target, &s->https, host, sizeof host, port)) {
        REFUSE(r, at, "`target` is `%s`: give https://HOST:PORT or http://HOST:PORT, without a path", target);
        return;
    }
    int failed = look_up(s, host, port);
    if (failed) {
        REFUSE(r, at, "`target`: %s port %s: %s; give an address, and in `host` the name that clients use",
               host, port, gai_strerror(failed));
        return;
    }
    s->address = conf_copy(r->memory, str_of(host)).p;
    name_peer(r, s);
}
