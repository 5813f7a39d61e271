"""Compatibility trials against real servers: what was predicted is what happens.

Postern under each of its TLS profiles with an RSA certificate, an ECDSA one and both, naming the host or its domain by wildcard;
nginx and haproxy with their own configurations.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from harness import certs, free_port, wait_until
from rig import Cas, Rig, site

POSTERN = os.environ["POSTERN"]
HERE = os.path.dirname(os.path.abspath(__file__))
PROFILES = ["modern", "intermediate", "compat12", "legacy10"]
KEYS = {"rsa": [""], "ecdsa": ["-ecdsa"], "both": ["", "-ecdsa"]}
HOST = "mail.example.com"


def trial(*args, timeout=120):
    """Exit status, the parsed JSON of the cells, what was said."""
    run = subprocess.run([POSTERN, "trial", *args, "--json"], capture_output=True, text=True, timeout=timeout, check=False)
    try:
        cells = json.loads(run.stdout)["trials"]
    except ValueError:
        cells = []
    return run.returncode, cells, run.stderr


def chain(names, kind):
    return ",".join(os.path.join(certs(), kind + n + ".pem") for n in names)


def differences(cells):
    return ["%s: %s" % (c["device"], c["difference"]) for c in cells if c["differs"]]


def tried(cells):
    """Nothing stayed unseen: each was tried, and by a server that answered."""
    lost = [c["device"] for c in cells if c["live"]["ends_at"] == "network"]
    assert not lost, lost
    return cells


@pytest.fixture(scope="module")
def gate():
    """One Postern with a listener for each profile, kind of key and kind of name."""
    listeners, places = [], {}
    with Cas() as cas:
        conf = site([cas.url])
        for kind in ("san", "wildcard"):
            for n in ("", "-ecdsa"):
                path = os.path.join(certs(), kind + n)
                conf["certificates"][kind + n] = {"chain": path + ".pem", "key": path + ".key"}
        for profile in PROFILES:
            for keys, names in KEYS.items():
                for kind in ("san", "wildcard"):
                    port = free_port()
                    places[profile, keys, kind] = port
                    listeners.append({"address": "127.0.0.1:%d" % port, "tls": profile,
                                      "certificates": [kind + n for n in names]})
        conf["listeners"] += listeners
        conf["flood"] = {"trusted": ["127.0.0.0/8"]}
        with Rig(conf) as rig:
            yield places
            del rig


def fields(values, few):
    """All values, or where sanitizers make everything slow, a few."""
    return values if os.environ.get("POSTERN_TRIAL_ALL", "1") == "1" else few


@pytest.mark.parametrize("kind", fields(["san", "wildcard"], ["wildcard"]))
@pytest.mark.parametrize("keys", fields(list(KEYS), ["both"]))
@pytest.mark.parametrize("profile", fields(PROFILES, ["intermediate", "legacy10"]))
def test_postern_does_what_is_predicted(gate, profile, keys, kind):
    code, cells, said = trial("--chain", chain(KEYS[keys], kind), "--host", HOST, "--tls", profile, "--connect",
                              "127.0.0.1:%d" % gate[profile, keys, kind])
    assert len(cells) >= 45, said
    assert not differences(tried(cells))
    assert code == 0, said
    if profile == "legacy10":
        # Without ECDHE with ECDSA, which the oldest do not have, there must be an RSA key.
        assert sum(c["connects"] for c in cells) > (30 if keys == "ecdsa" else 60 if kind == "san" else 55)


def table():
    """The handshakes that were evaluated by hand under Mozilla's policies with an RSA certificate: profile, intermediate, old;
    each server takes the client's order. None: no connection."""
    with open(os.path.join(HERE, "evaluated.txt"), encoding="ascii") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, middle, old = line.split()
                yield name, None if middle == "-" else middle, None if old == "-" else old


def shared(cell):
    """What both share, whatever the device then thinks of keys and names."""
    got = cell["predicted"]
    if "version" not in got:
        return None
    return "TLS1.3" if got["version"] == "TLS 1.3" else got["suite"]


@pytest.mark.parametrize("policy,column", [("mozilla-intermediate", 1), ("mozilla-old", 2)])
def test_the_evaluated_handshakes(policy, column, tmp_path):
    path = os.path.join(HERE, "..", "..", "config", "policies", policy + ".yaml")
    with open(path, encoding="ascii") as f:
        text = f.read().replace("server_order: true", "server_order: false")
    (tmp_path / "policy.yaml").write_text(text)
    _, cells, said = trial("--chain", chain([""], "san"), "--host", HOST, "--tls", str(tmp_path / "policy.yaml"))
    by_name = {c["device"]: c for c in cells}
    wrong, rows = [], list(table())
    assert len(rows) >= 40, said
    for row in rows:
        got = shared(by_name[row[0]])
        if got != row[column]:
            wrong.append("%s: evaluated %s, predicted %s" % (row[0], row[column], got))
    assert not wrong


# ---- other servers ----

