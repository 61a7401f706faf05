"""Runs inside the container, as root: the main job with the shipped units, and with agents that are
units. What systemd heard of badged is read from its journal at debug level.
"""
import json
import os
import signal
import socket
import subprocess
import unittest

import harness
from harness import wait_for

AGENT_SOCKET, ADMIN_SOCKET = "/run/badged/agent.sock", "/run/badged/admin/admin.sock"
AUDIENCE = harness.AUDIENCE
URL = AUDIENCE + "api/invoices"
RECORDS = "/etc/badged/agents.d"
BEFORE = {}  # what setUpModule saw before badged was started


def run(*command, check=True):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=check,
                          timeout=harness.DEADLINE).stdout.strip()


def show(unit, what):
    return run("systemctl", "show", "--value", f"--property={what}", unit)


def journal(*matches):
    """Every entry with all these fields."""
    return [json.loads(line) for line in run("journalctl", "--output=json", "--all", "--quiet", *matches).splitlines()]


def heard():
    """The notifications of badged.service as PID 1 received them."""
    entries = journal("_PID=1", "UNIT=badged.service")
    return [entry["MESSAGE"].split("(", 1)[1] for entry in entries if "Got notification message" in entry["MESSAGE"]]


def audit():
    with open("/var/lib/badged/audit.jsonl") as file:
        return [json.loads(line) for line in file.read().splitlines() if line.endswith("}")]


def ready():
    try:
        status, _, body = harness.call(ADMIN_SOCKET, "GET", "/v1/status")
        return status == 200 and body["keystore"]["condition"] == "ready" and \
            harness.call(AGENT_SOCKET, "GET", "/v1/jwks")[2]["keys"]
    except OSError:
        return False


class AgentUnit:
    """A unit whose main process is agent_unit.py."""

    def __init__(self, name):
        self.name, self.service = name, name + ".service"

    def start(self):
        run("systemctl", "restart", self.service)
        wait_for(self.listens, self.name)
        return self

    def listens(self):
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def connect(self):
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(harness.DEADLINE)
        try:
            control.connect(f"/run/{self.name}/control")
        except OSError:
            control.close()
            raise
        return control

    def call(self, method, target, body=None, who="itself"):
        with self.connect() as control, control.makefile("rw") as line:
            print(json.dumps({"who": who, "method": method, "target": target, "body": body}), file=line, flush=True)
            answer = json.loads(line.readline())
        return answer["status"], answer["body"]

    def token(self, who="itself"):
        return self.call("POST", "/v1/token", {"grant_type": "client_credentials", "audience": AUDIENCE}, who)

    def proof(self, token, who="itself"):
        return self.call("POST", "/v1/proof", {"method": "GET", "url": URL, "access_token": token}, who)

    def whoami(self, who="itself"):
        return self.call("GET", "/v1/whoami", None, who)


def setUpModule():
    run("systemctl", "log-level", "debug")
    run("systemctl", "start", "badged.socket", "badged-admin.socket")
    BEFORE["badged"] = show("badged.service", "ActiveState")
    BEFORE["sockets"] = [os.stat(path).st_ino for path in (AGENT_SOCKET, ADMIN_SOCKET)]
    BEFORE["answer"] = harness.call(AGENT_SOCKET, "GET", "/v1/jwks")[0]
    wait_for(ready, "the key store")


