"""The tool itself: hellos read by others, real clients recorded, servers that mean harm, words, reports, requests."""
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import xml.dom.minidom

import pytest

from harness import certs, free_port, wait_until
from test_trial import HOST, POSTERN, chain, trial

HERE = os.path.dirname(os.path.abspath(__file__))
DEVICES = os.path.join(HERE, "..", "..", "config", "devices")


def profile(name):
    """The lists and words of a profile's tls section, read without the program's own reader."""
    with open(os.path.join(DEVICES, name + ".yaml"), encoding="utf-8") as f:
        text = f.read().split("\ntls:\n", 1)[1].split("\ncertificate:", 1)[0]
    found = {}
    for key, many, one in re.findall(r"(?m)^  (\w+): (?:\[([^\]]*)\]|(.*))$", text):
        found[key] = one.strip('"') if one else [w.strip() for w in many.replace("\n", " ").split(",") if w.strip()]
    return found


def table(name):
    """number -> word, of a table of the program."""
    with open(os.path.join(HERE, "..", "..", "proxy", "trial", name), encoding="ascii") as f:
        return {int(n, 16): w for n, w in re.findall(r'\((0x[0-9a-f]+), "([^"]+)"\)', f.read())}


SUITES, EXTENSIONS, GROUPS, SIGNATURES = (table(n + ".def") for n in ("suites", "extensions", "groups", "signatures"))


class Trap:
    """A server that keeps the first bytes of each client, then does as `then` says."""

    def __init__(self, then=lambda s: None, greeting=b""):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.then, self.greeting, self.seen = then, greeting, []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(s,), daemon=True).start()

    def one(self, s):
        with s:
            s.settimeout(10)
            try:
                if self.greeting:
                    s.sendall(self.greeting)
                self.seen.append(s.recv(16384))
                self.then(s)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


def grease(n):
    return n & 0x0f0f == 0x0a0a and n >> 8 == n & 255


def words(numbers, names):
    return ["grease" if grease(n) else names.get(n, "0x%04x" % n) for n in numbers]


def u16s(data):
    return [n for n, in struct.iter_unpack(">H", data)]


def parse(data):
    """A ClientHello by RFC 8446 4.1.2, or in the frame of SSL 2.0 by RFC 5246 E.2."""
    if data[0] & 0x80:
        assert (data[0] & 0x7f) << 8 | data[1] == len(data) - 2 and data[2] == 1
        version, n, session, challenge = struct.unpack(">HHHH", data[3:11])
        kinds = [int.from_bytes(data[11 + i:14 + i], "big") for i in range(0, n, 3)]
        assert session == 0 and len(data) == 11 + n + challenge
        return {"hello": version, "suites": ["sslv2_0x%06x" % k if k > 0xffff else SUITES[k] for k in kinds], "challenge": challenge}
    kind, record, size = struct.unpack(">BHH", data[:5])
    assert kind == 22 and size == len(data) - 5 and data[5] == 1 and int.from_bytes(data[6:9], "big") == size - 4
    p = 9
    ret = {"record": "%04x" % record, "hello": u16s(data[p:p + 2])[0], "extensions": [], "session_id": data[p + 34]}
    p += 35 + data[p + 34]
    n = u16s(data[p:p + 2])[0]
    ret["suites"] = words(u16s(data[p + 2:p + 2 + n]), SUITES)
    p += 2 + n
    ret["compression"] = list(data[p + 1:p + 1 + data[p]])
    p += 1 + data[p]
    if p == len(data):
        return ret
    assert u16s(data[p:p + 2])[0] == len(data) - p - 2
    p += 2
    while p < len(data):
        kind, n = struct.unpack(">HH", data[p:p + 4])
        body = data[p + 4:p + 4 + n]
        ret["extensions"] += words([kind], EXTENSIONS)
        if kind == 0:
            assert body[5:].decode() == HOST
        elif kind == 10:
            ret["groups"] = words(u16s(body[2:]), GROUPS)
        elif kind == 13:
            ret["signature_algorithms"] = words(u16s(body[2:]), SIGNATURES)
        elif kind == 16:
            ret["alpn"] = re.findall(r"[\x21-\x7e]+", re.sub(rb"[\x00-\x20]", b" ", body[2:]).decode())
        p += 4 + n
    assert p == len(data)
    return ret


def devices():
    return sorted(n[:-5] for n in os.listdir(DEVICES) if n.endswith(".yaml"))


