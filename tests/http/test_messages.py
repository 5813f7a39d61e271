"""Heads and how messages are framed, both ways: what is kept, what is stripped, what Postern adds; persistence, pipelining, 1xx."""
import socket
import threading
import time

import pytest
from harness import SLOW, Client, Origin, Proxy, answer, config, server_context, wait_until

BASE = """  # with WebSocket, for upgrades; /owa/ without
  - hosts: [mail.example.com]
    to: origin
    authenticate: none
    services: [channel]
"""
EXTRA = "services:\n  channel: {paths: [/channel], methods: [GET, POST], upgrade: [websocket]}"


class Scripted:
    """Answers by the last segment of the path: a function of this class, or of one test."""

    def __init__(self):
        self.answers = {}

    def __call__(self, request, wire, sock):
        name = request.target.split("?")[0].rsplit("/", 1)[1]
        found = self.answers.get(name)
        return found(request, wire, sock) if found else answer(200, b"origin " + name.encode())


@pytest.fixture(scope="module")
def script():
    return Scripted()


@pytest.fixture(scope="module")
def origin(script):
    with Origin(script) as o:
        yield o


@pytest.fixture(scope="module")
def proxy(origin):
    with Proxy(config([origin.url], extra=EXTRA) + BASE) as p:
        yield p


def raw(client, text):
    client.send(text.replace("\n", "\r\n").encode("latin-1"))


def exchange(proxy, text, method="GET"):
    with Client(proxy) as client:
        raw(client, text)
        return client.response(method)


# ---- fields of requests

def test_case_and_order_of_request_fields(origin, proxy):
    exchange(proxy, "GET /owa/plain HTTP/1.1\nhOST: mail.example.com\nX-B: 2\naCCEPT:  */*  \nx-a: 1\nX-b: 3\nCookie: a=b; c=d\nEmpty:\n"
             "X-Quote: \"a\\\"b\", c\nX-Latin: \xe4\xf6\n\n")
    assert origin.requests[-1].raw.decode("latin-1").split("\r\n") == [
        "GET /owa/plain HTTP/1.1", "hOST: mail.example.com", "X-B: 2", "aCCEPT: */*", "x-a: 1", "X-b: 3", "Cookie: a=b; c=d", "Empty: ",
        "X-Quote: \"a\\\"b\", c", "X-Latin: \xe4\xf6", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https",
        "X-Forwarded-Host: mail.example.com", "", ""]


def test_hop_by_hop_fields_of_requests(origin, proxy):
    exchange(proxy, "GET /owa/plain HTTP/1.1\nHost: mail.example.com\nConnection: keep-alive, X-Gone , x-too\nConnection: X-Third\nX-Gone: 1\n"
             "X-Too: 2\nX-TOO: 3\nx-third: 4\nKeep-Alive: timeout=5\nProxy-Connection: keep-alive\nTE: trailers\nTrailer: X-A\nUpgrade: h2c\n"
             "HTTP2-Settings: AAMAAABkAAQAAP__\nProxy-Authorization: Basic YTpi\nX-Stays: 5\n\n")
    assert [n for n, _ in origin.requests[-1].fields] == ["Host", "X-Stays", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"]


INNER = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Anything", "Forwarded", "X-Real-IP",
         "Front-End-Https", "X-Original-URL", "X-Rewrite-URL", "X-BEResource", "X-BEResourceOther", "X-AnonResource", "X-AnonResource-Backend",
         "X-OWA-ExplicitLogonUser", "X-CommonAccessToken", "X-ProxyTargetServer", "X-IsFromCafe", "X-SourceCafeServer", "X-Rps-CAT",
         "msExchProxyUri", "X-OriginalRequestHost", "X-Original-Host", "X_Forwarded_For", "x_real_ip", "Via"]


@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("style", [str, str.upper, str.lower], ids=["as is", "upper", "lower"])
def test_spoofed_fields_are_stripped(origin, proxy, name, style):
    exchange(proxy, "GET /owa/plain HTTP/1.1\n%s: spoofed\nHost: mail.example.com\n%s: spoofed\n\n" % (style(name), style(name)))
    assert b"spoofed" not in origin.requests[-1].raw


