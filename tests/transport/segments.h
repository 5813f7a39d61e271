#ifndef TRANSPORT_SEGMENTS_H
#define TRANSPORT_SEGMENTS_H

#include <stdint.h>

/* TCP segments that have come to `fd` since the connection began. */
uint32_t segments_in(int fd);

#endif
