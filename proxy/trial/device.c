/*
 * One device's profile: the table of its fields, and what must agree with what.
 */
#include "trial_int.h"

static const char *const kinds[] = {"phone", "desktop", "browser", "library", NULL};
static const char *const framings[] = {"tls", "sslv2", NULL};
static const char *const names[] = {"san", "first-san", "cn", NULL};
static const char *const msstds[] = {"none", "cn", "san", NULL};
static const char *const roots[] = {"system", "expired", NULL};
static const char *const queries[] = {"plain", "base64", NULL};
static const char *const ways[] = {"activesync", "autodiscover", "owa", "rpc", "ews", "mapi", NULL};
static const char *const confidences[] = {"measured", "sourced", "derived", "lore", NULL};

#define AT(member) offsetof(struct trial_device, member)
static const struct trial_field fields[] = {
    {"", "name", TYPE_TEXT, AT(name), true, 0, NULL, 0},
    {"", "title", TYPE_TEXT, AT(title), true, 0, NULL, 0},
    {"", "years", TYPE_TEXT, AT(years), true, 0, NULL, 0},
    {"", "kind", TYPE_TEXT, AT(kind), true, 0, NULL, 0},
    {"tls", "min", TYPE_CODE, AT(tls.min), true, TRIAL_VERSIONS, NULL, 0},
    {"tls", "max", TYPE_CODE, AT(tls.max), true, TRIAL_VERSIONS, NULL, 0},
    {"tls", "framing", TYPE_WORD, AT(tls.framing), false, 0, framings, 0},
    {"tls", "record", TYPE_HEX, AT(tls.record), false, 0, NULL, 0},
    {"tls", "hello", TYPE_CODE, AT(tls.hello), true, TRIAL_VERSIONS, NULL, 0},
    {"tls", "session_id", TYPE_NUMBER, AT(tls.session_id), false, 0, NULL, 32},
    {"tls", "challenge", TYPE_NUMBER, AT(tls.challenge), false, 0, NULL, 32},
    {"tls", "suites", TYPE_CODES, AT(tls.suites), true, TRIAL_SUITES, NULL, 0},
    {"tls", "compression", TYPE_CODES, AT(tls.compression), false, TRIAL_COMPRESSIONS, NULL, 0},
    {"tls", "extensions", TYPE_EXTENSIONS, 0, false, TRIAL_EXTENSIONS, NULL, 0},
    {"tls", "groups", TYPE_CODES, AT(tls.groups), false, TRIAL_GROUPS, NULL, 0},
    {"tls", "point_formats", TYPE_CODES, AT(tls.point_formats), false, TRIAL_NUMBERS, NULL, 0},
    {"tls", "signature_algorithms", TYPE_CODES, AT(tls.signatures), false, TRIAL_SIGNATURES, NULL, 0},
    {"tls", "supported_versions", TYPE_CODES, AT(tls.versions), false, TRIAL_VERSIONS, NULL, 0},
    {"tls", "key_shares", TYPE_CODES, AT(tls.shares), false, TRIAL_GROUPS, NULL, 0},
    {"tls", "alpn", TYPE_TEXTS, AT(tls.alpn), false, 0, NULL, 0},
    {"tls", "sni", TYPE_BOOL, AT(tls.sni), true, 0, NULL, 0},
    {"tls", "rsa_bits_max", TYPE_NUMBER, AT(tls.rsa_bits_max), false, 0, NULL, 65536},
    {"tls", "dh_bits_min", TYPE_NUMBER, AT(tls.dh_bits_min), false, 0, NULL, 65536},
    {"tls", "dh_bits_max", TYPE_NUMBER, AT(tls.dh_bits_max), false, 0, NULL, 65536},
    {"certificate", "wildcard", TYPE_BOOL, AT(certificate.wildcard), true, 0, NULL, 0},
    {"certificate", "names", TYPE_WORD, AT(certificate.names), true, 0, names, 0},
    {"certificate", "sha1", TYPE_BOOL, AT(certificate.sha1), true, 0, NULL, 0},
    {"certificate", "sha256", TYPE_BOOL, AT(certificate.sha256), true, 0, NULL, 0},
    {"certificate", "sha512", TYPE_BOOL, AT(certificate.sha512), true, 0, NULL, 0},
    {"certificate", "policies", TYPE_BOOL, AT(certificate.policies), true, 0, NULL, 0},
    {"certificate", "msstd", TYPE_WORD, AT(certificate.msstd), true, 0, msstds, 0},
    {"certificate", "roots", TYPE_WORD, AT(certificate.roots), true, 0, roots, 0},
    {"certificate", "rsa_bits_min", TYPE_NUMBER, AT(certificate.rsa_bits_min), false, 0, NULL, 65536},
    {"http", "version", TYPE_TEXT, AT(http.version), true, 0, NULL, 0},
    {"http", "expect", TYPE_BOOL, AT(http.expect), false, 0, NULL, 0},
    {"http", "user_agent", TYPE_TEXT, AT(http.user_agent), true, 0, NULL, 0},
    {"http", "ways", TYPE_TEXTS, AT(http.ways), true, 0, ways, 0},
    {"http", "activesync", TYPE_TEXT, AT(http.activesync), false, 0, NULL, 0},
    {"http", "query", TYPE_WORD, AT(http.query), false, 0, queries, 0},
    {"http", "device_type", TYPE_TEXT, AT(http.device_type), false, 0, NULL, 0},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))
