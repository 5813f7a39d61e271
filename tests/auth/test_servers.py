"""Servers of directories as `postern status` and the metrics show them; and what RADIUS servers learn of the client."""
import base64
import subprocess
import threading

from directories import BASE, POSTERN, Slapd, free_port
from gate import Client, Rig, ask, directory, gate_site, in_threads, metric
from harness import wait_until
from radius import ACCEPT, SECRET, RadiusResponder, answer

USERS = {"alice": "right horse", "bob": "bobs password"}


def told(proxy, word):
    return wait_until(lambda: word in proxy.said())


def table(proxy):
    done = subprocess.run([POSTERN, "status", "-c", proxy.path], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def server(proxy, url):
    return next(s for s in proxy.status()["directories"] if s["server"] == url)


def test_a_server_that_fails_and_one_that_answers(ad, origin):
    dead, good = "ldaps://127.0.0.1:%d" % free_port(), "ldaps://127.0.0.1:%d" % ad.port
    conf = gate_site(ad, origin.url, more={"servers": [dead, good], "retry_after": "1h"})
    conf["directories"]["unused"] = directory(ad)
    with Rig(conf) as p:
        assert [(s["directory"], s["failed"], s["answers"], s["open"]) for s in p.status()["directories"]] == [
            ("corp", False, 0, 0), ("corp", False, 0, 0), ("unused", False, 0, 0)]
        assert "not asked" in table(p)
        for user in ("alice", "bob"):
            assert ask(p, user, USERS[user]).status == 200
        s = server(p, dead)
        assert s["failed"] and s["answers"] == 0 and s["failures"] == 1 and s["open"] == s["waiting"] == 0
        assert s["fault"] == "unreachable" and "refused" in s["fault_text"].lower() and s["failed_for_s"] < 60
        s = server(p, good)
        assert not s["failed"] and s["answers"] == 2 and s["failures"] == 0 and s["open"] == s["idle"] == 1 and "fault" not in s
        text = table(p)
        assert "failed 0s" in text or "failed 1s" in text or "failed 2s" in text, text
        assert "answers" in text and "unreachable" in text and good in text
        m = p.metrics()
        assert [m["postern_directory_" + x] for x in ("servers", "servers_failed", "connections_open", "connections_idle")] == [3, 1, 1, 1]


def test_who_waits(ad, origin):
    """A directory that hangs: one thread asks, the others wait for it, and all is over in the end."""
    conf = gate_site(ad, origin.url, auth_threads=1, auth_timeout="30s", more={"answer_timeout": "30s"})
    url = "ldaps://127.0.0.1:%d" % ad.port
    with Rig(conf) as p:
        assert ask(p, "alice", "right horse").status == 200
        ad.hung.set()

        def one(i):
            ask(p, "user%d" % i, "whatever", source="127.0.0.%d" % (10 + i))

        def look():
            assert wait_until(lambda: server(p, url)["waiting"] == 1 and metric(p, "auth_running") == 1 and metric(p, "auth_waiting") == 2)
            assert server(p, url)["open"] == 1 and server(p, url)["idle"] == 0
            assert "about 1 passwords now, and 2 wait" in table(p)
            ad.hung.clear()
            ad.close()  # lets go who hangs
        in_threads(4, lambda i: look() if i == 3 else one(i))
        assert wait_until(lambda: metric(p, "auth_running") == metric(p, "auth_waiting") == 0)
        s = server(p, url)
        assert s["waiting"] == 0 and s["open"] == s["idle"]


def test_failover_while_requests_run(origin):
    """Two real servers, one after the other stopped in the middle of it: nobody notices, and both are in use again."""
    first, second = Slapd(), Slapd()
    try:
        urls = ["ldaps://127.0.0.1:%d" % s.tls_port for s in (first, second)]
        conf = gate_site(second, origin.url, guard={"cache_time": "0s"}, more={
            "servers": urls, "bind_as": "uid={user},ou=people,%s" % BASE, "retry_after": "200ms"})
        end, statuses = threading.Event(), []

        def answers(p, url):
            before = server(p, url)["answers"]
            assert wait_until(lambda: server(p, url)["answers"] > before + 5)

        def sign_in(p, i):
            user, password = (("alice", "secret"), ("bob", "word"), ("carol", "word"))[i % 3]
            while not end.is_set():
                with Client(p, source="127.0.0.%d" % (10 + i)) as c:  # these passwords are words that logs may have
                    token = base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
                    statuses.append(c.get("/owa/", [("Authorization", "Basic " + token)]).status)

        with Rig(conf) as p:
            clients = threading.Thread(target=in_threads, args=(3, lambda i: sign_in(p, i)))
            clients.start()
            try:  # on this thread: a server ends with the thread that started it
                answers(p, urls[0])
                first.stop()
                answers(p, urls[1])
                first.start()
                answers(p, urls[0])
                second.stop()
                answers(p, urls[0])
            finally:
                end.set()
                clients.join()
            assert set(statuses) == {200} and len(statuses) > 10
            assert told(p, "PO-AUTH-0001") and told(p, "PO-AUTH-0002")
    finally:
        first.close()
        second.close()


def test_radius(ad, origin, tmp_path):
    """Calling-Station-Id is the client's address."""
    r = RadiusResponder(lambda q, n: [answer(q, ACCEPT)])
    url = "radius://127.0.0.1:%d" % r.port
    (tmp_path / "secret").write_text(SECRET)
    conf = gate_site(ad, origin.url)
    conf["directories"]["corp"] = {"type": "radius", "servers": [url], "secret_file": str(tmp_path / "secret")}
    try:
        with Rig(conf) as p:
            for user, source in (("alice", "127.0.0.9"), ("alice", "127.0.0.8"), ("bob", "127.0.0.8")):
                assert ask(p, user, USERS[user], source=source).status == 200
            assert [q.get(31) for q in r.questions] == [b"127.0.0.9", b"127.0.0.8"]  # alice is known the second time
            assert [q.get(32) for q in r.questions] == [b"postern"] * 2
            s = server(p, url)
            assert s["answers"] == 2 and s["open"] == s["waiting"] == 0
    finally:
        r.close()
