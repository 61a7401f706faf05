"""The story before a daemon that does not look at a message's sender: it must not end well."""
import os
import unittest

from running import Run, story


class WithoutPeerCheck(Run):
    def test_names_the_theft_that_was_not_refused(self):
        done = story("--once", program=os.environ["BADGED_WITHOUT_PEER_CHECK"])
        self.assertEqual(done.returncode, 1, done.stdout)
        wrong = [line for line in done.stdout.splitlines() if line.startswith("NOT AS IT MUST BE")]
        step = next(line.split(".")[0].strip() for line in done.stdout.splitlines() if "own forked child" in line)
        self.assertEqual(wrong, [f"NOT AS IT MUST BE, step {step}: expected 401, got 200"])
        self.assert_nothing_left(done.stdout)


if __name__ == "__main__":
    unittest.main()
