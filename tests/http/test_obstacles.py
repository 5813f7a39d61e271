"""Where the gate, and not Exchange, is the obstacle, a phone is told 503 and Retry-After, whatever the reason: it waits and comes back
by itself. A 401 would make it ask its owner for a password, and anything else looks like the server's own word. A browser is told
what is the matter. One row a reason.
"""
import os
import signal
import socket
import sys

import pytest

from harness import SLOW, Client, Origin, Proxy, answer, basic, server_context, wait_until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "auth"))
from directories import Hang, Responder  # noqa: E402

CONFIG = """
workers: 1
drain_timeout: 2s
auth_timeout: 1s
{process}
listeners: [{address: "127.0.0.1:{port}", certificates: [mail]}]
certificates: {mail: {chain: {certs}/san.pem, key: {certs}/san.key}}
log: {access_path: {dir}/access.log, event_path: stderr}
control_socket: {dir}/control.sock
backends: {cas: {servers: ["{url}"], trust: {certs}/backend-ca.pem, connect_timeout: 500ms, {backend}}}
directories: {corp: {directory}}
guard: {failure_time: 0ms, failure_jitter: 0ms, {guard}}
flood: {trusted: [], {flood}}
publish: [{hosts: [mail.example.com], to: cas, authenticate: {authenticate}, services: [owa, activesync, ews, mapi, oab]}]
"""
CONFIG = CONFIG.replace("auth_timeout: 1s", "auth_timeout: %ds" % max(1, SLOW)).replace("500ms", "%dms" % (500 * SLOW))
FILE = "{type: user_file, path: {dir}/users}"
LDAP = '{type: ldap, servers: ["ldaps://127.0.0.1:%d"], trust: {certs}/root.pem, bind_as: "cn={user}", answer_timeout: 60s}'
ANNA, WRONG = basic("anna", "a-good-Password1"), basic("anna", "another one")
PHONE = ("POST", "/Microsoft-Server-ActiveSync?Cmd=Ping&User=anna&DeviceId=abc&DeviceType=phone")
BROWSER = ("GET", "/owa/")


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(proxy, what, who=ANNA):
    """Status, Retry-After, reason."""
    with Client(proxy) as c:
        c.request(what[0], what[1], [who] if who else [], b"" if what[0] == "POST" else None)
        r = c.response()
        return r.status, r.get("Retry-After"), proxy.access(client=c)[-1]["reason"]


class Case:
    """One reason: the configuration in which it comes, and what must happen before it does."""

    def __init__(self, reason, browser, before=None, url=None, backend="health_interval: none", directory=FILE, guard="retry_after: 60s", flood="connections_per_source: 0",
                 process="", authenticate="{basic: corp}", ad=None, tls=None):
        self.reason, self.browser, self.before, self.ad, self.url, self.tls = reason, browser, before, ad, url, tls
        self.values = dict(backend=backend, directory=directory, guard=guard, flood=flood, process=process, authenticate=authenticate)


def wrong(times, name="anna"):
    def before(proxy):
        for i in range(times):
            with Client(proxy) as c:
                c.get("/oab/", [basic(name if isinstance(name, str) else name(i), "wrong password %d" % i)])
    return before


def served(times):
    def before(proxy):
        for _ in range(times):
            assert ask(proxy, ("GET", "/oab/x"))[0] == 200
    return before


def wait_down(proxy):
    assert wait_until(lambda: b"PO-BACK-0001" in proxy.output, 10)


def hang(name, password):
    raise Hang()


