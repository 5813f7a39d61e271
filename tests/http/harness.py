"""Three verbs for end-to-end tests: Origin (a scripted backend), Proxy (a real Postern), Client (a raw TLS client).

Everything listens on 127.0.0.1 on free ports and is stopped by pid or by closing its socket.
"""
import base64
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
POSTERN = os.environ.get("POSTERN", os.path.join(ROOT, "build", "proxy", "postern"))
CAS = os.environ.get("POSTERN_CAS", os.path.join(ROOT, "build", "bench", "cas", "postern-cas"))
CERTS = os.environ.get("POSTERN_CERTS", "")
# A sanitizer build is several times slower; deadlines in tests stretch with it.
SLOW = float(os.environ.get("POSTERN_TEST_SLOW", "1"))


def certs():
    """The folder of demo certificates, made once per run."""
    global CERTS
    if not CERTS:
        CERTS = tempfile.mkdtemp(prefix="postern-certs-")
    if not os.path.exists(os.path.join(CERTS, "root.pem")):
        subprocess.run([os.path.join(ROOT, "certs", "make-certs"), CERTS], check=True, stdout=subprocess.DEVNULL)
    return CERTS


_ports_given = set()


def free_port():
    """Below the range that outgoing connections take theirs from: nobody else gets it before Postern has bound it."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            if port not in _ports_given and s.connect_ex(("127.0.0.1", port)) != 0:
                _ports_given.add(port)
                return port


def wait_until(condition, seconds=5.0, step=0.01):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(step)
    return bool(condition())


class Request:
    """One request as the origin read it."""

    def __init__(self, head, body):
        self.raw = head
        lines = head.split(b"\r\n")
        self.line = lines[0].decode("latin-1")
        self.method, self.target, self.version = self.line.split(" ", 2)
        self.fields = []
        for line in lines[1:]:
            if line:
                name, _, value = line.partition(b":")
                self.fields.append((name.decode("latin-1"), value.strip().decode("latin-1")))
        self.body = body

    def get(self, name, default=None):
        for n, v in self.fields:
            if n.lower() == name.lower():
                return v
        return default

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]


class Wire:
    """Buffered reading of HTTP from a socket; `raw` keeps every byte."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.raw = bytearray()
        self.eof = False

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            self.eof = True
            return False
        self.buffer += data
        self.raw += data
        return True

    def until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise EOFError("closed before %r; have %r" % (mark, self.buffer[:200]))
        i = self.buffer.index(mark) + len(mark)
        out, self.buffer = self.buffer[:i], self.buffer[i:]
        return out

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self.fill():
                raise EOFError("closed after %d of %d bytes" % (len(self.buffer), n))
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def rest(self):
        while self.fill():
            pass
        out, self.buffer = self.buffer, b""
        return out

    def chunks(self):
        """Yields each chunk as it arrives; strict."""
        while True:
            line = self.until(b"\r\n")[:-2]
            size = int(line, 16)
            data = self.exactly(size)
            assert self.exactly(2) == b"\r\n"
            if size == 0:
                return
            yield data


