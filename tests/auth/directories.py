"""Directories for tests: a real slapd, a scripted LDAP server, and Asker, which asks them as Postern's threads do.

Everything listens on 127.0.0.1 on free ports and is stopped by pid or by closing its socket.
"""
import atexit
import base64
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ASKER = os.environ.get("POSTERN_ASKER", os.path.join(ROOT, "build", "dev", "tests", "auth", "asker"))
POSTERN = os.environ.get("POSTERN", os.path.join(ROOT, "build", "dev", "proxy", "postern"))
# A sanitizer build is several times slower; deadlines in tests stretch with it.
SLOW = float(os.environ.get("POSTERN_TEST_SLOW", "1"))

_certs = None


def certs(name=""):
    """The folder of demo certificates, made once, or a file of it."""
    global _certs
    if _certs is None:
        _certs = os.environ.get("POSTERN_CERTS")
        if not _certs:
            _certs = tempfile.mkdtemp(prefix="postern-certs-")
            atexit.register(shutil.rmtree, _certs, True)
        subprocess.run([os.path.join(ROOT, "certs", "make-certs"), _certs], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(_certs, name)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, seconds=10.0, step=0.02):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(step)
    return bool(condition())


def made(kind):
    """For fixtures: makes as many of `kind` as a test wants; each is closed when the test is over."""
    every = []

    def make(*args, **kw):
        every.append(kind(*args, **kw))
        return every[-1]

    yield make
    for one in every:
        one.close()


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


# ---- slapd ----

SLAPD = "/usr/sbin/slapd"
# A server ends with the thread that started it, so with a test that is killed.
TIED = ["setpriv", "--pdeathsig", "KILL"]
BASE = "dc=example,dc=com"

SLAPD_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile {folder}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
TLSCACertificateFile {ca}
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
TLSVerifyClient never
security simple_bind=128
database mdb
suffix "{base}"
rootdn "cn=root,{base}"
rootpw root
directory {folder}/db
index uid eq
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=groups,{base}" by users read by * none
access to * by dn.exact="cn=postern,{base}" read by self read by users none by * none
overlay memberof
overlay ppolicy
ppolicy_default "cn=policy,{base}"
ppolicy_use_lockout
"""

LDIF = """\
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: cn=policy,dc=example,dc=com
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdMustChange: TRUE
pwdLockout: TRUE

dn: cn=postern,dc=example,dc=com
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: postern
userPassword: service secret

