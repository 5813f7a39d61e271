"""Directories behind a real Postern: what the client gets, what the logs and metrics say, and that a directory which hangs holds
up nobody else.
"""
import os
import re
import shutil
import sys
import tempfile
import threading
import urllib.request

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "http"))
from directories import Hang, Responder, certs, connects, free_port, wait_until  # noqa: E402
from harness import Client, Origin, Proxy, basic, config  # noqa: E402

SUB = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data %s, v4563"
MAIL, STAFF = "CN=Mail,DC=corp", "CN=Staff,DC=corp"

DIRECTORY = """admin: "127.0.0.1:{admin}"
directories:
  corp:
    type: ldap
    servers: ["ldaps://127.0.0.1:{ldap}"]
    trust: {root}
    bind_as: "cn={user},dc=corp"
    answer_timeout: 20s
  local: {type: user_file, path: {dir}/users}"""
GROUPS = """
  - {hosts: [groups.example.com], to: origin, authenticate: {basic: corp}, services: [owa], require_groups: ["%s", "%s"]}
  - {hosts: [local.example.com], to: origin, authenticate: {basic: local}, services: [owa]}
""" % (MAIL, STAFF)


def bind(name, password):
    user = name.split(",")[0][3:]
    if user.startswith("slow"):
        raise Hang()
    if password == b"right enough":
        return 0, ""
    return 49, SUB % {"expired": "532", "locked": "775"}.get(user, "52e")


def search(base, scope, text):
    return 0, [base] if base.startswith("cn=alice") and b"Staff" in text[1] else []


@pytest.fixture
def ad():
    r = Responder(bind=bind, search=search)
    yield r
    r.close()


@pytest.fixture
def origin():
    with Origin() as o:
        yield o


def site(origin, ad, extra="", folder=None, **more):
    text = config([origin.url], "{basic: corp}", DIRECTORY + extra).replace("certificates: [mail]", "certificates: [mail, wildcard]")
    text = text.replace("certificates:\n", "certificates:\n  wildcard: {chain: {certs}/wildcard.pem, key: {certs}/wildcard.key}\n")
    values = {"ldap": ad.port, "root": certs("root.pem"), "admin": free_port(), **more}
    return Proxy(text + GROUPS, dir=folder, users={"alice": "right enough"}, **values)


def get(proxy, user, password, host="mail.example.com"):
    """Status, and the access log's line."""
    with Client(proxy, host=host) as client:
        status = client.get("/owa/", [basic(user, password)]).status
        return status, proxy.access(client=client)[-1]


def metrics(proxy):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % proxy.values["admin"], timeout=10) as r:
        text = r.read().decode()
    return {k: int(v) for k, v in re.findall(r'^postern_auth_results_total\{detail="(\w+)"\} (\d+)$', text, re.M)}


def test_answers(origin, ad):
    with site(origin, ad) as proxy:
        status, line = get(proxy, "bob", "right enough")
        assert (status, line["reason"], line["auth"]) == (200, "ok", "ok")
        for user, detail in (("bob", "wrong_password"), ("expired", "password_expired"), ("locked", "account_locked")):
            status, line = get(proxy, user, "something else")
            assert (status, line["reason"], line["auth"]) == (401, "auth_failed", detail)
        assert len(origin.requests) == 1
        status, line = get(proxy, "alice", "right enough", "groups.example.com")
        assert (status, line["reason"]) == (200, "ok")
        status, line = get(proxy, "bob", "right enough", "groups.example.com")
        assert (status, line["reason"], line["auth"]) == (403, "auth_not_member", "not_member")
        assert len(origin.requests) == 2
        ad.close()
        status, line = get(proxy, "carol", "right enough")
        assert (status, line["reason"], line["auth"]) == (503, "auth_unavailable", "unreachable")
        assert len(origin.requests) == 2
        counted = metrics(proxy)
        assert counted["wrong_password"] == 1 and counted["password_expired"] == 1 and counted["unreachable"] == 1
        assert wait_until(lambda: b"PO-AUTH-0001" in proxy.logs())


def test_nobody_waits_for_another(origin, ad):
    """Every thread but one is held by a directory that hangs; clients that leave, a reload and the end wait for none of them."""
    with site(origin, ad, "\nauth_threads: 4\nauth_timeout: 60s") as proxy:
        gone = [Client(proxy) for _ in range(3)]
        for i, client in enumerate(gone):
            client.request("GET", "/owa/", [basic("slow%d" % i, "right enough")])
        assert wait_until(lambda: len([n for n, _ in ad.binds if n.startswith("cn=slow")]) == 3)
        assert get(proxy, "bob", "right enough")[0] == 200
        assert get(proxy, "alice", "right enough", "local.example.com")[0] == 200
        for client in gone:
            client.close()
        proxy.reload()
        assert wait_until(lambda: b"generation=2" in proxy.logs())
        assert get(proxy, "bob", "right enough")[0] == 200
        threading.Timer(1.0, ad.close).start()


def test_reload_and_failover_while_clients_ask(origin, ad):
    other = Responder(bind=bind, search=search)
    extra = DIRECTORY.replace('"ldaps://127.0.0.1:{ldap}"', '"ldaps://127.0.0.1:{ldap}", "ldaps://127.0.0.1:{other}"')
    text = config([origin.url], "{basic: corp}", extra)
    seen, ended = [], threading.Event()

    def ask(proxy, n):
        i = 0
        while not ended.is_set():
            with Client(proxy) as client:
                i += 1
                seen.append(client.get("/owa/", [basic("user%d-%d" % (n, i), "right enough")]).status)

    with Proxy(text, users={"alice": "right enough"}, ldap=ad.port, other=other.port, root=certs("root.pem"), admin=free_port()) as proxy:
        threads = [threading.Thread(target=ask, args=(proxy, n)) for n in range(4)]
        for t in threads:
            t.start()
        assert wait_until(lambda: len(seen) > 20)
        ad.close()
        for _ in range(3):
            n = len(seen)
            proxy.reload()
            assert wait_until(lambda: len(seen) > n + 20)
        ended.set()
        for t in threads:
            t.join()
    other.close()
    assert set(seen) == {200}


def user_of(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return int(re.search(r"^Uid:\s+(\d+)", f.read(), re.M).group(1))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_trust_is_read_before_privileges_go(origin, ad, tmp_path):
    """The authority's file is root's alone; connections are made, and made anew after a failure, by an account that cannot read it."""
    folder = tmp_path / "root-only"
    folder.mkdir(mode=0o700)
    (folder / "root.pem").write_bytes(open(certs("root.pem"), "rb").read())
    os.chmod(folder / "root.pem", 0o600)
    open_to_all = tempfile.mkdtemp(prefix="postern-gate-")
    os.chmod(open_to_all, 0o777)
    with site(origin, ad, "\nuser: nobody", open_to_all, root=folder / "root.pem") as proxy:
        assert wait_until(lambda: user_of(proxy.process.pid) != 0), "still root"
        assert get(proxy, "bob", "right enough")[0] == 200
        ad.drop_all()
        assert wait_until(lambda: ad.alive() == 0) and connects(ad.port)
        assert get(proxy, "carol", "right enough")[0] == 200
    shutil.rmtree(open_to_all)
