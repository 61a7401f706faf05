"""Token exchange (RFC 8693): an agent narrows its own token, acts for a person, and hands on to
another agent; and every way to get more than subject, record and request allow (H7, H12, H13)."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import AUDIENCE, BUILD, ISSUER, Badged, call, claims, part, record, verifier, wait_for  # noqa: E402

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


class Case(unittest.TestCase):
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

    def agent(self, uid):
        made = self.badged.agent(uid)
        self.addCleanup(made.end)
        return made

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


class AgentsHandOn(Case):
    def chain(self, *uids):
        """A person's token through these agents, each handing on to the next."""
        agents = [self.agent(uid) for uid in uids]
        last = self.exchanged(agents[0], self.people.token(), audience=ISSUER)["access_token"]
        for giver, taker in zip(agents, agents[1:]):
            last = self.exchanged(taker, audience=ISSUER, **self.handed(giver, last))["access_token"]
        return agents[-1], last

    def test_a_chain_keeps_its_order(self):
        agent, token = self.chain(ORCHESTRATOR, WORKER)
        answer = self.exchanged(self.agent(TOOL), audience=AUDIENCE, **self.handed(agent, token))
        made = claims(answer["access_token"])
        self.assertEqual(made["sub"], "alice")
        self.assertEqual(made["act"], {"sub": spiffe("tool"), "act": {
            "sub": spiffe("worker"), "act": {"sub": spiffe("orchestrator")}}})
        self.assertEqual(made["badged"]["subject_issuer"], idp.ISSUER)
        line = [entry for entry in self.badged.audit() if entry.get("jti") == made["jti"]][0]
        self.assertEqual((line["sub"], line["subject_issuer"]), ("alice", idp.ISSUER))
        self.assertEqual(line["act"], " ".join(map(spiffe, ("tool", "worker", "orchestrator"))))

    def test_without_a_person_the_first_agent_is_the_subject(self):
        first = self.agent(ORCHESTRATOR)
        given = self.handed(first, self.own(first, audience=ISSUER))
        made = claims(self.exchanged(self.agent(WORKER), audience=AUDIENCE, **given)["access_token"])
        self.assertEqual((made["sub"], made["act"]),
                         (spiffe("orchestrator"), {"sub": spiffe("worker")}))

    def test_one_narrows_what_it_was_given_without_acting_twice(self):
        agent, token = self.chain(ORCHESTRATOR, WORKER)
        made = claims(self.exchanged(agent, token, kind="access_token",
                                     audience=AUDIENCE)["access_token"])
        self.assertEqual(made["act"], claims(token)["act"])

    def test_a_chain_has_an_end(self):
        agent, token = self.chain(ORCHESTRATOR, WORKER, TOOL, LAST)
        given = self.handed(agent, token)
        self.refused(self.ask(self.agent(FIFTH), audience=AUDIENCE, **given), "subject",
                     reason="chain")
        long = None
        for n in range(5):
            long = {"sub": f"actor-{n}", **({"act": long} if long else {})}
        self.refused(self.ask(self.agent(WORKER), self.people.token(act=long), audience=AUDIENCE),
                     "subject", reason="chain")

    def test_it_needs_the_givers_proof_once(self):
        giver, taker = self.agent(ORCHESTRATOR), self.agent(WORKER)
        given = self.handed(giver, self.own(giver, audience=ISSUER))
        bare = {**given, "subject_token_proof": ""}
        self.refused(self.ask(taker, audience=AUDIENCE, **bare), "subject", reason="proof")
        self.exchanged(taker, audience=AUDIENCE, **given)
        self.refused(self.ask(taker, audience=AUDIENCE, **given), "subject")
        own = self.own(taker, audience=ISSUER)
        mine = self.handed(taker, own)["subject_token_proof"]
        self.refused(self.ask(taker, audience=AUDIENCE, **{**given, "subject_token_proof": mine}),
                     "subject")

    def test_unbound_and_ended_ones_cannot_be_handed_on(self):
        base = self.agent(BEARER)
        other = self.agent(ORCHESTRATOR)
        given = self.handed(other, self.own(other, audience=ISSUER))
        other.end()
        self.refused(self.ask(self.agent(WORKER), audience=AUDIENCE, **given), "subject",
                     reason="ended")
        token = self.own(base, audience=AUDIENCE)
        self.refused(self.ask(self.agent(WORKER), token, "access_token"), "subject")

    def test_a_revoked_one_is_nobodys_subject(self):
        giver, taker = self.agent(ORCHESTRATOR), self.agent(WORKER)
        token = self.own(giver, audience=ISSUER)
        given = self.handed(giver, token)
        done = self.badged.ctl("revoke", "--jti", claims(token)["jti"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.refused(self.ask(taker, audience=AUDIENCE, **given), "subject", reason="revoked")
        self.refused(self.ask(giver, token, "access_token", audience=AUDIENCE), "subject",
                     reason="revoked")

    def test_a_record_says_who_takes_what_others_hand_on(self):
        giver = self.agent(ORCHESTRATOR)
        given = self.handed(giver, self.own(giver, audience=ISSUER))
        self.refused(self.ask(self.agent(PLAIN), **given), "record", reason="act_for")
        self.exchanged(self.agent(ALONE), audience=AUDIENCE, **given)

    def test_who_takes_a_person_from_an_agent_must_also_act_for_that_persons_issuer(self):
        given = self.handed(*self.chain(ORCHESTRATOR))
        self.refused(self.ask(self.agent(ALONE), audience=AUDIENCE, **given), "record",
                     reason="act_for")

    def test_subject_and_actor_of_different_chains_are_not_spliced(self):
        worker, token = self.chain(ORCHESTRATOR, WORKER)
        actor = {"actor_token_type": TYPE + "access_token"}
        subject = self.people.token(sub="bob")
        self.refused(self.ask(worker, subject, audience=AUDIENCE, actor_token=token, **actor),
                     "request", reason="actor")
        foreign = self.own(self.agent(ORCHESTRATOR), audience=ISSUER)
        self.refused(self.ask(worker, subject, audience=AUDIENCE, actor_token=foreign, **actor),
                     "request", reason="actor")
        self.refused(self.ask(worker, subject, audience=AUDIENCE, actor_token=self.people.token(),
                              **actor), "request")
        own = self.own(worker, audience=ISSUER)
        answer = self.exchanged(worker, subject, audience=AUDIENCE, actor_token=own, **actor)
        self.assertLessEqual(claims(answer["access_token"])["exp"], claims(own)["exp"])

    def test_another_issuer_cannot_name_agents(self):
        agent = self.agent(WORKER)
        for forged in ({"sub": spiffe("high")}, {"act": {"sub": spiffe("orchestrator")}},
                       {"act": {"sub": "x", "act": {"sub": spiffe("high")}}}):
            with self.subTest(forged):
                self.refused(self.ask(agent, self.people.token(**forged), audience=AUDIENCE),
                             "subject", reason="names an agent")
        for forged in ({"sub": " " + spiffe("high")}, {"act": {"sub": "x " + spiffe("high")}}):
            with self.subTest(forged):
                self.refused(self.ask(agent, self.people.token(**forged), audience=AUDIENCE),
                             "subject", reason="space")

    def test_another_issuers_chain_stays_below(self):
        token = self.people.token(act={"sub": "portal", "iss": idp.ISSUER, "more": 1})
        made = claims(self.exchanged(self.agent(WORKER), token, audience=AUDIENCE)["access_token"])
        self.assertEqual(made["act"], {"sub": spiffe("worker"),
                                       "act": {"sub": "portal", "iss": idp.ISSUER}})

    def test_a_token_of_another_host_is_refused(self):
        with Badged(records=RECORDS, store="software") as other:
            away = other.agent(ORCHESTRATOR)
            self.addCleanup(away.end)
            token = self.own(away, audience=ISSUER)
            given = self.handed(away, token)
            self.refused(self.ask(self.agent(WORKER), audience=AUDIENCE, **given), "subject",
                         reason="other hosts")


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


class Start(unittest.TestCase):
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
