/*
 * conf: the configuration as plain, checked data.
 *
 * Everything here is parsed from one YAML file through the option table (options.def) and is read-only from the moment
 * conf_load() returns. Strings, lists and compiled patterns live in the snapshot's own memory and die with it.
 * Durations are milliseconds (uint64_t), sizes bytes; 0 means "none" only where the option says so.
 * File contents that are needed after privileges are dropped (certificates, keys, passphrases) are read at load.
 */
#ifndef POSTERN_CONF_H
#define POSTERN_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <postern/str.h>

/* Where a value came from: for every message that names a place. file == NULL: a default. */
struct conf_mark {
    const char *file;
    unsigned line, column;
};

struct conf_strings {
    struct str *v; /* each is NUL-terminated too */
    size_t n;
};

struct conf_address {
    struct sockaddr_storage sa; /* AF_INET, AF_INET6 or AF_UNIX */
    socklen_t len;
    struct str text; /* as written */
};

struct conf_cidr {
    uint8_t family_bits; /* 32 or 128 */
    uint8_t prefix;
    uint8_t bytes[16];
};

struct conf_cidrs {
    struct conf_cidr *v;
    size_t n;
};
/* v4-mapped v6 counts as v4 */
bool conf_cidrs_match(const struct conf_cidrs *list, const struct sockaddr *a);

/* A file read at load; path as resolved (relative to the configuration file's folder). */
struct conf_file {
    struct str path;
    struct str bytes; /* p == NULL: not configured */
    struct conf_mark mark;
};

enum conf_plain_http {
    CONF_PLAIN_NONE,
    CONF_PLAIN_REDIRECT,
    CONF_PLAIN_AUTODISCOVER_ONLY,
    CONF_PLAIN_REFUSE
};
enum conf_refuse { CONF_REFUSE_403, CONF_REFUSE_CLOSE };
enum conf_tls {
    CONF_TLS_MODERN,
    CONF_TLS_INTERMEDIATE,
    CONF_TLS_COMPAT12,
    CONF_TLS_LEGACY10,
    CONF_TLS_COUNT
};
enum conf_affinity {
    CONF_AFFINITY_NONE,
    CONF_AFFINITY_USER,
    CONF_AFFINITY_CLIENT_ADDRESS,
    CONF_AFFINITY_COOKIE
};
enum conf_balance { CONF_BALANCE_ROUND_ROBIN, CONF_BALANCE_LEAST_CONNECTIONS };
enum conf_directory_type {
    CONF_DIRECTORY_USER_FILE,
    CONF_DIRECTORY_LDAP,
    CONF_DIRECTORY_RADIUS,
    CONF_DIRECTORY_CHAIN
};
enum conf_directory_scheme { CONF_SCHEME_LDAPS, CONF_SCHEME_LDAP, CONF_SCHEME_RADIUS };
/* How a group knows its members, or an account its groups. */
enum conf_membership {
    CONF_MEMBERSHIP_NESTED, /* memberOf by the rule 1.2.840.113556.1.4.1941: groups in groups, Active Directory */
    CONF_MEMBERSHIP_MEMBER_OF,     /* the account's memberOf */
    CONF_MEMBERSHIP_MEMBER,        /* the group's member: groupOfNames */
    CONF_MEMBERSHIP_UNIQUE_MEMBER, /* the group's uniqueMember: groupOfUniqueNames */
    CONF_MEMBERSHIP_MEMBER_UID     /* the group's memberUid: posixGroup */
};
/* After which answers of one directory a chain asks the next. */
enum conf_chain_rule { CONF_CHAIN_UNKNOWN_USER = 1, CONF_CHAIN_INVALID = 2, CONF_CHAIN_UNAVAILABLE = 4 };
enum conf_delegate {
    CONF_DELEGATE_AS_SENT,
    CONF_DELEGATE_USER,             /* the client's, with the name as user */
    CONF_DELEGATE_DOMAIN_BACKSLASH, /* as DOMAIN\user */
    CONF_DELEGATE_UPN,              /* as user@domain */
    CONF_DELEGATE_NONE,
    CONF_DELEGATE_ACCOUNT
};
enum conf_client_certificate { CONF_CLIENT_OFF, CONF_CLIENT_OPTIONAL, CONF_CLIENT_REQUIRED };
/* Which name of a client's certificate is its account. */
enum conf_client_account { CONF_CLIENT_UPN, CONF_CLIENT_EMAIL, CONF_CLIENT_CN };
/* What a domain is that a directory does not list. */
enum conf_domains {
    CONF_DOMAINS_AUTO,   /* same where none is listed, else refuse */
    CONF_DOMAINS_SAME,   /* a name for this directory like any other */
    CONF_DOMAINS_REFUSE, /* nobody's: refused without asking */
    CONF_DOMAINS_APART   /* accounts of their own */
};
enum conf_access_format { CONF_ACCESS_JSON, CONF_ACCESS_W3C };
/* Where presets differ (exchange_versions.def). */
enum conf_exchange {
    CONF_EXCHANGE_2007,
    CONF_EXCHANGE_2010,
    CONF_EXCHANGE_2013,
    CONF_EXCHANGE_2016,
    CONF_EXCHANGE_2019,
    CONF_EXCHANGE_SE
};
enum conf_tickets { CONF_TICKETS_MEMORY, CONF_TICKETS_FILE, CONF_TICKETS_OFF };

