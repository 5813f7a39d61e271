"""What is published, and nothing else: paths, methods, hosts, the root; services of the site and changed presets. The order of the
gates, seen at requests that more than one of them refuses; none of the refused reaches the backend.
"""
import pytest
from harness import DIRECTORY, Client, Origin, Proxy, basic, config

ALICE = ("alice", "open sesame, please")
EXTRA = DIRECTORY + """
services:
  owa: {body_limit: 1000, url_limit: 200, query_limit: 100}
  reports:
    paths: [/Reports, /tools/print.aspx]
    methods: [GET, POST]
  numbers:
    paths: [/numbers/index.htm]
    patterns: ['/numbers/[0-9]{1,4}', '/numbers/[0-9]+/page']
    methods: [GET]
"""
SITE = """
  - hosts: ["*.example.com"]
    to: origin
    authenticate: none
    services: [reports, numbers, outlook_anywhere]
  - hosts: [autodiscover.example.com]
    to: origin
    authenticate: none
    services: [autodiscover, oab]
"""


def site(origin, authenticate="none"):
    text = config([origin.url], authenticate, EXTRA).replace("mail.example.com, autodiscover.example.com", "mail.example.com")
    text = text.replace("oab, mapi, webdav", "mapi, webdav").replace("certificates: [mail]", "certificates: [mail, wildcard]")
    text = text.replace("certificates:\n", "certificates:\n  wildcard: {chain: {certs}/wildcard.pem, key: {certs}/wildcard.key}\n")
    text += SITE
    return Proxy(text, users=dict([ALICE]))


@pytest.fixture(scope="module")
def open_site():
    with Origin() as origin, site(origin) as proxy:
        yield origin, proxy


@pytest.fixture(scope="module")
def closed_site():
    with Origin() as origin, site(origin, "{basic: corp}") as proxy:
        yield origin, proxy


def ask(proxy, method, target, fields=(), body=None, host="mail.example.com", sni=None):
    """The answer and the log line of one request; without SNI unless told."""
    with Client(proxy, host=host, sni=sni or "127.0.0.1") as client:
        client.request(method, target, fields, body)
        response = client.response(method)
        line = proxy.access(client=client)
    assert len(line) == 1
    return response, line[0]


@pytest.mark.parametrize("target,service", [
    ("/owa/", "owa"), ("/owa", "owa"), ("/OWA/", "owa"), ("/oWa/Sub/Folder?A=B", "owa"), ("/%6Fwa/", "owa"), ("/owa?x", "owa"),
    ("/owa/a%20b", "owa"), ("/owa/%C3%A4", "owa"), ("/owa/a;b=c/d", "owa"), ("/owa/a+b&c@d:e", "owa"), ("/owa/a.b..c", "owa"),
    ("/owa/?q=%2F..%5C", "owa"), ("https://mail.example.com/owa/x?y", "owa"), ("https://MAIL.example.com:443/owa/x", "owa"),
    ("/EWS/Exchange.asmx", "ews"), ("/mapi/emsmdb/?MailboxId=a@b", "mapi"), ("/mapi/nspi", "mapi"), ("/Public/", "webdav"),
])
def test_published(open_site, target, service):
    origin, proxy = open_site
    host = "mail.example.com:443" if ":443" in target else "mail.example.com"
    response, line = ask(proxy, "GET", target, host=host)
    assert (response.status, line["service"], line["reason"]) == (200, service, "ok")
    # the path as it was sent, in origin-form
    assert origin.requests[-1].target == (target if target[0] == "/" else "/" + target.split("/", 3)[3])


@pytest.mark.parametrize("target", [
    "/owax", "/owa.aspx", "/ow", "/owa%20/", "/x/owa/", "/owa-old/", "/ecp/", "/powershell", "/aspnet_client/", "/api/", "/exadmin/",
    "/ews", "/ews/", "/ews/exchange.asmx/x", "/ews/exchange.asmx2", "/ews/Services.wsdl", "/rpc/", "/rpc", "/mapi/", "/mapi/other",
    "/mapi/emsmdbx", "/rpcwithcert/", "/microsoft-server-activesyncx", "/oab/", "/reports", "/numbers/1", "/favicon.ico",
    "/autodiscover/autodiscover.json", "/autodiscover/", "/%2e", "/owa%00",
])
def test_not_published(open_site, target):
    origin, proxy = open_site
    before = origin.touched()
    response, line = ask(proxy, "GET", target)
    assert (response.status, line["reason"]) in ((404, "not_published"), (400, "bad_target"))
    assert (response.status == 400) == (target in ("/%2e", "/owa%00"))
    assert origin.touched() == before


@pytest.mark.parametrize("target,expected", [
    ("/Autodiscover/Autodiscover.xml", 200), ("/autodiscover/autodiscover.svc", 200), ("/autodiscover/autodiscover.xml/a", 404),
    ("/autodiscover", 404), ("/autodiscover/autodiscover.json", 404), ("/autodiscover/autodiscover.json?a@b/powershell", 404),
    ("/OAB/0d5e/oab.xml", 200), ("/oab", 200), ("/owa/", 404), ("/", 404)])
