"""Every wait has an end, and a reason; and what a client can make Postern hold has a bound."""
import socket
import time

import pytest

from harness import SLOW, Client, Origin, answer, wait_until
from rig import AUTH, Rig, settle, site_of_sim

# Short, so that each test takes a second; those that must not fire are far away.
LIMITS = {"handshake_timeout": "600ms", "head_timeout": "700ms", "keepalive_timeout": "1500ms", "write_timeout": "1s",
          "linger_timeout": "500ms", "client_buffer": "16k", "backend_buffer": "32k"}
TIMES = {"response_timeout": "800ms", "idle_timeout": "1500ms", "body_timeout": "700ms"}


def stretched(times):
    """The same, slower where a sanitizer is."""
    return {k: "%dms" % (SLOW * (int(v[:-2]) if v.endswith("ms") else int(v[:-1]) * 1000)) if v.endswith("s") else v
            for k, v in times.items()}


@pytest.fixture(scope="module")
def proxy(cas):
    with Rig(site_of_sim([cas.url], stretched(TIMES), limits=stretched(LIMITS))) as p:
        yield p


def tcp(proxy):
    s = socket.create_connection(("127.0.0.1", proxy.port), timeout=10 * SLOW)
    return s


def eof(s):
    try:
        return s.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=["silent", "half-hello"])
def test_handshake(proxy, first):
    before = proxy.ended("handshake_timeout")
    with tcp(proxy) as s:
        s.sendall(first)
        assert eof(s)
    assert wait_until(lambda: proxy.ended("handshake_timeout") == before + 1)
    proxy.quiet()


def test_no_first_request(proxy):
    before = proxy.ended("idle_timeout")
    with Client(proxy) as c:
        assert settle(c) == (b"", "end")
    assert wait_until(lambda: proxy.ended("idle_timeout") == before + 1)
    proxy.quiet()


def test_no_next_request(proxy):
    before = proxy.ended("idle_timeout")
    with Client(proxy) as c:
        assert c.get("/sim/204").status == 204
        assert settle(c) == (b"", "end")
    assert wait_until(lambda: proxy.ended("idle_timeout") == before + 1)
    proxy.quiet()


