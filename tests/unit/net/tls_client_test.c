/*
 * How backends are verified: names, literals, chains, pins; and what a session that is resumed keeps of it.
 */
#include <openssl/err.h>
#include <openssl/evp.h>

#include "../../../proxy/net/tls_int.h"
#include "net_fixture.h"

enum {
    ROOT,
    STRANGER,
    INTERMEDIATE,
    NAMED,
    WILD,
    PARTIAL,
    LITERAL,
    LITERAL6,
    LITERAL_AS_NAME,
    BARE,
    EXPIRED,
    EARLY,
    BELOW,
    ALONE,
    COUNT
};
static struct test_certificate certificates[COUNT];
#define BY_ROOT .issuer = &certificates[ROOT]

static const struct test_want wants[COUNT] = {
    [ROOT] = {.name = "root", .authority = true},
    [STRANGER] = {.name = "stranger", .authority = true},
    [INTERMEDIATE] = {.name = "intermediate", .authority = true, BY_ROOT},
    [NAMED] = {.name = "x", .san = "DNS:cas1.example.com,DNS:mail.example.com", BY_ROOT},
    [WILD] = {.name = "x", .san = "DNS:*.example.com", BY_ROOT},
    [PARTIAL] = {.name = "x", .san = "DNS:cas*.example.com", BY_ROOT},
    [LITERAL] = {.name = "x", .san = "IP:127.0.0.1", BY_ROOT},
    [LITERAL6] = {.name = "x", .san = "IP:2001:db8::1", BY_ROOT},
    [LITERAL_AS_NAME] = {.name = "127.0.0.1", .san = "DNS:127.0.0.1", BY_ROOT},
    [BARE] = {.name = "cas1.example.com", BY_ROOT},
    [EXPIRED] = {.name = "x", .san = "DNS:cas1.example.com", .from_days = -20, .to_days = -1, BY_ROOT},
    [EARLY] = {.name = "x", .san = "DNS:cas1.example.com", .from_days = 1, .to_days = 20, BY_ROOT},
    [BELOW] = {.name = "x", .san = "DNS:cas1.example.com", .issuer = &certificates[INTERMEDIATE]},
    [ALONE] = {.name = "x", .san = "DNS:cas1.example.com"},
};

/* ---- one backend ---- */

struct scene {
    struct worker *w;
    struct conf_backend conf;
    struct tls_client *tls;
    struct tls_session_slot *slot;
    SSL_CTX *server;
    struct probe probe;
    struct peer peer;
    struct str pins[2];
};

static void conf_begin(struct scene *s, int trust)
{
    memset(s, 0, sizeof(*s));
    s->conf.name = STR("be");
    s->conf.verify = true;
    s->conf.tls_floor = CONF_TLS_INTERMEDIATE;
    s->conf.spki_pins.v = s->pins;
    if (trust < 0)
        return;
    s->conf.trust.path = STR("trust.pem");
    s->conf.trust.bytes = str_of(certificates[trust].chain_pem);
}

static void scene_make(struct scene *s, const char *name, int certificate)
{
    struct conf_findings *f = conf_findings_new();

    s->w = net_worker();
    s->tls = tls_client_new(s->w, &s->conf, f);
    assert_non_null(s->tls);
    assert_int_equal(ERR_peek_error(), 0);
    conf_findings_free(f);
    s->slot = tls_session_slot_new(name);
    s->server = net_server_ctx(&certificates[certificate]);
    if (certificate == BELOW)
        assert_int_equal(SSL_CTX_add1_chain_cert(s->server, certificates[INTERMEDIATE].x), 1);
}

static void scene_end(struct scene *s)
{
    SSL_CTX_free(s->server);
    tls_session_slot_free(s->slot);
    tls_client_free(s->tls);
    net_worker_end(s->w);
}

static void scene_close(struct scene *s)
{
    peer_close(&s->peer);
    probe_close(s->w, &s->probe);
}

static void scene_connect(struct scene *s)
{
    net_connect(s->w, &s->probe, s->tls, s->slot, &s->peer, s->server);
}

/* One byte each way, so that tickets have come as well. */
static void scene_talk(struct scene *s)
{
    size_t before = s->probe.n;
    char c;

    peer_write(s->w, &s->peer, "a", 1);
    assert_true(probe_want(s->w, &s->probe, before + 1));
    assert_int_equal(probe_write(&s->probe, "b", 1), 0);
    peer_read(s->w, &s->peer, &c, 1);
    assert_int_equal(c, 'b');
}

