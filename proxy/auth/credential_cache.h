/*
 * credential_cache: the credentials of one account that a directory has proved, and those that it has refused. Pure: time is
 * passed in; the caller has a lock.
 *
 * Proved ones are taken for a time without asking (fresh), and remembered for longer as formerly proved: whoever holds one is
 * most likely the owner. Refused ones are refused without asking until their time has passed; then one attempt
 * goes to the directory again, and if it is still refused the time doubles.
 *
 * A credential is a password and whatever of the name beside the account makes the directory's question another one; the same
 * password may be proved in several of these forms.
 */
#ifndef POSTERN_CREDENTIAL_CACHE_H
#define POSTERN_CREDENTIAL_CACHE_H

#include "guard_mac.h"

#define PROVED_KEPT 2 /* the password, and the one before while a change spreads, or another form */
#define WRONG_KEPT 8
#define FORMERLY_MS (UINT64_C(24) * 3600 * 1000)

struct proved {
    struct mac credential;
    uint64_t password;              /* the same in every form */
    uint64_t at_ms, fresh_until_ms; /* at_ms 0: no entry */
    uint64_t groups;
};

struct known_wrong {
    struct mac credential;
    uint64_t until_ms, seen_ms; /* seen_ms 0: no entry */
    uint32_t wait_ms;
    uint32_t times; /* that it was refused here */
};

struct credential_cache {
    struct proved proved[PROVED_KEPT];
    struct known_wrong wrong[WRONG_KEPT];
};

/* Proved within FORMERLY_MS; look at fresh_until_ms. NULL: never. */
struct proved *cache_proved(struct credential_cache *c, const struct mac *m, uint64_t now);
/* The directory has said yes. Another password that was fresh must be asked for again: it has changed. */
void cache_prove(struct credential_cache *c, const struct mac *m, uint64_t password, uint64_t groups,
                 uint64_t lifetime, uint64_t now);
/* Somebody who should know has refused it: the next attempt asks. */
void cache_doubt(struct credential_cache *c, const struct mac *m);
/* NULL: not known to be wrong now. */
struct known_wrong *cache_wrong(struct credential_cache *c, const struct mac *m, uint64_t now);
/* The directory has said no. `first` and `longest`: how long it is believed; 0: not at all. */
void cache_refute(struct credential_cache *c, const struct mac *m, uint64_t first, uint64_t longest,
                  uint64_t now);
bool cache_any_proved(const struct credential_cache *c, uint64_t now);
bool cache_any_wrong(const struct credential_cache *c, uint64_t now);

#endif
