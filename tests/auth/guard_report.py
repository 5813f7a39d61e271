#!/usr/bin/python3
"""Measures what the guard does and prints it as Markdown: what a directory hears of attacks and old phones, how long failures take, what
others notice while a directory hangs, and what a known password costs. POSTERN names the program, POSTERN_CERTS the certificates of
make-certs, POSTERN_LOAD and POSTERN_CAS the load generator and the simulated server; the last part counts with valgrind too.

usage: guard_report.py [heard] [timing] [hanging] [cost] (default: all)

Nothing here passes or fails; test_guard.py does that. Takes some minutes.
"""
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from gate import EAS, ActiveDirectory, Client, Rig, ask, basic, echo_origin, gate_site, in_threads, metric
from harness import client_context
from rig import Cas

USERS = {"alice": "right horse", "bob": "bobs password", "carol": "carols password"}
DEFAULTS = {"failure_time": "500ms", "failure_jitter": "250ms"}
QUICK = {"failure_time": "20ms", "failure_jitter": "10ms"}


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))]


def table(title, head, rows):
    print("\n%s\n\n| %s |\n|%s|" % (title, " | ".join(head), "|".join(["---"] * len(head))))
    for row in rows:
        print("| %s |" % " | ".join(str(x) for x in row), flush=True)


class Scene:
    """A gate in front of a directory that locks an account after ten failures."""

    def __init__(self, passwords=None, guard=QUICK, ad=None, launcher=(), **conf):
        self.ad, self.origin = ActiveDirectory(passwords or USERS, **(ad or {})), echo_origin()
        self.proxy = Rig(gate_site(self.ad, self.origin.url, guard, **conf), launcher=launcher)

    def __enter__(self):
        return self.ad, self.proxy

    def __exit__(self, *a):
        self.proxy.stop()
        self.origin.close()
        self.ad.close()

    def row(self, what, attempts, before=0):
        return what, "{:,}".format(attempts), self.ad.asked() - before, max(self.ad.failures.values()), len(self.ad.locked)


def nobody(user):
    return "what nobody knows"


def old_phone():
    scene = Scene()
    with scene as (ad, p):
        def phone(i):
            with Client(p) as c:
                for _ in range(200):
                    c.request("POST", EAS, [basic("alice", "old password")], body=b"")
                    c.response()
        in_threads(50, phone)
        return scene.row("10,000 requests of a phone with an old password", 10000)


def spray():
    scene = Scene(nobody)
    with scene as (ad, p):
        def one(i):
            with Client(p, source="127.0.0.66") as c:
                for k in range(i, 1000, 10):
                    c.get("/owa/", [basic("user%04d" % k, "Winter2024!")])
        in_threads(10, one)
        return scene.row("one password at 1,000 accounts, from one address", 1000)


def slow_spray(accounts):
    scene = Scene(nobody)
    with scene as (ad, p):
        def one(i):
            with Client(p, source="127.0.2.%d" % i) as c:
                for k in range(accounts):
                    c.get("/owa/", [basic("user%03d.%d" % (i, k), "Winter2024!")])
        for first in range(1, 101, 10):
            in_threads(10, lambda i: one(first + i))
        return scene.row("one password at %d accounts each, from 100 addresses" % accounts, 100 * accounts)


def one_account():
    scene = Scene()
    with scene as (ad, p):
        assert ask(p, "alice", "right horse", EAS, "127.0.0.5", "POST").status == 200
        owner, end = [], threading.Event()

        def attack(i):
            with Client(p, source="127.0.3.%d" % (i + 1)) as c:
                for k in range(20):
                    c.get("/owa/", [basic("alice", "guess %d.%d" % (i, k))])

        def own():
            while not end.is_set():
                owner.append(ask(p, "alice", "right horse", EAS, "127.0.0.5", "POST").status)
        t = threading.Thread(target=own)
        t.start()
        in_threads(50, attack)
        end.set()
        t.join()
        what = "1,000 passwords at one account, from 50 addresses; the owner meanwhile: %d requests, %d served" % (
            len(owner), owner.count(200))
        return scene.row(what, 1000, 1)


