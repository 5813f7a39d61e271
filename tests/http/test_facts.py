"""What Exchange's clients and servers do on the wire, fact by fact, through the gate to the simulated Client Access server: each
test is named after its fact. What a scripted server shows better is in test_exchange, test_relay and test_pinning.
"""
import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.parse

import pytest

from corpus.legitimate import SUBJECTS
from harness import POSTERN, Client, Proxy, Request, basic, client_context, wait_until
from rig import Cas, Rpc, ntlm

CONFIG = """
workers: 1
exchange: {version}
listeners: [{address: "127.0.0.1:{port}", certificates: [mail]}, {address: "127.0.0.1:{plain_port}", plain_http: redirect}]
certificates: {mail: {chain: {certs}/san.pem, key: {certs}/san.key}}
log: {access_path: {dir}/access.log, event_path: stderr}
control_socket: {dir}/control.sock
backends: {cas: {servers: [{servers}], trust: {certs}/backend-ca.pem, health_interval: none}}
directories: {corp: {type: user_file, path: {dir}/users}}
services: {services}
publish:
  - hosts: [mail.example.com, autodiscover.example.com]
    to: cas
    authenticate: {authenticate}
    services: [owa, activesync, outlook_anywhere, autodiscover, ews, oab, mapi, unified_messaging, ecp, webdav, federation, autodiscover_v2]
"""
PASSWORD = "a-good-Password1"
ANNA = basic("anna", PASSWORD)
MSRPC = [("Accept", "application/rpc"), ("Cache-Control", "no-cache"), ("Pragma", "No-cache, MinConnTimeout=1800"), ("User-Agent", "MSRPC")]
RPC = "/rpc/rpcproxy.dll?mail.example.com:6001"


class Site:
    """A simulated server, or several, that write down what reaches them, and a Postern in front."""

    def __init__(self, authenticate="{basic: corp}", servers=1, services="{}", version="2016", args=(), any_user=True):
        self.dir = tempfile.mkdtemp(prefix="postern-facts-")
        self.records = [os.path.join(self.dir, "record-%d" % i) for i in range(servers)]
        self.cas = [Cas("--record", r, *args, any_user=any_user) for r in self.records]
        self.proxy = Proxy(CONFIG, servers=", ".join('"%s"' % c.url for c in self.cas), authenticate=authenticate, services=services,
                           version=version, users={"anna": PASSWORD})

    def heads(self, server=None):
        """What has reached the server (or all of them), as requests."""
        out = []
        for i, path in enumerate(self.records):
            if server in (None, i):
                with open(path, "rb") as f:
                    out += [Request(h, b"") for h in f.read().split(b"\r\n\r\n") if h]
        return out

    def ask(self, method, target, fields=(), body=None, who=ANNA, **kw):
        with Client(self.proxy, **kw) as c:
            self.last = c
            c.request(method, target, list(fields) + ([who] if who else []), body)
            return c.response(method)

    def line(self):
        """What the access log says of the last ask()."""
        return self.proxy.access(client=self.last)[-1]

    def close(self):
        self.proxy.__exit__(None, None, None)
        for c in self.cas:
            c.__exit__(None, None, None)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.proxy.__exit__(kind, value, trace)
        for c in self.cas:
            c.__exit__(kind, value, trace)


@pytest.fixture(scope="module")
def site():
    """Postern asks."""
    with Site() as s:
        yield s


@pytest.fixture(scope="module")
def through():
    """Exchange asks."""
    with Site(authenticate="none", args=("--offer-ntlm",)) as s:
        yield s


def status(proxy, *words):
    return subprocess.run([POSTERN, "status", *words, "-c", proxy.path], capture_output=True, text=True, timeout=60).stdout


# ---- RPC over HTTP ----

@pytest.mark.parametrize("target", ["/rpc/rpcproxy.dll?mail.example.com:6001", "/RPC/RpcProxy.dll?MAIL.example.com:6002", "/rpcwithcert/rpcproxy.dll?mail.example.com:6004",
                                    "/rpc/rpcproxy.dll?127.0.0.1:6001", "/rpc/rpcproxy.dll?5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a1@example.com:6001"])
def test_rpc_both_dlls_and_every_form_of_the_name(site, target):
    r = site.ask("RPC_IN_DATA", target, MSRPC, b"echo")
    assert (r.line, len(r.body)) == ("HTTP/1.1 200 Success", 20)
    assert site.heads()[-1].target == target, "as it came"


