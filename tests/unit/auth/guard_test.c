/*
 * The guard between two workers and a directory that can be held up.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../proxy/auth/guard_int.h"

#define SEATS 2000
#define WORKERS 2

/* The password is "right" for everybody; "latin" where the account is to be asked in ISO-8859-1; "gone": no answer. */
struct fake {
    pthread_mutex_t gate;
    int asked; /* atomic */
};

static void fake_verify(void *state, const struct basic_credentials *c, const char *client,
                        uint64_t timeout_ms, struct auth_result *ret)
{
    struct fake *k = state;
    bool right = strcmp(c->password, "right") == 0 || strcmp(c->password, "gr\xc3\x83\xc2\xbcn") == 0;

    __atomic_add_fetch(&k->asked, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&k->gate);
    pthread_mutex_unlock(&k->gate);
    if (strcmp(c->password, "gone") == 0)
        *ret = (struct auth_result){.verdict = VERDICT_UNAVAILABLE, .detail = AUTH_DETAIL_UNREACHABLE};
    else
        *ret = (struct auth_result){.verdict = right ? VERDICT_OK : VERDICT_WRONG,
                                    .detail = right ? AUTH_DETAIL_NONE : AUTH_DETAIL_WRONG_PASSWORD,
                                    .groups = right ? 5 : 0};
}

static const struct verifier_type fake_type = {.verify = fake_verify};

struct seat {
    struct scene *scene;
    unsigned worker;
    char user[40], password[40], device[20];
    const char *source;
    bool cancel;
    struct guard_memo *memo;
    struct guard_ticket *ticket;
    bool done;
    uint64_t asked_ms, took_ms;
    struct guard_result result;
};

struct scene {
    struct fake fake;
    struct conf_directory directory;
    struct verifier verifier;
    struct snapshot snapshot;
    struct auth_pool *pool;
    struct guard *guard;
    struct worker *workers[WORKERS];
    struct letter letters[WORKERS];
    int waiting, answered[GUARD_BUSY + 1], twice; /* atomic */
    unsigned seats_n;
    struct seat seats[SEATS];
};

static void seat_end(struct seat *s, const struct guard_result *r)
{
    struct scene *c = s->scene;

    if (s->done)
        __atomic_add_fetch(&c->twice, 1, __ATOMIC_RELAXED);
    s->done = true;
    s->ticket = NULL;
    s->took_ms = worker_now(c->workers[s->worker]) - s->asked_ms;
    s->result = *r;
    __atomic_add_fetch(&c->answered[r->answer], 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&c->waiting, 1, __ATOMIC_RELEASE);
}

static void seat_done(void *ctx, const struct guard_result *r)
{
    seat_end(ctx, r);
}

static void seat_ask(struct seat *s)
{
    struct scene *c = s->scene;
    struct sockaddr_in source = {.sin_family = AF_INET};
    struct basic_credentials k = {.user_n = strlen(s->user), .password_n = strlen(s->password)};
    struct guard_result now = {0};
    struct guard_question q = {
        .worker = c->workers[s->worker],
        .snapshot = &c->snapshot,
        .verifier = &c->verifier,
        .credentials = &k,
        .source = (struct sockaddr *)&source,
        .service = STR("activesync"),
        .device = str_of(s->device),
        .memo = s->memo,
    };

    memcpy(k.user, s->user, k.user_n);
    memcpy(k.password, s->password, k.password_n);
    inet_pton(AF_INET, s->source, &source.sin_addr);
    s->asked_ms = worker_now(q.worker);
    s->ticket = guard_ask(c->guard, &q, seat_done, s, &now);
    if (s->ticket == NULL)
        seat_end(s, &now);
}

static void worker_asks(struct worker *w, struct letter *l)
{
    struct scene *c = (struct scene *)((char *)(l - w->index) - offsetof(struct scene, letters));

    for (unsigned i = 0; i < c->seats_n; i++) {
        if (c->seats[i].worker == w->index)
            seat_ask(&c->seats[i]);
    }
    for (unsigned i = 0; i < c->seats_n; i++) {
        struct seat *s = &c->seats[i];
        if (s->worker != w->index || !s->cancel || s->ticket == NULL)
            continue;
        guard_cancel(s->ticket);
        s->ticket = NULL;
        __atomic_sub_fetch(&c->waiting, 1, __ATOMIC_RELEASE);
    }
    __atomic_sub_fetch(&c->waiting, 1, __ATOMIC_RELEASE);
}

