"""type: ldap against a real slapd and against a scripted server that answers as Active Directory does."""
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest

from directories import (BASE, SLOW, Drop, Hang, Responder, Slapd, certs, children, free_port,
                         integer, made, message, octets, result, tlv, user_dn, wait_until)

PEOPLE = "ou=people," + BASE
MAIL, STAFF = "cn=mail,ou=groups," + BASE, "cn=staff,ou=groups," + BASE
UNIQUE, POSIX = "cn=unique,ou=groups," + BASE, "cn=posix,ou=groups," + BASE


@pytest.fixture(scope="module")
def slapd():
    s = Slapd()
    yield s
    s.close()


@pytest.fixture
def responder():
    yield from made(Responder)


def url(server):
    port = server.tls_port if isinstance(server, Slapd) else server.port
    return "ldaps://127.0.0.1:%d" % port


def directory(*servers, name="d", trust=None, bind_as="uid={user}," + PEOPLE, more=""):
    lines = ["  %s:" % name, "    type: ldap", "    servers: [%s]" % ", ".join(
        '"%s"' % (s if isinstance(s, str) else url(s)) for s in servers), "    trust: %s" % (trust or certs("root.pem"))]
    if bind_as:
        lines.append("    bind_as: '%s'" % bind_as)
    return "\n".join(lines + ["    " + line for line in more.split("\n") if line])


SEARCH = """\
search_base: ou=people,dc=example,dc=com
search_filter: "(|(uid={user})(mail={account}))"
"""
SERVICE = SEARCH + """\
bind_dn: cn=postern,dc=example,dc=com
bind_password_file: bind.password
"""

OK = ("ok", "ok")
INVALID = ("wrong", "invalid")
UNKNOWN = ("wrong", "unknown_user")


# ---- a real server ----

def test_bind_by_dn(slapd, asker):
    a = asker(directory(slapd))
    assert a.ask("alice", "secret") == OK
    assert a.ask("EXAMPLE\\alice", "secret") == OK
    assert a.ask("alice@example.com", "secret") == OK
    assert a.ask("alice", "Secret") == INVALID
    assert a.ask("nobody", "secret") == INVALID
    assert a.ask("nopassword", "secret") == INVALID
    assert a.ask("alice", "secret") == OK


def test_start_tls(slapd, asker):
    a = asker(directory("ldap://127.0.0.1:%d" % slapd.port))
    assert a.ask("alice", "secret") == OK
    assert a.ask("alice", "wrong") == INVALID


def test_search_then_bind(slapd, asker):
    a = asker(directory(slapd, bind_as=None, more=SERVICE))
    assert a.ask("alice", "secret") == OK
    assert a.ask("alice@example.com", "secret") == OK
    assert a.ask("alice", "wrong") == INVALID
    assert a.ask("nobody", "secret") == UNKNOWN
    assert a.ask("shared@example.com", "word") == ("wrong", "ambiguous")
    assert a.ask("bob", "word") == OK


def test_names_with_metacharacters(slapd, asker):
    by_dn = directory(slapd, name="dn")
    by_search = directory(slapd, name="search", bind_as=None, more=SERVICE)
    a = asker(by_dn + "\n" + by_search)
    for name in ("dn", "search"):
        assert a.ask("smith, john", "comma", name) == OK
        assert a.ask("a*b", "star", name) == OK
        assert a.ask("(nested)", "paren", name) == OK
        assert a.ask("müller", "pässword", name) == OK
        assert a.ask("müller", "password", name) == INVALID
        assert a.ask(b"m\xfcller", b"p\xe4ssword", name) == UNKNOWN  # not UTF-8
        assert a.ask("alice\x01", "secret", name) == UNKNOWN
        assert a.ask(" alice", "secret", name) == UNKNOWN
        assert a.ask("alice ", "secret", name) == UNKNOWN
    for name in ("*", "a*", "alice)(uid=*", "alice,ou=people", "\u202ealice", "x" * 256, "=", "#alice", "al\xadice"):
        assert a.ask(name, "secret", "search") == UNKNOWN, name
        assert a.ask(name, "secret", "dn").verdict == "wrong", name


