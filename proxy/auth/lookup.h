/*
 * lookup: the addresses of one directory server, for threads that may block but have a deadline.
 *
 * getaddrinfo() has no deadline, so it runs on a thread of its own, one at a time per name; who asks waits for it no longer
 * than he has time. What was found is used at once and looked up again behind the scenes when it is older than `keep_ms`; a
 * failure leaves the last addresses in use. Any thread.
 */
#ifndef POSTERN_LOOKUP_H
#define POSTERN_LOOKUP_H

#include <postern/resolve.h>
#include <postern/str.h>

struct lookup;
/* NULL without memory. A literal address is never looked up. */
struct lookup *lookup_new(struct str host, uint16_t port, uint64_t keep_ms);
/* A look-up that still runs keeps its own hold. */
void lookup_free(struct lookup *l);
/* 0 and at least one address; -ETIMEDOUT at the deadline; -ENOENT when the name has no address. */
int lookup_get(struct lookup *l, uint64_t due_ns, struct resolve_result *ret);
/* A TCP connection to the first address that takes one, each given at most `each_ms`. The descriptor (O_NONBLOCK) or -errno. */
int lookup_connect(struct lookup *l, uint64_t due_ns, uint64_t each_ms);

#endif