static void nothing(struct worker *w, void *arg)
{
}

static void nothing_at_end(struct worker *w)
{
}

static const struct conf_guard numbers = {
    .cache_time = 300000,
    .accounts = 1024,
    .sources = 1024,
    .known_wrong_time = 600000,
    .known_wrong_longest = 3600000,
    .account_failures = 4,
    .account_window = 1800000,
    .account_lock_time = 1800000,
    .source_accounts = 10,
    .source_failures = 40,
    .source_window = 1800000,
    .source_lock_time = 900000,
    .source_waiting = 2000,
    .nat_allowance = 25,
    .strange_failures = 0,
    .failure_time = 60,
    .failure_jitter = 20,
    .retry_after = 60000,
};

static struct scene *scene_new(unsigned threads, unsigned queue, const struct conf_guard *n)
{
    struct conf_process p = {.auth_threads = threads, .auth_queue = queue};
    struct worker_options o = {.rx_size = 65536, .start = nothing, .stop = nothing_at_end};
    struct scene *s = calloc(1, sizeof(*s));

    pthread_mutex_init(&s->fake.gate, NULL);
    s->directory.name = STR("corp");
    s->verifier = (struct verifier){.type = &fake_type, .directory = &s->directory, .state = &s->fake};
    s->snapshot.refs = 1;
    s->snapshot.process.auth_timeout = 20000;
    s->snapshot.directories = &s->directory;
    s->snapshot.directories_n = 1;
    s->pool = auth_pool_start(&p);
    s->guard = guard_new(n, s->pool, WORKERS);
    assert_non_null(s->guard);
    for (o.index = 0; o.index < WORKERS; o.index++)
        assert_non_null(s->workers[o.index] = worker_start(&o));
    return s;
}

static void scene_end(struct scene *s)
{
    auth_pool_stop(s->pool);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_stop(s->workers[i]);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_join(s->workers[i]);
    assert_int_equal(s->twice, 0);
    assert_int_equal(s->snapshot.refs, 1);
    guard_free(s->guard);
    pthread_mutex_destroy(&s->fake.gate);
    free(s);
}

static struct seat *seat(struct scene *s, const char *user, const char *password, const char *source)
{
    struct seat *x = &s->seats[s->seats_n];

    memset(x, 0, sizeof(*x));
    x->scene = s;
    x->worker = s->seats_n++ % WORKERS;
    x->source = source;
    strcpy(x->user, user);
    strcpy(x->password, password);
    return x;
}

static void start(struct scene *s)
{
    s->waiting = (int)s->seats_n + WORKERS;
    memset(s->answered, 0, sizeof(s->answered));
    for (unsigned i = 0; i < WORKERS; i++) {
        s->letters[i].deliver = worker_asks;
        worker_post(s->workers[i], &s->letters[i]);
    }
}

static void finish(struct scene *s)
{
    for (int i = 0; i < 20000 && __atomic_load_n(&s->waiting, __ATOMIC_ACQUIRE) > 0; i++)
        usleep(1000);
    assert_int_equal(__atomic_load_n(&s->waiting, __ATOMIC_ACQUIRE), 0);
    s->seats_n = 0;
}

static int asked(struct scene *s)
{
    return __atomic_load_n(&s->fake.asked, __ATOMIC_RELAXED);
}

static void await_asked(struct scene *s, int n)
{
    for (int i = 0; i < 20000 && asked(s) < n; i++)
        usleep(1000);
    assert_true(asked(s) >= n);
}

static void hold(struct scene *s)
{
    pthread_mutex_lock(&s->fake.gate);
}

static void release(struct scene *s)
{
    pthread_mutex_unlock(&s->fake.gate);
}

static enum guard_answer one(struct scene *s, const char *user, const char *password, const char *source)
{
    struct seat *x = seat(s, user, password, source);

    start(s);
    finish(s);
    return x->result.answer;
}

/* ---- */

