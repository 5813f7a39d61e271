"""A new configuration loses no request: new connections get it, the present ones finish under the old one."""
import copy
import os
import socket
import ssl

import pytest

from harness import SLOW, Client, client_context, free_port, wait_until
from rig import Cas, Load, Rig, Rpc, ntlm, site


@pytest.fixture
def proxy(cas):
    with Rig(site([cas.url])) as p:
        yield p


def subject(client):
    return dict(x[0] for x in client.sock.getpeercert()["subject"])["commonName"]


def test_certificate(proxy):
    with Client(proxy) as old:
        assert subject(old) == "mail.example.com"
        assert old.get("/sim/204").status == 204
        conf = copy.deepcopy(proxy.conf)
        conf["certificates"]["mail"] = {"chain": "{certs}/wildcard.pem", "key": "{certs}/wildcard.key"}
        proxy.configure(conf)
        proxy.reload_now()
        with Client(proxy) as new:
            assert subject(new) == "*.example.com"
            assert new.get("/sim/204").get("Connection") is None
        # The old connection serves, and says that it is the last time: it would keep the old configuration alive.
        r = old.get("/sim/204")
        assert r.status == 204 and r.get("Connection") == "close"
        assert old.closed()
    proxy.quiet()


def test_session_ticket_survives(proxy):
    """A client resumes across a reload."""
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Client(proxy, context=context) as c:
        assert c.get("/sim/204").status == 204
        session = c.sock.session
    proxy.reload_now()
    with socket.create_connection(("127.0.0.1", proxy.port)) as raw:
        with context.wrap_socket(raw, server_hostname="mail.example.com", session=session) as s:
            assert s.session_reused


def broken(name, conf):
    """A configuration that cannot be put in force, and a word of what must be said."""
    if name == "yaml":
        return None, "line=2"
    if name == "option":
        conf["limits"]["conections"] = 5
        return conf, "did you mean `connections`"
    if name == "key":
        conf["certificates"]["mail"]["key"] = "{certs}/wildcard.key"
        return conf, "key"
    if name == "file":
        conf["certificates"]["mail"]["chain"] = "{dir}/nothing.pem"
        return conf, "nothing.pem"
    if name == "trust":
        conf["backends"]["origin"]["trust"] = "{certs}/san.key"
        conf["backends"]["origin"]["servers"] = ["https://localhost:1"]
        return conf, "san.key"
    conf["listeners"].append({"address": "127.0.0.1:%d" % name, "certificates": ["mail"]})
    return conf, "another process listens there"


@pytest.mark.parametrize("kind", ["yaml", "option", "key", "file", "trust", "port"])
def test_invalid_changes_nothing(proxy, kind):
    with socket.socket() as taken:
        if kind == "port":
            taken.bind(("127.0.0.1", 0))
            taken.listen(1)
            kind = taken.getsockname()[1]
        conf, word = broken(kind, copy.deepcopy(proxy.conf))
        with Client(proxy) as c:
            assert c.get("/sim/204").status == 204
            fds = proxy.fds()
            if conf is None:
                proxy.write("workers: 1\n  listeners: {")
            else:
                proxy.configure(conf)
            proxy.reload()
            assert wait_until(lambda: "PO-CONF-0002" in proxy.said(), 10)
            assert word in proxy.said()
            assert proxy.status()["generation"] == 1
            assert c.get("/sim/204").get("Connection") is None
            with Client(proxy) as d:
                assert d.get("/sim/204").status == 204
            # ... and the command says it too.
            answered = proxy.ask("reload text")
            assert answered.startswith("failed\n") and word.replace("line=2", "postern.yaml:2:") in answered
            assert wait_until(lambda: proxy.fds() <= fds + 1)
    proxy.quiet()


def test_refused_then_corrected(proxy):
    good = proxy.conf
    proxy.write("nonsense: 1\n")
    proxy.reload()
    assert wait_until(lambda: "PO-CONF-0002" in proxy.said())
    proxy.configure(good)
    proxy.reload_now()
    with Client(proxy) as c:
        assert c.get("/sim/204").status == 204


