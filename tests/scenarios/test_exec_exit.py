"""What ends a session: the process's exit, and its exec. The key goes with it."""
import os
import pathlib
import statistics
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PYTHON, Badged, UnixConnection, WithAgents, claims, exchange, record, wait_for  # noqa: E402

LOW, HIGH = 61001, 61002
SCRIPT = pathlib.Path(__file__).with_name("agent_process.py")
ROUNDS = 20


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


class Case(WithAgents, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.badged = Badged(records={
            "low": record("low", match=f"uid = {LOW}"),
            "high": record("high", match=f"uid = {HIGH}", autonomy="high", access="admin"),
        }).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def setUp(self):
        self.admin = UnixConnection(self.badged.admin_socket)
        self.addCleanup(self.admin.close)

    def sessions(self):
        return exchange(self.admin, "GET", "/v1/status")[2]["sessions"]

    def opened(self, uid):
        agent = self.agent(uid)
        status, answer = agent.token()
        self.assertEqual(status, 200, answer)
        return agent, answer["access_token"]

    def ends(self, session):
        return [line["reason"] for line in self.badged.audit()
                if line["kind"] == "session-end" and line["session"] == session]

    def exec_self(self, agent):
        """The agent's process becomes a second run of its own script, on the same connection."""
        return agent.tell(do="exec", path=PYTHON,
                          arguments=[PYTHON, str(SCRIPT), str(self.badged.agent_socket), "{fd}"])


class Exit(Case):
    def measure(self, uid):
        """Milliseconds from the process being gone (waitpid) to no session being left."""
        took = []
        for _ in range(ROUNDS):
            agent, _ = self.opened(uid)
            self.assertEqual(self.sessions(), 1)
            agent.process.kill()
            agent.process.wait()
            gone = time.monotonic()
            wait_for(lambda: self.sessions() == 0, "the session to end")
            took.append((time.monotonic() - gone) * 1000)
        print(f"exit to session gone, uid {uid}: median {statistics.median(took):.2f} ms, "
              f"worst {max(took):.2f} ms of {ROUNDS}", file=sys.stderr)

    def test_exit_ends_a_session_with_a_memory_key(self):
        self.measure(LOW)

    def test_exit_ends_a_session_with_a_tpm_key(self):
        self.measure(HIGH)

    def test_the_audit_says_that_the_process_exited(self):
        for uid in (LOW, HIGH):
            agent, token = self.opened(uid)
            agent.end()
            session = claims(token)["badged"]["session"]
            wait_for(lambda: self.ends(session), "the end in the audit")
            self.assertEqual(self.ends(session), ["exited"])

    def test_a_new_process_of_the_uid_has_another_session_and_no_use_of_the_old_key(self):
        for uid in (LOW, HIGH):
            with self.subTest(uid=uid):
                agent, token = self.opened(uid)
                agent.end()
                heir, newer = self.opened(uid)
                self.assertNotEqual(claims(token)["cnf"], claims(newer)["cnf"])
                status, answer = heir.proof(token)
                self.assertEqual((status, answer["error"]), (401, "invalid_token"))

    def test_far_more_processes_than_the_tpm_has_slots_get_their_keys_one_after_another(self):
        """A TPM key that stayed loaded, or whose place stayed taken, would show at the fourth."""
        for _ in range(12):
            agent, token = self.opened(HIGH)
            self.assertEqual(agent.proof(token)[0], 200)
            agent.end()
        wait_for(lambda: self.sessions() == 0, "the sessions to end")

    def test_more_living_sessions_than_the_tpm_has_slots_all_work(self):
        alive = [self.opened(HIGH) for _ in range(8)]
        for agent, token in alive * 2:
            status, answer = agent.proof(token)
            self.assertEqual(status, 200, answer)
        self.assertEqual(len({claims(token)["cnf"]["jkt"] for _, token in alive}), 8)


class Exec(Case):
    def test_the_same_program_started_anew_is_denied_at_its_next_use(self):
        for uid in (LOW, HIGH):
            with self.subTest(uid=uid):
                agent, token = self.opened(uid)
                session = claims(token)["badged"]["session"]
                self.exec_self(agent)
                status, answer = agent.proof(token)
                self.assertEqual((status, answer["error"]), (401, "invalid_client"), answer)
                wait_for(lambda: self.ends(session), "the end in the audit")
                self.assertEqual(self.ends(session), ["execed"])
                # On a connection of its own it is who it is now, with a key of its own.
                agent.tell(do="reconnect")
                status, answer = agent.proof(token)
                self.assertEqual((status, answer["error"]), (401, "invalid_token"), answer)
                status, answer = agent.token()
                self.assertEqual(status, 200, answer)
                self.assertNotEqual(claims(answer["access_token"])["cnf"], claims(token)["cnf"])
                agent.end()

    def test_exec_is_a_finding_with_the_uid(self):
        with Badged(store="software", records={"low": record("low", match=f"uid = {LOW}")}) as badged:
            self.badged = badged
            agent, _ = self.opened(LOW)
            self.exec_self(agent)
            agent.token()
            agent.end()
            found = [line for line in badged.audit() if line["kind"] == "finding" and "uid" in line]
            self.assertEqual([(line["reason"], line["uid"]) for line in found],
                             [("process-execed", LOW)])

    def test_exec_without_a_next_use_is_found_by_the_sweep(self):
        agent, token = self.opened(LOW)
        session = claims(token)["badged"]["session"]
        before = self.sessions()
        agent.process.stdin.write(
            '{"do":"exec","path":"/usr/bin/cat","arguments":["cat"]}\n')
        agent.process.stdin.flush()
        wait_for(lambda: self.sessions() == before - 1, "the sweep")
        wait_for(lambda: self.ends(session), "the end in the audit")
        self.assertEqual(self.ends(session), ["execed"])
        self.assertIsNone(agent.process.poll())


if __name__ == "__main__":
    unittest.main()
