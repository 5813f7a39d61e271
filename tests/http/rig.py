"""What the fault tests stand on: postern-cas as the backend, a Postern whose configuration is given as data, and what both
say of themselves when all is over.
"""
import base64
import contextlib
import copy
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from harness import CAS, SLOW, Client, Proxy, certs, client_context, wait_until

USER, PASSWORD = "anna", "correct horse"


class Cas:
    """A running postern-cas."""

    def __init__(self, *args, tls=False, any_user=True, env=None):
        command = [CAS, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--rpc-ping", "0"]
        if any_user:
            command.append("--any-user")
        if tls:
            command += ["--tls", os.path.join(certs(), "backend.pem"), os.path.join(certs(), "backend.key")]
        self.process = subprocess.Popen(command + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        env=dict(os.environ, **(env or {})))
        self.url, self.control = None, None
        for line in self.process.stdout:
            word, url = line.decode().split()
            if word == "listening":
                self.url = url
            else:
                self.control = int(url.rsplit(":", 1)[1])
            if self.url and self.control:
                break
        self.port = int(self.url.rsplit(":", 1)[1])

    def stats(self):
        with socket.create_connection(("127.0.0.1", self.control), timeout=10 * SLOW) as s:
            s.sendall(b"GET /sim/stats HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n")
            text = b""
            while True:
                data = s.recv(65536)
                if not data:
                    break
                text += data
        return json.loads(text.split(b"\r\n\r\n", 1)[1])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        code = self.stop()
        if kind is None:
            assert code == 0, "postern-cas ended with %d" % code


AUTH = ("Authorization", "Basic YTph")
# `sim` reaches the faults of postern-cas and whatever a scripted origin likes to do.
SIM = {"paths": ["/sim"], "methods": ["GET", "HEAD", "POST", "PUT"], "body_limit": 0}
PRESETS = ["owa", "activesync", "outlook_anywhere", "ews", "oab", "mapi"]


def site(servers, workers=1, limits=None, backend=None, sim=None, **top):
    """A configuration that publishes the presets and /sim without authentication of its own."""
    conf = {
        "workers": workers,
        "control_socket": "{dir}/control.sock",
        "admin": "unix:{dir}/admin.sock",
        "drain_timeout": "8s",
        "log": {"access_path": "{dir}/access.log", "event_path": "stderr"},
        "limits": dict(limits or {}),
        "listeners": [{"address": "127.0.0.1:{port}", "certificates": ["mail"]}],
        "certificates": {"mail": {"chain": "{certs}/san.pem", "key": "{certs}/san.key"}},
        "backends": {"origin": dict({"servers": list(servers), "trust": "{certs}/backend-ca.pem", "health_interval": "none"}, **(backend or {}))},
        "services": {"sim": dict(SIM, **(sim or {}))},
        "publish": [{"hosts": ["mail.example.com"], "to": "origin", "authenticate": "none", "services": PRESETS + ["sim"]}],
    }
    conf.update(copy.deepcopy(top))
    return conf


def site_of_sim(servers, times, **more):
    """site() with /owa in `sim` as well: these times hold for all but Outlook Anywhere."""
    return site(servers, sim=dict({"paths": ["/sim", "/owa"]}, **times),
                publish=[{"hosts": ["mail.example.com"], "to": "origin", "authenticate": "none", "services": ["sim", "outlook_anywhere"]}],
                **more)


class Rig(Proxy):
    """A Postern with a configuration of site(), changed as data by configure()."""

    def __init__(self, conf, **kw):
        self.conf = conf
        super().__init__(json.dumps(conf, indent=1), **kw)
        if kw.get("check", True):  # the clients' sockets are open before ours
            assert wait_until(lambda: "PO-RUN-0001" in self.said(), 10), self.said()

    def configure(self, conf):
        self.conf = conf
        self.write(json.dumps(conf, indent=1))

    def reload_now(self):
        """Reloads and waits until the new configuration is in force."""
        before = self.status()["generation"]
        self.reload()
        assert wait_until(lambda: self.status()["generation"] > before, 10), self.said()

    def said(self):
        return self.output.decode(errors="replace")

    def ask(self, question):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10 * SLOW)
            s.connect(os.path.join(self.dir, "control.sock"))
            s.sendall(question.encode() + b"\n")
            text = b""
            while True:
                data = s.recv(65536)
                if not data:
                    return text.decode()
                text += data

    def status(self):
        return json.loads(self.ask("status"))

    def metrics(self):
        """Name (with labels) to number."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10 * SLOW)
            s.connect(os.path.join(self.dir, "admin.sock"))
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            text = b""
            while True:
                data = s.recv(65536)
                if not data:
                    break
                text += data
        out = {}
        for line in text.decode().split("\r\n\r\n", 1)[1].splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                out[name] = int(float(value))
        return out

    def ended(self, reason):
        return self.metrics()['postern_ended_total{reason="%s"}' % reason]

    def quiet(self, idle=True, seconds=10.0):
        """Waits until nobody is served and nothing is held; returns the metrics. idle=False: no idle backend connection."""
        def still():
            m = self.metrics()
            return (m["postern_connections_open"] == 0 and m["postern_requests_open"] == 0 and
                    m["postern_backend_connections_pinned"] == 0 and
                    m["postern_backend_connections_open"] == (m["postern_backend_connections_idle"] if idle else 0))
        assert wait_until(still, seconds), {k: v for k, v in self.metrics().items() if "open" in k or "conn" in k}
        return self.metrics()

    def line(self, path, client, nth=0, seconds=3.0):
        """The access log's line of that client's nth request of `path`."""
        def found():
            return [x for x in self.access(0, client=client) if x["path"] == path]
        assert wait_until(lambda: len(found()) > nth, seconds), (path, self.access(0, client=client), self.said())
        return found()[nth]

    def end(self, path, client, nth=0):
        """Status and reason of that line."""
        x = self.line(path, client, nth)
        return x["status"], x["reason"]


def ntlm(user):
    """The two messages that bind a connection of postern-cas to `user`, as Authorization fields."""
    one = base64.b64encode(b"NTLMSSP\0\1\0\0\0").decode()
    three = base64.b64encode(b"NTLMSSP\0\3\0\0\0" + user.encode()).decode()
    return ("Authorization", "NTLM " + one), ("Authorization", "NTLM " + three)


def _u32(n):
    return struct.pack("<I", n)


def _rts(flags, commands):
    """An RTS PDU (MS-RPCH 2.2.3.2)."""
    body = b"".join(_u32(kind) + value for kind, value in commands)
    return struct.pack("<BBBBIHHIHH", 5, 0, 20, 3, 16, 20 + len(body), 0, 0, flags, len(commands)) + body


class Rpc:
    """An Outlook Anywhere session: an IN and an OUT channel through `proxy`, opened as MS-RPCH 3.2.1.5.3 has it."""

    def __init__(self, proxy, timeout=20.0, user="anna", announced=1 << 30, answers=1 << 30):
        virtual, out, into = self.virtual, self.out_cookie, self.in_cookie = os.urandom(16), os.urandom(16), os.urandom(16)
        a1 = _rts(0, [(6, _u32(1)), (3, virtual), (3, out), (0, _u32(65536))])
        b1 = _rts(0, [(6, _u32(1)), (3, virtual), (3, into), (4, _u32(1 << 30)), (5, _u32(300000)), (12, os.urandom(16))])
        self.out, self.into = Client(proxy, timeout=timeout), Client(proxy, timeout=timeout)
        self.count = 0
        self.channel(self.out, "RPC_OUT_DATA", 76, user, a1)
        self.channel(self.into, "RPC_IN_DATA", announced, user, b1)
        self.head = self.out.head()
        assert self.head.status == 200 and self.head.get("Content-Length") == str(answers), self.head.raw
        assert len(self.pdu()) == 28 and len(self.pdu()) == 44  # CONN/A3, CONN/C2

    @staticmethod
    def channel(client, method, length, user, first):
        token = base64.b64encode(b"%s:x" % user.encode()).decode()
        client.send(("%s /rpc/rpcproxy.dll?mail.example.com:6001 HTTP/1.1\r\nHost: mail.example.com\r\nAccept: application/rpc\r\n"
                     "User-Agent: MSRPC\r\nContent-Length: %d\r\nAuthorization: Basic %s\r\n\r\n"
                     % (method, length, token)).encode() + first)

    def pdu(self):
        head = self.out.wire.exactly(16)
        return head + self.out.wire.exactly(struct.unpack_from("<H", head, 8)[0] - 16)

    def send(self, payload):
        self.count += 1
        self.into.send(struct.pack("<BBBBIHHI", 5, 0, 0, 3, 16, 16 + len(payload), 0, self.count) + payload)

    def answer(self):
        while True:
            pdu = self.pdu()
            if pdu[2] == 20:
                continue  # flow control
            assert pdu[2] == 2
            return struct.unpack_from("<I", pdu, 12)[0], pdu[16:]

    def echo(self, payload):
        """One call and its answer; how long it took, in seconds."""
        started = time.monotonic()
        self.send(payload)
        assert self.answer() == (self.count, payload)
        return time.monotonic() - started

    def close(self):
        self.into.close()
        self.out.close()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


@contextlib.contextmanager
def full_server():
    """The URL of a server whose queue is full: it answers no SYN."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield "http://127.0.0.1:%d" % server.getsockname()[1]


