"""Token exchange (RFC 8693): an agent narrows its own token and acts for a person; and every way to get more than
subject, record and request allow (H7, H12, H13)."""
import hashlib
import json
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from exchange_case import (BEARER, ENDPOINT, GRANT, HIGH, LAST, ORCHESTRATOR, PLAIN, RECORDS, TYPE, WORKER,  # noqa: E402
                           Case, idp, setUpModule, spiffe)
from harness import AUDIENCE, ISSUER, Badged, claims, part, record, verifier, wait_for  # noqa: E402


class AgentNarrowsItsOwnToken(Case):
    def test_scope_and_lifetime_shrink_and_the_answer_says_so(self):
        agent = self.agent(ORCHESTRATOR)
        token = self.own(agent, audience=AUDIENCE)
        answer = self.exchanged(agent, token, kind="access_token", scope="invoices.read",
                                expires_in="60")
        self.assertEqual(answer["issued_token_type"], TYPE + "access_token")
        self.assertEqual((answer["scope"], answer["token_type"]), ("invoices.read", "DPoP"))
        self.assertLessEqual(answer["expires_in"], 60)
        self.assertEqual((self.by(answer, "scope"), self.by(answer, "lifetime")),
                         (["request"], ["request"]))
        before, after = claims(token), claims(answer["access_token"])
        for same in ("sub", "aud", "client_id", "cnf"):
            self.assertEqual(before[same], after[same])
        self.assertNotIn("act", after)
        self.assertLessEqual(after["exp"], before["exp"])
        self.assertEqual(verifier(self.badged, answer["access_token"])[0], 0)
        self.assertEqual(agent.proof(answer["access_token"])[0], 200)

    def test_a_narrowed_token_cannot_be_widened_again(self):
        agent = self.agent(ORCHESTRATOR)
        small = self.exchanged(agent, self.own(agent, audience=AUDIENCE), kind="access_token",
                               scope="invoices.read", expires_in="30")["access_token"]
        self.refused(self.ask(agent, small, "access_token", scope="invoices.write"), "subject",
                     "invalid_scope")
        self.refused(self.ask(agent, small, "access_token", audience=ISSUER), "subject",
                     "invalid_target")
        again = self.exchanged(agent, small, kind="access_token", expires_in="600")
        self.assertEqual(again["scope"], "invoices.read")
        self.assertEqual(self.by(again, "lifetime"), ["subject"])
        self.assertLessEqual(claims(again["access_token"])["exp"], claims(small)["exp"])

    def test_a_token_for_the_issuer_becomes_one_for_a_resource(self):
        agent = self.agent(ORCHESTRATOR)
        wide = self.own(agent, audience=ISSUER)
        answer = self.exchanged(agent, wide, kind="access_token", audience=AUDIENCE)
        self.assertEqual(claims(answer["access_token"])["aud"], AUDIENCE)
        self.assertEqual(self.by(answer, "audience"), ["request"])

    def test_details_can_be_left_out_and_not_changed(self):
        agent = self.agent(ORCHESTRATOR)
        one, two = ({"type": "payment", "amount": n} for n in (1, 2))
        token = self.own(agent, audience=AUDIENCE, scope="invoices.read",
                         authorization_details=json.dumps([one, two]))
        kept = self.exchanged(agent, token, kind="access_token",
                              authorization_details=json.dumps([two]))
        self.assertEqual(claims(kept["access_token"])["authorization_details"], [two])
        self.assertEqual(self.by(kept, "authorization_details"), ["request"])
        line = [entry for entry in self.badged.audit() if entry.get("jti") == claims(kept["access_token"])["jti"]][0]
        signed = json.dumps([two], separators=(",", ":"), sort_keys=True).encode()  # as it stands in the token
        self.assertEqual((line["details_types"], line["details_sha256"]),
                         ("payment", idp.b64(hashlib.sha256(signed).digest())))
        now = json.loads(self.badged.ctl("agents", "show", "orchestrator", "--json").stdout)["now"]
        self.assertIn("payment", [each.get("authorization_details_types") for each in now["authority"]])
        wider = json.dumps([{"type": "payment", "amount": 3}])
        self.refused(self.ask(agent, token, "access_token", authorization_details=wider), "subject",
                     "invalid_authorization_details")

    def test_h7_another_process_cannot_narrow_it_for_itself(self):
        token = self.own(self.agent(ORCHESTRATOR), audience=AUDIENCE)
        self.refused(self.ask(self.agent(ORCHESTRATOR), token, "access_token"), "subject",
                     reason="not for this issuer")

    def test_a_bound_token_gets_no_unbound_copy(self):
        agent = self.agent(BEARER)
        token = self.own(agent, audience=AUDIENCE, token_type="DPoP")
        self.refused(self.ask(agent, token, "access_token", token_type="Bearer"), "request")
        unbound = self.own(agent, audience=AUDIENCE)
        self.assertNotIn("cnf", claims(unbound))
        answer = self.exchanged(agent, unbound, kind="access_token")
        self.assertIn("cnf", claims(answer["access_token"]))


