#!/usr/bin/env python3
"""The demonstration does what it says: every command that it prints is run as printed. demo_test.py BUILD_FOLDER"""
import os
import re
import shlex
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# what a printed command must contain -> what must be in its answer
WANTED = [
    ("-u demo:.*/owa/", "Inbox of demo"),
    ("OPTIONS", "MS-ASProtocolVersions"),
    ("/owa/ +# no cred", "401 Unauthorized"),
    ("/powershell/", "404 Not Found"),
    ("http://127.0.0.1:[0-9]+/owa/", "Location: https://mail.example.com"),
    ("/metrics", "postern_requests_total 5"),
    (" status -c ", "client_access"),
]


def said(demo):
    """What it prints until it waits for Ctrl-C."""
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    return "".join(lines)


def answer(command):
    words = shlex.split(command, comments=True)
    if words[0] == "curl":
        words[1:1] = ["-sS", "--max-time", "20"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout


def check(text):
    bad = 0
    commands = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    for n, (pattern, wanted) in enumerate(WANTED, 1):
        found = [c for c in commands if re.search(pattern, c)]
        got = answer(found[0]) if found else "no such command in:\n" + text
        good = wanted in got
        bad += not good
        print("%sok %d - %s" % ("" if good else "not ", n, wanted))
        if not good:
            print("# " + got[:2000].replace("\n", "\n# "))
    return bad


def parent_of(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def children(pid):
    """Processes whose parent is `pid`."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and parent_of(int(name)) == pid:
                found.append(int(name))
        except OSError:
            pass
    return found


def programs(pid):
    """The three that stay; what has printed the text may take a moment to end."""
    for _ in range(100):
        found = children(pid)
        if len(found) == 3:
            break
        time.sleep(0.1)
    return found


def in_the_background():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has ignored, for good reason


def start(background=False):
    """`background`: as a shell without job control starts what ends in &."""
    return subprocess.Popen([os.path.join(HERE, "demo"), sys.argv[1]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, start_new_session=True,
                            preexec_fn=in_the_background if background else None)


def ends(number, first=None, background=False):
    """Whether the signal ends all three programs; `first` gets what it prints."""
    demo = start(background)
    bad, left = 0, []
    try:
        text = said(demo)
        bad = first(text) if first else 0
        left = programs(demo.pid)
    finally:
        demo.send_signal(number)
        try:
            status = demo.wait(60)
        except subprocess.TimeoutExpired:
            demo.kill()
            status = "none, but %d" % demo.wait()
    stayed = [p for p in left if os.path.exists("/proc/%d" % p)]
    for pid in stayed:
        os.kill(pid, signal.SIGKILL)
    return bad, status == 0 and len(left) == 3 and not stayed, status


def both():
    """Two that start at the same time: each in a folder of its own, each answers what it has printed."""
    demos = [start(), start()]
    try:
        texts = [said(demo) for demo in demos]
        folders = {folder for text in texts for folder in re.findall(r"(\S+)/postern\.yaml", text)}
        lists = [[line.strip() for line in text.splitlines() if re.search("/owa/ +# no cred", line)] for text in texts]
        answers = [answer(commands[0]) if commands else text for text, commands in zip(texts, lists)]
    finally:
        for demo in demos:
            demo.send_signal(signal.SIGTERM)
        statuses = [demo.wait(60) for demo in demos]
    return len(folders) == 2 and statuses == [0, 0] and all("401 Unauthorized" in a for a in answers), (folders, statuses, answers)


def main():
    print("1..%d" % (len(WANTED) + 5))
    bad, good, status = ends(signal.SIGINT, check)
    print("%sok %d - Ctrl-C ends all three programs, exit status %s" % ("" if good else "not ", len(WANTED) + 1, status))
    for n, number in enumerate((signal.SIGTERM, signal.SIGHUP, signal.SIGINT), len(WANTED) + 2):
        _, ended, status = ends(number, background=True)
        print("%sok %d - %s ends it in the background, exit status %s" % ("" if ended else "not ", n, number.name, status))
        good = good and ended
    two, detail = both()
    print("%sok %d - two at once" % ("" if two else "not ", len(WANTED) + 5))
    if not two:
        print("# " + repr(detail))
    return 1 if bad or not (good and two) else 0


sys.exit(main())
