/*
 * A file of its own: <linux/tcp.h>, which alone knows the field, cannot be read together with <netinet/tcp.h>.
 */
#include <assert.h>
#include <sys/socket.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include "segments.h"

uint32_t segments_in(int fd)
{
    struct tcp_info i = {0};
    socklen_t n = sizeof(i);
    int r = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n);

    assert(r == 0 && i.tcpi_segs_in > 0);
    return i.tcpi_segs_in;
}
