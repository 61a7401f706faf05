"""No token, proof or key in a log line, an audit record, an error or a core (H30)."""
import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Badged, WithAgents, call, record  # noqa: E402

LOW, HIGH, STRANGER = 61001, 61002, 61009
FRESH = {"Cache-Control": "no-cache"}
RECORDS = {"low": record("low", match=f"uid = {LOW}"),
           "high": record("high", match=f"uid = {HIGH}", autonomy="high", access="admin")}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


class Canaries(WithAgents, unittest.TestCase):
    def setUp(self):
        self.badged = Badged(records=RECORDS).__enter__()
        self.addCleanup(self.badged.__exit__)
        self.secrets, self.said = set(), []

    def token(self, agent):
        status, answer = agent.token(FRESH)
        self.assertEqual(status, 200, answer)
        self.secrets.add(answer["access_token"])
        return answer["access_token"]

    def proof(self, agent, token):
        status, answer = agent.proof(token)
        self.assertEqual(status, 200, answer)
        self.secrets.add(answer["dpop"])

    def fails(self, answer):
        self.assertGreaterEqual(answer[0], 400)
        self.said.append(str(answer[1]))

    def everything_that_fails(self):
        low, high, other = self.agent(LOW), self.agent(HIGH), self.agent(LOW)
        tokens = [self.token(agent) for agent in (low, high, other)]
        for agent, token in zip((low, high, other), tokens):
            self.proof(agent, token)
            self.fails(agent.proof(token, url="https://evil.example/"))
            self.fails(agent.proof(token, "BAD METHOD"))
            self.fails(agent.proof(token, more="x"))
            self.fails(agent.proof(token[:-2]))
            self.fails(agent.token({"DPoP": token}))
            self.fails(agent.token({"Forwarded": token}))
            self.fails(agent.token(audience=token))
            self.fails(agent.call("POST", "/v1/evidence", {"challenge": "A" * 43, "audience": token}))
            self.fails(agent.token(grant_type=token))
            self.fails(agent.token(authorization_details=token))
            self.fails(agent.call("GET", "/v1/" + token))
            self.fails(agent.call("GET", "/v1/jwks?" + token))
            self.fails(agent.call("POST", "/v1/proof", token, {"Content-Type": "application/json"}))
        self.fails(other.proof(tokens[0]))
        self.fails(self.agent(STRANGER).proof(tokens[0]))
        self.fails(call(self.badged.admin_socket, "GET", "/v1/whoami?pid=" + tokens[0])[::2])
        self.badged.write_record("low", tokens[0])
        self.badged.ctl("reload")
        self.badged.tpm.kill()
        self.fails(high.proof(tokens[1]))
        self.fails(high.token(FRESH))

    def found_in(self, text):
        """The secrets that `text` holds, whole or by their signature alone."""
        return [secret for secret in self.secrets if secret in text or
                secret.rpartition(".")[2] in text]

    def test_no_failure_path_leaves_a_token_or_proof_anywhere(self):
        self.everything_that_fails()
        places = {
            "the log": self.badged.log(),
            "the audit": (self.badged.state_dir / "audit.jsonl").read_text(),
            "status": str(self.badged.status()),
            "audit tail": self.badged.ctl("audit", "tail").stdout,
            "answers": "\n".join(self.said),
            "argv and environment": self.process("cmdline") + self.process("environ"),
        }
        for place, text in places.items():
            with self.subTest(place):
                self.assertEqual(self.found_in(text), [])

    def process(self, name):
        return pathlib.Path(f"/proc/{self.badged.process.pid}/{name}").read_bytes().decode()

    def test_files_of_keys_are_private_and_hold_no_bare_scalar(self):
        self.agent(LOW).token()
        for file in (self.badged.state_dir / "keys").iterdir():
            with self.subTest(file.name):
                self.assertEqual(file.stat().st_mode & 0o077, 0)
                text = file.read_bytes()
                self.assertNotIn(b"BEGIN PRIVATE KEY", text)
                self.assertNotIn(b"BEGIN EC PRIVATE KEY", text)
                self.assertNotIn(b'"d"', text)
        published = (self.badged.state_dir / "publish" / "jwks.json").read_text()
        self.assertNotIn('"d":', published)

    def test_a_core_holds_no_locked_key(self):
        """OpenSSL's secure heap is mapped so that no core has it."""
        self.agent(LOW).token()
        smaps = self.process("smaps")
        areas = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", smaps)
        locked = [area for area in areas if re.search(r"^VmFlags:.*\blo\b", area, re.M)]
        self.assertTrue(locked)
        for area in locked:
            self.assertRegex(area, r"(?m)^VmFlags:.*\bdd\b")  # MADV_DONTDUMP


if __name__ == "__main__":
    unittest.main()
