/*
 * `postern status devices`: who is connected with what, since when, from where.
 */
#include <time.h>

#include <postern/devices.h>
#include <postern/log.h>

#include "status_int.h"

#define SHOWN_MAX 10000

struct list {
    FILE *to;
    const char *comma;
    int64_t now;
};

/* "12s", "5m", "3h", "9d" */
static void ago(int64_t seconds, char out[24])
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    unsigned i = 0;

    seconds = seconds < 0 ? 0 : seconds;
    while (i < 3 && seconds < 2 * units[i].seconds)
        i++;
    snprintf(out, 24, "%lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
}

static void version_text(uint8_t v, char out[8])
{
    out[0] = '\0';
    if (v > 0)
        snprintf(out, 8, "%u.%u", v / 10u, v % 10u);
}

static void table_row(void *ctx, const struct device *d)
{
    struct list *l = ctx;
    char seen[24], since[24], version[8], client[64];
    size_t n = log_address((const struct sockaddr *)&d->client, false, client, sizeof(client));

    ago(l->now - d->last_s, seen);
    ago(l->now - d->first_s, since);
    version_text(d->protocol, version);
    fprintf(l->to, "%-24.24s %-34.34s %-14.14s %-5s %-12.12s %5s %5s %9llu %6us %s %.*s\n", d->user, d->id,
            d->type, version, d->command, seen, since, (unsigned long long)d->requests, d->held_s,
            d->denied ? "denied" : "      ", (int)n, client);
}

void status_devices_table(struct str user, FILE *to)
{
    struct list l = {to, "", (int64_t)time(NULL)};

    fprintf(to, "%-24s %-34s %-14s %-5s %-12s %5s %5s %9s %7s %-6s %s\n", "USER", "DEVICE", "TYPE", "EAS",
            "LAST COMMAND", "SEEN", "SINCE", "REQUESTS", "POLL", "", "FROM");
    devices_each(user.n > 0 ? user : STR_NULL, SHOWN_MAX, table_row, &l);
    fprintf(to, "%zu devices", devices_count());
    if (devices_heartbeat_s() > 0)
        fprintf(to, "; the last long polls lasted %u seconds on average", devices_heartbeat_s());
    fputc('\n', to);
}

static void json_field(FILE *to, const char *name, const char *value)
{
    fprintf(to, ",\"%s\":", name);
    json_string(str_of(value), to);
}

static void json_row(void *ctx, const struct device *d)
{
    struct list *l = ctx;
    char version[8], client[64];
    size_t n = log_address((const struct sockaddr *)&d->client, false, client, sizeof(client));

    client[n] = '\0';
    version_text(d->protocol, version);
    fprintf(l->to, "%s{\"user\":", l->comma);
    json_string(str_of(d->user), l->to);
    json_field(l->to, "device", d->id);
    json_field(l->to, "type", d->type);
    json_field(l->to, "user_agent", d->agent);
    json_field(l->to, "command", d->command);
    json_field(l->to, "protocol", version);
    json_field(l->to, "client", client);
    fprintf(
        l->to,
        ",\"first_seen\":%lld,\"last_seen\":%lld,\"requests\":%llu,\"polls\":%llu,\"polls_cut\":%llu,\"poll_s\":%u,"
        "\"status\":%d,\"denied\":%s}",
        (long long)d->first_s, (long long)d->last_s, (unsigned long long)d->requests,
        (unsigned long long)d->polls, (unsigned long long)d->polls_cut, d->held_s, d->status,
        d->denied ? "true" : "false");
    l->comma = ",";
}

void status_devices_json(struct str user, FILE *to)
{
    struct list l = {to, "", 0};

    fprintf(to, "{\"count\":%zu,\"heartbeat_s\":%u,\"devices\":[", devices_count(), devices_heartbeat_s());
    devices_each(user.n > 0 ? user : STR_NULL, SHOWN_MAX, json_row, &l);
    fputs("]}\n", to);
}
