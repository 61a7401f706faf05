"""Callers, and hostile ones that fork, exec, exit or leave their pid to another, H1 to H3: real processes, on the pidfd
path and on the one of older kernels."""

import json
import os
import signal
import socket
import unittest

from support import AGENT_UID, PYTHON, ProbeTest, spawn_with_pid


class Callers(ProbeTest):
    """One suite over both paths."""

    # An ordinary caller

    def test_names_the_process_that_connected(self):
        self.probe()
        agent = self.agent("s = connect(); tell(**line(s)); tell(**ask(s)); input()")
        for _ in range(2):
            facts = agent.next()
            self.assertEqual((facts["pid"], facts["uid"], facts["gid"]), (agent.pid, AGENT_UID, AGENT_UID))
            self.assertEqual(facts["executable"], PYTHON)
            self.assertEqual(facts["inode"], os.stat(PYTHON).st_ino)
            self.assertTrue(facts["host_mounts"])

    def test_serves_young_processes_that_speak_at_once(self):
        self.probe()
        agent = self.agent("""
def young():
    s = connect(); s.sendall(b'facts\\n')
    return [line(s)['pid'] == os.getpid(), line(s).get('pid') == os.getpid()]
tell(all=[in_child(young) for _ in range(50)])
""")
        self.assertEqual(agent.next()["all"], [[True, True]] * 50)

    def test_connections_of_a_process_share_one_identity(self):
        self.probe()
        agent = self.agent("a = connect(); line(a); b = connect(); line(b); tell(**ask(b, 'count'))")
        self.assertEqual(agent.next(), {"processes": 1})

    # H1

    def test_refuses_a_child_that_speaks_after_fork(self):
        self.probe()
        agent = self.agent("s = connect(); line(s); tell(**in_child(lambda: ask(s))); input()")
        self.assert_finding(agent.next(), "foreign-message-sender")

    def test_refuses_a_process_that_was_passed_the_connection(self):
        self.probe()
        agent = self.agent("""
mine, theirs = socket.socketpair()
pid = os.fork()
if pid == 0:
    _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
    theirs.sendall(json.dumps(ask(socket.socket(fileno=fds[0]))).encode()); os._exit(0)
s = connect(); line(s)
socket.send_fds(mine, [b'x'], [s.fileno()])
tell(**json.loads(mine.recv(4096))); input()
""")
        self.assert_finding(agent.next(), "foreign-message-sender")

    def test_closes_descriptors_that_arrive_and_refuses_their_sender(self):
        probe = self.probe()
        agent = self.agent("""
s = connect(); line(s); tell(ready=1); input()
socket.send_fds(s, [b'facts\\n'], [0, 1, 2]); tell(**line(s)); input()
""")
        agent.next()
        before = probe.descriptors()
        agent.go_on()
        self.assert_finding(agent.next(), "passed-descriptor")
        self.assertLessEqual(probe.descriptors(), before)

    # H2

    AFTER_EXEC = """
import json, socket
s = socket.socket(fileno={fd}); s.sendall(b'facts\\n')
print(s.recv(4096).decode(), end='', flush=True)
input()
"""

    def run_exec(self, program):
        probe = self.probe("--no-sweep")
        agent = self.agent(f"""
s = connect(); line(s); s.set_inheritable(True)
os.execv({program!r}, [{program!r}, '-c', {self.AFTER_EXEC!r}.format(fd=s.fileno())])
""")
        self.assert_finding(agent.next(), "process-execed")
        self.assertEqual(probe.ended(agent.pid), "execed")

    def test_refuses_at_the_next_use_after_exec_of_another_binary(self):
        self.run_exec(self.copy_of_python("other"))

    def test_refuses_at_the_next_use_after_exec_of_the_same_binary(self):
        self.run_exec(PYTHON)

    def test_sweep_ends_a_process_that_execs_and_stays_silent(self):
        probe = self.probe()
        agent = self.agent("s = connect(); line(s); os.execv('/bin/sleep', ['sleep', '60'])")
        self.assertEqual(probe.ended(agent.pid), "execed")

    def test_sweep_sees_an_exec_whose_old_memory_is_kept_alive(self):
        probe = self.probe()
        # CLONE_VM without CLONE_THREAD: the child holds the memory that the maps descriptor is of.
        agent = self.agent("""
s = connect(); line(s)
stack = ctypes.create_string_buffer(65536)
top = ctypes.c_void_p(ctypes.addressof(stack) + 65536 - 64)
pause = ctypes.cast(libc.pause, ctypes.c_void_p)
child = libc.clone(pause, top, 0x100 | signal.SIGCHLD, None)
tell(child=child)
os.execv('/bin/sleep', ['sleep', '60'])
""")
        child = agent.next()["child"]
        self.addCleanup(os.kill, child, signal.SIGKILL)
        self.assertEqual(probe.ended(agent.pid), "execed")

    def test_a_connection_made_before_exec_and_accepted_after_it_is_the_new_program(self):
        # A sibling that holds the descriptor then reads the answer. No check of the kernel's word
        # can tell: only the main-process rule closes this (see the tests with units).
        probe = self.probe("--manual")
        agent = self.agent("""
s = connect(); s.sendall(b'facts\\n'); s.set_inheritable(True)
if os.fork() == 0:
    tell(ready=1); tell(**line(s)); os._exit(0)
os.execv('/bin/sleep', ['sleep', '60'])
""")
        agent.next()
        while os.readlink(f"/proc/{agent.pid}/exe") == PYTHON:
            os.sched_yield()
        probe.accept()
        self.assertEqual(agent.next()["executable"], os.path.realpath("/bin/sleep"))

    # H3

    def test_refuses_a_connection_whose_process_has_exited(self):
        probe = self.probe("--manual")
        agent = self.agent("s = connect(); s.sendall(b'facts\\n')")
        agent.process.wait()
        probe.accept()
        self.assertEqual(probe.next()["refused"], "process-exited")

    def test_exit_ends_the_process_and_its_connections(self):
        probe = self.probe("--no-sweep")
        agent = self.agent("""
s = connect(); line(s)
if os.fork() == 0:
    tell(child=1); tell(**line(s)); os._exit(0)
sys.stdin.readline()
""")
        agent.next()
        agent.go_on()
        self.assertEqual(probe.ended(agent.pid), "exited")
        self.assertEqual(agent.next()["refused"], "process-exited")

    def reuse_pid(self, said, spoken_by_heir=b""):
        """A process connects, says `said` and exits; another with its pid inherits the connection.
        Returns what the probe says to the connection when it accepts after that."""
        probe = self.probe("--manual")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.set_inheritable(True)
        first = os.fork()
        if first == 0:
            os.setresgid(AGENT_UID, AGENT_UID, AGENT_UID)
            os.setresuid(AGENT_UID, AGENT_UID, AGENT_UID)
            connection.connect(probe.path)
            connection.sendall(said)
            os._exit(0)
        os.waitpid(first, 0)
        r, w = os.pipe()

        def heir():
            os.setresgid(AGENT_UID, AGENT_UID, AGENT_UID)
            os.setresuid(AGENT_UID, AGENT_UID, AGENT_UID)
            if not self.heir_holds_connection:
                connection.close()
            os.read(r, 1)

        self.addCleanup(connection.close)
        self.assertIsNotNone(w)
        pid = spawn_with_pid(first, heir)
        if pid is None:
            self.skipTest("this kernel does not let us choose a pid (ns_last_pid)")

        def end():
            os.write(w, b"x")
            os.waitpid(pid, 0)
            os.close(r)
            os.close(w)

        self.addCleanup(end)
        while os.stat(f"/proc/{pid}").st_uid != AGENT_UID:
            os.sched_yield()
        if not self.heir_holds_connection:
            while f"socket:[{os.fstat(connection.fileno()).st_ino}]" in open_files(pid):
                os.sched_yield()
        probe.accept()
        return connection

    heir_holds_connection = False

    def test_refuses_a_connection_whose_pid_was_reused(self):
        connection = self.reuse_pid(b"facts\n")
        answer = json.loads(connection.recv(4096))
        self.assertEqual(answer["refused"], self.reused_pid_reason)

    def test_refuses_others_that_speak_for_a_reused_pid(self):
        connection = self.reuse_pid(b"")
        answer = json.loads(connection.recv(4096))
        if "refused" in answer:
            self.assertEqual(answer["refused"], "process-exited")
            return
        # Older kernels: nothing had been said, so whoever has the pid may speak. We are not it.
        connection.sendall(b"facts\n")
        self.assertEqual(json.loads(connection.recv(4096))["refused"], "foreign-message-sender")

    def test_refuses_a_process_that_got_the_pid_of_an_admitted_one(self):
        probe = self.probe("--no-sweep")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(connection.close)
        first = os.fork()
        if first == 0:
            connection.connect(probe.path)
            connection.recv(4096)
            os._exit(0)
        os.waitpid(first, 0)
        self.assertEqual(probe.ended(first), "exited")
        r, w = os.pipe()

        def heir():
            try:
                connection.sendall(b"facts\n")
            except BrokenPipeError:
                pass
            os.write(w, connection.recv(4096) or b"closed")

        pid = spawn_with_pid(first, heir)
        if pid is None:
            self.skipTest("this kernel does not let us choose a pid (ns_last_pid)")
        self.assertIn(b"process-exited", os.read(r, 4096))
        os.waitpid(pid, 0)
        os.close(r)
        os.close(w)


class WithPeerPidfd(Callers):
    reused_pid_reason = "process-exited"


class WithOlderKernels(Callers):
    options = ("--older",)
    reused_pid_reason = "identity-in-doubt"


del Callers


def open_files(pid):
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return found


if __name__ == "__main__":
    unittest.main()
