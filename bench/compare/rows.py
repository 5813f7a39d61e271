"""The rows of the comparison: what is done, what one unit of it is, and what Postern is to reach."""


class Row:
    def __init__(self, key, title, mix, unit="us", operation="request", certificate="ecdsa", backend="plain", quick=False,
                 rounds=None, duration=None, target=None, hold=False, ramp="0s", settle="0s", bytes_each=0, warm_up=None, users=0,
                 untuned=False):
        self.key, self.title, self.mix, self.unit, self.operation = key, title, mix, unit, operation
        self.certificate, self.backend, self.quick, self.rounds, self.duration = certificate, backend, quick, rounds, duration
        # ("nginx" | "haproxy" | "better", factor): at most so many times that peer; ("kb", n), ("share", n): absolute
        self.target = target
        self.hold, self.ramp, self.settle, self.bytes_each, self.warm_up = hold, ramp, settle, bytes_each, warm_up
        self.untuned = untuned  # nginx's buffer for bodies as it comes
        self.users = users  # who sign in with Basic at the proxy, in turn; 0: nobody


def until_open(connections):
    """Their handshakes, at both sides of the proxy, are no part of what is measured."""
    return "1500ms" if connections > 1000 else "1s" if connections > 200 else None


def handshake(certificate, version, resumed, target, quick=False):
    name = "%s %s, TLS %s + request" % ("resumed" if resumed else "full handshake", certificate.upper(), version)
    key = "%s-%s-%s" % ("resumed" if resumed else "full", certificate, version)
    mix = "{kind: handshake, clients: 16, tls: '%s', resume: %s}" % (version, "true" if resumed else "false")
    return Row(key, name, mix, certificate=certificate, quick=quick, target=target)


def request(clients, backend, target=None, quick=False, rate=None):
    how = "at %d/s" % rate if rate else "%d connections" % clients
    name = "1 KB request, %s, %s backend" % (how, backend_name(backend))
    mix = "{kind: request, clients: %d%s}" % (clients, ", rate: %d" % rate if rate else "")
    key = "request-%s-%s" % ("rate" if rate else clients, backend)
    return Row(key, name, mix, backend=backend, quick=quick, target=target, warm_up=until_open(clients))


def signed_in(clients, users):
    """Each proxy asks for Basic: Postern answers from its credential cache, the others have no such thing and get what is
    cheapest for them to compare with."""
    return Row("basic-%d" % clients, "1 KB request with Basic checked at the proxy, %d connections" % clients,
               "{kind: request, clients: %d}" % clients, quick=True, users=users)


def transfer(kind, megabytes, backend, target=None, quick=False, untuned=False):
    name = "%d MB %s, %s backend%s" % (megabytes, kind, backend_name(backend), ", nginx's buffer as it comes" if untuned else "")
    mix = "{kind: %s, clients: 8, size: %dM}" % (kind, megabytes)
    return Row("%s-%d-%s%s" % (kind, megabytes, backend, "-untuned" if untuned else ""), name, mix, unit="s/GB", operation=kind,
               backend=backend, quick=quick, target=target, bytes_each=megabytes << 20, untuned=untuned)


def rpc(pairs, backend="plain", target=None, quick=False):
    name = "RPC round trip, %d pair%s, %s backend" % (pairs, "" if pairs == 1 else "s", backend_name(backend))
    return Row("rpc-%d-%s" % (pairs, backend), name, "{kind: rpc, clients: %d}" % pairs, operation="round trip",
               backend=backend, quick=quick, target=target, ramp="500ms" if pairs >= 100 else "0s", warm_up=until_open(2 * pairs))


def held(kind, clients, backend, title, target, quick):
    mix = "{kind: %s, clients: %d%s}" % (kind, clients, ", heartbeat: 1h" if kind == "ping" else "")
    return Row("%s-%d-%s" % (kind, clients, backend), title, mix, unit="KB", backend=backend, quick=quick, target=target,
               hold=True, ramp="%dms" % max(1500, clients * 5 // 4), settle="10s" if kind == "ping" else "6s",
               duration="500ms", warm_up="3s", rounds=1)


def backend_name(backend):
    return {"plain": "plain", "tls12": "TLS 1.2", "tls13": "TLS"}[backend]


def rows(quick, descriptors):
    # Two descriptors for each held request; HAProxy sets aside as many for idle connections too. Some are needed otherwise.
    pings = 1000 if quick else min(10000, (descriptors - 300) // 2)
    idle = 2000 if quick else pings
    every = [
        handshake("ecdsa", "1.3", False, ("nginx", 0.85), True),
        handshake("ecdsa", "1.2", False, ("nginx", 0.95)),
        handshake("rsa", "1.3", False, None),
        handshake("rsa", "1.2", False, None),
        handshake("ecdsa", "1.3", True, ("nginx", 0.87), True),
        handshake("ecdsa", "1.2", True, ("nginx", 0.85)),
        request(64, "plain", ("nginx", 0.70), True),
        request(64, "tls13", ("nginx", 0.70), True),
        request(512, "plain"),
        request(512, "tls13"),
        request(512, "plain", rate=2000),
        request(512, "tls13", rate=2000),
        signed_in(64, 16),
        transfer("download", 1, "plain"),
        transfer("download", 10, "plain", ("nginx", 0.85), True),
        transfer("download", 10, "tls13", ("nginx", 0.85)),
        transfer("upload", 10, "plain", ("nginx", 0.72), True),
        transfer("upload", 10, "tls13", ("nginx", 0.72)),
        # As the aims were set: nginx sends a body on in pieces of this buffer, which few know to raise.
        transfer("upload", 10, "plain", ("nginx", 0.72), untuned=True),
        transfer("upload", 10, "tls13", ("nginx", 0.72), untuned=True),
        rpc(1),
        rpc(100, target=("better", 0.80), quick=True),
        rpc(1000, target=("better", 0.80)),
        rpc(100, "tls13"),
        held("ping", pings, "plain", "%d held Pings, plain backend" % pings, ("kb", 15.5), True),
        held("ping", pings, "tls12", "%d held Pings, TLS 1.2 backend" % pings, ("kb", 29), False),
        held("idle", idle, "plain", "%d idle keep-alive connections" % idle, ("kb", 14.5), True),
    ]
    return [r for r in every if r.quick or not quick]