@pytest.mark.parametrize("target", ["/rpcwithcert/rpcwithcert.dll?mail.example.com:6001", "/rpc/other.dll?mail.example.com:6001", "/rpc/rpcproxy.dll/x?mail.example.com:6001", "/rpc/"])
def test_rpc_no_other_dll(site, target):
    assert site.ask("RPC_IN_DATA", target, MSRPC, b"").status == 404


def test_rpc_fields_of_a_request_arrive_as_sent(site):
    site.ask("RPC_OUT_DATA", RPC, MSRPC + [("ResourceTypeUuid", "x"), ("SessionId", "1-2")], b"")
    got = site.heads()[-1]
    assert [(n, v) for n, v in got.fields if n in dict(MSRPC)] == MSRPC
    assert (got.get("Content-Length"), got.version, got.get("Transfer-Encoding")) == ("0", "HTTP/1.1", None)


@pytest.mark.parametrize("method", ["RPC_IN_DATA", "RPC_OUT_DATA"])
def test_rpc_echo_is_20_bytes(site, method):
    for n in (0, 4, 16):
        r = site.ask(method, RPC, MSRPC, bytes(n))
        assert (r.line, r.get("Content-Type"), len(r.body)) == ("HTTP/1.1 200 Success", "application/rpc", 20)


def test_rpc_channels_carry_pdus_both_ways_at_once(site):
    with session(site) as rpc:
        for size in (1, 20, 1400, 5000):
            rpc.echo(b"x" * size)


def session(site):
    """An Outlook session with anna's own password."""
    class Signed(Rpc):
        @staticmethod
        def channel(client, method, length, user, first):
            client.send(("%s %s HTTP/1.1\r\nHost: mail.example.com\r\nAccept: application/rpc\r\nUser-Agent: MSRPC\r\nContent-Length: %d\r\n%s: %s\r\n\r\n"
                         % ((method, RPC, length) + ANNA)).encode() + first)
    return Signed(site.proxy)


def test_rpc_replacement_channel_of_120_bytes_beside_the_old_one(site):
    with session(site) as rpc, Client(site.proxy) as new:
        new.request("RPC_OUT_DATA", RPC, MSRPC + [ANNA, ("Content-Length", "120")])
        new.send(b"\x05\x00\x14\x03\x10\x00\x00\x00\x14\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00")
        assert new.head().line == "HTTP/1.1 200 Success"
        rpc.echo(b"the old one still works")
        assert site.proxy.process.poll() is None


def test_rpc_error_on_in_comes_before_the_body_ends(site):
    services = "{outlook_anywhere: {rpc_targets: [refused]}}"
    with Site(services=services) as s, Client(s.proxy) as c:
        c.request("RPC_IN_DATA", "/rpc/rpcproxy.dll?refused:6001", MSRPC + [ANNA, ("Content-Length", str(1 << 30))])
        c.send(b"the first of many")
        r = c.head()
        assert r.line.split(" ", 1)[1] == "503 RPC Error: 6ba"
        assert c.closed()


@pytest.mark.parametrize("length,kept", [(0, True), (1 << 30, False)])
def test_rpc_401_comes_before_the_body(site, length, kept):
    with Client(site.proxy) as c:
        c.request("RPC_IN_DATA", RPC, MSRPC + [("Content-Length", str(length))])
        r = c.response()
        assert r.status == 401 and r.get("WWW-Authenticate") == 'Basic realm="Postern", charset="UTF-8"'
        assert (r.get("Connection") != "close") == kept and c.closed(0.3) != kept


def test_rpc_legs_of_ntlm_stay_on_one_connection(through):
    one, three = ntlm("anna")
    before = len(through.heads())
    with Client(through.proxy) as c:
        c.request("RPC_OUT_DATA", RPC, MSRPC + [one], b"")
        r = c.response()
        assert r.status == 401 and r.get("WWW-Authenticate", "").startswith("NTLM ")
        c.request("RPC_OUT_DATA", RPC, MSRPC + [three], b"echo")
        r = c.response()
        assert (r.status, r.get("X-Sim-Connection-User")) == (200, "anna")
    assert len(through.heads()) == before + 2


