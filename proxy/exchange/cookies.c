/*
 * Cookies of the interior leave with Secure, and with HttpOnly where no script of OWA or ECP reads them (a stolen session
 * cookie is a stolen mailbox).
 */
#include <postern/txn.h>

#include "exchange_int.h"

/* By Exchange: sessions and form authentication. Those that scripts read (X-OWA-CANARY, msExchEcpCanary, UserContext, ClientId)
 * are not here. */
static const struct str http_only[] = {
    STR("cadata"),          STR("cadataKey"),      STR("cadataIV"),
    STR("cadataSig"),       STR("cadataTTL"),      STR("sessionid"),
    STR("TargetServer"),    STR("exchangecookie"), STR("ASP.NET_SessionId"),
    STR("X-BackEndCookie"),
};

static bool has_attribute(struct str value, struct str name)
{
    struct str rest = value, part;
    bool first = true;

    while (str_next(&rest, ';', &part)) {
        struct str p = str_trim(part), key;

        if (!first && str_next(&p, '=', &key) && str_eq_nocase(str_trim(key), name))
            return true;
        first = false;
    }
    return false;
}

static bool wants_http_only(struct str value)
{
    struct str rest = value, name;

    if (!str_next(&rest, '=', &name))
        return false;
    name = str_trim(name);
    for (size_t i = 0; i < sizeof(http_only) / sizeof(http_only[0]); i++) {
        if (str_eq_nocase(name, http_only[i]))
            return true;
    }
    return false;
}

static bool cookie_guard(struct txn *t, struct field *f)
{
    bool secure = !has_attribute(f->value, STR("Secure"));
    bool hidden = wants_http_only(f->value) && !has_attribute(f->value, STR("HttpOnly"));

    if (secure || hidden)
        f->value = arena_printf(&t->arena, "%.*s%s%s", STR_ARG(f->value), secure ? "; Secure" : "",
                                hidden ? "; HttpOnly" : "");
    return f->value.p != NULL;
}

static enum filter_result cookies_guard(struct txn *t)
{
    for (unsigned i = 0; i < t->response.fields_n; i++) {
        struct field *f = &t->response.fields[i];

        if (f->id != FIELD_ID_SET_COOKIE || f->dropped || cookie_guard(t, f))
            continue;
        txn_refuse(t, 500, REASON_NO_MEMORY);
        return FILTER_DONE;
    }
    return FILTER_NEXT;
}

const struct filter filter_cookies = {
    .name = "cookies",
    .doc = "Set-Cookie with Secure, and HttpOnly where no script reads it",
    .on = {[PHASE_RESPONSE_HEAD] = cookies_guard},
};
