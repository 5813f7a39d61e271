/*
 * devices: the ActiveSync devices that have been seen, with which account, since when and from where. One list per process,
 * of bounded size (the longest unseen goes first), under a lock of its own; touched once per ActiveSync request, at its end.
 * Any thread.
 */
#ifndef POSTERN_DEVICES_H
#define POSTERN_DEVICES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <postern/str.h>

#define DEVICES_MAX 65536

/* One request of a device, as it ended. */
struct device_seen {
    struct str user, id, type, agent, command;
    const struct sockaddr *client;
    uint8_t protocol;
    int status;
    bool denied;
    uint64_t held_ms;     /* of a long poll; 0: it was none */
    bool held_to_the_end; /* the server answered it; else the connection went away first */
};

struct device {
    char user[65], id[65], type[33], agent[65], command[24]; /* cut where they are longer */
    struct sockaddr_storage client;
    int64_t first_s, last_s; /* wall clock */
    uint64_t requests, polls, polls_cut;
    uint32_t held_s; /* average of the last long polls, seconds */
    uint8_t protocol;
    int status;
    bool denied;
};

void devices_note(const struct device_seen *s, int64_t now_s);
/* Most recently seen first, at most `max`; `user` p NULL: all. Calls `each` under the lock: it must not call back. */
void devices_each(struct str user, size_t max, void (*each)(void *ctx, const struct device *d), void *ctx);
size_t devices_count(void);
/* Average of the last 200 long polls of all devices, in seconds; 0 while there are fewer. */
uint32_t devices_heartbeat_s(void);
/* For tests, and at the end of the process. */
void devices_forget(void);

#endif
