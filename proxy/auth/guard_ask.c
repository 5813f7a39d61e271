/*
 * An attempt: the name's one form, the memory's opinion, and only then the directory's.
 */
#include "guard_int.h"

struct guard_result guard_result_of(const struct guard *g, enum guard_answer answer,
                                    const struct guard_account *a, uint64_t now)
{
    const struct conf_guard *n = guard_numbers(g);
    uint64_t wait = n->retry_after;
    struct guard_result r = {.answer = answer};

    if (a != NULL && answer == GUARD_LOCKED && a->lockout.until_ms > now && a->lockout.until_ms - now < wait)
        wait = a->lockout.until_ms - now;
    r.retry_after_s = (unsigned)((wait + 999) / 1000);
    if (a != NULL && answer == GUARD_RIGHT)
        memcpy(r.proof.account, a->row.key.b, sizeof(r.proof.account));
    if (a != NULL && answer == GUARD_KNOWN_WRONG)
        r.detail = a->detail;
    r.cached = answer == GUARD_KNOWN_WRONG;
    return r;
}

/* ---- addresses ---- */

void guard_source_waits(struct guard *g, const struct source_address *a, bool more)
{
    struct mac key = guard_source_key(g, a);
    struct guard_shard *s = shard_of(g->sources, &key);
    uint64_t now = guard_now();
    struct guard_source *v;

    pthread_mutex_lock(&s->lock);
    v = more ? guard_source_row(g, s, &key, a, now) : table_find(&s->table, &key);
    if (v != NULL && more && v->waiting < UINT16_MAX)
        v->waiting++;
    else if (v != NULL && !more && v->waiting > 0)
        v->waiting--;
    if (v != NULL)
        guard_source_settle(g, s, v, now);
    pthread_mutex_unlock(&s->lock);
}

/* What there is to know of the address before the account is looked at. */
static void look_at_source(struct guard *g, const struct source_address *a, bool *ret_braked,
                           bool *ret_may_wait)
{
    struct mac key = guard_source_key(g, a);
    struct guard_shard *s = shard_of(g->sources, &key);
    const struct guard_source *v;

    pthread_mutex_lock(&s->lock);
    v = table_find(&s->table, &key);
    *ret_braked = v != NULL && source_locked(v, guard_now());
    *ret_may_wait = v == NULL || source_may_wait(v, guard_numbers(g));
    pthread_mutex_unlock(&s->lock);
}

/* ---- the attempt ---- */

struct ask {
    struct guard *g;
    const struct guard_question *q;
    const struct conf_guard *n;
    struct basic_credentials read; /* in UTF-8 */
    char name[ACCOUNT_NORMAL_MAX + 1];
    struct str normal;
    struct mac account;
    struct account_attempt attempt;
    uint64_t password; /* of the attempt's credential, in whatever form */
    struct source_address source;
    struct guard_ticket *ticket;
    struct guard_flight *flight; /* to be submitted */
    struct guard_result result;  /* where there is neither */
    uint64_t tag[2];             /* of what was sent, for the memo */
    bool may_wait;
};

static bool asks_with_domain(const struct conf_directory *d)
{
    bool any = d->type == CONF_DIRECTORY_RADIUS && d->bind_as.p == NULL;

    for (size_t i = 0; !any && i < d->members_n; i++)
        any = asks_with_domain(d->members[i]);
    return any || conf_template_has_domain(d->bind_as) || conf_template_has_domain(d->search_filter);
}

/* What of the name, beside the account, makes the directory's question another one, and may make the answer another: which members
 * of a chain are asked, and the domain where it is asked with. */
static uint64_t form_of(const struct guard *g, const struct conf_directory *asked, struct str name)
{
    char text[ACCOUNT_NORMAL_MAX + 1];
    uint64_t form = 0;
    ptrdiff_t n;

    for (size_t i = account_member(name, asked, 0); i < asked->members_n;
         i = account_member(name, asked, i + 1))
        form ^= UINT64_C(1) << i % 64;
    if (!asks_with_domain(asked))
        return form;
    n = account_domain(name, text, sizeof(text));
    return form ^ guard_hash(g->hash_key, 'f', (struct str){text, n > 0 ? (size_t)n : 0});
}