class AgentActsForAPerson(Case):
    def test_the_person_is_the_subject_and_the_agent_the_actor(self):
        agent = self.agent(ORCHESTRATOR)
        subject = self.people.token(scope="invoices.read payments.write")
        answer = self.exchanged(agent, subject, audience=AUDIENCE, requested_token_type=TYPE + "jwt")
        self.assertEqual(answer["issued_token_type"], TYPE + "jwt")
        self.assertEqual(answer["scope"], "invoices.read")
        self.assertEqual(self.by(answer, "scope"), ["record", "subject"])
        made = claims(answer["access_token"])
        self.assertEqual((made["sub"], made["act"]), ("alice", {"sub": spiffe("orchestrator")}))
        self.assertEqual((made["iss"], made["client_id"]), (ISSUER, "orchestrator"))
        self.assertEqual(made["badged"]["subject_issuer"], idp.ISSUER)
        self.assertEqual(part(answer["access_token"], 0)["typ"], "at+jwt")
        self.assertLessEqual(made["exp"], claims(subject)["exp"])
        status, proof = agent.proof(answer["access_token"])
        self.assertEqual(status, 200)
        code, verdict = verifier(self.badged, answer["access_token"], "--method", "GET", "--url",
                                 AUDIENCE + "api/x", proof=proof["dpop"])
        self.assertEqual((code, verdict["claims"]["sub"]), (0, "alice"))

    def test_each_pinned_algorithm_is_accepted(self):
        agent = self.agent(ORCHESTRATOR)
        for alg in self.people.keys:
            with self.subTest(alg):
                self.exchanged(agent, self.people.token(alg), audience=AUDIENCE)

    def test_a_high_assurance_agent_gets_it_from_the_tpm(self):
        answer = self.exchanged(self.agent(HIGH), self.people.token())
        self.assertEqual(claims(answer["access_token"])["badged"]["host"]["custody"], "tpm")

    def test_it_lives_no_longer_than_the_subject(self):
        expires = int(time.time()) + 20
        answer = self.exchanged(self.agent(ORCHESTRATOR), self.people.token(exp=expires),
                                audience=AUDIENCE)
        self.assertLessEqual(claims(answer["access_token"])["exp"], expires)
        self.assertEqual(self.by(answer, "lifetime"), ["subject"])

    def test_a_form_that_cannot_be_read_is_refused_in_nobodys_name(self):
        agent = self.agent(ORCHESTRATOR)
        for size, by in ((16 * 1024, "subject"), (16 * 1024 + 1, None)):
            status, answer = self.ask(agent, "a" * size)
            self.assertEqual((status, answer["error"], answer.get("refused_by")), (400, "invalid_request", by))

    def test_h12_what_one_of_the_three_lacks_is_refused_in_its_name(self):
        agent, token = self.agent(ORCHESTRATOR), self.people.token
        for name, by, code, subject, fields in [
                ("scope of the record alone", "subject", "invalid_scope",
                 token(scope="invoices.read"), {"scope": "invoices.write"}),
                ("scope of the subject alone", "record", "invalid_scope",
                 token(scope="payments.write"), {"scope": "payments.write"}),
                ("nothing in common", "record", "invalid_scope", token(scope="x"), {}),
                ("a subject that grants nothing", "subject", "invalid_scope", token(scope=None), {}),
                ("a target that is not granted", "record", "invalid_target", token(),
                 {"audience": "https://evil.example/"}),
                ("two targets", "request", "invalid_target", token(),
                 {"audience": [AUDIENCE, ISSUER]}),
                ("no target of two", "request", "invalid_target", token(), {"audience": []}),
                ("details the subject lacks", "subject", "invalid_authorization_details", token(),
                 {"authorization_details": '[{"type":"payment"}]'}),
                ("Bearer", "request", "invalid_request", token(), {"token_type": "Bearer"})]:
            with self.subTest(name):
                self.refused(self.ask(agent, subject, **{"audience": AUDIENCE, **fields}), by, code)

    def test_only_issuers_of_the_record_count(self):
        self.refused(self.ask(self.agent(ORCHESTRATOR), self.unlisted.token()), "record",
                     reason="act_for")
        self.refused(self.ask(self.agent(PLAIN), self.people.token()), "record", reason="act_for")
        nobody = idp.IdentityProvider(ISSUER, issuer="https://nobody.example")
        self.refused(self.ask(self.agent(ORCHESTRATOR), nobody.token()), "subject")

    def test_may_act_is_honoured(self):
        agent = self.agent(ORCHESTRATOR)
        for good in ({"sub": spiffe("orchestrator")}, {"client_id": "orchestrator"},
                     {"sub": spiffe("orchestrator"), "iss": ISSUER}):
            with self.subTest(good):
                self.exchanged(agent, self.people.token(may_act=good), audience=AUDIENCE)
        for bad in ({"sub": spiffe("worker")}, {"client_id": "worker"}, {}, "orchestrator",
                    {"sub": spiffe("orchestrator"), "iss": "https://evil.example"},
                    {"sub": spiffe("orchestrator"), "department": "x"}):
            with self.subTest(bad):
                self.refused(self.ask(agent, self.people.token(may_act=bad), audience=AUDIENCE),
                             "subject")

    def test_h13_bad_subject_tokens_are_refused(self):
        agent, people = self.agent(ORCHESTRATOR), self.people
        now, es, rs = int(time.time()), people.keys["ES256"], people.keys["RS256"]
        public = es.key.export_to_pem()
        deep = '{"iss":"%s","x":%s1%s}' % (idp.ISSUER, "[" * 5000, "]" * 5000)
        text = json.dumps(people.claims())
        cases = {
            "expired": people.token(exp=now - 1), "no exp": people.token(exp=None),
            "exp as text": people.token(exp=str(now + 60)), "exp float": people.token(exp=now + 60.5),
            "huge exp": people.token(payload=text.replace(f'"exp": {now + 600}', '"exp": 1e308')),
            "not yet": people.token(nbf=now + 600), "from the future": people.token(iat=now + 600),
            "another audience": people.token(aud=AUDIENCE), "no aud": people.token(aud=None),
            "two audiences": people.token(aud=[ISSUER, AUDIENCE]), "no sub": people.token(sub=None),
            "another iss": people.token(iss="https://other-idp.example.org"),
            "alg none": people.forged({"alg": "none", "typ": "JWT", "kid": es.kid}),
            "HS256 with the public key": people.forged(
                {"alg": "HS256", "typ": "JWT", "kid": es.kid}, public),
            "RS as PS": people.token("PS256", key=rs), "PS as RS": people.token(
                "RS256", key=people.keys["PS256"]),
            "another key's kid": people.token(header={"kid": people.keys["EdDSA"].kid}),
            "no kid": people.token(header={"kid": None}), "unknown kid": people.token(
                key=idp.Key(kid="nobody")), "same kid, another key": people.token(
                key=idp.Key(kid=es.kid)),
            "typ of a proof": people.token(header={"typ": "dpop+jwt"}),
            "typ of a logout": people.token(header={"typ": "logout+jwt"}),
            "no typ": people.token(header={"typ": None}),
            "jku": people.token(header={"jku": "https://evil.example"}),
            "x5u": people.token(header={"x5u": "https://evil.example"}),
            "embedded jwk": people.token(header={"jwk": es.public}),
            "twice the same member": people.token(payload=text[:-1] + ',"sub":"bob"}'),
            "deep": people.token(payload=deep), "no JSON": people.token(payload="alice"),
            "tampered": people.token()[:-8] + "AAAAAAAA", "padded": people.token() + "=",
            "two parts": "a.b", "unknown cnf": people.token(cnf={"x5t#S256": "x"})}
        for name, token in cases.items():
            with self.subTest(name):
                self.refused(self.ask(agent, token, audience=AUDIENCE), "subject")
        crit = people.token().split(".")
        header = {**part(".".join(crit), 0), "crit": ["x"], "x": 1}
        crit[0] = idp.b64(json.dumps(header).encode())
        self.refused(self.ask(agent, ".".join(crit), audience=AUDIENCE), "subject", reason="crit")

    def test_a_bound_subject_needs_its_proof(self):
        agent, key = self.agent(ORCHESTRATOR), idp.Key()
        bound = self.people.token(cnf={"jkt": key.jkt})
        good = lambda **changed: idp.proof(key, bound, ENDPOINT, **changed)  # noqa: E731
        self.refused(self.ask(agent, bound, audience=AUDIENCE), "subject", reason="proof")
        once = good()
        self.exchanged(agent, bound, audience=AUDIENCE, subject_token_proof=once)
        self.refused(self.ask(agent, bound, audience=AUDIENCE, subject_token_proof=once), "subject")
        for name, bad in {
                "another key": idp.proof(idp.Key(), bound, ENDPOINT),
                "another URL": idp.proof(key, bound, AUDIENCE), "GET": good(htm="GET"),
                "another token": idp.proof(key, self.people.token(), ENDPOINT),
                "no ath": good(ath=None), "old": good(iat=int(time.time()) - 600),
                "from before the start": good(iat=int(time.time()) - 119)}.items():
            with self.subTest(name):
                self.refused(self.ask(agent, bound, audience=AUDIENCE, subject_token_proof=bad),
                             "subject")
        header = self.ask(agent, bound, audience=AUDIENCE, headers={"DPoP": good()})
        self.assertEqual(header[0], 400)

    def test_who_is_refused_for_another_reason_uses_no_proof_up(self):
        agent, key = self.agent(ORCHESTRATOR), idp.Key()
        bound = self.people.token(cnf={"jkt": key.jkt})
        once = {"subject_token_proof": idp.proof(key, bound, ENDPOINT)}
        self.assertEqual(self.ask(agent, bound, audience=AUDIENCE, scope="nope", **once)[0], 400)
        self.refused(self.ask(self.agent(PLAIN), bound, audience=AUDIENCE, **once), "record")
        self.exchanged(agent, bound, audience=AUDIENCE, **once)
        self.refused(self.ask(agent, bound, audience=AUDIENCE, **once), "subject", reason="before")
        self.refused(self.ask(self.agent(WORKER), bound, audience=AUDIENCE, **once), "subject")

    def test_an_agent_with_many_proofs_leaves_others_theirs(self):
        # So many records that a share is the least: 256.
        records = {f"idle-{n}": record(f"idle-{n}", match=f"uid = {64000 + n}") for n in range(300)}
        file = self.people.write(pathlib.Path(self.keys_dir.name, "shared.json"))
        with Badged(records={**RECORDS, **records}, store="software",
                    config=self.people.config(file)) as badged:
            started = badged.status()["started"]
            wait_for(lambda: time.time() >= started + 1, "the next second")
            key = idp.Key()
            bound = self.people.token(cnf={"jkt": key.jkt})
            proofs = lambda: {"subject_token_proof": idp.proof(key, bound, ENDPOINT)}  # noqa: E731
            with badged.agent(ORCHESTRATOR) as greedy, badged.agent(WORKER) as other:
                for _ in range(256):
                    self.exchanged(greedy, bound, audience=AUDIENCE, **proofs())
                answer = self.ask(greedy, bound, audience=AUDIENCE, **proofs())
                self.refused(answer, "host", "temporarily_unavailable", status=503)
                self.exchanged(other, bound, audience=AUDIENCE, **proofs())

    def test_whose_word_it_was_also_where_the_host_or_the_tokens_length_refuses(self):
        file = self.people.write(pathlib.Path(self.keys_dir.name, "refusals.json"))
        with Badged(records=RECORDS, config=self.people.config(file)) as badged:
            with badged.agent(ORCHESTRATOR) as low, badged.agent(HIGH) as high:
                long = [{"type": "payment", "note": "x" * 3000, "n": n} for n in range(2)]
                subject = self.people.token(authorization_details=long)
                self.refused(self.ask(low, subject, audience=AUDIENCE), "request", "invalid_authorization_details")
                badged.tpm.kill()
                answer = self.ask(high, self.people.token(), audience=AUDIENCE)
                self.refused(answer, "host", "temporarily_unavailable", status=503)

    def test_refused_scopes_of_ones_own_choice_are_one_line(self):
        agent = self.agent(LAST)
        token = self.own(agent, audience=AUDIENCE)
        for n in range(20):
            self.refused(self.ask(agent, token, "access_token", scope=f"x{n}"), "record", "invalid_scope")
        self.assertEqual(len([line for line in self.badged.audit()
                              if line["kind"] == "denial" and line.get("agent") == "last"]), 1)

    def test_requests_that_are_none(self):
        agent, token = self.agent(ORCHESTRATOR), self.people.token()
        for name, fields in {
                "id token": {"subject_token_type": TYPE + "id_token"},
                "saml": {"subject_token_type": TYPE + "saml2"},
                "refresh token wanted": {"requested_token_type": TYPE + "refresh_token"},
                "actor without type": {"actor_token": token},
                "type without actor": {"actor_token_type": TYPE + "jwt"},
                "lifetime as text": {"expires_in": "10m"}, "no lifetime": {"expires_in": "0"},
                "endless": {"expires_in": "99999999999999999999"}}.items():
            with self.subTest(name):
                self.refused(self.ask(agent, token, audience=AUDIENCE, **fields), "request")
        status, answer = agent.call("POST", "/v1/token", {"grant_type": GRANT})
        self.refused((status, answer), "request")


if __name__ == "__main__":
    unittest.main()
