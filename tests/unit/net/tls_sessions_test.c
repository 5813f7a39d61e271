/*
 * Sessions of clients: resumed on any worker that has the keys, and nowhere else.
 */
#include "net_fixture.h"
#include "../../../proxy/net/tls_tickets.h"

#define HOUR UINT64_C(3600000)

enum { ROOT, MAIL, OTHER, COUNT };
static struct test_certificate certificates[COUNT];

static const struct test_want wants[COUNT] = {
    [ROOT] = {.name = "root", .authority = true},
    [MAIL] = {.name = "mail", .san = "DNS:mail.example.com", .issuer = &certificates[ROOT]},
    [OTHER] = {.name = "other", .san = "DNS:other.example.com", .issuer = &certificates[ROOT]},
};

struct place {
    struct worker *w;
    struct conf_listener conf;
    struct tls_server *tls;
};

static void place_begin(struct place *p, enum conf_tls tls, struct tls_tickets *tickets)
{
    const struct test_certificate *list[] = {&certificates[MAIL], &certificates[OTHER]};

    p->w = net_worker();
    p->tls = net_tls_server(p->w, &p->conf, tls, tickets, list, 2);
}

static void place_end(struct place *p)
{
    tls_server_free(p->tls);
    net_worker_end(p->w);
}

static struct tls_tickets *tickets_new(enum conf_tickets kind)
{
    struct conf_process p = {.tickets = kind, .ticket_rotation = HOUR};
    struct tls_tickets *t = tls_tickets_new(&p);

    assert_non_null(t);
    tls_tickets_refresh(t, &p, 1000);
    return t;
}

/* One visit: with `session` or without; what may be used for the next one. */
static SSL_SESSION *visit(struct place *p, SSL_CTX *client, const char *sni, SSL_SESSION *session,
                          bool resumes)
{
    struct probe probe;
    struct peer peer;
    SSL_SESSION *next;
    char c;

    net_accept(p->w, &probe, p->tls, false, &peer, client, sni);
    if (session != NULL)
        assert_int_equal(SSL_set_session(peer.ssl, session), 1);
    net_shake(p->w, &probe, &peer);
    assert_int_equal(stream_tls_resumed(&probe.s), resumes);
    assert_int_equal(SSL_session_reused(peer.ssl), resumes);
    assert_int_equal(probe_write(&probe, "x", 1), 0);
    peer_read(p->w, &peer, &c, 1); /* and the ticket before it */
    next = SSL_get1_session(peer.ssl);
    peer_close(&peer);
    probe_close(p->w, &probe);
    SSL_SESSION_free(session);
    return next;
}

static SSL_CTX *client_of(int version)
{
    SSL_CTX *c = net_client_ctx(&certificates[ROOT]);

    SSL_CTX_set_min_proto_version(c, version);
    SSL_CTX_set_max_proto_version(c, version);
    return c;
}

static void test_on_any_worker(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_tickets *t = tickets_new(CONF_TICKETS_MEMORY);
        SSL_CTX *client = client_of(version);
        struct place a, b;
        SSL_SESSION *s;

        place_begin(&a, CONF_TLS_INTERMEDIATE, t);
        place_begin(&b, CONF_TLS_INTERMEDIATE, t);
        s = visit(&a, client, "mail.example.com", NULL, false);
        assert_true(SSL_SESSION_has_ticket(s));
        assert_int_equal(SSL_SESSION_get_ticket_lifetime_hint(s), 3600);
        s = visit(&a, client, "mail.example.com", s, true);
        s = visit(&b, client, "mail.example.com", s, true);
        s = visit(&a, client, "mail.example.com", s, true);
        SSL_SESSION_free(s);
        s = visit(&a, client, "other.example.com", NULL, false); /* under a context that is not the first */
        s = visit(&b, client, "other.example.com", s, true);
        SSL_SESSION_free(s);
        place_end(&a);
        place_end(&b);
        SSL_CTX_free(client);
        tls_tickets_free(t);
    }
}

static void test_not_elsewhere(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_tickets *t = tickets_new(CONF_TICKETS_MEMORY), *foreign = tickets_new(CONF_TICKETS_MEMORY);
        SSL_CTX *client = client_of(version);
        struct place a, other_profile, other_keys, none;
        SSL_SESSION *s;

        place_begin(&a, CONF_TLS_INTERMEDIATE, t);
        place_begin(&other_profile, CONF_TLS_COMPAT12, t);
        place_begin(&other_keys, CONF_TLS_INTERMEDIATE, foreign);
        place_begin(&none, CONF_TLS_INTERMEDIATE, NULL);
        s = visit(&a, client, "mail.example.com", NULL, false);
        SSL_SESSION_up_ref(s);
        SSL_SESSION_free(visit(&other_profile, client, "mail.example.com", s, false));
        SSL_SESSION_up_ref(s);
        SSL_SESSION_free(visit(&other_keys, client, "mail.example.com", s, false));
        SSL_SESSION_free(visit(&none, client, "mail.example.com", s, false));
        place_end(&a);
        place_end(&other_profile);
        place_end(&other_keys);
        place_end(&none);
        SSL_CTX_free(client);
        tls_tickets_free(t);
        tls_tickets_free(foreign);
    }
}

