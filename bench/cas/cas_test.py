"""System test of postern-cas: raw sockets against the real program. Ends with "N passed, N failed"."""
import base64
import hashlib
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import traceback

CAS = os.environ["POSTERN_CAS"]
AUTH = b"Authorization: Basic " + base64.b64encode(b"alice:secret") + b"\r\n"


class Cas:
    def __init__(self, *more):
        self.dir = tempfile.mkdtemp(prefix="cas-test-")
        self.record = os.path.join(self.dir, "record")
        self.process = subprocess.Popen([CAS, "--user", "alice:secret", "--offer-ntlm", "--control", "127.0.0.1:0",
                                         "--record", self.record, *more], stdout=subprocess.PIPE, text=True)
        self.port = self.line("listening")
        self.control = self.line("control")

    def line(self, what):
        line = self.process.stdout.readline()
        assert line.startswith(what), line
        return int(line.rsplit(":", 1)[1])

    def stats(self):
        with Wire(self.control) as w:
            return json.loads(w.ask(b"GET /sim/stats HTTP/1.1\r\nHost: x\r\n\r\n")[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0


class Wire:
    def __init__(self, port, context=None):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.s = context.wrap_socket(self.s, server_hostname="mail.example.com")
        self.b = b""

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.s.close()

    def fill(self):
        d = self.s.recv(65536)
        self.b += d
        return d

    def until(self, mark):
        while mark not in self.b:
            if not self.fill():
                raise EOFError(self.b[:300])
        out, _, self.b = self.b.partition(mark)
        return out + mark

    def exactly(self, n):
        while len(self.b) < n:
            if not self.fill():
                raise EOFError(self.b[:300])
        out, self.b = self.b[:n], self.b[n:]
        return out

    def chunk(self):
        n = int(self.until(b"\r\n"), 16)
        return self.exactly(n + 2)[:-2]

    def rest(self):
        while self.fill():
            pass
        return self.b

    def answer(self):
        head = self.until(b"\r\n\r\n").decode()
        fields = dict(x.lower().split(": ", 1) for x in head.split("\r\n")[1:] if x)
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while part := self.chunk():
                body += part
        else:
            body = self.exactly(int(fields.get("content-length", 0)))
        return head, body

    def ask(self, data):
        self.s.sendall(data)
        return self.answer()


def get(path, more=AUTH, method=b"GET"):
    return method + b" " + path + b" HTTP/1.1\r\nHost: mail.example.com\r\n" + more + b"\r\n"


def post(path, body, more=AUTH):
    return get(path, more + b"Content-Length: %d\r\n" % len(body), b"POST") + body


def test_auth(cas):
    with Wire(cas.port) as w:
        head, _ = w.ask(get(b"/owa/", b""))
        assert " 401 " in head and "WWW-Authenticate: Basic" in head and "WWW-Authenticate: NTLM" in head
        wrong = b"Authorization: Basic " + base64.b64encode(b"alice:wrong") + b"\r\n"
        assert " 401 " in w.ask(get(b"/owa/", wrong))[0]
        head, body = w.ask(get(b"/OWA/"))
        assert " 200 " in head and b"alice" in body and b"imulated" in body
        assert " 401 " in w.ask(get(b"/owa/", b""))[0], "Basic is not bound to the connection"


def ntlm(w, user):
    one = base64.b64encode(b"NTLMSSP\0\1\0\0\0")
    assert "WWW-Authenticate: NTLM TlRM" in w.ask(get(b"/owa/", b"Authorization: NTLM " + one + b"\r\n"))[0]
    three = base64.b64encode(b"NTLMSSP\0\3\0\0\0" + user)
    return w.ask(get(b"/owa/", b"Authorization: NTLM " + three + b"\r\n"))[0]


def test_ntlm(cas):
    with Wire(cas.port) as a, Wire(cas.port) as b:
        assert "X-Sim-Connection-User: bob\r\n" in ntlm(a, b"bob")
        assert "X-Sim-Connection-User: carol\r\n" in ntlm(b, b"carol")
        assert "X-Sim-Connection-User: bob\r\n" in a.ask(get(b"/owa/", b""))[0]
        assert "X-Sim-Connection-User: carol\r\n" in b.ask(get(b"/owa/", b""))[0]
    with Wire(cas.port) as w:
        three = base64.b64encode(b"NTLMSSP\0\3\0\0\0bob")
        assert " 401 " in w.ask(get(b"/owa/", b"Authorization: NTLM " + three + b"\r\n"))[0], "type 3 without type 1"


def test_bytes(cas):
    with Wire(cas.port) as w:
        for query, n in ((b"size=0", 0), (b"size=100", 100), (b"size=3000000", 3000000), (b"size=50000&chunk=777", 50000)):
            assert len(w.ask(get(b"/owa/bytes?" + query))[1]) == n
        assert w.ask(get(b"/owa/bytes?size=100000"))[1] == w.ask(get(b"/owa/bytes?size=100000&chunk=99"))[1]
        start = time.monotonic()
        w.ask(get(b"/owa/bytes?size=1&delay_ms=300"))
        assert 0.28 < time.monotonic() - start < 1
        w.s.sendall(get(b"/owa/bytes?size=3") * 50)
        for _ in range(50):
            assert len(w.answer()[1]) == 3


def test_sink(cas):
    data = os.urandom(300000)
    want = hashlib.sha256(data).hexdigest().encode()
    with Wire(cas.port) as w:
        body = w.ask(post(b"/owa/sink", data))[1]
        assert b"length 300000" in body and want in body
        chunked = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(p), p) for p in (data[:1], data[1:70000], data[70000:]))
        head = get(b"/owa/sink", AUTH + b"Transfer-Encoding: chunked\r\n", b"POST")
        assert want in w.ask(head + chunked + b"0\r\nX-Trailer: 1\r\n\r\n")[1]
        w.s.sendall(get(b"/owa/sink", AUTH + b"Expect: 100-continue\r\nContent-Length: 3\r\n", b"POST"))
        assert w.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        w.s.sendall(b"abc")
        assert b"length 3" in w.answer()[1]


