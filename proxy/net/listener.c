/*
 * A listening socket on its worker.
 */
#include <stddef.h>
#include <string.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <postern/log.h>
#include <postern/listener.h>

/* Connections taken in one turn of the loop. libuv 1.44 would accept as long as any wait, and the connections that are
 * served would wait as long. */
#define LISTENER_ACCEPTS_PER_TURN 64
/* A closing listener takes what its queue holds; new ones may arrive meanwhile, so there must be an end. */
#define LISTENER_CLOSE_TURNS 64
/* A handshake of TCP that has begun is completed in this time: a round trip. */
#define LISTENER_CLOSE_MS 250

static void on_retry(struct wheel_node *n);

/* What is not taken makes libuv stop listening until it is. */
static void listener_offer(struct listener *l)
{
    l->waiting = !l->on_connection(l);
    if (!l->waiting)
        l->accepted++;
    else if (!l->closing)
        worker_arm(l->worker, &l->due, LISTENER_RETRY_MS, on_retry);
}

static void on_retry(struct wheel_node *n)
{
    struct listener *l = (struct listener *)((char *)n - offsetof(struct listener, due));

    if (l->waiting)
        listener_offer(l);
}

static void on_next_turn(struct worker_task *t)
{
    struct listener *l = (struct listener *)((char *)t - offsetof(struct listener, task));

    l->accepted = 0;
    if (l->waiting)
        listener_offer(l);
}

static void on_connection(uv_stream_t *h, int status)
{
    struct listener *l = h->data;
    uint64_t now = worker_now(l->worker);

    if (status < 0) {
        /* At most once a millisecond's turn: libuv has already dropped what it could not take. */
        metrics_add(l->worker->metrics, METRIC_CONNECTIONS_REFUSED, 1);
        if (now != l->turn_at)
            log_event(LOG_EV_ACCEPT_FAILED, LF_ERRNO(-status));
        l->turn_at = now;
        return;
    }
    if (now != l->turn_at) {
        l->turn_at = now;
        l->accepted = 0;
    }
    if (l->accepted < LISTENER_ACCEPTS_PER_TURN || l->closing) {
        listener_offer(l);
        return;
    }
    l->waiting = true;
    worker_soon(l->worker, &l->task, on_next_turn);
}

static void on_close(uv_handle_t *h)
{
    struct listener *l = h->data;

    l->on_closed(l);
}

int listener_open(struct listener *l, struct worker *w, int fd, int backlog, bool (*take)(struct listener *l),
                  void (*on_closed)(struct listener *l))
{
    int r;

    memset(l, 0, offsetof(struct listener, user));
    l->conf_index = -1;
    l->worker = w;
    l->on_connection = take;
    l->on_closed = on_closed;
    uv_tcp_init(&w->loop, &l->tcp); /* makes no socket yet, so cannot fail */
    l->tcp.data = l;
    r = uv_tcp_open(&l->tcp, fd);
    if (r < 0)
        close(fd);
    else
        r = uv_listen((uv_stream_t *)&l->tcp, backlog, on_connection);
    if (r < 0) {
        l->closing = true;
        uv_close((uv_handle_t *)&l->tcp, on_close);
    }
    return r;
}

/* Runs before the loop looks at its sockets: what a turn accepted is known in the next. */
static void on_close_turn(struct worker_task *t)
{
    struct listener *l = (struct listener *)((char *)t - offsetof(struct listener, task));

    l->idle_turns = l->accepted > 0 ? 0 : l->idle_turns + 1;
    l->accepted = 0;
    if (l->idle_turns < 2 && l->close_turns++ < LISTENER_CLOSE_TURNS && !l->waiting) {
        worker_soon(l->worker, t, on_close_turn);
        return;
    }
    uv_close((uv_handle_t *)&l->tcp, on_close);
}

static void on_close_due(struct wheel_node *n)
{
    struct listener *l = (struct listener *)((char *)n - offsetof(struct listener, due));

    l->accepted = l->idle_turns = l->close_turns = 0;
    worker_soon(l->worker, &l->task, on_close_turn);
}

/* close() resets what is in the queue, and there is no other way to say that nothing more shall come. So a filter on the
 * socket drops every SYN: who connects now tries again in a second, and finds the next process, or nobody. */
static void listener_deafen(struct listener *l)
{
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct tcphdr, th_flags)),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};
    uv_os_fd_t fd;

    if (uv_fileno((uv_handle_t *)&l->tcp, &fd) == 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

void listener_close(struct listener *l)
{
    if (l->closing)
        return;
    l->closing = true;
    worker_soon_cancel(l->worker, &l->task);
    listener_deafen(l);
    if (l->waiting)
        listener_offer(l);
    worker_arm(l->worker, &l->due, LISTENER_CLOSE_MS, on_close_due);
}