/* All phones of a restart at once, in three forms of the name, on two workers. */
static void one_look_up_for_all(void **state)
{
    static const char *const forms[] = {"alice", "CORP\\Alice", "ALICE@corp.example.com"};
    struct scene *s = scene_new(4, 1024, &numbers);

    hold(s);
    for (unsigned i = 0; i < 1000; i++)
        (void)seat(s, forms[i % 3], "right", "192.0.2.1");
    start(s);
    await_asked(s, 1);
    usleep(20000);
    release(s);
    finish(s);
    assert_int_equal(asked(s), 1);
    assert_int_equal(s->answered[GUARD_RIGHT], 1000);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(s->seats[i].result.groups, 5);
    for (unsigned i = 0; i < 100; i++)
        (void)seat(s, forms[i % 3], "right", "198.51.100.9");
    start(s);
    finish(s);
    assert_int_equal(asked(s), 1);
    assert_int_equal(s->answered[GUARD_RIGHT], 100);
    assert_true(s->seats[0].result.cached);
    scene_end(s);
}

static void failures_take_their_time(void **state)
{
    struct scene *s = scene_new(4, 1024, &numbers);

    for (unsigned i = 0; i < 100; i++)
        (void)seat(s, "bob", "wrong", "192.0.2.1");
    start(s);
    finish(s);
    assert_int_equal(asked(s), 1);
    assert_int_equal(s->answered[GUARD_WRONG] + s->answered[GUARD_KNOWN_WRONG], 100);
    for (unsigned i = 0; i < 100; i++)
        assert_true(s->seats[i].took_ms >= 60);
    assert_int_equal(one(s, "bob", "wrong", "192.0.2.1"), GUARD_KNOWN_WRONG);
    assert_int_equal(one(s, "BOB", "wrong", "203.0.113.77"), GUARD_KNOWN_WRONG);
    assert_true(s->seats[0].took_ms >= 60);
    assert_int_equal(asked(s), 1);
    assert_int_equal(one(s, "bob", "right", "192.0.2.1"), GUARD_RIGHT);
    assert_int_equal(asked(s), 2);
    scene_end(s);
}

/* However many come at once, from wherever. */
static void guesses_at_one_account(void **state)
{
    static const char *const sources[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"};
    struct scene *s = scene_new(8, 1024, &numbers);
    char guess[40];

    for (unsigned i = 0; i < 1000; i++) {
        snprintf(guess, sizeof(guess), "guess%u", i);
        (void)seat(s, "carol", guess, sources[i % 4]);
    }
    start(s);
    finish(s);
    assert_int_equal(asked(s), 4);
    assert_int_equal(one(s, "carol", "right", "198.51.100.1"), GUARD_LOCKED);
    assert_true(s->seats[0].took_ms >= 60);
    assert_true(s->seats[0].result.retry_after_s > 0);
    assert_int_equal(asked(s), 4);
    assert_int_equal(guard_unlock(s->guard, &s->snapshot, STR("CORP\\CAROL")), 1);
    assert_int_equal(one(s, "carol", "right", "198.51.100.1"), GUARD_RIGHT);
    scene_end(s);
}

static void spray_from_one_address(void **state)
{
    struct scene *s = scene_new(4, 2000, &numbers);
    char user[40];
    struct metrics m = {0};

    for (unsigned i = 0; i < 1000; i++) {
        snprintf(user, sizeof(user), "user%u", i);
        (void)seat(s, user, "Winter2024", "192.0.2.66");
    }
    hold(s);
    start(s);
    usleep(200000); /* all of them are in the queue before the first is judged */
    release(s);
    finish(s);
    assert_true(asked(s) >= 9 && asked(s) <= 10 + 4); /* those that were with the directory already */
    assert_int_equal(one(s, "user5", "right", "192.0.2.66"), GUARD_BRAKED);
    assert_int_equal(one(s, "user5", "right", "192.0.2.67"), GUARD_RIGHT);
    guard_metrics(s->guard, &m);
    assert_int_equal(m.v[METRIC_GUARD_SOURCES_LOCKED], 1);
    assert_int_equal(m.v[METRIC_GUARD_ACCOUNTS_LOCKED], 0);
    assert_int_equal(guard_unlock(s->guard, &s->snapshot, STR("192.0.2.66")), 1);
    assert_int_equal(one(s, "user6", "right", "192.0.2.66"), GUARD_RIGHT);
    scene_end(s);
}

/* Counted although nobody waited for it. */
static void going_away_costs_all_the_same(void **state)
{
    struct scene *s = scene_new(2, 1024, &numbers);
    char guess[40];

    for (unsigned round = 0; round < 20; round++) {
        hold(s);
        for (unsigned i = 0; i < 50; i++) {
            snprintf(guess, sizeof(guess), "guess%u", round * 50 + i);
            seat(s, "dave", guess, "192.0.2.1")->cancel = true;
        }
        start(s);
        finish(s);
        release(s);
    }
    usleep(100000);
    assert_int_equal(asked(s), 4);
    assert_int_equal(one(s, "dave", "right", "198.51.100.1"), GUARD_LOCKED);
    scene_end(s);
}

/* Everything at once: joined, cancelled while waiting, posted or delayed. For the sanitizers. */
static void a_crowd(void **state)
{
    static const char *const passwords[] = {"right", "wrong", "gone", "other"};
    static const char *const sources[] = {"192.0.2.1", "198.51.100.1", "203.0.113.1"};
    struct scene *s = scene_new(4, 64, &numbers);
    char user[40];

    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 500; i++) {
            snprintf(user, sizeof(user), "u%u", (i * 7 + round) % 40);
            seat(s, user, passwords[i % 4], sources[i % 3])->cancel = i % 5 == 0;
        }
        start(s);
        if (round % 4 == 0) {
            (void)guard_flush(s->guard);
            (void)guard_unlock(s->guard, &s->snapshot, STR("u1"));
            guard_tick(s->guard);
        }
        finish(s);
    }
    scene_end(s);
}

