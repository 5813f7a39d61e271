"""RADIUS servers for tests: Debian's freeradius, and a scripted one."""
import hashlib
import hmac
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from directories import SLOW, TIED, free_port, wait_until

SECRET = "shared secret"

RADIUSD = """\
prefix = /usr
libdir = /usr/lib/freeradius
confdir = {folder}
logdir = {folder}
run_dir = {folder}
name = radiusd
max_request_time = 5
cleanup_delay = 0
max_requests = 100000
hostname_lookups = no
correct_escapes = true
proxy_requests = no
log {{
    destination = files
    file = {folder}/log
    auth = no
}}
security {{
    allow_core_dumps = no
    max_attributes = 200
    reject_delay = 0
    status_server = no
}}
thread pool {{
    start_servers = 1
    max_servers = 4
    min_spare_servers = 1
    max_spare_servers = 2
}}
client here {{
    ipaddr = 127.0.0.1
    secret = "{secret}"
    require_message_authenticator = yes
}}
modules {{
    pap {{
    }}
    files {{
        usersfile = {folder}/users
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
    authorize {{
        files
        pap
    }}
    authenticate {{
        Auth-Type PAP {{
            pap
        }}
    }}
    post-auth {{
        {sign}
        Post-Auth-Type REJECT {{
            {sign}
        }}
    }}
}}
"""
# Version 3.2.1 signs answers to passwords only when told to.
SIGN = "update reply {\n Message-Authenticator := 0x00\n }"

USERS = """\
alice Cleartext-Password := "secret"
    Filter-Id = "Mail",
    Class = "staff"

CORP\\bob Cleartext-Password := "word"

"müller" Cleartext-Password := "pässword"

here Calling-Station-Id == "192.0.2.7", NAS-Identifier == "postern", Cleartext-Password := "secret"

elsewhere Calling-Station-Id == "192.0.2.8", Cleartext-Password := "secret"

long Cleartext-Password := "{long}"

"""


class FreeRadius:
    def __init__(self, sign=True):
        self.folder = tempfile.mkdtemp(prefix="postern-radius-")
        self.port = free_port(socket.SOCK_DGRAM)
        self.write("radiusd.conf", RADIUSD.format(folder=self.folder, port=self.port, secret=SECRET, sign=SIGN if sign else ""))
        self.write("users", USERS.format(long="x" * 128))
        self.process = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def start(self):
        self.process = subprocess.Popen([*TIED, "/usr/sbin/freeradius", "-f", "-d", self.folder, "-n", "radiusd"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_until(self.ready), self.log()

    def log(self):
        try:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def ready(self):
        return "Ready to process requests" in self.log()

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:  # a FreeRADIUS that is busy may miss the signal
                self.process.kill()
                self.process.wait(10)
            self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- packets ----

ACCEPT, REJECT, CHALLENGE = 2, 3, 11


def attribute(kind, value):
    return bytes([kind, len(value) + 2]) + value


class Question:
    def __init__(self, data):
        self.data, self.code, self.id, self.authenticator = data, data[0], data[1], data[4:20]
        self.attributes, rest = [], data[20:int.from_bytes(data[2:4], "big")]
        while rest:
            self.attributes.append((rest[0], rest[2:rest[1]]))
            rest = rest[rest[1]:]

    def get(self, kind):
        return dict(self.attributes).get(kind)

    def password(self, secret):
        hidden, before, out = self.get(2), self.authenticator, b""
        for i in range(0, len(hidden), 16):
            mask = hashlib.md5(secret + before).digest()
            out += bytes(a ^ b for a, b in zip(hidden[i:i + 16], mask))
            before = hidden[i:i + 16]
        return out.rstrip(b"\0")

    def is_signed(self, secret):
        kind, value = self.attributes[0]
        zeroed = self.data[:22] + bytes(16) + self.data[38:]
        return kind == 80 and hmac.compare_digest(hmac.new(secret, zeroed, "md5").digest(), value)


def answer(q, code, attributes=b"", secret=SECRET.encode(), sign=True, number=None, length=None):
    """An answer as a good server makes it; each argument spoils something."""
    body = (attribute(80, bytes(16)) if sign else b"") + attributes
    head = bytes([code, q.id if number is None else number]) + (len(body) + 20 if length is None else length).to_bytes(2, "big")
    if sign:
        mac = hmac.new(secret, head + q.authenticator + body, "md5").digest()
        body = attribute(80, mac) + attributes
    return head + hashlib.md5(head + q.authenticator + body + secret).digest() + body


class RadiusResponder:
    """`reply(question, number of the question) -> list of datagrams`."""

    def __init__(self, reply):
        self.reply, self.questions = reply, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.running = True
        self.thread.start()

    def _serve(self):
        self.socket.settimeout(0.2)
        while self.running:
            try:
                data, who = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            q = Question(data)
            self.questions.append(q)
            for part in self.reply(q, len(self.questions)):
                self.socket.sendto(part, who)
        self.socket.close()

    def close(self):
        self.running = False
        self.thread.join(5)


def nap(seconds):
    time.sleep(seconds * SLOW)
