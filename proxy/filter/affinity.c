/*
 * Which server a client stays with: by account, by address, or by a cookie of ours that names the server without telling it.
 */
#include <stdio.h>

#include <postern/affinity.h>
#include <postern/txn.h>

#include "filters_int.h"

#define AFFINITY_COOKIE "PosternServer"
#define TOKEN_LEN 16

/* ---- the request ---- */

static bool cookie_is_ours(struct str pair, struct str *ret_value)
{
    struct str rest = str_trim(pair), name;

    if (!str_next(&rest, '=', &name) || !str_eq(name, STR(AFFINITY_COOKIE)))
        return false;
    *ret_value = rest;
    return true;
}

static int server_of_token(const struct txn *t, struct str value)
{
    char text[TOKEN_LEN + 1];

    for (unsigned i = 0; value.n == TOKEN_LEN && i < backend_pool_servers(t->pool); i++) {
        snprintf(text, sizeof(text), "%016llx", (unsigned long long)backend_pool_server_token(t->pool, i));
        if (str_eq(value, (struct str){text, TOKEN_LEN}))
            return (int)i;
    }
    return -1;
}

/* Takes our cookie out of the field's value: the interior has no use for it. */
static void cookie_take(struct txn *t, struct field *f)
{
    struct str rest = f->value, pair, value = STR_NULL;
    char *out = arena_bytes(&t->arena, f->value.n + 2);
    size_t n = 0;

    if (out == NULL || memmem(f->value.p, f->value.n, AFFINITY_COOKIE, sizeof(AFFINITY_COOKIE) - 1) == NULL)
        return;
    while (str_next(&rest, ';', &pair)) {
        if (cookie_is_ours(pair, &value)) {
            t->want.server = server_of_token(t, value);
            continue;
        }
        pair = str_trim(pair);
        if (n > 0) {
            out[n++] = ';';
            out[n++] = ' ';
        }
        memcpy(out + n, pair.p, pair.n);
        n += pair.n;
    }
    f->value = (struct str){out, n};
    f->dropped = n == 0;
}

static void by_cookie(struct txn *t)
{
    for (unsigned i = 0; i < t->request.fields_n; i++) {
        struct field *f = &t->request.fields[i];
        if (f->id == FIELD_ID_COOKIE && !f->dropped)
            cookie_take(t, f);
    }
    t->want.new_client = t->want.server < 0;
}

static void by_user(struct txn *t)
{
    char name[ACCOUNT_NAME_MAX + 1];
    ptrdiff_t n = t->user.p != NULL ? account_normal(t->user, name, sizeof(name)) : -1;

    t->want.has_key = true;
    if (n > 0)
        t->want.key = affinity_hash(name, (size_t)n);
    /* Both channels of a client name the same target, the legs of NTLM too; behind NAT it tells clients apart. */
    else if (t->match.service->protocol == CONF_PROTOCOL_RPC)
        t->want.key =
            affinity_address(&t->session->peer.sa) ^ affinity_hash(t->target.query.p, t->target.query.n);
    else
        t->want.key = affinity_address(&t->session->peer.sa);
}

static enum filter_result affinity_pick(struct txn *t)
{
    switch (t->match.service->affinity) {
    case CONF_AFFINITY_NONE:
        break;
    case CONF_AFFINITY_USER:
        by_user(t);
        break;
    case CONF_AFFINITY_CLIENT_ADDRESS:
        t->want.has_key = true;
        t->want.key = affinity_address(&t->session->peer.sa);
        break;
    case CONF_AFFINITY_COOKIE:
        by_cookie(t);
        break;
    }
    return FILTER_NEXT;
}

/* ---- the response ---- */

static enum filter_result affinity_set(struct txn *t)
{
    int server;
    struct str value;

    if (t->match.service->affinity != CONF_AFFINITY_COOKIE || t->backend == NULL ||
        backend_pool_servers(t->pool) < 2)
        return FILTER_NEXT;
    server = backend_conn_server(t->backend);
    if (server < 0 || server == t->want.server)
        return FILTER_NEXT;
    value = arena_printf(&t->arena, AFFINITY_COOKIE "=%016llx; Path=/; Secure; HttpOnly",
                         (unsigned long long)backend_pool_server_token(t->pool, (unsigned)server));
    if (value.p != NULL)
        (void)message_add(&t->response, FIELD_ID_SET_COOKIE, value);
    return FILTER_NEXT;
}

static bool affinity_enabled(const struct snapshot *s, const struct conf_publish *p,
                             const struct conf_service *v)
{
    return v->affinity != CONF_AFFINITY_NONE;
}

const struct filter filter_affinity = {
    .name = "affinity",
    .doc = "keeps a client on one server: by account, address or cookie",
    .on = {[PHASE_REQUEST_OUT] = affinity_pick, [PHASE_RESPONSE_HEAD] = affinity_set},
    .enabled = affinity_enabled,
};
