#!/usr/bin/env python3
"""postern-load from addresses that a test may make its own: in a network namespace. Exit status 77 where none can be had."""
import os
import subprocess
import sys
import time
import unittest

import load_test

MIX = "  - {kind: handshake, clients: 2, size: 0, think: 5ms}"
LOST = "  - {kind: handshake, clients: 20, size: 0, think: 20ms}"
NAMESPACE = ["unshare", "--map-root-user", "--net", "--mount"]


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Sources(load_test.Runs):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        ip("link", "set", "lo", "up")
        ip("route", "add", "local", "10.20.0.0/29", "dev", "lo")
        ip("route", "add", "local", "10.20.0.9", "dev", "lo")
        ip("-6", "route", "add", "local", "2001:db8:20::/48", "dev", "lo")
        ip("-6", "addr", "add", "2001:db8:21::1/128", "dev", "lo")
        hosts = os.path.join(cls.folder.name, "hosts")
        with open(hosts, "w", encoding="ascii") as out:
            out.write("127.0.0.1 both.test\n::1 both.test\n")
        subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)

    def seen(self, host, sources):
        with load_test.Peers(host) as peers:
            self.run_load(peers.url, MIX, "--set", "sources=" + sources)
        return set(peers.addresses)

    def test_ranges(self):
        for host, sources, seen in (("127.0.0.1", "10.20.0.0/29", {"10.20.0.%d" % n for n in range(1, 7)}),
                                    ("127.0.0.1", "10.20.0.0-10.20.0.2", {"10.20.0.0", "10.20.0.1", "10.20.0.2"}),
                                    ("::1", "2001:db8:20::5", {"2001:db8:20::5"}),
                                    ("::1", "2001:db8:21::1", {"2001:db8:21::1"}),
                                    ("::1", "2001:db8:20::8/125", {"2001:db8:20::%x" % n for n in range(9, 15)}),
                                    ("::1", "2001:db8:20::fffe-2001:db8:20::1:1", {"2001:db8:20::fffe", "2001:db8:20::ffff", "2001:db8:20::1:0", "2001:db8:20::1:1"}),
                                    ("::1", "2001:db8:20:8::/62", {"2001:db8:20:%x::1" % n for n in range(8, 12)})):
            self.assertEqual(self.seen(host, sources), seen, sources)
        wide = self.seen("::1", "2001:db8:20::/48")
        self.assertGreater(len(wide), 8)
        self.assertTrue(all(a.startswith("2001:db8:20:") for a in wide), wide)

    def test_addresses_that_are_missing(self):
        self.refused("http://127.0.0.1:1", "10.20.0.1-10.20.0.9", "`sources`: 10.20.0.8 is not this machine's; if it is nobody else's: ip route add local 10.20.0.8/32 dev lo")
        self.refused("http://127.0.0.1:1", "10.20.0.0/28", "`sources`: 10.20.0.8 is not this machine's; if the prefix is nobody else's: ip route add local 10.20.0.0/28 dev lo")
        self.refused("http://[::1]:1", "2001:db8:20::/47", "`sources`: 2001:db8:21:f::1 is not this machine's; if the prefix is nobody else's: ip -6 route add local 2001:db8:20::/47 dev lo")

    def test_the_family_of_a_name(self):
        with load_test.Peers("127.0.0.1") as four, load_test.Peers("::1", four.port) as six:
            url = "http://both.test:%d" % four.port
            self.run_load(url, MIX.replace("}", ", sources: 127.0.9.1}") + "\n" + MIX.replace("}", ", sources: '::1'}"))
            self.assertEqual((set(four.addresses), set(six.addresses)), ({"127.0.9.1"}, {"::1"}))
            four.addresses.clear()
            six.addresses.clear()
            for sources in ("127.0.9.2", "2001:db8:20::7"):
                self.run_load(url, MIX, "--set", "sources=" + sources)
            self.assertEqual((set(four.addresses), set(six.addresses)), ({"127.0.9.2"}, {"2001:db8:20::7"}))

    def test_a_written_target_needs_no_other_address_of_its_family(self):
        ip("addr", "add", "10.30.0.1/32", "dev", "lo")
        ip("-6", "addr", "del", "2001:db8:21::1/128", "dev", "lo")
        try:
            self.assertEqual(self.seen("::1", "::1"), {"::1"})
        finally:
            ip("addr", "del", "10.30.0.1/32", "dev", "lo")
            ip("-6", "addr", "add", "2001:db8:21::1/128", "dev", "lo")

    def test_a_lost_address_is_named(self):
        for host, family, network, address in (("127.0.0.1", [], "10.40.0.0/24", "10.40.0.7"), ("::1", ["-6"], "2001:db8:40::/48", "2001:db8:40::7")):
            ip(*family, "route", "add", "local", network, "dev", "lo")
            with load_test.Peers(host) as peers:
                process = self.start(peers.url, LOST, "--duration", "%dms" % (2500 * load_test.SLOW), "--set", "timeout=300ms", top="sources: '%s'" % address)
                while len(peers.addresses) < 20 and process.poll() is None:
                    time.sleep(0.01)
                ip(*family, "route", "del", "local", network, "dev", "lo")
                result = self.ended(process, 1)
            self.assertGreater(self.of(result, "handshake", "connect")["errors"].get("source", 0), 20, self.output)
            self.assertIn("x a source address that is not this machine's", self.output)
            self.assertIn("No connection could be made from %s, which is in `sources`: it is not this machine's, or no longer." % address, result["doubts"])


def enter():
    """The same program once more, where it may have any address."""
    have = subprocess.run([*NAMESPACE, "sh", "-c", "ip link set lo up && ip -6 addr show dev lo | grep -q ::1"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if have.returncode:
        print("no network namespace, or none with IPv6")
        return 77
    return subprocess.run([*NAMESPACE, sys.executable, __file__, "inside"], check=False).returncode


if __name__ == "__main__":
    if sys.argv[1:] != ["inside"]:
        sys.exit(enter())
    unittest.main(argv=sys.argv[:1], verbosity=2)
