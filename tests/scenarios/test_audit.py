"""The audit log where the disk, a restart or a caller works against it (H28)."""
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from audit_case import FRESH, LOW, STRANGER, Case, setUpModule  # noqa: E402
from harness import BUILD, Failure, claims, record, wait_for  # noqa: E402


class Restart(Case):
    def test_a_torn_last_line_is_removed_at_start_and_told(self):
        badged = self.start()
        self.assertEqual(self.agent(LOW, badged).token()[0], 200)
        badged.kill()
        lines = len(badged.audit())
        with open(badged.state_dir / "audit.jsonl", "a") as log:
            log.write('{"prev":"00')
        badged.start()
        self.intact(badged)
        self.assertIn("torn", self.findings(badged)[0])
        self.assertTrue(any("torn" in w for w in badged.status()["warnings"]))
        self.assertGreater(len(badged.audit()), lines)

    def test_lines_that_were_synced_but_not_yet_stored_as_head_are_kept(self):
        badged = self.start()
        self.assertEqual(self.agent(LOW, badged).token()[0], 200)
        badged.kill()
        with sqlite3.connect(badged.state_dir / "state.db") as db:
            db.execute("DELETE FROM audit_head")
        db.close()
        before = len(badged.audit())
        badged.start()
        self.assertGreater(len(badged.audit()), before)
        self.assertFalse(list(badged.state_dir.glob("*.damaged-*")))
        self.intact(badged)

    def test_a_cut_log_is_moved_aside_as_evidence_named_and_a_new_chain_begins(self):
        badged = self.start()
        agent = self.agent(LOW, badged)
        for _ in range(5):
            self.assertEqual(agent.token(FRESH)[0], 200)
        badged.stop()
        log = badged.state_dir / "audit.jsonl"
        whole = log.read_text().splitlines(keepends=True)
        log.write_text("".join(whole[:-3]))
        badged.start()
        aside, = badged.state_dir.glob("audit.jsonl.damaged-*")
        self.assertEqual(aside.read_text(), "".join(whole[:-3]))
        self.assertEqual(aside.stat().st_mode & 0o777, 0o600)
        self.assertIn(str(aside), self.findings(badged)[0])
        self.assertIn(str(aside), badged.log())
        self.assertTrue(any(str(aside) in w for w in badged.status()["warnings"]))
        self.assertEqual(badged.audit()[0]["seq"], 1)
        self.intact(badged)

    def test_a_removed_log_is_missed(self):
        badged = self.start()
        badged.stop()
        (badged.state_dir / "audit.jsonl").unlink()
        badged.start()
        self.assertTrue(self.findings(badged))

    def test_a_log_without_its_state_db_is_told(self):
        badged = self.start()
        badged.stop()
        for file in badged.state_dir.glob("state.db*"):
            file.unlink()
        badged.start()
        self.assertTrue(self.findings(badged))
        self.intact(badged)

    def test_a_line_edited_before_the_stored_head_is_found_after_a_start_and_by_doctor(self):
        badged = self.start()

        def check():
            done = badged.ctl("doctor", "--json", "--config", str(badged.config_file))
            return next(c for c in json.loads(done.stdout)["checks"] if c["name"] == "audit-log")
        self.assertEqual(check()["verdict"], "ok", check())
        badged.stop()
        log = badged.state_dir / "audit.jsonl"
        text = log.read_text()
        log.write_text(text.replace('"time":"2', '"time":"1', 1))  # of the same length
        badged.start()
        wait_for(lambda: self.findings(badged), "the finding")
        self.assertEqual(self.findings(badged), ["the audit log was changed: line with seq 1 was edited: its hash does "
                                                 "not match its bytes"])
        self.assertTrue(any("line with seq 1 was edited" in w for w in badged.status()["warnings"]))
        self.assertEqual(check()["verdict"], "bad", check())
        self.assertIn("line with seq 1 was edited", check()["detail"])
        self.assertFalse(list(badged.state_dir.glob("*.damaged-*")))
        self.assertEqual(self.agent(LOW, badged).token()[0], 200)
        badged.stop()
        log.write_text(log.read_text().replace('"time":"1', '"time":"2', 1))
        badged.start()
        self.intact(badged)
        badged.stop()
        self.assertEqual(len(self.findings(badged)), 1)  # of the start before

    def test_a_damaged_state_db_is_named_and_not_replaced(self):
        badged = self.start()
        badged.stop()
        file = badged.state_dir / "state.db"
        for damage in (b"\x00" * 4096, b"SQLite format 3\x00" + b"\xff" * 8192, os.urandom(5000)):
            file.write_bytes(damage)
            for other in ("state.db-wal", "state.db-shm"):
                (badged.state_dir / other).unlink(missing_ok=True)
            code, said = self.fails_to_start(badged)
            self.assertIn(code, (3, 4), said)
            self.assertIn(str(file), said)
            self.assertEqual(file.read_bytes(), damage)

    def test_a_newer_state_db_is_refused(self):
        badged = self.start()
        badged.stop()
        with sqlite3.connect(badged.state_dir / "state.db") as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        code, said = self.fails_to_start(badged)
        self.assertEqual(code, 4)
        self.assertIn("newer badged", said)

    def test_a_second_badged_on_the_same_state_is_refused_and_the_first_serves_on(self):
        badged = self.start()
        config = badged.config_file.read_text()
        second = badged.directory / "second.toml"
        second.write_text(config.replace("/run/", "/run2/"))
        second.chmod(0o644)
        done = subprocess.run([BUILD / "badged", "--config", second], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 4, done)
        self.assertIn("another badged", done.stderr)
        self.assertFalse((badged.directory / "run2").exists())
        self.assertEqual(self.agent(LOW, badged).token(FRESH)[0], 200)
        self.intact(badged)

    def test_the_log_is_no_ones_but_its_owners(self):
        badged = self.start()
        for name, mode in (("audit.jsonl", 0o600), (".", 0o700), ("keys", 0o700)):
            self.assertEqual((badged.state_dir / name).stat().st_mode & 0o777, mode, name)
        badged.stop()
        log = badged.state_dir / "audit.jsonl"
        log.rename(badged.directory / "elsewhere")
        log.symlink_to(badged.directory / "elsewhere")
        code, said = self.fails_to_start(badged)
        self.assertEqual(code, 4, said)
        self.assertIn("audit.jsonl", said)


