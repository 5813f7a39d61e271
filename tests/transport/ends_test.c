/*
 * How connections end: in good order, half, cut off, in the middle of anything; and closing in every callback.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "segments.h"
#include "transport.h"

#define MUCH (8u << 20) /* more than the kernel takes */

static char *zeros(size_t n)
{
    char *p = calloc(1, n);

    assert_non_null(p);
    return p;
}

static bool until(struct scene *s, const bool *what)
{
    return net_until(s->w, what);
}

/* ---- the peer ends ---- */

static void test_peer_ends(struct scene *s)
{
    peer_write(s->w, &s->peer, "last words", 10);
    peer_finish(&s->peer);
    assert_true(until(s, &s->probe.eof));
    assert_int_equal(s->probe.n, 10);
    assert_true(s->probe.clean);
    assert_false(s->probe.failed);
}

static void test_peer_ends_at_once(struct scene *s)
{
    peer_finish(&s->peer);
    assert_true(until(s, &s->probe.eof));
    assert_true(s->probe.clean);
    net_turns(s->w, 10);
    assert_int_equal(s->probe.told[PROBE_EOF], 1);
}

/* FIN alone: on TLS somebody may have cut off what was to come. */
static void test_without_close_notify(struct scene *s)
{
    peer_write(s->w, &s->peer, "some", 4);
    peer_fin(&s->peer);
    assert_true(until(s, &s->probe.eof));
    assert_int_equal(s->probe.n, 4);
    assert_int_equal(s->probe.clean, !scene_is_tls(s));
    assert_false(s->probe.failed);
}

/* The end comes after the data, however long these wait. */
static void pause_now(struct probe *p, enum probe_event e)
{
    if (e == PROBE_DATA)
        stream_pause(&p->s);
}

static void test_end_behind_a_pause(struct scene *s)
{
    char *text = zeros(50000);

    stream_set_burst(&s->probe.s, 4096);
    s->probe.hook = pause_now;
    peer_write(s->w, &s->peer, text, 50000);
    peer_finish(&s->peer);
    net_turns(s->w, 20);
    assert_false(s->probe.eof);
    for (unsigned i = 0; i < 100 && !s->probe.eof; i++) {
        assert_true(s->probe.n <= 4096 * (size_t)(i + 1));
        stream_resume(&s->probe.s);
        net_turns(s->w, 5);
    }
    assert_true(s->probe.eof && s->probe.clean);
    assert_int_equal(s->probe.n, 50000);
    free(text);
}

/* Nothing is in flight, and reading is paused: a peer that goes away is seen all the same. */
static void test_end_seen_while_paused(struct scene *s)
{
    stream_pause(&s->probe.s);
    net_turns(s->w, 3);
    peer_finish(&s->peer);
    assert_true(until(s, &s->probe.eof));
    assert_true(s->probe.clean);
    scene_again(s);
    stream_pause(&s->probe.s);
    peer_reset(&s->peer);
    assert_true(until(s, &s->probe.failed));
    assert_int_equal(s->probe.why, REASON_CLIENT_RESET);
}

static void test_peer_resets(struct scene *s)
{
    peer_write(s->w, &s->peer, "some", 4);
    assert_true(probe_want(s->w, &s->probe, 4));
    peer_reset(&s->peer);
    assert_true(until(s, &s->probe.failed));
    assert_int_equal(s->probe.why, REASON_CLIENT_RESET);
    assert_false(s->probe.eof);
    assert_int_equal(probe_write(&s->probe, "x", 1), -1);
    assert_string_not_equal(s->probe.fail_text, "");
}

static void test_peer_resets_while_written_to(struct scene *s)
{
    char *text = zeros(MUCH);

    assert_true(probe_write(&s->probe, text, MUCH) > 0);
    net_turns(s->w, 5);
    peer_reset(&s->peer);
    assert_true(until(s, &s->probe.failed));
    assert_int_equal(s->probe.why, REASON_CLIENT_RESET);
    assert_int_equal(s->probe.told[PROBE_DRAINED], 0);
    free(text);
}

/* Half of a connection may end and the other go on. */
static void test_half_closed(struct scene *s)
{
    char *text = zeros(MUCH);
    size_t n;

    peer_write(s->w, &s->peer, "request", 7);
    peer_finish(&s->peer);
    assert_true(until(s, &s->probe.eof));
    assert_true(probe_write(&s->probe, text, MUCH) > 0);
    stream_end(&s->probe.s);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, NULL), PEER_CLEAN);
    assert_int_equal(n, MUCH);
    assert_false(s->probe.failed);
    free(text);
}

