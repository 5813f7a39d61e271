/*
 * Opening the listening sockets, all or none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <postern/listener.h>

static void socket_free(struct listen_socket *k)
{
    for (unsigned i = 0; k->fds != NULL && i < k->workers; i++) {
        if (k->fds[i] >= 0)
            close(k->fds[i]);
    }
    free(k->fds);
    free((char *)k->address.text.p);
}

void listen_set_free(struct listen_set *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->n; i++)
        socket_free(&l->v[i]);
    free(l->v);
    free(l);
}

/* "*:443" takes IPv4 clients as well; an IPv6 address as written takes no others. */
static bool both_families(const struct conf_address *a)
{
    return a->text.n > 0 && a->text.p[0] == '*';
}

static const struct listen_socket *set_find(const struct listen_set *l, const struct conf_address *a)
{
    for (size_t i = 0; l != NULL && i < l->n; i++) {
        const struct conf_address *b = &l->v[i].address;

        if (b->len == a->len && memcmp(&b->sa, &a->sa, a->len) == 0 && both_families(a) == both_families(b))
            return &l->v[i];
    }
    return NULL;
}

static int socket_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

/* -1 with errno. */
static int socket_bind(const struct conf_address *a, bool shared)
{
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

    if (fd < 0)
        return -1;
    if (socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
        (!shared || socket_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) == 0) &&
        (a->sa.ss_family != AF_INET6 ||
         socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families(a) ? 0 : 1) == 0) &&
        bind(fd, (const struct sockaddr *)&a->sa, a->len) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Another process of the same account could share a port that is bound with SO_REUSEPORT, and take half of the clients
 * unnoticed: a socket without it tells. */
static int address_is_free(const struct conf_address *a)
{
    int fd = socket_bind(a, false);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int sockets_open(struct listen_socket *k, int backlog)
{
    if (address_is_free(&k->address) < 0)
        return -1;
    for (unsigned i = 0; i < k->workers; i++) {
        k->fds[i] = socket_bind(&k->address, true);
        if (k->fds[i] < 0 || listen(k->fds[i], backlog) < 0)
            return -1;
    }
    return 0;
}

static unsigned port_of(const struct conf_address *a)
{
    if (a->sa.ss_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)&a->sa)->sin_port;
    return a->sa.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)&a->sa)->sin6_port : 0;
}

static bool port_is_among(const struct listen_socket *v, size_t n, const struct conf_address *a)
{
    for (size_t i = 0; i < n; i++) {
        if (port_of(&v[i].address) == port_of(a))
            return true;
    }
    return false;
}

static const char *remedy(int error, bool ours)
{
    switch (error) {
    case EADDRINUSE:
        if (ours)
            return "; Postern itself takes that port under another address: name one of them, or restart it after such a change";
        return "; another process listens there (`ss -ltnp` shows which): stop it or choose another port";
    case EACCES:
        return "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "; no interface of this machine has that address";
    case EMFILE:
    case ENFILE:
        return "; raise the limit of open files";
    default:
        return "";
    }
}

static void socket_refused(const struct listen_set *l, const struct listen_set *old,
                           const struct conf_address *a, const struct conf_listener *c,
                           struct conf_findings *f)
{
    int error = errno;
    bool ours = port_is_among(l->v, l->n - 1, a) || (old != NULL && port_is_among(old->v, old->n, a));

    conf_finding_add(f, CONF_ERROR, c->mark, "cannot listen on %.*s: %s%s", STR_ARG(a->text), strerror(error),
                     remedy(error, ours));
}

static bool socket_add(struct listen_set *l, const struct listen_set *old, const struct conf_address *a,
                       unsigned workers, const struct conf_listener *c, struct conf_findings *f)
{
    struct listen_socket *k = &l->v[l->n];
    char *text = str_dup(a->text);

    memset(k, 0, sizeof(*k));
    k->fds = calloc(workers, sizeof(*k->fds));
    k->workers = workers;
    k->address = *a;
    k->address.text = (struct str){text, a->text.n};
    l->n++;
    for (unsigned i = 0; k->fds != NULL && i < workers; i++)
        k->fds[i] = -1;
    if (k->fds == NULL || text == NULL) {
        conf_finding_add(f, CONF_ERROR, c->mark, "out of memory");
        return false;
    }
    k->fresh = set_find(old, a) == NULL;
    if (!k->fresh || sockets_open(k, c->backlog) == 0)
        return true;
    socket_refused(l, old, a, c, f);
    return false;
}

static size_t addresses_count(const struct snapshot *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->listeners_n; i++)
        n += s->listeners[i].addresses_n;
    return n;
}

struct listen_set *listen_set_update(const struct listen_set *old, const struct snapshot *s, unsigned workers,
                                     struct conf_findings *f)
{
    struct listen_set *l = calloc(1, sizeof(*l));
    bool good;

    if (l != NULL)
        l->v = calloc(addresses_count(s) + 1, sizeof(*l->v));
    good = l != NULL && l->v != NULL;
    if (!good)
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "out of memory");
    for (size_t i = 0; good && i < s->listeners_n; i++) {
        const struct conf_listener *c = &s->listeners[i];

        /* All that fail are told, not only the first. */
        for (size_t j = 0; j < c->addresses_n; j++)
            good = socket_add(l, old, &c->addresses[j], workers, c, f) && good;
    }
    if (good)
        return l;
    listen_set_free(l);
    return NULL;
}
