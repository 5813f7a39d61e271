/*
 * A file of its own: <linux/tcp.h>, which alone knows the field, cannot be read together with <netinet/tcp.h>.
 */
#include <stddef.h>
#include <sys/socket.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include "tcp_acknowledged.h"

uint64_t tcp_acknowledged(int fd)
{
    struct tcp_info i = {0};
    socklen_t n = sizeof(i);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n) == 0 ? i.tcpi_bytes_acked : 0;
}
