/* control: what arrived, on a port of its own, and the raw heads in a file. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "cas.h"

const char *const service_names[SERVICE_COUNT] = {
    "other", "owa", "activesync",        "rpc",    "autodiscover", "ews",
    "mapi",  "oab", "unified_messaging", "webdav", "sim"};
static int record = -1;

bool record_open(const char *path)
{
    record = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return record >= 0;
}

void record_head(const char *p, size_t n)
{
    /* One write with O_APPEND, so that workers do not mix their lines. */
    if (record >= 0 && write(record, p, n) < 0)
        perror("postern-cas: record");
}

#define READ(field) (unsigned long long)atomic_load_explicit(&counters.field, memory_order_relaxed)

void control_finish(struct conn *c)
{
    char out[2048];
    if (!str_eq(c->path, STR("/sim/stats"))) {
        answer_text(c, 404, "Not Found", "GET /sim/stats\n");
        return;
    }
    int n = snprintf(out, sizeof out,
                     "{\"accepted\": %llu, \"open\": %llu, \"bytes_in\": %llu, \"bytes_out\": %llu, "
                     "\"requests\": %llu, \"malformed\": %llu, \"unauthorized\": %llu, \"by_service\": {",
                     READ(accepted), READ(open), READ(bytes_in), READ(bytes_out), READ(requests),
                     READ(malformed), READ(unauthorized));
    for (int i = 0; i < SERVICE_COUNT; i++)
        n += snprintf(out + n, sizeof out - (size_t)n, "%s\"%s\": %llu", i ? ", " : "", service_names[i],
                      READ(by_service[i]));
    n += snprintf(out + n, sizeof out - (size_t)n, "}}\n");
    answer(c, 200, "OK", "application/json", NULL, out, (size_t)n);
}
