#include <postern/access_log.h>

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include <postern/log.h>

#define LINE_MAX_BYTES 65536
#define VALUE_MAX_BYTES 2048 /* one value as written; a URL of 16 KB would push the rest out of the line */
#define NAME_MAX_BYTES 32    /* its name, with what stands around it */

enum access_field {
#define ACCESS_FIELD(id, json, w3c, doc) ACCESS_##id,
#include <postern/access_fields.def>
#undef ACCESS_FIELD
    ACCESS_FIELD_COUNT
};

static const struct {
    const char *json, *w3c;
} access_names[] = {
#define ACCESS_FIELD(id, json, w3c, doc) {json, w3c},
#include <postern/access_fields.def>
#undef ACCESS_FIELD
};

/* Whatever a client sends, a line is whole. */
static_assert(ACCESS_FIELD_COUNT * (VALUE_MAX_BYTES + NAME_MAX_BYTES) + 2 <= LINE_MAX_BYTES,
              "room for every field");

struct access_log {
    bool w3c;
    unsigned n;
    uint8_t fields[ACCESS_FIELD_COUNT];
    char header[1024];
    size_t header_n;
};

struct line {
    char *p;
    size_t n, size;
};

/* A value before it is written: text or number. */
struct value {
    bool number;
    uint64_t u;
    struct str s;
};

static void put(struct line *l, const char *p, size_t n)
{
    if (n > l->size - l->n)
        n = l->size - l->n;
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_z(struct line *l, const char *z)
{
    put(l, z, strlen(z));
}

static void put_u64(struct line *l, uint64_t u)
{
    char text[STR_U64_MAX];

    put(l, text, str_put_u64(u, text));
}

/* ---- values ---- */

static struct value of_str(struct str s)
{
    return (struct value){.s = s};
}

static struct value of_u64(uint64_t u)
{
    return (struct value){.number = true, .u = u};
}

#define SECOND_LEN 19

/* Thousands of requests end in one second, and strftime() is slow: each thread remembers the second it wrote last. */
static const char *second_text(time_t seconds)
{
    static __thread char text[SECOND_LEN + 1];
    static __thread time_t written = -1;
    struct tm tm;

    if (seconds != written) {
        gmtime_r(&seconds, &tm);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        written = seconds;
    }
    return text;
}

static size_t time_text(int64_t ms, bool w3c, char *out)
{
    unsigned m = (unsigned)(ms % 1000);
    const char tail[] = {'.', (char)('0' + m / 100), (char)('0' + m / 10 % 10), (char)('0' + m % 10), 'Z'};

    memcpy(out, second_text((time_t)(ms / 1000)), SECOND_LEN);
    if (w3c) {
        out[10] = ' ';
        return SECOND_LEN;
    }
    memcpy(out + SECOND_LEN, tail, sizeof(tail));
    return SECOND_LEN + sizeof(tail);
}

static uint16_t port_of(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)a)->sin_port);
    if (a->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)a)->sin6_port);
    return 0;
}

static struct value address_value(const struct sockaddr *a, char *scratch, size_t size)
{
    size_t n = log_address(a, false, scratch, size);

    if (n > 2 && scratch[0] == '[')
        return of_str((struct str){scratch + 1, n - 2});
    return of_str((struct str){scratch, n});
}

static struct value tls_value(const struct access_record *r, char *scratch, size_t size)
{
    struct line l = {scratch, 0, size};

    if (r->tls_version.n == 0)
        return of_str(STR_NULL);
    put(&l, r->tls_version.p, r->tls_version.n);
    put_z(&l, " ");
    put(&l, r->tls_cipher.p, r->tls_cipher.n);
    return of_str((struct str){scratch, l.n});
}

static struct value value_of(const struct access_record *r, enum access_field f, bool w3c, char *scratch,
                             size_t size)
{
    switch (f) {
    case ACCESS_TIME:
        return of_str((struct str){scratch, time_text(r->ended_ms, w3c, scratch)});
    case ACCESS_CLIENT:
        return address_value(r->client, scratch, size);
    case ACCESS_CLIENT_PORT:
        return of_u64(port_of(r->client));
    case ACCESS_USER:
        return of_str(r->user);
    case ACCESS_METHOD:
        return of_str(r->method);
    case ACCESS_HOST:
        return of_str(r->host);
    case ACCESS_PATH:
        return of_str(r->path);
    case ACCESS_QUERY:
        return of_str(r->query);
    case ACCESS_VERSION:
        return of_str(!r->head_seen ? STR_NULL : r->minor == 0 ? STR("HTTP/1.0") : STR("HTTP/1.1"));
    case ACCESS_STATUS:
        return of_u64((uint64_t)r->status);
    case ACCESS_REASON:
        return of_str(str_of(reason_name(r->reason)));
    case ACCESS_AUTH:
        return of_str(r->auth_asked ? str_of(auth_detail_name(r->auth)) : STR_NULL);
    case ACCESS_SERVICE:
        return of_str(r->service);
    case ACCESS_BACKEND:
        return of_str(r->backend);
    case ACCESS_BYTES_IN:
        return of_u64(r->bytes_in);
    case ACCESS_BYTES_OUT:
        return of_u64(r->bytes_out);
    case ACCESS_DURATION:
        return of_u64(r->duration_ms);
    case ACCESS_HEAD_MS:
        return of_u64(r->backend_ms);
    case ACCESS_TLS:
        return tls_value(r, scratch, size);
    case ACCESS_SNI:
        return of_str(r->sni);
    case ACCESS_AGENT:
        return of_str(r->agent);
    case ACCESS_COMMAND:
        return of_str(r->command);
    case ACCESS_DEVICE:
        return of_str(r->device);
    case ACCESS_DEVICE_TYPE:
        return of_str(r->device_type);
    case ACCESS_DEVICE_USER:
        return of_str(r->device_user);
    case ACCESS_PROTOCOL:
        return of_str(r->protocol);
    case ACCESS_POLICY_KEY:
        return of_str(r->policy_key);
    case ACCESS_CONNECTION:
        return of_u64(r->connection);
    case ACCESS_REUSED:
        return of_u64(r->reused);
    case ACCESS_FIELD_COUNT:
        break;
    }
    return of_str(STR_NULL);
}