static void check_taken(struct scene *s, bool resumed)
{
    scene_connect(s);
    net_shake(s->w, &s->probe, &s->peer);
    assert_int_equal(stream_tls_resumed(&s->probe.s), resumed);
    assert_int_equal(SSL_session_reused(s->peer.ssl), resumed);
    scene_talk(s);
    scene_close(s);
}

static void check_refused(struct scene *s, const char *text)
{
    scene_connect(s);
    (void)peer_handshake(s->w, &s->peer); /* at TLS 1.3 the server may be done before the client is not */
    assert_true(net_until(s->w, &s->probe.failed));
    assert_false(s->probe.open);
    assert_int_equal(s->probe.why, REASON_BACKEND_TLS_FAILED);
    if (strstr(s->probe.fail_text, text) == NULL)
        fail_msg("`%s` does not hold `%s`", s->probe.fail_text, text);
    scene_close(s);
}

/* ---- names and chains ---- */

struct rule {
    const char *what;
    int trust, certificate;
    const char *host, *expected; /* expected_name or NULL */
    const char *refused;         /* NULL: taken */
};

#define MISMATCH "certificate verify failed: hostname mismatch"
static const struct rule rules[] = {
    {"its name", ROOT, NAMED, "cas1.example.com", NULL, NULL},
    {"another of its names", ROOT, NAMED, "mail.example.com", NULL, NULL},
    {"a wrong name", ROOT, NAMED, "cas2.example.com", NULL, MISMATCH},
    {"a name above", ROOT, NAMED, "example.com", NULL, MISMATCH},
    {"a name below", ROOT, NAMED, "x.cas1.example.com", NULL, MISMATCH},
    {"wildcard", ROOT, WILD, "cas2.example.com", NULL, NULL},
    {"wildcard and two labels", ROOT, WILD, "a.cas2.example.com", NULL, MISMATCH},
    {"wildcard and none", ROOT, WILD, "example.com", NULL, MISMATCH},
    {"partial wildcard", ROOT, PARTIAL, "cas1.example.com", NULL, MISMATCH},
    {"literal", ROOT, LITERAL, "127.0.0.1", NULL, NULL},
    {"another literal", ROOT, LITERAL, "127.0.0.2", NULL, "IP address mismatch"},
    {"IPv6 literal", ROOT, LITERAL6, "2001:db8::1", NULL, NULL},
    {"IPv6 literal, written otherwise", ROOT, LITERAL6, "2001:db8:0:0::1", NULL, NULL},
    {"another IPv6 literal", ROOT, LITERAL6, "2001:db8::2", NULL, "IP address mismatch"},
    {"literal as a name", ROOT, LITERAL_AS_NAME, "127.0.0.1", NULL, "IP address mismatch"},
    {"literal and a name", ROOT, NAMED, "127.0.0.1", NULL, "IP address mismatch"},
    {"CN, where there is no SAN", ROOT, BARE, "cas1.example.com", NULL, NULL},
    {"expected_name", ROOT, NAMED, "cas9.corp.example", "mail.example.com", NULL},
    {"expected_name, the server's own not", ROOT, NAMED, "cas1.example.com", "owa.example.com", MISMATCH},
    {"expected_name of a literal", ROOT, NAMED, "127.0.0.1", "cas1.example.com", NULL},
    {"expected_name, not by address", ROOT, LITERAL, "127.0.0.1", "cas1.example.com", MISMATCH},
    {"expired", ROOT, EXPIRED, "cas1.example.com", NULL,
     "certificate verify failed: certificate has expired"},
    {"not yet", ROOT, EARLY, "cas1.example.com", NULL,
     "certificate verify failed: certificate is not yet valid"},
    {"another authority", STRANGER, NAMED, "cas1.example.com", NULL,
     "unable to get local issuer certificate"},
    {"the system's authorities", -1, NAMED, "cas1.example.com", NULL,
     "unable to get local issuer certificate"},
    {"self-signed", ROOT, ALONE, "cas1.example.com", NULL, "self-signed certificate"},
    {"self-signed and trusted", ALONE, ALONE, "cas1.example.com", NULL, NULL},
    {"trusted itself, the issuer not", NAMED, NAMED, "cas1.example.com", NULL, NULL},
    {"below an intermediate", ROOT, BELOW, "cas1.example.com", NULL, NULL},
    {"only the intermediate trusted", INTERMEDIATE, BELOW, "cas1.example.com", NULL, NULL},
};

static void check_rule(const struct rule *r, int version)
{
    struct scene s;

    conf_begin(&s, r->trust);
    s.conf.expected_name = str_of(r->expected);
    scene_make(&s, r->host, r->certificate);
    SSL_CTX_set_max_proto_version(s.server, version);
    if (r->refused == NULL)
        check_taken(&s, false);
    else
        check_refused(&s, r->refused);
    scene_end(&s);
}

