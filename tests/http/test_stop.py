"""Stopping loses no request; and what the process makes of its privileges, descriptors and limits."""
import copy
import json
import os
import pwd
import re
import shutil
import signal
import socket
import tempfile
import time

import pytest

from harness import SLOW, Client, Origin, certs, client_context, wait_until
from rig import AUTH, Load, Rig, Rpc, ntlm, settle, site

PING = "/Microsoft-Server-ActiveSync?Cmd=Ping&User=a&DeviceId=b&DeviceType=c&Heartbeat=%d"


def ends(proxy, seconds, code=0):
    """Waits for the process; how long it took."""
    started = time.monotonic()
    assert proxy.process.wait(seconds * SLOW) == code
    return time.monotonic() - started


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load(cas, workers):
    with Rig(site([cas.url], workers=workers)) as proxy:
        load = Load(proxy, 8, again=False)
        assert wait_until(lambda: load.served > 200, 30)
        proxy.process.send_signal(signal.SIGTERM)
        assert load.end(wait=True) == []
        ends(proxy, 10)
    assert "PO-RUN-0003" in proxy.said() and "PO-RUN-0005" not in proxy.said()


def test_what_waits_to_be_accepted_is_served(cas):
    """Connections that the kernel holds, and those in the middle of their handshake, get their answer."""
    with Rig(site([cas.url])) as proxy:
        crowd = []
        proxy.process.send_signal(signal.SIGSTOP)
        for _ in range(20):
            crowd.append(socket.create_connection(("127.0.0.1", proxy.port), timeout=10 * SLOW))
        proxy.process.send_signal(signal.SIGTERM)
        proxy.process.send_signal(signal.SIGCONT)
        for s in crowd:
            with client_context().wrap_socket(s, server_hostname="mail.example.com") as t:
                t.sendall(b"GET /sim/204 HTTP/1.1\r\nHost: mail.example.com\r\n\r\n")
                data = t.recv(1000)
                assert data.startswith(b"HTTP/1.1 204") and b"Connection: close" in data
        ends(proxy, 10)


def test_between_requests(cas):
    """A client that has just been answered may still ask once; a silent one is let go soon."""
    with Rig(site([cas.url])) as proxy:
        with Client(proxy) as busy, Client(proxy) as silent, Client(proxy) as bound:
            assert busy.get("/sim/204").status == 204
            assert silent.get("/sim/204").status == 204
            assert bound.get("/owa/", [("Authorization", "NTLM TlRMTVNTUAABAAAA")]).status == 401
            proxy.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: "PO-RUN-0002" in proxy.said())
            r = busy.get("/sim/204")
            assert r.status == 204 and r.get("Connection") == "close"
            assert busy.closed() and settle(silent) == (b"", "end") and settle(bound) == (b"", "end")
        assert ends(proxy, 5) < 5 * SLOW


def test_handshake_of_ntlm_is_not_torn(cas):
    """A challenge that belongs to the connection does not end it, not even now."""
    one, three = ntlm("anna")
    with Rig(site([cas.url])) as proxy:
        with Client(proxy) as c:
            assert c.get("/sim/204").status == 204
            proxy.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: "PO-RUN-0002" in proxy.said())
            r = c.get("/owa/", [one])
            assert r.status == 401 and r.get("Connection") is None
            r = c.get("/owa/", [three])
            assert r.get("X-Sim-Connection-User") == "anna" and r.get("Connection") == "close"
        ends(proxy, 5)


def test_request_in_progress(cas):
    """Answers that have begun, and those that have not, are waited for."""
    with Rig(site([cas.url])) as proxy:
        with Client(proxy) as ping, Client(proxy) as drip, Client(proxy) as upload:
            ping.request("POST", PING % 2, [AUTH], body=b"")
            drip.request("GET", "/sim/drip?size=20&interval_ms=100")
            upload.request("POST", "/owa/sink", [AUTH, ("Content-Length", "30")])
            assert wait_until(lambda: proxy.metrics()["postern_requests_open"] == 3)
            proxy.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: "PO-RUN-0002" in proxy.said())
            for _ in range(3):
                upload.send(b"x" * 10)
                time.sleep(0.2)
            r = upload.response()
            assert r.status == 200 and r.get("Connection") == "close"
            assert drip.response().body == b"x" * 20
            r = ping.response()
            assert r.status == 200 and r.get("Connection") == "close"
        ends(proxy, 5)