def in_threads(n, work, *args):
    """Runs work(i, *args) in n threads; the first exception is raised here."""
    failed = []

    def run(i):
        try:
            work(i, *args)
        except BaseException as e:  # noqa: the test fails with it below
            failed.append(e)
    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failed:
        raise failed[0]


class Load:
    """Clients that send one request after the other and obey Connection: close; anything else is a loss."""

    def __init__(self, proxy, clients, path="/owa/bytes?size=3000", again=True):
        self.proxy, self.path, self.again = proxy, path, again
        self.stop = False
        self.served, self.lost, self.connections = 0, [], 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(clients)]
        for t in self.threads:
            t.start()

    def run(self, i):
        context = client_context()
        while not self.stop:
            try:
                c = Client(self.proxy, context=context)
            except ConnectionRefusedError as e:
                if self.again:
                    self.fail("connect: %r" % e)
                return
            except OSError as e:
                self.fail("connect: %r" % e)
                return
            with c:
                self.connections += 1
                if not self.requests(c, i):
                    return

    def requests(self, c, i):
        """False: lost one."""
        n = 0
        while not self.stop:
            n += 1
            try:
                if (i + n) % 3 == 0:
                    c.request("POST", "/owa/sink", [AUTH], body=b"x" * 5000)
                else:
                    c.request("GET", self.path, [AUTH])
                r = c.response()
            except (OSError, EOFError) as e:
                self.fail("request %d: %r" % (n, e))
                return False
            if r.status != 200:
                self.fail(r.line)
                return False
            with self.lock:
                self.served += 1
            if r.get("Connection") == "close":
                return True
        return True

    def fail(self, what):
        with self.lock:
            self.lost.append(what)

    def end(self, wait=False):
        """The losses. wait: until the proxy refuses connections."""
        self.stop = not wait
        for t in self.threads:
            t.join(20 * SLOW)
        return self.lost


def settle(client):
    """What a client reads until the proxy closes: bytes, and how it ended: "end" (told by close_notify) or "cut"."""
    data = b""
    client.sock.suppress_ragged_eofs = False
    try:
        while True:
            more = client.sock.recv(65536)
            if not more:
                return data, "end"
            data += more
    except (ConnectionError, ssl.SSLEOFError):
        return data, "cut"
