"""Plain HTTP answers with a redirect or a refusal, reads no body, no cookie and no credential, and never reaches the interior. And the
PROXY header, in front of TLS.
"""
import socket
import ssl
import struct
import time

import pytest
from harness import SLOW, Client, Origin, Proxy, basic, client_context, config, free_port

HEAD = "%s %s HTTP/1.1\r\nHost: mail.example.com\r\n%s\r\n"


def site(origin, mode="redirect", more=""):
    return Proxy(config([origin.url]).replace("plain_http: redirect", "plain_http: " + mode) + more)


@pytest.fixture(scope="module")
def origin():
    with Origin() as o:
        yield o


@pytest.fixture(scope="module")
def redirect(origin):
    with site(origin) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def discover(origin):
    with site(origin, "autodiscover_only") as proxy:
        yield proxy


def ask(proxy, origin, data, method="GET"):
    """(answer, log line); the connection must close, and nothing may reach the backend."""
    before = origin.touched()
    with Client(proxy, tls=False) as client:
        client.send(data if isinstance(data, bytes) else data.encode())
        response = client.response(method)
        assert response.get("Connection") == "close"
        assert client.closed()
        assert client.wire.buffer == b""
        line = proxy.access(client=client)
    assert len(line) == 1
    assert response.get("Strict-Transport-Security") is None, "over plain HTTP it means nothing (RFC 6797 7.2)"
    assert response.get("WWW-Authenticate") is None
    assert origin.touched() == before
    return response, line[0]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/", "/owa/", "/owa/?a=b&c=%20d", "/nowhere", "/Autodiscover/Autodiscover.xml",
                                    "http://mail.example.com/owa/x?y", "/%C3%A4"])
def test_redirect(redirect, origin, method, target):
    response, line = ask(redirect, origin, HEAD % (method, target, ""), method)
    path = target.replace("http://mail.example.com", "")
    assert (response.status, line["status"], line["reason"]) == (302, 302, "local")
    assert response.get("Location") == "https://mail.example.com:%d%s" % (redirect.port, path)
    assert response.body == b"" or method == "GET"


