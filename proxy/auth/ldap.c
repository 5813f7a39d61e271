/*
 * `type: ldap`: binds as the user, by a name made from a template or found by a search, and looks for the groups that
 * publications require.
 */
#include <stdlib.h>
#include <ldap.h>
#include <postern/log.h>

#include "auth_int.h"
#include "ldap_answer.h"
#include "ldap_check.h"
#include "ldap_server.h"
#include "login.h"

#define COMPLAIN_EVERY_NS UINT64_C(60000000000)

struct ldap_directory {
    const struct conf_directory *conf;
    struct tls_trust *trust;
    uint64_t service_again_ns;  /* atomic: when the service account may be tried again */
    uint64_t complain_again_ns; /* atomic: when a refusal is told to the log again */
    size_t n;
    struct ldap_server *servers[];
};

/* One verification at one server. */
struct ask {
    struct ldap_directory *d;
    struct ldap_server *server;
    const struct login *login;
    struct str password;
    uint64_t due_ns;
    bool unwell; /* the server answers that it cannot: the next one may */
    struct auth_result *ret;
    char name[LOGIN_TEXT_MAX]; /* to bind with */
    char dn[LOGIN_TEXT_MAX];   /* of the account; empty: not known yet */
};

static uint64_t ask_due(const struct ask *a)
{
    uint64_t most = uv_hrtime() + a->d->conf->answer_timeout * 1000000;

    return most < a->due_ns ? most : a->due_ns;
}

static void ask_result(struct ask *a, enum verdict v, enum auth_detail d)
{
    *a->ret = (struct auth_result){.verdict = v, .detail = d};
}

static void ask_fault(struct ask *a, enum auth_detail fault)
{
    ask_result(a, fault == AUTH_DETAIL_TIMED_OUT ? VERDICT_TIMEOUT : VERDICT_UNAVAILABLE, fault);
}

