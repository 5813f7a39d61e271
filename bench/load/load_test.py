#!/usr/bin/env python3
"""postern-load against the simulated Client Access server: every kind of client works, and what is wrong is told."""
import fcntl
import json
import os
import pty
import re
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import termios
import threading
import unittest

LOAD, CAS, MAKE_CERTS = os.environ["POSTERN_LOAD"], os.environ["POSTERN_CAS"], os.environ["POSTERN_MAKE_CERTS"]
SLOW = float(os.environ.get("POSTERN_TEST_SLOW", "1"))

ALL = """
  - {kind: request, clients: 4}
  - {kind: download, clients: 1, size: 3M}
  - {kind: upload, clients: 1, size: 3M}
  - {kind: handshake, clients: 2}
  - {kind: idle, clients: 3}
  - {kind: owa, clients: 2, delay: 200ms, resources: 3}
  - {kind: activesync, clients: 2, heartbeat: 1s, query: both}
  - {kind: ping, clients: 2, heartbeat: 1s, query: both}
  - {kind: rpc, clients: 2, count: 3, size: 5000}
  - {kind: rpc, label: short, clients: 1, count: 2, size: 24-9000, round_trips: 5, echo: true}
  - {kind: rpc, label: paced, clients: 2, interval: 40ms, size: 65000}
  - {kind: mapi, clients: 1, interval: 60ms}
  - {kind: ews, clients: 1, interval: 60ms, count: 4}
  - {kind: autodiscover, rate: 50}
"""


class Server:
    """The simulated server on a port of its own, until the end of the block."""

    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.process = subprocess.Popen([CAS, "--listen", "127.0.0.1:0", *self.options], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[1]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.process.stdout.close()


class Peers:
    """A server that answers everything, until the end of the block, and keeps the addresses that asked and the hosts asked for."""

    def __init__(self, host, port=0, context=None):
        self.addresses, self.hosts, self.context = [], [], context
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, port), family=family, backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = "%s://%s:%d" % ("https" if context else "http", "[%s]" % host if ":" in host else host, self.port)
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def serve(self):
        while True:
            try:
                peer, address = self.listener.accept()
            except OSError:
                return
            self.addresses.append(address[0])
            try:
                with self.context.wrap_socket(peer, server_side=True) if self.context else peer as peer:
                    self.answer(peer)
            except OSError: # the client went away
                pass

    def answer(self, peer):
        asked = re.search(rb"Host: (\S+)\r\n(?:.*\r\n)*(X-Load-Tag: \w+)", peer.recv(65536))
        if asked:
            self.hosts.append(asked.group(1).decode())
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\n\r\nok" % asked.group(2))
            if self.context:
                peer.unwrap()