def test_password_policy(slapd, asker):
    a = asker(directory(slapd))
    assert a.ask("reset", "secret") == ("wrong", "must_change_password")
    assert a.ask("locked", "secret") == ("wrong", "account_locked")


def test_no_empty_password(responder, asker):
    r = responder()
    a = asker(directory(r))
    assert a.ask("alice", "") == INVALID
    assert r.connections == 0


@pytest.mark.parametrize("membership,groups,members", [
    ("member", [MAIL, STAFF], {"alice": 1, "bob": 2, "smith, john": 1, "müller": 0}),
    ("member_of", [MAIL, STAFF], {"alice": 1, "bob": 2, "smith, john": 1, "müller": 0}),
    ("unique_member", [MAIL, UNIQUE], {"alice": 0, "bob": 2, "müller": 0}),
    ("member_uid", [POSIX, MAIL], {"alice": 0, "bob": 1}),
    ("member", ["cn=no such,ou=groups," + BASE, MAIL], {"alice": 2, "bob": 0}),
])
def test_groups(slapd, asker, membership, groups, members):
    passwords = {"alice": "secret", "bob": "word", "smith, john": "comma", "müller": "pässword"}
    kinds = {
        "by_dn": directory(slapd, name="by_dn", more="membership: " + membership),
        "as_user": directory(slapd, name="as_user", more=SEARCH + "membership: " + membership),
        "as_service": directory(slapd, name="as_service", bind_as=None, more=SERVICE + "membership: " + membership),
    }
    a = asker("\n".join(kinds.values()), [(kind, groups) for kind in kinds])
    for kind in kinds:
        for user, want in members.items():
            answer = a.ask(user, passwords[user], kind)
            assert answer == OK and answer.groups == want, (kind, user, answer)
            wrong = a.ask(user, "wrong", kind)
            assert wrong == INVALID and wrong.groups == 0, (kind, user, wrong)


def test_wrong_service_account(slapd, asker):
    a = asker(directory(slapd, bind_as=None, more=SERVICE.replace("bind.password", "wrong.password")))
    assert a.ask("alice", "secret") == ("unavailable", "service_account")
    assert "PO-AUTH-0003" in a.log() and "not the one" not in a.log()


def test_kept_connections_die_with_the_server(asker):
    s = Slapd()
    try:
        a = asker(directory(s, bind_as=None, more=SERVICE))
        assert a.ask("alice", "secret") == OK
        s.stop()
        assert a.ask("alice", "secret") == ("unavailable", "unreachable")
        s.start()
        assert a.ask("alice", "secret") == OK
        assert a.log().count("PO-AUTH-0001") == 1 and a.log().count("PO-AUTH-0002") == 1
    finally:
        s.close()


def test_second_server(slapd, asker):
    nobody = free_port()
    a = asker(directory("ldaps://127.0.0.1:%d" % nobody, slapd))
    for _ in range(3):
        assert a.ask("alice", "secret") == OK
        assert a.ask("alice", "wrong") == INVALID
    assert a.log().count("PO-AUTH-0001") == 1


def test_server_that_stops_while_asked(asker):
    first, second = Slapd(), Slapd()
    try:
        a = asker(directory(first, second, more="connect_timeout: 1s\nanswer_timeout: 1s"))
        a.many("alice", "secret", 50, 8)
        first.stop()
        assert a.wait() == {"ok": 400}
        a.many("alice", "secret", 50, 8)
        a.reload()
        second.pause()
        first.start()
        second.go_on()
        assert a.wait() == {"ok": 400}
    finally:
        first.close()
        second.close()


def test_server_that_hangs(asker):
    first, second = Slapd(), Slapd()
    try:
        a = asker(directory(first, second, more="connect_timeout: 500ms\nanswer_timeout: 500ms"))
        assert a.ask("alice", "secret") == OK
        first.pause()
        assert a.ask("alice", "secret") == OK
        second.pause()
        late = a.ask("alice", "secret", ms=3000)
        assert late == ("timeout", "timed_out") and late.ms < 6000 * SLOW
        second.go_on()
        assert a.ask("alice", "secret") == OK
    finally:
        first.close()
        second.close()


