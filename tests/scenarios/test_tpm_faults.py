"""What can happen to the TPM under a running badged (H26): said, survived, never silent new keys."""
import os
import shutil
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (BUILD, DEADLINE, Badged, WithAgents, as_uid, call, claims, record, verifier,  # noqa: E402
                     wait_for)

LOW, HIGH = 61001, 61002
RECORDS = {"low": record("low", match=f"uid = {LOW}"),
           "high": record("high", match=f"uid = {HIGH}", autonomy="high", access="admin")}
FRESH = {"Cache-Control": "no-cache"}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


class Case(WithAgents, unittest.TestCase):
    def setUp(self):
        self.badged = Badged(records=RECORDS).__enter__()
        self.addCleanup(self.badged.__exit__)

    def condition(self):
        return self.badged.status()["keystore"]["condition"]

    def becomes(self, condition):
        wait_for(lambda: self.condition() == condition, f"the key store to be {condition}")
        return self.badged.status()["keystore"]

    def kids(self):
        return [key["kid"] for key in self.badged.get("/v1/jwks")["keys"]]

    def good(self, answer):
        self.assertEqual(answer[0], 200, answer)
        return answer[1]["access_token"]

    def unavailable(self, answer):
        self.assertEqual((answer[0], answer[1]["error"]), (503, "temporarily_unavailable"), answer)