@pytest.fixture(scope="module")
def hellos():
    """Device -> the bytes that it sends first."""
    found = {}
    with Trap() as trap:
        for name in devices():
            before = len(trap.seen)
            trial("--connect", "127.0.0.1:%d" % trap.port, "--host", HOST, "--device", name, "--no-http")
            assert wait_until(lambda n=before: len(trap.seen) > n, 5)
            found[name] = trap.seen[before]
    return found


VERSIONS = {0x300: "ssl3", 0x301: "tls1.0", 0x302: "tls1.1", 0x303: "tls1.2"}


def test_hellos_are_what_the_profiles_say(hellos):
    for name, data in hellos.items():
        said, sent = profile(name), parse(data)
        assert VERSIONS[sent["hello"]] == said["hello"], name
        for key in ("record", "session_id", "challenge"):
            if key in said and key in sent:
                assert str(sent[key]) == said[key], (name, key)
        for key in ("suites", "groups", "signature_algorithms", "alpn"):
            assert sent.get(key, []) == said.get(key, []), (name, key)
        wanted = [e.split("=")[0] for e in said.get("extensions", [])]
        if "padding" not in sent.get("extensions", []):
            wanted = [e for e in wanted if e != "padding"]
        assert sent.get("extensions", []) == wanted, name


