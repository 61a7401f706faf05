"""What the tests of the audit log share: a badged of software keys, and two verifiers."""
import hashlib
import json
import os
import pathlib
import subprocess
import unittest

from harness import BUILD, Badged, Failure, WithAgents, record

LOW, STRANGER = 61001, 61009
RECORDS = {"low": record("low", match=f"uid = {LOW}")}
FRESH = {"Cache-Control": "no-cache"}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def verify(file, *options, stdin=""):
    """`badgectl audit verify` without a daemon: (exit code, its JSON)."""
    done = subprocess.run([BUILD / "badgectl", "audit", "verify", "--json", *options, file],
                          input=stdin, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def ten_lines(path):
    """The verifier of docs/protocol.md: number of lines, or the first bad one's place."""
    prev, seq = "0" * 64, 0
    for line in pathlib.Path(path).read_bytes().split(b"\n")[:-1]:
        body, _, end = line.rpartition(b',"hash":"')
        digest = hashlib.sha256(body).hexdigest()
        fields, seq = json.loads(line), seq + 1
        if end != digest.encode() + b'"}' or fields["prev"] != prev or fields["seq"] != seq:
            return ("bad", seq)
        prev = digest
    return ("good", seq)


class Case(WithAgents, unittest.TestCase):
    def start(self, **kwargs):
        badged = Badged(store="software", records=RECORDS, **kwargs).__enter__()
        self.addCleanup(badged.__exit__)
        return badged

    def findings(self, badged):
        return [l["detail"] for l in badged.audit() if l.get("reason") == "audit-log"]

    def intact(self, badged):
        code, verdict = verify(badged.state_dir / "audit.jsonl")
        self.assertEqual(code, 0, verdict)
        self.assertEqual(ten_lines(badged.state_dir / "audit.jsonl")[0], "good")
        return verdict

    def fails_to_start(self, badged):
        """(exit code, what it said)."""
        before = len(badged.log())
        try:
            badged.start()
        except Failure:
            return badged.process.returncode, badged.log()[before:]
        self.fail("badged started")
