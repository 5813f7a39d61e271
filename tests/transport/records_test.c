/*
 * What only TLS has: records that arrive in pieces, keys that change, renegotiation, garbage, buffers that are given back.
 */
#include <errno.h>
#include <openssl/err.h>

#include "../../proxy/net/tls_conn.h"
#include "transport.h"

/* ---- somebody in the middle ---- */

/* peer <-> outer, inner <-> stream */
struct relay {
    int outer, inner;
    size_t piece;    /* most octets a turn towards the stream */
    size_t passed;   /* towards the stream */
    size_t spoil_at; /* changes this octet; SIZE_MAX: none */
};

static void relay_turn(struct scene *s, struct relay *r)
{
    char buffer[65536];
    ssize_t n = recv(r->outer, buffer, r->piece, MSG_DONTWAIT);

    if (n > 0) {
        if (r->spoil_at >= r->passed && r->spoil_at < r->passed + (size_t)n)
            buffer[r->spoil_at - r->passed] ^= 1;
        r->passed += (size_t)n;
        assert_int_equal(send(r->inner, buffer, (size_t)n, MSG_NOSIGNAL), n);
    }
    uv_run(&s->w->loop, UV_RUN_NOWAIT);
    n = recv(r->inner, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (n > 0)
        assert_int_equal(send(r->outer, buffer, (size_t)n, MSG_NOSIGNAL), n);
}

/* In the place of the scene's pair; not yet shaken hands. */
static void relay_begin(struct scene *s, struct relay *r, size_t piece)
{
    int left[2], right[2];

    scene_close(s);
    net_pair(false, left);
    net_pair(false, right);
    *r = (struct relay){.outer = left[0], .inner = right[1], .piece = piece, .spoil_at = SIZE_MAX};
    memset(&s->probe, 0, sizeof(s->probe));
    assert_int_equal(stream_init(&s->probe.s, s->w, &probe_handler), 0);
    assert_int_equal(uv_tcp_open(&s->probe.s.uv.tcp, right[0]), 0);
    assert_int_equal(stream_start(&s->probe.s, s->server, NULL, 0), 0);
    s->peer = (struct peer){.fd = left[1], .ssl = SSL_new(s->client)};
    SSL_set_fd(s->peer.ssl, s->peer.fd);
    SSL_set_connect_state(s->peer.ssl);
}

static void relay_shake(struct scene *s, struct relay *r)
{
    for (int i = 0; i < 20000 && !(s->probe.open && SSL_is_init_finished(s->peer.ssl)); i++) {
        (void)SSL_do_handshake(s->peer.ssl);
        ERR_clear_error();
        relay_turn(s, r);
    }
    assert_true(s->probe.open);
    assert_true(SSL_is_init_finished(s->peer.ssl));
}

static void relay_end(struct relay *r)
{
    close(r->outer);
    close(r->inner);
}

static bool relay_want(struct scene *s, struct relay *r, size_t n)
{
    for (int i = 0; i < 60000 && s->probe.n < n && !s->probe.failed; i++)
        relay_turn(s, r);
    return s->probe.n >= n;
}

static void test_octet_by_octet(struct scene *s)
{
    struct relay r;
    char text[5000];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    relay_begin(s, &r, 1);
    relay_shake(s, &r);
    assert_int_equal(peer_try_write(&s->peer, text, sizeof(text)), sizeof(text));
    assert_true(relay_want(s, &r, sizeof(text)));
    assert_memory_equal(s->probe.data, text, sizeof(text));
    assert_int_equal(s->probe.told[PROBE_DATA], 1); /* a record is whole or not there */
    relay_end(&r);
}

static void test_odd_pieces(struct scene *s)
{
    static const size_t pieces[] = {2, 3, 4, 5, 6, 7, 100, 1371};
    char text[20000];

    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct relay r;

        relay_begin(s, &r, pieces[i]);
        relay_shake(s, &r);
        for (int k = 0; k < 10; k++)
            assert_int_equal(peer_try_write(&s->peer, text, 2000), 2000);
        assert_true(relay_want(s, &r, 20000));
        assert_true(s->probe.digest == digest_add(0, text, 20000));
        relay_end(&r);
    }
}

