"""What is relayed: at once, both ways, in full, in bounded memory. No timing is asserted: where "at once" matters the other side does
not go on before the byte has arrived.
"""
import contextlib
import hashlib
import os
import queue
import signal
import socket
import threading
import time

import pytest
from harness import SLOW, Client, Origin, Proxy, answer, config, server_context, wait_until
from rig import Cas, Rig, Rpc, full_server, in_threads, site

MIB = 1 << 20
GIB = 1 << 30
RPC = "/rpc/rpcproxy.dll?mail.example.com:6001"
EWS = "/ews/exchange.asmx"


class Seam:
    """A backend that the test drives by hand: what it reads goes to `got` piece by piece, what the test puts in `say` it sends."""

    def __init__(self, first=b""):
        self.got, self.say, self.first = queue.Queue(), queue.Queue(), first
        self.heads = []

    def __call__(self, request, wire, sock):
        self.heads.append(request)
        writer = threading.Thread(target=self.write, args=(sock,), daemon=True)
        writer.start()
        if wire.buffer:
            self.got.put(wire.buffer)
            wire.buffer = b""
        try:
            while True:
                data = sock.recv(65536)
                self.got.put(data)
                if not data:
                    break
        except OSError:
            self.got.put(None)
        self.say.put(None)
        writer.join()
        return False

    def write(self, sock):
        data = self.first
        try:
            while data is not None:
                sock.sendall(data)
                data = self.say.get()
        except OSError:
            pass

    def read(self, n):
        data = b""
        while len(data) < n:
            piece = self.got.get(timeout=10 * SLOW)
            assert piece, "the proxy closed"
            data += piece
        assert len(data) == n
        return data


def seam(first=b"", tls=None):
    """(Seam, Origin) whose backend connection is in the test's hands."""
    handler = Seam(first)
    return handler, Origin(handler, tls=tls, read_body=False)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def backend_tls(request):
    return server_context() if request.param else None


# ---- Outlook Anywhere by hand

def head(method, length, target=RPC, more=""):
    return ("%s %s HTTP/1.1\r\nHost: mail.example.com\r\nContent-Length: %d\r\n%s\r\n" % (method, target, length, more)).encode()


def test_rpc_in_data(backend_tls):
    """1 GiB announced; every small write is at the backend before the next one is sent; no answer is normal."""
    handler, origin = seam(tls=backend_tls)
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        client.send(head("RPC_IN_DATA", GIB))
        for i in range(200):
            data = b"%04d" % i * (1 + i % 25)
            client.send(data)
            assert handler.read(len(data)) == data
        assert handler.heads[0].get("Content-Length") == str(GIB)
        assert handler.heads[0].get("Transfer-Encoding") is None


