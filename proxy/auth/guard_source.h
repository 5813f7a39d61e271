/*
 * guard_source: what one client address has done: on how many accounts it failed, for how many it was right. Pure: time is
 * passed in; the caller has a lock.
 *
 * An address that fails on many accounts is guessing ("spraying"), unless it is a gateway behind which many people sign in: so
 * it may fail on more accounts the more have signed in from it. Accounts and credentials are counted by bitmaps of their
 * keyed hashes: distinct ones only, in a fixed space; two that share a bit count once.
 */
#ifndef POSTERN_GUARD_SOURCE_H
#define POSTERN_GUARD_SOURCE_H

#include <sys/socket.h>

#include <postern/conf.h>

#include "guard_table.h"

#define SOURCE_BITS 1024

struct source_bits {
    uint64_t v[SOURCE_BITS / 64];
};

/* IPv4 as ::ffff:a.b.c.d, IPv6 with its lower half cleared (one customer is a /64), else zeros. */
struct source_address {
    uint8_t b[16];
};
struct source_address source_address_of(const struct sockaddr *a);
/* "192.0.2.7" or "2001:db8:1:2::/64"; NUL-terminated. */
void source_address_text(const struct source_address *a, char out[64]);
/* The whole address, an IPv4 one as such however it came; "" where there is none. */
void source_text(const struct sockaddr *sa, char out[INET6_ADDRSTRLEN]);
/* The other way round, for the operator; false: not an address. */
bool source_address_read(struct str text, struct source_address *ret);

struct guard_source {
    struct table_row row;
    struct source_address address;
    uint64_t window_ms; /* when the present window began */
    uint64_t until_ms;  /* locked until; 0: not locked */
    uint64_t last_ms;
    uint16_t waiting;               /* passwords that wait for the directory */
    uint16_t accounts, credentials; /* distinct failures in the window */
    struct source_bits failed_accounts, failed_credentials;
    struct source_bits good, good_before; /* accounts signed in, in this window and the one before */
};

enum source_class {
    SOURCE_CLASS_NEW,
    SOURCE_CLASS_FAILED,
    SOURCE_CLASS_GOOD,
    SOURCE_CLASS_FAILING,
    SOURCE_CLASS_LOCKED
};
enum source_count {
    SOURCE_SAME, /* counted before, or locked */
    SOURCE_COUNTED,
    SOURCE_LOCKS /* counted, and it has locked the address */
};

bool source_locked(const struct guard_source *s, uint64_t now);
unsigned source_good_count(const struct guard_source *s);
/* Nobody has signed in from here lately. */
bool source_is_strange(const struct guard_source *s);
/* `strict`: many strange addresses fail at present. */
enum source_count source_fail(struct guard_source *s, const struct conf_guard *g, uint64_t account,
                              uint64_t credential, bool strict, uint64_t now);
void source_succeed(struct guard_source *s, const struct conf_guard *g, uint64_t account, uint64_t now);
bool source_may_wait(const struct guard_source *s, const struct conf_guard *g);
/* True once, when the time of a lock has passed. */
bool source_expire(struct guard_source *s, uint64_t now);
void source_unlock(struct guard_source *s);
enum source_class source_class(const struct guard_source *s, uint64_t now);

/* All strange addresses together. */
struct strange_count {
    uint64_t window_ms;
    unsigned failures;
    bool alarm;
};
/* After a failure of a strange address was counted. True: this one has raised the alarm. */
bool strange_fail(struct strange_count *c, const struct conf_guard *g, uint64_t now);
/* Whether the alarm is on at `now`; *ret_over: it has just gone off. */
bool strange_alarm(struct strange_count *c, const struct conf_guard *g, uint64_t now, bool *ret_over);

#endif
