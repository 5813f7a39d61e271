/*
 * Which devices may come, with whose account; and the list of those that came.
 */
#include <time.h>

#include <postern/activesync.h>
#include <postern/device_rules.h>
#include <postern/devices.h>
#include <postern/exchange.h>
#include <postern/log.h>
#include <postern/txn.h>

#include "exchange_int.h"

/* ---- the account ---- */

/* The account's own part in lower case. Old clients write ISO-8859-1, be it in one of the two places only. */
static ptrdiff_t user_normal(struct str name, char out[ACCOUNT_NORMAL_MAX + 1])
{
    char text[2 * ACCOUNT_NAME_MAX];
    ptrdiff_t normal = account_normal(name, out, ACCOUNT_NORMAL_MAX + 1);
    size_t n = 0;

    if (normal >= 0 || name.n > ACCOUNT_NAME_MAX)
        return normal;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t o = (uint8_t)name.p[i];

        if (o >= 0x80)
            text[n++] = (char)(0xc0 | o >> 6);
        text[n++] = (char)(o < 0x80 ? o : (0x80 | (o & 0x3f)));
    }
    return account_normal((struct str){text, n}, out, ACCOUNT_NORMAL_MAX + 1);
}

/* The same person in any of the three forms. Phones put mail addresses there, whose domain no directory may know; but two domains
 * that lead to two directories are two people. */
static bool same_user(struct str a, struct str b, const struct conf_directory *d)
{
    struct account x = account_parse(a), y = account_parse(b);
    const struct conf_directory *dx, *dy;
    char p[ACCOUNT_NORMAL_MAX + 1], q[ACCOUNT_NORMAL_MAX + 1];
    ptrdiff_t n = user_normal(a, p), m = user_normal(b, q);

    if (n <= 0 || n != m || memcmp(p, q, (size_t)n) != 0)
        return false;
    if (x.domain.p == NULL || y.domain.p == NULL || d == NULL)
        return true;
    dx = account_directory(a, d);
    dy = account_directory(b, d);
    return dx == NULL || dy == NULL || dx == dy;
}

static bool user_fits(const struct txn *t)
{
    if (!t->match.service->match_user || !t->authenticated || t->device_user.p == NULL)
        return true;
    return same_user(t->device_user, t->user, t->match.publish->basic);
}

/* ---- the rules ---- */

static bool in_group(void *ctx, struct str group)
{
    const struct txn *t = ctx;
    const struct conf_strings *all = &txn_snapshot(t)->groups;

    for (size_t i = 0; i < all->n && i < 64; i++) {
        if ((t->auth_result.groups & UINT64_C(1) << i) != 0 && device_glob(group, all->v[i]))
            return true;
    }
    return false;
}

static void log_observed(const struct txn *t, unsigned line)
{
    log_event(LOG_EV_DEVICE_OBSERVED, LF_U64("line", line), LF_STR("user", t->user),
              LF_STR("device", t->device), LF_STR("type", t->device_type), LF_STR("agent", t->agent),
              LF_ADDRESS("client", &t->session->peer.sa));
}

static enum filter_result judge(struct txn *t, const struct device_rules *rules)
{
    char normal[ACCOUNT_NORMAL_MAX + 1], plain[ACCOUNT_NORMAL_MAX + 1];
    ptrdiff_t n = user_normal(t->user, normal);
    struct device_facts f = {
        .device_id = t->device,
        .device_type = t->device_type,
        .user_agent = t->agent,
        .user = t->user,
        .command = t->command,
        .version = t->protocol,
        .in_group = in_group,
        .ctx = t,
        .plain_user = {plain,
                       n > 0 ? account_skeleton((struct str){normal, (size_t)n}, plain, sizeof(plain)) : 0},
    };
    struct device_verdict v = device_rules_judge(rules, &f);
    struct metrics *m = txn_worker(t)->metrics;

    if (v.observed > 0) {
        metrics_add(m, METRIC_DEVICES_OBSERVED, 1);
        log_observed(t, v.observed);
    }
    if (v.action != DEVICE_DENY)
        return FILTER_NEXT;
    metrics_add(m, METRIC_DEVICES_DENIED, 1);
    txn_refuse(t, v.status, REASON_DEVICE_DENIED);
    return FILTER_DONE;
}

static enum filter_result device_check(struct txn *t)
{
    const struct device_rules *rules = exchange_device_rules(txn_snapshot(t), t->match.service);

    if (!user_fits(t)) {
        txn_refuse(t, 403, REASON_DEVICE_USER);
        return FILTER_DONE;
    }
    return rules != NULL ? judge(t, rules) : FILTER_NEXT;
}

/* ---- who is connected ---- */

static bool is_long_poll(const struct txn *t)
{
    return str_eq(t->command, activesync_command_name(ACTIVESYNC_PING));
}

static enum filter_result device_note(struct txn *t)
{
    struct device_seen seen = {
        .user = t->user,
        .id = t->device,
        .type = t->device_type,
        .agent = t->agent,
        .command = t->command,
        .client = &t->session->peer.sa,
        .protocol = t->protocol,
        .status = t->status,
        .denied = t->reason == REASON_DEVICE_DENIED || t->reason == REASON_DEVICE_USER,
    };

    if (t->device.p == NULL || (!t->authenticated && t->match.publish->basic != NULL))
        return FILTER_NEXT; /* anybody can claim to be any device: only proved accounts are listed */
    if (is_long_poll(t) && t->sent_ms > 0) {
        seen.held_ms = worker_now(txn_worker(t)) - t->sent_ms;
        seen.held_to_the_end = t->status == 200 && t->reason == REASON_OK;
    }
    devices_note(&seen, (int64_t)time(NULL));
    return FILTER_NEXT;
}

const struct filter filter_device = {
    .name = "device",
    .doc = "the site's device rules; the query's User is who signed in",
    .on = {[PHASE_AUTH] = device_check, [PHASE_LOG] = device_note},
    .enabled = exchange_is_activesync,
};
