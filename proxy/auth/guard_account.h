/*
 * guard_account: all that is remembered of one account, and what follows from it for the next attempt. Pure: time is
 * passed in; the caller has the lock of the account's shard.
 *
 * A locked account must not lock its owner out of mail, and must not become an oracle either. So, while it is locked:
 *  - credentials that were proved not long ago are taken as always, and when their time is up they alone may ask
 *    the directory again: nobody can have them by guessing;
 *  - how often anything is compared with them is limited: to `account_failures` attempts of places from which the owner has
 *    never signed in, and to twice as many of each other kind, per window. A place is an address or a device id. So who is
 *    where he was before is not locked out by strangers' attempts, and strangers get no more guesses than they would have.
 * From a locked address only accounts that have signed in from there before are compared with anything.
 */
#ifndef POSTERN_GUARD_ACCOUNT_H
#define POSTERN_GUARD_ACCOUNT_H

#include <postern/auth_detail.h>
#include <postern/conf.h>

#include "credential_cache.h"
#include "guard_source.h"
#include "lockout.h"

#define PLACES_KEPT 8
#define PROBES_SEEN 4
#define ACCOUNT_TEXT 96

struct guard_flight;

/* For the operator: the latest failure. */
struct account_trace {
    struct source_address source;
    char device[40], service[28];
};

struct guard_account {
    struct table_row row;
    struct lockout lockout;
    struct credential_cache cache;
    uint64_t places[PLACES_KEPT]; /* hashes of addresses and device ids that were right; 0: none */
    uint8_t next_place, next_probe;
    bool asked_again; /* in this lock a formerly proved credential has turned out wrong */
    uint16_t running; /* attempts that are with the directory now */
    uint16_t probes_known, probes_strange;
    uint64_t probes_since_ms;
    uint64_t probes[PROBES_SEEN]; /* compared already */
    struct guard_flight *flights; /* attempts that wait or run */
    uint64_t failed_ms;
    struct account_trace trace;
    enum auth_detail detail;
    char name[ACCOUNT_TEXT]; /* for the operator; cut when too long */
};

/* From the cheapest to forget to the dearest. */
enum account_class {
    ACCOUNT_EMPTY,
    ACCOUNT_FAILED,
    ACCOUNT_PROVED,
    ACCOUNT_FAILING,
    ACCOUNT_LOCKED,
    ACCOUNT_PINNED
};
_Static_assert(ACCOUNT_PINNED == TABLE_PINNED, "classes");

enum account_step {
    STEP_PROVED,      /* right, known without asking */
    STEP_KNOWN_WRONG, /* wrong, known without asking */
    STEP_LOCKED,      /* the account is locked */
    STEP_BRAKED,      /* the address is locked */
    STEP_ASK,
    STEP_ASK_AGAIN, /* although it is locked: formerly proved */
    STEP_HOLD       /* as many attempts are with the directory as may still fail: not now */
};

struct account_attempt {
    struct mac credential;
    uint64_t places[2]; /* address, device id; 0: none */
    bool braked;        /* the address is locked */
    bool exempt;
};

struct lockout_rules account_rules(const struct conf_guard *g);
/* What happens with an attempt. *ret_proved: set with STEP_PROVED. */
enum account_step account_consider(struct guard_account *a, const struct conf_guard *g,
                                   const struct account_attempt *t, uint64_t now,
                                   const struct proved **ret_proved);
/* Just before the directory is asked. STEP_ASK: one is running now; else it must not be asked after all. */
enum account_step account_begin(struct guard_account *a, const struct conf_guard *g, bool again, bool exempt,
                                uint64_t now);
/* It has said yes. `password`: as cache_prove wants it. */
void account_right(struct guard_account *a, const struct conf_guard *g, const struct mac *credential,
                   uint64_t password, uint64_t groups, uint64_t now);
/* It has said no, so often (an ambiguous charset may cost two attempts). `again`: it was STEP_ASK_AGAIN. True: this has locked
 * the account. */
bool account_wrong(struct guard_account *a, const struct conf_guard *g, const struct mac *credential,
                   enum auth_detail detail, unsigned attempts, bool again, uint64_t now);
/* Whether one more attempt may be made without locking the account. */
bool account_may_fail_twice(const struct guard_account *a, const struct conf_guard *g, uint64_t now);
void account_add_place(struct guard_account *a, uint64_t place);
/* True once, when the time of a lock has passed. */
bool account_expire(struct guard_account *a, uint64_t now);
/* By command. True: it was locked. */
bool account_unlock(struct guard_account *a, uint64_t now);
enum account_class account_class(const struct guard_account *a, const struct conf_guard *g, uint64_t now);
/* Whether the refusal says that the password was wrong: with any other the directory has not counted a failure. */
bool detail_is_guess(enum auth_detail d);

#endif
