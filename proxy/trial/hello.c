/*
 * A device's ClientHello in bytes: as the profile says, in its order, with what must be fresh made fresh (RFC 5246 7.4.1.2,
 * RFC 8446 4.1.2; the frame of SSL 2.0 by RFC 5246 E.2).
 */
#include <string.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "trial_int.h"

/* Each place has its own, and the two that one hello may have among its extensions differ. */
enum { GREASE_SUITE = 0x8a8a, GREASE_GROUP = 0x4a4a, GREASE_VERSION = 0x5a5a, GREASE_EXTENSION = 0x1a1a };

struct writer {
    uint8_t *p;
    size_t n;
    bool full;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
    if (n > TRIAL_HELLO_MAX - w->n) {
        w->full = true;
        return;
    }
    memcpy(w->p + w->n, bytes, n);
    w->n += n;
}

static void put8(struct writer *w, unsigned v)
{
    uint8_t b = (uint8_t)v;

    put(w, &b, 1);
}

static void put16(struct writer *w, unsigned v)
{
    put8(w, v >> 8);
    put8(w, v & 0xff);
}

static void put_random(struct writer *w, size_t n)
{
    uint8_t b[64];

    if (n > sizeof(b) || RAND_bytes(b, (int)n) != 1)
        w->full = true;
    else
        put(w, b, n);
}

/* A length of `bytes` octets that is filled in when its content stands. */
static size_t open_length(struct writer *w, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        put8(w, 0);
    return w->n;
}

static void close_length(struct writer *w, size_t from, unsigned bytes)
{
    size_t n = w->n - from;

    if (w->full)
        return;
    for (unsigned i = 0; i < bytes; i++)
        w->p[from - 1 - i] = (uint8_t)(n >> (8 * i));
}

static void put_codes(struct writer *w, const struct trial_codes *c, unsigned grease, unsigned width)
{
    for (unsigned i = 0; i < c->n; i++) {
        unsigned code = trial_is_grease(c->v[i]) && width == 2 ? grease : c->v[i];

        if (width == 2)
            put16(w, code);
        else
            put8(w, code);
    }
}

static void put_list(struct writer *w, const struct trial_codes *c, unsigned grease, unsigned width,
                     unsigned length)
{
    size_t at = open_length(w, length);

    put_codes(w, c, grease, width);
    close_length(w, at, length);
}

static const char *group_of(uint32_t code)
{
    switch (code) {
    case 23:
        return "P-256";
    case 24:
        return "P-384";
    case 25:
        return "P-521";
    default:
        return NULL;
    }
}

static void put_public_key(struct writer *w, EVP_PKEY *key)
{
    unsigned char *bytes = NULL;
    size_t n = key != NULL ? EVP_PKEY_get1_encoded_public_key(key, &bytes) : 0;

    if (n == 0)
        w->full = true;
    else
        put(w, bytes, n);
    OPENSSL_free(bytes);
    EVP_PKEY_free(key);
}

static void put_share(struct writer *w, uint32_t group)
{
    static const uint8_t zeros[1184];

    if (trial_is_grease(group))
        put8(w, 0);
    else if (group_of(group) != NULL)
        put_public_key(w, EVP_PKEY_Q_keygen(NULL, NULL, "EC", group_of(group)));
    else if (group == 30)
        put_public_key(w, EVP_PKEY_Q_keygen(NULL, NULL, "X448"));
    else if (group == 256) { /* a number below the prime of 2048 bits, whose first octet is 255 */
        put8(w, 0x7f);
        for (int i = 0; i < 5; i++)
            put_random(w, 51);
    } else {
        if (group == 0x11ec) /* ML-KEM-768 before X25519: all coefficients zero is a well-formed key */
            put(w, zeros, sizeof(zeros));
        put_public_key(w, EVP_PKEY_Q_keygen(NULL, NULL, "X25519"));
    }
}

static void put_shares(struct writer *w, const struct trial_codes *c)
{
    size_t all = open_length(w, 2);

    for (unsigned i = 0; i < c->n; i++) {
        size_t one;

        put16(w, trial_is_grease(c->v[i]) ? GREASE_GROUP : c->v[i]);
        one = open_length(w, 2);
        put_share(w, c->v[i]);
        close_length(w, one, 2);
    }
    close_length(w, all, 2);
}

static void put_alpn(struct writer *w, const struct conf_strings *names)
{
    size_t all = open_length(w, 2);

    for (size_t i = 0; i < names->n; i++) {
        put8(w, (unsigned)names->v[i].n);
        put(w, names->v[i].p, names->v[i].n);
    }
    close_length(w, all, 2);
}

static void put_server_name(struct writer *w, const char *host)
{
    size_t list = open_length(w, 2);

    put8(w, 0);
    put16(w, (unsigned)strlen(host));
    put(w, host, strlen(host));
    close_length(w, list, 2);
}

