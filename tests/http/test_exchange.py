"""Exchange's own protocols through the gate; what a scripted server shows best; fact by fact against the simulated one in test_facts."""
import base64
import json
import os
import struct
import subprocess
import time
import urllib.request

import pytest

from harness import POSTERN, Client, Origin, Proxy, answer, free_port, wait_until

CONFIG = """
workers: 2
exchange: {version}
listeners: [{address: "127.0.0.1:{port}", certificates: [mail]}, {address: "127.0.0.1:{plain_port}", plain_http: redirect}]
certificates: {mail: {chain: {certs}/san.pem, key: {certs}/san.key}}
log: {access_path: {dir}/access.log, event_path: {dir}/events.log}
control_socket: {dir}/control.sock
admin: "127.0.0.1:{admin}"
backends: {cas: {servers: [{urls}], trust: {certs}/backend-ca.pem, health_interval: none{backend}}}
directories: {corp: {type: user_file, path: {dir}/users}}
services: {services}
http: {http}
publish:
  - hosts: [mail.example.com, autodiscover.example.com]
    to: cas
    authenticate: {authenticate}
    redirect_hosts: [sts.example.net]
    services: [owa, activesync, outlook_anywhere, autodiscover, ews, oab, mapi, unified_messaging, ecp, webdav, federation, autodiscover_v2]
"""
USERS = {"alice": "a-good-Password1", "bob": "a-good-Password1", "m\xfcller": "a-good-Password1"}


def start(*origins, services="{}", http="{}", authenticate="none", version="2016", backend=""):
    return Proxy(CONFIG, urls=", ".join('"%s"' % o.url for o in origins), services=services, http=http, authenticate=authenticate, version=version, backend=backend,
                 admin=free_port(), users=USERS)


def basic(user, password="a-good-Password1"):
    return ("Authorization", "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode())


def fetch(proxy, method, target, fields=(), body=None):
    with Client(proxy) as c:
        c.request(method, target, list(fields), body)
        return c.response(method)


def status(proxy, *words):
    return subprocess.run([POSTERN, "status", *words, "-c", proxy.path], capture_output=True, text=True, timeout=60).stdout


def metric(proxy, line):
    text = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % proxy.values["admin"], timeout=10).read().decode()
    return [int(x.rsplit(" ", 1)[1]) for x in text.splitlines() if x.startswith(line + " ")][0]


# ---- RPC over HTTP ----

RPC = "/rpc/rpcproxy.dll?mail.example.com:6001"


