"""type: chain: which directory has the last word."""
import subprocess

import pytest

from directories import POSTERN, Asker, Hang, Responder, certs, made

OK = ("ok", "ok")
UNKNOWN = ("wrong", "unknown_user")
SUB = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data %s, v4563"


@pytest.fixture
def asker(tmp_path):
    users = tmp_path / "users"
    for name, password in (("local", "word"), ("both", "local")):
        subprocess.run([POSTERN, "passwd", str(users), "add", name], input=password + "\n", text=True, check=True,
                       stderr=subprocess.DEVNULL)

    def ask(responder, rule="", order="[ad, local]", more=""):
        text = """\
  ad: {type: ldap, servers: ["ldaps://127.0.0.1:%d"], trust: %s, bind_as: "{user}@corp.example.com", answer_timeout: 500ms}
  local: {type: user_file, path: %s%s}
  d: {type: chain, directories: %s%s}""" % (responder.port, certs("root.pem"), users, more, order, rule)
        return Asker(text)

    yield from made(ask)


@pytest.fixture
def ad():
    """alice is right, bob expired, both has another password here, slow hangs; all others are unknown."""
    def bind(name, password):
        user = name.split("@")[0]
        if user == "slow":
            raise Hang()
        if (user, password) in (("alice", b"secret"), ("both", b"domain")):
            return 0, ""
        code = {"alice": "52e", "both": "52e", "bob": "532"}.get(user, "525")
        return 49, SUB % code if user != "vague" else ""

    r = Responder(bind=bind)
    yield r
    r.close()


def test_unknown_goes_on(ad, asker):
    a = asker(ad)
    assert a.ask("alice", "secret") == OK
    assert a.ask("local", "word") == OK
    assert a.ask("local", "wrong") == ("wrong", "wrong_password")
    assert a.ask("nobody", "x") == UNKNOWN


def test_a_user_file_minds_its_domains(ad, asker):
    """Somebody of another domain is not its user of that name."""
    a = asker(ad, more=", domains: [LOCAL]")
    assert a.ask("LOCAL\\local", "word") == OK
    assert a.ask("local", "word") == OK
    assert a.ask("CORP\\local", "word") == UNKNOWN
    b = asker(ad, more=", domains: [LOCAL], other_domains: apart")
    assert b.ask("local@local", "word") == OK
    assert b.ask("local@corp", "word") == UNKNOWN


def test_a_listed_domain_says_who_is_asked(ad, asker):
    """Not a member before it that takes any domain, which would hear a password that is none of its business."""
    a = asker(ad, more=", domains: [LOCAL]")
    assert a.ask("LOCAL\\both", "local") == OK
    assert a.ask("both@LOCAL", "domain") == ("wrong", "wrong_password")
    assert ad.binds == []
    assert a.ask("OTHER\\both", "domain") == OK, "a domain that nobody lists"
    assert a.ask("both", "domain") == OK
    assert a.ask("LOCAL\\alice", "secret") == UNKNOWN


def test_known_has_the_last_word(ad, asker):
    a = asker(ad)
    assert a.ask("both", "domain") == OK
    assert a.ask("both", "local") == ("wrong", "wrong_password"), "a wrong password there is not tried here"
    assert a.ask("bob", "x") == ("wrong", "password_expired")
    b = asker(ad, order="[local, ad]")
    assert b.ask("both", "local") == OK
    assert b.ask("both", "domain") == ("wrong", "wrong_password")
    assert b.ask("alice", "secret") == OK


def test_refused_without_a_reason(ad, asker):
    assert asker(ad).ask("vague", "x") == ("wrong", "invalid")
    a = asker(ad, ", next_when: [invalid]")
    assert a.ask("vague", "x") == ("wrong", "invalid"), "not the weaker \"unknown\" of the last one"
    assert a.ask("local", "word") == UNKNOWN, "unknown_user is not in the list"


def test_unavailable(ad, asker):
    assert asker(ad).ask("slow", "x") == ("timeout", "timed_out")
    a = asker(ad, ", next_when: [unknown_user, unavailable]")
    assert a.ask("slow", "x") == ("timeout", "timed_out"), "503, not 401: nobody could judge"
    ad.close()
    assert a.ask("local", "word") == OK
    assert a.ask("local", "wrong") == ("wrong", "wrong_password")
    assert a.ask("nobody", "x").verdict in ("unavailable", "timeout")
    assert asker(ad).ask("local", "word") == ("unavailable", "unreachable")