def test_rpc_both_channels_behind_one_address_go_to_one_server_by_target():
    """Without a name to go by (NTLM), the client's address and what it asks for; the legs, which announce nothing, included."""
    with Site(authenticate="none", servers=4, args=("--no-auth",)) as s:
        for target in ("mail.example.com:6001", "5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a1@example.com:6001", "0c2e9a31-77aa-4c6e-9f0e-2b1a4a3c9d10@example.com:6001",
                       "3c2e9a31-77aa-4c6e-9f0e-2b1a4a3c9d11@example.com:6001", "4c2e9a31-77aa-4c6e-9f0e-2b1a4a3c9d12@example.com:6001"):
            for method, body in (("RPC_IN_DATA", b""), ("RPC_OUT_DATA", b""), ("RPC_OUT_DATA", bytes(4))):
                assert s.ask(method, "/rpc/rpcproxy.dll?" + target, MSRPC, body, who=None).status == 200
        where = {}
        for i in range(4):
            for r in s.heads(i):
                where.setdefault(r.target, set()).add(i)
        assert all(len(v) == 1 for v in where.values()), where
        assert len({min(v) for v in where.values()}) > 1, "one address is not one server"


def test_rpc_channels_in_status_metrics_and_log(site):
    from test_exchange import status
    with session(site) as rpc:
        rpc.echo(b"x" * 100)
        seen = {c["direction"]: c for c in json.loads(status(site.proxy, "channels", "--json"))["channels"]}
        assert seen["in"]["target"] == seen["out"]["target"] == "mail.example.com:6001"
        assert seen["in"]["user"] == "anna" and seen["in"]["bytes_in"] > 100 and seen["out"]["bytes_out"] > 100 and seen["in"]["age_ms"] >= 0
    assert wait_until(lambda: {"in", "out"} <= {x["command"] for x in site.proxy.access(2)})


# ---- ActiveSync ----

EAS = "/Microsoft-Server-ActiveSync"


def plain(command, **more):
    return EAS + "?" + "&".join("%s=%s" % x for x in dict({"Cmd": command, "User": "anna", "DeviceId": "ApplDX3", "DeviceType": "iPhone"}, **more).items())


def coded(code, version=141, key=b"\x04\xe0\x12\x0f\x00", device=b"\x10" + bytes(range(16)), kind=b"\x02WP", more=b""):
    return base64.b64encode(struct.pack("<BBH", version, code, 0x409) + device + key + kind + more).decode()


def test_activesync_options_is_the_servers_own_answer(site):
    r = site.ask("OPTIONS", EAS)
    assert r.status == 200 and "14.1" in r.get("MS-ASProtocolVersions") and "Ping" in r.get("MS-ASProtocolCommands") and r.get("MS-Server-ActiveSync")


def test_activesync_plain_query_with_everything(site):
    r = site.ask("POST", plain("FolderSync"), [("MS-ASProtocolVersion", "12.1"), ("X-MS-PolicyKey", "1307199584"), ("Content-Type", "application/vnd.ms-sync.wbxml")], b"\x03\x01j\x00")
    assert r.status == 200 and r.get("Content-Type") == "application/vnd.ms-sync.wbxml"
    x = site.line()
    assert {k: x[k] for k in ("command", "user", "device_user", "device", "device_type", "protocol", "policy_key")} == {
        "command": "FolderSync", "user": "anna", "device_user": "anna", "device": "ApplDX3", "device_type": "iPhone", "protocol": "12.1", "policy_key": "1307199584"}
    assert site.heads()[-1].get("X-MS-PolicyKey") == "1307199584"


@pytest.mark.parametrize("escape", [False, True])
def test_activesync_base64_query_with_everything(site, escape):
    text = coded(9, more=b"\x08\x04anna")
    target = EAS + "?" + (urllib.parse.quote(text, safe="") if escape else text)
    assert site.ask("POST", target, body=b"").status == 200
    x = site.line()
    assert {k: x[k] for k in ("command", "user", "device_user", "device", "device_type", "protocol", "policy_key")} == {
        "command": "FolderSync", "user": "anna", "device_user": "anna", "device": "000102030405060708090A0B0C0D0E0F", "device_type": "WP", "protocol": "14.1",
        "policy_key": str(0x000f12e0)}
    assert site.heads()[-1].target == target, "as it came"


@pytest.mark.parametrize("octet,more", [("+", dict(device=b"\x01\xfe")), ("/", dict(device=b"\x04\xff\xff\xff\xff")), ("=", dict(kind=b"\x01W")), ("", dict(key=b"\x00"))])
def test_activesync_base64_query_may_hold_plus_slash_and_padding(site, octet, more):
    text = coded(0, **more)
    assert octet in text and site.ask("POST", EAS + "?" + text, body=b"").status == 200