class Runs(unittest.TestCase):
    """What every test of the load generator needs."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def start(self, url, mix, *options, top=""):
        path = os.path.join(self.folder.name, "scenario.yaml")
        with open(path, "w", encoding="ascii") as out:
            out.write("target: %s\nhost: mail.example.com\nduration: %dms\ntimeout: 20s\n%s\nmix:\n%s\n" %
                      (url, 400 * SLOW, top, mix))
        self.result = os.path.join(self.folder.name, "result.json")
        return subprocess.Popen([LOAD, "--quiet", "--json", self.result, *options, path], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def run_load(self, url, mix, *options, status=0, top=""):
        return self.ended(self.start(url, mix, *options, top=top), status)

    def ended(self, process, status):
        self.output = process.communicate()[0]
        self.assertEqual(process.returncode, status, self.output)
        with open(self.result, encoding="utf-8") as text:
            return json.load(text)

    def of(self, result, entry, operation):
        return next(o for o in result["operations"] if (o["entry"], o["operation"]) == (entry, operation))

    def refused(self, target, sources, text):
        path = os.path.join(self.folder.name, "refused.yaml")
        with open(path, "w", encoding="ascii") as out:
            out.write("target: '%s'\nmix:\n  - {kind: request, clients: 1, sources: '%s'}\n" % (target, sources))
        done = subprocess.run([LOAD, "--check", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 2, sources)
        self.assertEqual(done.stdout, "%s:3:%d: error: %s\n" % (path, 42, text))


class Load(Runs):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.certs = os.path.join(cls.folder.name, "certs")
        subprocess.run([MAKE_CERTS, cls.certs], check=True, stdout=subprocess.DEVNULL)

    def tls(self):
        return ["--tls", os.path.join(self.certs, "san-ecdsa.pem"), os.path.join(self.certs, "san-ecdsa.key")]

    def all_kinds(self, url):
        result = self.run_load(url, ALL, "--duration", "%dms" % (2500 * SLOW), top="warm_up: 100ms\nramp_up: 100ms")
        started = {"connect", "OUT channel", "IN channel", "OPTIONS", "Provision", "FolderSync"}
        for o in result["operations"]:
            self.assertEqual(o["errors"], {})
            if o["operation"] not in started and o["entry"] != "idle" and (o["operation"] != "echo" or o["entry"] == "short"):
                self.assertGreater(o["done"], 0, o["entry"] + ": " + o["operation"])
        held = {(o["entry"], o["operation"]) for o in result["operations"] if o["held"]}
        self.assertEqual(held, {("owa", "long poll"), ("activesync", "Ping"), ("ping", "Ping"), ("ews", "subscription"), ("mapi", "wait")})
        self.assertGreater(self.of(result, "download", "download")["bytes_in"], 3 << 20)
        self.assertGreater(self.of(result, "upload", "upload")["bytes_out"], 3 << 20)
        self.assertGreaterEqual(result["connections"]["held"], 10)

    def test_all_kinds_plain(self):
        with Server("--no-auth") as server:
            self.all_kinds(server.url)

    def test_all_kinds_tls(self):
        with Server("--no-auth", *self.tls()) as server:
            self.all_kinds(server.url)

    def test_threads(self):
        with Server("--no-auth", "--workers", "2", *self.tls()) as server:
            result = self.run_load(server.url, "  - {kind: request, clients: 7}\n  - {kind: rpc, clients: 3}", "--threads", "3")
        self.assertEqual(result["threads"], 3)
        self.assertEqual(result["connections"]["held"], 13)

    def test_resumption(self):
        for version in ("1.2", "1.3"):
            mix = "  - {kind: handshake, clients: 2, resume: %s, tls: '" + version + "'}"
            with Server("--no-auth", *self.tls()) as server:
                resumed = self.run_load(server.url, mix % "true", "--duration", "%dms" % (900 * SLOW))["connections"]
                full = self.run_load(server.url, mix % "false")["connections"]
            self.assertGreater(resumed["resumed"], 2)
            self.assertGreaterEqual(resumed["resumed"], resumed["opened"] - 4)
            self.assertEqual(full["resumed"], 0)

    def test_verification(self):
        trust = "trust: %s" % os.path.join(self.certs, "root.pem")
        wrong = ["--tls", os.path.join(self.certs, "wrong-name.pem"), os.path.join(self.certs, "wrong-name.key")]
        with Server("--no-auth", *self.tls()) as server:
            self.run_load(server.url, "  - {kind: request, clients: 1}", top=trust)
        with Server("--no-auth", *wrong) as server:
            self.run_load(server.url, "  - {kind: request, clients: 1}")
            result = self.run_load(server.url, "  - {kind: request, clients: 1}", top=trust, status=1)
        self.assertIn("tls", self.of(result, "request", "connect")["errors"])

    def test_an_address_as_name(self):
        """Host has the brackets of an IPv6 address; SNI has no addresses at all (RFC 6066 3); the certificate is for the address."""
        def hello(tls, name, context):
            seen.append(name)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.tls()[1:])
        context.sni_callback = hello
        path = os.path.join(self.folder.name, "address.yaml")
        for address, host, sni, field in (("127.0.0.1", None, None, "127.0.0.1"), ("::1", None, None, "[::1]"), ("::1", "::1", None, "[::1]"),
                                          ("127.0.0.1", "[::1]", None, "[::1]"), ("::1", "mail.example.com", "mail.example.com", "mail.example.com"),
                                          ("127.0.0.1", "wrong.example.com", "wrong.example.com", None), ("127.0.0.1", "192.0.2.7", None, None)):
            seen = []
            with Peers(address, context=context) as peers:
                with open(path, "w", encoding="ascii") as out:
                    out.write("target: %s\ntrust: %s/root.pem\nduration: 200ms\n" % (peers.url, self.certs))
                    out.write("%smix:\n  - {kind: handshake, clients: 1, size: 0, think: 20ms}\n" % ("host: '%s'\n" % host if host else ""))
                done = subprocess.run([LOAD, "--quiet", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual((done.returncode, set(seen)), (0 if field else 1, {sni}), done.stdout)
            self.assertEqual(set(peers.hosts), {field} if field else set(), (address, host))

    def test_credentials(self):
        names = "user: person%\npassword: secret%\nusers: 2"
        with Server("--user", "person0:secret0", "--user", "person1:secret1") as server:
            self.run_load(server.url, "  - {kind: owa, clients: 4, delay: 10ms}\n  - {kind: wrong_password, clients: 1}", top=names)
            result = self.run_load(server.url, "  - {kind: owa, clients: 1, delay: 10ms}", status=1)
        self.assertIn("status", self.of(result, "owa", "page")["errors"])

    def fault(self, path, fault, operation="request", **options):
        extra = "".join(", %s: %s" % x for x in options.items())
        with Server("--no-auth") as server:
            result = self.run_load(server.url, "  - {kind: request, clients: 1, path: %s%s}" % (path, extra), status=1)
        self.assertEqual(list(self.of(result, "request", operation)["errors"]), [fault], path)
        self.assertEqual(self.of(result, "request", operation)["done"], 0, path)

    def test_faults_are_told(self):
        self.fault("/sim/reset", "reset", size=0)
        self.fault("/sim/half-head", "closed", size=0)
        self.fault("/sim/garbage", "head", size=0)
        self.fault("/sim/truncated", "closed", size=0)
        self.fault("/sim/bad-chunk", "head", size=0)
        self.fault("/sim/dup-length", "head", size=0)
        self.fault("/nowhere", "status", size=0)

    def test_wrong_answers_are_told(self):
        with Server("--no-auth") as server:
            result = self.run_load(server.url, "  - {kind: request, clients: 1, path: /owa/}", status=1)
            self.assertEqual(list(self.of(result, "request", "request")["errors"]), ["length"])
            result = self.run_load(server.url, "  - {kind: upload, clients: 1, path: /owa/sink, size: 100}", status=1)
            self.assertIn(list(self.of(result, "upload", "upload")["errors"]), (["length"], ["content"]))

    def test_report_names_what_came_instead(self):
        with Server("--no-auth") as server:
            result = self.run_load(server.url, "  - {kind: request, clients: 1, path: /nowhere, size: 0}", status=1, top="ramp_up: 200ms")
        o = self.of(result, "request", "request")
        self.assertEqual(o["statuses"], {"404": o["errors"]["status"]})
        self.assertIn("another status than expected: 404 (%d)" % o["errors"]["status"], self.output)
        self.assertEqual(result["reasons"]["status"], "another status than expected")
        self.assertEqual(result["mix"], [{"label": "request", "kind": "request", "clients": 1, "rate": 0}])
        self.assertFalse(result["rows"][0]["measured"])
        self.assertTrue(result["rows"][-1]["measured"])

    def test_rows_add_up(self):
        with Server("--no-auth") as server:
            result = self.run_load(server.url, "  - {kind: request, clients: 2}", "--duration", "2200ms")
        done = sum(r["all"][0] for r in result["rows"])
        self.assertAlmostEqual(done, self.of(result, "request", "request")["done"], delta=done * 0.1)
        for row in result["rows"]:
            self.assertEqual(row["all"][2:], sorted(row["all"][2:]))
            self.assertGreater(row["all"][2], 0)

    def test_doubts_are_told(self):
        with Server("--no-auth") as server:
            behind = self.run_load(server.url, "  - {kind: request, clients: 1, rate: 30, delay: 300ms}")
            self.assertIn("had not begun", self.output)
            calm = self.run_load(server.url, "  - {kind: request, clients: 1, think: 50ms}")
        self.assertTrue(any("had not begun" in text for text in behind["doubts"]))
        self.assertEqual(calm["doubts"], [])

    def test_certificate_is_chosen(self):
        both = [*self.tls(), "--tls", os.path.join(self.certs, "san.pem"), os.path.join(self.certs, "san.key")]
        mix = "  - {kind: handshake, clients: 1, tls: '%s', certificate: %s}"
        for version in ("1.2", "1.3"):
            for key in ("rsa", "ecdsa"):
                with Server("--no-auth", *both) as server:
                    self.run_load(server.url, mix % (version, key), "--duration", "200ms")
            with Server("--no-auth", *self.tls()) as server:
                self.run_load(server.url, mix % (version, "ecdsa"), "--duration", "200ms")
                result = self.run_load(server.url, mix % (version, "rsa"), "--duration", "200ms", status=1)
            self.assertEqual(list(self.of(result, "handshake", "connect")["errors"]), ["tls"])

    def test_credentials_file(self):
        path = os.path.join(self.folder.name, "people")
        with open(path, "w", encoding="ascii") as out:
            out.write("# who\nalice:one:two\r\n\nbob:three\n")
        top = "credentials: " + path
        with Server("--user", "alice:one:two", "--user", "bob:three") as server:
            self.run_load(server.url, "  - {kind: request, clients: 5}\n  - {kind: wrong_password, clients: 2}", top=top)
        with Server("--user", "alice:one:two") as server:
            result = self.run_load(server.url, "  - {kind: request, clients: 2, think: 1ms}", top=top, status=1)
            o = self.of(result, "request", "request")
        self.assertGreater(o["statuses"]["401"], 0)
        self.assertGreater(o["done"], 0)

    def test_each_client_is_a_user_of_its_own(self):
        record = os.path.join(self.folder.name, "heads")
        with Server("--any-user", "--record", record) as server:
            self.run_load(server.url, "  - {kind: activesync, clients: 3, heartbeat: 1s}\n  - {kind: ping, clients: 1, heartbeat: 1s}",
                          top="user: 'd\\person%'")
        with open(record, encoding="ascii") as text:
            asked = set(re.findall(r"Cmd=\w+&User=(\S+?)&DeviceId=(\w+)", text.read()))
        self.assertEqual(asked, {("d%5Cperson0", "LOAD00D00000000"), ("d%5Cperson1", "LOAD00D00000001"),
                                 ("d%5Cperson2", "LOAD00D00000002"), ("d%5Cperson0", "LOAD01D00000000")})

    def test_channels_that_are_used_up_are_replaced(self):
        with Server("--no-auth", "--rpc-length", "400000") as server:
            result = self.run_load(server.url, "  - {kind: rpc, clients: 1, size: 60000}")
        self.assertGreater(self.of(result, "rpc", "OUT channel")["done"], 1)
        ratio = self.of(result, "rpc", "round trip")["done"] / self.of(result, "rpc", "OUT channel")["done"]
        self.assertTrue(4 < ratio < 7, ratio)

    def test_statuses_and_beginnings(self):
        with Server("--user", "a:b") as server:
            mix = "  - {kind: request, clients: 1, path: %s, size: 0, status: %s}"
            self.run_load(server.url, mix % ("/owa/", "401"))
            self.run_load(server.url, mix % ("/nowhere", "200 404"))
            self.run_load(server.url, mix % ("/nowhere", "200 401"), status=1)
            self.run_load(server.url, mix % ("/sim/continue", "200, begins: ok"))
            result = self.run_load(server.url, mix % ("/sim/continue", "200, begins: no"), status=1)
        self.assertEqual(list(self.of(result, "request", "request")["errors"]), ["content"])

    def test_sizes_vary(self):
        with Server("--no-auth") as server:
            result = self.run_load(server.url, "  - {kind: download, clients: 1, size: 100k-300k}\n  - {kind: upload, clients: 1, size: 1-200k}")
        down, up = self.of(result, "download", "download"), self.of(result, "upload", "upload")
        self.assertTrue(120 << 10 < down["bytes_in"] / down["done"] < 280 << 10)
        self.assertTrue(20 << 10 < up["bytes_out"] / up["done"] < 180 << 10)

    def test_answers_to_other_requests_are_told(self):
        """A proxy that gives each client the answer to the request before, which looks right but for its number."""
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            last = b"X-Load-Tag: 0123456789abcdef"
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                with peer:
                    head = peer.recv(65536)
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\n\r\nok" % last)
                    last = re.search(rb"X-Load-Tag: \w+", head).group(0)

        thread = threading.Thread(target=serve)
        thread.start()
        result = self.run_load("http://127.0.0.1:%d" % listener.getsockname()[1], "  - {kind: request, clients: 1, size: 0}", status=1)
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        o = self.of(result, "request", "request")
        self.assertEqual((o["done"], list(o["errors"])), (0, ["order"]))

    def test_sources(self):
        mix = "  - {kind: handshake, clients: 2, size: 0, think: 5ms}"
        for host, sources, seen in (("127.0.0.1", "127.0.9.0/29", ["127.0.9.%d" % n for n in range(1, 7)]),
                                    ("127.0.0.1", "127.0.9.254-127.0.10.1", ["127.0.9.254", "127.0.9.255", "127.0.10.0", "127.0.10.1"]),
                                    ("::1", "::1", ["::1"]), ("::1", "::1/128", ["::1"]), ("::1", "::1-::1", ["::1"])):
            with Peers(host) as peers:
                self.run_load(peers.url, mix, "--threads", "2", "--set", "sources=" + sources)
            self.assertEqual(set(peers.addresses), set(seen), sources)
            with Peers(host) as peers:
                self.run_load(peers.url, mix.replace("clients: 2", "clients: 1"), "--set", "sources=" + sources)
            self.assertEqual(peers.addresses[:len(seen)], seen, "in turn")

    def test_sources_with_tls(self):
        with Server("--no-auth", "--listen", "[::1]:0", *self.tls()) as server:
            result = self.run_load(server.url, "  - {kind: handshake, clients: 2}", top="sources: ::1")
        self.assertGreater(result["connections"]["opened"], 2)

    def test_sources_that_cannot_be_used(self):
        four, six = "http://127.0.0.1:1", "http://[::1]:1"
        for target, sources, text in (
                (four, "203.0.113.7", "`sources`: 203.0.113.7 is not this machine's; if it is nobody else's: ip route add local 203.0.113.7/32 dev lo"),
                (four, "203.0.113.7/24", "`sources`: 203.0.113.1 is not this machine's; if the prefix is nobody else's: ip route add local 203.0.113.0/24 dev lo"),
                (four, "203.0.113.7-203.0.113.9", "`sources`: 203.0.113.7 is not this machine's; if it is nobody else's: ip route add local 203.0.113.7/32 dev lo"),
                (six, "2001:db8::7", "`sources`: 2001:db8::7 is not this machine's; if it is nobody else's: ip -6 route add local 2001:db8::7/128 dev lo"),
                (six, "2001:db8:7::/48", "`sources`: 2001:db8:7::1 is not this machine's; if the prefix is nobody else's: ip -6 route add local 2001:db8:7::/48 dev lo"),
                (six, "::1-::3", "`sources`: ::2 is not this machine's; if it is nobody else's: ip -6 route add local ::2/128 dev lo"),
                (four, "::1", "`sources` are IPv6, but `target` (127.0.0.1) has no IPv6 address"),
                (six, "127.0.0.0/8", "`sources` are IPv4, but `target` (::1) has no IPv4 address"),
                ("http://203.0.113.7:1", "127.0.0.1", "`sources`: from 127.0.0.1 only this machine can be reached, and `target` (203.0.113.7) is another"),
                ("http://[2001:db8::7]:1", "::1", "`sources`: from ::1 only this machine can be reached, and `target` (2001:db8::7) is another"),
                (six, "::1-127.0.0.1", "`sources` is `::1-127.0.0.1`: ::1 is IPv6 and 127.0.0.1 is IPv4: give two addresses of one family"),
                (six, "fe80::1%lo", "`sources` is `fe80::1%lo`: zones (%) are not taken: give addresses that are valid without one")):
            self.refused(target, sources, text)

    def test_examples(self):
        """Each scenario that is installed, smaller and shorter, with nothing wrong."""
        users = sum((["--user", "user%d:secret%d" % (n, n)] for n in range(20)), [])
        both = ["--tls", os.path.join(self.certs, "san.pem"), os.path.join(self.certs, "san.key")]
        small = {"users": "20", "clients": "40", "rate": "60", "arrivals": "even", "ramp_up": "200ms", "settle": "0s", "timeout": "60s"}
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenarios")
        names = sorted(os.listdir(folder))
        self.assertGreaterEqual(len(names), 4)
        with Server(*users, *self.tls(), *both) as server:
            for name in names:
                self.assertEqual(subprocess.run([LOAD, "--check", os.path.join(folder, name)], check=False).returncode, 0, name)
                with open(os.path.join(folder, name), encoding="utf-8") as text:
                    said = re.findall(r"^(\w+):", text.read(), re.M)
                options = sum((["--set", "%s=%s" % s] for s in small.items() if s[0] in said + ["users", "timeout"]), [])
                out = os.path.join(self.folder.name, "example.json")
                done = subprocess.run([LOAD, "--quiet", "--json", out, "--target", server.url, "--duration", "%dms" % (1500 * SLOW),
                                       *options, os.path.join(folder, name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, check=False)
                self.assertEqual(done.returncode, 0, name + ":\n" + done.stdout)
                with open(out, encoding="utf-8") as text:
                    result = json.load(text)
                for entry in result["mix"]:
                    of = [i for i, o in enumerate(result["operations"]) if o["entry"] == entry["label"]]
                    worked = sum(r["ops"][i][0] for r in result["rows"] for i in of) # before what is counted, too
                    self.assertGreater(worked, 0, name + ": " + entry["label"])

    def test_options_of_the_command_line(self):
        with Server("--no-auth") as server:
            result = self.run_load(server.url, "  - {kind: request}", "--set", "clients=3", "--process", str(os.getpid()))
        self.assertEqual(result["mix"][0]["clients"], 3)
        self.assertEqual(result["processes"][0]["pid"], os.getpid())
        scenario = os.path.join(self.folder.name, "scenario.yaml")
        for options, text in ((["--set", "cleints=3"], "did you mean `clients`?"), (["--threads", "0"], "`threads` is `0`: give a number, from 1"),
                              (["--set", "x"], "give NAME=VALUE"), (["--measure", "x=999999999"], "give the PID of a running process"),
                              (["--nonsense"], "--help"), (["--set", "clients=1", "--html", "/nowhere/x"], "/nowhere/x: No such file"), (["another"], "one scenario at a time")):
            done = subprocess.run([LOAD, *options, scenario], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(text, done.stdout)

    def test_help_names_every_option(self):
        text = subprocess.run([LOAD, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
        offered = set(re.findall(r"^  --(\w+)", text, re.M))
        self.assertEqual(offered, {"target", "duration", "threads", "set", "measure", "json", "html", "quiet", "check", "options", "help"})

    def screens(self, rows, columns, mix, **environment):
        """The views that a terminal of that size is given, each as lines, without what colours them."""
        with Server("--no-auth") as server:
            path = os.path.join(self.folder.name, "screen.yaml")
            with open(path, "w", encoding="ascii") as out:
                out.write("target: %s\nramp_up: 1s\nduration: 2s\nmix:\n%s\n" % (server.url, mix))
            ours, theirs = pty.openpty()
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            process = subprocess.Popen([LOAD, path, "--measure", "server=%d" % server.process.pid], stdout=subprocess.DEVNULL,
                                       stderr=theirs, env={**os.environ, **environment})
            os.close(theirs)
            text = b""
            try:
                while piece := os.read(ours, 65536):
                    text += piece
            except OSError: # the other end is closed
                pass
            os.close(ours)
            process.wait()
        views = re.split(r"\x1b\[(\d+)A\r\x1b\[J", text.decode().replace("\r\n", "\n"))
        self.assertGreaterEqual(len(views), 5)
        for before, up in zip(views[::2], views[1::2]):
            self.assertEqual(len(before.splitlines()), int(up))
        return [v.splitlines() for v in views[::2]]

    def test_progress_on_a_terminal(self):
        mix = "  - {kind: request, clients: 1, path: /nowhere, size: 0}\n" + "\n".join(
            "  - {kind: request, label: the number %d of many, clients: 1, think: 20ms}" % n for n in range(20))
        for rows, columns in ((24, 80), (50, 200), (10, 60)):
            views = self.screens(rows, columns, mix, NO_COLOR="1")
            errors = [int(re.search(r", (\d+) errors", v[1]).group(1)) for v in views]
            self.assertEqual(errors, sorted(errors))
            self.assertGreater(errors[-1], errors[0], "errors of the whole run, not of a second")
            for view in views:
                self.assertLess(len(view), rows)
                self.assertLess(max(map(len, view)), columns)
                self.assertRegex(view[0], r"screen.yaml  (ramping up|warming up|measuring)  \[[#.]{24}\]  0:0\d" + (" left" if columns > 60 else ""))
                self.assertRegex(view[1], r"answers/s, [1-9]\d* errors")
                self.assertEqual(view[-1].split()[:3], ["the", "load", "generator"])
                self.assertEqual(view[-2].split()[0], "server")
        last = self.screens(40, 100, mix)[-1]
        self.assertTrue(any(line.startswith("\x1b[31m  request: request") for line in last), last)
        self.assertFalse(any("\x1b" in line for line in last if "number" in line), last)

    def test_progress_elsewhere(self):
        with Server("--no-auth") as server:
            self.run_load(server.url, "  - {kind: request, clients: 1}", "--duration", "1200ms")
            done = subprocess.run([LOAD, "--duration", "1200ms", os.path.join(self.folder.name, "scenario.yaml")], stderr=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, text=True, check=True)
        self.assertRegex(done.stderr, r"^ +1\.\d s  measuring  +\d+/s  p50 .*s  p99 .*s  errors 0  open 1  0 s left\n$")

    def test_no_server(self):
        result = self.run_load("http://127.0.0.1:1", "  - {kind: request, clients: 1}", status=1)
        self.assertEqual(list(self.of(result, "request", "connect")["errors"]), ["connect"])

    def test_open_loop_counts_what_it_could_not_send(self):
        """One client, answers after 300 ms, 20 due a second: latency grows although each answer takes the same."""
        with Server("--no-auth") as server:
            result = self.run_load(server.url, "  - {kind: request, clients: 1, rate: 20, delay: 300ms}", "--duration",
                                   "%dms" % (1200 * SLOW))
        o = self.of(result, "request", "request")
        self.assertGreater(o["latency_us"]["max"], o["service_us"]["max"] * 1.5)
        self.assertGreater(result["open_loop"]["waiting"], 0)

    def test_the_rate_grows_evenly(self):
        """100 a second after three seconds of growth: 17, 50 and 83 in those, and what comes late is not forgotten."""
        for top in ("arrivals: even\nthreads: 3", "arrivals: poisson"):
            with Server("--no-auth") as server:
                result = self.run_load(server.url, "  - {kind: request, rate: 100, clients: 300}", "--duration", "1s", top="ramp_up: 3s\n" + top)
            done = 0
            for row in result["rows"]: # whose lengths are as they are, on a busy machine
                done += row["all"][0]
                due = row["at"] ** 2 / 6 * 100 if row["at"] < 3 else 150 + 100 * (row["at"] - 3)
                self.assertLess(abs(done - due), 10 + due * 0.35 + result["open_loop"]["waiting"], (row["at"], done))
                self.assertGreater(done, 0)

    def test_interrupted(self):
        with Server("--no-auth") as server:
            process = self.start(server.url, "  - {kind: request, clients: 1}", "--duration", "60s")
            try:
                process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
            self.output = process.communicate()[0]
        self.assertEqual(process.returncode, 0, self.output)
        with open(self.result, encoding="utf-8") as text:
            self.assertTrue(json.load(text)["interrupted"])

    def test_measures_a_process(self):
        with Server("--no-auth") as server:
            result = self.run_load(server.url, "  - {kind: request, clients: 4}", "--measure",
                                   "server=%d" % server.process.pid, top="settle: 100ms")
        cost = result["processes"][0]
        self.assertEqual(cost["name"], "server")
        self.assertGreater(cost["cpu_s"], 0)
        for when in ("before", "held", "after"):
            self.assertGreater(cost["pss_kb"][when], 100)

    def test_a_measured_process_that_ends_is_told(self):
        with Server("--no-auth") as server, subprocess.Popen(["sleep", "0.3"]) as short:
            result = self.run_load(server.url, "  - {kind: request, clients: 1, think: 50ms}", "--measure", "gate=%d" % short.pid,
                                   "--duration", "1s")
        self.assertEqual([text for text in result["doubts"] if "ended before" in text],
                         ["gate (process %d) ended before the work did: what it cost is not known." % short.pid])

    def test_html(self):
        page = os.path.join(self.folder.name, "report.html")
        with Server("--no-auth") as server:
            self.run_load(server.url, "  - {kind: request, clients: 1, label: \"a </script> b\"}", "--html", page)
        with open(page, encoding="utf-8") as text:
            html = text.read()
        data = html.split('<script id="data" type="application/json">')[1].split("</script>")[0]
        self.assertEqual(json.loads(data)["operations"][0]["entry"], "a </script> b")
        self.assertNotIn("@DATA@", html)
        for outside in ("http://", "https://", "src=", "@import"):
            self.assertNotIn(outside, html.replace(data, "").replace("http://www.w3.org/", ""))

    def test_mistakes_in_a_scenario(self):
        path = os.path.join(self.folder.name, "bad.yaml")
        with open(path, "w", encoding="ascii") as out:
            out.write("target: ftp://x\nduratoin: 5s\nmix:\n  - {kind: nothing}\n  - {kind: request, clients: many}\n"
                      "  - {kind: request, clients: 1, heartbeat: 5s}\n  - {kind: downlaod, clients: 1}\n  - {clients: 1}\n"
                      "  - {kind: ping, clients: 1, heartbeat: 10ms}\n  - {kind: owa}\n  - {kind: request, rate: 1-2}\n"
                      "  - {kind: request, clients: 1, status: 99}\n  - {kind: rpc, clients: [1]}\nsources: 203.0.113.7\n"
                      "credentials: /nowhere\n")
        done = subprocess.run([LOAD, "--check", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        for place, text in ((":1:9:", "`target` is `ftp://x`: give https://HOST:PORT"), (":2:1:", "did you mean `duration`?"),
                            (":4:12:", "`kind` is `nothing`: give one of request, download"),
                            (":5:30:", "`clients` is `many`: give a number, from 1 to 1000000"),
                            (":6:33:", "`heartbeat` means nothing to the kind request: remove it (it is for activesync ping)"),
                            (":7:12:", "did you mean `download`?"), (":8:5:", "`kind` is missing"),
                            (":9:41:", "`heartbeat` is `10ms`: give a time: 200ms, 30s, 5m, 1h, from 1s to 24h"),
                            (":10:5:", "owa has nothing to do: give `clients` or `rate`, here or at the top"),
                            (":11:27:", "`rate` is `1-2`: give a number per second"), (":12:41:", "`status` is `99`"),
                            (":13:26:", "`clients` is a list or map"), (":14:10:", "203.0.113.7 is not this machine's"),
                            (":15:14:", "/nowhere: ")):
            self.assertTrue(any(place in line and text in line for line in done.stdout.splitlines()), (place, text, done.stdout))
        self.assertEqual(len(done.stdout.splitlines()), 14, done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