static void deadline_while_the_directory_hangs(void **state)
{
    struct scene *s = scene_new(1, 16, &numbers);

    s->snapshot.process.auth_timeout = 50;
    hold(s);
    (void)seat(s, "erin", "wrong", "192.0.2.1");
    start(s);
    finish(s);
    assert_int_equal(s->answered[GUARD_TIMEOUT], 1);
    assert_int_equal(one(s, "erin", "wrong", "192.0.2.1"),
                     GUARD_TIMEOUT); /* at once, without another look-up */
    assert_int_equal(one(s, "frank", "right", "192.0.2.1"),
                     GUARD_TIMEOUT); /* in the queue until its deadline */
    assert_int_equal(asked(s), 1);
    release(s);
    for (int i = 0; i < 2000 && one(s, "erin", "wrong", "192.0.2.1") == GUARD_TIMEOUT; i++)
        usleep(1000);
    assert_int_equal(one(s, "erin", "wrong", "192.0.2.1"),
                     GUARD_KNOWN_WRONG); /* the late verdict was heard */
    assert_int_equal(asked(s), 1);
    scene_end(s);
}

static void a_full_queue_is_busy(void **state)
{
    struct scene *s = scene_new(1, 4, &numbers);
    char user[40];

    hold(s);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(user, sizeof(user), "user%u", i);
        (void)seat(s, user, "right", "192.0.2.1");
    }
    start(s);
    for (int i = 0; i < 5000 && __atomic_load_n(&s->answered[GUARD_BUSY], __ATOMIC_RELAXED) < 90; i++)
        usleep(1000);
    release(s);
    finish(s);
    assert_true(s->answered[GUARD_BUSY] >= 90);
    assert_int_equal(s->answered[GUARD_BUSY] + s->answered[GUARD_RIGHT], 100);
    scene_end(s);
}

static void one_address_does_not_fill_the_queue(void **state)
{
    struct conf_guard n = numbers;
    struct scene *s;
    char user[40];

    n.source_waiting = 8;
    s = scene_new(1, 1024, &n);
    hold(s);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(user, sizeof(user), "user%u", i);
        seat(s, user, "right", "192.0.2.66")->worker = 0;
    }
    seat(s, "gina", "right", "192.0.2.1")->worker = 0;
    start(s);
    for (int i = 0; i < 5000 && __atomic_load_n(&s->answered[GUARD_BUSY], __ATOMIC_RELAXED) < 92; i++)
        usleep(1000);
    release(s);
    finish(s);
    assert_int_equal(s->answered[GUARD_BUSY], 92);
    assert_int_equal(s->answered[GUARD_RIGHT], 9);
    scene_end(s);
}

static void unavailable_is_no_statement(void **state)
{
    struct scene *s = scene_new(2, 64, &numbers);

    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(one(s, "henry", "gone", "192.0.2.1"), GUARD_UNAVAILABLE);
    assert_int_equal(asked(s), 10); /* nothing is remembered */
    assert_int_equal(one(s, "henry", "right", "192.0.2.1"), GUARD_RIGHT);
    scene_end(s);
}