@pytest.mark.parametrize("code", [449, 451, 456, 457, 507])
def test_activesync_statuses_of_its_own_pass(site, code):
    assert site.ask("POST", plain("Sync", sim_status=code), body=b"").status == code


def test_activesync_451_leads_to_a_published_name(site):
    r = site.ask("POST", plain("Sync", sim_status=451, sim_location=urllib.parse.quote("https://CAS2/Microsoft-Server-ActiveSync", safe="")), body=b"")
    assert (r.status, r.get("X-MS-Location")) == (451, "https://mail.example.com/Microsoft-Server-ActiveSync")
    r = site.ask("POST", plain("Sync", sim_status=451, sim_location=urllib.parse.quote("https://evil.example/x", safe="")), body=b"")
    assert (r.status, r.get("X-MS-Location")) == (502, None)


def test_activesync_ping_of_no_length_is_held(site):
    """The parameters of the last one need not be sent again."""
    started = time.monotonic()
    assert site.ask("POST", plain("Ping", Heartbeat=2), body=b"", timeout=20).status == 200
    assert time.monotonic() - started >= 1.9


def test_activesync_the_presets_time_is_longer_than_any_heartbeat():
    shown = presets()
    assert seconds(shown["activesync"]["response_timeout"]) > 59 * 60 and seconds(shown["activesync"]["idle_timeout"]) > 59 * 60


def test_activesync_a_whole_message_is_sent(site):
    """SendMail carries a whole MIME message: the limits of old, 64 KiB and a query of 512 bytes, are too small."""
    assert site.ask("POST", plain("SendMail", SaveInSent="T", X="y" * 600), [("Content-Type", "message/rfc822")], b"x" * 300000, timeout=30).status == 200


# ---- Autodiscover ----

@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml", "/AUTODISCOVER/AUTODISCOVER.XML", "/autodiscover/autodiscover.svc", "/AutoDiscover/AutoDiscover.svc"])
def test_autodiscover_pox_and_soap_in_any_letter_case(site, path):
    r = site.ask("POST", path, [("Content-Type", "text/xml"), ("X-MapiHttpCapability", "1")], b"<Autodiscover/>", host="autodiscover.example.com")
    assert r.status == 200 and b"<Autodiscover" in r.body
    got = site.heads()[-1]
    assert (got.target, got.get("X-MapiHttpCapability"), got.get("Host")) == (path, "1", "autodiscover.example.com")


def test_autodiscover_redirect_of_the_server_is_relayed(site):
    r = site.ask("POST", "/autodiscover/autodiscover.xml?sim_status=302&sim_location=https%3a%2f%2fautodiscover.example.com%2fautodiscover%2fautodiscover.xml", body=b"<a/>")
    assert (r.status, r.get("Location")) == (302, "https://autodiscover.example.com/autodiscover/autodiscover.xml")


def test_autodiscover_port_80_answers_302_and_never_401(site):
    before = len(site.heads())
    with Client(site.proxy, tls=False, host="autodiscover.example.com") as c:
        r = c.get("/Autodiscover/Autodiscover.xml")
        assert (r.status, r.get("Location")) == (302, "https://autodiscover.example.com:%d/Autodiscover/Autodiscover.xml" % site.proxy.port)
    for method, fields in (("GET", [ANNA]), ("POST", []), ("POST", [ANNA])):
        with Client(site.proxy, tls=False, host="autodiscover.example.com") as c:
            c.request(method, "/autodiscover/autodiscover.xml", fields, b"" if method == "POST" else None)
            assert c.response().status not in (200, 302, 401)
    assert len(site.heads()) == before, "nothing of plain HTTP goes on"


@pytest.mark.parametrize("target,expected", [("?Email=anna@example.com&Protocol=ActiveSync", 200), ("/v1.0/anna@example.com?Protocol=EWS", 200), ("?Email=anna@example.com@x.y&Protocol=EWS", 404),
                                             ("?Email=anna%2540example.com&Protocol=EWS", 404), ("/v1.0/anna@example.com/powershell?Protocol=EWS", 404)])
def test_autodiscover_v2_in_its_two_shapes_only(site, target, expected):
    assert site.ask("GET", "/autodiscover/autodiscover.json" + target).status == expected


