/*
 * An answer of a RADIUS server. The datagram is made authentic where the input asks for it, so that what lies behind the
 * signatures is reached; unsigned, it is never taken for an answer.
 */
#include <stdlib.h>

#include "../../proxy/auth/radius_packet.h"

#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            abort();                                                                                         \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct radius_question question = {
    .id = 7, .authenticator = "0123456789abcde", .secret = {"secret", 6}, .user = {"u", 1}};

/* The first Message-Authenticator of the attributes and the Response Authenticator, as the server would. */
static void make_authentic(unsigned char *p, size_t n)
{
    struct str whole = {(const char *)p, n}, parts[] = {whole, question.secret};

    p[1] = question.id;
    p[2] = (uint8_t)(n >> 8);
    p[3] = (uint8_t)n;
    memcpy(p + 4, question.authenticator, MD5_BYTES);
    for (size_t at = 20; at + 18 <= n && p[at + 1] >= 2; at += p[at + 1]) {
        if (p[at] == 80 && p[at + 1] == 18) {
            memset(p + at + 2, 0, MD5_BYTES);
            CHECK(md5_hmac(question.secret, &whole, 1, p + at + 2));
            break;
        }
    }
    CHECK(md5(parts, 2, p + 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char p[RADIUS_PACKET_MAX + 16] = {0};
    bool authentic = size > 0 && (data[0] & 1) != 0;
    enum radius_kind kind;
    struct str group;
    size_t at = 0, n = size > 0 ? size - 1 : 0, groups = 0;

    if (n > sizeof(p))
        n = sizeof(p);
    memcpy(p, data + (size > 0), n);
    if (authentic && n >= 20 && n <= RADIUS_PACKET_MAX)
        make_authentic(p, n);
    kind = radius_answer_read(&question, p, n);
    CHECK(authentic || (kind != RADIUS_ACCEPT && kind != RADIUS_REJECT && kind != RADIUS_CHALLENGE));
    while (kind == RADIUS_ACCEPT && radius_answer_group(p, &at, &group)) {
        CHECK((const unsigned char *)group.p >= p + 22 && (const unsigned char *)group.p + group.n <= p + n);
        CHECK(++groups < RADIUS_PACKET_MAX);
    }
    return 0;
}
