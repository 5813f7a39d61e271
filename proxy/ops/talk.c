/*
 * The asking side of the control socket: `postern status` and `postern reload`.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <postern/conf.h>

#include "command.h"

static int talk_connect(const char *path)
{
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 30};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof(u.sun_path))
        goto fail;
    memcpy(u.sun_path, path, strlen(path) + 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&u, sizeof(u)) == 0)
        return fd;
fail:
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Words begin with a line "ok" or "failed", which becomes the exit status; JSON is passed on as it is. */
static int talk_print(int fd, bool words)
{
    char text[4096], first[8] = "";
    size_t seen = 0;
    ssize_t n;
    bool body = !words;

    while ((n = read(fd, text, sizeof(text))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (body)
                putchar(text[i]);
            else if (text[i] == '\n')
                body = true;
            else if (seen < sizeof(first) - 1)
                first[seen++] = text[i];
        }
    }
    fflush(stdout);
    return n < 0 || !body || (words && strcmp(first, "ok") != 0);
}

static int talk(const char *file, const char *line, bool words)
{
    struct conf_findings *f = conf_findings_new();
    struct snapshot *s = f != NULL ? conf_load(file, f) : NULL;
    const char *path = s != NULL && s->process.control_socket.n > 0 ? s->process.control_socket.p : NULL;
    int fd, result = 1;

    if (s == NULL && f != NULL)
        conf_findings_print(f, stderr);
    if (s != NULL && path == NULL)
        fprintf(stderr, "postern: control_socket is not set in %s\n", file);
    fd = path != NULL ? talk_connect(path) : -1;
    if (path != NULL && fd < 0)
        fprintf(stderr, "postern: %s: %s; is Postern running, and may you open its socket?\n", path,
                strerror(errno));
    if (fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line))
        result = talk_print(fd, words);
    if (fd >= 0)
        close(fd);
    if (s != NULL)
        snapshot_release(s);
    conf_findings_free(f);
    return result;
}

static const char *const topics[] = {"accounts", "devices", "channels"};

/* Takes "devices [USER]" and the like off the front of the arguments; how many words that were. */
static int status_topic(int argc, char **argv, const char **ret_topic, const char **ret_about)
{
    *ret_topic = *ret_about = "";
    for (size_t i = 0; argc > 1 && i < sizeof(topics) / sizeof(topics[0]); i++) {
        if (strcmp(argv[1], topics[i]) != 0)
            continue;
        *ret_topic = topics[i];
        if (argc < 3 || argv[2][0] == '-')
            return 1;
        *ret_about = argv[2];
        return 2;
    }
    return 0;
}

int command_status(int argc, char **argv)
{
    const char *file, *topic, *about;
    int json, used = status_topic(argc, argv, &topic, &about);
    char line[512];

    argv[used] = argv[0];
    if (command_options(argc - used, argv + used, "--json", &file, &json) < 0)
        return 2;
    if (strpbrk(about, "\r\n") != NULL || strlen(about) > 256) {
        fputs("postern status: that is no name\n", stderr);
        return 2;
    }
    snprintf(line, sizeof(line), "status%s%s%s%s%s\n", topic[0] != '\0' ? " " : "", topic,
             json                    ? ""
             : isatty(STDOUT_FILENO) ? " text colour"
                                     : " text",
             about[0] != '\0' ? " -- " : "", about);
    return talk(file, line, !json);
}

int command_unlock(int argc, char **argv)
{
    const char *file, *name = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
    int used = name[0] != '\0';
    char line[512];

    argv[used] = argv[0];
    if (command_options(argc - used, argv + used, NULL, &file, NULL) < 0)
        return 2;
    if (used == 0 || strpbrk(name, "\r\n") != NULL || strlen(name) > 256) {
        fputs("postern unlock: it takes the name of an account, or an address\n", stderr);
        return 2;
    }
    snprintf(line, sizeof(line), "unlock text -- %s\n", name);
    return talk(file, line, true);
}

int command_auth_flush(int argc, char **argv)
{
    const char *file;

    if (command_options(argc, argv, NULL, &file, NULL) < 0)
        return 2;
    return talk(file, "auth flush text\n", true);
}

int command_reload(int argc, char **argv)
{
    const char *file;
    int result;

    if (command_options(argc, argv, NULL, &file, NULL) < 0)
        return 2;
    result = talk(file, "reload text\n", true);
    fprintf(stderr, result == 0 ? "postern: reloaded\n"
                                : "postern: not reloaded: the configuration in force stays\n");
    return result;
}
