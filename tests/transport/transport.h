/*
 * One test body over each transport: plain TCP, TLS 1.2, TLS 1.3. A scene is a stream that was accepted, and its peer.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "../unit/net/net_fixture.h"

struct transport {
    const char *name;
    int version; /* 0: plain */
};

struct scene {
    const struct transport *over;
    bool tcp; /* else a pair of Unix sockets: no windows, no acknowledgements, every turn the same */
    struct worker *w;
    struct conf_listener conf;
    struct tls_server *server;
    SSL_CTX *client;
    struct probe probe;
    struct peer peer;
};

/* Runs every test over every transport, or only over TLS. */
struct transport_test {
    const char *name;
    void (*run)(struct scene *s);
    bool tls_only;
};
int transport_run(const char *group, const struct transport_test *tests, size_t n, bool tcp);

/* The scene opens when run() is called: connected, and the handshake done. A new pair in the place of the present one: */
void scene_again(struct scene *s);
void scene_close(struct scene *s); /* both sides */
static inline bool scene_is_tls(const struct scene *s)
{
    return s->over->version != 0;
}

#endif