def test_autodiscover_v2_is_off_unless_named():
    with Cas() as cas, Proxy(CONFIG.replace(", federation, autodiscover_v2", ""), servers='"%s"' % cas.url, authenticate="none", services="{}", version="2016", users={"anna": PASSWORD}) as proxy, Client(proxy) as c:
        assert c.get("/autodiscover/autodiscover.json?Email=anna@example.com&Protocol=EWS").status == 404


# ---- NTLM and Negotiate through the gate ----

def test_ntlm_is_pinned_and_nobody_else_gets_the_connection(through):
    one, three = ntlm("anna")
    with Client(through.proxy) as c, Client(through.proxy) as other:
        c.request("GET", "/owa/", [one])
        assert c.response().status == 401
        c.request("GET", "/owa/", [three])
        assert c.response().get("X-Sim-Connection-User") == "anna"
        for _ in range(4):
            assert other.get("/owa/").status == 401, "never lent"
        assert c.get("/owa/").get("X-Sim-Connection-User") == "anna", "one handshake serves the connection"


def test_ntlm_no_via_towards_the_interior(through):
    through.ask("GET", "/owa/", who=ntlm("anna")[0])
    assert through.heads()[-1].get("Via") is None


def test_ntlm_names_of_fields_keep_their_case(through):
    r = through.ask("GET", "/owa/", who=None)
    assert b"\r\nWWW-Authenticate: NTLM\r\n" in r.raw and b"\r\nWWW-Authenticate: Negotiate\r\n" in r.raw


def test_ntlm_offers_do_not_leave_where_basic_is_asked_here():
    with Site(args=("--offer-ntlm", "--user", "bob:x"), any_user=False) as s:
        r = s.ask("GET", "/owa/")
        assert (r.status, r.all("WWW-Authenticate")) == (401, ['Basic realm="Postern", charset="UTF-8"']), "the server's own 401, in our words"
        assert len(s.heads()) == 1


def test_ntlm_only_http_1_1_is_offered(site):
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Client(site.proxy, context=context) as c:
        assert c.sock.selected_alpn_protocol() == "http/1.1"


# ---- MAPI over HTTP, EWS ----

MAPI = [("Content-Type", "application/mapi-http"), ("X-RequestType", "NotificationWait"), ("X-RequestId", "{5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a1}:1"), ("X-ClientInfo", "{x}:2"),
        ("X-ClientApplication", "Outlook/16.0")]


@pytest.mark.parametrize("path", ["/mapi/emsmdb/", "/mapi/nspi/", "/MAPI/emsmdb"])
def test_mapi_pending_comes_at_once_chunk_by_chunk(site, path):
    with Client(site.proxy) as c:
        c.request("POST", path + "?MailboxId=x@example.com&pending_ms=200&count=3", MAPI + [ANNA, ("Cookie", "MapiContext=MAPIAAAA; MapiSequence=7-kQ==")], b"")
        r = c.head()
        assert (r.get("Content-Type"), r.get("X-PendingPeriod"), r.get("Content-Encoding")) == ("application/mapi-http", "200", None)
        came = [(chunk.split(b"\r\n")[0], time.monotonic()) for chunk in c.wire.chunks()]
        assert [w for w, _ in came] == [b"PROCESSING", b"PENDING", b"PENDING", b"PENDING", b"DONE"]
        assert came[-1][1] - came[0][1] > 0.3, "not collected"
    got = site.heads()[-1]
    assert got.get("Cookie") == "MapiContext=MAPIAAAA; MapiSequence=7-kQ==" and [got.get(n) for n, _ in MAPI] == [v for _, v in MAPI]


def test_ews_streaming_events_come_one_by_one(site):
    with Client(site.proxy) as c:
        c.request("POST", "/EWS/Exchange.asmx?interval_ms=150", [ANNA, ("Content-Type", "text/xml; charset=utf-8")], b"<m:GetStreamingEvents/>")
        assert c.head().get("Transfer-Encoding") == "chunked"
        times = [time.monotonic() for _ in c.wire.chunks()]
        assert len(times) == 10 and times[-1] - times[0] > 0.5, "not collected"


def test_ews_the_presets_time_is_longer_than_30_minutes():
    shown = presets()
    assert seconds(shown["ews"]["idle_timeout"]) > 1800 and seconds(shown["ews"]["response_timeout"]) > 1800 and seconds(shown["mapi"]["response_timeout"]) >= 900