@pytest.mark.parametrize("drip", [False, True], ids=["stalled", "dripping"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_head(proxy, first, drip):
    with Client(proxy) as c:
        if not first:
            assert c.get("/sim/204").status == 204
        c.send(b"GET /sim/slow-head HTTP/1.1\r\nX: ")
        if drip:
            c.sock.settimeout(0.05)
            for _ in range(int(100 * SLOW)):
                c.send(b"x")
                try:
                    if c.wire.fill():
                        break
                except socket.timeout:
                    pass
            c.sock.settimeout(10 * SLOW)
        r = c.response()
        assert r.status == 408 and r.get("Connection") == "close"
        assert settle(c)[1] == "end"
    line = [x for x in proxy.access(1 if first else 2, client=c) if x["status"] == 408][0]
    assert line["reason"] == "client_timeout"
    proxy.quiet()


def test_body(proxy):
    with Client(proxy) as c:
        c.request("POST", "/owa/sink", [("Content-Length", "1000"), AUTH])
        c.send(b"x" * 100)
        assert c.response().status == 408
        assert settle(c)[1] == "end"
    assert proxy.end("/owa/sink", c) == (408, "client_timeout")
    proxy.quiet()


def test_slow_body_is_no_stalled_body(proxy):
    with Client(proxy) as c:
        c.request("POST", "/owa/sink", [("Content-Length", "8"), AUTH])
        for _ in range(8):
            time.sleep(0.3)
            c.send(b"x")
        assert c.response().status == 200
    proxy.quiet()


def test_stalled_answer(proxy):
    with Client(proxy) as c:
        c.request("GET", "/sim/drip?size=3&interval_ms=60000")
        assert settle(c)[1] == "cut"
    assert proxy.end("/sim/drip", c) == (200, "relay_idle")
    proxy.quiet()


def test_client_that_does_not_read(proxy):
    before = proxy.memory_kb()
    with Client(proxy) as c:
        c.request("GET", "/owa/bytes?size=100000000", [AUTH])
        assert proxy.end("/owa/bytes", c) == (200, "client_timeout")
        if SLOW == 1:
            assert proxy.memory_kb() < before + 2000
        assert settle(c)[1] == "cut"
    proxy.quiet()


def test_rpc_in_has_no_deadline(proxy):
    """Neither head, body, write nor keep-alive time-outs apply to a channel that is silent."""
    with Client(proxy) as c:
        c.send(b"RPC_IN_DATA /rpc/rpcproxy.dll?mail.example.com:6001 HTTP/1.1\r\nHost: mail.example.com\r\n"
               b"Authorization: Basic YTph\r\nContent-Length: 1073741824\r\n\r\n")
        c.sock.settimeout(2.5 * SLOW)
        with pytest.raises(socket.timeout):
            c.sock.recv(1)
        assert wait_until(lambda: proxy.metrics()["postern_requests_open"] == 1)
    proxy.quiet()


@pytest.mark.parametrize("who", ["ours", "backend"])
def test_linger(proxy, who):
    """After the last answer the client's rest is read for linger_timeout, not for ever."""
    with Client(proxy) as c:
        if who == "ours":
            c.send(b"GET / HTTP/1.1\r\nHost: mail.example.com\r\nHost: b\r\n\r\n")
            assert c.response().status == 400
        else:
            c.request("GET", "/sim/204", [("Connection", "close")])
            assert c.response().status == 204
        started = time.monotonic()
        assert settle(c) == (b"", "end")
        proxy.quiet()
        assert time.monotonic() - started < 5 * SLOW


def test_dripped_rest_of_a_refused_request(proxy):
    """What is thrown away to keep a connection is bounded in time as well as in octets."""
    with Client(proxy) as c:
        c.request("POST", "/not/published", [("Content-Length", "60000")])
        assert c.response().status == 404
        started = time.monotonic()
        try:
            while time.monotonic() - started < 6 * SLOW:
                c.send(b"x")
                time.sleep(0.1)
        except OSError:
            pass
        assert time.monotonic() - started < 5 * SLOW
    proxy.quiet()


def test_answers_nobody_reads(proxy):
    """Pipelined requests whose answers are not read: the queue stops, and so does the reading."""
    before = proxy.memory_kb()
    with Client(proxy) as c:
        c.sock.settimeout(0.5 * SLOW)
        sent, request = 0, b"GET /not/published HTTP/1.1\r\nHost: mail.example.com\r\n\r\n" * 500
        try:
            while sent < 20000000:
                c.send(request)
                sent += len(request)
        except OSError:
            pass
        grown = proxy.memory_kb() - before
        assert sent < 20000000
        if SLOW == 1:  # a sanitizer keeps what is freed
            assert grown < 2000
    proxy.quiet()


def test_pipelined_answers_all_come(proxy):
    """The same with a client that reads: nothing is lost when the reading stopped."""
    n = 3000
    with Client(proxy) as c:
        c.send(b"GET /not/published HTTP/1.1\r\nHost: mail.example.com\r\n\r\n" * n +
               b"GET /sim/no-keep-alive HTTP/1.1\r\nHost: mail.example.com\r\nConnection: close\r\n\r\n")
        time.sleep(0.3)
        data, end = settle(c)
        assert data.count(b"HTTP/1.1 404") == n and data.endswith(b"\r\n\r\nok\n") and end == "end"
    proxy.quiet()


def test_slow_reader_gets_the_last_answer(proxy):
    """A client that reads slowly, but reads: its answer is whole although the connection closes after it."""
    with Client(proxy) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        c.request("GET", "/owa/bytes?size=6000000", [AUTH, ("Connection", "close")])
        time.sleep(0.2)
        head = c.wire.until(b"\r\n\r\n")
        got = len(c.wire.buffer)
        for _ in range(12):
            time.sleep(0.25)
            got += len(c.sock.recv(16384))
        data, end = settle(c)
        assert b"200" in head and got + len(data) == 6000000 and end == "end"
    proxy.quiet()
