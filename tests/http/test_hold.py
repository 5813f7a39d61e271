"""Thousands of held Pings on one worker: what each costs, and that all of it is given back.

POSTERN_TEST_HOLD=N holds N (5000, 1000 with a TLS backend; 300 under a sanitizer). Prints one line with the memory per connection.
"""
import gc
import os
import resource
import socket
import time
import warnings

import pytest

from harness import SLOW, basic, client_context, wait_until
from rig import Cas, Rig, site

HELD = {scheme: int(os.environ.get("POSTERN_TEST_HOLD", n if SLOW == 1 else 300)) for scheme, n in [("http", 5000), ("https", 1000)]}
# Of it, 14.7 KB and as much again on a TLS backend are OpenSSL's, for TLS 1.3 with all that this client offers.
LIMIT_KB = {"http": 17.5, "https": 33.0}
PING = ("POST /Microsoft-Server-ActiveSync?Cmd=Ping&User=anna&DeviceId=phone%d&DeviceType=sim&Heartbeat=3000 HTTP/1.1\r\n"
        "Host: mail.example.com\r\nUser-Agent: Apple-iPhone12C1/1706.72\r\nMS-ASProtocolVersion: 14.1\r\n"
        "Content-Type: application/vnd.ms-sync.wbxml\r\n%s: %s\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    if before[1] < 4 * max(HELD.values()):
        pytest.skip("no more than %d descriptors are allowed here" % before[1])
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connect(proxy, context, i, field):
    raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=60 * SLOW)
    s = context.wrap_socket(raw, server_hostname="mail.example.com")
    s.sendall((PING % ((i,) + field)).encode())
    return s


def held(proxy, n, seconds):
    def all_there():
        m = proxy.metrics()
        return m["postern_requests_open"] == n and m["postern_backend_connections_open"] == n
    return wait_until(all_there, seconds, 0.2)


def settled(proxy, limit_kb):
    if SLOW == 1:
        wait_until(lambda: proxy.memory_kb() < limit_kb, 30, 1)
    return proxy.memory_kb()


def weak_user(proxy):
    """A hash that is cheap to check: thousands arrive at once, and it is not the hashing that is measured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import crypt
    with open(os.path.join(proxy.dir, "users"), "a") as f:
        f.write("anna:%s\n" % crypt.crypt("correct horse", crypt.mksalt(crypt.METHOD_SHA512, rounds=1000)))
    proxy.reload_now()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_hold(scheme):
    n = HELD[scheme]
    conf = site([], directories={"corp": {"type": "user_file", "path": "{dir}/users"}})
    conf["publish"][0]["authenticate"] = {"basic": "corp"}
    conf["flood"] = {"requests_open_per_account": 0}  # one account holds them all
    with Cas(tls=scheme == "https") as cas:
        conf["backends"]["origin"]["servers"] = [cas.url]
        with Rig(conf, users={"nobody": "correct horse"}) as proxy:
            weak_user(proxy)
            field = basic("anna", "correct horse")
            context = client_context()
            first = [connect(proxy, context, i, field) for i in range(20)]
            assert held(proxy, 20, 20)
            for s in first:
                s.close()
            proxy.quiet(idle=False)
            before = proxy.memory_kb()
            phones = [connect(proxy, context, i, field) for i in range(n)]
            assert held(proxy, n, 60)
            time.sleep(25)  # parked after a second; memory is given back within ten, when nobody comes any more
            during = proxy.memory_kb()
            # Still held, and alive: nobody was answered or closed.
            assert held(proxy, n, 1)
            for s in phones:
                s.close()
            del phones
            gc.collect()
            m = proxy.quiet(idle=False, seconds=60)
            assert m['postern_ended_total{reason="ok"}'] == 0
            after = settled(proxy, before + n * 0.6 + 6000)
            each = (during - before) / n
            print("\n{\"held\":%d,\"backend\":\"%s\",\"kb_before\":%d,\"kb_with\":%d,\"kb_after\":%d,\"kb_each\":%.2f}"
                  % (n, scheme, before, during, after, each))
            if SLOW == 1:  # a sanitizer keeps what is freed
                # What stays: the list of devices, and free blocks for the next few.
                assert after < before + n * 0.6 + 6000
                assert each <= LIMIT_KB[scheme]