struct certificate_staple;

struct conf_certificate {
    struct str name;
    struct conf_file chain, key, passphrase, ocsp; /* PEM; passphrase without its newline; ocsp DER */
    struct certificate_staple *staple; /* of `ocsp`, by certificates_check; NULL: no end is known */
    bool allow_self_signed;
    struct conf_mark mark;
};

struct conf_listener {
    /* "*:443" gives [::]:443 without IPV6_V6ONLY where IPv6 exists, else 0.0.0.0:443 */
    struct conf_address *addresses;
    size_t addresses_n;
    const struct conf_certificate **certificates; /* the first serves clients without SNI; none: plain HTTP */
    size_t certificates_n;
    enum conf_tls tls;
    enum conf_plain_http plain_http;
    enum conf_refuse refuse_with;
    /* sources that must begin with a PROXY header; all others must not */
    struct conf_cidrs proxy_protocol_from;
    /* all of the snapshot: for which names clients are asked for certificates */
    const struct conf_publish *publish;
    size_t publish_n;
    uint64_t hsts_max_age_s; /* 0: no HSTS */
    bool hsts_include_subdomains;
    int backlog;
    struct conf_mark mark;
};

struct conf_server {
    struct str url;  /* as written */
    struct str host; /* name or literal */
    uint16_t port;
    bool https;
    bool drain; /* takes no new clients; keeps its bound ones */
    struct conf_mark mark;
};

struct conf_backend {
    struct str name;
    struct conf_server *servers;
    size_t servers_n;
    struct conf_file trust;        /* PEM bundle; none: the system's */
    struct str expected_name;      /* verified instead of the server's own name */
    struct conf_strings spki_pins; /* base64 SHA-256 of the SubjectPublicKeyInfo; any one must match */
    bool verify;                   /* false only by an explicit, warned-of `verify: none` */
    /* legacy10 permits TLS 1.0 to old servers; default intermediate = 1.2 */
    enum conf_tls tls_floor;
    enum conf_balance balance;
    uint64_t connect_timeout, idle_timeout, resolve_interval;
    unsigned idle_connections; /* most kept idle per server and worker */
    unsigned max_connections;  /* per server and worker; 0: none */
    struct str host_header;    /* sent as Host; p == NULL: the client's */
    bool via;                  /* add Via towards the backend */
    /* health */
    struct str health_path;                   /* p == NULL: each service's own health_path */
    uint64_t health_interval, health_timeout; /* interval 0: no active checks */
    unsigned health_down, health_up;
    struct conf_strings health_alive; /* statuses that count as alive: "200", "2xx", "401" */
    struct conf_mark mark;
};

struct conf_directory_server {
    struct str url;  /* as written */
    struct str host; /* name or literal */
    uint16_t port;
    enum conf_directory_scheme scheme;
    struct conf_mark mark;
};

#define CONF_DIRECTORY_SERVERS_MAX 32
#define CONF_GROUPS_MAX 64 /* different groups in all options together: the bits of a mask */

struct conf_directory {
    struct str name;
    enum conf_directory_type type;
    struct conf_file file; /* user_file: path; re-read at reload */