/* ---- the stream ends ---- */

static void test_stream_ends_first(struct scene *s)
{
    size_t n;

    assert_int_equal(probe_write(&s->probe, "answer", 6), 0);
    stream_end(&s->probe.s);
    stream_end(&s->probe.s);
    assert_int_equal(probe_write(&s->probe, "more", 4), -1);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, NULL), PEER_CLEAN);
    assert_int_equal(n, 6);
    peer_write(s->w, &s->peer, "still sending", 13);
    assert_true(probe_want(s->w, &s->probe, 13));
    peer_finish(&s->peer);
    assert_true(until(s, &s->probe.eof));
}

static void test_closed_with_all_sent(struct scene *s)
{
    size_t n;

    assert_int_equal(probe_write(&s->probe, "answer", 6), 0);
    stream_close(&s->probe.s);
    stream_close(&s->probe.s);
    stream_reset(&s->probe.s);
    assert_true(stream_closing(&s->probe.s));
    assert_int_equal(probe_write(&s->probe, "more", 4), -1);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, NULL), PEER_CLEAN);
    assert_int_equal(n, 6);
}

/* Closed with something left: the peer must not take it for a whole. */
static void test_closed_with_a_queue(struct scene *s)
{
    char *text = zeros(MUCH);
    size_t n;

    assert_true(probe_write(&s->probe, text, MUCH) > 0);
    stream_close(&s->probe.s);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, NULL), scene_is_tls(s) ? PEER_TRUNCATED : PEER_CLEAN);
    assert_true(n < MUCH);
    scene_again(s);
    assert_true(probe_write(&s->probe, text, MUCH) > 0);
    stream_reset(&s->probe.s);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, NULL), PEER_BROKEN);
    assert_true(n < MUCH);
    free(text);
}

/* ---- last words ---- */

/* A peer that is still sending gets the whole answer, and no reset that would destroy it. */
static void test_finish_against_a_sender(struct scene *s)
{
    char *text = zeros(MUCH), *answer = zeros(1u << 20);
    static char buffer[65536];
    enum peer_end end = PEER_OPEN;
    size_t sent = 0, got = 0;
    uint64_t deadline = net_now_ms() + WAIT_MS;

    peer_write(s->w, &s->peer, text, 1000);
    assert_true(probe_want(s->w, &s->probe, 1000));
    assert_true(probe_write(&s->probe, answer, 1u << 20) >= 0);
    stream_finish(&s->probe.s, 5000, 5000);
    while (end == PEER_OPEN && net_now_ms() < deadline) {
        ssize_t r = sent < MUCH ? peer_try_write(&s->peer, text + sent, MUCH - sent) : 0;

        assert_true(r >= 0);
        sent += (size_t)r;
        got += (size_t)peer_try_read(&s->peer, buffer, sizeof(buffer), &end);
        net_turn(s->w);
    }
    assert_int_equal(end, PEER_CLEAN);
    assert_int_equal(got, 1u << 20);
    assert_false(s->probe.closed); /* the peer has not ended yet */
    assert_int_equal(s->probe.n, 1000);
    peer_finish(&s->peer);
    assert_true(until(s, &s->probe.closed));
    assert_int_equal(s->probe.told[PROBE_EOF] + s->probe.told[PROBE_FAIL] + s->probe.told[PROBE_DRAINED], 0);
    free(text);
    free(answer);
}

/* Each segment wakes the peer. */
static void test_last_words_in_one_segment(struct scene *s)
{
    uint32_t before = segments_in(s->peer.fd);
    size_t n;

    stream_last(&s->probe.s);
    assert_int_equal(probe_write(&s->probe, "answer", 6), 0);
    stream_finish(&s->probe.s, 5000, 5000);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, NULL), PEER_CLEAN);
    assert_int_equal(n, 6);
    assert_int_equal(segments_in(s->peer.fd) - before, 1);
}

static void test_last_words_that_wait(struct scene *s)
{
    char *text = zeros(MUCH);
    size_t n;

    stream_last(&s->probe.s);
    assert_true(probe_write(&s->probe, text, MUCH - 1) > 0);
    stream_finish(&s->probe.s, 5000, 5000);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, NULL), PEER_CLEAN);
    assert_int_equal(n, MUCH - 1);
    free(text);
}