static void test_rules(void **state)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        print_message("# %s\n", rules[i].what);
        check_rule(&rules[i], TLS1_3_VERSION);
        check_rule(&rules[i], TLS1_2_VERSION);
    }
}

/* To OpenSSL an empty name means any. */
static void test_no_name(void **state)
{
    struct scene s;

    conf_begin(&s, ROOT);
    scene_make(&s, "", NAMED);
    assert_null(tls_client_ssl(s.tls, s.slot));
    assert_null(tls_client_ssl(s.tls, NULL)); /* nobody to be verified */
    tls_errors_drop();
    scene_end(&s);
    conf_begin(&s, ROOT);
    s.conf.expected_name = (struct str){"", 0};
    scene_make(&s, "cas1.example.com", NAMED);
    assert_null(tls_client_ssl(s.tls, s.slot));
    tls_errors_drop();
    scene_end(&s);
}

static void test_verify_none(void **state)
{
    static const int any[] = {NAMED, EXPIRED, ALONE, BARE};
    struct scene s;

    for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
        conf_begin(&s, STRANGER);
        s.conf.verify = false;
        scene_make(&s, "somebody.else", any[i]);
        check_taken(&s, false);
        scene_end(&s);
    }
}

/* ---- the server name that is sent ---- */

static void check_sni(const char *host, const char *expected, const char *want)
{
    struct scene s;
    const char *sent;

    conf_begin(&s, ROOT);
    s.conf.verify = false;
    s.conf.expected_name = str_of(expected);
    scene_make(&s, host, NAMED);
    scene_connect(&s);
    net_shake(s.w, &s.probe, &s.peer);
    sent = SSL_get_servername(s.peer.ssl, TLSEXT_NAMETYPE_host_name);
    if (want == NULL)
        assert_null(sent);
    else
        assert_string_equal(sent, want);
    scene_close(&s);
    scene_end(&s);
}

static void test_server_name(void **state)
{
    check_sni("cas1.example.com", NULL, "cas1.example.com");
    check_sni("cas1.example.com", "mail.example.com", "cas1.example.com");
    check_sni("127.0.0.1", NULL, NULL);
    check_sni("2001:db8::1", NULL, NULL);
    check_sni("127.0.0.1", "mail.example.com", NULL);
}

/* ---- pins ---- */

static void pin_of(const struct test_certificate *c, char out[64])
{
    unsigned char *der = NULL, digest[32];
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c->x), &der);

    assert_int_equal(EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL), 1);
    OPENSSL_free(der);
    assert_int_equal(str_base64_encode(digest, sizeof(digest), out, 64), 44);
}

/* Pins of these certificates, -1: none; the server presents NAMED. */
static void check_pins(bool verify, int trust, int first, int second, const char *refused)
{
    char text[2][64];
    struct scene s;

    conf_begin(&s, trust);
    s.conf.verify = verify;
    if (first >= 0) {
        pin_of(&certificates[first], text[0]);
        s.pins[s.conf.spki_pins.n++] = str_of(text[0]);
    }
    if (second >= 0) {
        pin_of(&certificates[second], text[1]);
        s.pins[s.conf.spki_pins.n++] = str_of(text[1]);
    }
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        scene_make(&s, "cas1.example.com", NAMED);
        SSL_CTX_set_max_proto_version(s.server, version);
        if (refused == NULL) {
            check_taken(&s, false);
            check_taken(&s, true);
        } else {
            check_refused(&s, refused);
            check_refused(&s, refused); /* nothing was kept that could be resumed */
        }
        scene_end(&s);
    }
}

static void test_pins(void **state)
{
    const char *wrong = "the server's key is none of spki_pins";

    check_pins(true, ROOT, NAMED, -1, NULL);
    check_pins(true, ROOT, WILD, NAMED, NULL);
    check_pins(true, ROOT, WILD, EXPIRED, wrong);
    check_pins(true, ROOT, ROOT, -1, wrong); /* the server's own key, not its authority's */
    check_pins(true, STRANGER, NAMED, -1, "unable to get local issuer certificate"); /* a pin is no trust */
    check_pins(false, STRANGER, NAMED, -1, NULL);
    check_pins(false, STRANGER, WILD, -1, wrong);
    check_pins(false, -1, NAMED, -1, NULL);
    check_pins(false, -1, WILD, -1, wrong);
}

/* ---- sessions ---- */

