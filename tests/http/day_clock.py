"""A day in a minute: processes whose monotonic clock is moved on by the test.

A library that is loaded before libc's adds what stands in a shared page to CLOCK_MONOTONIC, and ends every wait for events after 10 ms, so
that a loop sees the new time; each loop says in the page which time it has seen. Nothing else is changed: the programs are the real ones,
with their own wheel and time-outs, and only the hours between the events are left out. The wall clock stays. A jump is seen as one long
sleep: deadlines within it fire together, late.
"""
import mmap
import os
import struct
import subprocess
import tempfile

from harness import wait_until

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_MS 10
#define LOOPS 255

/* Shared with the test, which writes ahead_ms and reads the rest. */
struct page {
    _Atomic int64_t ahead_ms;
    _Atomic uint64_t loops_n;
    struct {
        _Atomic int64_t thread, seen_ms;
    } loops[LOOPS];
};

static struct page *page;

__attribute__((constructor)) static void begin(void)
{
    int fd = open(getenv("DAY_CLOCK"), O_RDWR);
    void *p = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        abort();
    page = p;
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

    if (r == 0 && page != NULL && (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE))
        move(t, page->ahead_ms);
    return r;
}

/* A loop that waits again has read its clock since it waited last, and done what was due then. */
static void tell_seen(void)
{
    static _Thread_local int64_t at = -1, before;

    if (at < 0) {
        at = (int64_t)atomic_fetch_add(&page->loops_n, 1);
        if (at >= LOOPS)
            abort();
        before = -1;
        page->loops[at].seen_ms = -1;
        page->loops[at].thread = (int64_t)gettid();
    }
    page->loops[at].seen_ms = before;
    before = page->ahead_ms;
}

static int wait_shortly(int fd, struct epoll_event *v, int n, int ms, const sigset_t *mask)
{
    int shortly = ms < 0 || ms > LONGEST_MS ? LONGEST_MS : ms;
    int r;

    tell_seen();
    r = (int)syscall(SYS_epoll_pwait, fd, v, n, shortly, mask, (size_t)8);
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
        move(&t, -page->ahead_ms);
    return real(c, m, id, &t);
}
"""


PAGE = 4096


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
            f.write(b"\0" * PAGE)
        self.file = open(page, "r+b")
        self.page = mmap.mmap(self.file.fileno(), PAGE)
        self.env = {"LD_PRELOAD": library, "DAY_CLOCK": page}
        self.ahead = 0.0

    def behind(self):
        """Threads whose loops live and have not yet done what is due now."""
        now, loops = struct.unpack_from("=qQ", self.page)
        seen = [struct.unpack_from("=qq", self.page, 16 + 16 * i) for i in range(loops)]
        return [thread for thread, ms in seen if ms < now and os.path.exists("/proc/%d" % thread)]

    def advance(self, seconds):
        """Comes back when every loop has done what became due."""
        self.ahead += seconds
        self.page[:8] = struct.pack("=q", int(1000 * self.ahead))
        assert wait_until(lambda: not self.behind(), 30), self.behind()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.page.close()
        self.file.close()
        self.dir.cleanup()