    /* ldap, radius */
    struct conf_directory_server *servers; /* in the order of preference */
    size_t servers_n;
    uint64_t connect_timeout, answer_timeout, retry_after, resolve_interval;
    struct conf_strings domains; /* lower case; n == 0: any */
    struct str default_domain;
    /* ldap */
    struct conf_file trust;   /* PEM bundle */
    struct str expected_name; /* verified instead of the server's own name */
    struct str bind_as, search_base, search_filter, bind_dn;
    struct conf_file bind_password;
    enum conf_membership membership;
    uint64_t idle_timeout;
    unsigned idle_connections; /* most kept idle per server and purpose */
    /* radius */
    struct conf_file secret;
    unsigned attempts;
    struct str nas_identifier;
    /* chain */
    struct conf_strings directories;
    const struct conf_directory **members; /* the same, found */
    size_t members_n;
    unsigned next_when; /* enum conf_chain_rule, added up */

    uint64_t groups; /* those of the snapshot's that somebody asks this directory for */
    const struct conf_strings *group_names; /* the snapshot's */
    enum conf_domains other_domains;
    struct str accounts; /* directories with the same word share their accounts' counters; p NULL: the name */
    uint64_t id;         /* tells definitions apart: changes with any option or with the user file */
    struct conf_mark mark;
};

/* Special handling that a service's protocol needs (see services.def). */
enum conf_protocol {
    CONF_PROTOCOL_PLAIN,
    CONF_PROTOCOL_RPC, /* Outlook Anywhere: MS-RPCH channels */
    /* long polls; 503 with Retry-After rather than 401 where Postern is the obstacle */
    CONF_PROTOCOL_ACTIVESYNC,
    CONF_PROTOCOL_AUTODISCOVER,
    CONF_PROTOCOL_AUTODISCOVER_JSON, /* version 2: its two shapes and nothing else */
    CONF_PROTOCOL_EWS,               /* as ActiveSync where Postern is the obstacle */
    CONF_PROTOCOL_MAPI,              /* likewise */
    CONF_PROTOCOL_ECP,               /* the administrators' part is for their groups */
};

struct conf_pattern; /* one compiled PCRE2 pattern */
/* Anchored match of the canonical path; match limits applied; thread-safe with the caller's own match data inside. */
bool conf_pattern_match(const struct conf_pattern *p, struct str subject);
/* The same for a pattern that is looked for inside: 1, 0, or -1 when a limit ended the search. */
int conf_pattern_search(const struct conf_pattern *p, struct str subject);

enum conf_rule_mode { CONF_RULE_DENY, CONF_RULE_OBSERVE, CONF_RULE_OFF };

struct conf_service {
    struct str name;
    /* prefixes on segment boundaries, or exact where they end in a file name: canonical */
    struct conf_strings paths;
    struct conf_pattern **patterns;
    size_t patterns_n;
    struct conf_strings methods;
    enum conf_protocol protocol;
    enum conf_affinity affinity;
    uint64_t body_limit; /* 0: none */
    uint64_t url_limit, query_limit;
    /* until the answer's head, counted from the request's end (RPC_IN: none); 0: none */
    uint64_t response_timeout;
    uint64_t idle_timeout;         /* no byte in either direction; 0: none */
    uint64_t body_timeout;         /* longest silence of the client inside a request body; 0: none */
    uint64_t body_rate, read_rate; /* slowest pace of the client, bytes a second; 0: any */
    struct str health_path;
    struct conf_strings upgrade; /* protocols that may be upgraded to; none by default */
    /* what a request must look like, beyond limits */
    uint64_t header_bytes;  /* 0: limits.header_bytes alone */
    unsigned header_fields; /* 0: limits.header_fields alone */
    bool refuse_high_bit;   /* octets beyond ASCII in path or query, decoded */
    struct conf_strings refused_extensions, required_headers, refused_headers, removed_headers;
    enum conf_rule_mode form_mode; /* of all these but what is removed */
    /* names that RPC over HTTP may ask for, beyond those that go without saying */
    struct conf_strings rpc_targets;
    struct conf_strings rpc_ports;          /* decimal */
    struct conf_file device_rules;          /* device_rules.h */
    struct conf_cidrs unauthenticated_from; /* sources whose requests need no pre-authentication */
    struct conf_strings device_groups;      /* groups that the device rules may speak of */
    struct conf_strings admin_groups;       /* who gets the administrators' part of ECP */
    uint64_t admin_mask;                    /* the same as bits of the snapshot's groups */
    bool match_user;                        /* ActiveSync: the query's User is the account that signed in */
    bool preset;
    struct conf_mark mark;
};

