"""The library as another project uses it: docs/examples, built where there is no TPM software. Arguments: a folder to
build in, that stays, so that the next time is quick."""
import os
import pathlib
import subprocess
import sys
import unittest

FOLDER = sys.argv.pop(1)
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# pkg-config finds nothing: what asked for tss2, SQLite or libsystemd would fail.
WITHOUT_TPM = {**os.environ, "PKG_CONFIG_LIBDIR": "/nonexistent"}


class Outside(unittest.TestCase):
    def run_it(self, *command):
        done = subprocess.run(command, env=WITHOUT_TPM, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_project_of_others_builds_against_the_library_without_tpm_software(self):
        self.run_it("cmake", "-G", "Ninja", "-S", REPOSITORY / "docs/examples", "-B", FOLDER, "-D", f"BADGED_SOURCE={REPOSITORY}")
        self.run_it("cmake", "--build", FOLDER, "--target", "check_evidence", "badge-verifier")
        done = subprocess.run([FOLDER + "/check_evidence"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (2, "usage: check_evidence AK-FILE CHALLENGE AUDIENCE\n"))
        verifier, = pathlib.Path(FOLDER).rglob("badge-verifier")
        self.assertEqual(subprocess.run([verifier, "--version"], capture_output=True, check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
