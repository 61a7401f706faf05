"""The resource servers of docs/examples, and npm's libraries, against pairs that are wrong in one way.

No badged here: the issuer is Forge (tools.py), so that every refusal can be provoked alone.
"""

import json
import os
import sys
import tempfile
import time
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tools  # noqa: E402

ISSUER, AUDIENCE = "https://issuer.example.org", "https://ledger.example.org/"


@unittest.skipIf(tools.missing(), tools.missing())
class Pairs(unittest.TestCase):
    kind = None  # "node" or "python"

    @classmethod
    def setUpClass(cls):
        if cls.kind is None:
            raise unittest.SkipTest("the cases; servers run them below")
        cls.forge = tools.Forge(ISSUER, AUDIENCE)
        cls.file = tempfile.NamedTemporaryFile("w", suffix=".json")
        json.dump(cls.forge.jwks(), cls.file)
        cls.file.flush()
        cls.server = tools.ResourceServer(cls.kind, cls.file.name, ISSUER, AUDIENCE)
        cls.url = cls.server.origin + "/invoices"

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.file.close()

    def send(self, token, proof, scheme="DPoP", path="/invoices", method="GET"):
        proofs = proof if isinstance(proof, list) else [proof] if proof else []
        return self.server.call(path, [("Authorization", f"{scheme} {token}"), *(("DPoP", p) for p in proofs)], method)

    def refused(self, code, token, proof, **more):
        status, body, challenge = self.send(token, proof, **more)
        self.assertEqual((status, body["ok"]), (401, False), body)
        self.assertIn(f'DPoP error="{code}"', challenge)

    def test_accepts_the_good_pair(self):
        token = self.forge.token()
        status, body, _ = self.send(token, self.forge.proof(token, "GET", self.url))
        self.assertEqual((status, body["ok"], body["sub"]), (200, True, "spiffe://example.org/host/h/agent/a"))

    def test_accepts_a_query_and_another_method(self):
        token = self.forge.token()
        proof = self.forge.proof(token, "POST", self.url)
        self.assertEqual(self.send(token, proof, path="/invoices?page=2", method="POST")[0], 200)

    def test_refuses_a_token_that_is_wrong_in_one_way(self):
        now, other = int(time.time()), tools.Forge(ISSUER, AUDIENCE)
        for name, token in {
                "expired": self.forge.token(exp=now - 1), "no exp": self.forge.token(exp=None),
                "exp as text": self.forge.token(exp=str(now + 60)),
                "another issuer": self.forge.token(iss="https://evil.example.org"),
                "another audience": self.forge.token(aud="https://other.example.org/"),
                "two audiences": self.forge.token(aud=[AUDIENCE, "https://other.example.org/"]),
                "another issuer's key": self.forge.token(key=other.key),
                "unknown kid": self.forge.token(key=other.key, header={"kid": other.key.thumbprint()}),
                "typ of an id token": self.forge.token(header={"typ": "JWT"}),
                "unknown crit": self.forge.token(header={"crit": ["x"], "x": 1}),
                "bound to nothing": self.forge.token(cnf=None), "no sub": self.forge.token(sub=None)}.items():
            with self.subTest(name):
                self.refused("invalid_token", token, self.forge.proof(token, "GET", self.url))

    def test_refuses_alg_none_and_rubbish(self):
        token = self.forge.token()
        head, body, _ = token.split(".")
        none = tools.b64(b'{"alg":"none","typ":"at+jwt"}') + "." + body + "."
        for bad in (none, token[:-4] + "AAAA", "a.b.c", "x", token + "=", head + "." + body):
            with self.subTest(bad[:20]):
                self.refused("invalid_token", bad, self.forge.proof(bad, "GET", self.url))

    def test_refuses_a_proof_that_is_wrong_in_one_way(self):
        now, other = int(time.time()), tools.Forge(ISSUER, AUDIENCE)
        token = self.forge.token()
        wrong = {"other key": {"key": other.session}, "other method": {"htm": "POST"},
                 "other path": {"htu": self.url + "/x"}, "other host": {"htu": "http://evil.example.org/invoices"},
                 "path in another case": {"htu": self.url.replace("invoices", "Invoices")},
                 "escaped slash": {"htu": self.url + "%2F"}, "a query in htu": {"htu": self.url + "?a=b"},
                 "other token": {"ath": tools.b64(b"0" * 32)}, "no ath": {"ath": None}, "no jti": {"jti": None},
                 "no iat": {"iat": None}, "old": {"iat": now - 3600}, "from the future": {"iat": now + 3600},
                 "typ of a token": {"header": {"typ": "at+jwt"}},
                 "private key shown": {"header": {"jwk": self.forge.session.export(as_dict=True)}}}
        for name, change in wrong.items():
            with self.subTest(name):
                self.refused("invalid_dpop_proof", token, self.forge.proof(token, "GET", self.url, **change))

    def test_refuses_a_replayed_proof(self):
        token = self.forge.token()
        proof = self.forge.proof(token, "GET", self.url)
        self.assertEqual(self.send(token, proof)[0], 200)
        self.refused("invalid_dpop_proof", token, proof)

    def test_refuses_bearer_use_no_proof_and_two_proofs(self):
        token = self.forge.token()
        proof = self.forge.proof(token, "GET", self.url)
        self.refused("invalid_token", token, proof, scheme="Bearer")
        self.refused("invalid_dpop_proof", token, None)
        self.refused("invalid_dpop_proof", token, [proof, self.forge.proof(token, "GET", self.url)])

    def test_takes_a_key_that_was_published_later(self):
        newer = tools.Forge(ISSUER, AUDIENCE)
        both = {"keys": self.forge.jwks()["keys"] + newer.jwks()["keys"]}
        with open(self.file.name, "w") as file:
            json.dump(both, file)
        token = newer.token()
        self.assertEqual(self.send(token, newer.proof(token, "GET", self.url))[0], 200)


