/*
 * `postern status channels`: the channels of Outlook Anywhere that are open now.
 */
#include <postern/log.h>

#include "status_int.h"

struct list {
    FILE *to;
    const char *comma;
    unsigned n;
};

static void table_row(void *ctx, const struct engine_channel *c)
{
    struct list *l = ctx;
    char client[64];
    size_t n = log_address((const struct sockaddr *)&c->client, true, client, sizeof(client));

    fprintf(l->to, "%-24.24s %-4s %-44.44s %-28.28s %10llu %12llu %12llu %.*s\n", c->user, c->direction,
            c->target, c->server, (unsigned long long)c->age_ms / 1000, (unsigned long long)c->bytes_in,
            (unsigned long long)c->bytes_out, (int)n, client);
    l->n++;
}

void status_channels_table(struct engine *e, FILE *to)
{
    struct list l = {to, "", 0};

    fprintf(to, "%-24s %-4s %-44s %-28s %10s %12s %12s %s\n", "USER", "", "TARGET", "SERVER", "SECONDS",
            "BYTES IN", "BYTES OUT", "FROM");
    engine_channels(e, table_row, &l);
    fprintf(to, "%u channels\n", l.n);
}

static void json_row(void *ctx, const struct engine_channel *c)
{
    struct list *l = ctx;
    char client[64];
    size_t n = log_address((const struct sockaddr *)&c->client, true, client, sizeof(client));

    fprintf(l->to, "%s{\"user\":", l->comma);
    json_string(str_of(c->user), l->to);
    fprintf(l->to, ",\"direction\":\"%s\",\"target\":", c->direction);
    json_string(str_of(c->target), l->to);
    fputs(",\"server\":", l->to);
    json_string(str_of(c->server), l->to);
    fputs(",\"client\":", l->to);
    json_string((struct str){client, n}, l->to);
    fprintf(l->to, ",\"age_ms\":%llu,\"bytes_in\":%llu,\"bytes_out\":%llu}", (unsigned long long)c->age_ms,
            (unsigned long long)c->bytes_in, (unsigned long long)c->bytes_out);
    l->comma = ",";
}

void status_channels_json(struct engine *e, FILE *to)
{
    struct list l = {to, "", 0};

    fputs("{\"channels\":[", to);
    engine_channels(e, json_row, &l);
    fputs("]}\n", to);
}
