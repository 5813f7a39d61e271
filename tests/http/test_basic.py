"""Basic pre-authentication at the gate: when it answers, whom it takes, what the backend is told."""
import base64

import pytest
from harness import DIRECTORY, SLOW, Client, Origin, Proxy, answer, basic, config, secret

USERS = {"alice": "correct horse battery", "m\xfcller": "gr\xfc\xdfe vom M\xe4uschen"}
ALICE = basic("alice", USERS["alice"])
SERVICE = ("svc-proxy", "service account's own")
RPC = "/rpc/rpcproxy.dll?mail.example.com:6001"


def site(origin, delegate="as_sent", more=""):
    return Proxy(config([origin.url], "{basic: corp}", DIRECTORY) + "    delegate: %s\n%s" % (delegate, more), users=USERS)


@pytest.fixture(scope="module")
def origin():
    with Origin() as o:
        yield o


@pytest.fixture(scope="module")
def proxy(origin):
    with site(origin, more="    realm: Mail of Example\n") as p:
        yield p


def ask(proxy, fields, target="/owa/"):
    with Client(proxy) as client:
        response = client.get(target, fields)
        return response, proxy.access(client=client)[0]


# ---- before the body

@pytest.mark.parametrize("method,target,framing", [
    ("RPC_IN_DATA", RPC, "Content-Length: 1073741824"), ("POST", "/ews/exchange.asmx", "Content-Length: 100000000"),
    ("POST", "/ews/exchange.asmx", "Transfer-Encoding: chunked")], ids=["rpc of 1 GiB", "length", "chunked"])
def test_401_before_the_body(proxy, origin, method, target, framing):
    """Not one byte of the body has been sent when the answer is there; too much was announced to go on, so it closes."""
    before = origin.touched()
    with Client(proxy) as client:
        client.send(("%s %s HTTP/1.1\r\nHost: mail.example.com\r\n%s\r\n\r\n" % (method, target, framing)).encode())
        response = client.response()
        assert (response.status, response.get("Connection")) == (401, "close")
        assert client.closed()
        line = proxy.access(client=client)[0]
    assert (line["reason"], line["bytes_in"]) == ("auth_missing", 0)
    assert origin.touched() == before


@pytest.mark.parametrize("length", [0, 5, 60000])
def test_401_keeps_the_connection_where_the_body_is_small(proxy, length):
    """NTLM and Basic clients try once without credentials and again on the same connection."""
    with Client(proxy) as client:
        client.request("POST", "/ews/exchange.asmx", body=b"a" * length)
        first = client.response()
        assert (first.status, first.get("Connection")) == (401, None)
        client.request("POST", "/ews/exchange.asmx", [ALICE], body=b"b" * length)
        assert client.response().status == 200