/* What a rule looks at. PATH: canonical (decoded once, lower case); QUERY: decoded once; URL: both, with "?" between;
 * HEADER: each value of one field. */
enum conf_rule_where { CONF_RULE_PATH, CONF_RULE_QUERY, CONF_RULE_URL, CONF_RULE_HEADER };

struct conf_rule {
    struct str name;
    enum conf_rule_where where;
    struct str header; /* of HEADER */
    struct conf_pattern *pattern;
    enum conf_rule_mode mode;
    const struct conf_service **services; /* n == 0: all, and what no service publishes */
    size_t services_n;
    bool preset;
    struct conf_mark mark;
};

struct conf_publish {
    struct conf_strings hosts; /* lower case; "*" any; "*.example.com" one label */
    const struct conf_backend *to;
    const struct conf_directory *basic; /* NULL: authenticate: none */
    struct conf_strings require_groups; /* any one of them serves; n == 0: no group is needed */
    uint64_t groups;                    /* the same as bits of the snapshot's groups */
    struct str realm;
    enum conf_delegate delegate;
    struct str delegate_user, delegate_password; /* CONF_DELEGATE_ACCOUNT */
    enum conf_client_certificate client_certificate;
    struct conf_file client_authorities, client_revocations; /* PEM */
    enum conf_client_account client_account;
    bool client_account_must_match; /* with that of Basic, where both are asked for */
    const struct conf_service **services;
    size_t services_n;
    bool root_redirect;                 /* "/" -> "/owa/" where owa is published */
    struct conf_strings redirect_hosts; /* foreign hosts that answers may redirect to */
    struct conf_mark mark;
};

struct conf_limits {
    unsigned connections; /* client connections of the whole process; 0: what the file descriptors allow */
    uint64_t handshake_timeout, head_timeout, keepalive_timeout, write_timeout, linger_timeout;
    uint64_t read_rate; /* of answers that no service gives; bytes a second */
    uint64_t rate_grace;
    uint64_t header_bytes, response_head_bytes;
    unsigned header_fields, response_header_fields;
    /* most bytes taken from a client in one read, and the high mark towards a client */
    uint64_t client_buffer;
    uint64_t backend_buffer; /* the same for backends */
    uint64_t pattern_match_limit;
    unsigned requests_per_connection; /* 0: none */
};

/* How much one source (an IPv4 address, an IPv6 /64) or one account may ask for; 0: any. */
struct conf_flood {
    unsigned connections_per_source, connects_per_minute, requests_per_minute;
    unsigned requests_open_per_account, requests_per_minute_per_account;
    struct conf_cidrs trusted; /* sources that are not counted */
};

struct conf_http {
    struct conf_strings strip_request_headers; /* beyond the fixed list */
    struct conf_strings strip_response_headers;
    bool x_forwarded; /* set X-Forwarded-For/-Proto/-Host */
    bool via_response;
    struct str server_header; /* p == NULL: none is sent */
    bool front_end_https;     /* tell the backend that the client came by TLS (OWA behind plain HTTP) */
};

struct conf_log {
    struct str event_path, access_path;
    int level; /* enum log_level */
    enum conf_access_format access_format;
    struct conf_strings access_fields; /* names of access_fields.def */
};

/* What protects the directory from its clients, and its clients from each other. */
struct conf_guard {
    uint64_t cache_time;
    unsigned accounts, sources; /* remembered at most */
    uint64_t known_wrong_time, known_wrong_longest;
    unsigned account_failures; /* 0: accounts are never locked */
    uint64_t account_window, account_lock_time;
    unsigned source_accounts, source_failures; /* 0: no limit */
    uint64_t source_window, source_lock_time;
    unsigned source_waiting;
    unsigned nat_allowance;    /* percent */
    unsigned strange_failures; /* 0: never */
    struct conf_cidrs exempt;
    uint64_t failure_time, failure_jitter;
    uint64_t retry_after;
};

