"""The main job as real units: the shipped badged.service, its sockets and its sandbox, in a container
with systemd as PID 1, and agents that are units with users of their own. main_job.py runs in there.

BADGED_BUILD names the build directory (ctest sets it).
"""
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
INSIDE = "/badged"  # the repository; harness.py counts the folders above itself
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "nspawn")]
import harness  # noqa: E402
import machine  # noqa: E402

SYSTEMD = harness.ROOT / "systemd"
PROGRAMS = ("badged", "badgectl", "badge-verifier")

# Shorter than shipped, so that the test of a hung daemon does not take most of a minute.
SHORT_WATCHDOG = "[Service]\nWatchdogSec=5\nTimeoutAbortSec=2\n"
# RUNTIME_DIRECTORY carries the control socket; the rest is how a careful admin would run an agent.
AGENT = """[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/bin/python3 -B /badged/tests/scenarios/units/agent_unit.py
Environment=PYTHONPATH=/badged/tests/scenarios
DynamicUser=yes
User={user}
RuntimeDirectory={name}
PrivateDevices=yes
ProtectHome=yes
ProtectProc=invisible
ProtectKernelTunables=yes
"""
SCRIPT = """
set -eu
systemd-sysusers badged.conf
systemd-tmpfiles --create badged.conf
install -o root -g badged -m 0640 /scenario/badged.toml /etc/badged/badged.toml
for record in /scenario/agents.d/*.toml; do
  install -o root -g badged -m 0640 "$record" /etc/badged/agents.d/
done
cd /
PYTHONPATH=/badged/tests/scenarios:/badged/tests/scenarios/units exec python3 -B -m unittest -v main_job
"""


def unit_record(name, **fields):
    return harness.record(name, match=f'unit = "{name}.service"\nexecutable = "/usr/bin/python3.11"', **fields)


class UnitsMainJob(unittest.TestCase):
    def tpm(self):
        """A TPM simulator that the container's badged may use: (its directory, its socket's name)."""
        directory = pathlib.Path(tempfile.mkdtemp(prefix="badged-units-"))
        self.addCleanup(shutil.rmtree, directory)
        tpm = harness.SimulatedTpm(directory / "tpm").start()
        self.addCleanup(tpm.stop)
        socket = pathlib.Path(tpm.tcti.removeprefix("swtpm:path="))
        for path, mode in ((directory, 0o755), (socket.parent, 0o755), (socket, 0o666),
                           (socket.with_name(socket.name + ".ctrl"), 0o666)):
            path.chmod(mode)
        return socket.parent, socket.name

    @staticmethod
    def units():
        units = {name: (SYSTEMD / name).read_text() for name in ("badged.service", "badged.socket", "badged-admin.socket")}
        units["badged.service.d/short-watchdog.conf"] = SHORT_WATCHDOG
        for name in ("invoice-bot", "helper-bot", "admin-bot"):
            units[name + ".service"] = AGENT.format(name=name, user=name)
        units["thief.service"] = AGENT.format(name="thief", user="invoice-bot")
        return units

    @staticmethod
    def files(tpm_socket):
        return {"badged.toml": f'issuer = "{harness.ISSUER}"\ntrust_domain = "example.org"\nhost = "build-7"\n'
                               f'[keystore]\nkind = "tpm"\ntcti = "swtpm:path=/tpm/{tpm_socket}"\n',
                "agents.d/invoice-bot.toml": unit_record("invoice-bot"),
                "agents.d/helper-bot.toml": unit_record("helper-bot", binding="unit"),
                "agents.d/admin-bot.toml": unit_record("admin-bot", autonomy="high", access="infrastructure")}

    @staticmethod
    def binds():
        binds = {str(harness.ROOT): INSIDE}
        for name in PROGRAMS:
            binds[str(harness.BUILD / name)] = "/usr/bin/" + name
            binds[str(harness.BUILD) + "/./" + name] = f"{INSIDE}/build/release/{name}"
            binds.update(machine.libraries(str(harness.BUILD / name)))
        for name in ("sysusers", "tmpfiles"):
            binds[str(SYSTEMD / f"badged.{name}")] = f"/usr/lib/{name}.d/badged.conf"
        return binds

    def test_the_main_job_as_units(self):
        machine.root()  # skips where no container can be started
        directory, socket = self.tpm()
        outcome = machine.run(SCRIPT, units=self.units(), files=self.files(socket), binds=self.binds(),
                              writable={str(directory): "/tpm"}, timeout=400)
        self.assert_ended_well(outcome)

    def test_the_story_of_scripts_run_with_agents_as_transient_units(self):
        machine.root()
        directory, socket = self.tpm()
        # The container has no package sources, no compiler and no swtpm: what those would give is there.
        given = {"dependencies": "", "build": "", "simulated-tpm": f'[ "$1" = --stop ] || echo swtpm:path=/tpm/{socket}'}
        binds = {**self.binds(), "/usr/lib/python3/dist-packages": "/usr/lib/python3/dist-packages"}
        for name, line in given.items():
            stub = directory / name
            stub.write_text(f"#!/bin/sh\n{line}\n")
            stub.chmod(0o755)
            binds[str(stub)] = f"{INSIDE}/scripts/{name}"
        outcome = machine.run(f"BADGED_PROGRAM=/usr/bin/badged exec {INSIDE}/scripts/run --once", binds=binds,
                              writable={str(directory): "/tpm"}, timeout=200)
        self.assert_ended_well(outcome)
        self.assertIn("(unit invoice-bot.service, uid ", outcome.output)
        self.assertIn("All as expected.", outcome.output)

    def assert_ended_well(self, outcome):
        print(outcome.output)
        ours = [line for line in outcome.journal.splitlines() if "badged" in line and "bus" not in line]
        self.assertEqual(outcome.code, 0, outcome.output + "\n".join(ours[-60:]) + outcome.console[-2000:])


if __name__ == "__main__":
    unittest.main()
