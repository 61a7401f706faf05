"""What strangers can send and hold (H8, H10), what stands at the socket's path (H9), and what a
client's own socket is called (H5)."""
import itertools
import json
import os
import pathlib
import re
import resource
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (BUILD, DEADLINE, PYTHON, Badged, Failure, as_uid, call, record,  # noqa: E402
                     wait_for)

POOL, LOW, THIRD = 61001, 61002, 61003
STRANGER, OTHER = 61008, 61009
IDLE = 10000
AUDIENCES = int(os.environ.get("BADGED_AUDIENCES", "100000"))  # a million by hand
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


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.badged = Badged(store="software", records=RECORDS).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def agent(self, uid=LOW):
        made = self.badged.agent(uid)
        self.addCleanup(made.end)
        return made

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


class Shapes(Case):
    """H8: one request has one meaning, or none."""

    def refused(self, cases, statuses):
        for name, data in cases.items():
            with self.subTest(name):
                got = self.statuses(data)
                self.assertEqual(len(got), 1, self.raw(data))
                self.assertIn(got[0], statuses)
        self.assertEqual(self.statuses(JWKS), [200])

    def test_two_lengths_or_a_length_and_a_coding_are_refused(self):
        body = b"grant_type=client_credentials"
        self.refused({
            "two equal lengths": post(body, b"Content-Length: 29"),
            "two different lengths": post(body, b"Content-Length: 0"),
            "length and chunked": post(b"0\r\n\r\n", b"Transfer-Encoding: chunked"),
            "chunked": get(b"Transfer-Encoding: chunked"),
            "chunked nonsense": get(b"Transfer-Encoding: xchunked, identity") + b"zz\r\n",
            "coding with odd case": get(b"tRANSFER-eNCODING:\tchunked"),
            "coding hidden by a space": get(b"Transfer-Encoding : chunked"),
            "length list": get(b"Content-Length: 0, 0"),
            "length with sign": get(b"Content-Length: +0"),
            "negative length": get(b"Content-Length: -1"),
            "hexadecimal length": get(b"Content-Length: 0x10"),
            "length of 20 digits": get(b"Content-Length: 18446744073709551617"),
        }, (400, 411, 413))

    def test_folded_lines_bare_line_feeds_and_nul_are_refused(self):
        for name, data in {
                "folded": get(b"X: a\r\n b"), "folded by a tab": get(b"X: a\r\n\tTransfer-Encoding: x"),
                "folded first": b"GET /v1/jwks HTTP/1.1\r\n Host: x\r\n\r\n",
                "bare line feed within": get(b"X: a\nTransfer-Encoding: chunked"),
                "bare line feeds": b"GET /v1/jwks HTTP/1.1\nHost: x\n\n",
                "bare carriage return": get(b"X: a\rb"),
                "nul in the target": get(target=b"/v1/jwks\0"), "nul in a value": get(b"X: a\0b"),
                "nul in a name": get(b"X\0: a"), "nul alone": b"\0" * 100 + b"\r\n\r\n",
                "space before the colon": get(b"X : a"), "no colon": get(b"Xa"),
                "empty name": get(b": a"), "escape": get(b"X: \x1b[2J")}.items():
            with self.subTest(name):
                self.assertFalse([s for s in self.statuses(data) if s < 400], self.raw(data))
        self.assertEqual(self.statuses(JWKS), [200])

    def test_other_targets_than_the_paths_themselves_are_no_calls(self):
        self.refused({repr(target): get(target=target) for target in (
            b"http://localhost/v1/jwks", b"//v1/jwks", b"/v1//jwks", b"/v1/../v1/jwks", b"/v1/jwks/",
            b"/V1/JWKS", b"/v1/jwks%00", b"/v1/%6awks", b"*", b"v1/jwks", b"/", b"/v1/jwks?x=1",
            b"/v1/jwks#x", b"/v1/jwks;x", b"/v1/status", b"/" + b"a" * 7000)}, (400, 404))

    def test_other_versions_and_methods_are_refused(self):
        self.refused({
            "1.0": get(version=b"HTTP/1.0"), "2.0": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "0.9": b"GET /v1/jwks\r\n\r\n", "1.2": get(version=b"HTTP/1.2"),
            "lower case": get(version=b"http/1.1"), "HEAD": get().replace(b"GET", b"HEAD"),
            "CONNECT": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
            "PUT": get().replace(b"GET", b"PUT"), "unknown": get().replace(b"GET", b"FOO"),
            "no host": get(host=b"X: y"), "two hosts": get(b"Host: y"),
            "expect": post(b"a=b", b"Expect: 100-continue"), "TLS": b"\x16\x03\x01\x02\x00\r\n\r\n",
        }, (400, 404, 405, 417, 505))

    def test_what_is_too_large_is_refused_before_it_is_read(self):
        self.refused({"header": get(b"X: " + b"a" * 9000)}, (431,))
        self.refused({"header without end": b"GET /v1/jwks HTTP/1.1\r\n" + b"X: a\r\n" * 3000}, (431,))
        self.refused({"65 fields": get(*[b"X: a"] * 65)}, (431,))
        self.refused({"body": post(b"", length=65537), "body of a TB": post(b"", length=2**40)}, (413,))
        self.refused({"fields": post(b"a=b&" * 50), "one field": post(b"scope=" + b"a" * 20000),
                      "body of a GET": get(b"Content-Length: 5") + b"hello"}, (400,))

    def test_a_refusal_can_be_read_although_the_body_is_still_being_written(self):
        for _ in range(20):
            with self.badged.agent(LOW) as agent:
                status, answer = agent.token({"DPoP": "x"}, scope="a" * 60000)
                self.assertEqual((status, answer["error"]), (400, "invalid_request"))

    def test_pipelined_requests_are_answered_in_their_order(self):
        other = get(target=b"/.well-known/oauth-authorization-server")
        data = self.raw(JWKS + other + JWKS)
        self.assertEqual(re.findall(rb'\{"(keys|issuer)"', data), [b"keys", b"issuer", b"keys"])
        self.assertEqual(self.statuses(JWKS + b"nonsense\r\n\r\n" + JWKS), [200, 400])
        self.assertEqual(self.statuses(get(b"Connection: close") + JWKS), [200])

    def test_a_body_that_looks_like_a_request_is_a_body(self):
        inner = get(target=b"/v1/whoami")
        self.assertEqual(self.statuses(post(inner) + JWKS), [400])  # no form: refused, and closed
        self.assertEqual(self.statuses(post(JWKS, length=len(JWKS) + 5)), [])  # it never ends

    def test_a_request_may_come_a_byte_at_a_time(self):
        request = get(b"X: y")
        self.assertEqual(self.statuses(*(request[i:i + 1] for i in range(len(request)))), [200])

    def test_every_refusal_is_json_with_a_code_and_an_id(self):
        for data in (b"x\r\n\r\n", get(target=b"/"), get(b"X: " + b"a" * 9000)):
            body = json.loads(self.raw(data).partition(b"\r\n\r\n")[2])
            self.assertTrue(body["error"] and body["error_description"] and body["correlation_id"])


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

    def test_a_client_that_vanishes_midway_leaves_nothing(self):
        before = self.connections()
        for data in (JWKS, JWKS[:10], post(b"a=b", length=9), JWKS * 100):
            for _ in range(50):
                one = self.connect()
                one.sendall(data)
                one.close()
        wait_for(lambda: self.connections() <= before, "the connections to be gone")


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