# ---- certificates ----

@pytest.mark.parametrize("certificate,good", [
    ("san", True), ("san-ecdsa", True), ("cn-only", False), ("wrong-name", False), ("expired", False), ("future", False),
    ("self-signed", False), ("no-intermediate", False), ("rsa1024", False), ("default-server", False)])
def test_certificates(responder, asker, certificate, good):
    r = responder(tls=certificate)
    a = asker(directory(r))
    assert a.ask("alice", "secret") == (OK if good else ("unavailable", "tls_failed"))
    assert bool(r.binds) == good
    if not good:
        assert "secret" not in a.log() and "PO-AUTH-0001" in a.log()


def test_expected_name(responder, asker):
    r = responder()
    for name, good in (("mail.example.com", True), ("autodiscover.example.com", True), ("other.example.com", False)):
        a = asker(directory(r, more="expected_name: " + name))
        assert a.ask("alice", "secret") == (OK if good else ("unavailable", "tls_failed"))


def test_other_authority(responder, asker):
    r = responder()
    a = asker(directory(r, trust=certs("backend-ca.pem")))
    assert a.ask("alice", "secret") == ("unavailable", "tls_failed")
    assert r.binds == []


def test_expired_authority(responder, asker, tmp_path):
    """The server's certificate is in order, the authority that signed it is not any more."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    ca = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\nrand_serial=yes\n[p]\ncommonName=supplied\n"
    (tmp_path / "ca.cnf").write_text(ca)
    (tmp_path / "index").write_text("")
    (tmp_path / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\n")
    (tmp_path / "leaf.ext").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("ca", "leaf"):
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
                "-subj", "/CN=" + name, "-out", name + ".csr")
    openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-selfsign", "-keyfile", "ca.key", "-startdate", "20200101000000Z",
            "-enddate", "20210101000000Z", "-extfile", "ca.ext", "-in", "ca.csr", "-out", "ca.pem")
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30", "-set_serial", "7",
            "-extfile", "leaf.ext", "-out", "leaf.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "leaf.pem", tmp_path / "leaf.key")
    r = responder(context=context)
    a = asker(directory(r, trust=tmp_path / "ca.pem"))
    assert a.ask("alice", "secret") == ("unavailable", "tls_failed")
    assert "expired" in a.log()


def test_old_tls(responder, asker):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(certs("san.pem"), certs("san.key"))
    r = responder(context=context)
    assert asker(directory(r)).ask("alice", "secret") == ("unavailable", "tls_failed")


def test_settings_of_libldap_are_ignored(responder, asker, tmp_path):
    """Neither ldap.conf nor the environment loosens anything or adds an authority."""
    conf = tmp_path / "ldap.conf"
    conf.write_text("TLS_REQCERT never\nTLS_CACERT %s\nREFERRALS on\nSIZELIMIT 1\nURI ldap://127.0.0.1:1\n" % certs("root.pem"))
    r = responder()
    a = asker(directory(r, trust=certs("backend-ca.pem")),
              environment={"LDAPCONF": str(conf), "LDAPTLS_REQCERT": "never", "LDAPTLS_CACERT": certs("root.pem")})
    assert a.ask("alice", "secret") == ("unavailable", "tls_failed")


def test_start_tls_stripped(responder, asker):
    for code in (2, 52, 1, 80):
        r = responder(tls=None, extended=lambda oid: code)
        a = asker(directory("ldap://127.0.0.1:%d" % r.port))
        assert a.ask("alice", "secret") == ("unavailable", "tls_failed")
        assert r.binds == [] and r.connections == 1


def test_start_tls_with_more_plain_text(asker):
    """Bytes that an attacker slips in behind the answer to StartTLS are never taken for the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen = []

        def serve():
            s, _ = listener.accept()
            seen.append(s.recv(4096))
            s.sendall(message(1, result(0x78, 0)) + message(2, result(0x61, 0)))
            seen.append(s.recv(4096))
            time.sleep(0.3)
            s.close()

        threading.Thread(target=serve, daemon=True).start()
        a = asker(directory("ldap://127.0.0.1:%d" % listener.getsockname()[1]))
        assert a.ask("alice", "secret").verdict == "unavailable"
        assert b"1.3.6.1.4.1.1466.20037" in seen[0]
        assert all(b"alice" not in x and b"secret" not in x for x in seen)


