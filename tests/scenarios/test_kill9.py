"""kill -9 at random moments under load (H27): every token that a client received is in the audit,
the chain is whole, no acknowledged revocation is forgotten, no place in the status list is given to
two live tokens, and each start needs no hand.

BADGED_KILLS says how often (200), BADGED_SEED makes a run the same again.
"""
import base64
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, DEADLINE, PYTHON, Badged, as_uid, part, record, wait_for  # noqa: E402

KILLS = int(os.environ.get("BADGED_KILLS", "200"))
SEED = int(os.environ.get("BADGED_SEED", random.SystemRandom().randrange(10**9)))
LOW = (61001, 61002, 61003)
HIGH = 61004
REVOKER = 61005
VERIFY_EVERY = 20


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


class Load:
    """A process that asks without pause, and what it received."""

    def __init__(self, badged, uid, name, script="load_process.py"):
        self.file = badged.directory / "received" / name
        self.file.touch()
        os.chown(self.file, uid, uid)
        script = pathlib.Path(__file__).with_name(script)
        self.process = subprocess.Popen(
            as_uid(uid) + [PYTHON, str(script), str(badged.agent_socket), str(self.file)],
            stdin=subprocess.PIPE)

    def size(self):
        return self.file.stat().st_size

    def received(self):
        return self.file.read_text().split()

    def received_lines(self):
        return [line for line in self.file.read_text().splitlines(True) if line.endswith("\n")]

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
        records["revoker"] = record("revoker", match=f"uid = {REVOKER}")
        records["high"] = record("high", match=f"uid = {HIGH}", autonomy="high", access="admin")
        self.badged = Badged(records=records).__enter__()
        self.addCleanup(self.badged.__exit__)
        (self.badged.directory / "received").mkdir(mode=0o755)
        self.loads = [Load(self.badged, uid, f"{uid}-{i}") for uid in LOW for i in range(2)]
        self.loads.append(Load(self.badged, HIGH, "high"))
        self.revoker = Load(self.badged, REVOKER, "revoker", "revoke_process.py")
        for load in (*self.loads, self.revoker):
            self.addCleanup(load.end)
        self.epoch = 0
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
                self.check_revocations()
        before = self.acknowledged()
        wait_for(lambda: self.acknowledged() > before, "tokens after the last start")
        for load in (*self.loads, self.revoker):
            load.end()
        self.check_revocations()
        self.badged.stop()
        self.check_log()

    def spawn(self):
        self.spawned = int(time.time())
        with open(self.badged.log_file, "ab") as log:
            self.badged.process = subprocess.Popen(
                [str(BUILD / "badged"), "--config", str(self.badged.config_file)],
                stdout=log, stderr=log)

    def check_revocations(self):
        """What was acknowledged stands in the published list, signed anew at each start."""
        lines = [[int(n) for n in line.split()] for line in self.revoker.received_lines()]
        text = (self.badged.state_dir / "publish" / "status.jwt").read_text()
        self.assertGreaterEqual(part(text, 1)["iat"], self.spawned)
        packed = part(text, 1)["status_list"]["lst"]
        bits = zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        now = time.time()
        forgotten = [index for index, expires, _ in lines
                     if expires > now and not bits[index // 8] >> index % 8 & 1]
        self.assertEqual(forgotten, [])
        self.assertTrue(all(epoch >= self.epoch for _, _, epoch in lines[-1:]))
        done = self.badged.ctl("revoke", "--agent", "revoker", "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        epoch = json.loads(done.stdout)["epoch"]
        self.assertGreater(epoch, self.epoch)
        self.epoch = epoch

    def check_indexes(self, received):
        """No place in the list was given to a second token before the first had expired."""
        by_index = collections.defaultdict(list)
        for _, index, issued, expires in received:
            by_index[index].append((int(issued), int(expires)))
        for index, lives in by_index.items():
            lives.sort()
            for (_, expires), (issued, _) in zip(lives, lives[1:]):
                self.assertGreaterEqual(issued, expires, index)

    def check_log(self):
        self.verify()
        self.assertFalse(list(self.badged.state_dir.glob("*.damaged-*")), self.badged.log()[-3000:])
        lines = self.badged.audit()
        recorded = {line["jti"] for line in lines if line["kind"] == "token"}
        answers = [line.split(",") for load in self.loads for line in load.received()]
        received = [answer[0] for answer in answers]
        self.check_indexes(answers)
        revoked = self.revoker.received_lines()
        high = self.loads[-1].received()
        print(f"{len(received)} tokens received ({len(high)} signed in the TPM), "
              f"{len(recorded)} recorded, {len(revoked)} revoked", file=sys.stderr)
        self.assertEqual(set(received) - recorded, set())
        self.assertEqual(len(set(received)), len(received))
        self.assertGreater(len(received), KILLS)
        self.assertTrue(revoked)
        if KILLS >= 50:
            self.assertTrue(high)
        # Nothing but what a kill leaves behind: a torn line, never more.
        told = [line["detail"] for line in lines if line.get("reason") == "audit-log"]
        self.assertEqual([text for text in told if "torn" not in text], [])


if __name__ == "__main__":
    unittest.main()