static void test_finish_waits_no_longer(struct scene *s)
{
    size_t n;

    assert_int_equal(probe_write(&s->probe, "answer", 6), 0);
    stream_finish(&s->probe.s, 50, 50);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, NULL), PEER_CLEAN);
    assert_int_equal(n, 6);
    assert_true(until(s, &s->probe.closed)); /* although the peer keeps its side open */
}

static void test_finish_not_taken(struct scene *s)
{
    char *text = zeros(MUCH);

    assert_true(probe_write(&s->probe, text, MUCH) > 0);
    stream_finish(&s->probe.s, 50, 50);
    assert_true(until(s, &s->probe.closed)); /* nobody reads */
    assert_int_equal(peer_read_end(s->w, &s->peer, NULL, NULL), PEER_BROKEN);
    free(text);
}

static void test_finish_at_once(struct scene *s)
{
    assert_int_equal(probe_write(&s->probe, "answer", 6), 0);
    stream_finish(&s->probe.s, 0, 0);
    assert_true(until(s, &s->probe.closed));
    assert_int_equal(peer_read_end(s->w, &s->peer, NULL, NULL), PEER_CLEAN);
    scene_again(s);
    peer_finish(&s->peer);
    assert_true(until(s, &s->probe.eof));
    stream_finish(&s->probe.s, 5000, 5000); /* the peer has ended: nothing to wait for */
    assert_int_equal(peer_read_end(s->w, &s->peer, NULL, NULL), PEER_CLEAN);
    assert_true(until(s, &s->probe.closed));
}

static void test_finish_and_reset(struct scene *s)
{
    char *text = zeros(MUCH);

    assert_true(probe_write(&s->probe, text, MUCH) > 0);
    stream_finish(&s->probe.s, 5000, 5000);
    peer_reset(&s->peer);
    assert_true(until(s, &s->probe.closed));
    assert_int_equal(s->probe.told[PROBE_FAIL], 0);
    free(text);
}

/* Paused, with bytes that nobody wants any more. */
static void test_finish_while_paused(struct scene *s)
{
    char *text = zeros(100000);

    stream_set_burst(&s->probe.s, 1000);
    s->probe.hook = pause_now;
    assert_true(peer_try_write(&s->peer, text, 100000) > 0);
    assert_true(probe_want(s->w, &s->probe, 1));
    net_turns(s->w, 5);
    stream_finish(&s->probe.s, 5000, 5000);
    peer_finish(&s->peer);
    assert_int_equal(peer_read_end(s->w, &s->peer, NULL, NULL), PEER_CLEAN);
    assert_true(until(s, &s->probe.closed));
    assert_true(s->probe.n <= 1000);
    free(text);
}

/* ---- closing in every callback ---- */

static enum probe_event close_in;
static unsigned how;

static void close_now(struct probe *p, enum probe_event e)
{
    if (e != close_in || stream_closing(&p->s))
        return;
    if (how == 0)
        stream_close(&p->s);
    else if (how == 1)
        stream_reset(&p->s);
    else
        stream_finish(&p->s, 20, 20);
}

/* Everything happens to it that can; *which* callback closes differs. */
static void live_and_close(struct scene *s)
{
    char *text = zeros(MUCH);
    static char buffer[65536];
    enum peer_end end;

    s->probe.hook = close_now;
    if (close_in == PROBE_DATA || close_in == PROBE_DRAINED || close_in == PROBE_EOF) {
        (void)peer_try_write(&s->peer, text, 300000);
        net_turns(s->w, 3);
    }
    if (close_in == PROBE_DRAINED)
        (void)probe_write(&s->probe, text, MUCH);
    for (int i = 0; i < 2000 && !s->probe.closed; i++) {
        if (close_in == PROBE_FAIL && i == 3)
            peer_reset(&s->peer);
        if (close_in == PROBE_EOF && i == 3)
            peer_finish(&s->peer);
        if (s->peer.fd >= 0)
            (void)peer_try_read(&s->peer, buffer, sizeof(buffer), &end);
        net_turn(s->w);
    }
    peer_close(&s->peer);
    assert_true(until(s, &s->probe.closed));
    assert_int_equal(s->probe.told[close_in], 1);
    assert_int_equal(s->probe.after_close, 0);
    free(text);
}