def herd():
    scene = Scene(ad={"delay": 0.2})
    with scene as (ad, p):
        context = client_context()

        def one(i):
            with Client(p, context=context) as c:
                for _ in range(5):
                    c.get("/owa/", [basic("alice", "right horse")])
        in_threads(100, one)
        return scene.row("100 clients of one account at once, five requests each", 500)


def heard():
    table("What the directory hears:",
          ["what comes", "attempts", "look-ups", "most failures of one account", "accounts that the directory locks after ten"],
          [old_phone(), spray(), slow_spray(3), slow_spray(10), one_account(), herd()])


KINDS = [("no such account", "/owa/", lambda i: ("nobody%d" % i, "a password")),
         ("wrong password", "/owa/", lambda i: ("bob", "guess %d" % i)),
         ("wrong, and known to be", "/owa/", lambda i: ("bob", "guess 0")),
         ("account locked", "/owa/", lambda i: ("carol", "right or not")),
         ("account locked, a phone", EAS, lambda i: ("carol", "right or not")),
         ("empty password", "/owa/", lambda i: ("bob", ""))]


def timed(p, name, path, make):
    took, statuses = [], set()

    def one(i):
        r = ask(p, *make(i), path, "127.0.4.%d" % (i + 1), "POST" if path == EAS else "GET")
        took.append(r.seconds * 1000)
        statuses.add(r.status)
    for first in range(0, 60, 3):
        in_threads(3, lambda i: one(first + i))
        if name == "wrong password":  # before its fourth failure locks it
            p.ask("unlock -- bob")
            ask(p, "bob", "guess 0", source="127.0.4.250")
            p.ask("status")
    return name, ", ".join(str(s) for s in sorted(statuses)), took


def distance(a, b):
    """Of Kolmogorov and Smirnov: the most by which the shares of two samples below any value differ."""
    return max(abs(sum(x <= v for x in a) / len(a) - sum(x <= v for x in b) / len(b)) for v in a + b)


def timing():
    exempt = dict(DEFAULTS, strange_failures=0)
    with Scene(guard=exempt, ad={"delay": 0.03, "threshold": 1000}) as (ad, p):
        for i in range(4):
            ask(p, "carol", "guess %d" % i, source="127.0.0.66")
        samples = [timed(p, *kind) for kind in KINDS]
    wrong = next(took for name, _, took in samples if name == "wrong password")
    rows = [[name, status] + ["%.0f" % percentile(took, q) for q in (0, .25, .5, .75, 1)] + ["%.2f" % distance(took, wrong)]
            for name, status, took in samples]
    table("How long a failure takes, in ms, with the defaults; the directory answers after 30 ms; 60 of each. The last column is the distance of "
          "Kolmogorov and Smirnov from a wrong password: up to %.2f is chance in 95 of 100 cases:" % (1.358 * (2 / 60) ** .5),
          ["failure", "status", "least", "25 %", "50 %", "75 %", "most", "distance"], rows)


def stream(p, n):
    took = []
    with Client(p) as c:
        for _ in range(n):
            started = time.monotonic()
            assert c.get("/owa/", [basic("alice", "right horse")]).status == 200
            took.append((time.monotonic() - started) * 1000)
    return took


def hanging():
    rows = []
    with Scene(auth_timeout="5s") as (ad, p):
        ask(p, "alice", "right horse")
        for name in ("answers", "hangs, and 200 sign-ins wait for it"):
            waiting = []
            if name != "answers":
                ad.hung.set()
                waiting = [threading.Thread(target=ask, args=(p, "user%d" % i, "whatever", EAS, "127.0.5.%d" % (i + 1), "POST"),
                                            daemon=True) for i in range(200)]
                for t in waiting:
                    t.start()
                time.sleep(1.5)
            took = stream(p, 1000)
            rows.append([name] + ["%.2f" % percentile(took, q) for q in (.5, .99, 1)] + [metric(p, "auth_asked_total")])
            for t in waiting:
                t.join(30)
    table("Requests of somebody who has signed in, one after the other on one connection, in ms:",
          ["the directory", "50 %", "99 %", "most", "look-ups so far"], rows)