def test_plain_server_behind_ldaps(responder, asker):
    r = responder(tls=None)
    a = asker(directory(r, more="connect_timeout: 1s"))
    assert a.ask("alice", "secret").verdict in ("unavailable", "timeout")
    assert r.binds == []


# ---- Active Directory ----

CODES = [("525", "unknown_user"), ("52e", "wrong_password"), ("530", "not_now"), ("531", "not_here"), ("532", "password_expired"),
         ("533", "account_disabled"), ("701", "account_expired"), ("773", "must_change_password"), ("775", "account_locked"),
         ("52E", "wrong_password"), ("525x", "invalid"), ("99", "invalid"), ("", "invalid"), ("52e52e52e52e", "invalid")]


@pytest.mark.parametrize("code,detail", CODES)
def test_sub_codes(responder, asker, code, detail):
    text = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data %s, v4563\x00" % code
    r = responder(bind=lambda name, password: (49, text))
    a = asker(directory(r, bind_as="{user}@corp.example.com"))
    assert a.ask("alice", "wrong") == ("wrong", detail)
    assert r.binds == [("alice@corp.example.com", b"wrong")]


@pytest.mark.parametrize("bind_as,user,name", [
    ("{user}@corp.example.com", "CORP\\alice", "alice@corp.example.com"),
    ("CORP\\{user}", "alice@corp.example.com", "CORP\\alice"),
    ("{domain}\\{user}", "alice", "HOME\\alice"),
    ("{domain}\\{user}", "CORP\\alice", "CORP\\alice"),
    ("{account}", "alice@corp.example.com", "alice@corp.example.com"),
    ("{account}", "CORP\\alice", "CORP\\alice"),
    ("{user}@corp.example.com", "a\u00efcha", "a\u00efcha@corp.example.com"),
    ("cn={user},dc=x", "a,b=c+d", "cn=a\\2Cb\\3Dc\\2Bd,dc=x"),
])
def test_bind_names(responder, asker, bind_as, user, name):
    r = responder()
    a = asker(directory(r, bind_as=bind_as, more="default_domain: HOME"))
    assert a.ask(user, "secret") == OK
    assert r.binds == [(name, b"secret")]


@pytest.mark.parametrize("user", ["cn=alice,dc=x", "a*", "a b@c@d", "CORP\\a\\b", "a/b", "<SID=1>", "a|b", "a\x7f", "\x00a", "a\u0085b"])
def test_names_that_no_account_has(responder, asker, user):
    r = responder()
    a = asker(directory(r, bind_as="{user}@corp.example.com"))
    assert a.ask(user, "secret") == UNKNOWN
    assert r.binds == []


def test_domains(responder, asker):
    r = responder()
    a = asker(directory(r, bind_as="{user}@corp.example.com", more="domains: [CORP, corp.example.com]"))
    assert a.ask("corp\\alice", "secret") == OK
    assert a.ask("alice@Corp.Example.com", "secret") == OK
    assert a.ask("alice", "secret") == OK
    assert a.ask("OTHER\\alice", "secret") == UNKNOWN
    assert a.ask("alice@corp.example.org", "secret") == UNKNOWN
    assert len(r.binds) == 3


