"""scripts/run as a person would start it, and what it leaves behind."""
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["BADGED_BUILD"])
DEADLINE = 300  # seconds; it takes five, after a build


def story(*arguments, program=BUILD / "badged"):
    return subprocess.run([ROOT / "scripts" / "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True, timeout=DEADLINE,
                          env={**os.environ, "BADGED_PROGRAM": str(program)})


def place(output):
    """The directory of this run."""
    return pathlib.Path(re.search(r"records of (\S+)/agents.d", output).group(1))


def processes_of(directory):
    """Command lines of living processes that name the directory."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(directory) in line:
                found.append(line)
    return found


@unittest.skipUnless(os.geteuid() == 0, "needs root: agents and thieves are processes of other users")
class Run(unittest.TestCase):
    def assert_nothing_left(self, output):
        self.assertFalse(place(output).exists())
        self.assertFalse(pathlib.Path("/run", place(output).name).exists())
        self.assertEqual(processes_of(place(output)), [])