#undef AT

static const struct trial_extension *extension_of(const struct trial_device *d, uint32_t type)
{
    for (unsigned i = 0; i < d->tls.extensions_n; i++) {
        if (d->tls.extensions[i].type == type)
            return &d->tls.extensions[i];
    }
    return NULL;
}

/* A list and the extension that carries it stand together. */
static void check_pair(const struct trial_device *d, uint32_t type, const char *extension, const char *list,
                       bool filled, struct conf_findings *f)
{
    const struct trial_extension *e = extension_of(d, type);

    if (e != NULL && !e->given && !filled)
        conf_finding_add(f, CONF_ERROR, d->mark, "`tls.extensions` has %s, and `tls.%s` is empty", extension,
                         list);
    if (e == NULL && filled)
        conf_finding_add(f, CONF_ERROR, d->mark, "`tls.%s` is given, and `tls.extensions` has no %s", list,
                         extension);
}

static bool versions_agree(const struct trial_device *d)
{
    unsigned low = TRIAL_TLS13, high = 0;

    if (d->tls.versions.n == 0)
        return d->tls.max == d->tls.hello || (d->tls.max == TRIAL_TLS12 && d->tls.hello == TRIAL_TLS12);
    for (unsigned i = 0; i < d->tls.versions.n; i++) {
        unsigned v = d->tls.versions.v[i];

        if (trial_is_grease(v))
            continue;
        low = v < low ? v : low;
        high = v > high && v <= TRIAL_TLS13 ? v : high;
    }
    return low == d->tls.min && high == d->tls.max;
}

static void check_tls(const struct trial_device *d, struct conf_findings *f)
{
    check_pair(d, EXTENSION_GROUPS, "supported_groups", "groups", d->tls.groups.n > 0, f);
    check_pair(d, EXTENSION_POINT_FORMATS, "ec_point_formats", "point_formats", d->tls.point_formats.n > 0,
               f);
    check_pair(d, EXTENSION_SIGNATURES, "signature_algorithms", "signature_algorithms",
               d->tls.signatures.n > 0, f);
    check_pair(d, EXTENSION_VERSIONS, "supported_versions", "supported_versions", d->tls.versions.n > 0, f);
    check_pair(d, EXTENSION_KEY_SHARE, "key_share", "key_shares", d->tls.shares.n > 0, f);
    check_pair(d, EXTENSION_ALPN, "alpn", "alpn", d->tls.alpn.n > 0, f);
    check_pair(d, EXTENSION_SERVER_NAME, "server_name", "sni", d->tls.sni, f);
    if (d->tls.min > d->tls.max)
        conf_finding_add(f, CONF_ERROR, d->mark, "`tls.min` is above `tls.max`");
    else if (!versions_agree(d))
        conf_finding_add(f, CONF_ERROR, d->mark,
                         "`tls.min` and `tls.max` are not what `tls.supported_versions` or `tls.hello` says");
    if (d->tls.suites.n == 0)
        conf_finding_add(f, CONF_ERROR, d->mark, "`tls.suites` is empty");
    if (d->tls.framing == FRAMING_SSLV2 && d->tls.extensions_n > 0)
        conf_finding_add(f, CONF_ERROR, d->mark, "a hello in SSL 2.0 framing has no extensions");
}

static bool confidence_known(struct str text)
{
    for (const char *const *c = confidences; *c != NULL; c++) {
        size_t n = strlen(*c);

        if (text.n > n + 2 && memcmp(text.p, *c, n) == 0 && text.p[n] == ':' && text.p[n + 1] == ' ')
            return true;
    }
    return false;
}

