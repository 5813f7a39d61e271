"""The guard end to end: a real Postern between clients and a directory that counts."""
import base64
import json
import signal
import subprocess
import threading
import time

import pytest

from directories import BASE, Slapd, certs
from gate import (EAS, ActiveDirectory, Client, Origin, Rig, answer, ask, basic, gate_site, in_threads, metric)
from harness import POSTERN, SLOW, user_file, wait_until

USERS = {"alice": "right horse", "bob": "bobs password", "müller": "grün42x", "carol": "carols password"}


def command(proxy, *words):
    done = subprocess.run([POSTERN, *words, "-c", proxy.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=60 * SLOW)
    return done.returncode, done.stdout.decode()


def accounts(proxy, name=""):
    return json.loads(command(proxy, "status", "accounts", *([name] if name else []), "--json")[1])


def ended_as(proxy, reason):
    return wait_until(lambda: [x for x in proxy.access(1) if x["reason"] == reason])


def lock_out(proxy, user, source="127.0.0.66", path="/owa/"):
    for i in range(4):
        assert ask(proxy, user, "guess number %d" % i, path, source).status == 401


# ---- one account ----

def test_ten_thousand_requests_of_one_phone(origin):
    """An old password, again and again; the directory hears it once."""
    clients, each = 50, int(200 / SLOW)
    slapd = Slapd()
    try:
        conf = gate_site(slapd, origin.url, {"failure_time": "1ms", "failure_jitter": "0"})
        conf["directories"]["corp"] = {"type": "ldap", "servers": ["ldaps://127.0.0.1:%d" % slapd.tls_port],
                                       "trust": "{certs}/root.pem", "bind_as": "uid={user},ou=people," + BASE}
        with Rig(conf) as p:
            def phone(i):
                with Client(p) as c:
                    for _ in range(each):
                        c.request("POST", EAS, [basic("alice", "old password")], body=b"")
                        assert c.response().status == 401
            in_threads(clients, phone)
            assert metric(p, "auth_attempts_total") == clients * each
            assert metric(p, "auth_asked_total") == 1
            assert metric(p, "guard_accounts_locked") == 0
            got = accounts(p, "alice")["accounts"][0]
            assert got["failures"] == 1 and got["repeats"] + metric(p, "auth_joined_total") == clients * each - 1
            assert ask(p, "alice", "secret").status == 200
        found = subprocess.run(["ldapsearch", "-x", "-ZZ", "-LLL", "-H", "ldap://127.0.0.1:%d" % slapd.port, "-D", "cn=root," + BASE,
                                "-w", "root", "-b", BASE, "(uid=bob)", "pwdFailureTime"], stdout=subprocess.PIPE, check=True,
                               env={"LDAPTLS_CACERT": certs("root.pem"), "PATH": "/usr/bin"}).stdout
        assert b"pwdFailureTime" not in found
    finally:
        slapd.close()


def test_spellings_that_openldap_takes_for_one_name(origin):
    """Else each would have guesses of its own."""
    slapd = Slapd()
    try:
        conf = gate_site(slapd, origin.url)
        conf["directories"]["corp"] = {"type": "ldap", "servers": ["ldaps://127.0.0.1:%d" % slapd.tls_port],
                                       "trust": "{certs}/root.pem", "bind_as": "uid={user},ou=people," + BASE}
        with Rig(conf) as p:
            spellings = ["\U0001d41alice", "al\u2170ce", "ali\u24d2e", "alic\u2091"]
            assert ask(p, spellings[0], "secret").status == 200
            for i, name in enumerate(spellings):
                assert ask(p, name, "guess %d" % i).status == 401
            assert [(a["locked"], a["failures"]) for a in accounts(p)["accounts"]] == [(True, 4)]
    finally:
        slapd.close()


def test_all_forms_of_a_name_are_one_account(ad, origin):
    with Rig(gate_site(ad, origin.url, more={"domains": ["CORP", "corp.example.com"]})) as p:
        for name in ("alice", "ALICE", "CORP\\alice", "corp\\Alice", "alice@corp.example.com", "Alice@CORP.EXAMPLE.COM"):
            for path in ("/owa/", "/ews/exchange.asmx", EAS, "/oab/x"):
                r = ask(p, name, "right horse", path, method="POST" if path == EAS else "GET")
                assert r.status == 200
                # what goes to the backend stays as the client sent it
                assert base64.b64decode(r.body.split()[1]).decode() == name + ":right horse"
        assert ad.asked() == 1
        for i, name in enumerate(("bob", "CORP\\BOB", "bob@corp.example.com", "Bob")):
            assert ask(p, name, "wrong password %d" % i).status == 401
        assert accounts(p, "CORP\\bob")["accounts"][0]["locked"] is True
        before = ad.asked()
        r = ask(p, "OTHER\\alice", "right horse")
        assert r.status == 401 and ad.asked() == before  # not a domain of ours
        assert ended_as(p, "auth_domain")


def test_a_password_is_known_only_as_it_was_proved(ad, origin):
    """Where the directory looks at the domain, a namesake's password is not taken for known; the counter of failures is one."""
    ad.passwords = {"corp\\alice": "right horse", "partners\\alice": "another"}
    conf = gate_site(ad, origin.url, {"account_failures": 3}, more={"bind_as": "{account}"})
    with Rig(conf) as p:
        assert ask(p, "CORP\\Alice", "right horse").status == 200
        assert ask(p, "Partners\\alice", "right horse").status == 401
        assert ask(p, "corp\\alice", "right horse").status == 200, "known to be right, and not to be wrong"
        assert ad.asked() == 2
        assert ask(p, "PARTNERS\\alice", "another").status == 200
        for name in ("alice", "CORP\\alice", "PARTNERS\\alice"):
            assert ask(p, name, "a guess").status == 401
        assert [a["locked"] for a in accounts(p)["accounts"]] == [True]


def test_in_a_chain_too(ad, origin, tmp_path):
    """A user of the second directory is nobody of the first one's domain, although its password is known."""
    ad.passwords = {}
    user_file(str(tmp_path / "users"), {"local": "right horse"})
    conf = gate_site(ad, origin.url, more={"domains": ["CORP"]}, publish={"authenticate": {"basic": "both"}})
    conf["directories"]["local"] = {"type": "user_file", "path": str(tmp_path / "users"), "domains": ["LOCAL", "local.example"]}
    conf["directories"]["both"] = {"type": "chain", "directories": ["corp", "local"]}
    with Rig(conf) as p:
        assert ask(p, "local", "right horse").status == 200
        assert ask(p, "CORP\\local", "right horse").status == 401
        assert ask(p, "LOCAL\\local", "right horse").status == 200
        asked = metric(p, "auth_asked_total")
        assert ask(p, "local@local.example", "right horse").status == 200
        assert metric(p, "auth_asked_total") == asked, "the same question"


def test_the_share_of_an_account_is_the_same_in_every_form(ad, origin):
    """Names that the directory takes for one account must not each have a limit of their own."""
    names = {"alice", "alicé"}
    ad.passwords = lambda user: "right horse" if user in names else None
    conf = gate_site(ad, origin.url, more={"domains": ["CORP", "corp.example.com"]})
    conf["flood"] = {"requests_per_minute_per_account": 3}
    with Rig(conf) as p:
        asked = [ask(p, name, "right horse").status for name in ("alice", "CORP\\Alice", "alicé", "alice")]
        assert asked == [200, 200, 200, 429]


def test_no_spelling_gets_round_a_device_rule(ad, origin, tmp_path):
    ad.passwords = lambda user: "right horse"
    (tmp_path / "rules").write_text("deny user=Alice\n")
    conf = gate_site(ad, origin.url)
    conf["services"]["activesync"] = {"device_rules": str(tmp_path / "rules"), "match_user": False}
    with Rig(conf) as p:
        for name in ("alice", "ALICE", "CORP\\alice", "alice@corp.example.com", "álice"):
            assert ask(p, name, "right horse", EAS, method="POST").status == 403, name
        assert ask(p, "bob", "right horse", EAS, method="POST").status == 200


def test_locked_softly_below_the_directory(ad, origin):
    with Rig(gate_site(ad, origin.url)) as p:
        lock_out(p, "alice")
        in_threads(8, lambda i: [ask(p, "alice", "another guess %d.%d" % (i, k), source="127.0.0.%d" % (70 + i)) for k in range(5)])
        assert ad.asked() == 4 and ad.failures["alice"] == 4 and not ad.locked
        # others have a person in front of them; these have not
        for path, method in ((EAS, "POST"), ("/ews/exchange.asmx", "POST"), ("/mapi/emsmdb", "POST")):
            r = ask(p, "alice", "right horse", path, "127.0.0.90", method)
            assert r.status == 503 and 0 < int(r.get("Retry-After")) <= 60, path
        for path in ("/owa/", "/oab/x"):
            r = ask(p, "alice", "right horse", path, "127.0.0.91")
            assert r.status == 401 and r.get("WWW-Authenticate").startswith("Basic")
        assert ad.asked() == 4
        assert ask(p, "bob", "bobs password").status == 200
        assert wait_until(lambda: "PO-GUARD-0001" in p.said())


def test_the_owner_keeps_his_mail(ad, origin):
    with Rig(gate_site(ad, origin.url)) as p:
        assert ask(p, "alice", "right horse", EAS, "127.0.0.5", "POST").status == 200
        lock_out(p, "alice")
        for _ in range(20):
            assert ask(p, "alice", "right horse", EAS, "127.0.0.5", "POST").status == 200
            assert ask(p, "alice", "a guess", "/owa/", "127.0.0.66").status == 401
        # the phone has moved on to another network, and is known by its id
        assert ask(p, "alice", "right horse", EAS, "127.0.0.6", "POST").status == 200
        assert ad.asked() == 5


def test_the_password_changes(ad, origin):
    """The interior's refusal ends what was known; an old guess that has become right gets through after a time."""
    answers = {"status": 200}
    with Origin(lambda r, w, s: answer(answers["status"], b"", [("WWW-Authenticate", 'Basic realm="cas1"')])) as o:
        with Rig(gate_site(ad, o.url, {"known_wrong_time": "1s", "known_wrong_longest": "1s"})) as p:
            assert ask(p, "alice", "right horse").status == 200
            ad.passwords = dict(USERS, alice="newer horse")
            assert ask(p, "alice", "right horse").status == 200 and ad.asked() == 1
            answers["status"] = 401
            r = ask(p, "alice", "right horse")
            assert r.status == 401 and "cas1" not in r.get("WWW-Authenticate") and ad.asked() == 1
            answers["status"] = 200
            assert ask(p, "alice", "right horse").status == 401 and ad.asked() == 2
            assert ask(p, "alice", "right horse").status == 401 and ad.asked() == 2
            assert ask(p, "alice", "newer horse").status == 200
            ad.passwords = USERS  # and back: after a second the first one is tried again
            assert wait_until(lambda: ask(p, "alice", "right horse").status == 200, 10, 0.2)


# ---- addresses ----

def test_a_spray_of_a_thousand_accounts(ad, origin):
    ad.passwords = lambda user: "what nobody knows"
    n = int(1000 / SLOW)
    with Rig(gate_site(ad, origin.url)) as p:
        def spray(i):
            with Client(p, source="127.0.0.66") as c:
                for k in range(i, n, 10):
                    assert c.get("/owa/", [basic("user%04d" % k, "Winter2024!")]).status == 401
        in_threads(10, spray)
        assert 9 <= ad.asked() <= 10 + 4  # those that were with a thread already
        assert metric(p, "guard_sources_locked") == 1 and metric(p, "guard_accounts_locked") == 0
        assert wait_until(lambda: "PO-GUARD-0003" in p.said())
        assert ask(p, "user0001", "what nobody knows", source="127.0.0.67").status == 200
        assert [s for s in accounts(p)["sources"] if s["locked"]][0]["source"] == "127.0.0.66"
        assert command(p, "unlock", "127.0.0.66") == (0, "unlocked\n")
        assert ask(p, "user0002", "what nobody knows", source="127.0.0.66").status == 200


def test_a_slow_spray_from_a_hundred_addresses(ad, origin):
    """None of them fails on ten accounts; together they are strangers who fail."""
    ad.passwords = lambda user: "what nobody knows"
    with Rig(gate_site(ad, origin.url, {"strange_failures": 100})) as p:
        assert ask(p, "user0000", "what nobody knows", source="127.0.0.9").status == 200

        def spray(i):
            with Client(p, source="127.0.2.%d" % i) as c:
                for k in range(5):
                    assert c.get("/owa/", [basic("user%02d%02d" % (i, k), "Winter2024!")]).status == 401
        for first in range(1, 101, 10):
            in_threads(10, lambda i: spray(first + i))
        assert ad.asked() <= 1 + 100 + 2 * 100
        assert wait_until(lambda: "PO-GUARD-0005" in p.said())
        # who has signed in before is no stranger
        for k in range(4):
            assert ask(p, "user09%02d" % k, "mistyped", source="127.0.0.9").status == 401
        assert ask(p, "user0000", "what nobody knows", source="127.0.0.9").status == 200


def test_a_gateway_with_old_phones(ad, origin):
    ad.passwords = lambda user: "what everybody has"
    with Rig(gate_site(ad, origin.url)) as p:
        with Client(p, source="127.0.0.80") as c:
            for i in range(60):
                assert c.get("/owa/", [basic("user%02d" % i, "what everybody has")]).status == 200
            for i in range(20):
                assert c.get("/owa/", [basic("user%02d" % i, "an old password")]).status == 401
        assert metric(p, "guard_sources_locked") == 0
        assert ask(p, "user61", "what everybody has", source="127.0.0.80").status == 200


def test_exempt_networks(ad, origin):
    with Rig(gate_site(ad, origin.url, {"exempt": ["127.0.3.0/24"]})) as p:
        lock_out(p, "alice")
        assert ask(p, "alice", "right horse", source="127.0.0.7").status == 401
        assert ask(p, "alice", "right horse", source="127.0.3.1").status == 200


# ---- time, and directories that do not answer ----

def test_every_failure_takes_its_time(ad, origin):
    with Rig(gate_site(ad, origin.url, {"failure_time": "200ms", "failure_jitter": "50ms"})) as p:
        lock_out(p, "carol")
        cases = [("nobody", "a password", {}), ("bob", "a guess", {}), ("bob", "a guess", {}), ("carol", "a guess", {}),
                 ("", "a password", {}), ("bob", "", {}), ("x" * 300, "a password", {}), ("bo\x07b", "a password", {}),
                 ("bob", "y" * 5000, {}), ("\u202ebob\u0085", "a password", {})]
        for user, password, more in cases:
            r = ask(p, user, password, source="127.0.0.7")
            assert r.status == 401 and r.seconds >= 0.2, (user, r.status, r.seconds)
        with Client(p) as c:
            for value in ("Basic !!!!", "Basic", "Basic " + base64.b64encode(b"nocolon").decode()):
                started = time.monotonic()
                assert c.get("/owa/", [("Authorization", value)]).status == 401
                assert time.monotonic() - started >= 0.2, value
            assert c.get("/owa/").status == 401  # which asks for them, and has not failed yet
        assert metric(p, "auth_asked_total") == 6


def test_nobody_can_judge(ad, origin):
    """503, never a 401 that makes a phone ask for a password."""
    with Rig(gate_site(ad, origin.url, more={"retry_after": "0ms"}, auth_timeout="2s")) as p:
        ad.close()
        for path, method, retries in ((EAS, "POST", True), ("/ews/exchange.asmx", "POST", True), ("/mapi/emsmdb", "POST", True),
                                      ("/owa/", "GET", False), ("/oab/x", "GET", False)):
            r = ask(p, "alice", "right horse", path, method=method)
            assert r.status == 503 and (r.get("Retry-After") is not None) == retries, path
            assert r.get("WWW-Authenticate") is None
        assert metric(p, "auth_known_wrong_total") == 0 and accounts(p) == {"accounts": [], "sources": []}


def test_others_are_served_while_the_directory_hangs(ad, origin):
    with Rig(gate_site(ad, origin.url, auth_timeout="%ds" % (3 * SLOW), auth_threads=2, auth_queue=16)) as p:
        assert ask(p, "alice", "right horse").status == 200
        ad.hung.set()
        statuses, end = [], time.monotonic() + 3 * SLOW

        def hanging(i):
            statuses.append(ask(p, "user%d" % i, "whatever", EAS, "127.0.4.%d" % i, "POST").status)
        threads = [threading.Thread(target=hanging, args=(i,), daemon=True) for i in range(1, 60)]
        for t in threads:
            t.start()
        served = 0
        while time.monotonic() < end:
            assert ask(p, "alice", "right horse").status == 200
            served += 1
        for t in threads:
            t.join(30 * SLOW)
        assert served > 3 and set(statuses) == {503} and len(statuses) == 59
        assert ad.asked() < 20


def test_a_directory_that_hangs_holds_up_no_reload_and_no_stop(ad, origin):
    conf = gate_site(ad, origin.url, more={"answer_timeout": "60s"}, auth_timeout="60s", drain_timeout="%ds" % SLOW)
    with Rig(conf) as p:
        ad.hung.set()
        with Client(p) as c:
            c.request("GET", "/owa/", [basic("alice", "right horse")])
            assert wait_until(lambda: metric(p, "auth_running") == 1)
            started = time.monotonic()
            p.reload_now()
            p.process.send_signal(signal.SIGTERM)
            assert p.process.wait(50) == 0
            assert time.monotonic() - started < 10 * SLOW
        assert wait_until(lambda: "PO-RUN-0003" in p.said())
        assert "PO-AUTH-0004" in p.said() and "checks=1" in p.said()


# ---- the interior ----

@pytest.mark.parametrize("form, sent, expected", [
    ("as_sent", "corp\\Alice", "corp\\Alice"), ("user", "corp\\Alice", "Alice"), ("domain_backslash", "Alice@corp.example.com", "corp\\Alice"),
    ("upn", "CORP\\Alice", "Alice@corp.example.com"), ("upn", "Alice", "Alice@corp.example.com"), ("none", "alice", None)])
def test_the_form_that_the_backend_wants(ad, origin, form, sent, expected):
    conf = gate_site(ad, origin.url, more={"domains": ["CORP", "corp.example.com"]}, publish={"delegate": form})
    with Rig(conf) as p:
        r = ask(p, sent, "right horse")
        assert r.status == 200
        if expected is None:
            assert r.body == b"none"
        else:
            assert base64.b64decode(r.body.split()[1]).decode() == expected + ":right horse"


def test_both_charsets(ad, origin):
    with Rig(gate_site(ad, origin.url)) as p:
        for charset in ("utf-8", "latin-1"):
            r = ask(p, "müller", "grün42x", charset=charset)
            assert r.status == 200
            assert base64.b64decode(r.body.split()[1]).decode(charset) == "müller:grün42x"  # octet for octet
        assert ad.asked() == 1  # one person, one entry


def test_offers_of_the_interior(ad):
    offers = []

    def refuse(r, w, s):
        return answer(401, b"", [("WWW-Authenticate", x) for x in offers], "Unauthorized")
    with Origin(refuse) as o, Rig(gate_site(ad, o.url)) as p:
        for offered in (["Negotiate", "NTLM", 'Basic realm="cas1.corp.example.com"'],
                        ['Negotiate, NTLM, Basic realm="cas1.corp.example.com"']):
            offers[:] = offered
            r = ask(p, "alice", "right horse")
            assert r.status == 401 and r.all("WWW-Authenticate") == ['Basic realm="Postern", charset="UTF-8"']
        offers[:] = ["Negotiate", "NTLM"]
        r = ask(p, "alice", "right horse")
        assert r.status == 502 and r.get("WWW-Authenticate") is None
        assert ended_as(p, "backend_no_basic")
        assert wait_until(lambda: "PO-BACK-0007" in p.said())


# ---- seeing and acting ----

def test_what_the_operator_sees_and_does(ad, origin):
    with Rig(gate_site(ad, origin.url)) as p:
        assert command(p, "status", "accounts") == (0, "no account or address is locked or fails\n")
        lock_out(p, "alice")
        for _ in range(3):
            with Client(p, source="127.0.0.8") as c:
                c.request("POST", EAS.replace("alice", "bob"), [basic("CORP\\bob", "an old password")], body=b"")
                assert c.response().status == 401
        both = {a["account"]: a for a in accounts(p)["accounts"]}
        assert both["alice"]["locked"] and both["alice"]["source"] == "127.0.0.66" and both["alice"]["service"] == "owa"
        bob = both["bob"]
        assert not bob["locked"] and bob["failures"] == 1 and bob["repeats"] == 2 and bob["device"] == "PHONE1"
        assert bob["service"] == "activesync" and bob["detail"] == "wrong_password" and bob["source"] == "127.0.0.8"
        code, text = command(p, "status", "accounts", "bob@corp.example.com")
        assert code == 0 and "PHONE1" in text and "wrong_password" in text and "alice" not in text
        assert ask(p, "alice", "right horse").status == 401
        assert command(p, "unlock", "CORP\\ALICE") == (0, "unlocked\n")
        assert ask(p, "alice", "right horse").status == 200
        assert command(p, "unlock", "nobody")[0] == 1
        before = ad.asked()
        assert ask(p, "alice", "right horse").status == 200 and ad.asked() == before
        assert command(p, "auth", "flush")[0] == 0
        assert ask(p, "alice", "right horse").status == 200 and ad.asked() == before + 1
        assert wait_until(lambda: "PO-GUARD-0002" in p.said() and "PO-GUARD-0007" in p.said())


def test_locks_survive_a_reload_and_numbers_do_not(ad, origin):
    conf = gate_site(ad, origin.url)
    with Rig(conf) as p:
        lock_out(p, "alice")
        assert ask(p, "bob", "bobs password").status == 200
        conf["guard"]["account_failures"] = 2
        p.configure(conf)
        p.reload_now()
        assert ask(p, "alice", "right horse").status == 401
        before = ad.asked()
        assert ask(p, "bob", "bobs password").status == 200 and ad.asked() == before  # the directories are what they were
        for i in range(2):
            ask(p, "carol", "a guess %d" % i, source="127.0.0.9")
        assert accounts(p, "carol")["accounts"][0]["locked"]


def test_another_user_file_is_another_directory(origin, tmp_path):
    users = user_file(str(tmp_path / "users"), {"dora": "doras first"})
    conf = gate_site(ActiveDirectory({}), origin.url)
    conf["directories"] = {"corp": {"type": "user_file", "path": users}}
    with Rig(conf) as p:
        assert ask(p, "dora", "doras first").status == 200
        assert ask(p, "dora", "doras second").status == 401
        subprocess.run([POSTERN, "passwd", users, "change", "dora", "--sha512"], input=b"doras second\n", check=True)
        p.reload_now()
        assert ask(p, "dora", "doras first").status == 401
        assert ask(p, "dora", "doras second").status == 200

