/*
 * What a TLS listener presents: certificates by server name and kind of key, ALPN, staples, profiles, and what it refuses to
 * be made of. Sessions: tls_sessions_test.c.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/tls1.h>

#include <postern/certificates.h>

#include "net_fixture.h"

enum { ROOT, INTERMEDIATE, DEFAULT, EXACT, WILDCARD, PAIR_EC, PAIR_RSA, PAIR_ED, COUNT };
static struct test_certificate certificates[COUNT];

static const struct test_want wants[COUNT] = {
    [ROOT] = {.name = "root", .authority = true},
    [INTERMEDIATE] = {.name = "intermediate", .authority = true, .issuer = &certificates[ROOT]},
    [DEFAULT] = {.name = "default", .san = "DNS:default.example", .issuer = &certificates[INTERMEDIATE]},
    [EXACT] = {.name = "exact", .san = "DNS:mail.example.com", .issuer = &certificates[ROOT]},
    [WILDCARD] = {.name = "wildcard", .san = "DNS:*.example.com", .issuer = &certificates[ROOT]},
    [PAIR_EC] = {.name = "pair ec", .san = "DNS:pair.example", .issuer = &certificates[ROOT]},
    [PAIR_RSA] = {.name = "pair rsa",
                  .san = "DNS:pair.example",
                  .key = TEST_RSA,
                  .issuer = &certificates[ROOT]},
    [PAIR_ED] = {.name = "pair ed",
                 .san = "DNS:pair.example",
                 .key = TEST_ED25519,
                 .issuer = &certificates[ROOT]},
};

/* ---- one handshake ---- */

struct scene {
    struct worker *w;
    struct conf_listener conf;
    struct tls_server *tls;
    SSL_CTX *client;
    struct probe probe;
    struct peer peer;
};

static void scene_begin(struct scene *s, enum conf_tls tls, const int *of, size_t n)
{
    const struct test_certificate *list[COUNT];

    for (size_t i = 0; i < n; i++)
        list[i] = &certificates[of[i]];
    s->w = net_worker();
    s->tls = net_tls_server(s->w, &s->conf, tls, NULL, list, n);
    s->client = net_client_ctx(&certificates[ROOT]);
}

static void scene_end(struct scene *s)
{
    SSL_CTX_free(s->client);
    tls_server_free(s->tls);
    net_worker_end(s->w);
}

static void scene_connect(struct scene *s, const char *sni)
{
    net_accept(s->w, &s->probe, s->tls, false, &s->peer, s->client, sni);
}

static void scene_close(struct scene *s)
{
    peer_close(&s->peer);
    probe_close(s->w, &s->probe);
}

static void check_subject(const struct scene *s, const char *name)
{
    X509 *x = SSL_get1_peer_certificate(s->peer.ssl);
    char text[100];

    assert_non_null(x);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof(text));
    assert_string_equal(text, name);
    assert_int_equal(SSL_get_verify_result(s->peer.ssl), X509_V_OK);
    X509_free(x);
}

static void check_served(struct scene *s, const char *sni, const char *name)
{
    scene_connect(s, sni);
    net_shake(s->w, &s->probe, &s->peer);
    check_subject(s, name);
    assert_string_equal(stream_sni(&s->probe.s), sni != NULL ? sni : "");
    assert_false(stream_tls_resumed(&s->probe.s));
    scene_close(s);
}

static void check_refused(struct scene *s, const char *sni)
{
    scene_connect(s, sni);
    assert_int_not_equal(peer_handshake(s->w, &s->peer), 1);
    assert_true(net_until(s->w, &s->probe.failed));
    assert_false(s->probe.open);
    assert_int_equal(s->probe.why, REASON_HANDSHAKE_FAILED);
    assert_string_not_equal(s->probe.fail_text, "");
    scene_close(s);
}

/* ---- by name ---- */

static void test_by_name(void **state)
{
    struct scene s;
    long versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){DEFAULT, EXACT, WILDCARD}, 3);
    for (int i = 0; i < 2; i++) {
        SSL_CTX_set_max_proto_version(s.client, (int)versions[i]);
        SSL_CTX_set_min_proto_version(s.client, (int)versions[i]);
        check_served(&s, "mail.example.com", "exact");
        check_served(&s, "MAIL.Example.com", "exact");
        check_served(&s, "www.example.com", "wildcard");
        check_served(&s, "default.example", "default");
        check_served(&s, "a.b.example.com", "default");
        check_served(&s, "unknown.example", "default");
        check_served(&s, "localhost", "default");
        check_served(&s, NULL, "default");
    }
    scene_end(&s);
}