class Origin:
    """A backend. `handler(request, wire, sock)` answers; its return value is sent when it is bytes; False closes.

    The default answers 200 with a short body that names the request.
    """

    def __init__(self, handler=None, tls=None, read_body=True, address=("127.0.0.1", 0)):
        self.handler = handler or (lambda r, w, s: answer(200, b"origin %s %s" % (r.method.encode(), r.target.encode())))
        self.read_body = read_body
        self.requests = []
        self.connections = 0
        self.bytes = 0
        self.lock = threading.Lock()
        self.open = set()
        self.probes = {}
        self.tls = tls
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(512)
        self.port = self.listener.getsockname()[1]
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                sock, address = self.listener.accept()
            except OSError:
                return
            if address[1] in self.probes:
                sock.close()
                self.probes[address[1]].set()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.open.add(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        plain = sock
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            wire = Counted(sock, self)
            while self.one(wire, sock):
                pass
        except (OSError, EOFError, ValueError, ssl.SSLError):
            pass
        finally:
            with self.lock:
                self.open.discard(plain)
            try:
                sock.close()
            except OSError:
                pass

    def one(self, wire, sock):
        head = wire.until(b"\r\n\r\n")
        request = Request(head, b"")
        if self.read_body:
            request.body = read_body(request, wire)
        with self.lock:
            self.requests.append(request)
        reply = self.handler(request, wire, sock)
        if reply is False:
            return False
        if isinstance(reply, bytes):
            sock.sendall(reply)
        return True

    def touched(self):
        """(connections, bytes) of everybody who connected before this call: they were accepted before the probe was."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            there = self.probes[probe.getsockname()[1]] = threading.Event()
            probe.connect(("127.0.0.1", self.port))
            assert there.wait(10 * SLOW)
        with self.lock:
            return self.connections, self.bytes

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # ends the thread's accept(), which would else take one more
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            socks = list(self.open)
        for s in socks:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


class Counted(Wire):
    def __init__(self, sock, origin):
        super().__init__(sock)
        self.origin = origin

    def fill(self):
        before = len(self.raw)
        more = super().fill()
        with self.origin.lock:
            self.origin.bytes += len(self.raw) - before
        if len(self.raw) > 1 << 20:
            self.raw.clear()
        return more


def read_body(message, wire):
    if (message.get("Transfer-Encoding") or "").lower() == "chunked":
        return b"".join(wire.chunks())
    return wire.exactly(int(message.get("Content-Length") or 0))


def answer(status, body=b"", fields=(), reason="OK", version="1.1"):
    head = ["HTTP/%s %d %s" % (version, status, reason)]
    names = [n.lower() for n, _ in fields]
    if "content-length" not in names and "transfer-encoding" not in names:
        head.append("Content-Length: %d" % len(body))
    head += ["%s: %s" % f for f in fields]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body


class Response:
    def __init__(self, head):
        lines = head.split(b"\r\n")
        self.raw = head
        self.line = lines[0].decode("latin-1")
        parts = self.line.split(" ", 2)
        self.version, self.status = parts[0], int(parts[1])
        self.reason = parts[2] if len(parts) > 2 else ""
        self.fields = [tuple(x.strip() for x in line.decode("latin-1").split(":", 1)) for line in lines[1:] if line]
        self.body = b""

    get = Request.get
    all = Request.all


def connect_narrow(address, window, timeout):
    """As over a real line: segments of its size (loopback's hide what a reader takes until half its buffer is free), a small buffer."""
    s = socket.socket()
    s.settimeout(timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    s.connect(address)
    return s


class Client:
    """A raw client. tls=False speaks to the plain listener; `window` is the size of its receive buffer."""

    def __init__(self, proxy, host="mail.example.com", sni=None, tls=True, port=None, timeout=10.0, context=None,
                 source=None, window=None):
        self.host = host
        address = ("127.0.0.1", port or (proxy.port if tls else proxy.plain_port))
        if window:
            self.sock = connect_narrow(address, window, timeout * SLOW)
        else:
            self.sock = socket.create_connection(address, timeout=timeout * SLOW, source_address=(source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address = self.sock.getsockname()
        self.access_from = proxy.access_size()
        if tls:
            context = context or client_context()
            # an end without close_notify is an error, not an end
            self.sock = context.wrap_socket(self.sock, server_hostname=sni or host, suppress_ragged_eofs=False)
        self.wire = Wire(self.sock)

    def send(self, data):
        self.sock.sendall(data)

    def request(self, method, target, fields=(), body=None, version="1.1", host=None):
        head = ["%s %s HTTP/%s" % (method, target, version), "Host: %s" % (host or self.host)]
        head += ["%s: %s" % f for f in fields]
        if body is not None:
            head.append("Content-Length: %d" % len(body))
        self.send(("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + (body or b""))

    def half_close(self):
        """Says close_notify; the proxy's own is not there yet."""
        self.sock.setblocking(False)
        try:
            self.sock.unwrap()
        except ssl.SSLWantReadError:
            pass
        else:
            raise AssertionError("the proxy had ended its side already")
        finally:
            self.sock.settimeout(10 * SLOW)

    def head(self):
        return Response(self.wire.until(b"\r\n\r\n"))

    def response(self, method="GET"):
        r = self.head()
        if method == "HEAD" or r.status in (204, 304) or r.status < 200:
            return r
        if (r.get("Transfer-Encoding") or "").lower() == "chunked":
            r.body = b"".join(self.wire.chunks())
        elif r.get("Content-Length") is not None:
            r.body = self.wire.exactly(int(r.get("Content-Length")))
        else:
            r.body = self.wire.rest()
        return r

    def get(self, target, fields=(), **kw):
        self.request("GET", target, fields, **kw)
        return self.response()

    def closed(self, seconds=5.0):
        """True when the proxy closes, cleanly or not, with nothing more to say."""
        self.sock.settimeout(seconds * SLOW)
        try:
            return self.sock.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True
        except socket.timeout:
            return False

    def reset(self):
        """RST instead of FIN."""
        raw = self.sock
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        os.close(raw.detach())

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


def client_context():
    c = ssl.create_default_context(cafile=os.path.join(certs(), "root.pem"))
    return c


def server_context(name="backend"):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(os.path.join(certs(), name + ".pem"), os.path.join(certs(), name + ".key"))
    return c


SECRETS = set()  # what no log of any Postern may ever hold; looked for when each one stops


def secret(text):
    SECRETS.add(text)
    return text


def basic(user, password, charset="utf-8"):
    """The field for these credentials; the password and the token become secrets."""
    token = base64.b64encode(("%s:%s" % (user, password)).encode(charset)).decode()
    if len(password) >= 6:
        secret(password)
        secret(token)
    return ("Authorization", "Basic " + token)


_user_files = {}  # hashing is slow on purpose


def user_file(path, users):
    """A user file of {name: password}."""
    for password in users.values():
        secret(password)
    known = _user_files.get(tuple(users.items()))
    if known:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(known)
        return path
    for name, password in users.items():
        done = subprocess.run([POSTERN, "passwd", path, "add", name, "--sha512"], input=password.encode() + b"\n",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert done.returncode == 0, done.stdout
    if users:
        with open(path, "rb") as f:
            _user_files[tuple(users.items())] = f.read()
    return path


class Proxy:
    """A Postern on free ports. `config` is the YAML with {port}, {plain_port}, {certs}, {dir} filled in; `users` go to the user
    file that DIRECTORY names; `launcher` is a command that becomes Postern."""

    def __init__(self, config, dir=None, check=True, env=None, users=None, launcher=(), **values):
        self.own_dir = dir is None
        self.dir = dir or tempfile.mkdtemp(prefix="postern-test-")
        self.port = free_port()
        self.plain_port = free_port()
        self.values = dict(values, port=self.port, plain_port=self.plain_port, certs=certs(), dir=self.dir)
        self.path = os.path.join(self.dir, "postern.yaml")
        self.write(config)
        user_file(os.path.join(self.dir, "users"), users or {})
        self.access_path = os.path.join(self.dir, "access.log")
        self.process = subprocess.Popen([*launcher, POSTERN, "run", "-c", self.path], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, **(env or {})))
        self.output = b""
        self.reader = threading.Thread(target=self.read_output, daemon=True)
        self.reader.start()
        if check:
            self.wait_ready()

    def write(self, config):
        text = re.sub(r"\{(\w+)\}", lambda m: str(self.values[m.group(1)]) if m.group(1) in self.values else m.group(0),
                      config)
        with open(self.path, "w") as f:
            f.write(text)

    def read_output(self):
        for line in self.process.stdout:
            self.output += line

    def wait_ready(self):
        def up():
            if self.process.poll() is not None:
                raise RuntimeError("postern ended: %s" % self.output.decode(errors="replace"))
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        assert wait_until(up, 20), self.output.decode(errors="replace")

    def access(self, wanted=1, seconds=3.0, client=None):
        """The access log's lines as dicts, once there are `wanted` of them; only that client's where one is given."""
        def lines():
            try:
                with open(self.access_path, "rb") as f:
                    f.seek(client.access_from if client else 0)
                    found = [json.loads(x) for x in f if x.endswith(b"\n")]
            except FileNotFoundError:
                return []
            return [x for x in found if client is None or x["client_port"] == client.address[1]]
        wait_until(lambda: len(lines()) >= wanted, seconds)
        return lines()

    def access_size(self):
        return os.path.getsize(self.access_path) if os.path.exists(self.access_path) else 0

    def logs(self):
        """Everything that was logged, as bytes."""
        text = self.output
        if os.path.exists(self.access_path):
            with open(self.access_path, "rb") as f:
                text += f.read()
        return text

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def memory_kb(self):
        """What the process has for itself alone."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"^RssAnon:\s+(\d+)", f.read(), re.M).group(1))

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def stop(self, sig=signal.SIGTERM, seconds=20.0):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            code = self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("postern did not stop: %s" % self.output.decode(errors="replace"))
        self.reader.join(5)
        text = self.output.decode(errors="replace")
        assert "Sanitizer" not in text and "runtime error:" not in text, text
        told = self.logs()
        assert not [s for s in SECRETS if s.encode() in told], "a secret in a log"
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            sys.stdout.write(self.output.decode(errors="replace")[-4000:])
        try:
            code = self.stop()
        finally:
            if self.own_dir:
                shutil.rmtree(self.dir, ignore_errors=True)
        if kind is None:
            assert code == 0, "exit status %d: %s" % (code, self.output.decode(errors="replace"))


# The whole organisation in front of one origin; tests add to it.
CONFIG = """
workers: {workers}
listeners:
  - {{address: "127.0.0.1:{port}", certificates: [mail]}}
  - {{address: "127.0.0.1:{plain_port}", plain_http: redirect}}
certificates:
  mail: {{chain: {certs}/san.pem, key: {certs}/san.key}}
log: {{access_path: {dir}/access.log, event_path: stderr}}
control_socket: {dir}/control.sock
drain_timeout: 2s
backends:
  origin: {{servers: [{servers}], trust: {certs}/backend-ca.pem, health_interval: none}}
{extra}
publish:
  - hosts: [mail.example.com, autodiscover.example.com]
    to: origin
    authenticate: {authenticate}
    services: [owa, activesync, outlook_anywhere, autodiscover, ews, oab, mapi, webdav]
"""

DIRECTORY = "directories:\n  corp: {type: user_file, path: {dir}/users}"


def config(servers, authenticate="none", extra="", workers=1, base=CONFIG):
    """CONFIG with its own parts filled in; ports and folders are filled in by Proxy."""
    text = base.replace("{{", "\0").replace("}}", "\1")
    text = (text.replace("{servers}", ", ".join('"%s"' % s for s in servers)).replace("{authenticate}", authenticate)
            .replace("{extra}", extra).replace("{workers}", str(workers)))
    return text.replace("\0", "{").replace("\1", "}")
