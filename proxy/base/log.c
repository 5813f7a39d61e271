/*
 * The writer: two bounded rings of bytes, drained to their files by one thread.
 */
#include <postern/log.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log_int.h"
#include "log_syslog.h"

#define RING_DEFAULT (1u << 20)
#define EVENT_LINE_MAX 2048
/* Waking the thread costs more than a line does: it takes what came in so long at once. */
#define GATHER_MS 20

struct ring {
    char *p;
    size_t size, from, used;
    int fd; /* -1: nowhere */
    bool owned, syslog, fresh;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct ring event, access;
    enum log_level level;
    bool running, stopping;
    bool asleep;       /* the thread waits, and nobody has woken it yet */
    int access_wanted; /* atomic */
    int writing;       /* what the thread writes to without the lock; -1: nothing */
    bool close_written;
    uint64_t lost, lost_told;
    char header[1024];
    size_t header_n;
    bool header_changed;
} logs = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .event = {.fd = STDERR_FILENO},
          .access = {.fd = -1},
          .writing = -1,
          .level = LOG_INFO};

/* ---- rings; under the lock ---- */

static void ring_copy_in(struct ring *r, const char *p, size_t n)
{
    size_t at = (r->from + r->used) % r->size, first = r->size - at < n ? r->size - at : n;

    memcpy(r->p + at, p, first);
    memcpy(r->p, p + first, n - first);
    r->used += n;
}

static bool ring_put(struct ring *r, const char *p, size_t n)
{
    if (r->p == NULL || n + 1 > r->size - r->used)
        return false;
    ring_copy_in(r, p, n);
    ring_copy_in(r, "\n", 1);
    return true;
}

static size_t ring_take(struct ring *r, char *out, size_t size)
{
    size_t n = r->used < size ? r->used : size, first = r->size - r->from < n ? r->size - r->from : n;

    memcpy(out, r->p + r->from, first);
    memcpy(out + first, r->p, n - first);
    r->from = (r->from + n) % r->size;
    r->used -= n;
    return n;
}

static bool ring_open(const struct ring *r)
{
    return r->fd >= 0 || r->syslog;
}

static bool ring_urgent(const struct ring *r)
{
    return r->used > r->size / 2;
}

static void access_announce(void)
{
    __atomic_store_n(&logs.access_wanted, logs.running && ring_open(&logs.access), __ATOMIC_RELAXED);
}

static void wake_thread(void)
{
    logs.asleep = false;
    pthread_cond_signal(&logs.wake);
}

/* ---- the thread ---- */

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return;
        p += done;
        n -= (size_t)done;
    }
}

static void write_syslog(char *p, size_t n)
{
    struct str rest = {p, n}, line;

    while (str_next(&rest, '\n', &line)) {
        if (line.n > 0)
            log_to_syslog(line.p, line.n);
    }
}

/* Closing what the thread writes to just now is left to the thread: the number could already be another file's, or a
 * client's, while it still writes. */
static void ring_close(struct ring *r)
{
    if (r->owned && r->fd == logs.writing)
        logs.close_written = true;
    else if (r->owned)
        close(r->fd);
}

static void writing_done(int fd)
{
    if (logs.close_written)
        close(fd);
    logs.writing = -1;
    logs.close_written = false;
}

static bool drain(struct ring *r, char *buffer, size_t size)
{
    size_t n = r->used > 0 ? ring_take(r, buffer, size) : 0;
    int fd = r->fd;
    bool to_syslog = r->syslog;

    if (n == 0)
        return false;
    logs.writing = fd;
    pthread_mutex_unlock(&logs.lock);
    if (to_syslog)
        write_syslog(buffer, n);
    else if (fd >= 0)
        write_all(fd, buffer, n);
    pthread_mutex_lock(&logs.lock);
    writing_done(fd);
    return true;
}

static void tell_lost(void)
{
    char line[256];
    struct timespec now;
    uint64_t lost = logs.lost - logs.lost_told;
    struct log_field f = LF_U64("lines", lost);

    if (lost == 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ring_put(&logs.event, line, log_format_event(LOG_EV_LOG_LOST, &f, 1, &now, line, sizeof(line))))
        logs.lost_told = logs.lost;
}

static void sleep_until_woken(void)
{
    struct timespec until;

    logs.asleep = true;
    pthread_cond_wait(&logs.wake, &logs.lock);
    logs.asleep = false;
    if (logs.event.used > 0 || logs.stopping || ring_urgent(&logs.access))
        return;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_clockwait(&logs.wake, &logs.lock, CLOCK_MONOTONIC, &until);
}

static void *log_thread(void *arg)
{
    static char buffer[64u << 10];

    pthread_mutex_lock(&logs.lock);
    for (;;) {
        bool more = drain(&logs.event, buffer, sizeof(buffer));
        more = drain(&logs.access, buffer, sizeof(buffer)) || more;
        if (more)
            continue;
        tell_lost();
        if (logs.event.used > 0)
            continue;
        if (logs.stopping)
            break;
        sleep_until_woken();
    }
    pthread_mutex_unlock(&logs.lock);
    return NULL;
}

/* ---- opening ---- */

static bool is_word(const char *path, const char *word)
{
    return path != NULL && strcmp(path, word) == 0;
}

static int open_file(const char *path, struct ring *ret, char *ret_error, size_t error_size)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

    if (fd < 0) {
        snprintf(ret_error, error_size, "cannot open the log %s: %s", path, strerror(errno));
        return -1;
    }
    *ret = (struct ring){.fd = fd, .owned = true, .fresh = lseek(fd, 0, SEEK_END) == 0};
    return 0;
}

