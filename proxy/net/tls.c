/*
 * One TLS connection: the handshake, records in and out, the end. Only stream*.c calls it.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include "tls_conn.h"

/* Messages beside application data (KeyUpdate, tickets, refused renegotiations) that a peer may send a minute. Each costs
 * a key derivation or an answer; an honest peer sends a handful in hours (RFC 8446 4.6.3, 5.5). */
#define TLS_EXTRA_MAX 32
#define TLS_EXTRA_WINDOW_MS 60000
/* Records of next to no octets: each costs a decryption. Clients that write a body in chunks send three records for each, two of them
 * tiny, and old ones split one octet off every record; nobody sends thousands of them alone. */
#define TLS_TINY_OCTETS 48   /* on the wire: up to 23 to 31 octets of text */
#define TLS_TINY_PAID_BY 256 /* octets of larger records that pay for a tiny one */
#define TLS_TINY_MAX 16384   /* within the window */

struct tls *tls_of_ssl(const SSL *ssl)
{
    return tls_of_bio(SSL_get_rbio(ssl)); /* by ex_data it would cost memory per connection */
}

void tls_refuse(SSL *ssl, const char *text)
{
    struct tls *t = tls_of_ssl(ssl);

    if (t != NULL)
        t->refused = text;
}

/* ---- contexts ---- */

static void tls_window(struct tls *t)
{
    uint64_t now = worker_now(t->stream->worker);

    if (now - t->extra_since <= TLS_EXTRA_WINDOW_MS)
        return;
    t->extra_since = now;
    t->extra = t->tiny = 0;
}

static void tls_flooded(struct tls *t, const char *text)
{
    t->broken = t->flood = true;
    t->refused = text;
}

static void tls_count_extra(struct tls *t)
{
    tls_window(t);
    if (++t->extra > TLS_EXTRA_MAX)
        tls_flooded(t, "too many TLS messages beside application data");
}

/* Servers may stream small messages for hours; only clients are counted. */
static void tls_count_record(struct tls *t, const unsigned char *header)
{
    uint32_t n = (uint32_t)header[3] << 8 | header[4], paid = n / TLS_TINY_PAID_BY;

    if (n > TLS_TINY_OCTETS) {
        t->tiny -= paid < t->tiny ? paid : t->tiny;
        return;
    }
    tls_window(t);
    if (++t->tiny > TLS_TINY_MAX)
        tls_flooded(t, "too many TLS records that carry next to nothing");
}

/* A refused renegotiation shows only as the warning that answers it. */
static void on_message(int written, int version, int type, const void *buf, size_t n, SSL *ssl, void *arg)
{
    bool record = !written && type == SSL3_RT_HEADER && n >= SSL3_RT_HEADER_LENGTH && SSL_is_server(ssl);
    bool farewell = !written && type == SSL3_RT_ALERT;
    struct tls *t;

    if (!record && !farewell && type != (written ? SSL3_RT_ALERT : SSL3_RT_HANDSHAKE))
        return;
    t = tls_of_ssl(ssl);
    if (t == NULL)
        return;
    t->untidy = t->untidy || (!written && !record);
    if (farewell || (t->stream->flags & STREAM_OPEN) == 0)
        return;
    if (record)
        tls_count_record(t, buf);
    else
        tls_count_extra(t);
}

void tls_ctx_prepare(SSL_CTX *ctx)
{
    /* Memory per connection that waits decides how many phones one machine serves, and waiting is what nearly all do nearly
     * all the time: the buffers for a record (17 KB each way) are held only while one is under way. Taking them anew for every
     * record costs next to nothing, see tls_memory.c; SSL_free_buffers() at the end of a burst would cost more. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_read_ahead(ctx, 0); /* bytes hidden inside OpenSSL would be invisible to tls_pending() */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_msg_callback(ctx, on_message);
}

/* ---- birth and death ---- */

