/*
 * `postern passwd`: the user file is read whole, changed in memory and replaced by rename, so that a reload
 * never sees half a file. Comments and the order of lines stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <postern/terminal.h>
#include <postern/verifier.h>

#include "user_hash.h"

#define USER_FILE_MAX (16u << 20)

struct passwd_job {
    const char *path, *name;
    bool sha512, exists;
    char *text; /* the file as it is */
    size_t n;
    struct stat st;
};

static int complain(const char *what, const char *which, const char *remedy)
{
    fprintf(stderr, "postern passwd: %s%s%s%s%s\n", what, which ? ": " : "", which ? which : "",
            remedy ? "; " : "", remedy ? remedy : "");
    return 1;
}

/* ---- the file ---- */

static int file_fill(struct passwd_job *j, int fd)
{
    ssize_t got;

    if (fstat(fd, &j->st) < 0 || !S_ISREG(j->st.st_mode) || j->st.st_size > USER_FILE_MAX)
        return -1;
    j->text = malloc((size_t)j->st.st_size + 1);
    if (j->text == NULL)
        return -1;
    while (j->n < (size_t)j->st.st_size && (got = read(fd, j->text + j->n, (size_t)j->st.st_size - j->n)) > 0)
        j->n += (size_t)got;
    j->exists = true;
    return j->n == (size_t)j->st.st_size ? 0 : -1;
}

static int file_read(struct passwd_job *j, bool must_exist)
{
    int fd = open(j->path, O_RDONLY | O_CLOEXEC), result;

    if (fd < 0 && errno == ENOENT && !must_exist)
        return 0;
    if (fd < 0)
        return complain(j->path, strerror(errno),
                        errno == ENOENT ? "`postern passwd FILE add NAME` creates it" : NULL);
    result = file_fill(j, fd);
    close(fd);
    return result < 0 ? complain(j->path, "cannot be read as a user file", NULL) : 0;
}

static int folder_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int result = fd >= 0 ? fsync(fd) : -1;

    if (fd >= 0)
        close(fd);
    free(folder);
    return result;
}

static int file_write_to(const struct passwd_job *j, int fd, const char *text, size_t n)
{
    ssize_t put;

    if (fchmod(fd, j->exists ? j->st.st_mode & 07777 : 0600) < 0)
        return -1;
    /* Without privileges the owner is us already, or the file is not ours to replace. */
    if (j->exists && (j->st.st_uid != geteuid() || j->st.st_gid != getegid()) &&
        fchown(fd, j->st.st_uid, j->st.st_gid) < 0)
        return -1;
    while (n > 0) {
        put = write(fd, text, n);
        if (put <= 0)
            return -1;
        text += put;
        n -= (size_t)put;
    }
    return fsync(fd);
}

static int file_replace(const struct passwd_job *j, const char *text, size_t n)
{
    size_t size = strlen(j->path) + 16;
    char *temporary = malloc(size);
    int fd = -1, result = -1, error;

    if (temporary == NULL)
        return complain("out of memory", NULL, NULL);
    snprintf(temporary, size, "%s.XXXXXX", j->path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd >= 0 && file_write_to(j, fd, text, n) == 0 && rename(temporary, j->path) == 0)
        result = folder_sync(j->path);
    error = errno;
    if (fd >= 0) {
        close(fd);
        if (result < 0)
            unlink(temporary);
    }
    free(temporary);
    return result < 0 ? complain(j->path, strerror(error), "the file is as it was") : 0;
}

/* ---- lines ---- */

static bool line_is(struct str line, const char *normal)
{
    char name[ACCOUNT_NAME_MAX + 1];
    struct str part;

    return line.n > 0 && line.p[0] != '#' && str_next(&line, ':', &part) &&
           account_normal(part, name, sizeof(name)) >= 0 && strcmp(name, normal) == 0;
}

/* The file's text with the lines of `normal` taken out and `added` put in their place or at the end. */
static char *lines_change(const struct passwd_job *j, const char *normal, const char *added, size_t *ret_n,
                          bool *ret_found)
{
    struct str rest = {j->text, j->n}, line;
    char *out = malloc(j->n + strlen(added) + 2), *to = out;
    bool found = false;

    while (out != NULL && rest.n > 0 && str_next(&rest, '\n', &line)) {
        struct str put = line;
        if (line_is(line, normal)) {
            put = found ? STR_NULL : str_of(added);
            found = true;
            if (put.n == 0)
                continue;
        }
        memcpy(to, put.p, put.n);
        to += put.n;
        *to++ = '\n';
    }
    if (out != NULL && !found && added[0] != '\0') {
        size_t n = strlen(added);
        memcpy(to, added, n);
        to[n] = '\n';
        to += n + 1;
    }
    *ret_n = out != NULL ? (size_t)(to - out) : 0;
    *ret_found = found;
    return out;
}

static bool lines_have(const struct passwd_job *j, const char *normal)
{
    struct str rest = {j->text, j->n}, line;

    while (rest.n > 0 && str_next(&rest, '\n', &line)) {
        if (line_is(line, normal))
            return true;
    }
    return false;
}

/* ---- the password ---- */

static bool password_fit(const char *password)
{
    for (const char *p = password; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    }
    return true;
}

