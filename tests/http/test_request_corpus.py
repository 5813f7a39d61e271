"""Every malformed request, to a real Postern: one answer, the connection closed, one line in the access log, nothing at the
backend; alone, with a smuggled request behind, behind a good request, and where credentials are asked for.
"""
import pytest
from corpus import requests as corpus
from harness import DIRECTORY, Client, Origin, Proxy, basic, config, wait_until

CASES = [pytest.param(*case, id=case[0]) for case in corpus.CASES]
HEADS = [pytest.param(*case, id=case[0]) for case in corpus.CASES if not case[0].startswith("chunk: ")]
CHUNKS = [pytest.param(*case, id=case[0]) for case in corpus.CASES if case[0].startswith("chunk: ")]
ALICE = ("alice", "correct horse battery")


@pytest.fixture(scope="module")
def open_site():
    with Origin() as origin, Proxy(config([origin.url])) as proxy:
        yield origin, proxy


@pytest.fixture(scope="module")
def closed_site():
    with Origin() as origin, Proxy(config([origin.url], "{basic: corp}", DIRECTORY), users=dict([ALICE])) as proxy:
        yield origin, proxy


def send(client, data):
    """A refusal may come, and the connection may close, while a large request is still being sent."""
    try:
        client.send(data)
    except OSError:
        pass


def refused(client, expected, closes):
    response = client.response()
    assert response.status in (expected if isinstance(expected, set) else {expected})
    assert not closes or response.get("Connection") == "close"
    assert not closes or client.closed()
    assert client.wire.buffer == b"", "a second answer"
    return response


def logged(proxy, client, status, reason):
    lines = proxy.access(1, client=client)
    assert [(line["status"], line["reason"]) for line in lines] == [(status, reason)]


@pytest.mark.parametrize("name,raw,expected,closes", HEADS)
@pytest.mark.parametrize("followed", [False, True], ids=["alone", "followed"])
def test_head_never_reaches_the_interior(open_site, name, raw, expected, closes, followed):
    origin, proxy = open_site
    before = origin.touched()
    with Client(proxy) as client:
        send(client, corpus.followed(raw) if followed else raw)
        response = refused(client, expected, closes)
    logged(proxy, client, response.status, corpus.reason(name))
    assert origin.touched() == before


@pytest.mark.parametrize("name,raw,expected,closes", HEADS)
def test_head_behind_a_good_request(open_site, name, raw, expected, closes):
    origin, proxy = open_site
    before = len(origin.requests)
    with Client(proxy) as client:
        send(client, corpus.GET + corpus.END + corpus.followed(raw))
        assert client.response().status == 200
        # blank lines behind a message are let pass (RFC 9112 2.2), as many as before one
        response = refused(client, expected, closes)
    lines = proxy.access(2, client=client)
    assert [(line["status"], line["reason"]) for line in lines] == [(200, "ok"), (response.status, corpus.reason(name))]
    assert len(origin.requests) == before + 1


@pytest.mark.parametrize("name,raw,expected,closes", CHUNKS)
def test_bad_chunk_ends_the_request(open_site, name, raw, expected, closes):
    """The head has a right to reach the backend; the backend must never see an end of the body, nor what is behind."""
    origin, proxy = open_site
    before = len(origin.requests)
    head, body = raw.split(b"\r\n\r\n", 1)
    arrived = origin.touched()[1]
    with Client(proxy) as client:
        client.send(head + b"\r\n\r\n5\r\nhello\r\n")
        assert wait_until(lambda: origin.touched()[1] > arrived)
        send(client, body + corpus.SMUGGLED)
        response = refused(client, expected, closes)
    logged(proxy, client, response.status, "bad_chunk")
    with Client(proxy) as client:
        assert client.get("/owa/after").status == 200
    assert [r.target for r in origin.requests[before:]] == ["/owa/after"]


@pytest.mark.parametrize("name,raw,expected,closes", CASES)
@pytest.mark.parametrize("followed", [False, True], ids=["alone", "followed"])
def test_nothing_passes_without_credentials(closed_site, name, raw, expected, closes, followed):
    origin, proxy = closed_site
    chunk = name.startswith("chunk: ")
    with Client(proxy) as client:
        send(client, corpus.followed(raw) if followed else raw)
        response = refused(client, 401 if chunk else expected, closes)
    logged(proxy, client, response.status, "auth_missing" if chunk else corpus.reason(name))
    assert origin.touched() == (0, 0)


def test_the_closed_site_does_open(closed_site):
    """Else the tests above would prove nothing."""
    origin, proxy = closed_site
    with Client(proxy) as client:
        assert client.get("/owa/", [basic(*ALICE)]).status == 200
    assert origin.touched()[0] == 1