/* False: OpenSSL failed. */
static bool ask_credential(struct ask *k, const struct conf_directory *asked, struct str name)
{
    uint64_t form = form_of(k->g, asked, name);
    struct guard_mac *with = k->g->macs[k->q->worker->index];
    struct str parts[] = {{(const char *)&asked->id, sizeof(asked->id)},
                          k->normal,
                          {k->read.password, k->read.password_n},
                          {(const char *)&form, sizeof(form)}};

    if (!guard_mac_of(with, parts, 3, &k->attempt.credential))
        return false;
    k->password = mac_short(&k->attempt.credential);
    return form == 0 || guard_mac_of(with, parts, 4, &k->attempt.credential);
}

/* False: no account of this directory, or no text. */
static bool ask_read(struct ask *k)
{
    const struct basic_credentials *c = k->q->credentials;
    const struct conf_directory *asked = k->q->verifier->directory, *d;
    struct str name;
    ptrdiff_t n;

    if (!basic_read_as(c, basic_charset_of(c), &k->read))
        return false;
    name = (struct str){k->read.user, k->read.user_n};
    d = account_directory(name, asked);
    n = d != NULL ? account_of(name, d, k->name, sizeof(k->name)) : -1;
    if (n <= 0)
        return false;
    k->normal = (struct str){k->name, (size_t)n};
    k->account = guard_account_key(k->g, d, k->normal);
    return ask_credential(k, asked, name);
}

static void ask_places(struct ask *k)
{
    const uint64_t *key = k->g->hash_key;

    k->source = source_address_of(k->q->source);
    k->attempt.exempt = conf_cidrs_match(&k->n->exempt, k->q->source);
    k->attempt.places[0] = guard_hash(key, 'p', (struct str){(const char *)k->source.b, sizeof(k->source.b)});
    if (k->q->device.n > 0)
        k->attempt.places[1] = guard_hash(key, 'd', k->q->device);
    k->may_wait = true;
    if (__atomic_load_n(&k->g->sources_locked, __ATOMIC_RELAXED) > 0)
        look_at_source(k->g, &k->source, &k->attempt.braked, &k->may_wait);
}

/* A phone is known by its id, wherever it is; anything else by its address. */
static uint64_t ask_place(const struct ask *k)
{
    return k->attempt.places[1] != 0 ? k->attempt.places[1] : k->attempt.places[0];
}

static void text_cut(char *out, size_t size, struct str s)
{
    size_t n = s.n < size ? s.n : size - 1;

    memcpy(out, s.p, n);
    out[n] = '\0';
}

static void trace_set(struct account_trace *t, const struct ask *k)
{
    *t = (struct account_trace){.source = k->source};
    if (k->q->device.n > 0)
        text_cut(t->device, sizeof(t->device), k->q->device);
    if (k->q->service.n > 0)
        text_cut(t->service, sizeof(t->service), k->q->service);
}

static bool ask_ticket(struct ask *k, void (*done)(void *ctx, const struct guard_result *r), void *ctx)
{
    k->ticket = ticket_new(k->g, k->q->worker, done, ctx);
    if (k->ticket == NULL) {
        k->result = guard_result_of(k->g, GUARD_UNAVAILABLE, NULL, 0);
        k->result.detail = AUTH_DETAIL_NO_MEMORY;
        return false;
    }
    k->ticket->source = k->source;
    k->ticket->place = ask_place(k);
    k->ticket->exempt = k->attempt.exempt;
    return true;
}

/* Under the account's lock: with those who ask the same, or a look-up of its own. */
static void ask_directory(struct ask *k, struct guard_shard *s, struct guard_account *a, bool again)
{
    struct guard_flight *f = flight_find(a, &k->attempt.credential);

    if (f != NULL && f->late) {
        k->result = guard_result_of(k->g, GUARD_TIMEOUT, NULL, 0);
        k->result.detail = AUTH_DETAIL_TIMED_OUT;
        return;
    }
    if (f != NULL) {
        guard_count(k->g, METRIC_AUTH_JOINED, 1);
        flight_join(f, k->ticket);
        return;
    }
    f = k->may_wait ? flight_new(k->g, s, a, k->q->verifier) : NULL;
    if (f == NULL) {
        guard_count(k->g, METRIC_AUTH_HELD, 1);
        k->result = guard_result_of(k->g, GUARD_BUSY, NULL, 0);
        k->result.detail = AUTH_DETAIL_BUSY;
        return;
    }
    f->credential = k->attempt.credential;
    f->password = k->password;
    f->account_hash = mac_short(&k->account);
    f->source = k->source;
    f->place = ask_place(k);
    trace_set(&f->trace, k);
    source_text(k->q->source, f->client);
    f->again = again;
    f->exempt = k->attempt.exempt;
    f->ambiguous = basic_is_ambiguous(k->q->credentials);
    flight_join(f, k->ticket);
    k->flight = f;
}

