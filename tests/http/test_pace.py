"""Clients that are too slow, and those that only look like it: the pace of bodies and of answers, counted while nobody else is waited for."""
import socket
import threading
import time

import pytest

from harness import SLOW, Client, Origin, answer, wait_until
from rig import AUTH, Cas, Rig, Rpc, settle, site_of_sim

GRACE = 1.0 * SLOW
BODY_RATE, READ_RATE = int(2000 / SLOW), int(20000 / SLOW)


def paced(url, **limits):
    """Only the pace ends anything: all other limits are far away."""
    times = {"body_rate": BODY_RATE, "read_rate": READ_RATE, "body_timeout": "60s", "idle_timeout": "60s"}
    conf = site_of_sim([url], times, limits=dict({"rate_grace": "%dms" % (1000 * GRACE), "read_rate": READ_RATE, "client_buffer": "16k",
                                                  "backend_buffer": "16k", "write_timeout": "60s", "keepalive_timeout": "60s"}, **limits))
    conf["services"]["outlook_anywhere"] = {"body_rate": BODY_RATE, "read_rate": READ_RATE}
    return conf


@pytest.fixture(scope="module")
def proxy(cas):
    with Rig(paced(cas.url)) as p:
        yield p


# ---- bodies ----

@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("drip", [0, 1])
def test_slow_body(proxy, drip, chunked):
    with Client(proxy) as c:
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "100000")
        c.request("POST", "/owa/sink", [framing, AUTH])
        c.send((b"2710\r\n" + b"x" * 10000 + b"\r\n") if chunked else b"x" * 10000)  # a fast beginning
        c.sock.settimeout(0.1)
        started = time.monotonic()
        while time.monotonic() - started < 20 * GRACE:
            if drip:
                c.send(b"1\r\nx\r\n" if chunked else b"x")
            try:
                if c.wire.fill():
                    break
            except socket.timeout:
                pass
        c.sock.settimeout(10 * SLOW)
        r = c.response()
        assert r.status == 408 and r.get("Connection") == "close"
        assert time.monotonic() - started >= 0.9 * GRACE
        assert settle(c)[1] == "end"
    assert proxy.end("/owa/sink", c) == (408, "client_slow_body")
    assert wait_until(lambda: "client_slow_body" in proxy.said())
    proxy.quiet()


def test_body_at_the_pace(proxy):
    """In pieces, each within the grace, for several times the grace."""
    piece, pieces = int(BODY_RATE * GRACE), 8
    with Client(proxy) as c:
        c.request("POST", "/owa/sink", [("Content-Length", str(piece * pieces)), AUTH])
        for _ in range(pieces):
            time.sleep(0.6 * GRACE)
            c.send(b"x" * piece)
        assert c.response().status == 200
    proxy.quiet()


def test_backend_that_is_slow_to_take_the_body():
    """Whoever waits for the server is not slow."""
    def slow(request, wire, sock):
        time.sleep(4 * GRACE)
        took = len(wire.buffer)
        while took < 6000000:  # without keeping it: the client is a thread of this very process
            took += len(sock.recv(1 << 20))
        return answer(200, b"taken")

    with Origin(slow, read_body=False) as origin, Rig(paced(origin.url)) as proxy:
        with Client(proxy, timeout=30) as c:
            c.request("POST", "/owa/sink", [("Content-Length", "6000000"), AUTH])
            c.send(b"x" * 6000000)
            assert c.response().body == b"taken"
        proxy.quiet()


def test_backend_that_is_slow_to_ask_for_the_body():
    def slow(request, wire, sock):
        time.sleep(3 * GRACE)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return answer(200, wire.exactly(5))

    with Origin(slow, read_body=False) as origin, Rig(paced(origin.url)) as proxy:
        with Client(proxy) as c:
            c.request("POST", "/owa/sink", [("Content-Length", "5"), ("Expect", "100-continue"), AUTH])
            assert c.head().status == 100
            c.send(b"hello")
            assert c.response().body == b"hello"
            # asked for, it is due
            c.request("POST", "/owa/sink", [("Content-Length", "5"), ("Expect", "100-continue"), AUTH])
            assert c.head().status == 100
            assert c.response().status == 408
        assert proxy.end("/owa/sink", c, 1) == (408, "client_slow_body")
        proxy.quiet()


def test_channels_have_no_pace(proxy):
    """An hour of silence on a channel is nothing unusual; three times the grace stands for it."""
    with Rpc(proxy) as rpc:
        for _ in range(3):
            rpc.echo(b"x" * 40)
            time.sleep(3 * GRACE)
        rpc.echo(b"still there")
    proxy.quiet()


# ---- answers ----

@pytest.mark.parametrize("read", [0, 300])
def test_slow_reader(proxy, read):
    before, memory = proxy.ended("client_slow_read"), proxy.memory_kb()
    with Client(proxy, window=4096) as c:
        c.request("GET", "/owa/bytes?size=100000000", [AUTH])
        started = time.monotonic()

        def gone():
            if read:
                c.sock.recv(read)
            return proxy.ended("client_slow_read") > before
        try:
            assert wait_until(gone, 20, 0.2)
        except OSError:
            pass
        assert time.monotonic() - started >= 0.9 * GRACE
        assert proxy.end("/owa/bytes", c) == (200, "client_slow_read")
        assert settle(c)[1] == "cut"
    if SLOW == 1:
        assert proxy.memory_kb() < memory + 2000
    assert wait_until(lambda: "client_slow_read" in proxy.said())
    proxy.quiet()