class Service(unittest.TestCase):
    def test_a_first_connection_starts_it_and_is_answered(self):
        self.assertEqual((BEFORE["badged"], BEFORE["answer"]), ("inactive", 200))

    def test_each_socket_is_known_by_its_name(self):
        self.assertEqual(harness.call(ADMIN_SOCKET, "GET", "/v1/status")[0], 200)
        self.assertEqual(harness.call(AGENT_SOCKET, "GET", "/v1/status")[0], 404)
        self.assertEqual([os.stat(path).st_ino for path in (AGENT_SOCKET, ADMIN_SOCKET)], BEFORE["sockets"])

    def test_runs_as_its_user_with_one_capability_and_under_the_filter(self):
        pid = show("badged.service", "MainPID")
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        uid = run("id", "-u", "badged")
        self.assertEqual(status["Uid"].split(), [uid] * 4)
        for which in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[which], 16), 1 << 19, which)  # CAP_SYS_PTRACE
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        self.assertGreater(int(status["VmLck"].split()[0]), 0)
        self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/net"), os.readlink("/proc/1/ns/net"))
        with open(f"/proc/{pid}/mountinfo") as file:
            root = [line.split()[5] for line in file if line.split()[4] == "/"][-1]
        self.assertIn("ro", root.split(","))

    def test_says_ready_and_what_it_serves(self):
        self.assertEqual(show("badged.service", "ActiveState"), "active")
        self.assertRegex(show("badged.service", "StatusText"), "serving")
        self.assertTrue(any("READY=1" in each and "STATUS=" in each for each in heard()), heard())

    def test_feeds_the_watchdog(self):
        wait_for(lambda: any("WATCHDOG=1" in each for each in heard()), "WATCHDOG=1")
        self.assertNotEqual(show("badged.service", "WatchdogTimestampMonotonic"), "0")

    def test_a_reload_with_a_bad_record_says_so_and_keeps_the_good_ones(self):
        agent = AgentUnit("invoice-bot").start()
        bad = os.path.join(RECORDS, "zz-bad.toml")
        with open(bad, "w") as file:
            file.write('name = "zz-bad"\nautonomie = "low"\n')
        run("chgrp", "badged", bad)
        os.chmod(bad, 0o640)
        try:
            run("systemctl", "reload", "badged.service")
            wait_for(lambda: "refused" in show("badged.service", "StatusText"), "the reload")
            self.assertEqual(agent.token()[0], 200)
            named = [each["MESSAGE"] for each in journal("_SYSTEMD_UNIT=badged.service") if "zz-bad.toml:2:1" in each["MESSAGE"]]
            self.assertTrue(named)
        finally:
            os.unlink(bad)
        run("systemctl", "reload", "badged.service")
        wait_for(lambda: show("badged.service", "StatusText") == "serving 3 agents", "the good reload")
        self.assertTrue(any("RELOADING=1" in each and "MONOTONIC_USEC=" in each for each in heard()))
        self.assertEqual(show("badged.service", "ActiveState"), "active")

    def test_a_denial_is_found_in_the_journal_by_its_correlation_id(self):
        status, _, body = harness.call(AGENT_SOCKET, "GET", "/v1/whoami")  # root in this unit: a stranger
        self.assertEqual(status, 403)
        entries = wait_for(lambda: journal("BADGED_CORRELATION_ID=" + body["correlation_id"]), "the entry")
        self.assertEqual(entries[0]["_SYSTEMD_UNIT"], "badged.service")
        self.assertEqual(entries[0]["PRIORITY"], "5")

    def test_a_stop_is_announced_and_the_next_call_starts_it_again(self):
        run("systemctl", "stop", "badged.service")
        self.assertEqual((show("badged.service", "ActiveState"), show("badged.service", "Result")), ("inactive", "success"))
        self.assertTrue(any("STOPPING=1" in each for each in heard()))
        self.assertEqual(harness.call(AGENT_SOCKET, "GET", "/v1/jwks")[0], 200)
        wait_for(ready, "the key store")

    def test_a_hung_daemon_is_replaced_by_the_watchdog_and_tokens_flow_again(self):
        agent = AgentUnit("invoice-bot").start()
        old = agent.token()[1]["access_token"]
        pid, restarts = show("badged.service", "MainPID"), int(show("badged.service", "NRestarts"))
        os.kill(int(pid), signal.SIGSTOP)
        wait_for(lambda: int(show("badged.service", "NRestarts")) > restarts, "the watchdog")
        wait_for(ready, "the new process")
        self.assertNotEqual(show("badged.service", "MainPID"), pid)
        self.assertTrue([each for each in journal("_PID=1", "UNIT=badged.service") if "Watchdog timeout" in each["MESSAGE"]])
        status, answer = agent.proof(old)
        self.assertEqual((status, answer["error"]), (401, "invalid_token"))  # sessions do not outlive badged
        status, new = agent.token()
        self.assertEqual(status, 200)
        self.assertEqual(agent.proof(new["access_token"])[0], 200)


