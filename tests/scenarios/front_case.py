"""What the tests of the sockets share: a badged of software keys, hostile processes, and raw bytes to it."""
import json
import os
import pathlib
import re
import socket
import subprocess
import unittest

from harness import DEADLINE, PYTHON, Badged, Failure, WithAgents, as_uid, record

POOL, LOW, THIRD = 61001, 61002, 61003
STRANGER, OTHER = 61008, 61009
RECORDS = {f"a{uid}": record(f"a{uid}", match=f"uid = {uid}") for uid in (POOL, LOW, THIRD)}
JWKS = b"GET /v1/jwks HTTP/1.1\r\nHost: x\r\n\r\n"
FORM = "application/x-www-form-urlencoded"


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def post(body, *fields, length=None):
    head = [b"POST /v1/token HTTP/1.1", b"Host: x", b"Content-Type: " + FORM.encode(),
            b"Content-Length: " + str(len(body) if length is None else length).encode(), *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def get(*fields, target=b"/v1/jwks", version=b"HTTP/1.1", host=b"Host: x"):
    return b"\r\n".join([b"GET " + target + b" " + version, host, *fields]) + b"\r\n\r\n"


class Hostile:
    """A hostile_process.py of a uid: what it said first is in `said`."""

    def __init__(self, badged, uid, mode, argument):
        script = pathlib.Path(__file__).with_name("hostile_process.py")
        self.process = subprocess.Popen(
            as_uid(uid) + [PYTHON, str(script), str(badged.agent_socket), mode, str(argument)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"the {mode} process ended")
        self.said = json.loads(line)

    def end(self):
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Case(WithAgents, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.badged = Badged(store="software", records=RECORDS).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def agent(self, uid=LOW, badged=None):
        return super().agent(uid, badged)

    def hostile(self, *arguments):
        made = Hostile(self.badged, *arguments)
        self.addCleanup(made.end)
        return made

    def connect(self):
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(DEADLINE)
        made.connect(str(self.badged.agent_socket))
        self.addCleanup(made.close)
        return made

    def raw(self, *pieces):
        """All that comes back until badged closes. The last piece is followed by our own end."""
        connection = self.connect()
        for piece in pieces:
            try:
                connection.sendall(piece)
            except BrokenPipeError:
                break
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        data = b""
        try:
            while more := connection.recv(65536):
                data += more
        except ConnectionResetError:
            data += b"[reset]"
        connection.close()
        return data

    def statuses(self, *pieces):
        return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.raw(*pieces))]

    def memory(self):
        """Anonymous memory in kB: what badged allocated, without its program's pages."""
        text = pathlib.Path(f"/proc/{self.badged.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Anonymous:\s+(\d+)", text, re.M).group(1))

    def connections(self):
        return self.badged.status()["connections"]
