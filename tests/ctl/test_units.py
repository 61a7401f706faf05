"""The shipped systemd files: they verify, they are tight, and they say what badged relies on."""

import configparser
import os
import shutil
import stat
import subprocess
import tempfile
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SYSTEMD = os.path.join(REPOSITORY, "systemd")
UNITS = ("badged.service", "badged.socket", "badged-admin.socket")
INSTALLED_UNITS = "/usr/lib/systemd/system" if os.path.isdir("/usr/lib/systemd/system") else "/lib/systemd/system"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def section(unit, name):
    parser = configparser.RawConfigParser(strict=False, interpolation=None, delimiters="=")
    parser.optionxform = str
    with open(os.path.join(SYSTEMD, unit)) as file:
        parser.read_file(file)
    return parser[name]


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
class Units(unittest.TestCase):
    def root(self):
        """A root directory with this host's units, ours, and the programs that ours name."""
        root = tempfile.mkdtemp(prefix="units-")
        self.addCleanup(shutil.rmtree, root)
        units = root + "/usr/lib/systemd/system"
        shutil.copytree(INSTALLED_UNITS, units, symlinks=True, ignore_dangling_symlinks=True)
        for unit in UNITS:
            shutil.copy(os.path.join(SYSTEMD, unit), units)
        for program in ("/usr/bin/badged", "/bin/sh"):
            os.makedirs(root + os.path.dirname(program), exist_ok=True)
            shutil.copy("/bin/true", root + program)
        return root

    def test_units_verify_without_a_word(self):
        result = run("systemd-analyze", "verify", "--root=" + self.root(), *UNITS)
        ours = [line for line in (result.stdout + result.stderr).splitlines() if "badged" in line]
        self.assertEqual((result.returncode, ours), (0, []), result.stderr)

    def test_a_mistake_in_a_unit_is_found(self):
        root = self.root()
        with open(root + "/usr/lib/systemd/system/badged.service", "a") as file:
            file.write("\n[Service]\nProtectSystm=strict\n")
        result = run("systemd-analyze", "verify", "--root=" + root, "badged.service")
        self.assertIn("ProtectSystm", result.stdout + result.stderr)

    def exposure(self, text=""):
        with tempfile.TemporaryDirectory() as directory:
            with open(directory + "/badged.service", "w") as copy:
                with open(os.path.join(SYSTEMD, "badged.service")) as file:
                    copy.write(file.read() + text)
            return run("systemd-analyze", "security", "--offline=true", "--threshold=13", "--no-pager",
                       directory + "/badged.service")

    def test_exposure_is_at_most_1_3(self):
        result = self.exposure()
        self.assertEqual(result.returncode, 0, result.stdout[-400:])

    def test_a_looser_unit_is_noticed(self):
        self.assertNotEqual(self.exposure("\n[Service]\nRestrictAddressFamilies=AF_INET\nPrivateNetwork=no\n")
                            .returncode, 0)

    def test_the_documented_drop_in_for_unreadable_executables_stays_within(self):
        result = self.exposure("\n[Service]\nCapabilityBoundingSet=CAP_DAC_READ_SEARCH\n"
                               "AmbientCapabilities=CAP_DAC_READ_SEARCH\n")
        overall = result.stdout.strip().splitlines()[-1]
        self.assertLessEqual(float(overall.split(":")[1].split()[0]), 1.4, overall)


class Contents(unittest.TestCase):
    def test_sockets_are_named_and_guarded(self):
        agent, admin = section("badged.socket", "Socket"), section("badged-admin.socket", "Socket")
        self.assertEqual((agent["ListenStream"], agent["FileDescriptorName"], agent["SocketMode"]),
                         ("/run/badged/agent.sock", "agent", "0666"))
        self.assertEqual((admin["ListenStream"], admin["FileDescriptorName"], admin["SocketMode"],
                          admin["SocketGroup"], admin["DirectoryMode"]),
                         ("/run/badged/admin/admin.sock", "admin", "0660", "badged-admin", "0750"))
        self.assertEqual((agent["Service"], admin["Service"]), ("badged.service",) * 2)

    def test_stopping_the_service_leaves_the_sockets(self):
        self.assertNotIn("RuntimeDirectory", section("badged.service", "Service"))

    def test_keys_stay_out_of_core_files_and_swap(self):
        service = section("badged.service", "Service")
        self.assertEqual((service["LimitCORE"], service["StateDirectoryMode"]), ("0", "0700"))
        self.assertIn("LimitMEMLOCK", service)

    def test_only_the_explained_capability_is_granted(self):
        service = section("badged.service", "Service")
        self.assertEqual((service["CapabilityBoundingSet"], service["AmbientCapabilities"]),
                         ("CAP_SYS_PTRACE",) * 2)

    @unittest.skipUnless(shutil.which("systemd-sysusers") and os.geteuid() == 0, "needs systemd-sysusers and root")
    def test_users_and_directories_are_made_as_the_units_expect(self):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(root + "/etc")
            for name in ("passwd", "group"):
                open(root + "/etc/" + name, "w").close()
            made = run("systemd-sysusers", "--root=" + root, os.path.join(SYSTEMD, "badged.sysusers"))
            self.assertEqual(made.returncode, 0, made.stderr)
            with open(root + "/etc/group") as file:
                groups = {line.split(":")[0]: line.strip().split(":") for line in file}
            self.assertIn("badged-admin", groups)
            self.assertEqual(groups["tss"][3], "badged")
            made = run("systemd-tmpfiles", "--root=" + root, "--create", os.path.join(SYSTEMD, "badged.tmpfiles"))
            self.assertEqual(made.returncode, 0, made.stderr)
            admin = os.stat(root + "/run/badged/admin")
            self.assertEqual((stat.S_IMODE(admin.st_mode), admin.st_uid, str(admin.st_gid)),
                             (0o750, 0, groups["badged-admin"][2]))
            records = os.stat(root + "/etc/badged/agents.d")
            self.assertEqual((stat.S_IMODE(records.st_mode), records.st_uid, str(records.st_gid)),
                             (0o750, 0, groups["badged"][2]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