def test_other_host_other_services(open_site, target, expected):
    assert ask(open_site[1], "GET", target, host="autodiscover.example.com")[0].status == expected


@pytest.mark.parametrize("target,expected", [
    ("/reports", 200), ("/REPORTS/2006/q1", 200), ("/report", 404), ("/tools/print.aspx", 200), ("/tools/print.aspx/x", 404),
    ("/tools/", 404), ("/numbers/1", 200), ("/numbers/1234", 200), ("/NUMBERS/12", 200), ("/numbers/12345", 404),
    ("/numbers/12x", 404), ("/numbers/12/", 404), ("/numbers/5/page", 200), ("/numbers/5/page/6", 404), ("/x/numbers/5/page", 404),
    ("/numbers/%31", 200), ("/owa/", 404), ("/", 404)])
def test_services_of_the_site(open_site, target, expected):
    assert ask(open_site[1], "GET", target, host="one.example.com")[0].status == expected


@pytest.mark.parametrize("host,expected,reason", [
    ("one.example.com", 200, "ok"), ("ONE.Example.COM", 200, "ok"), ("one.example.com:8443", 200, "ok"),
    ("one.example.com.", 200, "ok"), ("example.com", 421, "host_not_published"),
    ("a.one.example.com", 421, "host_not_published"), ("www.example.net", 421, "host_not_published"),
    ("example.org", 421, "host_not_published"), ("127.0.0.1", 421, "host_not_published"), ("[::1]", 421, "host_not_published"),
    ("localhost", 421, "host_not_published")])
def test_hosts(open_site, host, expected, reason):
    origin, proxy = open_site
    before = origin.touched()
    response, line = ask(proxy, "GET", "/reports", host=host)
    assert (response.status, line["reason"]) == (expected, reason)
    assert (origin.touched() == before) == (expected != 200)


def test_host_is_passed_on_as_sent(open_site):
    origin, proxy = open_site
    ask(proxy, "GET", "/reports", host="One.example.com:8443")
    assert origin.requests[-1].all("Host") == ["One.example.com:8443"]


def test_absolute_target_replaces_host(open_site):
    origin, proxy = open_site
    ask(proxy, "GET", "https://one.example.com/reports?a", host="ONE.example.com")
    assert origin.requests[-1].all("Host") == ["one.example.com"]
    assert origin.requests[-1].target == "/reports?a"


@pytest.mark.parametrize("method,target,allow", [
    ("DELETE", "/owa/", "GET, HEAD, POST"), ("PROPFIND", "/owa/", "GET, HEAD, POST"), ("FROBNICATE", "/owa/", "GET, HEAD, POST"),
    ("get", "/owa/", "GET, HEAD, POST"), ("RPC_IN_DATA", "/owa/", "GET, HEAD, POST"), ("OPTIONS", "/owa/", "GET, HEAD, POST"),
    ("TRACE", "/owa/", "GET, HEAD, POST"), ("GET", "/rpc/rpcproxy.dll?cas1:6001", "RPC_IN_DATA, RPC_OUT_DATA"),
    ("POST", "/rpc/rpcproxy.dll?cas1:6001", "RPC_IN_DATA, RPC_OUT_DATA"), ("PUT", "/ews/exchange.asmx", "GET, POST")])
def test_methods(open_site, method, target, allow):
    origin, proxy = open_site
    before = origin.touched()
    response, line = ask(proxy, method, target)
    assert (response.status, line["reason"]) == (405, "method_not_allowed")
    assert sorted(response.get("Allow").split(", ")) == sorted(allow.split(", "))
    assert origin.touched() == before


@pytest.mark.parametrize("method", ["OPTIONS", "PROPFIND", "BPROPPATCH", "SEARCH", "X-MS-ENUMATTS", "POLL", "SUBSCRIBE", "DELETE"])
def test_webdav_methods(open_site, method):
    origin, proxy = open_site
    assert ask(proxy, method, "/exchange/alice/Inbox/Caf%C3%A9%20%26%20more.EML")[0].status == 200
    assert origin.requests[-1].method == method


def test_options_of_the_server(open_site):
    origin, proxy = open_site
    before = origin.touched()
    assert ask(proxy, "OPTIONS", "*")[0].status in (404, 405)
    assert origin.touched() == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_root_leads_to_owa(open_site, method):
    origin, proxy = open_site
    before = origin.touched()
    response, line = ask(proxy, method, "/?a=b")
    assert (response.status, response.get("Location"), line["reason"]) == (302, "/owa/", "local")
    assert response.get("Strict-Transport-Security") == "max-age=63072000"
    assert origin.touched() == before


@pytest.mark.parametrize("method,body", [("POST", b""), ("POST", b"x"), ("GET", b"x"), ("DELETE", None)])
def test_root_takes_nothing_else(open_site, method, body):
    assert ask(open_site[1], method, "/", body=body)[0].status in (404, 405)


