/*
 * tls: what listeners present and how backends are verified. The only room that calls OpenSSL's SSL_* functions.
 *
 * A tls_server or tls_client belongs to one worker (its OSSL_LIB_CTX) and one configuration; it is read-only after it was
 * made, and freed when the configuration's last session on that worker is gone. Each SSL holds its own reference, so freeing
 * while connections live is safe.
 */
#ifndef POSTERN_TLS_H
#define POSTERN_TLS_H

#include <stdbool.h>
#include <postern/conf.h>

struct worker;
struct tls_server;
struct tls_client;
struct tls_session_slot;
struct tls_tickets; /* session ticket keys, shared by all workers; locked inside, rarely written */

/* One row per profile: protocol range, cipher lists, groups, signature algorithms, security level. */
struct tls_profile {
    enum conf_tls id;
    const char *name;
    int min_version, max_version;
    const char *ciphers;      /* TLS <= 1.2, OpenSSL names */
    const char *ciphersuites; /* TLS 1.3 */
    const char *groups;
    const char *sigalgs;
    int security_level;
    bool server_order;
    const char *doc;
};
const struct tls_profile *tls_profile_row(enum conf_tls id);

/* Process-wide, before anything else of OpenSSL and any worker: OPENSSL_init with NO_ATEXIT. */
void tls_process_init(void);

/* Ticket keys: random ones rotated every `rotation_ms` (the previous stay valid for decryption), or those of a file of
 * 80-byte keys (name 16, HMAC 32, AES-256 32), the first of which encrypts (nginx's layout). Main thread. */
struct tls_tickets *tls_tickets_new(const struct conf_process *p);
/* Main thread, on a timer and at reload: rotates when due, or takes over a new file's keys. */
void tls_tickets_refresh(struct tls_tickets *t, const struct conf_process *p, uint64_t now_ms);
void tls_tickets_free(struct tls_tickets *t);

/* On the worker's thread or before it starts. NULL and a finding when a certificate cannot be used.
 * `tickets` NULL: no resumption. */
struct tls_server *tls_server_new(struct worker *w, const struct conf_listener *l,
                                  struct tls_tickets *tickets, struct conf_findings *f);
void tls_server_free(struct tls_server *t);
struct tls_client *tls_client_new(struct worker *w, const struct conf_backend *b, struct conf_findings *f);
/* The name that is sent as SNI and verified when the backend has no expected_name. */
void tls_client_free(struct tls_client *t);
/* One per (worker, server): `name` is what is sent as SNI (not for literals) and verified unless expected_name is set. */
struct tls_session_slot *tls_session_slot_new(const char *name);
void tls_session_slot_free(struct tls_session_slot *s);

#endif
