"""Every malformed answer of a backend: 502 and the reason, or an answer that shows itself to be incomplete; never a byte of what
stands behind the malformed part, and the connection is not used again.
"""
import threading

import pytest
from corpus import responses as corpus
from harness import Client, Origin, Proxy, config

CASES = [pytest.param(*case, False, id=case[0] + "-closing") for case in corpus.CASES]
# the backend does not close; where only the end shows the fault that makes no sense
CASES += [pytest.param(*case, True, id=case[0] + "-staying") for case in corpus.CASES
          if "closed " not in case[0] and case[0] != "nothing"]
# how each of them ends in the access log, where it is not backend_bad_response
REASONS = {"head of 2 MB": "backend_head_too_large", "closed in the status line": "backend_closed",
           "closed in the head": "backend_closed", "nothing": "backend_closed",
           "body: closed in a chunk": "backend_closed", "body: closed between chunks": "backend_closed",
           "body: closed before the last LF": "backend_closed", "body: closed before the length": "backend_closed"}


class Script:
    """What the origin answers next; keeps the connection open when asked to, to see whether it is used again."""

    def __init__(self):
        self.raw, self.keep = b"", False

    def __call__(self, request, wire, sock):
        if request.target == "/owa/after":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        sock.sendall(self.raw)
        if not self.keep:
            return False
        try:
            wire.fill()  # the proxy must close; another request here would be answered with "reused"
        except OSError:
            return False
        return not wire.eof and b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nreused"


@pytest.fixture(scope="module")
def site():
    script = Script()
    with Origin(script) as origin, Proxy(config([origin.url])) as proxy:
        yield origin, proxy, script


def whole(client):
    """The answer, and whether the client can take it for a complete one."""
    response = client.head()
    try:
        if (response.get("Transfer-Encoding") or "").lower() == "chunked":
            response.body = b"".join(client.wire.chunks())
        else:
            response.body = client.wire.exactly(int(response.get("Content-Length")))
        return response, True
    except (EOFError, OSError):
        return response, False


@pytest.mark.parametrize("name,raw,expected,keep", CASES)
def test_bad_answer(site, name, raw, expected, keep):
    origin, proxy, script = site
    script.raw, script.keep = raw, keep
    with Client(proxy) as client:
        client.request("GET", "/owa/bad")
        response, complete = whole(client)
        if expected == 502:
            assert response.status == 502 and complete
            assert b"hello" not in response.body and b"garbage" not in response.body
        else:
            assert response.status in expected
            assert response.status == 502 or not complete, "an incomplete answer was passed off as complete"
        assert b"X-Smuggled" not in client.wire.raw and b"Set-Cookie: x=y" not in client.wire.raw
    line = proxy.access(client=client)
    assert [x["reason"] for x in line] == [REASONS.get(name, "backend_bad_response")]
    with Client(proxy) as client:
        response = client.get("/owa/after")
        assert response.status == 200 and response.body == b"ok"


def test_a_second_answer_is_never_anybodys(site):
    """An answer and a half in one write: the half must not become the next client's."""
    origin, proxy, script = site
    script.keep = False
    script.raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    for _ in range(5):
        with Client(proxy) as client:
            assert client.get("/owa/first").body == b"ok"
            assert client.get("/owa/first").body == b"ok"


def test_a_late_answer_is_never_anybodys():
    """Bytes that nobody asked for, on an idle connection."""
    sent = threading.Event()

    def late(request, wire, sock):
        if request.target == "/owa/late":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            sent.set()
            return None
        return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
    with Origin(late) as origin, Proxy(config([origin.url])) as proxy:
        for _ in range(20):
            sent.clear()
            with Client(proxy) as client:
                assert client.get("/owa/late").body == b"ok"
                assert sent.wait(5)
                assert client.get("/owa/next").body == b"good"
        assert len(origin.requests) == 40