static void doubt_asks_again(void **state)
{
    struct scene *s = scene_new(2, 64, &numbers);
    struct guard_proof proof;

    assert_int_equal(one(s, "iris", "right", "192.0.2.1"), GUARD_RIGHT);
    proof = s->seats[0].result.proof;
    assert_int_equal(one(s, "iris", "right", "192.0.2.1"), GUARD_RIGHT);
    assert_memory_equal(&s->seats[0].result.proof, &proof, sizeof(proof));
    assert_int_equal(asked(s), 1);
    guard_doubt(s->guard, &proof);
    assert_int_equal(one(s, "iris", "right", "192.0.2.1"), GUARD_RIGHT);
    assert_int_equal(asked(s), 2);
    assert_int_equal(guard_flush(s->guard), 1);
    assert_int_equal(one(s, "iris", "right", "192.0.2.1"), GUARD_RIGHT);
    assert_int_equal(asked(s), 3);
    scene_end(s);
}

static void the_other_charset_once(void **state)
{
    struct scene *s = scene_new(2, 64, &numbers);

    assert_int_equal(one(s, "jo", "gr\xc3\xbcn", "192.0.2.1"), GUARD_RIGHT); /* right as ISO-8859-1 only */
    assert_int_equal(asked(s), 2);
    assert_int_equal(one(s, "jo", "gr\xc3\xbcn", "192.0.2.1"), GUARD_RIGHT);
    assert_int_equal(asked(s), 2);
    assert_int_equal(one(s, "kim", "bl\xc3\xbct", "192.0.2.1"), GUARD_WRONG);
    assert_int_equal(asked(s), 4);
    assert_int_equal(one(s, "kim", "bl\xc3\xbct", "192.0.2.1"), GUARD_KNOWN_WRONG);
    assert_int_equal(one(s, "kim", "one", "192.0.2.1"), GUARD_WRONG);
    assert_int_equal(one(s, "kim", "r\xc3\xb6t", "192.0.2.1"),
                     GUARD_WRONG); /* no second try: it could lock */
    assert_int_equal(asked(s), 6);
    scene_end(s);
}

static void another_definition_is_asked_anew(void **state)
{
    struct scene *s = scene_new(2, 64, &numbers);

    assert_int_equal(one(s, "lea", "right", "192.0.2.1"), GUARD_RIGHT);
    assert_int_equal(one(s, "lea", "wrong", "192.0.2.1"), GUARD_WRONG);
    s->directory.id = 77; /* a reload */
    assert_int_equal(one(s, "lea", "right", "192.0.2.1"), GUARD_RIGHT);
    assert_int_equal(one(s, "lea", "wrong", "192.0.2.1"), GUARD_WRONG);
    assert_int_equal(asked(s), 4);
    scene_end(s);
}

static enum guard_answer again(struct scene *s, struct guard_memo *m, const char *user, const char *password)
{
    struct seat *x = seat(s, user, password, "192.0.2.1");

    x->memo = m;
    start(s);
    finish(s);
    return x->result.answer;
}

/* What a connection remembers spares work and decides nothing. */
static void memory_of_a_connection(void **state)
{
    static const struct guard_memo none;
    struct scene *s = scene_new(2, 64, &numbers);
    struct guard_memo m = none, old;
    struct guard_proof proof;

    assert_int_equal(again(s, &m, "mia", "wrong"), GUARD_WRONG);
    assert_memory_equal(&m, &none, sizeof(m));
    assert_int_equal(again(s, &m, "mia", "right"), GUARD_RIGHT);
    assert_int_equal(again(s, &m, "mia", "right"), GUARD_RIGHT); /* known: it is remembered from here on */
    assert_memory_not_equal(&m, &none, sizeof(m));
    old = m;
    assert_int_equal(again(s, &m, "mia", "right"), GUARD_RIGHT);
    assert_memory_equal(&m.proof, &s->seats[0].result.proof, sizeof(m.proof));
    assert_int_equal(asked(s), 2);
    /* neither another password, nor another name, nor what looks the same in a row */
    assert_int_equal(again(s, &m, "mia", "right2"), GUARD_WRONG);
    assert_int_equal(again(s, &m, "mi", "aright"), GUARD_WRONG);
    assert_int_equal(again(s, &m, "miar", "ight"), GUARD_WRONG);
    assert_int_equal(asked(s), 5);
    assert_memory_equal(&m, &old, sizeof(m));
    proof = m.proof;
    guard_doubt(s->guard, &proof);
    assert_int_equal(again(s, &m, "mia", "right"), GUARD_RIGHT);
    assert_int_equal(asked(s), 6);
    assert_int_equal(again(s, &m, "mia", "right"), GUARD_RIGHT);
    (void)guard_flush(s->guard);
    assert_int_equal(again(s, &m, "mia", "right"), GUARD_RIGHT);
    assert_int_equal(asked(s), 7);
    s->directory.id = 77; /* a reload */
    assert_int_equal(again(s, &m, "mia", "right"), GUARD_RIGHT);
    assert_int_equal(asked(s), 8);
    scene_end(s);
}

