"""badgectl as a process: verbs, exit codes, JSON, hints.

BADGECTL names the program (ctest sets it).
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from with_badged import BADGECTL, PROOF, REFUSAL, TOKEN, WithBadged  # noqa: E402


class Token(WithBadged):
    def test_prints_the_bare_token(self):
        result = self.run_it("token", "--audience", "https://a.example/?x=1&y", "--scope", "a", "--scope", "b")
        self.assertEqual((result.returncode, result.stdout), (0, TOKEN + "\n"), result.stderr)
        self.assertEqual(self.agent.seen[0]["body"], "grant_type=client_credentials"
                         "&audience=https%3A%2F%2Fa.example%2F%3Fx%3D1%26y&scope=a%20b")

    def test_a_subject_token_goes_from_its_file_into_an_exchange(self):
        with open(self.dir + "/subject", "w") as file:
            file.write("a.b.c\n")
        result = self.run_it("token", "--audience", "https://a.example/", "--subject-token-file", self.dir + "/subject",
                             "--subject-proof-file", "-", stdin="p.q.r\n")
        self.assertEqual((result.returncode, result.stdout), (0, TOKEN + "\n"), result.stderr)
        sent = dict(urllib.parse.parse_qsl(self.agent.seen[0]["body"]))
        self.assertEqual(sent, {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                                "audience": "https://a.example/", "subject_token": "a.b.c",
                                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                                "subject_token_proof": "p.q.r"})

    def test_a_subject_token_that_is_missing_empty_or_huge_is_exit_3(self):
        for stdin in ("", "\n", "x" * 20000):
            self.assertEqual(self.run_it("token", "--audience", "https://a.example/", "--subject-token-file", "-",
                                         stdin=stdin).returncode, 3)
        self.assertEqual(self.run_it("token", "--audience", "https://a.example/", "--subject-token-file",
                                     self.dir + "/none").returncode, 3)
        self.assertEqual(self.run_it("token", "--audience", "https://a.example/", "--subject-proof-file",
                                     "-").returncode, 2)
        self.assertEqual(self.agent.seen, [])

    def test_json_is_the_whole_answer(self):
        result = self.run_it("--json", "token", "--audience", "https://a.example/")
        self.assertEqual(self.one_object(result)["expires_in"], 300)

    def test_options_may_stand_before_the_verb(self):
        result = self.run_it("--audience", "token", "--json", "token")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("audience=token", self.agent.seen[0]["body"])

    def test_fresh_asks_past_the_cache(self):
        self.run_it("token", "--audience", "a", "--fresh")
        self.assertEqual(self.agent.seen[0]["headers"]["cache-control"], "no-cache")

    def test_a_refusal_is_exit_1_with_reason_hint_and_correlation_id(self):
        self.answer("POST", "/v1/token", 403, REFUSAL)
        result = self.run_it("token", "--audience", "a", "--json")
        self.assertEqual(result.returncode, 1)
        answer = self.one_object(result)
        self.assertEqual((answer["error"], answer["correlation_id"]), ("unauthorized_client", "c0ffee"))
        self.assertIn("no record matches", result.stderr)
        self.assertIn('binding = "unit"', answer["hint"])
        self.assertIn("c0ffee", result.stderr)

    def test_the_correlation_id_may_come_from_the_header(self):
        self.answer("POST", "/v1/token", 400, {"error": "invalid_scope"}, X_Correlation_Id="abc123")
        self.assertEqual(self.one_object(self.run_it("token", "--audience", "a", "--json"))
                         ["correlation_id"], "abc123")

    def test_busy_is_exit_5_and_unusable_is_exit_4(self):
        self.answer("POST", "/v1/token", 503, {"error": "temporarily_unavailable"}, Retry_After="1")
        self.assertEqual(self.run_it("token", "--audience", "a").returncode, 5)
        self.answer("POST", "/v1/token", 503, {"error": "temporarily_unavailable"})
        self.assertEqual(self.run_it("token", "--audience", "a").returncode, 4)

    def test_no_daemon_is_exit_4_with_a_hint(self):
        result = self.run_it("token", "--audience", "a", "--json", "--socket", self.dir + "/none")
        self.assertEqual(result.returncode, 4)
        self.assertIn("is badged running", self.one_object(result)["hint"])

    def test_a_dead_socket_is_exit_4(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.dir + "/dead")
        listener.close()
        result = self.run_it("token", "--audience", "a", "--socket", self.dir + "/dead")
        self.assertEqual(result.returncode, 4)
        self.assertIn("nothing listens", result.stderr)

    def test_an_answer_that_is_not_json_is_exit_4(self):
        self.answer("POST", "/v1/token", 200, b"<html>", Content_Type="text/html")
        self.assertEqual(self.run_it("token", "--audience", "a").returncode, 4)

    def test_an_answer_without_end_is_bounded(self):
        self.answer("POST", "/v1/token", 200, b'{"a":"' + b"x" * (9 << 20) + b'"}')
        result = self.run_it("token", "--audience", "a", "--json")
        self.assertEqual(result.returncode, 4)
        self.assertLess(len(result.stdout), 1000)

    def test_terminal_escapes_in_an_answer_are_defused(self):
        self.answer("POST", "/v1/token", 403, {"error": "x", "error_description": "a\x1b[31mb"})
        self.assertNotIn("\x1b", self.run_it("token", "--audience", "a").stderr)


class Usage(WithBadged):
    def test_wrong_usage_is_exit_2(self):
        for words in ((), ("token",), ("frobnicate",), ("token", "--audience", "a", "--nope"),
                      ("agents",), ("token", "--audience", "a", "--scope", ""),
                      ("whoami", "--pid", "x"), ("exec",), ("exec", "--"), ("evidence",),
                      ("revoke",), ("revoke", "--jti", "x", "--agent", "a"), ("audit", "tail", "--limit", "0"), ("agents", "new")):
            with self.subTest(words=words):
                result = self.run_it("--json", *words)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertEqual(self.one_object(result)["error"], "usage")

    def test_help_is_a_result(self):
        result = self.run_it("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("Exit codes", result.stdout)

    def test_a_full_standard_output_is_exit_4(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([BADGECTL, "token", "--audience", "a"], stdout=full,
                                    stderr=subprocess.PIPE, env=self.environment, timeout=60)
        self.assertEqual(result.returncode, 4)


class Proof(WithBadged):
    def ask(self, *more, stdin=TOKEN + "\n", token_file="-"):
        return self.run_it("proof", "--method", "POST", "--url", "https://a.example/x",
                           "--token-file", token_file, *more, stdin=stdin)

    def test_hands_the_token_over_and_prints_the_proof(self):
        result = self.ask("--nonce", "n1")
        self.assertEqual((result.returncode, result.stdout), (0, PROOF + "\n"), result.stderr)
        self.assertEqual(json.loads(self.agent.seen[0]["body"]),
                         {"method": "POST", "url": "https://a.example/x", "access_token": TOKEN, "nonce": "n1"})

    def test_a_token_file_that_is_missing_empty_or_huge_is_exit_3(self):
        self.assertEqual(self.ask(token_file=self.dir + "/none").returncode, 3)
        self.assertEqual(self.ask(stdin="\n").returncode, 3)
        self.assertEqual(self.ask(stdin="x" * 20000).returncode, 3)
        self.assertEqual(self.ask(token_file=self.dir).returncode, 3)
        self.assertEqual(self.agent.seen, [])

    def test_a_bad_method_is_exit_3(self):
        self.assertEqual(self.run_it("proof", "--method", "G T", "--url", "https://a/", "--token-file", "-",
                                     stdin=TOKEN).returncode, 3)


class Evidence(WithBadged):
    ASK = ("evidence", "--challenge", "AAECAwQFBgcICQoLDA0ODw", "--audience", "https://v.example/")
    EAT = b"eyJ0eXAiOiJlYXQrand0In0.e30.c2ln"

    def setUp(self):
        super().setUp()
        self.answer("POST", "/v1/evidence", 200, self.EAT, Content_Type="application/eat+jwt")

    def test_asks_on_the_agents_socket_and_prints_what_came(self):
        result = self.run_it(*self.ASK)
        self.assertEqual((result.returncode, result.stdout), (0, self.EAT.decode() + "\n"), result.stderr)
        self.assertEqual(json.loads(self.agent.seen[0]["body"]),
                         {"challenge": "AAECAwQFBgcICQoLDA0ODw", "audience": "https://v.example/"})
        self.assertEqual(self.one_object(self.run_it(*self.ASK, "--json")), {"evidence": self.EAT.decode()})

    def test_host_asks_on_the_admins_socket_and_pcrs_become_lists(self):
        result = self.run_it(*self.ASK, "--host", "--pcrs", "sha256:0,7", "--pcrs", "sha1:23")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.agent.seen, [])
        self.assertEqual(json.loads(self.admin.seen[0]["body"])["pcrs"], {"sha256": [0, 7], "sha1": [23]})
        self.run_it(*self.ASK, "--host", "--pcrs", "sha256:0,7+sha1:23")
        self.assertEqual(self.admin.seen[1]["body"], self.admin.seen[0]["body"])

    def test_pcrs_that_cannot_be_read_are_exit_3(self):
        for bad in ("sha256", "sha256:", "sha256:a", "sha256:1,,2", "sha256:-1", "sha256:100", ":"):
            self.assertEqual(self.run_it(*self.ASK, "--pcrs", bad).returncode, 3, bad)
        twice = self.run_it(*self.ASK, "--pcrs", "sha256:1", "--pcrs", "sha256:2")
        self.assertEqual(twice.returncode, 3)
        self.assertEqual(self.agent.seen, [])

    def test_out_may_be_standard_output(self):
        plain = self.run_it(*self.ASK)
        self.assertEqual((self.run_it(*self.ASK, "--out", "-").stdout, plain.returncode), (plain.stdout, 0))

    def test_out_holds_all_of_it_or_stays_as_it_was(self):
        out = self.dir + "/out"
        self.assertEqual(self.run_it(*self.ASK, "--out", out).stdout, "")
        with open(out, "rb") as file:
            self.assertEqual(file.read(), self.EAT + b"\n")
        self.answer("POST", "/v1/evidence", 503, REFUSAL, Retry_After="1")
        self.assertEqual(self.run_it(*self.ASK, "--out", out).returncode, 5)
        self.assertEqual(os.path.getsize(out), len(self.EAT) + 1)
        self.assertEqual(sorted(os.listdir(self.dir)), ["admin.sock", "agent.sock", "out"])
        self.answer("POST", "/v1/evidence", 200, self.EAT)
        self.assertEqual(self.run_it(*self.ASK, "--out", "/none/out").returncode, 4)

    def test_what_is_no_evidence_is_exit_4_and_not_printed(self):
        for body in (b"\x1b[2Jboo", b"", {"evidence": 1}):
            self.answer("POST", "/v1/evidence", 200, body)
            result = self.run_it(*self.ASK)
            self.assertEqual((result.returncode, result.stdout), (4, ""), body)


class Seeing(WithBadged):
    def test_whoami_says_what_badged_sees(self):
        self.answer("GET", "/v1/whoami", 200, {
            "process": {"pid": 42, "uid": 990, "gid": 990, "executable": "/usr/bin/python3.11",
                        "unit": "bot.service", "invocation_id": "ab" * 16},
            "agent": {"name": "bot", "tier": "elevated", "autonomy": "medium", "access": "app-write",
                      "binding": "unit", "derivation": [{"rule": "cell", "reason": "medium x app-write",
                                                         "result": "elevated"}],
                      "grants": [{"audience": "https://a.example/", "scope": ["x", "y"]}]}})
        result = self.run_it("whoami")
        self.assertEqual(result.returncode, 0)
        for word in ("42", "bot.service", "elevated: medium x app-write (cell)", "autonomy medium", "x y"):
            self.assertIn(word, result.stdout)

    def test_whoami_of_a_pid_asks_the_admin_socket_and_names_the_rule(self):
        self.answer("GET", "/v1/whoami", 200, {
            "process": {"pid": 7}, "match": {"record": None, "first_failed_rule": "uid is 1000",
                                             "satisfied_by": "running as uid 990"}})
        result = self.run_it("whoami", "--pid", "7")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(self.admin.seen[0]["target"], "/v1/whoami?pid=7")
        self.assertIn("uid is 1000", result.stdout)
        self.assertIn("running as uid 990", result.stdout)

    def test_identity_prints_the_pem(self):
        pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
        self.answer("GET", "/v1/identity", 200, {"ak_pem": pem, "ak_name": "000b", "custody": "tpm"})
        self.assertEqual(self.run_it("identity").stdout, pem)
        self.assertEqual(self.one_object(self.run_it("identity", "--json"))["ak_name"], "000b")

    def test_identity_writes_the_tpmt_public(self):
        file = pathlib.Path(self.dir, "ak.tpmt")
        for area, code, written in (("0023000b", 0, b"\x00\x23\x00\x0b"), (None, 1, None), ("0z", 4, None)):
            file.unlink(missing_ok=True)
            self.answer("GET", "/v1/identity", 200, {"ak_pem": "p", "ak_public": area})
            done = self.run_it("identity", "--tpmt", str(file))
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
            self.assertEqual(file.read_bytes() if file.exists() else None, written)
        self.answer("GET", "/v1/identity", 200, {"ak_pem": "p", "ak_public": "4142"})
        self.assertEqual(self.run_it("identity", "--tpmt", "-").stdout, "AB")
        self.answer("GET", "/v1/identity", 200, {"ak_pem": "p", "ak_public": "00"})
        self.assertEqual(self.run_it("identity", "--tpmt", "/nonexistent/ak").returncode, 4)

    def test_status_and_agents_read_well(self):
        self.answer("GET", "/v1/status", 200, {
            "version": "0.1.0", "issuer": "https://i.example", "keystore": {"kind": "software",
            "condition": "ready", "message": "software keys", "custody": "software"},
            "agents": {"good": 1, "problems": [{"file": "b.toml", "line": 3, "column": 5,
                                                "message": "unknown key", "hint": "remove it"}]},
            "warnings": ["no group badged-admin"]})
        out = self.run_it("status").stdout
        for word in ("software keys", "b.toml:3:5: unknown key", "hint: remove it", "no group badged-admin"):
            self.assertIn(word, out)
        self.answer("GET", "/v1/agents", 200, {"agents": [{"name": "bot", "tier": "baseline"}]})
        self.assertIn("bot", self.run_it("agents", "list").stdout)
        self.answer("GET", "/v1/matrix", 200, {"cells": [{"autonomy": "low", "access": "admin", "tier": "elevated",
                                                          "agents": [{"name": "bot", "tier": "elevated"}]}]})
        self.assertRegex(self.run_it("matrix").stdout, r"low +admin +elevated +bot\n")
        self.answer("GET", "/v1/agents/bot", 200, {"name": "bot", "grants": [{"audience": "https://a/"}]})
        self.assertIn("audience: https://a/", self.run_it("agents", "show", "bot").stdout)
        self.assertEqual(self.run_it("agents", "show", "ghost").returncode, 1)
        self.assertEqual(self.run_it("agents", "show", "../x").returncode, 3)

    def test_reload_names_the_bad_file(self):
        self.answer("POST", "/v1/reload", 409, {"error": "invalid_records", "error_description": "kept the old set",
                    "problems": [{"file": "b.toml", "line": 3, "column": 5, "message": "unknown key", "hint": "h"}]})
        result = self.run_it("reload")
        self.assertEqual(result.returncode, 1)
        self.assertIn("b.toml:3:5: unknown key", result.stderr)
        self.assertEqual(self.one_object(self.run_it("reload", "--json"))["problems"][0]["line"], 3)
        self.answer("POST", "/v1/reload", 200, {"changed": True, "agents": 2})
        self.assertIn("2 agents", self.run_it("reload").stdout)

    def test_audit_tail_prints_lines_as_they_are(self):
        self.answer("GET", "/v1/audit", 200, {"lines": ['{"prev":"0","seq":1}', '{"seq":2}']})
        result = self.run_it("audit", "tail", "--since", "1700000000")
        self.assertEqual(result.stdout, '{"prev":"0","seq":1}\n{"seq":2}\n')
        self.assertEqual(self.admin.seen[0]["target"], "/v1/audit?limit=100&since=1700000000")
        self.assertEqual(self.run_it("audit", "tail", "--since", "yesterday").returncode, 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
