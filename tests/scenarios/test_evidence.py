"""Evidence as a verifier gets it: made by a real badged and TPM, looked at with software not ours."""
import base64
import hashlib
import json
import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from evidence_case import (BURST, EVENT_LOG_LIMIT, HIGH, IMA_LOG_LIMIT, LOW, STRANGER, VERIFIER, Case,  # noqa: E402
                           Shared, ask, b64, extra_data, fresh, records_of, run_in, setUpModule, unb64)
from harness import ISSUER, call, part  # noqa: E402


class Made(Shared):
    def test_tpm2_checkquote_and_openssl_accept_a_sessions_evidence(self):
        agent, challenge = self.agent(LOW), fresh()
        evidence = self.made(agent, challenge=challenge)
        claims = part(evidence, 1)
        self.assertEqual(part(evidence, 0)["typ"], "eat+jwt")
        self.assertEqual((claims["iss"], claims["aud"], claims["eat_nonce"]),
                         (ISSUER, VERIFIER, challenge))
        self.assertEqual(claims["sub"], "spiffe://example.org/host/build-7/agent/low")
        self.assertEqual(claims["badged"]["custody"], "locked-memory")
        files = self.check_quote(self.badged, evidence, challenge, claims["cnf"]["jkt"])
        self.assertEqual(set(json.loads(files["pcrs"])["sha256"]), {str(n) for n in range(16)})
        self.check_signed_by(evidence, self.check_certified(files, "issuer"))
        self.assertNotIn("pop.public", files)
        # The session that it speaks for is the one whose tokens it is asked about.
        token = agent.token()[1]["access_token"]
        self.assertEqual(part(token, 1)["cnf"]["jkt"], claims["cnf"]["jkt"])

    def test_a_high_assurance_sessions_key_is_certified_too(self):
        agent, challenge = self.agent(HIGH), fresh()
        evidence = self.made(agent, challenge=challenge)
        claims = part(evidence, 1)
        self.assertEqual(claims["badged"]["custody"], "tpm")
        files = self.check_quote(self.badged, evidence, challenge, claims["cnf"]["jkt"])
        self.check_signed_by(evidence, self.check_certified(files, "issuer"))
        area = self.check_certified(files, "pop")
        jwk = {"crv": "P-256", "kty": "EC", "x": b64(area[-66:-34]), "y": b64(area[-32:])}
        text = json.dumps(jwk, separators=(",", ":")).encode()
        self.assertEqual(b64(hashlib.sha256(text).digest()), claims["cnf"]["jkt"])

    def test_the_hosts_own_evidence_speaks_for_the_issuer_key(self):
        challenge = fresh(64)
        evidence = self.of_host(self.badged, challenge=challenge, pcrs={"sha256": [7, 0]})
        claims = part(evidence, 1)
        self.assertEqual(claims["sub"], "spiffe://example.org/host/build-7")
        self.assertNotIn("cnf", claims)
        files = self.check_quote(self.badged, evidence, challenge, part(evidence, 0)["kid"])
        self.assertEqual(set(json.loads(files["pcrs"])["sha256"]), {"0", "7"})
        self.check_signed_by(evidence, self.check_certified(files, "issuer"))

    def test_h20_another_challenge_audience_or_session_gives_other_extra_data(self):
        one, two = self.agent(LOW), self.agent(LOW)
        challenge = fresh(16)
        seen = {extra_data(records_of(evidence)["quote.attest"]) for evidence in (
            self.made(one, challenge=challenge),
            self.made(one, challenge=challenge, audience=VERIFIER + "x"),
            self.made(one, challenge=fresh(16)),
            self.made(two, challenge=challenge),
            self.of_host(self.badged, challenge=challenge))}
        self.assertEqual(len(seen), 5)
        again = extra_data(records_of(self.made(one, challenge=challenge))["quote.attest"])
        self.assertIn(again, seen)

    def test_the_eks_certificate_goes_along(self):
        text = records_of(self.of_host(self.badged))["ek.chain"].decode()
        self.assertEqual(run_in({"c": text}, "openssl", "x509", "-in", "c", "-noout"), 0)

    def test_it_is_on_record_before_it_is_answered(self):
        agent, challenge = self.agent(LOW), fresh()
        evidence = self.made(agent, challenge=challenge, pcrs={"sha256": [1, 0]})
        line = self.recorded()[-1]
        self.assertEqual((line["agent"], line["uid"], line["audience"], line["pcrs"]),
                         ("low", LOW, VERIFIER, "sha256:0,1"))
        self.assertEqual(line["challenge_sha256"], hashlib.sha256(unb64(challenge)).hexdigest())
        self.assertEqual(line["jkt"], part(evidence, 1)["cnf"]["jkt"])
        self.of_host(self.badged)
        self.assertNotIn("agent", self.recorded()[-1])
        self.assertEqual(self.recorded()[-1]["uid"], 0)


