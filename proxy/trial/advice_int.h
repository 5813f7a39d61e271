/*
 * advice_int: one listener, the hosts that it publishes, and the devices that are thought of.
 */
#ifndef POSTERN_TRIAL_ADVICE_INT_H
#define POSTERN_TRIAL_ADVICE_INT_H

#include <stdio.h>
#include "trial_int.h"

#define TRIAL_ADVICE_HOSTS 64

struct trial_advice {
    char title[128];
    const struct trial_devices *devices;
    const struct trial_server *server;
    const char *hosts[TRIAL_ADVICE_HOSTS];
    unsigned hosts_n;
};
void trial_advice_write(const struct trial_advice *a, FILE *to);

#endif