class Away(Case):
    def test_killed_under_a_running_badged_it_is_said_survived_and_recovered_from(self):
        low, high = self.agent(LOW), self.agent(HIGH)
        cached, held = self.good(low.token()), self.good(high.token())
        kids = self.kids()
        self.badged.tpm.kill()
        self.unavailable(high.token(FRESH))
        state = self.becomes("missing")
        self.assertTrue(state["message"] and state["hint"])
        self.assertIn("missing", self.badged.log())
        # What needs no TPM goes on: the same token, a new one, a new session, proofs, keys.
        self.assertEqual(self.good(low.token()), cached)
        fresh = self.good(low.token(FRESH))
        self.assertEqual(low.proof(fresh)[0], 200)
        self.good(self.agent(LOW).token())
        self.assertEqual(self.kids(), kids)
        self.assertEqual(high.call("GET", "/v1/whoami")[0], 200)
        self.assertEqual(self.good(high.token()), held)  # nothing is signed for a cached one
        self.unavailable(high.proof(held))
        self.unavailable(self.agent(HIGH).token())
        self.badged.tpm.start()
        self.becomes("ready")
        self.assertEqual(self.kids(), kids)
        self.assertEqual(high.proof(held)[0], 200)  # the same session and key as before
        again = self.good(high.token(FRESH))
        self.assertEqual(claims(again)["cnf"], claims(held)["cnf"])
        for token in (cached, fresh, held, again):
            self.assertEqual(verifier(self.badged, token)[0], 0)
        reasons = [line.get("reason") for line in self.badged.audit() if line["kind"] == "finding"]
        self.assertIn("key-store-missing", reasons)
        self.assertEqual(reasons[-1], "key-store-ready")

    def test_killed_while_it_loads_keys_and_signs_nothing_is_lost(self):
        agents = [self.agent(HIGH) for _ in range(4)]
        over = threading.Event()
        got = [[] for _ in agents]

        def ask(agent, answers):
            while not over.is_set():
                status, answer = agent.token(FRESH)
                answers.append((status, answer))

        threads = [threading.Thread(target=ask, args=pair) for pair in zip(agents, got)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                before = sum(len(answers) for answers in got)
                wait_for(lambda: sum(len(answers) for answers in got) > before + 3, "requests")
                self.badged.tpm.kill()
                self.badged.tpm.start()
                self.becomes("ready")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        issued = [answer["access_token"] for answers in got for status, answer in answers
                  if status == 200]
        self.assertTrue(issued)
        self.assertEqual({status for answers in got for status, _ in answers} - {200, 503}, set())
        recorded = {line["jti"] for line in self.badged.audit() if line["kind"] == "token"}
        self.assertEqual({claims(token)["jti"] for token in issued} - recorded, set())
        for token in (issued[0], issued[-1]):
            self.assertEqual(verifier(self.badged, token)[0], 0)
        for agent in agents:
            self.good(agent.token(FRESH))

    def test_absent_at_start_it_is_waited_for(self):
        kids = self.kids()
        token = self.good(self.agent(LOW).token())
        self.badged.stop()
        self.badged.tpm.stop()
        self.badged.wait_ready = False
        self.badged.start()
        state = self.becomes("missing")
        self.assertTrue(state["hint"])
        self.unavailable(self.agent(HIGH).token())
        self.unavailable(self.agent(LOW).token())  # its issuing key is sealed
        # What cannot be checked is not said to be nobody's, nor taken for revoked.
        for target in ("/v1/introspect", "/v1/revoke"):
            self.unavailable(self.agent(LOW).call("POST", target, {"token": token}))
            self.unavailable(call(self.badged.admin_socket, "POST", target, {"token": token})[::2])
        self.badged.tpm.start()
        self.becomes("ready")
        wait_for(lambda: len(self.kids()) == len(kids), "the keys")
        self.assertEqual(self.kids(), kids)
        self.good(self.agent(HIGH).token())
        self.good(self.agent(LOW).token())
        self.assertEqual(self.agent(LOW).call("POST", "/v1/revoke", {"token": token}), (200, ""))

    def test_stopped_it_holds_up_nobody_who_needs_no_tpm(self):
        low, high = self.agent(LOW), self.agent(HIGH)
        self.good(low.token())
        self.good(high.token())
        answers = []
        with self.badged.tpm.stopped():
            waiting = threading.Thread(target=lambda: answers.append(high.token(FRESH)))
            waiting.start()
            self.addCleanup(waiting.join)
            for _ in range(50):
                self.good(low.token(FRESH))
                self.assertEqual(low.call("GET", "/v1/whoami")[0], 200)
                self.assertTrue(self.kids())
            self.badged.status()
        waiting.join()
        self.assertIn(answers[0][0], (200, 503))
        self.becomes("ready")
        self.good(high.token(FRESH))

    def test_hanging_in_a_command_it_is_answered_for_and_comes_back(self):
        low, high, other = self.agent(LOW), self.agent(HIGH), self.agent(HIGH)
        self.good(low.token())
        held = self.good(high.token())
        with self.badged.tpm.stopped():
            answers = []
            waiting = [threading.Thread(target=lambda ask=ask: answers.append(ask())) for ask in
                       (lambda: high.token(FRESH), lambda: other.token())]
            for each in waiting:
                each.start()
                self.addCleanup(each.join)
            for each in waiting:  # they end though the TPM says nothing
                each.join(DEADLINE)
            for answer in answers:
                self.unavailable(answer)
            self.assertEqual(len(answers), 2)
            state = self.becomes("hanging")
            self.assertTrue(state["message"] and state["hint"])
            self.unavailable(high.proof(held))
            self.good(low.token(FRESH))
            self.assertEqual(self.badged.ctl("doctor").returncode, 1)
        self.becomes("ready")
        # What hung is ended first, and may have the next caller come back once more.
        wait_for(lambda: high.proof(held)[0] == 200, "the held token to get a proof again")
        # The key that was made too late for anybody is gone: there is room for as many as before.
        for _ in range(4):
            self.good(self.agent(HIGH).token())
        self.good(other.token())

    def test_hanging_it_does_not_keep_badged_from_stopping_in_order(self):
        high = self.agent(HIGH)
        self.good(high.token())
        with self.badged.tpm.stopped():
            self.badged.process.terminate()
            self.assertEqual(self.badged.process.wait(DEADLINE), 0)
        self.assertEqual([line["kind"] for line in self.badged.audit()][-1], "stop")

    def test_a_session_that_ends_while_the_tpm_signs_its_proof_is_no_session(self):
        high = self.agent(HIGH)
        held = self.good(high.token())
        answers = []
        with self.badged.tpm.stopped():
            waiting = threading.Thread(target=lambda: answers.append(high.proof(held)))
            waiting.start()
            self.addCleanup(waiting.join)
            wait_for(high.waits_for_an_answer, "the proof to be asked for")
            self.badged.status()  # what was sent before it is read by now
            self.badged.status()
            self.badged.write_record("high", RECORDS["high"].replace("invoices.write", "invoices.list"))
            self.assertEqual(self.badged.ctl("reload").returncode, 0)
        waiting.join()
        self.assertEqual((answers[0][0], answers[0][1]["error"]), (401, "invalid_token"), answers)
        self.good(high.token())

    def test_hanging_when_nobody_waits_it_is_said_and_over_with_the_answer(self):
        high = self.agent(HIGH)
        self.good(high.token())
        with self.badged.tpm.stopped():
            self.becomes("hanging")  # badged asks by itself whether the TPM is there
        findings = lambda: [line["reason"] for line in self.badged.audit()  # noqa: E731
                            if line.get("reason", "").startswith("key-store-")]
        wait_for(lambda: findings()[-1] == "key-store-ready", "the key store to be ready again")
        self.good(high.token(FRESH))
        # A second time, and stopped before badged can know that it hangs.
        with self.badged.tpm.stopped():
            self.badged.process.terminate()
            self.assertEqual(self.badged.process.wait(DEADLINE), 0)


class Another(Case):
    def test_cleared_it_is_replaced_and_no_new_keys_are_made(self):
        kids, token = self.kids(), self.good(self.agent(HIGH).token())
        self.badged.stop()
        if shutil.which("tpm2_clear") is None:
            self.skipTest("needs tpm2-tools")
        subprocess.run(["tpm2_clear", "-T", self.badged.tpm.tcti, "-c", "p"], check=True,
                       capture_output=True, timeout=DEADLINE)
        self.replaced(kids)
        self.assertEqual(verifier(self.badged, token)[0], 0)

    def test_another_tpm_is_replaced_and_no_new_keys_are_made(self):
        kids = self.kids()
        self.badged.stop()
        self.badged.tpm.stop()
        shutil.rmtree(self.badged.tpm.directory)
        self.badged.tpm.start()
        self.replaced(kids)

    def replaced(self, kids):
        published = (self.badged.state_dir / "publish" / "jwks.json").read_text()
        keys = {f.name: f.read_bytes() for f in (self.badged.state_dir / "keys").iterdir()}
        self.badged.wait_ready = False
        self.badged.start()
        state = self.becomes("replaced")
        self.assertIn("enrol", state["message"] + state["hint"])
        for uid in (LOW, HIGH):
            self.unavailable(self.agent(uid).token())
        self.assertFalse(set(self.kids()) - set(kids))
        self.assertEqual((self.badged.state_dir / "publish" / "jwks.json").read_text(), published)
        self.assertEqual({f.name: f.read_bytes() for f in (self.badged.state_dir / "keys").iterdir()},
                         keys)


class Configured(unittest.TestCase):
    def test_a_device_that_may_not_be_opened_is_told_from_one_that_is_missing(self):
        with Badged(records=RECORDS, start=False, store="software") as badged:
            device = badged.directory / "device"
            os.mknod(device, 0o600 | 0o020000, os.makedev(1, 3))
            text = badged.config_file.read_text()
            text = text[:text.index("[keystore]")] + f'[keystore]\nkind = "tpm"\ntcti = "device:{device}"\n'
            badged.config_file.write_text(text)
            os.chown(badged.directory, LOW, LOW)
            # As a user whom the device's mode keeps out: root may open everything. With the capability
            # that the unit gives, without which it cannot tell PID 1's namespaces in a container.
            see_others = ["--inh-caps=+sys_ptrace", "--ambient-caps=+sys_ptrace"]
            with open(badged.log_file, "ab") as log:
                badged.process = subprocess.Popen(
                    as_uid(LOW) + see_others + [BUILD / "badged", "--config", badged.config_file],
                    stdout=log, stderr=log)
            wait_for(lambda: "no-permission" in badged.log(), "the condition in the log")
            self.assertIn(str(device), badged.log())

    def test_software_keys_must_be_accepted_in_words_and_are_told_everywhere(self):
        with Badged(records={"low": RECORDS["low"], "high": RECORDS["high"]}, store="software",
                    start=False) as badged:
            whole = badged.config_file.read_text()
            badged.config_file.write_text(whole.replace("i_accept_software_keys = true", ""))
            done = subprocess.run([BUILD / "badged", "--config", badged.config_file],
                                  capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual(done.returncode, 3, done)
            self.assertIn("i_accept_software_keys", done.stderr)
            badged.config_file.write_text(whole)
            badged.start()
            self.assertIn("SOFTWARE", badged.log())
            self.assertEqual(badged.status()["keystore"]["custody"], "software")
            with badged.agent(LOW) as low, badged.agent(HIGH) as high:
                token = low.token()[1]["access_token"]
                self.assertEqual(claims(token)["badged"]["host"]["custody"], "software")
                self.assertEqual(high.token()[0], 403)  # its keys must be in a TPM
            self.assertEqual({key["badged_custody"] for key in badged.get("/v1/jwks")["keys"]},
                             {"software"})

    def test_keys_of_a_tpm_are_not_taken_for_software_keys(self):
        with Badged(records=RECORDS) as badged:
            badged.stop()
            text = badged.config_file.read_text()
            badged.config_file.write_text(
                text[:text.index("[keystore]")] +
                '[keystore]\nkind = "software"\ni_accept_software_keys = true\n')
            badged.wait_ready = False
            before = (badged.state_dir / "keys" / "issuing.json").read_bytes()
            badged.start()
            with badged.agent(LOW) as low:
                self.assertEqual(low.token()[0], 503)
            self.assertEqual((badged.state_dir / "keys" / "issuing.json").read_bytes(), before)


if __name__ == "__main__":
    unittest.main()
