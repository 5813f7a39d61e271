/*
 * radius_packet: questions and answers of RADIUS with a password (PAP): RFC 2865, RFC 2869, RFC 5080.
 *
 * Our own, because no library that Debian 12 packages keeps to what CVE-2024-3596 ("BlastRADIUS") asks of a client: the MD5 of
 * the Response Authenticator alone can be forged by who sits on the path, and turns a refusal into a welcome. radcli 1.2.11 and
 * freeradius-client 1.1.7 neither send a Message-Authenticator with a password nor look for one in the answer. Here every
 * question begins with one, and an answer without a right one is no answer.
 */
#ifndef POSTERN_RADIUS_PACKET_H
#define POSTERN_RADIUS_PACKET_H

#include <sys/types.h>
#include <postern/md5.h>

#define RADIUS_PACKET_MAX 4096
#define RADIUS_PASSWORD_MAX 128 /* RFC 2865 5.2 */
#define RADIUS_TEXT_MAX 253     /* RFC 2865 5 */

struct radius_question {
    uint8_t id;
    unsigned char authenticator[MD5_BYTES]; /* random */
    struct str secret, user, password, nas_identifier;
    struct str calling_station; /* who asks, as text; n 0: unknown */
};

/* Length of the Access-Request, or -1: a part is empty or too long, or there is no MD5. The password is hidden in it, not safe:
 * overwrite the packet. */
ssize_t radius_question_write(const struct radius_question *q, unsigned char out[RADIUS_PACKET_MAX]);

enum radius_kind {
    RADIUS_FOREIGN,     /* not an answer to this question: malformed, or another number */
    RADIUS_UNAUTHENTIC, /* it would be one, but the secret is another, or there is no Message-Authenticator */
    RADIUS_ACCEPT,
    RADIUS_REJECT,
    RADIUS_CHALLENGE
};
/* Judges one datagram. */
enum radius_kind radius_answer_read(const struct radius_question *q, const unsigned char *p, size_t n);
/* The next Filter-Id or Class of a packet that radius_answer_read has found good; *at begins with 0. */
bool radius_answer_group(const unsigned char *p, size_t *at, struct str *ret);

#endif
