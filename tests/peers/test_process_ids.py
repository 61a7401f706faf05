"""Callers whose ids, namespaces, cgroup or socket name are not what they seem, H4 and H5: real processes, on the pidfd
path and on the one of older kernels."""

import json
import os
import subprocess
import unittest

from support import AGENT_UID, PYTHON, ProbeTest


class Callers(ProbeTest):
    """One suite over both paths."""

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

    def refuses_wrapped(self, wrap, reason, uid=AGENT_UID):
        if subprocess.run([*wrap, "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest(f"{' '.join(wrap)} is not possible here")
        agent = self.agent("tell(**line(connect())); input()", uid=uid, wrap=wrap)
        self.assert_finding(agent.next(), reason)


class WithPeerPidfd(Callers):
    pass


class WithOlderKernels(Callers):
    options = ("--older",)


del Callers


def remove_cgroups(outer):
    for path, _, _ in os.walk(outer, topdown=False):
        os.rmdir(path)


if __name__ == "__main__":
    unittest.main()