@pytest.mark.parametrize("path,reads", [("/sim/never", False), ("/sim/drip?size=10000&interval_ms=100", True), ("ends", True)])
def test_deadline(cas, path, reads):
    """What is not finished in time is cut, and does not look whole."""
    def endless(request, wire, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonly this")
        time.sleep(30)

    with Origin(endless) as origin:
        with Rig(site([origin.url if path == "ends" else cas.url], drain_timeout="%dms" % (1000 * SLOW))) as proxy:
            with Client(proxy) as c:
                if path == "ends":  # to HTTP/1.0 it goes out as it came: ended by the connection
                    c.request("GET", "/sim/x", version="1.0")
                    c.wire.until(b"only this")
                else:
                    c.request("GET", path)
                    if reads:
                        c.head()
                assert wait_until(lambda: proxy.metrics()["postern_requests_open"] == 1)
                proxy.process.send_signal(signal.SIGTERM)
                how = settle(c)[1]
                assert how == ("cut" if reads else "end")
            ends(proxy, 5)
            assert "PO-RUN-0005" in proxy.said()
            with open(proxy.access_path) as f:
                assert '"reason":"drained"' in f.read()


def test_channels_are_cut_at_the_deadline(cas):
    with Rig(site([cas.url], drain_timeout="%dms" % (1500 * SLOW))) as proxy:
        with Rpc(proxy) as rpc:
            proxy.process.send_signal(signal.SIGTERM)
            for i in range(5):
                rpc.echo(b"still %d" % i)
                time.sleep(0.1)
            assert settle(rpc.out)[1] == "cut"
            assert settle(rpc.into)[0] == b""
        ends(proxy, 5)


def test_second_signal(cas):
    proxy = Rig(site([cas.url]))
    with Client(proxy) as c:
        c.request("GET", "/sim/never")
        assert wait_until(lambda: proxy.metrics()["postern_requests_open"] == 1)
        proxy.process.send_signal(signal.SIGTERM)
        assert wait_until(lambda: "PO-RUN-0002" in proxy.said())
        proxy.process.send_signal(signal.SIGTERM)
        assert ends(proxy, 5, code=1) < 3 * SLOW
    assert "second signal" in proxy.said()


@pytest.mark.parametrize("how", ["signal", "control"])
def test_nothing_to_finish(cas, how):
    with Rig(site([cas.url])) as proxy:
        if how == "signal":
            proxy.process.send_signal(signal.SIGINT)
        else:
            assert '"ok":true' in proxy.ask("stop")
        ends(proxy, 3)


def test_plain_http_does_not_hold_the_stop(cas):
    """Clients of the plain listener that have said nothing are let go."""
    conf = site([cas.url])
    conf["listeners"].append({"address": "127.0.0.1:{plain_port}", "plain_http": "redirect"})
    with Rig(conf) as proxy:
        with Client(proxy, tls=False) as silent, Client(proxy, tls=False) as slow:
            slow.send(b"GET /owa HTTP/1.1\r\nHost: mail.exa")
            assert wait_until(lambda: proxy.metrics()["postern_connections_open"] == 2)
            proxy.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: "PO-RUN-0002" in proxy.said())
            slow.send(b"mple.com\r\n\r\n")
            assert slow.response().status == 302
            assert silent.closed()
        ends(proxy, 5)


# ---- systemd ----

class Notify:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="postern-notify-")
        self.path = os.path.join(self.dir, "s")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10 * SLOW)

    def next(self):
        return dict(x.split("=", 1) for x in self.socket.recv(4096).decode().splitlines())

    def until(self, key):
        while True:
            m = self.next()
            if key in m:
                return m

    def close(self):
        self.socket.close()
        os.unlink(self.path)
        os.rmdir(self.dir)


