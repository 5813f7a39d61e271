/*
 * Bytes through a stream: small and large, one at a time, paused, held up; nothing lost, nothing doubled, nothing early.
 */
#include "transport.h"

#define MANY (4u << 20)

static char *pattern(size_t n)
{
    char *p = malloc(n);

    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 2654435761u >> 13);
    return p;
}

/* ---- small ---- */

static void test_both_ways(struct scene *s)
{
    char answer[6];

    peer_write(s->w, &s->peer, "hello", 5);
    assert_true(probe_want(s->w, &s->probe, 5));
    assert_memory_equal(s->probe.data, "hello", 5);
    assert_int_equal(probe_write(&s->probe, "world!", 6), 0);
    peer_read(s->w, &s->peer, answer, 6);
    assert_memory_equal(answer, "world!", 6);
    assert_false(stream_has_leftover(&s->probe.s));
    assert_int_equal(stream_queued(&s->probe.s), 0);
    assert_int_equal(s->probe.told[PROBE_EOF] + s->probe.told[PROBE_FAIL] + s->probe.told[PROBE_DRAINED], 0);
}

static void test_octet_by_octet(struct scene *s)
{
    char *text = pattern(300), back[300];

    for (size_t i = 0; i < 300; i++)
        peer_write(s->w, &s->peer, text + i, 1);
    assert_true(probe_want(s->w, &s->probe, 300));
    assert_int_equal(s->probe.n, 300);
    assert_memory_equal(s->probe.data, text, 300);
    for (size_t i = 0; i < 300; i++)
        assert_true(probe_write(&s->probe, text + i, 1) >= 0);
    peer_read(s->w, &s->peer, back, 300);
    assert_memory_equal(back, text, 300);
    free(text);
}

static void test_nothing(struct scene *s)
{
    struct iovec v[3] = {{NULL, 0}, {(char[]){'a'}, 0}, {NULL, 0}};
    char c;

    assert_int_equal(stream_write(&s->probe.s, v, 3), 0);
    assert_int_equal(stream_write(&s->probe.s, NULL, 0), 0);
    v[1].iov_len = 1;
    assert_int_equal(stream_write(&s->probe.s, v, 3), 0);
    peer_read(s->w, &s->peer, &c, 1);
    assert_int_equal(c, 'a');
}

/* Pieces of every size around those of a record and of a queue's chunk. */
static void test_many_pieces(struct scene *s)
{
    static const size_t sizes[] = {1, 16383, 0, 16384, 16385, 7, 16368, 16400, 32768, 1, 1, 65537, 3};
    struct iovec v[sizeof(sizes) / sizeof(sizes[0])];
    size_t n = sizeof(sizes) / sizeof(sizes[0]), total = 0, got;
    uint64_t digest;
    char *text;

    for (size_t i = 0; i < n; i++)
        total += sizes[i];
    text = pattern(total);
    total = 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct iovec){text + total, sizes[i]};
        total += sizes[i];
    }
    net_narrow(&s->probe, &s->peer);
    assert_true(stream_write(&s->probe.s, v, (int)n) >= 0);
    stream_end(&s->probe.s);
    assert_int_equal(peer_read_end(s->w, &s->peer, &got, &digest), PEER_CLEAN);
    assert_int_equal(got, total);
    assert_true(digest == digest_add(0, text, total));
    free(text);
}

/* ---- large ---- */

static void test_large_in(struct scene *s)
{
    char *text = pattern(MANY);

    stream_set_burst(&s->probe.s, 10000);
    peer_write(s->w, &s->peer, text, MANY);
    assert_true(probe_want(s->w, &s->probe, MANY));
    assert_int_equal(s->probe.n, MANY);
    assert_true(s->probe.digest == digest_add(0, text, MANY));
    assert_true(s->probe.largest <= 10000);
    free(text);
}

/* All at once; the queue takes it. */
static void test_large_out(struct scene *s)
{
    char *text = pattern(MANY);
    uint64_t digest;
    size_t n;

    assert_true(probe_write(&s->probe, text, MANY) > 0);
    assert_true(stream_blocked(&s->probe.s));
    stream_end(&s->probe.s);
    assert_int_equal(peer_read_end(s->w, &s->peer, &n, &digest), PEER_CLEAN);
    assert_int_equal(n, MANY);
    assert_true(digest == digest_add(0, text, MANY));
    assert_int_equal(s->probe.told[PROBE_DRAINED], 1);
    free(text);
}

static char *both_text;
static size_t both_written;

static void write_more(struct probe *p, enum probe_event e)
{
    while (both_written < MANY && !stream_blocked(&p->s)) {
        size_t n = MANY - both_written < 9999 ? MANY - both_written : 9999;

        assert_true(probe_write(p, both_text + both_written, n) >= 0);
        both_written += n;
    }
}

