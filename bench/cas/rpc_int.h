/* rpc: what the channels (rpc.c) and the registry that joins them (rpc_join.c) agree on. */
#ifndef CAS_RPC_INT_H
#define CAS_RPC_INT_H

#include "cas.h"

#define PDU_MAX 65535
#define RTS_HEAD 20

struct virtual_connection;

struct channel {
    struct conn *c;
    struct virtual_connection *v; /* NULL before its first PDU */
    bool out, opened;
    unsigned char *pdu; /* an incomplete PDU */
    size_t pdu_len;
    uint64_t received, acknowledged;
    unsigned char cookie[16];
};

/* Worker of the channel. Joins by cookie; false without memory. When both are there, OUT gets CONN/C2. */
bool rpc_join(struct channel *ch, const unsigned char cookie[16]);
void rpc_leave(struct channel *ch);
/* From the IN channel: to the OUT channel's client, on whichever worker that is. */
void rpc_to_out(struct channel *in, const unsigned char *pdu, size_t n);
#endif
