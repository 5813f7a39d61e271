/* route: what the kernel's routing tables say of an address. */
#ifndef LOAD_ROUTE_H
#define LOAD_ROUTE_H

#include <stdbool.h>
#include "sources.h"

/* A socket to ask the kernel with, or -1. */
int route_open(void);
/* Packets to the address end on this machine. Where the kernel gives no answer, true: connecting will tell. */
bool route_is_local(int fd, const union address *a);

#endif
