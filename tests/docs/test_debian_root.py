"""How roots of Debian are kept, and when there is said to be none; without making one."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from documents import ROOT

sys.path.insert(1, str(ROOT / "tests" / "scenarios" / "nspawn"))
import debian_root  # noqa: E402


class Kept(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="kept-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.made = []

    def kept(self, *made_of):
        def make(directory):
            self.made.append(made_of)
            pathlib.Path(directory, "file").write_text(made_of[0])

        path = debian_root.kept(str(self.directory / "root"), list(made_of), make)
        return pathlib.Path(path, "file").read_text()

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_it_is_made_once_and_again_of_other_things(self):
        self.assertEqual([self.kept("a"), self.kept("a"), self.kept("b")], ["a", "a", "b"])
        self.assertEqual(self.made, [("a",), ("b",)])

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_what_is_left_of_one_that_was_being_removed_is_not_taken_for_it(self):
        self.kept("a")
        with mock.patch("shutil.rmtree", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            self.kept("b")
        self.assertEqual(self.kept("a"), "a")
        self.assertEqual(self.made, [("a",), ("b",), ("a",)])


class Mirror(unittest.TestCase):
    def test_one_that_does_not_answer_is_told_from_one_that_lacks_a_file(self):
        for said in ("  Could not connect to 127.0.0.1:1 (127.0.0.1). - connect (111: Connection refused)",
                     "  Could not resolve 'mirror.example'", "  Temporary failure resolving 'mirror.example'",
                     "  Connection timed out [IP: 192.0.2.1 80]", "  Connection failed [IP: 192.0.2.1 80]"):
            with self.subTest(said), self.assertRaisesRegex(unittest.SkipTest, "^no root of Debian: "):
                debian_root.require_mirror("Err:1 bookworm InRelease\n" + said)
        for said in ("  404  File not found [IP: 127.0.0.1 80]", "E: Unable to locate package opensssl",
                     "E: Failed to fetch x.deb  404  Not Found\nE: apt-get update --error-on=any failed"):
            with self.subTest(said):
                debian_root.require_mirror(said)

    def test_one_that_hangs_does_not_answer(self):
        with self.assertRaisesRegex(unittest.SkipTest, "^no root of Debian: it took more than 0 s"):
            with debian_root.mirror_in_time("it"):
                subprocess.run(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, timeout=0)


if __name__ == "__main__":
    unittest.main()