def test_nested_groups(responder, asker):
    """The rule LDAP_MATCHING_RULE_IN_CHAIN, at the account's DN alone, with the group's DN intact in it."""
    group, other = "CN=Mail\\, outside,OU=Groups,DC=corp,DC=com", "CN=Other,DC=corp,DC=com"
    alice = "CN=Smith\\, Alice,OU=People,DC=corp,DC=com"

    def search(base, scope, text):
        if scope == 2:
            return 0, [alice]
        return 0, [base] if dict(children(text[1])).get(0x83) == group.encode() else []

    r = responder(search=search)
    a = asker(directory(r, bind_as="{user}@corp.com", more=(
        "search_base: dc=corp,dc=com\nsearch_filter: (&(objectCategory=person)(sAMAccountName={user}))")), [("d", [other, group])])
    answer = a.ask("alice", "secret")
    assert answer == OK and answer.groups == 2
    assert r.connections == 1 and [s[:2] for s in r.searches] == [("dc=corp,dc=com", 2), (alice, 0), (alice, 0)]
    tag, body = r.searches[2][2]
    assert tag == 0xa9 and children(body)[:3] == [
        (0x81, b"1.2.840.113556.1.4.1941"), (0x82, b"memberOf"), (0x83, group.encode())]


@pytest.mark.parametrize("kind", ["", SEARCH])
def test_nothing_leaks_between_users(responder, asker, kind):
    """One connection, user after user: a failed bind is followed by no search, and groups are those of the last user."""
    def bind(name, password):
        return (0, "") if password == b"secret" else (49, "data")

    def search(base, scope, text):
        if scope == 2:
            return 0, ["uid=alice,x" if b"alice" in text[1] else "uid=bob,x"]
        return 0, ["x"] if base.startswith("uid=alice") else []

    r = responder(bind=bind, search=search)
    a = asker(directory(r, bind_as="{user}@corp" if kind else "uid={user},dc=x", more=kind + "membership: member_of"), [("d", [MAIL])])
    assert a.ask("alice", "secret").groups == 1
    before = len(r.searches)
    answer = a.ask("bob", "wrong")
    assert answer == INVALID and answer.groups == 0 and len(r.searches) == before
    assert a.ask("bob", "secret").groups == 0
    assert a.ask("alice", "secret").groups == 1
    assert r.connections == 1


def test_service_connection_never_carries_a_user(responder, asker):
    bound = {}

    def search(base, scope, text):
        return 0, ["uid=x," + PEOPLE]

    r = responder(search=search)
    a = asker(directory(r, bind_as=None, more=SERVICE), [("d", [MAIL])])
    for _ in range(3):
        assert a.ask("alice", "secret") == OK
    assert r.connections == 2 and not bound
    assert [n for n, _ in r.binds].count("cn=postern," + BASE) == 1


def test_service_account_is_not_hammered(responder, asker):
    r = responder(bind=lambda name, password: (49, "80090308: AcceptSecurityContext error, data 775, v1"))
    a = asker(directory(r, bind_as=None, more=SERVICE))
    for _ in range(5):
        assert a.ask("alice", "secret") == ("unavailable", "service_account")
    assert len(r.binds) == 1 and a.log().count("PO-AUTH-0003") == 1


@pytest.mark.parametrize("code,want", [
    (32, UNKNOWN), (34, UNKNOWN), (48, INVALID), (19, ("wrong", "account_locked")), (53, ("unavailable", "refused")),
    (8, ("unavailable", "refused")), (13, ("unavailable", "refused")), (10, ("unavailable", "refused")),
    (51, ("unavailable", "unreachable")), (52, ("unavailable", "unreachable")), (1, ("unavailable", "unreachable"))])
def test_result_codes(responder, asker, code, want):
    r = responder(bind=lambda name, password: (code, ""))
    assert asker(directory(r)).ask("alice", "secret") == want


def test_inactivated_account(responder, asker):
    r = responder(bind=lambda name, password: (53, "Account inactivated. Contact system administrator."))
    assert asker(directory(r)).ask("alice", "secret") == ("wrong", "account_disabled")


def test_busy_server_hands_over(responder, asker):
    r, other = responder(bind=lambda name, password: (51, "busy")), responder()
    a = asker(directory(r, other))
    assert a.ask("alice", "secret") == OK
    assert a.ask("alice", "secret") == OK
    assert len(r.binds) == 1 and len(other.binds) == 2


# ---- servers that misbehave ----

def drop(name, password):
    raise Drop()


def hang(name, password):
    raise Hang()


