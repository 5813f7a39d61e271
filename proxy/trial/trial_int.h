/*
 * trial_int: what the files of the compatibility trials agree on.
 *
 *   names.c, *.def    numbers of the TLS registry and their words.
 *   device.c          one profile: the table of its fields, reading and checking. devices.c: a folder of them.
 *   policy.c          what a server takes: Postern's TLS profiles (through trial_tls.c) or a file.
 *   certificate.c     what matters of a chain to old clients. rules.c: what one device says of it.
 *   predict.c         the handshake, computed. change.c: the least change that would win a device back.
 *   hello.c           a device's ClientHello in bytes. hello_read.c: bytes into a profile. answer.c: a server's answer.
 *   live.c            one device against one address. trial_tls.c: what OpenSSL can complete of it. ask.c: the HTTP step.
 *   matrix.c          devices by columns. report_*.c: what is printed.
 *   command.c         the command line.
 *
 * All memory of profiles is in one conf_memory; strings end in NUL.
 */
#ifndef POSTERN_TRIAL_INT_H
#define POSTERN_TRIAL_INT_H

#include <postern/conf_tree.h>
#include <postern/trial.h>

#define TRIAL_CODES_MAX 128
#define TRIAL_EXTENSIONS_MAX 48
#define TRIAL_DEVICES_MAX 512
#define TRIAL_CERTIFICATES_MAX 8
#define TRIAL_HELLO_MAX 8192
#define TRIAL_TEXT 320
#define TRIAL_WARNINGS_MAX 8
#define TRIAL_NAME_MAX 256

/* ---- names.c ---- */

enum trial_table {
    TRIAL_SUITES,
    TRIAL_EXTENSIONS,
    TRIAL_GROUPS,
    TRIAL_SIGNATURES,
    TRIAL_VERSIONS,
    TRIAL_COMPRESSIONS,
    TRIAL_NUMBERS /* no words */
};
#define TRIAL_GREASE 0x0a0au   /* stands for any of RFC 8701 */
#define TRIAL_SSLV2 0x1000000u /* a cipher kind of SSL 2.0, three bytes */
enum { TRIAL_SSL2 = 0x0002, TRIAL_SSL3 = 0x0300, TRIAL_TLS10, TRIAL_TLS11, TRIAL_TLS12, TRIAL_TLS13 };
enum {
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_STATUS_REQUEST = 5,
    EXTENSION_GROUPS = 10,
    EXTENSION_POINT_FORMATS = 11,
    EXTENSION_SIGNATURES = 13,
    EXTENSION_ALPN = 16,
    EXTENSION_PADDING = 21,
    EXTENSION_PRE_SHARED_KEY = 41,
    EXTENSION_VERSIONS = 43,
    EXTENSION_PSK_MODES = 45,
    EXTENSION_KEY_SHARE = 51,
    EXTENSION_RENEGOTIATION = 0xff01,
};

struct trial_codes {
    uint32_t v[TRIAL_CODES_MAX];
    unsigned n;
};
bool trial_codes_add(struct trial_codes *c, uint32_t code); /* false: full */
bool trial_codes_has(const struct trial_codes *c, uint32_t code);
/* A word of the table, "grease", "0x1234" or "sslv2_0x010080". */
bool trial_code_parse(enum trial_table t, struct str word, uint32_t *ret);
/* The word; numbers without one as hex. Returns `ret`. */
const char *trial_code_name(enum trial_table t, uint32_t code, char ret[64]);
struct str trial_code_near(enum trial_table t, struct str word);
bool trial_is_grease(uint32_t code);
const char *trial_version_name(unsigned version); /* "TLS 1.2" */

enum trial_kx { KX_NONE, KX_RSA, KX_DHE, KX_ECDHE, KX_ANY };
enum trial_auth { AUTH_NONE, AUTH_RSA, AUTH_ECDSA, AUTH_ANY };
struct trial_suite {
    enum trial_kx kx;
    enum trial_auth auth;
    bool tls13, needs_tls12, chacha,
        old; /* old: no library of today has it (RC4, DES, export, the first ChaCha20) */
};
struct trial_suite trial_suite_of(uint32_t code); /* KX_NONE, AUTH_NONE: nothing that a trial can use */

/* ---- device.c, devices.c ---- */

