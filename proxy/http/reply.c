/*
 * Answers of Postern's own. The page says what happened in plain words, and nothing about what runs here or
 * behind.
 */
#include <stdio.h>
#include <time.h>

#include <postern/reply.h>

static const struct {
    int status;
    const char *phrase;
    const char *text; /* one sentence for a person; NULL: by class */
} phrases[] = {
    {100, "Continue", NULL},
    {101, "Switching Protocols", NULL},
    {103, "Early Hints", NULL},
    {200, "OK", NULL},
    {201, "Created", NULL},
    {202, "Accepted", NULL},
    {203, "Non-Authoritative Information", NULL},
    {204, "No Content", NULL},
    {205, "Reset Content", NULL},
    {206, "Partial Content", NULL},
    {207, "Multi-Status", NULL},
    {300, "Multiple Choices", NULL},
    {301, "Moved Permanently", "The page is at another address."},
    {302, "Found", "The page is at another address."},
    {303, "See Other", "The page is at another address."},
    {304, "Not Modified", NULL},
    {305, "Use Proxy", NULL},
    {307, "Temporary Redirect", "The page is at another address."},
    {308, "Permanent Redirect", "The page is at another address."},
    {400, "Bad Request", "The request could not be understood."},
    {401, "Unauthorized", "Please sign in with your user name and password."},
    {402, "Payment Required", NULL},
    {403, "Forbidden", "This is not allowed here."},
    {404, "Not Found", "There is nothing at this address."},
    {405, "Method Not Allowed", "This cannot be done at this address."},
    {406, "Not Acceptable", NULL},
    {407, "Proxy Authentication Required", NULL},
    {408, "Request Timeout", "The request took too long to arrive."},
    {409, "Conflict", NULL},
    {410, "Gone", NULL},
    {411, "Length Required", NULL},
    {412, "Precondition Failed", NULL},
    {413, "Content Too Large", "What was sent is larger than is accepted here."},
    {414, "URI Too Long", "The address is too long."},
    {415, "Unsupported Media Type", NULL},
    {416, "Range Not Satisfiable", NULL},
    {417, "Expectation Failed", "The request expects what is not offered here."},
    {421, "Misdirected Request", "This name is not served here."},
    {422, "Unprocessable Content", NULL},
    {423, "Locked", NULL},
    {424, "Failed Dependency", NULL},
    {426, "Upgrade Required", NULL},
    {428, "Precondition Required", NULL},
    {429, "Too Many Requests", "There were too many requests. Please wait a little."},
    {431, "Request Header Fields Too Large", "The request carries more than is accepted here."},
    {451, "Unavailable For Legal Reasons", NULL},
    {500, "Internal Server Error", "Something went wrong here."},
    {501, "Not Implemented", "This kind of request is not known here."},
    {502, "Bad Gateway", "The mail server did not give a usable answer. Please try again later."},
    {503, "Service Unavailable",
     "The service cannot be reached just now. Please try again in a few minutes."},
    {504, "Gateway Timeout", "The mail server did not answer in time. Please try again later."},
    {505, "HTTP Version Not Supported", "This version of HTTP is not known here."},
    {507, "Insufficient Storage", NULL},
};

static int phrase_index(int status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return (int)i;
    return -1;
}

const char *reply_phrase(int status)
{
    int i = phrase_index(status);

    return i < 0 ? "Unknown" : phrases[i].phrase;
}

static const char *reply_text(int status)
{
    int i = phrase_index(status);

    if (i >= 0 && phrases[i].text != NULL)
        return phrases[i].text;
    return status >= 500 ? "Something went wrong here." : status >= 400 ? "The request was refused." : "";
}

/* ---- Date ---- */