NGINX = """daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
scgi_temp_path {dir};
server {{ listen 127.0.0.1:{port} ssl; server_name mail.example.com; {certificates}
ssl_protocols {protocols}; ssl_ciphers {ciphers}; ssl_prefer_server_ciphers {order}; ssl_ecdh_curve X25519:prime256v1:secp384r1;
ssl_dhparam {dh}; ssl_session_tickets off;
ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256;
location / {{ return 401; }} }} }}
"""
HAPROXY = """global
  ssl-default-bind-ciphers {ciphers}
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256
  ssl-default-bind-options {options}
  ssl-dh-param-file {dh}
defaults
  mode http
  timeout client 20s
  timeout server 20s
  timeout connect 5s
frontend f
  bind 127.0.0.1:{port} ssl crt {pem} curves X25519:P-256:P-384 {more}
  http-request return status 401
"""
MIDDLE = ("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
          "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
          "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384")
OLD = (MIDDLE + ":DHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:"
       "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:"
       "ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:AES256-GCM-SHA384:"
       "AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA")
# RFC 7919 2.1: OpenSSL writes it.


class Server:
    """A server of the distribution, told to stop by its pid."""

    def __init__(self, command, port, directory):
        self.log = open(os.path.join(directory, "output"), "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        assert wait_until(lambda: self.up(port), 15), open(self.log.name, "rb").read()

    def up(self, port):
        if self.process.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def dh_file(directory, bits):
    path = os.path.join(directory, "dh.pem")
    if bits == 2048:
        subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", path + ".x"],
                       check=True, capture_output=True)
        subprocess.run(["openssl", "pkeyparam", "-in", path + ".x", "-out", path], check=True, capture_output=True)
    return path


def nginx(directory, port, ciphers, protocols, order, names):
    pairs = "".join("ssl_certificate {0}.pem; ssl_certificate_key {0}.key; ".format(os.path.join(certs(), "san" + n)) for n in names)
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w") as f:
        f.write(NGINX.format(dir=directory, port=port, certificates=pairs, protocols=protocols, ciphers=ciphers, order=order,
                             dh=dh_file(directory, 2048)))
    return Server(["nginx", "-c", path, "-p", directory, "-e", os.path.join(directory, "error.log")], port, directory)


def haproxy(directory, port, ciphers, options, names, more=""):
    pem = os.path.join(directory, "cert.pem")
    for n, ending in zip(names, (".rsa", ".ecdsa") if len(names) > 1 else ("",)):
        with open(pem + ending, "w") as f:
            for part in ("san%s.pem" % n, "san%s.key" % n):
                f.write(open(os.path.join(certs(), part)).read())
    path = os.path.join(directory, "haproxy.cfg")
    with open(path, "w") as f:
        f.write(HAPROXY.format(ciphers=ciphers, options=options, port=port, pem=pem, more=more, dh=dh_file(directory, 2048)))
    return Server(["haproxy", "-db", "-f", path], port, directory)


def policy_file(directory, name, **changes):
    with open(os.path.join(HERE, "..", "..", "config", "policies", name + ".yaml"), encoding="ascii") as f:
        text = f.read()
    for key, value in changes.items():
        text, n = re.subn(r"(?m)^%s: .*$" % key, "%s: %s" % (key, value), text)
        if n == 0:
            text += "%s: %s\n" % (key, value)
    path = os.path.join(directory, "policy.yaml")
    with open(path, "w") as f:
        f.write(text)
    return path


def agree(port, policy, names):
    code, cells, said = trial("--chain", chain(names, "san"), "--host", HOST, "--tls", policy, "--connect", "127.0.0.1:%d" % port)
    assert len(cells) >= 45, said
    assert not differences(tried(cells))
    assert code == 0, said
    return cells


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize("keys", list(KEYS))
@pytest.mark.parametrize("policy", ["mozilla-intermediate", "mozilla-old"])
def test_nginx(policy, keys, tmp_path):
    port, old = free_port(), policy == "mozilla-old"
    path = policy_file(tmp_path, policy, min="tls1.0" if old else "tls1.2", dh_bits=2048)
    # without 3DES, which the distribution's OpenSSL does not have
    text = open(path).read().replace(", RSA_WITH_3DES_EDE_CBC_SHA", "").replace(",\n         RSA_WITH_3DES_EDE_CBC_SHA", "")
    open(path, "w").write(text)
    ciphers = (OLD + ":@SECLEVEL=0") if old else MIDDLE
    with nginx(str(tmp_path), port, ciphers, "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3" if old else "TLSv1.2 TLSv1.3", "on" if old else "off", KEYS[keys]):
        agree(port, path, KEYS[keys])


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
@pytest.mark.parametrize("keys", list(KEYS))
@pytest.mark.parametrize("policy", ["mozilla-intermediate", "mozilla-old"])
def test_haproxy(policy, keys, tmp_path):
    port, old = free_port(), policy == "mozilla-old"
    path = policy_file(tmp_path, policy, dh_bits=2048)
    text = open(path).read().replace(", RSA_WITH_3DES_EDE_CBC_SHA", "").replace(",\n         RSA_WITH_3DES_EDE_CBC_SHA", "")
    open(path, "w").write(text + "alpn: [h2, http/1.1]\nprioritize_chacha: true\none_certificate: true\n")
    options = "ssl-min-ver TLSv1.0 no-tls-tickets" if old else "prefer-client-ciphers ssl-min-ver TLSv1.2 no-tls-tickets"
    with haproxy(str(tmp_path), port, OLD + ":@SECLEVEL=0" if old else MIDDLE, options, KEYS[keys], "alpn h2,http/1.1"):
        agree(port, path, KEYS[keys][::-1])  # without a server name it gives the ECDSA one of a pair