static void test_large_both_ways(struct scene *s)
{
    static char buffer[32768];
    enum peer_end end = PEER_OPEN;
    size_t sent = 0, got = 0;
    uint64_t digest = 0, until = net_now_ms() + WAIT_MS;

    both_text = pattern(MANY);
    both_written = 0;
    s->probe.hook = write_more;
    net_narrow(&s->probe, &s->peer);
    while ((sent < MANY || got < MANY || s->probe.n < MANY) && end == PEER_OPEN && net_now_ms() < until) {
        size_t n = MANY - sent < 5000 ? MANY - sent : 5000;
        ssize_t r = n > 0 ? peer_try_write(&s->peer, both_text + sent, n) : 0;

        assert_true(r >= 0);
        sent += (size_t)r;
        r = peer_try_read(&s->peer, buffer, sizeof(buffer), &end);
        digest = digest_add(digest, buffer, (size_t)r);
        got += (size_t)r;
        uv_run(&s->w->loop, UV_RUN_NOWAIT);
        assert_true(stream_queued(&s->probe.s) < 65536 + 9999 + 40000);
    }
    assert_int_equal(got, MANY);
    assert_int_equal(s->probe.n, MANY);
    assert_true(digest == digest_add(0, both_text, MANY));
    assert_true(s->probe.digest == digest);
    assert_int_equal(stream_queued(&s->probe.s), 0);
    free(both_text);
}

/* ---- paused ---- */

static void pause_now(struct probe *p, enum probe_event e)
{
    if (e == PROBE_DATA)
        stream_pause(&p->s);
}

static void test_paused(struct scene *s)
{
    char *text = pattern(MANY);
    size_t sent = 0;
    ssize_t r;

    stream_set_burst(&s->probe.s, 4096);
    s->probe.hook = pause_now;
    while ((r = peer_try_write(&s->peer, text + sent, MANY - sent)) > 0) {
        sent += (size_t)r;
        net_turn(s->w);
    }
    net_turns(s->w, 20);
    assert_int_equal(s->probe.told[PROBE_DATA], 1); /* not one more than the one that paused */
    assert_true(s->probe.n <= 4096);
    assert_true(stream_paused(&s->probe.s));
    assert_true(s->probe.s.stash_len <= 65536); /* the rest waits in the kernel */
    for (unsigned i = 2; i <= 5; i++) {
        stream_resume(&s->probe.s);
        assert_int_equal(s->probe.told[PROBE_DATA], i - 1); /* not from inside */
        for (int k = 0; k < 100 && s->probe.told[PROBE_DATA] < i; k++)
            net_turn(s->w);
        net_turns(s->w, 5);
        assert_int_equal(s->probe.told[PROBE_DATA], i);
    }
    s->probe.hook = NULL;
    stream_resume(&s->probe.s);
    while (sent < MANY) {
        r = peer_try_write(&s->peer, text + sent, MANY - sent);
        assert_true(r >= 0);
        sent += (size_t)r;
        net_turn(s->w);
    }
    assert_true(probe_want(s->w, &s->probe, MANY));
    assert_int_equal(s->probe.n, MANY);
    assert_true(s->probe.digest == digest_add(0, text, MANY));
    free(text);
}

/* Bytes that have come already have no event of their own: resuming must find them. */
static void test_pending_after_pause(struct scene *s)
{
    char *text = pattern(16000);

    stream_set_burst(&s->probe.s, 1000);
    s->probe.hook = pause_now;
    peer_write(s->w, &s->peer, text, 16000); /* one record, read by OpenSSL in one go */
    assert_true(probe_want(s->w, &s->probe, 1));
    net_turns(s->w, 10);
    assert_int_equal(s->probe.told[PROBE_DATA], 1);
    for (unsigned i = 2; s->probe.n < 16000 && i < 200; i++) {
        stream_resume(&s->probe.s);
        net_turns(s->w, 3);
        assert_int_equal(s->probe.told[PROBE_DATA], i);
    }
    assert_int_equal(s->probe.n, 16000);
    assert_memory_equal(s->probe.data, text, 16000);
    free(text);
}

static void test_paused_before_anything(struct scene *s)
{
    stream_pause(&s->probe.s);
    peer_write(s->w, &s->peer, "abc", 3);
    net_turns(s->w, 10);
    assert_int_equal(s->probe.n, 0);
    stream_resume(&s->probe.s);
    stream_pause(&s->probe.s);
    net_turns(s->w, 10);
    assert_int_equal(s->probe.n, 0);
    stream_resume(&s->probe.s);
    assert_true(probe_want(s->w, &s->probe, 3));
    assert_memory_equal(s->probe.data, "abc", 3);
}

static void resume_now(struct probe *p, enum probe_event e)
{
    if (e != PROBE_DATA)
        return;
    stream_pause(&p->s);
    stream_resume(&p->s);
    assert_true(p->told[PROBE_DATA] < 100000);
}

