"""What changes while a request waits counts for its answer; and bounds that are met before a key is."""
import hashlib
import json
import os
import pathlib
import shutil
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (AUDIENCE, ISSUER, PYTHON, Agent, Badged, as_uid, claims, record,  # noqa: E402
                     wait_for)

LOW, HIGH = 61001, 61002
FRESH = {"Cache-Control": "no-cache"}
SIZE = 500 << 20  # hashed in a second or so: below the 512 MiB that badged reads


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def held_by(pid, path):
    """Whether this process has the file open."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{fd}") == str(path):
                return True
        except OSError:
            pass
    return False


class Case(unittest.TestCase):
    def start(self, records, **kwargs):
        badged = Badged(records=records, **kwargs).__enter__()
        self.addCleanup(badged.__exit__)
        return badged

    def asked(self, ask):
        """Asks on a thread; the list is filled when the answer comes."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(ask()))
        thread.start()
        self.addCleanup(thread.join)
        return answers, thread

    def sent(self, badged, agent):
        """The agent's request is at the TPM: nothing else of it can come before an answer does."""
        wait_for(agent.waits_for_an_answer, "the request to be sent")
        # What was sent before is read when these are answered, and decided with the second.
        badged.status()
        badged.status()


class Reloaded(Case):
    """H29 beside requests: nobody is served by records that are no longer in force."""

    def test_a_record_removed_while_its_executable_is_hashed_admits_nobody(self):
        badged = self.start({}, store="software")
        program = pathlib.Path(badged.directory) / "large-python"
        shutil.copy(PYTHON, program)
        os.truncate(program, SIZE)
        digest = hashlib.sha256()
        with open(program, "rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
        match = f'uid = {LOW}\nexecutable = "{program}"\nexecutable_sha256 = ["{digest.hexdigest()}"]'
        environment = ["env", f"PYTHONHOME={sys.base_prefix}"] if PYTHON.startswith(
            sys.base_prefix) else []
        command = as_uid(LOW) + environment + [str(program)]
        for _ in range(10):  # until the reload comes before the hash is made
            badged.write_record("low", record("low", match=match))
            self.assertEqual(badged.ctl("reload").returncode, 0)
            program.chmod(0o755)  # another ctime: it is hashed anew
            with Agent(badged, LOW, command) as agent:
                answers, thread = self.asked(agent.token)
                wait_for(lambda: held_by(badged.process.pid, program) or answers, "the hashing")
                (badged.agents_dir / "low.toml").unlink()
                self.assertEqual(badged.ctl("reload").returncode, 0)
                in_time = not answers
                thread.join()
                agent.end()
            if in_time:
                break
        self.assertTrue(in_time, "every hash was made before the reload: nothing was tried")
        self.assertEqual((answers[0][0], answers[0][1].get("error")), (403, "unauthorized_client"))

    def test_a_token_decided_by_the_old_record_is_not_handed_out(self):
        wide = record("high", match=f"uid = {HIGH}", autonomy="high", access="admin")
        badged = self.start({"high": wide})
        with badged.agent(HIGH) as agent:
            self.assertEqual(agent.token()[0], 200)
            with badged.tpm.stopped():
                answers, thread = self.asked(lambda: agent.token(FRESH))
                self.sent(badged, agent)
                badged.write_record("high", wide.replace(', "invoices.write"', ""))
                self.assertEqual(badged.ctl("reload").returncode, 0)
            thread.join()
            status, answer = answers[0]
            self.assertTrue(status == 503 or claims(answer["access_token"])["scope"] == "invoices.read",
                            answer)
            status, answer = agent.token()
            self.assertEqual((status, claims(answer["access_token"])["scope"]), (200, "invoices.read"))
            agent.end()


class RevokedMeanwhile(Case):
    """H16 beside requests: what a token would come of may be gone before it is made."""

    def test_a_subject_revoked_while_the_tpm_signs_yields_no_token(self):
        hands_on = f'''
[[grant]]
audience = "{ISSUER}"
scope = ["invoices.read"]
'''
        badged = self.start({
            "low": record("low", match=f"uid = {LOW}", grant=hands_on),
            "high": record("high", match=f"uid = {HIGH}", autonomy="high", access="admin",
                           extra=f'act_for = ["{ISSUER}"]')})
        with badged.agent(LOW) as giver, badged.agent(HIGH) as taker:
            self.assertEqual(taker.token()[0], 200)  # its session's key is made
            status, answer = giver.token(audience=ISSUER)
            self.assertEqual(status, 200, answer)
            given = answer["access_token"]
            # Proofs of the second of its start may have been seen before it: refused.
            wait_for(lambda: time.time() >= badged.status()["started"] + 1, "the next second")
            proof = giver.proof(given, "POST", ISSUER + "/v1/token")[1]["dpop"]
            exchange = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                        "subject_token": given, "subject_token_proof": proof,
                        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
                        "audience": AUDIENCE}
            with badged.tpm.stopped():
                answers, thread = self.asked(lambda: taker.call("POST", "/v1/token", exchange))
                self.sent(badged, taker)
                self.assertEqual(giver.call("POST", "/v1/revoke", {"token": given}), (200, ""))
                self.assertEqual(answers, [], "it was made before the revocation: nothing was tried")
            thread.join()
            self.assertEqual((answers[0][0], answers[0][1].get("error")), (400, "invalid_request"),
                             answers[0])
            self.assertIn("ended", answers[0][1]["error_description"])
            giver.end()
            taker.end()


class Bounds(Case):
    def test_a_token_longer_than_servers_read_is_an_error_that_says_what_to_ask_less_of(self):
        scopes = [f"scope.number.{number:02}.{'x' * 110}" for number in range(60)]
        grant = 'authorization_details_types = ["payment"]'
        many = record("low", match=f"uid = {LOW}", grant=grant).replace(
            '"invoices.read", "invoices.write"', ", ".join(f'"{scope}"' for scope in scopes))
        badged = self.start({"low": many}, store="software")
        with badged.agent(LOW) as agent:
            status, answer = agent.token()
            self.assertEqual((status, answer["error"]), (400, "invalid_scope"), answer)
            details = json.dumps([{"type": "payment", "note": "y" * 6000}])
            form = {"grant_type": "client_credentials", "audience": AUDIENCE,
                    "scope": scopes[0], "authorization_details": details}
            status, answer = agent.call("POST", "/v1/token", form)
            self.assertEqual((status, answer["error"]), (400, "invalid_authorization_details"), answer)
            status, answer = agent.call("POST", "/v1/token", {
                "grant_type": "client_credentials", "audience": AUDIENCE, "scope": scopes[0]})
            self.assertEqual(status, 200, answer)
            agent.end()

    def test_an_agent_over_its_rate_is_refused_before_a_key_is_made_for_it(self):
        rates = "[limits.high-assurance]\ntokens_per_second = 1\ntoken_burst = 2\n"
        badged = self.start({"high": record("high", match=f"uid = {HIGH}", autonomy="high",
                                            access="admin")}, config=rates)
        with badged.agent(HIGH) as first, badged.agent(HIGH) as second:
            # Both of the burst, then at once a process that has no session yet.
            statuses = [first.token()[0], first.token(FRESH)[0]]
            while (answer := first.token(FRESH))[0] == 200:
                statuses.append(200)
            self.assertEqual((answer[0], answer[1]["error"]), (429, "temporarily_unavailable"))
            refused = second.token()
            if refused[0] == 429:  # a second may have passed; then it had its turn
                self.assertEqual(badged.status()["sessions"], 1)
            self.assertIn(refused[0], (200, 429))
            first.end()
            second.end()


unittest.main()
