/*
 * What a device asks first once it has a connection: the paths, queries and headers of its kind, one request after the other
 * on one connection.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "trial_int.h"

#define HEAD_MAX 65536
#define BODY_MAX (1024 * 1024)

struct request {
    const struct trial_device *d;
    const struct trial_target *t;
    char bytes[8192];
    size_t n;
};

struct answer {
    int status;
    bool close;
    size_t length;
};

static void add(struct request *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct request *r, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(r->bytes + r->n, sizeof(r->bytes) - r->n, format, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof(r->bytes) - r->n)
        r->n += (size_t)n;
}

static void add_credentials(struct request *r)
{
    char plain[512], coded[1024];
    int n;

    if (r->t->user == NULL)
        return;
    n = snprintf(plain, sizeof(plain), "%s:%s", r->t->user, r->t->password != NULL ? r->t->password : "");
    if (n > 0 && (size_t)n < sizeof(plain) && str_base64_encode(plain, (size_t)n, coded, sizeof(coded)) > 0)
        add(r, "Authorization: Basic %s\r\n", coded);
    explicit_bzero(plain, sizeof(plain));
    explicit_bzero(coded, sizeof(coded));
}

static void begin(struct request *r, const char *method, const char *target)
{
    r->n = 0;
    add(r, "%s %s HTTP/%.*s\r\nHost: %s\r\nUser-Agent: %.*s\r\n", method, target, STR_ARG(r->d->http.version),
        r->t->name, STR_ARG(r->d->http.user_agent));
    if (!str_eq(r->d->http.version, STR("1.1")))
        add(r, "Connection: Keep-Alive\r\n");
    add_credentials(r);
}

static void end(struct request *r, const char *type, const char *body)
{
    if (body != NULL)
        add(r, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, strlen(body));
    if (body != NULL && body[0] != '\0' && r->d->http.expect)
        add(r, "Expect: 100-continue\r\n");
    add(r, "\r\n%s", body != NULL ? body : "");
}

/* Version, command, locale, device id, no policy key, device type (MS-ASHTTP 2.2.1.1.1.1); 20 is Provision. */
static void activesync_base64(const struct request *r, char *ret, size_t size)
{
    struct str version = r->d->http.activesync, type = r->d->http.device_type;
    uint8_t bytes[128] = {0, 20, 9, 4, 8, 'P', 'O', 'S', 'T', 'E', 'R', 'N', '1', 0};
    size_t n = 14;
    unsigned number = 0;

    for (size_t i = 0; i < version.n; i++) {
        if (version.p[i] >= '0' && version.p[i] <= '9')
            number = number * 10 + (unsigned)(version.p[i] - '0');
    }
    bytes[0] = (uint8_t)number;
    bytes[n++] = (uint8_t)(type.n < 32 ? type.n : 32);
    memcpy(bytes + n, type.p, bytes[n - 1]);
    n += bytes[n - 1];
    str_base64_encode(bytes, n, ret, size);
}

static void ask_options(struct request *r)
{
    char target[512];

    snprintf(target, sizeof(target), "/Microsoft-Server-ActiveSync?User=%s&DeviceId=POSTERN1&DeviceType=%.*s",
             r->t->user != NULL ? r->t->user : "trial", STR_ARG(r->d->http.device_type));
    begin(r, "OPTIONS", target);
    end(r, NULL, NULL);
}

/* The query of commands, which newer devices pack; OPTIONS never is. */
static void ask_command(struct request *r)
{
    char target[512], coded[256] = "";

    activesync_base64(r, coded, sizeof(coded));
    snprintf(target, sizeof(target), "/Microsoft-Server-ActiveSync?%s", coded);
    begin(r, "POST", target);
    add(r, "MS-ASProtocolVersion: %.*s\r\n", STR_ARG(r->d->http.activesync));
    end(r, "application/vnd.ms-sync.wbxml", "");
}

static void ask_autodiscover(struct request *r)
{
    begin(r, "POST", "/autodiscover/autodiscover.xml");
    end(r, "text/xml",
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Autodiscover "
        "xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\"><Request>"
        "<EMailAddress>trial@example.invalid</EMailAddress><AcceptableResponseSchema>"
        "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>"
        "</Request></Autodiscover>");
}

static void ask_rpc(struct request *r)
{
    char target[400];

    snprintf(target, sizeof(target), "/rpc/rpcproxy.dll?%.255s:6001", r->t->name);
    begin(r, "RPC_IN_DATA", target); /* with so short a body it is an echo (MS-RPCH 2.1.2.1.5) */
    add(r, "Accept: application/rpc\r\nCache-Control: no-cache\r\nPragma: No-cache\r\n");
    end(r, "application/rpc", "");
}

