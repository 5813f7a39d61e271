/*
 * The first flight of a client, read into a profile: what `postern trial record` writes.
 */
#include <stdio.h>
#include <string.h>
#include "trial_int.h"

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static unsigned get(struct reader *r, unsigned bytes)
{
    unsigned v = 0;

    if ((size_t)(r->end - r->p) < bytes) {
        r->bad = true;
        r->p = r->end;
        return 0;
    }
    while (bytes-- > 0)
        v = v << 8 | *r->p++;
    return v;
}

static struct reader part(struct reader *r, size_t n)
{
    struct reader one = {r->p, r->p + n, false};

    if ((size_t)(r->end - r->p) < n) {
        r->bad = true;
        return (struct reader){r->end, r->end, true};
    }
    r->p += n;
    return one;
}

struct writer {
    FILE *to;
    unsigned column, indent;
    bool first;
};

static void list_begin(struct writer *w, const char *name)
{
    w->indent = (unsigned)strlen(name) + 5;
    w->column = w->indent;
    w->first = true;
    fprintf(w->to, "  %s: [", name);
}

static void list_add(struct writer *w, const char *word)
{
    size_t n = strlen(word) + 2;

    if (!w->first)
        fputs(w->column + n > 118 ? "," : ", ", w->to);
    if (!w->first && w->column + n > 118) {
        fprintf(w->to, "\n%*s", (int)w->indent, "");
        w->column = w->indent;
    }
    fputs(word, w->to);
    w->column += (unsigned)n;
    w->first = false;
}

static void list_codes(struct writer *w, const char *name, struct reader r, unsigned width,
                       enum trial_table table)
{
    char word[64];

    list_begin(w, name);
    while (r.p < r.end && !r.bad)
        list_add(w, trial_code_name(table, get(&r, width), word));
    fputs("]\n", w->to);
}

/* Whether its content is what the writer of hellos would make of an entry without one. */
static bool is_plain(unsigned type, const struct reader *r)
{
    static const uint8_t status[] = {1, 0, 0, 0, 0};
    size_t n = (size_t)(r->end - r->p);

    switch (type) {
    case EXTENSION_SERVER_NAME:
    case EXTENSION_GROUPS:
    case EXTENSION_POINT_FORMATS:
    case EXTENSION_SIGNATURES:
    case EXTENSION_ALPN:
    case EXTENSION_VERSIONS:
    case EXTENSION_KEY_SHARE:
    case EXTENSION_PADDING:
        return true;
    case EXTENSION_STATUS_REQUEST:
        return n == sizeof(status) && memcmp(r->p, status, n) == 0;
    case EXTENSION_PSK_MODES:
        return n == 2 && r->p[0] == 1 && r->p[1] == 1;
    case EXTENSION_RENEGOTIATION:
        return n == 1 && r->p[0] == 0;
    default:
        return n == 0;
    }
}

static void extension_word(struct writer *w, unsigned type, const struct reader *r)
{
    char word[64 + 2 * 512 + 2];
    size_t n;

    trial_code_name(TRIAL_EXTENSIONS, type, word);
    n = strlen(word);
    if (!is_plain(type, r) && type != 35) { /* a ticket is of one session */
        word[n++] = '=';
        for (const uint8_t *p = r->p; p < r->end && n + 3 < sizeof(word); p++)
            n += (size_t)snprintf(word + n, sizeof(word) - n, "%02x", *p);
    }
    list_add(w, word);
}

static void alpn(struct writer *w, struct reader r)
{
    struct reader list = part(&r, get(&r, 2));
    char word[256];

    list_begin(w, "alpn");
    while (list.p < list.end && !list.bad) {
        struct reader one = part(&list, get(&list, 1));
        size_t n = 0;

        for (; one.p < one.end; one.p++)
            word[n++] = *one.p > 0x20 && *one.p < 0x7f && strchr("[]{},\"'#:&*!|>%@`", *one.p) == NULL
                            ? (char)*one.p
                            : '_';
        word[n] = '\0';
        list_add(w, word);
    }
    fputs("]\n", w->to);
}

