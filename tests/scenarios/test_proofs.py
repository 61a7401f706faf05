"""Proofs: for the own token, inside of its grant, and for nothing else (H7)."""
import base64
import hashlib
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import AUDIENCE, claims, part, verifier, wait_for  # noqa: E402
from tokens_case import BRIEF, LONG, LOW, TWO, URL, Case, setUpModule  # noqa: E402


class Proofs(Case):
    """H7: whose token, for where, until when."""

    def test_the_good_pair_is_accepted_and_another_keys_proof_is_not(self):
        agent, other = self.agent(LOW), self.agent(LOW)
        token, theirs = self.granted(agent), self.granted(other)
        request = ("--method", "GET", "--url", URL)
        code, good = verifier(self.badged, token, *request, proof=self.proved(agent, token))
        self.assertEqual(code, 0, good)
        code, bad = verifier(self.badged, token, *request, proof=self.proved(other, theirs))
        self.assertEqual(code, 1, bad)

    def test_no_proof_for_a_token_of_another_process_of_the_same_uid(self):
        thief, victim = self.agent(LOW), self.agent(LOW)
        token = self.granted(victim)
        self.refused(thief.proof(token), 401, "invalid_token")  # it has no session
        self.granted(thief)
        self.refused(thief.proof(token), 401, "invalid_token")  # nor with one of its own
        self.proved(victim, token)

    def test_no_proof_for_a_token_of_another_agent(self):
        thief, victim = self.agent(LONG), self.agent(LOW)
        self.granted(thief)
        self.refused(thief.proof(self.granted(victim)), 401, "invalid_token")

    def test_no_proof_for_a_url_outside_the_grant(self):
        agent = self.agent(TWO)
        token = self.granted(agent, audience=AUDIENCE)
        self.proved(agent, token, url="https://ledger.example.org/api/invoices")
        for url in ("https://mail.example.org/x", "https://ledger.example.org/",
                    "https://ledger.example.org/apix", "https://ledger.example.org/other/api/",
                    "http://ledger.example.org/api/x", "https://ledger.example.org:8443/api/x",
                    "https://ledger.example.org.evil.example/api/x",
                    "https://evil.example/https://ledger.example.org/api/",
                    "https://ledger.example.org@evil.example/api/x",
                    "https://ledger.example.org/api/../admin", "https://ledger.example.org/api%2Fx"):
            with self.subTest(url=url):
                status, answer = agent.proof(token, url=url)
                self.assertEqual(status, 400, answer)
                self.assertIn(answer["error"], ("invalid_target", "invalid_request"))

    def test_query_and_fragment_never_enter_the_proof(self):
        agent = self.agent(LOW)
        token = self.granted(agent)
        self.proved(agent, token, url=URL + "?page=2#end")
        self.proved(agent, token, url=URL + "#end?/../../x")

    def test_a_token_of_one_audience_gets_no_proof_for_another_ones_url(self):
        agent = self.agent(TWO)
        ledger = self.granted(agent, audience=AUDIENCE)
        mail = self.granted(agent, audience="https://mail.example.org/")
        self.proved(agent, mail, url="https://mail.example.org/send")
        self.refused(agent.proof(ledger, url="https://mail.example.org/send"), 400, "invalid_target")
        self.refused(agent.proof(mail, url=URL), 400, "invalid_target")

    def test_no_proof_after_the_token_has_expired(self):
        agent = self.agent(BRIEF)
        token = self.granted(agent)
        answer = wait_for(lambda: (a := agent.proof(token))[0] != 200 and a, "the token to expire")
        self.refused(answer, 401, "invalid_token")
        self.assertGreaterEqual(time.time(), claims(token)["exp"])  # until then each was given
        self.assertEqual(claims(token)["exp"] - claims(token)["iat"], 2)

    def test_no_proof_after_the_process_of_the_token_has_exited(self):
        first, heir = self.agent(LOW), self.agent(LOW)
        token = self.granted(first)
        self.granted(heir)
        first.end()
        self.refused(heir.proof(token), 401, "invalid_token")
        self.refused(self.agent(LOW).proof(token), 401, "invalid_token")

    def test_no_proof_for_what_is_not_our_token(self):
        agent = self.agent(LOW)
        token = self.granted(agent)
        header, payload, signature = token.split(".")
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
        for name, bad in {"nonsense": "x", "no signature": f"{header}.{payload}.",
                          "alg none": f"{none}.{payload}.{signature}",
                          "other bytes": f"{header}.{payload}.{'A' * len(signature)}",
                          "cut": token[:-1], "longer": token + "A", "four parts": token + ".x",
                          "16 kB": "a." * 8000}.items():
            with self.subTest(name):
                self.refused(agent.proof(bad), 401, "invalid_token")

    def test_a_proof_says_what_rfc_9449_wants_and_nothing_private(self):
        agent = self.agent(LOW)
        token = self.granted(agent)
        proof = self.proved(agent, token, "POST", "HTTPS://Ledger.example.org:443/api/x?y=1",
                            nonce="n-1")
        header, body = part(proof, 0), claims(proof)
        self.assertEqual((header["typ"], header["alg"], set(header["jwk"])),
                         ("dpop+jwt", "ES256", {"kty", "crv", "x", "y"}))
        self.assertEqual(body["htm"], "POST")
        self.assertEqual(body["htu"], URL)
        self.assertEqual(body["nonce"], "n-1")
        digest = hashlib.sha256(token.encode()).digest()
        self.assertEqual(body["ath"], base64.urlsafe_b64encode(digest).rstrip(b"=").decode())
        canonical = json.dumps(header["jwk"], sort_keys=True, separators=(",", ":")).encode()
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=")
        self.assertEqual(claims(token)["cnf"], {"jkt": thumbprint.decode()})

    def test_iat_is_now_and_jti_new_each_time(self):
        agent = self.agent(LOW)
        token = self.granted(agent)
        made = [claims(self.proved(agent, token)) for _ in range(20)]
        self.assertEqual(len({m["jti"] for m in made}), 20)
        self.refused(agent.call("POST", "/v1/proof", {"method": "GET", "url": URL,
                                                      "access_token": token, "iat": "1"}),
                     400, "invalid_request")

    def test_a_method_must_be_one(self):
        agent = self.agent(LOW)
        token = self.granted(agent)
        for method in ("G ET", "GET\t", "a" * 33, "GET/1"):
            with self.subTest(method=method):
                self.refused(agent.proof(token, method), 400, "invalid_request")


if __name__ == "__main__":
    unittest.main()