def test_options_for_fields(origin):
    """via, via_response, x_forwarded, strip lists, Server, front_end_https, host_header."""
    text = config([origin.url], extra="http: {x_forwarded: false, via_response: true, strip_request_headers: [X-Secret, Cookie2], "
                  "strip_response_headers: [X-Inside], server_header: mail, front_end_https: true}")
    text = text.replace("health_interval: none", "health_interval: none, via: true, host_header: cas.corp.example.com")
    origin.handler.answers["fields"] = lambda r, w, s: answer(200, b"x", [("Server", "IIS/6"), ("X-Inside", "1"), ("Via", "1.0 inner"), ("X-Out", "2")])
    with Proxy(text) as proxy:
        response = exchange(proxy, "GET /owa/fields HTTP/1.1\nHost: mail.example.com\nX-Forwarded-For: spoofed\nx-secret: a\nVia: 1.1 cache\n\n")
        assert response.fields == [("Content-Length", "1"), ("Via", "1.0 interior"), ("X-Out", "2"), ("Server", "mail"), ("Via", "1.1 postern"),
                                   ("Strict-Transport-Security", "max-age=63072000")]
        assert origin.requests[-1].fields == [("Host", "cas.corp.example.com"), ("Via", "1.1 cache"), ("Front-End-Https", "On"),
                                              ("Via", "1.1 postern")]
        exchange(proxy, "GET /owa/fields HTTP/1.0\nHost: mail.example.com\n\n")
        assert origin.requests[-1].all("Via") == ["1.0 postern"]


# ---- fields of responses

def test_case_and_order_of_response_fields(script, proxy):
    script.answers["odd"] = lambda r, w, s: (
        b"HTTP/1.1 299 Rather  Good\r\nx-B: 1\r\nX-a:2  \r\nSET-Cookie: UserContext=1; path=/; secure\r\nDate: today\r\nset-cookie: b=2; Secure; HttpOnly\r\n"
        b"wWW-aUTHENTICATE: Basic realm=\"x\"\r\ncontent-LENGTH: 2\r\nX-Latin: \xe4\r\nEmpty:\r\n\r\nok")
    with Client(proxy) as client:
        raw(client, "GET /owa/odd HTTP/1.1\nHost: mail.example.com\n\n")
        response = client.response()
    assert response.raw.decode("latin-1").split("\r\n") == [
        "HTTP/1.1 299 Rather  Good", "x-B: 1", "X-a: 2", "SET-Cookie: UserContext=1; path=/; secure", "Date: today",
        "set-cookie: b=2; Secure; HttpOnly", "wWW-aUTHENTICATE: Basic realm=\"x\"", "content-LENGTH: 2", "X-Latin: \xe4", "Empty: ",
        "Strict-Transport-Security: max-age=63072000", "", ""]


