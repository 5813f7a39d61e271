/*
 * cas: a simulated Client Access server. One loop per worker; a connection belongs to the worker that accepted it and
 * only that worker touches it. What is shared: the options (constant after start), counters (atomic), the record file,
 * and the registry that joins the two channels of an RPC connection (rpc_join.c).
 */
#ifndef CAS_H
#define CAS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include <openssl/ssl.h>
#include <postern/str.h>
#include <postern/wheel.h>

#define SIM_SERVER "Simulated-Client-Access-Server/1.0"
#define READ_SIZE 65536
#define HEAD_MAX (256 * 1024)
#define BODY_KEPT 16384 /* first bytes of a body that an answer may look at */
#define DRAIN_MAX 65536 /* a longer rest of a body is not worth a kept connection */
#define QUEUE_MAX (8 * 1024 * 1024)
#define USERS_MAX 64
#define NAME_SIZE 64
#define TAG_SIZE 33
#define CERTIFICATES_MAX 2 /* RSA and ECDSA */

struct options {
    const char *listen, *control, *record;
    const char *chain[CERTIFICATES_MAX], *key[CERTIFICATES_MAX];
    const char *users[USERS_MAX]; /* NAME:PASSWORD */
    unsigned user_count, certificate_count, workers, rpc_ping;
    uint64_t rpc_length;
    bool any_user, no_auth, offer_ntlm, tls12;
};

enum service {
    SERVICE_OTHER,
    SERVICE_OWA,
    SERVICE_ACTIVESYNC,
    SERVICE_RPC,
    SERVICE_AUTODISCOVER,
    SERVICE_EWS,
    SERVICE_MAPI,
    SERVICE_OAB,
    SERVICE_UM,
    SERVICE_WEBDAV,
    SERVICE_SIM,
    SERVICE_COUNT
};

struct counters {
    atomic_ullong accepted, open, bytes_in, bytes_out, requests, malformed, unauthorized;
    atomic_ullong by_service[SERVICE_COUNT];
};

struct worker {
    uv_loop_t loop;
    uv_tcp_t listener, control;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_timer_t timer;
    struct wheel wheel;
    SSL_CTX *tls;
    uv_thread_t thread;
    uv_mutex_t mail_lock;
    struct mail *mail, **mail_tail;
    bool stop; /* under mail_lock */
    int index;
    uint64_t random;
    char read[READ_SIZE];
    char plain[READ_SIZE];
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_HOLD, CONN_LINGER };
enum chunk_state { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_AFTER, CHUNK_TRAILER };

struct route;

struct conn {
    uv_tcp_t tcp;
    struct worker *w;
    SSL *ssl;
    struct wheel_node timer;
    void (*on_timer)(struct conn *);

    char *in; /* bytes not yet consumed; NULL while there are none */
    size_t in_len;
    size_t queued; /* bytes handed to uv_write and not written */

    const char *head; /* valid until the request's finish() has returned */
    char *head_copy;
    size_t head_len;
    struct str method, path, query;
    const struct route *route;
    uint64_t body_left, body_seen;
    char *body;
    size_t body_len;

    void (*on_body)(struct conn *, const char *, size_t);
    void (*on_end)(struct conn *);
    void (*on_drain)(struct conn *);
    uint64_t v[4];   /* the handler's numbers */
    uint64_t wanted; /* bytes that an answer of no particular size is to have; 0: as it is */
    unsigned serial; /* which request of the connection */
    void *data;      /* the handler's memory, freed by data_free */
    void (*data_free)(void *);
    struct channel *channel;

    enum conn_state state;
    enum chunk_state chunk_state;
    uint8_t minor, ntlm_step;
    bool keep, has_body, chunked, answered, expect, head_only, chunked_answer;
    bool is_control, feeding, closing, close_when_drained, abrupt, read_stopped;
    char user[NAME_SIZE];
    char bound_user[NAME_SIZE];
    char tag[TAG_SIZE]; /* X-Load-Tag of the request, repeated in its answer */
};

