/*
 * The Exchange Control Panel is two things under one path: each user's own options, and the administration of the whole
 * organisation. The first is for everybody who may sign in; the second is for the groups that the site names, and for nobody where
 * it names none.
 */
#include <postern/txn.h>

#include "exchange_int.h"

/* What OWA's options are made of, below /ecp/ (canonical: lower case). What is not here is the administrator's. */
static const struct str personal[] = {
    STR("customize"),  STR("ddi/ddiservice.svc"), STR("default.aspx"),
    STR("error.aspx"), STR("mygroups"),           STR("logoff.aspx"),
    STR("organize"),   STR("personalsettings"),   STR("ruleseditor"),
    STR("sms"),        STR("umcallanswering"),    STR("securitywarning.aspx"),
};

/* The data service is shared; the schema in its query says whose objects are asked for. */
static const struct str admin_schemas[] = {
    STR("accepteddomain"), STR("addresslist"),      STR("audit"),     STR("certificate"),
    STR("connector"),      STR("database"),         STR("discovery"), STR("dlp"),
    STR("federat"),        STR("hybrid"),           STR("journal"),   STR("malware"),
    STR("migration"),      STR("organization"),     STR("policy"),    STR("publicfolder"),
    STR("recipient"),      STR("remotedomain"),     STR("role"),      STR("server"),
    STR("transport"),      STR("virtualdirectory"),
};

/* "15.1.2507.39": scripts and pictures of that build. */
static bool is_build(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '.' && (s.p[i] < '0' || s.p[i] > '9'))
            return false;
    }
    return s.n > 0;
}

static bool is_below(struct str path, struct str folder)
{
    return str_starts_nocase(path, folder) && (path.n == folder.n || path.p[folder.n] == '/');
}

static bool contains_nocase(struct str s, struct str word)
{
    for (size_t i = 0; i + word.n <= s.n; i++) {
        if (str_eq_nocase((struct str){s.p + i, word.n}, word))
            return true;
    }
    return false;
}

static bool is_personal_schema(struct str s)
{
    for (size_t i = 0; i < sizeof(admin_schemas) / sizeof(admin_schemas[0]); i++) {
        if (contains_nocase(s, admin_schemas[i]))
            return false;
    }
    return memchr(s.p, '%', s.n) == NULL; /* an escape has no business in a schema's name */
}

static bool query_is_personal(struct str query)
{
    struct str rest = query, part;

    while (query.p != NULL && str_next(&rest, '&', &part)) {
        struct str value = part, name;

        if (!str_next(&value, '=', &name) || memchr(name.p, '%', name.n) != NULL)
            return false;
        if (str_eq_nocase(name, STR("schema")) && !is_personal_schema(value))
            return false;
    }
    return true;
}

static bool is_personal(const struct target *t)
{
    static const struct str root = STR("/ecp");
    struct str rest, first;

    if (!is_below(t->canonical, root))
        return true; /* a path that the site added is its own business */
    if (t->canonical.n <= root.n + 1)
        return true;
    rest = (struct str){t->canonical.p + root.n + 1, t->canonical.n - root.n - 1};
    for (size_t i = 0; i < sizeof(personal) / sizeof(personal[0]); i++) {
        if (is_below(rest, personal[i]))
            return !str_starts_nocase(personal[i], STR("ddi/")) || query_is_personal(t->query);
    }
    return str_next(&rest, '/', &first) && is_build(first);
}

static enum filter_result control_panel_check(struct txn *t)
{
    if (is_personal(&t->target) ||
        (t->authenticated && (t->auth_result.groups & t->match.service->admin_mask) != 0))
        return FILTER_NEXT;
    txn_refuse(t, 403, REASON_ADMIN_DENIED);
    return FILTER_DONE;
}

static bool control_panel_enabled(const struct snapshot *s, const struct conf_publish *p,
                                  const struct conf_service *v)
{
    return v->protocol == CONF_PROTOCOL_ECP;
}

const struct filter filter_control_panel = {
    .name = "control_panel",
    .doc = "the administrators' part of ECP for their groups only",
    .on = {[PHASE_AUTH] = control_panel_check},
    .enabled = control_panel_enabled,
};