/* BoringSSL, NSS and SecureTransport fill a hello of 256 to 511 bytes to 512, which some servers choke on. */
static void put_padding(struct writer *w, size_t message)
{
    size_t n = w->n - message;

    if (n - 4 < 256 || n - 4 > 511) {
        w->n -= 4; /* no padding at all: take the extension's head back */
        return;
    }
    n = n < 511 ? 512 - n : 1;
    for (size_t i = 0; i < n; i++)
        put8(w, 0);
}

static bool put_known(struct writer *w, const struct trial_device *d, uint32_t type, const char *host)
{
    static const uint8_t status[] = {1, 0, 0, 0, 0}, modes[] = {1, 1}, none[] = {0};

    switch (type) {
    case EXTENSION_SERVER_NAME:
        put_server_name(w, host);
        return true;
    case EXTENSION_STATUS_REQUEST:
        put(w, status, sizeof(status));
        return true;
    case EXTENSION_GROUPS:
        put_list(w, &d->tls.groups, GREASE_GROUP, 2, 2);
        return true;
    case EXTENSION_POINT_FORMATS:
        put_list(w, &d->tls.point_formats, 0, 1, 1);
        return true;
    case EXTENSION_SIGNATURES:
        put_list(w, &d->tls.signatures, 0x6a6a, 2, 2);
        return true;
    case EXTENSION_ALPN:
        put_alpn(w, &d->tls.alpn);
        return true;
    case EXTENSION_VERSIONS:
        put_list(w, &d->tls.versions, GREASE_VERSION, 2, 1);
        return true;
    case EXTENSION_PSK_MODES:
        put(w, modes, sizeof(modes));
        return true;
    case EXTENSION_KEY_SHARE:
        put_shares(w, &d->tls.shares);
        return true;
    case EXTENSION_RENEGOTIATION:
        put(w, none, sizeof(none));
        return true;
    default:
        return false;
    }
}

static void put_extension(struct writer *w, const struct trial_device *d, const struct trial_extension *e,
                          unsigned *grease, size_t message, const char *host)
{
    unsigned type = e->type;
    size_t at;

    if (trial_is_grease(type)) {
        type = *grease;
        *grease += 0x1010;
    }
    put16(w, type);
    at = open_length(w, 2);
    if (e->given)
        put(w, e->body.p, e->body.n);
    else if (e->type == EXTENSION_PADDING)
        put_padding(w, message);
    else
        put_known(w, d, e->type, host);
    if (w->n >= at)
        close_length(w, at, 2);
}

static void put_extensions(struct writer *w, const struct trial_device *d, size_t message, const char *host)
{
    unsigned grease = GREASE_EXTENSION;
    size_t all;

    if (d->tls.extensions_n == 0)
        return;
    all = open_length(w, 2);
    for (unsigned i = 0; i < d->tls.extensions_n; i++)
        put_extension(w, d, &d->tls.extensions[i], &grease, message, host);
    close_length(w, all, 2);
}

static void put_tls(struct writer *w, const struct trial_device *d, const char *host)
{
    static const struct trial_codes none = {.v = {0}, .n = 1};
    size_t record, message, body;

    put8(w, 22);
    put16(w, d->tls.record);
    record = open_length(w, 2);
    message = w->n;
    put8(w, 1);
    body = open_length(w, 3);
    put16(w, d->tls.hello);
    put_random(w, 32);
    put8(w, d->tls.session_id);
    put_random(w, d->tls.session_id);
    put_list(w, &d->tls.suites, GREASE_SUITE, 2, 2);
    put_list(w, d->tls.compression.n > 0 ? &d->tls.compression : &none, 0, 1, 1);
    put_extensions(w, d, message, host);
    close_length(w, body, 3);
    close_length(w, record, 2);
}

static void put_sslv2(struct writer *w, const struct trial_device *d)
{
    size_t record = open_length(w, 2);

    put8(w, 1);
    put16(w, d->tls.hello);
    put16(w, d->tls.suites.n * 3);
    put16(w, 0);
    put16(w, d->tls.challenge);
    for (unsigned i = 0; i < d->tls.suites.n; i++) {
        put8(w, d->tls.suites.v[i] >> 16 & 0xff);
        put16(w, d->tls.suites.v[i] & 0xffff);
    }
    put_random(w, d->tls.challenge);
    close_length(w, record, 2);
    if (!w->full)
        w->p[0] |= 0x80;
}

bool trial_hello_write(const struct trial_device *d, const char *host, struct trial_hello *ret)
{
    struct writer w = {ret->bytes, 0, false};

    if (d->tls.framing == FRAMING_SSLV2)
        put_sslv2(&w, d);
    else
        put_tls(&w, d, host);
    ret->n = w.n;
    return !w.full;
}
