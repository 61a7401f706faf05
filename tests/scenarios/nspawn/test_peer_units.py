"""Callers as real systemd units, H4: unit, invocation, main process, and the forgeries of each."""

import os
import unittest

import machine

PEERS = os.path.join(machine.REPOSITORY, "tests", "peers")
PROBE = os.environ.get("PEER_PROBE", "")


class PeerUnits(unittest.TestCase):
    def run_inside(self, *options):
        """peer_units.py, a unittest of its own, within the container."""
        outcome = machine.run(
            "export PEER_PROBE=/scenario/peer_probe PEER_OPTIONS='" + " ".join(options) + "'\n"
            "export TMPDIR=/var/lib/agents && mkdir $TMPDIR && cd / && PYTHONPATH=/peers:/peer_units exec python3 -B -m unittest -v peer_units",
            binds={PROBE: "/scenario/peer_probe", PEERS: "/peers",
                   os.path.dirname(os.path.abspath(__file__)): "/peer_units", **machine.libraries(PROBE)})
        print(outcome.output)
        self.assertEqual(outcome.code, 0, outcome.output + outcome.console[-2000:])

    def setUp(self):
        if not PROBE:
            self.skipTest("PEER_PROBE names no program")

    def test_units_as_peers(self):
        self.run_inside()

    def test_units_as_peers_on_older_kernels(self):
        self.run_inside("--older")


if __name__ == "__main__":
    unittest.main()
