"""The audit log: what was done to it afterwards is found, and what the disk does to it is survived
(H28)."""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, Badged, Failure, record, wait_for  # noqa: E402

LOW, STRANGER = 61001, 61009
RECORDS = {"low": record("low", match=f"uid = {LOW}")}
FRESH = {"Cache-Control": "no-cache"}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def verify(file, *options, stdin=""):
    """`badgectl audit verify` without a daemon: (exit code, its JSON)."""
    done = subprocess.run([BUILD / "badgectl", "audit", "verify", "--json", *options, file],
                          input=stdin, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def ten_lines(path):
    """The verifier of docs/protocol.md: number of lines, or the first bad one's place."""
    prev, seq = "0" * 64, 0
    for line in pathlib.Path(path).read_bytes().split(b"\n")[:-1]:
        body, _, end = line.rpartition(b',"hash":"')
        digest = hashlib.sha256(body).hexdigest()
        fields, seq = json.loads(line), seq + 1
        if end != digest.encode() + b'"}' or fields["prev"] != prev or fields["seq"] != seq:
            return ("bad", seq)
        prev = digest
    return ("good", seq)


def rechained(lines):
    """The same entries with every prev, seq and hash made anew, as a forger would."""
    prev, out = "0" * 64, []
    for seq, line in enumerate(lines, 1):
        body = line.rpartition(',"hash":"')[0].partition(',"time":')[2]
        body = f'{{"prev":"{prev}","seq":{seq},"time":{body}'
        prev = hashlib.sha256(body.encode()).hexdigest()
        out.append(f'{body},"hash":"{prev}"}}')
    return out


class Tampered(unittest.TestCase):
    """One log with signed heads, copied for each kind of damage."""

    @classmethod
    def setUpClass(cls):
        cls.badged = Badged(records=RECORDS).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)
        with cls.badged.agent(LOW) as agent:
            for _ in range(20):
                assert agent.token(FRESH)[0] == 200
        cls.badged.stop()  # signs the head

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="badged-audit-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.live = self.directory / "state" / "audit.jsonl"
        shutil.copytree(self.badged.state_dir, self.live.parent)
        self.archived = self.directory / "archive.jsonl"
        self.lines = self.live.read_text().splitlines()
        self.jwks = ("--jwks", str(self.live.parent / "publish" / "jwks.json"))

    def write(self, lines):
        text = "".join(line + "\n" for line in lines)
        self.live.write_text(text)
        self.archived.write_text(text)

    def found(self, where, why=""):
        """Live and archived, both say 1; the ten lines agree."""
        for file, options in ((self.live, ()), (self.archived, self.jwks)):
            code, verdict = verify(file, *options)
            self.assertEqual((code, verdict["intact"]), (1, False), verdict)
            self.assertIn(why, verdict["problem"])
            self.assertIn(str(where), verdict["problem"])

    def test_the_untouched_log_is_intact_with_a_signed_head(self):
        code, verdict = verify(self.live)
        self.assertEqual(code, 0, verdict)
        self.assertEqual(verdict["lines"], len(self.lines))
        self.assertGreaterEqual(verdict["checkpoints"], 1)
        self.assertEqual(verdict["not_checked"], [])
        self.assertEqual(ten_lines(self.live), ("good", len(self.lines)))

    def test_an_edited_line_is_found(self):
        at = next(i for i, line in enumerate(self.lines) if '"kind":"token"' in line)
        for old, new in (("invoices.read", "invoices.wipe"), ('"uid":61001', '"uid":61002'),
                         ('"kind":"token"', '"kind":"denial"'), ('"time":"2', '"time":"1')):
            with self.subTest(new):
                edited = list(self.lines)
                edited[at] = edited[at].replace(old, new, 1)
                self.assertNotEqual(edited[at], self.lines[at])
                self.write(edited)
                self.found(at + 1)
                self.assertEqual(ten_lines(self.live), ("bad", at + 1))

    def test_a_dropped_line_is_found(self):
        self.write(self.lines[:5] + self.lines[6:])
        self.found(6)
        self.assertEqual(ten_lines(self.live), ("bad", 6))

    def test_reordered_lines_are_found(self):
        self.lines[5], self.lines[6] = self.lines[6], self.lines[5]
        self.write(self.lines)
        self.found(6)
        self.assertEqual(ten_lines(self.live), ("bad", 6))

    def test_an_inserted_or_doubled_line_is_found(self):
        self.write(self.lines[:6] + [self.lines[5]] + self.lines[6:])
        self.found(6)

    def test_a_missing_beginning_is_found(self):
        self.write(self.lines[3:])
        self.found("")
        self.assertEqual(ten_lines(self.live), ("bad", 1))

    def test_a_cut_tail_is_found_in_the_live_file_and_named_of_an_archived_copy(self):
        for cut in (1, 3, len(self.lines)):
            with self.subTest(cut=cut):
                self.write(self.lines[:-cut])
                code, verdict = verify(self.live)
                self.assertEqual(code, 1, verdict)
                self.assertIn("tail", verdict["problem"])
                code, verdict = verify(self.archived, *self.jwks)
                self.assertEqual(code, 0, verdict)
                self.assertIn("tail", verdict["not_checked"])

    def test_a_line_cut_in_two_is_found(self):
        text = self.live.read_text()[:-30]
        self.live.write_text(text)
        self.archived.write_text(text)
        self.assertEqual(verify(self.live)[0], 1)
        self.assertEqual(verify(self.archived)[0], 1)

    def test_a_chain_rewritten_with_right_hashes_is_found_by_the_stored_head_and_the_signed_one(self):
        at = next(i for i, line in enumerate(self.lines) if '"kind":"token"' in line)
        self.lines[at] = self.lines[at].replace("invoices.read", "invoices.wipe")
        forged = rechained(self.lines)
        self.write(forged)
        self.assertEqual(ten_lines(self.live), ("good", len(forged)))  # hashes alone cannot know
        code, verdict = verify(self.live)
        self.assertEqual(code, 1, verdict)
        code, verdict = verify(self.archived, *self.jwks)
        self.assertEqual(code, 1, verdict)
        code, verdict = verify(self.archived)  # without keys it says what it did not check
        self.assertIn("checkpoint signatures", verdict["not_checked"])

    def test_a_forged_checkpoint_is_found(self):
        at = next(i for i, line in enumerate(self.lines) if '"kind":"checkpoint"' in line)
        signature = json.loads(self.lines[at])["jws"][-20:]
        self.lines[at] = self.lines[at].replace(signature, "A" * 20)
        self.write(rechained(self.lines))
        code, verdict = verify(self.archived, *self.jwks)
        self.assertEqual(code, 1, verdict)

    def test_a_rewritten_chain_is_not_continued_at_the_next_start(self):
        at = next(i for i, line in enumerate(self.lines) if '"kind":"token"' in line)
        del self.lines[at]
        self.write(rechained(self.lines))
        shutil.rmtree(self.live.parent / "keys")  # of a TPM that is not this test's matter
        with Badged(store="software", records=RECORDS, directory=self.directory) as badged:
            self.assertTrue(list(badged.state_dir.glob("audit.jsonl.damaged-*")))

    def test_an_absent_file_is_4_a_directory_3_and_a_foreign_one_is_no_log(self):
        self.archived.write_bytes(b"\x00\xff" * 1000)
        self.assertIn(verify(self.archived)[0], (1, 3))
        code, answer = verify(self.directory / "absent")
        self.assertEqual((code, answer["error"]), (4, "unreachable"), answer)
        self.assertIn("absent: No such file", answer["error_description"])
        code, answer = verify(self.directory)
        self.assertEqual((code, answer["error"]), (3, "malformed"), answer)
        self.assertIn("it is no regular file", answer["error_description"])

    def test_a_dash_is_standard_input(self):
        text = self.live.read_text()
        code, verdict = verify("-", stdin=text)
        self.assertEqual((code, verdict["lines"]), (0, len(self.lines)), verdict)
        self.assertEqual(verdict["not_checked"], ["tail", "checkpoint signatures"])
        code, verdict = verify("-", *self.jwks, stdin=text)
        self.assertEqual((code, verdict["not_checked"]), (0, ["tail"]), verdict)
        code, verdict = verify("-", stdin=text.partition("\n")[2])
        self.assertEqual(code, 1, verdict)


