"""Malformed requests, to be sent to a real Postern over a raw connection.

CASES = [(name, raw, expected, closes)]
    name      unique; "chunk: " in front where the head is valid and only the body is malformed
    raw       the octets to send; the Host is HOST, the path is below PATH, both of which must be published
    expected  status, or set of statuses, of the one answer; 0 in the set: closing without an answer is right as well
    closes    Postern must close the connection after the answer
reason(name)  what the access log says of it

None of them may let an octet reach the backend, with one exception: a "chunk: " case has a valid head, which a service
without authentication forwards before the body is seen to be malformed. Where credentials are asked for, the answer to those
is 401. Whatever is sent behind a case (see `followed`) must never be answered or forwarded.
"""

HOST = b"mail.example.com"
PATH = b"/owa/"
H = b"Host: " + HOST + b"\r\n"
GET = b"GET " + PATH + b" HTTP/1.1\r\n" + H
POST = b"POST " + PATH + b" HTTP/1.1\r\n" + H
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"\r\n"
SMUGGLED = b"GET " + PATH + b"smuggled HTTP/1.1\r\n" + H + b"\r\n"


def followed(raw):
    """The case with a well-formed request behind it, which must never be answered."""
    return raw + SMUGGLED


def line(text):
    return text + b"\r\n" + H + END


def target(text):
    return line(b"GET " + text + b" HTTP/1.1")


def field(text):
    return GET + text + b"\r\n" + END


def host(value):
    return b"GET " + PATH + b" HTTP/1.1\r\nHost: " + value + b"\r\n" + END


def framing(*fields, body=b""):
    return POST + b"".join(f + b"\r\n" for f in fields) + END + body


LAST = b"0\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"

START_LINES = [
    ("bare LF before", b"\n" + GET + END),
    ("bare CR before", b"\r" + GET + END),
    ("three blank lines before", b"\r\n\r\n\r\n" + GET + END),
    ("space before", b" " + GET + END),
    ("tab before", b"\t" + GET + END),
    ("bare LF ends start line", b"GET /owa/ HTTP/1.1\n" + H + END),
    ("bare CR ends start line", b"GET /owa/ HTTP/1.1\r" + H + END),
    ("CR CR LF ends start line", b"GET /owa/ HTTP/1.1\r\r\n" + H + END),
    ("HTTP/0.9", b"GET /owa/\r\n\r\n"),
    ("HTTP/0.9 with space", b"GET /owa/ \r\n\r\n"),
    ("no target", line(b"GET HTTP/1.1")),
    ("empty target", line(b"GET  HTTP/1.1")),
    ("two spaces before target", line(b"GET  /owa/ HTTP/1.1")),
    ("two spaces before version", line(b"GET /owa/  HTTP/1.1")),
    ("space behind version", line(b"GET /owa/ HTTP/1.1 ")),
    ("tab behind version", line(b"GET /owa/ HTTP/1.1\t")),
    ("two versions", line(b"GET /owa/ HTTP/1.1 HTTP/1.1")),
    ("tab for space", line(b"GET\t/owa/ HTTP/1.1")),
    ("vertical tab for space", line(b"GET\x0b/owa/ HTTP/1.1")),
    ("no break space for space", line(b"GET\xa0/owa/ HTTP/1.1")),
    ("NUL in method", line(b"GE\0T /owa/ HTTP/1.1")),
    ("lower-case http", line(b"GET /owa/ http/1.1")),
    ("HTTP/1.10", line(b"GET /owa/ HTTP/1.10")),
    ("HTTP/01.1", line(b"GET /owa/ HTTP/01.1")),
    ("HTTP/1", line(b"GET /owa/ HTTP/1")),
    ("HTTP/1.", line(b"GET /owa/ HTTP/1.")),
    ("HTTP/1,1", line(b"GET /owa/ HTTP/1,1")),
    ("HTTP/1.x", line(b"GET /owa/ HTTP/1.x")),
    ("HTTP /1.1", line(b"GET /owa/ HTTP /1.1")),
    ("HTTPS/1.1", line(b"GET /owa/ HTTPS/1.1")),
    ("ICE/1.0", line(b"GET /owa/ ICE/1.0")),
    ("no method", line(b" /owa/ HTTP/1.1")),
    ("method with slash", line(b"GE/T /owa/ HTTP/1.1")),
    ("method with colon", line(b"GET: /owa/ HTTP/1.1")),
    ("method with parentheses", line(b"GET() /owa/ HTTP/1.1")),
    ("method with high octet", line(b"G\xcbT /owa/ HTTP/1.1")),
    ("method of 33 octets", line(b"A" * 33 + b" /owa/ HTTP/1.1")),
    ("method of 3000 octets", line(b"A" * 3000 + b" /owa/ HTTP/1.1")),
    ("header without start line", H + END),
    ("TLS record inside", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64),
    ("SMTP", b"EHLO mail.example.com\r\nMAIL FROM:<a@example.com>\r\n\r\n"),
    ("CRLF in target", b"GET /owa/\r\n HTTP/1.1\r\n" + H + END),
]

