/* WebDAV's Destination: whatever goes on names a published host and path, read as a server reads it. */
#include "fuzz_http.h"

#include <stdio.h>
#include <postern/redirect.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str folder = STR("/exchange/");

static bool published(void *ctx, struct str host, struct str canonical)
{
    return (str_eq(host, STR("mail.example.com")) || str_eq(host, STR("autodiscover.example.com"))) &&
           str_starts_nocase(canonical, folder);
}

static int hex(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As IIS: one decoding, "\\" is "/", any case. */
static size_t decode(struct str s, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            c = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
            i += 2;
        }
        out[n++] = c == '\\' ? '/' : ascii_lower(c);
    }
    return n;
}

/* Folders climbed and entered; never above the first one. */
static void check_path(struct str path)
{
    char *once = malloc(path.n + 1), *twice = malloc(path.n + 1);
    size_t n, m;
    struct str rest, segment;

    FUZZ_CHECK(once != NULL && twice != NULL);
    n = decode(path, once);
    m = decode((struct str){once, n}, twice);
    FUZZ_CHECK(n == m && memcmp(once, twice, n) == 0);
    rest = (struct str){once, n};
    FUZZ_CHECK(str_starts_nocase(rest, folder));
    while (str_next(&rest, '/', &segment))
        FUZZ_CHECK(!str_eq(segment, STR("..")) && !str_eq(segment, STR(".")) &&
                   !str_starts_nocase(segment, STR("..;")));
    free(once);
    free(twice);
}

/* Scheme, authority and path as they stand there, without any of our own parsers. */
static void check(struct str to, struct str value, bool plain)
{
    struct str path = to;
    size_t n;

    if (!str_starts_nocase(to, STR("/"))) {
        const char *slashes = memmem(to.p, to.n, "://", 3), *end;
        struct str authority;

        FUZZ_CHECK(slashes != NULL && (slashes - to.p == 4 || slashes - to.p == 5));
        FUZZ_CHECK(!plain || slashes - to.p == 4);
        authority = (struct str){slashes + 3, to.n - (size_t)(slashes + 3 - to.p)};
        end = memchr(authority.p, '/', authority.n);
        FUZZ_CHECK(end != NULL);
        path = (struct str){end, authority.n - (size_t)(end - authority.p)};
        authority.n = (size_t)(end - authority.p);
        FUZZ_CHECK(memchr(authority.p, '@', authority.n) == NULL &&
                   memchr(authority.p, '?', authority.n) == NULL);
        FUZZ_CHECK(str_starts_nocase(authority, STR("mail.example.com")) ||
                   str_starts_nocase(authority, STR("autodiscover.example.com")));
    } else {
        FUZZ_CHECK(!str_starts_nocase(to, STR("//")));
    }
    for (n = 0; n < path.n && path.p[n] != '?'; n++)
        FUZZ_CHECK(path.p[n] != '#');
    check_path((struct str){path.p, n});
    FUZZ_CHECK(to.n == value.n || (plain && to.n + 1 == value.n));
}

static void try(struct str value, bool plain)
{
    struct destination_from from = {STR("mail.example.com"), plain, published, NULL};
    struct pool chunks;
    struct arena a;
    struct str to;

    pool_init(&chunks, 4096, 2);
    arena_init(&a, &chunks, 1u << 20);
    to = destination_rewrite(&from, value, &a);
    if (to.p != NULL)
        check(to, value, plain);
    arena_release(&a);
    pool_destroy(&chunks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value = {(const char *)data, size};

    try(value, false);
    try(value, true);
    return 0;
}
