/*
 * rpc_target: whom an Outlook Anywhere client wants to reach: "name:port" in the query of rpcproxy.dll (MS-RPCH 2.2.2).
 * Unchecked, rpcproxy connects to any name and port of the interior. Pure; any thread.
 */
#ifndef POSTERN_RPC_TARGET_H
#define POSTERN_RPC_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <postern/str.h>

#define RPC_NAME_MAX 1023

struct rpc_target {
    struct str
        name; /* as sent: DNS or NetBIOS name, address literal, or "<mailbox-guid>@domain" (Exchange 2013 and later) */
    struct str mailbox; /* the GUID part; p NULL: none */
    struct str domain;  /* behind "@"; p NULL: none */
    uint16_t port;
};

/* `query`: raw. Only letters, digits, ".", "-", "_", "@", ":", "[" and "]" may stand in it: nothing is decoded. */
bool rpc_target_parse(struct str query, struct rpc_target *ret);

/* Lengths that an RPC over HTTP request may announce (2.1.2.1): echo, or NTLM leg, or channel. */
enum rpc_request {
    RPC_REQUEST_BAD,
    RPC_REQUEST_ECHO, /* 0 to 16 bytes, either method: 2.1.2.1.5; also the legs of NTLM, which announce 0 */
    RPC_REQUEST_IN,   /* 128 KiB to 2 GiB: 2.1.2.1.1 */
    RPC_REQUEST_OUT,  /* 76: 2.1.2.1.2 */
    RPC_REQUEST_OUT_REPLACING /* 120: the successor of a channel that has used up its length */
};
enum rpc_request rpc_request_of(bool in, uint64_t content_length);

#endif
