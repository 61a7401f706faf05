"""What strangers can hold (H8, H10), and what a client's own socket is called (H5)."""
import itertools
import os
import resource
import select
import shutil
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from front_case import JWKS, LOW, OTHER, POOL, STRANGER, THIRD, Case, post, setUpModule  # noqa: E402
from harness import wait_for  # noqa: E402

IDLE = 10000
AUDIENCES = int(os.environ.get("BADGED_AUDIENCES", "100000"))  # a million by hand


class Slow(Case):
    """H8: who stops midway is let go; meanwhile the others are served."""

    def test_halves_of_requests_readers_that_stop_and_silent_strangers_are_closed(self):
        held = {}
        for name, data in {"nothing": b"", "half a header": b"GET /v1/jwks HTTP/1.1\r\nHo",
                           "half a body": post(b"grant_type=", length=500),
                           "an answer, then half a header": JWKS + b"GET /"}.items():
            held[name] = self.connect()
            held[name].sendall(data)
        reader = self.connect()
        reader.setblocking(False)
        try:
            while True:
                reader.send(JWKS * 50)  # until badged stops reading, because we do not
        except BlockingIOError:
            pass
        before = self.memory()
        with self.badged.agent(LOW) as agent:
            self.assertEqual(agent.token()[0], 200)

            def all_closed():
                self.assertEqual(agent.token()[0], 200)
                return self.connections() <= 2  # the agent's and this question's own
            wait_for(all_closed, "the slow ones to be closed", 120)
        self.assertLess(self.memory() - before, 4096)
        for name, connection in held.items():
            with self.subTest(name):
                data = connection.recv(1 << 20)
                if name == "an answer, then half a header":
                    self.assertIn(b"200", data[:20])
                    data = connection.recv(1 << 20)
                self.assertEqual(data, b"")

    def test_a_client_that_is_done_sending_still_gets_its_answer(self):
        self.assertEqual(self.statuses(JWKS), [200])  # raw() half closes


class Turned(Case):
    """H10, strangers. Alone: badged tells so many callers at a time why they are turned away, and
    what an earlier test was told counts for two seconds."""

    def test_one_stranger_is_held_to_a_few_connections_and_others_are_not_touched(self):
        flood = self.hostile(STRANGER, "idle", 300)
        self.assertEqual(flood.said, {"held": 64, "statuses": ["503"]})
        second = self.hostile(OTHER, "idle", 64)
        self.assertEqual(second.said["held"], 64)
        self.assertEqual(self.agent().token()[0], 200)
        self.assertGreaterEqual(self.badged.status()["turned_away"], 236)
        flood.end()
        self.assertEqual(self.hostile(STRANGER, "idle", 10).said["held"], 10)


class TurnedByNumber(Case):
    """Alone for the same reason."""

    def test_who_is_turned_away_for_its_number_of_connections_loses_no_turn(self):
        held = [self.connect() for _ in range(264)]
        for one in held[64:]:
            self.assertIn(b" 503 ", one.recv(4096))
        for one in held:
            one.close()
        wait_for(lambda: self.connections() <= 1, "the connections to be gone")
        again = [self.connect() for _ in range(64)]
        for one in again:
            one.sendall(JWKS)
        self.assertEqual({one.recv(4096)[9:12] for one in again}, {b"200"})


class Vanishing(Case):
    """H8: who goes midway. Alone: what it asked for in vain counts as turns of its uid, which is ours."""

    def test_a_client_that_vanishes_midway_leaves_nothing(self):
        for data in (JWKS, JWKS[:10], post(b"a=b", length=9), JWKS * 100):
            for _ in range(50):
                one = self.connect()
                one.sendall(data)
                one.close()
        self.raw(JWKS)  # they are taken in their order: once this one is answered, they were
        wait_for(lambda: self.connections() <= 1, "the connections to be gone")


