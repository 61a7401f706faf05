"""Hostile callers, H1 to H6: real processes, on the pidfd path and on the one of older kernels."""

import json
import os
import signal
import socket
import subprocess
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

    # H4

    def test_refuses_a_message_after_the_uid_changed(self):
        probe = self.probe()
        agent = self.agent(f"s = connect(); line(s); os.setuid({AGENT_UID}); tell(**ask(s)); input()", uid=0)
        self.assert_finding(agent.next(), "process-ids-changed")
        self.assertEqual(probe.ended(agent.pid), "ids-changed")

    def test_refuses_a_message_after_the_gid_changed(self):
        self.probe()
        agent = self.agent(f"s = connect(); line(s); os.setgid({AGENT_UID}); tell(**ask(s)); input()", uid=0)
        self.assert_finding(agent.next(), "process-ids-changed")

    def test_a_new_connection_under_another_uid_ends_the_process(self):
        probe = self.probe()
        agent = self.agent(f"""
s = connect(); line(s); os.setuid({AGENT_UID}); t = connect(); tell(**line(t)); input()
""", uid=0)
        self.assert_finding(agent.next(), "process-ids-changed")
        self.assertEqual(probe.ended(agent.pid), "ids-changed")

    def test_refuses_real_and_effective_ids_that_differ(self):
        self.probe()
        for change in (f"os.setresuid({AGENT_UID}, 0, 0)", f"os.setresuid(0, {AGENT_UID}, 0)",
                       f"os.setresuid({AGENT_UID}, {AGENT_UID}, 0)",
                       f"os.setresgid({AGENT_UID}, 0, 0)", f"os.setresgid(0, {AGENT_UID}, 0)",
                       f"os.setresgid(0, 0, {AGENT_UID})", f"libc.setfsuid({AGENT_UID})",
                       f"libc.setfsgid({AGENT_UID})"):
            with self.subTest(change):
                agent = self.agent(f"{change}; tell(**line(connect())); input()", uid=0)
                self.assert_finding(agent.next(), "ids-differ")

    def test_refuses_another_user_namespace(self):
        self.probe()
        self.refuses_wrapped(["unshare", "-U"], "user-namespace")

    def test_refuses_container_root_that_is_a_listed_host_uid(self):
        self.probe()
        self.refuses_wrapped(["unshare", "-U", "-r"], "user-namespace")

    def test_refuses_another_pid_namespace(self):
        self.probe()
        drop = ["setpriv", f"--reuid={AGENT_UID}", f"--regid={AGENT_UID}", "--clear-groups"]
        self.refuses_wrapped(["unshare", "-p", "-f", "--kill-child", *drop], "pid-namespace", uid=0)

    def test_refuses_a_process_that_left_for_another_user_namespace_and_connects_anew(self):
        self.probe("--no-sweep")
        agent = self.agent("""
s = connect(); line(s)
s.close()
def elsewhere():
    assert libc.unshare(0x10000000) == 0
    return line(connect())
tell(**in_child(elsewhere))
""")
        self.assert_finding(agent.next(), "user-namespace")

    def test_admits_another_mount_namespace_and_says_so(self):
        self.probe()
        drop = ["setpriv", f"--reuid={AGENT_UID}", f"--regid={AGENT_UID}", "--clear-groups"]
        agent = self.agent("tell(**line(connect())); input()", uid=0, wrap=["unshare", "-m", *drop])
        facts = agent.next()
        self.assertEqual(facts["host_mounts"], False)
        self.assertEqual((facts["uid"], facts["inode"]), (AGENT_UID, os.stat(PYTHON).st_ino))

    def test_a_cgroup_named_like_a_unit_is_none(self):
        self.probe()
        for base in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup"):
            if not os.access(os.path.join(base, "cgroup.procs"), os.W_OK):
                continue
            outer = os.path.join(base, f"peers-test-{os.getpid()}.service")
            inner = os.path.join(outer, "system.slice", "bot.service")
            try:
                os.makedirs(inner)
            except OSError:
                continue
            self.addCleanup(remove_cgroups, outer)
            agent = self.agent("input(); tell(**line(connect())); input()")
            with open(os.path.join(inner, "cgroup.procs"), "w") as procs:
                procs.write(str(agent.pid))
            agent.go_on()
            self.assertEqual(agent.next()["unit"], "")
            agent.close()
            return
        self.skipTest("no cgroup can be made here; the tests with units do this too")

    def test_preload_changes_nothing_in_what_a_uid_record_sees(self):
        # Any process of the uid can load code into the listed binary: it is the agent, for a record
        # by uid alone. The documents say so, and unit records with their main process refuse it.
        self.probe()
        plain = self.agent("s = connect(); tell(**line(s)); tell(**ask(s, 'digest')); input()")
        loaded = self.agent("s = connect(); tell(**line(s)); tell(**ask(s, 'digest')); input()",
                            environment={"LD_PRELOAD": "/lib/x86_64-linux-gnu/libdl.so.2"})
        one, two = plain.next(), loaded.next()
        self.assertEqual((one["uid"], one["inode"]), (two["uid"], two["inode"]))
        self.assertEqual(plain.next()["sha256"], loaded.next()["sha256"])

    # H5

    def test_the_clients_socket_name_is_nowhere_in_the_output(self):
        probe = self.probe()
        folder = os.path.join(self.folder, "names")
        os.mkdir(folder)
        os.chmod(folder, 0o777)
        for name in (f"{folder}/pid=1 uid=0", f"{folder}/canary\n{{\"uid\":0}}", "\0canary\n/bot.service"):
            with self.subTest(name):
                agent = self.agent(f"""
s = connect({name!r}); first = line(s)
socket.send_fds(s, [b'x\\n'], [0])
tell(first=first, second=line(s)); input()
""")
                said = agent.next()
                self.assertEqual(said["first"]["uid"], AGENT_UID)
                self.assertEqual(said["second"]["refused"], "passed-descriptor")
                self.assertNotIn("canary", json.dumps(said))
                self.assertNotIn("pid=1", json.dumps(said))
                agent.close()
                self.assertEqual(probe.ended(agent.pid), "exited")

    # Helpers

    def assert_finding(self, answer, reason):
        self.assertEqual(answer.get("refused"), reason, answer)
        self.assertTrue(answer["finding"])

    def refuses_wrapped(self, wrap, reason, uid=AGENT_UID):
        if subprocess.run([*wrap, "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest(f"{' '.join(wrap)} is not possible here")
        agent = self.agent("tell(**line(connect())); input()", uid=uid, wrap=wrap)
        self.assert_finding(agent.next(), reason)


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


def remove_cgroups(outer):
    for path, _, _ in os.walk(outer, topdown=False):
        os.rmdir(path)


if __name__ == "__main__":
    unittest.main()
