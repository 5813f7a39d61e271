/*
 * The PROXY header, read strictly: it decides who a client is, so nothing doubtful is taken.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <postern/proxy_protocol.h>
#include <postern/str.h>

#define V1_MAX 107 /* with CRLF; 2.1 */
#define V2_HEAD 16
#define V2_BODY_MAX 536

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* Whether the first bytes can still become `what`. */
static bool begins_like(const char *data, size_t n, const char *what, size_t what_n)
{
    return memcmp(data, what, n < what_n ? n : what_n) == 0;
}

static void set_source(struct sockaddr_storage *ret, int family, const void *address, uint16_t port_net)
{
    memset(ret, 0, sizeof(*ret));
    ret->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        struct sockaddr_in *in = (void *)ret;

        memcpy(&in->sin_addr, address, 4);
        in->sin_port = port_net;
    } else if (family == AF_INET6) {
        struct sockaddr_in6 *in6 = (void *)ret;

        memcpy(&in6->sin6_addr, address, 16);
        in6->sin6_port = port_net;
    }
}

/* ---- version 1 ---- */

/* The next field, up to one space; n == 0: two spaces, or nothing left. */
static struct str v1_field(struct str *line)
{
    const char *space = memchr(line->p, ' ', line->n);
    struct str f = {line->p, space != NULL ? (size_t)(space - line->p) : line->n};
    size_t skip = f.n + (space != NULL ? 1 : 0);

    line->p += skip;
    line->n -= skip;
    return f;
}

/* Decimal without leading zeros. */
static bool v1_port(struct str f, uint16_t *ret)
{
    uint32_t v = 0;

    if (f.n == 0 || f.n > 5 || (f.n > 1 && f.p[0] == '0'))
        return false;
    for (size_t i = 0; i < f.n; i++) {
        if (f.p[i] < '0' || f.p[i] > '9')
            return false;
        v = v * 10 + (uint32_t)(f.p[i] - '0');
    }
    *ret = (uint16_t)v;
    return v <= UINT16_MAX;
}

static bool v1_address(struct str f, int family, void *ret)
{
    char text[INET6_ADDRSTRLEN];

    if (f.n == 0 || f.n >= sizeof(text))
        return false;
    memcpy(text, f.p, f.n);
    text[f.n] = '\0';
    return inet_pton(family, text, ret) == 1;
}

static bool v1_line(struct str line, struct sockaddr_storage *ret)
{
    struct str family = v1_field(&line);
    uint8_t source[16], destination[16];
    uint16_t source_port, destination_port;
    int af = str_eq(family, STR("TCP4")) ? AF_INET : AF_INET6;

    ret->ss_family = AF_UNSPEC;
    if (str_eq(family, STR("UNKNOWN")))
        return true; /* what follows is to be ignored, 2.1 */
    if (af == AF_INET6 && !str_eq(family, STR("TCP6")))
        return false;
    if (!v1_address(v1_field(&line), af, source) || !v1_address(v1_field(&line), af, destination) ||
        !v1_port(v1_field(&line), &source_port) || !v1_port(line, &destination_port))
        return false;
    set_source(ret, af, source, htons(source_port));
    return true;
}

static enum proxy_protocol_result v1_parse(const char *data, size_t n, size_t *ret_used,
                                           struct sockaddr_storage *ret)
{
    size_t looked = n < V1_MAX ? n : V1_MAX;
    const char *cr = memchr(data, '\r', looked);
    size_t line_n = cr != NULL ? (size_t)(cr - data) : looked;

    if (memchr(data, '\n', line_n) != NULL || memchr(data, '\0', line_n) != NULL)
        return PROXY_PROTOCOL_BAD;
    if (cr == NULL || line_n + 2 > looked)
        return n < V1_MAX ? PROXY_PROTOCOL_MORE : PROXY_PROTOCOL_BAD;
    if (cr[1] != '\n' || line_n < 6 || !v1_line((struct str){data + 6, line_n - 6}, ret))
        return PROXY_PROTOCOL_BAD;
    *ret_used = line_n + 2;
    return PROXY_PROTOCOL_OK;
}

/* ---- version 2 ---- */

static bool v2_source(const uint8_t *h, size_t body_n, struct sockaddr_storage *ret)
{
    const uint8_t *body = h + V2_HEAD;
    uint16_t port;

    switch (h[13]) {
    case 0x00: /* UNSPEC */
        return true;
    case 0x11: /* TCP over IPv4 */
        if (body_n < 12)
            return false;
        memcpy(&port, body + 8, 2);
        set_source(ret, AF_INET, body, port);
        return true;
    case 0x21: /* TCP over IPv6 */
        if (body_n < 36)
            return false;
        memcpy(&port, body + 32, 2);
        set_source(ret, AF_INET6, body, port);
        return true;
    case 0x31: /* a stream over a Unix socket: no address that means anything here */
        return body_n >= 216;
    default: /* datagrams, and what nobody has defined */
        return false;
    }
}

static enum proxy_protocol_result v2_parse(const uint8_t *h, size_t n, size_t *ret_used,
                                           struct sockaddr_storage *ret)
{
    size_t body_n;

    if (n < V2_HEAD)
        return PROXY_PROTOCOL_MORE;
    body_n = (size_t)h[14] << 8 | h[15];
    if ((h[12] != 0x20 && h[12] != 0x21) || body_n > V2_BODY_MAX)
        return PROXY_PROTOCOL_BAD;
    if (n < V2_HEAD + body_n)
        return PROXY_PROTOCOL_MORE;
    ret->ss_family = AF_UNSPEC;
    if (h[12] == 0x21 && !v2_source(h, body_n, ret)) /* 0x20: LOCAL, the balancer's own connection */
        return PROXY_PROTOCOL_BAD;
    *ret_used = V2_HEAD + body_n;
    return PROXY_PROTOCOL_OK;
}

enum proxy_protocol_result proxy_protocol_parse(const char *data, size_t n, size_t *ret_used,
                                                struct sockaddr_storage *ret_source)
{
    if (n == 0)
        return PROXY_PROTOCOL_MORE;
    if (begins_like(data, n, "PROXY ", 6))
        return n < 6 ? PROXY_PROTOCOL_MORE : v1_parse(data, n, ret_used, ret_source);
    if (!begins_like(data, n, v2_signature, sizeof(v2_signature)))
        return PROXY_PROTOCOL_BAD;
    return v2_parse((const uint8_t *)data, n, ret_used, ret_source);
}