class Many(Case):
    """H8, H10: numbers."""

    def p99(self, agent, count=2000):
        """Of one listed caller's cached tokens, in microseconds."""
        took = []
        for _ in range(count):
            begin = time.perf_counter()
            self.assertEqual(agent.token()[0], 200)
            took.append((time.perf_counter() - begin) * 1e6)
        return sorted(took)[count * 99 // 100]

    def test_ten_thousand_idle_and_a_hundred_hostile_connections_leave_the_others_served(self):
        agent = self.agent()
        self.assertEqual(agent.token()[0], 200)
        alone, before = self.p99(agent), self.memory()
        pool = self.hostile(POOL, "idle", IDLE)
        self.assertEqual(pool.said, {"held": IDLE, "statuses": []})
        self.assertGreaterEqual(self.connections(), IDLE)
        each = (self.memory() - before) * 1024 / IDLE
        hostile = self.hostile(STRANGER, "garbage", 100)
        crowded = self.p99(agent)
        held = self.memory()
        print(f"{each:.0f} bytes for each idle connection; p99 of a cached token from {alone:.0f} to "
              f"{crowded:.0f} us, ratio {crowded / alone:.2f} (two processes and badged share the "
              "processors)", file=sys.stderr)
        self.assertLess(each, 8192)
        status, answer = self.agent(THIRD).token()  # and a new one gets in
        self.assertEqual(status, 200, answer)
        self.assertEqual(self.badged.ctl("status").returncode, 0)
        hostile.end()
        self.assertLess(self.memory() - held, 32 * 1024)
        pool.end()
        wait_for(lambda: self.connections() < 10, "the connections to be gone")

    def test_distinct_audiences_and_large_requests_leave_memory_flat(self):
        self.hostile(LOW, "audiences", 2000)
        self.hostile(STRANGER, "audiences", 100)
        self.hostile(LOW, "large", 100)
        self.hostile(LOW, "scopes", 300)
        before = self.memory()
        self.assertEqual(self.hostile(LOW, "audiences", AUDIENCES).said, {"400": AUDIENCES})
        self.assertEqual(self.hostile(STRANGER, "audiences", 400).said, {"403": 400})
        said = self.hostile(LOW, "large", 1000).said
        self.assertEqual(sum(said.values()), 1000, said)
        self.assertEqual(self.hostile(LOW, "scopes", 3000).said, {"200": 3000})
        grown = self.memory() - before
        print(f"memory grew by {grown} kB over {AUDIENCES} audiences", file=sys.stderr)
        self.assertLess(grown, 8192)
        lines = [l for l in self.badged.audit() if l.get("uid") == STRANGER]
        self.assertLessEqual(len(lines), 5)


class Descriptors(Case):
    """badged at its limit of descriptors: callers are told to come back, never that they are nobody."""

    def setUp(self):
        self.before = resource.prlimit(self.badged.process.pid, resource.RLIMIT_NOFILE)
        self.addCleanup(self.leave, None)

    def leave(self, spare):
        """So many numbers are free below the limit; None: as before."""
        pid = self.badged.process.pid
        limit = self.before[0]
        if spare is not None:
            taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
            free = (number for number in range(len(taken) + spare + 1) if number not in taken)
            limit = next(itertools.islice(free, spare, None))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, self.before[1]))

    def log_lines(self, text):
        return self.badged.log().count(text)

    def test_a_caller_that_no_descriptor_is_left_for_is_told_to_come_back(self):
        seen = []
        for spare in range(1, 9):
            with self.subTest(spare=spare):
                agent = self.agent()
                self.leave(spare)
                answer = agent.tell(do="call", method="GET", target="/v1/whoami", body=None, headers=None)
                self.leave(None)
                seen.append(answer["status"])
                if answer["status"] != 200:
                    self.assertEqual((answer["status"], answer["body"]["error"]),
                                     (503, "temporarily_unavailable"), answer)
                    self.assertGreater(int(answer["headers"]["Retry-After"]), 0)
                    agent.tell(do="reconnect")
                    self.assertEqual(agent.call("GET", "/v1/whoami")[0], 200)
                agent.end()
        self.assertEqual((seen[0], seen[-1]), (503, 200), seen)
        told = [line for line in self.badged.log().splitlines() if "Too many open" in line]
        self.assertEqual(len([line for line in told if "identify the caller" in line]), 1, told)

    def test_a_connection_that_cannot_be_accepted_waits_and_the_log_says_so_once(self):
        self.leave(0)
        connection = self.connect()
        connection.sendall(JWKS)
        wait_for(lambda: self.log_lines("accept a connection"), "the log to say so")
        self.assertEqual(select.select([connection], [], [], 0.5)[0], [])  # tried every 100 ms
        self.assertEqual(self.log_lines("accept a connection"), 1)
        self.leave(None)
        self.assertIn(b"200", connection.recv(100))


class Names(Case):
    """H5: what a client calls its own socket is no part of anything."""

    def test_no_log_line_or_record_holds_a_clients_socket_name(self):
        directory = tempfile.mkdtemp(prefix="badged-name-")
        self.addCleanup(shutil.rmtree, directory)
        os.chmod(directory, 0o777)
        for uid, status in ((LOW, 200), (STRANGER, 403)):
            for name in (f"{directory}/canary with spaces {uid}", f"{directory}/canary\nkind=token {uid}",
                         f"\0canary-abstract {uid}", f"\0canary\n\"uid\":0 {uid}\0\0"):
                with self.subTest(name=name):
                    said = self.hostile(uid, "named", name.encode().hex()).said
                    self.assertEqual(said, {"status": status})
        everything = self.badged.log() + (self.badged.state_dir / "audit.jsonl").read_text()
        self.assertNotIn("canary", everything)


if __name__ == "__main__":
    unittest.main()