static void test_first_is_the_default(void **state)
{
    struct scene s;

    scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){WILDCARD, EXACT}, 2);
    check_served(&s, NULL, "wildcard");
    check_served(&s, "default.example", "wildcard");
    check_served(&s, "mail.example.com", "exact");
    scene_end(&s);
}

static void test_chain_is_sent(void **state)
{
    struct scene s;

    scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){DEFAULT}, 1);
    scene_connect(&s, NULL);
    net_shake(s.w, &s.probe, &s.peer);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(s.peer.ssl)), 2);
    assert_string_equal(stream_tls_version(&s.probe.s), "TLSv1.3");
    assert_string_equal(stream_tls_cipher(&s.probe.s), SSL_get_cipher_name(s.peer.ssl));
    scene_close(&s);
    scene_end(&s);
}

/* ---- by kind of key ---- */

static void test_pair_tls12(void **state)
{
    struct scene s;

    scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){DEFAULT, PAIR_RSA, PAIR_EC}, 3);
    SSL_CTX_set_max_proto_version(s.client, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(s.client, "ECDHE+ECDSA");
    check_served(&s, "pair.example", "pair ec");
    SSL_CTX_set_cipher_list(s.client, "ECDHE+aRSA");
    check_served(&s, "pair.example", "pair rsa");
    check_refused(&s, "default.example"); /* which has no RSA certificate */
    scene_end(&s);
}

static void test_pair_tls13(void **state)
{
    struct scene s;

    scene_begin(&s, CONF_TLS_MODERN, (int[]){PAIR_RSA, PAIR_EC, PAIR_ED}, 3);
    SSL_CTX_set1_sigalgs_list(s.client, "ECDSA+SHA256");
    check_served(&s, "pair.example", "pair ec");
    check_served(&s, NULL, "pair ec"); /* the default's names have one of this kind too */
    SSL_CTX_set1_sigalgs_list(s.client, "RSA-PSS+SHA256:ECDSA+SHA256");
    SSL_CTX_set1_sigalgs_list(s.client, "RSA-PSS+SHA256");
    SSL_CTX_set_verify(s.client, SSL_VERIFY_NONE, NULL); /* the root's own signature is ECDSA */
    scene_connect(&s, "pair.example");
    net_shake(s.w, &s.probe, &s.peer);
    assert_true(EVP_PKEY_is_a(X509_get0_pubkey(SSL_get0_peer_certificate(s.peer.ssl)), "RSA"));
    scene_close(&s);
    SSL_CTX_set1_sigalgs_list(s.client, "ed25519");
    scene_connect(&s, NULL);
    net_shake(s.w, &s.probe, &s.peer);
    assert_true(EVP_PKEY_is_a(X509_get0_pubkey(SSL_get0_peer_certificate(s.peer.ssl)), "ED25519"));
    scene_close(&s);
    scene_end(&s);
}

/* ---- ALPN ---- */

static void test_alpn(void **state)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1", h2[] = "\x02h2\x06spdy/3",
                               only[] = "\x08http/1.1";
    const unsigned char *chosen;
    unsigned n;
    struct scene s;

    scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){DEFAULT, EXACT}, 2);
    SSL_CTX_set_alpn_protos(s.client, both, sizeof(both) - 1);
    scene_connect(&s, "mail.example.com");
    net_shake(s.w, &s.probe, &s.peer);
    SSL_get0_alpn_selected(s.peer.ssl, &chosen, &n);
    assert_int_equal(n, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
    scene_close(&s);
    SSL_CTX_set_alpn_protos(s.client, only, sizeof(only) - 1);
    check_served(&s, NULL, "default");
    SSL_CTX_set_alpn_protos(s.client, h2, sizeof(h2) - 1);
    check_refused(&s, NULL);
    check_refused(&s, "mail.example.com");
    SSL_CTX_set_alpn_protos(s.client, NULL, 0);
    scene_connect(&s, NULL);
    net_shake(s.w, &s.probe, &s.peer);
    SSL_get0_alpn_selected(s.peer.ssl, &chosen, &n);
    assert_int_equal(n, 0);
    scene_close(&s);
    scene_end(&s);
}