/* ---- the two formats ---- */

static size_t json_length(unsigned char c)
{
    return c == '"' || c == '\\' ? 2 : c < 0x20 || c >= 0x7f ? 6 : 1;
}

static bool w3c_escapes(unsigned char c)
{
    return c < 0x20 || c >= 0x7f || c == '"';
}

static size_t w3c_length(unsigned char c)
{
    return w3c_escapes(c) ? 3 : 1;
}

#define ESCAPED_MAX 6 /* of one octet, in either format */

/* As much of it as may be written, with room for "..." */
static struct str cut(struct str s, size_t (*length)(unsigned char c))
{
    size_t room = VALUE_MAX_BYTES - 3, used = 0;

    if (s.n <= room / ESCAPED_MAX)
        return s;
    for (size_t i = 0; i < s.n; i++) {
        used += length((unsigned char)s.p[i]);
        if (used > room)
            return (struct str){s.p, i};
    }
    return s;
}

static void put_json(struct line *l, struct value v)
{
    struct str s = cut(v.s, json_length);

    if (v.number) {
        put_u64(l, v.u);
        return;
    }
    put_z(l, "\"");
    l->n += log_json_escape(s, l->p + l->n, l->size - l->n);
    put_z(l, s.n < v.s.n ? "...\"" : "\"");
}

/* W3C extended: fields are separated by spaces, so spaces inside become "+"; "-" is no value (as IIS writes them). */
static void put_w3c(struct line *l, struct value v)
{
    struct str s = cut(v.s, w3c_length);

    if (v.number) {
        put_u64(l, v.u);
        return;
    }
    if (s.n == 0)
        put_z(l, "-");
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char escaped[4];
        if (c == ' ')
            put_z(l, "+");
        else if (w3c_escapes(c))
            put(l, escaped, (size_t)snprintf(escaped, sizeof(escaped), "%%%02X", c));
        else
            put(l, s.p + i, 1);
    }
    if (s.n < v.s.n)
        put_z(l, "...");
}

static void put_w3c_field(struct line *l, enum access_field f, struct value v)
{
    if (f == ACCESS_TIME) /* two fields, date and time, in one value */
        put(l, v.s.p, v.s.n);
    else
        put_w3c(l, v);
}

size_t access_log_format(const struct access_log *a, const struct access_record *r, char *out, size_t size)
{
    struct line l = {out, 0, size};
    char scratch[256];

    for (unsigned i = 0; i < a->n; i++) {
        enum access_field f = a->fields[i];
        struct value v = value_of(r, f, a->w3c, scratch, sizeof(scratch));
        if (a->w3c) {
            put_z(&l, i == 0 ? "" : " ");
            put_w3c_field(&l, f, v);
            continue;
        }
        put_z(&l, i == 0 ? "{\"" : ",\"");
        put_z(&l, access_names[f].json);
        put_z(&l, "\":");
        put_json(&l, v);
    }
    if (!a->w3c)
        put_z(&l, "}");
    return l.n;
}

bool access_log_write(const struct access_log *a, const struct access_record *r)
{
    char line[LINE_MAX_BYTES];

    return log_access_line(line, access_log_format(a, r, line, sizeof(line)));
}

/* ---- compiled from the configuration ---- */

static int field_by_name(struct str name)
{
    for (int i = 0; i < ACCESS_FIELD_COUNT; i++) {
        if (str_eq(name, str_of(access_names[i].json)))
            return i;
    }
    return -1;
}

static void header_build(struct access_log *a)
{
    struct line l = {a->header, 0, sizeof(a->header)};

    if (!a->w3c)
        return;
    put_z(&l, "#Software: Postern\n#Version: 1.0\n#Fields:");
    for (unsigned i = 0; i < a->n; i++) {
        put_z(&l, " ");
        put_z(&l, access_names[a->fields[i]].w3c);
    }
    a->header_n = l.n;
}

struct access_log *access_log_new(const struct conf_log *c)
{
    struct access_log *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return NULL;
    a->w3c = c->access_format == CONF_ACCESS_W3C;
    for (size_t i = 0; i < c->access_fields.n; i++) {
        int f = field_by_name(c->access_fields.v[i]);
        if (f >= 0 && memchr(a->fields, f, a->n) == NULL) /* each once */
            a->fields[a->n++] = (uint8_t)f;
    }
    for (unsigned i = 0; c->access_fields.n == 0 && i < ACCESS_FIELD_COUNT; i++)
        a->fields[a->n++] = (uint8_t)i;
    header_build(a);
    return a;
}

void access_log_free(void *a)
{
    free(a);
}

struct str access_log_header(const struct access_log *a)
{
    return (struct str){a->header, a->header_n};
}
