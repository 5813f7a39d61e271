/*
 * RADIUS packets: code, number, length, authenticator, attributes.
 */
#include "radius_packet.h"

#define HEAD 20

enum { ACCESS_REQUEST = 1, ACCESS_ACCEPT = 2, ACCESS_REJECT = 3, ACCESS_CHALLENGE = 11 };
enum {
    USER_NAME = 1,
    USER_PASSWORD = 2,
    FILTER_ID = 11,
    CLASS = 25,
    CALLING_STATION_ID = 31,
    NAS_IDENTIFIER = 32,
    NAS_PORT_TYPE = 61,
    MESSAGE_AUTHENTICATOR = 80
};

static struct str octets(const void *p, size_t n)
{
    return (struct str){p, n};
}

/* ---- questions ---- */

static size_t put_attribute(unsigned char *out, uint8_t type, const void *value, size_t n)
{
    out[0] = type;
    out[1] = (uint8_t)(n + 2);
    memcpy(out + 2, value, n);
    return n + 2;
}

/* RFC 2865 5.2: each 16 octets are hidden under MD5(secret + the 16 before, first the authenticator). */
static bool hide_password(const struct radius_question *q, unsigned char *out, size_t n)
{
    unsigned char mask[MD5_BYTES];
    const unsigned char *before = q->authenticator;
    bool good = true;

    memset(out, 0, n);
    memcpy(out, q->password.p, q->password.n);
    for (size_t i = 0; i < n && good; i += MD5_BYTES) {
        struct str parts[] = {q->secret, octets(before, MD5_BYTES)};
        good = md5(parts, 2, mask);
        for (size_t k = 0; good && k < MD5_BYTES; k++)
            out[i + k] ^= mask[k];
        before = out + i;
    }
    explicit_bzero(mask, sizeof(mask));
    return good;
}

ssize_t radius_question_write(const struct radius_question *q, unsigned char out[RADIUS_PACKET_MAX])
{
    unsigned char hidden[RADIUS_PASSWORD_MAX];
    size_t padded = (q->password.n + MD5_BYTES - 1) / MD5_BYTES * MD5_BYTES, n = HEAD;
    static const unsigned char zero[MD5_BYTES], virtual_port[4] = {0, 0, 0, 5};
    struct str whole;

    if (q->user.n == 0 || q->user.n > RADIUS_TEXT_MAX || q->nas_identifier.n == 0 ||
        q->nas_identifier.n > RADIUS_TEXT_MAX || q->secret.n == 0 || q->password.n == 0 ||
        q->password.n > RADIUS_PASSWORD_MAX || !hide_password(q, hidden, padded))
        return -1;
    memcpy(out + 4, q->authenticator, MD5_BYTES);
    n += put_attribute(out + n, MESSAGE_AUTHENTICATOR, zero,
                       MD5_BYTES); /* first: nothing can be put before it */
    n += put_attribute(out + n, USER_NAME, q->user.p, q->user.n);
    n += put_attribute(out + n, USER_PASSWORD, hidden, padded);
    n += put_attribute(out + n, NAS_IDENTIFIER, q->nas_identifier.p, q->nas_identifier.n);
    if (q->calling_station.n > 0 && q->calling_station.n <= RADIUS_TEXT_MAX)
        n += put_attribute(out + n, CALLING_STATION_ID, q->calling_station.p, q->calling_station.n);
    n += put_attribute(out + n, NAS_PORT_TYPE, virtual_port, sizeof(virtual_port));
    out[0] = ACCESS_REQUEST;
    out[1] = q->id;
    out[2] = (uint8_t)(n >> 8);
    out[3] = (uint8_t)n;
    whole = octets(out, n);
    explicit_bzero(hidden, sizeof(hidden));
    return md5_hmac(q->secret, &whole, 1, out + HEAD + 2) ? (ssize_t)n : -1;
}

/* ---- answers ---- */

/* Where the one Message-Authenticator's value begins; 0: none, several, or attributes that do not fit the packet. */
static size_t find_authenticator(const unsigned char *p, size_t n)
{
    size_t found = 0;

    for (size_t at = HEAD; at < n; at += p[at + 1]) {
        if (n - at < 2 || p[at + 1] < 2 || p[at + 1] > n - at)
            return 0;
        if (p[at] != MESSAGE_AUTHENTICATOR)
            continue;
        if (found != 0 || p[at + 1] != MD5_BYTES + 2)
            return 0;
        found = at + 2;
    }
    return found;
}

/* RFC 2865 3: over the packet with the question's authenticator in place of its own, and the secret. */
static bool response_is_right(const struct radius_question *q, const unsigned char *p, size_t n)
{
    struct str parts[] = {octets(p, 4), octets(q->authenticator, MD5_BYTES), octets(p + HEAD, n - HEAD),
                          q->secret};
    unsigned char made[MD5_BYTES];

    return md5(parts, 4, made) && md5_equal(made, p + 4);
}

/* RFC 2869 5.14: the same, with the value itself as zeros, under HMAC. */
static bool message_is_right(const struct radius_question *q, const unsigned char *p, size_t n, size_t at)
{
    static const unsigned char zero[MD5_BYTES];
    struct str parts[] = {octets(p, 4), octets(q->authenticator, MD5_BYTES), octets(p + HEAD, at - HEAD),
                          octets(zero, MD5_BYTES), octets(p + at + MD5_BYTES, n - at - MD5_BYTES)};
    unsigned char made[MD5_BYTES];

    return md5_hmac(q->secret, parts, 5, made) && md5_equal(made, p + at);
}

enum radius_kind radius_answer_read(const struct radius_question *q, const unsigned char *p, size_t n)
{
    size_t length = n >= HEAD ? (size_t)p[2] << 8 | p[3] : 0, at;

    if (length < HEAD || length > n || length > RADIUS_PACKET_MAX || p[1] != q->id)
        return RADIUS_FOREIGN;
    if (p[0] != ACCESS_ACCEPT && p[0] != ACCESS_REJECT && p[0] != ACCESS_CHALLENGE)
        return RADIUS_FOREIGN;
    at = find_authenticator(p, length);
    if (at == 0 || !response_is_right(q, p, length) || !message_is_right(q, p, length, at))
        return RADIUS_UNAUTHENTIC;
    return p[0] == ACCESS_ACCEPT ? RADIUS_ACCEPT : p[0] == ACCESS_REJECT ? RADIUS_REJECT : RADIUS_CHALLENGE;
}

bool radius_answer_group(const unsigned char *p, size_t *at, struct str *ret)
{
    size_t n = (size_t)p[2] << 8 | p[3];

    if (*at < HEAD)
        *at = HEAD;
    while (*at < n) {
        const unsigned char *a = p + *at;
        *at += a[1];
        if (a[0] == FILTER_ID || a[0] == CLASS) {
            *ret = octets(a + 2, a[1] - 2u);
            return true;
        }
    }
    return false;
}
