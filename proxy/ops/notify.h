/*
 * notify: tells systemd what Postern does (sd_notify(3)); nothing happens when another one started it. Main
 * thread.
 */
#ifndef POSTERN_NOTIFY_H
#define POSTERN_NOTIFY_H

#include <stdint.h>

void notify_ready(void);
/* Type=notify-reload wants the monotonic time of the moment with it. */
void notify_reloading(void);
void notify_stopping(void);
void notify_alive(void);
/* How often notify_alive() is due, ms; 0: nobody watches. */
uint64_t notify_interval(void);

#endif