def test_activesync(cas):
    path = b"/Microsoft-Server-ActiveSync?Cmd=Ping&User=alice&DeviceId=1&DeviceType=x"
    wbxml = b"\x03\x01\x6a\x00\x00\x0d\x45\x48\x031\x00\x01\x01"
    with Wire(cas.port) as w:
        head, _ = w.ask(get(b"/Microsoft-Server-ActiveSync", AUTH, b"OPTIONS"))
        assert "MS-ASProtocolVersions" in head and "MS-ASProtocolCommands" in head and "MS-Server-ActiveSync" in head
        for body, extra in ((wbxml, b""), (b"HeartbeatInterval=1", b""), (b"", b"&Heartbeat=1")):
            start = time.monotonic()
            _, answer = w.ask(post(path + extra, body))
            assert 0.98 < time.monotonic() - start < 1.5
            assert answer == b"\x03\x01\x6a\x00\x00\x0d\x45\x47\x031\x00\x01\x01", answer


def rts(flags, commands):
    body = b"".join(struct.pack("<I", t) + d for t, d in commands)
    return struct.pack("<BBBBIHHIHH", 5, 0, 20, 3, 16, 20 + len(body), 0, 0, flags, len(commands)) + body


def channels(cas, inn, out):
    v, u32 = os.urandom(16), lambda n: struct.pack("<I", n)
    target = b"/rpc/rpcproxy.dll?mail.example.com:6001"
    a1 = rts(0, [(6, u32(1)), (3, v), (3, os.urandom(16)), (0, u32(65536))])
    b1 = rts(0, [(6, u32(1)), (3, v), (3, os.urandom(16)), (4, u32(1 << 30)), (5, u32(300000)), (12, os.urandom(16))])
    assert len(a1) == 76 and len(b1) == 104
    out.s.sendall(get(target, AUTH + b"Content-Length: 76\r\n", b"RPC_OUT_DATA") + a1)
    inn.s.sendall(get(target, AUTH + b"Content-Length: 1073741824\r\n", b"RPC_IN_DATA") + b1)
    head = out.until(b"\r\n\r\n").decode()
    assert head.startswith("HTTP/1.1 200 Success\r\n") and "Content-Length: 1073741824\r\n" in head
    assert out.exactly(28)[20:28] == u32(2) + u32(120000)
    assert out.exactly(44)[18:20] == b"\x03\0"