VERSIONS = [
    ("HTTP/1.2", line(b"GET /owa/ HTTP/1.2")),
    ("HTTP/1.9", line(b"GET /owa/ HTTP/1.9")),
    ("HTTP/0.9 by name", line(b"GET /owa/ HTTP/0.9")),
    ("HTTP/2.0", line(b"GET /owa/ HTTP/2.0")),
    ("HTTP/3.1", line(b"GET /owa/ HTTP/3.1")),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]

TARGETS = [
    ("relative target", target(b"owa/")),
    ("query for target", target(b"?a=b")),
    ("authority form", target(HOST + b":443")),
    ("CONNECT", line(b"CONNECT " + HOST + b":443 HTTP/1.1")),
    ("* with GET", target(b"*")),
    ("other scheme", target(b"ftp://" + HOST + b"/owa/")),
    ("scheme without authority", target(b"http:/owa/")),
    ("file scheme", target(b"file:///etc/passwd")),
    ("back-slash first", target(b"\\owa\\")),
    ("fragment", target(b"/owa/#a")),
    ("fragment in query", target(b"/owa/?a#b")),
    ("space in target", target(b"/owa/a b")),
    ("tab in target", target(b"/owa/a\tb")),
    ("NUL in target", target(b"/owa/a\0b")),
    ("control in target", target(b"/owa/a\x01b")),
    ("DEL in target", target(b"/owa/a\x7fb")),
    ("high octet in target", target(b"/owa/\xc3\xa4")),
    ("high octet in query", target(b"/owa/?\xc3\xa4")),
    ("back-slash in path", target(b"/owa/..\\ecp")),
    ("encoded slash", target(b"/owa%2fecp")),
    ("encoded back-slash", target(b"/owa/%5c..%5cecp")),
    ("encoded NUL", target(b"/owa/a%00.aspx")),
    ("encoded CR LF", target(b"/owa/%0d%0aSet-Cookie:a=b")),
    ("encoded tab", target(b"/owa/a%09b")),
    ("encoded DEL", target(b"/owa/a%7f")),
    ("dot segment", target(b"/owa/./a")),
    ("dot dot segment", target(b"/owa/../ecp/")),
    ("dot dot at the end", target(b"/owa/..")),
    ("dot dot first", target(b"/../owa/")),
    ("three dots", target(b"/owa/.../a")),
    ("encoded dot dot", target(b"/owa/%2e%2e/ecp/")),
    ("half encoded dot dot", target(b"/owa/.%2e/ecp/")),
    ("dot dot with parameter", target(b"/owa/..;a=b/ecp/")),
    ("empty first segment", target(b"//owa/")),
    ("empty inner segment", target(b"/owa//a")),
    ("double encoded dots", target(b"/owa/%252e%252e/ecp/")),
    ("double encoded slash", target(b"/owa%252fecp")),
    ("double encoded letter", target(b"/%256Fwa/")),
    ("encoded per cent and digits", target(b"/owa/%25%32%66")),
    ("bad escape", target(b"/owa/%zz")),
    ("short escape", target(b"/owa/%4")),
    ("lone per cent", target(b"/owa/%")),
    ("IIS %u escape", target(b"/owa/%u002e%u002e/")),
    ("bad escape in query", target(b"/owa/?a=%g1")),
    ("lone per cent in query", target(b"/owa/?a=%")),
    ("overlong slash", target(b"/owa/..%c0%af..%c0%afecp")),
    ("overlong slash of three", target(b"/owa/..%e0%80%afecp")),
    ("overlong dots", target(b"/owa/%c0%ae%c0%ae/ecp")),
    ("escape that is not UTF-8", target(b"/owa/%ff%fe")),
    ("cut UTF-8", target(b"/owa/%e2%82")),
    ("surrogate in UTF-8", target(b"/owa/%ed%a0%80")),
    ("absolute form, dot dot", target(b"https://" + HOST + b"/owa/../ecp/")),
    ("absolute form, two slashes", target(b"https://" + HOST + b"//owa/")),
]

