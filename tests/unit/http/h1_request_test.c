/*
 * Requests, good and bad: every case whole, octet by octet and cut at random.
 */
#include <string.h>

#include "http_cases.h"

#define H "Host: mail.example.com\r\n"
#define GET "GET /owa/ HTTP/1.1\r\n" H
#define POST "POST /ews HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define END "\r\n"
#define OK REASON_OK
#define LINE REASON_BAD_REQUEST_LINE
#define HEADER REASON_BAD_HEADER
#define FRAMING REASON_BAD_FRAMING
#define CHUNK REASON_BAD_CHUNK
#define HOST REASON_BAD_HOST

struct request_case {
    const char *name;
    struct str raw;
    enum reason why;
    unsigned messages; /* complete ones */
};

static const struct request_case good[] = {
    {"plain GET", STR(GET END), OK, 1},
    {"HEAD", STR("HEAD / HTTP/1.1\r\n" H END), OK, 1},
    {"OPTIONS *", STR("OPTIONS * HTTP/1.1\r\n" H END), OK, 1},
    {"RPC_IN_DATA", STR("RPC_IN_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"),
     OK, 1},
    {"RPC_OUT_DATA", STR("RPC_OUT_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"),
     OK, 1},
    {"X-MS-ENUMATTS", STR("X-MS-ENUMATTS /exchange/ HTTP/1.1\r\n" H END), OK, 1},
    {"BPROPPATCH", STR("BPROPPATCH /exchange/ HTTP/1.1\r\n" H END), OK, 1},
    {"POLL", STR("POLL /exchange/ HTTP/1.1\r\n" H END), OK, 1},
    {"unknown method", STR("FROB / HTTP/1.1\r\n" H END), OK, 1},
    {"lower-case method is another method", STR("get / HTTP/1.1\r\n" H END), OK, 1},
    {"method of 32", STR("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" H END), OK, 1},
    {"one blank line before", STR("\r\n" GET END), OK, 1},
    {"two blank lines before", STR("\r\n\r\n" GET END), OK, 1},
    {"HTTP/1.0 without Host", STR("GET / HTTP/1.0\r\n\r\n"), OK, 1},
    {"HTTP/1.0 keep-alive", STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), OK, 1},
    {"HTTP/1.0 with body", STR("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"), OK, 1},
    {"HTTP/1.0 Expect is ignored",
     STR("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"), OK, 1},
    {"HTTP/1.0 Upgrade is ignored",
     STR("POST / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi"), OK, 1},
    {"close", STR(GET "Connection: close\r\n\r\n"), OK, 1},
    {"Connection with empty elements", STR(GET "Connection: , keep-alive,, ,x-a\r\n\r\n"), OK, 1},
    {"no space after colon", STR("GET / HTTP/1.1\r\nHost:a\r\nA:b\r\n\r\n"), OK, 1},
    {"spaces around value", STR("GET / HTTP/1.1\r\nHost: \t a \t \r\nA:  b c\t \r\n\r\n"), OK, 1},
    {"empty value", STR(GET "A:\r\nB: \r\nC: \t \r\n\r\n"), OK, 1},
    {"colon in value", STR(GET "A: b:c: d\r\n\r\n"), OK, 1},
    {"tab in value", STR(GET "A: b\tc\r\n\r\n"), OK, 1},
    {"obs-text in value", STR(GET "A: \xc3\xa4\xff\r\n\r\n"), OK, 1},
    {"token of all tchar", STR(GET "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"), OK, 1},
    {"same field twice", STR(GET "Cookie: a\r\nCookie: b\r\n\r\n"), OK, 1},
    {"case of names is kept", STR(GET "CONTENT-type: a\r\ncOOKIE: b\r\n\r\n"), OK, 1},
    {"length 0", STR(POST "Content-Length: 0\r\n\r\n"), OK, 1},
    {"length", STR(POST "Content-Length: 5\r\n\r\nhello"), OK, 1},
    {"length with OWS", STR(POST "Content-Length:   5  \r\n\r\nhello"), OK, 1},
    {"length with leading zeros", STR(POST "Content-Length: 005\r\n\r\nhello"), OK, 1},
    {"lower-case content-length", STR(POST "content-length: 5\r\n\r\nhello"), OK, 1},
    {"GET with body", STR(GET "Content-Length: 5\r\n\r\nhello"), OK, 1},
    {"body of CRLFs", STR(POST "Content-Length: 4\r\n\r\n\r\n\r\n"), OK, 1},
    {"body with NUL", STR(POST "Content-Length: 3\r\n\r\n\0\1\2"), OK, 1},
    {"pipelined", STR(GET END GET END GET END), OK, 3},
    {"pipelined after body", STR(POST "Content-Length: 5\r\n\r\nhello" GET END), OK, 2},
    {"pipelined after chunks", STR(CHUNKED "5\r\nhello\r\n0\r\n\r\n" GET END), OK, 2},
    {"pipelined with blank line", STR(POST "Content-Length: 1\r\n\r\nx\r\n" GET END), OK, 2},
    {"chunked", STR(CHUNKED "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), OK, 1},
    {"chunked, empty", STR(CHUNKED "0\r\n\r\n"), OK, 1},
    {"Chunked", STR(POST "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"), OK, 1},
    {"chunked with OWS", STR(POST "Transfer-Encoding: \tchunked \r\n\r\n0\r\n\r\n"), OK, 1},
    {"hex in both cases", STR(CHUNKED "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), OK, 1},
    {"leading zeros in size", STR(CHUNKED "0005\r\nhello\r\n0000\r\n\r\n"), OK, 1},
    {"size of 16 digits", STR(CHUNKED "0000000000000005\r\nhello\r\n0\r\n\r\n"), OK, 1},
    {"extension", STR(CHUNKED "5;a=b\r\nhello\r\n0;c\r\n\r\n"), OK, 1},
    {"quoted extension", STR(CHUNKED "5;a=\"b c\"\r\nhello\r\n0\r\n\r\n"), OK, 1},
    {"trailers are dropped", STR(CHUNKED "0\r\nX-A: b\r\nX-B:\r\n\r\n" GET END), OK, 2},
    {"framing in trailers is dropped too", STR(CHUNKED "0\r\nContent-Length: 5\r\n\r\n" GET END), OK, 2},
    {"CRLF as chunk data", STR(CHUNKED "4\r\n\r\n\r\n\r\n0\r\n\r\n"), OK, 1},
    {"Expect", STR(POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx"), OK, 1},
    {"Expect in another case", STR(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx"), OK, 1},
    {"Expect without body", STR(GET "Expect: 100-continue\r\n\r\n"), OK, 1},
    {"upgrade", STR(GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" GET END), OK, 2},
    {"upgrade that Connection does not list", STR(GET "Upgrade: websocket\r\n\r\n"), OK, 1},
    {"upgrade with length 0", STR(POST "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n"), OK,
     1},
    {"Upgrade not listed, with body", STR(POST "Upgrade: x\r\nContent-Length: 2\r\n\r\nhi"), OK, 1},
    {"absolute form", STR("GET http://mail.example.com/a HTTP/1.1\r\n" H END), OK, 1},
    {"absolute form, https and port", STR("GET https://mail.example.com:443/a HTTP/1.1\r\n" H END), OK, 1},
    {"absolute form, other case", STR("GET HTTPS://MAIL.example.COM/a HTTP/1.1\r\n" H END), OK, 1},
    {"absolute form without path", STR("GET http://mail.example.com HTTP/1.1\r\n" H END), OK, 1},
    {"absolute form, query only", STR("GET http://mail.example.com?a HTTP/1.1\r\n" H END), OK, 1},
    {"absolute form in HTTP/1.0 without Host", STR("GET http://mail.example.com/ HTTP/1.0\r\n\r\n"), OK, 1},
    {"Host with port", STR("GET / HTTP/1.1\r\nHost: a.b:8443\r\n\r\n"), OK, 1},
    {"Host with trailing dot", STR("GET / HTTP/1.1\r\nHost: A.b.\r\n\r\n"), OK, 1},
    {"Host IPv4", STR("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"), OK, 1},
    {"Host IPv6", STR("GET / HTTP/1.1\r\nHost: [2001:DB8::1]:443\r\n\r\n"), OK, 1},
    {"Host NetBIOS", STR("GET / HTTP/1.1\r\nHost: EX_CAS01\r\n\r\n"), OK, 1},
    {"no head yet", STR(""), OK, 0},
    {"only a blank line", STR("\r\n"), OK, 0},
    {"ActiveSync",
     STR("POST /Microsoft-Server-ActiveSync?User=d%5Cu&DeviceId=A&DeviceType=B&Cmd=Ping HTTP/1.1\r\n" H
         "MS-ASProtocolVersion: 14.1\r\nUser-Agent: Apple-iPhone3C1/811.1\r\nContent-Length: 0\r\n\r\n"),
     OK, 1},
};

static const struct request_case bad[] = {
    /* start line */
    {"three blank lines before", STR("\r\n\r\n\r\n" GET END), LINE, 0},
    {"bare LF before", STR("\n" GET END), LINE, 0},
    {"CR before", STR("\rGET / HTTP/1.1\r\n" H END), LINE, 0},
    {"space before", STR(" GET / HTTP/1.1\r\n" H END), REASON_BAD_METHOD, 0},
    {"tab before", STR("\tGET / HTTP/1.1\r\n" H END), REASON_BAD_METHOD, 0},
    {"bare LF ends the line", STR("GET / HTTP/1.1\n" H END), LINE, 0},
    {"bare CR ends the line", STR("GET / HTTP/1.1\r" H END), LINE, 0},
    {"CR CR LF", STR("GET / HTTP/1.1\r\r\n" H END), LINE, 0},
    {"HTTP/0.9", STR("GET /\r\n"), LINE, 0},
    {"HTTP/0.9 with space", STR("GET / \r\n"), LINE, 0},
    {"no target", STR("GET HTTP/1.1\r\n" H END), LINE, 0},
    {"empty target", STR("GET  HTTP/1.1\r\n" H END), LINE, 0},
    {"two spaces before target", STR("GET  / HTTP/1.1\r\n" H END), LINE, 0},
    {"two spaces before version", STR("GET /  HTTP/1.1\r\n" H END), LINE, 0},
    {"space behind version", STR("GET / HTTP/1.1 \r\n" H END), LINE, 0},
    {"tab behind version", STR("GET / HTTP/1.1\t\r\n" H END), LINE, 0},
    {"words behind version", STR("GET / HTTP/1.1 HTTP/1.1\r\n" H END), LINE, 0},
    {"tab for space", STR("GET\t/ HTTP/1.1\r\n" H END), REASON_BAD_METHOD, 0},
    {"tab in target", STR("GET /\ta HTTP/1.1\r\n" H END), LINE, 0},
    {"space in target", STR("GET /a b HTTP/1.1\r\n" H END), LINE, 0},
    {"NUL in target", STR("GET /a\0b HTTP/1.1\r\n" H END), LINE, 0},
    {"DEL in target", STR("GET /a\x7f HTTP/1.1\r\n" H END), LINE, 0},
    {"high octet in target", STR("GET /\xc3\xa4 HTTP/1.1\r\n" H END), REASON_BAD_TARGET, 0},
    {"vertical tab", STR("GET\v/ HTTP/1.1\r\n" H END), LINE, 0},
    {"lower-case http", STR("GET / http/1.1\r\n" H END), LINE, 0},
    {"HTTP/1.2", STR("GET / HTTP/1.2\r\n" H END), REASON_BAD_VERSION, 0},
    {"HTTP/1.9", STR("GET / HTTP/1.9\r\n" H END), REASON_BAD_VERSION, 0},
    {"HTTP/2.0", STR("GET / HTTP/2.0\r\n" H END), REASON_BAD_VERSION, 0},
    {"HTTP/0.9 named", STR("GET / HTTP/0.9\r\n" H END), REASON_BAD_VERSION, 0},
    {"HTTP/2 preface", STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), REASON_BAD_VERSION, 0},
    {"HTTP/1.10", STR("GET / HTTP/1.10\r\n" H END), LINE, 0},
    {"HTTP/01.1", STR("GET / HTTP/01.1\r\n" H END), LINE, 0},
    {"HTTP/1", STR("GET / HTTP/1\r\n" H END), LINE, 0},
    {"HTTP/1.", STR("GET / HTTP/1.\r\n" H END), LINE, 0},
    {"HTTP/1,1", STR("GET / HTTP/1,1\r\n" H END), LINE, 0},
    {"HTTP /1.1", STR("GET / HTTP /1.1\r\n" H END), LINE, 0},
    {"ICE/1.0", STR("GET / ICE/1.0\r\n" H END), LINE, 0},
    {"HTTPS/1.1", STR("GET / HTTPS/1.1\r\n" H END), LINE, 0},
    {"no method", STR(" / HTTP/1.1\r\n" H END), REASON_BAD_METHOD, 0},
    {"method with slash", STR("GE/T / HTTP/1.1\r\n" H END), REASON_BAD_METHOD, 0},
    {"method with colon", STR("GET: / HTTP/1.1\r\n" H END), REASON_BAD_METHOD, 0},
    {"method with high octet", STR("G\xc3\x8bT / HTTP/1.1\r\n" H END), REASON_BAD_METHOD, 0},
    {"method of 33", STR("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" H END), REASON_BAD_METHOD, 0},
    {"TLS on a plain port", STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), LINE, 0},
    {"header first", STR(H END), REASON_BAD_METHOD, 0},
    {"CONNECT", STR("CONNECT mail.example.com:443 HTTP/1.1\r\n" H END), REASON_BAD_TARGET, 0},
    {"target without slash", STR("GET owa HTTP/1.1\r\n" H END), REASON_BAD_TARGET, 0},
    {"fragment in target", STR("GET /a#b HTTP/1.1\r\n" H END), REASON_BAD_TARGET, 0},
    {"other scheme", STR("GET ftp://mail.example.com/ HTTP/1.1\r\n" H END), REASON_BAD_TARGET, 0},
    {"* with GET", STR("GET * HTTP/1.1\r\n" H END), REASON_BAD_TARGET, 0},
    /* lines and fields */
    {"bare LF ends a field", STR("GET / HTTP/1.1\r\nHost: a\n\r\n"), HEADER, 0},
    {"bare LF ends the head", STR(GET "\n"), HEADER, 0},
    {"LF LF", STR("GET / HTTP/1.1\r\nHost: a\n\n"), HEADER, 0},
    {"bare CR in value", STR(GET "A: b\rc\r\n\r\n"), HEADER, 0},
    {"bare CR hides a field", STR(GET "A: b\rContent-Length: 5\r\n\r\n"), HEADER, 0},
    {"CR CR LF in fields", STR(GET "A: b\r\r\n\r\n"), HEADER, 0},
    {"CR CR ends the head", STR(GET "\r\r\n"), HEADER, 0},
    {"NUL in value", STR(GET "A: b\0c\r\n\r\n"), HEADER, 0},
    {"NUL in name", STR(GET "A\0: b\r\n\r\n"), HEADER, 0},
    {"control in value", STR(GET "A: b\x01\r\n\r\n"), HEADER, 0},
    {"ESC in value", STR(GET "A: b\x1b[0m\r\n\r\n"), HEADER, 0},
    {"DEL in value", STR(GET "A: b\x7f\r\n\r\n"), HEADER, 0},
    {"vertical tab in value", STR(GET "A: b\vc\r\n\r\n"), HEADER, 0},
    {"form feed before colon", STR(GET "A\f: b\r\n\r\n"), HEADER, 0},
    {"folded", STR(GET "A: b\r\n c\r\n\r\n"), HEADER, 0},
    {"folded with tab", STR(GET "A: b\r\n\tc\r\n\r\n"), HEADER, 0},
    {"folded empty", STR(GET "A: b\r\n \r\n\r\n"), HEADER, 0},
    {"folded framing", STR(POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), HEADER, 0},
    {"space before first field", STR("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), HEADER, 0},
    {"tab before first field", STR("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"), HEADER, 0},
    {"space before colon", STR("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), HEADER, 0},
    {"tab before colon", STR("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"), HEADER, 0},
    {"space before colon of framing", STR(POST "Content-Length : 5\r\n\r\nhello"), HEADER, 0},
    {"space before colon of coding", STR(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), HEADER, 0},
    {"space in name", STR(GET "A B: c\r\n\r\n"), HEADER, 0},
    {"no colon", STR(GET "Abc\r\n\r\n"), HEADER, 0},
    {"empty name", STR(GET ": b\r\n\r\n"), HEADER, 0},
    {"high octet in name", STR(GET "\xc3\xa4: b\r\n\r\n"), HEADER, 0},
    {"quote in name", STR(GET "\"a\": b\r\n\r\n"), HEADER, 0},
    {"parenthesis in name", STR(GET "a(b): b\r\n\r\n"), HEADER, 0},
    {"slash in name", STR(GET "a/b: b\r\n\r\n"), HEADER, 0},
    {"bracket in name", STR(GET "a[0]: b\r\n\r\n"), HEADER, 0},
    {"at in name", STR(GET "a@b: b\r\n\r\n"), HEADER, 0},
    {"equals in name", STR(GET "a=b: b\r\n\r\n"), HEADER, 0},
    {"Authorization twice", STR(GET "Authorization: Basic YTpi\r\nauthorization: Basic YTpj\r\n\r\n"), HEADER,
     0},
    {"Content-Type twice", STR(GET "Content-Type: a/b\r\nContent-Type: a/c\r\n\r\n"), HEADER, 0},
    /* Host */
    {"no Host", STR("GET / HTTP/1.1\r\n\r\n"), HOST, 0},
    {"no Host, other fields", STR("GET / HTTP/1.1\r\nA: b\r\n\r\n"), HOST, 0},
    {"empty Host", STR("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HOST, 0},
    {"Host of spaces", STR("GET / HTTP/1.1\r\nHost:   \r\n\r\n"), HOST, 0},
    {"Host twice", STR("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), HOST, 0},
    {"same Host twice", STR("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), HOST, 0},
    {"HTTP/1.0 Host twice", STR("GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n"), HOST, 0},
    {"list of Hosts", STR("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), HOST, 0},
    {"Host with space", STR("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), HOST, 0},
    {"Host with slash", STR("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), HOST, 0},
    {"Host with user", STR("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), HOST, 0},
    {"Host with empty port", STR("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), HOST, 0},
    {"Host with port 0", STR("GET / HTTP/1.1\r\nHost: a:0\r\n\r\n"), HOST, 0},
    {"Host with large port", STR("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), HOST, 0},
    {"Host with signed port", STR("GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n"), HOST, 0},
    {"Host with two ports", STR("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"), HOST, 0},
    {"Host with escape", STR("GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n"), HOST, 0},
    {"Host with high octet", STR("GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"), HOST, 0},
    {"Host with empty label", STR("GET / HTTP/1.1\r\nHost: a..b\r\n\r\n"), HOST, 0},
    {"Host starts with dot", STR("GET / HTTP/1.1\r\nHost: .a\r\n\r\n"), HOST, 0},
    {"Host bad IPv6", STR("GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n"), HOST, 0},
    {"Host open IPv6", STR("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), HOST, 0},
    {"Host bare IPv6", STR("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), HOST, 0},
    {"Host octal IPv4", STR("GET / HTTP/1.1\r\nHost: 0300.0.2.1\r\n\r\n"), HOST, 0},
    {"Host short IPv4", STR("GET / HTTP/1.1\r\nHost: 127.1\r\n\r\n"), HOST, 0},
    {"Host decimal IPv4", STR("GET / HTTP/1.1\r\nHost: 2130706433\r\n\r\n"), HOST, 0},
    {"absolute form, other Host", STR("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), HOST, 0},
    {"absolute form, other port", STR("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"), HOST, 0},
    {"absolute form, no Host", STR("GET http://a/ HTTP/1.1\r\n\r\n"), HOST, 0},
    {"absolute form, user", STR("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"), HOST, 0},
    {"absolute form, no authority", STR("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"), HOST, 0},
    {"absolute form, back-slash", STR("GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_TARGET, 0},
    /* framing */
    {"length and coding", STR(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     FRAMING, 0},
    {"coding and length", STR(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
     FRAMING, 0},
    {"coding and length 0", STR(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"),
     FRAMING, 0},
    {"two lengths", STR(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), FRAMING, 0},
    {"same length twice", STR(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), FRAMING, 0},
    {"list of lengths", STR(POST "Content-Length: 5, 5\r\n\r\nhello"), FRAMING, 0},
    {"length and tab", STR(POST "Content-Length: 5\t\r\n\r\nhello"), FRAMING, 0},
    {"negative length", STR(POST "Content-Length: -5\r\n\r\nhello"), FRAMING, 0},
    {"signed length", STR(POST "Content-Length: +5\r\n\r\nhello"), FRAMING, 0},
    {"hexadecimal length", STR(POST "Content-Length: 0x5\r\n\r\nhello"), FRAMING, 0},
    {"decimal fraction", STR(POST "Content-Length: 5.0\r\n\r\nhello"), FRAMING, 0},
    {"exponent", STR(POST "Content-Length: 1e1\r\n\r\nhello"), FRAMING, 0},
    {"underscore", STR(POST "Content-Length: 1_0\r\n\r\nhello"), FRAMING, 0},
    {"space in length", STR(POST "Content-Length: 1 0\r\n\r\nhello"), FRAMING, 0},
    {"empty length", STR(POST "Content-Length:\r\n\r\n"), FRAMING, 0},
    {"length of spaces", STR(POST "Content-Length:  \r\n\r\n"), FRAMING, 0},
    {"length of words", STR(POST "Content-Length: five\r\n\r\n"), FRAMING, 0},
    {"length over 63 bits", STR(POST "Content-Length: 9223372036854775808\r\n\r\n"), FRAMING, 0},
    {"length over 64 bits", STR(POST "Content-Length: 18446744073709551621\r\n\r\nhello"), FRAMING, 0},
    {"length far over", STR(POST "Content-Length: 99999999999999999999999999\r\n\r\n"), FRAMING, 0},
    {"coding in HTTP/1.0", STR("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"gzip, chunked", STR(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"chunked, gzip", STR(POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"chunked, chunked", STR(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"chunked twice", STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     FRAMING, 0},
    {"chunked and identity",
     STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"identity", STR(POST "Transfer-Encoding: identity\r\n\r\n"), FRAMING, 0},
    {"identity, chunked", STR(POST "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"xchunked", STR(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"chunkedx", STR(POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"quoted chunked", STR(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"chunked;q=1", STR(POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"chunked and a comma", STR(POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"comma and chunked", STR(POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"), FRAMING, 0},
    {"empty coding", STR(POST "Transfer-Encoding:\r\n\r\n"), FRAMING, 0},
    {"chunked with vertical tab", STR(POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"), HEADER, 0},
    {"upgrade with body", STR(POST "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi"),
     FRAMING, 0},
    {"upgrade with chunks",
     STR(POST "Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), FRAMING,
     0},
    /* Connection, Expect */
    {"Connection lists Host", STR(GET "Connection: close, Host\r\n\r\n"), REASON_BAD_CONNECTION, 0},
    {"Connection lists Content-Length", STR(GET "Connection: content-length\r\n\r\n"), REASON_BAD_CONNECTION,
     0},
    {"Connection lists Transfer-Encoding", STR(GET "Connection: Transfer-Encoding\r\n\r\n"),
     REASON_BAD_CONNECTION, 0},
    {"Connection lists Authorization", STR(GET "Connection: Authorization\r\n\r\n"), REASON_BAD_CONNECTION,
     0},
    {"Connection lists Cookie", STR(GET "Connection: keep-alive ,\tCookie\r\n\r\n"), REASON_BAD_CONNECTION,
     0},
    {"Connection lists X-Forwarded-For", STR(GET "Connection: X-Forwarded-For\r\n\r\n"),
     REASON_BAD_CONNECTION, 0},
    {"second Connection lists Host", STR(GET "Connection: close\r\nConnection: host\r\n\r\n"),
     REASON_BAD_CONNECTION, 0},
    {"Connection with no token", STR(GET "Connection: \"close\"\r\n\r\n"), REASON_BAD_CONNECTION, 0},
    {"other expectation", STR(POST "Expect: 200-ok\r\n\r\n"), REASON_BAD_EXPECT, 0},
    {"100-continue and more", STR(POST "Expect: 100-continue, x\r\n\r\n"), REASON_BAD_EXPECT, 0},
    {"Expect twice", STR(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"), REASON_BAD_EXPECT, 0},
    {"empty Expect", STR(POST "Expect:\r\n\r\n"), REASON_BAD_EXPECT, 0},
    /* after a good one */
    {"garbage behind a request", STR(GET END "garbage\r\n\r\n"), LINE, 1},
    {"body nobody announced", STR(GET END "hello=world"), REASON_BAD_METHOD, 1},
    {"bad one behind a body", STR(POST "Content-Length: 5\r\n\r\nhelloPOST / HTTP/1.1\n"), LINE, 1},
    {"rest of a body as request", STR(POST "Content-Length: 3\r\n\r\nhello=1\r\n\r\n"), REASON_BAD_METHOD, 1},
};

static const struct request_case bad_body[] = {
    {"no size", STR(CHUNKED "\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"signed size", STR(CHUNKED "+5\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"negative size", STR(CHUNKED "-5\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"0x5", STR(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"space before size", STR(CHUNKED " 5\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"space behind size", STR(CHUNKED "5 \r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"tab behind size", STR(CHUNKED "5\t\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"space before extension", STR(CHUNKED "5 ;a\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"underscore in size", STR(CHUNKED "1_0\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"letter in size", STR(CHUNKED "5g\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"comma in size", STR(CHUNKED "5,5\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"decimal fraction in size", STR(CHUNKED "5.0\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"size of 17 digits", STR(CHUNKED "00000000000000005\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"size over 63 bits", STR(CHUNKED "8000000000000000\r\n"), CHUNK, 0},
    {"size over 64 bits", STR(CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"bare LF behind size", STR(CHUNKED "5\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"bare CR behind size", STR(CHUNKED "5\rhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"CR CR LF behind size", STR(CHUNKED "5\r\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"bare LF in extension", STR(CHUNKED "5;a\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"bare CR in extension", STR(CHUNKED "5;a\rb\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"NUL in extension", STR(CHUNKED "5;a\0b\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"high octet in extension", STR(CHUNKED "5;a=\xc3\xa4\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"CR in quoted extension", STR(CHUNKED "5;a=\"\r\nhello\r\n\"\r\n0\r\n\r\n"), CHUNK, 0},
    {"data longer than size", STR(CHUNKED "4\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"data shorter than size", STR(CHUNKED "6\r\nhello\r\n0\r\n\r\n"), CHUNK, 0},
    {"bare LF behind data", STR(CHUNKED "5\r\nhello\n0\r\n\r\n"), CHUNK, 0},
    {"bare CR behind data", STR(CHUNKED "5\r\nhello\r0\r\n\r\n"), CHUNK, 0},
    {"nothing behind data", STR(CHUNKED "5\r\nhello0\r\n\r\n"), CHUNK, 0},
    {"blank line for size", STR(CHUNKED "5\r\nhello\r\n\r\n0\r\n\r\n"), CHUNK, 0},
    {"bare LF behind last chunk", STR(CHUNKED "0\n\r\n"), CHUNK, 0},
    {"bare LF ends", STR(CHUNKED "0\r\n\n"), CHUNK, 0},
    {"CR X ends", STR(CHUNKED "0\r\n\rX"), CHUNK, 0},
    {"trailer folded", STR(CHUNKED "0\r\nA: b\r\n c\r\n\r\n"), CHUNK, 0},
    {"trailer without colon", STR(CHUNKED "0\r\nabc\r\n\r\n"), CHUNK, 0},
    {"trailer with space before colon", STR(CHUNKED "0\r\nA : b\r\n\r\n"), CHUNK, 0},
    {"trailer with NUL", STR(CHUNKED "0\r\nA: \0\r\n\r\n"), CHUNK, 0},
    {"trailer with bare LF", STR(CHUNKED "0\r\nA: b\n\r\n"), CHUNK, 0},
    {"trailer with bare CR", STR(CHUNKED "0\r\nA: b\rc\r\n\r\n"), CHUNK, 0},
    {"request for trailer", STR(CHUNKED "0\r\nGET / HTTP/1.1\r\n\r\n"), CHUNK, 0},
    {"second message: bad chunk", STR(GET END CHUNKED "5\nhello"), CHUNK, 1},
};

static struct transcript transcript;

static const struct transcript *run_case(const struct request_case *c)
{
    struct transcript *t = &transcript;
    struct rig r;

    rig_init(&r, false);
    rig_run_all(&r, t, c->raw.p, c->raw.n, false);
    rig_end(&r);
    if (t->why != c->why || t->messages != c->messages || t->bad != (c->why != OK))
        fail_msg("got %s, %u messages, wanted %s, %u\n%s", reason_name(t->why), t->messages,
                 reason_name(c->why), c->messages, t->text);
    return t;
}

static void test_good(void **state)
{
    const struct request_case *c = *state;

    assert_int_equal(run_case(c)->used, c->messages == 0 ? 0 : c->raw.n);
}

static void test_bad(void **state)
{
    assert_false(run_case(*state)->bad_was_body);
}

static void test_bad_body(void **state)
{
    assert_true(run_case(*state)->bad_was_body);
}

/* Every prefix of a good request: it waits, and the end of the connection is no end of the message. */
static void test_truncated(void **state)
{
    const struct request_case *c = *state;

    for (size_t n = 0; n < c->raw.n; n++) {
        struct rig r;
        rig_init(&r, false);
        rig_run(&r, &transcript, c->raw.p, n, NULL, NULL, true);
        rig_end(&r);
        if (transcript.bad)
            assert_int_equal(transcript.why, REASON_CLIENT_CLOSED);
        assert_false(transcript.ended);
    }
}

#define ADD(list, test) cases_add(list, sizeof(list) / sizeof((list)[0]), sizeof((list)[0]), test)

int main(void)
{
    ADD(good, test_good);
    ADD(good, test_truncated);
    ADD(bad, test_bad);
    ADD(bad_body, test_bad_body);
    return cases_run("requests");
}