static void shares(struct writer *w, struct reader r)
{
    struct reader list = part(&r, get(&r, 2));
    char word[64];

    list_begin(w, "key_shares");
    while (list.p < list.end && !list.bad) {
        list_add(w, trial_code_name(TRIAL_GROUPS, get(&list, 2), word));
        part(&list, get(&list, 2));
    }
    fputs("]\n", w->to);
}

static void extension_list(struct writer *w, unsigned type, struct reader r)
{
    switch (type) {
    case EXTENSION_GROUPS:
        list_codes(w, "groups", part(&r, get(&r, 2)), 2, TRIAL_GROUPS);
        break;
    case EXTENSION_POINT_FORMATS:
        list_codes(w, "point_formats", part(&r, get(&r, 1)), 1, TRIAL_NUMBERS);
        break;
    case EXTENSION_SIGNATURES:
        list_codes(w, "signature_algorithms", part(&r, get(&r, 2)), 2, TRIAL_SIGNATURES);
        break;
    case EXTENSION_VERSIONS:
        list_codes(w, "supported_versions", part(&r, get(&r, 1)), 2, TRIAL_VERSIONS);
        break;
    case EXTENSION_ALPN:
        alpn(w, r);
        break;
    case EXTENSION_KEY_SHARE:
        shares(w, r);
        break;
    default:
        break;
    }
}

struct seen {
    bool sni;
    unsigned min, max;
};

static void look(struct reader r, struct seen *s)
{
    while (r.p < r.end && !r.bad) {
        unsigned type = get(&r, 2);
        struct reader one = part(&r, get(&r, 2));

        s->sni = s->sni || type == EXTENSION_SERVER_NAME;
        if (type != EXTENSION_VERSIONS)
            continue;
        s->min = TRIAL_TLS13;
        s->max = 0;
        for (get(&one, 1); one.p < one.end && !one.bad;) {
            unsigned v = get(&one, 2);

            if (trial_is_grease(v) || v > TRIAL_TLS13)
                continue;
            s->min = v < s->min ? v : s->min;
            s->max = v > s->max ? v : s->max;
        }
    }
}

static void write_extensions(struct writer *w, struct reader all)
{
    struct reader r = all;

    list_begin(w, "extensions");
    while (r.p < r.end && !r.bad) {
        unsigned type = get(&r, 2);
        struct reader one = part(&r, get(&r, 2));

        if (type != EXTENSION_PRE_SHARED_KEY) /* of one session */
            extension_word(w, type, &one);
    }
    fputs("]\n", w->to);
    for (r = all; r.p < r.end && !r.bad;) {
        unsigned type = get(&r, 2);

        extension_list(w, type, part(&r, get(&r, 2)));
    }
}

static const char *version_word(unsigned v, char ret[64])
{
    return trial_code_name(TRIAL_VERSIONS, v, ret);
}

static void write_head(FILE *to, const char *name, const struct seen *s)
{
    char min[64], max[64];

    fprintf(
        to,
        "# Recorded by `postern trial record`. What the handshake does not show (certificate, http) is the default of "
        "a current client: look it over.\nname: %s\ntitle: \"%s\"\nyears: \"2020-\"\nkind: library\n\ntls:\n"
        "  min: %s\n  max: %s\n",
        name, name, version_word(s->min, min), version_word(s->max, max));
}

static void write_tail(FILE *to, bool sni)
{
    fprintf(
        to,
        "  sni: %s\ncertificate:\n  wildcard: true\n  names: san\n  sha1: false\n  sha256: true\n  sha512: true\n"
        "  policies: true\n  msstd: none\n  roots: system\nhttp:\n  version: \"1.1\"\n  user_agent: \"unknown\"\n"
        "  ways: [owa]\nsources:\n  tls: \"measured: recorded handshake\"\n"
        "  certificate: \"lore: not seen in a handshake\"\n  http: \"lore: not seen in a handshake\"\n",
        sni ? "true" : "false");
}

