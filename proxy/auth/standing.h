/*
 * standing: whether a server of a directory is worth asking. One that failed is asked last for `retry_after`; the log hears of
 * it when it fails and when it answers again, not each time. Any thread.
 */
#ifndef POSTERN_STANDING_H
#define POSTERN_STANDING_H

#include <pthread.h>
#include <postern/verifier.h>

#define STANDINGS_MAX CONF_DIRECTORY_SERVERS_MAX

struct standing {
    const struct conf_directory *directory;
    const struct conf_directory_server *server;
    pthread_mutex_t lock;
    bool bad;
    uint64_t bad_until_ns, bad_since_ns;
    unsigned asking;
    uint64_t answers, failures, fault_ns;
    enum auth_detail fault; /* the latest; AUTH_DETAIL_NONE: none yet */
    char why[sizeof(((struct verifier_server *)NULL)->why)];
};

void standing_init(struct standing *s, const struct conf_directory *d,
                   const struct conf_directory_server *server);
void standing_fini(struct standing *s);
/* Around a question: it waits for the server's answer. */
void standing_asks(struct standing *s);
void standing_asked(struct standing *s);
/* True: it stood well until now. */
bool standing_failed(struct standing *s, enum auth_detail fault, const char *why);
void standing_worked(struct standing *s);
/* What is known here; the connections are not. */
struct verifier_server standing_status(struct standing *s);

/* The indices 0 to n-1 (at most STANDINGS_MAX) in the order of asking. Once the time of one that failed is over, one caller has
 * it in its old place and tries; the others wait for what he finds. */
void standing_order(struct standing *const *all, size_t n, uint8_t *order);
/* How long the next one of several may take: half of what is left while others could still be asked. */
uint64_t standing_due(uint64_t due_ns, bool others);

#endif