def test_ews_affinity_fields_and_cookies_pass(site):
    fields = [("X-AnchorMailbox", "anna@example.com"), ("X-PreferServerAffinity", "true"), ("Cookie", "X-BackEndOverrideCookie=abc~1942062522")]
    assert site.ask("POST", "/ews/exchange.asmx", fields, b"<a/>").status == 200
    assert [site.heads()[-1].get(n) for n, _ in fields] == [v for _, v in fields]


def test_ews_one_account_stays_on_one_server():
    with Site(servers=4) as s:
        for target in ("/ews/exchange.asmx", "/mapi/emsmdb/", plain("Sync"), RPC):
            method = "RPC_IN_DATA" if target == RPC else "POST"
            for who in (ANNA, basic("CORP\\Anna", PASSWORD), basic("anna@corp.example.com", PASSWORD)):
                assert s.ask(method, target, body=b"", who=who).status == 200
        assert sorted(len(s.heads(i)) for i in range(4)) == [0, 0, 0, 12]


# ---- OAB, Unified Messaging ----

def test_oab_is_read_and_never_written(site):
    for method, expected in (("GET", 200), ("HEAD", 200), ("POST", 405), ("PUT", 405)):
        assert site.ask(method, "/OAB/5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a1/oab.xml", [("Range", "bytes=0-99")] if method == "GET" else [], b"" if method[0] == "P" else None).status == expected
    assert site.ask("GET", "/oab/x/oab.xml", body=b"xx").status == 413


def test_um_service(site):
    assert site.ask("POST", "/UnifiedMessaging/Service.asmx", [("Content-Type", "text/xml")], b"<a/>").status == 200


# ---- OWA ----

def test_owa_cookies_leave_secure_and_hidden(site):
    assert site.ask("GET", "/owa/").all("Set-Cookie") == ["sessionid=sim; path=/; HttpOnly; Secure", "UserContext=sim; path=/owa; Secure"]
    assert site.ask("GET", "/owa/logon").get("Set-Cookie") == "cadata=sim; path=/owa; HttpOnly; Secure"