static int tls_attach(struct stream *s, SSL *ssl)
{
    struct tls *t = calloc(1, sizeof(*t));
    BIO *b = t != NULL && ssl != NULL ? tls_bio_new(t) : NULL;

    if (b == NULL) {
        SSL_free(ssl);
        free(t);
        tls_errors_drop();
        return UV_ENOMEM;
    }
    SSL_set_bio(ssl, b, b);
    t->ssl = ssl;
    t->stream = s;
    s->tls = t;
    return 0;
}

int tls_open_server(struct stream *s, struct tls_server *server)
{
    SSL *ssl;

    tls_errors_expect_none("SSL_new");
    ssl = SSL_new(tls_server_ctx(server));
    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return tls_attach(s, ssl);
}

int tls_open_client(struct stream *s, struct tls_client *client, struct tls_session_slot *slot)
{
    SSL *ssl;

    tls_errors_expect_none("SSL_new");
    ssl = tls_client_ssl(client, slot);
    if (ssl != NULL)
        SSL_set_connect_state(ssl);
    return tls_attach(s, ssl);
}

void tls_free(struct stream *s)
{
    struct tls *t = s->tls;

    if (t == NULL)
        return;
    s->tls = NULL;
    /* To OpenSSL a connection that ends without close_notify spoils its session; a reset says nothing about the keys. */
    if (t->fail == NULL && t->refused == NULL)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    tls_memory_filled(&t->filled);
    SSL_free(t->ssl);
    tls_memory_filled(NULL);
    tls_errors_drop();
    free(t->more);
    free(t->fail);
    free(t);
}

/* ---- failing ---- */

/* Turns the result of a call into what SSL_get_error() says, and takes the words of a failure before another call into
 * OpenSSL can change them. */
static int tls_result(struct tls *t, int r)
{
    int e = SSL_get_error(t->ssl, r);
    long verify;
    char text[200];

    if (e == SSL_ERROR_NONE || e == SSL_ERROR_WANT_READ || e == SSL_ERROR_ZERO_RETURN)
        return e;
    /* OpenSSL's own limit of records without content in a row */
    t->flood =
        t->flood || (SSL_is_server(t->ssl) && ERR_GET_REASON(ERR_peek_error()) == SSL_R_RECORD_TOO_SMALL);
    tls_errors_take(text, sizeof(text));
    if (t->fail != NULL)
        return e;
    verify = SSL_get_verify_result(t->ssl);
    if (t->refused == NULL && verify != X509_V_OK && !SSL_is_server(t->ssl))
        snprintf(text, sizeof(text), "certificate verify failed: %s", X509_verify_cert_error_string(verify));
    t->fail = strdup(text);
    return e;
}

static void tls_failed(struct tls *t)
{
    enum reason why = stream_tls_reason(t->stream);

    stream_fail(t->stream, why == REASON_CLIENT_RESET && t->flood ? REASON_TLS_FLOOD : why, "TLS failed");
}

const char *tls_fail_text(const struct stream *s)
{
    return s->tls->refused != NULL ? s->tls->refused : s->tls->fail;
}

/* ---- in ---- */

bool tls_pending(const struct stream *s)
{
    return SSL_pending(s->tls->ssl) > 0;
}

/* Emptied, not freed: the SSL keeps its reference to the end of the connection. */
static void key_forget(EVP_PKEY *key)
{
    EVP_PKEY_set_type(key, EVP_PKEY_get_base_id(key));
    EVP_PKEY_free(key);
}

/* OpenSSL keeps both sides' ephemeral keys, for whoever asks, as long as the connection lasts. Nothing needs them once the
 * secrets are derived, and whoever finds ours in memory a day later could derive them again (RFC 8446 appendix E.1.2). */
static void tls_forget_exchange(SSL *ssl)
{
    EVP_PKEY *key;

    if (SSL_get_tmp_key(ssl, &key) == 1)
        key_forget(key);
    if (SSL_get_peer_tmp_key(ssl, &key) == 1)
        key_forget(key);
    tls_errors_drop(); /* of a type that only a provider knows, which is then none */
}