static void refused_domains_ask_nobody(void **state)
{
    static struct str list[] = {STR("CORP")};
    struct scene *s = scene_new(2, 64, &numbers);

    s->directory.domains = (struct conf_strings){list, 1};
    assert_int_equal(one(s, "OTHER\\max", "right", "192.0.2.1"), GUARD_REFUSED);
    assert_true(s->seats[0].took_ms >= 60);
    assert_int_equal(one(s, "max\xc2\x85", "right", "192.0.2.1"), GUARD_REFUSED);
    assert_int_equal(asked(s), 0);
    assert_int_equal(one(s, "CORP\\max", "right", "192.0.2.1"), GUARD_RIGHT);
    scene_end(s);
}

/* ---- for the operator ---- */

struct seen {
    unsigned n;
    char name[64], source[64], device[64], service[64];
    unsigned failures;
    bool locked;
    enum auth_detail detail;
    uint64_t repeats;
};

static void see(void *ctx, const struct guard_account_status *a)
{
    struct seen *s = ctx;

    s->n++;
    snprintf(s->name, sizeof(s->name), "%s", a->name.p);
    snprintf(s->source, sizeof(s->source), "%s", a->source.p);
    snprintf(s->device, sizeof(s->device), "%s", a->device.p);
    snprintf(s->service, sizeof(s->service), "%s", a->service.p);
    s->failures = a->failures;
    s->locked = a->locked;
    s->detail = a->detail;
    s->repeats = a->repeats;
}

static void see_source(void *ctx, const struct guard_source_status *a)
{
    (*(unsigned *)ctx)++;
    assert_string_equal(a->source.p, "192.0.2.1");
    assert_int_equal(a->failures, 1);
    assert_int_equal(a->good, 1);
}

static void what_the_operator_sees(void **state)
{
    struct scene *s = scene_new(2, 64, &numbers);
    struct seen seen = {0};
    unsigned sources = 0;

    assert_int_equal(one(s, "nora", "right", "192.0.2.1"), GUARD_RIGHT);
    guard_accounts(s->guard, &s->snapshot, STR(""), see, &seen);
    assert_int_equal(seen.n, 0);
    strcpy(seat(s, "CORP\\Otto", "wrong", "192.0.2.1")->device, "ABC123");
    start(s);
    finish(s);
    for (int i = 0; i < 3; i++)
        (void)one(s, "otto", "wrong", "192.0.2.1");
    guard_accounts(s->guard, &s->snapshot, STR("otto@corp.example.com"), see, &seen);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.name, "otto");
    assert_string_equal(seen.source, "192.0.2.1");
    assert_string_equal(seen.device, "ABC123");
    assert_string_equal(seen.service, "activesync");
    assert_int_equal(seen.failures, 1);
    assert_int_equal(seen.repeats, 3);
    assert_false(seen.locked);
    assert_int_equal(seen.detail, AUTH_DETAIL_WRONG_PASSWORD);
    guard_sources(s->guard, see_source, &sources);
    assert_int_equal(sources, 1);
    memset(&seen, 0, sizeof(seen));
    guard_accounts(s->guard, &s->snapshot, STR("nora"), see, &seen);
    assert_int_equal(seen.n, 0);
    assert_int_equal(guard_unlock(s->guard, &s->snapshot, STR("otto")), 1);
    guard_accounts(s->guard, &s->snapshot, STR(""), see, &seen);
    assert_int_equal(seen.n, 0);
    scene_end(s);
}

