"""A gate in front of a directory that counts as Active Directory does: what the tests of the guard and its report stand on."""
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "http"))

from directories import Responder  # noqa: E402
from harness import Client, Origin, answer, basic  # noqa: E402
from rig import Rig, in_threads, site  # noqa: E402

EAS = "/Microsoft-Server-ActiveSync?Cmd=FolderSync&User=alice&DeviceId=PHONE1&DeviceType=iPhone"
SUB = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data %s, v4563"


class ActiveDirectory(Responder):
    """Binds as user@corp.example.com. Locks an account after `threshold` failures in a row, as the real one does."""

    def __init__(self, passwords, threshold=10, delay=0.0, **kw):
        self.passwords = passwords  # or a function of the user
        self.threshold, self.delay = threshold, delay
        self.failures, self.locked = {}, set()
        self.hung = threading.Event()
        super().__init__(bind=self.judge, **kw)

    def judge(self, name, password):
        user = name.split("@")[0].lower()
        if self.hung.is_set():
            self.ended.wait()
        if self.delay:
            time.sleep(self.delay)
        right = self.passwords(user) if callable(self.passwords) else self.passwords.get(user)
        with self.lock:
            if user in self.locked:
                return 49, SUB % "775"
            if right is None:
                return 49, SUB % "525"
            if password.decode("utf-8", "replace") == right:
                self.failures[user] = 0
                return 0, ""
            self.failures[user] = self.failures.get(user, 0) + 1
            if self.failures[user] >= self.threshold:
                self.locked.add(user)
        return 49, SUB % "52e"

    def asked(self):
        with self.lock:
            return len(self.binds)


def directory(server, **more):
    return dict({"type": "ldap", "servers": ["ldaps://127.0.0.1:%d" % server.port], "trust": "{certs}/root.pem",
                 "bind_as": "{user}@corp.example.com"}, **more)


def gate_site(server, origin=None, guard=None, publish=None, more=None, **top):
    """site() behind the directory `corp`. Failures take little time here unless the test says otherwise."""
    conf = site([origin or "http://127.0.0.1:1"], directories={"corp": directory(server, **(more or {}))},
                guard=dict({"failure_time": "20ms", "failure_jitter": "10ms"}, **(guard or {})), **top)
    conf["publish"] = [dict({"hosts": ["mail.example.com"], "to": "origin", "authenticate": {"basic": "corp"},
                             "services": ["owa", "activesync", "ews", "oab", "mapi", "outlook_anywhere"]}, **(publish or {}))]
    return conf


def echo_origin():
    """Answers 200 with the Authorization it got."""
    return Origin(lambda r, w, s: answer(200, (r.get("Authorization") or "none").encode()))


def ask(proxy, user, password, path="/owa/", source=None, method="GET", charset="utf-8"):
    """One request on a connection of its own; the response with `seconds`."""
    with Client(proxy, source=source) as c:
        started = time.monotonic()
        c.request(method, path, [basic(user, password, charset)], body=b"" if method == "POST" else None)
        r = c.response()
        r.seconds = time.monotonic() - started
        return r


def metric(proxy, name):
    return proxy.metrics()["postern_" + name]


__all__ = ["ActiveDirectory", "Client", "EAS", "HERE", "Origin", "Rig", "answer", "ask", "basic", "directory", "echo_origin",
           "gate_site", "in_threads", "metric", "site"]
