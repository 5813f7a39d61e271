/* ews: SOAP-ish answers, and streaming notifications in chunks that come on time. */
#include <stdio.h>
#include <sys/time.h>
#include "cas.h"

static void notify(struct conn *c)
{
    char out[512];
    struct timeval now;
    gettimeofday(&now, NULL);
    int n = snprintf(out, sizeof out,
                     "<Notification sequence=\"%llu\" time_us=\"%lld\"><StatusEvent/></Notification>\n",
                     (unsigned long long)c->v[0], (long long)now.tv_sec * 1000000 + now.tv_usec);
    answer_chunk(c, out, (size_t)n);
}

void ews_finish(struct conn *c)
{
    static const char plain[] =
        "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">"
        "<s:Body><!-- simulated --><ResponseCode>NoError</ResponseCode></s:Body></s:Envelope>\n";
    if (str_ends_nocase(c->path, STR("/healthcheck.htm"))) {
        answer_text(c, 200, "OK", "200 OK\nsimulated\n");
        return;
    }
    uint64_t count = query_number(c, STR("stream"), 0);
    if (!count && c->body_len && memmem(c->body, c->body_len, "GetStreamingEvents", 18))
        count = 10;
    if (!count) {
        answer(c, 200, "OK", "text/xml; charset=utf-8", NULL, plain, sizeof plain - 1);
        return;
    }
    uint64_t interval = query_number(c, STR("interval_ms"), 1000);
    answer_head(c, 200, "OK", "text/xml; charset=utf-8", NULL, LENGTH_CHUNKED);
    if (!c->closing)
        answer_series(c, interval, count, notify, answer_done);
}
