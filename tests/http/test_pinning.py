"""Connection-bound authentication: two users never meet each other's backend connection.

postern-cas binds a connection to the user of an NTLM type 3 message and tells in every answer for whom the connection stands
(X-Sim-Connection-User). It verifies nothing: so an answer for another user is our fault alone.
"""
import copy
import os
import random
import threading
import time

import pytest

from harness import SLOW, Client, Origin, answer, wait_until
from rig import Cas, Rig, in_threads, ntlm, settle, site

BASIC = ("Authorization", "Basic YTph")


@pytest.fixture(scope="module", params=["http", "https"])
def cas(request):
    with Cas("--offer-ntlm", tls=request.param == "https") as c:
        yield c


@pytest.fixture
def proxy(cas):
    with Rig(site([cas.url])) as p:
        yield p


def prove(client, user, path="/owa/"):
    one, three = ntlm(user)
    r = client.get(path, [one])
    assert r.status == 401 and r.get("WWW-Authenticate").startswith("NTLM ") and r.get("Connection") is None
    r = client.get(path, [three])
    assert r.status == 200 and r.get("X-Sim-Connection-User") == user
    return r


def pinned(proxy):
    return proxy.metrics()["postern_backend_connections_pinned"]


def test_bound_for_both_lives(proxy):
    with Client(proxy) as c:
        assert {x.split()[0] for x in c.get("/owa/").all("WWW-Authenticate")} == {"Basic", "NTLM", "Negotiate"}
        prove(c, "anna")
        assert pinned(proxy) == 1
        # Whatever it asks for, by whichever service and with whatever credentials or none, goes to its own connection.
        for path, fields in [("/owa/", []), ("/ews/exchange.asmx", []), ("/owa/", [BASIC]), ("/oab/oab.xml", [])]:
            assert c.get(path, fields).get("X-Sim-Connection-User") == "anna"
        with Client(proxy) as d:
            r = d.get("/owa/", [BASIC])
            assert r.status == 200 and r.get("X-Sim-Connection-User") is None
            r = d.get("/owa/")
            assert r.status == 401 and r.get("X-Sim-Connection-User") is None
    proxy.quiet()
    assert proxy.metrics()["postern_backend_connections_idle"] == 1  # d's, not c's


def test_from_the_first_message_on(proxy):
    """Bound by the request, not by its success: the server may count the connection as somebody's from there on."""
    with Client(proxy) as c:
        assert c.get("/owa/", [ntlm("anna")[0]]).status == 401
        assert pinned(proxy) == 1
        assert c.get("/sim/204").status == 204
        assert pinned(proxy) == 1
    m = proxy.quiet()
    assert m["postern_backend_connections_idle"] == 0


@pytest.mark.parametrize("scheme", ["NTLM", "ntlm", "Negotiate", "NEGOTIATE", "Kerberos"])
def test_schemes(proxy, scheme):
    with Client(proxy) as c:
        c.get("/sim/204", [("Authorization", scheme + " TlRMTVNTUAABAAAA")])
        assert pinned(proxy) == (0 if scheme == "Kerberos" else 1)
    proxy.quiet()


def test_pooled_connection_becomes_bound(proxy):
    """An idle connection may be taken for it; then it never goes back."""
    with Client(proxy) as c:
        assert c.get("/sim/204").status == 204
    assert wait_until(lambda: proxy.metrics()["postern_backend_connections_idle"] == 1)
    with Client(proxy) as c:
        prove(c, "anna")
        assert proxy.metrics()["postern_backend_connections_open"] == 1
    m = proxy.quiet()
    assert m["postern_backend_connections_open"] == 0


def test_server_closes(proxy):
    """The server ends what the client was proved on: the client's connection ends too, and it starts anew."""
    with Client(proxy) as c:
        prove(c, "anna")
        r = c.get("/sim/no-keep-alive")
        assert r.status == 200
        assert settle(c)[0] == b""
    with Client(proxy) as c:
        prove(c, "anna")
        assert c.get("/sim/reset").status == 502
        assert settle(c)[0] == b""
    proxy.quiet()


def test_server_closes_between_requests():
    """Seen although nothing is asked: the next request must not go out on another connection as nobody."""
    socks = []

    def ntlm_server(request, wire, sock):
        socks.append(sock)
        return answer(200, b"ok")

    with Origin(ntlm_server) as origin, Rig(site([origin.url])) as proxy:
        with Client(proxy) as c:
            assert c.get("/sim/x", [ntlm("anna")[0]]).status == 200
            socks[-1].shutdown(2)
            assert settle(c) == (b"", "end")
        proxy.quiet()


