#include <netinet/in.h>

#include <postern/affinity.h>

#define CLIENT_PREFIX6 8 /* bytes of an IPv6 address that stand for one client: /64 */

/* FNV-1a with a final avalanche. */
uint64_t affinity_hash(const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    h ^= h >> 33;
    return h;
}

uint64_t affinity_address(const struct sockaddr *a)
{
    const struct in6_addr *in6;

    if (a->sa_family == AF_INET)
        return affinity_hash(&((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
    if (a->sa_family != AF_INET6)
        return 0;
    in6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(in6))
        return affinity_hash(in6->s6_addr + 12, 4);
    return affinity_hash(in6->s6_addr, CLIENT_PREFIX6);
}
