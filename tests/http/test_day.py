"""A day of long-lived channels: Pings of 59 minutes, Outlook Anywhere's channels that reach their mark and are replaced, reloads in
between. Nothing is lost.

What is simulated: the hours, by a clock that the test moves (day_clock.py), five minutes at a time; and the mark, 128 KB here where Outlook
has 1 GiB, because a day's worth of gigabytes would take a day. That the arithmetic holds at the true mark is a test of its own, with a true
gigabyte each way. Time-outs and limits are the defaults.
"""
import hashlib
import os
import socket
import ssl

import pytest

from day_clock import DayClock
from harness import SLOW, Client, Origin, wait_until
from rig import Cas, Rig, Rpc, _rts, _u32, site

MINUTE, HOUR = 60, 3600
STEP = 5 * MINUTE
HELD = 59 * MINUTE
MARK = 128 << 10
GIB = 1 << 30
HOURS = int(os.environ.get("POSTERN_TEST_DAY_HOURS", 24))


@pytest.fixture(scope="module")
def clock():
    if SLOW > 1:
        pytest.skip("a sanitizer has clocks and waits of its own")
    with DayClock() as c:
        yield c


class Phone:
    """Pings of 59 minutes, one after the other."""

    def __init__(self, proxy, clock, i):
        self.proxy, self.clock, self.name = proxy, clock, "phone%d" % i
        self.client, self.asked, self.answered, self.connections = None, 0, 0, 0
        self.ping()

    def ping(self):
        if self.client is None:
            self.client = Client(self.proxy, timeout=30)
            self.connections += 1
        self.client.request("POST", "/Microsoft-Server-ActiveSync?Cmd=Ping&User=%s&DeviceId=%s&DeviceType=sim&Heartbeat=%d" %
                            (self.name, self.name, HELD), [("Authorization", "Basic YTph"), ("MS-ASProtocolVersion", "14.1")], body=b"")
        self.asked += 1
        self.due = self.clock.ahead + HELD

    def look(self):
        """Takes the answer if it is due, and asks again; before its time there is none."""
        if self.clock.ahead < self.due:
            self.client.sock.settimeout(0)
            with pytest.raises(ssl.SSLWantReadError):
                self.client.wire.fill()
            self.client.sock.settimeout(30)
            return
        r = self.client.response()
        assert r.status == 200, r.raw
        self.answered += 1
        if r.get("Connection") == "close":
            self.client.close()
            self.client = None
        self.ping()

    def close(self):
        self.client.close()


class Outlook(Rpc):
    """A session that replaces its channels before they are used up, as MS-RPCH 3.2.2.2.3 (IN_R1) and 3.2.2.2.4 (OUT_R1) have it."""

    def __init__(self, proxy, i):
        self.proxy, self.user = proxy, "outlook%d" % i
        super().__init__(proxy, timeout=30, user=self.user, announced=MARK, answers=MARK)
        self.sent = self.got = 200
        self.replaced = {"in": 0, "out": 0}

    def call(self, size):
        if self.sent + size + 16 > MARK:
            self.replace_in()
        if self.got + size + 2048 > MARK:
            self.replace_out()
        self.echo(os.urandom(size))
        self.sent += 16 + size
        self.got += 16 + size + 56  # and flow control

    def pdu(self):
        pdu = super().pdu()
        self.got = getattr(self, "got", 0) + (len(pdu) if pdu[2] == 20 else 0)
        return pdu

    def replace_in(self):
        new, old = os.urandom(16), self.into
        self.into = Client(self.proxy, timeout=30)
        self.channel(self.into, "RPC_IN_DATA", MARK, self.user,
                     _rts(4, [(6, _u32(1)), (3, self.virtual), (3, self.in_cookie), (3, new)]))
        self.in_cookie, self.sent = new, 200
        old.close()
        self.replaced["in"] += 1

    def replace_out(self):
        new, old = os.urandom(16), self.out
        self.out = Client(self.proxy, timeout=30)
        self.channel(self.out, "RPC_OUT_DATA", 120, self.user,
                     _rts(4, [(6, _u32(1)), (3, self.virtual), (3, self.out_cookie), (3, new), (0, _u32(65536)), (8, _u32(16) + bytes(16))]))
        head = self.out.head()
        assert head.status == 200 and head.get("Content-Length") == str(MARK)
        self.got = 200
        assert len(self.pdu()) == 28 and len(self.pdu()) == 44
        self.out_cookie = new
        old.close()
        self.replaced["out"] += 1