def test_never_sent_again():
    """A bound connection that breaks under a request is not replaced, whatever the method."""
    def falls_silent(request, wire, sock):
        return answer(200, b"ok") if len(origin.requests) == 1 else False

    with Origin(falls_silent) as origin, Rig(site([origin.url])) as proxy:
        with Client(proxy) as c:
            assert c.get("/sim/x", [ntlm("anna")[0]]).status == 200
            assert c.get("/sim/x").status == 502
            assert settle(c)[0] == b""
        assert len(origin.requests) == 2 and origin.connections == 1
        proxy.quiet()


def test_pipelined(proxy):
    """The whole handshake and more in one write."""
    one, three = ntlm("anna")
    text = "".join("GET /owa/ HTTP/1.1\r\nHost: mail.example.com\r\n%s\r\n" % x
                   for x in ["%s: %s\r\n" % one, "%s: %s\r\n" % three] + [""] * 10)
    with Client(proxy) as c:
        c.send(text.encode())
        assert c.response().status == 401
        for _ in range(11):
            assert c.response().get("X-Sim-Connection-User") == "anna"
    proxy.quiet()


def test_body_before_the_challenge(proxy):
    """Exchange refuses the body of a type 1 request at once; the connection stays the client's."""
    one, three = ntlm("anna")
    with Client(proxy) as c:
        c.request("POST", "/ews/exchange.asmx", [one], body=b"")
        assert c.response().status == 401
        c.request("POST", "/ews/exchange.asmx", [three], body=b"<x/>" * 5000)
        assert c.response().get("X-Sim-Connection-User") == "anna"
    proxy.quiet()


def test_two_backends():
    """A connection bound at one backend is no reason to send another backend's requests there."""
    with Cas() as one, Cas() as two:
        conf = site([one.url])
        conf["backends"]["other"] = dict(conf["backends"]["origin"], servers=[two.url])
        conf["publish"][0]["services"] = ["owa"]
        conf["publish"].append(dict(conf["publish"][0], to="other", services=["ews"]))
        with Rig(conf) as proxy:
            with Client(proxy) as c:
                prove(c, "anna")
                assert c.get("/ews/exchange.asmx", [BASIC]).get("X-Sim-Connection-User") is None
                assert c.get("/owa/").get("X-Sim-Connection-User") == "anna"
                # Proved at the second one, it is bound there; the first is given up rather than kept for later.
                prove(c, "berta", "/ews/exchange.asmx")
                assert pinned(proxy) == 1
                assert c.get("/ews/exchange.asmx").get("X-Sim-Connection-User") == "berta"
                assert c.get("/owa/").status == 401
            proxy.quiet()


def test_basic_here_and_ntlm_offered_there():
    """After Basic here, the backend's offer of NTLM leads nowhere: it is not passed on."""
    with Cas("--offer-ntlm") as cas:
        conf = site([cas.url], directories={"corp": {"type": "user_file", "path": "{dir}/users"}})
        conf["publish"][0].update(authenticate={"basic": "corp"}, delegate="none")
        from harness import basic
        with Rig(conf, users={"anna": "correct horse"}) as proxy:
            with Client(proxy) as c:
                r = c.get("/owa/", [basic("anna", "correct horse")])
                assert r.status == 502 and r.get("WWW-Authenticate") is None  # `delegate: none`: no password could help
                assert pinned(proxy) == 0
            proxy.quiet()


# ---- hammering ----

