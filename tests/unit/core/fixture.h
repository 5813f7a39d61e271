/*
 * What the tests of the backend and of the health checks share: a worker on a thread of its own, servers made of plain
 * sockets on another thread, and configuration built by hand.
 */
#ifndef CORE_FIXTURE_H
#define CORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <semaphore.h>
#include <string.h>
#include <postern/backend.h>
#include <postern/log.h>
#include <postern/server_state.h>
#include <postern/worker.h>

#define WAIT_MS 5000

/* ---- a worker ---- */
struct worker *fixture_worker(void);
void fixture_worker_end(struct worker *w); /* fails the test when a handle is left open */
/* Runs fn(arg) on the worker's thread and waits until it has returned. */
void fixture_on(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg);
/* Waits until *value (atomic) is `want`; false after WAIT_MS. */
bool fixture_until(const uint32_t *value, uint32_t want);
bool fixture_wait(sem_t *s);
void fixture_sleep(unsigned ms);
uint64_t fixture_metric(const struct worker *w, enum metric id);
bool fixture_metric_until(const struct worker *w, enum metric id, uint64_t want);

/* ---- the event log ---- */
void fixture_log_start(void);
/* Stops the log; how many lines hold both strings. The text is gone afterwards. */
unsigned fixture_log_count(const char *id, const char *also);

/* ---- servers ---- */
enum fake_mode {
    FAKE_LINES,    /* the line protocol below */
    FAKE_HTTP,     /* one answer of `status` to every head */
    FAKE_HTTP_100, /* the same, after a 100 */
    FAKE_HANG,     /* takes and never answers */
    FAKE_CLOSE,    /* closes each connection at once */
    FAKE_RESET,    /* by RST */
    FAKE_GARBAGE,  /* answers a head with what is not HTTP */
    FAKE_HALF      /* half a head, then closes */
};
/*
 * Lines: "LOGIN name" makes the connection name's; "WHO" answers "name\n" ("-\n" before a login); "TALK" answers "-\n" and sends a
 * byte nobody asked for 20 ms later; "QUIT" closes.
 */
struct fake;
struct fake *fake_start(enum fake_mode mode, int status);
/* As TLS server with the PEM certificate and key (see certificate_*). */
struct fake *fake_start_tls(enum fake_mode mode, int status, const char *cert_pem, const char *key_pem);
void fake_stop(struct fake *f);
uint16_t fake_port(const struct fake *f);
void fake_set(struct fake *f, enum fake_mode mode, int status);
unsigned fake_accepted(const struct fake *f);
unsigned fake_open(const struct fake *f);
unsigned fake_resumed(const struct fake *f);
/* The last request head received; copied. */
void fake_last(struct fake *f, char *out, size_t size);
void fake_close_all(struct fake *f);

/* A port where nobody listens; keeps it reserved until fixture_unreserve. */
uint16_t fixture_reserve_port(int *ret_fd);
/* A listening socket on loopback whose backlog is full: connecting to it takes for ever. */
struct blackhole {
    int fd, clients[4];
    uint16_t port;
};
void blackhole_open(struct blackhole *b);
void blackhole_close(struct blackhole *b);

/* Self-signed, for `name`; strings to be freed. */
void certificate_make(const char *name, char **ret_cert, char **ret_key);

/* ---- configuration ---- */
#define FIXTURE_SERVERS 8
struct fixture_conf {
    struct snapshot snapshot;
    struct conf_backend backend;
    struct conf_server servers[FIXTURE_SERVERS];
    char urls[FIXTURE_SERVERS][64];
    struct conf_publish publish;
    struct conf_service services[3];
    const struct conf_service *published[3];
    struct str alive[4];
    struct str host;
    struct backend_states *states;
};
/* One backend "be"; timeouts of a few seconds. Add servers, change what the test is about, then fixture_states. */
void fixture_conf_init(struct fixture_conf *c);
void fixture_add_server(struct fixture_conf *c, const char *host, uint16_t port, bool https);
void fixture_states(struct fixture_conf *c);
void fixture_conf_end(struct fixture_conf *c);

#endif
