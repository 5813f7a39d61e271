"""Thousands of slow heads, bodies and readers at once: one normal user is served all the while, memory stays bounded, and after their
deadlines all of them are gone, each for a counted reason.

POSTERN_TEST_SLOW_ATTACKS=N makes it N in all (5000; 150 under a sanitizer). Prints what the user met before, during and after it. How long
that took is not asserted: a test machine has other things to do.
"""
import os
import resource
import subprocess
import sys
import threading
import time

import pytest

from harness import HERE, SLOW, Client, certs, client_context, wait_until
from rig import Cas, Rig, site

ATTACKERS = int(os.environ.get("POSTERN_TEST_SLOW_ATTACKS", 5000 if SLOW == 1 else 150))
DEADLINE = 45.0 if SLOW == 1 else 30.0  # time enough for all of them to arrive
KINDS = {"heads": "client_timeout", "bodies": "client_slow_body", "readers": "client_slow_read"}
USER = [("Authorization", "Basic YTph")]


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    if before[1] < 3 * ATTACKERS:
        pytest.skip("no more than %d descriptors are allowed here" % before[1])
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Attack:
    """slow_attackers.py at work."""

    def __init__(self, port, heads, bodies, readers, seconds):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "slow_attackers.py"), str(port),
                                         os.path.join(certs(), "root.pem"), str(heads), str(bodies), str(readers), str(seconds)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.there, self.left = None, None  # of each kind
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for line in self.process.stdout:
            word, *numbers = line.decode().split()
            setattr(self, word, [int(n) for n in numbers])

    def over(self):
        return self.process.poll() is not None

    def __enter__(self):
        return self

    def __exit__(self, *a):
        if not self.over():
            self.process.kill()
        self.process.wait()
        self.thread.join(5)
        self.process.stdout.close()


def quantile(times, q):
    return sorted(times)[min(len(times) - 1, int(q * len(times)))]


class User:
    """Small pages, one after the other, every tenth on a connection of its own; how long each took, in ms."""

    def __init__(self, proxy):
        self.proxy, self.context = proxy, client_context()
        self.kept = Client(proxy, timeout=30, context=self.context)

    def page(self, c):
        r = c.get("/owa/bytes?size=1000", USER)
        assert r.status == 200 and len(r.body) == 1000

    def look(self, seconds, until=lambda: False):
        pages, arrivals = [], []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not until():
            for i in range(10):
                started = time.monotonic()
                if i:
                    self.page(self.kept)
                else:
                    with Client(self.proxy, timeout=30, context=self.context) as c:
                        self.page(c)
                (pages if i else arrivals).append(1000 * (time.monotonic() - started))
                time.sleep(0.005)
        return pages, arrivals

    def close(self):
        self.kept.close()


def report(when, looked):
    pages, arrivals = looked
    print("%-8s %5d pages p50 %6.2f p99 %6.2f ms; %4d with a handshake p50 %6.2f p99 %6.2f ms" %
          (when, len(pages), quantile(pages, 0.5), quantile(pages, 0.99), len(arrivals), quantile(arrivals, 0.5),
           quantile(arrivals, 0.99)))


def reasons(proxy):
    m = proxy.metrics()
    return [m['postern_ended_total{reason="%s"}' % r] for r in KINDS.values()]


def test_slow_attacks():
    n = ATTACKERS // 3
    seconds = "%dms" % (1000 * DEADLINE)
    limits = {"head_timeout": seconds, "rate_grace": seconds}
    with Cas() as cas, Rig(site([cas.url], limits=limits)) as proxy:
        user = User(proxy)
        before = user.look(5)
        memory = proxy.memory_kb()
        with Attack(proxy.port, n, n, n, 4 * DEADLINE) as attack:
            while_they_come = user.look(60 * SLOW, lambda: attack.there or attack.over())
            there = attack.there
            assert min(there) >= n // 4, "this machine is too slow for so many"
            assert wait_until(lambda: proxy.metrics()["postern_requests_open"] >= sum(there), 10)
            peak = proxy.memory_kb()
            during = user.look(8)
            peak = max(peak, proxy.memory_kb())
            assert wait_until(attack.over, 3 * DEADLINE, 0.1)
            assert attack.left == [0, 0, 0]
        after = user.look(5)
        print()
        for when, looked in ("before", before), ("coming", while_they_come), ("during", during), ("after", after):
            report(when, looked)
        print("%d attackers of each kind; memory %d KB before, %d KB at most" % (there[0], memory, peak))
        assert reasons(proxy) == there
        assert all(reason in proxy.said() for reason in list(KINDS.values())[1:])
        # Two buffers for a reader, by the configuration; a connection, its head and its backend connection for everybody.
        if SLOW == 1:
            assert peak - memory < n * (64 + 256) + 3 * n * 24 + 8192
        user.close()
        m = proxy.quiet(seconds=30)
        assert m["postern_connections_refused_total"] == 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-s"]))
