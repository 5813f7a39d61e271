/*
 * A server's first flight, byte by byte as it comes: records taken off, then ServerHello, Certificate and the parameters of the
 * key exchange where they stand in clear (TLS 1.2 and before), or the alert that ends it. What a hostile server sends is
 * bounded by TRIAL_ANSWER_MAX.
 */
#include <stdlib.h>
#include <string.h>
#include "trial_int.h"

enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_MAX = 16384 + 2048 };
enum { MESSAGE_SERVER_HELLO = 2, MESSAGE_CERTIFICATE = 11, MESSAGE_KEY_EXCHANGE = 12, MESSAGE_DONE = 14 };

/* SHA-256 of "HelloRetryRequest" (RFC 8446 4.1.3). */
static const uint8_t retry_random[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                         0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                         0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

void trial_answer_init(struct trial_answer *a)
{
    *a = (struct trial_answer){.bytes = NULL};
}

void trial_answer_free(struct trial_answer *a)
{
    free(a->bytes);
    trial_answer_init(a);
}

static enum trial_answer_state bad(struct trial_answer *a, const char *why)
{
    a->why = why;
    return ANSWER_BAD;
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static bool hello_extension(struct trial_answer *a, unsigned type, const uint8_t *p, size_t n)
{
    if (type == EXTENSION_VERSIONS) {
        if (n != 2)
            return false;
        a->version = get16(p);
    } else if (type == EXTENSION_KEY_SHARE) {
        if (n < 2)
            return false;
        a->group = get16(p);
    }
    return true;
}

static bool hello_extensions(struct trial_answer *a, const uint8_t *p, size_t n)
{
    size_t left;

    if (n == 0)
        return true;
    if (n < 2 || get16(p) != n - 2)
        return false;
    for (p += 2, left = n - 2; left > 0;) {
        size_t size;

        if (left < 4 || (size = get16(p + 2)) > left - 4)
            return false;
        if (!hello_extension(a, get16(p), p + 4, size))
            return false;
        p += 4 + size;
        left -= 4 + size;
    }
    return true;
}

static enum trial_answer_state take_hello(struct trial_answer *a, const uint8_t *p, size_t n)
{
    size_t session;

    if (a->hello)
        return bad(a, "a second ServerHello");
    if (n < 38 || (session = p[34]) > 32 || n < 38 + session)
        return bad(a, "a ServerHello that is cut short");
    a->version = get16(p);
    a->retry = memcmp(p + 2, retry_random, sizeof(retry_random)) == 0;
    a->suite = get16(p + 35 + session);
    if (!hello_extensions(a, p + 38 + session, n - 38 - session))
        return bad(a, "a ServerHello with broken extensions");
    if (a->version < TRIAL_SSL3 || a->version > TRIAL_TLS13)
        return bad(a, "a version that does not exist");
    a->hello = true;
    a->done = a->version == TRIAL_TLS13;
    return a->done ? ANSWER_DONE : ANSWER_MORE;
}

static enum trial_answer_state take_certificate(struct trial_answer *a, const uint8_t *p, size_t n)
{
    size_t list;

    if (!a->hello || n < 3 || (list = (size_t)p[0] << 16 | get16(p + 1)) != n - 3)
        return bad(a, "a broken Certificate message");
    a->certificates_at = (size_t)(p + 3 - a->bytes);
    a->certificates.n = list;
    a->certificates.p = "";
    return ANSWER_MORE;
}

static unsigned bits_of(const uint8_t *p, size_t n)
{
    unsigned bits;

    while (n > 0 && *p == 0) {
        p++;
        n--;
    }
    if (n == 0)
        return 0;
    bits = (unsigned)n * 8;
    for (uint8_t top = *p; (top & 0x80) == 0; top = (uint8_t)(top << 1))
        bits--;
    return bits;
}

static enum trial_answer_state take_key_exchange(struct trial_answer *a, const uint8_t *p, size_t n)
{
    struct trial_suite s = trial_suite_of(a->suite);

    if (!a->hello)
        return bad(a, "a key exchange before the ServerHello");
    if (s.kx == KX_ECDHE && n >= 3 && p[0] == 3)
        a->group = get16(p + 1);
    if (s.kx == KX_DHE && n >= 2 && get16(p) <= n - 2)
        a->dh_bits = bits_of(p + 2, get16(p));
    return ANSWER_MORE;
}

static enum trial_answer_state take_message(struct trial_answer *a, unsigned type, const uint8_t *p, size_t n)
{
    switch (type) {
    case MESSAGE_SERVER_HELLO:
        return take_hello(a, p, n);
    case MESSAGE_CERTIFICATE:
        return take_certificate(a, p, n);
    case MESSAGE_KEY_EXCHANGE:
        return take_key_exchange(a, p, n);
    case MESSAGE_DONE:
        a->done = a->hello;
        return a->hello ? ANSWER_DONE : bad(a, "a ServerHelloDone without a ServerHello");
    default:
        return a->hello ? ANSWER_MORE : bad(a, "a message before the ServerHello");
    }
}

static enum trial_answer_state take_messages(struct trial_answer *a)
{
    enum trial_answer_state state = ANSWER_MORE;

    while (state == ANSWER_MORE && a->n - a->parsed >= 4) {
        const uint8_t *p = a->bytes + a->parsed;
        size_t size = (size_t)p[1] << 16 | get16(p + 2);

        if (size > TRIAL_ANSWER_MAX)
            return bad(a, "a message that is too large");
        if (a->n - a->parsed - 4 < size)
            break;
        a->parsed += 4 + size;
        state = take_message(a, p[0], p + 4, size);
    }
    return state;
}

static bool keep(struct trial_answer *a, const uint8_t *p, size_t n)
{
    size_t size = a->size != 0 ? a->size : 4096;
    uint8_t *bytes;

    while (size < a->n + n)
        size *= 2;
    if (size != a->size) {
        bytes = realloc(a->bytes, size);
        if (bytes == NULL)
            return false;
        a->bytes = bytes;
        a->size = size;
    }
    memcpy(a->bytes + a->n, p, n);
    a->n += n;
    return true;
}

static enum trial_answer_state take_alert(struct trial_answer *a, const uint8_t *p, size_t n)
{
    while (n > 0 && a->alert_n < 2) {
        a->alert[a->alert_n++] = *p++;
        n--;
    }
    if (a->alert_n < 2)
        return ANSWER_MORE;
    if (a->alert[0] == 1 &&
        a->alert[1] == 112) { /* unrecognized_name as a warning: the handshake goes on (RFC 6066 3) */
        a->alert_n = 0;
        return ANSWER_MORE;
    }
    return ANSWER_DONE;
}

static enum trial_answer_state take_payload(struct trial_answer *a, const uint8_t *p, size_t n)
{
    if (a->record[0] == RECORD_ALERT)
        return take_alert(a, p, n);
    if (a->record[0] != RECORD_HANDSHAKE)
        return bad(a, "a record that is none of a handshake");
    if (!keep(a, p, n))
        return bad(a, "out of memory");
    return take_messages(a);
}

static enum trial_answer_state open_record(struct trial_answer *a)
{
    if (a->record[1] != 3 || (a->record[0] != RECORD_ALERT && a->record[0] != RECORD_HANDSHAKE))
        return bad(a, "this is no TLS");
    a->record_left = get16(a->record + 3);
    return a->record_left == 0 || a->record_left > RECORD_MAX ? bad(a, "a record of an impossible length")
                                                              : ANSWER_MORE;
}

enum trial_answer_state trial_answer_feed(struct trial_answer *a, const uint8_t *p, size_t n)
{
    enum trial_answer_state state = ANSWER_MORE;

    a->total += n;
    if (a->total > TRIAL_ANSWER_MAX)
        return bad(a, "more than 256 KiB without an end");
    while (n > 0 && state == ANSWER_MORE) {
        size_t take;

        if (a->record_left == 0) {
            a->record[a->record_have++] = *p++;
            n--;
            if (a->record_have == sizeof(a->record)) {
                a->record_have = 0;
                state = open_record(a);
            }
            continue;
        }
        take = n < a->record_left ? n : a->record_left;
        a->record_left -= (unsigned)take;
        state = take_payload(a, p, take);
        p += take;
        n -= take;
    }
    if (a->certificates.p != NULL)
        a->certificates.p = (const char *)a->bytes + a->certificates_at;
    return state;
}

const char *trial_alert_name(unsigned description)
{
    switch (description) {
    case 0:
        return "close_notify";
    case 10:
        return "unexpected_message";
    case 40:
        return "handshake_failure";
    case 47:
        return "illegal_parameter";
    case 50:
        return "decode_error";
    case 70:
        return "protocol_version";
    case 71:
        return "insufficient_security";
    case 80:
        return "internal_error";
    case 86:
        return "inappropriate_fallback";
    case 109:
        return "missing_extension";
    case 112:
        return "unrecognized_name";
    case 120:
        return "no_application_protocol";
    default:
        return "an alert of an unusual kind";
    }
}
