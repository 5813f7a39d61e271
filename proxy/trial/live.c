/*
 * One device against one address: its own ClientHello, what comes back, and what the device makes of it. Blocking, with a
 * deadline for each trial.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include "trial_int.h"

int64_t trial_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 1: ready, 0: late, -1: error. */
static int wait_for(int fd, short events, int64_t deadline_ms)
{
    struct pollfd p = {fd, events, 0};
    int64_t left;
    int n;

    do {
        left = deadline_ms - trial_now_ms();
        if (left <= 0)
            return 0;
        n = poll(&p, 1, (int)left);
    } while (n < 0 && errno == EINTR);
    return n;
}

bool trial_wait(int fd, bool write, int64_t deadline_ms)
{
    return wait_for(fd, write ? POLLOUT : POLLIN, deadline_ms) > 0;
}

ssize_t trial_read(int fd, void *p, size_t n, int64_t deadline_ms)
{
    ssize_t got;

    do {
        if (wait_for(fd, POLLIN, deadline_ms) <= 0)
            return -1;
        got = recv(fd, p, n, 0);
    } while (got < 0 && (errno == EAGAIN || errno == EINTR));
    return got;
}

int trial_write(int fd, const void *p, size_t n, int64_t deadline_ms)
{
    const char *at = p;

    while (n > 0) {
        ssize_t put;

        if (wait_for(fd, POLLOUT, deadline_ms) <= 0)
            return -1;
        put = send(fd, at, n, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        if (put > 0) {
            at += put;
            n -= (size_t)put;
        }
    }
    return 0;
}

static int connect_one(const struct addrinfo *a, int64_t deadline_ms)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0, on = 1;
    socklen_t n = sizeof(error);

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* small flights, each waited for */
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && wait_for(fd, POLLOUT, deadline_ms) > 0 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0)
        return fd;
    error = error != 0 ? error : errno;
    close(fd);
    errno = error == EINPROGRESS ? ETIMEDOUT : error;
    return -1;
}

/* An answer of SMTP, which may have several lines (RFC 5321 4.2.1). Its code, or -1. */
static int smtp_answer(int fd, int64_t deadline_ms)
{
    char line[1024];
    size_t n = 0, total = 0;
    char c;

    while (total++ < 16384 && trial_read(fd, &c, 1, deadline_ms) == 1) {
        if (n < sizeof(line))
            line[n++] = c;
        if (c != '\n')
            continue;
        if (n >= 4 && line[3] != '-')
            return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
        n = 0;
    }
    return -1;
}

static int smtp_starttls(int fd, int64_t deadline_ms)
{
    static const char ehlo[] = "EHLO trial.invalid\r\n", starttls[] = "STARTTLS\r\n";

    if (smtp_answer(fd, deadline_ms) != 220 || trial_write(fd, ehlo, sizeof(ehlo) - 1, deadline_ms) < 0 ||
        smtp_answer(fd, deadline_ms) != 250 ||
        trial_write(fd, starttls, sizeof(starttls) - 1, deadline_ms) < 0)
        return -1;
    return smtp_answer(fd, deadline_ms) == 220 ? 0 : -1;
}