def test_notify(cas):
    n = Notify()
    try:
        with Rig(site([cas.url]), env={"NOTIFY_SOCKET": n.path, "WATCHDOG_USEC": "200000"}) as proxy:
            assert n.until("READY")["READY"] == "1"
            assert n.until("WATCHDOG")["WATCHDOG"] == "1"
            proxy.reload()
            m = n.until("RELOADING")
            assert m["RELOADING"] == "1" and abs(int(m["MONOTONIC_USEC"]) / 1e6 - time.monotonic()) < 60
            n.until("READY")
            proxy.write("nonsense")
            proxy.reload()
            n.until("RELOADING")
            n.until("READY")  # refused: it serves as before
            proxy.process.send_signal(signal.SIGTERM)
            assert n.until("STOPPING")["STOPPING"] == "1"
            ends(proxy, 5)
    finally:
        n.close()


# ---- privileges, descriptors ----

def proc_status(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(x.rstrip("\n").split(":\t", 1) for x in f if ":\t" in x)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
def test_privileges(cas):
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o777)
        conf = site([cas.url], user="nobody")
        conf["listeners"].append({"address": "127.0.0.1:{low}", "plain_http": "redirect"})
        for path in "san.pem", "san.key", "backend-ca.pem":  # what nobody can read at a reload
            shutil.copy(os.path.join(certs(), path), d)
            os.chown(os.path.join(d, path), nobody.pw_uid, -1)
        conf = json.loads(json.dumps(conf).replace("{certs}", "{dir}"))
        low = next(p for p in range(600, 1024) if free(p))
        with Rig(conf, dir=d, low=low) as proxy:
            s = proc_status(proxy.process.pid)
            assert s["Uid"].split() == [str(nobody.pw_uid)] * 4 and s["Gid"].split() == [str(nobody.pw_gid)] * 4
            assert s["Groups"].split() == [] and s["NoNewPrivs"] == "1" and int(s["CapEff"], 16) == 0
            for thread in os.listdir("/proc/%d/task" % proxy.process.pid):
                assert proc_status(int(thread))["Uid"].split() == [str(nobody.pw_uid)] * 4
            with Client(proxy, tls=False, port=low) as c:
                assert c.get("/owa/").status == 302
            with Client(proxy) as c:
                assert c.get("/sim/204").status == 204
            # A port that cannot be bound any more is refused in words; the rest goes on.
            other = next(p for p in range(600, 1024) if p != low and free(p))
            conf = copy.deepcopy(conf)
            conf["listeners"].append({"address": "127.0.0.1:%d" % other, "plain_http": "redirect"})
            proxy.configure(conf)
            assert "CAP_NET_BIND_SERVICE" in proxy.ask("reload text")
            with Client(proxy) as c:
                assert c.get("/sim/204").status == 204
            assert "a reload would be refused" not in proxy.said()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read what others cannot")
def test_unreadable_at_a_reload(cas):
    """Said at the start, not in the night when a certificate is renewed."""
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o777)
        shutil.copy(os.path.join(certs(), "san.key"), d)
        os.chmod(os.path.join(d, "san.key"), 0o600)
        conf = site([cas.url], user="nobody")
        conf["certificates"]["mail"]["key"] = "{dir}/san.key"
        with Rig(conf, dir=d) as proxy:
            assert re.search(r"postern.yaml:\d+:\d+: warning: a reload would be refused: .*san.key", proxy.said())


def free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_unknown_user(cas):
    with tempfile.TemporaryDirectory() as d:
        p = Rig(site([cas.url], user="no-such-user"), dir=d, check=False)
        assert p.process.wait(10 * SLOW) == 1
        p.reader.join(5)
        assert "no such user" in p.said()


def limited(soft, hard):
    return ["prlimit", "--nofile=%d:%d" % (soft, hard)]


def capacity(proxy):
    m = re.search(r"PO-RUN-0004 .* descriptors=(\d+) connections=(\d+)", proxy.said())
    return int(m[1]), int(m[2])


def test_descriptors_are_raised(cas):
    with Rig(site([cas.url]), launcher=limited(256, 3000)) as proxy:
        descriptors, connections = capacity(proxy)
        assert descriptors == 3000 and 1000 < connections < 1500
        assert proxy.status()["capacity"] == connections
    with Rig(site([cas.url], limits={"connections": 7})) as proxy:
        assert capacity(proxy)[1] == 7