@pytest.mark.parametrize("line", ["HTTP/1.1 200 Success", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.1 451 Redirect", "HTTP/1.1 507 X", "HTTP/1.0 404 No"])
def test_reason_phrase_is_kept(script, proxy, line):
    script.answers["line"] = lambda r, w, s: line.encode() + b"\r\nContent-Length: 0\r\n\r\n"
    response = exchange(proxy, "GET /owa/line HTTP/1.1\nHost: mail.example.com\n\n")
    assert response.line == ("HTTP/1.1" + line[8:] + (" " if line.endswith("200") else ""))


def test_hop_by_hop_fields_of_responses(script, proxy):
    script.answers["hop"] = lambda r, w, s: answer(200, b"ok", [
        ("Connection", "X-Gone"), ("X-Gone", "1"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("Trailer", "X-A"),
        ("Upgrade", "h2"), ("Proxy-Authenticate", "Basic"), ("X-Stays", "2")])
    response = exchange(proxy, "GET /owa/hop HTTP/1.1\nHost: mail.example.com\n\n")
    assert [n for n, _ in response.fields] == ["Content-Length", "X-Stays", "Strict-Transport-Security"]


@pytest.mark.parametrize("size", [65536, 100000, 120000])
def test_large_response_heads(script, proxy, size):
    """IIS sends up to 64 KB of head; 128 KB are allowed by default."""
    fields = [("X-%d" % i, "v" * 1000) for i in range(size // 1007)]
    script.answers["large"] = lambda r, w, s: answer(200, b"ok", fields)
    response = exchange(proxy, "GET /owa/large HTTP/1.1\nHost: mail.example.com\n\n")
    assert (response.status, response.body) == (200, b"ok") and [f for f in response.fields if f[0].startswith("X-")] == fields
    one = "v" * (size - 200)
    script.answers["one"] = lambda r, w, s: answer(200, b"ok", [("X-One", one)])
    assert exchange(proxy, "GET /owa/one HTTP/1.1\nHost: mail.example.com\n\n").get("X-One") == one


@pytest.mark.parametrize("size", [31000, 20000])
def test_large_request_heads(origin, proxy, size):
    cookie = "a=" + "b" * size
    exchange(proxy, "GET /owa/plain HTTP/1.1\nHost: mail.example.com\nCookie: %s\n\n" % cookie)
    assert origin.requests[-1].get("Cookie") == cookie


# ---- persistence and pipelining

def test_many_requests_on_one_connection(origin, proxy):
    before = origin.touched()[0]
    with Client(proxy) as client:
        for i in range(100):
            assert client.get("/owa/n%d" % i).body == b"origin n%d" % i
    assert origin.touched()[0] <= before + 1, "one connection to the backend serves them all"


@pytest.mark.parametrize("version,fields,kept", [
    ("1.1", "", True), ("1.1", "Connection: close\n", False), ("1.1", "Connection: CLOSE\n", False), ("1.1", "Connection: keep-alive\n", True),
    ("1.1", "Connection: keep-alive, close\n", False), ("1.0", "", False), ("1.0", "Connection: keep-alive\n", True),
    ("1.0", "Connection: Keep-Alive\n", True), ("1.0", "Connection: close\n", False)])
def test_persistence(proxy, version, fields, kept):
    with Client(proxy) as client:
        raw(client, "GET /owa/first HTTP/%s\nHost: mail.example.com\n%s\n" % (version, fields))
        response = client.response()
        assert response.body == b"origin first"
        assert response.get("Connection") == (("keep-alive" if version == "1.0" else None) if kept else "close")
        if kept:
            assert client.get("/owa/second").body == b"origin second"
        else:
            assert client.closed()


def test_requests_per_connection(origin):
    with Proxy(config([origin.url]) + "limits: {requests_per_connection: 3}\n") as proxy, Client(proxy) as client:
        raw(client, "GET /owa/a HTTP/1.1\nHost: mail.example.com\n\n" * 5)
        assert [client.response().get("Connection") for _ in range(3)] == [None, None, "close"]
        assert client.closed()


def test_pipelining_in_order(script, origin, proxy):
    """Fast behind slow, with bodies in between, all in one write."""
    script.answers["slow"] = lambda r, w, s: (time.sleep(0.05), answer(200, b"slow"))[1]
    script.answers["echo"] = lambda r, w, s: answer(200, r.body)
    names = []
    text = ""
    for i in range(40):
        if i % 4 == 0:
            text += "GET /owa/slow HTTP/1.1\nHost: mail.example.com\n\n"
            names.append(b"slow")
        elif i % 4 == 1:
            text += "POST /owa/echo HTTP/1.1\nHost: mail.example.com\nContent-Length: 8\n\nbody %03d" % i
            names.append(b"body %03d" % i)
        elif i % 4 == 2:
            text += "GET /nowhere HTTP/1.1\nHost: mail.example.com\n\n"
            names.append(None)
        else:
            text += "GET /owa/n%d HTTP/1.1\nHost: mail.example.com\n\n" % i
            names.append(b"origin n%d" % i)
    with Client(proxy) as client:
        raw(client, text)
        for name in names:
            response = client.response()
            assert response.status == 404 if name is None else response.body == name


def test_pipelined_one_byte_at_a_time(proxy):
    text = b"GET /owa/a HTTP/1.1\r\nHost: mail.example.com\r\n\r\nPOST /owa/b HTTP/1.1\r\nHost: mail.example.com\r\n" \
           b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\r\nGET /owa/c HTTP/1.1\r\nHost: mail.example.com\r\n\r\n"
    with Client(proxy) as client:
        for i in range(len(text)):
            client.send(text[i:i + 1])
        assert [client.response().body for _ in range(3)] == [b"origin a", b"origin b", b"origin c"]


def test_half_closed_client_still_gets_its_answer(script, proxy):
    script.answers["slow"] = lambda r, w, s: (time.sleep(0.1), answer(200, b"slow"))[1]
    with Client(proxy) as client:
        raw(client, "GET /owa/slow HTTP/1.1\nHost: mail.example.com\n\n")
        client.half_close()
        try:
            assert client.response().body == b"slow"
        except (EOFError, OSError):
            pytest.skip("this library does not read on after its own close_notify")


# ---- how bodies end

@pytest.mark.parametrize("method,head", [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n"), ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"), ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n"), ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    ("POST", b"HTTP/1.1 204 No Content\r\n\r\n")],
    ids=["head length", "head chunked", "head", "204", "204 zero", "304 length", "304", "post 204"])
def test_answers_without_body(script, proxy, method, head):
    """None of them may make anybody wait for a body, nor take the next answer for one."""
    script.answers["bodyless"] = lambda r, w, s: head
    with Client(proxy) as client:
        for _ in range(3):
            client.request(method, "/owa/bodyless", body=b"" if method == "POST" else None)
            response = client.response(method)
            assert "Transfer-Encoding" not in dict(response.fields) or method == "HEAD"
            assert response.get("Content-Length") == ("1000" if b"1000" in head else response.get("Content-Length"))
        assert client.get("/owa/next").body == b"origin next"
        assert client.wire.buffer == b""


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                                  b"HTTP/1.1 304 No\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"], ids=["length", "chunked", "304"])
def test_body_where_none_can_be(script, proxy, head):
    script.answers["bad204"] = lambda r, w, s: head
    with Client(proxy) as client:
        assert client.get("/owa/bad204").status in (204, 304)
        assert client.get("/owa/next").body == b"origin next"


def test_body_that_ends_with_the_connection(script, proxy):
    """To HTTP/1.1 in chunks, so that its end can be told from a break; to HTTP/1.0 as it is."""
    script.answers["close"] = lambda r, w, s: (s.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 5000), False)[1]
    response = exchange(proxy, "GET /owa/close HTTP/1.1\nHost: mail.example.com\n\n")
    assert response.get("Transfer-Encoding") == "chunked" and response.body == b"a" * 5000 and response.get("Connection") is None
    response = exchange(proxy, "GET /owa/close HTTP/1.0\nHost: mail.example.com\nConnection: keep-alive\n\n")
    assert response.get("Transfer-Encoding") is None and response.body == b"a" * 5000 and response.get("Connection") == "close"


def test_no_chunks_to_http_1_0(script, proxy):
    script.answers["chunks"] = lambda r, w, s: (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n5\r\ndefgh\r\n0\r\nX-Trailer: 1\r\n\r\n")
    response = exchange(proxy, "GET /owa/chunks HTTP/1.0\nHost: mail.example.com\nConnection: keep-alive\n\n")
    assert (response.body, response.get("Transfer-Encoding"), response.get("Connection")) == (b"abcdefgh", None, "close")
    response = exchange(proxy, "GET /owa/plain HTTP/1.0\nHost: mail.example.com\nConnection: keep-alive\n\n")
    assert (response.get("Connection"), response.get("Content-Length")) == ("keep-alive", "12")


def test_trailers_and_extensions_are_dropped(script, origin, proxy):
    script.answers["chunks"] = lambda r, w, s: (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n"
                                                b"3;x=y\r\nabc\r\n5\r\ndefgh\r\n0\r\nX-Trailer: 1\r\nSet-Cookie: a=b\r\n\r\n")
    with Client(proxy) as client:
        raw(client, "POST /owa/chunks HTTP/1.1\nHost: mail.example.com\nTransfer-Encoding: chunked\nTrailer: X-T\n\n"
            "2;ext=\"a;b\"\nhi\n00003\nyou\n0;last\nX-T: 1\nAuthorization: Basic YTpi\n\n")
        response = client.response()
        assert response.body == b"abcdefgh"
        assert b"X-Trailer" not in client.wire.raw and b"Set-Cookie" not in client.wire.raw and b"x=y" not in client.wire.raw
        assert client.get("/owa/next").body == b"origin next"
    request = [r for r in origin.requests if r.target == "/owa/chunks"][-1]
    assert request.body == b"hiyou" and request.get("Transfer-Encoding") == "chunked" and request.get("Content-Length") is None


def test_get_with_body_is_framed(origin, proxy):
    exchange(proxy, "GET /owa/plain HTTP/1.1\nHost: mail.example.com\nContent-Length: 5\n\nhello")
    assert origin.requests[-1].body == b"hello"


# ---- a truncated body never passes for a complete one

def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


TRUNCATED = {
    "length": (b"Content-Length: 100000\r\n\r\n", b"a" * 50000), "length but one": (b"Content-Length: 100000\r\n\r\n", b"a" * 99999),
    "nothing": (b"Content-Length: 10\r\n\r\n", b""), "in a chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"ffff\r\n" + b"a" * 5000),
    "between chunks": (b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"a" * 4096 + b"\r\n"),
    "last chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\n"),
}


@pytest.mark.parametrize("name", sorted(TRUNCATED))
@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_truncated(script, proxy, name, how, version):
    fields, body = TRUNCATED[name]

    def cut(request, wire, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + fields + body)
        time.sleep(0.02)
        if how == "reset":
            reset(sock)
        return False
    script.answers["cut"] = cut
    with Client(proxy) as client:
        raw(client, "GET /owa/cut HTTP/%s\nHost: mail.example.com\n\n" % version)
        with pytest.raises((EOFError, OSError)):
            response = client.response()
            assert response.status == 502, "an incomplete answer was passed off as complete"
            raise EOFError
        assert proxy.access(client=client)[0]["reason"] in ("backend_closed", "backend_reset")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_reset_instead_of_the_end(script, proxy, version):
    """A body that ends with the connection, and a connection that breaks."""
    def cut(request, wire, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 5000)
        time.sleep(0.02)
        reset(sock)
        return False
    script.answers["cut"] = cut
    with Client(proxy) as client, pytest.raises((EOFError, OSError)):
        raw(client, "GET /owa/cut HTTP/%s\nHost: mail.example.com\n\n" % version)
        client.response()


@pytest.mark.parametrize("notify", [True, False])
@pytest.mark.parametrize("head,complete", [(b"", None), (b"Content-Length: 5\r\n", True), (b"Content-Length: 6\r\n", False)],
                         ids=["until close", "whole", "short"])
def test_tls_backend_with_and_without_close_notify(notify, head, complete):
    """Without close_notify a body that ends with the connection is not known to be whole; one with a length is (RFC 9112 9.8)."""
    def handler(request, wire, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nhello")
        time.sleep(0.02)
        if notify:
            sock.setblocking(False)
            try:
                sock.unwrap()
            except OSError:
                pass
        else:
            socket.socket(fileno=sock.detach()).close()
        return False
    if complete is None:
        complete = notify
    with Origin(handler, tls=server_context()) as origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        raw(client, "GET /owa/ HTTP/1.1\nHost: mail.example.com\n\n")
        if complete:
            assert client.response().body == b"hello"
        else:
            with pytest.raises((EOFError, OSError)):
                client.response()


# ---- 1xx

def reads(client, until):
    """What arrived, record by record, until the mark has come."""
    found = []
    while until not in b"".join(found):
        data = client.sock.recv(65536)
        assert data, "closed after %r" % found
        found.append(data)
    return found


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
POST100 = "POST /owa/%s HTTP/1.1\nHost: mail.example.com\nContent-Length: 5\nExpect: 100-continue\n\n"


def test_100_continue(script, proxy, origin):
    def handler(request, wire, sock):
        sock.sendall(CONTINUE)
        body = wire.exactly(5)
        return answer(200, b"got " + body)
    origin.read_body = False
    script.answers["continue"] = handler
    try:
        with Client(proxy) as client:
            for _ in range(3):
                raw(client, POST100 % "continue")
                assert client.wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
                assert client.wire.buffer == b""
                client.send(b"hello")
                assert client.response().body == b"got hello"
        request = [r for r in origin.requests if r.target == "/owa/continue"][-1]
        assert request.get("Expect") == "100-continue"
    finally:
        origin.read_body = True


@pytest.mark.parametrize("interim", [CONTINUE, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"],
                         ids=["100", "103", "102"])
def test_interim_comes_alone(script, origin, proxy, interim):
    """The backend sends the 1xx and the final answer in one write: the client must get the 1xx in a record of its own."""
    script.answers["both"] = lambda r, w, s: interim + answer(200, b"done")
    origin.read_body = False
    try:
        for _ in range(10):
            with Client(proxy) as client:
                raw(client, (POST100 % "both").replace("Content-Length: 5", "Content-Length: 0").replace("Expect: 100-continue\n", "")
                    if b" 100 " not in interim else POST100 % "both")
                found = reads(client, b"done")
                assert found[0].startswith(interim.split(b"\r\n")[0]) and b"HTTP/1.1 200" not in found[0]
                assert b"".join(found).count(b"HTTP/1.1 1") == 1
    finally:
        origin.read_body = True


def test_interims_in_order(script, proxy):
    script.answers["three"] = lambda r, w, s: (b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: y\r\n\r\n"
                                               b"HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n" + answer(200, b"done"))
    with Client(proxy) as client:
        raw(client, "GET /owa/three HTTP/1.1\nHost: mail.example.com\n\n")
        heads = [client.head() for _ in range(3)]
        assert [(h.status, h.get("Link")) for h in heads] == [(102, None), (103, "</a>"), (103, "</b>")]
        assert heads[1].fields == [("Link", "</a>")]
        assert client.response().body == b"done"
        assert client.get("/owa/next").body == b"origin next"


def test_100_that_nobody_asked_for_is_not_relayed(script, proxy):
    script.answers["unasked"] = lambda r, w, s: CONTINUE + answer(200, b"done")
    assert exchange(proxy, "GET /owa/unasked HTTP/1.1\nHost: mail.example.com\n\n").body == b"done"


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\n"])
def test_no_interim_to_http_1_0(script, origin, proxy, expect):
    script.answers["old"] = lambda r, w, s: CONTINUE + b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(200, b"done")
    response = exchange(proxy, "POST /owa/old HTTP/1.0\nHost: mail.example.com\nContent-Length: 5\n%s\nhello" % expect)
    assert (response.status, response.body) == (200, b"done")
    assert origin.requests[-1].get("Expect") is None


@pytest.mark.parametrize("status", [401, 413, 417, 500])
def test_final_answer_instead_of_100(script, origin, proxy, status):
    """The client was told no: the body does not come, so the connection ends."""
    script.answers["refuse"] = lambda r, w, s: answer(status, b"no")
    origin.read_body = False
    try:
        with Client(proxy) as client:
            raw(client, POST100 % "refuse")
            response = client.response()
            assert (response.status, response.body, response.get("Connection")) == (status, b"no", "close")
            assert client.closed()
    finally:
        origin.read_body = True


def test_client_does_not_wait_for_100(script, proxy):
    """It sends the body at once; a backend that knows no 100 answers when it has all."""
    script.answers["impatient"] = lambda r, w, s: answer(200, b"got " + r.body)
    with Client(proxy) as client:
        raw(client, POST100 % "impatient" + "hello")
        assert client.response().body == b"got hello"
        assert client.get("/owa/next").body == b"origin next"


def test_endless_interims_end(script, proxy):
    def handler(request, wire, sock):
        for _ in range(100):
            sock.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        return answer(200, b"done")
    script.answers["endless"] = handler
    with Client(proxy) as client:
        raw(client, "GET /owa/endless HTTP/1.1\nHost: mail.example.com\n\n")
        while True:
            head = client.head()
            if head.status >= 200:
                break
        assert head.status == 502


# ---- early final answers

@pytest.mark.parametrize("status", [200, 401, 403, 413, 503])
@pytest.mark.parametrize("framing", ["Content-Length: 100000000\n", "Transfer-Encoding: chunked\n"], ids=["length", "chunked"])
def test_early_final_answer(script, origin, proxy, status, framing):
    """Relayed at once while the body is still coming; the rest of the body is not waited for."""
    got = threading.Event()

    def handler(request, wire, sock):
        wire.until(b"first part")
        sock.sendall(answer(status, b"early", [("X-Early", "1")]))
        got.wait(10 * SLOW)
        return False
    script.answers["exchange.asmx"] = handler
    origin.read_body = False
    try:
        with Client(proxy) as client:
            raw(client, "POST /ews/exchange.asmx HTTP/1.1\nHost: mail.example.com\n%s\n" % framing)
            client.send(b"a\r\nfirst part\r\n" if "chunked" in framing else b"first part")
            response = client.response()
            got.set()
            assert (response.status, response.body, response.get("X-Early"), response.get("Connection")) == (status, b"early", "1", "close")
            assert client.closed()
            assert proxy.access(client=client)[0]["reason"] == "ok"
    finally:
        got.set()
        origin.read_body = True


def test_early_answer_reaches_a_client_that_only_writes(script, origin, proxy):
    """It sends on and on and reads only then: the answer must not be destroyed by a reset (RFC 9112 9.6)."""
    script.answers["exchange.asmx"] = lambda r, w, s: (s.sendall(answer(413, b"too much")), time.sleep(0.2), False)[2]
    origin.read_body = False
    try:
        with Client(proxy) as client:
            raw(client, "POST /ews/exchange.asmx HTTP/1.1\nHost: mail.example.com\nContent-Length: 100000000\n\n")
            try:
                for _ in range(50):
                    client.send(b"a" * 100000)
            except OSError:
                pass
            assert client.response().status == 413
    finally:
        origin.read_body = True


# ---- upgrade

def test_upgrade_where_allowed(origin, proxy, script):
    def handler(request, wire, sock):
        assert request.get("Upgrade") == "websocket" and request.get("Connection") == "Upgrade"
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Key: 1\r\n\r\nwelcome")
        while True:
            data = sock.recv(1000)
            if not data:
                return False
            sock.sendall(data.upper())
    script.answers["channel"] = handler
    with Client(proxy) as client:
        raw(client, "GET /channel HTTP/1.1\nHost: mail.example.com\nConnection: Upgrade, keep-alive\nUpgrade: websocket\n\n")
        head = client.head()
        assert (head.status, head.get("Upgrade"), head.get("X-Key")) == (101, "websocket", "1")
        assert client.wire.exactly(7) == b"welcome"
        for word in (b"one", b"GET /owa/ HTTP/1.1\r\n\r\n", b"\0\xff"):
            client.send(word)
            assert client.wire.exactly(len(word)) == word.upper()


@pytest.mark.parametrize("target,protocol", [("/owa/plain", "websocket"), ("/channel", "h2c"), ("/channel", "TLS/1.0")])
def test_upgrade_elsewhere_is_not_taken_up(origin, proxy, script, target, protocol):
    script.answers.pop("channel", None)
    response = exchange(proxy, "GET %s HTTP/1.1\nHost: mail.example.com\nConnection: Upgrade\nUpgrade: %s\n\n" % (target, protocol))
    assert response.status == 200
    assert origin.requests[-1].get("Upgrade") is None and origin.requests[-1].get("Connection") is None


def test_nothing_behind_an_upgrade_before_the_101(origin, proxy, script):
    """What a client sends on must not reach the backend before it has agreed to the protocol."""
    seen = []

    def handler(request, wire, sock):
        time.sleep(0.1)
        sock.setblocking(False)
        try:
            seen.append(wire.buffer + sock.recv(1000))
        except BlockingIOError:
            seen.append(wire.buffer)
        sock.setblocking(True)
        return answer(200, b"no upgrade")
    script.answers["channel"] = handler
    with Client(proxy) as client:
        raw(client, "GET /channel HTTP/1.1\nHost: mail.example.com\nConnection: Upgrade\nUpgrade: websocket\n\n"
            "GET /owa/behind HTTP/1.1\nHost: mail.example.com\n\n")
        assert client.response().body == b"no upgrade"
        assert seen == [b""]
        assert client.response().body == b"origin behind"
    assert wait_until(lambda: origin.requests[-1].target == "/owa/behind")
