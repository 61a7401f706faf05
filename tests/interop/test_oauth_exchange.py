"""Token exchange by oauth4webapi against badged as against any RFC 8693 server, with a person's
token made by python3-jwcrypto; jose verifies what comes of it.

BADGED_BUILD names the build directory (ctest sets it).
"""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tools  # noqa: E402

sys.path.insert(0, os.path.join(tools.REPOSITORY, "tests", "scenarios"))
import harness  # noqa: E402

UID = 61001
TYPE = "urn:ietf:params:oauth:token-type:"


def setUpModule():
    reason = tools.missing() or ("" if os.geteuid() == 0 else "needs root to start agents of other users")
    if reason:
        raise unittest.SkipTest(reason)


class Exchange(unittest.TestCase):
    def test_oauth4webapi_exchanges_and_jose_verifies(self):
        import identity_provider as idp
        people = idp.IdentityProvider(harness.ISSUER, algs=("RS256",))
        record = harness.record("bot", match=f"uid = {UID}", extra=f'act_for = ["{idp.ISSUER}"]')
        badged = harness.Badged(store="software", records={"bot": record}, start=False).__enter__()
        self.addCleanup(badged.__exit__)
        badged.extra_config = people.config(people.write(badged.directory / "people.json"))
        badged.write_config()
        badged.start()

        def ask(subject, **more):
            return {"subject_token": subject, "subject_token_type": TYPE + "jwt", "audience": harness.AUDIENCE, **more}
        exchanges = {"good": ask(people.token("RS256", scope="invoices.read x"), requested_token_type=TYPE + "access_token"),
                     "scope": ask(people.token("RS256", scope="invoices.read"), scope="invoices.write"),
                     "expired": ask(people.token("RS256", exp=1)), "target": ask(people.token("RS256"), audience="https://x/"),
                     "type": ask(people.token("RS256"), subject_token_type=TYPE + "saml2")}
        request = {"socket": str(badged.agent_socket), "audience": harness.AUDIENCE,
                   "exchanges": [{"name": name, "parameters": fields} for name, fields in exchanges.items()]}
        done = subprocess.run([*harness.as_uid(UID), tools.node(), os.path.join(tools.HERE, "exchange.mjs")],
                              input=json.dumps(request), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = json.loads(done.stdout)
        good = answers.pop("good")
        self.assertEqual(good.get("granted", good).get("issued_token_type"), TYPE + "access_token", good)
        self.assertEqual((good["granted"]["scope"], good["granted"]["token_type"].lower()), ("invoices.read", "dpop"))
        self.assertEqual((good["claims"]["sub"], good["claims"]["act"]["sub"]),
                         ("alice", "spiffe://example.org/host/build-7/agent/bot"))
        self.assertEqual({name: answer["error"] for name, answer in answers.items()},
                         {"scope": "invalid_scope", "expired": "invalid_request", "target": "invalid_target",
                          "type": "invalid_request"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