def test_rpc(cas):
    for _ in range(8):  # with several workers the channels land on different ones
        with Wire(cas.port) as inn, Wire(cas.port) as out:
            channels(cas, inn, out)
            acks = 0
            for i in range(40):
                payload = os.urandom(1 + i * 50)
                pdu = struct.pack("<BBBBIHHI", 5, 0, 0, 3, 16, 16 + len(payload), 0, i) + payload
                for part in (pdu[:7], pdu[7:]):
                    inn.s.sendall(part)
                head = out.exactly(16)
                while head[2] == 20:
                    out.exactly(head[8] - 16)
                    acks += 1
                    head = out.exactly(16)
                assert head[2] == 2 and out.exactly(len(payload)) == payload
            inn.s.sendall(rts(1, []))
            inn.s.settimeout(0.05)
            try:
                assert not inn.s.recv(1), "IN must stay silent"
                raise AssertionError("IN was closed")
            except socket.timeout:
                pass
            assert acks >= 1


def test_rpc_echo_and_refusal(cas):
    with Wire(cas.port) as w:
        for method in (b"RPC_IN_DATA", b"RPC_OUT_DATA"):
            head, body = w.ask(get(b"/rpc/rpcproxy.dll", AUTH + b"Content-Length: 4\r\n", method) + b"echo")
            assert head.startswith("HTTP/1.1 200 Success") and len(body) == 20 and body[16] == 0x40
        w.s.sendall(get(b"/rpc/rpcproxy.dll?refused:6001", AUTH + b"Content-Length: 1073741824\r\n", b"RPC_IN_DATA"))
        assert w.rest().startswith(b"HTTP/1.0 503 RPC Error: 6ba\r\n")


def test_streams(cas):
    with Wire(cas.port) as w:
        w.s.sendall(get(b"/ews/exchange.asmx?stream=4&interval_ms=100"))
        w.until(b"\r\n\r\n")
        start = time.monotonic()
        for i in range(4):
            assert b'sequence="%d"' % (i + 1) in w.chunk()
            assert abs(time.monotonic() - start - 0.1 * (i + 1)) < 0.09
        assert w.chunk() == b""
        w.s.sendall(post(b"/mapi/emsmdb/?pending_ms=50&count=2", b"x"))
        w.until(b"\r\n\r\n")
        assert [w.chunk()[:4] for _ in range(4)] == [b"PROC", b"PEND", b"PEND", b"DONE"]
        assert w.chunk() == b""


def test_others(cas):
    with Wire(cas.port) as w:
        assert b"<Autodiscover" in w.ask(post(b"/Autodiscover/Autodiscover.xml", b"<x/>"))[1]
        assert b"<OAB" in w.ask(get(b"/oab/oab.xml"))[1]
        assert b"<UnifiedMessaging" in w.ask(get(b"/UnifiedMessaging/Service.asmx"))[1]
        assert " 207 " in w.ask(get(b"/exchange/alice/", AUTH, b"PROPFIND"))[0]
        for folder in (b"owa", b"ecp", b"ews", b"rpc", b"mapi", b"oab", b"autodiscover", b"microsoft-server-activesync"):
            assert " 200 " in w.ask(get(b"/" + folder + b"/healthcheck.htm"))[0], folder
        assert " 404 " in w.ask(get(b"/elsewhere"))[0]


def fault(cas, path, data=None):
    with Wire(cas.port) as w:
        w.s.sendall(data or get(b"/sim/" + path, b""))
        try:
            return w.rest()
        except ConnectionResetError:
            return w.b + b"RST"


