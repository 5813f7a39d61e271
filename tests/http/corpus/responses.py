"""Malformed answers, for a scripted backend to give to a well-formed GET through a real Postern.

CASES = [(name, raw, expected)]
    name      unique
    raw       what the backend sends, octet by octet; it then closes
    expected  502; {200, 502} where the head is valid: with 200 the client must be able to see that the body is not complete

Nothing of what stands behind the malformed part may reach the client, and the backend connection must not be used again.
"""

R200 = b"HTTP/1.1 200 OK\r\n"
L0 = b"Content-Length: 0\r\n\r\n"
CHUNKED = R200 + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
SECOND = R200 + b"X-Smuggled: yes\r\n" + L0

HEADS = [
    ("garbage", b"garbage\r\n\r\n"),
    ("binary", b"\x15\x03\x01\x00\x02\x02\x28"),
    ("HTML alone", b"<html>hello</html>"),
    ("blank line before", b"\r\n" + R200 + L0),
    ("lower-case http", b"http/1.1 200 OK\r\n" + L0),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\n" + L0),
    ("HTTP/1.2", b"HTTP/1.2 200 OK\r\n" + L0),
    ("HTTP/0.9", b"HTTP/0.9 200 OK\r\n" + L0),
    ("no status", b"HTTP/1.1\r\n" + L0),
    ("two digits", b"HTTP/1.1 20 OK\r\n" + L0),
    ("four digits", b"HTTP/1.1 2000 OK\r\n" + L0),
    ("status 099", b"HTTP/1.1 099 OK\r\n" + L0),
    ("status 600", b"HTTP/1.1 600 OK\r\n" + L0),
    ("signed status", b"HTTP/1.1 +20 OK\r\n" + L0),
    ("two spaces", b"HTTP/1.1  200 OK\r\n" + L0),
    ("tab behind version", b"HTTP/1.1\t200 OK\r\n" + L0),
    ("phrase glued on", b"HTTP/1.1 200OK\r\n" + L0),
    ("bare LF ends status line", b"HTTP/1.1 200 OK\n" + L0),
    ("bare CR in phrase", b"HTTP/1.1 200 O\rK\r\n" + L0),
    ("NUL in phrase", b"HTTP/1.1 200 O\0K\r\n" + L0),
    ("bare LF ends a field", R200 + b"A: b\n" + L0),
    ("bare LF ends the head", R200 + b"Content-Length: 0\r\n\n"),
    ("bare CR in value", R200 + b"A: b\rSet-Cookie: x=y\r\n" + L0),
    ("NUL in value", R200 + b"A: \0\r\n" + L0),
    ("folded", R200 + b"A: b\r\n c\r\n" + L0),
    ("folded with tab", R200 + b"A: b\r\n\tc\r\n" + L0),
    ("space before first field", R200 + b" A: b\r\n" + L0),
    ("space before colon", R200 + b"Content-Length : 0\r\n\r\n"),
    ("space in name", R200 + b"A b: c\r\n" + L0),
    ("no colon", R200 + b"abc\r\n" + L0),
    ("empty name", R200 + b": c\r\n" + L0),
    ("length and coding", R200 + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST + SECOND),
    ("coding and length", R200 + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + LAST + SECOND),
    ("two lengths", R200 + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + SECOND),
    ("same length twice", R200 + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + SECOND),
    ("list of lengths", R200 + b"Content-Length: 5, 5\r\n\r\nhello"),
    ("signed length", R200 + b"Content-Length: +5\r\n\r\nhello"),
    ("hexadecimal length", R200 + b"Content-Length: 0x5\r\n\r\nhello"),
    ("empty length", R200 + b"Content-Length:\r\n\r\nhello"),
    ("length over 63 bits", R200 + b"Content-Length: 9223372036854775808\r\n\r\n"),
    ("coding in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST),
    ("gzip, chunked", R200 + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST),
    ("gzip", R200 + b"Transfer-Encoding: gzip\r\n\r\nxx"),
    ("identity", R200 + b"Transfer-Encoding: identity\r\n\r\nxx"),
    ("chunked twice", R200 + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST),
    ("chunked, chunked", R200 + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + LAST),
    ("xchunked", R200 + b"Transfer-Encoding: xchunked\r\n\r\n" + LAST),
    ("Connection lists Content-Length", R200 + b"Connection: Content-Length\r\n" + L0),
    ("length and coding for 304", b"HTTP/1.1 304 X\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + SECOND),
    ("101 nobody asked for", b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + SECOND),
    ("head of 2 MB", R200 + b"A: " + b"b" * 2000000 + b"\r\n" + L0),
    ("only 100s", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
    ("closed in the status line", b"HTTP/1.1 20"),
    ("closed in the head", R200 + b"Content-Le"),
    ("nothing", b""),
]

BODIES = [
    ("no size", CHUNKED + b"\r\nhello\r\n" + LAST),
    ("signed size", CHUNKED + b"+5\r\nhello\r\n" + LAST),
    ("0x size", CHUNKED + b"0x5\r\nhello\r\n" + LAST),
    ("size with space", CHUNKED + b"5 \r\nhello\r\n" + LAST),
    ("size over 64 bits", CHUNKED + b"fffffffffffffffff\r\n"),
    ("bare LF behind size", CHUNKED + b"5\nhello\r\n" + LAST),
    ("bare LF behind data", CHUNKED + b"5\r\nhello\n" + LAST),
    ("data longer than size", CHUNKED + b"4\r\nhello\r\n" + LAST),
    ("bare LF in extension", CHUNKED + b"5;a\nhello\r\n" + LAST),
    ("bare CR in extension", CHUNKED + b"5;a\rb\r\nhello\r\n" + LAST),
    ("answer for trailer", CHUNKED + b"5\r\nhello\r\n0\r\n" + SECOND),
    ("folded trailer", CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n"),
    ("closed in a chunk", CHUNKED + b"5\r\nhel"),
    ("closed between chunks", CHUNKED + b"5\r\nhello\r\n"),
    ("closed before the last LF", CHUNKED + b"5\r\nhello\r\n0\r\n\r"),
    ("closed before the length", R200 + b"Content-Length: 10\r\n\r\nhello"),
]

CASES = [(name, raw, 502) for name, raw in HEADS] + [("body: " + name, raw, {200, 502}) for name, raw in BODIES]

assert len({name for name, _, _ in CASES}) == len(CASES), "names must be unique"

if __name__ == "__main__":
    print(len(CASES), "cases")
