"""Token exchange from agent to agent: who stands in the chain, who may take what was handed on, and where it ends."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from exchange_case import (ALONE, BEARER, FIFTH, LAST, ORCHESTRATOR, PLAIN, RECORDS, TOOL, TYPE, WORKER,  # noqa: E402
                           Case, idp, setUpModule, spiffe)
from harness import AUDIENCE, ISSUER, Badged, claims  # noqa: E402


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

    def test_whoever_looks_for_a_person_finds_the_line(self):
        token = self.people.token(sub="\u00e4lice-\U0001f98a", act={"sub": "s\u00e4\u0161a"})
        made = claims(self.exchanged(self.agent(WORKER), token, audience=AUDIENCE)["access_token"])
        text = (self.badged.state_dir / "audit.jsonl").read_text()
        line = [line for line in text.splitlines() if made["jti"] in line][0]
        self.assertIn('"sub":"\u00e4lice-\U0001f98a"', line)
        self.assertIn(f'"act":"{spiffe("worker")} s\u00e4\u0161a"', line)

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

    def test_whom_the_person_named_alone_may_act_also_down_the_chain(self):
        first, named = self.agent(ORCHESTRATOR), {"may_act": {"sub": spiffe("orchestrator"), "iss": ISSUER}}
        token = self.exchanged(first, self.people.token(**named), audience=ISSUER)["access_token"]
        self.assertEqual(claims(token)["may_act"], named["may_act"])
        narrowed = self.exchanged(first, token, kind="access_token", audience=ISSUER,
                                  scope="invoices.read")["access_token"]
        for each in (token, narrowed):
            self.refused(self.ask(self.agent(WORKER), audience=AUDIENCE, **self.handed(first, each)), "subject",
                         reason="may_act")
        made = self.exchanged(first, token, kind="access_token", audience=AUDIENCE)["access_token"]
        self.assertEqual(claims(made)["act"], {"sub": spiffe("orchestrator")})

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

    def test_what_reads_like_a_spiffe_id_is_one_of_another_trust_domain(self):
        agent = self.agent(WORKER)
        for name in ("spiffe://example.org", "SPIFFE://EXAMPLE.ORG/host/build-7/agent/high",
                     "spiffe://example%2eorg/host/build-7/agent/high", "spiffe://example.org./x",
                     "spiffe://a@example.org/x", "spiffe:x"):
            for forged in ({"sub": name}, {"act": {"sub": "x", "act": {"sub": name}}}):
                with self.subTest(forged):
                    self.refused(self.ask(agent, self.people.token(**forged), audience=AUDIENCE),
                                 "subject")
        for name in ("spiffe://example.com/host/build-7", "spiffy://example.org/x"):
            with self.subTest(name):
                made = self.exchanged(agent, self.people.token(sub=name), audience=AUDIENCE)
                self.assertEqual(claims(made["access_token"])["sub"], name)

    def test_another_issuer_has_no_actor_of_this_issuer(self):
        agent = self.agent(WORKER)
        for issuer in (ISSUER, ISSUER.upper().replace("HTTPS", "https"), ISSUER + ":443/"):
            for forged in ({"sub": "worker", "iss": issuer},
                           {"sub": "x", "act": {"sub": "worker", "iss": issuer}}):
                with self.subTest(forged):
                    token = self.people.token(act=forged)
                    self.refused(self.ask(agent, token, audience=AUDIENCE), "subject",
                                 reason="this issuer")

    def test_no_name_hides_what_people_would_see(self):
        agent = self.agent(WORKER)
        for hidden in "\u0085\u009b\u00a0\u200b\u202e\u2066\u3000\ufeff":
            for forged in ({"sub": f"ali{hidden}ce"}, {"act": {"sub": f"x{hidden}"}}):
                with self.subTest(ascii(forged)):
                    self.refused(self.ask(agent, self.people.token(**forged), audience=AUDIENCE),
                                 "subject", reason="invisible")

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


if __name__ == "__main__":
    unittest.main()