class Refused(Shared):
    def refused(self, answer, status, error):
        self.assertEqual((answer[0], answer[1].get("error")), (status, error), answer)
        self.assertTrue(answer[1]["error_description"])

    def test_what_is_no_question_is_refused_and_changes_nothing(self):
        good, agent = ask(), self.agent(LOW)
        before = len(self.recorded())
        padded = base64.urlsafe_b64encode(os.urandom(32)).decode()
        for bad in ({"challenge": fresh(15)}, {"challenge": fresh(65)}, {"challenge": padded},
                    {"challenge": ""}, {"challenge": "A" * 22 + "B"}, {"challenge": "+/" * 16},
                    {"challenge": 7}, {"challenge": None}, {"audience": ""}, {"audience": ["a"]},
                    {"audience": "a\nb"}, {"audience": "a" * 513}, {"nonce": "x"},
                    {"audience": "a b"}, {"audience": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"},
                    {"pcrs": {}}, {"pcrs": []}, {"pcrs": "sha256:0"}, {"pcrs": None},
                    {"pcrs": {"sha256": []}}, {"pcrs": {"sha256": 7}},
                    {"pcrs": {"sha256": [24]}}, {"pcrs": {"sha256": [-1]}},
                    {"pcrs": {"sha256": [0.5]}}, {"pcrs": {"sha256": ["0"]}},
                    {"pcrs": {"sha256": [1e300]}}, {"pcrs": {"sha256": [2**64]}},
                    {"pcrs": {"sha256": [1, 1]}}, {"pcrs": {"sha256": [[0]]}},
                    {"pcrs": {"sm3_256": [0]}}, {"pcrs": {"SHA256": [0]}}, {"pcrs": {"": [0]}},
                    {"pcrs": {"sha256": list(range(24)) * 10}}):
            with self.subTest(bad):
                answer = agent.call("POST", "/v1/evidence", {**good, **bad})
                self.refused(answer, 400, "invalid_request")
                host = call(self.badged.admin_socket, "POST", "/v1/evidence", {**good, **bad})
                self.refused((host[0], host[2]), 400, "invalid_request")
        for missing in good:
            answer = agent.call("POST", "/v1/evidence", {k: v for k, v in good.items() if k != missing})
            self.refused(answer, 400, "invalid_request")
        twice = json.dumps(good)[:-1] + ',"audience":"other"}'
        json_type = {"Content-Type": "application/json"}
        self.refused(agent.call("POST", "/v1/evidence", twice, json_type), 400, "invalid_request")
        self.assertIsNone(agent.call("GET", "/v1/whoami")[1].get("session"))
        self.assertEqual(len(self.recorded()), before)
        self.made(agent)

    def test_a_bank_that_the_tpm_lacks_is_refused_with_those_it_has(self):
        agent = self.agent(LOW)
        answer = agent.call("POST", "/v1/evidence", ask(pcrs={"sha384": [0], "sha256": [0]}))
        self.refused(answer, 400, "invalid_request")
        self.assertIn("sha384", answer[1]["error_description"])
        self.assertIn("sha256", answer[1]["hint"])

    def test_h25_ten_megabytes_are_refused_unread(self):
        with self.agent(LOW) as agent:
            huge = {"Content-Type": "application/json", "Content-Length": str(10 * 2**20)}
            status, answer = agent.call("POST", "/v1/evidence", "{", huge)
            self.assertEqual(status, 413, answer)
        self.made(self.agent(LOW))

    def test_a_stranger_gets_nothing(self):
        answer = self.agent(STRANGER).call("POST", "/v1/evidence", ask())
        self.refused(answer, 403, "unauthorized_client")

    def test_a_session_that_asks_again_and_again_is_slowed_and_others_are_not(self):
        greedy, other = self.agent(LOW), self.agent(LOW)
        for _ in range(BURST):
            self.made(greedy)
        answers = [greedy.tell(do="call", method="POST", target="/v1/evidence", body=ask())
                   for _ in range(3)]
        slowed = [answer for answer in answers if answer["status"] == 429]
        self.assertTrue(slowed, answers)
        self.assertEqual(slowed[0]["body"]["error"], "temporarily_unavailable")
        self.assertEqual(slowed[0]["headers"]["Retry-After"], "1")
        self.made(other)
        self.of_host(self.badged)

    def test_software_keys_give_no_evidence_and_say_why(self):
        badged = self.start(store="software")
        answer = self.agent(LOW, badged).call("POST", "/v1/evidence", ask())
        self.refused(answer, 400, "invalid_request")
        self.assertIn("software", answer[1]["error_description"])
        self.assertEqual(badged.status()["sessions"], 0)
        done = badged.ctl("evidence", "--host", "--challenge", fresh(), "--audience", "v")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stdout, "")


