/* The ActiveSync query: what is taken is bounded and printable, and says the same however it is escaped. */
#include "fuzz_http.h"

#include <stdio.h>
#include <postern/activesync.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((uint8_t)s.p[i] < 0x21 || (uint8_t)s.p[i] > 0x7e)
            return false;
    }
    return true;
}

static void check(const struct activesync_query *q)
{
    FUZZ_CHECK(q->command >= ACTIVESYNC_NONE && q->command < ACTIVESYNC_COMMAND_COUNT);
    FUZZ_CHECK(!q->base64 || q->command != ACTIVESYNC_NONE);
    FUZZ_CHECK(q->device_id.n <= ACTIVESYNC_ID_MAX && printable(q->device_id));
    FUZZ_CHECK(q->device_type.n <= ACTIVESYNC_TYPE_MAX && printable(q->device_type));
    FUZZ_CHECK(q->user.n <= ACTIVESYNC_USER_MAX &&
               memchr(q->user.p != NULL ? q->user.p : "", 0, q->user.n) == NULL);
    FUZZ_CHECK(q->user.p == NULL || q->user.n > 0);
}

static size_t escape(struct str s, char *out)
{
    for (size_t i = 0; i < s.n; i++)
        snprintf(out + 3 * i, 4, "%%%02x", (uint8_t)s.p[i]);
    return 3 * s.n;
}

static bool same(struct str a, struct str b)
{
    return (a.p == NULL) == (b.p == NULL) && (a.p == NULL || str_eq(a, b));
}

static bool same_query(const struct activesync_query *a, const struct activesync_query *b)
{
    return a->base64 == b->base64 && a->command == b->command && same(a->user, b->user) &&
           same(a->device_id, b->device_id) && same(a->device_type, b->device_type) &&
           a->version == b->version && a->locale == b->locale && a->has_policy_key == b->has_policy_key &&
           a->policy_key == b->policy_key;
}

/* An escaped base64 query says the same. */
static void check_escaped(struct str query, const struct activesync_query *q, struct arena *a)
{
    char *text = arena_bytes(a, 3 * query.n + 1);
    struct activesync_query again;

    if (text == NULL || memchr(query.p, '%', query.n) != NULL)
        return;
    FUZZ_CHECK(activesync_query_parse((struct str){text, escape(query, text)}, a, &again));
    FUZZ_CHECK(same_query(q, &again));
}

static size_t add(char *out, const char *name, struct str value)
{
    size_t n = (size_t)sprintf(out, "%s=", name);

    n += escape(value, out + n);
    out[n++] = '&';
    return n;
}

/* What was understood of a plain one, written in another order and escaped throughout, is understood again. */
static void check_rewritten(const struct activesync_query *q, struct arena *a)
{
    char text[3 * (ACTIVESYNC_ID_MAX + ACTIVESYNC_TYPE_MAX + ACTIVESYNC_USER_MAX + 32) + 64];
    struct activesync_query again;
    size_t n = add(text, "x", STR("1"));

    n += q->device_type.p != NULL ? add(text + n, "DEVICETYPE", q->device_type) : 0;
    n += q->device_id.p != NULL ? add(text + n, "deviceid", q->device_id) : 0;
    n += q->user.p != NULL ? add(text + n, "User", q->user) : 0;
    n += q->command != ACTIVESYNC_NONE ? add(text + n, "%43md", activesync_command_name(q->command)) : 0;
    FUZZ_CHECK(activesync_query_parse((struct str){text, n}, a, &again));
    FUZZ_CHECK(same_query(q, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str query = {(const char *)data, size};
    struct activesync_query q;
    struct pool chunks;
    struct arena a;

    pool_init(&chunks, 4096, 2);
    arena_init(&a, &chunks, 1u << 20);
    if (activesync_query_parse(query, &a, &q)) {
        check(&q);
        if (q.base64)
            check_escaped(query, &q, &a);
        else
            check_rewritten(&q, &a);
    }
    arena_release(&a);
    pool_destroy(&chunks);
    return 0;
}