static bool ask_way(struct request *r, struct str way)
{
    if (str_eq(way, STR("activesync"))) {
        ask_options(r);
    } else if (str_eq(way, STR("command"))) {
        ask_command(r);
    } else if (str_eq(way, STR("autodiscover"))) {
        ask_autodiscover(r);
    } else if (str_eq(way, STR("owa"))) {
        begin(r, "GET", "/owa/");
        end(r, NULL, NULL);
    } else if (str_eq(way, STR("rpc"))) {
        ask_rpc(r);
    } else if (str_eq(way, STR("ews"))) {
        begin(r, "POST", "/EWS/Exchange.asmx");
        end(r, "text/xml", "");
    } else {
        begin(r, "POST", "/mapi/emsmdb/?MailboxId=trial@example.invalid");
        add(r, "X-RequestType: PING\r\n");
        end(r, "application/mapi-http", "");
    }
    return r->n > 0;
}

/* ---- answers ---- */

static void read_field(char *line, struct answer *a)
{
    uint64_t n;

    if (strncasecmp(line, "Content-Length:", 15) == 0 && str_to_u64(str_trim(str_of(line + 15)), &n))
        a->length = n < BODY_MAX ? (size_t)n : BODY_MAX;
    if (strncasecmp(line, "Transfer-Encoding:", 18) == 0 || strcasecmp(line, "Connection: close") == 0)
        a->close = true; /* no more is asked here: what follows need not be found */
}

static bool read_status(const char *head, struct answer *a)
{
    struct str line = {head, strcspn(head, "\r\n")};
    uint64_t status;

    if (line.n < 12 || strncmp(head, "HTTP/1.", 7) != 0 || !str_to_u64((struct str){head + 9, 3}, &status))
        return false;
    a->status = (int)status;
    a->close = a->close || head[7] == '0';
    return status >= 100 && status <= 599;
}

static bool parse_head(char *head, struct answer *a)
{
    char *line = head, *next;

    *a = (struct answer){.close = false};
    if (!read_status(head, a))
        return false;
    while ((next = strstr(line, "\r\n")) != NULL) {
        *next = '\0';
        read_field(line, a);
        line = next + 2;
    }
    return true;
}

/* The rest of the body that was not read with the head. */
static bool drain(struct trial_session *s, size_t left)
{
    char buffer[4096];
    ssize_t n;

    while (left > 0 && (n = trial_tls_read(s, buffer, left < sizeof(buffer) ? left : sizeof(buffer))) > 0)
        left -= (size_t)n;
    return left == 0;
}

static bool read_answer(struct trial_session *s, const struct request *r, struct answer *a, char *buffer)
{
    size_t n = 0, body;
    char *end;
    ssize_t got;

    do {
        buffer[n] = '\0';
        if ((end = strstr(buffer, "\r\n\r\n")) != NULL) {
            bool head = strncmp(r->bytes, "HEAD", 4) == 0;

            end[2] = '\0';
            if (!parse_head(buffer, a))
                return false;
            if (a->status >= 200) {
                body = n - (size_t)(end + 4 - buffer);
                if (!a->close && !head && a->length > body && !drain(s, a->length - body))
                    a->close = true;
                return true;
            }
            n -= (size_t)(end + 4 - buffer); /* 1xx: the answer is still to come */
            memmove(buffer, end + 4, n);
            continue;
        }
        if (n >= HEAD_MAX - 1 || (got = trial_tls_read(s, buffer + n, HEAD_MAX - 1 - n)) <= 0)
            return false;
        n += (size_t)got;
    } while (true);
}

static void note(struct trial_outcome *o, struct str way, const struct answer *a)
{
    size_t n = strlen(o->note);

    snprintf(o->note + n, TRIAL_TEXT - n, "; %.*s %d%s", STR_ARG(way), a->status,
             a->status == 401 ? " (asks for a password)" : "");
}

/* False: no more can be asked on this connection. */
static bool ask_one(struct request *r, struct str way, struct trial_session *s, char *buffer,
                    struct trial_outcome *o)
{
    struct answer a = {.close = false};

    ask_way(r, way);
    if (trial_tls_write(s, r->bytes, r->n) < 0 || !read_answer(s, r, &a, buffer)) {
        if (strchr(o->note, ';') == NULL)
            trial_stop(o, STOP_HTTP, "the handshake is good, but %.*s gets no answer in HTTP", STR_ARG(way));
        return false;
    }
    note(o, way, &a);
    if (a.status == 401 && r->t->user != NULL)
        trial_stop(o, STOP_HTTP, "%.*s refuses the account and password", STR_ARG(way));
    return !a.close;
}

void trial_ask(const struct trial_device *d, const struct trial_target *t, struct trial_session *s,
               struct trial_outcome *o)
{
    struct request r = {.d = d, .t = t};
    char *buffer = malloc(HEAD_MAX);
    bool open = buffer != NULL;

    for (size_t i = 0; open && i < d->http.ways.n; i++) {
        struct str way = d->http.ways.v[i];

        open = ask_one(&r, way, s, buffer, o);
        if (open && str_eq(way, STR("activesync")) && d->http.query == QUERY_BASE64)
            open = ask_one(&r, STR("command"), s, buffer, o);
    }
    explicit_bzero(&r, sizeof(r));
    free(buffer);
}
