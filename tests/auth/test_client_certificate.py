"""Certificates of clients: beside Basic, alone, for the names that want them and no other."""
import os
import socket
import ssl
import subprocess

import pytest

from gate import EAS, Client, Origin, Rig, answer, basic, directory, gate_site
from harness import certs, wait_until

HOST, OTHER = "mail.example.com", "autodiscover.example.com"
USERS = {"alice": "right horse", "bob": "bobs password", "carol": "carols password"}
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def context(name=None, version=None):
    c = ssl.create_default_context(cafile=os.path.join(certs(), "root.pem"))
    if name:
        c.load_cert_chain(os.path.join(certs(), "client-%s.pem" % name), os.path.join(certs(), "client-%s.key" % name))
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def site(ad, origin, **publish):
    wanted = dict({"client_certificate": "required", "client_authorities": "{certs}/intermediate.pem"}, **publish)
    conf = gate_site(ad, origin.url, more={"domains": ["CORP", "corp.example.com", "example.com"]}, publish=wanted)
    conf["publish"].append({"hosts": [OTHER], "to": "origin", "authenticate": {"basic": "corp"}, "services": ["owa"]})
    return conf


def get(proxy, certificate=None, user=None, password=None, host=HOST, sni=None, ctx=None):
    with Client(proxy, host=host, sni=sni, context=ctx or context(certificate)) as c:
        return c.get("/owa/", [basic(user, password)] if user else [])


def reason(proxy, name):
    return wait_until(lambda: any(x["reason"] == name for x in proxy.access(1)))


def told(proxy, words):
    return wait_until(lambda: words in proxy.said())


def test_a_second_factor(ad, origin):
    with Rig(site(ad, origin)) as p:
        r = get(p, None, "alice", "right horse")
        assert r.status == 403 and r.get("WWW-Authenticate") is None and reason(p, "client_certificate_missing")
        assert ad.asked() == 0  # no password is looked at before
        for version in VERSIONS:
            assert get(p, user="alice", password="right horse", ctx=context("alice", version)).status == 200
        assert get(p, "alice").status == 401
        assert get(p, "alice", "alice", "a wrong guess").status == 401
        assert get(p, "alice", "CORP\\Alice", "right horse").status == 200
        before = ad.asked()
        assert get(p, "alice", "bob", "bobs password").status == 403 and reason(p, "client_certificate_account")
        for bad in ("stranger", "expired"):
            assert get(p, bad, "alice", "right horse").status == 403, bad
        assert ad.asked() == before
        assert reason(p, "client_certificate_bad") and told(p, "PO-GUARD-0008")


def test_only_for_the_names_that_want_one(ad, origin):
    """One certificate covers both hosts; the client of the other is not even asked."""
    with Rig(site(ad, origin)) as p:
        assert get(p, "alice", "alice", "right horse").status == 200
        assert get(p, None, "alice", "right horse", host=OTHER).status == 200
        # what was agreed for one name does not serve the other
        assert get(p, None, "alice", "right horse", host=HOST, sni=OTHER).status == 421


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumed_session_is_no_way_around(ad, origin, version):
    """A ticket from the name that asks for nothing, used for the one that does."""
    with Rig(site(ad, origin)) as p:
        ctx = context(None, version)
        with Client(p, host=OTHER, context=ctx) as c:
            assert c.get("/owa/", [basic("alice", "right horse")]).status == 200
            session = c.sock.session
        with socket.create_connection(("127.0.0.1", p.port)) as raw:
            with ctx.wrap_socket(raw, server_hostname=OTHER, session=session) as s:
                assert s.session_reused
        with socket.create_connection(("127.0.0.1", p.port)) as raw:
            with ctx.wrap_socket(raw, server_hostname=HOST, session=session) as s:
                assert not s.session_reused
                field = "%s: %s" % basic("alice", "right horse")
                s.sendall(("GET /owa/ HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n" % (HOST, field)).encode())
                assert s.recv(64).startswith(b"HTTP/1.1 403 ")
        ctx = context("alice", version)  # full handshakes only, and they work
        for _ in range(3):
            assert get(p, user="alice", password="right horse", ctx=ctx).status == 200


def test_optional(ad, origin):
    with Rig(site(ad, origin, client_certificate="optional")) as p:
        assert get(p, None, "alice", "right horse").status == 200
        assert get(p, "alice", "alice", "right horse").status == 200
        assert get(p, "alice", "bob", "bobs password").status == 403
        assert get(p, "stranger", "bob", "bobs password").status == 200  # worth nothing, and no worse than none


@pytest.mark.parametrize("name, kind, account", [("alice", "upn", "alice@corp.example.com"), ("bob", "email", "bob@example.com"),
                                                 ("carol", "cn", "carol"), ("alice", "email", "alice@example.com")])