FIELDS = [
    ("bare LF ends a field", GET + b"A: b\n" + END),
    ("bare LF ends the head", GET + b"\n"),
    ("only LF", b"GET /owa/ HTTP/1.1\nHost: " + HOST + b"\n\n"),
    ("bare CR in value", field(b"A: b\rc")),
    ("bare CR hides a field", field(b"A: b\rTransfer-Encoding: chunked")),
    ("CR CR LF in fields", GET + b"A: b\r\r\n" + END),
    ("CR CR LF ends the head", GET + b"\r\r\n"),
    ("NUL in value", field(b"A: b\0c")),
    ("NUL in name", field(b"A\0: b")),
    ("control in value", field(b"A: b\x01c")),
    ("escape sequence in value", field(b"A: \x1b[31m")),
    ("DEL in value", field(b"A: b\x7f")),
    ("vertical tab in value", field(b"A:\x0bb")),
    ("form feed before colon", field(b"A\x0c: b")),
    ("folded with space", field(b"A: b\r\n c")),
    ("folded with tab", field(b"A: b\r\n\tc")),
    ("folded, only space", field(b"A: b\r\n ")),
    ("folded transfer-encoding", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + LAST),
    ("folded content-length", POST + b"Content-Length:\r\n 5\r\n\r\nhello"),
    ("folded host", b"GET /owa/ HTTP/1.1\r\nHost:\r\n " + HOST + b"\r\n\r\n"),
    ("space before first field", b"GET /owa/ HTTP/1.1\r\n " + H + END),
    ("tab before first field", b"GET /owa/ HTTP/1.1\r\n\t" + H + END),
    ("space before colon of Host", b"GET /owa/ HTTP/1.1\r\nHost : " + HOST + b"\r\n\r\n"),
    ("tab before colon", field(b"A\t: b")),
    ("space before colon of length", framing(b"Content-Length : 5", body=b"hello")),
    ("space before colon of coding", framing(b"Transfer-Encoding : chunked", body=LAST)),
    ("space in name", field(b"A b: c")),
    ("no colon", field(b"abc")),
    ("empty name", field(b": b")),
    ("high octet in name", field(b"\xc3\xa4: b")),
    ("quote in name", field(b'"a": b')),
    ("parentheses in name", field(b"a(b): c")),
    ("slash in name", field(b"a/b: c")),
    ("brackets in name", field(b"a[0]: c")),
    ("at in name", field(b"a@b: c")),
    ("equals in name", field(b"a=b: c")),
    ("comma in name", field(b"a,b: c")),
    ("start line for a field", field(b"GET /owa/ HTTP/1.1")),
    ("Authorization twice", GET + b"Authorization: Basic YTpi\r\nAuthorization: Basic YTpj\r\n" + END),
    ("Content-Type twice", POST + b"Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n" + END),
]

