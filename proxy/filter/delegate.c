/*
 * What the interior is told about who asks: Authorization as sent, none, or a fixed account. And the notice to the core that a
 * request carries authentication that belongs to its connection.
 */
#include <postern/txn.h>

#include "filters_int.h"

static enum filter_result delegate_account(struct txn *t)
{
    const struct conf_publish *p = t->match.publish;
    size_t size = 16 + 2 * (p->delegate_user.n + p->delegate_password.n);
    char *text = arena_bytes(&t->arena, size);
    ptrdiff_t n = text != NULL ? basic_write(p->delegate_user, p->delegate_password, text, size) : -1;

    if (n < 0 || message_set(&t->request, FIELD_ID_AUTHORIZATION, (struct str){text, (size_t)n}) < 0) {
        txn_refuse(t, 500, REASON_NO_MEMORY);
        return FILTER_DONE;
    }
    return FILTER_NEXT;
}

/* The name in another form; the password stays octet for octet. */
static enum filter_result delegate_rewritten(struct txn *t, const struct field *f)
{
    const struct conf_publish *p = t->match.publish;
    char name[2 * ACCOUNT_NAME_MAX], *text;
    struct basic_credentials c;
    struct str user;
    size_t size = 16 + 2 * (sizeof(name) + ACCOUNT_PASSWORD_MAX);
    ptrdiff_t n = -1;

    if (f == NULL || p->basic == NULL || basic_parse(f->value, &c) != BASIC_OK) {
        txn_refuse(t, 500, REASON_INTERNAL);
        return FILTER_DONE;
    }
    user = (struct str){c.user, c.user_n};
    user = account_written(user, account_directory(user, p->basic), p->delegate, name, sizeof(name));
    text = arena_bytes(&t->arena, size);
    if (text != NULL)
        n = basic_write(user, (struct str){c.password, c.password_n}, text, size);
    basic_forget(&c);
    if (n < 0 || message_set(&t->request, FIELD_ID_AUTHORIZATION, (struct str){text, (size_t)n}) < 0) {
        txn_refuse(t, 500, REASON_NO_MEMORY);
        return FILTER_DONE;
    }
    return FILTER_NEXT;
}

static void claimed_user(struct txn *t, const struct field *f)
{
    struct basic_credentials c;

    if (t->user.p != NULL || basic_parse(f->value, &c) != BASIC_OK)
        return;
    t->user = arena_str(&t->arena, (struct str){c.user, c.user_n});
    basic_forget(&c);
}

static enum filter_result delegate_apply(struct txn *t)
{
    const struct field *f = message_find(&t->request, FIELD_ID_AUTHORIZATION);

    if (t->exempt) /* proved nothing here: it brings its own token, and never our account */
        return FILTER_NEXT;
    if (t->match.publish->delegate == CONF_DELEGATE_ACCOUNT)
        return delegate_account(t);
    if (t->match.publish->delegate == CONF_DELEGATE_NONE) {
        message_drop(&t->request, FIELD_ID_AUTHORIZATION);
        return FILTER_NEXT;
    }
    if (t->match.publish->delegate != CONF_DELEGATE_AS_SENT)
        return delegate_rewritten(t, f);
    if (f == NULL)
        return FILTER_NEXT;
    t->bind = auth_scheme_binds(auth_scheme_of(f->value));
    if (t->match.publish->basic == NULL)
        claimed_user(t, f);
    return FILTER_NEXT;
}

const struct filter filter_delegate = {
    .name = "delegate",
    .doc =
        "Authorization towards the interior: as sent, with another form of the name, none, or a fixed account",
    .on = {[PHASE_REQUEST_OUT] = delegate_apply},
};
