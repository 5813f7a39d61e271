/*
 * `type: radius`: a password is put to a RADIUS server over UDP. Each question has a socket of its own, so its port is as hard
 * to guess as its authenticator, and an ICMP error ends the waiting.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/random.h>
#include <postern/tls_socket.h>

#include "auth_int.h"
#include "login.h"
#include "lookup.h"
#include "radius_packet.h"
#include "standing.h"

struct radius_server {
    struct standing standing;
    struct lookup *lookup;
};

struct radius_directory {
    const struct conf_directory *conf;
    size_t n;
    struct radius_server servers[];
};

/* What came of one server. */
struct radius_try {
    enum radius_kind kind; /* RADIUS_FOREIGN: nothing that counts */
    bool unauthentic;      /* something came that may not be believed */
    int error;             /* -errno of the socket */
    uint64_t groups;
};

static uint64_t groups_of(const struct conf_directory *d, const unsigned char *p)
{
    struct str name;
    uint64_t found = 0;
    size_t at = 0;

    while (radius_answer_group(p, &at, &name)) {
        for (unsigned i = 0; i < d->group_names->n; i++) {
            if ((d->groups >> i & 1) != 0 && str_eq_nocase(d->group_names->v[i], name))
                found |= UINT64_C(1) << i;
        }
    }
    return found;
}

/* Until `due_ns`. What is not for us is passed over: anybody can send a datagram. */
static void radius_wait(const struct conf_directory *d, const struct radius_question *q, int fd,
                        uint64_t due_ns, struct radius_try *t)
{
    unsigned char answer[RADIUS_PACKET_MAX];

    while (t->kind == RADIUS_FOREIGN && (t->error = socket_wait(fd, POLLIN, due_ns)) == 0) {
        ssize_t n = uv_hrtime() < due_ns ? recv(fd, answer, sizeof(answer), MSG_DONTWAIT) : 0;
        enum radius_kind kind = n > 0 ? radius_answer_read(q, answer, (size_t)n) : RADIUS_FOREIGN;
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            t->error = -errno;
            return;
        }
        if (kind == RADIUS_UNAUTHENTIC)
            t->unauthentic = true;
        else
            t->kind = kind;
        if (kind == RADIUS_ACCEPT)
            t->groups = groups_of(d, answer);
        if (uv_hrtime() >= due_ns && t->kind == RADIUS_FOREIGN) {
            t->error = -ETIMEDOUT;
            return;
        }
    }
}

/* The same packet each time: the server tells a repetition by it (RFC 5080 2.2.2). */
static void radius_exchange(const struct conf_directory *d, const struct radius_question *q,
                            const unsigned char *packet, size_t n, int fd, uint64_t due_ns,
                            struct radius_try *t)
{
    uint64_t begin = uv_hrtime(), all = due_ns > begin ? due_ns - begin : 0;

    for (unsigned i = 0; i < d->attempts && t->kind == RADIUS_FOREIGN; i++) {
        if (send(fd, packet, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
            t->error = -errno;
            return;
        }
        radius_wait(d, q, fd, begin + all * (i + 1) / d->attempts, t);
        if (t->error != 0 && t->error != -ETIMEDOUT)
            return;
    }
}

static int radius_socket(const struct sockaddr_storage *a)
{
    socklen_t n = a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(a->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)(const void *)a, n) == 0)
        return fd;
    n = (socklen_t)errno;
    close(fd);
    return -(int)n;
}

/* Each address of the name gets its share of the time. */
static void radius_ask_server(const struct conf_directory *d, struct radius_server *s,
                              struct radius_question *q, uint64_t due_ns, struct radius_try *t)
{
    unsigned char packet[RADIUS_PACKET_MAX];
    struct resolve_result addresses;
    ssize_t n;

    t->error = lookup_get(s->lookup, due_ns, &addresses);
    if (getrandom(&q->id, 1, 0) != 1 || getrandom(q->authenticator, MD5_BYTES, 0) != MD5_BYTES)
        t->error = -EIO;
    n = t->error == 0 ? radius_question_write(q, packet) : -1;
    if (n < 0 && t->error == 0)
        t->error = -ENOTSUP; /* MD5, in FIPS mode */
    for (unsigned i = 0; n > 0 && i < addresses.n && t->kind == RADIUS_FOREIGN; i++) {
        int fd = radius_socket(&addresses.v[i]);
        t->error = fd < 0 ? fd : 0;
        if (fd < 0)
            continue;
        radius_exchange(d, q, packet, (size_t)n, fd, standing_due(due_ns, i + 1 < addresses.n), t);
        close(fd);
    }
    explicit_bzero(packet, sizeof(packet));
}

static void radius_fail(struct radius_server *s, const struct radius_try *t, struct auth_result *ret)
{
    const char *why = t->unauthentic
                          ? "answers are not authentic: another secret, or no Message-Authenticator in them"
                      : t->error == -ENOENT ? "the name has no address"
                                            : strerror(-t->error);

    ret->verdict = t->error == -ETIMEDOUT && !t->unauthentic ? VERDICT_TIMEOUT : VERDICT_UNAVAILABLE;
    ret->detail = t->unauthentic           ? AUTH_DETAIL_BAD_ANSWER
                  : t->error == -ETIMEDOUT ? AUTH_DETAIL_TIMED_OUT
                                           : AUTH_DETAIL_UNREACHABLE;
    (void)standing_failed(&s->standing, ret->detail, why);
}

