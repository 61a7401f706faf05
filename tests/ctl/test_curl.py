"""What `badgectl curl` does to curl: a real one, and a resource server on loopback.

BADGECTL names the program (ctest sets it).
"""

import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from with_badged import PROOF, TOKEN, WithBadged  # noqa: E402


class Curl(WithBadged):
    """Against a real resource server on loopback, through the real curl."""

    def call(self, server, path, *more, verb=()):
        return self.run_it("curl", *verb, "--audience", "https://a.example/", server.origin + path, "--", "-sS", *more)

    def test_sends_token_and_proof(self):
        server = self.resource({("GET", "/api"): (200, {"ok": True}, {})})
        result = self.call(server, "/api?q=1")
        self.assertEqual((result.returncode, result.stdout), (0, '{"ok": true}'), result.stderr)
        headers = server.seen[0]["headers"]
        self.assertEqual((headers["authorization"], headers["dpop"]), ("DPoP " + TOKEN, PROOF))
        asked = json.loads(self.agent.seen[-1]["body"])
        self.assertEqual((asked["method"], asked["url"]), ("GET", server.origin + "/api?q=1"))

    def test_nothing_secret_is_in_argv_or_environment(self):
        wrapper = os.path.join(self.dir, "bin")
        os.mkdir(wrapper)
        with open(wrapper + "/curl", "w") as script:
            script.write('#!/bin/sh\nprintf "%s\\n" "$@" >"$WATCH/argv"\nenv >"$WATCH/env"\nexec ' +
                         shutil.which("curl") + ' "$@"\n')
        os.chmod(wrapper + "/curl", 0o755)
        server = self.resource({("GET", "/"): (200, {}, {})})
        result = self.run_it("curl", server.origin + "/", "--", "-s",
                             env={"PATH": wrapper + ":" + os.environ["PATH"], "WATCH": self.dir})
        self.assertEqual(result.returncode, 0, result.stderr)
        for name in ("argv", "env"):
            with open(os.path.join(self.dir, name)) as file:
                text = file.read()
            self.assertNotIn(TOKEN, text)
            self.assertNotIn(PROOF, text)

    def test_retries_once_with_the_servers_nonce(self):
        def answer(seen):
            if seen["headers"]["dpop"] == PROOF:
                return (401, {"error": "use_dpop_nonce"}, {"DPoP-Nonce": "fresh-nonce",
                        "WWW-Authenticate": 'DPoP error="use_dpop_nonce"'})
            return (200, {"ok": True}, {})
        def proof(seen):
            return (200, {"dpop": PROOF + ("2" if json.loads(seen["body"]).get("nonce") == "fresh-nonce" else "")}, {})
        self.table[("POST", "/v1/proof")] = proof
        server = self.resource({("GET", "/api"): answer})
        result = self.call(server, "/api")
        self.assertEqual((result.returncode, result.stdout), (0, '{"ok": true}'), result.stderr)
        self.assertEqual(len(server.seen), 2)

    def test_a_nonce_loop_stops_after_one_retry(self):
        server = self.resource({("GET", "/api"): (401, {"error": "use_dpop_nonce"}, {
            "DPoP-Nonce": "again", "WWW-Authenticate": 'DPoP error="use_dpop_nonce"'})})
        result = self.call(server, "/api")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(server.seen), 2)
        self.assertIn("use_dpop_nonce", result.stdout)

    def test_refuses_redirects(self):
        server = self.resource({("GET", "/api"): (302, b"moved", {"Location": "http://127.0.0.1:1/"})})
        result = self.call(server, "/api", verb=("--json",))
        self.assertEqual(result.returncode, 1)
        self.assertEqual(self.one_object(result)["error"], "redirect_refused")

    def test_the_proofs_method_follows_curls_options(self):
        server = self.resource({(m, "/api"): (200, {}, {}) for m in ("GET", "POST", "PUT", "HEAD", "DELETE")})
        with open(self.dir + "/body", "w") as file:
            file.write("x")
        for more, method in ((("-d", "a=1"), "POST"), (("-XDELETE",), "DELETE"), (("-I",), "HEAD"),
                             (("-T", self.dir + "/body"), "PUT"), (("-G", "-d", "a=1"), "GET"),
                             (("-si", "-H", "X: y"), "GET"), (("--json", "{}", "-X", "PUT"), "PUT")):
            with self.subTest(more=more):
                self.assertEqual(self.call(server, "/api", *more).returncode, 0)
                self.assertEqual(json.loads(self.agent.seen[-1]["body"])["method"], method)
                self.assertEqual(server.seen[-1]["method"], method)

    def test_refuses_options_that_would_carry_the_token_elsewhere(self):
        for more in (("-L",), ("--location",), ("http://127.0.0.1:1/",), ("-K", "f"), ("--next",), ("-v",),
                     ("--url", "x"), ("-H", "Authorization: x"), ("-H", "dpop: x"), ("-H", "@f"), ("-d", "@-"),
                     ("-T", "-"), ("-sL",), ("-x", "p"), ("-o",), ("--trace", "f")):
            with self.subTest(more=more):
                result = self.run_it("curl", "http://127.0.0.1:1/", "--", *more)
                self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(self.agent.seen, [])

    def test_refuses_urls_that_curl_and_a_proof_read_differently(self):
        for url in ("ftp://a/", "a.example/", "http://u:p@a/", "http://a/#f", "http://a/ b", 'http://a/"', "http://"):
            with self.subTest(url=url):
                self.assertEqual(self.run_it("curl", url).returncode, 3)

    def test_exit_codes_follow_the_resource(self):
        for status, code in ((200, 0), (204, 0), (401, 1), (404, 1), (500, 4), (503, 5), (429, 5)):
            with self.subTest(status=status):
                server = self.resource({("GET", "/"): (status, {"s": status}, {})})
                self.assertEqual(self.call(server, "/").returncode, code)

    def test_an_unreachable_resource_is_exit_4(self):
        self.assertEqual(self.run_it("curl", "http://127.0.0.1:1/", "--", "-s").returncode, 4)

    def test_json_wraps_the_answer(self):
        server = self.resource({("GET", "/"): (403, {"no": 1}, {})})
        result = self.call(server, "/", verb=("--json",))
        self.assertEqual(result.returncode, 1)
        answer = self.one_object(result)
        self.assertEqual((answer["status"], answer["body"]), (403, '{"no": 1}'))

    def test_a_large_body_passes_through(self):
        server = self.resource({("GET", "/"): (200, b"x" * (5 << 20), {})})
        self.assertEqual(len(self.call(server, "/").stdout), 5 << 20)

    def test_curlrc_is_ignored(self):
        with open(self.dir + "/.curlrc", "w") as file:
            file.write("location\nverbose\n")
        server = self.resource({("GET", "/"): (200, {}, {})})
        result = self.run_it("curl", server.origin + "/", "--", "-s", env={"HOME": self.dir})
        self.assertNotIn(TOKEN, result.stderr)

    def test_without_audience_takes_the_one_grant_that_covers_the_url(self):
        server = self.resource({("GET", "/in/x"): (200, {}, {})})
        self.answer("GET", "/v1/whoami", 200, {"agent": {"grants": [
            {"audience": "https://one.example/", "urls": [server.origin + "/in"]},
            {"audience": "https://two.example/", "urls": [server.origin + "/i", server.origin + "/other/"]}]}})
        self.assertEqual(self.run_it("curl", server.origin + "/in/x", "--", "-s").returncode, 0)
        tokens = [s["body"] for s in self.agent.seen if s["target"] == "/v1/token"]
        self.assertIn("audience=https%3A%2F%2Fone.example%2F", tokens[0])

    def test_a_bearer_token_goes_without_proof(self):
        self.answer("POST", "/v1/token", 200, {"access_token": TOKEN, "token_type": "Bearer"})
        server = self.resource({("GET", "/"): (200, {}, {})})
        self.assertEqual(self.call(server, "/").returncode, 0)
        self.assertEqual(server.seen[0]["headers"]["authorization"], "Bearer " + TOKEN)
        self.assertNotIn("dpop", server.seen[0]["headers"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