/* RFC 9110 5.6.7. Not strftime: its names follow the locale. */
static int date_format(char *out, size_t size, int64_t now_s)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)now_s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL)
        return 0;
    return snprintf(out, size, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
                    months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

struct str reply_date(int64_t now_s)
{
    static __thread char text[64];
    static __thread int64_t of = INT64_MIN;
    static __thread size_t n;

    if (now_s != of) {
        int w = date_format(text, sizeof(text), now_s);
        n = w > 0 && (size_t)w < sizeof(text) ? (size_t)w : 0;
        of = now_s;
    }
    return (struct str){text, n};
}

/* ---- the page ---- */

static const char page[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<title>%d %s</title>\n"
    "<style>\n"
    ":root{--b:#f6f7f9;--c:#fff;--t:#1b1f24;--m:#57606a;--l:#d5dae0}\n"
    "@media(prefers-color-scheme:dark){:root{--b:#14171b;--c:#1d2126;--t:#e8eaed;--m:#a0a8b2;--l:#363c44}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;min-height:100vh;display:flex;align-items:center;justify-content:center;padding:1.5rem;"
    "background:var(--b);color:var(--t);font:1rem/1.5 system-ui,-apple-system,\"Segoe UI\",sans-serif}\n"
    "main{width:100%%;max-width:32rem;padding:2rem;background:var(--c);border:1px solid "
    "var(--l);border-radius:.75rem}\n"
    "p{margin:0;color:var(--m)}h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25;font-weight:600}\n"
    "a{color:inherit}\n"
    "</style></head>\n"
    "<body><main><p>%d</p><h1>%s</h1><p>%s</p></main></body></html>\n";

static bool status_has_page(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static struct str reply_page(int status, struct arena *a)
{
    const char *phrase = reply_phrase(status);

    if (!status_has_page(status))
        return STR("");
    return arena_printf(a, page, status, phrase, status, phrase, reply_text(status));
}

/* ---- the head ---- */

struct line {
    struct str name, value;
};

#define LINES_MAX 12

static void line_add(struct line *v, unsigned *n, struct str name, struct str value)
{
    if (value.p != NULL && value.n > 0)
        v[(*n)++] = (struct line){name, value};
}

static struct str number(struct arena *a, unsigned long n)
{
    return arena_printf(a, "%lu", n);
}

static struct str connection_value(const struct reply *r)
{
    if (r->close)
        return STR("close");
    return r->minor == 0 ? STR("keep-alive") : STR_NULL;
}

static unsigned reply_lines(const struct reply *r, struct str body, struct arena *a, struct line *v)
{
    unsigned n = 0;

    line_add(v, &n, STR("Date"), reply_date((int64_t)time(NULL)));
    if (status_has_page(r->status)) {
        line_add(v, &n, STR("Content-Type"), STR("text/html; charset=utf-8"));
        line_add(v, &n, STR("Content-Length"), number(a, body.n));
    }
    line_add(v, &n, STR("Cache-Control"), STR("no-store"));
    line_add(v, &n, STR("X-Content-Type-Options"), STR("nosniff"));
    line_add(v, &n, STR("Location"), r->location);
    line_add(v, &n, STR("Allow"), r->allow);
    line_add(v, &n, STR("WWW-Authenticate"), r->challenge);
    if (r->retry_after_s > 0)
        line_add(v, &n, STR("Retry-After"), number(a, r->retry_after_s));
    line_add(v, &n, STR("Strict-Transport-Security"), r->hsts);
    line_add(v, &n, STR("Connection"), connection_value(r));
    return n;
}

static char *put(char *at, struct str s)
{
    if (s.n > 0)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

/* A value with a line end in it would become a header of its own. */
static bool line_safe(struct str s)
{
    return s.n == 0 || (memchr(s.p, '\r', s.n) == NULL && memchr(s.p, '\n', s.n) == NULL &&
                        memchr(s.p, '\0', s.n) == NULL);
}

struct str reply_write(const struct reply *r, struct arena *a)
{
    struct line v[LINES_MAX];
    struct str body = reply_page(r->status, a), first;
    unsigned n;
    size_t size;
    char *p, *at;

    if (body.p == NULL)
        return STR_NULL;
    first = arena_printf(a, "HTTP/1.1 %03d %s\r\n", r->status, reply_phrase(r->status));
    n = reply_lines(r, body, a, v);
    if (first.p == NULL)
        return STR_NULL;
    size = first.n + r->extra.n + 2 + body.n;
    for (unsigned i = 0; i < n; i++)
        size += v[i].name.n + v[i].value.n + 4;
    p = at = arena_bytes(a, size);
    if (p == NULL)
        return STR_NULL;
    at = put(at, first);
    for (unsigned i = 0; i < n; i++)
        if (line_safe(v[i].value))
            at = put(put(put(put(at, v[i].name), STR(": ")), v[i].value), STR("\r\n"));
    at = put(put(at, r->extra), STR("\r\n"));
    if (!r->head)
        at = put(at, body);
    return (struct str){p, (size_t)(at - p)};
}
