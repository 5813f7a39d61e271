"""TLS that carries nothing: changes of keys, renegotiation, empty and tiny records. A few are fine; a flood ends the connection, is
counted, and costs nobody else anything.
"""
import ctypes
import ctypes.util
import hashlib
import hmac
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import time

import pytest

from harness import SLOW, Client, certs, wait_until
from rig import Cas, Rig, site

HEAD = b"GET /sim/204 HTTP/1.1\r\nHost: mail.example.com\r\n\r\n"
ALERT, HANDSHAKE, DATA = 21, 22, 23
CLIENT_HELLO = b"\x01\x00\x00\x26\x03\x03" + b"r" * 32 + b"\x00\x00\x00\x00"


@pytest.fixture(scope="module")
def proxy():
    with Cas() as cas, Rig(site([cas.url])) as p:
        yield p


def told(proxy):
    return "reason=tls_flood" in proxy.said()


# ---- records by hand: what no TLS library sends ----

crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
crypto.EVP_CIPHER_CTX_new.restype = crypto.EVP_aes_128_gcm.restype = crypto.EVP_aes_256_gcm.restype = ctypes.c_void_p


def seal(key, nonce, text, aad):
    """AES-GCM."""
    cipher = crypto.EVP_aes_128_gcm() if len(key) == 16 else crypto.EVP_aes_256_gcm()
    c, n = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new()), ctypes.c_int()
    out, tag = ctypes.create_string_buffer(len(text) + 16), ctypes.create_string_buffer(16)
    crypto.EVP_EncryptInit_ex(c, ctypes.c_void_p(cipher), None, key, nonce)
    crypto.EVP_EncryptUpdate(c, None, ctypes.byref(n), aad, len(aad))
    crypto.EVP_EncryptUpdate(c, out, ctypes.byref(n), text, len(text))
    crypto.EVP_EncryptFinal_ex(c, ctypes.byref(ctypes.create_string_buffer(16)), ctypes.byref(ctypes.c_int()))
    crypto.EVP_CIPHER_CTX_ctrl(c, 0x10, 16, tag)
    crypto.EVP_CIPHER_CTX_free(c)
    return out.raw[:len(text)] + tag.raw


def expand(secret, label, n):
    """HKDF-Expand-Label of RFC 8446 7.1, one block."""
    label = b"tls13 " + label
    info = struct.pack("!HB", n, len(label)) + label + b"\0"
    return hmac.new(secret, info + b"\1", hashlib.sha384).digest()[:n]


def prf(secret, seed, n):
    """P_SHA256 of RFC 5246 5."""
    out, a = b"", seed
    while len(out) < n:
        a = hmac.new(secret, a, hashlib.sha256).digest()
        out += hmac.new(secret, a + seed, hashlib.sha256).digest()
    return out[:n]


class Records:
    """A TLS client that writes its records itself, once the handshake is over."""

    def __init__(self, proxy, version):
        context = ssl.create_default_context(cafile=os.path.join(certs(), "root.pem"))
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
        self.tls13 = version == ssl.TLSVersion.TLSv1_3
        self.sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=10 * SLOW)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with tempfile.NamedTemporaryFile() as log:
            context.keylog_filename = log.name
            received = self.handshake(context)
            secrets = {line.split()[0]: line.split()[1:] for line in open(log.name) if not line.startswith("#")}
        if self.tls13:
            self.sequence, secret = 0, bytes.fromhex(secrets["CLIENT_TRAFFIC_SECRET_0"][1])
            self.key, self.iv = expand(secret, b"key", 32), expand(secret, b"iv", 12)
        else:
            client, master = map(bytes.fromhex, secrets["CLIENT_RANDOM"])
            block = prf(master, b"key expansion" + received[11:43] + client, 40)
            self.sequence, self.key, self.iv = 1, block[:16], block[32:36]

    def handshake(self, context):
        into, out, received = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
        session = context.wrap_bio(into, out, server_hostname="mail.example.com")
        while True:
            try:
                session.do_handshake()
                self.sock.sendall(out.read())
                assert session.cipher()[0] == "TLS_AES_256_GCM_SHA384" if self.tls13 else "AES128-GCM-SHA256" in session.cipher()[0]
                return received
            except ssl.SSLWantReadError:
                self.sock.sendall(out.read())
                data = self.sock.recv(65536)
                assert data
                received += data
                into.write(data)

    def record(self, kind, text):
        number = struct.pack("!Q", self.sequence)
        self.sequence += 1
        if self.tls13:
            text += bytes([kind])
            aad = struct.pack("!BHH", DATA, 0x0303, len(text) + 16)
            nonce = bytes(a ^ b for a, b in zip(self.iv, b"\0\0\0\0" + number))
            return aad + seal(self.key, nonce, text, aad)
        aad = number + struct.pack("!BHH", kind, 0x0303, len(text))
        return struct.pack("!BHH", kind, 0x0303, len(text) + 24) + number + seal(self.key, self.iv + number, text, aad)

    def send(self, *records):
        self.sock.sendall(b"".join(self.record(*r) for r in records))

    def cut(self):
        """Whether the proxy ends it; whatever it says before is read."""
        self.sock.settimeout(5 * SLOW)
        try:
            while self.sock.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except socket.timeout:
            return False

    def answered(self):
        self.sock.settimeout(5 * SLOW)
        return len(self.sock.recv(65536)) > 0

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.sock.close()