def rpc_head(method, length, target=RPC, more=()):
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: mail.example.com", "Accept: application/rpc", "User-Agent: MSRPC", "Content-Length: %d" % length] + list(more)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def channel_origin(released):
    """Answers OUT with its own phrase and then echoes what IN brings."""
    def handler(request, wire, sock):
        if request.method == "RPC_OUT_DATA" and request.get("Content-Length") in ("76", "120"):
            released.append(("out", sock))  # before the client knows, and sends what is to come back here
            sock.sendall(b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\nhello")
            return None
        if request.method == "RPC_IN_DATA":
            released.append(("in", sock))
            while True: # what came together with the head is in the buffer already
                for kind, s in list(released):
                    if kind == "out" and wire.buffer:
                        s.sendall(wire.buffer)
                wire.buffer = b""
                if not wire.fill():
                    return False
        return answer(200, b"x" * 20)
    return handler


def test_rpc_out_response_keeps_its_phrase_and_streams():
    with Origin(channel_origin([]), read_body=False) as origin, start(origin) as proxy, Client(proxy) as c:
        c.send(rpc_head("RPC_OUT_DATA", 76) + bytes(76))
        head = c.wire.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 Success\r\n") and b"Content-Length: 1073741824\r\n" in head
        assert b"Transfer-Encoding" not in head and c.wire.exactly(5) == b"hello"


def test_rpc_channels_are_seen_as_channels_and_counted_apart():
    with Origin(channel_origin([]), read_body=False) as origin, start(origin) as proxy, Client(proxy) as out, Client(proxy) as into:
        out.send(rpc_head("RPC_OUT_DATA", 76) + bytes(76))
        out.wire.until(b"hello")
        into.send(rpc_head("RPC_IN_DATA", 1 << 30) + b"abc")
        assert out.wire.exactly(3) == b"abc", "what IN sends comes back on OUT at once"

        def channels():
            return {c["direction"]: c for c in json.loads(status(proxy, "channels", "--json"))["channels"]}
        assert wait_until(lambda: set(channels()) == {"in", "out"})
        seen = channels()
        assert seen["in"]["target"] == "mail.example.com:6001" and seen["in"]["bytes_in"] == 3 and seen["out"]["bytes_out"] == 8
        assert metric(proxy, "postern_rpc_channels_open") == 2 and metric(proxy, "postern_rpc_channels_total") == 2
        assert metric(proxy, "postern_rpc_channels_in_open") == 1 and metric(proxy, "postern_rpc_channels_out_open") == 1
        assert "2 channels" in status(proxy, "channels")
        out.close(), into.close()
        assert wait_until(lambda: metric(proxy, "postern_rpc_channels_open") == 0)
        assert metric(proxy, "postern_rpc_channels_in_open") == 0 and metric(proxy, "postern_rpc_channels_out_open") == 0
        assert metric(proxy, "postern_rpc_channel_bytes_in_total") == 79 and metric(proxy, "postern_rpc_channel_bytes_out_total") == 8
        assert {x["command"] for x in proxy.access(2)} == {"in", "out"}


def test_rpc_in_response_is_an_error_in_old_style_and_comes_early():
    def refuse(request, wire, sock):
        sock.sendall(b"HTTP/1.0 503 RPC Error: 6ba, EEInfo: dGVzdA==\r\nContent-Length: 0\r\n\r\n")
        return False
    with Origin(refuse, read_body=False) as origin, start(origin) as proxy, Client(proxy) as c:
        c.send(rpc_head("RPC_IN_DATA", 1 << 30) + b"first")
        assert c.wire.until(b"\r\n").split(b" ", 1)[1] == b"503 RPC Error: 6ba, EEInfo: dGVzdA==\r\n"
        assert c.closed() or True
        c.sock.settimeout(10)


def test_rpc_an_ntlm_leg_announces_nothing_and_the_connection_lives():
    legs = []

    def ntlm(request, wire, sock):
        legs.append(request.get("Authorization"))
        if len(legs) == 1:
            return answer(401, b"", [("WWW-Authenticate", "NTLM TlRMTVNTUAACAAAA")])
        sock.sendall(b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\nok")
        return None
    with Origin(ntlm, read_body=False) as origin, start(origin) as proxy, Client(proxy) as c:
        c.send(rpc_head("RPC_OUT_DATA", 0, more=["Authorization: NTLM TlRMTVNTUAABAAAA"]))
        assert c.response().status == 401
        c.send(rpc_head("RPC_OUT_DATA", 76, more=["Authorization: NTLM TlRMTVNTUAADAAAA"]) + bytes(76))
        assert c.head().status == 200
        assert origin.connections == 1 and len(legs) == 2, "both legs on one backend connection"


def test_rpc_echo():
    with Origin(lambda r, w, s: b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 20\r\n\r\n" + bytes(20)) as origin, start(origin) as proxy:
        for method in ("RPC_IN_DATA", "RPC_OUT_DATA"):
            with Client(proxy) as c:
                c.send(rpc_head(method, 4) + b"echo")
                r = c.response()
                assert r.status == 200 and len(r.body) == 20


@pytest.mark.parametrize("method,length", [("RPC_IN_DATA", 17), ("RPC_IN_DATA", (128 << 10) - 1), ("RPC_IN_DATA", (2 << 30) + 1), ("RPC_OUT_DATA", 75), ("RPC_OUT_DATA", 1 << 30)])
def test_rpc_lengths_that_no_channel_has(method, length):
    with Origin() as origin, start(origin) as proxy, Client(proxy) as c:
        c.send(rpc_head(method, length))
        assert c.response().status == 400 and origin.connections == 0
        assert proxy.access()[0]["reason"] == "rpc_length"


def test_rpc_targets_by_list():
    services = "{outlook_anywhere: {rpc_targets: ['*.stores.example.com'], rpc_ports: [6001, 7000]}}"
    with Origin(lambda r, w, s: answer(200, b"")) as origin, start(origin, services=services) as proxy:
        for target, expected in (("a.stores.example.com:7000", 200), ("stores.example.com:7000", 403), ("a.b.stores.example.com:7000", 403), ("a.stores.example.com:6002", 403),
                                 ("autodiscover.example.com:6001", 200), ("5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a1@example.com:6001", 200),
                                 ("5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a1@other.com:6001", 403), ("127.0.0.1:6001", 200)):
            with Client(proxy) as c:
                c.send(rpc_head("RPC_OUT_DATA", 0, "/rpc/rpcproxy.dll?" + target))
                assert c.response().status == expected, target


def test_rpc_both_channels_of_a_client_go_to_one_server():
    origins = [Origin(lambda r, w, s: answer(200, b"")) for _ in range(4)]
    with start(*origins, authenticate="{basic: corp}") as proxy:
        for user in ("alice", "CORP\\ALICE", "alice@corp.example.com"):
            for method in ("RPC_IN_DATA", "RPC_OUT_DATA"):
                with Client(proxy) as c:
                    c.send(rpc_head(method, 0, more=["%s: %s" % basic(user)]))
                    assert c.response().status == 200
        assert sorted(len(o.requests) for o in origins) == [0, 0, 0, 6]
    for o in origins:
        o.__exit__(None, None, None)


# ---- ActiveSync ----

EAS = "/Microsoft-Server-ActiveSync?Cmd=%s&User=%s&DeviceId=ApplDX3&DeviceType=iPhone"


def test_activesync_options_passes_untouched():
    fields = [("MS-Server-ActiveSync", "15.1"), ("MS-ASProtocolVersions", "2.5,12.0,16.1"), ("MS-ASProtocolCommands", "Sync,Ping"), ("Public", "OPTIONS,POST")]
    with Origin(lambda r, w, s: answer(200, b"", fields)) as origin, start(origin) as proxy:
        r = fetch(proxy, "OPTIONS", "/Microsoft-Server-ActiveSync")
        assert r.status == 200 and all(r.get(n) == v for n, v in fields)


@pytest.mark.parametrize("code", [449, 451, 456, 457, 507])
def test_activesync_status_codes_of_its_own_pass(code):
    with Origin(lambda r, w, s: answer(code, b"")) as origin, start(origin) as proxy:
        assert fetch(proxy, "POST", EAS % ("Sync", "alice"), body=b"").status == code


def test_activesync_both_query_forms_are_logged_and_counted():
    raw = struct.pack("<BBH", 161, 20, 0x409) + b"\x04abcd\x00\x02WP"
    with Origin(lambda r, w, s: answer(200, b"")) as origin, start(origin, authenticate="{basic: corp}") as proxy:
        fetch(proxy, "POST", EAS % ("FolderSync", "alice"), [basic("alice"), ("MS-ASProtocolVersion", "14.1")], b"")
        fetch(proxy, "POST", "/Microsoft-Server-ActiveSync?" + base64.b64encode(raw).decode(), [basic("alice")], b"")
        plain, coded = proxy.access(2)
        assert (plain["command"], plain["device"], plain["device_type"], plain["protocol"]) == ("FolderSync", "ApplDX3", "iPhone", "14.1")
        assert (coded["command"], coded["device"], coded["device_type"], coded["protocol"]) == ("Provision", "abcd", "WP", "16.1")
        assert metric(proxy, 'postern_activesync_total{command="Provision",version="16.1"}') == 1 and metric(proxy, 'postern_activesync_total{command="FolderSync",version="14.1"}') == 1
        devices = {d["device"]: d for d in json.loads(status(proxy, "devices", "--json"))["devices"]}
        assert set(devices) == {"ApplDX3", "abcd"} and devices["abcd"]["user"] == "alice" and devices["abcd"]["protocol"] == "16.1"
        assert "ApplDX3" in status(proxy, "devices", "alice") and "ApplDX3" not in status(proxy, "devices", "bob")


def test_activesync_a_device_of_an_unproved_account_is_not_listed():
    with Origin(lambda r, w, s: answer(200, b"")) as origin, start(origin, authenticate="{basic: corp}") as proxy:
        assert fetch(proxy, "POST", EAS % ("Sync", "alice"), [basic("alice", "wrong")], b"").status == 401
        assert json.loads(status(proxy, "devices", "--json"))["count"] == 0


@pytest.mark.parametrize("user,expected", [("alice", 200), ("CORP%5CAlice", 200), ("alice@example.com", 200), ("bob", 403), ("CORP%5Cbob", 403), ("alice%00", 400), ("al%2569ce", 403)])
def test_activesync_the_querys_user_is_who_signed_in(user, expected):
    with Origin(lambda r, w, s: answer(200, b"")) as origin, start(origin, authenticate="{basic: corp}") as proxy:
        assert fetch(proxy, "POST", EAS % ("Sync", user), [basic("alice")], b"").status == expected
        assert len(origin.requests) == (expected == 200)
    with Origin(lambda r, w, s: answer(200, b"")) as origin, start(origin, authenticate="{basic: corp}", services="{activesync: {match_user: false}}") as proxy:
        assert fetch(proxy, "POST", EAS % ("Sync", user), [basic("alice")], b"").status == (400 if expected == 400 else 200)


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
@pytest.mark.parametrize("user", ["m%C3%BCller", "M%C3%9CLLER", "m%FCller", "CORP%5Cm%C3%BCller"])
def test_activesync_the_querys_user_may_have_umlauts_in_either_charset(charset, user):
    with Origin(lambda r, w, s: answer(200, b"")) as origin, start(origin, authenticate="{basic: corp}") as proxy:
        field = ("Authorization", "Basic " + base64.b64encode(("m\xfcller:a-good-Password1").encode(charset)).decode())
        assert fetch(proxy, "POST", EAS % ("Sync", user), [field], b"").status == 200


def test_activesync_device_rules_are_read_again_at_reload():
    with Origin(lambda r, w, s: answer(200, b"")) as origin:
        proxy = Proxy.__new__(Proxy)
        import tempfile
        folder = tempfile.mkdtemp(prefix="postern-test-")
        rules = os.path.join(folder, "devices")
        with open(rules, "w") as f:
            f.write("deny device_type=Evil* status=456\nobserve device_id=Watch*\n")
        proxy.__init__(CONFIG, dir=folder, urls='"%s"' % origin.url, services="{activesync: {device_rules: devices}}", http="{}", authenticate="none", version="2016", backend="",
                       admin=free_port(), users=USERS)
        with proxy:
            target = "/Microsoft-Server-ActiveSync?Cmd=Sync&User=a&DeviceId=%s&DeviceType=%s"
            assert fetch(proxy, "POST", target % ("x", "EvilPhone"), body=b"").status == 456
            assert fetch(proxy, "POST", target % ("WatchMe", "Good"), body=b"").status == 200
            assert metric(proxy, "postern_devices_denied_total") == 1 and metric(proxy, "postern_devices_observed_total") == 1
            with open(rules, "w") as f:
                f.write("deny device_id=WatchMe\n")
            proxy.reload()
            assert wait_until(lambda: fetch(proxy, "POST", target % ("WatchMe", "Good"), body=b"").status == 403)
            assert fetch(proxy, "POST", target % ("x", "EvilPhone"), body=b"").status == 200
            with open(rules, "w") as f:
                f.write("permit all\n")
            out = subprocess.run([POSTERN, "reload", "-c", proxy.path], capture_output=True, text=True, timeout=60)
            assert out.returncode == 1 and "devices:1:1" in out.stdout + out.stderr
            assert fetch(proxy, "POST", target % ("WatchMe", "Good"), body=b"").status == 403, "the good rules stay"
        import shutil
        shutil.rmtree(folder)


@pytest.mark.parametrize("location,expected,leaves", [
    ("https://mail.example.com/Microsoft-Server-ActiveSync", 451, "https://mail.example.com/Microsoft-Server-ActiveSync"),
    ("https://127.0.0.1/Microsoft-Server-ActiveSync", 451, "https://mail.example.com/Microsoft-Server-ActiveSync"),
    ("https://CAS2/Microsoft-Server-ActiveSync", 451, "https://mail.example.com/Microsoft-Server-ActiveSync"),
    ("https://evil.example/Microsoft-Server-ActiveSync", 502, None)])
def test_activesync_451_leads_to_published_names(location, expected, leaves):
    with Origin(lambda r, w, s: answer(451, b"", [("X-MS-Location", location)])) as origin, start(origin) as proxy:
        r = fetch(proxy, "POST", EAS % ("Sync", "alice"), body=b"")
        assert r.status == expected and r.get("X-MS-Location") == leaves


def test_activesync_503_with_retry_after_where_the_gate_is_the_obstacle():
    import threading
    release = threading.Event()
    with Origin(lambda r, w, s: (release.wait(20), answer(200, b""))[1]) as origin, start(origin, backend=", max_connections: 1") as proxy, Client(proxy) as held:
        others = [Client(proxy) for _ in range(8)]
        held.request("POST", EAS % ("Ping", "alice"), [], b"")
        for c in others:
            c.request("POST", EAS % ("Ping", "alice"), [], b"")
        assert wait_until(lambda: sum(x["status"] == 503 for x in proxy.access(1)) >= 7)
        refused = [x for x in proxy.access(7) if x["status"] == 503]
        assert {x["reason"] for x in refused} == {"backend_busy"}
        ports = {x["client_port"] for x in refused}
        c = next(c for c in others if c.address[1] in ports)
        assert c.response().get("Retry-After")
        release.set()
        for c in others:
            c.close()


def test_activesync_a_ping_is_held_and_its_device_seen():
    with Origin(lambda r, w, s: (time.sleep(1.2), answer(200, b"done"))[1]) as origin, start(origin) as proxy:
        r = fetch(proxy, "POST", EAS % ("Ping", "alice"), body=b"")
        assert r.status == 200 and r.body == b"done"
        device = json.loads(status(proxy, "devices", "--json"))["devices"][0]
        assert device["polls"] == 1 and device["polls_cut"] == 0 and device["poll_s"] >= 1


# ---- Autodiscover ----

@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.XML", "/AUTODISCOVER/AUTODISCOVER.SVC"])
def test_autodiscover_any_letter_case(path):
    with Origin() as origin, start(origin) as proxy:
        assert fetch(proxy, "POST", path, [("Content-Type", "text/xml")], b"<a/>").status == 200
        assert origin.requests[0].target == path, "the path goes on as it came"


def test_autodiscover_version_2_in_two_shapes():
    with Origin() as origin, start(origin) as proxy:
        for target, expected in (("?Email=a@example.com&Protocol=ActiveSync", 200), ("?Protocol=EWS&Email=a%40example.com&RedirectCount=1", 200), ("/v1.0/a@example.com?Protocol=EWS", 200),
                                 ("?Email=a@example.com", 404), ("?Protocol=EWS", 404), ("/v1.0/a@example.com", 404), ("/v1.0/a@example.com/x?Protocol=EWS", 404), ("", 404),
                                 ("/v1.0/a@b@example.com?Protocol=EWS", 404), ("/v2.0/a@example.com?Protocol=EWS", 404), ("?Email=a@example.com&Protocol=E%57S", 404)):
            assert fetch(proxy, "GET", "/autodiscover/autodiscover.json" + target).status == expected, target
        assert fetch(proxy, "POST", "/autodiscover/autodiscover.json?Email=a@example.com&Protocol=EWS", body=b"").status == 405


def test_autodiscover_federation_by_source_only():
    paths = ("/autodiscover/autodiscover.svc/wssecurity", "/EWS/Exchange.asmx/wssecurity", "/ews/mrsproxy.svc")
    for source, expected in (("127.0.0.0/8", 200), ("10.0.0.0/8", 401), (None, 401)):
        services = "{federation: {unauthenticated_from: [%s]}}" % source if source else "{}"
        with Origin() as origin, start(origin, authenticate="{basic: corp}", services=services) as proxy:
            for path in paths:
                assert fetch(proxy, "POST", path, body=b"").status == expected, path
            assert fetch(proxy, "POST", "/ews/exchange.asmx", body=b"").status == 401, "nothing beside the exact paths"
            assert fetch(proxy, "POST", "/autodiscover/autodiscover.svc", body=b"").status == 401


# ---- MAPI over HTTP, EWS ----

def test_mapi_pending_chunks_at_once_and_cookies_untouched():
    def pending(request, wire, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/mapi-http\r\nTransfer-Encoding: chunked\r\nSet-Cookie: MapiContext=MAPIAAAA; path=/mapi; secure\r\n\r\n")
        for word in (b"PROCESSING\r\n", b"PENDING\r\n", b"PENDING\r\n", b"DONE\r\n"):
            sock.sendall(b"%x\r\n%s\r\n" % (len(word), word))
            time.sleep(0.15)
        return b"0\r\n\r\n"
    with Origin(pending) as origin, start(origin) as proxy, Client(proxy) as c:
        c.request("POST", "/mapi/emsmdb/?MailboxId=x@example.com", [("Cookie", "MapiContext=MAPIAAAA; MapiSequence=7-kQ==")], b"")
        assert c.head().get("Set-Cookie") == "MapiContext=MAPIAAAA; path=/mapi; secure"
        times, words = [], []
        for chunk in c.wire.chunks():
            words.append(chunk)
            times.append(time.monotonic())
        assert words == [b"PROCESSING\r\n", b"PENDING\r\n", b"PENDING\r\n", b"DONE\r\n"], "chunk by chunk"
        assert all(b - a > 0.05 for a, b in zip(times, times[1:])), "each when it came"
        assert origin.requests[0].get("Cookie") == "MapiContext=MAPIAAAA; MapiSequence=7-kQ=="


# ---- OWA ----

@pytest.mark.parametrize("cookie,leaves", [
    ("sessionid=x; path=/owa", "sessionid=x; path=/owa; Secure; HttpOnly"), ("cadata=abc==; HttpOnly", "cadata=abc==; HttpOnly; Secure"),
    ("X-OWA-CANARY=abc; path=/", "X-OWA-CANARY=abc; path=/; Secure"), ("UserContext=x; secure", "UserContext=x; secure"),
    ("a=Secure", "a=Secure; Secure"), ("sessionid=x; SECURE; httponly", "sessionid=x; SECURE; httponly")])
def test_owa_cookies(cookie, leaves):
    with Origin(lambda r, w, s: answer(200, b"", [("Set-Cookie", cookie)])) as origin, start(origin) as proxy:
        assert fetch(proxy, "GET", "/owa/").get("Set-Cookie") == leaves


def test_owa_nothing_tells_of_the_interior():
    fields = [("Server", "Microsoft-IIS/10.0"), ("X-AspNet-Version", "4.0.30319"), ("X-Powered-By", "ASP.NET"), ("X-FEServer", "CAS1"), ("X-DiagInfo", "CAS1"), ("X-BEServer", "MBX1"),
              ("X-CalculatedBETarget", "mbx1.corp.example.com"), ("request-id", "1-2-3"), ("Via", "1.1 arr1.corp.example.com:8080 (ARR), 1.0 cas1"), ("X-New", "https://127.0.0.1/x"), ("X-Other", "a 127.0.0.15 b"),
              ("X-Mine", "mail.example.com")]
    with Origin(lambda r, w, s: answer(200, b"", fields)) as origin:
        with start(origin) as proxy:
            r = fetch(proxy, "GET", "/owa/")
            assert [n for n, _ in fields if r.get(n)] == ["request-id", "X-Other", "X-Mine"]
        with start(origin, http="{via_response: true}") as proxy:
            assert fetch(proxy, "GET", "/owa/").all("Via") == ["1.1 interior, 1.0 interior", "1.1 postern"]


def test_owa_front_end_https_is_an_option_and_never_the_clients():
    with Origin() as origin, start(origin) as proxy:
        fetch(proxy, "GET", "/owa/", [("Front-End-Https", "On")])
        assert origin.requests[0].get("Front-End-Https") is None
    with Origin() as origin, start(origin, http="{front_end_https: true}") as proxy:
        fetch(proxy, "GET", "/owa/", [("Front-End-Https", "off")])
        assert origin.requests[0].all("Front-End-Https") == ["On"]


@pytest.mark.parametrize("location,leaves", [("/owa/auth/logon.aspx", "/owa/auth/logon.aspx"), ("http://mail.example.com/owa/", "https://mail.example.com/owa/"),
                                             ("https://127.0.0.1:444/owa/", "https://mail.example.com/owa/"), ("https://sts.example.net/adfs/ls/", "https://sts.example.net/adfs/ls/"),
                                             ("https://evil.example/", None), ("//evil.example/", None)])
def test_owa_redirects_stay_among_the_published_names(location, leaves):
    with Origin(lambda r, w, s: answer(302, b"", [("Location", location)])) as origin, start(origin) as proxy:
        r = fetch(proxy, "GET", "/owa/")
        assert (r.status, r.get("Location")) == ((302, leaves) if leaves else (502, None))


# ---- WebDAV ----

@pytest.mark.parametrize("destination,expected", [
    ("https://mail.example.com/exchange/alice/Drafts/x.EML", 200), ("https://MAIL.example.com/Exchange/alice/Gr%C3%BC%C3%9Fe%20%26%20more+x.EML", 200), ("/exchange/alice/x", 200),
    ("https://autodiscover.example.com/exchange/alice/x", 200), ("https://evil.example/exchange/alice/x", 403), ("https://mail.example.com/owa/x", 403),
    ("https://mail.example.com/exchange/../owa/x", 403), ("https://mail.example.com/exchange/%2e%2e/owa/x", 403), ("file:///etc/passwd", 403), ("https://a@mail.example.com/exchange/x", 403)])
def test_webdav_destination_leads_to_what_is_published(destination, expected):
    with Origin() as origin, start(origin) as proxy:
        assert fetch(proxy, "MOVE", "/exchange/alice/Inbox/x.EML", [("Destination", destination)]).status == expected
        if expected == 200 and destination.startswith("https"):
            assert origin.requests[0].get("Destination") == "http" + destination[5:], "the scheme of the backend's own connection"


def test_webdav_two_destinations_are_one_too_many():
    with Origin() as origin, start(origin) as proxy:
        both = [("Destination", "https://mail.example.com/exchange/a"), ("destination", "https://evil.example/exchange/b")]
        assert fetch(proxy, "COPY", "/exchange/alice/x", both).status == 403 and not origin.requests


# ---- the HTTP filter ----

@pytest.mark.parametrize("option,fields,target,expected", [
    ("refused_extensions: [exe, bat]", [], "/owa/setup.EXE", 403), ("refused_extensions: [exe, bat]", [], "/owa/setup.ex", 200),
    ("required_headers: [User-Agent]", [], "/owa/", 403), ("required_headers: [User-Agent]", [("user-agent", "x")], "/owa/", 200),
    ("refused_headers: [X-Bad]", [("x-bad", "1")], "/owa/", 403), ("refused_headers: [X-Bad]", [], "/owa/", 200),
    ("refuse_high_bit: true", [], "/owa/gr%C3%BCn", 403), ("refuse_high_bit: true", [], "/owa/?a=%c3%bc", 403), ("refuse_high_bit: true", [], "/owa/?a=%7e", 200),
    ("header_fields: 3", [("A", "1"), ("B", "2"), ("C", "3")], "/owa/", 431), ("header_bytes: 200", [("A", "x" * 200)], "/owa/", 431), ("header_bytes: 200", [], "/owa/", 200)])
def test_filter_the_form_of_a_request(option, fields, target, expected):
    with Origin() as origin, start(origin, services="{owa: {%s}}" % option) as proxy:
        assert fetch(proxy, "GET", target, fields).status == expected and len(origin.requests) == (expected == 200)


@pytest.mark.parametrize("mode,status", [("deny", 403), ("observe", 200), ("off", 200)])
def test_filter_rules_have_modes_and_counters_of_their_own(mode, status):
    with Origin() as origin, start(origin, services="{owa: {refused_extensions: [exe], refused_headers: [X-Bad], form_mode: %s}}" % mode) as proxy:
        assert fetch(proxy, "GET", "/owa/x.exe").status == status
        assert fetch(proxy, "GET", "/owa/x", [("X-Bad", "1")]).status == status
        assert fetch(proxy, "GET", "/owa/y", [("X-Bad", "1")]).status == status
        for rule, n in (("owa.refused_extensions", 1), ("owa.refused_headers", 2)):
            for kind in ("deny", "observe"):
                line = 'postern_rule_matches_total{rule="%s",mode="%s"}' % (rule, kind)
                text = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % proxy.values["admin"], timeout=10).read().decode()
                got = [x for x in text.splitlines() if x.startswith(line + " ")]
                # counters belong to the process, and this one has just begun
                assert [int(x.rsplit(" ", 1)[1]) for x in got] == ([] if mode == "off" else [n if kind == mode else 0])


def test_filter_fields_are_removed():
    with Origin() as origin, start(origin, services="{owa: {removed_headers: [X-Gone]}}") as proxy:
        fetch(proxy, "GET", "/owa/", [("x-gone", "1"), ("X-Stays", "2")])
        assert origin.requests[0].get("X-Gone") is None and origin.requests[0].get("X-Stays") == "2"


# ---- versions ----

@pytest.mark.parametrize("version,cookie", [("2010", True), ("2016", False)])
def test_presets_follow_the_version(version, cookie):
    with Origin() as a, Origin() as b, start(a, b, version=version) as proxy:
        assert (fetch(proxy, "GET", "/owa/").get("Set-Cookie") is not None) == cookie


def test_check_says_what_a_version_does_not_have():
    with Origin() as origin, start(origin, version="2010") as proxy:
        out = subprocess.run([POSTERN, "check", "-c", proxy.path], capture_output=True, text=True, timeout=60).stdout
        assert "MAPI over HTTP came with Exchange 2013" in out and "WebDAV ended with Exchange 2007" in out


@pytest.mark.parametrize("certificate,said", [("san", None), ("backend", "at: owa, outlook_anywhere, mapi, ecp; those of clients that offer the binding at: activesync, ews, oab"),
                                              (None, "could not be compared with the listeners' (Connection refused)")])
def test_check_compares_the_servers_certificate_for_extended_protection(certificate, said):
    """Where NTLM passes through: the same certificate, another one, nobody there; and never where Basic is asked here."""
    from harness import server_context
    for authenticate in ("none", "{basic: corp}"):
        with Origin(tls=server_context(certificate or "san")) as origin, start(origin, version="2019", authenticate=authenticate) as proxy:
            if certificate is None:
                origin.listener.shutdown(2)
            out = subprocess.run([POSTERN, "check", "-c", proxy.path], capture_output=True, text=True, timeout=60).stdout
            told = [x for x in out.splitlines() if "NTLM and Negotiate pass through" in x]
            assert len(told) == (authenticate == "none" and said is not None), out
            assert not told or (said in told[0] and ": warning: " in told[0] and origin.url in told[0])
            assert not origin.requests


def test_start_compares_the_servers_certificate_for_extended_protection():
    from harness import server_context
    for certificate, told in (("san", False), ("backend", True)):
        with Origin(tls=server_context(certificate)) as origin, Proxy(CONFIG.replace("health_interval: none", "health_interval: 1s, verify: none").replace("trust: {certs}/backend-ca.pem, ", ""),
                                                                      urls='"%s"' % origin.url, services="{}", http="{}", authenticate="none", version="2019", backend="", admin=free_port(),
                                                                      users=USERS) as proxy:
            assert wait_until(lambda: len(origin.requests) > 2, 10)
            with open(os.path.join(proxy.dir, "events.log")) as f:
                assert ("PO-BACK-0006" in f.read()) == told


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