static void test_resumed(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct scene s;

        conf_begin(&s, ROOT);
        scene_make(&s, "cas1.example.com", NAMED);
        SSL_CTX_set_max_proto_version(s.server, version);
        check_taken(&s, false);
        for (int i = 0; i < 3; i++)
            check_taken(&s, true);
        /* One that is cut off does not spoil it. */
        scene_connect(&s);
        net_shake(s.w, &s.probe, &s.peer);
        scene_talk(&s);
        stream_reset(&s.probe.s);
        scene_close(&s);
        check_taken(&s, true);
        scene_end(&s);
    }
}

/* Several at once, as when a pool warms up. */
static void test_resumed_at_once(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct probe probes[4];
        struct peer peers[4];
        struct scene s;

        conf_begin(&s, ROOT);
        scene_make(&s, "cas1.example.com", NAMED);
        SSL_CTX_set_max_proto_version(s.server, version);
        check_taken(&s, false);
        for (int i = 0; i < 4; i++)
            net_connect(s.w, &probes[i], s.tls, s.slot, &peers[i], s.server);
        for (int i = 3; i >= 0; i--) {
            net_shake(s.w, &probes[i], &peers[i]);
            assert_true(stream_tls_resumed(&probes[i].s));
        }
        for (int i = 0; i < 4; i++) {
            peer_close(&peers[i]);
            probe_close(s.w, &probes[i]);
        }
        check_taken(&s, true);
        scene_end(&s);
    }
}

/* A server that cannot resume is verified anew; and a session is kept for no other server. */
static void test_not_resumed(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct scene s;

        conf_begin(&s, ROOT);
        scene_make(&s, "cas1.example.com", NAMED);
        SSL_CTX_set_max_proto_version(s.server, version);
        check_taken(&s, false);
        SSL_CTX_free(s.server);
        s.server = net_server_ctx(&certificates[NAMED]); /* restarted: other ticket keys */
        SSL_CTX_set_max_proto_version(s.server, version);
        check_taken(&s, false);
        check_taken(&s, true);
        SSL_CTX_free(s.server);
        s.server = net_server_ctx(&certificates[ALONE]); /* somebody else took the address */
        SSL_CTX_set_max_proto_version(s.server, version);
        check_refused(&s, "self-signed certificate");
        tls_session_slot_free(s.slot);
        s.slot = tls_session_slot_new("mail.example.com");
        SSL_CTX_free(s.server);
        s.server = net_server_ctx(&certificates[NAMED]);
        SSL_CTX_set_max_proto_version(s.server, version);
        check_taken(&s, false);
        check_taken(&s, true);
        scene_end(&s);
    }
}

static void test_freed_early(void **state)
{
    struct scene s;
    struct probe late;
    struct peer late_peer;

    conf_begin(&s, ROOT);
    scene_make(&s, "cas1.example.com", NAMED);
    scene_connect(&s);
    net_shake(s.w, &s.probe, &s.peer);
    net_connect(s.w, &late, s.tls, s.slot, &late_peer, s.server);
    tls_session_slot_free(s.slot);
    tls_client_free(s.tls);
    s.slot = NULL;
    s.tls = NULL;
    scene_talk(&s); /* its tickets come now, into the slot that only connections hold */
    (void)peer_handshake(s.w, &late_peer);
    assert_true(net_until(s.w, &late.failed)); /* who shall verify it? */
    assert_false(late.open);
    scene_close(&s);
    peer_close(&late_peer);
    probe_close(s.w, &late);
    scene_end(&s);
}

/* ---- versions and ciphers ---- */

static void check_floor(enum conf_tls floor, int version, bool taken)
{
    struct scene s;

    conf_begin(&s, ROOT);
    s.conf.tls_floor = floor;
    scene_make(&s, "cas1.example.com", NAMED);
    SSL_CTX_set_max_proto_version(s.server, version);
    SSL_CTX_set_cipher_list(s.server, "ALL:@SECLEVEL=0");
    if (taken)
        check_taken(&s, false);
    else
        check_refused(&s, "");
    scene_end(&s);
}

static void test_floors(void **state)
{
    check_floor(CONF_TLS_MODERN, TLS1_3_VERSION, true);
    check_floor(CONF_TLS_MODERN, TLS1_2_VERSION, false);
    check_floor(CONF_TLS_INTERMEDIATE, TLS1_3_VERSION, true);
    check_floor(CONF_TLS_INTERMEDIATE, TLS1_2_VERSION, true);
    check_floor(CONF_TLS_INTERMEDIATE, TLS1_1_VERSION, false);
    check_floor(CONF_TLS_COMPAT12, TLS1_2_VERSION, true);
    check_floor(CONF_TLS_COMPAT12, TLS1_1_VERSION, false);
    check_floor(CONF_TLS_LEGACY10, TLS1_1_VERSION, true);
    check_floor(CONF_TLS_LEGACY10, TLS1_VERSION, true);
}