class Logs(Case):
    """The kernel's logs: as they are, or named as left out with the reason."""

    def evidence_with(self, event_log, ima_log, more=""):
        badged = self.start(
            config=f'[evidence]\nevent_log = "{event_log}"\nima_log = "{ima_log}"\n{more}')
        evidence = self.of_host(badged)
        return records_of(evidence), part(evidence, 1)["badged"].get("omitted", {})

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="badged-logs-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def log(self, name, size):
        path = self.directory / name
        path.write_bytes(os.urandom(size))
        return path

    def test_logs_at_their_limits_are_attached_byte_for_byte(self):
        event, ima = self.log("event", EVENT_LOG_LIMIT), self.log("ima", IMA_LOG_LIMIT)
        files, omitted = self.evidence_with(event, ima)
        self.assertEqual(files["eventlog"], event.read_bytes())
        self.assertEqual(files["imalog"], ima.read_bytes())
        self.assertEqual(omitted, {})

    def test_longer_ones_are_left_out_whole_and_named(self):
        event, ima = self.log("event", EVENT_LOG_LIMIT + 1), self.log("ima", IMA_LOG_LIMIT + 1)
        files, omitted = self.evidence_with(event, ima)
        self.assertEqual(omitted, {"eventlog": "too-large", "imalog": "too-large"})
        self.assertFalse({"eventlog", "imalog"} & set(files))

    def test_absent_and_unreadable_ones_are_named(self):
        fifo = self.directory / "fifo"
        os.mkfifo(fifo)
        _, omitted = self.evidence_with(self.directory / "none", fifo)
        self.assertEqual(omitted, {"eventlog": "absent", "imalog": "unreadable"})
        _, omitted = self.evidence_with(self.directory, "/dev/zero")
        self.assertEqual(omitted, {"eventlog": "unreadable", "imalog": "unreadable"})
        _, omitted = self.evidence_with(self.log("empty", 0), self.directory / "none")
        self.assertEqual(omitted, {"eventlog": "absent", "imalog": "absent"})

    def test_an_admin_can_keep_them_on_the_host(self):
        log = self.log("event", 100)
        files, omitted = self.evidence_with(log, log, "attach_logs = false")
        self.assertEqual(omitted, {"eventlog": "absent", "imalog": "absent"})
        self.assertNotIn("eventlog", files)


class CommandLine(Shared):
    def test_prints_evidence_or_writes_it_whole(self):
        challenge = fresh()
        done = self.badged.ctl("evidence", "--challenge", challenge, "--audience", VERIFIER, uid=LOW)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(part(done.stdout.strip(), 1)["eat_nonce"], challenge)
        self.assertIn("cnf", part(done.stdout.strip(), 1))
        out = self.badged.directory / "evidence"
        done = self.badged.ctl("evidence", "--host", "--challenge", challenge, "--audience", "v",
                               "--pcrs", "sha256:0,7", "--out", str(out), "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)), (0, {"out": str(out)}), done.stderr)
        self.assertEqual(set(json.loads(records_of(out.read_text().strip())["pcrs"])["sha256"]),
                         {"0", "7"})
        done = self.badged.ctl("evidence", "--host", "--challenge", challenge, "--audience", "v",
                               "--json")
        self.assertEqual(part(json.loads(done.stdout)["evidence"], 1)["aud"], "v")

    def test_out_writes_through_what_is_no_plain_file(self):
        link = self.badged.directory / "link"
        target = self.badged.directory / "target"
        target.write_text("x" * 100000)
        link.symlink_to(target)
        done = self.badged.ctl("evidence", "--host", "--challenge", fresh(), "--audience", "v",
                               "--out", str(link))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(link.is_symlink())
        self.assertIn("cmw", part(target.read_text().strip(), 1))

    def test_exit_codes(self):
        for code, uid, *arguments in ((1, None, "--challenge", fresh()),  # a stranger
                                      (1, LOW, "--challenge", fresh(15)),
                                      (1, LOW, "--challenge", fresh(), "--pcrs", "sha256:24"),
                                      (1, LOW, "--challenge", fresh(), "--pcrs", "sha512:1"),
                                      (3, LOW, "--challenge", fresh(), "--pcrs", "sha256"),
                                      (3, LOW, "--challenge", fresh(), "--pcrs", "sha256:1,"),
                                      (2, LOW),
                                      (4, None, "--host", "--challenge", fresh(), "--out", "/none/x")):
            with self.subTest(arguments):
                done = self.badged.ctl("evidence", "--audience", "v", *arguments, uid=uid)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                self.assertEqual(done.stdout, "")

    def test_without_its_tpm_it_is_exit_4(self):
        self.badged.tpm.kill()
        self.addCleanup(self.badged.tpm.start)
        done = self.badged.ctl("evidence", "--audience", "v", "--host", "--challenge", fresh(), "--json")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(json.loads(done.stdout)["error"], "temporarily_unavailable")


if __name__ == "__main__":
    unittest.main()
