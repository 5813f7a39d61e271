"""What a backend does wrong: each fault has its status, its reason in the access log, and leaves nothing behind.

postern-cas plays the faults over http and https, on a fresh backend connection and on one that has served before.
"""
import pytest

from harness import SLOW, Client
from rig import Cas, Rig, settle, site

# path, status (0: the client is reset before or within the answer), reason. On a retried GET the second try fails alike.
FAULTS = [
    ("reset", 502, "backend_reset"),
    ("half-head", 502, "backend_closed"),
    ("half-head-reset", 502, "backend_reset"),
    ("garbage", 502, "backend_bad_response"),
    ("dup-length", 502, "backend_bad_response"),
    ("length-and-chunked", 502, "backend_bad_response"),
    ("huge-head?size=400000", 502, "backend_head_too_large"),
    ("truncated", 0, "backend_closed"),
    ("truncated-chunk", 0, "backend_closed"),
    ("reset-body", 0, "backend_reset"),
    ("bad-chunk", 0, "backend_bad_response"),
]
# path, status, body; answers that are unusual but right
UNUSUAL = [
    ("no-notify", 200, b"ok\n"),
    ("http10", 200, b"closed by the end\n"),
    ("204", 204, b""),
    ("304", 304, b""),
    ("trailers", 200, b"ok\n"),
    ("no-keep-alive", 200, b"ok\n"),
    ("drip?size=20&interval_ms=1", 200, None),
]


@pytest.fixture(scope="module", params=["http", "https"])
def pair(request):
    with Cas(tls=request.param == "https") as cas:
        with Rig(site([cas.url], sim={"response_timeout": "1s", "idle_timeout": "2s"})) as proxy:
            yield cas, proxy


@pytest.mark.parametrize("before", ["fresh", "reused"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path,status,reason", FAULTS)
def test_fault(pair, path, status, reason, method, before):
    cas, proxy = pair
    body = b"x" * 100 if method == "POST" else None
    if before == "reused":
        with Client(proxy) as c:
            assert c.get("/sim/204").status == 204
    with Client(proxy) as c:
        c.request(method, "/sim/" + path, body=body)
        data, end = settle(c) if status == 0 else (None, None)
        if status:
            r = c.response()
            assert r.status == status and r.body and r.get("Connection") is None
            # Our own answer: the client's connection goes on.
            assert c.get("/sim/204").status == 204
        else:
            # What came of the body may be there; the end must not look like an end.
            assert end == "cut"
            assert b"\r\n0\r\n\r\n" not in data
    assert proxy.end("/sim/" + path.split("?")[0], c) == (status or 200, reason)
    proxy.quiet()


@pytest.mark.parametrize("path,status,body", UNUSUAL)
def test_unusual(pair, path, status, body):
    cas, proxy = pair
    with Client(proxy) as c:
        for _ in range(2):
            r = c.get("/sim/" + path)
            assert r.status == status
            if body is not None:
                assert r.body == body
            if r.get("Connection") == "close":
                assert c.closed()
                break
    assert proxy.end("/sim/" + path.split("?")[0], c) == (status, "ok")
    proxy.quiet()


def test_end_without_close_notify(pair):
    """A body that ends with the connection is whole only when the end was told (RFC 9112 9.8)."""
    cas, proxy = pair
    with Client(proxy) as c:
        c.request("GET", "/sim/no-notify-body")
        if cas.url.startswith("https"):
            assert settle(c)[1] == "cut"
            reason = "backend_closed"
        else:
            assert c.response().body == b"ok\n"
            reason = "ok"
    assert proxy.end("/sim/no-notify-body", c) == (200, reason)
    proxy.quiet()


def test_silent(pair):
    cas, proxy = pair
    with Client(proxy) as c:
        assert c.get("/sim/never").status == 504
        assert c.get("/sim/204").status == 204
    assert proxy.end("/sim/never", c) == (504, "backend_timeout")
    proxy.quiet()


def test_early_refusal_of_an_upload(pair):
    """413 while the body is still coming: the client gets it, then the end."""
    cas, proxy = pair
    with Client(proxy) as c:
        c.request("POST", "/sim/early", [("Content-Length", "100000000")])
        sent, failed = 0, False
        c.sock.settimeout(2 * SLOW)
        try:
            while sent < 3000000:
                c.send(b"x" * 30000)
                sent += 30000
        except OSError:
            failed = True
        c.sock.settimeout(10 * SLOW)
        assert failed or sent
        r = c.head()
        assert r.status == 413
    assert proxy.end("/sim/early", c) == (413, "ok")
    proxy.quiet()


def test_reset_of_an_upload(pair):
    cas, proxy = pair
    with Client(proxy) as c:
        c.request("POST", "/sim/reset-upload", [("Content-Length", "100000000")])
        try:
            for _ in range(100):
                c.send(b"x" * 30000)
        except OSError:
            pass
        assert c.head().status == 502
    assert proxy.end("/sim/reset-upload", c) == (502, "backend_reset")
    proxy.quiet()