static void test_close_in_callbacks(struct scene *s)
{
    stream_set_high_mark(&s->probe.s, 1000);
    for (how = 0; how < 3; how++) {
        static const enum probe_event in[] = {PROBE_DATA, PROBE_EOF, PROBE_DRAINED, PROBE_FAIL};

        for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
            close_in = in[i];
            s->probe.hook = NULL;
            scene_again(s);
            stream_set_high_mark(&s->probe.s, 1000);
            stream_set_burst(&s->probe.s, 5000);
            live_and_close(s);
        }
    }
}

static void test_close_in_open(struct scene *s)
{
    close_in = PROBE_OPEN;
    for (how = 0; how < 3; how++) {
        int fds[2];
        uint64_t deadline = net_now_ms() + WAIT_MS;

        scene_close(s);
        net_pair(true, fds);
        memset(&s->probe, 0, sizeof(s->probe));
        s->probe.hook = close_now;
        assert_int_equal(stream_init(&s->probe.s, s->w, &probe_handler), 0);
        assert_int_equal(uv_tcp_open(&s->probe.s.uv.tcp, fds[0]), 0);
        s->peer = (struct peer){.fd = fds[1]};
        if (scene_is_tls(s)) {
            s->peer.ssl = SSL_new(s->client);
            SSL_set_fd(s->peer.ssl, s->peer.fd);
            SSL_set_connect_state(s->peer.ssl);
        }
        (void)stream_start(&s->probe.s, s->server, NULL, 0);
        while (!s->probe.open && net_now_ms() < deadline) {
            if (s->peer.ssl != NULL)
                (void)SSL_do_handshake(s->peer.ssl);
            net_turn(s->w);
        }
        if (how == 2)
            peer_close(&s->peer);
        assert_true(until(s, &s->probe.closed));
        assert_int_equal(s->probe.told[PROBE_OPEN], 1);
    }
}

/* ---- more than a Unix pair shows ---- */

static void test_large_over_tcp(struct scene *s)
{
    char *text = zeros(MUCH);
    size_t n;

    for (size_t i = 0; i < MUCH; i++)
        text[i] = (char)(i >> 7);
    assert_true(probe_write(&s->probe, text, MUCH) > 0);
    stream_end(&s->probe.s);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, NULL), PEER_CLEAN);
    assert_int_equal(n, MUCH);
    peer_write(s->w, &s->peer, text, MUCH);
    assert_true(probe_want(s->w, &s->probe, MUCH));
    assert_true(s->probe.digest == digest_add(0, text, MUCH));
    free(text);
}

static void test_no_delay(struct scene *s)
{
    int on = 0;
    socklen_t n = sizeof(on);
    uv_os_fd_t fd;

    assert_int_equal(uv_fileno(&s->probe.s.uv.handle, &fd), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
    assert_true(on);
}

int main(void)
{
    static const struct transport_test tests[] = {
        {"the peer ends", test_peer_ends, false},
        {"the peer ends at once", test_peer_ends_at_once, false},
        {"without close_notify", test_without_close_notify, false},
        {"the end behind a pause", test_end_behind_a_pause, false},
        {"the end seen while paused", test_end_seen_while_paused, false},
        {"the peer resets", test_peer_resets, false},
        {"the peer resets while written to", test_peer_resets_while_written_to, false},
        {"half closed", test_half_closed, false},
        {"the stream ends first", test_stream_ends_first, false},
        {"closed with all sent", test_closed_with_all_sent, false},
        {"closed with a queue", test_closed_with_a_queue, false},
        {"finish against a sender", test_finish_against_a_sender, false},
        {"last words in one segment", test_last_words_in_one_segment, false},
        {"last words that wait", test_last_words_that_wait, false},
        {"finish waits no longer", test_finish_waits_no_longer, false},
        {"finish, not taken", test_finish_not_taken, false},
        {"finish at once", test_finish_at_once, false},
        {"finish and reset", test_finish_and_reset, false},
        {"finish while paused", test_finish_while_paused, false},
        {"close in callbacks", test_close_in_callbacks, false},
        {"close in on_open", test_close_in_open, false},
        {"large over TCP", test_large_over_tcp, false},
        {"no delay", test_no_delay, false},
    };

    return transport_run("ends", tests, sizeof(tests) / sizeof(tests[0]), true);
}