def test_alone_with_a_fixed_account(ad, origin, tmp_path, name, kind, account):
    (tmp_path / "service").write_text("service password\n")
    conf = site(ad, origin, authenticate="none", client_account=kind,
                delegate={"user": "svc", "password_file": str(tmp_path / "service")})
    with Rig(conf) as p:
        r = get(p, name)
        assert r.status == 200 and r.body == basic("svc", "service password")[1].encode()
        assert wait_until(lambda: any(x["user"] == account for x in p.access(1)))
        assert get(p, None).status == 403 and get(p, "stranger").status == 403
        if kind != "cn":
            assert get(p, "carol").status == 403  # no name of that kind
        assert ad.asked() == 0


def test_alone_the_account_has_its_share(ad, origin):
    conf = site(ad, origin, authenticate="none", delegate="none", client_account="email")
    conf["flood"] = {"requests_per_minute_per_account": 2}
    with Rig(conf) as p:
        assert [get(p, "alice").status for _ in range(3)] == [200, 200, 429]
        assert reason(p, "flood_account") and told(p, "account=alice@example.com")
        assert get(p, "bob").status == 200, "another account is not hurt"


def test_revoked(ad, origin):
    conf = site(ad, origin)
    with Rig(conf) as p:
        assert "revoked" not in p.said()
        conf["publish"][0]["client_revocations"] = "{certs}/clients.crl"
        p.configure(conf)
        p.reload_now()
        assert get(p, "revoked", "alice", "right horse").status == 403
        assert told(p, "revoked")
        assert get(p, "alice", "alice", "right horse").status == 200


def test_a_kept_connection_gains_nothing(ad, origin):
    """The list comes while the connection is open; so does the end of trust in an authority."""
    conf = site(ad, origin, client_account_must_match=False)
    with Rig(conf) as p:
        kept = [Client(p, context=context(name)) for name in ("revoked", "alice")]
        for c in kept:
            assert c.get("/owa/", [basic("alice", "right horse")]).status == 200
        conf["publish"][0]["client_revocations"] = "{certs}/clients.crl"
        p.configure(conf)
        p.reload_now()
        assert [c.get("/owa/", [basic("alice", "right horse")]).status for c in kept] == [403, 200]
        for c in kept:
            c.close()
        with Client(p, context=context("alice")) as c:
            assert c.get("/owa/", [basic("alice", "right horse")]).status == 200
            conf["publish"][0]["client_authorities"] = "{certs}/backend-ca.pem"
            del conf["publish"][0]["client_revocations"]
            p.configure(conf)
            p.reload_now()
            assert c.get("/owa/", [basic("alice", "right horse")]).status == 403


def lists(tmp_path, *names):
    path = tmp_path / "lists.crl"
    path.write_text("".join(open(os.path.join(certs(), n), encoding="ascii").read() for n in names))
    return str(path)


@pytest.mark.parametrize("names, status, word", [
    (["clients.crl"], 200, None),  # nobody has said anything of the intermediate
    (["clients.crl", "root.crl"], 200, None),
    (["root.crl"], 403, "unable to get certificate CRL"),  # nobody vouches for the client's own
    (["clients.crl", "root-revoking.crl"], 403, "certificate revoked")])
def test_lists_of_a_chain(ad, origin, tmp_path, names, status, word):
    with Rig(site(ad, origin, client_authorities="{certs}/root.pem", client_revocations=lists(tmp_path, *names))) as p:
        assert get(p, "alice", "alice", "right horse").status == status
        assert word is None or told(p, word)


def test_a_list_that_has_ended(ad, origin, tmp_path):
    """Made here, by the authority's key: its next update is over."""
    old = tmp_path / "old.crl"
    register = tmp_path / "register"
    register.write_text("")
    conf = tmp_path / "ca.cnf"
    conf.write_text("[ca]\ndefault_ca=x\n[x]\ndatabase=%s\ndefault_md=sha256\n" % register)
    subprocess.run(["openssl", "ca", "-config", conf, "-gencrl", "-cert", os.path.join(certs(), "intermediate.pem"), "-keyfile",
                    os.path.join(certs(), "intermediate.key"), "-crl_lastupdate", "20210101000000Z", "-crl_nextupdate",
                    "20210201000000Z", "-out", old], check=True, stderr=subprocess.DEVNULL)
    with Rig(site(ad, origin, client_revocations=str(old))) as p:
        assert told(p, "has passed its next update")
        assert get(p, "alice", "alice", "right horse").status == 403 and told(p, "CRL has expired")


def test_a_namesake_of_another_directory(ad, origin):
    """alice of one member of a chain is not alice of the other, whatever password she knows there."""
    conf = site(ad, origin)
    conf["directories"]["partners"] = directory(ad, domains=["partners.example.net"])
    conf["directories"]["all"] = {"type": "chain", "directories": ["corp", "partners"]}
    conf["publish"][0]["authenticate"] = {"basic": "all"}
    with Rig(conf) as p:
        assert get(p, "alice", "alice@corp.example.com", "right horse").status == 200
        assert get(p, "alice", "alice@partners.example.net", "right horse").status == 403
        assert ad.asked() == 1


