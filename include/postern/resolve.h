/*
 * resolve: names of backend servers to addresses, on one loop, again every `interval`. libuv's getaddrinfo gives
 * no TTL, so the configured resolve_interval decides; a failure keeps the last addresses and tries again sooner.
 */
#ifndef POSTERN_RESOLVE_H
#define POSTERN_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#define RESOLVE_ADDRESSES_MAX 16

struct resolve_result {
    /* port filled in; sorted, so that equal sets compare equal */
    struct sockaddr_storage v[RESOLVE_ADDRESSES_MAX];
    unsigned n;
};

struct resolve_job;
/* Calls `changed` on the loop at the first answer and whenever the set differs; `failed` when a look-up fails.
 * Literals are answered once, in a later turn, and never looked up. */
struct resolve_job *resolve_start(uv_loop_t *loop, const char *host, unsigned short port,
                                  uint64_t interval_ms,
                                  void (*changed)(void *ctx, const struct resolve_result *r),
                                  void (*failed)(void *ctx, const char *why), void *ctx);
/* No callback after it. The loop lives on until a look-up that is under way has ended. */
void resolve_stop(struct resolve_job *j);
/* Every name that is being looked up, one call each. Any thread. When all loops have ended: those that hang; libuv waits for them
 * at exit(), so that the process must end by _exit(). */
unsigned resolve_hanging(void (*each)(void *ctx, const char *host), void *ctx);

#endif
