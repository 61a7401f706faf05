"""Revocation and introspection: by token, session and agent, in force at once (H16), kept through
restarts (H27), and no oracle for strangers."""
import json
import os
import pathlib
import sqlite3
import sys
import unittest
from datetime import datetime, timezone

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import AUDIENCE, ISSUER, Badged, Granting, call, claims, part, record, verifier, wait_for  # noqa: E402

URL = AUDIENCE + "api/x"
BOT, OTHER, HIGH, BASE, STRANGER = 61001, 61002, 61003, 61004, 61009

RECORDS = {
    "bot": record("bot", match=f"uid = {BOT}"),
    "other": record("other", match=f"uid = {OTHER}"),
    "high": record("high", match=f"uid = {HIGH}", autonomy="high", access="admin"),
    "base": record("base", match=f"uid = {BASE}", access="public-read", grant="bearer = true"),
}
INACTIVE = {"active": False}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def status_of(token):
    return claims(token)["status"]["status_list"]


class Case(Granting, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.badged = Badged(records=RECORDS).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def proof_refused(self, agent, token):
        status, answer = agent.proof(token)
        self.assertEqual((status, answer.get("error")), (401, "invalid_token"), answer)

    def admin(self, target, **fields):
        status, _, answer = call(self.badged.admin_socket, "POST", target, fields)
        return status, answer

    def revoke(self, *arguments, expect=0):
        done = self.badged.ctl("revoke", "--json", *arguments)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def active(self, agent, token):
        status, answer = agent.call("POST", "/v1/introspect", {"token": token})
        self.assertEqual(status, 200, answer)
        return answer

    def list_file(self):
        return self.badged.state_dir / "publish" / "status.jwt"

    def listed(self, token):
        """What a resource server with the published list says: (exit code, its JSON)."""
        return verifier(self.badged, token, "--status-list", str(self.list_file()))

    def refused_everywhere(self, agent, token):
        """H16: revoked, then used at once."""
        self.proof_refused(agent, token)
        self.assertEqual(self.active(agent, token), INACTIVE)
        self.assertEqual(self.admin("/v1/introspect", token=token), (200, INACTIVE))
        code, verdict = self.listed(token)
        self.assertEqual((code, verdict.get("reason")), (1, "revoked"), verdict)


class ByWhom(Case):
    def test_an_agent_revokes_a_token_of_its_own(self):
        agent = self.agent(BOT)
        token = self.granted(agent)
        self.assertEqual(self.listed(token)[0], 0)
        status, body = agent.call("POST", "/v1/revoke", {"token": token, "token_type_hint": "x"})
        self.assertEqual((status, body), (200, ""))
        self.refused_everywhere(agent, token)

    def test_a_revoked_token_is_not_handed_out_again(self):
        agent = self.agent(BOT)
        token = self.granted(agent)
        self.assertEqual(self.granted(agent), token)
        agent.call("POST", "/v1/revoke", {"token": token})
        other = self.granted(agent)
        self.assertNotEqual(other, token)
        self.assertEqual(agent.proof(other)[0], 200)
        self.assertTrue(self.active(agent, other)["active"])

    def test_strangers_and_other_agents_learn_and_change_nothing(self):
        agent, other = self.agent(BOT), self.agent(OTHER)
        token = self.granted(agent)
        self.granted(other)
        expired_or_none = "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"
        for asked in (token, token[:-4] + "AAAA", expired_or_none, "x"):
            self.assertEqual(self.active(other, asked), INACTIVE)
            self.assertEqual(other.call("POST", "/v1/revoke", {"token": asked}), (200, ""))
        stranger = self.agent(STRANGER)
        for target in ("/v1/introspect", "/v1/revoke"):
            status, body = stranger.call("POST", target, {"token": token})
            self.assertEqual((status, body["error"]), (403, "unauthorized_client"))
        self.assertTrue(self.active(agent, token)["active"])
        self.assertEqual(agent.proof(token)[0], 200)
        # Nor by the admins' fields on the agents' socket.
        session = claims(token)["badged"]["session"]
        status, body = agent.call("POST", "/v1/revoke", {"session": session})
        self.assertEqual((status, body["error"]), (400, "invalid_request"))

    def test_introspection_answers_what_was_signed_while_the_session_lives(self):
        agent = self.agent(BOT)
        token = self.granted(agent)
        answer = self.active(agent, token)
        self.assertEqual(answer["active"], True)
        self.assertEqual(answer["token_type"], "DPoP")
        for name in ("iss", "sub", "aud", "client_id", "exp", "iat", "jti", "scope", "cnf"):
            self.assertEqual(answer[name], claims(token)[name])
        self.assertEqual(self.admin("/v1/introspect", token=token)[1], answer)
        agent.end()
        self.badged.status()
        wait_for(lambda: self.admin("/v1/introspect", token=token)[1] == INACTIVE, "the session's end")
        self.assertEqual(self.listed(token)[0], 0)  # its signature verifies until it expires

    def test_a_second_process_of_the_agent_may_ask_about_and_revoke_its_tokens(self):
        one, two = self.agent(BOT), self.agent(BOT)
        token = self.granted(one)
        self.assertTrue(self.active(two, token)["active"])
        self.assertEqual(two.call("POST", "/v1/revoke", {"token": token}), (200, ""))
        self.refused_everywhere(one, token)


class ByAdmins(Case):
    def test_by_jti_prints_what_ended(self):
        agent = self.agent(BOT)
        token = self.granted(agent)
        jti = claims(token)["jti"]
        ended = self.revoke("--jti", jti)
        self.assertEqual((ended["tokens"], ended["sessions"], ended["keys"]), (1, 0, 0))
        self.assertEqual((ended["jti"] if "jti" in ended else ended["token"]), jti)
        self.assertEqual(ended["agent"], "bot")
        self.assertGreater(ended["took_ms"], 0)
        self.refused_everywhere(agent, token)
        again = self.revoke("--jti", jti)
        self.assertEqual((again["tokens"], again["already_revoked"]), (0, 1))
        lines = [line for line in self.badged.audit() if line.get("txn") == ended["txn"]]
        self.assertEqual([line["kind"] for line in lines], ["revocation"])
        self.assertEqual((lines[0]["of"], lines[0]["name"], lines[0]["tokens"]), ("token", jti, 1))
        self.assertIn("login_uid", lines[0])

    def test_by_the_token_itself_ends_that_one_alone(self):
        agent = self.agent(BOT)
        token, other = self.granted(agent), self.granted(agent, fresh=True)
        for tokens, before in ((1, 0), (0, 1)):
            status, answer = self.admin("/v1/revoke", token=token)
            self.assertEqual((status, answer["token"], answer["agent"], answer["tokens"], answer["already_revoked"]),
                             (200, claims(token)["jti"], "bot", tokens, before), answer)
        self.refused_everywhere(agent, token)
        self.assertEqual(self.listed(other)[0], 0)
        self.assertEqual(self.admin("/v1/revoke", token=token[:-4] + "AAAA")[0], 404)

    def test_unknown_ones_are_refused(self):
        for arguments in (("--jti", "AAAAAAAAAAAAAAAAAAAAAA"), ("--jti", "no"), ("--session", "no"),
                          ("--agent", "nobody")):
            self.assertEqual(self.revoke(*arguments, expect=1)["error"], "not_found")
        for arguments in ((), ("--jti", "a", "--agent", "b")):
            self.revoke(*arguments, expect=2)

    def test_by_session_ends_its_key_and_all_its_tokens(self):
        agent, sibling = self.agent(BOT), self.agent(BOT)
        tokens = [self.granted(agent, fresh=True) for _ in range(3)]
        untouched = self.granted(sibling)
        ended = self.revoke("--session", claims(tokens[0])["badged"]["session"])
        self.assertEqual((ended["tokens"], ended["sessions"], ended["keys"]), (3, 1, 1))
        for token in tokens:
            self.refused_everywhere(agent, token)
        self.assertEqual(sibling.proof(untouched)[0], 200)
        self.assertEqual(self.listed(untouched)[0], 0)

    def test_by_agent_ends_everything_and_raises_its_epoch(self):
        one, two, other = self.agent(OTHER), self.agent(OTHER), self.agent(BOT)
        tokens = [self.granted(one), self.granted(two), self.granted(two, fresh=True)]
        kept = self.granted(other)
        before = claims(tokens[0])["badged"]["epoch"]
        ended = self.revoke("--agent", "other")
        self.assertEqual((ended["tokens"], ended["sessions"], ended["keys"]), (3, 2, 2))
        self.assertEqual(ended["epoch"], before + 1)
        for agent, token in zip((one, two, two), tokens):
            self.refused_everywhere(agent, token)
        fresh = self.granted(one)
        self.assertEqual(claims(fresh)["badged"]["epoch"], before + 1)
        self.assertEqual(self.listed(fresh)[0], 0)
        self.assertEqual(other.proof(kept)[0], 200)

    def test_what_could_not_be_stored_is_in_force_published_and_on_record(self):
        agent = self.agent(BOT)
        token = self.granted(agent)
        jti = claims(token)["jti"]
        other = sqlite3.connect(self.badged.state_dir / "state.db", isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")  # for longer than badged waits
        status, answer = self.admin("/v1/revoke", jti=jti)
        self.assertEqual((status, answer["error"]), (503, "temporarily_unavailable"), answer)
        self.refused_everywhere(agent, token)
        line = [entry for entry in self.badged.audit()
                if entry["kind"] == "revocation" and entry["name"] == jti][0]
        self.assertEqual((line["state_db"], line["status_list"]), ("due", "published"))
        other.execute("ROLLBACK")
        status, answer = self.admin("/v1/revoke", jti=jti)
        self.assertEqual((status, answer["already_revoked"]), (200, 1), answer)

    def test_while_nothing_can_be_stored_the_list_is_published_all_the_same(self):
        agent = self.agent(BOT)
        other = sqlite3.connect(self.badged.state_dir / "state.db", isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assertEqual(self.admin("/v1/revoke", jti=claims(self.granted(agent))["jti"])[0], 503)
        self.list_file().unlink()
        wait_for(self.list_file().exists, "the list")
        other.execute("ROLLBACK")

    def test_what_is_revoked_already_costs_and_says_nothing_more(self):
        agent = self.agent(BOT)
        token = self.granted(agent)
        for _ in range(5):
            self.assertEqual(agent.call("POST", "/v1/revoke", {"token": token})[0], 200)
        jti = claims(token)["jti"]
        self.assertEqual(len([e for e in self.badged.audit() if e["kind"] == "revocation" and e["name"] == jti]), 1)

    def test_a_session_in_the_tpm_and_a_bearer_token_end_too(self):
        high, base = self.agent(HIGH), self.agent(BASE)
        for agent, name in ((high, "high"), (base, "base")):
            token = self.granted(agent)
            ended = self.revoke("--agent", name)
            self.assertEqual((ended["tokens"], ended["sessions"]), (1, 1))
            code, verdict = self.listed(token)
            self.assertEqual((code, verdict["reason"]), (1, "revoked"))
            self.assertEqual(self.active(agent, token), INACTIVE)

    def test_show_says_what_the_agent_could_do_at_worst_now(self):
        """C30"""
        agent = self.agent(BASE)
        self.revoke("--agent", "base")
        status, answer = agent.token(scope="invoices.read")
        self.assertEqual(status, 200, answer)
        token = self.granted(agent)

        def now():
            return json.loads(self.badged.ctl("agents", "show", "base", "--json").stdout)["now"]
        worst = now()
        self.assertEqual((worst["tokens"], worst["sessions"]), (2, 1))
        self.assertEqual(worst["until"], claims(token)["exp"])
        self.assertEqual(worst["authority"], [
            {"audience": AUDIENCE, "scope": "invoices.read invoices.write",
             "until": claims(token)["exp"], "tokens": 2}])
        self.revoke("--jti", claims(token)["jti"])
        self.assertEqual(now()["authority"][0]["scope"], "invoices.read")
        until = datetime.fromtimestamp(now()["until"], timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.assertEqual(self.badged.ctl("agents", "show", "base").stdout.split("\nnow: ")[1],
                         f"1 token, 1 session\n  until {until}: {AUDIENCE}: invoices.read (1 token)\n")


class TheList(Case):
    def test_over_the_socket_as_in_the_file_and_signed_by_a_published_key(self):
        agent = self.agent(BOT)
        self.granted(agent)
        self.revoke("--agent", "bot")
        status, headers, text = call(self.badged.agent_socket, "GET", "/v1/status-list")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/statuslist+jwt"))
        self.assertEqual(text, self.list_file().read_text())
        self.assertEqual(part(text, 0)["typ"], "statuslist+jwt")
        self.assertIn(part(text, 0)["kid"], [k["kid"] for k in self.badged.get("/v1/jwks")["keys"]])
        body = part(text, 1)
        self.assertEqual((body["iss"], body["sub"]), (ISSUER, ISSUER + "/status.jwt"))
        self.assertGreater(body["exp"], body["iat"] + body["ttl"])
        self.assertEqual(self.list_file().stat().st_mode & 0o777, 0o644)

    def test_no_two_tokens_share_an_index(self):
        agents = [self.agent(uid) for uid in (BOT, BOT, OTHER)]
        seen = [status_of(self.granted(a, fresh=True))["idx"] for a in agents for _ in range(20)]
        self.assertEqual(len(set(seen)), len(seen))

    def test_metadata_names_the_endpoints(self):
        metadata = self.badged.get("/.well-known/oauth-authorization-server")
        self.assertEqual(metadata["revocation_endpoint"], ISSUER + "/v1/revoke")
        self.assertEqual(metadata["introspection_endpoint"], ISSUER + "/v1/introspect")

    def test_without_a_list_the_verifier_says_that_it_did_not_look(self):
        token = self.granted(self.agent(BOT))
        self.assertIn("status", verifier(self.badged, token)[1]["not_checked"])
        self.assertNotIn("status", self.listed(token)[1]["not_checked"])


class Restarts(Case):
    def restart(self, how, *agents, meanwhile=lambda: None):
        self.badged.kill() if how == "kill" else self.badged.stop()
        meanwhile()
        self.badged.start()
        for agent in agents:
            agent.tell(do="reconnect")

    def test_revocations_epochs_and_indexes_outlive_stop_and_kill(self):
        """H27"""
        agent = self.agent(BOT)
        revoked, kept = self.granted(agent), self.granted(agent, fresh=True)
        self.revoke("--jti", claims(revoked)["jti"])
        epoch = self.revoke("--agent", "other")["epoch"]
        used = {status_of(t)["idx"] for t in (revoked, kept)}
        for how in ("stop", "kill"):
            self.restart(how, agent)
            self.assertEqual(self.listed(revoked)[1]["reason"], "revoked")
            self.assertEqual(self.listed(kept)[0], 0)
            self.assertEqual(self.active(agent, kept), INACTIVE)  # its session did not outlive
            other = self.agent(OTHER)
            self.assertEqual(claims(self.granted(other))["badged"]["epoch"], epoch)
            fresh = self.granted(agent)
            self.assertNotIn(status_of(fresh)["idx"], used)
            used.add(status_of(fresh)["idx"])
        # A token from before both restarts, of a session that is gone.
        self.assertEqual(self.revoke("--jti", claims(kept)["jti"])["tokens"], 1)
        self.assertEqual(self.listed(kept)[1]["reason"], "revoked")

    def test_without_state_db_every_token_of_the_audit_counts_as_revoked(self):
        """H27: what was revoked is not known then, so nothing from before is good"""
        agent = self.agent(BOT)
        revoked, kept = self.granted(agent), self.granted(agent, fresh=True)
        self.revoke("--jti", claims(revoked)["jti"])

        def lose():
            for file in self.badged.state_dir.glob("state.db*"):
                file.unlink()
        self.restart("stop", agent, meanwhile=lose)

        def told():
            return [w for w in self.badged.status()["warnings"] if "counts as revoked" in w]
        self.assertEqual(len(told()), 1, self.badged.status()["warnings"])
        findings = [e for e in self.badged.audit()
                    if e["kind"] == "finding" and e["reason"] == "revocations-lost"]
        self.assertEqual(len(findings), 1)
        used = {status_of(token)["idx"] for token in (revoked, kept)}
        for how in ("kill", "stop"):
            for token in (revoked, kept):
                self.assertEqual(self.listed(token)[1]["reason"], "revoked")
                self.assertEqual(self.active(agent, token), INACTIVE)
            fresh = self.granted(agent)
            self.assertNotIn(status_of(fresh)["idx"], used)
            self.assertEqual(self.listed(fresh)[0], 0)
            self.restart(how, agent)
            self.assertEqual(self.listed(fresh)[0], 0)
            self.assertFalse(told())

    def test_without_the_audit_log_reserved_indexes_are_not_used_again(self):
        agent = self.agent(BOT)
        used = status_of(self.granted(agent))["idx"]
        log = self.badged.state_dir / "audit.jsonl"
        for count in range(2):
            self.restart("stop", agent,
                         meanwhile=lambda: log.rename(log.with_name(f"audit.moved-{count}")))
            new = status_of(self.granted(agent))["idx"]
            self.assertGreaterEqual(new, used + 4096 - used % 4096)
            used = new

    def test_a_record_that_was_taken_away_leaves_an_agent_that_can_be_revoked(self):
        agent = self.agent(BASE)
        token = self.granted(agent)
        file = pathlib.Path(self.badged.agents_dir, "base.toml")
        text = file.read_text()
        self.addCleanup(self.badged.ctl, "reload")
        self.addCleanup(file.write_text, text)
        file.unlink()
        self.assertEqual(self.badged.ctl("reload").returncode, 0)
        shown = json.loads(self.badged.ctl("agents", "show", "base", "--json").stdout)
        self.assertIsNone(shown["record"])
        self.assertEqual(shown["now"]["tokens"], 1)
        self.assertEqual(self.revoke("--agent", "base")["tokens"], 1)
        self.assertEqual(self.listed(token)[1]["reason"], "revoked")
        status, answer = agent.token()
        self.assertEqual((status, answer["error"]), (403, "unauthorized_client"))


if __name__ == "__main__":
    unittest.main()