static int password_new(char out[ACCOUNT_PASSWORD_MAX + 2])
{
    char again[ACCOUNT_PASSWORD_MAX + 2] = "";
    bool same = true;

    if (!terminal_secret("New password: ", out, ACCOUNT_PASSWORD_MAX + 1) || !password_fit(out))
        return complain("the password is empty, longer than 256 octets or holds control characters", NULL,
                        "give another one");
    if (isatty(STDIN_FILENO))
        same = terminal_secret("Again: ", again, ACCOUNT_PASSWORD_MAX + 1) && strcmp(again, out) == 0;
    explicit_bzero(again, sizeof(again));
    return same ? 0 : complain("the two passwords differ", NULL, "nothing was changed");
}

/* ---- the commands ---- */

static int set_password(struct passwd_job *j, const char *normal, bool add)
{
    char password[ACCOUNT_PASSWORD_MAX + 2] = "", hash[USER_HASH_MAX];
    char added[ACCOUNT_NAME_MAX + USER_HASH_MAX + 2];
    bool found = lines_have(j, normal);
    int result = 1;
    char *text;
    size_t n;

    if (add && found)
        return complain(j->name, "exists already", "use change");
    if (!add && !found)
        return complain(j->name, "no such user", "use add");
    if (password_new(password) != 0)
        goto out;
    if (user_hash_make(password, j->sha512, hash) < 0) {
        complain("the password cannot be hashed", strerror(errno), NULL);
        goto out;
    }
    snprintf(added, sizeof(added), "%s:%s", normal, hash);
    text = lines_change(j, normal, added, &n, &found);
    result = text != NULL ? file_replace(j, text, n) : complain("out of memory", NULL, NULL);
    free(text);
out:
    explicit_bzero(password, sizeof(password));
    return result;
}

static int command_add(struct passwd_job *j, const char *normal)
{
    return set_password(j, normal, true);
}

static int command_change(struct passwd_job *j, const char *normal)
{
    return set_password(j, normal, false);
}

static int command_delete(struct passwd_job *j, const char *normal)
{
    bool found;
    size_t n;
    char *text = lines_change(j, normal, "", &n, &found);
    int result = text == NULL ? complain("out of memory", NULL, NULL)
                 : !found     ? complain(j->name, "no such user", NULL)
                              : file_replace(j, text, n);

    free(text);
    return result;
}

static int command_list(struct passwd_job *j, const char *normal)
{
    struct str rest = {j->text, j->n}, line, name;

    while (rest.n > 0 && str_next(&rest, '\n', &line)) {
        if (line.n > 0 && line.p[0] != '#' && str_next(&line, ':', &name))
            printf("%.*s\n", STR_ARG(name));
    }
    return 0;
}

static int command_verify(struct passwd_job *j, const char *normal)
{
    struct conf_findings *f = conf_findings_new();
    struct user_file *u =
        f != NULL ? user_file_parse((struct str){j->text, j->n}, (struct conf_mark){j->path, 0, 0}, f) : NULL;
    char typed[ACCOUNT_PASSWORD_MAX + 2] = "";
    struct basic_credentials c = {0};
    int result = 1;

    if (u == NULL && f != NULL)
        conf_findings_print(f, stderr);
    if (u != NULL && terminal_secret("Password: ", typed, ACCOUNT_PASSWORD_MAX + 1)) {
        c.user_n = strlen(normal);
        memcpy(c.user, normal, c.user_n);
        c.password_n = strlen(typed);
        memcpy(c.password, typed, c.password_n);
        result = user_file_verify(u, &c) ? 0 : 1;
    }
    if (u != NULL)
        puts(result == 0 ? "right" : "wrong");
    explicit_bzero(typed, sizeof(typed));
    basic_forget(&c);
    user_file_free(u);
    conf_findings_free(f);
    return result;
}

static const struct {
    const char *name;
    bool names_user, may_create;
    int (*run)(struct passwd_job *j, const char *normal);
} commands[] = {
    {"add", true, true, command_add},        {"change", true, false, command_change},
    {"delete", true, false, command_delete}, {"list", false, false, command_list},
    {"verify", true, false, command_verify},
};

static bool name_fit(const char *name, char normal[ACCOUNT_NAME_MAX + 1])
{
    return name[0] != '\0' && name[0] != '#' && strpbrk(name, ":\\@") == NULL && password_fit(name) &&
           account_normal(str_of(name), normal, ACCOUNT_NAME_MAX + 1) > 0;
}

static int usage(void)
{
    fputs("usage: postern passwd FILE add|change NAME [--sha512]\n"
          "       postern passwd FILE delete|verify NAME\n"
          "       postern passwd FILE list\n",
          stderr);
    return 2;
}

static int command_run(size_t i, struct passwd_job *j)
{
    char normal[ACCOUNT_NAME_MAX + 1] = "";
    int result;

    if (commands[i].names_user && !name_fit(j->name, normal))
        return complain("a name is not empty, at most 256 octets, without : \\ @ and control characters",
                        NULL, "write it without a domain");
    result = file_read(j, !commands[i].may_create);
    if (result == 0)
        result = commands[i].run(j, normal);
    free(j->text);
    return result;
}

int user_file_command(int argc, char **argv)
{
    struct passwd_job j = {0};
    const char *word[3] = {NULL};
    size_t words = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--sha512") == 0)
            j.sha512 = true;
        else if (words < 3 && argv[i][0] != '-')
            word[words++] = argv[i];
        else
            return usage();
    }
    for (size_t i = 0; words >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(word[1], commands[i].name) == 0 && words == (commands[i].names_user ? 3u : 2u)) {
            j.path = word[0];
            j.name = word[2];
            return command_run(i, &j);
        }
    }
    return usage();
}
