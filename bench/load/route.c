#include "route.h"

#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

struct question {
    struct nlmsghdr head;
    struct rtmsg route;
    struct rtattr to;
    unsigned char address[16];
};

int route_open(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static bool ask(int fd, const union address *a)
{
    bool six = a->any.sa_family == AF_INET6;
    size_t n = six ? 16 : 4;
    struct question q = {
        .head = {.nlmsg_len = (uint32_t)(offsetof(struct question, address) + n),
                 .nlmsg_type = RTM_GETROUTE,
                 .nlmsg_flags = NLM_F_REQUEST},
        .route = {.rtm_family = (unsigned char)a->any.sa_family, .rtm_dst_len = (unsigned char)(8 * n)},
        .to = {.rta_len = (unsigned short)RTA_LENGTH(n), .rta_type = RTA_DST},
    };
    memcpy(q.address, six ? (const void *)&a->v6.sin6_addr : &a->v4.sin_addr, n);
    return send(fd, &q, q.head.nlmsg_len, 0) == (ssize_t)q.head.nlmsg_len;
}

bool route_is_local(int fd, const union address *a)
{
    union {
        struct nlmsghdr head;
        char bytes[4096];
    } answer;
    if (fd < 0 || !ask(fd, a))
        return true;
    ssize_t n = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)))
        return true;
    if (answer.head.nlmsg_type == NLMSG_ERROR) /* no route at all */
        return false;
    const struct rtmsg *route = NLMSG_DATA(&answer.head);
    return answer.head.nlmsg_type != RTM_NEWROUTE || route->rtm_type == RTN_LOCAL;
}
