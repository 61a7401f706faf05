"""Records that change under a running badged: all or nothing, and the bad file is named (H29)."""
import json
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import AUDIENCE, Badged, WithAgents, claims, record, wait_for  # noqa: E402

ONE, TWO, THREE = 61001, 61002, 61003
# What is wrong, the text, and what stands on the line that must be named (None: any).
BROKEN = {
    "not TOML": ('name = "bad"\nowner = \n', "owner"),
    "unknown key": (record("bad", match=f"uid = {THREE}", extra="colour = 1"), "colour"),
    "clash": (record("bad", match=f"uid = {ONE}"), None),
    "empty match": (record("bad", match=""), None),
    "name is not the file's": (record("other", match=f"uid = {THREE}"), "name ="),
    "no duration": (record("bad", match=f"uid = {THREE}", grant='max_lifetime = "x"'), "max_lifetime"),
}


def line_of(text, mark):
    return 1 + next(i for i, line in enumerate(text.split("\n")) if line.startswith(mark))


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def good():
    return {"one": record("one", match=f"uid = {ONE}"), "two": record("two", match=f"uid = {TWO}")}


class Case(WithAgents, unittest.TestCase):
    def start(self, records=None, **kwargs):
        badged = Badged(store="software", records=records or good(), **kwargs).__enter__()
        self.addCleanup(badged.__exit__)
        return badged

    def served(self, agent):
        status, answer = agent.token()
        self.assertEqual(status, 200, answer)
        return claims(answer["access_token"])

    def reloads(self, badged):
        return [line for line in badged.audit() if line["kind"] == "reload"]

    def hang_up(self, badged):
        before = len(self.reloads(badged))
        badged.process.send_signal(signal.SIGHUP)
        return wait_for(lambda: self.reloads(badged)[before:], "the reload in the audit")[0]

    def errors(self, badged):
        return [p for p in badged.status()["agents"]["problems"] if p["severity"] == "error"]


class AtStart(Case):
    def test_a_broken_record_is_named_with_its_place_and_the_good_ones_are_served(self):
        for what, (text, mark) in BROKEN.items():
            if what == "clash":
                continue
            with self.subTest(what):
                badged = self.start({**good(), "bad": text})
                agents = badged.status()["agents"]
                self.assertEqual(agents["good"], 2)
                bad = self.errors(badged)[0]
                self.assertEqual(bad["file"], str(badged.agents_dir / "bad.toml"))
                self.assertGreater(bad["line"], 0)
                self.assertGreater(bad["column"], 0)
                if mark:
                    self.assertEqual(bad["line"], line_of(text, mark), bad)
                self.assertTrue(bad["message"])
                self.assertIn(f"bad.toml:{bad['line']}:{bad['column']}", badged.log())
                self.served(self.agent(ONE, badged))
                self.assertEqual(self.agent(THREE, badged).token()[0], 403)
                found = [l for l in badged.audit() if l.get("reason") == "bad-record"]
                self.assertTrue(found)

    def test_records_that_clash_are_both_named_and_the_rest_is_served(self):
        badged = self.start({**good(), "bad": BROKEN["clash"][0]})
        text = json.dumps(self.errors(badged))
        self.assertIn("bad.toml", text)
        self.assertIn("one", text)
        self.served(self.agent(TWO, badged))
        self.assertEqual(self.agent(ONE, badged).token()[0], 403)


