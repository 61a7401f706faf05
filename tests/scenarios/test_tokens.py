"""Tokens: what a process gets, and every way to ask for more than that (H12)."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (AUDIENCE, ISSUER, Agent, Badged, as_uid, call, claims, part, record, verifier,  # noqa: E402
                     wait_for)
from tokens_case import ABSENT, BASE, HIGH, LONG, LOW, RECORDS, TWIN, TWO, URL, Case, setUpModule  # noqa: E402


def verifier_of_the_log(badged):
    return badged.ctl("audit", "verify", str(badged.state_dir / "audit.jsonl")).returncode


class Asking(Case):
    """H12 and the request itself."""

    def test_a_scope_beyond_the_record_is_refused(self):
        agent = self.agent(LOW)
        for scope in ("admin", "invoices.read admin", "invoices", "INVOICES.READ", "*"):
            with self.subTest(scope=scope):
                self.refused(agent.token(scope=scope), 400, "invalid_scope")

    def test_a_narrower_scope_is_what_the_token_says(self):
        agent = self.agent(LOW)
        self.assertEqual(claims(self.granted(agent, scope="invoices.read"))["scope"],
                         "invoices.read")
        self.assertEqual(claims(self.granted(agent))["scope"], "invoices.read invoices.write")

    def test_an_audience_that_is_not_granted_is_refused(self):
        agent = self.agent(LOW)
        for fields in ({"audience": "https://mail.example.org/"}, {"audience": "https://ledger.example.org"},
                       {"audience": [AUDIENCE, "https://mail.example.org/"]},
                       {"resource": "https://mail.example.org/x"}):
            with self.subTest(**fields):
                self.refused(agent.token(**fields), 400, "invalid_target")

    def test_with_several_targets_one_must_be_named(self):
        agent = self.agent(TWO)
        self.refused(agent.token(), 400, "invalid_target")
        self.assertEqual(claims(self.granted(agent, resource=URL))["aud"], AUDIENCE)

    def test_no_token_lives_longer_than_its_tier(self):
        for uid, most in ((LONG, 900), (HIGH, 300), (BASE, 3600), (LOW, 300)):
            with self.subTest(uid=uid):
                body = claims(self.granted(self.agent(uid)))
                self.assertEqual(body["exp"] - body["iat"], most)

    def test_bearer_only_where_the_record_allows_it_in_baseline(self):
        for uid in (LOW, HIGH):
            self.refused(self.agent(uid).token(token_type="Bearer"), 400, "invalid_request")
        agent = self.agent(BASE)
        status, answer = agent.token()
        self.assertEqual((status, answer["token_type"]), (200, "Bearer"))
        self.assertNotIn("cnf", claims(answer["access_token"]))
        status, answer = agent.token(token_type="DPoP")
        self.assertEqual((status, answer["token_type"]), (200, "DPoP"))
        self.assertIn("jkt", claims(answer["access_token"])["cnf"])
        self.refused(agent.token(token_type="mac"), 400, "invalid_request")

    def test_a_record_above_baseline_with_bearer_is_not_served(self):
        with Badged(store="software", records={
                "loose": record("loose", match=f"uid = {LOW}", grant="bearer = true"),
                "good": record("good", match=f"uid = {BASE}", access="public-read")}) as badged:
            agents = badged.status()["agents"]
            self.assertEqual(agents["good"], 1)
            self.assertIn("loose.toml", agents["problems"][0]["file"])
            with badged.agent(LOW) as agent:
                self.refused(agent.token(), 403, "unauthorized_client")

    def test_other_grant_types_are_unsupported(self):
        agent = self.agent(LOW)
        for grant_type in ("authorization_code", "password", "refresh_token", "CLIENT_CREDENTIALS",
                           "urn:ietf:params:oauth:grant-type:jwt-bearer"):
            with self.subTest(grant_type):
                self.refused(agent.token(grant_type=grant_type), 400, "unsupported_grant_type")
        self.refused(agent.call("POST", "/v1/token", {"audience": AUDIENCE}), 400, "invalid_request")

    def test_a_dpop_header_is_refused(self):
        self.refused(self.agent(LOW).token({"DPoP": "e30.e30.AA"}), 400, "invalid_request")

    def test_a_proxied_request_is_refused(self):
        for name in ("Forwarded", "X-Forwarded-For", "x-forwarded-for"):
            with self.subTest(name):
                self.refused(self.agent(LOW).token({name: "for=127.0.0.1"}), 400, "invalid_request")

    def test_an_unknown_form_field_is_ignored(self):
        plain, more = self.agent(LOW), self.agent(LOW)
        extra = claims(self.granted(more, client_secret="x", sub="root", lifetime="99999"))
        base = claims(self.granted(plain))
        self.assertEqual(set(extra), set(base))
        self.assertEqual(extra["exp"] - extra["iat"], base["exp"] - base["iat"])

    def test_a_field_given_twice_is_refused(self):
        agent = self.agent(LOW)
        self.refused(agent.token(scope=["invoices.read", "invoices.write"]), 400, "invalid_request")
        self.refused(agent.token(grant_type=["client_credentials"] * 2), 400, "invalid_request")

    def test_an_unknown_or_repeated_json_member_is_refused(self):
        agent = self.agent(LOW)
        token = self.granted(agent)
        self.refused(agent.proof(token, digest="AAAA"), 400, "invalid_request")
        for text in ('{"method":"GET","method":"GET","url":"%s","access_token":"%s"}' % (URL, token),
                     '{"method":"GET","url":"%s"}' % URL, '{"method":1,"url":"","access_token":""}',
                     "[]", "null", "", "{", '{"a":' * 10000):
            with self.subTest(text=text[:40]):
                self.refused(agent.call("POST", "/v1/proof", text,
                                        {"Content-Type": "application/json"}),
                             400, "invalid_request")

    def test_authorization_details_narrow_and_are_in_token_and_answer(self):
        agent = self.agent(TWO)
        asked = [{"type": "message", "to": ["a@example.org"], "limit": 3}]
        status, answer = agent.token(audience="https://mail.example.org/",
                                     authorization_details=json.dumps(asked))
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["authorization_details"], asked)
        self.assertEqual(claims(answer["access_token"])["authorization_details"], asked)
        code, verdict = verifier(self.badged, answer["access_token"],
                                 audience="https://mail.example.org/")
        self.assertEqual(code, 0, verdict)

    def test_authorization_details_beyond_the_record_or_malformed_are_refused(self):
        agent = self.agent(TWO)
        for details in ('[{"type":"payment"}]', "{}", '[{"to":1}]', '[{"type":1}]', "[1]", "x",
                        '[{"type":"message","a":1,"a":2}]', '[{"type":"message","a":1.5}]',
                        json.dumps([{"type": "message"}] * 17),
                        '[{"type":"message","a":' + "[" * 3000 + "]" * 3000 + "}]"):
            with self.subTest(details=details[:50]):
                answer = agent.token(audience="https://mail.example.org/",
                                     authorization_details=details)
                self.refused(answer, 400, "invalid_authorization_details")
        self.refused(agent.token(audience=AUDIENCE, authorization_details='[{"type":"message"}]'),
                     400, "invalid_authorization_details")

    def test_a_caller_without_a_record_learns_its_own_facts_and_nothing_of_the_records(self):
        agent = self.agent(ABSENT)
        body = self.refused(agent.token(), 403, "unauthorized_client")
        self.assertEqual((body["process"]["pid"], body["process"]["uid"]), (agent.pid, ABSENT))
        text = json.dumps(body)
        for name in ("invoices", "ledger", "two", "twin", str(self.badged.agents_dir)):
            self.assertNotIn(name, text)
        seen = [line for line in self.badged.audit() if line.get("uid") == ABSENT]
        self.assertEqual([line["kind"] for line in seen], ["finding"])
        self.assertEqual(seen[0]["txn"], body["correlation_id"])


    def test_a_path_that_is_not_utf8_leaves_every_answer_and_audit_line_valid_json(self):
        directory = tempfile.mkdtemp(prefix="badged-path-")
        self.addCleanup(shutil.rmtree, directory)
        os.chmod(directory, 0o755)
        program = os.fsencode(directory) + b"/p\xff\xc3(ython"
        shutil.copy("/usr/bin/python3.11", program)
        told = directory + r"/p\xff\xc3(ython"
        for uid, status in ((LOW, 200), (ABSENT, 403)):
            with self.subTest(uid=uid):
                agent = Agent(self.badged, uid, as_uid(uid) + [program])
                self.addCleanup(agent.end)
                self.assertEqual(agent.call("GET", "/v1/whoami")[0], status)
                body = agent.call("GET", "/v1/whoami")[1]
                self.assertEqual(body["process"]["executable"], told)
                seen = self.badged.get(f"/v1/whoami?pid={agent.pid}", admin=True)
                self.assertEqual(seen["process"]["executable"], told)
        raw = (self.badged.state_dir / "audit.jsonl").read_bytes()
        for line in raw.splitlines():
            json.loads(line.decode())
        self.assertEqual(verifier_of_the_log(self.badged), 0)


class Again(Case):
    """The same token while half of its life remains."""

    def test_the_same_question_gets_the_same_token_and_no_cache_a_new_one(self):
        agent = self.agent(LOW)
        first = self.granted(agent)
        self.assertEqual(self.granted(agent), first)
        self.assertEqual(self.granted(agent, audience=AUDIENCE), first)
        other = self.granted(agent, scope="invoices.read")
        self.assertNotEqual(other, first)
        newer = self.granted(agent, {"Cache-Control": "no-cache"})
        self.assertNotIn(newer, (first, other))
        self.assertEqual(self.granted(agent), newer)
        for token in (first, other, newer):
            self.assertEqual(verifier(self.badged, token)[0], 0)
            self.proved(agent, token)

    def test_another_process_gets_another_token(self):
        self.assertNotEqual(self.granted(self.agent(LOW)), self.granted(self.agent(LOW)))

    def test_past_half_of_its_life_a_new_token_is_made(self):
        agent = self.agent(TWIN)
        first = self.granted(agent)
        begin = claims(first)["iat"]
        second = wait_for(lambda: (t := self.granted(agent)) != first and t, "a second token")
        # Not before half of the four seconds, and while the first is still good.
        self.assertGreater(claims(second)["iat"], begin + 1)
        self.assertLess(claims(second)["iat"], claims(first)["exp"] + 60)
        self.assertEqual(claims(second)["cnf"], claims(first)["cnf"])

    def test_expires_in_is_what_remains(self):
        agent = self.agent(LOW)
        begin, (_, first) = int(time.time()), agent.token()
        later = wait_for(lambda: (a := agent.token()[1])["expires_in"] < first["expires_in"] and a,
                         "a second to pass")
        self.assertEqual(first["access_token"], later["access_token"])
        exp = claims(first["access_token"])["exp"]
        for answer in (first, later):  # a second for the clock that badged reads, which may lag
            self.assertLessEqual(answer["expires_in"], exp - begin + 1)
            self.assertGreaterEqual(answer["expires_in"], exp - int(time.time()))

    def test_cached_tokens_and_proofs_are_counted_once_per_session(self):
        with Badged(store="software", records={"low": RECORDS["low"]}) as badged:
            with badged.agent(LOW) as agent:
                token = agent.token()[1]["access_token"]
                for _ in range(5):
                    agent.token()
                    agent.proof(token)
                session = claims(token)["badged"]["session"]
            badged.stop()
            lines = [line for line in badged.audit() if line.get("session") == session]
            self.assertEqual([line["kind"] for line in lines].count("token"), 1)
            uses = [line for line in lines if line["kind"] == "use"]
            self.assertEqual(sum(line["cached_tokens"] for line in uses), 5)
            self.assertEqual(sum(line["proofs"] for line in uses), 5)


class Claims(Case):
    """What a token says, and who vouches for the key that signed it."""

    def test_custody_and_signing_key_follow_the_tier(self):
        keys = {key["kid"]: key for key in self.badged.get("/v1/jwks")["keys"]}
        for uid, tier, custody in ((BASE, "baseline", "locked-memory"),
                                   (LOW, "elevated", "locked-memory"),
                                   (HIGH, "high-assurance", "tpm")):
            with self.subTest(tier):
                token = self.granted(self.agent(uid))
                ours = claims(token)["badged"]
                self.assertEqual((ours["tier"], ours["host"]["custody"]), (tier, custody))
                self.assertEqual(ours["host"]["attestation"], "none")
                self.assertEqual(keys[part(token, 0)["kid"]]["badged_custody"], custody)
                self.assertEqual(verifier(self.badged, token)[0], 0)

    def test_all_claims_of_the_profile_and_none_of_later_issues(self):
        agent = self.agent(LOW)
        token = self.granted(agent)
        header, body = part(token, 0), claims(token)
        self.assertEqual((header["typ"], header["alg"]), ("at+jwt", "ES256"))
        self.assertEqual(set(header), {"typ", "alg", "kid"})
        self.assertEqual(set(body), {"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "txn",
                                     "scope", "cnf", "status", "badged"})
        self.assertEqual(body["iss"], ISSUER)
        self.assertEqual(body["sub"], "spiffe://example.org/host/build-7/agent/low")
        self.assertEqual((body["aud"], body["client_id"]), (AUDIENCE, "low"))
        self.assertEqual(body["badged"]["binding"], "process")
        self.assertEqual(body["badged"]["epoch"], 0)

    def test_the_session_is_the_process_and_whoami_names_it(self):
        agent, other = self.agent(LOW), self.agent(LOW)
        token, theirs = claims(self.granted(agent)), claims(self.granted(other))
        status, who = agent.call("GET", "/v1/whoami")
        self.assertEqual(status, 200)
        self.assertEqual(who["session"]["id"], token["badged"]["session"])
        self.assertEqual(who["session"]["jkt"], token["cnf"]["jkt"])
        self.assertEqual(who["process"]["pid"], agent.pid)
        self.assertNotEqual(theirs["badged"]["session"], token["badged"]["session"])
        self.assertNotEqual(theirs["cnf"]["jkt"], token["cnf"]["jkt"])
        agent.tell(do="reconnect")
        self.assertEqual(claims(self.granted(agent))["badged"]["session"],
                         token["badged"]["session"])

    def test_a_record_by_executable_has_its_digest_in_the_token(self):
        python = str(pathlib.Path("/usr/bin/python3").resolve())
        digest = hashlib.sha256(pathlib.Path(python).read_bytes()).hexdigest()
        rule = f'uid = {LOW}\nexecutable = "{python}"\nexecutable_sha256 = ["{digest}"]'
        with Badged(store="software", records={"low": record("low", match=rule)}) as badged:
            with badged.agent(LOW) as agent:
                body = claims(agent.token()[1]["access_token"])
        self.assertEqual(body["badged"]["executable_sha256"], digest)
        self.assertEqual(body["badged"]["host"]["custody"], "software")

    def test_each_issuance_is_in_the_audit_with_the_tokens_own_members(self):
        token = claims(self.granted(self.agent(LOW)))
        line = next(l for l in self.badged.audit() if l.get("jti") == token["jti"])
        self.assertEqual(line["kind"], "token")
        for ours, theirs in (("txn", "txn"), ("audience", "aud"), ("scope", "scope"), ("exp", "exp")):
            self.assertEqual(line[ours], token[theirs])
        self.assertEqual((line["agent"], line["tier"], line["uid"]), ("low", "elevated", LOW))
        self.assertEqual(list(line)[0], "prev")
        self.assertEqual(list(line)[-1], "hash")

    def test_token_answers_must_not_be_stored(self):
        with Badged(store="software", records={
                "root": record("root", match="uid = 0", access="public-read")}) as badged:
            for fields in ({}, {"scope": "admin"}):
                _, headers, _ = call(badged.agent_socket, "POST", "/v1/token",
                                     {"grant_type": "client_credentials", **fields})
                self.assertEqual(headers["Cache-Control"], "no-store")
                self.assertTrue(headers["Content-Type"].startswith("application/json"))

    def test_the_key_set_says_who_vouches(self):
        jwks = self.badged.get("/v1/jwks")["keys"]
        in_tpm = [key for key in jwks if key["badged_custody"] == "tpm"]
        in_memory = [key for key in jwks if key["badged_custody"] == "locked-memory"]
        self.assertEqual((len(in_tpm), len(jwks)), (1, 1 + len(in_memory)))
        self.assertTrue({"attest", "signature"} <= set(in_tpm[0]["badged_vouch"]))
        for key in in_memory:
            vouch = key["badged_vouch"]
            self.assertEqual(part(vouch, 0)["kid"], in_tpm[0]["kid"])
            self.assertEqual(claims(vouch)["jkt"], key["kid"])
            self.assertGreater(claims(vouch)["exp"], claims(vouch)["iat"])
        for key in jwks:
            self.assertNotIn("d", key)
            canonical = json.dumps({n: key[n] for n in ("crv", "kty", "x", "y")},
                                   separators=(",", ":")).encode()
            thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest())
            self.assertEqual(key["kid"], thumbprint.rstrip(b"=").decode())


if __name__ == "__main__":
    unittest.main()
