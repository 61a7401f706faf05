"""docs/verifier-guide.md in bare roots of Debian: what it says to install is installed and nothing else, then its
commands are typed. No root has the repository; the one of a part has what that part's block `sh install PART` brings.

A block marked `sh test PART` is typed there, `sh test bare` where nothing was installed. Of a console session, badgectl
is typed on this machine, which has a badged, and all else in the root that checks with badge-verifier.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from documents import ROOT, matches, page, steps

sys.path[1:1] = [str(ROOT / "tests" / "scenarios"), str(ROOT / "tests" / "scenarios" / "nspawn")]
import debian_root  # noqa: E402
import harness  # noqa: E402

KEPT = pathlib.Path(os.environ.get("BADGED_NSPAWN_ROOT", ROOT / "build" / "nspawn-root")).parent
GUIDE = page("docs/verifier-guide.md")
PARTS = ["bare", "host", "badge-verifier", "openssl"]
TIME_LIMIT = 60
REFUSED = "refused, as it should be"

# $1 is the root, $2 what is typed in it, $3 the directory it is typed in, $4 the program copied to /usr/local/bin.
TYPE = '''exec chroot "$1" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
DEBIAN_FRONTEND=noninteractive bash -euo pipefail -c "$2"'''
INSTALL = f'''set -e
mount -t proc proc "$1/proc"
cp -L /etc/resolv.conf "$1/etc/"
{TYPE}'''
ENTER = f'''set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/tmp"
mount -t tmpfs tmpfs "$1/usr/local/bin"
[ -z "$4" ] || install -m 755 "$4" "$1/usr/local/bin/"
mount --bind "$3" "$1/mnt"
set -- "$1" "cd /mnt; $2"
{TYPE}'''


def in_namespaces(script, *arguments, timeout, network=False):
    """sh with mounts and processes of its own, which end with it."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"]),
               "sh", "-c", script, "sh", *map(str, arguments)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=timeout)


def setUpModule():
    try:
        make_roots()
    except unittest.SkipTest as skipped:
        print(f"\nSKIP: {skipped}", flush=True)  # ctest looks for a line that begins so
        raise


def make_roots():
    debian_root.require(os.geteuid() == 0, "needs root")
    done = in_namespaces("mount -t tmpfs tmpfs /mnt && mount -t proc proc /proc", timeout=TIME_LIMIT)
    debian_root.require(done.returncode == 0, "namespaces or mounts are not permitted here: " + done.stdout)
    for part in PARTS:
        root_of(part)


def install(directory, commands):
    subprocess.run(["cp", "-a", "--reflink=auto", root_of("bare") + "/.", directory], check=True)
    with debian_root.mirror_in_time("the guide's line"):
        done = in_namespaces(INSTALL, directory, commands, timeout=debian_root.LIMIT, network=True)
    if done.returncode:
        debian_root.require_mirror(done.stdout)
        raise AssertionError(f"the guide's line does not install:\n{commands}\n{done.stdout}")
    for left in ("var/lib/apt/lists", "var/cache/apt"):
        shutil.rmtree(pathlib.Path(directory, left))


def root_of(part):
    """The root of one part: built by the first who asks, and again when the guide says to install something else."""
    path = str(KEPT / f"guide-root-{part}")
    if part == "bare":
        return debian_root.built(path)
    (_, commands), = GUIDE.blocks(f"sh install {part}")
    return debian_root.kept(path, [debian_root.SUITE, commands], lambda directory: install(directory, commands))


class Root(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="guide-"))
        self.addCleanup(shutil.rmtree, self.work)

    def type(self, part, commands):
        program = harness.BUILD / "badge-verifier" if part == "badge-verifier" else ""
        return in_namespaces(ENTER, root_of(part), commands, self.work, program, timeout=TIME_LIMIT)

    def test_a_root_has_nothing_of_the_other_parts(self):
        absent = {"bare": "openssl swtpm tpm2_quote badge-verifier", "host": "badge-verifier",
                  "badge-verifier": "openssl swtpm tpm2_quote", "openssl": "swtpm badge-verifier"}
        for part, names in absent.items():
            with self.subTest(part):
                self.assertEqual(self.type(part, f"command -v {names} ls || true").stdout, "/usr/bin/ls\n")
        self.assertNotRegex(self.type("badge-verifier", "dpkg-query -W -f '${Package}\\n'").stdout, "tss2|libtpms")

    def test_the_guide_goes_from_nothing_to_a_quote_checked_twice(self):
        self.assertEqual(re.findall(r"^```sh test (\S+)$", GUIDE.text, re.M), PARTS)
        for part in PARTS:
            (line, commands), = GUIDE.blocks(f"sh test {part}")
            done = self.type(part, commands)
            self.assertEqual(done.returncode, 0, f"{GUIDE.name}:{line}: {done.stdout}")
            self.assertEqual(done.stdout.count(REFUSED), commands.count(REFUSED), f"{GUIDE.name}:{line}: {done.stdout}")
            if commands.count(REFUSED):
                self.assertRegex(done.stdout, r"(?m)^good\b")

    def test_a_session_of_the_guide_is_checked_without_badged(self):
        badged = harness.Badged().__enter__()
        self.addCleanup(badged.__exit__)
        environment = {**os.environ, "PATH": f"{harness.BUILD}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
                       "BADGED_SOCKET": str(badged.agent_socket), "BADGED_ADMIN_SOCKET": str(badged.admin_socket)}
        (line, content), = GUIDE.blocks("console")
        checks = 0
        for step in steps(line, content):
            with self.subTest(f"{GUIDE.name}:{step.line}", command=step.command):
                if step.command.startswith("badgectl "):
                    done = subprocess.run(["bash", "-c", step.command], env=environment, cwd=self.work,
                                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                          text=True, timeout=TIME_LIMIT)
                else:
                    done = self.type("badge-verifier", step.command)
                    checks += step.command.startswith("badge-verifier ")
                self.assertEqual(done.returncode, step.exit_code, done.stdout)
                if step.expected:
                    self.assertTrue(matches(step.expected, done.stdout), f"expected:\n{step.expected}\ngot:\n{done.stdout}")
        self.assertEqual(checks, 3)


if __name__ == "__main__":
    unittest.main()
