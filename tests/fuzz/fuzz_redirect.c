/* Location and its kin: whatever leaves leads to a published name, read as a browser reads it. */
#include "fuzz_http.h"

#include <postern/redirect.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf_server servers[] = {{.host = STR("cas1.corp.example.com"), .port = 443, .https = true}};
static struct conf_backend backend = {.servers = servers, .servers_n = 1};
static struct conf_publish publish = {.to = &backend};

static bool published(void *ctx, struct str host)
{
    return str_eq(host, STR("mail.example.com"));
}

/* The authority that a browser finds: "\" is "/" to it, and the scheme may be missing. p NULL: none, it stays where it is. */
static struct str browser_authority(struct str v)
{
    size_t i = 0, from;

    while (i < v.n && v.p[i] != ':' && v.p[i] != '/' && v.p[i] != '\\' && v.p[i] != '?' && v.p[i] != '#')
        i++;
    if (i < v.n && v.p[i] == ':')
        i++;
    else
        i = 0;
    from = i;
    while (i < v.n && (v.p[i] == '/' || v.p[i] == '\\'))
        i++;
    if (i - from < 2 && from == 0)
        return STR_NULL;
    from = i;
    while (i < v.n && v.p[i] != '/' && v.p[i] != '\\' && v.p[i] != '?' && v.p[i] != '#')
        i++;
    return (struct str){v.p + from, i - from};
}

static void check(struct str to, struct arena *a)
{
    struct str authority = browser_authority(to), host;
    uint16_t port;

    if (authority.p == NULL)
        return;
    FUZZ_CHECK(target_host(authority, a, &host, &port) == REASON_OK);
    FUZZ_CHECK(str_eq(host, STR("mail.example.com")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redirect_from from = {&publish, STR("mail.example.com"), 0, published, NULL};
    struct pool chunks;
    struct arena a;
    struct str to;

    /* Field values hold no controls but HTAB. */
    for (size_t i = 0; i < size; i++) {
        if ((data[i] < 0x20 && data[i] != '\t') || data[i] == 0x7f)
            return 0;
    }
    pool_init(&chunks, 4096, 2);
    arena_init(&a, &chunks, 1u << 20);
    to = redirect_rewrite(&from, (struct str){(const char *)data, size}, &a);
    if (to.p != NULL)
        check(to, &a);
    arena_release(&a);
    pool_destroy(&chunks);
    return 0;
}
