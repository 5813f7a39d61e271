/*
 * flood: what each source and each account has open and asks for, over all workers together. A source is an IPv4 address or an
 * IPv6 /64, since whoever has one address of a /64 has them all.
 *
 * One table per process, in shards with a lock each; touched once per connection and once per request of those that are
 * counted. Entries with something open stay (there are never more than connections and requests), others up to a bound, the
 * longest unused going first. Any thread.
 */
#ifndef POSTERN_FLOOD_H
#define POSTERN_FLOOD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <postern/conf.h>
#include <postern/reason.h>

struct flood_entry;

/* A new connection: false, and nothing is counted, when the source has its fill. *ret: NULL for those that are not counted
 * (trusted, no limit, no memory), else to be given back by flood_disconnect. `now_ms` monotonic. */
bool flood_connect(const struct conf_flood *f, const struct sockaddr *a, uint64_t now_ms,
                   struct flood_entry **ret);
void flood_disconnect(struct flood_entry *source); /* NULL is fine */
/* A request of that source. */
bool flood_request(const struct conf_flood *f, struct flood_entry *source, uint64_t now_ms);
/* A request of an account, known by the octets of `key`, told by its `name`; give *ret back by flood_account_end. */
bool flood_account(const struct conf_flood *f, struct str key, struct str name, uint64_t now_ms,
                   struct flood_entry **ret);
void flood_account_end(struct flood_entry *account);
/* Somebody was cut off for `why`: told in the event log, at most once a second with all the others. */
void flood_told(const struct sockaddr *source, enum reason why, uint64_t now_ms);
/* For tests: entries in the table. */
size_t flood_entries(void);

#endif
