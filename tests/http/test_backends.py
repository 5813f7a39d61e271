"""Several servers, their certificates, their health, and which of them gets a request."""
import base64
import copy
import hashlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from harness import POSTERN, SLOW, Client, Origin, answer, certs, server_context, wait_until
from rig import AUTH, Cas, Rig, Rpc, full_server, ntlm, site


def named(name, **kw):
    """An origin that tells its name."""
    return Origin(lambda r, w, s: answer(200, name.encode(), [("X-Server", name)]), **kw)


def who(client, path="/sim/x", fields=()):
    r = client.get(path, fields)
    return r.get("X-Server") or r.status


def servers(proxy):
    return {s["server"]: s for s in proxy.status()["servers"]}


def dead_port():
    """A port where nobody listens; the socket keeps it."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s, s.getsockname()[1]


# ---- certificates of the servers ----

@pytest.fixture(scope="module")
def https():
    with Origin(tls=server_context("cas1")) as o:
        yield o


TRUST = "{certs}/backend-ca.pem"
BY_NAME, BY_ADDRESS = "https://localhost:%d", "https://127.0.0.1:%d"


def pin(name):
    key = subprocess.run(["openssl", "x509", "-in", os.path.join(certs(), name + ".pem"), "-noout", "-pubkey"], check=True,
                         stdout=subprocess.PIPE).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, check=True, stdout=subprocess.PIPE).stdout
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.mark.parametrize("url,backend,good", [
    (BY_NAME, {"trust": TRUST}, True),
    (BY_ADDRESS, {"trust": TRUST}, True),
    (BY_NAME, {"trust": TRUST, "expected_name": "cas1.corp.example.com"}, True),
    (BY_NAME, {"trust": TRUST, "expected_name": "cas2.corp.example.com"}, False),
    (BY_NAME, {"trust": "{certs}/root.pem"}, False),
    (BY_NAME, {}, False),
    (BY_NAME, {"verify": "none"}, True),
    (BY_NAME, {"trust": TRUST, "spki_pins": ["cas1"]}, True),
    (BY_NAME, {"trust": TRUST, "spki_pins": ["cas2", "cas1"]}, True),
    (BY_NAME, {"trust": TRUST, "spki_pins": ["cas2"]}, False),
    (BY_NAME, {"trust": "{certs}/cas1.pem"}, True),
])
def test_verification(https, url, backend, good):
    backend = copy.deepcopy(backend)
    if "spki_pins" in backend:
        backend["spki_pins"] = [pin(x) for x in backend["spki_pins"]]
    conf = site([url % https.port])
    conf["backends"]["origin"] = dict({"servers": [url % https.port], "health_interval": "none"}, **backend)
    served = len(https.requests)
    with Rig(conf) as proxy:
        with Client(proxy) as c:
            r = c.get("/sim/x")
            if good:
                assert r.status == 200
            else:
                assert r.status == 502 and proxy.end("/sim/x", c) == (502, "backend_tls_failed")
                assert len(https.requests) == served
        proxy.quiet()


@pytest.mark.parametrize("certificate,name,good", [
    ("wildcard", "cas7.example.com", True), ("wildcard", "a.cas7.example.com", False), ("wildcard", "example.org", False),
    ("expired", "mail.example.com", False), ("future", "mail.example.com", False), ("cn-only", "mail.example.com", True),
    ("self-signed", "mail.example.com", False), ("san", "mail.example.com", True)])
def test_names_and_dates(certificate, name, good):
    with Origin(tls=server_context(certificate)) as o:
        with Rig(site([BY_NAME % o.port], backend={"trust": "{certs}/root.pem", "expected_name": name})) as proxy:
            with Client(proxy) as c:
                assert c.get("/sim/x").status == (200 if good else 502)
                if not good:
                    assert proxy.end("/sim/x", c) == (502, "backend_tls_failed")
                    assert o.requests == []
            proxy.quiet()


def test_sessions_are_resumed(https):
    """Every connection but the first of a worker and server is a short handshake."""
    with Rig(site([BY_NAME % https.port], backend={"idle_connections": 0})) as proxy:
        for _ in range(4):
            with Client(proxy) as c:
                assert c.get("/sim/x").status == 200
                assert c.get("/sim/x").status == 200
        m = proxy.quiet()
        assert m["postern_backend_tls_handshakes_total"] == 8 and m["postern_backend_tls_resumed_total"] == 7


# ---- which server ----

@pytest.fixture
def three():
    origins = [named(n) for n in ("one", "two", "three")]
    yield origins
    for o in origins:
        o.close()


def test_round_robin(three):
    with Rig(site([o.url for o in three])) as proxy:
        with Client(proxy) as c:
            seen = [who(c) for _ in range(12)]
        assert {n: seen.count(n) for n in ("one", "two", "three")} == {"one": 4, "two": 4, "three": 4}
        proxy.quiet()


def test_least_connections(three):
    """Who is busy gets less."""
    hold = threading.Event()

    def slow(request, wire, sock):
        if request.target.endswith("hold"):
            hold.wait(20)
        return answer(200, b"", [("X-Server", "one")])

    three[0].handler = slow
    with Rig(site([o.url for o in three], backend={"balance": "least_connections"})) as proxy:
        held = []
        while three[0].requests == [] or not any(r.target.endswith("hold") for r in three[0].requests):
            c = Client(proxy)
            c.request("GET", "/sim/hold")
            held.append(c)
            wait_until(lambda n=len(held): sum(len(o.requests) for o in three) == n)
        with Client(proxy) as c:
            assert "one" not in [who(c) for _ in range(10)]
        hold.set()
        for c in held:
            c.close()
        proxy.quiet()


def with_affinity(three, kind, **backend):
    conf = site([o.url for o in three], sim={"affinity": kind}, backend=backend)
    return conf


def test_affinity_by_user(three):
    with Rig(with_affinity(three, "user")) as proxy:
        at = {}
        for user in ["user%d" % i for i in range(50)] * 2:  # so many that chance leaves no server out
            field = ("Authorization", "Basic " + base64.b64encode(("%s:x" % user).encode()).decode())
            with Client(proxy) as c:
                at.setdefault(user, set()).add(who(c, fields=[field]))
        assert all(len(v) == 1 for v in at.values())
        assert len({v for s in at.values() for v in s}) == 3
        proxy.quiet()


def test_affinity_by_address(three):
    with Rig(with_affinity(three, "client_address")) as proxy:
        seen = set()
        for _ in range(6):
            with Client(proxy) as c:
                seen.add(who(c))
        assert len(seen) == 1


def test_affinity_by_cookie_and_drain(three):
    """A cookie of ours brings a client back; a server that drains keeps those it has and gets no others."""
    with Rig(with_affinity(three, "cookie")) as proxy:
        jar = {}
        while len(jar) < 3:
            with Client(proxy) as c:
                r = c.get("/sim/x")
                jar[r.get("X-Server")] = r.get("Set-Cookie").split(";")[0]
        assert len(set(jar.values())) == 3

        def stay(names):
            for name, cookie in jar.items():
                with Client(proxy) as c:
                    for _ in range(4):
                        r = c.get("/sim/x", [("Cookie", "a=b; %s; c=d" % cookie)])
                        if name in names:
                            assert r.get("X-Server") == name and r.get("Set-Cookie") is None
                        else:
                            assert r.get("X-Server") in names

        stay({"one", "two", "three"})
        assert three[0].requests[-1].get("Cookie") == "a=b; c=d"
        proxy.conf["backends"]["origin"]["drain"] = [three[1].url]
        proxy.configure(proxy.conf)
        proxy.reload_now()
        stay({"one", "two", "three"})
        with Client(proxy) as c:
            assert "two" not in [who(c) for _ in range(9)]
        assert servers(proxy)[three[1].url]["drain"]
        # Without its server the cookie leads elsewhere, and a new one is set.
        three[1].close()
        with Client(proxy) as c:
            r = c.get("/sim/x", [("Cookie", jar["two"])])
            assert r.status == 200 and r.get("Set-Cookie") is not None
        proxy.quiet()


# ---- servers that fail ----

def test_refused_goes_to_the_next():
    """Not a byte was sent: any request may go to another server. After some failures in a row the server rests."""
    keep, port = dead_port()
    with keep, named("alive") as alive:
        with Rig(site(["http://127.0.0.1:%d" % port, alive.url])) as proxy:
            with Client(proxy) as c:
                for i in range(8):
                    c.request("POST", "/sim/x", body=b"x" * 10000)
                    assert c.response().get("X-Server") == "alive"
            assert [len(r.body) for r in alive.requests] == [10000] * 8
            assert servers(proxy)["http://127.0.0.1:%d" % port]["passive_down"]
            assert wait_until(lambda: "PO-BACK-0001" in proxy.said())
            m = proxy.quiet()
            assert m["postern_backend_connect_failures_total"] == 3  # health_down in a row, then it rests
            keep.listen(8)  # it comes back: found without anybody's request failing
            with Client(proxy) as c:
                assert who(c) == "alive"


def test_all_refused():
    keep, port = dead_port()
    with keep, Rig(site(["http://127.0.0.1:%d" % port])) as proxy:
        with Client(proxy) as c:
            for i in range(5):
                assert c.get("/sim/x").status == 502
            assert proxy.end("/sim/x", c) == (502, "backend_refused")
        proxy.quiet()


@pytest.mark.parametrize("method,again", [("GET", True), ("HEAD", True), ("PUT", False), ("POST", False)])
def test_idle_connection_that_dies(method, again):
    """Closed by the server just as it is used: asked again where that does no harm and nothing of a body went out."""
    def dies(request, wire, sock):
        if request.target.endswith("first") or len(origin.requests) > 2:
            return answer(200, b"" if request.method == "HEAD" else b"ok")
        return False

    with Origin(dies) as origin, Rig(site([origin.url])) as proxy:
        with Client(proxy) as c:
            assert c.get("/sim/first").status == 200
            body = b"abc" if method in ("PUT", "POST") else None
            c.request(method, "/sim/second", body=body)
            assert c.response(method).status == (200 if again else 502)
        assert len(origin.requests) == (3 if again else 2)
        proxy.quiet()


def test_fresh_connection_that_dies_is_not_asked_again():
    with Origin(lambda r, w, s: False) as origin, Rig(site([origin.url])) as proxy:
        with Client(proxy) as c:
            assert c.get("/sim/x").status == 502
        assert len(origin.requests) == 1


def test_no_rpc_is_sent_twice():
    def dies(request, wire, sock):
        if request.method == "GET":
            return answer(200, b"ok")
        return False

    with Origin(dies, read_body=False) as origin, Rig(site([origin.url])) as proxy:
        for method, length in [("RPC_IN_DATA", 1 << 30), ("RPC_OUT_DATA", 76)]:
            with Client(proxy) as c:
                assert c.get("/sim/x").status == 200
            with Client(proxy) as c:
                Rpc.channel(c, method, length, "anna", b"")
                assert c.response().status == 502
        assert len([r for r in origin.requests if r.method != "GET"]) == 2
        proxy.quiet()


def test_connect_timeout():
    """A server whose queue is full answers no SYN; and one that accepts but never speaks TLS."""
    times = "%dms" % (600 * SLOW)
    with full_server() as full, socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(16)
        for url in full, "https://127.0.0.1:%d" % mute.getsockname()[1]:
            with Rig(site([url], backend={"connect_timeout": times})) as proxy:
                with Client(proxy) as c:
                    assert c.get("/sim/x").status == 504
                    assert proxy.end("/sim/x", c) == (504, "backend_connect_timeout")
                    assert proxy.line("/sim/x", c)["duration_ms"] < 5000 * SLOW
                proxy.quiet()


def test_most_connections():
    """max_connections: the next request is told at once; an idle connection makes room."""
    with Cas() as cas, Rig(site([cas.url], backend={"max_connections": 2})) as proxy:
        with Client(proxy) as a, Client(proxy) as b, Client(proxy) as c:
            for x in a, b:
                x.request("GET", "/sim/drip?size=10&interval_ms=200")
            for x in a, b:
                assert x.head().status == 200
            r = c.get("/sim/204")
            assert r.status == 503 and r.get("Retry-After") and proxy.end("/sim/204", c) == (503, "backend_busy")
            for x in a, b:
                x.wire.exactly(10)
            assert c.get("/sim/204").status == 204
            # Bound ones count, and never make room.
            for x, name in (a, "anna"), (b, "berta"):
                for field in ntlm(name):
                    r = x.get("/owa/", [field])
                assert r.get("X-Sim-Connection-User") == name
            assert c.get("/sim/204").status == 503
        proxy.quiet()


def test_idle_connections():
    with Cas() as cas:
        with Rig(site([cas.url], backend={"idle_connections": 3, "idle_timeout": "%dms" % (3000 * SLOW)})) as proxy:
            clients = [Client(proxy) for _ in range(8)]
            for c in clients:
                c.request("GET", "/sim/drip?size=5&interval_ms=100")
            for c in clients:
                assert c.response().body == b"x" * 5
                c.close()
            assert proxy.quiet()["postern_backend_connections_idle"] == 3
            assert wait_until(lambda: proxy.metrics()["postern_backend_connections_open"] == 0)


# ---- active checks ----

class Patient(Origin):
    """Health paths answer with what `state` says; everything else with the name."""

    def __init__(self, name, **state):
        self.name, self.state = name, state
        super().__init__(self.play)

    def play(self, request, wire, sock):
        if request.target.endswith("healthcheck.htm"):
            status = self.state.get(request.target.split("/")[1].lower(), 200)
            if status is None:
                time.sleep(3 * SLOW)
                return False
            return answer(status, b"x") if status else False
        return answer(200, b"ok", [("X-Server", self.name)])


# Patience for a machine that has other work: only a server that never answers is to miss the time-out.
CHECKED = {"health_interval": "%dms" % (200 * SLOW), "health_timeout": "%dms" % (2000 * SLOW), "health_down": 2, "health_up": 2}


@pytest.mark.parametrize("status,alive", [(200, True), (302, True), (401, True), (403, True), (500, False), (404, False),
                                          (503, False), (0, False), (None, False)])
def test_checked(status, alive):
    with Patient("a", owa=status) as a, Patient("b") as b:
        with Rig(site([a.url, b.url], backend=CHECKED)) as proxy:
            assert wait_until(lambda: sum("healthcheck" in r.target for r in a.requests) > 8 * 4 and
                              (alive or "PO-BACK-0001" in proxy.said()), 20)
            with Client(proxy) as c:
                seen = {who(c, "/owa/", [AUTH]) for _ in range(6)}
                assert seen == ({"a", "b"} if alive else {"b"})
                # Each service by its own path.
                assert {who(c, "/ews/exchange.asmx", [AUTH]) for _ in range(8)} <= {"a", "b"}
            checks = [r for r in a.requests if "healthcheck" in r.target]
            assert {r.method for r in checks} == {"GET"} and not any(r.get("Authorization") for r in checks)
            assert ("PO-BACK-0001" in proxy.said()) != alive


def test_down_and_up_again():
    with Patient("a") as a, Patient("b") as b:
        with Rig(site([a.url, b.url], backend=CHECKED)) as proxy:
            def reached(path):
                with Client(proxy) as c:
                    return {who(c, path, [AUTH]) for _ in range(4)}
            assert wait_until(lambda: reached("/owa/") == {"a", "b"})
            a.state["owa"] = 500
            assert wait_until(lambda: reached("/owa/") == {"b"}, 10)
            assert reached("/oab/x") == {"a", "b"}
            b.state["owa"] = 500
            assert wait_until(lambda: reached("/owa/") == {503}, 10)
            with Client(proxy) as c:
                r = c.get("/owa/", [AUTH])
                assert r.status == 503 and r.get("Retry-After") and proxy.end("/owa/", c) == (503, "no_backend")
            a.state["owa"] = 200
            assert wait_until(lambda: reached("/owa/") == {"a"}, 10)
            assert wait_until(lambda: "PO-BACK-0002" in proxy.said())
            # What is known survives a reload: b is still down, from the first request on.
            proxy.reload_now()
            assert reached("/owa/") == {"a"}
            assert proxy.quiet()


def test_held_pings_are_no_failure():
    """Long polls that end without an answer say nothing of the server."""
    with Cas() as cas:
        conf = site([cas.url])
        conf["services"]["activesync"] = {"response_timeout": "%dms" % (500 * SLOW)}
        with Rig(conf) as proxy:
            for _ in range(5):
                with Client(proxy) as c:
                    c.request("POST", "/Microsoft-Server-ActiveSync?Cmd=Ping&User=a&DeviceId=b&DeviceType=c&Heartbeat=300",
                              [AUTH], body=b"")
                    assert c.response().status == 504
            s = servers(proxy)[cas.url]
            assert s["up"] and not s["passive_down"]
            with Client(proxy) as c:
                assert c.get("/sim/204").status == 204
            proxy.quiet()


# ---- names ----

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* Looks names that end in ".test" up in a file of one address a line; no file: no such name. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    struct addrinfo **at = ret, numeric = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    char line[64];
    FILE *f;

    if (host == NULL || strlen(host) < 5 || strcmp(host + strlen(host) - 5, ".test") != 0)
        return real(host, service, hints, ret);
    usleep(getenv("SHIM_DELAY_MS") != NULL ? 1000 * atoi(getenv("SHIM_DELAY_MS")) : 0);
    f = fopen(getenv("SHIM_HOSTS"), "r");
    if (f == NULL)
        return EAI_NONAME;
    *ret = NULL;
    while (fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (real(line, service, &numeric, at) == 0)
            at = &(*at)->ai_next;
    }
    fclose(f);
    return *ret != NULL ? 0 : EAI_NONAME;
}
"""


