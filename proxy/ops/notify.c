#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "notify.h"

#if HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#else
static int sd_notify(int unset, const char *state)
{
    return 0;
}

static int sd_watchdog_enabled(int unset, uint64_t *usec)
{
    return 0;
}
#endif

void notify_ready(void)
{
    (void)sd_notify(0, "READY=1\nSTATUS=serving");
}

void notify_reloading(void)
{
    struct timespec t;
    char text[96];

    clock_gettime(CLOCK_MONOTONIC, &t);
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000);
    (void)sd_notify(0, text);
}

void notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1\nSTATUS=finishing open connections");
}

void notify_alive(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}

uint64_t notify_interval(void)
{
    uint64_t usec = 0;

    return sd_watchdog_enabled(0, &usec) > 0 ? usec / 2000 : 0;
}