def test_owa_nothing_tells_of_the_interior(site):
    r = site.ask("GET", "/owa/")
    assert [n for n in ("Server", "X-AspNet-Version", "X-Powered-By", "X-FEServer", "X-DiagInfo", "X-BEServer") if r.get(n)] == []
    with socket.create_connection(("127.0.0.1", site.cas[0].port)) as s:
        s.sendall(("GET /owa/ HTTP/1.1\r\nHost: x\r\n%s: %s\r\nConnection: close\r\n\r\n" % ANNA).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(65536)
    assert all(n in head for n in (b"Server:", b"X-AspNet-Version:", b"X-Powered-By:", b"X-FEServer:", b"X-DiagInfo:")), "the server does say it"


def test_owa_long_urls_large_cookies_and_many_fields(site):
    fields = [("Cookie", "a=" + "x" * 8000)] + [("X-Field-%d" % i, "1") for i in range(60)]
    assert site.ask("GET", "/owa/?path=" + "x" * 4000, fields).status == 200
    assert site.ask("POST", "/owa/sink", body=b"x" * 200000, timeout=30).status == 200


def test_owa_notification_poll_is_held(site):
    started = time.monotonic()
    r = site.ask("GET", "/owa/bytes?size=10&delay_ms=1500&ns=PendingRequest&ev=PendingNotificationRequest", timeout=20)
    assert r.status == 200 and time.monotonic() - started > 1.4
    assert seconds(presets()["owa"]["response_timeout"]) > 60


def test_owa_upgrade_is_refused_unless_listed(site):
    site.ask("GET", "/owa/", [("Connection", "Upgrade"), ("Upgrade", "websocket")])
    assert site.heads()[-1].get("Upgrade") is None


@pytest.mark.parametrize("field", ["X-Forwarded-For", "X-Forwarded-Anything", "Forwarded", "X-Real-IP", "Front-End-Https", "X-Original-URL", "X-Rewrite-URL", "X-CommonAccessToken", "X-ProxyUser",
                                   "X-IsFromCafe", "X-SourceCafeServer", "X-Rps-CAT", "msExchProxyUri", "X-OriginalRequestHost", "X-AnonResource-Backend", "X-BEResource", "X-OWA-ExplicitLogonUser"])
def test_fields_that_no_client_may_set(site, field):
    site.ask("GET", "/owa/", [(field, "spoofed")])
    assert site.heads()[-1].get(field) != "spoofed"


def test_ecp_is_off_unless_named():
    with Cas() as cas, Proxy(CONFIG.replace(" ecp,", ""), servers='"%s"' % cas.url, authenticate="none", services="{}", version="2016", users={"anna": PASSWORD}) as proxy, Client(proxy) as c:
        assert c.get("/ecp/").status == 404


@pytest.mark.parametrize("target,expected", [
    ("/ecp/", 200), ("/ecp/default.aspx?p=PersonalSettings/MailboxProperties.aspx", 200), ("/ECP/PersonalSettings/EditAccount.aspx", 200), ("/ecp/15.1.2507.39/scripts/common.js", 200),
    ("/ecp/DDI/DDIService.svc/GetList?schema=InboxRule&msExchEcpCanary=x.y", 200), ("/ecp/RulesEditor/InboxRules.slab", 200), ("/ecp/Organize/AutomaticReplies.slab", 200),
    ("/ecp/VDirMgmt/VirtualDirectories.slab", 403), ("/ecp/UsersGroups/Mailboxes.slab", 403), ("/ecp/Servers/Servers.slab", 403), ("/ecp/Reporting/AuditReports.slab", 403),
    ("/ecp/DDI/DDIService.svc/SetObject?schema=OABVirtualDirectory", 403), ("/ecp/ddi/ddiservice.svc/GetObject?SCHEMA=ResetOABVirtualDirectory", 403),
    ("/ecp/DDI/DDIService.svc/GetList?sch%65ma=VirtualDirectory", 403), ("/ecp/DDI/DDIService.svc/GetList?schema=Virtual%44irectory", 403),
    ("/ecp/bob@example.com/PersonalSettings/HomePage.aspx", 403), ("/ecp/personalsettingsx/", 403)])
def test_ecp_the_administrators_part_is_for_nobody_unless_a_group_is_named(site, target, expected):
    assert site.ask("GET", target).status == expected
    if expected == 403:
        assert site.line()["reason"] == "admin_denied"


GROUPS = """
directories:
  corp: {type: ldap, servers: ["ldaps://127.0.0.1:{ldap}"], trust: {certs}/root.pem, bind_as: "cn={user},dc=corp"}
services:
  ecp: {admin_groups: ["CN=Exchange Admins,DC=corp"]}
  activesync: {device_rules: devices, device_groups: ["CN=No Phones,DC=corp"]}
"""


def test_groups_get_the_administrators_part_and_decide_about_devices():
    import sys
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "auth"))
    from directories import Responder
    member = {"cn=admin,": b"Exchange Admins", "cn=bob,": b"No Phones"}
    ad = Responder(search=lambda base, scope, text: (0, [base] if any(base.startswith(k) and v in text[1] for k, v in member.items()) else []))
    config = re.sub(r"(?m)^(directories|services):.*\n", "", CONFIG).replace("publish:", GROUPS + "publish:")
    folder = tempfile.mkdtemp(prefix="postern-facts-")
    with open(os.path.join(folder, "devices"), "w") as f:
        f.write('deny group="CN=No Phones*" command=Sync\n')
    with Cas() as cas, Proxy(config, dir=folder, servers='"%s"' % cas.url, authenticate="{basic: corp}", version="2016", ldap=ad.port) as proxy:
        def ask(user, method, target):
            with Client(proxy) as c:
                c.request(method, target, [basic(user, PASSWORD)], b"" if method == "POST" else None)
                return c.response().status
        for user, vdir, phone in (("admin", 200, 200), ("anna", 403, 200), ("bob", 403, 403)):
            assert ask(user, "GET", "/ecp/VDirMgmt/VirtualDirectories.slab") == vdir
            assert ask(user, "GET", "/ecp/") == 200
            assert ask(user, "POST", plain("Sync", User=user)) == phone
            assert ask(user, "POST", plain("FolderSync", User=user)) == 200
        with open(os.path.join(folder, "devices"), "w") as f:
            f.write("deny group=Nobody-asks\n")
        said = subprocess.run([POSTERN, "check", "-c", proxy.path], capture_output=True, text=True, timeout=60)
        assert said.returncode == 1 and "devices:1:6: error: `group=Nobody-asks`: directories are not asked for such a group" in said.stdout + said.stderr
    ad.close()
    shutil.rmtree(folder)