@pytest.mark.parametrize("host", ["AUTODISCOVER.example.com", "autodiscover.example.com:80", "autodiscover.example.com."])
def test_redirect_to_the_name_that_was_asked(redirect, origin, host):
    response, _ = ask(redirect, origin, "GET /x HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
    assert response.get("Location") == "https://autodiscover.example.com:%d/x" % redirect.port


def test_redirect_to_the_standard_port(origin):
    """Where anything listens at 443 the port is not told. 443 cannot be bound here by everybody, so the configuration is checked only
    where it can."""
    try:
        socket.create_server(("127.0.0.77", 443)).close()
    except OSError:
        pytest.skip("no right to bind port 443")
    text = config([origin.url]).replace("listeners:\n", "listeners:\n  - {address: \"127.0.0.77:443\", certificates: [mail]}\n")
    with Proxy(text) as proxy:
        assert ask(proxy, origin, HEAD % ("GET", "/x", ""))[0].get("Location") == "https://mail.example.com/x"


REFUSED = {
    "post": HEAD % ("POST", "/owa/", "Content-Length: 0\r\n"),
    "post with body": HEAD % ("POST", "/owa/", "Content-Length: 17\r\n") + "password=opensesa",
    "post of 1 GiB": HEAD % ("POST", "/owa/", "Content-Length: 1073741824\r\n") + "a" * 1000,
    "post in chunks": HEAD % ("POST", "/owa/", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n",
    "waiting for 100": HEAD % ("POST", "/owa/", "Content-Length: 5\r\nExpect: 100-continue\r\n"),
    "get with body": HEAD % ("GET", "/owa/", "Content-Length: 5\r\n") + "hello",
    "basic": HEAD % ("GET", "/owa/", "Authorization: Basic YTpi\r\n"),
    "ntlm": HEAD % ("GET", "/Autodiscover/Autodiscover.xml", "Authorization: NTLM TlRMTVNTUAABAAAA\r\n"),
    "proxy credentials": HEAD % ("GET", "/owa/", "Proxy-Authorization: Basic YTpi\r\n"),
    "upgrade": HEAD % ("GET", "/owa/", "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"),
    "options": HEAD % ("OPTIONS", "/Microsoft-Server-ActiveSync", ""), "options *": HEAD % ("OPTIONS", "*", ""),
    "put": HEAD % ("PUT", "/owa/", ""), "delete": HEAD % ("DELETE", "/owa/", ""), "propfind": HEAD % ("PROPFIND", "/exchange/", ""),
    "rpc": HEAD % ("RPC_IN_DATA", "/rpc/rpcproxy.dll?mail.example.com:6001", "Content-Length: 1073741824\r\n"),
    "unknown method": HEAD % ("FOO", "/owa/", ""), "trace": HEAD % ("TRACE", "/owa/", ""),
    "autodiscover post": HEAD % ("POST", "/autodiscover/autodiscover.xml", "Content-Length: 5\r\n") + "<a/>\n",
    "foreign host": "GET /owa/ HTTP/1.1\r\nHost: www.example.net\r\n\r\n",
    "address for host": "GET /owa/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no host": "GET /owa/ HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_everything_else_is_refused(redirect, origin, name):
    response, line = ask(redirect, origin, REFUSED[name])
    assert (response.status, line["reason"], line["bytes_in"]) == (403, "plain_http_refused", 0)
    assert response.get("Location") is None


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_autodiscover_only_refuses_them_too(discover, origin, name):
    assert ask(discover, origin, REFUSED[name])[0].status == 403


@pytest.mark.parametrize("data,expected", [
    (b"GET /owa/../x HTTP/1.1\r\nHost: mail.example.com\r\n\r\n", 400), (b"GET //evil.example.net HTTP/1.1\r\nHost: mail.example.com\r\n\r\n", 400),
    (b"GET /owa/ HTTP/1.1\r\n\r\n", 400), (b"GET /owa/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400), (b"\x16\x03\x01\x02\x00\x01\n", 400),
    (b"GET /owa/%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: mail.example.com\r\n\r\n", 400), (b"GET /owa/ HTTP/2.0\r\n\r\n", 505),
    (b"POST /owa/ HTTP/1.1\r\nHost: mail.example.com\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nA: " + b"b" * 100000 + b"\r\n\r\n", 431)],
    ids=["dots", "two slashes", "no host", "two hosts", "tls", "line end", "http/2", "framing", "large"])
def test_malformed(redirect, origin, data, expected):
    assert ask(redirect, origin, data)[0].status == expected


def test_what_follows_is_never_answered(redirect, origin):
    ask(redirect, origin, (HEAD % ("GET", "/owa/", "")) * 3)


def test_no_redirect_leaves_the_published_names(redirect, origin):
    response, _ = ask(redirect, origin, HEAD % ("GET", "/@evil.example.net/x", ""))
    assert response.get("Location").startswith("https://mail.example.com:%d/" % redirect.port)


@pytest.mark.parametrize("target,method,expected", [
    ("/Autodiscover/Autodiscover.xml", "GET", 302), ("/autodiscover/autodiscover.xml?x", "GET", 302),
    ("/autodiscover/autodiscover.xml", "HEAD", 403), ("/autodiscover/autodiscover.svc", "GET", 403), ("/", "GET", 403),
    ("/owa/", "GET", 403), ("/autodiscover/", "GET", 403), ("/autodiscover/autodiscover.json", "GET", 403)])
def test_autodiscover_only(discover, origin, target, method, expected):
    response, _ = ask(discover, origin, HEAD % (method, target, ""), method)
    assert response.status == expected
    assert (response.get("Location") == "https://mail.example.com:%d%s" % (discover.port, target)) == (expected == 302)


def test_refuse_with_403(origin):
    with site(origin, "refuse") as proxy:
        for target in ("/", "/owa/", "/autodiscover/autodiscover.xml"):
            response, line = ask(proxy, origin, HEAD % ("GET", target, ""))
            assert (response.status, line["reason"]) == (403, "plain_http_refused")


def test_refuse_by_closing(origin):
    with site(origin, "refuse, refuse_with: close") as proxy:
        with socket.socket() as sock:
            sock.connect(("127.0.0.1", proxy.plain_port))
            with pytest.raises(ConnectionError):
                sock.sendall(b"GET / HTTP/1.1\r\nHost: mail.example.com\r\n\r\n")
                assert sock.recv(100) == b""
                raise ConnectionError


def test_slow_head_and_silence(origin):
    with site(origin, more="limits: {head_timeout: 300ms}\n") as proxy:
        with Client(proxy, tls=False) as client:
            client.send(b"GET / HTTP/1.1\r\n")
            assert client.response().status == 408
            assert client.closed()
            assert [x["reason"] for x in proxy.access(client=client)] == ["client_timeout"]
        with Client(proxy, tls=False) as client:
            assert client.closed()
            assert proxy.access(0, 0.1, client=client) == []


@pytest.mark.parametrize("listener,expected", [("", "max-age=63072000"), (", hsts: 3600s", "max-age=3600"), (", hsts: \"off\"", None),
                                               (", hsts_include_subdomains: true", "max-age=63072000; includeSubDomains")])
def test_hsts_on_every_tls_answer(origin, listener, expected):
    """On answers of the backend, refusals and redirects; a backend's own field is replaced."""
    with Proxy(config([origin.url]).replace("certificates: [mail]", "certificates: [mail]" + listener)) as proxy:
        for target, status in (("/owa/", 200), ("/nowhere", 404), ("/", 302), ("/owa/../x", 400)):
            with Client(proxy) as client:
                response = client.get(target)
                assert (response.status, response.get("Strict-Transport-Security")) == (status, expected)


# ---- PROXY

def v2(source, destination=("10.0.0.1", 443), command=0x21, family=0x11, more=b""):
    """A header of version 2 for TCP over IPv4, unless told otherwise."""
    body = socket.inet_aton(source[0]) + socket.inet_aton(destination[0]) + struct.pack("!HH", source[1], destination[1]) + more
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", command, family, len(body)) + body


def v2_ipv6(source, port):
    body = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "::1") + struct.pack("!HH", port, 443)
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x21, len(body)) + body


@pytest.fixture(scope="module")
def behind(origin):
    """One listener that trusts 127.0.0.1, one that trusts others."""
    other = free_port()
    text = config([origin.url]).replace("certificates: [mail]", "certificates: [mail], proxy_protocol_from: [127.0.0.1/32, \"::1/128\"]")
    text = text.replace("listeners:\n", "listeners:\n  - {address: \"127.0.0.1:%d\", certificates: [mail], "
                        "proxy_protocol_from: [192.0.2.0/24]}\n" % other)
    with Proxy(text) as proxy:
        proxy.other = other
        yield proxy


def in_pieces(raw, data, pieces):
    step = -(-len(data) // pieces) or 1
    for at in range(0, len(data), step):
        raw.sendall(data[at:at + step])
        time.sleep(0.002 if pieces > 1 else 0)


def through(port, header, pieces=1, glued=False):
    """The first line of the answer; b"" when the proxy closes. `glued`: the ClientHello comes together with the header."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing, server_hostname="mail.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()

    def until_done(raw, action):
        while True:
            try:
                done = action()
                raw.sendall(outgoing.read())
                return done
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                data = raw.recv(65536)
                if not data:
                    raise ConnectionError from None
                incoming.write(data)
    with socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            in_pieces(raw, header + hello if glued else header, pieces)
            raw.sendall(b"" if glued else hello)
            until_done(raw, tls.do_handshake)
            until_done(raw, lambda: tls.write(b"GET /owa/ HTTP/1.1\r\nHost: mail.example.com\r\nConnection: close\r\n\r\n"))
            return until_done(raw, lambda: tls.read(200)).split(b"\r\n")[0]
        except (ConnectionError, ssl.SSLError):
            return b""


GOOD = {
    "v1": (b"PROXY TCP4 198.51.100.7 10.0.0.1 51000 443\r\n", "198.51.100.7", 51000),
    "v1 ipv6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 51001 443\r\n", "2001:db8::7", 51001),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1", None),
    "v2": (v2(("198.51.100.8", 51002)), "198.51.100.8", 51002),
    "v2 with more": (v2(("198.51.100.9", 51003), more=b"\x04\x00\x02ab"), "198.51.100.9", 51003),
    "v2 ipv6": (v2_ipv6("2001:db8::8", 51004), "2001:db8::8", 51004),
    "v2 local": (v2(("198.51.100.10", 1), command=0x20), "127.0.0.1", None),
}


@pytest.mark.parametrize("name", sorted(GOOD))
@pytest.mark.parametrize("pieces,glued", [(1, False), (1, True), (7, False), (40, True)])
def test_proxy_header(behind, origin, name, pieces, glued):
    header, client, port = GOOD[name]
    seen = len(behind.access(0))
    assert through(behind.port, header, pieces, glued) == b"HTTP/1.1 200 OK"
    line = behind.access(seen + 1)[-1]
    assert line["client"] == client and port in (None, line["client_port"])
    assert origin.requests[-1].all("X-Forwarded-For") == [client]


@pytest.mark.parametrize("header", [
    b"", b"PROXY TCP4 198.51.100.7 10.0.0.1 51000\r\n", b"PROXY TCP4 1.2.3.4.5 10.0.0.1 51000 443\r\n", b"PROXY TCP4 198.51.100.7 10.0.0.1 99999 443\r\n",
    b"PROXY  TCP4 198.51.100.7 10.0.0.1 51000 443\r\n", b"proxy TCP4 198.51.100.7 10.0.0.1 51000 443\r\n", b"PROXY TCP4 2001:db8::7 ::1 5 443\r\n",
    b"PROXY TCP4 198.51.100.7 10.0.0.1 51000 443\n", b"PROXY " + b"A" * 200 + b"\r\n", v2(("198.51.100.8", 1))[:-4] + b"",
    v2(("198.51.100.8", 1), command=0x11), v2(("198.51.100.8", 1), command=0x2f), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x02ab",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" + b"a" * 65535,
], ids=["missing", "no port", "address", "port", "two spaces", "case", "family", "line feed", "endless", "v2 cut", "v2 version", "v2 command",
        "v2 short", "v2 huge"])
def test_bad_proxy_header_closes(behind, origin, header):
    before = origin.touched()
    assert through(behind.port, header) == b""
    assert origin.touched() == before


def test_proxy_header_of_others_is_not_taken(behind, origin):
    """Where the source is not listed the header is not TLS, and no client may pretend to be another."""
    before = origin.touched()
    assert through(behind.other, GOOD["v1"][0]) == b""
    assert through(behind.other, GOOD["v2"][0]) == b""
    assert origin.touched() == before
    assert through(behind.other, b"") == b"HTTP/1.1 200 OK"


def test_proxy_header_must_come_in_time(origin):
    text = config([origin.url]).replace("certificates: [mail]", "certificates: [mail], proxy_protocol_from: [127.0.0.1/32]")
    with Proxy(text + "limits: {handshake_timeout: 300ms}\n") as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10 * SLOW) as sock:
            sock.sendall(b"PROXY TCP4 198")
            assert sock.recv(10) == b""
