"""The files and answers that verifiers read: metadata and keys."""
import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ISSUER, Badged, call, verifier, wait_for  # noqa: E402
from tokens_case import HIGH, LOW, RECORDS, Case, setUpModule  # noqa: E402


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
        # The list comes with the first turn of what is done each second.
        wait_for((publish / "status.jwt").exists, "the status list")
        names = {file.name.removesuffix(".new") for file in publish.iterdir()}  # one may be replaced now
        self.assertEqual(names, {"jwks.json", "oauth-authorization-server", "status.jwt"})

    def test_a_reader_never_sees_part_of_a_file_and_restarts_replace_it(self):
        with Badged(store="software", records={"low": RECORDS["low"]}) as badged:
            file = badged.state_dir / "publish" / "jwks.json"
            kept = open(file)
            inode, seen, failed, over = os.stat(file).st_ino, [], [], threading.Event()

            def read():
                while not over.is_set():
                    text = file.read_text()
                    try:
                        seen.append(json.loads(text)["keys"][0]["kid"])
                    except (ValueError, LookupError):
                        failed.append(text)

            reader = threading.Thread(target=read)
            reader.start()
            try:
                for _ in range(3):
                    badged.stop()
                    badged.start()
                self.assertTrue(reader.is_alive(), "the file could not be read")
            finally:
                over.set()
                reader.join()
            self.assertEqual(failed, [])
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
