/*
 * Exchange ActiveSync: what the query says, for the rules, the log and whoever wants to know who is connected.
 */
#include <postern/activesync.h>
#include <postern/txn.h>

#include "exchange_int.h"

static uint8_t header_version(const struct txn *t)
{
    const struct field *f = message_find_name(&t->request, STR("MS-ASProtocolVersion"));

    return f != NULL ? activesync_version_of(f->value) : 0;
}

/* The query's, or the header's: the plain form has no room for one (MS-ASHTTP 2.2.1.1.2.8). */
static void take_policy_key(struct txn *t, const struct activesync_query *q)
{
    const struct field *f = message_find_name(&t->request, STR("X-MS-PolicyKey"));
    uint64_t key = q->policy_key;

    t->has_policy_key =
        q->has_policy_key || (f != NULL && str_to_u64(str_trim(f->value), &key) && key <= UINT32_MAX);
    t->policy_key = t->has_policy_key ? (uint32_t)key : 0;
}

/* A POST without a command means nothing to the server either (MS-ASHTTP 2.2.1.1). */
static bool query_is_good(struct txn *t, struct activesync_query *q)
{
    if (!activesync_query_parse(t->target.query, &t->arena, q))
        return false;
    return t->request.method != METHOD_POST || q->command != ACTIVESYNC_NONE;
}

static enum filter_result activesync_read(struct txn *t)
{
    struct activesync_query q = {.command = ACTIVESYNC_NONE};

    /* OPTIONS asks for nothing that a query could change, and clients write what they like there ("Cmd=OPTIONS"). */
    if (!query_is_good(t, &q) && t->request.method != METHOD_OPTIONS) {
        txn_refuse(t, 400, REASON_DEVICE_QUERY_BAD);
        return FILTER_DONE;
    }
    t->command = activesync_command_name(q.command);
    t->device = q.device_id;
    t->device_type = q.device_type;
    t->device_user = q.user;
    t->protocol = q.version > 0 ? q.version : header_version(t);
    take_policy_key(t, &q);
    metrics_activesync(txn_worker(t)->metrics, q.command, activesync_version_kind(t->protocol));
    return FILTER_NEXT;
}

const struct filter filter_activesync = {
    .name = "activesync",
    .doc = "the ActiveSync query, plain or base64, is well-formed",
    .on = {[PHASE_ACCESS] = activesync_read},
    .enabled = exchange_is_activesync,
};