def test_faults(cas):
    assert fault(cas, b"reset") == b"RST"
    assert fault(cas, b"half-head") == b"HTTP/1.1 200 OK\r\nContent-Le"
    assert fault(cas, b"truncated").endswith(b"only this")
    assert fault(cas, b"dup-length").count(b"Content-Length") == 2
    assert b"zz\r\n" in fault(cas, b"bad-chunk")
    assert fault(cas, b"http10").startswith(b"HTTP/1.0 200")
    assert len(fault(cas, b"huge-head?size=65536", get(b"/sim/huge-head?size=65536", b"Connection: close\r\n"))) >= 65536
    early = get(b"/sim/early", b"Content-Length: 100000\r\n", b"POST") + b"a"
    assert b" 413 " in fault(cas, b"early", early)
    with Wire(cas.port) as w:
        w.s.sendall(get(b"/sim/early-hints", b""))
        assert b" 103 " in w.until(b"\r\n\r\n") and w.answer()[1] == b"ok\n"
        for name in (b"204", b"trailers"):
            w.s.sendall(get(b"/sim/" + name, b""))
            w.until(b"X-Sim: yes\r\n\r\n" if name == b"trailers" else b"\r\n\r\n")
        assert w.ask(get(b"/sim/drip?size=3&interval_ms=20", b""))[1] == b"xxx"
        w.s.sendall(get(b"/sim/never", b""))
        w.s.settimeout(0.2)
        try:
            raise AssertionError(w.s.recv(1))
        except socket.timeout:
            pass


def test_malformed_and_counts(cas):
    before = cas.stats()
    for bad in (b"\x16\x03\x01\x00", b"GET / HTTP/1.1\r\nbad line\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"):
        assert fault(cas, b"", bad).startswith(b"HTTP/1.1 400")
    after = cas.stats()
    assert after["accepted"] == before["accepted"] + 3 and after["malformed"] == before["malformed"] + 3
    assert after["bytes_in"] > before["bytes_in"] and after["requests"] == before["requests"]
    with open(cas.record, "rb") as f:
        assert b"GET /OWA/ HTTP/1.1\r\nHost: mail.example.com\r\n" in f.read()


def test_none_left(cas):
    for _ in range(40):
        if cas.stats()["open"] == 0:
            return
        time.sleep(0.1)
    raise AssertionError(cas.stats())


def tls_cases():
    certs = tempfile.mkdtemp(prefix="cas-certs-")
    subprocess.run([os.environ["POSTERN_MAKE_CERTS"], certs], check=True)
    cas = Cas("--tls", certs + "/san.pem", certs + "/san.key")
    context = ssl.create_default_context(cafile=certs + "/root.pem")
    with Wire(cas.port, context) as w:
        assert len(w.ask(get(b"/owa/bytes?size=2000000"))[1]) == 2000000
        assert b"length 100000" in w.ask(post(b"/owa/sink", b"z" * 100000))[1]
    with Wire(cas.port, context) as w:
        w.s.suppress_ragged_eofs = False
        w.s.sendall(get(b"/sim/no-keep-alive", b""))
        assert w.rest().endswith(b"ok\n")
    with Wire(cas.port, context) as w:
        w.s.suppress_ragged_eofs = False
        w.s.sendall(get(b"/sim/no-notify", b""))
        try:
            w.rest()
            raise AssertionError("close_notify came")
        except ssl.SSLEOFError:
            pass
    cas.stop()