def test_rpc_out_data(backend_tls):
    """Every small write of the backend is at the client before the next one is sent; never in chunks; the phrase is kept."""
    handler, origin = seam(b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: %d\r\n\r\n" % GIB, backend_tls)
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        client.send(head("RPC_OUT_DATA", 76) + b"a" * 76)
        assert handler.read(76) == b"a" * 76
        got = client.head()
        assert (got.line, got.get("Content-Length"), got.get("Transfer-Encoding")) == ("HTTP/1.1 200 Success", str(GIB), None)
        for i in range(200):
            data = b"%04d" % i * (1 + i % 25)
            handler.say.put(data)
            assert client.wire.exactly(len(data)) == data


@pytest.mark.parametrize("method,target,framing", [("RPC_IN_DATA", RPC, "length"), ("POST", EWS, "length"), ("POST", EWS, "chunked")])
def test_full_duplex_on_one_request(method, target, framing, backend_tls):
    """The answer has begun while the request's body still comes; both go on, piece by piece, to their ends."""
    handler, origin = seam(tls=backend_tls)
    rounds, size = 100, 1400 if method == "RPC_IN_DATA" else 40
    chunked = framing == "chunked"
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        more = "Transfer-Encoding: chunked\r\n" if chunked else ""
        text = head(method, rounds * size, target, more)
        client.send(text.replace(b"Content-Length: %d\r\n" % (rounds * size), b"") if chunked else text)
        handler.say.put(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (rounds * size + 3))
        assert client.head().status == 200
        frame = b"%x\r\n" % size if chunked else b""
        end = b"\r\n" if chunked else b""
        for i in range(rounds):
            data = (b"%03d." % i) * (size // 4)
            client.send(frame + data + end)
            assert handler.read(len(frame) + size + len(end)) == frame + data + end
            handler.say.put(data)
            assert client.wire.exactly(size) == data
        if chunked:
            client.send(b"0\r\n\r\n")
            assert handler.read(5) == b"0\r\n\r\n"
        handler.say.put(b"end")
        assert client.wire.exactly(3) == b"end"


def test_whole_outlook_session():
    """Two channels through Postern to the simulated Client Access server, calls and answers over them, many and large."""
    for tls in (False, True):
        with Cas(tls=tls) as cas, Rig(site([cas.url])) as proxy, Rpc(proxy) as rpc:
            for i in range(100):
                rpc.echo(os.urandom(1 + i * 50))
            for i in range(20):
                rpc.send(b"%05d" % i * 200)
            for i in range(20):
                assert rpc.answer()[1] == b"%05d" % i * 200


@pytest.mark.parametrize("who", ["client", "client breaks", "backend", "backend breaks"])
def test_channel_ends(who):
    """Either side may end an IN channel before all was sent; the other side learns it at once and the log tells who it was."""
    handler, origin = seam()
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        client.send(head("RPC_IN_DATA", GIB) + b"a" * 100)
        assert handler.read(100) == b"a" * 100
        if who == "client":
            client.sock.shutdown(socket.SHUT_WR)
        elif who == "client breaks":
            client.reset()
        else:
            with origin.lock:
                sock = next(iter(origin.open))
            if who == "backend breaks":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.shutdown(socket.SHUT_RD)
            else:
                sock.shutdown(socket.SHUT_RDWR)
        if who.startswith("client"):
            assert handler.got.get(timeout=10 * SLOW) in (b"", None)
        else:
            handler.say.put(None)
            assert client.response().status == 502
            assert client.closed()
        line = proxy.access(client=client)
        assert [x["reason"] for x in line] == [{"client": "client_closed", "client breaks": "client_reset", "backend": "backend_closed",
                                                "backend breaks": "backend_reset"}[who]]
        assert line[0]["bytes_in"] == 100


def test_out_channel_half_closes():
    """The backend ends the OUT channel's answer by its length; the connection lives on."""
    handler, origin = seam(b"HTTP/1.1 200 Success\r\nContent-Length: 10\r\n\r\n")
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        client.send(head("RPC_OUT_DATA", 76) + b"a" * 76)
        handler.read(76)
        assert client.head().status == 200
        handler.say.put(b"0123456789")
        assert client.wire.exactly(10) == b"0123456789"
        handler.first = b""
        client.send(head("RPC_OUT_DATA", 76) + b"b" * 76)
        assert b"b" * 76 in handler.read(len(handler.heads[0].raw) + 76)


def test_client_ends_its_side_of_a_finished_request():
    """close_notify after a complete request: the answer still comes."""
    handler, origin = seam()
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        client.send(head("RPC_OUT_DATA", 76) + b"a" * 76)
        handler.read(76)
        client.half_close()
        time.sleep(0.1)
        handler.say.put(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert wait_until(lambda: proxy.access(0, client=client) != [])
        assert [(x["status"], x["bytes_out"]) for x in proxy.access(client=client)] == [(200, 2)]


@pytest.mark.parametrize("began", [False, True], ids=["unanswered", "answering"])
def test_client_that_has_gone_does_not_hold_its_channel(began):
    """Farewell and FIN after a complete request: to TCP a client that has gone looks as one that only ended its side. A server that
    says nothing would never find out."""
    handler, origin = seam(b"HTTP/1.1 200 Success\r\nContent-Length: 1000\r\n\r\n" if began else b"")
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        client.send(head("RPC_OUT_DATA", 76) + b"a" * 76)
        handler.read(76)
        if began:
            assert client.head().status == 200
        client.half_close()
        client.sock.shutdown(socket.SHUT_WR)
        client.sock.close()
        assert handler.got.get(timeout=20 * SLOW) in (b"", None)
        assert wait_until(lambda: proxy.access(0, client=client) != [])
        assert [x["reason"] for x in proxy.access(client=client)] == ["client_closed"]


def test_client_that_is_slow_to_take_its_answer_has_not_gone():
    """It ended its side, and takes nothing for longer than a silent server's channel would live: what is written is still its own."""
    size = 16 * MIB
    handler, origin = seam(b"HTTP/1.1 200 Success\r\nContent-Length: %d\r\n\r\n" % size)
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy, window=65536) as client:
        client.send(head("RPC_OUT_DATA", 76) + b"a" * 76)
        handler.read(76)
        assert client.head().status == 200
        client.half_close()
        handler.say.put(bytes(size))
        time.sleep(13)
        client.sock.setblocking(True)
        while os.read(client.sock.fileno(), MIB):  # this library decrypts nothing after its own close_notify
            pass
        assert wait_until(lambda: proxy.access(0, client=client) != [])
        assert [(x["reason"], x["bytes_out"]) for x in proxy.access(client=client)] == [("ok", size)]


# ---- streams of the other clients

def test_chunks_come_on_time(backend_tls):
    """EWS streaming: each chunk is at the client before the next one leaves the backend."""
    handler, origin = seam(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", backend_tls)
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        client.send(head("POST", 5, EWS) + b"<a/>\n")
        assert client.head().get("Transfer-Encoding") == "chunked"
        chunks = client.wire.chunks()
        for i in range(100):
            handler.say.put(b"8\r\nevent%03d\r\n" % i)
            assert next(chunks) == b"event%03d" % i
        handler.say.put(b"0\r\n\r\n")
        with pytest.raises(StopIteration):
            next(chunks)


def test_until_close_comes_on_time(backend_tls):
    """A body that ends with the connection, from a server that knows no chunks."""
    handler, origin = seam(b"HTTP/1.0 200 OK\r\n\r\n", backend_tls)
    with origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        client.send(head("GET", 0, "/owa/"))
        assert client.head().status == 200
        chunks = client.wire.chunks()
        for i in range(50):
            handler.say.put(b"event%03d" % i)
            assert next(chunks) == b"event%03d" % i


@pytest.fixture(scope="module")
def cas_site():
    with Cas() as cas, Rig(site([cas.url])) as proxy:
        yield cas, proxy


BASIC = ("Authorization", "Basic YW5uYTp4")


def test_ews_stream(cas_site):
    with Client(cas_site[1]) as client:
        client.request("POST", EWS + "?stream=8&interval_ms=100", [BASIC, ("Content-Type", "text/xml")], b"<a/>")
        assert client.head().status == 200
        chunks = list(client.wire.chunks())
        assert len(chunks) >= 8, "chunks were joined"


def test_mapi_pending(cas_site):
    with Client(cas_site[1]) as client:
        client.request("POST", "/mapi/emsmdb/?MailboxId=a@example.com&pending_ms=100&count=4",
                       [BASIC, ("Content-Type", "application/mapi-http"), ("X-RequestType", "NotificationWait"), ("X-RequestId", "a:1")], b"")
        assert client.head().status == 200
        chunks = [c.split(b"\r\n")[0] for c in client.wire.chunks()]
        assert chunks[0] == b"PROCESSING" and chunks.count(b"PENDING") == 4 and chunks[-1].startswith(b"DONE")


def test_ping_is_held_to_its_end(cas_site):
    """Longer than the head's memory is kept; what comes then is whole and in order, and so is the next request."""
    with Client(cas_site[1], timeout=20) as client:
        for i in range(2):
            client.request("POST", "/Microsoft-Server-ActiveSync?Cmd=Ping&User=anna&DeviceId=abc&DeviceType=phone&Heartbeat=2",
                           [BASIC, ("User-Agent", "Phone/1.0"), ("MS-ASProtocolVersion", "14.1")], b"")
            assert client.response().status == 200
        lines = cas_site[1].access(2, client=client)
        assert [(x["status"], x["reason"], x["user"], x["user_agent"], x["path"]) for x in lines] == [
            (200, "ok", "anna", "Phone/1.0", "/microsoft-server-activesync")] * 2
        assert all(x["duration_ms"] >= 1900 for x in lines)


def test_phone_goes_away_during_a_ping(cas_site):
    cas, proxy = cas_site
    with Client(proxy) as client:
        client.request("POST", "/Microsoft-Server-ActiveSync?Cmd=Ping&User=anna&DeviceId=abc&DeviceType=phone&Heartbeat=300", [BASIC], b"")
        assert wait_until(lambda: proxy.metrics()["postern_requests_open"] >= 1)
        client.reset()
        assert [x["reason"] for x in proxy.access(client=client)] == ["client_reset"]
        assert wait_until(lambda: proxy.metrics()["postern_requests_open"] == 0)


# ---- bounded memory

def endless(total):
    """A handler that sends `total` bytes; `.sent` tells how far it came."""
    block = os.urandom(MIB)

    def handler(request, wire, sock):
        handler.sent = 0
        try:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
            while handler.sent < total:
                handler.sent += sock.send(block[:65536])
        except OSError:
            return False
        return None
    handler.sent = 0
    return handler


def settled(value):
    """Waits until it does not change any more."""
    last = [None, 0]

    def same():
        now = value()
        last[1] = last[1] + 1 if now == last[0] else 0
        last[0] = now
        return last[1] >= 20
    assert wait_until(same, 20)
    return last[0]


@pytest.mark.parametrize("readers", [1, 20])
def test_slow_reader_holds_its_buffer_and_no_more(readers, backend_tls):
    """500 MB each, and clients that stop reading: the backend is stopped, and Postern holds at most what it is told to."""
    handler = endless(500 * MIB)
    with Origin(handler, tls=backend_tls) as origin, Proxy(config([origin.url])) as proxy:
        with Client(proxy) as client:  # whatever a first request allocates for good
            client.get("/owa/none", [("Connection", "close")], host="other.example.net")
        before = proxy.memory_kb()
        clients = [Client(proxy) for _ in range(readers)]
        for client in clients:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.request("GET", "/owa/large")
            assert client.head().status == 200
        settled(proxy.memory_kb)
        grown = proxy.memory_kb() - before
        if SLOW == 1:  # a sanitizer keeps what is freed
            assert grown < 1024 + 450 * readers, "client_buffer and backend_buffer are 64 and 256 KB"
        assert handler.sent < 30 * MIB, "the backend was not stopped"
        for client in clients:
            client.close()


def test_slow_reader_gets_it_all(backend_tls):
    total = 30 * MIB
    data = hashlib.sha256()
    block = os.urandom(65536)

    def handler(request, wire, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for i in range(total // len(block)):
            data.update(block[i % 7:] + block[:i % 7])
            sock.sendall(block[i % 7:] + block[:i % 7])
    with Origin(handler, tls=backend_tls) as origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        client.request("GET", "/owa/large")
        client.head()
        digest, got = hashlib.sha256(), 0
        while got < total:
            if got % (4 * MIB) < 65536:
                time.sleep(0.05)
            piece = client.wire.exactly(min(65536, total - got))
            digest.update(piece)
            got += len(piece)
        assert digest.digest() == data.digest()


def push_until_stuck(clients, piece=b"a" * 65536):
    """Sends as much as is taken; how much that was, in all."""
    sent = [0]
    for client in clients:
        client.sock.setblocking(False)

    def push():
        for client in clients:
            try:
                sent[0] += client.sock.send(piece)
            except OSError:
                pass
        return sent[0]
    return settled(push)


def test_slow_backend_stops_the_client():
    """It takes nothing of a large upload: the client is stopped, and Postern holds no more than its buffers."""
    taken = threading.Event()

    def handler(request, wire, sock):
        taken.wait(30 * SLOW)
        return False
    with Origin(handler, read_body=False) as origin, Proxy(config([origin.url])) as proxy:
        before = proxy.memory_kb()
        with Client(proxy) as client:
            client.send(head("POST", 100 * MIB, EWS))
            sent = push_until_stuck([client])
            if SLOW == 1:
                assert proxy.memory_kb() - before < 4096
            assert sent < 30 * MIB
            taken.set()


def swallow(request, wire, sock):
    left = int(request.get("Content-Length")) - len(wire.buffer)
    wire.buffer = b""
    while left:
        left -= len(sock.recv(min(left, MIB)))
    return answer(200)


def test_body_that_nobody_takes_yet_is_held_in_small():
    """A long body that a backend takes is read in larger pieces; the next one on the same connection, for which there is no
    backend yet, waits in client_buffer all the same."""
    clients_n = 8
    mail, full_host = "mail.example.com", "autodiscover.example.com"
    with Origin(swallow, read_body=False) as origin, full_server() as full:
        conf = site([origin.url], limits={"backend_buffer": "1M"})
        conf["backends"]["full"] = dict(conf["backends"]["origin"], servers=[full], connect_timeout="60s")
        conf["publish"].append(dict(conf["publish"][0], hosts=[full_host], to="full"))
        with Rig(conf) as proxy, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(proxy, host=mail, sni="127.0.0.1")) for _ in range(clients_n)]
            for client in clients:
                client.request("POST", EWS, body=bytes(30 * MIB))
                assert client.response().status == 200
            before = settled(proxy.memory_kb)
            proxy.process.send_signal(signal.SIGSTOP)  # so that all of it is there when it reads
            for client in clients:
                client.send(head("POST", 100 * MIB, EWS).replace(mail.encode(), full_host.encode()))
            push_until_stuck(clients)
            proxy.process.send_signal(signal.SIGCONT)
            push_until_stuck(clients)
            if SLOW == 1:
                assert proxy.memory_kb() - before < clients_n * 72, "client_buffer is 64 KB"


# ---- large bodies, whole

SIZE = int(48 * MIB / SLOW)


def bodies(seed, total):
    """The same pieces for the same seed, of odd sizes."""
    block = hashlib.sha256(seed).digest() * 4096
    at = 0
    while at < total:
        n = min(1 + (at * 31 + 77) % 100000, total - at)
        yield block[at % 1000:at % 1000 + n]
        at += n


def digest_of(pieces):
    d = hashlib.sha256()
    for piece in pieces:
        d.update(piece)
    return d.hexdigest().encode()


def mirror(request, wire, sock):
    """GET: a body, by length or in chunks, as the query says. POST: the digest of what came."""
    if request.method == "GET":
        seed = request.target.encode()
        if "chunked" in request.target:
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in bodies(seed, SIZE):
                sock.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
            sock.sendall(b"0\r\n\r\n")
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            for piece in bodies(seed, SIZE):
                sock.sendall(piece)
        return None
    if request.get("Transfer-Encoding"):
        return answer(200, digest_of(wire.chunks()))
    left, d = int(request.get("Content-Length")), hashlib.sha256()
    while left:
        piece = wire.exactly(min(65536, left))
        d.update(piece)
        left -= len(piece)
    return answer(200, d.hexdigest().encode())


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def mirrored(request):
    with Origin(mirror, tls=server_context() if request.param else None, read_body=False) as origin:
        with Proxy(config([origin.url], workers=2)) as proxy:
            yield proxy


def download(proxy, name):
    target = "/owa/" + name
    with Client(proxy, timeout=30) as client:
        client.request("GET", target)
        got = client.head()
        if got.get("Transfer-Encoding"):
            digest = digest_of(client.wire.chunks())
        else:
            left, d = SIZE, hashlib.sha256()
            while left:
                piece = client.wire.exactly(min(65536, left))
                d.update(piece)
                left -= len(piece)
            digest = d.hexdigest().encode()
        assert digest == digest_of(bodies(target.encode(), SIZE))
        line = proxy.access(client=client)[0]
        assert (line["reason"], line["bytes_out"]) == ("ok", SIZE)


def upload(proxy, chunked, seed):
    with Client(proxy, timeout=30) as client:
        field = "Transfer-Encoding: chunked" if chunked else "Content-Length: %d" % SIZE
        client.send(b"POST %s HTTP/1.1\r\nHost: mail.example.com\r\n%s\r\n\r\n" % (EWS.encode(), field.encode()))
        for piece in bodies(seed, SIZE):
            client.send(b"%x\r\n" % len(piece) + piece + b"\r\n" if chunked else piece)
        if chunked:
            client.send(b"0\r\n\r\n")
        assert client.response().body == digest_of(bodies(seed, SIZE))
        assert proxy.access(client=client)[0]["bytes_in"] == SIZE


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_large_download(mirrored, name):
    download(mirrored, name)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_large_upload(mirrored, chunked):
    upload(mirrored, chunked, b"up")


def test_many_at_once(mirrored, monkeypatch):
    """Up and down, by length and in chunks, next to one another: nobody gets a byte of anybody else's."""
    monkeypatch.setitem(globals(), "SIZE", 3 * MIB)

    def work(i):
        if i % 2:
            download(mirrored, ("chunked%d" if i % 4 == 1 else "length%d") % i)
        else:
            upload(mirrored, i % 4 == 0, b"up%d" % i)
    in_threads(16, work)


def test_one_byte_chunks(mirrored, monkeypatch):
    """Ten thousand chunks of one byte each way lose nothing."""
    monkeypatch.setitem(globals(), "SIZE", 10000)
    monkeypatch.setitem(globals(), "bodies", lambda seed, total: (b"%c" % (97 + i % 26) for i in range(total)))
    upload(mirrored, True, b"bytes")
    download(mirrored, "chunked-bytes")


def test_small_answer_is_one_record(mirrored):
    """Head and body of a small answer leave together."""
    with Origin() as origin, Proxy(config([origin.url])) as proxy, Client(proxy) as client:
        for _ in range(5):
            client.request("GET", "/owa/small")
            assert client.sock.recv(65536).endswith(b"origin GET /owa/small")