class Case(unittest.TestCase):
    def start(self, **kwargs):
        badged = Badged(store="software", records=RECORDS, **kwargs).__enter__()
        self.addCleanup(badged.__exit__)
        return badged

    def agent(self, badged, uid=LOW):
        made = badged.agent(uid)
        self.addCleanup(made.end)
        return made

    def findings(self, badged):
        return [l["detail"] for l in badged.audit() if l.get("reason") == "audit-log"]

    def intact(self, badged):
        code, verdict = verify(badged.state_dir / "audit.jsonl")
        self.assertEqual(code, 0, verdict)
        self.assertEqual(ten_lines(badged.state_dir / "audit.jsonl")[0], "good")
        return verdict

    def fails_to_start(self, badged):
        """(exit code, what it said)."""
        before = len(badged.log())
        try:
            badged.start()
        except Failure:
            return badged.process.returncode, badged.log()[before:]
        self.fail("badged started")


class Restart(Case):
    def test_a_torn_last_line_is_removed_at_start_and_told(self):
        badged = self.start()
        self.assertEqual(self.agent(badged).token()[0], 200)
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
        self.assertEqual(self.agent(badged).token()[0], 200)
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
        agent = self.agent(badged)
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
        self.assertEqual(self.agent(badged).token(FRESH)[0], 200)
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
        agent = self.agent(badged)
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

    def test_killed_on_a_full_disk_it_starts_by_itself_once_there_is_room(self):
        badged = self.start(directory=self.directory)
        agent = self.agent(badged)
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
        self.assertEqual(self.agent(badged).token()[0], 200)
        self.intact(badged)


class Flood(Case):
    def lines_of(self, badged, uid):
        return [l for l in badged.audit() if l.get("uid") == uid]

    def test_a_strangers_flood_writes_few_lines(self):
        badged = self.start()
        stranger = self.agent(badged, STRANGER)
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
        agent = self.agent(badged)
        for i in range(300):
            self.assertEqual(agent.token(scope=f"s{i}")[0], 400)
            self.assertEqual(agent.token(audience=f"https://a{i}.example/")[0], 400)
            self.assertEqual(agent.proof(f"x{i}")[0], 401)
        self.assertLessEqual(len(self.lines_of(badged, LOW)), 9)

    def test_what_a_caller_wrote_cannot_break_a_line(self):
        badged = self.start()
        agent = self.agent(badged)
        for text in ('","kind":"token","x":"', "é‮\u2028", "a\\", "x" * 15000):
            agent.token(scope=text)
            agent.token(audience=text)
        self.intact(badged)
        for line in (badged.state_dir / "audit.jsonl").read_bytes().split(b"\n")[:-1]:
            self.assertLess(len(line), 64 * 1024)


if __name__ == "__main__":
    unittest.main()