# ---- WebDAV ----

@pytest.mark.parametrize("method", "OPTIONS GET HEAD POST PUT DELETE COPY MOVE MKCOL PROPFIND PROPPATCH LOCK UNLOCK SEARCH BCOPY BDELETE BMOVE BPROPFIND BPROPPATCH SUBSCRIBE UNSUBSCRIBE "
                                   "POLL NOTIFY X-MS-ENUMATTS".split())
def test_webdav_every_verb_of_its_own_folders_and_nowhere_else(site, method):
    body = b"<a/>" if method not in ("GET", "HEAD", "OPTIONS", "DELETE", "MKCOL") else None
    for folder in ("/exchange/anna/Inbox/", "/public/Company/", "/exchweb/img/"):
        assert site.ask(method, folder, [("Destination", "https://mail.example.com/exchange/anna/x")] if method in ("COPY", "MOVE", "BCOPY", "BMOVE") else [], body).status in (200, 201, 207)
        assert site.heads()[-1].method == method
    if method not in ("GET", "HEAD", "POST"):
        assert site.ask(method, "/owa/", [], body).status == 405


@pytest.mark.parametrize("subject", SUBJECTS)
def test_webdav_a_subject_in_the_url_arrives_as_sent(site, subject):
    url = "/exchange/anna/Inbox/%s.EML" % urllib.parse.quote(subject.rstrip("."), safe="!$&'()*+,=:@~-_")
    assert site.ask("PROPFIND", url, [("Depth", "0")], b"<p/>").status == 207
    assert site.heads()[-1].target == url
    assert site.ask("MOVE", "/exchange/anna/Inbox/x.EML", [("Destination", "https://mail.example.com" + url)]).status == 201
    assert site.heads()[-1].get("Destination") == "http://mail.example.com" + url


def test_webdav_destination_elsewhere_is_refused(site):
    for to in ("https://evil.example/exchange/x", "https://mail.example.com/owa/x", "//evil.example/exchange/x", "https://mail.example.com/exchange/../ecp/x"):
        before = len(site.heads())
        assert site.ask("COPY", "/exchange/anna/x", [("Destination", to)]).status == 403 and len(site.heads()) == before


# ---- sizes ----

@pytest.mark.parametrize("target,limit", [(plain("SendMail"), 64 << 20), ("/ews/exchange.asmx", 128 << 20), ("/owa/sink", 64 << 20), ("/mapi/emsmdb/", 64 << 20), ("/autodiscover/autodiscover.xml", 256 << 10),
                                          ("/unifiedmessaging/service.asmx", 1 << 20), ("/ecp/default.aspx", 32 << 20)])
def test_sizes_announced_bodies(site, target, limit):
    for length, expected in ((limit, "taken"), (limit + 1, 413)):
        with Client(site.proxy) as c:
            c.request("POST", target, [ANNA, ("Content-Length", str(length))])
            if expected == "taken":
                c.sock.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    c.head()
            else:
                assert c.head().status == expected


# ---- what is asked for inside is not asked for outside ----

@pytest.mark.parametrize("folder", ["owa", "ecp", "ews", "oab", "mapi", "rpc", "Microsoft-Server-ActiveSync", "autodiscover", "unifiedmessaging"])
def test_health_page_is_not_for_outside(through, folder):
    before = len(through.heads())
    for path in ("/healthcheck.htm", "/HealthCheck.htm", "/%68ealthcheck.htm", "/x/healthcheck.htm"):
        assert through.ask("GET", "/" + folder + path, who=None).status >= 400
    assert len(through.heads()) == before


# ---- presets ----

def presets(version="2016"):
    """What `postern show services` prints: {service: {option: value}}."""
    text = subprocess.run([POSTERN, "show", "services"], capture_output=True, text=True, check=True).stdout
    out, current = {}, None
    for line in text.splitlines():
        name = re.match(r"^  (\w+):", line) or re.match(r"^(\w+):", line)
        option = re.match(r"^\s+(\w+): (.*?)(?:\s+#.*)?$", line)
        if option and current is not None and line.startswith("    "):
            out[current][option.group(1)] = option.group(2)
        elif name:
            current = name.group(1)
            out[current] = {}
    return out


def seconds(text):
    number = float("".join(c for c in text if c.isdigit() or c == "."))
    return number * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[text.lstrip("0123456789.")]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