static void ask_right(struct ask *k, struct guard_shard *s, struct guard_account *a, const struct proved *p,
                      uint64_t now)
{
    metrics_add(k->q->worker->metrics, METRIC_AUTH_CACHED, 1);
    account_add_place(a, ask_place(k));
    guard_account_settle(k->g, s, a, now);
    k->result = (struct guard_result){.answer = GUARD_RIGHT, .cached = true, .groups = p->groups};
    memcpy(k->result.proof.account, k->account.b, sizeof(k->account.b));
    memcpy(k->result.proof.credential, k->attempt.credential.b, sizeof(k->attempt.credential.b));
}

/* Under the account's lock. Without a ticket only what needs none is decided: true when it was. */
static bool ask_decide(struct ask *k, struct guard_shard *s, uint64_t now)
{
    static const enum guard_answer answers[] = {
        [STEP_KNOWN_WRONG] = GUARD_KNOWN_WRONG, [STEP_LOCKED] = GUARD_LOCKED, [STEP_BRAKED] = GUARD_BRAKED};
    static const enum metric counts[] = {[STEP_KNOWN_WRONG] = METRIC_AUTH_KNOWN_WRONG,
                                         [STEP_LOCKED] = METRIC_AUTH_LOCKED,
                                         [STEP_BRAKED] = METRIC_AUTH_BRAKED};
    struct guard_account *a = table_find(&s->table, &k->account);
    enum account_step step = k->attempt.braked && !k->attempt.exempt ? STEP_BRAKED : STEP_ASK;
    const struct proved *p = NULL;

    if (a != NULL) {
        if (account_expire(a, now))
            guard_say_unlocked(k->g, str_of(a->name), STR("time"));
        step = account_consider(a, k->n, &k->attempt, now, &p);
    }
    if (step == STEP_PROVED) {
        ask_right(k, s, a, p, now);
        return true;
    }
    if (step != STEP_ASK && step != STEP_ASK_AGAIN) {
        guard_count(k->g, counts[step], 1);
        k->result = guard_result_of(k->g, answers[step], a, now);
        if (a != NULL)
            guard_account_settle(k->g, s, a, now);
        return true;
    }
    if (k->ticket == NULL)
        return false;
    if (a == NULL && (a = guard_account_row(k->g, s, &k->account)) != NULL)
        text_cut(a->name, sizeof(a->name), k->normal);
    if (a == NULL) {
        k->result = guard_result_of(k->g, GUARD_BUSY, NULL, 0);
        return true;
    }
    ask_directory(k, s, a, step == STEP_ASK_AGAIN);
    guard_account_settle(k->g, s, a, now); /* with a look-up in flight it cannot be forgotten */
    return true;
}

static bool ask_decide_locked(struct ask *k)
{
    struct guard_shard *s = shard_of(k->g->accounts, &k->account);
    bool decided;

    pthread_mutex_lock(&s->lock);
    decided = ask_decide(k, s, guard_now());
    pthread_mutex_unlock(&s->lock);
    return decided;
}

/* ---- what the connection remembers ---- */

static void ask_tag(struct ask *k)
{
    const struct basic_credentials *c = k->q->credentials;
    char text[sizeof(uint64_t) + sizeof(uint32_t) + ACCOUNT_NAME_MAX + ACCOUNT_PASSWORD_MAX];
    uint32_t user_n = (uint32_t)c->user_n;
    struct str all = {text, sizeof(uint64_t) + sizeof(user_n) + c->user_n + c->password_n};
    struct mac tag;

    memcpy(text, &k->q->verifier->directory->id, sizeof(uint64_t));
    memcpy(text + sizeof(uint64_t), &user_n, sizeof(user_n));
    memcpy(text + sizeof(uint64_t) + sizeof(user_n), c->user, c->user_n);
    memcpy(text + sizeof(uint64_t) + sizeof(user_n) + c->user_n, c->password, c->password_n);
    tag = guard_hash_wide(k->g->hash_key, 'm', all);
    explicit_bzero(text, all.n);
    memcpy(k->tag, tag.b, sizeof(k->tag));
}