static void test_without_tickets(void **state)
{
    struct tls_tickets *off = tickets_new(CONF_TICKETS_OFF);

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = client_of(version);
        struct place a;
        SSL_SESSION *s;

        for (int i = 0; i < 2; i++) {
            place_begin(&a, CONF_TLS_INTERMEDIATE, i == 0 ? NULL : off);
            s = visit(&a, client, "mail.example.com", NULL, false);
            assert_false(SSL_SESSION_has_ticket(s));
            s = visit(&a, client, "mail.example.com", s, false);
            SSL_SESSION_free(s);
            place_end(&a);
        }
        SSL_CTX_free(client);
    }
    tls_tickets_free(off);
}

static void test_rotation(void **state)
{
    struct conf_process p = {.tickets = CONF_TICKETS_MEMORY, .ticket_rotation = HOUR};

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_tickets *t = tickets_new(CONF_TICKETS_MEMORY);
        SSL_CTX *client = client_of(version);
        struct place a;
        SSL_SESSION *s, *old;

        place_begin(&a, CONF_TLS_INTERMEDIATE, t);
        s = old = visit(&a, client, "mail.example.com", NULL, false);
        SSL_SESSION_up_ref(old);
        tls_tickets_refresh(t, &p, 1000 + HOUR);
        s = visit(&a, client, "mail.example.com", s,
                  true); /* by the old key; comes back with a ticket of the new */
        tls_tickets_refresh(t, &p, 1000 + 2 * HOUR);
        s = visit(&a, client, "mail.example.com", s, true);
        SSL_SESSION_free(visit(&a, client, "mail.example.com", old, false));
        tls_tickets_refresh(t, &p, 1000 + 3 * HOUR);
        tls_tickets_refresh(t, &p, 1000 + 4 * HOUR);
        s = visit(&a, client, "mail.example.com", s, false);
        SSL_SESSION_free(s);
        place_end(&a);
        SSL_CTX_free(client);
        tls_tickets_free(t);
    }
}

/* Keys are gone (a reload turned tickets off) while contexts that promise tickets still serve: no ticket, and no harm. */
static void test_keys_gone(void **state)
{
    struct conf_process off = {.tickets = CONF_TICKETS_OFF, .ticket_rotation = HOUR};

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_tickets *t = tickets_new(CONF_TICKETS_MEMORY);
        SSL_CTX *client = client_of(version);
        struct place a;
        SSL_SESSION *s;

        place_begin(&a, CONF_TLS_INTERMEDIATE, t);
        s = visit(&a, client, "mail.example.com", NULL, false);
        tls_tickets_refresh(t, &off, 2000);
        s = visit(&a, client, "mail.example.com", s, false);
        assert_false(SSL_SESSION_has_ticket(s));
        SSL_SESSION_free(s);
        place_end(&a);
        SSL_CTX_free(client);
        tls_tickets_free(t);
    }
}

/* A session says nothing about which host is asked for: at TLS 1.3 the name is the present one's; at TLS 1.2 it is the
 * session's, whatever is sent (RFC 6066 3), so that Host is judged by the name whose certificate the client has seen. */
static void test_other_name(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_tickets *t = tickets_new(CONF_TICKETS_MEMORY);
        SSL_CTX *client = client_of(version);
        struct place a;
        struct probe probe;
        struct peer peer;
        SSL_SESSION *s;

        place_begin(&a, CONF_TLS_INTERMEDIATE, t);
        s = visit(&a, client, "mail.example.com", NULL, false);
        net_accept(a.w, &probe, a.tls, false, &peer, client, "other.example.com");
        assert_int_equal(SSL_set_session(peer.ssl, s), 1);
        net_shake(a.w, &probe, &peer);
        if (version == TLS1_3_VERSION)
            assert_string_equal(stream_sni(&probe.s), "other.example.com");
        else if (stream_tls_resumed(&probe.s))
            assert_string_equal(stream_sni(&probe.s), "mail.example.com");
        peer_close(&peer);
        probe_close(a.w, &probe);
        SSL_SESSION_free(s);
        place_end(&a);
        SSL_CTX_free(client);
        tls_tickets_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_any_worker),   cmocka_unit_test(test_not_elsewhere),
        cmocka_unit_test(test_without_tickets), cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_keys_gone),       cmocka_unit_test(test_other_name),
    };

    return net_run("tls_sessions", tests, sizeof(tests) / sizeof(tests[0]), wants, certificates, COUNT);
}
