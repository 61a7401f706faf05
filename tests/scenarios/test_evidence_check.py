"""Evidence of a real badged, given to badge-verifier check: both halves speak one format."""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, Badged, call, record  # noqa: E402

LOW, HIGH = 61001, 61002
VERIFIER = "https://verifier.example.org/"
RECORDS = {"low": record("low", match=f"uid = {LOW}"),
           "high": record("high", match=f"uid = {HIGH}", autonomy="high", access="admin")}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def fresh():
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


class Checked(unittest.TestCase):
    def setUp(self):
        self.badged = Badged(records=RECORDS).__enter__()
        self.addCleanup(self.badged.__exit__)
        folder = tempfile.TemporaryDirectory(prefix="badged-check-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.ak = self.folder / "ak.pem"
        self.ak.write_text(self.badged.get("/v1/identity")["ak_pem"])

    def check(self, evidence, challenge, *options, audience=VERIFIER):
        done = subprocess.run([BUILD / "badge-verifier", "check", "--json", "--ak", self.ak, "--challenge", challenge,
                               "--audience", audience, *options, "-"], input=evidence, capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout)

    def of_session(self, uid, challenge):
        agent = self.badged.agent(uid)
        self.addCleanup(agent.end)
        status, evidence = agent.call("POST", "/v1/evidence", {"challenge": challenge, "audience": VERIFIER})
        self.assertEqual(status, 200, evidence)
        return evidence

    def of_host(self, challenge, **fields):
        status, _, evidence = call(self.badged.admin_socket, "POST", "/v1/evidence",
                                   {"challenge": challenge, "audience": VERIFIER, **fields})
        self.assertEqual(status, 200, evidence)
        return evidence

    def test_the_attributes_of_the_hosts_key_are_checked_where_its_tpmt_public_is_pinned(self):
        challenge = fresh()
        evidence = self.of_host(challenge)
        code, result = self.check(evidence, challenge)
        self.assertEqual(code, 0, result)
        self.assertIn("ak_attributes", result["not_checked"])
        self.ak = self.folder / "ak.tpmt"
        done = self.badged.ctl("identity", "--tpmt", self.ak)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        code, result = self.check(evidence, challenge)
        self.assertEqual(code, 0, result)
        self.assertNotIn("ak_attributes", result["not_checked"])
        self.assertIn("ak_attributes", [c["check"] for c in result["checks"] if c["result"] == "pass"])

    def test_evidence_of_sessions_in_memory_and_in_the_tpm_is_good(self):
        for uid, custody in ((LOW, "locked-memory"), (HIGH, "tpm")):
            with self.subTest(custody):
                challenge = fresh()
                code, ear = self.check(self.of_session(uid, challenge), challenge)
                self.assertEqual(code, 0, ear)
                self.assertEqual(ear["ear_status"], "affirming")
                self.assertEqual(ear["evidence"]["custody"], custody)
                checks = [each["check"] for each in ear["checks"]]
                self.assertEqual("session_key" in checks, custody == "tpm")
                self.assertIn("qualified_signer", checks)

    def test_a_hosts_own_evidence_is_good_and_goes_forward_under_a_state(self):
        state = str(self.folder / "state")
        for _ in range(2):
            challenge = fresh()
            evidence = self.of_host(challenge, pcrs={"sha256": [0, 1, 7]})
            code, ear = self.check(evidence, challenge, "--pcrs", "sha256:0,1,7", "--state", state)
            self.assertEqual(code, 0, ear)
            code, answer = self.check(evidence, challenge, "--state", state)
            self.assertEqual((code, answer["reason"]), (1, "replayed"))

    def test_h20_evidence_for_another_challenge_audience_or_by_another_host_is_refused(self):
        challenge = fresh()
        evidence = self.of_session(LOW, challenge)
        self.assertEqual(self.check(evidence, fresh())[1]["reason"], "nonce")
        self.assertEqual(self.check(evidence, challenge, audience="https://other.example.org/")[1]["reason"], "audience")
        self.assertEqual(self.check(evidence, challenge, "--pcrs", "sha256:0")[1]["reason"], "selection")
        with Badged(records=RECORDS) as other:
            self.ak.write_text(other.get("/v1/identity")["ak_pem"])
            self.assertEqual(self.check(evidence, challenge)[1]["reason"], "signature")


if __name__ == "__main__":
    unittest.main()
