"""What one source and one account may ask for: refused before TLS, counted, given back, and nobody else hurt."""
import socket
import ssl
import urllib.request

import pytest

from harness import DIRECTORY, Client, Origin, Proxy, answer, client_context, config, wait_until

ADMIN = 'admin: "127.0.0.1:{admin}"\n'


def basic(user, password="a-good-Password1"):
    import base64
    return ("Authorization", "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode())


def metrics(proxy):
    text = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % proxy.values["admin"], timeout=10).read().decode()
    return {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


def metric(proxy, name):
    return metrics(proxy)[name]


def start(origin, flood, authenticate="none", extra="", **kw):
    from harness import free_port
    return Proxy(config([origin.url], authenticate, ADMIN + "flood: %s\n%s" % (flood, extra)), admin=free_port(), **kw)


def connect_from(proxy, source):
    """A finished TLS handshake from that address, or None when the connection was reset before it."""
    s = socket.socket()
    s.settimeout(10)
    s.bind((source, 0))
    try:
        s.connect(("127.0.0.1", proxy.port))
        return client_context().wrap_socket(s, server_hostname="mail.example.com")
    except (ConnectionError, ssl.SSLError, OSError):
        s.close()
        return None


def test_connections_of_one_source_are_bounded_and_others_are_not_hurt():
    with Origin() as origin, start(origin, "{connections_per_source: 3, trusted: [10.0.0.0/8]}") as proxy:
        held = [connect_from(proxy, "127.0.0.1") for _ in range(3)]
        assert all(held)
        assert connect_from(proxy, "127.0.0.1") is None
        assert metric(proxy, "postern_flood_connections_refused_total") == 1
        other = connect_from(proxy, "127.0.0.2")
        assert other, "another source is not hurt"
        held[0].close()

        def again():
            s = connect_from(proxy, "127.0.0.1")
            if s:
                held.append(s)
            return bool(s)
        assert wait_until(again), "what is closed is given back"
        for s in held + [other]:
            s.close()
    assert b"PO-NET-0004" in proxy.output and b"flood_connections" in proxy.output


def test_new_connections_a_minute():
    with Origin() as origin, start(origin, "{connects_per_minute: 4, trusted: [10.0.0.0/8]}") as proxy:
        assert wait_until(lambda: b"PO-RUN-0001" in proxy.output)
        assert wait_until(lambda: metric(proxy, "postern_tls_handshakes_failed_total") == 1)  # who looked whether it is up
        taken = 0
        for _ in range(8):
            s = connect_from(proxy, "127.0.0.2")
            if s:
                taken += 1
                s.close()
        assert taken == 4
        m = metrics(proxy)
        assert m["postern_flood_connections_refused_total"] == 4 and m['postern_ended_total{reason="flood_connections"}'] == 4
        # before TLS: no handshake was begun for those, so none failed
        assert m["postern_tls_handshakes_total"] == 4 and m["postern_tls_handshakes_failed_total"] == 1


def test_trusted_sources_are_not_counted():
    with Origin() as origin, start(origin, "{connections_per_source: 1, connects_per_minute: 1}") as proxy:
        held = [connect_from(proxy, "127.0.0.1") for _ in range(5)]
        assert all(held), "loopback is trusted by default"
        for s in held:
            s.close()


def test_requests_of_one_source_a_minute():
    with Origin() as origin, start(origin, "{requests_per_minute: 3, trusted: [10.0.0.0/8]}") as proxy:
        with Client(proxy) as c:
            assert [c.get("/owa/").status for _ in range(3)] == [200, 200, 200]
            r = c.get("/owa/")
            assert r.status == 429 and r.get("Retry-After") and c.closed()
        assert len(origin.requests) == 3
        assert proxy.access(4)[-1]["reason"] == "flood_requests"
        assert metric(proxy, "postern_flood_requests_refused_total") == 1


@pytest.mark.parametrize("target,status", [("/owa/", 429), ("/Microsoft-Server-ActiveSync?Cmd=Sync&DeviceId=a&DeviceType=b", 503)])
def test_requests_of_one_account_a_minute(target, status):
    users = {"alice": "a-good-Password1", "bob": "a-good-Password1"}
    with Origin() as origin, start(origin, "{requests_per_minute_per_account: 2}", "{basic: corp}", DIRECTORY, users=users) as proxy:
        with Client(proxy) as c:
            method = "GET" if status == 429 else "POST"
            for user, expected in (("alice", 200), ("CORP\\Alice", 200), ("alice", status), ("bob", 200)):
                c.request(method, target, [basic(user)], b"" if method == "POST" else None)
                r = c.response()
                assert r.status == expected, (user, r.status)
                if expected != 200:
                    assert r.get("Retry-After")
        assert metric(proxy, "postern_flood_requests_refused_total") == 1
        assert [x["reason"] for x in proxy.access(4)] == ["ok", "ok", "flood_account", "ok"]


def test_open_requests_of_one_account_are_given_back():
    users = {"alice": "a-good-Password1"}

    def slow(request, wire, sock):
        if request.target.endswith("slow"):
            release.wait(20)
        return answer(200, b"done")
    import threading
    release = threading.Event()
    with Origin(slow) as origin, start(origin, "{requests_open_per_account: 2}", "{basic: corp}", DIRECTORY, users=users) as proxy:
        a, b, c = Client(proxy), Client(proxy), Client(proxy)
        for x in (a, b):
            x.request("GET", "/owa/slow", [basic("alice")])
        assert wait_until(lambda: len(origin.requests) == 2)
        assert c.get("/owa/", [basic("alice")]).status == 429
        release.set()
        assert a.response().status == 200 and b.response().status == 200
        assert wait_until(lambda: c.get("/owa/", [basic("alice")]).status == 200)
        for x in (a, b, c):
            x.close()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
