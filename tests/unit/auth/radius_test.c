/*
 * RADIUS packets against the vectors of RFC 1321, RFC 2202 and RFC 2865, and every way to spoil one. (Conversations: tests/auth.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "../../../proxy/auth/radius_packet.h"

static void hex(const unsigned char *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static void digests(void **state)
{
    unsigned char out[MD5_BYTES], key[80];
    char text[2 * MD5_BYTES + 1];
    struct str parts[] = {STR("abcdefghijklm"), STR(""), STR("nopqrstuvwxyz")};

    assert_true(md5(parts, 3, out));
    hex(out, sizeof(out), text);
    assert_string_equal(text, "c3fcd3d76192e4007dfb496cca67e13b");
    parts[0] = STR("what do ya want ");
    parts[2] = STR("for nothing?");
    assert_true(md5_hmac(STR("Jefe"), parts, 3, out));
    hex(out, sizeof(out), text);
    assert_string_equal(text, "750c783e6ab0b503eaa86e310a5db738");
    memset(key, 0xaa, sizeof(key)); /* longer than a block */
    parts[0] = STR("Test Using Larger Than Block-Size Key and Larger ");
    parts[2] = STR("Than One Block-Size Data");
    assert_true(md5_hmac((struct str){(char *)key, sizeof(key)}, parts, 3, out));
    hex(out, sizeof(out), text);
    assert_string_equal(text, "6f630fad67cda0ee1fb1f562db3aa53e");
}

static const unsigned char authenticator[MD5_BYTES] = {0x0f, 0x40, 0x3f, 0x94, 0x73, 0x97, 0x80, 0x57,
                                                       0xbd, 0x83, 0xd5, 0xcb, 0x98, 0xf4, 0x22, 0x7a};

static struct radius_question question(void)
{
    struct radius_question q = {.id = 0,
                                .secret = STR("xyzzy5461"),
                                .user = STR("nemo"),
                                .password = STR("arctangent"),
                                .nas_identifier = STR("gate")};

    memcpy(q.authenticator, authenticator, MD5_BYTES);
    return q;
}

/* RFC 2865 7.1 has this authenticator, secret and password. */
static void hidden_password(void **state)
{
    static const unsigned char want[] = {0x02, 0x12, 0x0d, 0xbe, 0x70, 0x8d, 0x93, 0xd4, 0x13,
                                         0xce, 0x31, 0x96, 0xe4, 0x3f, 0x78, 0x2a, 0x0a, 0xee};
    struct radius_question q = question();
    unsigned char out[RADIUS_PACKET_MAX];
    ssize_t n = radius_question_write(&q, out);

    assert_int_equal(n, 20 + 18 + 6 + 18 + 6 + 6);
    assert_int_equal(out[0], 1);
    assert_int_equal(out[2] << 8 | out[3], n);
    assert_int_equal(out[20], 80); /* Message-Authenticator comes first */
    assert_non_null(memmem(out, (size_t)n, want, sizeof(want)));
    assert_null(memmem(out, (size_t)n, "arctangent", 10));
}

static void limits(void **state)
{
    static char text[300];
    struct radius_question q = question();
    unsigned char out[RADIUS_PACKET_MAX];

    memset(text, 'x', sizeof(text));
    q.password = (struct str){text, RADIUS_PASSWORD_MAX};
    q.user = q.nas_identifier = (struct str){text, RADIUS_TEXT_MAX};
    assert_true(radius_question_write(&q, out) > 0);
    q.password.n++;
    assert_int_equal(radius_question_write(&q, out), -1);
    q.password.n = 0;
    assert_int_equal(radius_question_write(&q, out), -1);
    q.password.n = 1;
    q.user.n++;
    assert_int_equal(radius_question_write(&q, out), -1);
    q.user.n = 0;
    assert_int_equal(radius_question_write(&q, out), -1);
    q.user.n = 1;
    q.secret.n = 0;
    assert_int_equal(radius_question_write(&q, out), -1);
}