static int record_tls(unsigned record, struct reader r, const char *name, FILE *to)
{
    unsigned hello = get(&r, 2), session;
    struct reader suites, compression, extensions;
    struct writer w = {.to = to};
    struct seen seen = {false, hello < TRIAL_TLS10 ? hello : TRIAL_TLS10, hello};
    char word[64];

    part(&r, 32);
    session = get(&r, 1);
    part(&r, session);
    suites = part(&r, get(&r, 2));
    compression = part(&r, get(&r, 1));
    extensions = r.p < r.end ? part(&r, get(&r, 2)) : (struct reader){r.end, r.end, false};
    if (r.bad || session > 32 || suites.p == suites.end)
        return -1;
    look(extensions, &seen);
    write_head(to, name, &seen);
    fprintf(to, "  framing: tls\n  record: \"%04x\"\n  hello: %s\n  session_id: %u\n", record,
            version_word(hello, word), session);
    list_codes(&w, "suites", suites, 2, TRIAL_SUITES);
    list_codes(&w, "compression", compression, 1, TRIAL_COMPRESSIONS);
    if (extensions.p < extensions.end)
        write_extensions(&w, extensions);
    write_tail(to, seen.sni);
    return 1;
}

static int record_sslv2(struct reader r, const char *name, FILE *to)
{
    unsigned hello = get(&r, 2), suites_n = get(&r, 2), session_n = get(&r, 2), challenge = get(&r, 2);
    struct reader suites = part(&r, suites_n);
    struct seen seen = {false, TRIAL_SSL2, hello};
    struct writer w = {.to = to};
    char word[64];

    if (r.bad || session_n != 0 || suites_n % 3 != 0 || suites_n == 0 || challenge > 32)
        return -1;
    write_head(to, name, &seen);
    fprintf(to, "  framing: sslv2\n  hello: %s\n  challenge: %u\n", version_word(hello, word), challenge);
    list_begin(&w, "suites");
    while (suites.p < suites.end) {
        uint32_t code = get(&suites, 3);

        list_add(&w, trial_code_name(TRIAL_SUITES, code > 0xffff ? code | TRIAL_SSLV2 : code, word));
    }
    fputs("]\n", to);
    write_tail(to, false);
    return 1;
}

/* Takes the records off; the message may lie in several. */
static int record_records(const uint8_t *p, size_t n, const char *name, FILE *to)
{
    uint8_t message[TRIAL_HELLO_MAX];
    size_t have = 0, at = 0, size;
    unsigned record = n >= 3 ? (unsigned)p[1] << 8 | p[2] : 0;

    for (;;) {
        if (n - at < 5)
            return 0;
        size = (size_t)p[at + 3] << 8 | p[at + 4];
        if (p[at] != 22 || p[at + 1] != 3 || size == 0 || size > sizeof(message) - have)
            return -1;
        if (n - at - 5 < size)
            return 0;
        memcpy(message + have, p + at + 5, size);
        have += size;
        at += 5 + size;
        if (have < 4)
            continue;
        size = (size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3];
        if (message[0] != 1 || size > sizeof(message) - 4)
            return -1;
        if (have >= 4 + size)
            return record_tls(record, (struct reader){message + 4, message + 4 + size, false}, name, to);
    }
}

int trial_hello_record(const uint8_t *p, size_t n, const char *name, FILE *to)
{
    size_t size;

    if (n < 3)
        return 0;
    if ((p[0] & 0x80) == 0)
        return record_records(p, n, name, to);
    size = (size_t)(p[0] & 0x7f) << 8 | p[1];
    if (p[2] != 1 || size < 9 || size > TRIAL_HELLO_MAX)
        return -1;
    return n < 2 + size ? 0 : record_sslv2((struct reader){p + 3, p + 2 + size, false}, name, to);
}