def test_dropped_in_mid_bind(responder, asker):
    r, other = responder(bind=drop), responder()
    a = asker(directory(r, other, name="two") + "\n" + directory(r, name="d"))
    assert a.ask("alice", "secret") == ("unavailable", "unreachable")
    assert a.ask("alice", "secret", "two") == OK
    assert len(r.binds) == 2, "a bind on a fresh connection is not sent again to the same server"


def test_hanging_server_is_remembered(responder, asker):
    r, other = responder(bind=hang), responder()
    a = asker(directory(r, other, more="answer_timeout: 500ms\nretry_after: 1h"))
    for _ in range(4):
        assert a.ask("alice", "secret") == OK
    assert len(r.binds) == 1 and len(other.binds) == 4


def test_hangs_before_tls(asker):
    """A machine that takes connections and says nothing, and one whose queue is full."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        a = asker(directory("ldaps://127.0.0.1:%d" % silent.getsockname()[1], more="connect_timeout: 300ms"))
        answer = a.ask("alice", "secret", ms=2000)
        assert answer == ("timeout", "timed_out")


def test_deadline_of_the_whole(responder, asker):
    servers = [responder(bind=hang) for _ in range(4)]
    a = asker(directory(*servers, more="answer_timeout: 60s"))
    answer = a.ask("alice", "secret", ms=1500)
    assert answer == ("timeout", "timed_out") and answer.ms < 3000 * SLOW
    assert all(len(r.binds) == 1 for r in servers), "each got its share of the time"


def test_answer_in_drops(responder, asker):
    """An octet now and then is no answer: the deadline holds for the whole of it."""
    def slowly(name, password):
        return [bytes([octet]) for octet in message(1, result(0x61, 0, "x" * 100))]

    r, other = responder(bind=slowly), responder()
    a = asker(directory(r, other, more="answer_timeout: 500ms"))
    assert a.ask("alice", "secret") == OK
    assert len(r.binds) == 1 and len(other.binds) == 1


def test_one_tries_again_for_all(responder, asker):
    r, other = responder(bind=hang), responder()
    a = asker(directory(r, other, more="answer_timeout: 500ms\nretry_after: 500ms"))
    assert a.ask("alice", "secret") == OK
    time.sleep(0.6 * SLOW)
    r.bind = lambda name, password: (0, "")
    assert a.ask("alice", "secret") == OK
    assert a.ask("alice", "secret") == OK
    assert len(r.binds) == 3 and "PO-AUTH-0002" in a.log()


GARBAGE = [
    b"\x30\x84\x7f\xff\xff\xff",  # a message of two gigabytes
    b"\x30\x80\x00\x00",  # indefinite length
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    message(1, result(0x61, 0))[:-1] + b"\xff" * 20,
    message(1, tlv(0x61, b"\x0a\x01")),
    message(1, tlv(0x61)),
    message(1, result(0x65, 0)),  # a search's result to a bind
    message(99, result(0x61, 0)),  # to nobody's question
    message(-1 & 0x7f, result(0x61, 0)) * 3,
    tlv(0x30, integer(2, 0), tlv(0x78, integer(0x0a, 52), octets(""), octets(""), octets("1.3.6.1.4.1.1466.20036", 0x8a))),
    tlv(0x30, integer(2, 0), tlv(0x78, integer(0x0a, 52), octets(""), octets(""), octets("", 0x8a))),  # without a name
    tlv(0x30, integer(2, 0), tlv(0x78, integer(0x0a, 0), octets(""), octets(""))),
    b"\x30\x04\x02\x05\x01\x01", b"\x30\x00", b"\x30\x85\x00\x00\x00\x00\x0c" + result(0x61, 0), b"\x30",
    b"",
]


@pytest.mark.parametrize("answer", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage(responder, asker, answer):
    r, other = responder(bind=lambda name, password: answer), responder()
    a = asker(directory(r, other, more="answer_timeout: 500ms"))
    assert a.ask("alice", "secret") == OK
    assert len(r.binds) == 1 and len(other.binds) == 1


def test_endless_answers(responder, asker):
    """Messages without end: to nobody's question, entries, references; none outlives the deadline or the limit."""
    entry = message(2, tlv(0x64, octets("uid=x"), tlv(0x30)))
    reference = message(2, tlv(0x73, octets("ldap://x/")))
    for flood in (message(77, result(0x61, 0)), message(0, result(0x78, 0)), entry, reference, message(2, tlv(0x79))):
        r = responder(search=lambda base, scope, text: flood * 200000)
        a = asker(directory(r, bind_as=None, more=SERVICE + "answer_timeout: 1s"))
        assert a.ask("alice", "secret", ms=3000).verdict in ("unavailable", "timeout")
        r.close()