/* A good answer with `more` behind its Message-Authenticator; its length. */
static size_t answer(const struct radius_question *q, uint8_t code, struct str more, unsigned char *out)
{
    size_t n = 20 + 18 + more.n;
    struct str whole = {(char *)out, n}, signed_parts[] = {whole, q->secret};

    out[0] = code;
    out[1] = q->id;
    out[2] = (uint8_t)(n >> 8);
    out[3] = (uint8_t)n;
    memcpy(out + 4, q->authenticator, MD5_BYTES);
    memset(out + 20, 0, 18);
    out[20] = 80;
    out[21] = 18;
    memcpy(out + 38, more.p, more.n);
    assert_true(md5_hmac(q->secret, &whole, 1, out + 22));
    assert_true(md5(signed_parts, 2, out + 4));
    return n;
}

static void answers(void **state)
{
    struct radius_question q = question();
    unsigned char p[512];
    size_t n = answer(&q, 2, STR("\x0b\x06Mail\x19\x07staff\x12\x05yes\x0b\x02"), p);
    struct str group;
    size_t at = 0;

    assert_int_equal(radius_answer_read(&q, p, n), RADIUS_ACCEPT);
    assert_int_equal(radius_answer_read(&q, p, n + 7), RADIUS_ACCEPT); /* padding, RFC 2865 3 */
    assert_true(radius_answer_group(p, &at, &group) && str_eq(group, STR("Mail")));
    assert_true(radius_answer_group(p, &at, &group) && str_eq(group, STR("staff")));
    assert_true(radius_answer_group(p, &at, &group) && group.n == 0);
    assert_false(radius_answer_group(p, &at, &group));
    n = answer(&q, 3, STR(""), p);
    assert_int_equal(radius_answer_read(&q, p, n), RADIUS_REJECT);
    n = answer(&q, 11, STR(""), p);
    assert_int_equal(radius_answer_read(&q, p, n), RADIUS_CHALLENGE);
    n = answer(&q, 5, STR(""), p);
    assert_int_equal(radius_answer_read(&q, p, n), RADIUS_FOREIGN);
}

/* Whichever octet of a refusal or a welcome is changed, to whatever: never a welcome. */
static void every_octet_counts(void **state)
{
    struct radius_question q = question();
    unsigned char p[512], spoilt[512];
    static const uint8_t codes[] = {2, 3};

    for (size_t c = 0; c < 2; c++) {
        size_t n = answer(&q, codes[c], STR("\x12\x04no"), p);
        for (size_t i = 0; i < n; i++) {
            for (unsigned x = 1; x < 256; x++) {
                memcpy(spoilt, p, n);
                spoilt[i] ^= (unsigned char)x;
                assert_int_not_equal(radius_answer_read(&q, spoilt, n), RADIUS_ACCEPT);
            }
        }
        for (size_t i = 0; i < n; i++)
            assert_int_not_equal(radius_answer_read(&q, p, i), codes[c] == 2 ? RADIUS_ACCEPT : RADIUS_REJECT);
    }
}

static void no_signature_no_answer(void **state)
{
    struct radius_question q = question(), other = question();
    unsigned char p[512];
    struct str parts[] = {{(char *)p, 20}, q.secret};
    size_t n;

    memcpy(p, "\x02\x00\x00\x14", 4);
    memcpy(p + 4, q.authenticator, MD5_BYTES);
    assert_true(md5(parts, 2, p + 4)); /* all that RFC 2865 asks for */
    assert_int_equal(radius_answer_read(&q, p, 20), RADIUS_UNAUTHENTIC);
    n = answer(&q, 2,
               STR("\x50\x12"
                   "0123456789abcdef"),
               p);
    assert_int_equal(radius_answer_read(&q, p, n), RADIUS_UNAUTHENTIC); /* two of them */
    n = answer(&q, 2, STR("\x12\x09yes"), p);
    assert_int_equal(radius_answer_read(&q, p, n), RADIUS_UNAUTHENTIC); /* an attribute beyond the end */
    n = answer(&q, 2, STR(""), p);
    other.secret = STR("xyzzy5462");
    assert_int_equal(radius_answer_read(&other, p, n), RADIUS_UNAUTHENTIC);
    other = question();
    other.authenticator[15] ^= 1;
    assert_int_equal(radius_answer_read(&other, p, n), RADIUS_UNAUTHENTIC);
    other = question();
    other.id = 1;
    assert_int_equal(radius_answer_read(&other, p, n), RADIUS_FOREIGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
        cmocka_unit_test(hidden_password),
        cmocka_unit_test(limits),
        cmocka_unit_test(answers),
        cmocka_unit_test(every_octet_counts),
        cmocka_unit_test(no_signature_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
