/*
 * run: what the files of the running process share. Main thread.
 */
#ifndef POSTERN_RUN_INT_H
#define POSTERN_RUN_INT_H

#include <postern/admin.h>
#include <postern/log.h>

struct run {
    uv_loop_t loop;
    const char *path; /* of the configuration */
    struct engine *engine;
    struct listen_set *listeners;
    struct admin *admin;
    uv_signal_t signals[5];
    unsigned signals_n;
    uv_timer_t watchdog, minute;
    bool draining, names_hang;
};

/* Loads and checks everything that `check` checks; NULL when there is any error. */
struct snapshot *load_checked(const char *path, struct conf_findings *f);
/* The configuration in force changes as a whole, or not at all. 0 or -1; findings are logged as well. */
int run_reload(struct run *r, struct conf_findings *f);
int run_reopen_logs(const struct snapshot *s, char *ret_error, size_t error_size);
struct log_options log_options_of(const struct snapshot *s);
/* The access log's "#Fields"; before log_start or log_reopen. */
void log_header_of(const struct snapshot *s);

#endif
