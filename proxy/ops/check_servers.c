/*
 * Extended Protection ties NTLM and Negotiate to the certificate that the client has seen (RFC 5929 4): where they pass through,
 * that is ours, and the server compares it with its own. Who finds out only by users that cannot sign in finds out late.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <postern/certificates.h>
#include <postern/tls_socket.h>

#include "check_servers.h"

#define LOOK_MS 3000

/* What Exchange asks of each virtual directory once Extended Protection is on (the defaults of its own script). */
static const struct {
    struct str service;
    bool always; /* else only of clients that offer it */
} wants[] = {
    {STR("owa"), true},  {STR("ecp"), true},         {STR("mapi"), true}, {STR("outlook_anywhere"), true},
    {STR("ews"), false}, {STR("activesync"), false}, {STR("oab"), false},
};

/* ---- one server: a thread of its own, since names may take their time ---- */

struct look {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool finished, abandoned; /* under the lock; the thread frees what was abandoned */
    char host[256], port[8];
    int error;
    unsigned char sha256[32];
    char why[160];
};

static int look_connect(const struct addrinfo *a, uint64_t due_ns)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    socklen_t n = sizeof(error);

    if (fd < 0)
        return -errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
        error = errno == EINPROGRESS ? -socket_wait(fd, POLLOUT, due_ns) : errno;
    if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
        error = errno;
    if (error == 0)
        return fd;
    close(fd);
    return -error;
}

static void look_at(struct look *l)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
    uint64_t due_ns = uv_hrtime() + UINT64_C(1000000) * LOOK_MS;
    int fd = -EADDRNOTAVAIL, bad = getaddrinfo(l->host, l->port, &hints, &all);

    for (struct addrinfo *a = bad == 0 ? all : NULL; a != NULL && fd < 0; a = a->ai_next)
        fd = look_connect(a, due_ns);
    if (bad == 0)
        freeaddrinfo(all);
    if (fd < 0) {
        l->error = fd;
        snprintf(l->why, sizeof(l->why), "%s", bad != 0 ? gai_strerror(bad) : strerror(-fd));
        return;
    }
    l->error = tls_socket_peek(fd, l->host, due_ns, l->sha256, l->why, sizeof(l->why));
    close(fd);
}

static void look_free(struct look *l)
{
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->done);
    free(l);
}

static void *look_thread(void *data)
{
    struct look *l = data;
    bool abandoned;

    look_at(l);
    pthread_mutex_lock(&l->lock);
    l->finished = true;
    abandoned = l->abandoned;
    pthread_cond_signal(&l->done);
    pthread_mutex_unlock(&l->lock);
    if (abandoned)
        look_free(l);
    return NULL;
}

/* NULL: no memory, or no thread. */
static struct look *look_start(const struct conf_server *server)
{
    struct look *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return NULL;
    snprintf(l->host, sizeof(l->host), "%.*s", STR_ARG(server->host));
    snprintf(l->port, sizeof(l->port), "%u", server->port);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->done, NULL);
    if (pthread_create(&l->thread, NULL, look_thread, l) == 0)
        return l;
    look_free(l);
    return NULL;
}

/* Whether the certificate is there; the look stays the thread's where it is not finished. */
static bool look_end(struct look *l, const struct timespec *until, unsigned char sha256[32], char *why,
                     size_t size)
{
    bool finished, good;

    pthread_mutex_lock(&l->lock);
    while (!l->finished && pthread_cond_timedwait(&l->done, &l->lock, until) == 0)
        ;
    finished = l->finished;
    l->abandoned = !finished;
    if (!finished)
        pthread_detach(l->thread);
    good = finished && l->error == 0;
    if (good)
        memcpy(sha256, l->sha256, 32);
    snprintf(why, size, "%s", finished ? l->why : "no answer within 3 s");
    pthread_mutex_unlock(&l->lock);
    if (finished) {
        pthread_join(l->thread, NULL);
        look_free(l);
    }
    return good;
}

/* ---- what is said ---- */

static void say_services(const struct conf_publish *p, bool always, char *out, size_t size)
{
    size_t n = 0;

    snprintf(out, size, "none");
    for (size_t i = 0; i < p->services_n; i++) {
        for (size_t k = 0; k < sizeof(wants) / sizeof(wants[0]); k++) {
            if (wants[k].always == always && str_eq(wants[k].service, p->services[i]->name) && n < size)
                n += (size_t)snprintf(out + n, size - n, "%s%.*s", n > 0 ? ", " : "",
                                      STR_ARG(wants[k].service));
        }
    }
}

static void compare(const struct snapshot *s, const struct conf_publish *p, const struct conf_server *server,
                    struct look *l, const struct timespec *until, struct conf_findings *f)
{
    unsigned char sha256[32];
    char why[160] = "out of memory", always[128], offered[128];

    if (l == NULL || !look_end(l, until, sha256, why, sizeof(why))) {
        conf_finding_add(
            f, CONF_WARNING, p->mark,
            "NTLM and Negotiate pass through to %.*s, whose certificate could not be compared with the listeners' (%s): where "
            "they differ, Extended Protection refuses such sign-ins; the running Postern compares when it checks the "
            "server's health (PO-BACK-0006)",
            STR_ARG(server->url), why);
        return;
    }
    if (certificates_have(s, sha256))
        return;
    say_services(p, true, always, sizeof(always));
    say_services(p, false, offered, sizeof(offered));
    conf_finding_add(
        f, CONF_WARNING, p->mark,
        "NTLM and Negotiate pass through to %.*s, which presents another certificate than the listeners: where Extended "
        "Protection is on (Exchange 2019 CU14 and later turn it on), it binds each sign-in to the certificate that the client "
        "saw, and refuses every such sign-in at: %s; those of clients that offer the binding at: %s. Give both the same "
        "certificate, or authenticate here: {basic: DIRECTORY}",
        STR_ARG(server->url), always, offered);
}

void check_servers(const struct snapshot *s, struct conf_findings *f)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOOK_MS / 1000;
    for (size_t i = 0; s->process.exchange >= CONF_EXCHANGE_2019 && i < s->publish_n; i++) {
        const struct conf_publish *p = &s->publish[i];

        if (p->basic != NULL)
            continue;
        for (size_t k = 0; k < p->to->servers_n; k++) {
            const struct conf_server *server = &p->to->servers[k];

            if (server->https)
                compare(s, p, server, look_start(server), &until, f);
        }
    }
}