/* A path and what serves it. begin (optional) runs at the end of the head, finish at the end of the body. */
struct route {
    struct str prefix;
    enum service service;
    bool auth;
    void (*begin)(struct conn *);
    void (*finish)(struct conn *);
};

extern struct options options;
extern struct counters counters;
extern const char *const service_names[SERVICE_COUNT];

#define COUNT(field, n) atomic_fetch_add_explicit(&counters.field, (n), memory_order_relaxed)

/* server.c */
int server_run(void);
/* Any thread: run(worker, data) on that worker's loop. false without memory or when it is stopping. */
bool worker_post(struct worker *w, void (*run)(struct worker *, void *), void *data);

/* connection.c */
void conn_accept(struct worker *w, uv_tcp_t *listener, bool control);
void conn_write(struct conn *c, const void *data, size_t n); /* plain bytes, TLS added here */
void conn_close(struct conn *c);                             /* at once */
void conn_reset(struct conn *c);                             /* RST */
void conn_finish(struct conn *c);                            /* write out, FIN, then close */
void conn_arm(struct conn *c, uint64_t after_ms, void (*fire)(struct conn *));
void conn_disarm(struct conn *c);
void conn_resume(struct conn *c); /* consume what waits in c->in */
uint64_t conn_now(struct conn *c);
void conn_hold_data(struct conn *c, void *data, void (*release)(void *));

/* http.c */
size_t http_feed(struct conn *c, const char *p, size_t n);
void http_request_reset(struct conn *c);
bool head_get(struct conn *c, struct str name, struct str *ret_value);
bool query_get(struct conn *c, struct str name, struct str *ret_value);
uint64_t query_number(struct conn *c, struct str name, uint64_t otherwise);
const struct route *route_find(struct conn *c);

/* answer.c: each answer ends with answer_done(), the functions that send whole answers call it themselves. */
#define LENGTH_CHUNKED (-1)
#define LENGTH_NONE (-2)
void answer_head(struct conn *c, int status, const char *reason, const char *type, const char *more,
                 int64_t length);
void answer(struct conn *c, int status, const char *reason, const char *type, const char *more,
            const void *body, size_t n);
void answer_text(struct conn *c, int status, const char *reason, const char *text);
void answer_chunk(struct conn *c, const void *data, size_t n);
void answer_done(struct conn *c);
/* `interval` between calls of `each`, `count` times, then `last`; on time, without drift. */
void answer_series(struct conn *c, uint64_t interval_ms, uint64_t count, void (*each)(struct conn *),
                   void (*last)(struct conn *));

/* auth.c: false when a 401 has been sent */
bool auth_check(struct conn *c);

/* behave.c: --behave and --behaviour. false, and a message, when the text makes no sense. */
bool behave_add(const char *text);
bool behave_read(const char *path);
/* This request is one that fails: it has been answered, or its connection has ended. */
bool behave_fails(struct conn *c);
uint64_t behave_latency(struct conn *c); /* ms */
uint64_t behave_size(struct conn *c);

/* faults.c */
bool fault_known(struct str name);
bool fault_play(struct conn *c, struct str name); /* false: there is none of that name */

/* services */
void owa_finish(struct conn *c);
void owa_begin(struct conn *c);
void activesync_finish(struct conn *c);
void rpc_begin(struct conn *c);
/* The connection ends: its channel leaves. Callers up the stack may still hold the channel, so its memory goes with the connection's. */
void rpc_end(struct conn *c);
void rpc_free(struct conn *c);
void autodiscover_finish(struct conn *c);
void ews_finish(struct conn *c);
void mapi_finish(struct conn *c);
void oab_finish(struct conn *c);
void um_finish(struct conn *c);
void webdav_finish(struct conn *c);
void sim_begin(struct conn *c);
void sim_finish(struct conn *c);
bool sim_told(
    struct conn *c); /* whether the query of another service said what to answer, and it was answered */
void control_finish(struct conn *c);

/* control.c */
bool record_open(const char *path);
void record_head(const char *p, size_t n);
#endif
