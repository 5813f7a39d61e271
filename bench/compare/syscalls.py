"""System calls of a process and its children while a row runs, by `perf trace`, where it may be used."""
import os
import re
import shutil
import signal
import subprocess
import tempfile


def available():
    if not shutil.which("perf"):
        return False
    tried = subprocess.run(["perf", "trace", "-s", "true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True, check=False)
    return tried.returncode == 0 and "events" in tried.stderr


def tree(pid):
    found = [pid]
    for one in found:
        for task in os.listdir("/proc/%d/task" % one):
            with open("/proc/%d/task/%s/children" % (one, task), encoding="ascii") as text:
                found += [int(child) for child in text.read().split()]
    return found


class Counter:
    """Counts from entry to exit: calls by name, and in all."""

    def __init__(self, pid):
        self.pid, self.calls = pid, {}

    def __enter__(self):
        self.out = tempfile.NamedTemporaryFile("r", suffix=".trace")
        pids = ",".join(str(p) for p in tree(self.pid))
        self.process = subprocess.Popen(["perf", "trace", "-s", "-o", self.out.name, "-p", pids], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        for line in self.out:
            m = re.match(r"\s+([a-z_0-9]+)\s+(\d+)\s+\d+\s", line)
            if m:
                self.calls[m.group(1)] = self.calls.get(m.group(1), 0) + int(m.group(2))
        self.out.close()

    def total(self):
        return sum(self.calls.values())
