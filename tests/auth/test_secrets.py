"""No password, and no hash of one, in a log, a metric, a status or a core of the process."""
import base64
import os
import re
import shutil
import subprocess
import time

import pytest

from directories import BASE
from gate import ActiveDirectory, Client, Origin, Rig, answer, ask, basic, directory, gate_site
from harness import POSTERN, SLOW, server_context, user_file

RIGHT, WRONG, SERVICE, BINDS = "Sesame-Open-77", "Wrong-Guess-88", "Fixed-Account-99", "Search-Account-66"


def mappings(pid):
    """(from, to, whether a core dump would hold it) of what can be written to."""
    at = None
    with open("/proc/%d/smaps" % pid, encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
            if m and "VmFlags" not in line:
                at = (int(m[1], 16), int(m[2], 16), "w" in m[3] and not m[4].startswith("[v"))
            elif line.startswith("VmFlags:") and at[2]:
                yield at[0], at[1], "dd" not in line.split()


def found_in_core(pid, needles):
    hits = []
    with open("/proc/%d/mem" % pid, "rb", 0) as f:
        for start, end, dumped in mappings(pid):
            if not dumped:
                continue
            try:
                f.seek(start)
                data = f.read(end - start)
            except OSError:
                continue
            hits += [(n, data[max(0, data.index(n) - 60):data.index(n) + 60]) for n in needles if n in data]
    return hits


def forms(user, password):
    """A password as it is, and the part of its Basic token that holds it, however long the name before it."""
    token = base64.b64encode(("%s:%s" % (user, password)).encode())
    return [password.encode(), token[4 * ((len(user) + 3) // 3):].rstrip(b"=")[:-1]]


@pytest.fixture
def site(tmp_path):
    ad = ActiveDirectory({"alice": RIGHT, "cn=dora": RIGHT, "cn=search," + BASE: BINDS}, search=lambda base, scope, text: (0, ["cn=dora"]))
    for name, text in (("service", SERVICE), ("binds", BINDS)):
        (tmp_path / name).write_text(text + "\n")
    users = user_file(str(tmp_path / "users"), {"dora": RIGHT})
    with Origin(lambda r, w, s: answer(200, b"ok"), tls=server_context()) as o:
        conf = gate_site(ad, o.url)
        conf["log"]["level"] = "debug"
        conf["directories"]["found"] = directory(ad, bind_dn="cn=search," + BASE, bind_password_file=str(tmp_path / "binds"),
                                                 search_base=BASE, search_filter="(uid={user})")
        del conf["directories"]["found"]["bind_as"]
        conf["directories"]["file"] = {"type": "user_file", "path": users}
        conf["publish"] += [
            {"hosts": ["autodiscover.example.com"], "to": "origin", "authenticate": {"basic": "found"}, "services": ["owa"],
             "delegate": {"user": "svc", "password_file": str(tmp_path / "service")}},
            {"hosts": ["localhost"], "to": "origin", "authenticate": {"basic": "file"}, "services": ["owa"]}]
        yield conf, open(users, "rb").read().strip().split(b":")[1]
    ad.close()


def use(p):
    """Everything that passes a password on: right, wrong, cached, known wrong, kept alive, in pieces, with a body."""
    for user, password in (("alice", RIGHT), ("alice", WRONG), ("alice", RIGHT), ("alice", WRONG), ("bob", WRONG)):
        ask(p, user, password)
    with Client(p) as c:
        for _ in range(3):
            assert c.get("/owa/", [basic("alice", RIGHT)]).status == 200
        c.request("POST", "/owa/x", [basic("alice", RIGHT)], body=b"x" * 70000)
        assert c.response().status == 200
    with Client(p) as c:
        head = ("GET /owa/ HTTP/1.1\r\nHost: mail.example.com\r\n%s: %s\r\n\r\n" % basic("alice", RIGHT)).encode()
        for i in range(0, len(head), 9):
            c.send(head[i:i + 9])
        assert c.response().status == 200
        c.send(head * 3)  # pipelined
        assert [c.response().status for _ in range(3)] == [200] * 3
    for host in ("autodiscover.example.com", "localhost"):
        with Client(p, host=host) as c:
            c.request("GET", "/owa/", [basic("dora", RIGHT)])
            assert c.response().status == 200
    with Client(p) as c:  # never answered: the client goes away
        c.send(("GET /owa/ HTTP/1.1\r\nHost: mail.example.com\r\n%s: %s\r\n" % basic("alice", RIGHT)).encode())


def test_nothing_of_a_password_is_left(site):
    conf, stored = site
    needles = [stored, SERVICE.encode(), BINDS.encode()] + forms("svc", SERVICE)
    for user in ("alice", "bob", "dora"):
        needles += forms(user, RIGHT) + forms(user, WRONG)
    with Rig(conf) as p:
        use(p)
        time.sleep(0.5)
        told = [p.said(), str(p.metrics()), p.ask("status"), p.ask("status accounts"), p.ask("status text")]
        told += [subprocess.run([POSTERN, "show", "config", "-c", p.path], stdout=subprocess.PIPE, check=True,
                                timeout=60 * SLOW).stdout.decode()]
        with open(p.access_path, encoding="utf-8") as f:
            told.append(f.read())
        for text in told:
            assert not [n for n in needles if n.decode() in text]
        if SLOW > 1:
            return  # a sanitizer keeps what was freed
        try:
            assert found_in_core(p.process.pid, needles) == []
        except PermissionError:
            pytest.skip("this user may not look into the process: nobody may")
        if shutil.which("gcore"):
            core = os.path.join(p.dir, "core.%d" % p.process.pid)
            subprocess.run(["gcore", "-o", os.path.join(p.dir, "core"), str(p.process.pid)], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False, timeout=120)
            if os.path.exists(core):
                assert os.path.getsize(core) > 1 << 20
                done = subprocess.run(["grep", "-aoF", "-f", "-", core], input=b"\n".join(needles), stdout=subprocess.PIPE,
                                      check=False)
                assert done.returncode == 1 and done.stdout == b""


def test_the_process_is_not_dumpable(site):
    with Rig(site[0]) as p:
        with open("/proc/%d/limits" % p.process.pid, encoding="ascii") as f:
            cores = [line.split()[4:6] for line in f if line.startswith("Max core file size")]
        if SLOW == 1:
            assert cores == [["0", "0"]]
