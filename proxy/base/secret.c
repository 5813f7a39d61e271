#include <postern/secret.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* AddressSanitizer sees an overrun of what malloc gave, not of a mapping. */
#if defined(__SANITIZE_ADDRESS__)
#define SECRET_PAGES 0
#else
#define SECRET_PAGES 1
#endif

void *secret_alloc(size_t n)
{
    void *p;

    if (!SECRET_PAGES)
        return calloc(1, n);
    p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)madvise(p, n, MADV_DONTDUMP); /* an old kernel may refuse: it is cleansed all the same */
    return p;
}

void secret_free(void *p, size_t n)
{
    if (p == NULL)
        return;
    explicit_bzero(p, n);
    if (SECRET_PAGES)
        munmap(p, n);
    else
        free(p);
}
