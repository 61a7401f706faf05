"""badgectl exec: whose requests it relays, signals, exit codes, and what it leaves behind.

BADGECTL names the program (ctest sets it).
"""

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from with_badged import BADGECTL, REFUSAL, TOKEN, WithBadged  # noqa: E402

ASK = textwrap.dedent("""
    import os, socket, sys
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1] if len(sys.argv) > 1 else os.environ["BADGED_SOCKET"])
    s.sendall(b"GET /v1/whoami HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    answer = b""
    while True:
        part = s.recv(65536)
        if not part: break
        answer += part
    print(answer.split(b" ")[1].decode())
""")


class Exec(WithBadged):
    def python(self, code, *arguments, **more):
        return self.run_it("exec", "--", sys.executable, "-c", code, *arguments, **more)

    def test_the_exit_code_is_the_commands(self):
        self.assertEqual(self.run_it("exec", "--", "sh", "-c", "exit 7").returncode, 7)
        self.assertEqual(self.run_it("exec", "--", "true").returncode, 0)
        self.assertEqual(self.run_it("exec", "--", "sh", "-c", "kill -9 $$").returncode, 137)

    def test_a_command_that_does_not_exist_is_exit_4(self):
        self.assertEqual(self.run_it("exec", "--", self.dir + "/none").returncode, 4)

    def test_a_process_that_badged_refuses_starts_nothing(self):
        self.answer("GET", "/v1/whoami", 403, REFUSAL)
        result = self.run_it("exec", "--", "touch", self.dir + "/started")
        self.assertEqual(result.returncode, 1)
        self.assertFalse(os.path.exists(self.dir + "/started"))

    def test_relays_for_the_command_and_its_children(self):
        code = ASK + "\nimport subprocess\nif len(sys.argv) < 2: subprocess.run([sys.executable, '-c', " \
               "sys.orig_argv[2], os.environ['BADGED_SOCKET']])\n"
        result = self.python(code)
        self.assertEqual(result.stdout.split(), ["200", "200"], result.stderr)

    def test_badgectl_itself_works_below_it(self):
        result = self.run_it("exec", "--", BADGECTL, "token", "--audience", "a")
        self.assertEqual(result.stdout, TOKEN + "\n", result.stderr)

    def test_relays_for_an_orphan(self):
        code = textwrap.dedent("""
            import os, sys
            r, w = os.pipe()
            if os.fork() == 0:
                middle = os.getpid()
                if os.fork() == 0:
                    while os.getppid() == middle: os.sched_yield()
                    code = sys.argv.pop()
                    exec(code)
                    sys.stdout.flush()
                    os.close(w); os._exit(0)
                os._exit(0)
            os.wait(); os.close(w); os.read(r, 1)
        """)
        self.assertEqual(self.python(code, ASK).stdout.split(), ["200"])

    def test_no_token_in_the_environment_and_a_private_socket(self):
        code = "import os, json; p = os.environ['BADGED_SOCKET']; " \
               "print(json.dumps([dict(os.environ), os.stat(p).st_mode, os.stat(os.path.dirname(p)).st_mode, p]))"
        environment, mode, directory, path = json.loads(self.python(code).stdout)
        self.assertNotIn(TOKEN, json.dumps(environment))
        self.assertEqual((stat.S_IMODE(mode), stat.S_IMODE(directory)), (0o600, 0o700))
        self.assertFalse(os.path.exists(os.path.dirname(path)))

    def started(self):
        """badgectl exec around a command that prints its socket and waits for a line."""
        process = subprocess.Popen(
            [BADGECTL, "exec", "--", sys.executable, "-c",
             "import os, signal, sys\n"
             "signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))\n"
             "print(os.environ['BADGED_SOCKET'], flush=True)\nsys.stdin.readline()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, process.stdout.readline().strip()

    def test_signals_reach_the_command_and_the_socket_goes_away(self):
        process, path = self.started()
        self.assertTrue(os.path.exists(path))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 42)
        self.assertFalse(os.path.exists(os.path.dirname(path)))

    def test_refuses_a_process_that_is_no_descendant(self):
        _, path = self.started()
        stranger = subprocess.run([sys.executable, "-c", ASK, path], capture_output=True, text=True, timeout=30)
        self.assertEqual(stranger.stdout.split(), ["403"])

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become another user")
    def test_refuses_another_user(self):
        code = "import os, subprocess, sys\np = os.environ['BADGED_SOCKET']\n" \
               "os.chmod(p, 0o666); os.chmod(os.path.dirname(p), 0o755); os.setuid(65534)\n" + ASK
        os.chmod(self.dir, 0o755)
        self.assertEqual(self.python(code).stdout.split(), ["403"])

    def test_its_own_refusals_carry_a_correlation_id_like_those_of_badged(self):
        ask = ASK.replace('print(answer.split(b" ")[1].decode())', "sys.stdout.write(answer.decode())")
        process, path = self.started()
        stranger = subprocess.run([sys.executable, "-c", ask, path], capture_output=True, text=True, timeout=30)
        gone = self.python("import os\nos.unlink(%r)\n" % self.environment["BADGED_SOCKET"] + ask).stdout
        ids = []
        for answer, status in ((stranger.stdout, 403), (gone, 503)):
            head, _, body = answer.partition("\n\n")
            self.assertIn(str(status), head.splitlines()[0])
            members = json.loads(body)
            self.assertRegex(members["correlation_id"], "^[0-9a-f]{32}$")
            self.assertIn("X-Correlation-Id: " + members["correlation_id"], head)
            self.assertNotIn(members["correlation_id"], ids)
            ids.append(members["correlation_id"])

    def test_ends_a_connection_that_another_process_speaks_on(self):
        code = textwrap.dedent("""
            import os, socket
            s = socket.socket(socket.AF_UNIX); s.connect(os.environ["BADGED_SOCKET"])
            if os.fork() == 0:
                s.sendall(b"GET /v1/whoami HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"); os._exit(0)
            os.wait()
            try: print("got", len(s.recv(10)))
            except ConnectionResetError: print("got 0")
        """)
        self.assertEqual(self.python(code).stdout.strip(), "got 0")

    def test_ends_a_connection_that_carries_a_descriptor(self):
        code = textwrap.dedent("""
            import os, socket
            s = socket.socket(socket.AF_UNIX); s.connect(os.environ["BADGED_SOCKET"])
            socket.send_fds(s, [b"GET /v1/whoami HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"], [0])
            try: print("got", len(s.recv(10)))
            except ConnectionResetError: print("got 0")
        """)
        self.assertEqual(self.python(code).stdout.strip(), "got 0")

    def test_many_requests_on_one_connection(self):
        code = textwrap.dedent("""
            import os, socket
            s = socket.socket(socket.AF_UNIX); s.connect(os.environ["BADGED_SOCKET"])
            f = s.makefile("rb"); n = 0
            for _ in range(200):
                s.sendall(b"GET /v1/whoami HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
                assert b"200" in f.readline()
                length = 0
                while (line := f.readline()) != b"\\r\\n":
                    if line.lower().startswith(b"content-length"): length = int(line.split(b":")[1])
                f.read(length); n += 1
            print(n)
        """)
        self.assertEqual(self.python(code).stdout.strip(), "200")


if __name__ == "__main__":
    unittest.main(verbosity=2)