static bool radius_judge(const struct radius_try *t, struct auth_result *ret)
{
    *ret = (struct auth_result){.verdict = VERDICT_WRONG, .detail = AUTH_DETAIL_INVALID};
    if (t->kind == RADIUS_ACCEPT)
        *ret = (struct auth_result){.verdict = VERDICT_OK, .groups = t->groups};
    else if (t->kind == RADIUS_CHALLENGE)
        ret->detail = AUTH_DETAIL_CHALLENGED;
    return t->kind != RADIUS_FOREIGN;
}

static void radius_ask_all(struct radius_directory *d, struct radius_question *q, uint64_t due_ns,
                           struct auth_result *ret)
{
    struct standing *standings[STANDINGS_MAX];
    uint8_t order[STANDINGS_MAX];

    for (size_t i = 0; i < d->n; i++)
        standings[i] = &d->servers[i].standing;
    standing_order(standings, d->n, order);
    for (size_t i = 0; i < d->n && (i == 0 || uv_hrtime() < due_ns); i++) {
        struct radius_server *s = &d->servers[order[i]];
        struct radius_try t = {.kind = RADIUS_FOREIGN};
        uint64_t most = uv_hrtime() + d->conf->answer_timeout * 1000000,
                 due = standing_due(due_ns, i + 1 < d->n);
        standing_asks(&s->standing);
        radius_ask_server(d->conf, s, q, most < due ? most : due, &t);
        standing_asked(&s->standing);
        if (radius_judge(&t, ret)) {
            standing_worked(&s->standing);
            return;
        }
        radius_fail(s, &t, ret);
    }
}

static void radius_verify(void *state, const struct basic_credentials *c, const char *client,
                          uint64_t timeout_ms, struct auth_result *ret)
{
    struct radius_directory *d = state;
    struct str template = d->conf->bind_as.p != NULL ? d->conf->bind_as : STR("{account}");
    char user[RADIUS_TEXT_MAX + 1];
    struct login login;
    ptrdiff_t n = login_parse(d->conf, c, &login)
                      ? login_expand(template, &login, LOGIN_PLAIN, user, sizeof(user))
                      : -1;
    struct radius_question q = {.secret = d->conf->secret.bytes,
                                .password = {c->password, c->password_n},
                                .nas_identifier = d->conf->nas_identifier,
                                .calling_station = str_of(client)};

    if (n <= 0 || c->password_n == 0 || c->password_n > RADIUS_PASSWORD_MAX) {
        *ret = (struct auth_result){.verdict = VERDICT_WRONG,
                                    .detail = n <= 0 ? AUTH_DETAIL_UNKNOWN_USER : AUTH_DETAIL_INVALID};
        return;
    }
    q.user = (struct str){user, (size_t)n};
    radius_ask_all(d, &q, uv_hrtime() + timeout_ms * 1000000, ret);
}

static void radius_servers(void *state, void (*each)(void *ctx, const struct verifier_server *s), void *ctx)
{
    struct radius_directory *d = state;

    for (size_t i = 0; i < d->n; i++) {
        struct verifier_server one = standing_status(&d->servers[i].standing);
        each(ctx, &one);
    }
}

/* ---- begin and end ---- */

static void radius_close(void *state)
{
    struct radius_directory *d = state;

    for (size_t i = 0; i < d->n; i++) {
        lookup_free(d->servers[i].lookup);
        standing_fini(&d->servers[i].standing);
    }
    free(d);
}

static bool radius_check(const struct conf_directory *d, struct conf_findings *f)
{
    const char *why = d->bind_as.p != NULL ? login_template_fault(d->bind_as, true) : NULL;
    size_t errors = conf_findings_count(f, CONF_ERROR);

    if (why != NULL)
        conf_finding_add(f, CONF_ERROR, d->mark, "directories.%.*s: `bind_as`: %s", STR_ARG(d->name), why);
    if (d->nas_identifier.n > RADIUS_TEXT_MAX)
        conf_finding_add(f, CONF_ERROR, d->mark,
                         "directories.%.*s: `nas_identifier` is longer than 253 octets", STR_ARG(d->name));
    if (d->secret.bytes.n < 16)
        conf_finding_add(
            f, CONF_WARNING, d->secret.mark,
            "directories.%.*s: the secret is shorter than 16 octets: who records one question can try them all",
            STR_ARG(d->name));
    return conf_findings_count(f, CONF_ERROR) == errors;
}

static void *radius_open(const struct conf_directory *conf, struct conf_findings *f)
{
    struct radius_directory *d = NULL;

    if (radius_check(conf, f))
        d = calloc(1, sizeof(*d) + conf->servers_n * sizeof(d->servers[0]));
    if (d == NULL)
        return NULL;
    d->conf = conf;
    while (d->n < conf->servers_n) {
        const struct conf_directory_server *s = &conf->servers[d->n];
        standing_init(&d->servers[d->n].standing, conf, s);
        d->servers[d->n].lookup = lookup_new(s->host, s->port, conf->resolve_interval);
        if (d->servers[d->n++].lookup != NULL)
            continue;
        radius_close(d);
        return NULL;
    }
    return d;
}

const struct verifier_type verifier_radius = {.type = CONF_DIRECTORY_RADIUS,
                                              .open = radius_open,
                                              .close = radius_close,
                                              .verify = radius_verify,
                                              .servers = radius_servers};