class Reload(Case):
    def test_a_bad_file_leaves_the_good_set_in_force_however_it_is_reloaded(self):
        for what, (text, mark) in BROKEN.items():
            with self.subTest(what):
                badged = self.start()
                agent = self.agent(ONE, badged)
                session = self.served(agent)["badged"]["session"]
                # A change among good ones must not come into force alone.
                (badged.agents_dir / "two.toml").unlink()
                badged.write_record("bad", text)
                self.assertEqual(self.hang_up(badged)["result"], "refused")
                done = badged.ctl("reload", "--json")
                self.assertEqual(done.returncode, 1, done)
                answer = json.loads(done.stdout)
                self.assertEqual(answer["error"], "invalid_records")
                bad = next(p for p in answer["problems"] if p["severity"] == "error")
                self.assertTrue(bad["file"].endswith("bad.toml"), bad)
                if mark:
                    self.assertEqual(bad["line"], line_of(text, mark), bad)
                plain = badged.ctl("reload")
                self.assertEqual(plain.returncode, 1)
                self.assertIn("bad.toml:", plain.stderr)
                self.assertIn("bad.toml", json.dumps(self.errors(badged)))
                self.assertEqual(badged.status()["agents"]["good"], 2)
                self.assertEqual(self.served(agent)["badged"]["session"], session)
                self.served(self.agent(TWO, badged))
                # Mended, it all comes into force.
                (badged.agents_dir / "bad.toml").unlink()
                self.assertEqual(badged.ctl("reload").returncode, 0)
                self.assertEqual(self.errors(badged), [])
                self.assertEqual(self.agent(TWO, badged).token()[0], 403)
                self.assertEqual(self.served(agent)["badged"]["session"], session)

    def test_a_bad_badged_toml_keeps_what_is_in_force(self):
        badged = self.start()
        agent = self.agent(ONE, badged)
        before = self.served(agent)
        whole = badged.config_file.read_text()
        for change in ("issuer = \n", "colour = 1\n" + whole, whole + "\n[limits.low]\n",
                       whole + '\n[limits.elevated]\nmax_lifetime = "2h"\n'):
            badged.config_file.write_text(change)
            self.assertEqual(self.hang_up(badged)["result"], "refused")
            done = badged.ctl("reload")
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("badged.toml:", done.stderr)
            self.assertEqual(self.served(agent)["jti"], before["jti"])
        badged.config_file.write_text(whole + '\n[limits.elevated]\nmax_lifetime = "1m"\n'
                                              'default_lifetime = "1m"\n')
        self.assertEqual(badged.ctl("reload").returncode, 0)
        after = self.served(agent)
        self.assertEqual(after["exp"] - after["iat"], 60)

    def test_a_removed_record_denies_at_once_on_a_living_connection(self):
        badged = self.start()
        agent = self.agent(ONE, badged)
        status, answer = agent.token()
        self.assertEqual(status, 200)
        (badged.agents_dir / "one.toml").unlink()
        self.assertEqual(self.hang_up(badged)["result"], "changed")
        self.assertEqual(badged.status()["sessions"], 0)
        self.assertEqual(agent.token()[0], 403)
        self.assertEqual(agent.proof(answer["access_token"])[0], 403)
        self.served(self.agent(TWO, badged))

    def test_a_changed_record_ends_its_sessions_and_no_others(self):
        badged = self.start()
        one, two = self.agent(ONE, badged), self.agent(TWO, badged)
        answer = one.token()[1]
        first, other = claims(answer["access_token"]), self.served(two)
        badged.write_record("one", record("one", match=f"uid = {ONE}", grant='max_lifetime = "1m"'))
        self.assertEqual(badged.ctl("reload").returncode, 0)
        self.assertEqual(badged.status()["sessions"], 1)
        self.assertEqual(one.proof(answer["access_token"])[0], 401)
        again = self.served(one)
        self.assertEqual(again["exp"] - again["iat"], 60)
        self.assertNotEqual(again["cnf"], first["cnf"])
        self.assertEqual(self.served(two)["jti"], other["jti"])
        ended = [l for l in badged.audit() if l["kind"] == "session-end"]
        self.assertEqual([(l["agent"], l["reason"]) for l in ended], [("one", "record-changed")])

    def test_a_new_record_is_served_to_a_connection_that_was_a_strangers(self):
        badged = self.start()
        agent = self.agent(THREE, badged)
        self.assertEqual(agent.token()[0], 403)
        badged.write_record("three", record("three", match=f"uid = {THREE}"))
        self.assertEqual(self.hang_up(badged)["result"], "changed")
        self.served(agent)

    def test_who_reloaded_is_in_the_audit(self):
        badged = self.start()
        self.hang_up(badged)
        badged.ctl("reload")
        first, second = self.reloads(badged)
        self.assertEqual((first["by"], first["result"]), ("SIGHUP", "changed"))
        self.assertEqual((second["uid"], second["result"]), (0, "changed"))
        self.assertIn("login_uid", second)

    def test_a_record_that_others_can_write_is_refused(self):
        badged = self.start()
        (badged.agents_dir / "one.toml").chmod(0o666)
        done = badged.ctl("reload")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("one.toml", done.stderr)
        self.served(self.agent(ONE, badged))

    def test_many_reloads_under_load_lose_no_request(self):
        badged = self.start()
        agent = self.agent(ONE, badged)
        for _ in range(50):
            badged.process.send_signal(signal.SIGHUP)
            self.served(agent)
        self.assertEqual(badged.status()["agents"]["good"], 2)


if __name__ == "__main__":
    unittest.main()
