/*
 * redirect: where an answer may send the client, and where a WebDAV request may send what it moves. Pure functions of what is
 * published; any thread.
 */
#ifndef POSTERN_REDIRECT_H
#define POSTERN_REDIRECT_H

#include <postern/arena.h>
#include <postern/conf.h>

struct redirect_from {
    const struct conf_publish *publish;
    struct str host; /* that the client asked for, lower case */
    uint16_t port;   /* 0: none given */
    bool (*published)(void *ctx, struct str host);
    void *ctx;
};

/* The value as it may leave: unchanged, or with a published name in place of an interior one, in the arena. p NULL: it leads
 * elsewhere (or there is no memory), and the answer must not leave. `value` is a field value: no controls. */
struct str redirect_rewrite(const struct redirect_from *from, struct str value, struct arena *a);

/* WebDAV's Destination is a second request target (RFC 4918 10.3): what the first may not name, it may not either. */
struct destination_from {
    struct str host; /* that the client asked for: of a Destination that names none */
    bool
        plain; /* the backend's own connection has no TLS: Exchange compares the schemes and answers 502 when they differ */
    /* Whether that is published by the rule that the request came in by. `canonical`: as of target.h. */
    bool (*published)(void *ctx, struct str host, struct str canonical);
    void *ctx;
};
/* The value as it may go on: unchanged, or with the other scheme, in the arena. p NULL: it must not. */
struct str destination_rewrite(const struct destination_from *from, struct str value, struct arena *a);

#endif