/* ---- staples ---- */

static void check_staple(struct scene *s, const char *sni, const char *want)
{
    const unsigned char *p = NULL;
    long n;

    scene_connect(s, sni);
    SSL_set_tlsext_status_type(s->peer.ssl, TLSEXT_STATUSTYPE_ocsp);
    net_shake(s->w, &s->probe, &s->peer);
    n = SSL_get_tlsext_status_ocsp_resp(s->peer.ssl, &p);
    if (want == NULL) {
        assert_true(n <= 0);
    } else {
        assert_int_equal(n, strlen(want));
        assert_memory_equal(p, want, strlen(want));
    }
    scene_close(s);
}

static void test_staple(void **state)
{
    struct scene s;

    certificates[EXACT].conf.ocsp.bytes = STR("the staple of exact");
    certificates[PAIR_RSA].conf.ocsp.bytes = STR("the staple of the RSA half");
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){DEFAULT, EXACT, PAIR_RSA, PAIR_EC}, 4);
        SSL_CTX_set_max_proto_version(s.client, version);
        check_staple(&s, "mail.example.com", "the staple of exact");
        check_staple(&s, NULL, NULL);
        SSL_CTX_set1_sigalgs_list(s.client, "ECDSA+SHA256");
        check_staple(&s, "pair.example", NULL);
        SSL_CTX_set1_sigalgs_list(s.client, "RSA-PSS+SHA256");
        SSL_CTX_set_verify(s.client, SSL_VERIFY_NONE, NULL);
        check_staple(&s, "pair.example", "the staple of the RSA half");
        scene_end(&s);
    }
    scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){EXACT}, 1);
    check_served(&s, NULL, "exact"); /* one that did not ask */
    scene_end(&s);
    certificates[EXACT].conf.ocsp.bytes = certificates[PAIR_RSA].conf.ocsp.bytes = STR_NULL;
}

/* The end is looked at in each handshake, not when the file is read. */
static void test_old_staple(void **state)
{
    struct certificate_staple staple = {.until = (int64_t)time(NULL) + 3600};
    struct scene s;

    certificates[EXACT].conf.ocsp.bytes = STR("the staple of exact");
    certificates[EXACT].conf.staple = &staple;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){EXACT}, 1);
        SSL_CTX_set_max_proto_version(s.client, version);
        check_staple(&s, "mail.example.com", "the staple of exact");
        assert_false(staple.told);
        staple.until = (int64_t)time(NULL);
        check_staple(&s, "mail.example.com", NULL);
        assert_true(staple.told);
        staple = (struct certificate_staple){.until = (int64_t)time(NULL) + 3600};
        scene_end(&s);
    }
    certificates[EXACT].conf.ocsp.bytes = STR_NULL;
    certificates[EXACT].conf.staple = NULL;
}

/* ---- profiles ---- */

struct offer {
    const char *what;
    int version;
    const char *ciphers; /* NULL: TLS 1.3's own */
    bool taken[CONF_TLS_COUNT];
};