@pytest.mark.parametrize("close", [False, True], ids=["kept", "last"])
def test_reader_at_the_pace(proxy, close):
    """Several times the grace for one answer, and all of it comes."""
    size = 6000000
    with Client(proxy, window=32768) as c:
        c.request("GET", "/owa/bytes?size=%d" % size, [AUTH] + ([("Connection", "close")] if close else []))
        time.sleep(0.5 * GRACE)
        assert b"200" in c.wire.until(b"\r\n\r\n")
        got, ends = len(c.wire.buffer), time.monotonic() + 4 * GRACE
        while time.monotonic() < ends:
            time.sleep(0.2)
            got += len(c.sock.recv(16384))
        assert got < size
        while got < size:
            got += len(c.sock.recv(65536))
        assert got == size
        if not close:
            assert c.get("/sim/204").status == 204
    proxy.quiet()


def test_backend_that_is_slow_to_answer(proxy):
    """A stream of notifications: most of the time nothing is there to be taken. And a held answer."""
    with Client(proxy) as c:
        assert c.get("/sim/drip?size=8&interval_ms=%d" % (600 * SLOW)).body == b"x" * 8
    proxy.quiet()


def test_reader_who_has_caught_up():
    """He was waited for once; the server's silence after that is not his."""
    def halves(request, wire, sock):
        sock.sendall(answer(200, b"x" * 3000000, [("Content-Length", "3000001")]))
        time.sleep(4 * GRACE)
        return b"x"

    with Origin(halves) as origin, Rig(paced(origin.url)) as proxy:
        with Client(proxy, window=4096) as c:
            c.request("GET", "/owa/x", [AUTH])
            time.sleep(0.5 * GRACE)
            assert len(c.response().body) == 3000001
        proxy.quiet()


@pytest.mark.parametrize("channel", [False, True], ids=["answer", "channel"])
def test_last_answer_that_nobody_takes(channel):
    """The request is over and logged, what is left of its answer waits; a reader of one octet a second does not keep it."""
    def last(request, wire, sock):
        return answer(200, b"x" * 6000000, [("Connection", "close")])

    with Origin(last) as origin:
        with Rig(paced(origin.url, client_buffer="8M", backend_buffer="8M")) as proxy:
            with Client(proxy, window=4096) as c:
                if channel:  # without a pace of its own, until it ends with the connection
                    Rpc.channel(c, "RPC_OUT_DATA", 76, "anna", bytes(76))
                else:
                    c.request("GET", "/owa/x", [AUTH, ("Connection", "close")])
                path = "/rpc/rpcproxy.dll" if channel else "/owa/x"
                assert proxy.end(path, c) == (200, "ok")
                assert proxy.metrics()["postern_connections_open"] == 1
                c.sock.recv(1)
                assert wait_until(lambda: proxy.ended("client_slow_read") == 1, 20)
            proxy.quiet()


def test_own_answers_that_nobody_takes(proxy):
    """Refusals are taken at limits.read_rate; the connection has no request in progress then."""
    before = proxy.ended("client_slow_read")
    with Client(proxy, window=4096) as c:
        c.sock.settimeout(0.5 * SLOW)
        request = b"GET /not/published HTTP/1.1\r\nHost: mail.example.com\r\n\r\n" * 500
        with pytest.raises(OSError):
            for _ in range(20000):
                c.send(request)
        assert wait_until(lambda: proxy.ended("client_slow_read") == before + 1, 20)
    proxy.quiet()


def test_any_pace():
    with Cas() as cas:
        conf = paced(cas.url, read_rate="none")
        conf["services"]["sim"].update(body_rate="none", read_rate="none")
        with Rig(conf) as proxy:
            with Client(proxy, window=4096) as reader, Client(proxy) as sender:
                reader.request("GET", "/owa/bytes?size=3000000", [AUTH])
                sender.request("POST", "/owa/sink", [("Content-Length", "1"), AUTH])
                time.sleep(4 * GRACE)
                sender.send(b"x")
                assert sender.response().status == 200
                assert len(reader.response().body) == 3000000
            proxy.quiet()


def test_reload_changes_the_pace_of_new_connections_only(cas):
    with Rig(paced(cas.url)) as proxy:
        conf = paced(cas.url)
        conf["services"]["sim"]["body_rate"] = "none"
        with Client(proxy) as old:
            old.request("POST", "/owa/sink", [("Content-Length", "9"), AUTH])
            proxy.configure(conf)
            proxy.reload_now()
            with Client(proxy) as new:
                new.request("POST", "/owa/sink", [("Content-Length", "1"), AUTH])
                assert old.response().status == 408
                new.send(b"x")
                assert new.response().status == 200
        proxy.quiet()


def test_many_at_once_and_an_honest_one(proxy):
    """What is told of one is not told of another."""
    slow = []

    def one():
        c = Client(proxy)
        c.request("POST", "/owa/sink", [("Content-Length", "100000"), AUTH])
        slow.append(c)
    threads = [threading.Thread(target=one) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    with Client(proxy) as honest:
        for _ in range(10):
            honest.request("POST", "/owa/sink", [AUTH], body=b"x" * 1000)
            assert honest.response().status == 200
            time.sleep(0.2 * GRACE)
    for c in slow:
        assert c.response().status == 408
        c.close()
    proxy.quiet()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
