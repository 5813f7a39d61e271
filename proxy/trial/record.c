/*
 * `postern trial record`: listens, and writes the profile of whoever connects.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/socket.h>
#include "trial_int.h"

#define RECORD_TIMEOUT_MS 60000

static int listen_on(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int on = 1, fd = -1;

    if (getaddrinfo(host, port, &hints, &list) != 0)
        return -1;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 4) < 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static void say_where(int fd)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);
    char host[64], port[16];

    if (getsockname(fd, (struct sockaddr *)&sa, &n) == 0 &&
        getnameinfo((struct sockaddr *)&sa, n, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        fprintf(stderr, "waiting for one client on %s port %s\n", host, port);
}

/* One client's first bytes. The alert spares it the wait. */
static int record_one(int fd, const char *name)
{
    static const uint8_t alert[] = {21, 3, 1, 0, 2, 2, 40};
    uint8_t bytes[TRIAL_HELLO_MAX + 64];
    size_t n = 0;
    int64_t deadline = trial_now_ms() + RECORD_TIMEOUT_MS;
    int result = 0;

    while (result == 0 && n < sizeof(bytes)) {
        ssize_t got = trial_read(fd, bytes + n, sizeof(bytes) - n, deadline);

        if (got <= 0)
            break;
        n += (size_t)got;
        result = trial_hello_record(bytes, n, name, stdout);
    }
    trial_write(fd, alert, sizeof(alert), deadline);
    return result == 1 ? 0 : -1;
}

int trial_record_command(int argc, char **argv)
{
    const char *host = "127.0.0.1", *port = "0", *name = "recorded";
    int fd, client, result;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--listen") == 0)
            host = argv[i + 1];
        else if (strcmp(argv[i], "--port") == 0)
            port = argv[i + 1];
        else if (strcmp(argv[i], "--name") == 0)
            name = argv[i + 1];
        else
            argc = 0;
    }
    if (argc % 2 == 0) {
        fputs("usage: postern trial record [--listen ADDRESS] [--port PORT] [--name NAME] >FILE.yaml\n",
              stderr);
        return 2;
    }
    fd = listen_on(host, port);
    if (fd < 0) {
        fprintf(stderr, "postern trial record: cannot listen on %s port %s: %m\n", host, port);
        return 1;
    }
    say_where(fd);
    client = trial_wait(fd, false, trial_now_ms() + 10 * RECORD_TIMEOUT_MS)
                 ? accept4(fd, NULL, NULL, SOCK_CLOEXEC)
                 : -1;
    close(fd);
    result = client >= 0 ? record_one(client, name) : -1;
    if (client >= 0)
        close(client);
    if (result < 0)
        fputs("postern trial record: no ClientHello came\n", stderr);
    return result < 0 ? 1 : 0;
}