def test_what_the_client_sends_besides_goes_no_further(ad, origin, tmp_path):
    (tmp_path / "service").write_text("service password\n")
    for delegate, wanted in (({"user": "svc", "password_file": str(tmp_path / "service")}, basic("svc", "service password")[1]),
                             ("none", "none")):
        with Rig(site(ad, origin, authenticate="none", delegate=delegate)) as p:
            for field in (basic("bob", "bobs password"), ("Authorization", "NTLM TlRMTVNTUAABAAAA"), ("Authorization", "Bearer x")):
                with Client(p, context=context("alice")) as c:
                    assert c.get("/owa/", [field]).body == wanted.encode()
    with Rig(site(ad, origin, authenticate="none")) as p:  # as sent: but not in another's name
        assert get(p, "alice", "alice", "anything").body == basic("alice", "anything")[1].encode()
        assert get(p, "alice", "bob", "bobs password").status == 403


@pytest.mark.parametrize("publish", [{"authenticate": "none"}, {"client_certificate": "off", "client_authorities": None}])
def test_an_account_that_the_backend_refuses(ad, tmp_path, publish):
    """No password of the client could mend it: it is not asked for one, nor offered NTLM."""
    (tmp_path / "service").write_text("service password\n")
    challenge = answer(401, b"", [("WWW-Authenticate", "Basic realm=x"), ("WWW-Authenticate", "NTLM")])
    with Origin(lambda r, w, s: challenge) as o:
        conf = site(ad, o, delegate={"user": "svc", "password_file": str(tmp_path / "service")}, **publish)
        conf["publish"][0] = {k: v for k, v in conf["publish"][0].items() if v is not None}
        with Rig(conf) as p:
            r = get(p, "alice", "alice", "right horse")
            assert r.status == 502 and r.get("WWW-Authenticate") is None and reason(p, "backend_no_delegate")
            assert told(p, "PO-BACK-0008")


def test_a_phone_without_a_password(ad, origin, tmp_path):
    """The device's user is the certificate's."""
    (tmp_path / "service").write_text("service password\n")
    conf = site(ad, origin, authenticate="none", delegate={"user": "svc", "password_file": str(tmp_path / "service")})
    with Rig(conf) as p:
        for user, status in (("alice", 200), ("CORP%5CAlice", 200), ("bob", 403)):
            with Client(p, context=context("alice")) as c:
                c.request("POST", EAS.replace("User=alice", "User=" + user), body=b"")
                assert c.response().status == status, user


def test_alpn_and_no_server_name(ad, origin):
    with Rig(site(ad, origin)) as p:
        ctx = context("alice")
        ctx.set_alpn_protocols(["h2", "http/1.1"])
        with Client(p, context=ctx) as c:
            assert c.sock.selected_alpn_protocol() == "http/1.1"
            assert c.get("/owa/", [basic("alice", "right horse")]).status == 200
        for name, status in ((None, 403), ("alice", 200)):  # the first certificate's names ask, and so does the handshake
            ctx = context(name)
            ctx.check_hostname = False
            with socket.create_connection(("127.0.0.1", p.port)) as raw, ctx.wrap_socket(raw) as s:
                s.sendall(("GET /owa/ HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n\r\n" % ((HOST,) + basic("alice", "right horse"))).encode())
                assert s.recv(64).startswith(b"HTTP/1.1 %d " % status)


def test_names_need_not_match_where_the_site_says_so(ad, origin):
    with Rig(site(ad, origin, client_account_must_match=False)) as p:
        assert get(p, "alice", "bob", "bobs password").status == 200
        assert get(p, "stranger", "bob", "bobs password").status == 403


def test_kept_alive(ad, origin):
    with Rig(site(ad, origin)) as p, Client(p, context=context("alice")) as c:
        for _ in range(3):
            assert c.get("/owa/", [basic("alice", "right horse")]).status == 200
            assert c.get("/owa/", [basic("bob", "bobs password")]).status == 403


@pytest.mark.parametrize("change, words", [
    ({"client_authorities": "{certs}/clients.crl"}, "holds no certificate"),
    ({"client_revocations": "{certs}/root.pem"}, "holds no revocation list"),
    ({"client_certificate": "off"}, "need `client_certificate: required`"),
    ({"client_certificate": "optional", "authenticate": "none"}, "proves nothing")])
def test_bad_configurations(ad, origin, change, words):
    conf = site(ad, origin)
    conf["publish"][0].update(change)
    p = Rig(conf, check=False)
    assert p.process.wait(30) != 0
    p.reader.join(5)
    assert words in p.said()