def all_arrived(proxy, servers, phones):
    """Waits until the servers hold every Ping that was sent, and nothing else is under way."""
    def arrived():
        return (sum(c.stats()["by_service"]["activesync"] for c in servers) == sum(p.asked for p in phones) and
                proxy.metrics()["postern_requests_open"] == 20 + 16)
    return wait_until(arrived, 30)


def test_day(clock):
    """Twenty phones and eight Outlooks, two servers, a reload every two hours."""
    with Cas("--rpc-length", str(MARK), "--rpc-ping", "60", env=clock.env) as one, \
            Cas("--rpc-length", str(MARK), "--rpc-ping", "60", env=clock.env) as two, \
            Rig(site([one.url, two.url]), env=clock.env) as proxy:
        phones = [Phone(proxy, clock, i) for i in range(20)]
        outlooks = [Outlook(proxy, i) for i in range(8)]
        assert all_arrived(proxy, (one, two), phones)
        connections, steps = proxy.fds(), HOURS * HOUR // STEP
        for step in range(1, steps + 1):
            # A Ping that is still on its way when the clock is moved would be held from a later hour on.
            assert all_arrived(proxy, (one, two), phones), step
            clock.advance(STEP)
            for o in outlooks:
                o.call(2000)
            for p in phones:
                p.look()
            if step % (2 * HOUR // STEP) == 0:
                proxy.reload_now()
        calls = [o.count for o in outlooks]
        # A Ping lasts 59 minutes; the step that sees its end is the twelfth.
        pings = HOURS
        assert [p.answered for p in phones] == [pings] * 20
        assert calls == [steps] * 8
        assert all(o.replaced["in"] >= steps * 2016 // MARK and o.replaced["out"] >= steps * 2016 // MARK for o in outlooks)
        replaced = sum(sum(o.replaced.values()) for o in outlooks)
        assert all_arrived(proxy, (one, two), phones)
        lines = proxy.access(20 * pings + replaced, 30)
        m = proxy.metrics()
        assert m["postern_requests_open"] == 20 + 16 and m["postern_rpc_channels_open"] == 16
        assert proxy.fds() <= connections + 40, "nothing is left of what was replaced"
        held = [x["duration_ms"] for x in lines if x.get("command") == "Ping"]
        assert all(x["device_user"] == x["device"] for x in lines if x.get("command") == "Ping"), "what was parked is still there"
        assert len(held) == 20 * pings and all(HELD <= d / 1000 <= HELD + STEP + 5 for d in held)
        # Nothing ended that was not meant to: Pings by their answer, channels by their owner (a reset, where he left a ping unread).
        gone = {"client_closed", "client_reset"}
        assert {x["reason"] for x in lines} <= gone | {"ok"}
        assert {x["reason"] for x in lines if x.get("command") == "Ping"} == {"ok"}
        assert len([x for x in lines if x["reason"] in gone and x["command"] in ("in", "out")]) == replaced
        # A reload asks for a new connection with the next answer, and nothing else does.
        assert all(p.connections == HOURS // 2 for p in phones), [p.connections for p in phones]
        print("\n%d hours: %d Pings of 59 minutes, %d calls, %d channels replaced, %d reloads; %d KB of memory at the end" %
              (HOURS, len(held), sum(calls), replaced, HOURS // 2, proxy.memory_kb()))
        for x in phones + outlooks:
            x.close()
        proxy.quiet()


def test_silent_channels(clock):
    """A session without calls lives by the server's ping of every minute; without those, the time-out of half an hour ends it."""
    with Cas("--rpc-ping", "60", env=clock.env) as cas, Rig(site([cas.url]), env=clock.env) as proxy:
        with Rpc(proxy, timeout=30) as rpc:
            for _ in range(60):
                clock.advance(STEP / 5)
                assert len(rpc.pdu()) == 20
            # nothing came on IN for an hour: half an hour of it is all that it may be silent
            assert wait_until(lambda: proxy.metrics()["postern_rpc_channels_open"] < 2)
        lines = proxy.access(2)
        assert [x["reason"] for x in lines if x["command"] == "in"] == ["relay_idle"]
        proxy.quiet()


def test_drained_server(clock):
    """A server that is to be taken out of service: its channels go on until they end, new sessions go elsewhere."""
    with Cas(env=clock.env) as one, Cas(env=clock.env) as two, Rig(site([one.url, two.url]), env=clock.env) as proxy:
        def sessions():
            return [c.stats()["by_service"]["rpc"] for c in (one, two)]
        old = [Rpc(proxy, timeout=30, user="user%d" % i) for i in range(8)]
        before = sessions()
        assert sum(before) == 16 and min(before) >= 2
        proxy.conf["backends"]["origin"]["drain"] = [one.url]
        proxy.configure(proxy.conf)
        proxy.reload_now()
        for _ in range(4):
            clock.advance(STEP)
            for rpc in old:
                rpc.echo(b"still there")
        for rpc in old:
            rpc.close()
        new = [Rpc(proxy, timeout=30, user="user%d" % i) for i in range(8)]
        assert sessions() == [before[0], before[1] + 16]
        for rpc in new:
            rpc.echo(b"elsewhere")
            rpc.close()
        proxy.quiet()


# ---- the true mark ----

class Flood:
    """A server that takes, or gives, a gigabyte on a channel; what it took as a digest."""

    def __init__(self, block):
        self.block, self.digest, self.got = block, hashlib.blake2b(), 0

    def __call__(self, request, wire, sock):
        if request.method == "RPC_OUT_DATA":
            wire.exactly(76)
            sock.sendall(b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: %d\r\n\r\n" % GIB)
            for _ in range(GIB // len(self.block)):
                sock.sendall(self.block)
            return True
        self.take(wire.buffer)
        wire.buffer = b""
        room = memoryview(bytearray(1 << 20))
        while self.got < GIB:
            n = sock.recv_into(room[:min(len(room), GIB - self.got)])
            if n == 0:
                return False
            self.take(room[:n])
        return b"HTTP/1.1 200 Success\r\nContent-Length: 2\r\n\r\nok"

    def take(self, data):
        self.digest.update(data)
        self.got += len(data)


@pytest.mark.skipif(SLOW > 1, reason="gigabytes are for programs at full speed")
def test_a_true_gigabyte_each_way():
    """Channels are complete with the last octet of what was announced, not one before or after, and their connections go on."""
    block = os.urandom(1 << 20)
    expected = hashlib.blake2b()
    for _ in range(GIB // len(block)):
        expected.update(block)
    flood = Flood(block)
    with Origin(flood, read_body=False) as origin, Rig(site([origin.url])) as proxy:
        with Client(proxy, timeout=60) as c:
            Rpc.channel(c, "RPC_IN_DATA", GIB, "anna", b"")
            for i in range(GIB // len(block) - 1):
                c.send(block)
            c.send(block[:-1])
            assert wait_until(lambda: flood.got == GIB - 1, 20)
            c.sock.settimeout(0.3)
            with pytest.raises(socket.timeout):
                c.sock.recv(1)  # one is still to come
            c.sock.settimeout(60)
            c.send(block[-1:])
            assert c.response().body == b"ok"
            assert flood.digest.digest() == expected.digest()
            assert proxy.line("/rpc/rpcproxy.dll", c)["bytes_in"] == GIB
        with Client(proxy, timeout=60) as c:
            Rpc.channel(c, "RPC_OUT_DATA", 76, "anna", bytes(76))
            assert c.head().get("Content-Length") == str(GIB)
            digest, got = hashlib.blake2b(), len(c.wire.buffer)
            digest.update(c.wire.buffer)
            room = memoryview(bytearray(1 << 18))
            while got < GIB:
                n = c.sock.recv_into(room)
                assert n > 0
                digest.update(room[:n])
                got += n
            assert got == GIB and digest.digest() == expected.digest()
            assert proxy.line("/rpc/rpcproxy.dll", c)["bytes_out"] == GIB
            assert proxy.end("/rpc/rpcproxy.dll", c) == (200, "ok")
        proxy.quiet()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-s"]))
