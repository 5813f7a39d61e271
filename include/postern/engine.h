/*
 * engine: the workers and the configuration in force. The face of the core room towards ops.
 *
 * One per process. All functions on the main thread, unless they say otherwise.
 */
#ifndef POSTERN_ENGINE_H
#define POSTERN_ENGINE_H

#include <postern/conf.h>
#include <postern/guard.h>
#include <postern/listener.h>
#include <postern/metrics.h>

struct engine;

/* Compiles what the request path needs (routes, verifiers, filters' data) and attaches it to `s`; findings for what cannot be.
 * Called by check, start and reload after certificates_check. 0 or -1. */
int engine_prepare(struct snapshot *s, struct conf_findings *f);
/* Starts the workers (and the house worker that checks health and resolves names) on a prepared snapshot; takes over the
 * sockets. Returns when every worker serves, or NULL with findings. */
struct engine *engine_start(struct snapshot *s, struct listen_set *l, struct conf_findings *f);
/* New connections get `s`; the present ones finish under the old one; sockets that stay are not touched. -1 with
 * findings: nothing has changed. */
int engine_apply(struct engine *e, struct snapshot *s, struct listen_set *l, struct conf_findings *f);
/* About once a minute: ticket keys are rotated when due, connections to directories that are kept too long are closed. */
void engine_tick(struct engine *e);
/* Stops accepting, closes idle connections, lets requests finish; after `deadline_ms` cuts the rest. `done` is called once,
 * on the main loop's thread via uv_async owned by the engine (loop given here). */
void engine_drain(struct engine *e, uv_loop_t *main_loop, uint64_t deadline_ms, void (*done)(void *ctx),
                  void *ctx);
/* After `done`: how many directories still keep a thread waiting after at most `patience_ms`. Nobody wants their answers any more,
 * but engine_free would wait for them: unless it is 0, the process should end after engine_abandon instead. */
unsigned engine_quiesce(struct engine *e, uint64_t patience_ms);
void engine_abandon(struct engine *e);
/* Joins all threads and frees. After `done`. A look-up of a backend's name that hangs is left alone (resolve_hanging). */
void engine_free(struct engine *e);

struct snapshot *engine_snapshot(struct engine *e); /* held; release it */
unsigned engine_workers(const struct engine *e);
/* Any thread. */
void engine_metrics(struct engine *e, struct metrics *sum);
/* Health and counts of every backend server, one call each. Any thread. */
struct engine_server_status {
    struct str backend, server;
    bool up, passive_down, drain, resolved;
    unsigned addresses, open, idle, active_requests;
    uint64_t requests, failures;
};
void engine_servers(struct engine *e, void (*each)(void *ctx, const struct engine_server_status *s),
                    void *ctx);
/* Every server of the directories, one call each. Any thread. */
void engine_directories(struct engine *e, void (*each)(void *ctx, const struct verifier_server *s),
                        void *ctx);
/* Channels of Outlook Anywhere that are open, one call each. Asks every worker and waits. Main thread. */
struct engine_channel {
    char user[65], direction[4], target[160], server[65];
    struct sockaddr_storage client;
    uint64_t age_ms, bytes_in, bytes_out;
};
void engine_channels(struct engine *e, void (*each)(void *ctx, const struct engine_channel *c), void *ctx);
/* What protects the directories; lives as long as the engine. Any thread. */
struct guard *engine_guard(const struct engine *e);
/* The most client connections that the table takes. */
unsigned engine_capacity(const struct engine *e);

#endif
