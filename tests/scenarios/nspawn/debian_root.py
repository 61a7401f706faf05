"""Roots of Debian: directories made from the host's own package sources, kept, and made again when what they are made
of changed. Raises unittest.SkipTest with the reason where none can be made.
"""
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import unittest

SUITE = "bookworm"
NO_ROOT = "no root of Debian"
STAMP = ".made-of"  # in a root: what it was made of, written when it is whole
# deb822 or one-line files, as mmdebstrap takes them; absent ones are left out.
SOURCES = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]
# What apt prints, also below mmdebstrap, when nothing answers; a file that a mirror does not have is another thing.
NO_MIRROR = re.compile("Could not connect|Temporary failure|Connection (timed out|failed|refused)|Could not resolve|"
                       "(?i:Failed to fetch .*(timed out|connect))")
LIMIT = 600  # seconds, for half a minute's work with a mirror


def require(condition, word, lacking=NO_ROOT):
    if not condition:
        raise unittest.SkipTest(f"{lacking}: {word}")


def require_mirror(said):
    require(not NO_MIRROR.search(said), "Debian's mirror is out of reach: " + said[-300:])


@contextlib.contextmanager
def mirror_in_time(what):
    """A mirror that hangs is out of reach, too."""
    try:
        yield
    except subprocess.TimeoutExpired as late:
        raise unittest.SkipTest(f"{NO_ROOT}: {what} took more than {late.timeout:.0f} s") from late


def text(path):
    """The file's text; empty when there is no such file."""
    if not os.path.exists(path):
        return ""
    with open(path, errors="replace") as file:
        return file.read()


def _forget(path):
    """Removes a root; what is left where that ends half way is not taken for one."""
    if os.path.isdir(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(path, STAMP))
        shutil.rmtree(path)


def kept(path, made_of, make):
    """`path`, where make(directory) was once called for exactly this list of words."""
    require(os.geteuid() == 0, "needs root")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    wanted = hashlib.sha256(" ".join(made_of).encode()).hexdigest()
    stamp = os.path.join(path, STAMP)
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(path) and text(stamp) == wanted:
            return path
        temporary = tempfile.mkdtemp(prefix="debian-", dir=os.path.dirname(path))
        try:
            make(temporary)
            with open(os.path.join(temporary, STAMP), "w") as file:
                file.write(wanted)
            _forget(path)
            os.rename(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return path


def _bootstrap(directory, packages):
    require(shutil.which("mmdebstrap"), "mmdebstrap is not installed")
    # A mirror that knows the suite is enough; sources for other suites and vendors are not used.
    sources = [path for path in SOURCES if SUITE in text(path)][:1]
    # The host's /run/systemd must exist for the hooks of systemd's packages.
    os.makedirs("/run/systemd", exist_ok=True)
    include = ["--include=" + ",".join(packages)] if packages else []
    # Processes of its own, which end with it. With --quiet it would not say why apt failed.
    command = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child", "mmdebstrap", "--variant=minbase",
               "--mode=root", *include, SUITE, directory, *sources]
    with mirror_in_time("mmdebstrap"):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=LIMIT)
    if done.returncode:
        require_mirror(done.stdout)
        raise RuntimeError(f"mmdebstrap: {done.returncode}\n{done.stdout}")


def built(path, packages=()):
    """`path`, a minbase root with `packages`."""
    return kept(path, [SUITE, *packages], lambda directory: _bootstrap(directory, packages))
