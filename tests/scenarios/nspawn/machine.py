"""A whole Debian system with systemd as PID 1, booted in a container in about a second.

    outcome = machine.run("echo hello; systemctl is-system-running || true")
    outcome.code, outcome.output, outcome.journal

The root is built once (mmdebstrap, the host's own package sources) and kept in build/nspawn-root;
every boot has a throw-away overlay over it. Needs root and the packages systemd-container and
mmdebstrap; raises unittest.SkipTest with the reason where a container cannot be started. Not
enforced in there: cgroup limits and IPAddressDeny.
"""

import dataclasses
import functools
import os
import shutil
import subprocess
import tempfile

import debian_root
from debian_root import text

_require = functools.partial(debian_root.require, lacking="no systemd container")
PACKAGES = ["systemd-sysv", "dbus", "python3-minimal", "libpython3-stdlib", "libssl3", "openssl",
            "libtss2-esys-3.0.2-0", "libtss2-mu0", "libtss2-rc0", "libtss2-tctildr0",
            "libtss2-tcti-device0", "libtss2-tcti-swtpm0", "libmimalloc2.0", "libsqlite3-0", "libsystemd0",
            "curl", "libpam-systemd", "passwd"]
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
ROOT = os.environ.get("BADGED_NSPAWN_ROOT", os.path.join(REPOSITORY, "build", "nspawn-root"))

SCENARIO_UNIT = """[Unit]
Description=the scenario under test
Requires=basic.target dbus.service
After=basic.target dbus.service
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/bin/sh /scenario/.run
StandardOutput=file:/scenario/.output
StandardError=file:/scenario/.output
"""
RUN = """/bin/sh /scenario/.script
code=$?
journalctl --no-pager -o short-monotonic > /scenario/.journal 2>&1
exit $code
"""


@dataclasses.dataclass
class Outcome:
    code: int
    output: str   # what the script printed, both streams
    journal: str  # of the whole system
    console: str  # of systemd-nspawn itself and PID 1


def root():
    """The path of the built root; builds it when it is not there or its packages changed."""
    _require(shutil.which("systemd-nspawn"), "systemd-nspawn (systemd-container) is not installed")
    return debian_root.built(ROOT, PACKAGES)


def libraries(program):
    """{host path: guest path} of shared libraries of `program` that the root does not have
    (sanitizers' runtimes, mostly)."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    paths = [word for line in listed.splitlines() for word in line.split() if word.startswith("/")]
    return {path: path for path in paths if not os.path.exists(root() + os.path.realpath(path))
            and not os.path.exists(root() + path)}


def run(script, *, units=None, files=None, binds=None, writable=None, timeout=120):
    """Boots, runs `script` (sh) as root in a unit of its own, and powers off.

    units: {"x.service": text}, in /etc/systemd/system of the guest, not started by themselves
    files: {"name": text}, as /scenario/name
    binds: {host path: guest path}, read-only; writable: the same, writable
    """
    share = tempfile.mkdtemp(prefix="scenario-")
    try:
        return _boot(share, script, units or {}, files or {}, binds or {}, writable or {}, timeout)
    finally:
        shutil.rmtree(share, ignore_errors=True)


def _write(folder, files):
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o755 if text.startswith("#!") else 0o644)


def _boot(share, script, units, files, binds, writable, timeout):
    guest, unit_folder = os.path.join(share, "scenario"), os.path.join(share, "units")
    os.makedirs(guest)
    os.makedirs(unit_folder)
    os.chmod(share, 0o755)
    _write(guest, {**files, ".run": RUN, ".script": script})
    _write(unit_folder, {**units, "scenario.service": SCENARIO_UNIT})
    command = ["systemd-nspawn", "--quiet", "--capability=CAP_IPC_LOCK", "--register=no", "--keep-unit", "-D", root(),
               "--volatile=overlay", "--private-network", f"--machine=scenario-{os.getpid()}",
               "--console=pipe", "--bind", f"{guest}:/scenario",
               "--bind-ro", f"{unit_folder}:/etc/systemd/system"]
    for option, pairs in (("--bind-ro", binds), ("--bind", writable)):
        for host, inside in pairs.items():
            command += [option, f"{host}:{inside}"]
    command += ["--boot", "--", "systemd.unit=scenario.service", "systemd.journald.forward_to_console=0"]
    # nspawn keeps locks below /run/systemd and wants a tmpfs there: one of its own.
    inner = 'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd && exec "$@"'
    process = subprocess.Popen(["unshare", "-m", "sh", "-c", inner, "sh", *command],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        console, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        console, _ = process.communicate()
        console += "\n(killed: the scenario did not end in time)"
    if not os.path.exists(os.path.join(guest, ".output")):
        _require(process.returncode == 0 or "killed" in console, f"it does not boot here: {console[-500:]}")
    return Outcome(process.returncode, text(os.path.join(guest, ".output")),
                   text(os.path.join(guest, ".journal")), console)