/* A connection falls idle in the middle of a record: at every octet of it. */
static void test_idle_inside_a_record(struct scene *s)
{
    char text[200];

    memset(text, 'b', sizeof(text));
    for (size_t at = 1; at < 240; at += at < 12 ? 1 : 19) {
        struct relay r;

        relay_begin(s, &r, 65536);
        relay_shake(s, &r);
        r.piece = at;
        assert_int_equal(peer_try_write(&s->peer, text, sizeof(text)), sizeof(text));
        relay_turn(s, &r);
        relay_turn(s, &(struct relay){r.inner, r.inner, 1, 0, SIZE_MAX}); /* a turn without new octets */
        r.piece = 65536;
        assert_true(relay_want(s, &r, sizeof(text)));
        assert_memory_equal(s->probe.data, text, sizeof(text));
        relay_end(&r);
    }
}

static void test_idle_and_back(struct scene *s)
{
    char c;

    for (int i = 0; i < 10; i++) {
        peer_write(s->w, &s->peer, "a", 1);
        assert_true(probe_want(s->w, &s->probe, (size_t)i + 1));
        assert_int_equal(probe_write(&s->probe, "b", 1), 0);
        peer_read(s->w, &s->peer, &c, 1);
        assert_int_equal(c, 'b');
    }
}

/* ---- what was read before ---- */

/* The PROXY header's reader may have taken some, or all, of the first flight. */
static void test_first_octets(struct scene *s)
{
    static const size_t takes[] = {1, 4, 5, 6, 50, 4096};

    for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
        char first[4096];
        int fds[2];
        ssize_t n;

        scene_close(s);
        net_pair(false, fds);
        s->peer = (struct peer){.fd = fds[1], .ssl = SSL_new(s->client)};
        SSL_set_fd(s->peer.ssl, fds[1]);
        SSL_set_connect_state(s->peer.ssl);
        (void)SSL_do_handshake(s->peer.ssl);
        n = recv(fds[0], first, takes[i], 0);
        assert_true(n > 0);
        memset(&s->probe, 0, sizeof(s->probe));
        assert_int_equal(stream_init(&s->probe.s, s->w, &probe_handler), 0);
        assert_int_equal(uv_tcp_open(&s->probe.s.uv.tcp, fds[0]), 0);
        assert_int_equal(stream_start(&s->probe.s, s->server, first, (size_t)n), 0);
        memset(first, 'X', sizeof(first)); /* copied */
        net_shake(s->w, &s->probe, &s->peer);
        peer_write(s->w, &s->peer, "abc", 3);
        assert_true(probe_want(s->w, &s->probe, 3));
    }
}

/* ---- keys that change ---- */

static void update_keys(struct scene *s, int kind)
{
    ERR_clear_error();
    assert_int_equal(SSL_key_update(s->peer.ssl, kind), 1);
    (void)SSL_do_handshake(s->peer.ssl);
    ERR_clear_error();
    net_turn(s->w);
}

static void test_key_updates(struct scene *s)
{
    char back[10];

    if (s->over->version != TLS1_3_VERSION)
        return;
    for (size_t i = 0; i < 10; i++) {
        update_keys(s, SSL_KEY_UPDATE_REQUESTED);
        peer_write(s->w, &s->peer, "a", 1);
        assert_true(probe_want(s->w, &s->probe, i + 1));
        assert_int_equal(probe_write(&s->probe, "b", 1), 0);
        peer_read(s->w, &s->peer, back, 1);
    }
    assert_false(s->probe.failed);
}

/* Answers must keep their place between the records that wait and those to come. */
static void test_key_updates_while_blocked(struct scene *s)
{
    size_t n = 1u << 20, got;
    char *text = malloc(n);
    uint64_t digest;

    if (s->over->version == TLS1_3_VERSION) {
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(i >> 8);
        net_narrow(&s->probe, &s->peer);
        assert_true(probe_write(&s->probe, text, n) > 0);
        for (int i = 0; i < 5; i++)
            update_keys(s, SSL_KEY_UPDATE_REQUESTED);
        stream_end(&s->probe.s);
        assert_int_equal(peer_read_end(s->w, &s->peer, &got, &digest), PEER_CLEAN);
        assert_int_equal(got, n);
        assert_true(digest == digest_add(0, text, n));
    }
    free(text);
}

static void flood(struct scene *s, int kind)
{
    char c = 'a';

    for (int i = 0; i < 32; i++)
        update_keys(s, kind);
    peer_write(s->w, &s->peer, &c, 1);
    assert_true(probe_want(s->w, &s->probe, 1));
    assert_false(s->probe.failed);
    for (int i = 0; i < 5 && !s->probe.failed; i++)
        update_keys(s, kind);
    assert_true(net_until(s->w, &s->probe.failed));
    assert_int_equal(s->probe.why, REASON_TLS_FLOOD);
    assert_string_equal(s->probe.fail_text, "too many TLS messages beside application data");
}