static void new_numbers_hold_at_once(void **state)
{
    struct conf_guard n = numbers;
    struct scene *s = scene_new(2, 64, &n);
    struct conf_cidr any = {.family_bits = 32};

    for (unsigned i = 0; i < 2; i++) {
        char guess[20];
        snprintf(guess, sizeof(guess), "g%u", i);
        assert_int_equal(one(s, "pia", guess, "192.0.2.1"), GUARD_WRONG);
    }
    n.account_failures = 2;
    assert_int_equal(guard_configure(s->guard, &n), 0);
    assert_int_equal(one(s, "pia", "g3", "192.0.2.1"), GUARD_BUSY); /* more have failed than may */
    n.exempt = (struct conf_cidrs){&any, 1};
    assert_int_equal(guard_configure(s->guard, &n), 0);
    memset(&any, 0xff, sizeof(any)); /* the snapshot goes; the guard has its own copy */
    assert_int_equal(one(s, "pia", "right", "192.0.2.1"), GUARD_RIGHT);
    scene_end(s);
}

static void locks_end_by_themselves(void **state)
{
    struct conf_guard n = numbers;
    struct scene *s;
    struct metrics m = {0};

    n.account_failures = 1;
    n.account_lock_time = 300;
    n.source_accounts = 1;
    n.source_lock_time = 300;
    s = scene_new(2, 64, &n);
    assert_int_equal(one(s, "quinn", "wrong", "192.0.2.1"), GUARD_WRONG);
    guard_metrics(s->guard, &m);
    assert_int_equal(m.v[METRIC_GUARD_ACCOUNTS_LOCKED], 1);
    assert_int_equal(m.v[METRIC_GUARD_SOURCES_LOCKED], 1);
    for (int i = 0; i < 5000 && m.v[METRIC_GUARD_ACCOUNTS_LOCKED] + m.v[METRIC_GUARD_SOURCES_LOCKED] > 0;
         i++) {
        usleep(1000);
        guard_tick(s->guard);
        memset(&m, 0, sizeof(m));
        guard_metrics(s->guard, &m);
    }
    assert_int_equal(m.v[METRIC_GUARD_ACCOUNTS_LOCKED], 0);
    assert_int_equal(m.v[METRIC_GUARD_SOURCES_LOCKED], 0);
    assert_int_equal(m.v[METRIC_GUARD_ACCOUNT_UNLOCKS], 1);
    assert_int_equal(m.v[METRIC_GUARD_SOURCE_UNLOCKS], 1);
    assert_int_equal(one(s, "quinn", "right", "192.0.2.1"), GUARD_RIGHT);
    scene_end(s);
}

/* Many names that exist nowhere must not push out what is dear. */
static void a_flood_of_names(void **state)
{
    struct conf_guard n = numbers;
    struct scene *s;
    char user[40], guess[40];

    n.source_accounts = n.source_failures = 0;
    s = scene_new(4, 2000, &n);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(guess, sizeof(guess), "g%u", i);
        (void)one(s, "rosa", guess, "192.0.2.1");
    }
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 400; i++) {
            snprintf(user, sizeof(user), "nobody%u", round * 400 + i);
            (void)seat(s, user, "x", "192.0.2.66");
        }
        start(s);
        finish(s);
    }
    assert_int_equal(one(s, "rosa", "right", "198.51.100.1"), GUARD_LOCKED);
    scene_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_look_up_for_all),
        cmocka_unit_test(failures_take_their_time),
        cmocka_unit_test(guesses_at_one_account),
        cmocka_unit_test(spray_from_one_address),
        cmocka_unit_test(going_away_costs_all_the_same),
        cmocka_unit_test(a_crowd),
        cmocka_unit_test(deadline_while_the_directory_hangs),
        cmocka_unit_test(a_full_queue_is_busy),
        cmocka_unit_test(one_address_does_not_fill_the_queue),
        cmocka_unit_test(unavailable_is_no_statement),
        cmocka_unit_test(doubt_asks_again),
        cmocka_unit_test(the_other_charset_once),
        cmocka_unit_test(another_definition_is_asked_anew),
        cmocka_unit_test(memory_of_a_connection),
        cmocka_unit_test(refused_domains_ask_nobody),
        cmocka_unit_test(what_the_operator_sees),
        cmocka_unit_test(new_numbers_hold_at_once),
        cmocka_unit_test(locks_end_by_themselves),
        cmocka_unit_test(a_flood_of_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