@unittest.skipIf(tools.missing(), tools.missing())
class StatusLists(unittest.TestCase):
    """H16: revoked, out of range, expired, oversize after inflation, and forged."""

    URI = ISSUER + "/status.jwt"

    def setUp(self):
        self.forge = tools.Forge(ISSUER, AUDIENCE)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.jwks, self.list = (os.path.join(directory.name, name) for name in ("jwks.json", "status.jwt"))
        with open(self.jwks, "w") as file:
            json.dump(self.forge.jwks(), file)
        self.servers = [tools.ResourceServer(kind, self.jwks, ISSUER, AUDIENCE, self.list) for kind in ("node", "python")]
        for server in self.servers:
            self.addCleanup(server.close)

    def publish(self, statuses=b"\x02\x00", key=None, header=None, **claims):
        now = int(time.time())
        body = {"iss": ISSUER, "sub": self.URI, "iat": now, "exp": now + 60, "ttl": 30,
                "status_list": {"bits": 1, "lst": tools.b64(zlib.compress(statuses))}, **claims}
        head = {"alg": "ES256", "typ": "statuslist+jwt", "kid": self.forge.key.thumbprint(), **(header or {})}
        body = {name: value for name, value in body.items() if value is not None}
        with open(self.list, "w") as file:
            file.write(tools.Forge.sign(key or self.forge.key, head, body))

    def statuses(self, index, uri=URI):
        token = self.forge.token(status={"status_list": {"idx": index, "uri": uri}})
        headers = lambda server: [("Authorization", f"DPoP {token}"),
                                  ("DPoP", self.forge.proof(token, "GET", server.origin + "/x"))]
        return [server.call("/x", headers(server))[0] for server in self.servers]

    def test_only_a_token_that_a_good_list_calls_valid_is_taken(self):
        self.publish()
        self.assertEqual(self.statuses(0), [200, 200])
        self.assertEqual(self.statuses(15), [200, 200])
        for index in (1, 16, -1, "0", None, 1.5, 2**60):
            self.assertEqual(self.statuses(index), [401, 401], index)
        self.assertEqual(self.statuses(0, ISSUER + "/other.jwt"), [401, 401])

    def test_a_list_that_is_wrong_in_one_way_lets_nobody_in(self):
        now, other = int(time.time()), tools.Forge(ISSUER, AUDIENCE)
        for name, wrong in {"expired": {"exp": now - 1}, "no exp": {"exp": None}, "no iat": {"iat": None},
                            "iat ahead": {"iat": now + 60}, "nbf ahead": {"nbf": now + 60}, "another's": {"key": other.key}, "no list": {"status_list": {}},
                            "another typ": {"header": {"typ": "at+jwt"}}, "another sub": {"sub": ISSUER},
                            "bits": {"status_list": {"bits": 2, "lst": tools.b64(zlib.compress(b"\0"))}},
                            "no zlib": {"status_list": {"bits": 1, "lst": "AAAA"}},
                            "bomb": {"statuses": bytes(64 << 20)}}.items():
            with self.subTest(name):
                self.publish(**wrong)
                self.assertEqual(self.statuses(0), [401, 401])
        os.unlink(self.list)
        self.assertEqual(self.statuses(0), [401, 401])


class NodeServer(Pairs):
    kind = "node"


class PythonServer(Pairs):
    kind = "python"


@unittest.skipIf(tools.missing(), tools.missing())
class Libraries(unittest.TestCase):
    """Do jose and oauth4webapi, as interop.mjs calls them, tell good from bad at all?"""

    def test_npm_libraries_refuse_what_is_wrong_in_one_way(self):
        forge, other, url = tools.Forge(ISSUER, AUDIENCE), tools.Forge(ISSUER, AUDIENCE), "https://ledger.example.org/api"
        token, late = forge.token(), forge.token(exp=int(time.time()) - 120)
        case = lambda name, token, proof, **more: {"name": name, "token": token, "proof": proof, "method": "GET", "url": url, **more}
        good = forge.proof(token, "GET", url)
        cases = [case("good", token, good), case("expired", late, forge.proof(late, "GET", url)),
                 case("other key", token, forge.proof(token, "GET", url, key=other.session)),
                 case("htu", token, forge.proof(token, "GET", url + "x")), case("htm", token, forge.proof(token, "PUT", url)),
                 case("ath", token, forge.proof(other.token(), "GET", url)), case("bearer", token, good, scheme="Bearer")]
        answer = tools.with_npm(forge.jwks(), ISSUER, AUDIENCE, cases)
        for library in ("jose", "oauth4webapi"):
            self.assertEqual(answer["good"][library], "accepted")
        del answer["good"]
        for name, verdicts in answer.items():
            for library, verdict in verdicts.items():
                self.assertTrue(verdict.startswith("refused"), (name, library, verdict))
        wrong = tools.with_npm(forge.jwks(), ISSUER, "https://other.example.org/", [cases[0]])
        self.assertTrue(all(v.startswith("refused") for v in wrong["good"].values()), wrong)


if __name__ == "__main__":
    unittest.main(verbosity=2)
