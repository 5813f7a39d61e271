/*
 * admin: the two desks of the main loop, HTTP and control: one question, one answer, then the connection is
 * closed.
 */
#ifndef POSTERN_ADMIN_INT_H
#define POSTERN_ADMIN_INT_H

#include <postern/admin.h>

#include "status_int.h"

#define ADMIN_QUESTION_MAX 4096
#define ADMIN_CONNECTIONS 32
#define ADMIN_DEADLINE_MS 5000

struct desk;

struct admin {
    uv_loop_t *loop;
    struct engine *engine;
    struct admin_calls calls;
    struct desk *desks[2];         /* HTTP, control; NULL: not configured */
    unsigned connections, handles; /* handles: admin is freed with the last */
    uint64_t started_ms;
    bool draining, stopping;
    struct admin_connection *list;
};

struct desk {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } h;
    struct admin *admin;
    const char *end; /* of a question */
    void (*answer)(struct admin *a, struct str question, FILE *to);
};

struct status_now admin_now(struct admin *a);
void admin_answer_http(struct admin *a, struct str question, FILE *to);
void admin_answer_control(struct admin *a, struct str question, FILE *to);

#endif
