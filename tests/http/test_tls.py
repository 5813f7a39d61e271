"""The TLS side of a listener: addresses, certificates by name and by key, profiles, ALPN, tickets, stapling, what is refused."""
import os
import re
import socket
import ssl
import subprocess

import pytest
from harness import SLOW, Client, Origin, Proxy, certs, client_context, config, free_port, wait_until

GET = b"GET /owa/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
SITE = """
  - hosts: ["*.example.com"]
    to: origin
    authenticate: none
    services: [owa]
"""
CERTIFICATES = """certificates:
  san-ecdsa: {chain: {certs}/san-ecdsa.pem, key: {certs}/san-ecdsa.key}
  wildcard: {chain: {certs}/wildcard.pem, key: {certs}/wildcard.key}
  wildcard-ecdsa: {chain: {certs}/wildcard-ecdsa.pem, key: {certs}/wildcard-ecdsa.key}
"""


def s_client(proxy, *options, host=b"mail.example.com", port=None, request=GET):
    """(output, exit status) of `openssl s_client` that asks for /owa/."""
    command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % (port or proxy.port), "-CAfile", certs() + "/root.pem",
               "-ign_eof", *options]
    done = subprocess.run(command, input=request and request % host, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30 * SLOW,
                          check=False)
    return done.stdout.decode("latin-1"), done.returncode


def leaf(sock):
    """Subject's name and kind of key of the certificate that was presented."""
    pem = ssl.DER_cert_to_PEM_cert(sock.getpeercert(True))
    text = subprocess.run(["openssl", "x509", "-noout", "-subject", "-text"], input=pem.encode(), stdout=subprocess.PIPE,
                          check=True).stdout.decode()
    return re.search(r"subject=.*CN = (\S+)", text).group(1), "EC" if "id-ecPublicKey" in text else "RSA"


def lax():
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def handshake(proxy, sni=None, context=None, port=None, address="127.0.0.1"):
    sock = socket.create_connection((address, port or proxy.port), timeout=10 * SLOW)
    return (context or lax()).wrap_socket(sock, server_hostname=sni)


def full(origin, extra=SITE, listed="[mail, san-ecdsa, wildcard, wildcard-ecdsa]"):
    text = config([origin.url]).replace("certificates:\n", CERTIFICATES).replace("certificates: [mail]", "certificates: " + listed)
    return text + extra


@pytest.fixture(scope="module")
def origin():
    with Origin() as o:
        yield o


@pytest.fixture(scope="module")
def proxy(origin):
    with Proxy(full(origin)) as p:
        yield p


# ---- names and certificates

@pytest.mark.parametrize("sni,expected", [
    ("mail.example.com", "mail.example.com"), ("MAIL.Example.com", "mail.example.com"), ("mail.example.com.", "mail.example.com"),
    ("autodiscover.example.com", "mail.example.com"), ("other.example.com", "*.example.com"), ("example.com", "*.example.com"),
    ("a.b.example.com", "mail.example.com"), ("www.example.net", "mail.example.com"), (None, "mail.example.com")])
def test_certificate_by_name(proxy, sni, expected):
    with handshake(proxy, sni) as sock:
        assert leaf(sock)[0] == expected