V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(params=[V12, V13], ids=["1.2", "1.3"])
def records(request, proxy):
    with Records(proxy, request.param) as r:
        yield r


def flood(proxy, r, *burst, times=1):
    """Sends it until the proxy has had enough."""
    before = proxy.ended("tls_flood")
    try:
        for _ in range(times):
            r.send(*burst)
    except ConnectionError:
        pass
    assert r.cut()
    assert wait_until(lambda: proxy.ended("tls_flood") == before + 1)
    assert wait_until(lambda: told(proxy))
    with Client(proxy) as c:
        assert c.get("/sim/204").status == 204
    proxy.quiet()


def test_some_empty_records(proxy, records):
    """Old libraries send one before each record, against an attack on CBC."""
    for piece in HEAD[:20], HEAD[20:]:
        records.send((DATA, b""), (DATA, piece), (DATA, b""))
    assert records.answered()


def test_empty_records(proxy, records):
    flood(proxy, records, *[(DATA, b"")] * 200)


def test_empty_records_inside_a_request(proxy, records):
    records.send((DATA, HEAD[:20]))
    time.sleep(0.1)
    flood(proxy, records, *[(DATA, b"")] * 200)


def test_tiny_records_inside_a_request(proxy, records):
    records.send((DATA, HEAD[:-2] + b"X: "))
    flood(proxy, records, *[(DATA, b"x")] * 500, times=80)


def test_empty_and_tiny_records_by_turns(proxy, records):
    records.send((DATA, HEAD[:-2] + b"X: "))
    flood(proxy, records, *[(DATA, b""), (DATA, b"x")] * 250, times=80)


def test_renegotiation_flood(proxy):
    with Records(proxy, V12) as r:
        for _ in range(5):
            r.send((HANDSHAKE, CLIENT_HELLO))
        r.send((DATA, HEAD))
        assert r.answered(), "a few are refused, and that is all"
        flood(proxy, r, *[(HANDSHAKE, CLIENT_HELLO)] * 100)


# ---- openssl s_client ----

class Shell:
    """s_client that reads a command a line."""

    def __init__(self, proxy, *options):
        self.process = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % proxy.port, "-servername", "mail.example.com",
                                         *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        line = b""
        while b"Verify return code" not in line:
            line = self.process.stdout.readline()
            assert line

    def say(self, line, times=1):
        """False: it has ended."""
        for _ in range(times):
            try:
                os.write(self.process.stdin.fileno(), line)
            except BrokenPipeError:
                return False
            time.sleep(0.02)  # a command is what one read brings
            if self.process.poll() is not None:
                return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize("command", [b"K\n", b"k\n"], ids=["asked for", "not asked for"])
def test_key_update_flood(proxy, command):
    before = proxy.ended("tls_flood")
    with Shell(proxy, "-tls1_3") as s:
        assert s.say(command, 20), "a few are fine"
        assert proxy.ended("tls_flood") == before
        s.say(command, 40)
        assert wait_until(lambda: proxy.ended("tls_flood") == before + 1)
        assert wait_until(lambda: s.process.poll() is not None), "s_client has seen the end"
    assert wait_until(lambda: told(proxy))
    proxy.quiet()


def test_renegotiations_one_after_the_other(proxy):
    """s_client gives up when it is refused once; those that come back are new connections, which flood.connects_per_minute counts."""
    for _ in range(3):
        with Shell(proxy, "-tls1_2") as s:
            s.say(b"R\n", 3)
            assert wait_until(lambda: s.process.poll() is not None)
    proxy.quiet()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
