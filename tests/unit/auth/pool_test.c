/*
 * The threads that verify: verdicts, a full queue, deadlines, cancelling at any moment, stopping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../proxy/auth/auth_int.h"

#define JOBS 400

/* A directory that can be held up. */
struct fake {
    pthread_mutex_t gate;
    int asked; /* atomic */
};

static void fake_verify(void *state, const struct basic_credentials *c, const char *client,
                        uint64_t timeout_ms, struct auth_result *ret)
{
    struct fake *k = state;

    __atomic_add_fetch(&k->asked, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&k->gate);
    pthread_mutex_unlock(&k->gate);
    if (strcmp(c->password, "right") == 0) {
        ret->groups = 5;
    } else {
        ret->verdict = VERDICT_WRONG;
        ret->detail = AUTH_DETAIL_WRONG_PASSWORD;
    }
}

static const struct verifier_type fake_type = {.verify = fake_verify};

struct scene {
    struct fake fake;
    struct verifier verifier;
    struct auth_pool *pool;
    struct worker *worker;
    struct snapshot snapshot;
    struct letter letter;
    int jobs, cancel_every, busy, answered[5], twice, garbled; /* answered: atomic */
    uint64_t timeout_ms;
    struct seat {
        struct scene *scene;
        struct auth_job *job;
        bool cancelled, done;
    } seats[JOBS];
};

static void seat_done(void *ctx, const struct auth_result *r)
{
    struct seat *s = ctx;

    if (s->done || s->cancelled)
        __atomic_add_fetch(&s->scene->twice, 1, __ATOMIC_RELAXED);
    s->done = true;
    s->job = NULL;
    if (r->groups != (r->verdict == VERDICT_OK ? 5 : 0) ||
        (r->detail == AUTH_DETAIL_NONE) != (r->verdict == VERDICT_OK))
        __atomic_add_fetch(&s->scene->garbled, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&s->scene->answered[r->verdict], 1, __ATOMIC_RELAXED);
}

static void scene_submit(struct worker *w, struct letter *l)
{
    struct scene *s = (struct scene *)((char *)l - offsetof(struct scene, letter));
    struct basic_credentials c = {.user = "u", .user_n = 1, .password_n = 5};

    for (int i = 0; i < s->jobs; i++) {
        struct seat *seat = &s->seats[i];
        struct auth_result refused = {0};
        strcpy(c.password, i % 2 == 0 ? "right" : "wrong");
        seat->scene = s;
        seat->job =
            auth_submit(s->pool, w, &s->snapshot, &s->verifier, &c, s->timeout_ms, seat_done, seat, &refused);
        if (seat->job == NULL)
            __atomic_add_fetch(&s->busy,
                               refused.verdict == VERDICT_BUSY && refused.detail == AUTH_DETAIL_BUSY,
                               __ATOMIC_RELAXED);
    }
    for (int i = 0; s->cancel_every > 0 && i < s->jobs; i += s->cancel_every) {
        struct seat *seat = &s->seats[i];
        if (seat->job != NULL)
            auth_cancel(seat->job);
        seat->cancelled = true;
        seat->job = NULL;
    }
}

static void worker_nothing(struct worker *w, void *arg)
{
}

static void worker_nothing_at_end(struct worker *w)
{
}

static struct scene *scene_new(unsigned threads, unsigned queue)
{
    struct conf_process p = {.auth_threads = threads, .auth_queue = queue};
    struct worker_options o = {.rx_size = 65536, .start = worker_nothing, .stop = worker_nothing_at_end};
    struct scene *s = calloc(1, sizeof(*s));

    pthread_mutex_init(&s->fake.gate, NULL);
    s->verifier = (struct verifier){.type = &fake_type, .state = &s->fake};
    s->snapshot.refs = 1;
    s->letter.deliver = scene_submit;
    s->timeout_ms = 5000;
    s->pool = auth_pool_start(&p);
    s->worker = worker_start(&o);
    assert_non_null(s->pool);
    assert_non_null(s->worker);
    return s;
}

static int answers(struct scene *s, enum verdict v)
{
    return __atomic_load_n(&s->answered[v], __ATOMIC_RELAXED);
}

static void wait_for(struct scene *s, enum verdict v, int n)
{
    for (int i = 0; i < 5000 && answers(s, v) < n; i++)
        usleep(1000);
}