class Path(unittest.TestCase):
    """H9: what may stand at the socket's path."""

    def setUp(self):
        self.badged = Badged(store="software", records=RECORDS, start=False).__enter__()
        self.addCleanup(self.badged.__exit__)
        self.run_dir = self.badged.directory / "run"
        self.run_dir.mkdir(0o755)
        self.path = self.badged.agent_socket

    def refuses(self, *words):
        done = subprocess.run([BUILD / "badged", "--config", self.badged.config_file],
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 4, done)
        for word in words:
            self.assertIn(word, done.stderr)

    def serves(self):
        self.badged.start()
        self.assertEqual(call(self.path, "GET", "/v1/jwks")[0], 200)

    def test_a_foreign_file_stays_and_is_named(self):
        self.path.write_text("precious")
        self.refuses(str(self.path), "not a socket")
        self.assertEqual(self.path.read_text(), "precious")

    def test_a_symlink_is_not_followed_wherever_it_leads(self):
        target = self.badged.directory / "target"
        for prepare in (lambda: None, lambda: target.write_text("x")):
            prepare()
            self.path.symlink_to(target)
            self.refuses(str(self.path), "not a socket")
            self.assertTrue(self.path.is_symlink())
            self.path.unlink()

    def test_a_symlink_to_a_dead_socket_is_not_followed(self):
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(self.badged.directory / "dead"))
        dead.close()
        self.path.symlink_to(self.badged.directory / "dead")
        self.refuses("not a socket")

    def test_a_directory_that_others_can_write_is_refused(self):
        for mode in (0o777, 0o775, 0o1777):
            self.run_dir.chmod(mode)
            self.refuses(str(self.run_dir), "written by others", "chmod go-w")

    def test_a_directory_above_that_others_can_write_is_refused_unless_sticky(self):
        self.badged.directory.chmod(0o777)
        self.refuses(str(self.badged.directory), "written by others")
        self.badged.directory.chmod(0o1777)
        self.serves()

    def test_a_directory_of_another_user_or_one_behind_a_link_is_refused(self):
        os.chown(self.run_dir, LOW, LOW)
        self.refuses("belongs to another user")
        self.run_dir.rename(self.badged.directory / "real")
        os.chown(self.badged.directory / "real", 0, 0)
        self.run_dir.symlink_to(self.badged.directory / "real")
        self.refuses("not a directory")

    def test_a_dead_badgeds_socket_is_replaced(self):
        self.badged.start()
        self.badged.kill()
        self.assertTrue(self.path.is_socket())
        self.serves()

    def test_a_living_server_is_left_alone(self):
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(str(self.path))
        server.listen()
        inode = os.stat(self.path).st_ino
        self.refuses(str(self.path), "living server")
        self.assertEqual(os.stat(self.path).st_ino, inode)

    def test_another_users_socket_is_left_alone(self):
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(self.path))
        dead.close()
        os.chown(self.path, LOW, LOW)
        self.refuses(str(self.path), "another user")

    def test_a_second_badged_does_not_take_the_first_ones_sockets(self):
        self.badged.start()
        with Badged(store="software", records=RECORDS, start=False) as second:
            second.agent_socket, second.admin_socket = self.path, self.badged.admin_socket
            second.write_config()
            done = subprocess.run([BUILD / "badged", "--config", second.config_file],
                                  capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 4, done)
        self.assertIn("living server", done.stderr)
        self.assertEqual(call(self.path, "GET", "/v1/jwks")[0], 200)

    def test_absent_directories_are_made_with_the_right_modes(self):
        self.run_dir.rmdir()
        os.umask(0o077)
        self.addCleanup(os.umask, 0o022)
        self.serves()
        self.assertEqual(os.stat(self.run_dir).st_mode & 0o777, 0o755)
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o666)
        self.assertEqual(os.stat(self.badged.admin_socket.parent).st_mode & 0o027, 0)


if __name__ == "__main__":
    unittest.main()