static void tls_handshake(struct tls *t)
{
    int r, e;

    tls_errors_expect_none("SSL_do_handshake");
    tls_memory_filled(&t->filled);
    r = SSL_do_handshake(t->ssl);
    tls_memory_filled(NULL);
    e = tls_result(t, r);
    if (r == 1)
        tls_forget_exchange(t->ssl);
    if (tls_flush(t) < 0)
        return;
    if (r == 1)
        stream_opened(t->stream);
    else if (e != SSL_ERROR_WANT_READ)
        tls_failed(t);
}

void tls_start(struct stream *s)
{
    tls_handshake(s->tls);
}

static bool tls_has_input(const struct tls *t)
{
    return t->in_n > 0 || SSL_pending(t->ssl) > 0;
}

/* Decrypts until `plain` holds a burst or the input is used up. */
static size_t tls_fill(struct tls *t, int *ret_e)
{
    struct stream *s = t->stream;
    size_t got = 0;
    int e = SSL_ERROR_NONE;

    tls_errors_expect_none("SSL_read");
    tls_memory_filled(&t->filled);
    while (got < s->burst && tls_has_input(t)) {
        int r = SSL_read(t->ssl, s->worker->plain + got, (int)(s->burst - got));

        if (r <= 0) {
            e = tls_result(t, r);
            break;
        }
        got += (size_t)r;
    }
    tls_memory_filled(NULL);
    if (t->broken)
        e = SSL_ERROR_SSL;
    *ret_e = e;
    return got;
}

static void tls_decrypt(struct tls *t)
{
    struct stream *s = t->stream;
    size_t got;
    int e;

    do {
        got = tls_fill(t, &e);
        tls_flush(t); /* a failure is told in the next turn, after these bytes */
        if (got > 0 && !stream_deliver(s, s->worker->plain, got))
            return;
        if (e == SSL_ERROR_ZERO_RETURN)
            stream_eof(s, true);
        else if (e != SSL_ERROR_NONE && e != SSL_ERROR_WANT_READ)
            tls_failed(t);
    } while (e == SSL_ERROR_NONE && (s->flags & STREAM_PAUSED) == 0 && tls_has_input(t));
}

/* What the user did not want yet. Ciphertext that ends inside a record is not here: OpenSSL keeps its beginning. */
static void tls_keep(struct tls *t, bool from_stash)
{
    struct stream *s = t->stream;

    if (s->flags & STREAM_FINISHING) {
        s->stash_len = 0;
    } else if (from_stash) {
        s->stash_off += s->stash_len - t->in_n;
        s->stash_len = t->in_n;
    } else if (t->in_n > 0 && stream_live(s) && !(s->flags & STREAM_EOF) &&
               !stream_stash(s, t->in, t->in_n)) {
        stream_fail(s, REASON_NO_MEMORY, NULL);
    }
    t->in = NULL;
    t->in_n = 0;
}

/* Behind a handshake message (a client's tickets, most of all) and an alert, read or written, SSL_MODE_RELEASE_BUFFERS leaves
 * the buffer, which would stay for as long as the connection waits: for its client, or for the end of its closing. */
static void tls_tidy(struct tls *t)
{
    if (!t->untidy || (t->stream->flags & STREAM_OPEN) == 0)
        return;
    tls_memory_filled(&t->filled);
    t->untidy = SSL_free_buffers(t->ssl) != 1;
    tls_memory_filled(NULL);
}

void tls_feed(struct stream *s, const char *data, size_t n, bool from_stash)
{
    struct tls *t = s->tls;

    t->in = data;
    t->in_n = (uint32_t)n;
    if ((s->flags & STREAM_OPEN) == 0)
        tls_handshake(t);
    if ((s->flags & (STREAM_OPEN | STREAM_PAUSED | STREAM_EOF)) == STREAM_OPEN && stream_live(s) &&
        tls_has_input(t))
        tls_decrypt(t);
    tls_keep(t, from_stash);
    tls_tidy(t);
}