class Agents(unittest.TestCase):
    def setUp(self):
        self.agent = AgentUnit("invoice-bot").start()

    def good_token(self, agent=None):
        status, answer = (agent or self.agent).token()
        self.assertEqual(status, 200, answer)
        return answer["access_token"]

    def last_reason(self):
        return [entry for entry in audit() if "reason" in entry and "txn" in entry][-1]["reason"]

    def test_a_unit_gets_a_token_and_a_proof_under_its_own_invocation(self):
        token = self.good_token()
        self.assertEqual(self.agent.proof(token)[0], 200)
        status, said = self.agent.whoami()
        self.assertEqual(status, 200)
        self.assertEqual(said["process"]["unit"], "invoice-bot.service")
        self.assertEqual(said["process"]["invocation_id"], show("invoice-bot.service", "InvocationID"))
        self.assertEqual(str(said["process"]["pid"]), show("invoice-bot.service", "MainPID"))
        self.assertGreaterEqual(said["process"]["uid"], 61184)  # one of DynamicUser=
        claims = harness.claims(token)
        self.assertEqual(claims["sub"], "spiffe://example.org/host/build-7/agent/invoice-bot")
        self.assertEqual(claims["badged"]["session"], said["session"]["id"])
        self.assertEqual(claims["cnf"]["jkt"], said["session"]["jkt"])

    def test_refuses_a_tool_that_the_agent_starts(self):
        token = self.good_token()
        for status, answer in (self.agent.token("tool"), self.agent.proof(token, "tool")):
            self.assertEqual((status, answer["error"]), (403, "unauthorized_client"))
            self.assertEqual(answer["process"]["unit"], "invoice-bot.service")
        reasons = [entry["reason"] for entry in audit() if entry.get("unit") == "invoice-bot.service" and "reason" in entry]
        self.assertIn("not-main-process", reasons)
        self.assertEqual(self.agent.proof(token)[0], 200)

    def test_refuses_a_forked_child_on_the_agents_own_connection(self):
        token = self.good_token()
        status, answer = self.agent.proof(token, "child")
        self.assertEqual((status, answer["error"]), (401, "invalid_client"))
        self.assertEqual(self.agent.proof(token)[0], 200)

    def test_refuses_a_second_unit_of_the_same_uid(self):
        token = self.good_token()
        thief = AgentUnit("thief").start()
        self.addCleanup(run, "systemctl", "stop", thief.service)
        status, answer = thief.proof(token)
        self.assertEqual((status, answer["error"]), (403, "unauthorized_client"))
        self.assertEqual(answer["process"]["uid"], self.agent.whoami()[1]["process"]["uid"])
        self.assertEqual(thief.token()[0], 403)

    def test_a_restart_is_another_session_and_the_old_token_gets_no_proof(self):
        old = self.good_token()
        before = self.agent.whoami()[1]
        self.agent.start()
        status, answer = self.agent.proof(old)
        self.assertEqual((status, answer["error"]), (401, "invalid_token"))
        new = self.good_token()
        status, answer = self.agent.proof(old)
        self.assertEqual((status, answer["error"]), (401, "invalid_token"))
        after = self.agent.whoami()[1]
        self.assertNotEqual(after["process"]["invocation_id"], before["process"]["invocation_id"])
        self.assertNotEqual(after["session"]["id"], before["session"]["id"])
        self.assertNotEqual(harness.claims(new)["cnf"], harness.claims(old)["cnf"])
        self.assertEqual(self.agent.proof(new)[0], 200)
        ended = [entry["reason"] for entry in audit() if entry.get("session") == before["session"]["id"]
                 and entry["kind"] == "session-end"]
        self.assertEqual(ended, ["exited"])

    def test_a_unit_with_unit_binding_shares_its_session_with_its_tools_until_it_restarts(self):
        helper = AgentUnit("helper-bot").start()
        self.addCleanup(run, "systemctl", "stop", helper.service)
        token = self.good_token(helper)
        self.assertEqual(helper.proof(token, "tool")[0], 200)
        session = helper.whoami("tool")[1]["session"]
        self.assertEqual((session["id"], session["binding"]), (harness.claims(token)["badged"]["session"], "unit"))
        helper.start()
        self.good_token(helper)
        self.assertEqual(helper.proof(token, "tool")[0], 401)

    def test_a_high_assurance_unit_has_its_keys_in_the_tpm(self):
        admin = AgentUnit("admin-bot").start()
        self.addCleanup(run, "systemctl", "stop", admin.service)
        token = self.good_token(admin)
        self.assertEqual(harness.claims(token)["badged"]["tier"], "high-assurance")
        self.assertEqual(admin.whoami()[1]["session"]["custody"], "tpm")
        self.assertEqual(admin.proof(token)[0], 200)


if __name__ == "__main__":
    unittest.main()