def test_listeners_come_and_go(proxy):
    first, second = proxy.port, free_port()
    with Client(proxy) as old:
        assert old.get("/sim/204").status == 204
        conf = copy.deepcopy(proxy.conf)
        conf["listeners"].append({"address": "127.0.0.1:%d" % second, "certificates": ["mail"]})
        proxy.configure(conf)
        proxy.reload_now()
        for port in first, second:
            with Client(proxy, port=port) as c:
                assert c.get("/sim/204").status == 204
        del conf["listeners"][0]
        proxy.configure(conf)
        proxy.reload_now()
        with Client(proxy, port=second) as c:
            assert c.get("/sim/204").status == 204
        assert wait_until(lambda: refused(first))
        # What was open on the first goes on.
        assert old.get("/sim/204").status == 204
    proxy.quiet()


def refused(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("workers", [1, 2])
def test_under_load(cas, workers):
    with Rig(site([cas.url], workers=workers)) as proxy:
        load = Load(proxy, 8)
        conf = copy.deepcopy(proxy.conf)
        for i in range(8):
            assert wait_until(lambda n=load.served: load.served > n + 100, 30)
            conf["certificates"]["mail"] = {"chain": "{certs}/%s.pem" % ("wildcard" if i % 2 == 0 else "san"),
                                            "key": "{certs}/%s.key" % ("wildcard" if i % 2 == 0 else "san")}
            proxy.configure(conf)
            proxy.reload_now()
        assert load.end() == []
        assert load.connections >= 8 * 8
        proxy.quiet()
        # The old configurations are gone, their idle connections too.
        assert wait_until(lambda: proxy.metrics()["postern_backend_connections_idle"] <= 8)


def test_listener_moves_under_load(cas):
    """The queue of a listening socket that closes is served."""
    with Rig(site([cas.url])) as proxy:
        conf = copy.deepcopy(proxy.conf)
        for _ in range(5):
            crowd = []
            # Connections that the kernel has accepted and Postern has not seen yet.
            os.kill(proxy.process.pid, 19)
            try:
                for _ in range(20):
                    s = socket.create_connection(("127.0.0.1", proxy.port), timeout=10 * SLOW)
                    crowd.append(s)
                before = proxy.port
                proxy.port = free_port()
                conf["listeners"][0]["address"] = "127.0.0.1:%d" % proxy.port
                proxy.configure(conf)
                proxy.reload()
            finally:
                os.kill(proxy.process.pid, 18)
            for s in crowd:
                with client_context().wrap_socket(s, server_hostname="mail.example.com") as t:
                    t.sendall(b"GET /sim/204 HTTP/1.1\r\nHost: mail.example.com\r\n\r\n")
                    assert t.recv(1000).startswith(b"HTTP/1.1 204")
            assert wait_until(lambda: refused(before))
        proxy.quiet()


def test_during_ping(proxy):
    """A held Ping stays, is answered by the server that holds it, and then the connection ends."""
    with Client(proxy, timeout=30) as c:
        c.request("POST", "/Microsoft-Server-ActiveSync?Cmd=Ping&User=a&DeviceId=b&DeviceType=c&Heartbeat=2",
                  [("Authorization", "Basic YTph")], body=b"")
        assert wait_until(lambda: proxy.metrics()["postern_requests_open"] == 1)
        for _ in range(3):
            proxy.reload_now()
        r = c.response()
        assert r.status == 200 and r.get("Connection") == "close"
    proxy.quiet()


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_during_rpc(tls):
    with Cas(tls=tls) as cas, Rig(site([cas.url])) as proxy:
        with Rpc(proxy) as rpc:
            for i in range(6):
                if i % 2 == 0:
                    proxy.reload_now()
                rpc.echo(b"call %d" % i)
            assert proxy.metrics()["postern_requests_open"] == 2
        proxy.quiet()


def test_pinned_connection_is_not_asked_to_leave(proxy):
    """A client that has proved itself to the backend keeps its connection over a reload."""
    with Client(proxy) as c:
        for field in ntlm("anna"):
            r = c.get("/owa/", [field])
        assert r.get("X-Sim-Connection-User") == "anna"
        proxy.reload_now()
        r = c.get("/owa/")
        assert r.get("X-Sim-Connection-User") == "anna" and r.get("Connection") is None
    proxy.quiet()


def test_many_reloads_leave_nothing(proxy):
    """Memory and descriptors are those of one configuration."""
    for _ in range(10):
        proxy.reload_now()
    kb, fds = proxy.memory_kb(), proxy.fds()
    for _ in range(30):
        proxy.reload_now()
        with Client(proxy) as c:
            assert c.get("/sim/204").status == 204
    proxy.quiet()
    assert wait_until(lambda: proxy.fds() <= fds + 2)
    if SLOW == 1:
        assert proxy.memory_kb() < kb + 3000
