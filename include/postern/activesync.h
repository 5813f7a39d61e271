/*
 * activesync: the query of an Exchange ActiveSync request (MS-ASHTTP 2.2.1.1.1), in its two forms: plain
 * ("Cmd=Sync&User=...&DeviceId=...&DeviceType=...") and base64 (from protocol 12.1 on). A pure parser; any thread.
 *
 * Strict, for what is allowed or denied by these values must be what the server reads: a parameter that comes twice, a length
 * that does not fit, an unknown command or an octet that does not belong are refused, not mended.
 */
#ifndef POSTERN_ACTIVESYNC_H
#define POSTERN_ACTIVESYNC_H

#include <stdbool.h>
#include <stdint.h>
#include <postern/activesync_command.h>
#include <postern/arena.h>
#include <postern/str.h>

#define ACTIVESYNC_ID_MAX 64 /* MS-ASHTTP 2.2.1.1.1.2.3 has 32; some clients send more */
#define ACTIVESYNC_TYPE_MAX 64
#define ACTIVESYNC_USER_MAX 256

struct activesync_query {
    bool base64;
    enum activesync_command command;
    struct str user;        /* p NULL: none given */
    struct str device_id;   /* printable ASCII; binary ids as upper-case hexadecimal; p NULL: none given */
    struct str device_type; /* letters and digits and "-_." ; p NULL: none given */
    uint8_t version;        /* base64 only: 121, 140, 141, 160, 161; 0: not known (the header has it) */
    uint16_t locale;        /* base64 only */
    bool has_policy_key;
    uint32_t policy_key;
};

/* `query`: the raw query without "?". Strings of *ret lie in the arena. false: malformed, *ret is not filled. A plain query
 * without Cmd, or an empty one, gives ACTIVESYNC_NONE. */
bool activesync_query_parse(struct str query, struct arena *a, struct activesync_query *ret);
/* "12.1" or "2.5" (of MS-ASProtocolVersion) as 121 or 25; 0 when it is no version. */
uint8_t activesync_version_of(struct str text);
/* The other way; "" for 0. At least 8 bytes. */
void activesync_version_text(uint8_t version, char out[8]);

#endif
