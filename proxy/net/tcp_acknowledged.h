#ifndef POSTERN_TCP_ACKNOWLEDGED_H
#define POSTERN_TCP_ACKNOWLEDGED_H

#include <stdint.h>

/* Bytes that the peer's TCP has confirmed since the connection began; 0: not TCP. */
uint64_t tcp_acknowledged(int fd);

#endif