def test_root_redirect_can_be_off():
    with Origin() as origin, Proxy(config([origin.url]) + "    root_redirect: false\n") as proxy:
        assert ask(proxy, "GET", "/")[0].status == 404


def test_changed_preset(open_site):
    """body_limit of owa is 1000 here; announced, in chunks; the rest of the preset stays."""
    origin, proxy = open_site
    assert ask(proxy, "POST", "/owa/", body=b"a" * 1000)[0].status == 200
    assert origin.requests[-1].body == b"a" * 1000
    before = origin.touched()
    response, line = ask(proxy, "POST", "/owa/", body=b"a" * 1001)
    assert (response.status, line["reason"]) == (413, "body_too_large")
    assert origin.touched() == before
    with Client(proxy) as client:
        client.send(b"POST /owa/ HTTP/1.1\r\nHost: mail.example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"1f4\r\n" + b"b" * 500 + b"\r\n" + b"1f5\r\n" + b"b" * 501 + b"\r\n0\r\n\r\n")
        assert client.response().status == 413
        assert client.closed()
        assert proxy.access(client=client)[0]["reason"] == "body_too_large"
    assert ask(proxy, "POST", "/ews/exchange.asmx", body=b"a" * 1001)[0].status == 200


@pytest.mark.parametrize("target,expected,reason", [
    ("/owa/" + "a" * 195, 200, "ok"), ("/owa/" + "a" * 196, 414, "url_too_long"),
    ("/owa/?" + "a" * 100, 200, "ok"), ("/owa/?" + "a" * 101, 414, "query_too_long")],
    ids=["path", "long path", "query", "long query"])
def test_limits_of_the_target(open_site, target, expected, reason):
    response, line = ask(open_site[1], "GET", target)
    assert (response.status, line["reason"]) == (expected, reason)


# ---- the order of the gates; each line lacks credentials as well, and has what is to be refused after it

@pytest.mark.parametrize("host,sni,method,target,body,expected,reason", [
    ("m\xe4il.example.com", "autodiscover.example.com", "FOO", "/nowhere", None, 400, "bad_host"),
    ("mail.example.com", "autodiscover.example.com", "FOO", "/a/../b", None, 400, "bad_target"),
    ("mail.example.com", "autodiscover.example.com", "FOO", "/nowhere", None, 421, "host_not_sni"),
    ("www.example.net", None, "FOO", "/nowhere", None, 421, "host_not_published"),
    ("mail.example.com", None, "FOO", "/nowhere", b"a" * 2000, 404, "not_published"),
    ("mail.example.com", None, "FOO", "/owa/" + "a" * 300, b"a" * 2000, 405, "method_not_allowed"),
    ("mail.example.com", None, "POST", "/owa/" + "a" * 300 + "?" + "a" * 200, b"a" * 2000, 414, "url_too_long"),
    ("mail.example.com", None, "POST", "/owa/?" + "a" * 101, b"a" * 2000, 414, "query_too_long"),
    ("mail.example.com", None, "POST", "/owa/", b"a" * 2000, 413, "body_too_large"),
    ("mail.example.com", None, "POST", "/owa/", b"a" * 1000, 401, "auth_missing"),
], ids=["400 host", "400 target", "421 name", "421", "404", "405", "414 path", "414 query", "413", "401"])
def test_order_of_gates(closed_site, host, sni, method, target, body, expected, reason):
    origin, proxy = closed_site
    before = origin.touched()
    response, line = ask(proxy, method, target, body=body, host=host, sni=sni)
    assert (response.status, line["reason"]) == (expected, reason)
    assert (response.get("WWW-Authenticate") is not None) == (expected == 401)
    assert origin.touched() == before


def test_last_gate_opens(closed_site):
    origin, proxy = closed_site
    assert ask(proxy, "POST", "/owa/", [basic(*ALICE)], b"a" * 1000)[0].status == 200
    assert origin.requests[-1].body == b"a" * 1000


@pytest.mark.parametrize("fields", [[], [basic("alice", "wrong password")], [basic("nobody", "open sesame, please")],
                                    [("Authorization", "Bearer abc")], [("Authorization", "Basic !!!!")], [basic("alice", "")],
                                    [("Authorization", "NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAKAGFKAAAADw==")]],
                         ids=["none", "password", "name", "bearer", "malformed", "empty", "ntlm"])
def test_no_byte_without_proof(closed_site, fields):
    origin, proxy = closed_site
    before = origin.touched()
    for target in ("/owa/", "/Microsoft-Server-ActiveSync?Cmd=Sync&User=alice&DeviceId=1&DeviceType=a", "/ews/exchange.asmx", "/exchange/alice", "/mapi/emsmdb/"):
        assert ask(proxy, "POST", target, fields, b"hello")[0].status == 401
    assert ask(proxy, "RPC_IN_DATA", "/rpc/rpcproxy.dll?mail.example.com:6001", fields, b"")[0].status == 401
    assert origin.touched() == before