/* Something that an administrator has to mend; not once per request. */
static void ask_complain(struct ask *a, const char *what, const struct ldap_answer *answer)
{
    uint64_t again = __atomic_load_n(&a->d->complain_again_ns, __ATOMIC_RELAXED), now = uv_hrtime();

    if (now < again || !__atomic_compare_exchange_n(&a->d->complain_again_ns, &again, now + COMPLAIN_EVERY_NS,
                                                    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    log_event(LOG_EV_DIRECTORY_REFUSED, LF_STR("directory", a->d->conf->name), LF_STR("what", str_of(what)),
              LF_STR("answer", str_of(ldap_err2string(answer->code))), LF_STR("text", str_of(answer->text)));
}

/* An answer to something that is not a user's bind. True: it is a success; else *ret says what it is. */
static bool ask_succeeded(struct ask *a, const char *what, const struct ldap_answer *answer)
{
    struct auth_result r = {0};

    if (answer->code == LDAP_SUCCESS)
        return true;
    a->unwell = ldap_answer_judge(answer, &r);
    ask_result(a, VERDICT_UNAVAILABLE, a->unwell ? AUTH_DETAIL_UNREACHABLE : AUTH_DETAIL_REFUSED);
    if (!a->unwell)
        ask_complain(a, what, answer);
    return false;
}

/* ---- what is done on a connection; false: the connection broke ---- */

static bool find_account(struct ask *a, struct ldap_conn *c)
{
    const struct conf_directory *d = a->d->conf;
    struct ldap_answer answer;
    char filter[LOGIN_TEXT_MAX];
    unsigned n = 0;

    a->dn[0] = '\0';
    if (login_expand(d->search_filter, a->login, LOGIN_FILTER, filter, sizeof(filter)) < 0) {
        ask_result(a, VERDICT_WRONG, AUTH_DETAIL_UNKNOWN_USER);
        return true;
    }
    if (!ldap_conn_search(c, d->search_base.p, true, filter, ask_due(a), &n, a->dn, sizeof(a->dn), &answer))
        return false;
    if (answer.code == LDAP_SIZELIMIT_EXCEEDED || (answer.code == LDAP_SUCCESS && n > 1))
        ask_result(a, VERDICT_WRONG, AUTH_DETAIL_AMBIGUOUS);
    else if (ask_succeeded(a, "the search for the account", &answer) && n == 0)
        ask_result(a, VERDICT_WRONG, AUTH_DETAIL_UNKNOWN_USER);
    if (a->ret->verdict != VERDICT_OK)
        a->dn[0] = '\0';
    return true;
}

/* How each kind of membership is searched: at the account or at the group, alone. */
static const struct {
    const char *filter;
    bool at_account;
} memberships[] = {
    [CONF_MEMBERSHIP_NESTED] = {"(memberOf:1.2.840.113556.1.4.1941:={dn})", true},
    [CONF_MEMBERSHIP_MEMBER_OF] = {"(memberOf={dn})", true},
    [CONF_MEMBERSHIP_MEMBER] = {"(member={dn})", false},
    [CONF_MEMBERSHIP_UNIQUE_MEMBER] = {"(uniqueMember={dn})", false},
    [CONF_MEMBERSHIP_MEMBER_UID] = {"(memberUid={user})", false},
};

static bool find_group(struct ask *a, struct ldap_conn *c, unsigned i)
{
    bool at_account = memberships[a->d->conf->membership].at_account;
    struct str group = a->d->conf->group_names->v[i];
    struct login l = *a->login;
    struct ldap_answer answer;
    char filter[3 * LOGIN_TEXT_MAX + 64];
    unsigned n = 0;

    l.dn = at_account ? group : str_of(a->dn);
    if (login_expand(str_of(memberships[a->d->conf->membership].filter), &l, LOGIN_FILTER, filter,
                     sizeof(filter)) < 0)
        return true;
    if (!ldap_conn_search(c, at_account ? a->dn : group.p, false, filter, ask_due(a), &n, NULL, 0, &answer))
        return false;
    if (answer.code == LDAP_NO_SUCH_OBJECT)
        ask_complain(a, "the search for a group", &answer); /* nobody is in it; the others may still serve */
    else if (ask_succeeded(a, "the search for a group", &answer) && n > 0)
        a->ret->groups |= UINT64_C(1) << i;
    return true;
}

static bool find_groups(struct ask *a, struct ldap_conn *c)
{
    struct auth_result found = *a->ret;

    if (a->dn[0] == '\0' && !find_account(a, c))
        return false;
    /* Right a moment ago as a bind name: where its account cannot be found, the search is what is wrong. */
    if (a->dn[0] == '\0' && a->ret->verdict == VERDICT_WRONG) {
        *a->ret = found;
        return true;
    }
    for (unsigned i = 0; i < a->d->conf->group_names->n && a->ret->verdict == VERDICT_OK; i++) {
        if ((a->d->conf->groups >> i & 1) != 0 && !find_group(a, c, i))
            return false;
    }
    return true;
}

static bool bind_user(struct ask *a, struct ldap_conn *c)
{
    const struct conf_directory *d = a->d->conf;
    struct ldap_answer answer;

    if (!ldap_conn_bind(c, a->name, a->password, ask_due(a), &answer))
        return false;
    a->unwell = ldap_answer_judge(&answer, a->ret);
    if (a->ret->detail == AUTH_DETAIL_REFUSED)
        ask_complain(a, "the bind of a user", &answer);
    if (a->ret->verdict == VERDICT_OK && d->groups != 0 && d->bind_dn.p == NULL)
        return find_groups(a, c);
    return true;
}

/* ---- connections ---- */

/* The account of ours is tried seldom after a refusal: a directory locks accounts. */
static bool service_bind(struct ask *a, struct ldap_conn *c)
{
    const struct conf_directory *d = a->d->conf;
    struct ldap_answer answer;
    struct auth_result r = {0};

    if (uv_hrtime() < __atomic_load_n(&a->d->service_again_ns, __ATOMIC_RELAXED)) {
        ask_result(a, VERDICT_UNAVAILABLE, AUTH_DETAIL_SERVICE_ACCOUNT);
        return true;
    }
    if (!ldap_conn_bind(c, d->bind_dn.p, d->bind_password.bytes, ask_due(a), &answer))
        return false;
    a->unwell = ldap_answer_judge(&answer, &r);
    if (r.verdict == VERDICT_OK)
        return true;
    ask_result(a, VERDICT_UNAVAILABLE, a->unwell ? AUTH_DETAIL_UNREACHABLE : AUTH_DETAIL_SERVICE_ACCOUNT);
    if (!a->unwell) {
        __atomic_store_n(&a->d->service_again_ns, uv_hrtime() + d->retry_after * 1000000, __ATOMIC_RELAXED);
        ask_complain(a, "the bind of bind_dn", &answer);
    }
    return true;
}

static bool ask_run(struct ask *a, enum ldap_purpose p, struct ldap_conn *c, bool kept,
                    bool (*work)(struct ask *a, struct ldap_conn *c))
{
    if (p == LDAP_FOR_SERVICE && !kept) {
        if (!service_bind(a, c))
            return false;
        if (a->ret->verdict != VERDICT_OK)
            return true;
    }
    return work(a, c);
}

/* Runs `work` on a connection. False: *ret says why this server cannot do it. A kept connection may have died unseen: then the
 * question goes to another one. */
static bool ask_on(struct ask *a, enum ldap_purpose p, bool (*work)(struct ask *a, struct ldap_conn *c))
{
    struct auth_result before = *a->ret;
    enum auth_detail fault;
    struct ldap_conn *c;
    bool kept;

    for (;;) {
        c = ldap_server_take(a->server, p, a->due_ns, &kept, &fault);
        if (c == NULL)
            break;
        if (ask_run(a, p, c, kept, work)) {
            bool keep = !a->unwell && (p == LDAP_FOR_USER || a->ret->detail != AUTH_DETAIL_SERVICE_ACCOUNT);
            if (keep)
                ldap_server_give(a->server, p, c);
            else
                ldap_server_drop(a->server, c);
            return !a->unwell;
        }
        fault = ldap_conn_fault(c);
        ldap_server_drop(a->server, c);
        *a->ret = before;
        if (!kept || fault != AUTH_DETAIL_UNREACHABLE) {
            ldap_server_failed(a->server, fault, "a question was not answered");
            break;
        }
    }
    ask_fault(a, fault);
    return false;
}

/* ---- one server ---- */

/* The name to bind with. False: decided already, or the server failed. */
static bool ask_name(struct ask *a, bool *ret_failed)
{
    const struct conf_directory *d = a->d->conf;
    enum login_place place;

    if (d->bind_as.p == NULL) {
        *ret_failed = !ask_on(a, LDAP_FOR_SERVICE, find_account);
        memcpy(a->name, a->dn, sizeof(a->name));
        return !*ret_failed && a->ret->verdict == VERDICT_OK;
    }
    place = login_place_of(d->bind_as);
    if (login_expand(d->bind_as, a->login, place, a->name, sizeof(a->name)) < 0) {
        ask_result(a, VERDICT_WRONG, AUTH_DETAIL_UNKNOWN_USER);
        return false;
    }
    if (place == LOGIN_DN)
        memcpy(a->dn, a->name, sizeof(a->dn));
    return true;
}

/* False: the server cannot answer. */
static bool ask_server(struct ask *a)
{
    const struct conf_directory *d = a->d->conf;
    bool failed = false;

    if (!ask_name(a, &failed))
        return !failed;
    if (!ask_on(a, LDAP_FOR_USER, bind_user))
        return false;
    if (a->ret->verdict == VERDICT_OK && d->groups != 0 && d->bind_dn.p != NULL)
        return ask_on(a, LDAP_FOR_SERVICE, find_groups);
    return true;
}

/* ---- all servers ---- */

static void ldap_verify(void *state, const struct basic_credentials *c, const char *client,
                        uint64_t timeout_ms, struct auth_result *ret)
{
    struct ldap_directory *d = state;
    uint64_t due = uv_hrtime() + timeout_ms * 1000000;
    struct standing *standings[STANDINGS_MAX];
    uint8_t order[STANDINGS_MAX];
    bool answered;
    struct login login;
    struct ask a = {.d = d, .login = &login, .password = {c->password, c->password_n}, .ret = ret};

    if (c->password_n == 0 || !login_parse(d->conf, c, &login)) {
        *ret = (struct auth_result){.verdict = VERDICT_WRONG,
                                    .detail =
                                        c->password_n == 0 ? AUTH_DETAIL_INVALID : AUTH_DETAIL_UNKNOWN_USER};
        return;
    }
    for (size_t i = 0; i < d->n; i++)
        standings[i] = ldap_server_standing(d->servers[i]);
    standing_order(standings, d->n, order);
    for (size_t i = 0; i < d->n && (i == 0 || uv_hrtime() < due); i++) {
        *ret = (struct auth_result){.verdict = VERDICT_OK};
        a.server = d->servers[order[i]];
        a.due_ns = standing_due(due, i + 1 < d->n);
        a.unwell = false;
        standing_asks(standings[order[i]]);
        answered = ask_server(&a);
        standing_asked(standings[order[i]]);
        if (answered) {
            standing_worked(standings[order[i]]);
            return;
        }
        if (a.unwell)
            ldap_server_failed(a.server, ret->detail, "the server answers that it is busy or unavailable");
    }
}

/* ---- begin and end ---- */

static void ldap_close(void *state)
{
    struct ldap_directory *d = state;

    for (size_t i = 0; i < d->n; i++)
        ldap_server_free(d->servers[i]);
    tls_trust_free(d->trust);
    free(d);
}

static void *ldap_open_directory(const struct conf_directory *conf, struct conf_findings *f)
{
    struct ldap_directory *d;
    char who[128];

    snprintf(who, sizeof(who), "directories.%.*s", STR_ARG(conf->name));
    if (!ldap_check(conf, who, f))
        return NULL;
    d = calloc(1, sizeof(*d) + conf->servers_n * sizeof(d->servers[0]));
    if (d == NULL)
        return NULL;
    ldap_conn_process_init();
    d->conf = conf;
    d->trust = tls_trust_new(&conf->trust, who, f);
    while (d->trust != NULL && d->n < conf->servers_n &&
           (d->servers[d->n] = ldap_server_new(conf, &conf->servers[d->n], d->trust)) != NULL)
        d->n++;
    if (d->trust != NULL && d->n == conf->servers_n)
        return d;
    ldap_close(d);
    return NULL;
}

static void ldap_tidy(void *state)
{
    struct ldap_directory *d = state;

    for (size_t i = 0; i < d->n; i++)
        ldap_server_tidy(d->servers[i]);
}

static void ldap_servers(void *state, void (*each)(void *ctx, const struct verifier_server *s), void *ctx)
{
    struct ldap_directory *d = state;

    for (size_t i = 0; i < d->n; i++) {
        struct verifier_server one = ldap_server_status(d->servers[i]);
        each(ctx, &one);
    }
}

const struct verifier_type verifier_ldap = {.type = CONF_DIRECTORY_LDAP,
                                            .open = ldap_open_directory,
                                            .close = ldap_close,
                                            .verify = ldap_verify,
                                            .tidy = ldap_tidy,
                                            .servers = ldap_servers};
