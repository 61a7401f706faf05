"""What the tests of badgectl share: a tiny badged on both sockets, and running the program."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tiny_badged  # noqa: E402

BADGECTL = os.environ.get("BADGECTL", "badgectl")
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2VjcmV0LXRva2Vu"
PROOF = "eyJ0eXAiOiJkcG9wK2p3dCJ9.e30.cHJvb2Y"
REFUSAL = {"error": "unauthorized_client", "error_description": "no record matches this process",
           "hint": "ask the admin of this host", "correlation_id": "c0ffee"}


class WithBadged(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="ctl-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.table = {
            ("POST", "/v1/token"): (200, {"access_token": TOKEN, "token_type": "DPoP",
                                          "expires_in": 300, "scope": "a b"}, {}),
            ("POST", "/v1/proof"): (200, {"dpop": PROOF}, {}),
            ("GET", "/v1/whoami"): (200, {"process": {"pid": 1}, "agent": {"name": "bot", "grants": [
                {"audience": "https://other.example/", "urls": ["https://other.example/"]}]}}, {}),
        }
        self.agent = tiny_badged.unix(self.dir + "/agent.sock", self.table)
        self.admin = tiny_badged.unix(self.dir + "/admin.sock", self.table)
        for server in (self.agent, self.admin):
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
        self.environment = dict(os.environ, BADGED_SOCKET=self.dir + "/agent.sock",
                                BADGED_ADMIN_SOCKET=self.dir + "/admin.sock", LC_ALL="C",
                                XDG_RUNTIME_DIR=self.dir)
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            self.environment.pop(name, None)

    def run_it(self, *arguments, stdin="", env=None):
        return subprocess.run([BADGECTL, *arguments], input=stdin, capture_output=True, text=True,
                              timeout=60, env={**self.environment, **(env or {})})

    def one_object(self, result):
        self.assertEqual(result.stdout.count("\n"), 1, result.stdout)
        return json.loads(result.stdout)

    def answer(self, method, path, status, body, **headers):
        self.table[(method, path)] = (status, body, {k.replace("_", "-"): v for k, v in headers.items()})

    def resource(self, table):
        server = tiny_badged.loopback(table)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server
