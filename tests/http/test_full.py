"""A full table, no descriptor: the new is refused and counted, the old is kept."""
import socket
import ssl

import pytest

from harness import SLOW, Client, wait_until
from rig import AUTH, Cas, Rig, in_threads, site


def turned_away(proxy):
    try:
        with Client(proxy):
            return False
    except (ConnectionError, ssl.SSLError):
        return True


def refused(proxy):
    m = proxy.metrics()
    return m["postern_connections_refused_total"], m['postern_ended_total{reason="table_full"}']


@pytest.mark.parametrize("workers", [1, 2])
def test_table(cas, workers):
    with Rig(site([cas.url], workers=workers, limits={"connections": 6})) as proxy:
        proxy.quiet()
        clients = [Client(proxy) for _ in range(6)]
        for c in clients:
            assert c.get("/sim/204").status == 204
        for _ in range(10):
            assert turned_away(proxy)
        assert refused(proxy) == (10, 10)
        assert wait_until(lambda: "PO-NET-0002" in proxy.said())
        assert proxy.said().count("PO-NET-0002") == 1  # not one line for each
        for c in clients:
            assert c.get("/owa/bytes?size=20000", [AUTH]).status == 200
        clients.pop().close()
        assert wait_until(lambda: not turned_away(proxy))
        for c in clients:
            c.close()
        proxy.quiet()
        # A reload changes the size of the table.
        proxy.conf["limits"]["connections"] = 2
        proxy.configure(proxy.conf)
        proxy.reload_now()
        with Client(proxy), Client(proxy):
            assert turned_away(proxy)


def test_descriptors(cas):
    """As many clients as the descriptors allow, each with a backend connection; the next one is told at once."""
    with Rig(site([cas.url]), launcher=["prlimit", "--nofile=220:220"]) as proxy:
        n = proxy.status()["capacity"]
        assert 20 < n < 60
        proxy.quiet()
        clients = [Client(proxy, timeout=20) for _ in range(n)]
        for c in clients:
            c.request("GET", "/sim/drip?size=30&interval_ms=100")
        for c in clients:
            assert c.head().status == 200
        assert turned_away(proxy) and refused(proxy) == (1, 1)
        for c in clients:
            assert c.wire.exactly(30) == b"x" * 30
            assert c.get("/sim/204").status == 204
            c.close()
        proxy.quiet()
        assert not turned_away(proxy)


def test_idle_backend_connections_make_room(cas):
    """Connections held for later never cost a client its own, whatever they add up to."""
    others = [Cas() for _ in range(5)]
    hosts = ["h%d.example.com" % i for i in range(5)]
    conf = site([cas.url])
    conf["certificates"]["mail"] = {"chain": "{certs}/wildcard.pem", "key": "{certs}/wildcard.key"}
    conf["backends"] = {"b%d" % i: {"servers": [o.url], "health_interval": "none"} for i, o in enumerate(others)}
    conf["publish"] = [{"hosts": [h], "to": "b%d" % i, "authenticate": "none", "services": ["sim"]} for i, h in enumerate(hosts)]
    try:
        with Rig(conf, launcher=["prlimit", "--nofile=200:200"]) as proxy:
            n = proxy.status()["capacity"]
            for _ in range(2):
                for h in hosts:
                    proxy.quiet()
                    clients = [Client(proxy, host=h) for _ in range(n)]
                    for c in clients:
                        c.request("GET", "/sim/drip?size=2&interval_ms=200")
                    for c in clients:
                        assert c.response().body == b"xx"
                        c.close()
            proxy.quiet()
            m = proxy.metrics()
            assert m["postern_connections_refused_total"] == 0 and m["postern_backend_connections_idle"] > 0
            assert m["postern_backend_connect_failures_total"] == 0
    finally:
        for o in others:
            o.stop()


def test_handshakes_of_nobody(cas):
    """A crowd that connects and says nothing fills the table only until its handshake time is over."""
    with Rig(site([cas.url], limits={"connections": 20, "handshake_timeout": "%dms" % (500 * SLOW)})) as proxy:
        proxy.quiet()
        crowd = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(20)]
        assert wait_until(lambda: proxy.metrics()["postern_connections_open"] == 20)
        assert turned_away(proxy)
        assert wait_until(lambda: proxy.metrics()["postern_connections_open"] == 0)
        assert not turned_away(proxy)
        for s in crowd:
            s.close()


def test_crowd_beyond_the_table(cas):
    """Many more than fit, all at once: those inside are served, each outside is told, and all is given back."""
    served, told = [], []

    def client(i):
        try:
            with Client(proxy, timeout=20) as c:
                served.append(c.get("/sim/drip?size=5&interval_ms=20").body)
        except (ConnectionError, ssl.SSLError, EOFError) as e:
            told.append(e)

    with Rig(site([cas.url], workers=2, limits={"connections": 10})) as proxy:
        proxy.quiet()
        for _ in range(3):
            in_threads(40, client)
        assert len(served) + len(told) == 120 and len(served) >= 30
        assert set(served) == {b"x" * 5}
        assert refused(proxy)[0] == len(told)
        proxy.quiet()