def test_expectation_is_not_met_without_credentials(proxy):
    with Client(proxy) as client:
        client.send(b"POST /owa/ HTTP/1.1\r\nHost: mail.example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        response = client.response()
        assert (response.status, response.get("Connection")) == (401, "close")
        assert b"HTTP/1.1 100" not in client.wire.raw and client.closed()


def test_the_challenge(proxy):
    response, _ = ask(proxy, [])
    assert response.all("WWW-Authenticate") == ['Basic realm="Mail of Example", charset="UTF-8"']


def test_body_waits_for_the_verdict(proxy, origin):
    """It is sent together with the head, and arrives whole when the directory has said yes."""
    with Client(proxy) as client:
        for i in range(5):
            body = b"%d" % i * 50000
            client.request("POST", "/ews/exchange.asmx", [ALICE], body)
            assert client.response().status == 200
            assert origin.requests[-1].body == body


def test_every_request_is_proved(proxy, origin):
    """A connection is nobody's: what one request proved says nothing of the next."""
    with Client(proxy) as client:
        assert client.get("/owa/", [ALICE]).status == 200
        before = origin.touched()
        assert client.get("/owa/").status == 401
        assert client.get("/owa/", [basic("alice", "wrong password")]).status == 401
        assert origin.touched() == before
        assert client.get("/owa/", [ALICE]).status == 200


# ---- who

@pytest.mark.parametrize("name", ["alice", "ALICE", "CORP\\alice", "corp\\Alice", "alice@corp.example.com", "Alice@CORP"])
def test_names_in_three_forms(proxy, origin, name):
    field = basic(name, USERS["alice"])
    response, line = ask(proxy, [field])
    assert (response.status, line["user"], line["auth"]) == (200, name, "ok")
    assert origin.requests[-1].all("Authorization") == [field[1]], "as it was sent"


@pytest.mark.parametrize("name,password,reason", [
    ("alice", "Correct horse battery", "auth_failed"), ("alice", "correct horse batter", "auth_failed"),
    ("alice", "correct horse battery ", "auth_failed"), ("bob", "correct horse battery", "auth_failed"),
    ("", "correct horse battery", "auth_empty"), ("alice", "", "auth_empty"), ("CORP\\", "correct horse battery", "auth_empty"),
    ("alice", "a" * 300, "auth_malformed")],
    ids=["case", "short", "space", "unknown", "no name", "no password", "domain alone", "long"])
def test_refused(proxy, origin, name, password, reason):
    before = origin.touched()
    response, line = ask(proxy, [basic(name, password)])
    assert (response.status, line["reason"]) == (401, reason)
    assert origin.touched() == before


@pytest.mark.parametrize("value,reason", [
    ("Basic", "auth_malformed"), ("Basic !!!!", "auth_malformed"), ("Basic " + base64.b64encode(b"nocolon").decode(), "auth_malformed"),
    ("Basic " + base64.b64encode(b"alice:a\0b").decode(), "auth_malformed"), ("Bearer abcdef", "auth_missing"), ("Digest a=b", "auth_missing"),
    ("NTLM TlRMTVNTUAABAAAA", "auth_missing"), ("", "auth_missing")])
def test_no_basic(proxy, origin, value, reason):
    before = origin.touched()
    response, line = ask(proxy, [("Authorization", value)])
    assert (response.status, line["reason"]) == (401, reason)
    assert origin.touched() == before


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_umlauts_in_both_charsets(proxy, origin, charset):
    """Old clients send ISO-8859-1 (RFC 7617 2.1); the backend gets the octets that the client sent."""
    field = basic("m\xfcller", USERS["m\xfcller"], charset)
    response, line = ask(proxy, [field])
    assert (response.status, line["reason"]) == (200, "ok")
    assert origin.requests[-1].all("Authorization") == [field[1]]


# ---- what the backend is told

def test_delegate_none(origin):
    with site(origin, "none") as proxy:
        assert ask(proxy, [ALICE])[0].status == 200
        assert origin.requests[-1].all("Authorization") == []


def test_delegate_account(origin, tmp_path):
    secret(SERVICE[1])
    password = tmp_path / "service.pass"
    password.write_text(SERVICE[1] + "\n")
    with site(origin, "{user: %s, password_file: %s}" % (SERVICE[0], password)) as proxy:
        response, line = ask(proxy, [ALICE])
        assert (response.status, line["user"]) == (200, "alice")
        assert origin.requests[-1].all("Authorization") == [basic(*SERVICE)[1]]
        assert ask(proxy, [basic(*SERVICE)])[0].status == 401, "the account opens the interior, not the gate"


def test_no_offers_that_lead_nowhere(origin):
    """The backend's offers of NTLM and Negotiate cannot be taken up by a client that proved itself here."""
    def handler(request, wire, sock):
        return answer(401, b"no", [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "NTLM"), ("WWW-Authenticate", "Basic realm=\"x\"")])
    with Origin(handler) as other, site(other) as proxy, Client(proxy, timeout=10 * SLOW) as client:
        response = client.get("/owa/", [ALICE])
        assert response.status == 401
        assert [v.split(" ")[0] for v in response.all("WWW-Authenticate")] == ["Basic"]
