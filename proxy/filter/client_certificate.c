/*
 * Client certificates: a second factor before any password is looked at, or alone the proof of who asks. Who has none, or a bad
 * one, is told so in a page: a password would not help.
 */
#include <postern/txn.h>

#include "filters_int.h"

static enum filter_result certificate_refuse(struct txn *t, enum reason why)
{
    txn_refuse(t, 403, why);
    return FILTER_DONE;
}

/* A name in the form in which two are compared, and what counts the accounts of its directory. */
struct comparable {
    struct str space;
    ptrdiff_t n; /* -1: nobody's name */
    char name[ACCOUNT_NORMAL_MAX + 1];
};

static void comparable(const struct txn *t, struct str name, struct comparable *ret)
{
    const struct conf_directory *all = t->match.publish->basic,
                                *d = all != NULL ? account_directory(name, all) : NULL;

    *ret = (struct comparable){.n = -1};
    if (all == NULL) { /* the backend judges: what domains are one is not known here */
        ret->n = account_normal(name, ret->name, sizeof(ret->name));
    } else if (d != NULL) {
        ret->space = d->accounts.p != NULL ? d->accounts : d->name;
        ret->n = account_of(name, d, ret->name, sizeof(ret->name));
    }
}

static bool accounts_match(const struct txn *t, struct str certified, const struct basic_credentials *c)
{
    struct comparable a, b = {.n = -1};
    struct basic_credentials read;

    comparable(t, certified, &a);
    if (basic_read_as(c, basic_charset_of(c), &read))
        comparable(t, (struct str){read.user, read.user_n}, &b);
    basic_forget(&read);
    return a.n > 0 && a.n == b.n && memcmp(a.name, b.name, (size_t)a.n) == 0 && str_eq(a.space, b.space);
}

/* Before the directory is asked: one person's certificate must not serve to try another's password. What is no Basic is the next
 * filter's business, and what the backend does not get is nobody's. */
static bool claims_another(const struct txn *t, const struct client_identity *who)
{
    const struct conf_publish *p = t->match.publish;
    const struct field *f = message_find(&t->request, FIELD_ID_AUTHORIZATION);
    struct basic_credentials c;
    bool another;

    if (!p->client_account_must_match || (p->basic == NULL && p->delegate != CONF_DELEGATE_AS_SENT) ||
        f == NULL || basic_parse(f->value, &c) != BASIC_OK)
        return false;
    another = !accounts_match(t, str_of(who->account), &c);
    basic_forget(&c);
    return another;
}

static enum filter_result certificate_alone(struct txn *t, const struct client_identity *who)
{
    t->user = str_of(who->account); /* lives as long as the session */
    t->authenticated = true;
    return FILTER_NEXT;
}

static enum filter_result certificate_check(struct txn *t)
{
    bool required = t->match.publish->client_certificate == CONF_CLIENT_REQUIRED;
    const struct client_identity *who;

    if (t->exempt)
        return FILTER_NEXT;
    who = txn_client_certificate(t);
    if (who == NULL) {
        txn_refuse(t, 500, REASON_NO_MEMORY);
        return FILTER_DONE;
    }
    if (who->state != CLIENT_CERTIFICATE_GOOD && required)
        return certificate_refuse(t, who->state == CLIENT_CERTIFICATE_NONE ? REASON_CLIENT_CERTIFICATE_MISSING
                                                                           : REASON_CLIENT_CERTIFICATE_BAD);
    if (who->state != CLIENT_CERTIFICATE_GOOD)
        return FILTER_NEXT;
    if (claims_another(t, who))
        return certificate_refuse(t, REASON_CLIENT_CERTIFICATE_ACCOUNT);
    return t->match.publish->basic == NULL ? certificate_alone(t, who) : FILTER_NEXT;
}

static bool certificate_enabled(const struct snapshot *s, const struct conf_publish *p,
                                const struct conf_service *v)
{
    return p->client_certificate != CONF_CLIENT_OFF;
}

const struct filter filter_client_certificate = {
    .name = "client_certificate",
    .doc = "certificates of clients: beside Basic, or alone",
    .on = {[PHASE_AUTH] = certificate_check},
    .enabled = certificate_enabled,
};
