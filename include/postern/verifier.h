/*
 * verifier: asks a directory whether credentials are right, never on an event loop.
 *
 * A verifier is one configured directory: a const struct verifier_type of functions that may block, called only on the
 * threads of the auth pool. A caller on a worker submits a job and gets its verdict by letter on the same worker. The
 * queue and the number of threads are bounded; a full queue answers VERDICT_BUSY at once. A job that has waited or run longer
 * than its deadline answers VERDICT_TIMEOUT to the caller; the blocked thread's late verdict is thrown away.
 *
 * The password is copied into the job's own locked memory and cleansed as soon as the verdict is there.
 */
#ifndef POSTERN_VERIFIER_H
#define POSTERN_VERIFIER_H

#include <postern/account.h>
#include <postern/auth_detail.h>
#include <postern/conf.h>
#include <postern/worker.h>

enum verdict {
    VERDICT_OK,
    VERDICT_WRONG,       /* user unknown, password wrong, account disabled: the client learns no more */
    VERDICT_UNAVAILABLE, /* no directory could answer */
    VERDICT_TIMEOUT,
    VERDICT_BUSY
};

/* What a directory says. `groups`: bit i is set when the account is a member of the snapshot's groups[i], for the groups
 * that the directory was asked for; 0 unless the verdict is VERDICT_OK. */
struct auth_result {
    enum verdict verdict;
    enum auth_detail detail; /* for logs and metrics; never for the client */
    uint64_t groups;
};

struct verifier;
struct verifiers;

/* One server of a directory, as it stands; counted since its configuration was loaded. */
struct verifier_server {
    struct str directory, server;
    bool failed;            /* asked last, until it answers again */
    uint64_t failed_for_ms; /* since the first failure after its last answer */
    unsigned open, idle;    /* connections, and those of them that are kept; RADIUS has none */
    unsigned asking;        /* questions that wait for its answer */
    uint64_t answers, failures;
    enum auth_detail fault; /* of the latest failure; AUTH_DETAIL_NONE: none yet */
    uint64_t fault_age_ms;
    char why[120]; /* the failure in words, some of them the server's: escape them */
};

struct verifier_type {
    enum conf_directory_type type;
    /* Builds the state of one directory from the snapshot's bytes; NULL and findings on error. */
    void *(*open)(const struct conf_directory *d, struct conf_findings *f);
    /* All directories are open: a type that asks others finds them here; NULL: none. */
    void (*link)(void *state, struct verifiers *all);
    void (*close)(void *state);
    /* May block up to `timeout_ms`. *ret is cleared before. Several auth threads at once. `client`: the address of who sent the
     * credentials first, as text, for directories that want to know it; "": unknown. */
    void (*verify)(void *state, const struct basic_credentials *c, const char *client, uint64_t timeout_ms,
                   struct auth_result *ret);
    /* Gives up what is kept too long; does not block; NULL: nothing is kept. */
    void (*tidy)(void *state);
    /* Any thread; does not block; NULL: there are no servers. */
    void (*servers)(void *state, void (*each)(void *ctx, const struct verifier_server *s), void *ctx);
};
/* The rows of proxy/auth/verifier_types: one per directory type. */
const struct verifier_type *verifier_type_of(enum conf_directory_type t);

/* All directories of one snapshot; attach it to the snapshot. */
struct verifiers *verifiers_new(const struct snapshot *s, struct conf_findings *f);
void verifiers_free(void *v);
/* Asks at once, on a thread that may block: for the command line. *ret is cleared before. */
void verifier_ask(struct verifier *v, const struct basic_credentials *c, const char *client,
                  uint64_t timeout_ms, struct auth_result *ret);
/* Now and then; any thread. */
void verifiers_tidy(struct verifiers *v);
/* Any thread: every server of every directory, and their gauges. */
void verifiers_servers(struct verifiers *v, void (*each)(void *ctx, const struct verifier_server *s),
                       void *ctx);
void verifiers_metrics(struct verifiers *v, struct metrics *sum);
struct verifier *verifiers_find(struct verifiers *v, const struct conf_directory *d);

/* The threads; one per process. */
struct auth_pool;
struct auth_pool *auth_pool_start(const struct conf_process *p);
/* No more is asked, and what waits is answered with VERDICT_UNAVAILABLE. How many directories still hold a thread after at most
 * `patience_ms`: unless it is 0, auth_pool_stop would wait for them. */
unsigned auth_pool_quiesce(struct auth_pool *pool, uint64_t patience_ms);
/* Nobody will join the threads: the process ends around those that still wait. In the place of auth_pool_stop. */
void auth_pool_abandon(struct auth_pool *pool);
/* Finishes what runs, answers what waits with VERDICT_UNAVAILABLE, joins. Before the workers are joined. */
void auth_pool_stop(struct auth_pool *pool);

/* Adds its gauges. Any thread. */
void auth_pool_metrics(struct auth_pool *pool, struct metrics *sum);

struct auth_job; /* owned by the pool */
/* On worker `w`. `snapshot` is held until the job is finished (it owns the verifier). `done` is called exactly once, on `w`,
 * never before this returns, unless auth_cancel came first. Credentials are copied. NULL without memory or when the queue is
 * full (then *ret_refused says VERDICT_UNAVAILABLE or VERDICT_BUSY and done is not called). */
struct auth_job *auth_submit(struct auth_pool *pool, struct worker *w, struct snapshot *snapshot,
                             struct verifier *v, const struct basic_credentials *c, uint64_t timeout_ms,
                             void (*done)(void *ctx, const struct auth_result *r), void *ctx,
                             struct auth_result *ret_refused);
/* The caller went away: done will not be called. Worker thread of the submitter. */
void auth_cancel(struct auth_job *job);

/* user_file: lines "name:hash[:comment]", hash by crypt(5): yescrypt ($y$) or sha512crypt ($6$) only. */
struct user_file;
struct user_file *user_file_parse(struct str bytes, struct conf_mark where, struct conf_findings *f);
void user_file_free(struct user_file *u);
/* AUTH_DETAIL_NONE: right; else AUTH_DETAIL_UNKNOWN_USER or AUTH_DETAIL_WRONG_PASSWORD, after the same time. */
enum auth_detail user_file_judge(const struct user_file *u, const struct basic_credentials *c);
static inline bool user_file_verify(const struct user_file *u, const struct basic_credentials *c)
{
    return user_file_judge(u, c) == AUTH_DETAIL_NONE;
}
/* `postern passwd`: add, change, delete, list, verify; the password from the terminal without echo or from standard input;
 * the file is replaced atomically, mode kept (0600 for a new one). Returns the exit status. */
int user_file_command(int argc, char **argv);

#endif
