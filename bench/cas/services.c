/* services: Autodiscover, MAPI over HTTP, the address book, unified messaging, WebDAV: small plausible answers. */
#include <stdio.h>
#include "cas.h"

#define XML "text/xml; charset=utf-8"

static bool health(struct conn *c)
{
    if (!str_ends_nocase(c->path, STR("/healthcheck.htm")))
        return false;
    answer_text(c, 200, "OK", "200 OK\nsimulated\n");
    return true;
}

static void xml(struct conn *c, int status, const char *reason, const char *text)
{
    answer(c, status, reason, XML, NULL, text, strlen(text));
}

void autodiscover_finish(struct conn *c)
{
    char out[2048];
    struct str host = STR("mail.example.com");
    if (health(c))
        return;
    head_get(c, STR("Host"), &host);
    snprintf(
        out, sizeof out,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
        "<!-- simulated Client Access server -->\n"
        "<Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">"
        "<Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a\">"
        "<User><DisplayName>%s</DisplayName></User><Account><AccountType>email</AccountType>"
        "<Action>settings</Action><Protocol><Type>EXPR</Type><Server>%.*s</Server><SSL>On</SSL>"
        "<AuthPackage>Basic</AuthPackage><ASUrl>https://%.*s/EWS/Exchange.asmx</ASUrl>"
        "<OABUrl>https://%.*s/OAB/</OABUrl></Protocol></Account></Response></Autodiscover>\n",
        c->user, host.n < 256 ? (int)host.n : 255, host.p, host.n < 256 ? (int)host.n : 255, host.p,
        host.n < 256 ? (int)host.n : 255, host.p);
    xml(c, 200, "OK", out);
}

static void mapi_pending(struct conn *c)
{
    answer_chunk(c, "PENDING\r\n", 9);
}

static void mapi_last(struct conn *c)
{
    static const char done[] = "DONE\r\nX-ElapsedTime: 1\r\nX-ResponseCode: 0\r\n\r\n\0\0\0\0\0\0\0\0";
    answer_chunk(c, done, sizeof done - 1);
    answer_done(c);
}

/* MS-OXCMAPIHTTP 2.2.2.2: PROCESSING at once, PENDING while it lasts, DONE with the answer's own headers. */
void mapi_finish(struct conn *c)
{
    if (health(c))
        return;
    if (!str_eq(c->method, STR("POST"))) {
        answer_text(c, 200, "OK", "Simulated Client Access server: MAPI over HTTP\n");
        return;
    }
    uint64_t period = query_number(c, STR("pending_ms"), 30000), count = query_number(c, STR("count"), 0);
    char more[160];
    snprintf(more, sizeof more,
             "X-PendingPeriod: %llu\r\nX-ResponseCode: 0\r\nX-ServerApplication: Simulated/15.0\r\n",
             (unsigned long long)period);
    answer_head(c, 200, "OK", "application/mapi-http", more, LENGTH_CHUNKED);
    answer_chunk(c, "PROCESSING\r\n", 12);
    if (!c->closing)
        answer_series(c, period, count, mapi_pending, mapi_last);
}

void oab_finish(struct conn *c)
{
    if (!health(c))
        xml(c, 200, "OK",
            "<?xml version=\"1.0\"?>\n<OAB><!-- simulated --><OAL name=\"\\Global Address List\"/></OAB>\n");
}

void um_finish(struct conn *c)
{
    if (!health(c))
        xml(c, 200, "OK",
            "<?xml version=\"1.0\"?>\n<UnifiedMessaging><!-- simulated --></UnifiedMessaging>\n");
}

void webdav_finish(struct conn *c)
{
    static const char multi[] = "<?xml version=\"1.0\"?>\n<D:multistatus xmlns:D=\"DAV:\"><D:response>"
                                "<D:href>/exchange/</D:href><D:propstat><D:status>HTTP/1.1 200 OK</D:status>"
                                "</D:propstat></D:response></D:multistatus>\n";
    static const char *const many[] = {"PROPFIND", "PROPPATCH", "SEARCH",  "BPROPFIND", "BPROPPATCH",
                                       "BCOPY",    "BMOVE",     "BDELETE", "POLL",      "X-MS-ENUMATTS"};
    static const char *const created[] = {"PUT", "MKCOL", "COPY", "MOVE"};
    if (health(c))
        return;
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        if (str_eq(c->method, str_of(many[i]))) {
            xml(c, 207, "Multi-Status", multi);
            return;
        }
    for (size_t i = 0; i < sizeof created / sizeof *created; i++)
        if (str_eq(c->method, str_of(created[i]))) {
            answer(c, 201, "Created", NULL, NULL, NULL, 0);
            return;
        }
    answer(c, 200, "OK", "text/plain", "DAV: 1, 2\r\nMS-WebStorage: 08.01\r\n", "simulated\n", 10);
}