void tls_peek(struct stream *s, const char *data, size_t n)
{
    struct tls *t = s->tls;
    char c;
    int r, e;

    t->in = data;
    t->in_n = (uint32_t)n;
    tls_errors_expect_none("SSL_peek");
    tls_memory_filled(&t->filled);
    r = SSL_peek(t->ssl, &c, 1);
    tls_memory_filled(NULL);
    e = t->broken ? SSL_ERROR_SSL : tls_result(t, r);
    tls_flush(t);
    if (r > 0)
        stream_read_stop(s);
    else if (e == SSL_ERROR_ZERO_RETURN)
        stream_eof(s, true);
    else if (e != SSL_ERROR_WANT_READ)
        tls_failed(t);
    tls_keep(t, false);
    tls_tidy(t);
}

/* ---- out ---- */

int tls_seal(struct stream *s, const char *data, size_t n, bool more)
{
    struct tls *t = s->tls;
    bool sent = true;
    int r = 1;

    tls_errors_expect_none("SSL_write");
    tls_memory_sealed();
    t->sealing = true;
    /* One turn, unless the peer negotiated smaller records (RFC 6066 4). */
    for (size_t done = 0; r > 0 && sent && done < n; done += (size_t)r) {
        r = SSL_write(t->ssl, data + done, (int)(n - done));
        sent = tls_memory_may_lend() || tls_flush(t) == 0;
    }
    t->sealing = false;
    tls_memory_filled(NULL);
    if (!sent)
        return -1;
    if (r > 0)
        return more && t->tx_n == 0 && s->send == NULL ? 0 : tls_flush(t);
    tls_result(t, r);
    tls_flush(t);
    stream_fail_soon(s, stream_tls_reason(s), "TLS failed");
    return -1;
}

bool tls_has_more(const struct stream *s)
{
    return s->tls->more_n > 0;
}

bool tls_send_more(struct stream *s)
{
    struct tls *t = s->tls;
    uint32_t n = t->more_n;

    if (n == 0)
        return false;
    stream_send_tail(s, t->more, n);
    free(t->more);
    t->more = NULL;
    t->more_n = t->more_size = 0;
    return true;
}

void tls_notify(struct stream *s)
{
    struct tls *t = s->tls;

    s->flags |= STREAM_NOTIFIED;
    tls_errors_expect_none("SSL_shutdown");
    SSL_shutdown(t->ssl); /* only its own half: the answer is not waited for (RFC 8446 6.1) */
    tls_errors_drop();
    tls_flush(t);
    t->untidy = true;
    tls_tidy(t);
}

/* ---- what the handshake told ---- */

const char *stream_sni(const struct stream *s)
{
    const char *name = s->tls != NULL ? SSL_get_servername(s->tls->ssl, TLSEXT_NAMETYPE_host_name) : NULL;

    return name != NULL ? name : "";
}

const char *stream_tls_version(const struct stream *s)
{
    return s->tls != NULL ? SSL_get_version(s->tls->ssl) : "";
}

const char *stream_tls_cipher(const struct stream *s)
{
    return s->tls != NULL && SSL_get_current_cipher(s->tls->ssl) != NULL ? SSL_get_cipher_name(s->tls->ssl)
                                                                         : "";
}

bool stream_tls_resumed(const struct stream *s)
{
    return s->tls != NULL && SSL_session_reused(s->tls->ssl);
}

bool tls_peer_sha256(const SSL *ssl, unsigned char ret[32])
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    unsigned n = 0;

    return leaf != NULL && X509_digest(leaf, EVP_sha256(), ret, &n) == 1 && n == 32;
}

bool stream_tls_peer_sha256(const struct stream *s, unsigned char ret[32])
{
    bool good = s->tls != NULL && tls_peer_sha256(s->tls->ssl, ret);

    tls_errors_drop();
    return good;
}
