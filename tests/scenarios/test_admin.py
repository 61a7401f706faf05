"""Who may use the admins' verbs (H11)."""
import grp
import json
import os
import pathlib
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, PYTHON, Badged, call, record  # noqa: E402

AGENT, MEMBER, OTHER = 61001, 61005, 61006
GROUP = "badged-admin"
VERBS = (("GET", "/v1/status"), ("GET", "/v1/agents"), ("GET", "/v1/agents/demo"),
         ("GET", "/v1/matrix"), ("POST", "/v1/reload"), ("GET", "/v1/audit"),
         ("GET", "/v1/whoami?pid=1"))
RECORDS = {"demo": record("demo", match=f"uid = {AGENT}")}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def group_id():
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


class AgentSocket(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.badged = Badged(store="software", records=RECORDS).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def test_admin_verbs_do_not_exist_there_even_for_root(self):
        with self.badged.agent(AGENT) as agent:
            for method, target in VERBS:
                with self.subTest(target):
                    status, answer = agent.call(method, target)
                    self.assertIn(status, (400, 404), answer)
                    status, _, answer = call(self.badged.agent_socket, method, target)
                    self.assertIn(status, (400, 404), answer)
        self.assertFalse([l for l in self.badged.audit() if l["kind"] == "reload"])

    def test_agents_verbs_do_not_exist_on_the_admins_socket(self):
        for target in ("/v1/token", "/v1/proof"):
            self.assertEqual(call(self.badged.admin_socket, "POST", target)[0], 404)

    def test_whoami_of_a_pid_names_the_rule_for_admins_alone(self):
        with self.badged.agent(OTHER) as stranger:
            done = self.badged.ctl("whoami", "--pid", str(stranger.pid), "--json")
            match = json.loads(done.stdout)["match"]
            self.assertIsNone(match["record"])
            self.assertTrue(match["first_failed_rule"])
            self.assertTrue(match["satisfied_by"])
            status, answer = stranger.call("GET", "/v1/whoami")
            self.assertEqual(status, 403)
            self.assertNotIn("match", answer)

    def test_root_reaches_it_and_the_audit_has_the_login_uid(self):
        self.assertEqual(self.badged.ctl("reload").returncode, 0)
        line = [l for l in self.badged.audit() if l["kind"] == "reload"][-1]
        self.assertEqual(line["uid"], 0)
        self.assertEqual(line["login_uid"], int(pathlib.Path("/proc/self/loginuid").read_text()))


class Group(unittest.TestCase):
    """Makes the group where it is absent, and removes it again. ctest runs this file alone."""

    @classmethod
    def setUpClass(cls):
        if group_id() is None:
            subprocess.run(["groupadd", "--system", GROUP], check=True)
            cls.addClassCleanup(subprocess.run, ["groupdel", GROUP], check=True)
        cls.badged = Badged(store="software", records=RECORDS).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def as_user(self, uid, *arguments, groups=()):
        how = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
        command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", *how, str(BUILD / "badgectl"),
                   "--socket", str(self.badged.agent_socket),
                   "--admin-socket", str(self.badged.admin_socket), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_socket_and_directory_belong_to_the_group(self):
        socket, directory = os.stat(self.badged.admin_socket), os.stat(self.badged.admin_socket.parent)
        self.assertEqual((stat.S_IMODE(socket.st_mode), socket.st_gid), (0o660, group_id()))
        self.assertEqual((stat.S_IMODE(directory.st_mode), directory.st_gid), (0o750, group_id()))
        self.assertEqual(stat.S_IMODE(os.stat(self.badged.agent_socket).st_mode), 0o666)

    def test_a_member_may_and_the_audit_names_them(self):
        done = self.as_user(MEMBER, "status", "--json", groups=[group_id()])
        self.assertEqual(done.returncode, 0, done)
        done = self.as_user(MEMBER, "reload", groups=[group_id()])
        self.assertEqual(done.returncode, 0, done)
        line = [l for l in self.badged.audit() if l["kind"] == "reload"][-1]
        self.assertEqual(line["uid"], MEMBER)

    def test_others_are_kept_out_by_the_directory(self):
        for uid in (OTHER, AGENT):
            done = self.as_user(uid, "status")
            self.assertEqual(done.returncode, 4, done)
        self.assertFalse([l for l in self.badged.audit() if l.get("uid") == OTHER])

    def test_others_are_refused_by_each_verb_where_the_mode_lets_them_in(self):
        """The file mode is a first line; the peer is checked again at every call."""
        self.badged.admin_socket.parent.chmod(0o755)
        self.badged.admin_socket.chmod(0o666)
        self.addCleanup(self.badged.admin_socket.chmod, 0o660)
        self.addCleanup(self.badged.admin_socket.parent.chmod, 0o750)
        script = ("import sys, json; sys.path.insert(0, sys.argv[1]); import harness\n"
                  "print(json.dumps([harness.call(sys.argv[2], m, t)[::2] "
                  "for m, t in json.loads(sys.argv[3])]))")
        before = len([l for l in self.badged.audit() if l["kind"] == "reload"])
        done = subprocess.run(
            ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", PYTHON, "-c", script,
             os.path.dirname(os.path.abspath(__file__)), str(self.badged.admin_socket),
             json.dumps(VERBS)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done)
        for (_, target), (status, answer) in zip(VERBS, json.loads(done.stdout)):
            with self.subTest(target):
                self.assertEqual((status, answer["error"]), (403, "access_denied"), answer)
                self.assertTrue(answer["hint"])
        lines = self.badged.audit()
        self.assertEqual(len([l for l in lines if l["kind"] == "reload"]), before)
        denied = [l for l in lines if l["kind"] == "denial" and l.get("uid") == OTHER]
        self.assertEqual([l["reason"] for l in denied], ["not-an-admin"])

    def test_a_process_that_left_the_group_is_refused_on_its_next_connection(self):
        self.assertEqual(self.as_user(MEMBER, "status", groups=[group_id()]).returncode, 0)
        self.assertEqual(self.as_user(MEMBER, "status").returncode, 4)


class NoGroup(unittest.TestCase):
    def test_without_the_group_the_socket_is_roots_and_start_and_status_say_so(self):
        if group_id() is not None:
            self.skipTest(f"the group {GROUP} exists here")
        with Badged(store="software", records=RECORDS) as badged:
            self.assertEqual(stat.S_IMODE(os.stat(badged.admin_socket).st_mode), 0o600)
            self.assertEqual(stat.S_IMODE(os.stat(badged.admin_socket.parent).st_mode), 0o700)
            self.assertIn(GROUP, badged.log())
            self.assertTrue(any(GROUP in w for w in badged.status()["warnings"]))


if __name__ == "__main__":
    unittest.main()
