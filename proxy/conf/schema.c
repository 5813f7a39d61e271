/* The option table and the presets, as data. */
#include "conf_int.h"

/* The C type of a member, by the type of its option. */
#define CONF_MEMBER_bool bool
#define CONF_MEMBER_count unsigned
#define CONF_MEMBER_number uint64_t
#define CONF_MEMBER_workers unsigned
#define CONF_MEMBER_size uint64_t
#define CONF_MEMBER_duration uint64_t
#define CONF_MEMBER_seconds uint64_t
#define CONF_MEMBER_string struct str
#define CONF_MEMBER_integer int
#define CONF_MEMBER_level int
#define CONF_MEMBER_tls enum conf_tls
#define CONF_MEMBER_plain_http enum conf_plain_http
#define CONF_MEMBER_refuse enum conf_refuse
#define CONF_MEMBER_verify bool
#define CONF_MEMBER_balance enum conf_balance
#define CONF_MEMBER_directory_type enum conf_directory_type
#define CONF_MEMBER_protocol enum conf_protocol
#define CONF_MEMBER_affinity enum conf_affinity
#define CONF_MEMBER_access_format enum conf_access_format
#define CONF_MEMBER_tickets enum conf_tickets
#define CONF_MEMBER_file struct conf_file
#define CONF_MEMBER_secret_line struct conf_file
#define CONF_MEMBER_address struct conf_address
#define CONF_MEMBER_addresses struct conf_address *
#define CONF_MEMBER_cidrs struct conf_cidrs
#define CONF_MEMBER_servers struct conf_server *
#define CONF_MEMBER_drain struct conf_server *
#define CONF_MEMBER_name struct str
#define CONF_MEMBER_hosts struct conf_strings
#define CONF_MEMBER_paths struct conf_strings
#define CONF_MEMBER_path struct str
#define CONF_MEMBER_methods struct conf_strings
#define CONF_MEMBER_headers struct conf_strings
#define CONF_MEMBER_statuses struct conf_strings
#define CONF_MEMBER_pins struct conf_strings
#define CONF_MEMBER_tokens struct conf_strings
#define CONF_MEMBER_ports struct conf_strings
#define CONF_MEMBER_exchange enum conf_exchange
#define CONF_MEMBER_rule_where enum conf_rule_where
#define CONF_MEMBER_rule_mode enum conf_rule_mode
#define CONF_MEMBER_signature struct conf_pattern *
#define CONF_MEMBER_header struct str
#define CONF_MEMBER_other_domains enum conf_domains
#define CONF_MEMBER_client_certificate enum conf_client_certificate
#define CONF_MEMBER_client_account enum conf_client_account
#define CONF_MEMBER_access_fields struct conf_strings
#define CONF_MEMBER_patterns struct conf_pattern **
#define CONF_MEMBER_certificate_refs const struct conf_certificate **
#define CONF_MEMBER_backend_ref const struct conf_backend *
#define CONF_MEMBER_service_refs const struct conf_service **
#define CONF_MEMBER_authenticate const struct conf_directory *
#define CONF_MEMBER_delegate enum conf_delegate
#define CONF_MEMBER_membership enum conf_membership
#define CONF_MEMBER_chain_rule unsigned
#define CONF_MEMBER_directory_servers struct conf_directory_server *
#define CONF_MEMBER_names struct conf_strings
#define CONF_MEMBER_domains struct conf_strings

