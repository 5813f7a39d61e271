/*
 * The logs' files: headers, opening again, and what the thread still writes to meanwhile.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include <postern/log.h>

static char folder[] = "/tmp/postern-log-XXXXXX";
static char first[64], second[64], fifo[64], text[1 << 18];

static int make_folder(void **state)
{
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(first, sizeof(first), "%s/first", folder);
    snprintf(second, sizeof(second), "%s/second", folder);
    snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(first);
    unlink(second);
    unlink(fifo);
    return rmdir(folder);
}

static const char *content(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void start(const char *event, const char *access)
{
    struct log_options o = {.event_path = event, .access_path = access, .level = LOG_INFO};
    char error[256];

    assert_int_equal(log_start(&o, error, sizeof(error)), 0);
}

static void reopen(const char *event, const char *access)
{
    struct log_options o = {.event_path = event, .access_path = access, .level = LOG_INFO};
    char error[256];

    assert_int_equal(log_reopen(&o, error, sizeof(error)), 0);
}

static void header_begins_a_file(void **state)
{
    log_access_set_header("#Fields: a");
    start("stderr", first);
    assert_true(log_access_line("1", 1));
    while (strstr(content(first), "1\n") == NULL)
        usleep(1000);
    reopen("stderr", first);
    assert_true(log_access_line("2", 1));
    log_stop();
    assert_string_equal(content(first), "#Fields: a\n1\n2\n");
}

/* Other fields from here on: a reader of the same file must be told. */
static void header_that_changes_is_told(void **state)
{
    unlink(first);
    log_access_set_header("#Fields: a");
    start("stderr", first);
    assert_true(log_access_line("1", 1));
    log_access_set_header("#Fields: a b");
    reopen("stderr", first);
    assert_true(log_access_line("1 2", 3));
    log_access_set_header("");
    reopen("stderr", first);
    assert_true(log_access_line("{}", 2));
    log_stop();
    assert_string_equal(content(first), "#Fields: a\n1\n#Fields: a b\n1 2\n{}\n");
}

static void old_file_stays_when_the_new_one_cannot_be_opened(void **state)
{
    struct log_options o = {.event_path = "stderr", .access_path = "/dev/null/x", .level = LOG_INFO};
    char error[256] = "";

    unlink(first);
    start("stderr", first);
    assert_int_equal(log_reopen(&o, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "/dev/null/x"));
    assert_true(log_access_line("still", 5));
    log_stop();
    assert_string_equal(content(first), "still\n");
}

/* Descriptors of this process on the pipe, not counting `ours`. */
static int descriptors_on(const char *path, int ours)
{
    struct stat want, have;
    char name[64];
    int n = 0;

    /* By name: to ThreadSanitizer, looking at a descriptor that the log's thread closes would be a race. */
    assert_int_equal(stat(path, &want), 0);
    for (int fd = 0; fd < 64; fd++) {
        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        n += fd != ours && stat(name, &have) == 0 && have.st_ino == want.st_ino && have.st_dev == want.st_dev;
    }
    return n;
}

static void read_all(int fd)
{
    while (read(fd, text, sizeof(text)) > 0)
        continue;
}

/* Whether the log's thread is inside write(), where it stays once the pipe is full. Other threads are this one and a sanitizer's. */
static bool thread_writes(void)
{
    DIR *tasks = opendir("/proc/self/task");
    bool writes = false;

    assert_non_null(tasks);
    for (struct dirent *e = readdir(tasks); e != NULL; e = readdir(tasks)) {
        char path[300];
        if (e->d_name[0] == '.' || strtol(e->d_name, NULL, 10) == getpid())
            continue;
        snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", e->d_name);
        writes = writes || strtol(content(path), NULL, 10) == SYS_write;
    }
    closedir(tasks);
    return writes;
}

/* Until the thread is held up: not only on its way through write(), for the pipe has grown no more. */
static void wait_for_full(int reader)
{
    int before = -1, now = 0, same = 0;

    for (int i = 0; same < 5; i++, usleep(1000)) {
        assert_in_range(i, 0, 20000);
        assert_int_equal(ioctl(reader, FIONREAD, &now), 0);
        same = thread_writes() && now == before && now > 0 ? same + 1 : 0;
        before = now;
    }
}

/* A full pipe stands for a slow disk: the thread is inside write() when the file is opened anew. Were the descriptor closed
 * then, its number could become a client's while the line is still being written. */
static void descriptor_outlives_the_write(void **state)
{
    char line[1000];
    int reader;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    reader = open(fifo, O_RDONLY | O_NONBLOCK);
    start("stderr", fifo);
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 200; i++)
        assert_true(log_access_line(line, sizeof(line)));
    wait_for_full(reader);
    reopen("stderr", second);
    assert_int_equal(descriptors_on(fifo, reader), 1);
    while (descriptors_on(fifo, reader) > 0) {
        read_all(reader);
        usleep(1000);
    }
    assert_true(log_access_line("new", 3));
    log_stop();
    assert_non_null(strstr(content(second), "new\n"));
    close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_begins_a_file),
        cmocka_unit_test(header_that_changes_is_told),
        cmocka_unit_test(old_file_stays_when_the_new_one_cannot_be_opened),
        cmocka_unit_test(descriptor_outlives_the_write),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
