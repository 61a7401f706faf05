"""The whole main job on real processes, as scripts/run tells it."""
import os
import pathlib
import subprocess
import unittest

from running import BUILD, DEADLINE, ROOT, Run, place, processes_of, story


class Once(Run):
    def test_tells_the_story_to_its_good_end_twice_in_a_row(self):
        for _ in range(2):
            done = story("--once")
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("All as expected.", done.stdout)
            self.assertNotIn("\033", done.stdout)  # colours are for terminals
            self.assert_nothing_left(done.stdout)

    def test_ends_what_it_started_when_it_is_ended(self):
        process = subprocess.Popen([ROOT / "scripts" / "run", "--once"], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True,
                                   env={**os.environ, "BADGED_PROGRAM": str(BUILD / "badged")})
        output = ""
        while " 2. " not in output:  # agents and badged run by now
            line = process.stdout.readline()
            self.assertTrue(line, output)
            output += line
        self.assertNotEqual(processes_of(place(output)), [])
        process.terminate()
        process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 143)
        self.assert_nothing_left(output)

    def test_a_daemon_that_does_not_start_is_named(self):
        done = story("--once", program="/bin/false")
        self.assertEqual(done.returncode, 4, done.stdout)
        self.assertIn("badged ended", done.stdout)
        self.assert_nothing_left(done.stdout)

    def test_wrong_usage_is_2_and_help_names_what_tests_set(self):
        self.assertEqual(story("--twice").returncode, 2)
        said = story("--help")
        self.assertEqual(said.returncode, 0)
        self.assertIn("BADGED_PROGRAM", said.stdout)


@unittest.skipIf(pathlib.Path("/run/badged-demo").exists(), "somebody tries badged: /run/badged-demo is in use")
class Stay(Run):
    def test_leaves_badged_to_be_tried_as_it_says_and_ends_it_when_told(self):
        self.addCleanup(story, "--stop")
        self.assertEqual(story().returncode, 0)
        again = story()  # ends the first one, and starts from its state
        self.assertEqual(again.returncode, 0, again.stdout)
        lines = [line.strip() for line in again.stdout.splitlines() if line.startswith("  ")]
        start = next(i for i, line in enumerate(lines) if line.startswith("export BADGED_SOCKET="))
        commands = [line for line in lines[start:] if line != "scripts/run --stop"]
        self.assertGreaterEqual(len(commands), 6)
        done = subprocess.run(["bash", "-e", "-c", "\n".join(commands)], cwd=ROOT, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("the resource answers 200", done.stdout)
        self.assertIn("unauthorized_client", done.stdout)
        self.assertEqual(story("--stop").returncode, 0)
        self.assertEqual(processes_of(place(again.stdout)), [])
        self.assertFalse(pathlib.Path("/run/badged-demo").exists())


if __name__ == "__main__":
    unittest.main()
