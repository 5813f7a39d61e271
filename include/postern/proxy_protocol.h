/*
 * proxy_protocol: the PROXY header, versions 1 and 2 (haproxy's proxy-protocol.txt, sections 2.1 and 2.2), as a pure parser.
 * Strict: v1 at most 107 bytes with CRLF; v2 with known command and family, length at most 536 + header; UNSPEC and
 * LOCAL keep the connection's own address.
 */
#ifndef POSTERN_PROXY_PROTOCOL_H
#define POSTERN_PROXY_PROTOCOL_H

#include <stddef.h>
#include <sys/socket.h>

#define PROXY_PROTOCOL_MAX 552

enum proxy_protocol_result { PROXY_PROTOCOL_OK, PROXY_PROTOCOL_MORE, PROXY_PROTOCOL_BAD };

/* OK: *ret_used bytes belong to the header; *ret_source is set, family AF_UNSPEC when the header carries no address. */
enum proxy_protocol_result proxy_protocol_parse(const char *data, size_t n, size_t *ret_used,
                                                struct sockaddr_storage *ret_source);

#endif