static bool fact_known(struct str key)
{
    for (size_t i = 0; i < FIELDS; i++) {
        struct str section = str_of(fields[i].section), name = str_of(fields[i].name);

        if (section.n == 0)
            continue;
        if (str_eq(key, section))
            return true;
        if (key.n == section.n + 1 + name.n && memcmp(key.p, section.p, section.n) == 0 &&
            key.p[section.n] == '.' && memcmp(key.p + section.n + 1, name.p, name.n) == 0)
            return true;
    }
    return false;
}

static void check_sources(const struct trial_device *d, struct conf_findings *f)
{
    if (d->sources == NULL || d->sources->kind != CONF_MAP) {
        conf_finding_add(f, CONF_ERROR, d->mark,
                         "`sources` is missing: a map from facts to where they come from");
        return;
    }
    for (const struct conf_node *n = d->sources->first; n != NULL; n = n->next) {
        if (!fact_known(n->key))
            conf_finding_add(f, CONF_ERROR, n->key_mark, "`sources`: `%.*s` is no fact", STR_ARG(n->key));
        if (n->kind != CONF_SCALAR || !confidence_known(n->text))
            conf_finding_add(
                f, CONF_ERROR, n->mark,
                "`sources.%.*s` begins with `measured: `, `sourced: `, `derived: ` or `lore: `, and says "
                "where it comes from",
                STR_ARG(n->key));
    }
    for (size_t i = 0; i < FIELDS; i++) {
        char fact[64];

        snprintf(fact, sizeof(fact), "%s.%s", fields[i].section, fields[i].name);
        if (fields[i].section[0] != '\0' && trial_device_source(d, fact).p == NULL) {
            conf_finding_add(f, CONF_ERROR, d->sources->mark, "`sources` says nothing about `%s`", fact);
            return;
        }
    }
}

static void check_words(const struct trial_device *d, struct conf_findings *f)
{
    bool known = false, activesync = false;

    for (const char *const *k = kinds; *k != NULL; k++)
        known = known || str_eq(d->kind, str_of(*k));
    if (!known)
        conf_finding_add(f, CONF_ERROR, d->mark, "`kind` is phone, desktop, browser or library");
    for (size_t i = 0; i < d->http.ways.n; i++)
        activesync = activesync || str_eq(d->http.ways.v[i], STR("activesync"));
    if (activesync && (d->http.activesync.p == NULL || d->http.device_type.p == NULL))
        conf_finding_add(f, CONF_ERROR, d->mark,
                         "the way activesync needs `http.activesync` (a version) and `http.device_type`");
    for (size_t i = 0; i < d->name.n; i++) {
        char c = d->name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) {
            conf_finding_add(f, CONF_ERROR, d->mark, "`name` is of a-z, 0-9, `-` and `.`");
            break;
        }
    }
}

struct trial_device *trial_device_read(struct conf_memory *m, const char *file, struct str bytes,
                                       struct conf_findings *f)
{
    size_t errors = conf_findings_count(f, CONF_ERROR);
    struct conf_node *root = conf_tree_read(m, file, bytes, f);
    struct trial_device *d = root != NULL ? conf_alloc(m, sizeof(*d)) : NULL;

    if (d == NULL)
        return NULL;
    d->mark = (struct conf_mark){file, 1, 1};
    d->tls.record = TRIAL_SSL3;
    d->tls.challenge = 32;
    d->sources = conf_node_find(root, STR("sources"));
    trial_fields_read(fields, FIELDS, m, root, d, f);
    if (conf_findings_count(f, CONF_ERROR) == errors) {
        check_tls(d, f);
        check_words(d, f);
        check_sources(d, f);
    }
    return conf_findings_count(f, CONF_ERROR) == errors ? d : NULL;
}

struct str trial_device_source(const struct trial_device *d, const char *fact)
{
    const char *dot = strchr(fact, '.');
    const struct conf_node *n = conf_node_find(d->sources, str_of(fact));

    if (n == NULL && dot != NULL)
        n = conf_node_find(d->sources, (struct str){fact, (size_t)(dot - fact)});
    return n != NULL ? n->text : STR_NULL;
}

bool trial_device_lore(const struct trial_device *d, const char *fact)
{
    return str_starts_nocase(trial_device_source(d, fact), STR("lore"));
}
