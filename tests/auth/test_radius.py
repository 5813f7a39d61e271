"""type: radius against freeradius and against a scripted server."""
import pytest

from directories import made
from radius import (ACCEPT, CHALLENGE, REJECT, SECRET, FreeRadius, RadiusResponder, answer, attribute, nap)

OK = ("ok", "ok")
INVALID = ("wrong", "invalid")
UNKNOWN = ("wrong", "unknown_user")
ALIEN = ("unavailable", "bad_answer")


@pytest.fixture(scope="module")
def freeradius():
    s = FreeRadius()
    yield s
    s.close()


@pytest.fixture
def responder():
    yield from made(RadiusResponder)


def directory(*servers, more=""):
    lines = ["  d:", "    type: radius", "    servers: [%s]" % ", ".join('"radius://127.0.0.1:%d"' % (
        s if isinstance(s, int) else s.port) for s in servers), "    secret_file: radius.secret"]
    return "\n".join(lines + ["    " + line for line in more.split("\n") if line])


def accept(q, n):
    return [answer(q, ACCEPT)]


# ---- a real server ----

def test_passwords(freeradius, asker):
    a = asker(directory(freeradius))
    assert a.ask("alice", "secret") == OK
    assert a.ask("alice", "Secret") == INVALID
    assert a.ask("nobody", "secret") == INVALID
    assert a.ask("CORP\\bob", "word") == OK
    assert a.ask("bob", "word") == INVALID
    assert a.ask("müller", "pässword") == OK
    assert a.ask("long", "x" * 128) == OK
    assert a.ask("long", "x" * 127) == INVALID
    assert a.ask("long", "x" * 129) == INVALID
    assert a.ask("alice", "") == INVALID


def test_who_asks(freeradius, asker):
    """The server's policy can look at the client's address and at who asks it; `asker` asks for 192.0.2.7."""
    a = asker(directory(freeradius))
    assert a.ask("here", "secret") == OK
    assert a.ask("elsewhere", "secret") == INVALID


def test_groups(freeradius, asker):
    a = asker(directory(freeradius), [("d", ["nobody", "mail"]), ("d", ["staff"])])
    answer_ = a.ask("alice", "secret")
    assert answer_ == OK and answer_.groups == 6
    assert a.ask("CORP\\bob", "word").groups == 0


def test_user_name(freeradius, asker):
    a = asker(directory(freeradius, more="bind_as: 'CORP\\{user}'\ndomains: [CORP]"))
    assert a.ask("bob", "word") == OK
    assert a.ask("OTHER\\bob", "word") == UNKNOWN


def test_another_secret(freeradius, asker):
    a = asker(directory(freeradius, more="answer_timeout: 500ms"))
    a.file("radius.secret", "not the secret of the server\n")
    a.reload()
    assert a.ask("alice", "secret").verdict in ("timeout", "unavailable")
    assert "PO-AUTH-0001" in a.log() and "secret=" not in a.log()


def test_server_that_does_not_sign(asker):
    """freeradius as Debian 12 ships it answers passwords without a Message-Authenticator: refused, and the log says why."""
    s = FreeRadius(sign=False)
    try:
        a = asker(directory(s, more="answer_timeout: 500ms"))
        assert a.ask("alice", "secret") == ALIEN
        assert "Message-Authenticator" in a.log()
    finally:
        s.close()


def test_server_that_stops_while_asked(asker):
    first, second = FreeRadius(), FreeRadius()
    try:
        a = asker(directory(first, second, more="answer_timeout: 2s"))
        a.many("alice", "secret", 100, 8)
        first.stop()
        assert a.wait() == {"ok": 800}
        a.many("alice", "secret", 100, 8)
        a.reload()
        assert a.wait() == {"ok": 800}
    finally:
        first.close()
        second.close()


# ---- what is sent ----

def test_question(responder, asker):
    r = responder(accept)
    a = asker(directory(r, more="nas_identifier: gate"))
    assert a.ask("alice", "a password of more than sixteen octets") == OK
    q = r.questions[0]
    assert q.code == 1 and len(q.data) == int.from_bytes(q.data[2:4], "big")
    assert q.is_signed(SECRET.encode()), "Message-Authenticator first, and right"
    assert q.get(1) == b"alice" and q.get(32) == b"gate" and q.get(61) == b"\0\0\0\5"
    assert q.get(31) == b"192.0.2.7"
    assert q.password(SECRET.encode()) == b"a password of more than sixteen octets" and b"password" not in q.data
    a.ask("alice", "secret")
    assert r.questions[1].authenticator != q.authenticator


def test_repeated_and_lost(responder, asker):
    """The same packet again, until an answer comes."""
    r = responder(lambda q, n: [answer(q, ACCEPT)] if n == 3 else [])
    a = asker(directory(r, more="answer_timeout: 900ms\nattempts: 3"))
    assert a.ask("alice", "secret") == OK
    assert len(r.questions) == 3 and len({q.data for q in r.questions}) == 1


