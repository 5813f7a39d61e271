/*
 * A worker: letters, tasks, deadlines, and its end.
 */
#include <pthread.h>
#include <semaphore.h>

#include "../../../proxy/net/worker_int.h"
#include "net_fixture.h"

/* ---- letters ---- */

#define SENDERS 3
#define LETTERS 500

struct note {
    struct letter letter;
    unsigned sender, number;
};

static struct {
    struct worker *w;
    struct note notes[SENDERS][LETTERS];
    unsigned next[SENDERS], delivered, wrong;
    sem_t done;
} post;

static void note_deliver(struct worker *w, struct letter *l)
{
    struct note *n = (struct note *)(void *)l;

    if (w != post.w || worker_self() != w || post.next[n->sender] != n->number)
        post.wrong++;
    post.next[n->sender]++;
    if (++post.delivered == SENDERS * LETTERS)
        sem_post(&post.done);
}

static void *send_all(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < LETTERS; i++) {
        struct note *n = &post.notes[me][i];

        *n = (struct note){.letter.deliver = note_deliver, .sender = me, .number = i};
        worker_post(post.w, &n->letter);
    }
    return NULL;
}

static void test_letters(void **state)
{
    struct worker_options o = {.index = 7, .rx_size = 100};
    pthread_t threads[SENDERS];

    memset(&post, 0, sizeof(post));
    sem_init(&post.done, 0, 0);
    assert_null(worker_self());
    post.w = worker_start(&o);
    assert_non_null(post.w);
    assert_int_equal(post.w->rx_size, WORKER_RX_MIN);
    for (unsigned i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    while (sem_wait(&post.done) < 0)
        ;
    worker_stop(post.w);
    worker_stop(post.w);
    worker_join(post.w);
    assert_int_equal(post.delivered, SENDERS * LETTERS);
    assert_int_equal(post.wrong, 0); /* each on the worker, each sender's in their order */
}

/* What was posted before the end is delivered, also by a letter itself. */
static unsigned chain_left;

static void chain_deliver(struct worker *w, struct letter *l)
{
    if (--chain_left > 0)
        worker_post(w, l);
}

static void test_letters_at_the_end(void **state)
{
    struct worker *w = net_worker();
    struct letter chain = {.deliver = chain_deliver};

    chain_left = 10;
    worker_stop(w);
    worker_post(w, &chain);
    worker_run(w);
    assert_int_equal(chain_left, 0);
    chain_left = 10;
    worker_post(w, &chain); /* too late: dropped */
    assert_int_equal(chain_left, 10);
    worker_free(w);
}

static void free_deliver(struct worker *w, struct letter *l)
{
    free(l);
}

static void test_letter_frees_itself(void **state)
{
    struct worker *w = net_worker();

    for (int i = 0; i < 10; i++) {
        struct letter *l = calloc(1, sizeof(*l));

        l->deliver = free_deliver;
        worker_post(w, l);
    }
    net_worker_end(w);
}

/* ---- start and stop ---- */

static unsigned steps;

static void on_start(struct worker *w, void *arg)
{
    assert_ptr_equal(arg, &steps);
    assert_ptr_equal(worker_self(), w);
    steps = steps * 10 + 1;
    w->core = &steps;
}

static void on_stop(struct worker *w)
{
    assert_ptr_equal(w->core, &steps);
    steps = steps * 10 + 2;
}

static void test_start_and_stop(void **state)
{
    struct worker_options o = {.rx_size = 65536, .start = on_start, .stop = on_stop, .arg = &steps};
    struct worker *w;

    steps = 0;
    w = worker_start(&o);
    assert_non_null(w);
    worker_stop(w);
    worker_join(w);
    assert_int_equal(steps, 12);
}

/* The loop waits for the handles of others. */
static void test_ends_with_the_last_handle(void **state)
{
    struct worker *w = net_worker();
    struct probe p;
    struct peer peer;

    net_accept(w, &p, NULL, false, &peer, NULL, NULL);
    worker_stop(w);
    for (int i = 0; i < 20; i++) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        assert_true(uv_loop_alive(&w->loop));
    }
    stream_close(&p.s);
    worker_run(w);
    assert_true(p.closed);
    probe_end(&p);
    peer_close(&peer);
    worker_free(w);
}

/* ---- tasks ---- */

struct errand {
    struct worker_task task; /* first */
    struct worker *w;
    struct errand *other;
    unsigned ran, again;
    char name;
};

static char order[64];

static void errand_run(struct worker_task *t)
{
    struct errand *e = (struct errand *)(void *)t;
    size_t n = strlen(order);

    e->ran++;
    assert_true(n + 1 < sizeof(order));
    order[n] = e->name;
    order[n + 1] = '\0';
    if (e->other != NULL)
        worker_soon_cancel(e->w, &e->other->task);
    if (e->again > 0) {
        e->again--;
        worker_soon(e->w, &e->task, errand_run);
    }
}

