"""badged's own tokens and proofs in front of software that is not ours: npm jose, oauth4webapi and
python3-jwcrypto accept the good pair and refuse what is wrong in one way; the examples of the
documents run as they stand.

BADGED_BUILD names the build directory (ctest sets it).
"""

import hashlib
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tools  # noqa: E402

sys.path.insert(0, os.path.join(tools.REPOSITORY, "tests", "scenarios"))
import harness  # noqa: E402

UID, OTHER_UID = 61001, 61002
URL = harness.AUDIENCE + "api/invoices"


def reason():
    if tools.missing():
        return tools.missing()
    return "" if os.geteuid() == 0 else "needs root to start agents of other users"


def setUpModule():
    if reason():
        raise unittest.SkipTest(reason())


class Interop:
    """The cases, run below on a TPM and on the software store."""

    store = None

    @classmethod
    def setUpClass(cls):
        cls.badged = harness.Badged(store=cls.store, records={"ledger-bot": cls.record("ledger-bot", UID, []),
                                                              "other-bot": cls.record("other-bot", OTHER_UID, [])})
        cls.badged.__enter__()
        cls.addClassCleanup(cls.badged.__exit__)
        cls.jwks_file = str(cls.badged.state_dir / "publish" / "jwks.json")
        cls.servers = {}
        for kind in ("node", "python"):
            cls.servers[kind] = tools.ResourceServer(kind, cls.jwks_file, harness.ISSUER, harness.AUDIENCE,
                                                     str(cls.badged.state_dir / "publish" / "status.jwt"))
            cls.addClassCleanup(cls.servers[kind].close)
        # Where proofs may go is known only now.
        origins = [server.origin + "/" for server in cls.servers.values()]
        cls.badged.write_record("ledger-bot", cls.record("ledger-bot", UID, origins))
        reloaded = cls.badged.ctl("reload")
        assert reloaded.returncode == 0, reloaded.stderr

    @staticmethod
    def record(name, uid, urls):
        listed = ", ".join(f'"{url}"' for url in [harness.AUDIENCE, *urls])
        return harness.record(name, match=f"uid = {uid}", grant=f"urls = [{listed}]")

    def setUp(self):
        self.agent = harness.Agent(self.badged, UID)
        self.addCleanup(self.agent.end)

    def pair(self, url=URL, method="GET"):
        status, answer = self.agent.token(audience=harness.AUDIENCE)
        self.assertEqual(status, 200, answer)
        status, proof = self.agent.proof(answer["access_token"], method, url)
        self.assertEqual(status, 200, proof)
        return answer["access_token"], proof["dpop"]

    def jwks(self):
        with open(self.jwks_file) as file:
            return json.load(file)

    def test_the_published_keys_are_the_served_ones(self):
        served = self.badged.get("/v1/jwks")
        self.assertEqual({k["kid"] for k in served["keys"]}, {k["kid"] for k in self.jwks()["keys"]})
        for key in served["keys"]:  # RFC 7638, by hand
            text = '{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}' % (key["x"], key["y"])
            self.assertEqual(key["kid"], tools.b64(hashlib.sha256(text.encode()).digest()))
            self.assertNotIn("d", key)

    def test_npm_libraries_accept_the_good_pair_and_refuse_what_is_wrong_in_one_way(self):
        token, proof = self.pair()
        _, elsewhere = self.agent.proof(token, "GET", URL + "/7")
        _, posted = self.agent.proof(token, "POST", URL)
        _, fresh = self.agent.token({"Cache-Control": "no-cache"}, audience=harness.AUDIENCE)
        _, other_token = self.agent.proof(fresh["access_token"], "GET", URL)
        stranger = tools.Forge(harness.ISSUER, harness.AUDIENCE)
        forged = stranger.token(header={"kid": self.jwks()["keys"][0]["kid"]})
        case = lambda name, proof, token=token, **more: {
            "name": name, "token": token, "proof": proof, "method": "GET", "url": URL, **more}
        answer = tools.with_npm(self.jwks(), harness.ISSUER, harness.AUDIENCE, [
            case("good", proof), case("query", proof, url=URL + "?page=2"),
            case("other key", tools.make_proof(stranger.session, token, "GET", URL)),
            case("htu", elsewhere["dpop"]), case("htm", posted["dpop"]), case("ath", other_token["dpop"]),
            case("expired", proof, later=3600), case("bearer", proof, scheme="Bearer"),
            case("forged token", stranger.proof(forged, "GET", URL), token=forged)])
        for name in ("good", "query"):
            self.assertEqual(set(answer.pop(name).values()), {"accepted"}, name)
        for name, verdicts in answer.items():
            for library, verdict in verdicts.items():
                self.assertTrue(verdict.startswith("refused"), (name, library, verdict))
        for verdict in answer["expired"].values():
            self.assertIn("exp", verdict)
        for wrong in ({"audience": "https://other.example.org/"}, {"issuer": "https://other.example.org"}):
            known = {"issuer": harness.ISSUER, "audience": harness.AUDIENCE, **wrong}
            answer = tools.with_npm(self.jwks(), known["issuer"], known["audience"], [case("good", proof)])
            self.assertTrue(all(v.startswith("refused") for v in answer["good"].values()), (wrong, answer))

    def send(self, server, token, proof, scheme="DPoP", path="/api/invoices"):
        return server.call(path, [("Authorization", f"{scheme} {token}"), *([("DPoP", proof)] if proof else [])])

    def test_both_example_servers_accept_the_good_pair_and_refuse_the_bad_ones(self):
        for kind, server in self.servers.items():
            url = server.origin + "/api/invoices"
            with self.subTest(kind):
                token, proof = self.pair(url)
                status, body, _ = self.send(server, token, proof)
                self.assertEqual((status, body["sub"]), (200, "spiffe://example.org/host/build-7/agent/ledger-bot"), body)
                stranger = tools.Forge(harness.ISSUER, harness.AUDIENCE)
                _, elsewhere = self.pair(url + "/7")
                for name, bad in {"replayed": proof, "other key": tools.make_proof(stranger.session, token, "GET", url),
                                  "other URL": elsewhere, "none": None}.items():
                    status, body, challenge = self.send(server, token, bad)
                    self.assertEqual(status, 401, (name, body))
                    self.assertIn('DPoP error="invalid_dpop_proof"', challenge)
                _, fresh = self.pair(url)
                self.assertEqual(self.send(server, token, fresh, scheme="Bearer")[0], 401)

    def test_both_example_servers_refuse_a_revoked_token_at_once(self):
        """H16: with npm jose and node's zlib, and with jwcrypto; the proofs were made before."""
        for kind, server in self.servers.items():
            with self.subTest(kind):
                url = server.origin + "/api/invoices"
                token, proof = self.pair(url)
                _, second = self.agent.proof(token, "GET", url)
                self.assertEqual(self.send(server, token, proof)[0], 200)
                done = self.badged.ctl("revoke", "--jti", harness.claims(token)["jti"])
                self.assertEqual(done.returncode, 0, done.stderr)
                status, body, challenge = self.send(server, token, second["dpop"])
                self.assertEqual((status, body["error_description"]), (401, "revoked"), body)
                self.assertIn('DPoP error="invalid_token"', challenge)
                other, proof = self.pair(url)
                self.assertEqual(self.send(server, other, proof)[0], 200)

    def test_another_process_gets_no_proof_for_this_token(self):
        token, _ = self.pair()
        for uid in (UID, OTHER_UID):
            with harness.Agent(self.badged, uid) as thief:
                status, answer = thief.proof(token, "GET", URL)
                self.assertIn(status, (400, 401, 403), answer)
                self.assertNotIn("dpop", answer)

    def run_as_agent(self, *command, **environment):
        return subprocess.run(harness.as_uid(UID) + list(command), capture_output=True, text=True, timeout=120, cwd="/",
                              env={**os.environ, "BADGED_SOCKET": str(self.badged.agent_socket), **environment})

    def test_the_example_agent_runs_as_it_stands(self):
        for kind, server in self.servers.items():
            with self.subTest(kind):
                result = self.run_as_agent(harness.PYTHON, os.path.join(tools.EXAMPLES, "agent.py"), harness.AUDIENCE,
                                           server.origin + "/api/invoices")
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn("a DPoP token for " + harness.AUDIENCE, result.stdout)
                self.assertIn("the resource answers 200", result.stdout)

    def test_the_example_agent_says_why_it_is_refused(self):
        result = subprocess.run(harness.as_uid(61999) + [harness.PYTHON, os.path.join(tools.EXAMPLES, "agent.py"),
                                harness.AUDIENCE, URL, str(self.badged.agent_socket)], capture_output=True, text=True,
                                timeout=120, env={k: v for k, v in os.environ.items() if k != "BADGED_SOCKET"})
        self.assertEqual(result.returncode, 1)
        self.assertIn("unauthorized_client", result.stderr)

    def test_the_example_agent_has_at_most_60_lines(self):
        with open(os.path.join(tools.EXAMPLES, "agent.py")) as file:
            self.assertLessEqual(len(file.readlines()), 60)

    def ctl(self, *arguments):
        return self.run_as_agent(str(harness.BUILD / "badgectl"), *arguments)

    def test_badgectl_curl_reaches_both_servers(self):
        for kind, server in self.servers.items():
            for audience in (("--audience", harness.AUDIENCE), ()):
                with self.subTest(kind, audience=audience):
                    result = self.ctl("curl", *audience, server.origin + "/api/invoices?page=2", "--", "-sS")
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertTrue(json.loads(result.stdout)["ok"])

    def test_badgectl_curl_is_refused_beyond_the_grant(self):
        result = self.ctl("curl", "--json", "--audience", harness.AUDIENCE, "https://elsewhere.example.org/", "--", "-sS")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("error", json.loads(result.stdout))

    def test_badgectl_exec_serves_the_example_agent(self):
        server = self.servers["python"]
        result = self.ctl("exec", "--", harness.PYTHON, os.path.join(tools.EXAMPLES, "agent.py"), harness.AUDIENCE,
                          server.origin + "/api/invoices")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("the resource answers 200", result.stdout)

    def test_token_and_proof_of_badgectl_below_exec_make_a_good_pair(self):
        # Below exec all helpers share one session, so a token of one and a proof of another fit.
        server = self.servers["node"]
        script = 'set -e; "$1" token --audience "$2" >"$4/t"; "$1" proof --method GET --url "$3" --token-file "$4/t" >"$4/p"'
        work = self.badged.directory / "work"
        work.mkdir(exist_ok=True)
        work.chmod(0o777)
        result = self.ctl("exec", "--", "sh", "-c", script, "sh", str(harness.BUILD / "badgectl"), harness.AUDIENCE,
                          server.origin + "/api/invoices", str(work))
        self.assertEqual(result.returncode, 0, result.stderr)
        token, proof = (work / "t").read_text().strip(), (work / "p").read_text().strip()
        status, body, _ = self.send(server, token, proof)
        self.assertEqual(status, 200, body)
        (work / "t").unlink()
        (work / "p").unlink()

    def test_badge_verifier_agrees(self):
        token, proof = self.pair()
        stranger = tools.Forge(harness.ISSUER, harness.AUDIENCE)
        for expected, text in ((0, proof), (1, tools.make_proof(stranger.session, token, "GET", URL))):
            proof_file = self.badged.directory / "proof"
            proof_file.write_text(text)
            result = subprocess.run(
                [str(harness.BUILD / "badge-verifier"), "token", "--jwks", self.jwks_file, "--issuer", harness.ISSUER,
                 "--audience", harness.AUDIENCE, "--proof-file", str(proof_file), "--method", "GET", "--url", URL, "-"],
                input=token, capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, expected, result.stderr + result.stdout)