struct trial_extension {
    uint32_t type;
    bool given;      /* `body` stands in the profile */
    struct str body; /* bytes */
};
enum trial_msstd { MSSTD_NONE, MSSTD_CN, MSSTD_SAN };
enum trial_framing { FRAMING_TLS, FRAMING_SSLV2 };
enum trial_names { NAMES_SAN, NAMES_FIRST_SAN, NAMES_CN };
enum trial_roots { ROOTS_SYSTEM, ROOTS_EXPIRED };
enum trial_query { QUERY_PLAIN, QUERY_BASE64 };

struct trial_device {
    struct str name, title, years, kind;
    struct {
        unsigned min, max, framing, hello, session_id, challenge, rsa_bits_max, dh_bits_min, dh_bits_max;
        unsigned record;
        struct trial_codes suites, compression, groups, point_formats, signatures, versions, shares;
        struct trial_extension extensions[TRIAL_EXTENSIONS_MAX];
        unsigned extensions_n;
        struct conf_strings alpn;
        bool sni;
    } tls;
    struct {
        bool wildcard, sha1, sha256, sha512, policies;
        unsigned names, msstd, roots, rsa_bits_min;
    } certificate;
    struct {
        struct str version, user_agent, activesync, device_type;
        unsigned query;
        bool expect;
        struct conf_strings ways;
    } http;
    const struct conf_node *sources;
    struct conf_mark mark;
};
struct trial_devices {
    struct trial_device *v[TRIAL_DEVICES_MAX];
    unsigned n;
    struct conf_memory *memory;
};
/* One file's bytes. NULL: errors were found. `file` must outlive the device. */
struct trial_device *trial_device_read(struct conf_memory *m, const char *file, struct str bytes,
                                       struct conf_findings *f);
/* "measured", "sourced", "derived" or "lore", and the source: of a fact as "certificate.wildcard". STR_NULL: none. */
struct str trial_device_source(const struct trial_device *d, const char *fact);
bool trial_device_lore(const struct trial_device *d, const char *fact);
/* All *.yaml of a folder, by name. -1: the folder cannot be read. Files with errors are left out, with findings. */
int trial_devices_load(struct trial_devices *ret, const char *folder, struct conf_findings *f);
void trial_devices_free(struct trial_devices *d);
const struct trial_device *trial_devices_find(const struct trial_devices *d, struct str name);
/* --devices, else where the program was installed or built. */
const char *trial_folder(const char *given, const char *what, char *buffer, size_t size);

/* Shared by devices and policies: a file is a map of sections; each field is a row. */
enum trial_type {
    TYPE_TEXT,
    TYPE_TEXTS,
    TYPE_BOOL,
    TYPE_NUMBER,
    TYPE_CODE,
    TYPE_HEX,
    TYPE_CODES,
    TYPE_WORD,
    TYPE_EXTENSIONS
};
struct trial_field {
    const char *section; /* "" : top of the file */
    const char *name;
    enum trial_type type;
    size_t offset;
    bool required;
    enum trial_table table;   /* CODE, CODES */
    const char *const *words; /* WORD, and TEXTS where only these may stand; ends with NULL */
    unsigned max;             /* NUMBER */
};
/* Fills `object`; every fault is a finding: unknown keys, wrong kinds, values out of the list, fields that are missing. */
void trial_fields_read(const struct trial_field *fields, size_t n, struct conf_memory *m,
                       const struct conf_node *root, void *object, struct conf_findings *f);

/* ---- certificate.c, rules.c ---- */

enum trial_key { KEY_RSA, KEY_EC, KEY_OTHER };
struct trial_certificate {
    char label[64];
    enum trial_key key;
    unsigned bits;
    uint32_t curve; /* EC: its group */
    char cn[TRIAL_NAME_MAX];
    char (*names)[TRIAL_NAME_MAX]; /* SAN, DNS and addresses, lower case */
    unsigned names_n;
    bool sha1, sha256, sha512; /* somewhere in the chain, trust anchors aside */
    bool policies;             /* a policy that is nobody's but the authority's own */
    bool self_signed, public_root;
    int64_t not_before, not_after;
    unsigned char fingerprint[32];
};
/* PEM, the leaf first. -1: ret_why. */
int trial_certificate_read(struct str pem, const char *label, struct trial_certificate *ret,
                           char ret_why[TRIAL_TEXT]);