@pytest.mark.skipif(shutil.which("tshark") is None or shutil.which("text2pcap") is None, reason="tshark is not installed")
def test_tshark_reads_the_same(hellos, tmp_path):
    names, dump = [n for n in hellos if not hellos[n][0] & 0x80], ""
    for i, name in enumerate(names):
        data = hellos[name]
        dump += "".join("%06x %s\n" % (k, data[k:k + 16].hex(" ")) for k in range(0, len(data), 16)) + "\n"
    (tmp_path / "hellos.txt").write_text(dump)
    pcap = str(tmp_path / "hellos.pcap")
    subprocess.run(["text2pcap", "-q", "-T", "40000,443", str(tmp_path / "hellos.txt"), pcap], check=True, capture_output=True)
    fields = ["tls.handshake.ciphersuite", "tls.handshake.extension.type", "tls.handshake.extensions_supported_group",
              "tls.handshake.version", "tls.handshake.extensions_server_name"]
    out = subprocess.run(["tshark", "-r", pcap, "-o", "tcp.analyze_sequence_numbers:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE",
                          "-d", "tcp.port==443,tls", "-T", "fields"] + [a for f in fields for a in ("-e", f)],
                         check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(out) == len(names)
    for name, line in zip(names, out):
        suites, extensions, groups, version, host = (line.split("\t") + [""] * 5)[:5]
        said, sent = profile(name), parse(hellos[name])
        number = lambda text: [int(n, 0) for n in text.split(",") if n]
        assert words(number(suites), SUITES) == said["suites"], name
        assert words(number(extensions), EXTENSIONS) == sent.get("extensions", []), name
        assert words(number(groups), GROUPS) == said.get("groups", []), name
        assert VERSIONS[int(version, 0)] == said["hello"], name
        assert host == (HOST if said["sni"] == "true" else ""), name


# ---- real clients ----

def record(client, tmp_path, name):
    """The profile that `postern trial record` writes of a client, which is a list of words with PORT among them."""
    port = free_port()
    run = subprocess.Popen([POSTERN, "trial", "record", "--port", str(port), "--name", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"waiting" in run.stderr.readline()
    subprocess.run([w.replace("PORT", str(port)) for w in client], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 0
    (tmp_path / (name + ".yaml")).write_bytes(out)
    return out.decode()


def test_real_clients_are_recorded(tmp_path):
    text = record(["openssl", "s_client", "-connect", "127.0.0.1:PORT", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA",
                   "-servername", HOST], tmp_path, "openssl-limited")
    assert "suites: [ECDHE_RSA_WITH_AES_128_GCM_SHA256, RSA_WITH_AES_128_CBC_SHA, EMPTY_RENEGOTIATION_INFO_SCSV]" in text
    assert "max: tls1.2" in text and "sni: true" in text
    if shutil.which("curl"):
        text = record(["curl", "-sk", "--tls-max", "1.3", "--connect-to", "%s:443:127.0.0.1:PORT" % HOST, "https://%s/" % HOST], tmp_path, "curl")
        assert "max: tls1.3" in text and "alpn: [h2, http/1.1]" in text
    if shutil.which("chromium"):
        text = record(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--timeout=3000", "--user-data-dir=" + str(tmp_path / "c"),
                       "--dump-dom", "https://127.0.0.1:PORT/"], tmp_path, "chromium")
        assert "grease" in text and "key_shares" in text
    run = subprocess.run([POSTERN, "trial", "devices", "--devices", str(tmp_path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert "openssl-limited" in run.stdout
    # what was recorded can be sent: it is a profile like any other
    with Trap() as trap:
        trial("--connect", "127.0.0.1:%d" % trap.port, "--host", HOST, "--devices", str(tmp_path), "--device", "openssl-limited", "--no-http")
        assert parse(trap.seen[0])["suites"][0] == "ECDHE_RSA_WITH_AES_128_GCM_SHA256"


# ---- servers that mean harm ----

def drip(s):
    for byte in b"\x16\x03\x03\x40\x00" + b"\x0b" * 4000:
        s.sendall(bytes([byte]))
        time.sleep(0.05)


def flood(s):
    while True:
        s.sendall(b"\x16\x03\x03\x40\x00" + b"\x00" * 16384)


def warn(s):
    while True:
        s.sendall(b"\x15\x03\x01\x00\x02\x01\x70" * 100)


HELLO = b"\x02\x00\x00\x26\x03\x03" + b"\x07" * 32 + b"\x00\xc0\x2f\x00"
HOSTILE = {
    "silent": lambda s: time.sleep(8),
    "closes": lambda s: None,
    "plain": lambda s: s.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n"),
    "noise": lambda s: s.sendall(os.urandom(50000)),
    "drips": drip,
    "floods": flood,
    "warns": warn,
    "hello alone": lambda s: (s.sendall(b"\x16\x03\x03\x00\x2a" + HELLO), time.sleep(8)),
    "no certificate": lambda s: s.sendall(b"\x16\x03\x03\x00\x2e" + HELLO + b"\x0e\x00\x00\x00"),
    "bad certificate": lambda s: s.sendall(b"\x16\x03\x03\x00\x2a" + HELLO + b"\x16\x03\x03\x00\x17\x0b\x00\x00\x0b\x00\x00\x08\x00\x00\x05\x30\x82\xff\xff\x00\x0e\x00\x00\x00\x00"),
    "huge message": lambda s: s.sendall(b"\x16\x03\x03\x00\x04\x0b\xff\xff\xff"),
}


@pytest.mark.parametrize("how", list(HOSTILE))
def test_a_hostile_server(how):
    with Trap(HOSTILE[how]) as trap:
        before = time.monotonic()
        code, cells, said = trial("--connect", "127.0.0.1:%d" % trap.port, "--host", HOST, "--device", "ios-9,android-12", "--timeout", "2",
                                  "--require", "all", timeout=60)
        assert code == 1, said
        assert len(cells) == 2 and not any(c["connects"] for c in cells)
        assert time.monotonic() - before < 30


def test_a_server_that_is_not_there():
    code, cells, _ = trial("--connect", "127.0.0.1:%d" % free_port(), "--require", "all", timeout=60)
    assert code == 1
    assert {c["live"]["ends_at"] for c in cells} == {"network"}


def smtp(s):
    """After the first bytes, which are EHLO: the rest of a submission server up to TLS."""
    s.sendall(b"250-mail.example.com\r\n250 STARTTLS\r\n")
    assert s.recv(100) == b"STARTTLS\r\n"
    s.sendall(b"220 go ahead\r\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(certs(), "san.pem"), os.path.join(certs(), "san.key"))
    with context.wrap_socket(s, server_side=True) as t:
        t.recv(100)


def test_starttls():
    with Trap(smtp, greeting=b"220 mail.example.com ESMTP\r\n") as trap:
        _, cells, said = trial("--connect", "127.0.0.1:%d" % trap.port, "--chain", chain([""], "san"), "--host", HOST, "--starttls", "smtp",
                               "--device", "ios-9,android-12")
        assert [c["connects"] for c in cells] == [True, True], said
        assert all("completed" in c["live"]["note"] for c in cells)


def test_starttls_needs_a_server_that_takes_it():
    with Trap() as trap:
        code, cells, _ = trial("--connect", "127.0.0.1:%d" % trap.port, "--host", HOST, "--starttls", "smtp", "--device", "ios-9", "--timeout", "2")
        assert code == 0 and "STARTTLS" in cells[0]["live"]["reason"]


# ---- words, reports, requests ----

def test_reports(tmp_path):
    html, junit = str(tmp_path / "m.html"), str(tmp_path / "m.xml")
    code, cells, said = trial("--chain", chain([""], "wildcard"), "--host", HOST, "--what-if", "tls", "--what-if",
                              "chain=" + chain([""], "san"), "--html", html, "--junit", junit)
    assert code == 0, said
    by = {(c["device"], c["column"].split(", ", 1)[1]): c for c in cells}
    assert not by["ios-8", "intermediate"]["connects"]
    assert "compat12" in by["ios-8", "intermediate"]["predicted"]["change"]
    assert by["ios-8", "if compat12"]["connects"]
    assert "wildcard" in by["windows-mobile-5", "if legacy10"]["predicted"]["reason"] or not by["windows-mobile-5", "if legacy10"]["connects"]
    text = open(html, encoding="utf-8").read()
    assert text.count("<td ") == len(cells) and "http://" not in text and "<script" not in text
    suites = xml.dom.minidom.parse(junit).getElementsByTagName("testsuite")
    assert len(suites) == 5
    assert sum(int(s.getAttribute("failures")) for s in suites) == sum(not c["connects"] for c in cells)


def test_the_matrix_of_the_readme_is_of_today():
    with open(os.path.join(HERE, "..", "..", "README.md"), encoding="utf-8") as f:
        said = [int(n) for n in re.search(r"of all (\d+) profiles \| (\d+) \| (\d+) \| (\d+) \| (\d+) ", f.read()).groups()]
    found = [len(devices())]
    for profile_name in ("modern", "intermediate", "compat12", "legacy10"):
        _, cells, _ = trial("--chain", chain(["", "-ecdsa"], "san"), "--host", HOST, "--tls", profile_name)
        found.append(sum(c["connects"] for c in cells))
    assert said == found


@pytest.mark.parametrize("device,tls,kind,word", [
    ("nokia-s60", "legacy10", "wildcard", "wildcard"),
    ("ios-8", "intermediate", "san", "shares no cipher suite"),
    ("ie-6-xp", "legacy10", "san", "SSL 3.0 at most"),
    ("iphone-os-2", "legacy10", "san", "SHA-256"),
    ("android-2.3", "legacy10", "san-ecdsa", "shares no cipher suite"),
    ("ios-9", "intermediate", "sha1", "SHA-1"),
    ("ios-9", "intermediate", "expired", "expired"),
    ("ios-9", "intermediate", "wrong-name", "does not name"),
])
def test_reasons(device, tls, kind, word):
    _, cells, said = trial("--chain", chain([""], kind), "--host", HOST, "--tls", tls, "--device", device)
    assert not cells[0]["connects"], said
    assert word in cells[0]["predicted"]["reason"]


def test_what_is_required_decides():
    base = ["--chain", chain([""], "san"), "--host", HOST]
    assert trial(*base, "--require", "ios-9,android-12")[0] == 0
    assert trial(*base, "--require", "ios-8")[0] == 1
    assert trial(*base, "--require", "all")[0] == 1
    code, _, said = trial(*base, "--require", "ios-88")
    assert code == 2 and "did you mean `ios-" in said
    assert trial("--chain", "nowhere.pem", "--host", HOST)[0] == 2
    assert trial("--tsl", "x")[0] == 2
    code, _, said = trial("-c", "postern.yaml", "--tls", "modern")
    assert code == 2 and "--tls needs --chain" in said and "--what-if tls=PROFILE" in said


def test_advice_and_request(tmp_path):
    out = subprocess.run([POSTERN, "trial", "--chain", chain([""], "wildcard"), "--host", HOST, "--host", "autodiscover.example.com", "--tls",
                          "legacy10", "--advice"], capture_output=True, text=True, check=True).stdout
    assert "names needed: mail.example.com, autodiscover.example.com" in out
    assert re.search(r"one certificate that names each host +\d+ of", out) and "wins " in out and "nokia-s60" in out
    conf = tmp_path / "postern.yaml"
    conf.write_text("""listeners: [{address: "*:443", certificates: [m]}]
certificates: {m: {chain: m.pem, key: m.key}}
backends: {b: {servers: ["https://cas.corp.example.com"]}}
directories: {d: {type: user_file, path: users}}
publish: [{hosts: [mail.example.com, autodiscover.example.com], to: b, authenticate: {basic: d}, services: [owa]}]
""")
    for kind, word in (("rsa:2048", "2048 bit"), ("ecdsa", "256 bit")):
        prefix = str(tmp_path / kind.replace(":", ""))
        run = subprocess.run([POSTERN, "cert", "request", "-c", str(conf), "--key", kind, "--out", prefix], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        text = subprocess.run(["openssl", "req", "-in", prefix + ".csr", "-noout", "-text", "-verify"], capture_output=True, text=True, check=True).stdout
        assert "DNS:mail.example.com, DNS:autodiscover.example.com" in text and word in text and "CN = mail.example.com" in text
        assert os.stat(prefix + ".key").st_mode & 0o777 == 0o600
        assert subprocess.run([POSTERN, "cert", "request", "-c", str(conf), "--out", prefix], capture_output=True, check=False).returncode == 1
