/* activesync: OPTIONS, a held Ping (MS-ASCMD 2.2.1.13), and small WBXML answers to other commands. */
#include <stdlib.h>
#include "cas.h"

#define WBXML "application/vnd.ms-sync.wbxml"
static const char versions[] =
    "MS-Server-ActiveSync: 14.3\r\nMS-ASProtocolVersions: 2.5,12.0,12.1,14.0,14.1\r\n"
    "MS-ASProtocolCommands: Sync,SendMail,SmartForward,SmartReply,GetAttachment,GetHierarchy,CreateCollection,"
    "DeleteCollection,MoveCollection,FolderSync,FolderCreate,FolderDelete,FolderUpdate,MoveItems,GetItemEstimate,"
    "MeetingResponse,Search,Settings,Ping,ItemOperations,Provision,ResolveRecipients,ValidateCert\r\n";

static void send_wbxml(struct conn *c, const void *body, size_t n)
{
    answer(c, 200, "OK", WBXML, "MS-Server-ActiveSync: 14.3\r\n", body, n);
}

/* version 1.3, public id 1, UTF-8, no strings; page 13: Ping, Status "1" */
static void ping_over(struct conn *c)
{
    static const char body[] = "\x03\x01\x6a\x00\x00\x0d\x45\x47\x03"
                               "1\x00\x01\x01";
    send_wbxml(c, body, sizeof body - 1);
}

static bool digits(const char *p, const char *end, uint64_t *ret)
{
    const char *from = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return str_to_u64((struct str){from, (size_t)(p - from)}, ret);
}

/* On page 13 tag 0x08 with content is 0x48, followed by STR_I (0x03). */
static uint64_t heartbeat(struct conn *c)
{
    static const char text[] = "HeartbeatInterval=", tag[] = {0x48, 0x03};
    uint64_t seconds = query_number(c, STR("Heartbeat"), 0);
    const char *end = c->body + c->body_len, *p;
    if (seconds)
        return seconds;
    if (c->body_len && (p = memmem(c->body, c->body_len, text, sizeof text - 1)) &&
        digits(p + sizeof text - 1, end, &seconds))
        return seconds;
    if (c->body_len > 4 && c->body[0] == 3 && (p = memmem(c->body + 4, c->body_len - 4, tag, 2)) &&
        digits(p + 2, end, &seconds))
        return seconds;
    return 480;
}

/* The name in the query, or the code in its base64 form (MS-ASHTTP 2.2.1.1.1.1 and .2), of those served here. */
static struct str command_of(struct conn *c)
{
    struct str name = STR_NULL;
    unsigned char bytes[256];
    if (query_get(c, STR("Cmd"), &name) || str_base64_decode(c->query, bytes, sizeof bytes) < 2)
        return name;
    return bytes[1] == 18   ? STR("Ping")
           : bytes[1] == 20 ? STR("Provision")
           : bytes[1] == 9  ? STR("FolderSync")
                            : STR("Sync");
}

/* Sync, Status "1"; what is wanted beyond that as opaque data (WBXML 1.3, 5.8.4.6), its length as a mb_u_int32. */
static void send_sync(struct conn *c)
{
    static const char begin[] = "\x03\x01\x6a\x00\x00\x00\x45\x4e\x03"
                                "1\x00\x01";
    size_t fixed = sizeof begin - 1, n = c->wanted > fixed + 6 ? (size_t)c->wanted - fixed - 6 : 0;
    char *body = malloc(fixed + n + 6), *to;
    if (!body) {
        conn_reset(c);
        return;
    }
    to = mempcpy(body, begin, fixed);
    if (n) {
        *to++ = '\xc3';
        for (int shift = 21; shift >= 0; shift -= 7)
            *to++ = (char)((n >> shift & 0x7f) | (shift ? 0x80 : 0));
        memset(to, 'x', n);
        to += n;
    }
    *to++ = 1;
    send_wbxml(c, body, (size_t)(to - body));
    free(body);
}

void activesync_finish(struct conn *c)
{
    struct str command = command_of(c);
    uint64_t seconds;
    if (str_ends_nocase(c->path, STR("/healthcheck.htm")))
        answer_text(c, 200, "OK", "200 OK\nsimulated\n");
    else if (str_eq(c->method, STR("OPTIONS")))
        answer(c, 200, "OK", NULL, versions, NULL, 0);
    else if (!str_eq(c->method, STR("POST")))
        answer(c, 501, "Not Implemented", NULL, "Allow: OPTIONS, POST\r\n", NULL, 0);
    else if (str_eq_nocase(command, STR("Ping"))) {
        seconds = heartbeat(c);
        conn_arm(c, (seconds < 86400 ? seconds : 86400) * 1000, ping_over);
    } else if (str_eq_nocase(command, STR("FolderSync")))
        send_wbxml(c,
                   "\x03\x01\x6a\x00\x00\x07\x56\x4c\x03"
                   "1\x00\x01\x52\x03"
                   "1\x00\x01\x01",
                   19);
    else if (str_eq_nocase(command, STR("Provision")))
        send_wbxml(c,
                   "\x03\x01\x6a\x00\x00\x0e\x45\x4b\x03"
                   "1\x00\x01\x01",
                   13);
    else
        send_sync(c);
}