struct conf_process {
    enum conf_exchange exchange;
    unsigned workers; /* 0: one per core */
    struct str user, group;
    uint64_t drain_timeout;
    struct str control_socket; /* Unix socket of `status` and `reload`; path */
    struct conf_address admin; /* metrics and health; len 0: none; loopback or Unix socket only */
    enum conf_tickets tickets;
    struct conf_file ticket_file;
    uint64_t ticket_rotation;
    unsigned auth_threads, auth_queue;
    uint64_t auth_timeout;
};

struct snapshot {
    struct conf_process process;
    struct conf_limits limits;
    struct conf_flood flood;
    struct conf_http http;
    struct conf_log log;
    struct conf_guard guard;
    struct conf_listener *listeners;
    size_t listeners_n;
    struct conf_certificate *certificates;
    size_t certificates_n;
    struct conf_backend *backends;
    size_t backends_n;
    struct conf_directory *directories;
    size_t directories_n;
    struct conf_strings groups;    /* all groups that are required somewhere, at most CONF_GROUPS_MAX */
    struct conf_service *services; /* presets after the site's changes, then the site's own */
    size_t services_n;
    struct conf_rule *rules; /* the shipped ones after the site's changes, then the site's own */
    size_t rules_n;
    struct conf_publish *publish;
    size_t publish_n;
    struct str path;       /* of the file */
    uint64_t generation;   /* counts loads in this process */
    uint64_t loaded_at_ms; /* wall clock */

    /* What upper rooms compiled from this snapshot; freed, in reverse order, before it. Set before it is shared. */
    struct {
        void *object;
        void (*destroy)(void *object);
    } attached[8];
    unsigned attached_n;
    int refs; /* atomic */
    struct conf_memory *memory;
};

enum conf_severity { CONF_WARNING, CONF_ERROR };

/* Findings: everything that is wrong or doubtful, collected, each with a place and a remedy. */
struct conf_findings;
struct conf_findings *conf_findings_new(void);
void conf_findings_free(struct conf_findings *f);
void conf_finding_add(struct conf_findings *f, enum conf_severity s, struct conf_mark where,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
size_t conf_findings_count(const struct conf_findings *f, enum conf_severity s);
/* "file:line:column: error: text" a line, in file order; mark-less ones last. */
void conf_findings_print(const struct conf_findings *f, FILE *to);
/* For each, in the same order. */
void conf_findings_each(const struct conf_findings *f,
                        void (*each)(void *ctx, enum conf_severity s, struct conf_mark where,
                                     const char *text),
                        void *ctx);

/* Reads, parses and checks. NULL when there is any error (all of them are in `f`); warnings alone do not fail.
 * The caller owns one reference. Rooms above add their own findings (certificates, ports) afterwards. */
struct snapshot *conf_load(const char *path, struct conf_findings *f);
/* The same from memory, under a name for messages; files that it names are not read (their bytes are empty). */
struct snapshot *conf_load_memory(const char *name, struct str bytes, struct conf_findings *f);
struct snapshot *snapshot_hold(struct snapshot *s);
void snapshot_release(struct snapshot *s); /* any thread; the last one frees */
int snapshot_attach(struct snapshot *s, void *object, void (*destroy)(void *));

/* `postern show`: written to `to`. */
int conf_show_config(const char *path, FILE *to);             /* effective, each value with its origin */
int conf_show_options(const char *section_or_null, FILE *to); /* type, default, range, meaning */
int conf_show_services(const struct snapshot *s_or_null, FILE *to);
/* Generated documents: "reference" (Markdown), "man" (postern.yaml(5)), "sample" (every option, commented), "schema"
 * (JSON schema), "dictionary" (libFuzzer). -1: no such document. */
int conf_generate(const char *what, FILE *to);

const char *conf_tls_name(enum conf_tls t);
const char *conf_plain_http_name(enum conf_plain_http p);
const char *conf_affinity_name(enum conf_affinity a);
const char *conf_directory_type_name(enum conf_directory_type t);
/* Whether the template (of `bind_as`, `search_filter`) has a place for the domain in a name. */
bool conf_template_has_domain(struct str template);

#endif