static void test_ciphers(void **state)
{
    for (int floor = 0; floor < CONF_TLS_COUNT; floor++) {
        struct scene s;
        STACK_OF(SSL_CIPHER) *list;
        SSL *ssl;

        conf_begin(&s, ROOT);
        s.conf.tls_floor = (enum conf_tls)floor;
        scene_make(&s, "cas1.example.com", NAMED);
        ssl = tls_client_ssl(s.tls, s.slot);
        list = SSL_get_ciphers(ssl);
        assert_true(sk_SSL_CIPHER_num(list) > 10);
        for (int i = 0; i < sk_SSL_CIPHER_num(list); i++) {
            const SSL_CIPHER *c = sk_SSL_CIPHER_value(list, i);

            assert_true(SSL_CIPHER_get_bits(c, NULL) >= 128);
            assert_int_not_equal(SSL_CIPHER_get_auth_nid(c), NID_auth_null);
            assert_null(strstr(SSL_CIPHER_get_name(c), "CCM"));
            assert_null(strstr(SSL_CIPHER_get_name(c), "CAMELLIA"));
            assert_null(strstr(SSL_CIPHER_get_name(c), "PSK"));
            assert_null(strstr(SSL_CIPHER_get_name(c), "SRP"));
        }
        SSL_free(ssl);
        scene_end(&s);
    }
}

/* ---- servers that misbehave ---- */

static void test_not_tls(void **state)
{
    struct scene s;
    const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

    conf_begin(&s, ROOT);
    scene_make(&s, "cas1.example.com", NAMED);
    net_connect(s.w, &s.probe, s.tls, s.slot, &s.peer, NULL);
    peer_write(s.w, &s.peer, answer, sizeof(answer) - 1);
    assert_true(net_until(s.w, &s.probe.failed));
    assert_int_equal(s.probe.why, REASON_BACKEND_TLS_FAILED);
    assert_string_equal(s.probe.fail_text, "wrong version number");
    scene_close(&s);
    net_connect(s.w, &s.probe, s.tls, s.slot, &s.peer, NULL);
    peer_fin(&s.peer);
    assert_true(net_until(s.w, &s.probe.failed));
    assert_int_equal(s.probe.why, REASON_BACKEND_TLS_FAILED);
    scene_close(&s);
    check_taken(&s, false);
    scene_end(&s);
}

/* A server that would like a certificate gets none, and may go on without. */
static void test_asked_for_a_certificate(void **state)
{
    struct scene s;

    conf_begin(&s, ROOT);
    scene_make(&s, "cas1.example.com", NAMED);
    SSL_CTX_set_verify(s.server, SSL_VERIFY_PEER, NULL);
    check_taken(&s, false);
    scene_end(&s);
}

/* ---- what it cannot be made of ---- */

static void check_unusable(struct scene *s)
{
    struct conf_findings *f = conf_findings_new();
    struct worker *w = net_worker();

    assert_null(tls_client_new(w, &s->conf, f));
    assert_int_equal(conf_findings_count(f, CONF_ERROR), 1);
    assert_int_equal(ERR_peek_error(), 0);
    conf_findings_free(f);
    net_worker_end(w);
}

static void test_unusable(void **state)
{
    struct scene s;
    char broken[8192];

    conf_begin(&s, ROOT);
    s.conf.trust.bytes = STR("nothing");
    check_unusable(&s);
    s.conf.trust.bytes = STR_NULL;
    check_unusable(&s);
    snprintf(broken, sizeof(broken), "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
             certificates[ROOT].chain_pem);
    s.conf.trust.bytes = str_of(broken); /* an authority must not silently be left out */
    check_unusable(&s);
    conf_begin(&s, ROOT);
    s.pins[0] = STR("AAAA");
    s.conf.spki_pins.n = 1;
    check_unusable(&s);
    s.pins[0] = STR("this is not base64, nor is it 44 characters!");
    check_unusable(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_no_name),
        cmocka_unit_test(test_verify_none),
        cmocka_unit_test(test_server_name),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_resumed_at_once),
        cmocka_unit_test(test_not_resumed),
        cmocka_unit_test(test_freed_early),
        cmocka_unit_test(test_floors),
        cmocka_unit_test(test_ciphers),
        cmocka_unit_test(test_not_tls),
        cmocka_unit_test(test_asked_for_a_certificate),
        cmocka_unit_test(test_unusable),
    };

    return net_run("tls_client", tests, sizeof(tests) / sizeof(tests[0]), wants, certificates, COUNT);
}