class SmallDisk(Case):
    """state_dir on a file system of a megabyte."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="badged-disk-"))
        self.directory.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.directory)
        self.state = self.directory / "state"
        self.state.mkdir(0o700)
        if self.mount("-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs").returncode != 0:
            self.skipTest("needs the right to mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.state], check=True)

    def mount(self, *options):
        return subprocess.run(["mount", *options, self.state], stderr=subprocess.DEVNULL)

    def fill(self):
        file = self.state / "filler"
        with contextlib.suppress(OSError), open(file, "ab", buffering=0) as filler:
            for size in (65536, 4096, 512):
                with contextlib.suppress(OSError):
                    while filler.write(b"\0" * size) == size:
                        pass
        return file

    def full(self, badged, agent):
        """Fills the disk until the log's last block is used up too: the first refusal."""
        filler = self.fill()
        answer = wait_for(lambda: (a := agent.token(FRESH))[0] != 200 and a, "the disk to be full")
        return filler, answer

    def test_a_full_disk_stops_issuance_until_there_is_room(self):
        badged = self.start(directory=self.directory)
        agent = self.agent(LOW, badged)
        status, good = agent.token()
        self.assertEqual(status, 200)
        filler, (status, answer) = self.full(badged, agent)
        self.assertEqual((status, answer["error"]), (503, "temporarily_unavailable"), answer)
        lines = len(badged.audit())
        for _ in range(20):
            self.assertEqual(agent.token(FRESH)[0], 503)
        self.assertEqual(len(badged.audit()), lines)
        self.assertNotEqual(badged.status()["audit"]["state"], "ok")
        self.assertEqual(agent.call("GET", "/v1/whoami")[0], 200)
        self.assertEqual(badged.get("/v1/jwks")["keys"][0]["alg"], "ES256")
        filler.unlink()
        status, answer = agent.token(FRESH)
        self.assertEqual(status, 200, answer)
        self.assertEqual(badged.status()["audit"]["state"], "ok")
        verdict = self.intact(badged)
        self.assertEqual(verdict["head"]["seq"], badged.audit()[-1]["seq"])
        self.assertEqual(agent.proof(answer["access_token"])[0], 200)

    def test_on_a_full_disk_a_revocation_is_owed_to_the_log_and_a_reload_changes_nothing(self):
        badged = self.start(directory=self.directory)
        agent = self.agent(LOW, badged)
        jti = claims(agent.token()[1]["access_token"])["jti"]
        filler, _ = self.full(badged, agent)
        # A line of a reload is shorter than a token's, and may have found room still.
        wait_for(lambda: badged.ctl("reload").returncode, "the log to take no line at all")
        before = len([line for line in badged.audit() if line["kind"] == "reload"])
        done = badged.ctl("revoke", "--jti", jti, "--json")
        self.assertEqual(done.returncode, 4, done)
        self.assertIn("in force on this host", done.stdout + done.stderr)
        badged.write_record("two", record("two", match="uid = 61002"))
        done = badged.ctl("reload", "--json")
        self.assertEqual(done.returncode, 4, done)
        self.assertIn("the records in force stay", done.stdout + done.stderr)
        self.assertEqual(badged.status()["agents"]["good"], 1)
        filler.unlink()

        def lines(kind):
            return [line for line in badged.audit() if line["kind"] == kind]
        owed = wait_for(lambda: lines("revocation"), "the line that is owed")
        self.assertEqual([line["name"] for line in owed], [jti])
        done = badged.ctl("reload", "--json")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(badged.status()["agents"]["good"], 2)
        self.assertEqual([line["agents"] for line in lines("reload")[before:]], [2])
        self.assertEqual(len(lines("revocation")), 1)
        self.intact(badged)

    def test_killed_on_a_full_disk_it_starts_by_itself_once_there_is_room(self):
        badged = self.start(directory=self.directory)
        agent = self.agent(LOW, badged)
        filler, _ = self.full(badged, agent)
        badged.kill()
        try:
            badged.start()
        except Failure:
            self.assertEqual(badged.process.returncode, 4)
            self.assertIn(str(self.state), badged.log())
            filler.unlink()
            badged.start()
        filler.unlink(missing_ok=True)
        agent.tell(do="reconnect")
        self.assertEqual(agent.token(FRESH)[0], 200)
        self.intact(badged)

    def test_a_read_only_state_directory_is_named_at_start(self):
        badged = self.start(directory=self.directory)
        badged.stop()
        self.assertEqual(self.mount("-o", "remount,ro").returncode, 0)
        code, said = self.fails_to_start(badged)
        self.assertEqual(code, 4, said)
        self.assertIn(str(self.state), said)
        self.assertEqual(self.mount("-o", "remount,rw").returncode, 0)
        badged.start()
        self.assertEqual(self.agent(LOW, badged).token()[0], 200)
        self.intact(badged)