"""

USERS = [  # uid, password, more lines
    ("alice", "secret", "mail: alice@example.com"),
    ("bob", "word", "mail: shared@example.com"),
    ("carol", "word", "mail: shared@example.com"),
    ("müller", "pässword", ""),
    ("smith, john", "comma", ""),
    ("a*b", "star", ""),
    ("(nested)", "paren", ""),
    ("reset", "secret", "pwdReset: TRUE"),
    ("locked", "secret", "pwdAccountLockedTime: 000001010000Z"),
    ("nopassword", None, ""),
]


def escape_dn(text):
    return "".join("\\%02X" % ord(c) if c in ',+"\\<>;=' else c for c in text)


def user_dn(uid):
    return "uid=%s,ou=people,%s" % (escape_dn(uid), BASE)


def ldif_value(name, value):
    return "%s:: %s\n" % (name, base64.b64encode(value.encode()).decode())


def ldif():
    text = LDIF
    for uid, password, more in USERS:
        text += ldif_value("dn", user_dn(uid)) + "objectClass: inetOrgPerson\n"
        text += ldif_value("uid", uid) + ldif_value("cn", uid) + ldif_value("sn", uid)
        text += (ldif_value("userPassword", password) if password else "") + (more + "\n" if more else "") + "\n"
    for group, members in (("mail", ["alice", "smith, john"]), ("staff", ["bob"])):
        text += "dn: cn=%s,ou=groups,%s\nobjectClass: groupOfNames\ncn: %s\n" % (group, BASE, group)
        text += "".join(ldif_value("member", user_dn(m)) for m in members) + "\n"
    text += "dn: cn=unique,ou=groups,%s\nobjectClass: groupOfUniqueNames\ncn: unique\n" % BASE
    text += ldif_value("uniqueMember", user_dn("bob")) + "\n"
    text += "dn: cn=posix,ou=groups,%s\nobjectClass: posixGroup\ncn: posix\ngidNumber: 100\n" % BASE
    text += ldif_value("memberUid", "bob") + "\n"
    return text


class Slapd:
    """A slapd with the accounts of USERS; certificate: a name of make-certs."""

    def __init__(self, certificate="san"):
        self.folder = tempfile.mkdtemp(prefix="postern-slapd-")
        os.mkdir(os.path.join(self.folder, "db"))
        self.port, self.tls_port = free_port(), free_port()
        conf = os.path.join(self.folder, "slapd.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(SLAPD_CONF.format(folder=self.folder, base=BASE, ca=certs("intermediate.pem"),
                                      cert=certs(certificate + ".pem"), key=certs(certificate + ".key")))
        # memberof fills memberOf while it runs, so groups are added to the running server.
        people, groups = ldif().split("dn: cn=mail,", 1)
        subprocess.run(["/usr/sbin/slapadd", "-f", conf], input=people.encode(), check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.conf = conf
        self.process = None
        try:
            self.start()
            self.add("dn: cn=mail," + groups)
        except BaseException:
            self.close()
            raise

    def start(self):
        self.process = subprocess.Popen(
            [*TIED, SLAPD, "-d", "0", "-f", self.conf,
             "-h", "ldap://127.0.0.1:%d/ ldaps://127.0.0.1:%d/" % (self.port, self.tls_port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_until(lambda: connects(self.port) and connects(self.tls_port)), "slapd does not start"

    def add(self, text):
        subprocess.run(["ldapadd", "-x", "-ZZ", "-H", "ldap://127.0.0.1:%d" % self.port, "-D", "cn=root," + BASE,
                        "-w", "root"], input=text.encode(), check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "LDAPTLS_CACERT": certs("root.pem"), "LDAPTLS_REQCERT": "demand"})

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.process = None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: self.states() == {"T"})

    def states(self):
        folder = "/proc/%d/task" % self.process.pid
        out = set()
        for task in os.listdir(folder):
            with open(os.path.join(folder, task, "stat"), encoding="ascii") as f:
                out.add(f.read().rsplit(") ", 1)[1][0])
        return out

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- BER, RFC 4511 5.1 ----

def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    length = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + body


def integer(tag, n):
    return tlv(tag, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def octets(text, tag=0x04):
    return tlv(tag, text.encode() if isinstance(text, str) else text)


def split(data):
    """One element off the front: tag, body, rest."""
    n, at = data[1], 2
    if n & 0x80:
        size = n & 0x7f
        n, at = int.from_bytes(data[2:2 + size], "big"), 2 + size
    return data[0], data[at:at + n], data[at + n:]


def children(body):
    out = []
    while body:
        tag, inner, body = split(body)
        out.append((tag, inner))
    return out


def result(op, code, text="", matched=""):
    return tlv(op, integer(0x0a, code), octets(matched), octets(text))


def message(number, op, controls=b""):
    return tlv(0x30, integer(0x02, number), op, controls)


# ---- a scripted server ----

class Hang(Exception):
    """Says nothing any more, and keeps the connection."""


class Drop(Exception):
    """Closes at once; what was raised with it is sent before."""


class Responder:
    """An LDAP server whose answers are functions: bind(name, password) -> (code, text), bytes of a whole answer or a list of them to send with pauses,
    search(base, scope, filter) -> (code, [dn]), extended(oid) -> code. tls: a certificate of make-certs, or None."""

    def __init__(self, bind=None, search=None, extended=None, tls="san", accept=True, context=None):
        self.bind = bind or (lambda name, password: (0, ""))
        self.search = search or (lambda base, scope, text: (0, []))
        self.extended = extended or (lambda oid: 0)
        self.certificate = tls
        self.context = context
        self.binds, self.searches, self.connections = [], [], 0
        self.open = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16 if accept else 0)
        self.port = self.listener.getsockname()[1]
        self.closing = False
        if accept:
            threading.Thread(target=self._accept, daemon=True).start()

    def _context(self):
        if self.context is not None:
            return self.context
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(certs(self.certificate + ".pem"), certs(self.certificate + ".key"))
        return context

    def _accept(self):
        while not self.closing:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        """The only one that closes the socket: a number that is closed elsewhere may name another file already."""
        held = [self._hold(s)]
        try:
            if self.certificate is not None or self.context is not None:
                held.append(self._hold(self._context().wrap_socket(s, server_side=True)))
            self._talk(held)
        except Hang:
            self.ended.wait()
        except Drop as last:
            try:
                held[-1].sendall(b"".join(last.args))
            except OSError:
                pass
        except (OSError, ssl.SSLError, IndexError, ValueError):
            pass
        with self.lock:
            self.open = [x for x in self.open if x not in held]
        for x in reversed(held):
            x.close()

    def _hold(self, s):
        with self.lock:
            self.open.append(s)
        return s

    def alive(self):
        with self.lock:
            return len({id(x) for x in self.open if x.fileno() >= 0})

    @staticmethod
    def _read(s, n):
        data = b""
        while len(data) < n:
            more = s.recv(n - len(data))
            if not more:
                raise OSError("closed")
            data += more
        return data

    def _message(self, s):
        head = self._read(s, 2)
        n = head[1]
        if n & 0x80:
            more = self._read(s, n & 0x7f)
            head, n = head + more, int.from_bytes(more, "big")
        return split(head + self._read(s, n))[1]

    def _talk(self, held):
        while True:
            s = held[-1]
            parts = children(self._message(s))
            number, (op, body) = int.from_bytes(parts[0][1], "big"), parts[1]
            if op == 0x60:
                answer = self._bind(number, children(body))
                for part in answer if isinstance(answer, list) else [answer]:
                    s.sendall(part)
                    time.sleep(0.1 if isinstance(answer, list) else 0)
            elif op == 0x63:
                s.sendall(self._search(number, children(body)))
            elif op == 0x77:
                code = self.extended(children(body)[0][1].decode())
                s.sendall(message(number, result(0x78, code)))
                if code == 0 and self.certificate is None:
                    self.certificate = "san"
                    context = self._context()
                    self.certificate = None
                    held.append(self._hold(context.wrap_socket(s, server_side=True)))
            else:
                raise OSError("unbind")

    def _bind(self, number, parts):
        name, password = parts[1][1].decode("utf-8", "replace"), parts[2][1]
        with self.lock:
            self.binds.append((name, password))
        answer = self.bind(name, password)
        if isinstance(answer, (bytes, list)):
            return answer
        return message(number, result(0x61, answer[0], answer[1]))

    def _search(self, number, parts):
        base, scope, text = parts[0][1].decode(), parts[1][1][0], parts[6]
        with self.lock:
            self.searches.append((base, scope, text))
        answer = self.search(base, scope, text)
        if isinstance(answer, bytes):
            return answer
        code, names = answer
        entries = [message(number, tlv(0x64, octets(dn), tlv(0x30))) for dn in names]
        return b"".join(entries) + message(number, result(0x65, code))

    def drop_all(self):
        with self.lock:
            for s in self.open:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.closing = True
        self.ended.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.drop_all()


# ---- asking ----

def b64(text):
    data = text.encode() if isinstance(text, str) else text
    return base64.b64encode(data).decode() if data else "-"


class Answer:
    def __init__(self, line):
        self.verdict, self.detail, groups, ms = line.split()
        self.groups, self.ms = int(groups), int(ms)

    def __eq__(self, other):
        return (self.verdict, self.detail) == other

    def __repr__(self):
        return "%s %s groups=%d" % (self.verdict, self.detail, self.groups)


def _slower(m):
    ms = int(m.group(2)) * (1000 if m.group(3) == "s" else 1)
    return "%s%dms" % (m.group(1), min(int(ms * SLOW), 60000))


def configuration(directories, groups=()):
    """A whole configuration around `directories` (YAML text), its times stretched for slow builds; `groups`: (directory, [group])
    that publications require."""
    directories = re.sub(r"(\b(?:\w+_timeout|retry_after): )(\d+)(ms|s)\b", _slower, directories)
    text = """\