static int open_event(const struct log_options *o, struct ring *ret, char *ret_error, size_t error_size)
{
    *ret = (struct ring){.fd = STDERR_FILENO};
    if (o->event_path == NULL || is_word(o->event_path, "stderr"))
        return 0;
    ret->syslog = is_word(o->event_path, "syslog");
    return ret->syslog ? 0 : open_file(o->event_path, ret, ret_error, error_size);
}

static int open_access(const struct log_options *o, struct ring *ret, char *ret_error, size_t error_size)
{
    *ret = (struct ring){.fd = -1};
    if (o->access_path == NULL || is_word(o->access_path, "off"))
        return 0;
    if (is_word(o->access_path, "stdout")) {
        *ret = (struct ring){.fd = STDOUT_FILENO, .fresh = true};
        return 0;
    }
    return open_file(o->access_path, ret, ret_error, error_size);
}

static int open_both(const struct log_options *o, struct ring *event, struct ring *access, char *ret_error,
                     size_t size)
{
    if (open_event(o, event, ret_error, size) < 0)
        return -1;
    if (open_access(o, access, ret_error, size) < 0) {
        if (event->owned)
            close(event->fd);
        return -1;
    }
    return 0;
}

static void ring_redirect(struct ring *r, const struct ring *to)
{
    r->fd = to->fd;
    r->owned = to->owned;
    r->syslog = to->syslog;
    r->fresh = to->fresh;
}

static void put_header(void)
{
    if ((logs.access.fresh || logs.header_changed) && logs.header_n > 0 && logs.access.p != NULL)
        (void)ring_put(&logs.access, logs.header, logs.header_n);
    logs.access.fresh = logs.header_changed = false;
}

int log_start(const struct log_options *o, char *ret_error, size_t error_size)
{
    struct ring event, access;
    size_t size = o->ring_bytes > 0 ? o->ring_bytes : RING_DEFAULT;

    if (open_both(o, &event, &access, ret_error, error_size) < 0)
        return -1;
    event.p = malloc(size);
    access.p = malloc(size);
    event.size = access.size = size;
    pthread_mutex_lock(&logs.lock);
    logs.event = event;
    logs.access = access;
    logs.level = o->level;
    logs.stopping = false;
    put_header();
    logs.running =
        event.p != NULL && access.p != NULL && pthread_create(&logs.thread, NULL, log_thread, NULL) == 0;
    access_announce();
    pthread_mutex_unlock(&logs.lock);
    if (logs.running)
        return 0;
    snprintf(ret_error, error_size, "cannot start the log's thread");
    return -1;
}

int log_reopen(const struct log_options *o, char *ret_error, size_t error_size)
{
    struct ring event, access, old_event, old_access;

    if (open_both(o, &event, &access, ret_error, error_size) < 0)
        return -1;
    pthread_mutex_lock(&logs.lock);
    old_event = logs.event;
    old_access = logs.access;
    ring_redirect(&logs.event, &event);
    ring_redirect(&logs.access, &access);
    logs.level = o->level;
    access_announce();
    put_header();
    ring_close(&old_event);
    ring_close(&old_access);
    pthread_mutex_unlock(&logs.lock);
    return 0;
}

void log_stop(void)
{
    pthread_mutex_lock(&logs.lock);
    if (!logs.running) {
        pthread_mutex_unlock(&logs.lock);
        return;
    }
    logs.stopping = true;
    logs.running = false;
    access_announce();
    wake_thread();
    pthread_mutex_unlock(&logs.lock);
    pthread_join(logs.thread, NULL);
    pthread_mutex_lock(&logs.lock);
    ring_close(&logs.event);
    ring_close(&logs.access);
    free(logs.event.p);
    free(logs.access.p);
    logs.event = (struct ring){.fd = STDERR_FILENO};
    logs.access = (struct ring){.fd = -1};
    pthread_mutex_unlock(&logs.lock);
}

/* ---- callers ---- */

void log_emit(enum log_event_id id, const struct log_field *fields, size_t n)
{
    char line[EVENT_LINE_MAX];
    struct timespec now;
    size_t used;

    if (log_event_level(id) < logs.level)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    used = log_format_event(id, fields, n, &now, line, sizeof(line) - 1);
    pthread_mutex_lock(&logs.lock);
    if (!logs.running) {
        line[used] = '\n';
        write_all(STDERR_FILENO, line, used + 1);
    } else if (!ring_put(&logs.event, line, used)) {
        logs.lost++;
    }
    wake_thread();
    pthread_mutex_unlock(&logs.lock);
}

bool log_access_wanted(void)
{
    return __atomic_load_n(&logs.access_wanted, __ATOMIC_RELAXED) != 0;
}

bool log_access_line(const char *line, size_t n)
{
    bool good;

    pthread_mutex_lock(&logs.lock);
    good = !logs.running || !ring_open(&logs.access) || ring_put(&logs.access, line, n);
    if (!good)
        logs.lost++;
    if (logs.access.used > 0 && (logs.asleep || ring_urgent(&logs.access)))
        wake_thread();
    pthread_mutex_unlock(&logs.lock);
    return good;
}

void log_access_set_header(const char *text)
{
    size_t n = strlen(text);

    pthread_mutex_lock(&logs.lock);
    logs.header_changed = n != logs.header_n || memcmp(text, logs.header, n) != 0;
    logs.header_n = n < sizeof(logs.header) ? n : 0;
    memcpy(logs.header, text, logs.header_n);
    pthread_mutex_unlock(&logs.lock);
}

uint64_t log_lines_lost(void)
{
    uint64_t n;

    pthread_mutex_lock(&logs.lock);
    n = logs.lost;
    pthread_mutex_unlock(&logs.lock);
    return n;
}