/* DER certificates as a handshake carries them: 3-byte lengths before each. */
int trial_certificate_read_list(struct str list, struct trial_certificate *ret);
struct x509_st;
struct stack_st_X509;
/* What OpenSSL got; `chain` may hold the leaf again. */
int trial_certificate_take(struct x509_st *leaf, struct stack_st_X509 *chain, const char *label,
                           struct trial_certificate *ret);
void trial_certificate_free(struct trial_certificate *c);
enum trial_cover { COVER_NONE, COVER_CN, COVER_WILDCARD, COVER_EXACT };
enum trial_cover trial_certificate_cover(const struct trial_certificate *c, const char *host,
                                         enum trial_names how);
bool trial_certificate_wild(const struct trial_certificate *c);

/* ---- outcome ---- */

enum trial_stop {
    STOP_NOWHERE, /* it connects */
    STOP_NETWORK, /* live: no connection, no answer in time, not TLS */
    STOP_VERSION, /* the server or the device ends it over the version */
    STOP_SUITE,   /* nothing shared, or the alert that says so */
    STOP_SIGNATURE,
    STOP_ALPN,
    STOP_LIMIT,       /* the device's limits: size of key or group */
    STOP_CERTIFICATE, /* the device's rules */
    STOP_HTTP         /* live: the handshake was good, the request was not */
};
struct trial_outcome {
    enum trial_stop stop;
    unsigned version;
    uint32_t suite, group;
    int certificate; /* index into the server's; -1: none or unknown */
    bool no_sni;     /* it got what clients without a server name get */
    enum trial_key key;
    unsigned char fingerprint[32]; /* of the leaf; zero: none seen */
    char reason[TRIAL_TEXT];
    char warnings[TRIAL_WARNINGS_MAX][TRIAL_TEXT];
    unsigned warnings_n;
    char change[TRIAL_TEXT]; /* prediction: the least change; "" none */
    char note[TRIAL_TEXT];   /* live: what was completed, HTTP answers */
    bool completed;          /* live: the whole handshake was had */
};
void trial_warn(struct trial_outcome *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trial_stop(struct trial_outcome *o, enum trial_stop stop, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *trial_stop_name(enum trial_stop s);
/* Adds warnings, or stops it at STOP_CERTIFICATE or STOP_LIMIT. */
void trial_rules_apply(const struct trial_device *d, const struct trial_certificate *c, const char *host,
                       bool no_sni, struct trial_outcome *o);

/* ---- policy.c ---- */

struct trial_policy {
    struct str name, title, cost;
    unsigned min, max;
    struct trial_codes suites, groups, signatures; /* suites: TLS 1.3's first */
    bool server_order, prioritize_chacha;
    bool one_certificate; /* ECDSA or RSA is chosen by the hello alone, before the suite, as haproxy does */
    unsigned dh_bits;     /* 0: as the certificate's strength asks */
    bool no_dh;
    struct conf_strings alpn; /* n == 0: any or none */
};
/* One of Postern's profiles, or a file: `name` holds a '/', or NAME.yaml of the folder of policies. */
int trial_policy_load(struct trial_policy *ret, struct conf_memory *m, const char *name, const char *folder,
                      struct conf_findings *f);
/* In trial_tls.c: OpenSSL says what its lists mean. */
int trial_policy_of_profile(struct trial_policy *ret, enum conf_tls id);

/* ---- predict.c, change.c ---- */

struct trial_server {
    const struct trial_policy *policy;
    struct trial_certificate *certificates[TRIAL_CERTIFICATES_MAX]; /* the first serves clients without SNI */
    unsigned certificates_n;
};
void trial_predict(const struct trial_device *d, const struct trial_server *s, const char *host,
                   struct trial_outcome *ret);
struct trial_choices {
    const struct trial_policy *policies; /* from strict to lax */
    unsigned policies_n;
};
/* Fills o->change where one change of the server would let the device in; `all` says how many more it would win. */
void trial_change_find(const struct trial_device *d, const struct trial_server *s, const char *host,
                       const struct trial_devices *all, const struct trial_choices *choices,
                       struct trial_outcome *o);

/* ---- hello.c, hello_read.c ---- */

struct trial_hello {
    uint8_t bytes[TRIAL_HELLO_MAX];
    size_t n;
};
/* False: it does not fit. */
bool trial_hello_write(const struct trial_device *d, const char *host, struct trial_hello *ret);
/* The first flight of a client as a profile in YAML, written to `to`. 1: written, 0: more bytes are needed, -1: no hello. */
int trial_hello_record(const uint8_t *p, size_t n, const char *name, FILE *to);

/* ---- answer.c ---- */

#define TRIAL_ANSWER_MAX (256 * 1024)
enum trial_answer_state { ANSWER_MORE, ANSWER_DONE, ANSWER_BAD };
struct trial_answer {
    uint8_t *bytes; /* handshake messages, records taken off */
    size_t n, size, parsed;
    uint8_t record[5];
    unsigned record_have, record_left;
    uint8_t alert[2];
    unsigned alert_n;
    size_t total;
    unsigned version, suite, dh_bits;
    uint32_t group;
    bool hello, retry, done;
    struct str certificates; /* inside `bytes`; the list without its own length; p NULL: none seen */
    size_t certificates_at;
    const char *why; /* ANSWER_BAD */
};
void trial_answer_init(struct trial_answer *a);
void trial_answer_free(struct trial_answer *a);
enum trial_answer_state trial_answer_feed(struct trial_answer *a, const uint8_t *p, size_t n);
const char *trial_alert_name(unsigned description);

/* ---- live.c, trial_tls.c, ask.c ---- */

struct trial_target {
    const char *host, *port; /* where to connect */
    const char *name;        /* SNI and Host */
    bool starttls_smtp;
    unsigned timeout_ms; /* for one device's trial of one kind */
    const char *user, *password;
    bool http;
};
int trial_connect(const struct trial_target *t, int64_t deadline_ms, char why[TRIAL_TEXT]);
/* Bytes read, 0 at the end, -1: error or late. */
ssize_t trial_read(int fd, void *p, size_t n, int64_t deadline_ms);
int trial_write(int fd, const void *p, size_t n, int64_t deadline_ms);
/* Ready, or too late. */
bool trial_wait(int fd, bool write, int64_t deadline_ms);
int64_t trial_now_ms(void);
void trial_live(const struct trial_device *d, const struct trial_target *t, struct trial_outcome *ret);

struct trial_session; /* a completed handshake */
/* With OpenSSL, within the device's limits. NULL: `why`. Fills version, suite and certificate. */
struct trial_session *trial_tls_connect(const struct trial_device *d, const struct trial_target *t,
                                        unsigned min, unsigned max, struct trial_outcome *o,
                                        struct trial_certificate *ret_leaf, char why[TRIAL_TEXT]);
ssize_t trial_tls_read(struct trial_session *s, void *p, size_t n);
int trial_tls_write(struct trial_session *s, const void *p, size_t n);
void trial_tls_close(struct trial_session *s);
/* Would OpenSSL offer any of the device's suites at that version? */
bool trial_tls_can(const struct trial_device *d, unsigned version, uint32_t suite);
/* The requests that the device would begin with; the answers become o->note. */
void trial_ask(const struct trial_device *d, const struct trial_target *t, struct trial_session *s,
               struct trial_outcome *o);

/* ---- matrix.c, report_*.c ---- */

struct trial_column {
    char label[128];
    const char *host;
    struct trial_server server;
    bool predict, live;
    struct trial_target target;
};
struct trial_cell {
    struct trial_outcome predicted, live;
    bool has_predicted, has_live, differs;
    char difference[TRIAL_TEXT];
};
#define TRIAL_COLUMNS_MAX 32
struct trial_matrix {
    const struct trial_devices *devices;
    struct trial_column columns[TRIAL_COLUMNS_MAX];
    unsigned columns_n;
    struct trial_cell *cells; /* devices x columns */
    const struct trial_choices *choices;
};
int trial_matrix_run(struct trial_matrix *m, bool progress);
struct trial_cell *trial_matrix_cell(const struct trial_matrix *m, unsigned device, unsigned column);
bool trial_cell_passes(const struct trial_cell *c);
const struct trial_outcome *trial_cell_outcome(const struct trial_cell *c); /* live where there is one */
void trial_report_table(const struct trial_matrix *m, bool explain, FILE *to);
void trial_report_json(const struct trial_matrix *m, FILE *to);
void trial_report_junit(const struct trial_matrix *m, FILE *to);
void trial_report_html(const struct trial_matrix *m, FILE *to);

/* ---- record.c, certificate_request.c ---- */

int trial_record_command(int argc, char **argv);

#endif
