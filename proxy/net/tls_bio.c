/*
 * The BIO under every SSL. Reading hands out slices of what one read of the socket brought; writing collects in the
 * worker's transmit buffer, or, for the records of bulk data, leaves them in OpenSSL's own: several go out in one write to
 * the socket, and none is copied. The socket is never read while OpenSSL is on the stack, and written only when there is room
 * for no more; writing never blocks: so there is no "want write" state anywhere.
 */
#include <string.h>
#include <openssl/bio.h>
#include "tls_conn.h"

static BIO_METHOD *tls_method;
static int tls_type;
static pthread_once_t tls_method_once = PTHREAD_ONCE_INIT;

/* Alerts, which OpenSSL may follow up in the same buffer, are smaller; and so much is soon copied. */
#define LEND_LEAST 1024

static int tls_more_append(struct tls *t, const char *data, uint32_t n)
{
    /* What a peer can make us answer while it takes nothing is bounded by the cap on such messages (tls.c). */
    if (t->more_n + n > t->more_size) {
        uint32_t size = (t->more_n + n) * 2;
        char *p = realloc(t->more, size);

        if (p == NULL)
            return -1;
        t->more = p;
        t->more_size = size;
    }
    memcpy(t->more + t->more_n, data, n);
    t->more_n += n;
    return 0;
}

static int tls_more_append_all(struct tls *t, const struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++)
        if (tls_more_append(t, iov[i].iov_base, (uint32_t)iov[i].iov_len) < 0) {
            stream_fail_soon(t->stream, REASON_NO_MEMORY, NULL);
            return -1;
        }
    return 0;
}

int tls_flush(struct tls *t)
{
    struct stream *s = t->stream;
    struct iovec tx = {.iov_base = s->worker->tx, .iov_len = t->tx_n};
    int n, r;
    const struct iovec *iov = tls_memory_lent(&n);

    if (n == 0 && t->tx_n == 0)
        return 0;
    if (n == 0) {
        iov = &tx;
        n = 1;
    }
    r = s->send == NULL ? stream_send_ciphertext(s, iov, n) : tls_more_append_all(t, iov, n);
    t->tx_n = 0;
    tls_memory_settle();
    return r;
}

static bool bio_lend(const struct tls *t, const char *data, size_t n)
{
    return t->sealing && n >= LEND_LEAST && t->tx_n == 0 && tls_memory_lend(data, n);
}

static int bio_read(BIO *b, char *to, int size)
{
    struct tls *t = BIO_get_data(b);
    size_t n;

    BIO_clear_retry_flags(b);
    if (size <= 0)
        return 0;
    if (t->in_n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    n = t->in_n < (size_t)size ? t->in_n : (size_t)size;
    memcpy(to, t->in, n);
    t->in += n;
    t->in_n -= (uint32_t)n;
    if (t->filled < TLS_PIECE)
        t->filled += (uint32_t)n;
    return (int)n;
}

static int bio_write(BIO *b, const char *data, int n)
{
    struct tls *t = BIO_get_data(b);
    struct worker *w = t->stream->worker;
    int done = 0, lent;

    BIO_clear_retry_flags(b);
    if (bio_lend(t, data, (size_t)n))
        return n;
    tls_memory_lent(&lent);
    if (lent > 0 && tls_flush(t) < 0)
        return -1;
    while (done < n) {
        size_t room = w->tx_size - t->tx_n, part = (size_t)(n - done) < room ? (size_t)(n - done) : room;

        memcpy(w->tx + t->tx_n, data + done, part);
        t->tx_n += (uint32_t)part;
        done += (int)part;
        if (t->tx_n == w->tx_size && tls_flush(t) < 0)
            return -1; /* a flight larger than the buffer, and a dead socket */
    }
    return n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static void tls_method_make(void)
{
    BIO_METHOD *m;

    tls_type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;
    m = BIO_meth_new(tls_type, "stream");
    if (m == NULL)
        return;
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    BIO_meth_set_create(m, bio_create);
    tls_method = m;
}

BIO *tls_bio_new(struct tls *t)
{
    BIO *b;

    pthread_once(&tls_method_once, tls_method_make);
    b = tls_method != NULL ? BIO_new(tls_method) : NULL;
    if (b != NULL)
        BIO_set_data(b, t);
    return b;
}

struct tls *tls_of_bio(BIO *b)
{
    return b != NULL && BIO_method_type(b) == tls_type ? BIO_get_data(b) : NULL;
}