static void test_tasks(void **state)
{
    struct worker *w = net_worker();
    struct errand a = {.w = w, .name = 'a'}, b = {.w = w, .name = 'b', .again = 2}, c = {.w = w, .name = 'c'};

    order[0] = '\0';
    worker_soon(w, &a.task, errand_run);
    worker_soon(w, &b.task, errand_run);
    worker_soon(w, &c.task, errand_run);
    worker_soon(w, &a.task, errand_run); /* queued already */
    assert_string_equal(order, "");
    uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_string_equal(order, "abc"); /* what b queues is for the next turn */
    uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_string_equal(order, "abcb");
    uv_run(&w->loop, UV_RUN_NOWAIT);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_string_equal(order, "abcbb");
    assert_false(uv_is_active((uv_handle_t *)&w->turn)); /* the loop may wait again */
    net_worker_end(w);
}

static void test_tasks_cancelled(void **state)
{
    struct worker *w = net_worker();
    struct errand a = {.w = w, .name = 'a'}, b = {.w = w, .name = 'b'}, c = {.w = w, .name = 'c'},
                  d = {.w = w, .name = 'd'};

    order[0] = '\0';
    worker_soon_cancel(w, &a.task); /* not queued */
    worker_soon(w, &a.task, errand_run);
    worker_soon(w, &b.task, errand_run);
    worker_soon(w, &c.task, errand_run);
    worker_soon_cancel(w, &b.task);
    worker_soon_cancel(w, &c.task);
    worker_soon(w, &d.task, errand_run);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_string_equal(order, "ad");
    order[0] = '\0';
    a.other = &b; /* in the same turn, in front of it and behind */
    d.other = &c;
    worker_soon(w, &a.task, errand_run);
    worker_soon(w, &b.task, errand_run);
    worker_soon(w, &c.task, errand_run);
    worker_soon(w, &d.task, errand_run);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_string_equal(order, "acd");
    order[0] = '\0';
    b.again = 0;
    a.other = &d;
    d.other = NULL;
    worker_soon(w, &a.task, errand_run);
    worker_soon(w, &d.task, errand_run); /* the last one goes: the list must know its end */
    uv_run(&w->loop, UV_RUN_NOWAIT);
    worker_soon(w, &c.task, errand_run);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_string_equal(order, "ac");
    net_worker_end(w);
}

/* ---- deadlines ---- */

struct alarm {
    struct wheel_node node; /* first */
    struct worker *w;
    uint64_t at;
    bool rang;
};

static void alarm_ring(struct wheel_node *n)
{
    struct alarm *a = (struct alarm *)(void *)n;

    a->at = worker_now(a->w);
    a->rang = true;
}

static void test_deadlines(void **state)
{
    struct worker *w = net_worker();
    struct alarm soon = {.w = w}, later = {.w = w}, never = {.w = w}, far = {.w = w};
    uint64_t began;

    uv_update_time(&w->loop);
    began = worker_now(w);
    worker_arm(w, &far.node, UINT64_MAX, alarm_ring);
    worker_arm(w, &later.node, 60, alarm_ring);
    worker_arm(w, &soon.node, 5, alarm_ring); /* earlier than what the timer sleeps for */
    worker_arm(w, &never.node, 20, alarm_ring);
    worker_cancel(w, &never.node);
    assert_true(net_until(w, &soon.rang));
    assert_true(soon.at >= began + 5);
    assert_false(later.rang);
    assert_true(net_until(w, &later.rang));
    assert_true(later.at >= began + 60);
    assert_false(never.rang || far.rang);
    worker_arm(w, &soon.node, 0, alarm_ring);
    soon.rang = false;
    assert_true(net_until(w, &soon.rang));
    worker_cancel(w, &far.node);
    net_worker_end(w);
}

/* Armed long after the wheel's last advance: counted from now, not from then. */
static void test_deadline_after_a_sleep(void **state)
{
    struct worker *w = net_worker();
    struct alarm a = {.w = w};
    uint64_t began;

    usleep(50000);
    uv_update_time(&w->loop);
    began = worker_now(w);
    worker_arm(w, &a.node, 40, alarm_ring);
    assert_true(net_until(w, &a.rang));
    assert_true(a.at >= began + 40);
    net_worker_end(w);
}

/* ---- memory ---- */

static void test_trim(void **state)
{
    struct worker *w = net_worker();
    void *blocks[200];

    for (int i = 0; i < 200; i++)
        blocks[i] = pool_take(&w->chunk_pool);
    w->metrics->v[METRIC_CONNECTIONS_OPEN] = 200;
    worker_idle_trim(w);
    for (int i = 0; i < 200; i++)
        pool_give(&w->chunk_pool, blocks[i]);
    worker_idle_trim(w); /* as many as ever: kept for the next ones */
    assert_int_equal(w->chunk_pool.kept, w->chunk_pool.keep < 200 ? w->chunk_pool.keep : 200);
    w->metrics->v[METRIC_CONNECTIONS_OPEN] = 100;
    worker_idle_trim(w);
    assert_true(w->chunk_pool.kept <= 16);
    w->metrics->v[METRIC_CONNECTIONS_OPEN] = 0;
    net_worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_letters_at_the_end),
        cmocka_unit_test(test_letter_frees_itself),
        cmocka_unit_test(test_start_and_stop),
        cmocka_unit_test(test_ends_with_the_last_handle),
        cmocka_unit_test(test_tasks),
        cmocka_unit_test(test_tasks_cancelled),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_deadline_after_a_sleep),
        cmocka_unit_test(test_trim),
    };

    return cmocka_run_group_tests_name("worker", tests, net_setup, net_teardown);
}
