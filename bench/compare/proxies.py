"""Starting and stopping the three proxies and the simulated Client Access server, each on its cores."""
import base64
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class CannotStart(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(command, cores, log):
    with open(log, "ab") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                preexec_fn=lambda: os.sched_setaffinity(0, cores))


def stop(process, how=signal.SIGTERM, patience=10):
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port, process, log):
    for _ in range(200):
        if process.poll() is not None:
            break
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    with open(log, encoding="utf-8", errors="replace") as text:
        raise CannotStart("%s does not listen:\n%s" % (process.args[0], text.read()[-2000:]))


def fill(template, to, values):
    with open(os.path.join(HERE, template), encoding="utf-8") as text:
        filled = text.read()
    for name, value in values.items():
        filled = filled.replace("@%s@" % name, str(value))
    with open(to, "w", encoding="utf-8") as out:
        out.write(filled)


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def write_lines(folder, lines):
    path = os.path.join(folder, "users")
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
    return path


class Backend:
    """A simulated Client Access server: plain, TLS 1.2 alone, or TLS."""

    def __init__(self, kind, program, certs, folder, cores):
        self.port = free_port()
        self.log = os.path.join(folder, "cas-%s.log" % kind)
        command = [program, "--listen", "127.0.0.1:%d" % self.port, "--no-auth", "--workers", str(len(cores)), "--rpc-ping", "0"]
        if kind != "plain":
            command += ["--tls", os.path.join(certs, "backend.pem"), os.path.join(certs, "backend.key")]
        if kind == "tls12":
            command.append("--tls12")
        self.process = start(command, cores, self.log)
        wait_for(self.port, self.process, self.log)

    def close(self):
        stop(self.process)


class Proxy:
    """One of the three, configured for a row."""
    backend_tls = {}

    def __init__(self, place, row, backend):
        self.place = place
        self.port = free_port()
        self.folder = os.path.join(place.folder, self.name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        certificate = "san-ecdsa" if row.certificate == "ecdsa" else "san"
        tls = row.backend != "plain"
        self.values = {
            "DIR": self.folder, "PORT": self.port, "WORKERS": len(place.proxy_cores), "FILES": place.descriptors,
            "CONNECTIONS": (place.descriptors - 150) // 2,
            "CHAIN": os.path.join(place.certs, certificate + ".pem"), "KEY": os.path.join(place.certs, certificate + ".key"),
            "BACKEND": "127.0.0.1:%d" % backend.port, "SCHEME": "https" if tls else "http",
            "BACKEND_TLS": self.tls_text % {"ca": os.path.join(place.certs, "backend-ca.pem")} if tls else "",
            "BODY_BUFFER": "16k" if row.untuned else "128k", "AUTH": "", "USERS": "",
        }
        if row.users:
            self.ask_for_basic([("user%d" % i, "secret%d" % i) for i in range(row.users)])
        self.log = os.path.join(self.folder, "output.log")
        self.process = start(self.command(), place.proxy_cores, self.log)
        wait_for(self.port, self.process, self.log)

    def close(self):
        stop(self.process, self.stop_signal, self.patience)

    stop_signal = signal.SIGTERM
    patience = 1  # s; whoever still drains what the load has left behind is killed


class Postern(Proxy):
    name = "postern"
    tls_text = "trust: %(ca)s"

    def ask_for_basic(self, users):
        path = write_lines(self.folder, ["%s:%s" % (name, openssl("passwd", "-6", word)) for name, word in users])
        self.values["AUTH"] = "{basic: users}"
        self.values["USERS"] = "directories: {users: {type: user_file, path: %s}}" % path

    def command(self):
        self.values["AUTH"] = self.values["AUTH"] or "none"
        path = os.path.join(self.folder, "postern.yaml")
        fill("postern.yaml", path, self.values)
        return [self.place.postern, "run", "-c", path]


class Nginx(Proxy):
    name = "nginx"
    patience = 10  # its workers would outlive a killed master
    tls_text = ("proxy_ssl_trusted_certificate %(ca)s; proxy_ssl_verify on; proxy_ssl_name localhost; "
                "proxy_ssl_session_reuse on; proxy_ssl_protocols TLSv1.2 TLSv1.3;")

    def ask_for_basic(self, users):
        """It hashes anew for each request: one round of SHA-1 is the cheapest it knows, and no real file would have it."""
        hashed = [(name, base64.b64encode(hashlib.sha1(word.encode()).digest()).decode()) for name, word in users]
        path = write_lines(self.folder, ["%s:{SHA}%s" % user for user in hashed])
        os.chmod(self.folder, 0o755)
        self.values["AUTH"] = "auth_basic mail; auth_basic_user_file %s;" % path

    def command(self):
        path = os.path.join(self.folder, "nginx.conf")
        fill("nginx.conf", path, self.values)
        return ["nginx", "-c", path, "-e", os.path.join(self.folder, "nginx.log")]


class Haproxy(Proxy):
    name = "haproxy"
    tls_text = "ssl verify required ca-file %(ca)s verifyhost localhost"
    stop_signal = signal.SIGUSR1

    def ask_for_basic(self, users):
        """Passwords as they are: it would hash anew for each request."""
        self.values["USERS"] = "\n".join(["userlist users"] + ["    user %s insecure-password %s" % user for user in users])
        self.values["AUTH"] = "http-request auth realm mail unless { http_auth(users) }"

    def command(self):
        path = os.path.join(self.folder, "haproxy.cfg")
        with open(os.path.join(self.folder, "bundle.pem"), "w", encoding="utf-8") as bundle:
            for part in ("CHAIN", "KEY"):
                with open(self.values[part], encoding="utf-8") as text:
                    bundle.write(text.read())
        os.chmod(bundle.name, 0o600)
        fill("haproxy.cfg", path, self.values)
        return ["haproxy", "-db", "-f", path]


PROXIES = [Postern, Nginx, Haproxy]