@pytest.fixture(scope="module")
def shim():
    with tempfile.TemporaryDirectory() as d:
        with open(os.path.join(d, "shim.c"), "w") as f:
            f.write(SHIM)
        done = subprocess.run(["cc", "-shared", "-fPIC", "-o", os.path.join(d, "shim.so"), os.path.join(d, "shim.c"), "-ldl"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
        yield d


def shimmed(shim, **more):
    """The environment. A sanitizer insists on being the first library; its getaddrinfo asks the next."""
    libraries = subprocess.run(["ldd", POSTERN], stdout=subprocess.PIPE, check=True).stdout.decode()
    first = re.findall(r"/\S*/lib[at]san\S*", libraries)
    return dict({"LD_PRELOAD": " ".join(first + [os.path.join(shim, "shim.so")]), "SHIM_HOSTS": os.path.join(shim, "hosts")}, **more)


def addresses(shim, *list_):
    path = os.path.join(shim, "hosts")
    if not list_ and os.path.exists(path):
        os.unlink(path)
    if list_:
        with open(path + ".new", "w") as f:
            f.write("".join(a + "\n" for a in list_))
        os.rename(path + ".new", path)


def test_names_are_looked_up_again(shim):
    """A server moves: its new address is taken within the interval; while the name is not known the last address stays."""
    first = named("first", address=("127.0.0.2", 0))
    second = named("second", address=("127.0.0.3", first.port))
    try:
        addresses(shim, "127.0.0.2")
        conf = site(["http://cas.test:%d" % first.port], backend={"resolve_interval": "1s"})
        with Rig(conf, env=shimmed(shim)) as proxy:
            def reached():
                with Client(proxy) as c:
                    return who(c)
            assert wait_until(lambda: reached() == "first")
            addresses(shim, "127.0.0.3")
            first.close()
            assert wait_until(lambda: reached() == "second", 5)
            addresses(shim)
            assert wait_until(lambda: "PO-BACK-0004" in proxy.said(), 5)
            assert reached() == "second"
            # Several addresses: one that does not answer does not cost a request.
            addresses(shim, "127.0.0.2", "127.0.0.3")
            assert wait_until(lambda: servers(proxy)["http://cas.test:%d" % first.port]["addresses"] == 2, 8)
            assert reached() == "second"
            # A new configuration starts with what is known.
            addresses(shim)
            proxy.reload_now()
            assert reached() == "second"
            proxy.quiet()
    finally:
        first.close()
        second.close()


def test_first_request_waits_for_no_name(shim):
    """After a start and after a reload that brings a new name, the first request already finds its address."""
    with named("there") as o:
        addresses(shim, "127.0.0.1")
        conf = site(["http://one.test:%d" % o.port])
        with Rig(conf, env=shimmed(shim, SHIM_DELAY_MS="400")) as proxy:
            with Client(proxy) as c:
                assert who(c) == "there"
            conf["backends"]["origin"]["servers"] = ["http://two.test:%d" % o.port]
            proxy.configure(conf)
            assert proxy.ask("reload text").startswith("ok")
            with Client(proxy) as c:
                assert who(c) == "there"
            proxy.quiet()


def test_unknown_name(shim):
    addresses(shim)
    conf = site(["http://nowhere.test:80"], backend={"resolve_interval": "1s"})
    with Rig(conf, env=shimmed(shim)) as proxy:
        with Client(proxy) as c:
            assert c.get("/sim/x").status == 503
            assert proxy.end("/sim/x", c) == (503, "no_backend")
        assert not servers(proxy)["http://nowhere.test:80"]["resolved"]


@pytest.mark.parametrize("reloads", [0, 1])
def test_a_name_that_hangs_does_not_hold_the_stop(shim, reloads):
    """Nobody can take a look-up back; the process ends around it and says which one it was."""
    addresses(shim, "127.0.0.1")
    conf = site(["http://one.test:80"])
    with Rig(conf, env=shimmed(shim, SHIM_DELAY_MS="60000")) as proxy:
        for _ in range(reloads):
            conf["backends"]["origin"]["servers"] = ["http://%s.test:80" % name for name in ("two", "three", "four", "five", "six")]
            proxy.configure(conf)
            assert proxy.ask("reload text").startswith("ok")
        started = time.monotonic()
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(50) == 0
        assert time.monotonic() - started < 5 * SLOW
        assert wait_until(lambda: "PO-RUN-0003" in proxy.said())
    hang = [line for line in proxy.said().splitlines() if "PO-BACK-0009" in line]
    assert len(hang) == 1 + reloads and any(line.endswith("name=one.test") for line in hang)  # libuv asks for two at a time
    assert "PO-RUN-0099" not in proxy.said()
