/* thread: one loop with its clients, deadlines, and the phases it goes through. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "load.h"
#include "route.h"

void thread_arm(struct thread *t, struct wheel_node *n, uint64_t after_ms, void (*fire)(struct wheel_node *))
{
    /* The wheel's clock stands still while the loop sleeps. */
    wheel_arm(&t->wheel, n, after_ms + (uv_now(&t->loop) - t->wheel.now), fire);
}

void thread_cancel(struct thread *t, struct wheel_node *n)
{
    if (wheel_armed(n))
        wheel_cancel(&t->wheel, n);
}

/* xorshift64*: which client thinks how long needs no better. */
static uint64_t next_random(struct thread *t)
{
    t->random ^= t->random >> 12;
    t->random ^= t->random << 25;
    t->random ^= t->random >> 27;
    return t->random * UINT64_C(2685821657736338717);
}

uint64_t thread_random(struct thread *t, struct span s)
{
    return s.max <= s.min ? s.min : s.min + next_random(t) % (s.max - s.min + 1);
}

const union address *thread_source(struct thread *t, const struct sources *from, union address *room)
{
    if (!from->n)
        return NULL;
    *room = sources_at(from, (t->sources_used++ * t->scenario->threads + t->index) % from->n);
    return room;
}

static void tick(uv_timer_t *timer)
{
    struct thread *t = timer->data;
    wheel_advance(&t->wheel, uv_now(&t->loop));
}

static void before_sleep(uv_prepare_t *prepare)
{
    struct thread *t = prepare->data;
    uint64_t next = wheel_next(&t->wheel), gone = uv_now(&t->loop) - t->wheel.now;
    if (next == UINT64_MAX)
        uv_timer_stop(&t->timer);
    else
        uv_timer_start(&t->timer, tick, next > gone ? next - gone : 1, 0);
}

static void woken(uv_async_t *wake)
{
    struct thread *t = wake->data;
    enum phase phase = atomic_load(t->phase);
    t->recording = phase == PHASE_MEASURE;
    if (phase >= PHASE_CLOSE && !t->closed) {
        t->closed = true;
        arrivals_stop(t);
        clients_close(t);
    }
    if (phase == PHASE_STOP)
        uv_stop(&t->loop);
    stats_hand_over(&t->stats);
}

bool thread_init(struct thread *t, unsigned index, const struct scenario *s, atomic_int *phase,
                 struct second *second)
{
    t->index = index;
    t->scenario = s;
    t->phase = phase;
    t->kernel = route_open();
    t->rx = malloc(RX_SIZE);
    t->plain = malloc(RECORD);
    t->tx = malloc(TX_SIZE);
    if (!t->rx || !t->plain || !t->tx || getrandom(&t->random, sizeof t->random, 0) != sizeof t->random)
        return false;
    t->random |= 1;
    t->tag = t->random;
    if (uv_loop_init(&t->loop) != 0 || uv_async_init(&t->loop, &t->wake, woken) != 0 ||
        uv_prepare_init(&t->loop, &t->prepare) != 0 || uv_timer_init(&t->loop, &t->timer) != 0)
        return false;
    t->wake.data = t->prepare.data = t->timer.data = t;
    wheel_init(&t->wheel, uv_now(&t->loop));
    return uv_prepare_start(&t->prepare, before_sleep) == 0 && stats_init(&t->stats, s->op_n, second) &&
           link_tls_init(t, s->trust) && clients_make(t) && arrivals_init(t);
}

static void run(void *arg)
{
    struct thread *t = arg;
    uv_update_time(&t->loop);
    wheel_advance(&t->wheel, uv_now(&t->loop));
    arrivals_start(t);
    clients_start(t);
    uv_run(&t->loop, UV_RUN_DEFAULT);
}

bool thread_start(struct thread *t)
{
    return uv_thread_create(&t->id, run, t) == 0;
}

void thread_wake(struct thread *t)
{
    uv_async_send(&t->wake);
}

void thread_join(struct thread *t)
{
    uv_thread_join(&t->id);
}

static void close_handle(uv_handle_t *h, void *arg)
{
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

void thread_free(struct thread *t)
{
    uv_walk(&t->loop, close_handle, NULL);
    while (uv_run(&t->loop, UV_RUN_NOWAIT))
        ;
    uv_loop_close(&t->loop);
    arrivals_free(t);
    clients_free(t);
    stats_free(&t->stats);
    link_tls_free(t);
    if (t->kernel > 0)
        close(t->kernel);
    free(t->rx);
    free(t->plain);
    free(t->tx);
}
