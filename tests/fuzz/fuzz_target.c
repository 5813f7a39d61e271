/*
 * Request targets and hosts: whatever is taken has one reading only.
 */
#include "fuzz_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static void check_canonical(struct str c)
{
    FUZZ_CHECK(c.n > 0);
    for (size_t i = 0; i < c.n; i++) {
        uint8_t o = (uint8_t)c.p[i];
        FUZZ_CHECK(o >= 0x20 && o != 0x7f && o != '\\' && !(o >= 'A' && o <= 'Z'));
        FUZZ_CHECK(!(o == '%' && i + 2 < c.n && is_hex(c.p[i + 1]) && is_hex(c.p[i + 2])));
        FUZZ_CHECK(!(o == '/' && i + 1 < c.n && c.p[i + 1] == '/'));
        FUZZ_CHECK(!(o == '/' && i + 1 < c.n && c.p[i + 1] == '.' && (i + 2 == c.n || c.p[i + 2] == '/')));
        FUZZ_CHECK(!(o == '/' && i + 2 < c.n && c.p[i + 1] == '.' && c.p[i + 2] == '.' &&
                     (i + 3 == c.n || c.p[i + 3] == '/')));
    }
}

/* As a server behind reads a path: escapes decoded once, in any case. */
static size_t servers_view(struct str s, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%' && i + 2 < s.n && is_hex(s.p[i + 1]) && is_hex(s.p[i + 2])) {
            c = (char)((strchr(digits, ascii_lower(s.p[i + 1])) - digits) * 16 +
                       (strchr(digits, ascii_lower(s.p[i + 2])) - digits));
            i += 2;
        }
        out[n++] = ascii_lower(c);
    }
    return n;
}

/* What rules see is what the server sees; and a second decoding, here or there, changes nothing. */
static void check_view(const struct target *t)
{
    char *once = malloc(t->path.n + 1), *twice = malloc(t->path.n + 1);
    size_t n, m;

    FUZZ_CHECK(once != NULL && twice != NULL);
    n = servers_view(t->path, once);
    FUZZ_CHECK(str_eq((struct str){once, n}, t->canonical));
    m = servers_view(t->canonical, twice);
    FUZZ_CHECK(str_eq((struct str){twice, m}, t->canonical));
    free(once);
    free(twice);
}

/* Sent on in origin form, it is parsed to the same. */
static void check_again(const struct target *t, enum method m, struct arena *a)
{
    struct str text =
        t->query.p != NULL ? arena_printf(a, "%.*s?%.*s", STR_ARG(t->path), STR_ARG(t->query)) : t->path;
    struct target again;

    FUZZ_CHECK(text.p != NULL && target_parse(&again, text, m, a) == REASON_OK);
    FUZZ_CHECK(str_eq(again.canonical, t->canonical) && again.authority.p == NULL);
    FUZZ_CHECK(again.query.n == t->query.n && (t->query.n == 0 || str_eq(again.query, t->query)));
}

static void check_target(struct str text, enum method m, struct arena *a)
{
    struct target t;

    if (target_parse(&t, text, m, a) != REASON_OK)
        return;
    FUZZ_CHECK(t.path.n > 0 && (t.path.p[0] == '/' || (m == METHOD_OPTIONS && str_eq(t.path, STR("*")))));
    check_canonical(t.canonical);
    check_view(&t);
    check_again(&t, m, a);
    FUZZ_CHECK(fuzz_safe(t.path) && fuzz_safe(t.query));
}

static void check_host(struct str text, struct arena *a)
{
    struct str host, again;
    uint16_t port, port_again;

    if (target_host(text, a, &host, &port) != REASON_OK)
        return;
    FUZZ_CHECK(host.n > 0 && host.n <= 255);
    FUZZ_CHECK(target_host(host, a, &again, &port_again) == REASON_OK);
    FUZZ_CHECK(str_eq(host, again) && port_again == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct pool chunks;
    struct arena a;

    pool_init(&chunks, 4096, 2);
    arena_init(&a, &chunks, 1u << 20);
    check_target(text, METHOD_GET, &a);
    check_target(text, METHOD_OPTIONS, &a);
    check_host(text, &a);
    arena_release(&a);
    pool_destroy(&chunks);
    return 0;
}