def behaviour_cases():
    folder = tempfile.mkdtemp(prefix="cas-test-")
    path = os.path.join(folder, "behaviour")
    with open(path, "w", encoding="ascii") as out:
        out.write("# a bad day\nall latency=150ms\nautodiscover size=3000 latency=60ms-80ms # comments end lines\n\newsbroken x\n")
    bad = subprocess.run([CAS, "--no-auth", "--behaviour", path], capture_output=True, text=True, check=False)
    assert bad.returncode == 2 and "line 5" in bad.stderr, bad.stderr
    bad = subprocess.run([CAS, "--no-auth", "--behave", "ewsbroken latency=1s"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2 and "`ewsbroken` is no service" in bad.stderr, bad.stderr
    for text in ("owa latency=x", "owa fail=0.5:503", "owa fail=101%:503", "owa fail=1%:nothing", "owa size=2G", "owa slow=1%", "owa a=b",
                 "owa fail=1%:302", "owa latency=80ms-20ms"):
        bad = subprocess.run([CAS, "--no-auth", "--behave", text], capture_output=True, text=True, check=False)
        assert bad.returncode == 2 and "give latency=" in bad.stderr, (text, bad.stderr)
    with open(path, "w", encoding="ascii") as out:
        out.write("# a bad day\nall latency=150ms\nautodiscover size=3000 latency=60ms-80ms # comments end lines\n\nmapi fail=100%:503\n")
    cas = Cas("--behaviour", path, "--behave", "ews fail=100%:truncated", "--behave", "rpc fail=100%:500", "--behave",
              "activesync size=70000", "--behave", "oab slow=100%:200ms latency=5s", "--behave", "webdav fail=30%:500")
    with Wire(cas.port) as w:
        start = time.monotonic()
        w.s.sendall(post(b"/owa/sink", b"abc") + get(b"/owa/") + get(b"/owa/bytes?size=5&delay_ms=100"))
        assert b"length 3" in w.answer()[1]
        head, body = w.answer()
        assert " 200 " in head and b"alice" in body and b"mail.example.com" in body, "the head is still known when the answer comes"
        assert w.answer()[1] == b"01234"
        assert time.monotonic() - start > 0.54, "three latencies and a delay, one after the other"
        head, body = w.ask(post(b"/autodiscover/autodiscover.xml", b"x"))
        assert len(body) == 3000 and body.startswith(b"<?xml") and body.rstrip().endswith(b"-->")
        assert " 503 " in w.ask(post(b"/mapi/emsmdb/", b"x" * 300))[0]
        start = time.monotonic()
        assert " 200 " in w.ask(get(b"/oab/x"))[0]
        assert 0.19 < time.monotonic() - start < 4.9
        body = w.ask(post(b"/Microsoft-Server-ActiveSync?Cmd=Sync&User=a&DeviceId=b&DeviceType=c", b""))[1]
        assert len(body) == 70000 and body[:9] == b"\x03\x01\x6a\0\0\0\x45\x4e\x03" and body[12] == 0xc3
        length = (body[13] & 127) << 21 | (body[14] & 127) << 14 | (body[15] & 127) << 7 | body[16]
        assert length == 70000 - 18 and body[-1] == 1
        failed = sum(" 500 " in w.ask(get(b"/exchange/"))[0] for _ in range(300))
        assert 40 < failed < 140, failed
        assert " 200 " in w.ask(get(b"/owa/healthcheck.htm"))[0]
    with Wire(cas.port) as w:
        w.s.sendall(post(b"/ews/exchange.asmx", b"<x/>"))
        assert w.rest().endswith(b"only this")
    with Wire(cas.port) as w:
        w.s.sendall(get(b"/rpc/rpcproxy.dll?mail:6001", AUTH + b"Content-Length: 1000000\r\n", b"RPC_IN_DATA"))
        assert b" 500 " in w.until(b"\r\n\r\n")
    cas.stop()


def main():
    passed = failed = 0
    cases = [(n, f) for n, f in list(globals().items()) if n.startswith("test_")]
    runs = []
    servers = [Cas(), Cas("--workers", "3")]
    for i, cas in enumerate(servers):
        runs += [("%s/%d" % (n, i), lambda f=f, cas=cas: f(cas)) for n, f in cases]
    runs += [("stop/%d" % i, cas.stop) for i, cas in enumerate(servers)] + [("tls", tls_cases), ("behaviour", behaviour_cases)]
    for name, run in runs:
        try:
            run()
            passed += 1
        except Exception:
            failed += 1
            print("FAILED", name)
            traceback.print_exc(file=sys.stdout)
    print("%d passed, %d failed" % (passed, failed))
    for cas in servers:
        cas.process.kill()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
