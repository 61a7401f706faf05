"""Tokens and proofs: what a process gets, and every way to ask for more than that (H7, H12)."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (AUDIENCE, ISSUER, Agent, Badged, as_uid, call, claims, part, record,  # noqa: E402
                     verifier, wait_for)

URL = AUDIENCE + "api/x"
LOW, HIGH, BASE, LONG, BRIEF, TWO, TWIN, ABSENT = range(61001, 61009)

TWO_TARGETS = record("two", match=f"uid = {TWO}", grant="""
urls = ["https://ledger.example.org/api/"]
[[grant]]
audience = "https://mail.example.org/"
scope = ["mail.send"]
authorization_details_types = ["message", "folder"]
""")

RECORDS = {
    "low": record("low", match=f"uid = {LOW}"),
    "high": record("high", match=f"uid = {HIGH}", autonomy="high", access="admin",
                   grant='max_lifetime = "1h"'),
    "base": record("base", match=f"uid = {BASE}", access="public-read",
                   grant='bearer = true\nmax_lifetime = "12h"'),
    "long": record("long", match=f"uid = {LONG}", grant='max_lifetime = "12h"'),
    "brief": record("brief", match=f"uid = {BRIEF}", grant='max_lifetime = "2s"'),
    "two": TWO_TARGETS,
    "twin": record("twin", match=f"uid = {TWIN}", grant='max_lifetime = "4s"'),
}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def verifier_of_the_log(badged):
    return badged.ctl("audit", "verify", str(badged.state_dir / "audit.jsonl")).returncode


class Case(unittest.TestCase):
    """One badged for all: each test starts processes, thus sessions, of its own."""

    @classmethod
    def setUpClass(cls):
        cls.badged = Badged(records=RECORDS).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def agent(self, uid):
        made = self.badged.agent(uid)
        self.addCleanup(made.end)
        return made

    def granted(self, agent, headers=None, **fields):
        status, answer = agent.token(headers, **fields)
        self.assertEqual(status, 200, answer)
        return answer["access_token"]

    def proved(self, agent, token, *arguments, **fields):
        status, answer = agent.proof(token, *arguments, **fields)
        self.assertEqual(status, 200, answer)
        return answer["dpop"]

    def refused(self, answer, status, error):
        self.assertEqual((answer[0], answer[1].get("error")), (status, error), answer)
        self.assertTrue(answer[1]["error_description"])
        self.assertTrue(answer[1]["correlation_id"])
        return answer[1]


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
        self.proved(agent, token)
        answer = wait_for(lambda: (a := agent.proof(token))[0] != 200 and a, "the token to expire")
        self.refused(answer, 401, "invalid_token")
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
        agent = self.agent(TWIN)
        _, first = agent.token()
        later = wait_for(lambda: (a := agent.token()[1])["expires_in"] < 4 and a, "a second to pass")
        self.assertEqual(first["access_token"], later["access_token"])

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


class Published(Case):
    def test_metadata_is_rfc_8414_and_promises_only_what_is_served(self):
        status, headers, meta = call(self.badged.agent_socket, "GET",
                                     "/.well-known/oauth-authorization-server")
        self.assertEqual((status, meta["issuer"]), (200, ISSUER))
        self.assertEqual(meta["grant_types_supported"],
                         ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"])
        self.assertEqual(meta["dpop_signing_alg_values_supported"], ["ES256"])
        for name, path in (("introspection_endpoint", "introspect"),
                           ("revocation_endpoint", "revoke")):
            self.assertEqual(meta[name], f"{ISSUER}/v1/{path}")
            self.assertEqual(meta[name + "_auth_methods_supported"], ["none"])
        self.assertIn("max-age", headers["Cache-Control"])

    def test_the_files_are_the_sockets_answers_and_public(self):
        publish = self.badged.state_dir / "publish"
        for name, target in (("jwks.json", "/v1/jwks"),
                             ("oauth-authorization-server", "/.well-known/oauth-authorization-server")):
            with self.subTest(name):
                self.assertEqual(json.loads((publish / name).read_text()), self.badged.get(target))
                self.assertEqual((publish / name).stat().st_mode & 0o777, 0o644)
        self.assertEqual(sorted(p.name for p in publish.iterdir()),
                         ["jwks.json", "oauth-authorization-server", "status.jwt"])

    def test_a_reader_never_sees_part_of_a_file_and_restarts_replace_it(self):
        with Badged(store="software", records={"low": RECORDS["low"]}) as badged:
            file = badged.state_dir / "publish" / "jwks.json"
            kept = open(file)
            inode, seen, over = os.stat(file).st_ino, [], threading.Event()

            def read():
                while not over.is_set():
                    seen.append(json.loads(file.read_text())["keys"][0]["kid"])

            reader = threading.Thread(target=read)
            reader.start()
            for _ in range(3):
                badged.stop()
                badged.start()
            over.set()
            reader.join()
            self.assertEqual(len(set(seen)), 1)  # the issuing key survives a restart
            self.assertNotEqual(os.stat(file).st_ino, inode)
            self.assertTrue(json.loads(kept.read())["keys"])
            kept.close()

    def test_a_token_from_before_a_restart_verifies_and_gets_no_proof(self):
        with Badged(records={"low": RECORDS["low"], "high": RECORDS["high"]}) as badged:
            for uid in (LOW, HIGH):
                with badged.agent(uid) as agent:
                    token = agent.token()[1]["access_token"]
                    badged.stop()
                    badged.start()
                    agent.tell(do="reconnect")
                    self.assertEqual(verifier(badged, token)[0], 0)
                    self.refused(agent.proof(token), 401, "invalid_token")
                    status, answer = agent.token()
                    self.assertEqual(status, 200, answer)
                    self.refused(agent.proof(token), 401, "invalid_token")
                    self.assertEqual(verifier(badged, answer["access_token"])[0], 0)


if __name__ == "__main__":
    unittest.main()