class OnTheTpm(Interop, unittest.TestCase):
    store = "tpm"

    def test_identity_is_the_tpms(self):
        answer = json.loads(self.badged.ctl("--json", "identity").stdout)
        self.assertEqual(answer["custody"], "tpm")
        self.assertRegex(answer["ak_name"], "^000b[0-9a-f]{64}$")


class OnTheSoftwareStore(Interop, unittest.TestCase):
    store = "software"


class Administration(unittest.TestCase):
    """badgectl's admin verbs against the real daemon."""

    @classmethod
    def setUpClass(cls):
        cls.badged = harness.Badged(store="software", records={"bot": harness.record("bot", match=f"uid = {UID}")})
        cls.badged.__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def run_verb(self, code, *arguments, uid=None):
        result = self.badged.ctl("--json", *arguments, uid=uid)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        self.assertEqual(result.stdout.count("\n"), 1, result.stdout)
        people = self.badged.ctl(*arguments, uid=uid)
        self.assertEqual(people.returncode, code)
        self.assertTrue(people.stdout if code == 0 else people.stderr + people.stdout)
        return json.loads(result.stdout)

    def test_status_agents_matrix(self):
        self.assertEqual(self.run_verb(0, "status")["keystore"]["kind"], "software")
        self.assertEqual([a["name"] for a in self.run_verb(0, "agents", "list")["agents"]], ["bot"])
        self.assertEqual(self.run_verb(0, "agents", "show", "bot")["name"], "bot")
        self.assertEqual(self.run_verb(1, "agents", "show", "ghost")["error"], "not_found")
        self.assertEqual(len(self.run_verb(0, "matrix")["cells"]), 20)
        self.assertEqual(self.run_verb(0, "matrix", "--config", str(self.badged.config_file))["cells"],
                         self.run_verb(0, "matrix")["cells"])

    def test_whoami_of_another_process_names_rule_and_remedy(self):
        answer = self.run_verb(1, "whoami", "--pid", str(os.getpid()))
        self.assertEqual(answer["error"], "no_record", answer)
        self.assertTrue(answer["error_description"] and answer["hint"], answer)
        match = answer["match"]
        self.assertTrue(match["first_failed_rule"] and match["satisfied_by"], match)
        with harness.Agent(self.badged, UID) as agent:
            agent.token(audience=harness.AUDIENCE)
            self.assertEqual(self.run_verb(0, "whoami", "--pid", str(agent.pid))["match"]["record"], "bot")

    def test_a_stranger_is_refused_with_a_correlation_id_that_the_audit_has(self):
        answer = self.run_verb(1, "token", "--audience", harness.AUDIENCE, uid=61999)
        self.assertEqual(answer["error"], "unauthorized_client")
        self.assertTrue(answer["correlation_id"])
        lines = json.loads(self.badged.ctl("--json", "audit", "tail", "--since", "1h").stdout)["lines"]
        self.assertTrue(any(json.loads(line)["kind"] == "finding" for line in lines))

    def test_reload_with_a_bad_record_keeps_the_good_set(self):
        self.badged.write_record("bad", harness.record("bad", match="uid = 61003", extra='colour = "red"'))
        try:
            answer = self.run_verb(1, "reload")
            self.assertEqual(answer["error"], "invalid_records")
            self.assertTrue(answer["problems"][0]["file"].endswith("bad.toml"))
            answer = self.run_verb(1, "agents", "validate", str(self.badged.agents_dir))
            self.assertEqual((answer["ok"], answer["error"]), (False, "invalid_records"))
            self.assertEqual(len(self.run_verb(0, "agents", "list")["agents"]), 1)
        finally:
            (self.badged.agents_dir / "bad.toml").unlink()
        self.run_verb(0, "reload")

    def test_audit_verify_of_the_live_file_and_of_an_edited_copy(self):
        self.assertTrue(self.run_verb(0, "audit", "verify")["intact"])
        self.assertTrue(self.run_verb(0, "audit", "verify", "--config", str(self.badged.config_file))["intact"])
        text = (self.badged.state_dir / "audit.jsonl").read_text()
        copies = {"edited": text.replace('"kind":"start"', '"kind":"stort"', 1),
                  "dropped": "".join(text.splitlines(True)[:1] + text.splitlines(True)[2:]),
                  "reordered": "".join([text.splitlines(True)[i] for i in (1, 0)] + text.splitlines(True)[2:])}
        for name, changed in copies.items():
            with self.subTest(name):
                self.assertNotEqual(changed, text)
                file = self.badged.directory / (name + ".jsonl")
                file.write_text(changed)
                answer = self.run_verb(1, "audit", "verify", str(file))
                self.assertFalse(answer["intact"])
                self.assertTrue(answer["problem"])
                self.assertEqual((answer["error"], answer["error_description"]), ("not_intact", answer["problem"]))
        file = self.badged.directory / "copy.jsonl"
        file.write_text(text)
        self.assertIn("tail", " ".join(self.run_verb(0, "audit", "verify", str(file))["not_checked"]))

    def test_doctor_looks_at_this_badged(self):
        answer = self.run_verb(0, "doctor", "--config", str(self.badged.config_file))
        checks = {check["name"]: check["verdict"] for check in answer["checks"]}
        self.assertEqual((checks["daemon"], checks["agent-socket"], checks["admin-socket"], checks["records"]),
                         ("ok",) * 4)

    def test_doctor_finds_no_fault_in_what_an_agent_may_not_see(self):
        for hidden, mode, name in ((self.badged.config_file, 0o600, "config"),
                                   (self.badged.agents_dir, 0o700, "records"),
                                   (self.badged.state_dir.parent, 0o700, "config")):
            with self.subTest(str(hidden)):
                before = hidden.stat().st_mode
                hidden.chmod(mode)
                self.addCleanup(hidden.chmod, before)
                result = self.badged.ctl("--json", "doctor", "--config", str(self.badged.config_file), uid=UID)
                checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
                self.assertEqual(checks[name]["verdict"], "warn", result.stdout)
                self.assertIn("as root", checks[name]["hint"])
                if hidden != self.badged.state_dir.parent:  # the socket is below it
                    self.assertEqual(result.returncode, 0, result.stdout)
                hidden.chmod(before)

    def test_admin_verbs_are_not_for_agents(self):
        self.assertEqual(self.badged.ctl("status", uid=UID).returncode, 4)
        through_agent_socket = subprocess.run(
            harness.as_uid(UID) + [str(harness.BUILD / "badgectl"), "--json", "--admin-socket",
                                   str(self.badged.agent_socket), "status"], capture_output=True, text=True, timeout=60)
        self.assertEqual(through_agent_socket.returncode, 1, through_agent_socket.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
