"""The issuers whose subject tokens are taken: their keys at start and reload (H29), their tokens in no log (H30)."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from exchange_case import GRANT, ORCHESTRATOR, RECORDS, TYPE, Case, idp, setUpModule  # noqa: E402
from harness import AUDIENCE, BUILD, ISSUER, Badged  # noqa: E402


class SubjectIssuers(Case):
    def test_h29_a_reload_with_a_bad_key_file_changes_nothing(self):
        file = pathlib.Path(self.keys_dir.name, "people.json")
        self.addCleanup(lambda: (self.people.write(file), self.badged.ctl("reload")))
        agent = self.agent(ORCHESTRATOR)
        private = {"keys": [json.loads(self.people.keys["ES256"].key.export_private())]}
        for name, text in {"no JSON": "{", "private key": json.dumps(private),
                           "nothing usable": '{"keys":[]}',
                           "too long": '{"keys":[]}' + " " * 70000}.items():
            with self.subTest(name):
                file.write_text(text)
                done = self.badged.ctl("reload")
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn("people.json", done.stdout + done.stderr)
                self.exchanged(agent, self.people.token(), audience=AUDIENCE)
        self.people.write(file)
        file.chmod(0o666)
        self.assertEqual(self.badged.ctl("reload").returncode, 1)

    def test_a_reload_brings_new_keys_and_takes_old_ones(self):
        file = pathlib.Path(self.keys_dir.name, "people.json")
        self.addCleanup(lambda: (self.people.write(file), self.badged.ctl("reload")))
        rotated = idp.IdentityProvider(ISSUER)
        rotated.write(file)
        self.assertEqual(self.badged.ctl("reload").returncode, 0)
        agent = self.agent(ORCHESTRATOR)
        self.exchanged(agent, rotated.token(), audience=AUDIENCE)
        self.refused(self.ask(agent, self.people.token(), audience=AUDIENCE), "subject")

    def test_h30_subject_tokens_are_in_no_log(self):
        agent, token = self.agent(ORCHESTRATOR), self.people.token(jti="canary-jti-123456")
        self.exchanged(agent, token, audience=AUDIENCE)
        self.ask(agent, token[:-4] + "AAAA", audience=AUDIENCE)
        self.ask(agent, token, audience=token)
        audit = (self.badged.state_dir / "audit.jsonl").read_text()
        for secret in (token, token.split(".")[2][:40], "canary-jti-123456"):
            self.assertNotIn(secret, audit)
            self.assertNotIn(secret, self.badged.log())


    def test_another_issuers_typ_is_compared_without_case(self):
        agent = self.agent(ORCHESTRATOR)
        for typ in ("at+jwt", "AT+JWT", "application/At+Jwt", "jwt"):
            self.exchanged(agent, self.people.token(header={"typ": typ}), audience=AUDIENCE)


class Start(unittest.TestCase):
    def test_two_issuers_may_name_their_keys_alike_and_write_other_types(self):
        machines = idp.IdentityProvider(ISSUER, issuer="https://a-machines.example.org")
        people = idp.IdentityProvider(ISSUER)
        for each in (machines, people):
            each.keys = {"ES256": idp.Key(kid="1")}
        with tempfile.TemporaryDirectory() as keys:
            config = "".join(each.config(each.write(pathlib.Path(keys, name)), extra=f'typ = ["{typ}"]')
                             for each, name, typ in ((machines, "machines", "at+jwt"), (people, "people", "absent")))
            pathlib.Path(keys).chmod(0o755)
            with Badged(records=RECORDS, store="software", config=config) as badged, badged.agent(ORCHESTRATOR) as agent:
                def ask(token):
                    return agent.call("POST", "/v1/token", {
                        "grant_type": GRANT, "subject_token": token, "subject_token_type": TYPE + "jwt",
                        "audience": AUDIENCE})
                status, answer = ask(people.token(header={"typ": None}))
                self.assertEqual(status, 200, answer)
                status, answer = ask(people.token(header={"typ": "JWT"}))
                self.assertEqual((status, answer["refused_by"]), (400, "subject"))
                self.assertIn("its typ is of another use", answer["error_description"])
                status, answer = ask(machines.token(header={"typ": None}))
                self.assertEqual((status, answer["refused_by"]), (400, "subject"))
                self.assertIn('"absent"', answer["hint"])

    def test_an_issuer_without_keys_is_named_and_the_rest_served(self):
        people = idp.IdentityProvider(ISSUER)
        with Badged(records=RECORDS, store="software",
                    config=people.config("/nonexistent/people.json")) as badged:
            with badged.agent(ORCHESTRATOR) as agent:
                self.assertEqual(agent.token(audience=AUDIENCE)[0], 200)
                status, answer = agent.call("POST", "/v1/token", {
                    "grant_type": GRANT, "subject_token": people.token(),
                    "subject_token_type": TYPE + "jwt", "audience": AUDIENCE})
                self.assertEqual((status, answer["refused_by"]), (400, "subject"))
            self.assertIn("/nonexistent/people.json", json.dumps(badged.status()["agents"]))
            checked = subprocess.run([BUILD / "badged", "--check", "--config", badged.config_file],
                                     capture_output=True, text=True, timeout=60)
            self.assertEqual(checked.returncode, 3, checked.stderr)
            self.assertIn("/nonexistent/people.json", checked.stderr)


if __name__ == "__main__":
    unittest.main()