static const struct offer offers[] = {
    {"TLS 1.3", TLS1_3_VERSION, NULL, {true, true, true, true}},
    {"TLS 1.2 AEAD", TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", {false, true, true, true}},
    {"TLS 1.2 ChaCha20", TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", {false, true, true, true}},
    {"TLS 1.2 DHE", TLS1_2_VERSION, "DHE-RSA-AES256-GCM-SHA384", {false, true, true, true}},
    {"TLS 1.2 CBC", TLS1_2_VERSION, "ECDHE-RSA-AES256-SHA384", {false, false, true, true}},
    {"TLS 1.2 CBC SHA-1", TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA", {false, false, true, true}},
    {"TLS 1.2 DHE CBC", TLS1_2_VERSION, "DHE-RSA-AES128-SHA", {false, false, false, false}},
    {"TLS 1.2 RSA key exchange", TLS1_2_VERSION, "AES128-GCM-SHA256", {false, false, false, true}},
    {"TLS 1.1", TLS1_1_VERSION, "ECDHE-RSA-AES128-SHA", {false, false, false, true}},
    {"TLS 1.0", TLS1_VERSION, "ECDHE-RSA-AES128-SHA", {false, false, false, true}},
    {"TLS 1.0 RSA key exchange", TLS1_VERSION, "AES128-SHA", {false, false, false, true}},
    {"anonymous", TLS1_2_VERSION, "aNULL:@SECLEVEL=0", {false, false, false, false}},
    {"no encryption", TLS1_2_VERSION, "eNULL:@SECLEVEL=0", {false, false, false, false}},
    {"CCM", TLS1_2_VERSION, "AESCCM", {false, false, false, false}},
    {"Camellia", TLS1_2_VERSION, "CAMELLIA", {false, false, false, false}},
};

static void check_offer(enum conf_tls profile, const struct offer *o)
{
    struct scene s;

    scene_begin(&s, profile, (int[]){PAIR_RSA}, 1);
    SSL_CTX_set_min_proto_version(s.client, o->version);
    SSL_CTX_set_max_proto_version(s.client, o->version);
    if (o->ciphers != NULL)
        assert_int_equal(SSL_CTX_set_cipher_list(s.client, o->ciphers), 1);
    SSL_CTX_set_security_level(s.client, 0);
    if (o->taken[profile]) {
        scene_connect(&s, "pair.example");
        net_shake(s.w, &s.probe, &s.peer);
        assert_int_equal(SSL_version(s.peer.ssl), o->version);
        if (o->ciphers != NULL)
            assert_string_equal(stream_tls_cipher(&s.probe.s), o->ciphers);
        scene_close(&s);
    } else {
        check_refused(&s, "pair.example");
    }
    scene_end(&s);
}

static void test_profiles(void **state)
{
    for (int p = 0; p < CONF_TLS_COUNT; p++) {
        for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
            print_message("# %s: %s\n", conf_tls_name((enum conf_tls)p), offers[i].what);
            check_offer((enum conf_tls)p, &offers[i]);
        }
    }
}

/* Where old clients are let in the server chooses, so that they cannot choose the worst. */
static void test_server_order(void **state)
{
    struct scene s;

    scene_begin(&s, CONF_TLS_LEGACY10, (int[]){PAIR_RSA}, 1);
    SSL_CTX_set_max_proto_version(s.client, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(s.client, "AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256");
    scene_connect(&s, NULL);
    net_shake(s.w, &s.probe, &s.peer);
    assert_string_equal(stream_tls_cipher(&s.probe.s), "ECDHE-RSA-AES128-GCM-SHA256");
    scene_close(&s);
    SSL_CTX_set_cipher_list(s.client, "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256");
    scene_connect(&s, NULL);
    net_shake(s.w, &s.probe, &s.peer);
    assert_string_equal(stream_tls_cipher(&s.probe.s),
                        "ECDHE-RSA-CHACHA20-POLY1305"); /* a telephone's wish */
    scene_close(&s);
    scene_end(&s);
}

/* ---- ends ---- */

/* The configuration goes while connections live, one of them in the middle of its handshake. */
static void test_freed_early(void **state)
{
    struct scene s;
    struct probe late;
    struct peer late_peer;
    char c;

    scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){DEFAULT, EXACT}, 2);
    scene_connect(&s, "mail.example.com");
    net_shake(s.w, &s.probe, &s.peer);
    net_accept(s.w, &late, s.tls, false, &late_peer, s.client, "mail.example.com");
    tls_server_free(s.tls);
    s.tls = NULL;
    net_shake(s.w, &late, &late_peer); /* with the first certificate: names are gone */
    peer_write(s.w, &s.peer, "a", 1);
    assert_true(probe_want(s.w, &s.probe, 1));
    assert_int_equal(probe_write(&s.probe, "b", 1), 0);
    peer_read(s.w, &s.peer, &c, 1);
    assert_int_equal(c, 'b');
    scene_close(&s);
    peer_close(&late_peer);
    probe_close(s.w, &late);
    scene_end(&s);
}

static void test_garbage(void **state)
{
    static const struct str first[] = {STR("GET / HTTP/1.1\r\n\r\n"), STR("\x16\x03\x01\x00\x05hello"),
                                       STR("\x80\x2e\x01\x00\x02\x00\x00")};
    struct scene s;
    int fds[2];

    scene_begin(&s, CONF_TLS_INTERMEDIATE, (int[]){DEFAULT}, 1);
    for (int i = 0; i < 3; i++) {
        net_pair(false, fds);
        memset(&s.probe, 0, sizeof(s.probe));
        assert_int_equal(stream_init(&s.probe.s, s.w, &probe_handler), 0);
        assert_int_equal(uv_tcp_open(&s.probe.s.uv.tcp, fds[0]), 0);
        assert_int_equal(stream_start(&s.probe.s, s.tls, NULL, 0), 0);
        assert_int_equal(write(fds[1], first[i].p, first[i].n), first[i].n);
        close(fds[1]);
        assert_true(net_until(s.w, &s.probe.failed));
        assert_int_equal(s.probe.why, REASON_HANDSHAKE_FAILED);
        assert_string_not_equal(s.probe.fail_text, "");
        probe_close(s.w, &s.probe);
        check_served(&s, NULL, "default"); /* what one leaves behind does not harm the next */
    }
    scene_end(&s);
}

/* ---- what it cannot be made of ---- */

static void note_finding(void *ctx, enum conf_severity severity, struct conf_mark where, const char *text)
{
    snprintf(ctx, 400, "%s", text);
}

static void check_unusable(const struct conf_certificate *c, const char *want)
{
    struct worker *w = net_worker();
    struct conf_findings *f = conf_findings_new();
    const struct conf_certificate *list[] = {&certificates[DEFAULT].conf, c};
    struct conf_listener l = {.certificates = list, .certificates_n = 2, .tls = CONF_TLS_INTERMEDIATE};
    char text[400] = "";

    assert_null(tls_server_new(w, &l, NULL, f));
    assert_int_equal(conf_findings_count(f, CONF_ERROR), 1);
    conf_findings_each(f, note_finding, text);
    if (strstr(text, want) == NULL)
        fail_msg("`%s` does not hold `%s`", text, want);
    assert_int_equal(ERR_peek_error(), 0);
    conf_findings_free(f);
    net_worker_end(w);
}

static void test_unusable(void **state)
{
    struct conf_certificate c = certificates[EXACT].conf;
    char broken[8192];

    c.key = certificates[WILDCARD].conf.key;
    check_unusable(&c, "certificate `exact`: it cannot be used: ");
    c.key.bytes = STR("no key at all");
    check_unusable(&c, "certificate `exact`: the key cannot be read");
    c.key.bytes = STR_NULL;
    check_unusable(&c, "the key cannot be read");
    c = certificates[EXACT].conf;
    c.chain.bytes = STR("no certificate at all");
    check_unusable(&c, "the file holds no certificate");
    c.chain.bytes = STR_NULL;
    check_unusable(&c, "the chain cannot be read");
    snprintf(broken, sizeof(broken), "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
             certificates[EXACT].chain_pem);
    c.chain.bytes = str_of(broken); /* a broken intermediate must not silently be left out */
    check_unusable(&c, "the chain cannot be read");
}

static char *encrypted_key(const struct test_certificate *c, const char *phrase)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *p, *text;
    long n;

    assert_int_equal(
        PEM_write_bio_PKCS8PrivateKey(b, c->key, EVP_aes_256_cbc(), phrase, (int)strlen(phrase), NULL, NULL),
        1);
    n = BIO_get_mem_data(b, &p);
    text = strndup(p, (size_t)n);
    BIO_free(b);
    return text;
}

