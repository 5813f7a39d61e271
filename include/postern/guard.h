/*
 * guard: what stands between clients and the directories: who was right or wrong lately is answered here, what is asked is
 * asked once, accounts and addresses that fail too often are locked softly, and failures all take their time.
 *
 * One per process; its memory of accounts and addresses survives reloads (the numbers are those of the newest configuration).
 * Order of an attempt: the name's one form -> known wrong -> locked -> known right (cache) -> with others that ask the same
 * -> the directory. docs/preauthentication.md says what follows from what, and why.
 *
 * Passwords are kept only as keyed hashes whose secret dies with the process.
 */
#ifndef POSTERN_GUARD_H
#define POSTERN_GUARD_H

#include <postern/verifier.h>

struct guard;

/* Before the workers start; `workers`: how many will ask. NULL without memory. Main thread. */
struct guard *guard_new(const struct conf_guard *numbers, struct auth_pool *pool, unsigned workers);
/* A new configuration is in force. -1 without memory: the old numbers stay. Main thread. */
int guard_configure(struct guard *g, const struct conf_guard *numbers);
/* After auth_pool_stop() and when the workers are joined. */
void guard_free(struct guard *g);
/* Ends locks whose time has passed (each is an event). About once a second; any one thread. */
void guard_tick(struct guard *g);
/* Adds its counters and gauges. Any thread. */
void guard_metrics(const struct guard *g, struct metrics *sum);

enum guard_answer {
    GUARD_RIGHT,
    GUARD_WRONG,       /* the directory says so */
    GUARD_KNOWN_WRONG, /* it said so before */
    GUARD_REFUSED,     /* nobody was asked: malformed, or a domain that is not ours */
    GUARD_LOCKED,      /* the account is locked softly */
    GUARD_BRAKED,      /* the client's address is */
    GUARD_UNAVAILABLE, /* nobody could judge: from here on no statement about the password */
    GUARD_TIMEOUT,
    GUARD_BUSY
};
/* A failed attempt, as the client should see it: a statement about the credentials, or as good as one. */
static inline bool guard_is_failure(enum guard_answer a)
{
    return a >= GUARD_WRONG && a <= GUARD_BRAKED;
}

/* Stands for credentials that were right, without being them. */
struct guard_proof {
    uint8_t account[16], credential[16];
};

struct guard_result {
    enum guard_answer answer;
    enum auth_detail detail;
    bool cached;              /* right or wrong without asking the directory now */
    uint64_t groups;          /* as auth_result's */
    unsigned retry_after_s;   /* when a 503 is the answer */
    struct guard_proof proof; /* GUARD_RIGHT only */
};

/* What a connection remembers of the credentials that were right on it last, so that the same ones need no reading and no hash of
 * their own: they are still judged by what is known of the account. Keyed hashes that say nothing without the guard; zeros are none. */
struct guard_memo {
    uint64_t tag[2]; /* of the directory's definition and the octets as sent */
    struct guard_proof proof;
};

struct guard_question {
    struct worker *worker; /* the caller's */
    struct snapshot *snapshot;
    struct verifier *verifier;                   /* of the snapshot */
    const struct basic_credentials *credentials; /* as sent; copied as far as needed */
    const struct sockaddr *source;
    struct str service, device; /* device id, or empty */
    struct guard_memo *memo;    /* the connection's; NULL: none */
};

struct guard_ticket; /* an attempt that waits; owned by the guard */
/* Worker thread. Either answers at once (NULL, *ret_now), or calls `done` exactly once, on the same worker, never before this
 * returns, unless guard_cancel came first. Failures are always answered through `done`, no sooner than guard.failure_time. */
struct guard_ticket *guard_ask(struct guard *g, const struct guard_question *q,
                               void (*done)(void *ctx, const struct guard_result *r), void *ctx,
                               struct guard_result *ret_now);
/* A failure that needs no asking (malformed or empty credentials), with the same delay: GUARD_REFUSED. NULL without memory. */
struct guard_ticket *guard_refuse(struct guard *g, struct worker *w,
                                  void (*done)(void *ctx, const struct guard_result *r), void *ctx);
/* The caller went away: done will not be called. What the directory was asked is counted all the same. */
void guard_cancel(struct guard_ticket *t);
/* The interior has refused what was right: the next attempt asks the directory. Any worker. */
void guard_doubt(struct guard *g, const struct guard_proof *p);

/* ---- for the operator; main thread ---- */

struct guard_account_status {
    struct str name;
    bool locked;
    unsigned failures;
    uint64_t locked_for_ms; /* still */
    uint64_t age_ms;        /* of the latest failure */
    uint64_t repeats;       /* of passwords known to be wrong, refused here */
    enum auth_detail detail;
    struct str source, device, service;
};
struct guard_source_status {
    struct str source;
    bool locked;
    unsigned accounts, failures, good;
    uint64_t locked_for_ms, age_ms;
};
/* Locked and failing ones. `name`: only that account (in any of its forms); n 0: all. Called without locks. */
void guard_accounts(struct guard *g, const struct snapshot *s, struct str name,
                    void (*each)(void *ctx, const struct guard_account_status *a), void *ctx);
void guard_sources(struct guard *g, void (*each)(void *ctx, const struct guard_source_status *a), void *ctx);
/* An account in any of its forms, or an address. How many were unlocked or had failures forgotten. */
unsigned guard_unlock(struct guard *g, const struct snapshot *s, struct str name);
/* Forgets which passwords are right and which are wrong; locks stay. How many accounts. */
unsigned guard_flush(struct guard *g);

#endif