listeners: [{address: "127.0.0.1:1", certificates: [san]}]
certificates: {san: {chain: %s, key: %s}}
backends: {origin: {servers: ["http://127.0.0.1:1"]}}
directories:
%s
publish:
- {hosts: [none.example.com], to: origin, authenticate: none, services: [owa]}
""" % (certs("san.pem"), certs("san.key"), directories)
    for i, (directory, names) in enumerate(groups):
        quoted = ", ".join("'%s'" % name.replace("'", "''") for name in names)
        text += "- {hosts: [h%d.example.com], to: origin, authenticate: {basic: %s}, services: [owa], require_groups: [%s]}\n" % (
            i, directory, quoted)
    return text


class Asker:
    def __init__(self, directories, groups=(), environment=None):
        self.folder = tempfile.mkdtemp(prefix="postern-asker-")
        self.path = os.path.join(self.folder, "postern.yaml")
        self.write(directories, groups)
        self.errors = open(os.path.join(self.folder, "stderr"), "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([ASKER, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, env={**os.environ, **(environment or {})})
        assert self.line() == "ready", self.log()

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def write(self, directories, groups=()):
        self.file("bind.password", "service secret\n")
        self.file("wrong.password", "not the one\n")
        self.file("radius.secret", "shared secret\n")
        self.file("postern.yaml", configuration(directories, groups))

    def line(self):
        return self.process.stdout.readline().decode().strip()

    def say(self, *words):
        self.process.stdin.write((" ".join(str(w) for w in words) + "\n").encode())
        self.process.stdin.flush()
        return self.line()

    def ask(self, user, password, directory="d", ms=10000):
        line = self.say("ask", directory, int(ms * SLOW), b64(user), b64(password))
        assert line, self.log()
        return Answer(line)

    def traces(self, password):
        return int(self.say("traces", b64(bytes(c ^ 1 for c in password.encode()))))

    def many(self, user, password, n, threads, directory="d", ms=10000):
        assert self.say("many", directory, int(ms * SLOW), b64(user), b64(password), n, threads) == "done"

    def wait(self):
        return {k: int(v) for k, v in (word.split("=") for word in self.say("wait").split())}

    def reload(self):
        assert self.say("reload", self.path) == "done", self.log()

    def log(self):
        with open(os.path.join(self.folder, "stderr"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(60)
        log = self.log()
        self.errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert code == 0, log
