"""What is told of it all: the access log in both formats, the event log, metrics, health; and no secret anywhere. (Every Postern of
these tests is searched for the passwords that were used when it stops; here it is done on purpose, with all places to look in.)
"""
import json
import os
import re
import socket
import subprocess

import pytest
from harness import DIRECTORY, POSTERN, SECRETS, SLOW, Client, Origin, Proxy, basic, certs, config, wait_until

ALICE = ("alice", "a very secret sentence")
FIELDS = ["time", "client", "client_port", "user", "method", "host", "path", "query", "version", "status", "reason", "auth", "service",
          "backend", "bytes_in", "bytes_out", "duration_ms", "backend_ms", "tls", "sni", "user_agent", "connection", "reused"]


def site(origin, log="", top=""):
    text = top + "admin: \"unix:{dir}/admin.sock\"\n" + config([origin.url], "{basic: corp}", DIRECTORY)
    return Proxy(text.replace("event_path: stderr", "event_path: stderr, level: debug" + log), users=dict([ALICE]))


@pytest.fixture(scope="module")
def origin():
    with Origin() as o:
        yield o


@pytest.fixture(scope="module")
def proxy(origin):
    with site(origin) as p:
        yield p


def page(proxy, path, method="GET"):
    """(status, fields and body) of the admin's page."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10 * SLOW)
        sock.connect(os.path.join(proxy.dir, "admin.sock"))
        sock.sendall(("%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (method, path)).encode())
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    return int(text.split()[1]), text.split("\r\n\r\n", 1)[1]


def metrics(proxy):
    rows = [line.rpartition(" ") for line in page(proxy, "/metrics")[1].splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}


def test_json_line(proxy, origin):
    with Client(proxy) as client:
        client.request("POST", "/OWA/Sub%20Folder?a=b&c", [basic(*ALICE), ("User-Agent", "Phone \"x\"\\ \xe4")], b"12345")
        body = client.response().body
        line = proxy.access(client=client)[0]
    assert [name for name in line if name in FIELDS] == FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    expected = {"client": "127.0.0.1", "user": "alice", "method": "POST", "host": "mail.example.com", "path": "/owa/sub folder", "query": "a=b&c",
                "version": "HTTP/1.1", "status": 200, "reason": "ok", "auth": "ok", "service": "owa", "backend": origin.url, "bytes_in": 5,
                "bytes_out": len(body), "sni": "mail.example.com"}
    assert {k: line[k] for k in expected} == expected
    assert line["tls"].startswith("TLSv1.3 ") and line["user_agent"].startswith('Phone "x"\\ ')


@pytest.mark.parametrize("agent", ["\xff\xfe", "\u2028".encode().decode("latin-1"), "z" * 6000, "\\u0000", "\"},{\"status\":200"],
                         ids=["not utf-8", "separator", "long", "escape", "injection"])
def test_one_request_is_one_line(proxy, agent):
    """Whatever a client puts in, the log stays a list of objects."""
    with Client(proxy) as client:
        assert client.get("/owa/?%s" % ("q" * 3000), [("User-Agent", agent)]).status == 401
        lines = proxy.access(client=client)
    assert [x["status"] for x in lines] == [401]


def test_w3c(origin):
    with site(origin, ", access_format: w3c") as proxy:
        with Client(proxy) as client:
            client.get("/owa/a%20b?x=%22y", [basic(*ALICE), ("User-Agent", "My phone 1.0")])
            client.get("/nowhere")

        def rows():
            with open(proxy.access_path, encoding="utf-8") as f:
                return f.read().splitlines()
        assert wait_until(lambda: len(rows()) >= 5)
        text = rows()
        assert text[:2] == ["#Software: Postern", "#Version: 1.0"]
        names = text[2].split()[1:]
        assert text[2].startswith("#Fields: date time c-ip c-port cs-username cs-method cs-host cs-uri-stem cs-uri-query")
        first, second = (dict(zip(names, row.split(" "))) for row in text[3:5])
        assert all(len(row.split(" ")) == len(names) for row in text[3:5])
        assert (first["cs-username"], first["cs-uri-stem"], first["cs-uri-query"], first["sc-status"]) == ("alice", "/owa/a+b", "x=%22y", "200")
        assert (first["cs(User-Agent)"], first["x-reason"]) == ("My+phone+1.0", "ok")
        assert (second["cs-username"], second["cs-uri-query"], second["sc-status"], second["x-reason"]) == ("-", "-", "404", "not_published")


def test_fields_of_choice_and_off(origin):
    with site(origin, ", access_fields: [status, path]") as proxy:
        with Client(proxy) as client:
            client.get("/owa/x")
        assert wait_until(lambda: proxy.access_size() > 0)
        with open(proxy.access_path, encoding="utf-8") as f:
            assert f.read() == '{"status":401,"path":"/owa/x"}\n'
    text = config([origin.url]).replace("access_path: {dir}/access.log", "access_path: \"off\"")
    with Proxy(text) as proxy, Client(proxy) as client:
        assert client.get("/owa/").status == 200
        assert not os.path.exists(proxy.access_path)


def test_metrics_count_what_happened(proxy):
    before = metrics(proxy)
    with Client(proxy) as client:
        assert client.get("/owa/", [basic(*ALICE)]).status == 200
        assert client.get("/owa/", [basic("alice", "no such sentence")]).status == 401
        during = metrics(proxy)
        assert during["postern_connections_open"] == before["postern_connections_open"] + 1

    def grown(name):
        return metrics(proxy)[name] - before[name]
    assert wait_until(lambda: metrics(proxy)["postern_connections_open"] == before["postern_connections_open"])
    for name, n in (("postern_requests_total", 2), ("postern_connections_accepted_total", 1), ("postern_tls_handshakes_total", 1),
                    ("postern_auth_attempts_total", 2), ("postern_auth_failures_total", 1), ("postern_requests_open", 0),
                    ("postern_log_lines_lost_total", 0)):
        assert grown(name) == n, name


def test_metrics_are_well_formed(proxy):
    """Each name with its HELP and TYPE before it, no row twice."""
    status, text = page(proxy, "/metrics")
    assert status == 200
    told, rows = set(), set()
    for line in text.splitlines():
        if line.startswith("# "):
            told.add((line.split()[1], line.split()[2]))
            continue
        row = re.fullmatch(r"([a-z_]+)(\{[^}]*\})? (\S+)", line)
        assert row, line
        float(row.group(3))
        assert {("HELP", row.group(1)), ("TYPE", row.group(1))} <= told, line
        assert row.group(1, 2) not in rows, line
        rows.add(row.group(1, 2))


@pytest.mark.parametrize("path,method,expected", [("/health", "GET", 200), ("/status", "GET", 200), ("/", "GET", 404), ("/metrics/", "GET", 404),
                                                  ("/metrics", "POST", 405), ("/../metrics", "GET", 404)])
def test_admin_pages(proxy, path, method, expected):
    status, text = page(proxy, path, method)
    assert status == expected
    if path == "/status":
        json.loads(text)


def test_admin_is_not_on_the_listeners(proxy):
    with Client(proxy) as client:
        assert [client.get(p).status for p in ("/metrics", "/health", "/status")] == [404] * 3


def test_signal_during_the_start(origin):
    """SIGHUP as soon as a client can connect, or earlier, is a reload and not the end."""
    for _ in range(3):
        with Proxy(config([origin.url])) as proxy:
            proxy.reload()
            assert wait_until(lambda: proxy.output.count(b"PO-CONF-0001") == 2)


def test_no_secret_anywhere(origin):
    """Right and wrong passwords, in every place that a client can put them or a log could take them from."""
    wrong = basic("alice", "another secret sentence")
    with open(certs() + "/san.key", encoding="ascii") as f:
        key = f.read().splitlines()[1]
    with site(origin) as proxy:
        for fields in ([basic(*ALICE)], [wrong], [basic("CORP\\alice", ALICE[1])], [("Authorization", "NTLM " + basic(*ALICE)[1][6:])],
                       [wrong, wrong], [("Cookie", "cadata=" + basic(*ALICE)[1][6:])], [("Proxy-Authorization", wrong[1])]):
            with Client(proxy) as client:
                client.get("/owa/", fields)
            with Client(proxy) as client:  # malformed, with credentials
                client.send(("GET /owa/\x01 HTTP/1.1\r\nHost: mail.example.com\r\n%s: %s\r\n\r\n" % fields[0]).encode("latin-1"))
                client.response()
            with Client(proxy, tls=False) as client:
                client.request("GET", "/owa/", fields)
                client.response()
        proxy.access(21)
        told = proxy.logs() + "".join(page(proxy, p)[1] for p in ("/metrics", "/health", "/status")).encode()
        told += subprocess.run([POSTERN, "status", "-c", proxy.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout
        told += subprocess.run([POSTERN, "show", "config", "-c", proxy.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout
    assert len(SECRETS) >= 4 and len(told) > 5000
    assert not [s for s in SECRETS | {key} if s.encode() in told]
