"""kill -9 at random moments under load (H27): every token that a client received is in the audit,
the chain is whole, and each start needs no hand.

BADGED_KILLS says how often (200), BADGED_SEED makes a run the same again.
"""
import os
import pathlib
import random
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, DEADLINE, PYTHON, Badged, as_uid, record, wait_for  # noqa: E402

KILLS = int(os.environ.get("BADGED_KILLS", "200"))
SEED = int(os.environ.get("BADGED_SEED", random.SystemRandom().randrange(10**9)))
LOW = (61001, 61002, 61003)
HIGH = 61004
VERIFY_EVERY = 20


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


class Load:
    """A process that asks without pause, and what it received."""

    def __init__(self, badged, uid, name):
        self.file = badged.directory / "received" / name
        self.file.touch()
        os.chown(self.file, uid, uid)
        script = pathlib.Path(__file__).with_name("load_process.py")
        self.process = subprocess.Popen(
            as_uid(uid) + [PYTHON, str(script), str(badged.agent_socket), str(self.file)],
            stdin=subprocess.PIPE)

    def size(self):
        return self.file.stat().st_size

    def received(self):
        return self.file.read_text().split()

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(DEADLINE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


class Kill(unittest.TestCase):
    def setUp(self):
        records = {f"low-{uid}": record(f"low-{uid}", match=f"uid = {uid}") for uid in LOW}
        records["high"] = record("high", match=f"uid = {HIGH}", autonomy="high", access="admin")
        self.badged = Badged(records=records).__enter__()
        self.addCleanup(self.badged.__exit__)
        (self.badged.directory / "received").mkdir(mode=0o755)
        self.loads = [Load(self.badged, uid, f"{uid}-{i}") for uid in LOW for i in range(2)]
        self.loads.append(Load(self.badged, HIGH, "high"))
        for load in self.loads:
            self.addCleanup(load.end)
        self.random = random.Random(SEED)
        print(f"{KILLS} kills, BADGED_SEED={SEED}", file=sys.stderr)

    def verify(self):
        done = subprocess.run([BUILD / "badgectl", "audit", "verify",
                               self.badged.state_dir / "audit.jsonl"],
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def acknowledged(self):
        return sum(load.size() for load in self.loads)

    def one_kill(self, under_load):
        """In three of four rounds while tokens flow, else at any moment of the start."""
        before = self.acknowledged()
        if under_load:
            wait_for(lambda: self.acknowledged() > before, "a token")
        moment = self.random.uniform(0, 0.15 if under_load else 0.4)
        try:
            self.badged.process.wait(moment)
            self.fail(f"badged ended by itself:\n{self.badged.log()[-3000:]}")
        except subprocess.TimeoutExpired:
            self.badged.kill()

    def test_every_token_received_is_in_the_audit(self):
        self.badged.wait_ready = False
        for count in range(1, KILLS + 1):
            under_load = self.random.random() < 0.75
            self.one_kill(under_load)
            self.spawn()
            if count % VERIFY_EVERY == 0:
                wait_for(self.badged.answers, "badged to answer")
                self.verify()
        before = self.acknowledged()
        wait_for(lambda: self.acknowledged() > before, "tokens after the last start")
        for load in self.loads:
            load.end()
        self.badged.stop()
        self.check_log()

    def spawn(self):
        with open(self.badged.log_file, "ab") as log:
            self.badged.process = subprocess.Popen(
                [str(BUILD / "badged"), "--config", str(self.badged.config_file)],
                stdout=log, stderr=log)

    def check_log(self):
        self.verify()
        self.assertFalse(list(self.badged.state_dir.glob("*.damaged-*")), self.badged.log()[-3000:])
        lines = self.badged.audit()
        recorded = {line["jti"] for line in lines if line["kind"] == "token"}
        received = [jti for load in self.loads for jti in load.received()]
        high = self.loads[-1].received()
        print(f"{len(received)} tokens received ({len(high)} signed in the TPM), "
              f"{len(recorded)} recorded", file=sys.stderr)
        self.assertEqual(set(received) - recorded, set())
        self.assertEqual(len(set(received)), len(received))
        self.assertGreater(len(received), KILLS)
        if KILLS >= 50:
            self.assertTrue(high)
        # Nothing but what a kill leaves behind: a torn line, never more.
        told = [line["detail"] for line in lines if line.get("reason") == "audit-log"]
        self.assertEqual([text for text in told if "torn" not in text], [])


if __name__ == "__main__":
    unittest.main()
