/*
 * sources: the addresses that connections come from, in turn, as a scenario writes them: one, a prefix, or from one to
 * another, in IPv4 or IPv6. Syntax and arithmetic; whether they are this machine's is scenario_sources.c's to find out.
 */
#ifndef LOAD_SOURCES_H
#define LOAD_SOURCES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SOURCES_BITS 24
#define SOURCES_MAX (UINT64_C(1) << SOURCES_BITS)
#define SOURCES_WHY 256
#define SOURCES_TEXT (INET6_ADDRSTRLEN + 4)

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct sources {
    union address first; /* port 0 */
    uint64_t n;          /* 0: any */
    unsigned prefix;     /* 0: it was not written as one */
    bool networks;       /* the addresses are one of each /64 */
};

/* false: `ret_why` says what is wrong, and what would be right. */
bool sources_parse(const char *text, struct sources *ret, char ret_why[SOURCES_WHY]);
/* `i` below n. */
union address sources_at(const struct sources *s, uint64_t i);
/* The prefix with no bit set behind it, as a route is written; s->prefix is not 0. */
void sources_route(const struct sources *s, char ret[SOURCES_TEXT]);

socklen_t address_len(const union address *a);
/* Without the port, in `to`. */
const char *address_text(const union address *a, char to[INET6_ADDRSTRLEN]);
bool address_is_loopback(const union address *a);
const char *address_family(const union address *a); /* "IPv4" or "IPv6" */

#endif
