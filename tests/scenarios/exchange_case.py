"""What the tests of token exchange share: records that act for people and hand on, and an identity provider."""
import os
import pathlib
import tempfile
import time
import unittest

from harness import ISSUER, Badged, WithAgents, record, wait_for

try:
    import identity_provider as idp
except ImportError:
    idp = None

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
ENDPOINT = ISSUER + "/v1/token"
ORCHESTRATOR, WORKER, TOOL, LAST, FIFTH, PLAIN, STRANGER, HIGH, BEARER, ALONE = range(61001, 61011)


def spiffe(name):
    return f"spiffe://example.org/host/build-7/agent/{name}"


ACTS = f'act_for = ["https://idp.example.org", "{ISSUER}"]'
# Each may hand on: a grant whose audience is this issuer.
HANDS_ON = f'''
authorization_details_types = ["payment"]
[[grant]]
audience = "{ISSUER}"
scope = ["invoices.read", "invoices.write"]
authorization_details_types = ["payment"]
'''
RECORDS = {name: record(name, match=f"uid = {uid}", extra=ACTS, grant=HANDS_ON)
           for name, uid in [("orchestrator", ORCHESTRATOR), ("worker", WORKER), ("tool", TOOL),
                             ("last", LAST), ("fifth", FIFTH)]}
RECORDS["alone"] = record("alone", match=f"uid = {ALONE}", extra=f'act_for = ["{ISSUER}"]')
RECORDS["plain"] = record("plain", match=f"uid = {PLAIN}")
RECORDS["high"] = record("high", match=f"uid = {HIGH}", autonomy="high", access="admin", extra=ACTS)
RECORDS["base"] = record("base", match=f"uid = {BEARER}", access="public-read", extra=ACTS,
                         grant="bearer = true" + HANDS_ON)


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")
    if idp is None:
        raise unittest.SkipTest("needs python3-jwcrypto")


class Case(WithAgents, unittest.TestCase):
    """One badged for all: each test starts processes, thus sessions, of its own."""

    @classmethod
    def setUpClass(cls):
        cls.keys_dir = tempfile.TemporaryDirectory(prefix="badged-idp-")
        cls.addClassCleanup(cls.keys_dir.cleanup)
        directory = pathlib.Path(cls.keys_dir.name)
        cls.people = idp.IdentityProvider(ISSUER, algs=("ES256", "RS256", "PS256", "EdDSA"))
        cls.unlisted = idp.IdentityProvider(ISSUER, issuer="https://other-idp.example.org")
        config = (cls.people.config(cls.people.write(directory / "people.json")) +
                  cls.unlisted.config(cls.unlisted.write(directory / "unlisted.json")))
        cls.badged = Badged(records=RECORDS, config=config).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)
        # Proofs of the second of its start may have been seen before it: refused.
        started = cls.badged.status()["started"]
        wait_for(lambda: time.time() >= started + 1, "the next second")

    def ask(self, agent, subject, kind="jwt", headers=None, **fields):
        return agent.call("POST", "/v1/token",
                          {"grant_type": GRANT, "subject_token": subject,
                           "subject_token_type": TYPE + kind, **fields}, headers)

    def exchanged(self, agent, subject, **fields):
        status, answer = self.ask(agent, subject, **fields)
        self.assertEqual(status, 200, answer)
        return answer

    def own(self, agent, **fields):
        status, answer = agent.token(**fields)
        self.assertEqual(status, 200, answer)
        return answer["access_token"]

    def handed(self, agent, token):
        """What the agent gives to the next: its token, and a proof for the exchange."""
        status, answer = agent.proof(token, "POST", ENDPOINT)
        self.assertEqual(status, 200, answer)
        return {"subject": token, "kind": "access_token", "subject_token_proof": answer["dpop"]}

    def refused(self, answer, by, code="invalid_request", reason=None, status=400):
        self.assertEqual((answer[0], answer[1]["error"], answer[1]["refused_by"]),
                         (status, code, by), answer[1])
        if reason:
            self.assertIn(reason, answer[1]["error_description"] + answer[1].get("hint", ""))

    def by(self, answer, member):
        return [step["by"] for step in answer["narrowed"] if step["member"] == member]