/* A pointer and its count are written as one struct conf_list. */
#define COUNT_FOLLOWS(s, member)                                                                             \
    _Static_assert(offsetof(struct s, member##_n) == offsetof(struct s, member) + sizeof(void *), #member)
COUNT_FOLLOWS(conf_listener, addresses);
COUNT_FOLLOWS(conf_listener, certificates);
COUNT_FOLLOWS(conf_backend, servers);
COUNT_FOLLOWS(conf_directory, servers);
COUNT_FOLLOWS(conf_service, patterns);
COUNT_FOLLOWS(conf_publish, services);
COUNT_FOLLOWS(conf_rule, services);

#define OPTION(section, member, name, type, def, min, max, flags, doc)                                       \
    _Static_assert(                                                                                          \
        __builtin_types_compatible_p(__typeof__(((struct conf_##section *)0)->member), CONF_MEMBER_##type),  \
        name);
#include <postern/options.def>
#undef OPTION

static const char all_access_fields[] = "["
#define ACCESS_FIELD(id, json, w3c, meaning) json " "
#include <postern/access_fields.def>
#undef ACCESS_FIELD
                                        "]";
#define CONF_ALL_ACCESS_FIELDS all_access_fields

#define OPTION(section_, member, name_, type_, def_, min_, max_, flags_, doc_)                               \
    {.section = CONF_SECTION_##section_,                                                                     \
     .name = name_,                                                                                          \
     .type = &conf_type_##type_,                                                                             \
     .offset = offsetof(struct conf_##section_, member),                                                     \
     .def = def_,                                                                                            \
     .min = min_,                                                                                            \
     .max = max_,                                                                                            \
     .flags = flags_,                                                                                        \
     .doc = doc_},
const struct conf_option conf_options[] = {
#include <postern/options.def>
};
#undef OPTION
const size_t conf_options_n = sizeof conf_options / sizeof *conf_options;

const struct conf_section_info conf_sections[CONF_SECTION_COUNT] = {
    [CONF_SECTION_process] = {NULL, NULL, sizeof(struct conf_process),
                              "the process as a whole; at the top of the file"},
    [CONF_SECTION_limits] = {"limits", NULL, sizeof(struct conf_limits),
                             "what clients and backends may make Postern hold"},
    [CONF_SECTION_flood] = {"flood", NULL, sizeof(struct conf_flood),
                            "what one source or one account may ask for"},
    [CONF_SECTION_http] = {"http", NULL, sizeof(struct conf_http), "header fields"},
    [CONF_SECTION_guard] = {"guard", NULL, sizeof(struct conf_guard),
                            "what protects directories and accounts from clients"},
    [CONF_SECTION_log] = {"log", NULL, sizeof(struct conf_log), "event log and access log"},
    [CONF_SECTION_listener] = {"listeners", "list", sizeof(struct conf_listener),
                               "addresses that clients connect to"},
    [CONF_SECTION_certificate] = {"certificates", "map", sizeof(struct conf_certificate),
                                  "certificates with their keys, by name"},
    [CONF_SECTION_backend] = {"backends", "map", sizeof(struct conf_backend), "interior servers, by name"},
    [CONF_SECTION_directory] = {"directories", "map", sizeof(struct conf_directory),
                                "who may sign in, by name"},
    [CONF_SECTION_service] = {"services", "map", sizeof(struct conf_service),
                              "changes to presets, and services of the site's own, by name"},
    [CONF_SECTION_rule] =
        {"rules", "map", sizeof(struct conf_rule),
         "requests that are refused or counted by what they look like: changes to the shipped rules, and rules "
         "of the site's own, by name"},
    [CONF_SECTION_publish] = {"publish", "list", sizeof(struct conf_publish), "what is published where"},
};

#define SERVICE(name_, paths_, methods_, protocol_, affinity_, body_limit_, response_timeout_,               \
                idle_timeout_, body_timeout_, health_path_, doc_)                                            \
    {CONF_SECTION_service,                                                                                   \
     name_,                                                                                                  \
     doc_,                                                                                                   \
     {{"paths", paths_},                                                                                     \
      {"methods", methods_},                                                                                 \
      {"protocol", protocol_},                                                                               \
      {"affinity", affinity_},                                                                               \
      {"body_limit", body_limit_},                                                                           \
      {"response_timeout", response_timeout_},                                                               \
      {"idle_timeout", idle_timeout_},                                                                       \
      {"body_timeout", body_timeout_},                                                                       \
      {"health_path", health_path_}}},
#define RULE(name_, where_, header_, pattern_, doc_)                                                         \
    {CONF_SECTION_rule, name_, doc_, {{"where", where_}, {"header", header_}, {"pattern", pattern_}}},
const struct conf_preset conf_presets[] = {
#include <postern/services.def>
#include <postern/rules.def>
};
#undef SERVICE
#undef RULE
const size_t conf_presets_n = sizeof conf_presets / sizeof *conf_presets;

struct version_row {
    enum conf_exchange first, last;
    const char *preset, *option, *value;
};
static const struct version_row version_rows[] = {
#define VERSION(first, last, preset, option, value)                                                          \
    {CONF_EXCHANGE_##first, CONF_EXCHANGE_##last, preset, option, value},
#include <postern/exchange_versions.def>
#undef VERSION
};

const char *conf_preset_value(const struct conf_preset *p, const char *option, enum conf_exchange version)
{
    for (size_t i = 0; p->section == CONF_SECTION_service && i < sizeof version_rows / sizeof *version_rows;
         i++) {
        const struct version_row *v = &version_rows[i];
        if (version >= v->first && version <= v->last && strcmp(v->preset, p->name) == 0 &&
            strcmp(v->option, option) == 0)
            return v->value;
    }
    for (size_t i = 0; i < CONF_PRESET_VALUES && p->values[i].option; i++)
        if (strcmp(option, p->values[i].option) == 0)
            return p->values[i].value;
    return NULL;
}

const struct conf_preset *conf_preset_named(enum conf_section section, struct str name)
{
    for (size_t i = 0; i < conf_presets_n; i++)
        if (conf_presets[i].section == section && str_eq(name, str_of(conf_presets[i].name)))
            return &conf_presets[i];
    return NULL;
}