HOSTS = [
    ("no Host", b"GET /owa/ HTTP/1.1\r\n\r\n"),
    ("no Host, other fields", b"GET /owa/ HTTP/1.1\r\nA: b\r\n\r\n"),
    ("empty Host", host(b"")),
    ("Host of a space", host(b"  ")),
    ("Host twice", GET + H + END),
    ("two Hosts", GET + b"Host: other.example.com\r\n" + END),
    ("two Hosts in HTTP/1.0", b"GET /owa/ HTTP/1.0\r\n" + H + b"Host: other.example.com\r\n\r\n"),
    ("list of Hosts", host(HOST + b", other.example.com")),
    ("Host with space", host(HOST + b" other")),
    ("Host with slash", host(HOST + b"/owa")),
    ("Host with user", host(b"user@" + HOST)),
    ("Host with scheme", host(b"https://" + HOST)),
    ("Host with empty port", host(HOST + b":")),
    ("Host with port 0", host(HOST + b":0")),
    ("Host with large port", host(HOST + b":65536")),
    ("Host with signed port", host(HOST + b":+443")),
    ("Host with two ports", host(HOST + b":443:443")),
    ("Host with words for port", host(HOST + b":https")),
    ("Host with escape", host(b"mail%2eexample.com")),
    ("Host with high octet", host(b"m\xc3\xa4il.example.com")),
    ("Host with empty label", host(b"mail..example.com")),
    ("Host with first dot", host(b".mail.example.com")),
    ("Host with back-slash", host(HOST + b"\\a")),
    ("Host with query", host(HOST + b"?a")),
    ("Host with star", host(b"*.example.com")),
    ("Host bad IPv6", host(b"[::g]")),
    ("Host open bracket", host(b"[::1")),
    ("Host IPv6 without brackets", host(b"::1")),
    ("Host short IPv4", host(b"127.1")),
    ("Host decimal IPv4", host(b"2130706433")),
    ("Host octal IPv4", host(b"0177.0.0.1")),
    ("Host label of 64", host(b"a" * 64 + b".example.com")),
    ("absolute form, other Host", b"GET https://" + HOST + b"/owa/ HTTP/1.1\r\nHost: other.example.com\r\n\r\n"),
    ("absolute form of another, our Host", target(b"https://other.example.com/owa/")),
    ("absolute form, other port", target(b"https://" + HOST + b":444/owa/")),
    ("absolute form, no Host", b"GET https://" + HOST + b"/owa/ HTTP/1.1\r\n\r\n"),
    ("absolute form, user", target(b"https://user@" + HOST + b"/owa/")),
    ("absolute form, no authority", target(b"https:///owa/")),
]