# ---- what a known password costs ----

LOAD = os.environ.get("POSTERN_LOAD", os.path.join("build", "bench", "load", "postern-load"))
SCENARIO = """\
target: https://127.0.0.1:%d
host: mail.example.com
user: user%%
password: password%%
users: 16
tags: false
warm_up: 3s
duration: 5s
mix:
  - {kind: request, clients: 16}
"""
SAME = [("not asked for", "none"), ("Basic, known to be right", {"basic": "corp"})]


def number_of(user):
    return "password" + user[len("user"):]


def load(authenticate):
    """CPU time of the proxy for one request in us, requests a second, latencies in us, look-ups."""
    with tempfile.TemporaryDirectory() as folder, Cas() as cas:
        ad = ActiveDirectory(number_of)
        conf = gate_site(ad, cas.url, QUICK, publish={"authenticate": authenticate}, flood={"requests_per_minute_per_account": 0})
        with Rig(conf) as p:
            with open(os.path.join(folder, "scenario.yaml"), "w", encoding="utf-8") as f:
                f.write(SCENARIO % p.port)
            result = os.path.join(folder, "result.json")
            done = subprocess.run([LOAD, "--quiet", "--json", result, "--measure", "proxy=%d" % p.process.pid, f.name],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            assert done.returncode == 0, done.stdout
            with open(result, encoding="utf-8") as f:
                r = json.load(f)
            asked = metric(p, "auth_asked_total")
        ad.close()
    all_, cpu = next(o for o in r["operations"] if o["operation"] == "request"), r["processes"][0]["cpu_s"]
    return cpu / all_["done"] * 1e6, all_["done"] / r["measured_s"], all_["latency_us"]["p50"], all_["latency_us"]["p99"], asked


def counted(authenticate, n):
    """Instructions of a proxy that has served n requests on one connection."""
    folder, total = tempfile.mkdtemp(), 0
    scene = Scene(publish={"authenticate": authenticate}, launcher=["valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=%s/%%p" % folder])
    with scene as (_, p), Client(p, timeout=60) as c:
        for _ in range(n):
            assert c.get("/owa/", [basic("alice", "right horse")]).status == 200
    for name in glob.glob(os.path.join(folder, "*")):
        with open(name, encoding="utf-8") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("totals:"))
    shutil.rmtree(folder)
    return total


def cost():
    if os.access(LOAD, os.X_OK):
        rounds = {name: [] for name, _ in SAME}
        for _ in range(7):
            for name, authenticate in SAME:
                rounds[name].append(load(authenticate))
        rows = [[name] + ["%.1f" % statistics.median(r[0] for r in rounds[name]), "%.1f to %.1f" % (
            min(r[0] for r in rounds[name]), max(r[0] for r in rounds[name]))] + [
                "{:,.0f}".format(statistics.median(r[i] for r in rounds[name])) for i in (1, 2, 3, 4)] for name, _ in SAME]
        table("The same requests from 16 clients as fast as they go, with the same credentials; medians of seven rounds in turn:",
              ["the password is", "CPU time of a request, us", "least to most", "requests a second", "50 %, us", "99 %, us", "look-ups"], rows)
    if shutil.which("valgrind"):
        rows = [[name, "{:,.0f}".format((counted(authenticate, 1100) - counted(authenticate, 100)) / 1000)] for name, authenticate in SAME]
        table("Instructions of a request outside the kernel, by callgrind, which knows no SHA instructions:", ["the password is", "instructions"], rows)


PARTS = {"heard": heard, "timing": timing, "hanging": hanging, "cost": cost}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