/* True: these are the credentials that were right on this connection before; whose, and what stands for them, is in place. */
static bool ask_remembers(struct ask *k)
{
    const struct guard_memo *m = k->q->memo;

    if (m == NULL)
        return false;
    ask_tag(k);
    if ((m->tag[0] | m->tag[1]) == 0 || ((m->tag[0] ^ k->tag[0]) | (m->tag[1] ^ k->tag[1])) != 0)
        return false;
    memcpy(k->account.b, m->proof.account, sizeof(k->account.b));
    memcpy(k->attempt.credential.b, m->proof.credential, sizeof(k->attempt.credential.b));
    return true;
}

static void ask_remember(const struct ask *k, const struct guard_result *r)
{
    if (k->q->memo == NULL || r->answer != GUARD_RIGHT)
        return;
    memcpy(k->q->memo->tag, k->tag, sizeof(k->tag));
    k->q->memo->proof = r->proof;
}

/* ---- asking ---- */

/* The look at the address is dear enough to be left out where the answer is known. `looked`: it was not, without one. */
static void ask_account(struct ask *k, bool looked, void (*done)(void *ctx, const struct guard_result *r),
                        void *ctx)
{
    struct guard_shard *s = shard_of(k->g->accounts, &k->account);

    if ((!looked && ask_decide_locked(k)) || !ask_ticket(k, done, ctx))
        return;
    look_at_source(k->g, &k->source, &k->attempt.braked, &k->may_wait);
    pthread_mutex_lock(&s->lock);
    (void)ask_decide(k, s, guard_now());
    pthread_mutex_unlock(&s->lock);
}

/* What was decided, told: at once, or as a failure in its time. */
static struct guard_ticket *ask_answer(struct ask *k, void (*done)(void *ctx, const struct guard_result *r),
                                       void *ctx, struct guard_result *ret_now)
{
    struct guard_result r = k->result;

    if (k->ticket == NULL && guard_is_failure(r.answer) && !ask_ticket(k, done, ctx))
        r = k->result;
    if (k->ticket != NULL && guard_is_failure(r.answer)) {
        ticket_answer(k->ticket, &r);
        return k->ticket;
    }
    if (k->ticket != NULL)
        guard_cancel(k->ticket);
    *ret_now = r;
    return NULL;
}

struct guard_ticket *guard_ask(struct guard *g, const struct guard_question *q,
                               void (*done)(void *ctx, const struct guard_result *r), void *ctx,
                               struct guard_result *ret_now)
{
    struct ask k = {.g = g, .q = q, .n = guard_numbers(g)};
    struct guard_ticket *t;
    bool known;

    k.result = (struct guard_result){.answer = GUARD_REFUSED};
    if (q->verifier == NULL) {
        *ret_now = guard_result_of(g, GUARD_UNAVAILABLE, NULL, 0);
        return NULL;
    }
    ask_places(&k);
    known = ask_remembers(&k);
    if ((!known || !ask_decide_locked(&k)) && ask_read(&k))
        ask_account(&k, known, done, ctx);
    if (k.flight != NULL) {
        t = k.ticket;
        flight_submit(k.flight, q->worker, q->snapshot, &k.read, q->snapshot->process.auth_timeout);
    } else if (k.ticket != NULL && k.ticket->shard != NULL) {
        t = k.ticket;
    } else {
        if (guard_is_failure(k.result.answer) && !k.attempt.exempt)
            guard_source_failed(g, &k.source, mac_short(&k.account), mac_short(&k.attempt.credential));
        t = ask_answer(&k, done, ctx, ret_now);
        if (t == NULL)
            ask_remember(&k, ret_now);
    }
    basic_forget(&k.read);
    return t;
}

void guard_doubt(struct guard *g, const struct guard_proof *p)
{
    struct mac account, credential;
    struct guard_shard *s;
    struct guard_account *a;

    memcpy(account.b, p->account, sizeof(account.b));
    memcpy(credential.b, p->credential, sizeof(credential.b));
    s = shard_of(g->accounts, &account);
    pthread_mutex_lock(&s->lock);
    a = table_find(&s->table, &account);
    if (a != NULL)
        cache_doubt(&a->cache, &credential);
    pthread_mutex_unlock(&s->lock);
}
