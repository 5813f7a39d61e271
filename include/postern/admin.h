/*
 * admin: metrics and health over HTTP on loopback or a Unix socket (`admin`), and the control socket that `postern
 * status` and `postern reload` speak to. Main loop.
 */
#ifndef POSTERN_ADMIN_H
#define POSTERN_ADMIN_H

#include <uv.h>
#include <postern/engine.h>

struct admin;
struct admin_calls {
    /* Reloads; the findings' text is written to the caller. 0 or -1. */
    int (*reload)(void *ctx, struct conf_findings *f);
    void (*stop)(void *ctx);
    void *ctx;
};
struct admin *admin_start(uv_loop_t *loop, struct engine *e, const struct admin_calls *calls,
                          const struct conf_process *p, struct conf_findings *f);
/* The drain has begun: /health answers 503 from now on. */
void admin_draining(struct admin *a);
void admin_stop(struct admin *a);

#endif
