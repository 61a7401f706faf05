"""badge-verifier check, with evidence that swtpm and tpm2-tools make. Arguments: the program, the example program."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest

from evidence_parts import Tpm, b64

EXAMPLE = sys.argv.pop(2)
PROGRAM = sys.argv.pop(1)
AUDIENCE = "https://relying.example.org/"
CHALLENGE = bytes(range(32))


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tpm = Tpm().__enter__()
        cls.addClassCleanup(cls.tpm.__exit__)
        cls.good = cls.tpm.evidence(CHALLENGE, AUDIENCE)

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def ak(self, name="ak.tpmt"):
        return os.path.join(self.tpm.path, name)

    def check(self, evidence, *options, ak="ak.tpmt", challenge=CHALLENGE, audience=AUDIENCE, plain=False):
        done = subprocess.run(
            [PROGRAM, "check", "--ak", self.ak(ak), "--challenge", b64(challenge), "--audience", audience, *options, "-"]
            + ([] if plain else ["--json"]),
            input=evidence + "\n", capture_output=True, text=True, check=False,
            timeout=60,  # nothing waits for longer
        )  # fmt: skip
        if plain:
            return done.returncode, done.stdout
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    def test_a_result_is_one_ear_with_each_check_its_value_and_reason(self):
        code, ear = self.check(self.good, "--pcrs", "sha256:0,1,7")
        self.assertEqual(code, 0, ear)
        self.assertEqual(ear["eat_profile"], "tag:ietf.org,2026:rats/ear#04")
        self.assertEqual(ear["eat_nonce"], b64(CHALLENGE))
        self.assertEqual(ear["ear_verifier_id"]["developer"], "badged")
        host = ear["submods"]["host"]
        self.assertEqual(host["ear_status"], "affirming")
        self.assertEqual(host["ear_trustworthiness_vector"], {"instance-identity": 2})
        self.assertEqual(ear["ear_status"], "affirming")
        checks = {c["check"]: c for c in ear["checks"]}
        for name in ("quote_signature", "quote_type", "issuer_key", "signature", "profile", "audience", "challenge",
                     "issued_at", "spoken_for", "nonce", "banks", "selection", "pcr_values", "clock",
                     "qualified_signer", "ak_attributes"):  # fmt: skip
            self.assertEqual(checks[name]["result"], "pass", name)
        self.assertEqual(checks["qualified_signer"]["value"], "a child of the endorsement key sent")
        self.assertEqual(set(ear["not_checked"]), {"enrolment", "ek_chain", "event_log", "ima_log", "reference_values",
                                                   "state"})  # fmt: skip
        self.assertEqual(ear["evidence"]["pcrs"]["sha256"]["0"], "0" * 64)

    def test_a_pem_key_is_enough_and_what_it_does_not_say_is_named(self):
        code, ear = self.check(self.good, ak="ak.pem")
        self.assertEqual(code, 0, ear)
        self.assertLessEqual({"ak_attributes", "selection"}, set(ear["not_checked"]))
        self.assertNotIn("qualified_signer", ear["not_checked"])

    def test_a_refusal_is_an_ear_too_and_has_the_shape_of_every_refusal(self):
        for options, kwargs, reason in (
            (("--pcrs", "sha256:0,1"), {}, "selection"),
            ((), {"audience": "https://other.example.org/"}, "audience"),
            ((), {"challenge": bytes(32)}, "nonce"),
        ):
            code, answer = self.check(self.good, *options, **kwargs)
            self.assertEqual(code, 1)
            self.assertEqual(answer["reason"], reason)
            self.assertEqual(answer["ear_status"], "contraindicated")
            self.assertEqual(answer["submods"]["host"]["ear_status"], "contraindicated")
            for member in ("error", "error_description", "hint", "correlation_id", "checks", "not_checked"):
                self.assertIn(member, answer)

    def test_another_hosts_key_and_a_changed_byte_are_refused(self):
        with Tpm() as other:
            with open(other.path + "/ak.pem", "rb") as key, open(self.ak("other.pem"), "wb") as out:
                out.write(key.read())
            code, answer = self.check(self.good, ak="other.pem")
            self.assertEqual((code, answer["reason"]), (1, "signature"))
            self.assertEqual(answer["submods"]["host"]["ear_trustworthiness_vector"], {"instance-identity": 99})
        answer = self.check(self.good, audience="https://other.example.org/")[1]
        self.assertEqual(answer["submods"]["host"]["ear_trustworthiness_vector"], {"instance-identity": 99})
        head, body, mark = self.good.split(".")
        changed = body[:-3] + ("A" if body[-3] != "A" else "B") + body[-2:]
        self.assertIn(self.check(f"{head}.{changed}.{mark}")[0], (1, 3))
        self.assertIn(self.check(f"{head}.{body}.{'A' + mark[1:] if mark[0] != 'A' else 'B' + mark[1:]}")[0], (1,))

    def test_tells_malformed_and_misused_from_refused(self):
        self.assertEqual(self.check("no evidence")[0], 3)
        self.assertEqual(self.check(self.good, "--state", "-")[0], 2)
        self.assertEqual(self.check("")[0], 3)
        for challenge in (b"short", bytes(65)):
            self.assertEqual(self.check(self.good, challenge=challenge)[0], 2)
        self.assertEqual(self.check(self.good, "--pcrs", "sha256:24")[0], 2)
        self.assertEqual(self.check(self.good, "--at", "1700000000")[0], 1)  # made in the future

    def test_the_state_remembers_and_refuses_the_same_evidence(self):
        state = os.path.join(self.directory, "state")
        first, second = self.tpm.evidence(CHALLENGE, AUDIENCE), self.tpm.evidence(CHALLENGE, AUDIENCE)
        self.assertEqual(self.check(first, "--state", state)[0], 0)
        code, answer = self.check(first, "--state", state)
        self.assertEqual((code, answer["reason"]), (1, "replayed"))
        code, ear = self.check(second, "--state", state)
        self.assertEqual(code, 0, ear)
        self.assertNotIn("state", ear["not_checked"])
        code, answer = self.check(first, "--state", state)
        self.assertEqual((code, answer["reason"]), (1, "went_back"))
        self.assertEqual(self.check(first, "--state", "/nonexistent/state")[0], 4)

    def test_a_state_file_that_another_process_keeps_locked_is_busy(self):
        state = os.path.join(self.directory, "state")
        with open(state, "w", encoding="ascii") as held:
            os.chmod(state, 0o600)
            fcntl.flock(held, fcntl.LOCK_EX)
            code, answer = self.check(self.good, "--state", state)
        self.assertEqual((code, answer["reason"]), (5, "busy"))
        self.assertIn(state, answer["error_description"])
        self.assertIn("lslocks", answer["hint"])
        self.assertNotIn("ear_status", answer)
        self.assertEqual(self.check(self.good, "--state", state)[0], 0)

    def test_a_state_file_may_be_named_without_a_folder(self):
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.directory)
        for code in (0, 1):
            self.assertEqual(self.check(self.good, "--state", "build-7.state")[0], code)
        self.assertEqual(os.listdir(), ["build-7.state"])

    def test_one_evidence_given_to_many_at_once_under_one_state_is_accepted_once(self):
        state, codes = os.path.join(self.directory, "state"), []
        threads = [threading.Thread(target=lambda: codes.append(self.check(self.good, "--state", state)[0]))
                   for _ in range(8)]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(codes), [0] + [1] * 7)

    def test_prints_for_people(self):
        code, text = self.check(self.good, plain=True)
        self.assertEqual(code, 0)
        self.assertIn('good: evidence of "spiffe://example.org/host/build-7"', text)
        self.assertIn("not checked  event_log", text)

    def test_the_example_program_reaches_the_same_verdict_by_the_library(self):
        def run(challenge):
            return subprocess.run([EXAMPLE, self.ak("ak.pem"), b64(challenge), AUDIENCE], input=self.good,
                                  capture_output=True, text=True, check=False)  # fmt: skip

        done = run(CHALLENGE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("good: spiffe://example.org/host/build-7", done.stdout)
        self.assertIn("sha256:7 " + "0" * 64, done.stdout)
        self.assertEqual(run(bytes(32)).returncode, 1)


if __name__ == "__main__":
    unittest.main()
