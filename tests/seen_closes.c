/*
 * Linked into the programs of a ThreadSanitizer build. libuv closes descriptors by a bare system call, which
 * ThreadSanitizer does not see: whoever is given the number next would look like a racer. Here they go through close().
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...)
{
    static long (*real)(long, ...);
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_close)
        return close((int)a[0]);
    if (!__atomic_load_n(&real, __ATOMIC_ACQUIRE)) {
        void *found = dlsym(RTLD_NEXT, "syscall");
        __atomic_store_n(&real, (long (*)(long, ...))found, __ATOMIC_RELEASE);
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