def test_silent_server(responder, asker):
    r, other = responder(lambda q, n: []), responder(accept)
    a = asker(directory(r, other, more="answer_timeout: 300ms\nattempts: 2\nretry_after: 1h"))
    for _ in range(3):
        assert a.ask("alice", "secret") == OK
    assert len(r.questions) == 2 and len(other.questions) == 3
    assert a.log().count("PO-AUTH-0001") == 1


def test_nobody_there(responder, asker):
    r = responder(accept)
    r.close()
    a = asker(directory(r.port, more="answer_timeout: 30s"))
    answer_ = a.ask("alice", "secret", ms=20000)
    assert answer_ == ("unavailable", "unreachable"), "the ICMP error ends the waiting"


def test_deadline_of_the_whole(responder, asker):
    servers = [responder(lambda q, n: []) for _ in range(3)]
    a = asker(directory(*servers, more="answer_timeout: 60s\nattempts: 1"))
    assert a.ask("alice", "secret", ms=800) == ("timeout", "timed_out")
    assert all(len(r.questions) == 1 for r in servers)


# ---- what comes back ----

def test_reject_and_challenge(responder, asker):
    assert asker(directory(responder(lambda q, n: [answer(q, REJECT)]))).ask("alice", "x") == INVALID
    r = responder(lambda q, n: [answer(q, CHALLENGE, attribute(18, b"code?") + attribute(24, b"state"))])
    assert asker(directory(r)).ask("alice", "x") == ("wrong", "challenged")


def forged(q, code):
    """The Response Authenticator right (which MD5 collisions make possible without the secret), the rest as an attacker can."""
    return answer(q, code, sign=False)


BAD = {
    "no Message-Authenticator": lambda q: forged(q, ACCEPT),
    "another secret": lambda q: answer(q, ACCEPT, secret=b"guess"),
    "Message-Authenticator of another packet": lambda q: _with(q, attribute(80, b"\1" * 16)),
    "two of them": lambda q: answer(q, ACCEPT, attribute(80, bytes(16))),
    "a short one": lambda q: _with(q, attribute(80, b"\0" * 15)),
    "Response Authenticator wrong": lambda q: _spoil(answer(q, ACCEPT), 4),
    "a reject made an accept": lambda q: bytes([ACCEPT]) + answer(q, REJECT)[1:],
    "an attribute too long": lambda q: _with(q, attribute(80, bytes(16)) + b"\x12\x20abc"),
    "an attribute of no length": lambda q: _with(q, attribute(80, bytes(16)) + b"\x12\x00"),
    "an attribute cut off": lambda q: _with(q, b"\x12"),
}
FOREIGN = {
    "another number": lambda q: answer(q, ACCEPT, number=q.id ^ 1),
    "another code": lambda q: answer(q, 5),
    "a question": lambda q: q.data,
    "cut": lambda q: answer(q, ACCEPT)[:19],
    "longer than the datagram": lambda q: answer(q, ACCEPT, length=4000),
    "shorter than a head": lambda q: answer(q, ACCEPT, length=10),
    "empty": lambda q: b"",
}


def _with(q, body):
    import hashlib
    head = bytes([ACCEPT, q.id]) + (len(body) + 20).to_bytes(2, "big")
    return head + hashlib.md5(head + q.authenticator + body + SECRET.encode()).digest() + body


def _spoil(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


@pytest.mark.parametrize("name", BAD)
def test_not_authentic(responder, asker, name):
    r = responder(lambda q, n: [BAD[name](q)])
    a = asker(directory(r, more="answer_timeout: 300ms\nattempts: 1"))
    assert a.ask("alice", "secret") == ALIEN
    assert "not authentic" in a.log()


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign(responder, asker, name):
    r = responder(lambda q, n: [FOREIGN[name](q)])
    a = asker(directory(r, more="answer_timeout: 300ms\nattempts: 1"))
    assert a.ask("alice", "secret") == ("timeout", "timed_out")


@pytest.mark.parametrize("name", list(BAD) + list(FOREIGN))
def test_the_right_answer_still_counts(responder, asker, name):
    """Whoever can send datagrams cannot keep the server's from being heard."""
    r = responder(lambda q, n: [{**BAD, **FOREIGN}[name](q), answer(q, REJECT)])
    assert asker(directory(r, more="attempts: 1")).ask("alice", "secret") == INVALID


def test_octets_behind_the_packet_are_ignored(responder, asker):
    r = responder(lambda q, n: [answer(q, ACCEPT) + b"padding"])
    assert asker(directory(r)).ask("alice", "secret") == OK


def test_late_answer_is_not_taken_for_another(responder, asker):
    """The answer to the question before comes when the next one waits: another socket, another authenticator."""
    late = []

    def reply(q, n):
        if n == 1:
            late.append(answer(q, ACCEPT))
            return []
        return late + [answer(q, REJECT)]

    r = responder(reply)
    a = asker(directory(r, more="answer_timeout: 300ms\nattempts: 1"))
    assert a.ask("alice", "secret").verdict == "timeout"
    nap(0.1)
    assert a.ask("bob", "wrong") == INVALID
