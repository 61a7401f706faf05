"""Runs inside the container: agents as transient units against peer_probe."""

import json
import os
import subprocess
import unittest

import support
from support import AGENT_UID, PYTHON, ProbeTest

FACTS_AND_MAIN = """
s = connect(); facts = line(s); main = ask(s, 'main')
tell(facts=facts, main=main, invocation=os.environ.get('INVOCATION_ID'), pid=os.getpid())
"""
# What an agent's tool does: the same unit, uid and interpreter, another process.
TOOL = FACTS_AND_MAIN


def setUpModule():
    # systemd 252 takes only users that have a name.
    subprocess.run(["groupadd", "--gid", str(AGENT_UID), "agent"], check=True)
    subprocess.run(["useradd", "--uid", str(AGENT_UID), "--gid", "agent", "agent"], check=True)


class Units(ProbeTest):
    options = tuple(os.environ.get("PEER_OPTIONS", "").split())
    number = 0

    def unit(self, code, *properties, uid=AGENT_UID, name=None, timeout=support.STUCK_AFTER):
        """Runs `code` as the main process of a transient service; its last JSON line."""
        Units.number += 1
        name = name or f"bot{Units.number}.service"
        # In a file: systemd would expand $ and % in arguments.
        path = os.path.join(self.folder, f"agent{Units.number}.py")
        with open(path, "w") as file:
            file.write(f"SOCKET = {self._probe.path!r}\n" + support.PRELUDE + code)
        identity = [f"--uid={uid}", f"--gid={uid}"] if uid is not None else []
        done = subprocess.run(["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={name}",
                               *identity, *[f"-p{each}" for each in properties], PYTHON, path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              timeout=timeout)
        self.assertTrue(done.stdout, f"{name} said nothing; exit code {done.returncode}")
        return name, json.loads(done.stdout.splitlines()[-1])

    def setUp(self):
        super().setUp()
        self.probe()

    def test_a_service_is_known_with_its_invocation(self):
        name, said = self.unit(FACTS_AND_MAIN)
        self.assertEqual(said["facts"]["unit"], name)
        self.assertEqual(said["facts"]["invocation"], said["invocation"])
        self.assertEqual(said["facts"]["uid"], AGENT_UID)

    def test_every_start_is_another_invocation(self):
        first = self.unit(FACTS_AND_MAIN, name="again.service")[1]["facts"]
        second = self.unit(FACTS_AND_MAIN, name="again.service")[1]["facts"]
        self.assertEqual(first["unit"], second["unit"])
        self.assertNotEqual(first["invocation"], second["invocation"])

    def test_the_main_process_is_confirmed(self):
        self.assertEqual(self.unit(FACTS_AND_MAIN)[1]["main"], {"main": True})

    def test_the_main_process_is_confirmed_again_without_asking(self):
        said = self.unit("s = connect(); line(s); tell(all=[ask(s, 'main') for _ in range(20)])")[1]
        self.assertEqual(said["all"], [{"main": True}] * 20)

    def test_refuses_a_tool_subprocess_of_the_same_unit_uid_and_interpreter(self):
        name, said = self.unit(f"""
s = connect(); line(s); own = ask(s, 'main')
code = 'SOCKET = ' + repr(SOCKET) + chr(10) + {support.PRELUDE + TOOL!r}
tool = json.loads(subprocess.check_output([PYTHON, '-c', code]))
tell(own=own, tool=tool)
""")
        self.assertEqual(said["own"], {"main": True})
        self.assertEqual(said["tool"]["facts"]["unit"], name)
        self.assertEqual(said["tool"]["facts"]["uid"], AGENT_UID)
        self.assertEqual(said["tool"]["main"]["refused"], "not-main-process")

    def test_refuses_a_subprocess_before_its_main_process_was_ever_asked_about(self):
        said = self.unit("tell(**in_child(lambda: ask((s := connect(), line(s))[0], 'main')))")[1]
        self.assertEqual(said["refused"], "not-main-process")

    def test_refuses_a_subprocess_that_writes_and_then_execs_the_listed_binary(self):
        # Its sibling reads the answer: the case that the kernel's word alone cannot tell.
        said = self.unit("""
def thief():
    s = connect(); s.sendall(b'main\\n'); s.set_inheritable(True)
    r, w = os.pipe()
    if os.fork() == 0:
        answers = [line(s), line(s)]
        os.write(w, json.dumps(answers).encode()); os._exit(0)
    if os.fork() == 0:
        os.execv(PYTHON, [PYTHON, '-c', 'import time; time.sleep(60)'])
    return json.loads(os.read(r, 65536))[-1]
tell(**in_child(thief))
""")[1]
        self.assertEqual(said["refused"], "not-main-process")

    def test_refuses_another_program_of_the_uid_that_starts_the_listed_binary(self):
        # LD_PRELOAD or not: it is in no unit of the agent.
        agent = self.agent(FACTS_AND_MAIN + "input()", environment={"LD_PRELOAD": "libdl.so.2"})
        said = agent.next()
        self.assertEqual(said["facts"]["uid"], AGENT_UID)
        self.assertNotIn("bot", said["facts"]["unit"])
        self.assertEqual(said["main"]["refused"], "not-main-process")

    def test_refuses_units_whose_processes_can_claim_to_be_the_main_one(self):
        for claim in ("NotifyAccess=all", "PIDFile=/run/bot.pid"):
            with self.subTest(claim):
                said = self.unit(FACTS_AND_MAIN, claim)[1]
                self.assertEqual(said["main"]["refused"], "main-process-open")

    def test_a_child_that_claims_mainpid_gains_nothing(self):
        said = self.unit("""
def claim():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ['NOTIFY_SOCKET'])
    s.send(b'MAINPID=%d' % os.getpid())
    s.send(b'STATUS=claimed')
    c = connect(); line(c)
    return ask(c, 'main')
tell(**in_child(claim))
""", "NotifyAccess=main", "Environment=X=1")[1]
        self.assertEqual(said["refused"], "not-main-process")

    def test_a_delegated_subtree_is_no_unit(self):
        said = self.unit("""
def hierarchies():
    for l in open('/proc/self/mountinfo'):
        before, after = l.split(' - ')
        kind, _, options = after.split()
        yield before.split()[4], '0::' if kind == 'cgroup2' else ':name=systemd:' if 'name=systemd' in options else None
for point, mark in list(hierarchies()):
    own = [l for l in open('/proc/self/cgroup').read().split() if mark and mark in l]
    if not own: continue
    sub = point + own[0].split(':', 2)[2] + '/system.slice/listed.service'
    os.makedirs(sub)
    open(sub + '/cgroup.procs', 'w').write(str(os.getpid()))
tell(facts=line(connect()), cgroup=open('/proc/self/cgroup').read())
""", "Delegate=yes", uid=None)[1]
        self.assertIn("listed.service", said["cgroup"])
        self.assertEqual((said["facts"]["unit"], said["facts"]["invocation"]), ("", ""))

    def test_a_user_managers_unit_is_no_unit(self):
        uid = 61005
        subprocess.run(["useradd", "--uid", str(uid), "--create-home", "someone"], check=True)
        started = subprocess.run(["systemctl", "start", f"user@{uid}.service"])
        if started.returncode != 0:
            self.skipTest("no user manager starts in this container")
        self.addCleanup(subprocess.run, ["systemctl", "stop", f"user@{uid}.service"])
        home = "/home/someone"
        units = os.path.join(home, ".config/systemd/user")
        os.makedirs(units)
        with open(os.path.join(home, "agent.py"), "w") as file:
            file.write(f"SOCKET = {self._probe.path!r}\n" + support.PRELUDE + FACTS_AND_MAIN)
        with open(os.path.join(units, "bot1.service"), "w") as file:
            file.write(f"[Service]\nType=oneshot\nExecStart={PYTHON} {home}/agent.py\n"
                       f"StandardOutput=file:{home}/said\n")
        subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "env",
                        f"XDG_RUNTIME_DIR=/run/user/{uid}", "systemctl", "--user", "start", "bot1.service"],
                       check=True)
        with open(os.path.join(home, "said")) as file:
            said = json.load(file)
        self.assertEqual(said["facts"]["uid"], uid)
        self.assertEqual(said["facts"]["unit"], "")
        self.assertEqual(said["main"]["refused"], "no-unit")

    def test_a_hardened_unit_is_admitted_with_its_own_mounts(self):
        name, said = self.unit(FACTS_AND_MAIN, "ProtectSystem=strict", "ProtectHome=yes", "PrivateDevices=yes",
                               "NoNewPrivileges=yes", "ProtectKernelTunables=yes", "PrivateNetwork=yes")
        self.assertEqual(said["facts"]["unit"], name)
        self.assertEqual(said["facts"]["host_mounts"], False)
        self.assertEqual(said["main"], {"main": True})

    def test_a_dynamic_user_is_admitted(self):
        name, said = self.unit(FACTS_AND_MAIN, "DynamicUser=yes", uid=None)
        self.assertEqual(said["facts"]["unit"], name)
        self.assertGreaterEqual(said["facts"]["uid"], 61184)
        self.assertEqual(said["main"], {"main": True})

    def test_refuses_a_unit_with_private_users(self):
        said = self.unit("tell(**line(connect()))", "PrivateUsers=yes")[1]
        self.assertEqual(said["refused"], "user-namespace")


if __name__ == "__main__":
    unittest.main()