FRAMINGS = [
    ("length and coding", framing(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=LAST)),
    ("coding and length", framing(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=LAST)),
    ("coding and length 0", framing(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=LAST)),
    ("two lengths", framing(b"Content-Length: 5", b"Content-Length: 6", body=b"hello")),
    ("same length twice", framing(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    ("two lengths, other case", framing(b"Content-Length: 5", b"content-length: 0", body=b"hello")),
    ("list of lengths", framing(b"Content-Length: 5, 5", body=b"hello")),
    ("list of unlike lengths", framing(b"Content-Length: 5, 6", body=b"hello")),
    ("negative length", framing(b"Content-Length: -5", body=b"hello")),
    ("signed length", framing(b"Content-Length: +5", body=b"hello")),
    ("hexadecimal length", framing(b"Content-Length: 0x5", body=b"hello")),
    ("fraction length", framing(b"Content-Length: 5.0", body=b"hello")),
    ("exponent length", framing(b"Content-Length: 1e1", body=b"hello")),
    ("underscore length", framing(b"Content-Length: 1_0", body=b"hello")),
    ("space in length", framing(b"Content-Length: 1 0", body=b"hello")),
    ("quoted length", framing(b'Content-Length: "5"', body=b"hello")),
    ("empty length", framing(b"Content-Length:")),
    ("length of words", framing(b"Content-Length: five", body=b"hello")),
    ("length over 63 bits", framing(b"Content-Length: 9223372036854775808")),
    ("length over 64 bits", framing(b"Content-Length: 18446744073709551621", body=b"hello")),
    ("length of 40 digits", framing(b"Content-Length: " + b"9" * 40)),
    ("high digit in length", framing(b"Content-Length: \xef\xbc\x95", body=b"hello")),
    ("bad length with GET", field(b"Content-Length: x")),
    ("coding in HTTP/1.0", b"POST /owa/ HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + LAST),
    ("gzip, chunked", framing(b"Transfer-Encoding: gzip, chunked", body=LAST)),
    ("chunked, gzip", framing(b"Transfer-Encoding: chunked, gzip", body=LAST)),
    ("gzip", framing(b"Transfer-Encoding: gzip", body=LAST)),
    ("chunked, chunked", framing(b"Transfer-Encoding: chunked, chunked", body=LAST)),
    ("chunked twice", framing(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=LAST)),
    ("chunked, then identity", framing(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=LAST)),
    ("identity, then chunked", framing(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=LAST)),
    ("identity", framing(b"Transfer-Encoding: identity")),
    ("xchunked", framing(b"Transfer-Encoding: xchunked", body=LAST)),
    ("chunkedx", framing(b"Transfer-Encoding: chunkedx", body=LAST)),
    ("quoted chunked", framing(b'Transfer-Encoding: "chunked"', body=LAST)),
    ("chunked with parameter", framing(b"Transfer-Encoding: chunked;q=1", body=LAST)),
    ("chunked and comma", framing(b"Transfer-Encoding: chunked,", body=LAST)),
    ("comma and chunked", framing(b"Transfer-Encoding: , chunked", body=LAST)),
    ("empty coding", framing(b"Transfer-Encoding:", body=LAST)),
    ("chunked behind vertical tab", framing(b"Transfer-Encoding: \x0bchunked", body=LAST)),
    ("chunked behind NUL", framing(b"Transfer-Encoding: \0chunked", body=LAST)),
    ("bad coding with GET", field(b"Transfer-Encoding: deflate")),
    ("upgrade with length", framing(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5", body=b"hello")),
    ("upgrade with chunks", framing(b"Connection: Upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked", body=LAST)),
    ("Connection lists Host", field(b"Connection: close, Host")),
    ("Connection lists Content-Length", framing(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello")),
    ("Connection lists Transfer-Encoding", framing(b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked", body=LAST)),
    ("Connection lists Authorization", field(b"Connection: Authorization\r\nAuthorization: Basic YTpi")),
    ("Connection lists Cookie", field(b"Connection: cookie\r\nCookie: a=b")),
    ("Connection lists X-Forwarded-For", field(b"Connection: X-Forwarded-For")),
    ("second Connection lists Host", field(b"Connection: keep-alive\r\nConnection: host")),
    ("Connection with quotes", field(b'Connection: "close"')),
]

EXPECTS = [
    ("other expectation", framing(b"Expect: 200-ok", b"Content-Length: 5", body=b"hello")),
    ("100-continue and another", framing(b"Expect: 100-continue, a", b"Content-Length: 5", body=b"hello")),
    ("Expect twice", framing(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 5", body=b"hello")),
    ("empty Expect", framing(b"Expect:", b"Content-Length: 5", body=b"hello")),
]

CHUNKS = [
    ("no size", b"\r\nhello\r\n" + LAST),
    ("signed size", b"+5\r\nhello\r\n" + LAST),
    ("negative size", b"-5\r\nhello\r\n" + LAST),
    ("0x size", b"0x5\r\nhello\r\n" + LAST),
    ("space before size", b" 5\r\nhello\r\n" + LAST),
    ("space behind size", b"5 \r\nhello\r\n" + LAST),
    ("tab behind size", b"5\t\r\nhello\r\n" + LAST),
    ("underscore in size", b"1_0\r\nhello\r\n" + LAST),
    ("comma in size", b"5,5\r\nhello\r\n" + LAST),
    ("letter in size", b"5g\r\nhello\r\n" + LAST),
    ("size of 17 digits", b"00000000000000005\r\nhello\r\n" + LAST),
    ("size over 63 bits", b"8000000000000000\r\nhello\r\n" + LAST),
    ("size over 64 bits", b"10000000000000005\r\nhello\r\n" + LAST),
    ("bare LF behind size", b"5\nhello\r\n" + LAST),
    ("bare CR behind size", b"5\rhello\r\n" + LAST),
    ("CR CR LF behind size", b"5\r\r\nhello\r\n" + LAST),
    ("bare LF in extension", b"5;a\nhello\r\n" + LAST),
    ("bare CR in extension", b"5;a\rb\r\nhello\r\n" + LAST),
    ("NUL in extension", b"5;a\0\r\nhello\r\n" + LAST),
    ("CR LF in quoted extension", b'5;a="\r\nhello\r\n"\r\n' + LAST),
    ("extension of 8000 octets", b"5;" + b"a" * 8000 + b"\r\nhello\r\n" + LAST),
    ("data longer than size", b"4\r\nhello\r\n" + LAST),
    ("data shorter than size", b"6\r\nhello\r\n" + LAST),
    ("bare LF behind data", b"5\r\nhello\n" + LAST),
    ("nothing behind data", b"5\r\nhello" + LAST),
    ("blank line for size", b"5\r\nhello\r\n\r\n" + LAST),
    ("bare LF behind last chunk", b"0\n\r\n"),
    ("bare LF ends", b"0\r\n\n"),
    ("folded trailer", b"0\r\nA: b\r\n c\r\n\r\n"),
    ("trailer without colon", b"0\r\nabc\r\n\r\n"),
    ("trailer with bare LF", b"0\r\nA: b\n\r\n"),
    ("trailer with NUL", b"0\r\nA: \0\r\n\r\n"),
    ("request for trailer", b"0\r\n" + SMUGGLED),
]

LIMITS = [
    ("target of 300 KB", target(b"/owa/" + b"a" * 300000), 414),
    ("query of 300 KB", target(b"/owa/?" + b"a" * 300000), 414),
    ("field of 300 KB", field(b"A: " + b"b" * 300000), 431),
    ("fields of 300 KB", GET + b"A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n" * 6000 + END, 431),
    ("5000 fields", GET + b"A: b\r\n" * 5000 + END, 431),
    ("cookie of 300 KB", field(b"Cookie: " + b"a=b; " * 60000), 431),
    ("field name of 300 KB", field(b"A" * 300000 + b": b"), 431),
]

CASES = (
    [(n, raw, 400, True) for n, raw in START_LINES]
    + [(n, raw, 505, True) for n, raw in VERSIONS]
    + [(n, raw, 400, True) for n, raw in TARGETS]
    + [(n, raw, 400, True) for n, raw in FIELDS]
    + [(n, raw, 400, True) for n, raw in HOSTS]
    + [(n, raw, 400, True) for n, raw in FRAMINGS]
    + [(n, raw, 417, True) for n, raw in EXPECTS]
    + [("chunk: " + n, CHUNKED + raw, {400, 401, 0}, True) for n, raw in CHUNKS]
    + [(n, raw, expected, True) for n, raw, expected in LIMITS]
)

assert len({name for name, _, _, _ in CASES}) == len(CASES), "names must be unique"

REASONS = {}
for _cases, _reason in ((START_LINES, "bad_request_line"), (VERSIONS, "bad_version"), (TARGETS, "bad_target"), (FIELDS, "bad_header"),
                        (HOSTS, "bad_host"), (FRAMINGS, "bad_framing"), (EXPECTS, "bad_expect")):
    REASONS.update({case[0]: _reason for case in _cases})
REASONS.update({case[0]: "head_too_large" for case in LIMITS})
REASONS.update({case[0]: "bad_connection" for case in FRAMINGS if case[0].partition(" Connection")[1] or
                case[0].startswith("Connection")})
REASONS.update(dict.fromkeys((
    "space before", "tab before", "tab for space", "no break space for space", "no method", "method with slash",
    "method with colon", "method with parentheses", "method with high octet", "method of 33 octets", "method of 3000 octets",
    "header without start line"), "bad_method"))
# controls and spaces end the request line before its target is looked at
REASONS.update(dict.fromkeys((
    "space in target", "tab in target", "NUL in target", "control in target", "DEL in target", "only LF"), "bad_request_line"))
REASONS.update(dict.fromkeys(("chunked behind vertical tab", "chunked behind NUL"), "bad_header"))
REASONS.update(dict.fromkeys(("target of 300 KB", "query of 300 KB"), "url_too_long"))


def reason(name):
    return "bad_chunk" if name.startswith("chunk: ") else REASONS[name]


if __name__ == "__main__":
    print(len(CASES), "cases")