static void test_resumed_inside(struct scene *s)
{
    char *text = pattern(200000);

    stream_set_burst(&s->probe.s, 777);
    s->probe.hook = resume_now;
    peer_write(s->w, &s->peer, text, 200000);
    assert_true(probe_want(s->w, &s->probe, 200000));
    assert_true(s->probe.digest == digest_add(0, text, 200000));
    assert_true(s->probe.largest <= 777);
    free(text);
}

static void test_burst_of_one(struct scene *s)
{
    char *text = pattern(3000);

    stream_set_burst(&s->probe.s, 0); /* as little as there is */
    peer_write(s->w, &s->peer, text, 3000);
    assert_true(probe_want(s->w, &s->probe, 3000));
    assert_int_equal(s->probe.largest, 1);
    assert_memory_equal(s->probe.data, text, 3000);
    stream_set_burst(&s->probe.s, UINT32_MAX); /* at most what the worker can hold */
    assert_int_equal(s->probe.s.burst, s->w->rx_size);
    free(text);
}

/* ---- held up ---- */

static void test_high_mark(struct scene *s)
{
    char *text = pattern(MANY), *back = malloc(MANY);
    size_t written = 0;
    ssize_t queued = 0;

    stream_set_high_mark(&s->probe.s, 100000);
    net_narrow(&s->probe, &s->peer);
    while (!stream_blocked(&s->probe.s)) {
        assert_true(written + 8000 < MANY);
        queued = probe_write(&s->probe, text + written, 8000);
        written += 8000;
        assert_int_equal(queued, stream_queued(&s->probe.s));
        assert_true(stream_blocked(&s->probe.s) == (queued > 100000));
    }
    net_turns(s->w, 20);
    assert_true(stream_blocked(&s->probe.s)); /* nobody reads: nothing moves */
    assert_int_equal(s->probe.told[PROBE_DRAINED], 0);
    for (size_t got = 0; got < written; got++) {
        bool before = stream_blocked(&s->probe.s);

        peer_read(s->w, &s->peer, back + got, 1);
        if (before && !stream_blocked(&s->probe.s))
            assert_true(stream_queued(&s->probe.s) <= 50000);
    }
    assert_memory_equal(back, text, written);
    assert_int_equal(s->probe.told[PROBE_DRAINED], 1);
    assert_int_equal(stream_queued(&s->probe.s), 0);
    free(text);
    free(back);
}

/* Each small write leaves at once, whatever waits to be read. */
static void test_nothing_is_held_back(struct scene *s)
{
    char c;

    for (int i = 0; i < 50; i++) {
        enum peer_end end;

        assert_int_equal(probe_write(&s->probe, "x", 1), 0);
        assert_int_equal(peer_try_read(&s->peer, &c, 1, &end), 1); /* without a turn of the loop */
        assert_int_equal(c, 'x');
    }
}

/* ---- fairness ---- */

static void test_two_share_the_turn(struct scene *s)
{
    char *text = pattern(MANY);
    struct probe other;
    struct peer other_peer;
    size_t sent = 0;

    net_accept(s->w, &other, s->server, true, &other_peer, s->client, NULL);
    net_shake(s->w, &other, &other_peer);
    stream_set_burst(&s->probe.s, 4096);
    stream_set_burst(&other.s, 4096);
    while (sent < MANY / 4) {
        ssize_t r = peer_try_write(&s->peer, text + sent, MANY / 4 - sent);

        assert_true(r >= 0);
        if (r == 0)
            break;
        sent += (size_t)r;
    }
    assert_true(peer_try_write(&other_peer, "quick", 5) == 5);
    uv_run(&s->w->loop, UV_RUN_NOWAIT);
    uv_run(&s->w->loop, UV_RUN_NOWAIT);
    assert_int_equal(other.n, 5);
    assert_true(s->probe.n <= 2 * 4 * 4096); /* four bursts a turn */
    assert_true(sent > s->probe.n);
    peer_close(&other_peer);
    probe_close(s->w, &other);
    free(text);
}

int main(void)
{
    static const struct transport_test tests[] = {
        {"both ways", test_both_ways, false},
        {"octet by octet", test_octet_by_octet, false},
        {"nothing", test_nothing, false},
        {"many pieces", test_many_pieces, false},
        {"large, in", test_large_in, false},
        {"large, out", test_large_out, false},
        {"large, both ways", test_large_both_ways, false},
        {"paused", test_paused, false},
        {"pending after a pause", test_pending_after_pause, false},
        {"paused before anything came", test_paused_before_anything, false},
        {"resumed inside", test_resumed_inside, false},
        {"bursts of one", test_burst_of_one, false},
        {"high mark", test_high_mark, false},
        {"nothing is held back", test_nothing_is_held_back, false},
        {"two share the turn", test_two_share_the_turn, false},
    };

    return transport_run("flow", tests, sizeof(tests) / sizeof(tests[0]), false);
}
