/* Where answers may send a client. */
#include "exchange_test.h"

#include <postern/redirect.h>

static struct conf_server servers[] = {{.host = STR("cas1.corp.example.com"), .port = 443, .https = true},
                                       {.host = STR("10.1.2.3"), .port = 80}};
static struct conf_backend backend = {
    .servers = servers, .servers_n = 2, .expected_name = STR("cas.corp.example.com")};
static struct str listed[] = {STR("sts.example.net"), STR("*.login.example.net")};
static struct conf_publish publish = {.to = &backend, .redirect_hosts = {listed, 2}};

static bool published(void *ctx, struct str host)
{
    return str_eq(host, STR("mail.example.com")) || str_eq(host, STR("legacy.example.com"));
}

static void rewritten(void **state)
{
    static const struct {
        uint16_t port;
        const char *from, *to; /* NULL: refused */
    } rows[] = {
        {0, "/owa/", "/owa/"},
        {0, "logon.aspx?url=https://x/", "logon.aspx?url=https://x/"},
        {0, "", ""},
        {0, "?a=b", "?a=b"},
        {0, "https://mail.example.com/owa/", "https://mail.example.com/owa/"},
        {0, "HTTPS://MAIL.example.com/owa/", "HTTPS://MAIL.example.com/owa/"},
        {0, "http://mail.example.com/owa/", "https://mail.example.com/owa/"},
        {0, "http://mail.example.com:80/owa/", "https://mail.example.com/owa/"},
        {8443, "http://mail.example.com:8443/owa/", "https://mail.example.com:8443/owa/"},
        {0, "https://legacy.example.com/exchange/", "https://legacy.example.com/exchange/"},
        {0, "https://cas1.corp.example.com/owa/?a=b#c", "https://mail.example.com/owa/?a=b#c"},
        {8443, "https://cas1.corp.example.com/owa/", "https://mail.example.com:8443/owa/"},
        {0, "http://10.1.2.3/owa/", "https://mail.example.com/owa/"},
        {0, "https://cas.corp.example.com", "https://mail.example.com"},
        {0, "https://CAS1/owa/", "https://mail.example.com/owa/"},
        {0, "//cas1/owa/", "https://mail.example.com/owa/"},
        {0, "//mail.example.com/owa/", "//mail.example.com/owa/"},
        {0, "https://sts.example.net/adfs/ls/", "https://sts.example.net/adfs/ls/"},
        {0, "https://a.login.example.net/", "https://a.login.example.net/"},
        {0, "https://login.example.net/", NULL},
        {0, "https://evil.example/", NULL},
        {0, "https://evil.example\\@mail.example.com/", NULL},
        {0, "https://mail.example.com@evil.example/", NULL},
        {0, "https://mail.example.com.evil.example/", NULL},
        {0, "//evil.example/", NULL},
        {0, "/\\evil.example/", NULL},
        {0, "\\\\evil.example/", NULL},
        {0, "/\t/evil.example/", NULL},
        {0, "https:/evil.example/", NULL},
        {0, "https:evil.example", NULL},
        {0, "javascript:alert(1)", NULL},
        {0, "ms-outlook://x", NULL},
        {0, "https:///evil.example", NULL},
        {0, "https://", NULL},
        {0, "https://dc1.corp.example.com/", NULL},
    };
    struct memory m;

    memory_open(&m);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redirect_from from = {&publish, STR("mail.example.com"), rows[i].port, published, NULL};
        struct str to = redirect_rewrite(&from, str_of(rows[i].from), &m.arena);

        if ((to.p == NULL) != (rows[i].to == NULL) || (to.p != NULL && !str_eq(to, str_of(rows[i].to))))
            fail_msg("%s: %.*s", rows[i].from, (int)to.n, to.p != NULL ? to.p : "refused");
    }
    memory_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rewritten)};

    return cmocka_run_group_tests_name("references", tests, NULL, NULL);
}
