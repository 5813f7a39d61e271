#include <stdio.h>
#include <string.h>

#include <postern/activesync.h>

#define PARAMETERS_MAX 32
#define DECODED_MAX 1024 /* of the base64 form: six fields of at most 255 bytes, most of them short */

/* ---- versions ---- */

uint8_t activesync_version_of(struct str text)
{
    struct str rest = str_trim(text), major;
    uint64_t a, b;

    if (!str_next(&rest, '.', &major) || !str_to_u64(major, &a) || !str_to_u64(rest, &b) || a > 24 || b > 9)
        return 0;
    return (uint8_t)(a * 10 + b);
}

void activesync_version_text(uint8_t version, char out[8])
{
    out[0] = '\0';
    if (version > 0)
        snprintf(out, 8, "%u.%u", version / 10u, version % 10u);
}

/* ---- octets ---- */

static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x21 || s.p[i] > 0x7e)
            return false;
    }
    return true;
}

static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

/* Of account names: no controls; octets above ASCII are UTF-8's. */
static bool is_account(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((uint8_t)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

/* ---- the plain form ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent escapes, once; "+" stands for itself, as in MS-ASHTTP's own examples. */
static bool unescape(struct str s, struct arena *a, struct str *ret)
{
    char *out = arena_bytes(a, s.n + 1);
    size_t n = 0;

    if (out == NULL)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int c = (uint8_t)s.p[i];

        if (c == '%') {
            int high = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1,
                low = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    *ret = (struct str){out, n};
    return true;
}

struct parameter {
    struct str name;
    bool seen;
    bool (*take)(struct activesync_query *q, struct str value);
};

static bool take_command(struct activesync_query *q, struct str v)
{
    q->command = activesync_command_named(v);
    return q->command != ACTIVESYNC_NONE;
}

static bool take_user(struct activesync_query *q, struct str v)
{
    q->user = v;
    return v.n > 0 && v.n <= ACTIVESYNC_USER_MAX && is_account(v);
}

static bool take_device_id(struct activesync_query *q, struct str v)
{
    q->device_id = v;
    return v.n > 0 && v.n <= ACTIVESYNC_ID_MAX && is_printable(v);
}

static bool take_device_type(struct activesync_query *q, struct str v)
{
    q->device_type = v;
    return v.n > 0 && v.n <= ACTIVESYNC_TYPE_MAX && is_word(v);
}

static bool parameter_take(struct parameter *all, size_t n, struct activesync_query *q, struct str name,
                           struct str raw, struct arena *a)
{
    struct str value;

    for (size_t i = 0; i < n; i++) {
        if (!str_eq_nocase(name, all[i].name))
            continue;
        if (all[i].seen || !unescape(raw, a, &value))
            return false; /* twice: the server may read the other one */
        all[i].seen = true;
        return all[i].take(q, value);
    }
    return true; /* AttachmentName, SaveInSent, Occurrence...: the server's business */
}

static bool plain_parse(struct str query, struct arena *a, struct activesync_query *q)
{
    struct parameter all[] = {
        {STR("Cmd"), false, take_command},
        {STR("User"), false, take_user},
        {STR("DeviceId"), false, take_device_id},
        {STR("DeviceType"), false, take_device_type},
    };
    struct str rest = query, part;
    unsigned parts = 0;

    while (str_next(&rest, '&', &part)) {
        struct str value = part, raw_name, name;

        if (++parts > PARAMETERS_MAX)
            return false;
        if (part.n == 0)
            continue;
        /* An escaped name is a name all the same: "%43md" is Cmd to the server. */
        if (!str_next(&value, '=', &raw_name) || !unescape(raw_name, a, &name) ||
            !parameter_take(all, sizeof(all) / sizeof(all[0]), q, name, value, a))
            return false;
    }
    return true; /* OPTIONS may come without a command */
}

/* ---- the base64 form: 2.2.1.1.1.2 ---- */

struct reader {
    const uint8_t *p;
    size_t n;
};

static bool read_byte(struct reader *r, uint8_t *ret)
{
    if (r->n == 0)
        return false;
    *ret = *r->p++;
    r->n--;
    return true;
}

/* One byte of length, then as many bytes. */
static bool read_counted(struct reader *r, struct str *ret)
{
    uint8_t n;

    if (!read_byte(r, &n) || r->n < n)
        return false;
    *ret = (struct str){(const char *)r->p, n};
    r->p += n;
    r->n -= n;
    return true;
}

static bool hexadecimal(struct str s, struct arena *a, struct str *ret)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_bytes(a, 2 * s.n + 1);

    if (out == NULL)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        out[2 * i] = digits[(uint8_t)s.p[i] >> 4];
        out[2 * i + 1] = digits[(uint8_t)s.p[i] & 15];
    }
    out[2 * s.n] = '\0';
    *ret = (struct str){out, 2 * s.n};
    return true;
}

static bool read_device_id(struct reader *r, struct arena *a, struct activesync_query *q)
{
    struct str id, hex;

    if (!read_counted(r, &id))
        return false;
    if (id.n == 0)
        return true;
    if (is_printable(id))
        return take_device_id(q, arena_str(a, id)) && q->device_id.p != NULL;
    return hexadecimal(id, a, &hex) && take_device_id(q, hex);
}

static bool read_policy_key(struct reader *r, struct activesync_query *q)
{
    struct str key;

    if (!read_counted(r, &key) || (key.n != 0 && key.n != 4))
        return false;
    q->has_policy_key = key.n == 4;
    for (size_t i = 0; i < key.n; i++)
        q->policy_key |= (uint32_t)(uint8_t)key.p[i] << (8 * i);
    return true;
}

static bool read_device_type(struct reader *r, struct arena *a, struct activesync_query *q)
{
    struct str type;

    if (!read_counted(r, &type))
        return false;
    return type.n == 0 || (take_device_type(q, arena_str(a, type)) && q->device_type.p != NULL);
}

enum { TAG_USER = 8, TAG_LAST = 8 };

static bool read_tagged(struct reader *r, struct arena *a, struct activesync_query *q)
{
    uint32_t seen = 0;
    struct str value;
    uint8_t tag;

    while (r->n > 0) {
        if (!read_byte(r, &tag) || tag > TAG_LAST || (seen & 1u << tag) != 0 || !read_counted(r, &value))
            return false;
        seen |= 1u << tag;
        if (tag == TAG_USER && (!take_user(q, arena_str(a, value)) || q->user.p == NULL))
            return false;
    }
    return true;
}

static bool fields_parse(struct reader r, struct arena *a, struct activesync_query *q)
{
    uint8_t code, low, high;

    if (!read_byte(&r, &q->version) || !read_byte(&r, &code) || !read_byte(&r, &low) || !read_byte(&r, &high))
        return false;
    q->command = activesync_command_coded(code);
    q->locale = (uint16_t)(low | high << 8);
    return q->command != ACTIVESYNC_NONE && q->version >= 120 && q->version <= 169 &&
           read_device_id(&r, a, q) && read_policy_key(&r, q) && read_device_type(&r, a, q) &&
           read_tagged(&r, a, q);
}

static bool base64_parse(struct str query, struct arena *a, struct activesync_query *q)
{
    struct str text;
    uint8_t *out = arena_alloc(a, DECODED_MAX);
    ptrdiff_t n;

    if (out == NULL || !unescape(query, a, &text))
        return false;
    n = str_base64_decode(text, out, DECODED_MAX);
    q->base64 = true;
    return n > 0 && fields_parse((struct reader){out, (size_t)n}, a, q);
}

/* Base64 knows "=" only as padding, at the end; a plain query has one behind its first name. */
static bool is_plain(struct str query)
{
    const char *equals = memchr(query.p, '=', query.n);

    if (memchr(query.p, '&', query.n) != NULL)
        return true;
    return equals != NULL && (size_t)(equals - query.p) + 2 < query.n;
}

bool activesync_query_parse(struct str query, struct arena *a, struct activesync_query *ret)
{
    struct activesync_query q = {.user = STR_NULL, .device_id = STR_NULL, .device_type = STR_NULL};
    bool good = true;

    if (query.p != NULL && query.n > 0)
        good = is_plain(query) ? plain_parse(query, a, &q) : base64_parse(query, a, &q);
    if (good)
        *ret = q;
    return good;
}
