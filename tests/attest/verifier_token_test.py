"""badge-verifier token, as people and scripts call it. Argument: the program."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest
import zlib

from p256 import Key, b64

PROGRAM = os.path.abspath(sys.argv.pop(1))
NOW = 1_800_000_000
ISSUER = "https://badged.example.org"
AUDIENCE = "https://ledger.example.org/"
URL = "https://ledger.example.org/api/invoices"


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.issuer, self.session = Key(), Key()
        jwk = {**self.issuer.jwk, "kid": self.issuer.thumbprint, "alg": "ES256", "use": "sig"}
        self.jwks = self.write("jwks.json", json.dumps({"keys": [jwk]}))
        self.claims = {
            "iss": ISSUER,
            "sub": "spiffe://example.org/host/h/agent/a",
            "aud": AUDIENCE,
            "client_id": "a",
            "iat": NOW,
            "exp": NOW + 600,
            "jti": "token-1",
            "scope": "r",
            "cnf": {"jkt": self.session.thumbprint},
        }

    def write(self, name, text):
        path = os.path.join(self.directory.name, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def token(self, **header):
        base = {"alg": "ES256", "typ": "at+jwt", "kid": self.issuer.thumbprint}
        return self.issuer.jws({**base, **header}, self.claims)

    def proof(self, token, key=None, **claims):
        key = key or self.session
        base = {
            "jti": b64(os.urandom(12)),
            "htm": "GET",
            "htu": URL,
            "iat": NOW,
            "ath": b64(hashlib.sha256(token.encode()).digest()),
        }
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk}
        return key.jws(header, {**base, **claims})

    def call(self, *arguments, stdin="", cwd=None):
        return subprocess.run(
            [PROGRAM, *arguments], input=stdin, capture_output=True, text=True, check=False, cwd=cwd,
            timeout=60,  # nothing waits for longer
        )

    def check(self, token, *options, now=NOW, **kwargs):
        path = self.write("token", token + "\n")
        return self.call(
            "token", "--jwks", self.jwks, "--issuer", ISSUER, "--audience", AUDIENCE,
            "--at", str(now), *options, path, **kwargs,
        )  # fmt: skip

    def check_pair(self, token, proof, *options, method="GET", url=URL, **kwargs):
        path = self.write("proof", proof + "\n")
        return self.check(
            token, "--proof-file", path, "--method", method, "--url", url, *options, **kwargs
        )

    def assert_refused(self, done, code, reason=None, error=None):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        answer = json.loads(done.stdout)
        for member in ("error", "error_description", "hint", "correlation_id"):
            self.assertIn(member, answer)
        if reason:
            self.assertEqual(answer["reason"], reason)
        if error:
            self.assertEqual(answer["error"], error)


class Shown(Case):
    def test_nothing_of_a_token_acts_on_a_terminal(self):
        self.claims.update(sub="al\u202eice\u009b1m\u200b", scope="r\u0085\u2066")
        done = self.check(self.token())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(r'"al\u202eice\u009b1m\u200b"', done.stdout)
        self.assertIn(r'"r\u0085\u2066"', done.stdout)
        self.claims.update(sub="\u00e4lice")
        self.assertIn('"\u00e4lice"', self.check(self.token()).stdout)
        self.claims.update(sub="al\u202eice")
        answer = json.loads(self.check(self.token(), "--json").stdout)
        self.assertEqual(answer["claims"]["sub"], "al\u202eice")


class Urls(Case):
    def test_query_and_fragment_of_the_request_do_not_count(self):
        token = self.token()
        done = self.check_pair(token, self.proof(token), url=URL + "?page=2#end")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class StatusLists(Case):
    """H16: revoked, out of range, expired, oversize after inflation, another list, none."""

    URI = ISSUER + "/status.jwt"

    def check_status(self, index, statuses=b"\x02\x00", now=NOW, header=None, **claims):
        self.claims["status"] = {"status_list": {"idx": index, "uri": self.URI}}
        body = {
            "iss": ISSUER, "sub": self.URI, "iat": NOW, "exp": NOW + 60, "ttl": 30,
            "status_list": {"bits": 1, "lst": b64(zlib.compress(statuses))}, **claims,
        }  # fmt: skip
        head = {"alg": "ES256", "typ": "statuslist+jwt", "kid": self.issuer.thumbprint}
        path = self.write("status.jwt", self.issuer.jws({**head, **(header or {})}, body) + "\n")
        return self.check(self.token(), "--json", "--status-list", path, now=now)

    def test_accepts_what_is_not_revoked_and_says_how_old_the_list_is(self):
        answer = json.loads(self.check_status(0).stdout)
        self.assertEqual(answer["not_checked"], ["proof", "replay"])
        self.assertEqual(
            answer["status"], {"valid": True, "list_issued_at": NOW, "list_fresh": True}
        )
        self.assertFalse(json.loads(self.check_status(0, now=NOW + 31).stdout)["status"]["list_fresh"])

    def test_refuses_what_is_revoked_and_what_the_list_does_not_know(self):
        self.assert_refused(self.check_status(1), 1, "revoked", "invalid_token")
        for index in (16, 2**62):
            self.assert_refused(self.check_status(index), 1, "no_status", "invalid_token")
        self.assert_refused(self.check_status(-1), 1, "bad_claim", "invalid_token")
        self.assert_refused(self.check_status(0, sub=ISSUER), 1, "no_status", "invalid_token")
        path = self.write("status.jwt", "x")
        del self.claims["status"]
        self.assert_refused(self.check(self.token(), "--json", "--status-list", path), 3, "malformed")

    def test_refuses_a_token_that_names_no_list(self):
        self.check_status(0)
        del self.claims["status"]
        path = os.path.join(self.directory.name, "status.jwt")
        done = self.check(self.token(), "--json", "--status-list", path)
        self.assert_refused(done, 1, "no_status", "invalid_token")

    def test_refuses_a_list_that_is_wrong_in_one_way(self):
        error = "invalid_status_list"
        self.assert_refused(self.check_status(0, now=NOW + 60), 1, "expired", error)
        self.assert_refused(self.check_status(0, iat=NOW + 60), 1, "not_yet_valid", error)
        self.assert_refused(self.check_status(0, ttl=0), 1, "bad_claim", error)
        self.assert_refused(self.check_status(0, iss="https://evil.example"), 1, "issuer", error)
        self.assert_refused(self.check_status(0, header={"typ": "at+jwt"}), 1, "type", error)
        self.assert_refused(self.check_status(0, header={"kid": "x"}), 1, "unknown_key", error)
        self.assert_refused(self.check_status(0, statuses=bytes(2 << 20)), 3, "too_large", error)
        self.issuer, published = Key(), self.issuer
        self.issuer.thumbprint = published.thumbprint
        done = self.check_status(0)
        self.assert_refused(done, 1, "signature")


class Verdicts(Case):
    def test_accepts_a_good_pair_and_says_what_it_did_not_check(self):
        token = self.token()
        done = self.check_pair(token, self.proof(token), "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["claims"], self.claims)
        self.assertEqual(answer["not_checked"], ["replay", "status"])
        self.assertEqual(answer["proof"]["jkt"], self.session.thumbprint)

    def test_refuses_the_proof_of_another_key(self):
        token = self.token()
        done = self.check_pair(token, self.proof(token, key=Key()), "--json")
        self.assert_refused(done, 1, "binding", "invalid_dpop_proof")

    def test_says_loudly_that_a_bound_token_came_without_a_proof(self):
        done = self.check(self.token())
        self.assertEqual(done.returncode, 0)
        self.assertIn("NO PROOF WAS CHECKED", done.stdout)
        answer = json.loads(self.check(self.token(), "--json").stdout)
        self.assertEqual(answer["not_checked"], ["proof", "replay", "status"])
        self.assertTrue(answer["bound"])

    def test_accepts_a_bearer_token_without_proof_and_refuses_one_for_it(self):
        del self.claims["cnf"]
        token = self.token()
        answer = json.loads(self.check(token, "--json").stdout)
        self.assertEqual(answer["not_checked"], ["status"])
        self.assertFalse(answer["bound"])
        self.assert_refused(self.check_pair(token, self.proof(token), "--json"), 1, "binding")

    def test_refuses_tokens_by_reason(self):
        for change, reason in (
            ({"aud": "https://other.example/"}, "audience"),
            ({"aud": [AUDIENCE]}, "bad_claim"),
            ({"iss": "https://evil.example"}, "issuer"),
            ({"exp": "1800000600"}, "bad_claim"),
            ({"exp": 1800000600.5}, "bad_claim"),
            ({"exp": NOW}, "expired"),
            ({"iat": NOW + 3600, "exp": NOW + 7200}, "not_yet_valid"),
        ):
            with self.subTest(reason=reason, change=change):
                good = dict(self.claims)
                self.claims.update(change)
                done = self.check(self.token(), "--json")
                self.assert_refused(done, 1, reason, "invalid_token")
                self.claims = good
        for claim in ("exp", "aud", "sub"):
            with self.subTest(claim=claim):
                good = dict(self.claims)
                del self.claims[claim]
                self.assert_refused(self.check(self.token(), "--json"), 1, "missing_claim")
                self.claims = good

    def test_a_forbidden_algorithm_is_a_verdict(self):
        for alg in ("none", "HS256", "RS256"):
            self.assert_refused(self.check(self.token(alg=alg), "--json"), 1, "algorithm")
        self.assert_refused(self.check(self.token(crit=["x"]), "--json"), 1, "critical")
        self.assert_refused(self.check(self.token(jku="https://e"), "--json"), 1, "foreign_key")
        self.assert_refused(self.check(self.token(typ="JWT"), "--json"), 1, "type")
        self.assert_refused(self.check(self.token(kid="x"), "--json"), 1, "unknown_key")

    def test_refuses_proofs_by_reason(self):
        token = self.token()
        for proof, reason in (
            (self.proof(token, htm="POST"), "method"),
            (self.proof(token, htu=URL + "/"), "url"),
            (self.proof(token, iat=NOW - 3600), "stale"),
            (self.proof(token, exp=NOW), "expired"),
            (self.proof(token, exp=NOW - 1), "expired"),
            (self.proof(token, exp="soon"), "bad_claim"),
            (self.proof(token, nbf=NOW + 60), "not_yet_valid"),
            (self.proof(token, nbf=1.5), "bad_claim"),
            (self.proof("other"), "token_hash"),
            (self.proof(token) + "\n" + self.proof(token), "several_proofs"),
        ):
            with self.subTest(reason=reason):
                done = self.check_pair(token, proof, "--json")
                self.assert_refused(done, 1, reason, "invalid_dpop_proof")

    def test_accepts_a_proof_whose_own_times_hold(self):
        token = self.token()
        proof = self.proof(token, exp=NOW + 1, nbf=NOW)
        self.assertEqual(self.check_pair(token, proof).returncode, 0)

    def test_compares_the_nonce(self):
        token = self.token()
        done = self.check_pair(token, self.proof(token), "--nonce", "n", "--json")
        self.assert_refused(done, 1, "nonce", "use_dpop_nonce")
        with_nonce = self.proof(token, nonce="n")
        self.assertEqual(self.check_pair(token, with_nonce, "--nonce", "n").returncode, 0)
        answer = json.loads(self.check_pair(token, with_nonce, "--json").stdout)
        self.assertIn("nonce", answer["not_checked"])

    def test_refuses_a_replay_across_runs(self):
        token = self.token()
        proof = self.proof(token)
        seen = os.path.join(self.directory.name, "seen")
        first = self.check_pair(token, proof, "--replay", seen, "--json")
        self.assertEqual(json.loads(first.stdout)["not_checked"], ["status"])
        second = self.check_pair(token, proof, "--replay", seen, "--json")
        self.assert_refused(second, 1, "replayed")

    def test_a_replay_file_is_no_standard_input(self):
        token = self.token()
        done = self.check_pair(token, self.proof(token), "--replay", "-", "--json", cwd=self.directory.name)
        self.assert_refused(done, 2, error="invalid_usage")
        self.assertFalse(os.path.exists(os.path.join(self.directory.name, "-")))

    def test_a_replay_file_that_cannot_be_used_is_4(self):
        token = self.token()
        done = self.check_pair(token, self.proof(token), "--replay", "/nonexistent/x", "--json")
        self.assert_refused(done, 4, "replay_broken")

    def test_a_replay_file_that_another_process_keeps_locked_is_5(self):
        token = self.token()
        seen = self.write("seen", "")
        with open(seen, "w", encoding="ascii") as held:
            os.chmod(seen, 0o600)
            fcntl.flock(held, fcntl.LOCK_EX)
            done = self.check_pair(token, self.proof(token), "--replay", seen, "--json")
        self.assert_refused(done, 5, "busy")
        self.assertIn(seen, json.loads(done.stdout)["error_description"])


class Input(Case):
    def test_reads_standard_input(self):
        token = self.token()
        arguments = ("token", "--jwks", self.jwks, "--issuer", ISSUER, "--audience", AUDIENCE)
        done = self.call(*arguments, "--at", str(NOW), "-", stdin=token + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.call(*arguments, "--proof-file", "-", "--method", "GET", "--url", URL, "-")
        self.assertEqual(done.returncode, 2)

    def test_options_stand_before_or_after_the_verb(self):
        path = self.write("token", self.token())
        for arguments in (
            ("--json", "--jwks", self.jwks, "--audience", AUDIENCE, "token", path, "--issuer", ISSUER),
            ("--issuer=" + ISSUER, "token", "--jwks", self.jwks, "--audience", AUDIENCE, path, "--json"),
        ):
            done = self.call("--at", str(NOW), *arguments)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("claims", json.loads(done.stdout))

    def test_an_audience_that_is_called_like_the_verb_is_a_value(self):
        path = self.write("token", self.token())
        done = self.call(
            "--audience", "token", "--json", "token", "--jwks", self.jwks, "--issuer", ISSUER,
            "--at", str(NOW), path,
        )  # fmt: skip
        self.assert_refused(done, 1, "audience")

    def test_malformed_input_is_3(self):
        good = self.token()
        for bad in ("", "garbage", "a.b.c", good + "=", " " + good, good + "\n\n", "x" * 20000):
            with self.subTest(bad=bad[:20]):
                self.assert_refused(self.check(bad, "--json"), 3)
        duplicate = json.dumps(self.claims)[:-1] + ', "aud": "x"}'
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self.issuer.thumbprint}
        token = self.issuer.jws(header, duplicate)
        self.assert_refused(self.check(token, "--json"), 3, "malformed")

    def test_an_unreadable_or_malformed_key_set_is_3(self):
        path = self.write("token", self.token())
        for text in ("", "{}", '{"keys":5}', '{"keys":[],"keys":[]}'):
            jwks = self.write("bad.json", text)
            done = self.call(
                "token", "--json", "--jwks", jwks, "--issuer", ISSUER, "--audience", AUDIENCE, path
            )
            self.assert_refused(done, 3)
        done = self.call("token", "--jwks", "/nope", "--issuer", "x", "--audience", "y", path)
        self.assertEqual(done.returncode, 3)
        self.assertEqual(done.stdout, "")
        self.assertIn("/nope", done.stderr)

    def test_wrong_usage_is_2(self):
        path = self.write("token", self.token())
        for arguments in (
            (),
            ("nonsense",),
            ("token",),
            ("token", path),
            ("token", "--jwks", self.jwks, "--issuer", "x", "--audience", "y", path, "--nope"),
            ("token", "--jwks", self.jwks, "--issuer", "x", "--audience", "y", path, "--nonce", "n"),
            ("token", "--jwks", self.jwks, "--issuer", "x", "--audience", "y", path, "--at", "soon"),
            ("token", "--jwks", self.jwks, "--issuer", "x", "--audience", "y", path, "--proof-file", path),
        ):
            with self.subTest(arguments=arguments):
                done = self.call(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(done.stdout, "")
                self.assert_refused(self.call("--json", *arguments), 2, error="invalid_usage")
        token = self.token()
        done = self.check_pair(token, self.proof(token), url="ledger.example.org")
        self.assertEqual(done.returncode, 2)

    def test_help_and_version(self):
        self.assertIn("badge-verifier", self.call("--version").stdout)
        done = self.call("token", "--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("Examples", done.stdout)

    def test_never_prints_the_token(self):
        token = self.token(alg="none")
        for options in ((), ("--json",)):
            done = self.check(token, *options)
            self.assertNotIn(token.split(".")[1][:20], done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
