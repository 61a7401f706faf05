"""Real processes against peer_probe: start the probe, start agents, read JSON lines."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

PROBE = os.environ.get("PEER_PROBE", "")
AGENT_UID = 61001
OTHER_UID = 61002
PYTHON = os.path.realpath("/usr/bin/python3")
STUCK_AFTER = 60  # seconds: only ends a test that hangs, asserts nothing

# Every agent starts with this. SOCKET is set before it.
PRELUDE = """
import array, ctypes, json, os, signal, socket, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
PYTHON = os.path.realpath('/usr/bin/python3')
def connect(bind=None):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if bind is not None: s.bind(bind)
    s.connect(SOCKET)
    return s
def line(s):
    out = b''
    while not out.endswith(b'\\n'):
        got = s.recv(1)
        if not got: break
        out += got
    return json.loads(out) if out else {'closed': True}
def ask(s, text='facts'):
    try: s.sendall(text.encode() + b'\\n')
    except BrokenPipeError: pass
    return line(s)
def tell(**what): print(json.dumps(what), flush=True)
def in_child(work):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(w, json.dumps(work()).encode()); os._exit(0)
    os.close(w)
    out = b''
    while got := os.read(r, 65536): out += got
    os.waitpid(pid, 0)
    return json.loads(out)
"""


class Lines:
    """JSON lines of a pipe, each read as it comes."""

    def __init__(self, process):
        self.process = process

    def next(self):
        ready, _, _ = select.select([self.process.stdout], [], [], STUCK_AFTER)
        text = self.process.stdout.readline() if ready else b""
        if not text:
            raise AssertionError("no line: the process ended or hangs")
        return json.loads(text)


class Probe(Lines):
    def __init__(self, folder, *options):
        self.path = os.path.join(folder, "probe.sock")
        if os.path.exists(self.path):
            os.unlink(self.path)
        super().__init__(subprocess.Popen([PROBE, *options, self.path], bufsize=0,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert self.next() == {"listening": True}

    def accept(self):
        self.process.stdin.write(b"accept\n")

    def ended(self, pid):
        """Waits for the end of this process as the probe saw it."""
        while True:
            event = self.next()
            if event.get("pid") == pid and "ended" in event:
                return event["ended"]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(STUCK_AFTER)
        self.process.stdout.close()
        return code


class Agent(Lines):
    """A Python program under a uid of its own. It talks to the test by JSON lines."""

    def __init__(self, probe, code, uid=AGENT_UID, wrap=(), program=PYTHON, environment=None):
        def become():
            if uid:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)

        text = f"SOCKET = {probe.path!r}\n" + PRELUDE + code
        super().__init__(subprocess.Popen([*wrap, program, "-c", text], bufsize=0, preexec_fn=become,
                                          cwd="/", env=environment, stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE))

    @property
    def pid(self):
        return self.process.pid

    def go_on(self):
        self.process.stdin.write(b"\n")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STUCK_AFTER)
        self.process.stdin.close()
        self.process.stdout.close()


class ProbeTest(unittest.TestCase):
    options = ()

    def setUp(self):
        if not PROBE:
            self.skipTest("PEER_PROBE names no program")
        if os.geteuid() != 0:
            self.skipTest("needs root, to start processes of other users")
        self.folder = tempfile.mkdtemp(prefix="peers-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self._probe = None

    def probe(self, *options):
        probe = Probe(self.folder, *self.options, *options)

        def close():
            self.assertEqual(probe.close(), 0, "the probe goes on serving until it is told to end")

        self.addCleanup(close)
        self._probe = probe
        return probe

    def agent(self, code, **options):
        agent = Agent(self._probe, code, **options)
        self.addCleanup(agent.close)
        return agent

    def assert_finding(self, answer, reason):
        self.assertEqual(answer.get("refused"), reason, answer)
        self.assertTrue(answer["finding"])

    def copy_of_python(self, name="agent-python"):
        """A file of our own to run: like the host's Python, at another inode."""
        path = os.path.join(self.folder, name)
        shutil.copy(PYTHON, path)
        os.chmod(path, 0o755)
        return path


def spawn_with_pid(wanted, code):
    """Forks until a child has the pid `wanted`; it runs code(). None: this kernel does not let us."""
    for _ in range(20000):
        try:
            with open("/proc/sys/kernel/ns_last_pid", "w") as last:
                last.write(str(wanted - 1))
        except OSError:
            return None
        pid = os.fork()
        if pid == 0:
            try:
                if os.getpid() == wanted:
                    code()
            finally:
                os._exit(0)
        if pid == wanted:
            return pid
        os.waitpid(pid, 0)
    return None
