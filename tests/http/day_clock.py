"""A day in a minute: processes whose monotonic clock is moved on by the test.

A library that is loaded before libc's adds what stands in a shared page to CLOCK_MONOTONIC, and ends every wait for events after 10 ms, so
that a loop sees the new time. Nothing else is changed: the programs are the real ones, with their own wheel and time-outs, and only the
hours between the events are left out. The wall clock stays. A jump is seen as one long sleep: deadlines within it fire together, late.
"""
import mmap
import os
import struct
import subprocess
import tempfile
import time

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_MS 10

static volatile const int64_t *ahead_ms;

__attribute__((constructor)) static void begin(void)
{
    int fd = open(getenv("DAY_CLOCK"), O_RDONLY);
    void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        abort();
    ahead_ms = p;
    close(fd);
}

static void move(struct timespec *t, int64_t ms)
{
    int64_t ns = t->tv_sec * INT64_C(1000000000) + t->tv_nsec + ms * 1000000;

    t->tv_sec = ns / 1000000000;
    t->tv_nsec = ns % 1000000000;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int r = (int)syscall(SYS_clock_gettime, id, t);

    if (r == 0 && ahead_ms != NULL && (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE))
        move(t, *ahead_ms);
    return r;
}

static int wait_shortly(int fd, struct epoll_event *v, int n, int ms, const sigset_t *mask)
{
    int shortly = ms < 0 || ms > LONGEST_MS ? LONGEST_MS : ms;
    int r = (int)syscall(SYS_epoll_pwait, fd, v, n, shortly, mask, (size_t)8);

    if (r != 0 || shortly == ms)
        return r;
    errno = EINTR; /* look at the clock, and come again */
    return -1;
}

int epoll_wait(int fd, struct epoll_event *v, int n, int ms)
{
    return wait_shortly(fd, v, n, ms, NULL);
}

int epoll_pwait(int fd, struct epoll_event *v, int n, int ms, const sigset_t *mask)
{
    return wait_shortly(fd, v, n, ms, mask);
}

int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id, const struct timespec *until)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    struct timespec t = *until;

    if (real == NULL)
        real = (int (*)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *))dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    if (id == CLOCK_MONOTONIC)
        move(&t, -*ahead_ms);
    return real(c, m, id, &t);
}
"""


class DayClock:
    """`env` for the processes that live by it; advance() moves them all on."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory()
        source, library, page = (os.path.join(self.dir.name, n) for n in ("shim.c", "shim.so", "clock"))
        with open(source, "w") as f:
            f.write(SHIM)
        done = subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        assert done.returncode == 0, done.stdout
        with open(page, "wb") as f:
            f.write(b"\0" * 4096)
        self.file = open(page, "r+b")
        self.page = mmap.mmap(self.file.fileno(), 4096)
        self.env = {"LD_PRELOAD": library, "DAY_CLOCK": page}
        self.ahead = 0.0

    def advance(self, seconds):
        self.ahead += seconds
        self.page[:8] = struct.pack("=q", int(1000 * self.ahead))
        time.sleep(0.03)  # every loop has looked

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.page.close()
        self.file.close()
        self.dir.cleanup()
