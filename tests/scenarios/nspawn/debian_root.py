"""Roots of Debian: directories made from the host's own package sources, kept, and made again when what they are made
of changed. Raises unittest.SkipTest with the reason where none can be made.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import unittest

SUITE = "bookworm"
# deb822 or one-line files, as mmdebstrap takes them; absent ones are left out.
SOURCES = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]
# What apt and mmdebstrap (which says little of why) print when nothing answers; a wrong package's name is another thing.
NO_MIRROR = re.compile("apt-get update .*failed|Failed to fetch|Temporary failure resolving")


def require(condition, word):
    if not condition:
        raise unittest.SkipTest("no root of Debian: " + word)


def require_mirror(said):
    require(not NO_MIRROR.search(said), "Debian's mirror is out of reach: " + said[-300:])


def _text(path):
    """The file's text; empty when there is no such file."""
    if not os.path.exists(path):
        return ""
    with open(path, errors="replace") as file:
        return file.read()


def kept(path, made_of, make):
    """`path`, where make(directory) was once called for exactly this list of words."""
    require(os.geteuid() == 0, "needs root")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    wanted = hashlib.sha256(" ".join(made_of).encode()).hexdigest()
    stamp = path + ".stamp"
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(path) and _text(stamp) == wanted:
            return path
        temporary = tempfile.mkdtemp(prefix="debian-", dir=os.path.dirname(path))
        try:
            make(temporary)
            shutil.rmtree(path, ignore_errors=True)
            os.rename(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        with open(stamp, "w") as file:
            file.write(wanted)
    return path


def _bootstrap(directory, packages):
    require(shutil.which("mmdebstrap"), "mmdebstrap is not installed")
    # A mirror that knows the suite is enough; sources for other suites and vendors are not used.
    sources = [path for path in SOURCES if SUITE in _text(path)][:1]
    # The host's /run/systemd must exist for the hooks of systemd's packages.
    os.makedirs("/run/systemd", exist_ok=True)
    include = ["--include=" + ",".join(packages)] if packages else []
    done = subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", *include, SUITE, directory,
                           *sources], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        require_mirror(done.stderr)
        raise RuntimeError(f"mmdebstrap: {done.returncode}\n{done.stderr}")


def built(path, packages=()):
    """`path`, a minbase root with `packages`."""
    return kept(path, [SUITE, *packages], lambda directory: _bootstrap(directory, packages))
