"""postern auth test: what it says, and what it never says."""
import os
import pty
import subprocess

import pytest

from directories import POSTERN, SLOW, Responder, certs, configuration

SUB = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data %s, v4563"
MAIL = "CN=Mail,DC=corp,DC=example,DC=com"


def bind(name, password):
    if name.startswith("alice@"):
        return (0, "") if password == b"s3cret-word" else (49, SUB % "52e")
    return 49, SUB % {"bob": "533"}.get(name.split("@")[0], "525")


def search(base, scope, text):
    return 0, ["CN=Alice,DC=corp,DC=example,DC=com"] if scope == 2 or b"Mail" in text[1] else []


@pytest.fixture
def site(tmp_path):
    r = Responder(bind=bind, search=search)
    users = tmp_path / "users"
    subprocess.run([POSTERN, "passwd", str(users), "add", "local"], input="s3cret-word\n", text=True, check=True)
    text = """\
  corp:
    type: ldap
    servers: ["ldaps://127.0.0.1:%d"]
    trust: %s
    bind_as: "{user}@corp.example.com"
    search_base: dc=corp,dc=example,dc=com
    search_filter: "(sAMAccountName={user})"
  other: {type: ldap, servers: ["ldaps://127.0.0.1:%d"], trust: %s, bind_as: "{user}@corp.example.com"}
  local: {type: user_file, path: %s}
  all: {type: chain, directories: [local, corp]}""" % (r.port, certs("root.pem"), r.port, certs("backend-ca.pem"), users)
    path = tmp_path / "postern.yaml"
    path.write_text(configuration(text, [("corp", [MAIL, "CN=Other,DC=corp"])]))

    def run(*words, password="s3cret-word", code=None):
        done = subprocess.run([POSTERN, "auth", "test", *words, "-c", str(path)], input=password + "\n", text=True,
                              capture_output=True, timeout=60 * SLOW)
        assert "s3cret" not in done.stdout + done.stderr
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr

    run.path = path
    yield run
    r.close()


def test_every_directory_answers(site):
    out, err = site("alice", code=0)
    assert "corp (ldap): RIGHT" in out and "group %s: yes" % MAIL in out and "group CN=Other,DC=corp: no" in out
    assert "other (ldap): NO ANSWER" in out and "(tls_failed)" in out and "`trust`" in out
    assert "local (user_file): WRONG" in out and "(unknown_user)" in out
    assert "all (chain)" not in out
    assert "PO-AUTH-0001" in err and "certificate" in err


def test_one_directory(site):
    out, _ = site("bob", "--directory", "corp", code=1)
    assert out.splitlines()[1].strip() == "the account is disabled (533) (account_disabled)"
    assert "local" not in out
    out, _ = site("local", "--directory", "all", code=0)
    assert out.startswith("all (chain): RIGHT")
    _, err = site("alice", "--directory", "crop", code=1)
    assert "has no directory crop" in err


def test_wrong_use(site, tmp_path):
    for words in ([], ["test"], ["try", "alice"], ["test", "alice", "bob"], ["test", "--what", "alice"]):
        done = subprocess.run([POSTERN, "auth", *words], input="", text=True, capture_output=True)
        assert done.returncode == 2 and "usage: postern auth test" in done.stderr
    site("alice", password="", code=1)
    site("alice", password="x" * 257, code=1)
    (tmp_path / "bad.yaml").write_text("directories: {a: {type: ldap}}\n")
    done = subprocess.run([POSTERN, "auth", "test", "alice", "-c", str(tmp_path / "bad.yaml")], input="x\n", text=True, capture_output=True)
    assert done.returncode == 1 and "`servers` is missing" in done.stderr


def test_terminal_shows_no_password(site):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(POSTERN, [POSTERN, "auth", "test", "alice", "--directory", "corp", "-c", str(site.path)])
    seen = b""
    while b"Password: " not in seen:
        seen += os.read(fd, 1024)
    os.write(fd, b"s3cret-word\n")
    try:
        while True:
            more = os.read(fd, 1024)
            if not more:
                break
            seen += more
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"s3cret" not in seen and b"corp (ldap): RIGHT" in seen
    os.close(fd)
