/* Files that the configuration names, read whole while it is loaded. */
#include "types_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, char *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, p + at, n - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        at += (size_t)got;
    }
    return 0;
}

int conf_slurp(struct conf_memory *m, const char *path, struct str *ret, const char **ret_why)
{
    struct stat st;
    int rc = -1;
    /* O_NONBLOCK: a FIFO must not hang the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        *ret_why = strerror(errno);
        goto out;
    }
    *ret_why = S_ISDIR(st.st_mode) ? "is a folder" : "is not a regular file";
    if (!S_ISREG(st.st_mode))
        goto out;
    *ret_why = "larger than 1 MB";
    if (st.st_size > CONF_FILE_MAX)
        goto out;
    *ret_why = "out of memory";
    char *p = conf_alloc_secret(m, (size_t)st.st_size + 1); /* keys and passwords, as like as not */
    if (!p)
        goto out;
    *ret_why = "could not be read whole";
    if (read_all(fd, p, (size_t)st.st_size) != 0)
        goto out;
    *ret = (struct str){p, (size_t)st.st_size};
    rc = 0;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

static struct str resolve(struct conf_apply *a, struct str path)
{
    if (path.p[0] == '/' || !a->folder.n)
        return conf_take_str(a, path);
    char *p = conf_take(a, a->folder.n + path.n + 1);
    if (!p)
        return STR_NULL;
    memcpy(p, a->folder.p, a->folder.n);
    memcpy(p + a->folder.n, path.p, path.n);
    return (struct str){p, a->folder.n + path.n};
}

int conf_read_file(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                   struct conf_file *ret)
{
    const char *why;
    if (!conf_is_scalar(a, o, n))
        return -1;
    if (!n->text.n)
        return conf_refuse(a, o, n, "is empty; write the path of a file");
    struct conf_file file = {resolve(a, n->text), STR(""), n->mark};
    if (!file.path.p)
        return -1;
    if (a->read_files && conf_slurp(a->memory, file.path.p, &file.bytes, &why) != 0)
        return conf_refuse(a, o, n, "cannot read %s: %s", file.path.p, why);
    *ret = file;
    return 0;
}

static int parse_file(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                      void *member)
{
    return conf_read_file(a, o, n, member);
}

/* The first line of a file, for pass phrases: editors end it with a newline that is not part of the secret.
 */
static int parse_secret_line(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                             void *member)
{
    struct conf_file f;
    if (conf_read_file(a, o, n, &f) != 0)
        return -1;
    if (f.bytes.n && f.bytes.p[f.bytes.n - 1] == '\n')
        f.bytes.n--;
    if (f.bytes.n && f.bytes.p[f.bytes.n - 1] == '\r')
        f.bytes.n--;
    if (a->read_files && !f.bytes.n)
        return conf_refuse(a, o, n, "%s is empty", f.path.p);
    *(struct conf_file *)member = f;
    return 0;
}

static void print_file(const struct conf_option *o, const void *member, FILE *to)
{
    const struct conf_file *f = member;
    if (f->path.p)
        conf_print_word(f->path, to);
    else
        fputs("none", to);
}

const struct conf_type conf_type_file = {"file",
                                         "the path of a file, relative to the configuration's folder",
                                         sizeof(struct conf_file),
                                         parse_file,
                                         print_file,
                                         NULL};
const struct conf_type conf_type_secret_line = {"file",
                                                "the path of a file that holds the secret in its first line",
                                                sizeof(struct conf_file),
                                                parse_secret_line,
                                                print_file,
                                                NULL};
