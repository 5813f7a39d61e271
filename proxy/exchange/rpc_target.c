#include <string.h>

#include <postern/rpc_target.h>

static bool is_name_octet(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static bool is_name(struct str s)
{
    if (s.n == 0 || s.p[0] == '.' || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_name_octet(s.p[i]) || (s.p[i] == '.' && i > 0 && s.p[i - 1] == '.'))
            return false;
    }
    return true;
}

/* "[2001:db8::1]": the octets; what they mean is for the allow-list, which compares text. */
static bool is_ipv6(struct str s)
{
    if (s.n < 4 || s.p[0] != '[' || s.p[s.n - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < s.n; i++) {
        char c = ascii_lower(s.p[i]);

        if (!((c >= 'a' && c <= 'f') || (c >= '0' && c <= '9') || c == ':' || c == '.'))
            return false;
    }
    return true;
}

/* 8-4-4-4-12 hexadecimal digits. */
static bool is_guid(struct str s)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (s.n != sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');

        if (form[i] == '-' ? c != '-' : !hex)
            return false;
    }
    return true;
}

static bool split_mailbox(struct rpc_target *t)
{
    const char *at = memchr(t->name.p, '@', t->name.n);

    if (at == NULL)
        return is_name(t->name) || is_ipv6(t->name);
    t->mailbox = (struct str){t->name.p, (size_t)(at - t->name.p)};
    t->domain = (struct str){at + 1, t->name.n - t->mailbox.n - 1};
    return is_guid(t->mailbox) && is_name(t->domain);
}

static bool parse_port(struct str s, uint16_t *ret)
{
    uint64_t port;

    if (s.n == 0 || s.n > 6 || !str_to_u64(s, &port) || port == 0 || port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

bool rpc_target_parse(struct str query, struct rpc_target *ret)
{
    struct rpc_target t = {.mailbox = STR_NULL, .domain = STR_NULL};
    const char *colon = query.p != NULL ? memrchr(query.p, ':', query.n) : NULL;

    if (colon == NULL)
        return false;
    t.name = (struct str){query.p, (size_t)(colon - query.p)};
    if (t.name.n > RPC_NAME_MAX || !split_mailbox(&t) ||
        !parse_port((struct str){colon + 1, query.n - t.name.n - 1}, &t.port))
        return false;
    *ret = t;
    return true;
}

#define RPC_ECHO_MAX 16u
#define RPC_IN_MIN (UINT64_C(128) << 10)
#define RPC_IN_MAX (UINT64_C(2) << 30)

enum rpc_request rpc_request_of(bool in, uint64_t n)
{
    if (n <= RPC_ECHO_MAX)
        return RPC_REQUEST_ECHO;
    if (in)
        return n >= RPC_IN_MIN && n <= RPC_IN_MAX ? RPC_REQUEST_IN : RPC_REQUEST_BAD;
    return n == 76 ? RPC_REQUEST_OUT : n == 120 ? RPC_REQUEST_OUT_REPLACING : RPC_REQUEST_BAD;
}