int trial_connect(const struct trial_target *t, int64_t deadline_ms, char why[TRIAL_TEXT])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(t->host, t->port, &hints, &list), fd = -1;

    if (rc != 0) {
        snprintf(why, TRIAL_TEXT, "%s: %s", t->host, gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_one(a, deadline_ms);
    if (fd < 0)
        snprintf(why, TRIAL_TEXT, "%s port %s: %s", t->host, t->port, strerror(errno));
    freeaddrinfo(list);
    if (fd >= 0 && t->starttls_smtp && smtp_starttls(fd, deadline_ms) < 0) {
        snprintf(why, TRIAL_TEXT, "the server does not take STARTTLS");
        close(fd);
        fd = -1;
    }
    return fd;
}

static void stop_alert(struct trial_outcome *o, const struct trial_answer *a)
{
    unsigned what = a->alert[1];
    enum trial_stop stop = what == 70 || what == 86 ? STOP_VERSION : what == 120 ? STOP_ALPN : STOP_SUITE;

    trial_stop(o, stop, "the server ends the handshake with the alert %s (%u)", trial_alert_name(what), what);
}

/* Until the flight is whole; bytes after it are nobody's. */
static void read_answer(int fd, int64_t deadline_ms, struct trial_answer *a, struct trial_outcome *o)
{
    uint8_t buffer[8192];
    enum trial_answer_state state = ANSWER_MORE;
    ssize_t n = 0;

    while (state == ANSWER_MORE && (n = trial_read(fd, buffer, sizeof(buffer), deadline_ms)) > 0)
        state = trial_answer_feed(a, buffer, (size_t)n);
    if (state == ANSWER_BAD)
        trial_stop(o, STOP_NETWORK, "the server's answer is not understood: %s", a->why);
    else if (a->alert_n == 2)
        stop_alert(o, a);
    else if (state == ANSWER_MORE && n == 0)
        trial_stop(o, STOP_SUITE, "the server closes the connection without a word");
    else if (state == ANSWER_MORE)
        trial_stop(o, trial_now_ms() >= deadline_ms ? STOP_NETWORK : STOP_SUITE, "%s",
                   trial_now_ms() >= deadline_ms ? "the server does not answer in time"
                                                 : "the server resets the connection");
}

static void judge_answer(const struct trial_device *d, const struct trial_answer *a, struct trial_outcome *o)
{
    o->version = a->version;
    o->suite = a->suite;
    o->group = a->group;
    if (a->version < d->tls.min || a->version > d->tls.max)
        trial_stop(o, STOP_VERSION, "the server chooses %s, which the device does not speak",
                   trial_version_name(a->version));
    if (!trial_codes_has(&d->tls.suites, a->suite))
        trial_stop(o, STOP_SUITE, "the server chooses a cipher suite that was not offered");
    if (a->dh_bits != 0 && d->tls.dh_bits_max != 0 && a->dh_bits > d->tls.dh_bits_max)
        trial_stop(o, STOP_LIMIT,
                   "it takes Diffie-Hellman groups of at most %u bits, and the server's has %u",
                   d->tls.dh_bits_max, a->dh_bits);
    if (a->dh_bits != 0 && a->dh_bits < d->tls.dh_bits_min)
        trial_stop(o, STOP_LIMIT,
                   "it asks for Diffie-Hellman groups of at least %u bits, and the server's has %u",
                   d->tls.dh_bits_min, a->dh_bits);
}

static void judge_certificate(const struct trial_device *d, const struct trial_target *t,
                              struct trial_certificate *c, struct trial_outcome *o)
{
    o->key = c->key;
    memcpy(o->fingerprint, c->fingerprint, sizeof(c->fingerprint));
    trial_rules_apply(d, c, t->name, o->no_sni, o);
    trial_certificate_free(c);
}

/* What the device would do next, as far as OpenSSL can be made to do it. */
static void complete(const struct trial_device *d, const struct trial_target *t, bool needs_certificate,
                     struct trial_outcome *o)
{
    struct trial_outcome again = {.certificate = -1};
    struct trial_certificate leaf = {.names = NULL};
    char why[TRIAL_TEXT] = "";
    struct trial_session *s = NULL;

    if (trial_tls_can(d, o->version, o->suite))
        s = trial_tls_connect(
            d, t, o->version == TRIAL_TLS13 && d->tls.min >= TRIAL_TLS10 ? d->tls.min : o->version,
            o->version, &again, &leaf, why);
    else
        snprintf(why, sizeof(why), "OpenSSL has no such suite");
    if (s == NULL) {
        snprintf(o->note, TRIAL_TEXT, "not completed: %.280s", why);
        if (needs_certificate)
            trial_stop(o, STOP_NETWORK, "the certificate could not be seen: %.200s", why);
        return;
    }
    o->completed = true;
    snprintf(o->note, TRIAL_TEXT, "handshake completed");
    if (needs_certificate)
        judge_certificate(d, t, &leaf, o);
    trial_certificate_free(&leaf);
    if (o->stop == STOP_NOWHERE && t->http && !t->starttls_smtp)
        trial_ask(d, t, s, o);
    trial_tls_close(s);
}

void trial_live(const struct trial_device *d, const struct trial_target *t, struct trial_outcome *ret)
{
    int64_t deadline = trial_now_ms() + t->timeout_ms;
    struct trial_certificate c = {.names = NULL};
    struct trial_answer a;
    struct trial_hello hello;
    char why[TRIAL_TEXT];
    bool seen;
    int fd;

    *ret = (struct trial_outcome){.certificate = -1, .no_sni = !d->tls.sni};
    if (!trial_hello_write(d, t->name, &hello)) {
        trial_stop(ret, STOP_NETWORK, "the profile's hello cannot be written: too long");
        return;
    }
    fd = trial_connect(t, deadline, why);
    if (fd < 0) {
        trial_stop(ret, STOP_NETWORK, "%s", why);
        return;
    }
    trial_answer_init(&a);
    if (trial_write(fd, hello.bytes, hello.n, deadline) < 0)
        trial_stop(ret, STOP_NETWORK, "the hello could not be sent");
    else
        read_answer(fd, deadline, &a, ret);
    close(fd);
    if (ret->stop == STOP_NOWHERE)
        judge_answer(d, &a, ret);
    seen = a.certificates.p != NULL && trial_certificate_read_list(a.certificates, &c) == 0;
    if (seen)
        judge_certificate(d, t, &c, ret);
    else if (ret->stop == STOP_NOWHERE && a.version < TRIAL_TLS13)
        trial_stop(ret, STOP_NETWORK, "the server's certificate cannot be read");
    trial_answer_free(&a);
    if (ret->stop == STOP_NOWHERE)
        complete(d, t, !seen, ret);
}