@pytest.mark.parametrize("sni", ["mail.example.com", "other.example.com", None])
@pytest.mark.parametrize("kind,options", [
    ("RSA", ["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"]), ("EC", ["-sigalgs", "ECDSA+SHA256"]),
    ("RSA", ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]), ("EC", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"])])
def test_rsa_and_ecdsa_side_by_side(proxy, sni, kind, options):
    out, _ = s_client(proxy, *options, *(["-servername", sni] if sni else ["-noservername"]), host=(sni or "mail.example.com").encode())
    assert "HTTP/1.1 200 OK" in out and "Verify return code: 0 (ok)" in out
    assert re.search(r"a:PKEY: (\w+)", out).group(1).startswith("rsa" if kind == "RSA" else "id")


def test_chain_is_sent(proxy):
    with handshake(proxy, "mail.example.com", client_context()) as sock:
        assert sock.getpeercert()["subject"]


def test_key_with_pass_phrase(origin):
    text = config([origin.url]).replace("{certs}/san.pem, key: {certs}/san.key", "{certs}/encrypted.pem, key: {certs}/encrypted.key, "
                                        "passphrase_file: {certs}/encrypted.pass")
    with Proxy(text) as proxy, Client(proxy) as client:
        assert client.get("/owa/").status == 200


@pytest.mark.parametrize("sni,host,expected,reason", [
    ("mail.example.com", "mail.example.com", 200, "ok"), ("mail.example.com", "MAIL.example.com:443", 200, "ok"),
    ("mail.example.com.", "mail.example.com", 200, "ok"), ("mail.example.com", "autodiscover.example.com", 421, "host_not_sni"),
    ("mail.example.com", "other.example.com", 421, "host_not_sni"), ("other.example.com", "mail.example.com", 421, "host_not_sni"),
    ("www.example.net", "mail.example.com", 421, "host_not_sni"), ("www.example.net", "www.example.net", 421, "host_not_published"),
    ("mail.example.com", "www.example.net", 421, "host_not_sni"), ("mail.example.com", "127.0.0.1", 421, "host_not_sni"),
    (None, "mail.example.com", 200, "ok"), (None, "autodiscover.example.com", 200, "ok"), (None, "other.example.com", 200, "ok"),
    (None, "127.0.0.1", 421, "host_not_published"), (None, "www.example.net", 421, "host_not_published")])
def test_host_must_fit_the_server_name(origin, proxy, sni, host, expected, reason):
    before = origin.touched()
    context = lax()
    with Client(proxy, host=host, sni=sni or "127.0.0.1", context=context) as client:
        assert client.get("/owa/").status == expected
        line = proxy.access(client=client)[0]
    assert (line["reason"], line["sni"]) == (reason, sni or "")
    assert (origin.touched() == before) == (expected != 200)


# ---- addresses

def test_ipv6_and_ipv4(origin):
    six, both = free_port(), free_port()
    text = config([origin.url]).replace("listeners:\n", "listeners:\n"
                                        "  - {address: \"[::1]:%d\", certificates: [mail]}\n"
                                        "  - {address: \"*:%d\", certificates: [mail]}\n" % (six, both))
    with Proxy(text) as proxy:
        for address, port, seen in (("::1", six, "::1"), ("::1", both, "::1"), ("127.0.0.1", both, "127.0.0.1")):
            with handshake(proxy, "mail.example.com", client_context(), port, address) as sock:
                sock.sendall(GET % b"mail.example.com")
                assert sock.recv(100).startswith(b"HTTP/1.1 200")
            assert wait_until(lambda: proxy.access()[-1]["client"] == seen)
            assert origin.requests[-1].all("X-Forwarded-For") == [seen]
        with pytest.raises(OSError):
            handshake(proxy, port=six)


# ---- profiles

PROFILES = {"modern": {"tls1_3"}, "intermediate": {"tls1_3", "tls1_2"}, "compat12": {"tls1_3", "tls1_2"},
            "legacy10": {"tls1_3", "tls1_2", "tls1_1", "tls1"}}
SUITES = {  # TLS 1.2 (and below) alone with one suite: the profiles that take it
    "ECDHE-RSA-AES128-GCM-SHA256": {"intermediate", "compat12", "legacy10"},
    "ECDHE-RSA-AES256-GCM-SHA384": {"intermediate", "compat12", "legacy10"},
    "ECDHE-RSA-CHACHA20-POLY1305": {"intermediate", "compat12", "legacy10"},
    "ECDHE-ECDSA-AES128-GCM-SHA256": {"intermediate", "compat12", "legacy10"},
    "DHE-RSA-AES256-GCM-SHA384": {"intermediate", "compat12", "legacy10"},
    "ECDHE-RSA-AES256-SHA384": {"compat12", "legacy10"}, "ECDHE-RSA-AES128-SHA": {"compat12", "legacy10"},
    "AES128-GCM-SHA256": {"legacy10"}, "AES256-SHA": {"legacy10"},
    "DHE-RSA-AES128-SHA": set(), "DES-CBC3-SHA": set(), "NULL-SHA256": set(), "ADH-AES128-SHA": set(), "AECDH-AES128-SHA": set(),
    "CAMELLIA128-SHA": set(), "PSK-AES128-CBC-SHA": set(),
}


@pytest.fixture(scope="module")
def profiles(origin):
    ports = {name: free_port() for name in PROFILES}
    extra = "".join("  - {address: \"127.0.0.1:%d\", certificates: [mail, san-ecdsa], tls: %s}\n" % (ports[n], n) for n in PROFILES)
    text = full(origin, "").replace("listeners:\n", "listeners:\n" + extra)
    with Proxy(text) as p:
        p.ports = ports
        yield p


@pytest.mark.parametrize("version", ["tls1_3", "tls1_2", "tls1_1", "tls1"])
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_versions(profiles, profile, version):
    weak = ["-cipher", "ALL:@SECLEVEL=0"] if version != "tls1_3" else []
    out, _ = s_client(profiles, "-" + version, *weak, port=profiles.ports[profile])
    assert ("HTTP/1.1 200 OK" in out) == (version in PROFILES[profile]), out[-500:]


@pytest.mark.parametrize("suite", sorted(SUITES))
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_suites(profiles, profile, suite):
    extra = ["-psk", "0102"] if "PSK" in suite else []
    out, _ = s_client(profiles, "-tls1_2", "-cipher", suite + ":@SECLEVEL=0", *extra, port=profiles.ports[profile])
    assert ("HTTP/1.1 200 OK" in out) == (profile in SUITES[suite]), out[-500:]


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_phone_with_old_suites(profiles, version):
    """TLS 1.0 with RSA key exchange and CBC, no SNI: Android 2.3, Windows Mobile 6."""
    out, _ = s_client(profiles, "-" + version, "-noservername", "-cipher", "AES128-SHA:@SECLEVEL=0", port=profiles.ports["legacy10"])
    assert "HTTP/1.1 200 OK" in out and re.search(r"Cipher\s+: AES128-SHA", out)


# ---- ALPN

@pytest.mark.parametrize("offer,chosen", [(["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), ([], None)])
def test_alpn(proxy, offer, chosen):
    context = lax()
    if offer:
        context.set_alpn_protocols(offer)
    with handshake(proxy, "mail.example.com", context) as sock:
        assert sock.selected_alpn_protocol() == chosen
        sock.sendall(GET % b"mail.example.com")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("offer", [["h2"], ["http/1.0"], ["spdy/3", "h3"]])
def test_alpn_of_others_is_refused(proxy, offer):
    context = lax()
    context.set_alpn_protocols(offer)
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        handshake(proxy, "mail.example.com", context)


# ---- tickets

def resumed(proxy, context, session, port=None):
    """(whether this connection resumed, its session)."""
    with socket.create_connection(("127.0.0.1", port or proxy.port), timeout=10 * SLOW) as raw:
        with context.wrap_socket(raw, server_hostname="mail.example.com", session=session) as sock:
            sock.sendall(GET % b"mail.example.com")
            while sock.recv(4096):
                pass
            return sock.session_reused, sock.session


def versions(*wanted):
    for version in wanted or (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context()
        context.minimum_version = context.maximum_version = version
        yield context


def key(seed):
    return bytes((seed + i) % 256 for i in range(80))


def ticket_file(path, *keys):
    with open(path + ".new", "wb") as f:
        f.write(b"".join(keys))
    os.rename(path + ".new", path)


def with_tickets(origin):
    return "tickets: file\nticket_file: {dir}/tickets\n" + config([origin.url])


def test_resumes_on_every_worker(origin):
    with Proxy(config([origin.url], workers=4)) as proxy:
        for context in versions():
            _, session = resumed(proxy, context, None)
            assert all(resumed(proxy, context, session)[0] for _ in range(16))
        workers = {line["connection"] >> 48 for line in proxy.access(34)}
        assert len(workers) > 1, "the kernel gave all connections to one worker"


def test_each_resumption_brings_a_ticket(origin):
    """TLS 1.3 clients use a ticket once (RFC 8446 C.4)."""
    with Proxy(config([origin.url])) as proxy:
        for context in versions(ssl.TLSVersion.TLSv1_3):
            _, session = resumed(proxy, context, None)
            for _ in range(4):
                before = session.time, session.id
                again, session = resumed(proxy, context, session)
                assert again and session.has_ticket and (session.time, session.id) != before


def test_resumes_after_reload(origin):
    with Proxy(config([origin.url])) as proxy:
        for context in versions():
            _, session = resumed(proxy, context, None)
            loads = proxy.output.count(b"PO-CONF-0001")
            proxy.reload()
            assert wait_until(lambda: proxy.output.count(b"PO-CONF-0001") > loads)
            assert resumed(proxy, context, session)[0]


def test_no_resumption_when_off(origin):
    with Proxy("tickets: \"off\"\n" + config([origin.url])) as proxy:
        for context in versions():
            _, session = resumed(proxy, context, None)
            assert session is None or not resumed(proxy, context, session)[0]


def ticket(output):
    """Name of the key of the last ticket that s_client printed, if any."""
    found = re.findall(r"TLS session ticket:\s+0000 - (.{47})", output)
    return bytes.fromhex(found[-1].replace("-", " ")) if found else None


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_shared_file_and_rotation(origin, tmp_path, version):
    """Two machines with one file; then a new key is put in front, and later the old one is taken out."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        ticket_file(str(folder / "tickets"), key(1))
    session = str(tmp_path / "session")
    with Proxy(with_tickets(origin), dir=str(folders[0])) as a, Proxy(with_tickets(origin), dir=str(folders[1])) as b:

        def reload(proxy, *keys):
            loads = proxy.output.count(b"PO-CONF-0001")
            ticket_file(os.path.join(proxy.dir, "tickets"), *keys)
            proxy.reload()
            assert wait_until(lambda: proxy.output.count(b"PO-CONF-0001") > loads)

        def ask(proxy, *options):
            out, _ = s_client(proxy, version, "-servername", "mail.example.com", *options)
            assert "HTTP/1.1 200 OK" in out
            return "\nReused, " in out, ticket(out)
        assert ask(a, "-sess_out", session) == (False, key(1)[:16])
        assert ask(b, "-sess_in", session)[0]
        reload(b, key(2), key(1))
        assert ask(b, "-sess_in", session) == (True, key(2)[:16]), "taken, and made anew with the first key"
        assert ask(a, "-sess_in", session)[0]
        reload(b, key(2))
        assert ask(b, "-sess_in", session) == (False, key(2)[:16])


def test_resumption_is_told_in_the_metrics(origin):
    port = free_port()
    with Proxy("admin: 127.0.0.1:%d\n" % port + config([origin.url])) as proxy:
        for context in versions():
            _, session = resumed(proxy, context, None)
            resumed(proxy, context, session)
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: sock.recv(65536), b""))
        assert b"\npostern_tls_resumed_total 2\n" in text


# ---- stapling

def test_ocsp_response_is_stapled(origin):
    text = config([origin.url]).replace("key: {certs}/san.key", "key: {certs}/san.key, ocsp: {certs}/san.ocsp")
    with Proxy(text) as proxy:
        for version in ("-tls1_2", "-tls1_3"):
            out, _ = s_client(proxy, version, "-status", "-servername", "mail.example.com")
            assert "OCSP Response Status: successful" in out and "Cert Status: good" in out and "HTTP/1.1 200 OK" in out


def test_an_old_response_is_not_stapled(origin):
    text = config([origin.url]).replace("key: {certs}/san.key", "key: {certs}/san.key, ocsp: {certs}/san-old.ocsp")
    with Proxy(text) as proxy:
        for version in ("-tls1_2", "-tls1_3"):
            out, _ = s_client(proxy, version, "-status", "-servername", "mail.example.com")
            assert "OCSP response: no response sent" in out and "HTTP/1.1 200 OK" in out
    assert b"san-old.ocsp is old" in proxy.output and proxy.output.count(b"PO-TLS-0004") == 1


def test_nothing_is_stapled_without(proxy):
    out, _ = s_client(proxy, "-status", "-servername", "mail.example.com")
    assert "OCSP response: no response sent" in out


# ---- what is refused

def test_renegotiation_is_refused(proxy):
    """`R` at the beginning of a line makes s_client renegotiate."""
    with subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % proxy.port, "-tls1_2", "-servername", "mail.example.com"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as p:
        line = b""
        while b"Verify return code" not in line:
            line = p.stdout.readline()
            assert line
        p.stdin.write(b"R\n")
        p.stdin.flush()
        rest = p.communicate(timeout=20 * SLOW)[0].decode()
    assert "RENEGOTIATING" in rest and ("no renegotiation" in rest or "handshake failure" in rest)


def test_no_early_data(proxy, tmp_path):
    session, early = str(tmp_path / "session"), tmp_path / "early"
    early.write_bytes(GET % b"mail.example.com")
    out, _ = s_client(proxy, "-tls1_3", "-servername", "mail.example.com", "-sess_out", session)
    assert "Max Early Data: 0" in out
    out, _ = s_client(proxy, "-tls1_3", "-servername", "mail.example.com", "-sess_in", session, "-early_data", str(early))
    assert "Early data was accepted" not in out


@pytest.mark.parametrize("data", [b"GET /owa/ HTTP/1.1\r\nHost: mail.example.com\r\n\r\n", b"\x80\x2e\x01\x03\x01" + b"\0" * 43,
                                  b"\x16\x03\x01\x00\x64" + b"\xff" * 100, b"SSH-2.0-OpenSSH\r\n", b"\x00" * 600],
                         ids=["http", "sslv2", "garbage record", "ssh", "zeros"])
def test_what_is_no_tls(origin, proxy, data):
    before = origin.touched()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10 * SLOW) as sock:
        sock.sendall(data)
        try:
            got = b"".join(iter(lambda: sock.recv(4096), b""))
        except ConnectionError:
            got = b""
    assert b"HTTP/" not in got
    assert origin.touched() == before


def test_half_a_handshake_ends(origin):
    text = config([origin.url]) + "limits: {handshake_timeout: 300ms}\n"
    with Proxy(text) as proxy:
        for first in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=10 * SLOW) as sock:
                sock.sendall(first)
                assert sock.recv(100) == b""
