"""What the documents tell people to type, typed: against a real badged on a TPM simulator.

A block marked `console` is a session: `$ ` is the agent's prompt, `# ` root's, the lines below a command are its
output (… stands for anything), `[exit N]` its exit code where that is not 0. A block marked `sh test` is pasted whole.
Those marked `sh install PART` and `sh test PART` are test_empty_root.py's.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from documents import ROOT, matches, page, pages, steps

sys.path.insert(0, str(ROOT / "tests" / "scenarios"))
import harness  # noqa: E402

UID = 61001
TIME_LIMIT = 120


def readme_record():
    """The record that README shows: the sessions of the other documents have it too."""
    return re.search(r"invoice-bot\.toml\" <<'EOF'\n(.*?)^EOF$", page("README.md").text, re.M | re.S)[1]


class Sessions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0 or shutil.which("swtpm") is None:
            raise unittest.SkipTest("needs root, and swtpm")
        cls.badged = harness.Badged(records={"invoice-bot": readme_record()})
        cls.badged.__enter__()
        cls.addClassCleanup(cls.badged.__exit__)
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="docs-"))
        cls.addClassCleanup(shutil.rmtree, cls.work)
        cls.bin = cls.work / "bin"
        shutil.copytree(harness.BUILD, cls.bin, ignore=lambda _, names: set(names) - {
            "badged", "badgectl", "badge-verifier"})
        for name, mode in (("agent", 0o755), ("root", 0o700)):
            (cls.work / name).mkdir(mode=mode)
        os.chown(cls.work / "agent", UID, UID)
        cls.work.chmod(0o755)
        cls.publish = cls.work / "publish"  # what a web server would serve: state_dir is badged's alone

    def environment(self):
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
                "BADGED_SOCKET": str(self.badged.agent_socket), "BADGED_ADMIN_SOCKET": str(self.badged.admin_socket),
                "PUBLISH": str(self.publish), "STATE": str(self.badged.state_dir),
                "AGENTS": str(self.badged.agents_dir), "CONFIG": str(self.badged.config_file)}

    def type(self, step):
        shutil.copytree(self.badged.state_dir / "publish", self.publish, dirs_exist_ok=True)
        shell = ["bash", "-c", step.command]
        return subprocess.run(shell if step.root else harness.as_uid(UID) + shell, env=self.environment(),
                              cwd=self.work / ("root" if step.root else "agent"), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIME_LIMIT)

    def test_sessions_go_as_the_documents_say(self):
        count = 0
        for document in pages():
            for line, content in document.blocks("console"):
                for step in steps(line, content):
                    with self.subTest(f"{document.name}:{step.line}", command=step.command):
                        done = self.type(step)
                        self.assertEqual(done.returncode, step.exit_code, done.stdout)
                        if step.expected:
                            self.assertTrue(matches(step.expected, done.stdout),
                                            f"expected:\n{step.expected}\ngot:\n{done.stdout}")
                        count += 1
        self.assertGreater(count, 20)

    def test_a_session_that_is_wrong_is_noticed(self):
        good = steps(0, "# badgectl status\nbadged …keystore   tpm, ready…\n")[0]
        self.assertTrue(matches(good.expected, self.type(good).stdout))
        self.assertFalse(matches(good.expected.replace("ready", "gone"), self.type(good).stdout))
        renamed = steps(0, "# badgectl state\n")[0]
        self.assertNotEqual(self.type(renamed).returncode, renamed.exit_code)

    def run_python(self, name, kind, *arguments):
        (_, program), = page(name).blocks(kind)
        return subprocess.run([harness.PYTHON, "-c", program, *map(str, arguments)], capture_output=True, text=True,
                              timeout=TIME_LIMIT)

    def test_the_audit_verifier_of_the_document_agrees(self):
        with self.badged.agent(UID) as agent:
            agent.token()
            agent.token(scope="none.such")
        log = self.badged.state_dir / "audit.jsonl"
        done = self.run_python("docs/protocol.md", "python audit-verify", log)
        self.assertRegex(done.stdout, r"^\d+ lines, head [0-9a-f]{64}\n$", done.stderr)
        lines = log.read_bytes().splitlines(keepends=True)
        broken = {"edited": [lines[0].replace(b"build-7", b"build-8"), *lines[1:]],
                  "dropped or moved": [*lines[:1], *lines[2:]]}
        for word, content in broken.items():
            with self.subTest(word):
                copy = self.work / "copy.jsonl"
                copy.write_bytes(b"".join(content))
                done = self.run_python("docs/protocol.md", "python audit-verify", copy)
                self.assertIn(word, done.stderr)
                self.assertEqual(done.returncode, 1)

    def test_the_check_of_the_keys_accepts_them_and_no_others(self):
        ak = self.work / "ak.pem"
        ak.write_text(self.badged.ctl("identity").stdout)
        jwks = self.badged.state_dir / "publish" / "jwks.json"
        done = self.run_python("docs/protocol.md", "python jwks-check", jwks, ak)
        self.assertEqual(done.stdout, "2 keys, all vouched for by this attestation key\n", done.stderr)
        text = jwks.read_text()
        kids = [key["kid"] for key in self.badged.get("/v1/jwks")["keys"]]
        for name, bad in {"another issuing key": text.replace(kids[1], kids[0]),
                          "another issuer key": text.replace('"x":"', '"x":"A', 1)}.items():
            with self.subTest(name):
                forged = self.work / "forged.json"
                forged.write_text(bad)
                self.assertEqual(self.run_python("docs/protocol.md", "python jwks-check", forged, ak).returncode, 1)


class Pasted(unittest.TestCase):
    @unittest.skipIf(os.geteuid() != 0 or shutil.which("swtpm") is None, "needs root, and swtpm")
    def test_blocks_that_can_be_pasted_run(self):
        blocks = [(document.name, line, content) for document in pages() for line, content in document.blocks("sh test")]
        self.assertGreaterEqual(len(blocks), 1)
        for name, line, content in blocks:
            with self.subTest(f"{name}:{line}"):
                self.assertIn("build/release", content)
                script = "set -euo pipefail\n" + content.replace("build/release", str(harness.BUILD))
                done = subprocess.run(["bash", "-c", script], cwd=ROOT, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIME_LIMIT)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertEqual(done.stdout.count("refused, as it should be"), content.count("refused, as it should be"),
                                 done.stdout)


class Configuration(unittest.TestCase):
    """Files that the documents show are files that the programs take."""

    def check(self, command, text, name):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="docs-"))
        self.addCleanup(shutil.rmtree, directory)
        (directory / "agents.d").mkdir()
        (directory / name).write_text(text)
        return subprocess.run([*map(str, command(directory))], capture_output=True, text=True, timeout=TIME_LIMIT)

    def test_configurations_are_accepted(self):
        for document in pages():
            for line, text in document.blocks("toml config"):
                with self.subTest(f"{document.name}:{line}"):
                    done = self.check(lambda d: [harness.BUILD / "badged", "--check", "--config", d / "badged.toml"],
                                      re.sub(r'agents_dir = "[^"]*"', "", text), "badged.toml")
                    # Only the default agents_dir and another issuer's keys may be missing here.
                    absent = re.compile("agents[.]d|idp-jwks[.]json")
                    complaints = [each for each in done.stderr.splitlines() if "error" in each and not absent.search(each)]
                    self.assertEqual(complaints, [], done.stderr)

    def test_records_are_accepted(self):
        for document in pages():
            for line, text in document.blocks("toml record"):
                with self.subTest(f"{document.name}:{line}"):
                    name = re.search(r'^name = "([^"]+)"', text, re.M)[1]
                    done = self.check(lambda d: [harness.BUILD / "badgectl", "agents", "validate", d / "agents.d"], text,
                                      f"agents.d/{name}.toml")
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