CASES = [
    Case("backend_refused", 502, url=lambda: "http://127.0.0.1:%d" % closed_port()),
    Case("no_backend", 503, before=wait_down, url=lambda: "http://127.0.0.1:%d" % closed_port(), backend="health_interval: 100ms, health_timeout: 1s, health_down: 1"),
    Case("backend_connect_timeout", 504, url=lambda: "https://127.0.0.1:%d"),  # it does not speak TLS, and waits
    Case("backend_tls_failed", 502, tls="san"),  # another authority's certificate
    Case("auth_unavailable", 503, directory=LDAP, ad=lambda: None),
    Case("auth_timeout", 503, directory=LDAP, ad=lambda: Responder(bind=hang)),
    Case("auth_locked", 401, before=wrong(3), guard="account_failures: 2"),
    Case("auth_braked", 401, before=wrong(4, "user{}".format), guard="source_accounts: 2, nat_allowance: 0, strange_failures: 0"),
    Case("flood_requests", 429, before=served(3), flood="requests_per_minute: 3"),
    Case("flood_account", 429, before=served(3), flood="requests_per_minute_per_account: 3"),
]


class Gate:
    def __init__(self, case):
        self.origin = Origin(tls=server_context(case.tls) if case.tls else None)
        self.ad = case.ad() if case.ad else None
        url = case.url() if case.url else self.origin.url
        url = url % self.origin.port if "%d" in url else url
        values = dict(case.values)
        if case.ad:
            values["directory"] = values["directory"] % (self.ad.port if self.ad else closed_port())
        config = CONFIG
        for key, value in values.items():
            config = config.replace("{%s}" % key, value)
        self.proxy = Proxy(config, url=url, users={"anna": "a-good-Password1"})

    def __enter__(self):
        return self.proxy

    def __exit__(self, *a):
        self.proxy.__exit__(*a)
        self.origin.close()
        if self.ad:
            self.ad.close()


@pytest.mark.parametrize("case", CASES, ids=[c.reason for c in CASES])
def test_a_phone_waits_and_a_browser_is_told(case):
    with Gate(case) as proxy:
        if case.before:
            case.before(proxy)
        who = WRONG if case.reason.startswith("auth_lock") else ANNA
        status, retry, reason = ask(proxy, PHONE, who)
        assert (status, reason) == (503, case.reason) and int(retry) > 0
        for target in ("/ews/exchange.asmx", "/mapi/emsmdb/?MailboxId=x"):
            assert ask(proxy, ("POST", target), who)[0] == 503
        status, _, reason = ask(proxy, BROWSER, who)
        assert (status, reason) == (case.browser, case.reason)


def test_a_full_backend():
    import threading
    release = threading.Event()
    with Origin(lambda r, w, s: (release.wait(20), answer(200, b""))[1]) as origin:
        config = CONFIG
        for key, value in Case("", 0, backend="health_interval: none, max_connections: 1", authenticate="none").values.items():
            config = config.replace("{%s}" % key, value)
        with Proxy(config, url=origin.url, users={"anna": "a-good-Password1"}) as proxy, Client(proxy) as held:
            held.request(*PHONE, [ANNA], b"")
            assert wait_until(lambda: len(origin.requests) == 1)
            status, retry, reason = ask(proxy, PHONE)
            assert (status, reason) == (503, "backend_busy") and int(retry) > 0
            release.set()
            assert held.response().status == 200


def test_a_gate_that_stops():
    """At the end of drain_timeout a Ping that is still held is put off; a browser's request is cut."""
    import threading
    release = threading.Event()
    with Origin(lambda r, w, s: (release.wait(30), answer(200, b""))[1]) as origin:
        config = CONFIG
        for key, value in Case("", 0, authenticate="none").values.items():
            config = config.replace("{%s}" % key, value)
        with Proxy(config, url=origin.url, users={"anna": "a-good-Password1"}) as proxy, Client(proxy, timeout=20) as phone, Client(proxy, timeout=20) as browser:
            phone.request(*PHONE, [ANNA], b"")
            browser.request(*BROWSER)
            assert wait_until(lambda: len(origin.requests) == 2)
            proxy.process.send_signal(signal.SIGTERM)
            r = phone.response()
            assert r.status == 503 and int(r.get("Retry-After")) > 0 and r.get("Connection") == "close"
            assert browser.sock.recv(100) == b""
            phone.close(), browser.close()
            assert proxy.process.wait(20 * SLOW) == 0
            assert sorted((x["status"], x["reason"]) for x in proxy.access(2)) == [(0, "drained"), (503, "drained")]
        release.set()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