@pytest.mark.parametrize("names,want", [
    ([""], ("unavailable", "bad_answer")), (["uid=" + "x" * 5000], ("unavailable", "bad_answer")),
    ([b"uid=\xff"], ("unavailable", "bad_answer")), (["uid=a", "uid=b"], ("wrong", "ambiguous")),
    (["uid=a"] * 3, ("unavailable", "bad_answer")), ([], UNKNOWN)])
def test_names_that_a_search_finds(responder, asker, names, want):
    """Above all: an empty name is never bound with, it would be an anonymous bind that succeeds."""
    r = responder(search=lambda base, scope, text: (0, names))
    a = asker(directory(r, bind_as=None, more=SERVICE))
    assert a.ask("alice", "secret") == want
    assert all(name == "cn=postern," + BASE for name, _ in r.binds)


def test_kept_connections_are_bounded(responder, asker):
    r = responder(bind=lambda name, password: (time.sleep(0.02), (0, ""))[1])
    a = asker(directory(r, more="idle_connections: 2\nidle_timeout: 1s"))
    a.many("alice", "secret", 10, 16)
    assert a.wait() == {"ok": 160}
    peak = r.connections
    assert peak > 2 and wait_until(lambda: r.alive() == 2)
    assert a.ask("alice", "secret") == OK and r.connections == peak
    time.sleep(1.2 * SLOW)
    a.say("tidy")
    assert wait_until(lambda: r.alive() == 0)
    assert a.ask("alice", "secret") == OK and r.connections == peak + 1


def test_reload_and_end_while_busy(responder, asker):
    r = responder(bind=lambda name, password: (time.sleep(0.01), (0, ""))[1])
    a = asker(directory(r, bind_as=None, more=SERVICE.replace("search_base", "answer_timeout: 9s\nsearch_base")))
    r.search = lambda base, scope, text: (0, ["uid=alice," + PEOPLE])
    a.many("alice", "secret", 40, 8)
    for _ in range(10):
        a.reload()
    assert a.wait() == {"ok": 320}
    a.many("alice", "secret", 10, 8)


def test_password_is_not_in_the_log(responder, asker):
    r = responder(bind=lambda name, password: (80, "echo: " + password.decode()[:0]))
    a = asker(directory(r))
    a.ask("alice", "hush-hush-password")
    assert "hush" not in a.log()


def test_nothing_is_left_of_a_password(slapd, asker):
    """Of the user's, right or wrong, over ldaps and StartTLS: libldap, OpenSSL and we keep no copy."""
    a = asker("\n".join([directory(slapd, name="tls"), directory("ldap://127.0.0.1:%d" % slapd.port, name="start"),
                         directory(slapd, name="search", bind_as=None, more=SERVICE)]))
    assert a.ask("alice", "secret", "tls") == OK
    for name in ("tls", "start", "search"):
        for password in ("a rather long password of " + name, "another of " + name):
            assert a.ask("alice", password, name) == INVALID
            assert a.traces(password) == 0


def test_literal_and_name(slapd, asker):
    a = asker(directory("ldaps://localhost:%d" % slapd.tls_port, "ldaps://127.0.0.1:%d" % slapd.tls_port))
    assert a.ask("alice", "secret") == OK
    b = asker(directory("ldaps://no.such.host.invalid:%d" % slapd.tls_port, more="connect_timeout: 1s"))
    assert b.ask("alice", "secret").verdict in ("unavailable", "timeout")


def test_dn_of_slapd_matches(slapd):
    assert user_dn("smith, john") == "uid=smith\\2C john," + PEOPLE
    assert os.path.exists(slapd.conf)
