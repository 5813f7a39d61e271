/*
 * affinity: keys for the rendezvous hash. Not secret, not collision-proof: they only spread clients over servers.
 */
#ifndef POSTERN_AFFINITY_H
#define POSTERN_AFFINITY_H

#include <stddef.h>
#include <stdint.h>

struct sockaddr;
uint64_t affinity_hash(const void *data, size_t n);
/* An IPv4 address, or the /64 of an IPv6 address: one client each. */
uint64_t affinity_address(const struct sockaddr *a);

#endif
