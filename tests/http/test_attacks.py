"""Published attacks in many disguises reach nothing; the requests of real clients all pass. The result is a table."""
import base64
import threading

import pytest

from corpus.attacks import ATTACKS
from corpus.legitimate import CORPUS
from harness import Client, Origin, Proxy, answer, wait_until

CONFIG = """
workers: 1
exchange: {version}
listeners: [{address: "127.0.0.1:{port}", certificates: [mail]}, {address: "127.0.0.1:{plain_port}", plain_http: refuse}]
certificates: {mail: {chain: {certs}/san.pem, key: {certs}/san.key}}
log: {access_path: {dir}/access.log, event_path: {dir}/events.log}
control_socket: {dir}/control.sock
backends: {origin: {servers: ["{url}"], health_interval: none}}
directories: {corp: {type: user_file, path: {dir}/users}}
services: {federation: {unauthenticated_from: [10.0.0.0/8]}}
publish:
  - hosts: [mail.example.com]
    to: origin
    authenticate: {authenticate}
    services: [owa, activesync, outlook_anywhere, autodiscover, autodiscover_v2, federation, ews, oab, mapi, unified_messaging, ecp, webdav]
"""
USER = {"alice": "a-good-Password1"}
SIGNED_IN = ("Authorization", "Basic " + base64.b64encode(b"alice:a-good-Password1").decode())


def start(origin, authenticate, version="2016"):
    return Proxy(CONFIG, url=origin.url, authenticate=authenticate, version=version, users=USER)


def raw(method, target, fields, body):
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: mail.example.com"] + ["%s: %s" % f for f in fields]
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def ask(proxy, client, method, target, fields, body):
    """The answer's status on a kept connection; a new one where the last was closed."""
    for _ in range(2):
        c = client[0] or Client(proxy)
        client[0] = None
        try:
            c.send(raw(method, target, fields, body))
            r = c.response(method)
        except (OSError, EOFError):
            c.close()
            continue
        if (r.get("Connection") or "").lower() == "close":
            c.close()
        else:
            client[0] = c
        return r.status
    raise AssertionError("no answer to %s %s" % (method, target))


def table(capsys, title, column, rows):
    """Seen in the report of a good run, too."""
    with capsys.disabled():
        print("\n%-46s %8s %8s" % (title, "requests", column))
        for name, n, wrong in rows + [("all", sum(r[1] for r in rows), sum(r[2] for r in rows))]:
            print("%-46s %8d %8d" % (name, n, wrong))


@pytest.mark.parametrize("who", ["nobody", "signed in", "no pre-authentication"])
def test_attacks_reach_nothing(who, capsys):
    rows, wrong = [], []
    with Origin() as origin, start(origin, "none" if who == "no pre-authentication" else "{basic: corp}") as proxy:
        client = [None]
        for name, attacks in ATTACKS.items():
            assert len(attacks) >= 10, name
            failed = 0
            for method, target, fields in attacks:
                before = origin.connections, len(origin.requests)
                status = ask(proxy, client, method, target, fields + ([SIGNED_IN] if who == "signed in" else []), None)
                if (origin.connections, len(origin.requests)) != before or status < 400:
                    failed += 1
                    wrong.append((name, method, target, fields, status))
            rows.append((name, len(attacks), failed))
        if client[0]:
            client[0].close()
        reached = origin.connections, origin.bytes
    table(capsys, "attack, by: " + who, "passed", rows)
    assert not wrong, wrong[:5]
    assert reached == (0, 0)


@pytest.mark.parametrize("authenticate", ["none", "{basic: corp}"])
def test_real_clients_pass(authenticate, capsys):
    assert sum(len(c) for c in CORPUS.values()) >= 300
    rows, wrong = [], []
    with Origin() as origin, start(origin, authenticate) as proxy:
        client = [None]
        for name, requests in CORPUS.items():
            failed = 0
            for method, target, fields, body in requests:
                before = len(origin.requests)
                status = ask(proxy, client, method, target, fields + [SIGNED_IN], body)
                passed = status == 200 and len(origin.requests) == before + 1
                if passed:
                    got = origin.requests[-1]
                    passed = (got.method, got.target) == (method, target) and got.body == (body or b"")
                if not passed:
                    failed += 1
                    wrong.append((name, method, target, status))
            rows.append((name, len(requests), failed))
        if client[0]:
            client[0].close()
    table(capsys, "real client, authenticate: " + authenticate, "refused", rows)
    assert not wrong, wrong[:10]


@pytest.mark.parametrize("mode,status", [("observe", 200), ("off", 200), ("deny", 403)])
def test_a_rule_has_modes_and_a_count(mode, status):
    from harness import free_port
    import urllib.request
    text = CONFIG + "rules: {proxytoken: {mode: %s}, mine: {where: header, header: User-Agent, pattern: '^Bad', services: [owa]}}\nadmin: \"127.0.0.1:{admin}\"\n" % mode
    with Origin() as origin, Proxy(text, url=origin.url, authenticate="none", version="2016", users=USER, admin=free_port()) as proxy:
        client = [None]
        assert ask(proxy, client, "GET", "/owa/", [("Cookie", "SecurityToken=x")], None) == status
        assert ask(proxy, client, "GET", "/owa/", [("User-Agent", "bad bot")], None) == 403
        assert ask(proxy, client, "GET", "/ews/exchange.asmx", [("User-Agent", "bad bot")], None) == 200, "the rule is for owa alone"
        if client[0]:
            client[0].close()
        metrics = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % proxy.values["admin"], timeout=10).read().decode()
        assert 'postern_rule_matches_total{rule="mine",mode="deny"} 1\n' in metrics
        assert 'postern_rule_matches_total{rule="proxytoken",mode="observe"} %d\n' % (mode == "observe") in metrics
        assert 'postern_rule_matches_total{rule="proxytoken",mode="deny"} %d\n' % (mode == "deny") in metrics


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-s"]))
