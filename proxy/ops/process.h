/*
 * process: what the process is allowed to do, set once at start. Main thread.
 */
#ifndef POSTERN_PROCESS_H
#define POSTERN_PROCESS_H

#include <postern/conf.h>

/* Before anything is opened: soft limit of descriptors up to the hard one, no core dumps readable by others,
 * umask, SIGPIPE ignored. A reload or reopening of the logs that is asked for from here on waits until
 * process_hear_signals(). */
void process_prepare(void);
/* The handlers are in place. Threads that were started before never see these signals. */
void process_hear_signals(void);
/* After binding: becomes process.user and process.group when started as root. 0, or -1 with a finding. */
int process_drop_privileges(const struct conf_process *p, struct conf_findings *f);
/* Descriptors and the connections that they allow, in the event log. */
void process_log_capacity(unsigned connections);

#endif
