/*
 * What the two files of the active checks share. House worker.
 */
#ifndef POSTERN_HEALTH_INT_H
#define POSTERN_HEALTH_INT_H

#include <postern/h1.h>
#include <postern/log.h>
#include <postern/server_state.h>
#include <postern/stream.h>
#include <postern/tls.h>
#include <postern/worker.h>

struct health_server;

/* One path of one server, asked again and again. */
struct health_check {
    struct stream stream; /* first: callbacks cast */
    struct health_server *server;
    unsigned path;
    unsigned alive_n, dead_n; /* in a row */
    bool open;                /* the stream's handle is not closed yet */
    bool connected, decided;  /* of the present round */
    unsigned address, left;   /* the address being tried, and how many may follow it */
    uint64_t began_ms;
    struct wheel_node timer; /* the next round, or the end of this one */
    struct resolve_result to;
    struct h1 codec;
    struct message message;
    struct arena arena;
};

struct health_server {
    struct health *health;
    const struct backend_state *backend;
    struct server_state *state;
    struct tls_client *tls; /* the backend's; NULL: plain, or unusable */
    struct tls_session_slot *slot;
    struct resolve_job *resolve;
    bool compared;   /* its certificate with the listeners' */
    bool unresolved; /* said so in the event log */
    bool asked;      /* its name has been looked up once, found or not */
    struct health_check *checks;
    unsigned checks_n;
};

struct health {
    struct worker *worker;
    struct snapshot *snapshot;
    struct tls_client **tls; /* per backend */
    struct health_server *servers;
    size_t servers_n;
    struct h1_limits limits;
    size_t open; /* streams whose close callback is still to come */
    struct wheel_node patience;
    void (*ready)(void *ctx); /* NULL: told, or nobody waits */
    void *ready_ctx;
    bool stopping;
};

/* The first round begins after `delay_ms`. */
void health_check_start(struct health_check *c, struct health_server *s, unsigned path, uint64_t delay_ms);
void health_check_stop(struct health_check *c);
/* A stream has closed: the last one frees a stopped health. */
void health_closed(struct health *h);
extern const struct stream_handler health_stream_handler;
/* "200", "4xx": whether the list holds the status. */
bool health_status_alive(const struct conf_strings *list, int status);

#endif