class Flood(Case):
    def lines_of(self, badged, uid):
        return [l for l in badged.audit() if l.get("uid") == uid]

    def test_a_strangers_flood_writes_few_lines(self):
        badged = self.start()
        stranger = self.agent(STRANGER, badged)
        for _ in range(500):
            self.assertEqual(stranger.token()[0], 403)
        self.assertLessEqual(len(self.lines_of(badged, STRANGER)), 3)
        badged.stop()
        lines = self.lines_of(badged, STRANGER)
        self.assertLessEqual(len(lines), 4)
        self.assertEqual(1 + sum(l.get("count", 0) for l in lines), 500)
        self.intact(badged)

    def test_an_agents_own_many_wrong_requests_write_few_lines(self):
        badged = self.start()
        agent = self.agent(LOW, badged)
        for i in range(300):
            self.assertEqual(agent.token(scope=f"s{i}")[0], 400)
            self.assertEqual(agent.token(audience=f"https://a{i}.example/")[0], 400)
            self.assertEqual(agent.proof(f"x{i}")[0], 401)
        self.assertLessEqual(len(self.lines_of(badged, LOW)), 9)

    def test_what_a_caller_wrote_cannot_break_a_line(self):
        badged = self.start()
        agent = self.agent(LOW, badged)
        for text in ('","kind":"token","x":"', "é‮\u2028", "a\\", "x" * 15000):
            agent.token(scope=text)
            agent.token(audience=text)
        self.intact(badged)
        for line in (badged.state_dir / "audit.jsonl").read_bytes().split(b"\n")[:-1]:
            self.assertLess(len(line), 64 * 1024)


if __name__ == "__main__":
    unittest.main()