static void test_passphrase(void **state)
{
    struct test_certificate c = certificates[EXACT];
    const struct test_certificate *list[] = {&c};
    struct worker *w = net_worker();
    struct conf_listener l;
    struct tls_server *t;
    char *key = encrypted_key(&c, "open sesame");

    c.conf.key.bytes = str_of(key);
    c.conf.passphrase.bytes = STR("open sesame");
    t = net_tls_server(w, &l, CONF_TLS_INTERMEDIATE, NULL, list, 1);
    tls_server_free(t);
    net_worker_end(w);
    c.conf.passphrase.bytes = STR("open barley");
    check_unusable(&c.conf, "the key cannot be read");
    c.conf.passphrase.bytes = STR_NULL;
    check_unusable(&c.conf, "the key cannot be read");
    free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_name),       cmocka_unit_test(test_first_is_the_default),
        cmocka_unit_test(test_chain_is_sent), cmocka_unit_test(test_pair_tls12),
        cmocka_unit_test(test_pair_tls13),    cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_staple),        cmocka_unit_test(test_old_staple),
        cmocka_unit_test(test_profiles),      cmocka_unit_test(test_server_order),
        cmocka_unit_test(test_freed_early),   cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_unusable),      cmocka_unit_test(test_passphrase),
    };

    return net_run("tls_server", tests, sizeof(tests) / sizeof(tests[0]), wants, certificates, COUNT);
}