static void scene_end(struct scene *s)
{
    auth_pool_stop(s->pool);
    worker_stop(s->worker);
    worker_join(s->worker);
    assert_int_equal(s->twice, 0);
    assert_int_equal(s->garbled, 0);
    assert_int_equal(s->snapshot.refs, 1); /* every job gave its hold back */
    pthread_mutex_destroy(&s->fake.gate);
    free(s);
}

static void verdicts(void **state)
{
    struct scene *s = scene_new(3, JOBS);

    s->jobs = JOBS;
    worker_post(s->worker, &s->letter);
    wait_for(s, VERDICT_OK, JOBS / 2);
    wait_for(s, VERDICT_WRONG, JOBS / 2);
    assert_int_equal(answers(s, VERDICT_OK), JOBS / 2);
    assert_int_equal(answers(s, VERDICT_WRONG), JOBS / 2);
    scene_end(s);
}

static void full_queue_is_busy(void **state)
{
    struct scene *s = scene_new(1, 4);

    pthread_mutex_lock(&s->fake.gate);
    s->jobs = 20;
    worker_post(s->worker, &s->letter);
    for (int i = 0; i < 5000 && __atomic_load_n(&s->busy, __ATOMIC_RELAXED) < 15; i++)
        usleep(1000);
    assert_true(__atomic_load_n(&s->busy, __ATOMIC_RELAXED) >= 15); /* four wait, one may run */
    pthread_mutex_unlock(&s->fake.gate);
    scene_end(s);
}

static void deadline_answers_while_thread_blocks(void **state)
{
    struct scene *s = scene_new(1, 8);

    pthread_mutex_lock(&s->fake.gate);
    s->timeout_ms = 50;
    s->jobs = 6;
    worker_post(s->worker, &s->letter);
    wait_for(s, VERDICT_TIMEOUT, 6);
    assert_int_equal(answers(s, VERDICT_TIMEOUT), 6);
    pthread_mutex_unlock(&s->fake.gate);
    usleep(20000); /* the late verdict comes, and is thrown away */
    assert_int_equal(answers(s, VERDICT_OK) + answers(s, VERDICT_WRONG), 0);
    scene_end(s);
}

static void cancelled_are_never_answered(void **state)
{
    for (int round = 0; round < 10; round++) {
        struct scene *s = scene_new(4, JOBS);
        s->jobs = JOBS;
        s->cancel_every = 2;
        worker_post(s->worker, &s->letter);
        wait_for(s, VERDICT_WRONG, JOBS / 2);
        assert_int_equal(answers(s, VERDICT_WRONG), JOBS / 2);
        assert_int_equal(answers(s, VERDICT_OK), 0);
        scene_end(s);
    }
}

static void stop_answers_what_waits(void **state)
{
    struct scene *s = scene_new(1, 16);

    s->jobs = 8;
    pthread_mutex_lock(&s->fake.gate);
    worker_post(s->worker, &s->letter);
    while (__atomic_load_n(&s->fake.asked, __ATOMIC_RELAXED) == 0)
        usleep(1000);
    usleep(20000);
    pthread_mutex_unlock(&s->fake.gate);
    auth_pool_stop(s->pool);
    for (int i = 0; i < 2000; i++) {
        if (answers(s, VERDICT_OK) + answers(s, VERDICT_WRONG) + answers(s, VERDICT_UNAVAILABLE) == 8)
            break;
        usleep(1000);
    }
    assert_int_equal(answers(s, VERDICT_OK) + answers(s, VERDICT_WRONG) + answers(s, VERDICT_UNAVAILABLE), 8);
    s->pool = NULL;
    scene_end(s);
}

static void quiesce_does_not_wait_for_ever(void **state)
{
    struct scene *s = scene_new(2, 16);

    s->jobs = 8;
    pthread_mutex_lock(&s->fake.gate);
    worker_post(s->worker, &s->letter);
    while (__atomic_load_n(&s->fake.asked, __ATOMIC_RELAXED) < 2)
        usleep(1000);
    assert_int_equal(auth_pool_quiesce(s->pool, 20), 2);
    wait_for(s, VERDICT_UNAVAILABLE, 6);
    assert_int_equal(answers(s, VERDICT_UNAVAILABLE), 6);
    pthread_mutex_unlock(&s->fake.gate);
    assert_int_equal(auth_pool_quiesce(s->pool, 5000), 0);
    scene_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(full_queue_is_busy),
        cmocka_unit_test(deadline_answers_while_thread_blocks),
        cmocka_unit_test(cancelled_are_never_answered),
        cmocka_unit_test(stop_answers_what_waits),
        cmocka_unit_test(quiesce_does_not_wait_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