static void test_key_update_flood(struct scene *s)
{
    if (s->over->version != TLS1_3_VERSION)
        return;
    flood(s, SSL_KEY_UPDATE_NOT_REQUESTED);
    scene_again(s);
    flood(s, SSL_KEY_UPDATE_REQUESTED);
    scene_again(s);
    peer_write(s->w, &s->peer, "x", 1); /* the next one has a count of its own */
    assert_true(probe_want(s->w, &s->probe, 1));
}

static void test_renegotiation(struct scene *s)
{
    int r = 0, e = SSL_ERROR_WANT_READ;
    char c;

    if (s->over->version != TLS1_2_VERSION)
        return;
    assert_int_equal(SSL_renegotiate(s->peer.ssl), 1);
    for (int i = 0; i < 100 && e == SSL_ERROR_WANT_READ; i++) {
        ERR_clear_error();
        r = SSL_do_handshake(s->peer.ssl);
        e = SSL_get_error(s->peer.ssl, r);
        if (e == SSL_ERROR_WANT_READ)
            net_turn(s->w);
    }
    assert_int_not_equal(r, 1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    assert_int_equal(s->probe.told[PROBE_OPEN], 1);
    scene_again(s);
    assert_int_equal(probe_write(&s->probe, "b", 1), 0);
    peer_read(s->w, &s->peer, &c, 1);
}

static bool has_private_half(EVP_PKEY *key)
{
    unsigned char half[64];
    size_t n = sizeof(half);
    bool has = EVP_PKEY_get_raw_private_key(key, half, &n) == 1;

    ERR_clear_error();
    return has;
}

static void test_ephemeral_keys_are_forgotten(struct scene *s)
{
    EVP_PKEY *key;

    if (s->over->version == TLS1_3_VERSION) {
        /* so would the server's be, were it left to OpenSSL */
        assert_int_equal(SSL_get_tmp_key(s->peer.ssl, &key), 1);
        assert_true(has_private_half(key));
        EVP_PKEY_free(key);
    }
    if (SSL_get_tmp_key(s->probe.s.tls->ssl, &key) == 1) {
        assert_false(has_private_half(key));
        EVP_PKEY_free(key);
    }
    ERR_clear_error();
    peer_write(s->w, &s->peer, "x", 1);
    assert_true(probe_want(s->w, &s->probe, 1));
}

/* ---- records that carry next to nothing ---- */

#define TINY_MAX 16384

static void test_tiny_records(struct scene *s)
{
    for (size_t i = 0; i < TINY_MAX; i++)
        peer_write(s->w, &s->peer, "a", 1);
    assert_true(probe_want(s->w, &s->probe, TINY_MAX));
    assert_false(s->probe.failed);
    for (size_t i = 0; i < 10 && !s->probe.failed; i++) {
        (void)peer_try_write(&s->peer, "a", 1);
        net_turn(s->w);
    }
    assert_true(net_until(s->w, &s->probe.failed));
    assert_int_equal(s->probe.why, REASON_TLS_FLOOD);
    assert_string_equal(s->probe.fail_text, "too many TLS records that carry next to nothing");
}

/* As some clients write a body: size, octets and line end of each chunk in a record of its own. */
static void test_tiny_records_between_others(struct scene *s)
{
    char text[600] = "";
    size_t n = 0;

    for (size_t i = 0; i < TINY_MAX / 2 + 1000; i++) {
        peer_write(s->w, &s->peer, "258\r\n", 5);
        peer_write(s->w, &s->peer, text, sizeof(text));
        peer_write(s->w, &s->peer, "\r\n", 2);
        n += 7 + sizeof(text);
        assert_true(probe_want(s->w, &s->probe, n));
    }
    assert_false(s->probe.failed);
}

/* ---- garbage ---- */

static void test_spoilt_record(struct scene *s)
{
    struct relay r;
    char text[100] = "";

    relay_begin(s, &r, 65536);
    relay_shake(s, &r);
    assert_int_equal(peer_try_write(&s->peer, text, sizeof(text)), sizeof(text));
    assert_true(relay_want(s, &r, sizeof(text)));
    r.spoil_at = r.passed + 60;
    assert_int_equal(peer_try_write(&s->peer, text, sizeof(text)), sizeof(text));
    assert_false(relay_want(s, &r, 2 * sizeof(text)));
    assert_true(s->probe.failed);
    assert_int_equal(s->probe.why, REASON_CLIENT_RESET);
    assert_string_not_equal(s->probe.fail_text, "");
    assert_int_equal(s->probe.n, sizeof(text));
    relay_end(&r);
    scene_again(s); /* what it left behind is not taken for the next one's failure */
    peer_write(s->w, &s->peer, "x", 1);
    assert_true(probe_want(s->w, &s->probe, 1));
}

static void test_cut_in_the_handshake(struct scene *s)
{
    for (size_t at = 1; at < 400; at += 37) {
        struct relay r;

        relay_begin(s, &r, at);
        (void)SSL_do_handshake(s->peer.ssl);
        ERR_clear_error();
        relay_turn(s, &r);
        relay_end(&r);
        assert_true(net_until(s->w, &s->probe.failed));
        assert_int_equal(s->probe.why, REASON_HANDSHAKE_FAILED);
        assert_false(s->probe.eof);
    }
}

/* Octets of the handshake changed one by one: it fails in some way, and nothing else does. */
static void test_spoilt_handshake(struct scene *s)
{
    for (size_t at = 0; at < 600; at += 13) {
        struct relay r;

        relay_begin(s, &r, 65536);
        r.spoil_at = at;
        for (int i = 0; i < 50 && !s->probe.failed && !s->probe.open; i++) {
            (void)SSL_do_handshake(s->peer.ssl);
            ERR_clear_error();
            relay_turn(s, &r);
        }
        assert_false(s->probe.failed && s->probe.open);
        relay_end(&r);
    }
    scene_again(s);
    peer_write(s->w, &s->peer, "x", 1);
    assert_true(probe_want(s->w, &s->probe, 1));
}

static void test_behind_the_end(struct scene *s)
{
    char text[] = "after the end";

    peer_write(s->w, &s->peer, "before", 6);
    (void)SSL_shutdown(s->peer.ssl);
    assert_int_equal(send(s->peer.fd, text, sizeof(text), MSG_NOSIGNAL), sizeof(text));
    peer_fin(&s->peer);
    assert_true(net_until(s->w, &s->probe.eof));
    assert_true(s->probe.clean);
    net_turns(s->w, 10);
    assert_int_equal(s->probe.n, 6); /* nobody knows who sent that */
    assert_false(s->probe.failed);
}

/* RFC 6066 4: OpenSSL then writes several records for what is one in the queue. */
static void test_smaller_records(struct scene *s)
{
    static const uint8_t lengths[] = {TLSEXT_max_fragment_length_512, TLSEXT_max_fragment_length_4096};
    size_t n = 300000, got;
    uint64_t digest;
    char *text = malloc(n);

    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(i * 2654435761u >> 13);
    for (size_t i = 0; i < sizeof(lengths); i++) {
        SSL_CTX_set_tlsext_max_fragment_length(s->client, lengths[i]);
        scene_again(s);
        peer_write(s->w, &s->peer, text, 100000);
        assert_true(probe_want(s->w, &s->probe, 100000));
        assert_memory_equal(s->probe.data, text, s->probe.n < 1000 ? s->probe.n : 1000);
        assert_true(probe_write(&s->probe, text, n) >= 0);
        stream_end(&s->probe.s);
        assert_int_equal(peer_read_end(s->w, &s->peer, &got, &digest), PEER_CLEAN);
        assert_int_equal(got, n);
        assert_true(digest == digest_add(0, text, n));
    }
    free(text);
}

int main(void)
{
    static const struct transport_test tests[] = {
        {"octet by octet", test_octet_by_octet, true},
        {"odd pieces", test_odd_pieces, true},
        {"idle inside a record", test_idle_inside_a_record, true},
        {"idle and back", test_idle_and_back, true},
        {"first octets", test_first_octets, true},
        {"key updates", test_key_updates, true},
        {"key updates while blocked", test_key_updates_while_blocked, true},
        {"key update flood", test_key_update_flood, true},
        {"renegotiation", test_renegotiation, true},
        {"ephemeral keys are forgotten", test_ephemeral_keys_are_forgotten, true},
        {"tiny records", test_tiny_records, true},
        {"tiny records between others", test_tiny_records_between_others, true},
        {"a spoilt record", test_spoilt_record, true},
        {"cut in the handshake", test_cut_in_the_handshake, true},
        {"a spoilt handshake", test_spoilt_handshake, true},
        {"behind the end", test_behind_the_end, true},
        {"smaller records", test_smaller_records, true},
    };

    return transport_run("records", tests, sizeof(tests) / sizeof(tests[0]), false);
}