class User:
    """One client that does something at random until it is told to stop; every answer must be its own."""

    def __init__(self, proxy, name, seed, stop):
        self.proxy, self.name, self.random, self.stop = proxy, name, random.Random(seed), stop
        self.answers, self.bound_answers, self.wrong = 0, 0, []

    def run(self):
        while not self.stop.is_set():
            try:
                c = Client(self.proxy, timeout=10)
            except OSError:
                continue
            with c:
                self.connection(c)

    def connection(self, c):
        try:
            bound = self.random.random() < 0.7
            if bound and not self.handshake(c):
                return
            for _ in range(self.random.randrange(1, 12)):
                if not self.random.choice([self.one, self.one, self.pipeline, self.upload, self.fault, self.again])(c, bound):
                    return
            if self.random.random() < 0.3:
                self.leave(c)
        except (OSError, EOFError, ValueError, IndexError):
            pass  # resets are part of the game; what counts is whose answers come

    def take(self, c, bound, size=None):
        r = c.response()
        if size is not None and r.status == 200 and len(r.body) != size:
            self.wrong.append((self.name, bound, "another's answer", size, len(r.body)))
        who = r.get("X-Sim-Connection-User")
        self.answers += 1
        if who is not None:
            self.bound_answers += 1
        # Nobody's answers (of Postern itself, or of a connection that is not bound) are fine where nobody was proved.
        if (who is not None and who != self.name) or (who is not None and not bound):
            self.wrong.append((self.name, bound, who, r.line))
            self.stop.set()
        return r.get("Connection") != "close"

    def handshake(self, c):
        one, three = ntlm(self.name)
        path = self.random.choice(["/owa/", "/ews/exchange.asmx", "/sim/204"])
        if self.random.random() < 0.3:  # pipelined
            c.send(("GET %s HTTP/1.1\r\nHost: mail.example.com\r\n%s: %s\r\n\r\n" % ((path,) + one)).encode() +
                   ("GET %s HTTP/1.1\r\nHost: mail.example.com\r\n%s: %s\r\n\r\n" % ((path,) + three)).encode())
            if not self.take(c, True):
                return False
        else:
            c.request("GET", path, [one])
        if not self.take(c, True):
            return False
        if self.random.random() < 0.1:
            return self.leave(c)
        c.request("GET", path, [three])
        return self.take(c, True)

    def one(self, c, bound):
        path = self.random.choice(["/owa/", "/owa/bytes?size=%d" % self.random.randrange(200000), "/oab/oab.xml", "/sim/204",
                                   "/ews/exchange.asmx"])
        c.request("GET", path, [] if bound or self.random.random() < 0.3 else [BASIC])
        return self.take(c, bound, int(path.split("=")[1]) if "=" in path else None)

    def pipeline(self, c, bound):
        n = self.random.randrange(2, 6)
        c.send(b"GET /owa/ HTTP/1.1\r\nHost: mail.example.com\r\n%s\r\n" % (b"" if bound else b"Authorization: Basic YTph\r\n")
               * n)
        for _ in range(self.random.randrange(n + 1)):
            if not self.take(c, bound):
                return False
        return self.leave(c)

    def upload(self, c, bound):
        n = self.random.randrange(100000)
        c.request("POST", "/owa/sink", [("Content-Length", str(n))] + ([] if bound else [BASIC]))
        cut = self.random.random() < 0.2
        c.send(b"x" * (n // 2 if cut else n))
        if cut:
            return self.leave(c)
        return self.take(c, bound)

    def fault(self, c, bound):
        c.request("GET", "/sim/" + self.random.choice(["reset", "half-head", "truncated", "reset-body", "no-keep-alive", "never"]))
        if self.random.random() < 0.5:
            return self.leave(c)
        c.sock.settimeout(0.05)
        return self.take(c, bound)

    def again(self, c, bound):
        """Whoever was proved proves it anew, or goes on after a pause."""
        if bound and self.random.random() < 0.5:
            return self.handshake(c)
        time.sleep(self.random.random() * 0.01)
        return True

    def leave(self, c):
        """Anywhere in the middle: by RST, by a torn request, or without a word."""
        how = self.random.randrange(3)
        if how == 0:
            c.reset()
        elif how == 1:
            c.send(b"GET /owa/ HTTP/1.1\r\nHost: mail.exa")
        return False


def hammer(proxy, users, seconds, seed=None, meanwhile=None):
    seed = seed if seed is not None else int.from_bytes(os.urandom(4), "big")
    stop = threading.Event()
    crowd = [User(proxy, "user%d" % i, seed * 1000 + i, stop) for i in range(users)]
    threads = [threading.Thread(target=u.run, daemon=True) for u in crowd]
    for t in threads:
        t.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop.is_set():
        time.sleep(0.1)
        if meanwhile:
            meanwhile()
    stop.set()
    for t in threads:
        t.join(30 * SLOW)
    wrong = [w for u in crowd for w in u.wrong]
    assert not wrong, (seed, wrong)
    return sum(u.answers for u in crowd), sum(u.bound_answers for u in crowd)


@pytest.mark.parametrize("workers", [1, 2])
def test_hammered(cas, workers):
    """Thousands of requests of eight users at random, with resets anywhere, while the configuration is reloaded."""
    seconds = float(os.environ.get("POSTERN_TEST_HAMMER", "6"))
    # Who leaves with a request behind one that is never answered is not seen to leave: a second, then.
    conf = site([cas.url, cas.url.replace("127.0.0.1", "localhost")], workers=workers, sim={"response_timeout": "1s"},
                limits={"requests_per_connection": 40}, backend={"idle_connections": 8})
    with Rig(conf) as proxy:
        turn = [0]

        def reload_now_and_then():
            turn[0] += 1
            if turn[0] % 10 == 0:
                proxy.reload()

        answers, bound = hammer(proxy, 8, seconds, meanwhile=reload_now_and_then)
        print("%d answers, %d of them on bound connections" % (answers, bound))
        assert answers > 20 * seconds / SLOW and bound > 5 * seconds / SLOW
        proxy.quiet(seconds=20)
        assert "PO-RUN-0099" not in proxy.said()
    assert cas.stats()["malformed"] == 0
