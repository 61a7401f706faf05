"""`badgectl audit verify`: what was done to the log afterwards is found (H28)."""
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from audit_case import FRESH, LOW, RECORDS, setUpModule, ten_lines, verify  # noqa: E402
from harness import Badged  # noqa: E402


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


if __name__ == "__main__":
    unittest.main()
