"""Evidence as a verifier gets it: made by a real badged and TPM, looked at with software not ours."""
import base64
import hashlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ISSUER, Badged, call, part, record, wait_for  # noqa: E402

LOW, HIGH, STRANGER = 61001, 61002, 61003
VERIFIER = "https://verifier.example.org/"
RECORDS = {"low": record("low", match=f"uid = {LOW}"),
           "high": record("high", match=f"uid = {HIGH}", autonomy="high", access="admin")}
BURST, AT_ONCE_EACH = 5, 2  # daemon/calls/limits.h
EVENT_LOG_LIMIT, IMA_LOG_LIMIT = 512 * 1024, 2 * 1024 * 1024  # attest/limits.h


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def fresh(size=32):
    return b64(os.urandom(size))


def ask(challenge=None, audience=VERIFIER, **fields):
    return {"challenge": challenge or fresh(), "audience": audience, **fields}


def records_of(evidence):
    return {label: unb64(entry[1]) for label, entry in part(evidence, 1)["cmw"].items()}


def binding(challenge, thumbprint, audience):
    """As docs/protocol.md writes it down, and by nothing of ours."""
    sized = [struct.pack(">I", len(data)) + data for data in (unb64(challenge), audience.encode())]
    return hashlib.sha256(b"badged-evidence-v1\0" + sized[0] + unb64(thumbprint) + sized[1]).digest()


def extra_data(attest):
    """TPMS_ATTEST (Part 2, 10.12.12): magic, type, qualifiedSigner, extraData."""
    at = 6 + 2 + int.from_bytes(attest[6:8], "big")
    return attest[at + 2:at + 2 + int.from_bytes(attest[at:at + 2], "big")]


def der_signature(raw):
    def integer(data):
        data = data.lstrip(b"\0") or b"\0"
        data = (b"\0" if data[0] & 0x80 else b"") + data
        return b"\x02" + bytes([len(data)]) + data
    body = integer(raw[:32]) + integer(raw[32:])
    return b"\x30" + bytes([len(body)]) + body


def pem_of(area):
    """The P-256 point at the end of a TPMT_PUBLIC, as RFC 5480 writes it."""
    x, y = area[-66:-34], area[-32:]
    der = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") + x + y
    text = base64.b64encode(der).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text[:64]}\n{text[64:]}\n-----END PUBLIC KEY-----\n"


def run_in(files, *command):
    """A program in a directory with these files: its exit code."""
    with tempfile.TemporaryDirectory(prefix="badged-evidence-") as directory:
        for name, content in files.items():
            pathlib.Path(directory, name).write_bytes(
                content.encode() if isinstance(content, str) else content)
        return subprocess.run(command, cwd=directory, capture_output=True).returncode


class Case(unittest.TestCase):
    def start(self, **options):
        badged = Badged(**{"records": RECORDS, **options}).__enter__()
        self.addCleanup(badged.__exit__)
        return badged

    def agent(self, badged, uid):
        made = badged.agent(uid)
        self.addCleanup(made.end)
        return made

    def made(self, agent, **fields):
        status, evidence = agent.call("POST", "/v1/evidence", ask(**fields))
        self.assertEqual(status, 200, evidence)
        return evidence

    def of_host(self, badged, **fields):
        status, _, evidence = call(badged.admin_socket, "POST", "/v1/evidence", ask(**fields))
        self.assertEqual(status, 200, evidence)
        return evidence

    def check_quote(self, badged, evidence, challenge, thumbprint, audience=VERIFIER):
        files = records_of(evidence)
        ak = badged.get("/v1/identity")["ak_pem"]
        files["ak.pem"] = ak
        check = ("tpm2_checkquote", "-u", "ak.pem", "-m", "quote.attest", "-s", "quote.signature",
                 "-g", "sha256", "-q")
        bound = binding(challenge, thumbprint, audience)
        self.assertEqual(run_in(files, *check, bound.hex()), 0)
        self.assertNotEqual(run_in(files, *check, hashlib.sha256(bound).hexdigest()), 0)
        values = json.loads(files["pcrs"])
        hashed = b"".join(bytes.fromhex(value) for bank in values.values() for value in bank.values())
        self.assertTrue(files["quote.attest"].endswith(hashlib.sha256(hashed).digest()))
        return files

    def check_certified(self, files, key):
        """TPM2_Certify of `key` by the AK: signature by OpenSSL, Name by its definition."""
        area, attest = files[f"{key}.public"], files[f"{key}.attest"]
        name = b"\x00\x0b" + hashlib.sha256(area).digest()
        self.assertIn(struct.pack(">H", len(name)) + name, attest)
        tpmt = files[f"{key}.signature"]  # ECDSA, SHA-256, r and s with their sizes
        size = int.from_bytes(tpmt[4:6], "big")
        r, s = tpmt[6:6 + size], tpmt[8 + size:]
        signature = der_signature(r.rjust(32, b"\0") + s.rjust(32, b"\0"))
        self.assertEqual(run_in({"ak": files["ak.pem"], "m": attest, "s": signature}, "openssl",
                                "dgst", "-sha256", "-verify", "ak", "-signature", "s", "m"), 0)
        return area

    def check_signed_by(self, evidence, area):
        text, _, signature = evidence.rpartition(".")
        self.assertEqual(run_in({"key": pem_of(area), "m": text, "s": der_signature(unb64(signature))},
                                "openssl", "dgst", "-sha256", "-verify", "key", "-signature", "s",
                                "m"), 0)


class Shared(Case):
    """One badged for all of a class: each test starts processes, thus sessions, of its own."""

    @classmethod
    def setUpClass(cls):
        cls.badged = Badged(records=RECORDS).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def recorded(self):
        return [line for line in self.badged.audit() if line["kind"] == "evidence"]


class Made(Shared):
    def test_tpm2_checkquote_and_openssl_accept_a_sessions_evidence(self):
        agent, challenge = self.agent(self.badged, LOW), fresh()
        evidence = self.made(agent, challenge=challenge)
        claims = part(evidence, 1)
        self.assertEqual(part(evidence, 0)["typ"], "eat+jwt")
        self.assertEqual((claims["iss"], claims["aud"], claims["eat_nonce"]),
                         (ISSUER, VERIFIER, challenge))
        self.assertEqual(claims["sub"], "spiffe://example.org/host/build-7/agent/low")
        self.assertEqual(claims["badged"]["custody"], "locked-memory")
        files = self.check_quote(self.badged, evidence, challenge, claims["cnf"]["jkt"])
        self.assertEqual(set(json.loads(files["pcrs"])["sha256"]), {str(n) for n in range(16)})
        self.check_signed_by(evidence, self.check_certified(files, "issuer"))
        self.assertNotIn("pop.public", files)
        # The session that it speaks for is the one whose tokens it is asked about.
        token = agent.token()[1]["access_token"]
        self.assertEqual(part(token, 1)["cnf"]["jkt"], claims["cnf"]["jkt"])

    def test_a_high_assurance_sessions_key_is_certified_too(self):
        agent, challenge = self.agent(self.badged, HIGH), fresh()
        evidence = self.made(agent, challenge=challenge)
        claims = part(evidence, 1)
        self.assertEqual(claims["badged"]["custody"], "tpm")
        files = self.check_quote(self.badged, evidence, challenge, claims["cnf"]["jkt"])
        self.check_signed_by(evidence, self.check_certified(files, "issuer"))
        area = self.check_certified(files, "pop")
        jwk = {"crv": "P-256", "kty": "EC", "x": b64(area[-66:-34]), "y": b64(area[-32:])}
        text = json.dumps(jwk, separators=(",", ":")).encode()
        self.assertEqual(b64(hashlib.sha256(text).digest()), claims["cnf"]["jkt"])

    def test_the_hosts_own_evidence_speaks_for_the_issuer_key(self):
        challenge = fresh(64)
        evidence = self.of_host(self.badged, challenge=challenge, pcrs={"sha256": [7, 0]})
        claims = part(evidence, 1)
        self.assertEqual(claims["sub"], "spiffe://example.org/host/build-7")
        self.assertNotIn("cnf", claims)
        files = self.check_quote(self.badged, evidence, challenge, part(evidence, 0)["kid"])
        self.assertEqual(set(json.loads(files["pcrs"])["sha256"]), {"0", "7"})
        self.check_signed_by(evidence, self.check_certified(files, "issuer"))

    def test_h20_another_challenge_audience_or_session_gives_other_extra_data(self):
        one, two = self.agent(self.badged, LOW), self.agent(self.badged, LOW)
        challenge = fresh(16)
        seen = {extra_data(records_of(evidence)["quote.attest"]) for evidence in (
            self.made(one, challenge=challenge),
            self.made(one, challenge=challenge, audience=VERIFIER + "x"),
            self.made(one, challenge=fresh(16)),
            self.made(two, challenge=challenge),
            self.of_host(self.badged, challenge=challenge))}
        self.assertEqual(len(seen), 5)
        again = extra_data(records_of(self.made(one, challenge=challenge))["quote.attest"])
        self.assertIn(again, seen)

    def test_the_eks_certificate_goes_along(self):
        text = records_of(self.of_host(self.badged))["ek.chain"].decode()
        self.assertEqual(run_in({"c": text}, "openssl", "x509", "-in", "c", "-noout"), 0)

    def test_it_is_on_record_before_it_is_answered(self):
        agent, challenge = self.agent(self.badged, LOW), fresh()
        evidence = self.made(agent, challenge=challenge, pcrs={"sha256": [1, 0]})
        line = self.recorded()[-1]
        self.assertEqual((line["agent"], line["uid"], line["audience"], line["pcrs"]),
                         ("low", LOW, VERIFIER, "sha256:0,1"))
        self.assertEqual(line["challenge_sha256"], hashlib.sha256(unb64(challenge)).hexdigest())
        self.assertEqual(line["jkt"], part(evidence, 1)["cnf"]["jkt"])
        self.of_host(self.badged)
        self.assertNotIn("agent", self.recorded()[-1])
        self.assertEqual(self.recorded()[-1]["uid"], 0)


class Refused(Shared):
    def refused(self, answer, status, error):
        self.assertEqual((answer[0], answer[1].get("error")), (status, error), answer)
        self.assertTrue(answer[1]["error_description"])

    def test_what_is_no_question_is_refused_and_changes_nothing(self):
        good, agent = ask(), self.agent(self.badged, LOW)
        before = len(self.recorded())
        padded = base64.urlsafe_b64encode(os.urandom(32)).decode()
        for bad in ({"challenge": fresh(15)}, {"challenge": fresh(65)}, {"challenge": padded},
                    {"challenge": ""}, {"challenge": "A" * 22 + "B"}, {"challenge": "+/" * 16},
                    {"challenge": 7}, {"challenge": None}, {"audience": ""}, {"audience": ["a"]},
                    {"audience": "a\nb"}, {"audience": "a" * 2049}, {"nonce": "x"},
                    {"pcrs": {}}, {"pcrs": []}, {"pcrs": "sha256:0"}, {"pcrs": None},
                    {"pcrs": {"sha256": []}}, {"pcrs": {"sha256": 7}},
                    {"pcrs": {"sha256": [24]}}, {"pcrs": {"sha256": [-1]}},
                    {"pcrs": {"sha256": [0.5]}}, {"pcrs": {"sha256": ["0"]}},
                    {"pcrs": {"sha256": [1e300]}}, {"pcrs": {"sha256": [2**64]}},
                    {"pcrs": {"sha256": [1, 1]}}, {"pcrs": {"sha256": [[0]]}},
                    {"pcrs": {"sm3_256": [0]}}, {"pcrs": {"SHA256": [0]}}, {"pcrs": {"": [0]}},
                    {"pcrs": {"sha256": list(range(24)) * 10}}):
            with self.subTest(bad):
                answer = agent.call("POST", "/v1/evidence", {**good, **bad})
                self.refused(answer, 400, "invalid_request")
                host = call(self.badged.admin_socket, "POST", "/v1/evidence", {**good, **bad})
                self.refused((host[0], host[2]), 400, "invalid_request")
        for missing in good:
            answer = agent.call("POST", "/v1/evidence", {k: v for k, v in good.items() if k != missing})
            self.refused(answer, 400, "invalid_request")
        twice = json.dumps(good)[:-1] + ',"audience":"other"}'
        json_type = {"Content-Type": "application/json"}
        self.refused(agent.call("POST", "/v1/evidence", twice, json_type), 400, "invalid_request")
        self.assertIsNone(agent.call("GET", "/v1/whoami")[1].get("session"))
        self.assertEqual(len(self.recorded()), before)
        self.made(agent)

    def test_a_bank_that_the_tpm_lacks_is_refused_with_those_it_has(self):
        agent = self.agent(self.badged, LOW)
        answer = agent.call("POST", "/v1/evidence", ask(pcrs={"sha384": [0], "sha256": [0]}))
        self.refused(answer, 400, "invalid_request")
        self.assertIn("sha384", answer[1]["error_description"])
        self.assertIn("sha256", answer[1]["hint"])

    def test_h25_ten_megabytes_are_refused_unread(self):
        with self.agent(self.badged, LOW) as agent:
            huge = {"Content-Type": "application/json", "Content-Length": str(10 * 2**20)}
            status, answer = agent.call("POST", "/v1/evidence", "{", huge)
            self.assertEqual(status, 413, answer)
        self.made(self.agent(self.badged, LOW))

    def test_a_stranger_gets_nothing(self):
        answer = self.agent(self.badged, STRANGER).call("POST", "/v1/evidence", ask())
        self.refused(answer, 403, "unauthorized_client")

    def test_a_session_that_asks_again_and_again_is_slowed_and_others_are_not(self):
        greedy, other = self.agent(self.badged, LOW), self.agent(self.badged, LOW)
        for _ in range(BURST):
            self.made(greedy)
        answers = [greedy.tell(do="call", method="POST", target="/v1/evidence", body=ask())
                   for _ in range(3)]
        slowed = [answer for answer in answers if answer["status"] == 429]
        self.assertTrue(slowed, answers)
        self.assertEqual(slowed[0]["body"]["error"], "temporarily_unavailable")
        self.assertEqual(slowed[0]["headers"]["Retry-After"], "1")
        self.made(other)
        self.of_host(self.badged)

    def test_software_keys_give_no_evidence_and_say_why(self):
        badged = self.start(store="software")
        answer = self.agent(badged, LOW).call("POST", "/v1/evidence", ask())
        self.refused(answer, 400, "invalid_request")
        self.assertIn("software", answer[1]["error_description"])
        self.assertEqual(badged.status()["sessions"], 0)
        done = badged.ctl("evidence", "--host", "--challenge", fresh(), "--audience", "v")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stdout, "")


class Busy(Case):
    """Evidence under way is bounded, for each agent and in all; the next is told at once."""

    def test_an_agents_third_at_once_is_refused_while_two_wait_for_the_tpm(self):
        badged = self.start()
        agents = [self.agent(badged, LOW) for _ in range(AT_ONCE_EACH + 1)]
        for agent in agents:
            agent.token()
        os.kill(badged.tpm.pid, signal.SIGSTOP)
        answers = []
        try:
            waiting = [threading.Thread(target=lambda a=agent: answers.append(
                a.call("POST", "/v1/evidence", ask()))) for agent in agents]
            for thread in waiting:
                thread.start()
            [status, answer] = wait_for(lambda: answers, "the one too many to be refused")[0]
            self.assertEqual((status, answer["error"]), (503, "temporarily_unavailable"))
            self.assertEqual(len(answers), 1)
        finally:
            os.kill(badged.tpm.pid, signal.SIGCONT)
        for thread in waiting:
            thread.join()
        self.assertEqual([status for status, _ in answers], [503, 200, 200])

    def test_who_does_not_read_holds_a_place_until_it_goes(self):
        with tempfile.NamedTemporaryFile() as log:
            log.write(b"x" * IMA_LOG_LIMIT)
            log.flush()
            badged = self.start(config=f'[evidence]\nima_log = "{log.name}"')
            body = json.dumps(ask()).encode()
            request = (b"POST /v1/evidence HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n" % len(body)) + body
            readers = []
            for _ in range(AT_ONCE_EACH):
                reader = socket.socket(socket.AF_UNIX)
                self.addCleanup(reader.close)
                reader.connect(str(badged.admin_socket))
                reader.sendall(request)
                self.assertEqual(reader.recv(15), b"HTTP/1.1 200 OK")  # the rest stays there
                readers.append(reader)
            status, headers, answer = call(badged.admin_socket, "POST", "/v1/evidence", ask())
            self.assertEqual((status, headers["Retry-After"]), (503, "1"), answer)
            self.made(self.agent(badged, LOW))
            readers[0].close()
            wait_for(lambda: call(badged.admin_socket, "POST", "/v1/evidence", ask())[0] == 200,
                     "the place to be free again")


class Away(Case):
    def test_h26_without_its_tpm_it_is_unavailable_and_back_again_with_it(self):
        badged = self.start()
        agent = self.agent(badged, LOW)
        self.made(agent)
        badged.tpm.kill()
        for answer in (agent.call("POST", "/v1/evidence", ask()),
                       call(badged.admin_socket, "POST", "/v1/evidence", ask())[::2]):
            self.assertEqual((answer[0], answer[1]["error"]), (503, "temporarily_unavailable"))
        badged.tpm.start()
        wait_for(lambda: badged.status()["keystore"]["condition"] == "ready", "the TPM to be back")
        challenge = fresh()
        evidence = self.made(agent, challenge=challenge)
        self.check_quote(badged, evidence, challenge, part(evidence, 1)["cnf"]["jkt"])


class Logs(Case):
    """The kernel's logs: as they are, or named as left out with the reason."""

    def evidence_with(self, event_log, ima_log, more=""):
        badged = self.start(
            config=f'[evidence]\nevent_log = "{event_log}"\nima_log = "{ima_log}"\n{more}')
        evidence = self.of_host(badged)
        return records_of(evidence), part(evidence, 1)["badged"].get("omitted", {})

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="badged-logs-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def log(self, name, size):
        path = self.directory / name
        path.write_bytes(os.urandom(size))
        return path

    def test_logs_at_their_limits_are_attached_byte_for_byte(self):
        event, ima = self.log("event", EVENT_LOG_LIMIT), self.log("ima", IMA_LOG_LIMIT)
        files, omitted = self.evidence_with(event, ima)
        self.assertEqual(files["eventlog"], event.read_bytes())
        self.assertEqual(files["imalog"], ima.read_bytes())
        self.assertEqual(omitted, {})

    def test_longer_ones_are_left_out_whole_and_named(self):
        event, ima = self.log("event", EVENT_LOG_LIMIT + 1), self.log("ima", IMA_LOG_LIMIT + 1)
        files, omitted = self.evidence_with(event, ima)
        self.assertEqual(omitted, {"eventlog": "too-large", "imalog": "too-large"})
        self.assertFalse({"eventlog", "imalog"} & set(files))

    def test_absent_and_unreadable_ones_are_named(self):
        fifo = self.directory / "fifo"
        os.mkfifo(fifo)
        _, omitted = self.evidence_with(self.directory / "none", fifo)
        self.assertEqual(omitted, {"eventlog": "absent", "imalog": "unreadable"})
        _, omitted = self.evidence_with(self.directory, "/dev/zero")
        self.assertEqual(omitted, {"eventlog": "unreadable", "imalog": "unreadable"})
        _, omitted = self.evidence_with(self.log("empty", 0), self.directory / "none")
        self.assertEqual(omitted, {"eventlog": "absent", "imalog": "absent"})

    def test_an_admin_can_keep_them_on_the_host(self):
        log = self.log("event", 100)
        files, omitted = self.evidence_with(log, log, "attach_logs = false")
        self.assertEqual(omitted, {"eventlog": "absent", "imalog": "absent"})
        self.assertNotIn("eventlog", files)


class CommandLine(Shared):
    def test_prints_evidence_or_writes_it_whole(self):
        challenge = fresh()
        done = self.badged.ctl("evidence", "--challenge", challenge, "--audience", VERIFIER, uid=LOW)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(part(done.stdout.strip(), 1)["eat_nonce"], challenge)
        self.assertIn("cnf", part(done.stdout.strip(), 1))
        out = self.badged.directory / "evidence"
        done = self.badged.ctl("evidence", "--host", "--challenge", challenge, "--audience", "v",
                               "--pcrs", "sha256:0,7", "--out", str(out), "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)), (0, {"out": str(out)}), done.stderr)
        self.assertEqual(set(json.loads(records_of(out.read_text().strip())["pcrs"])["sha256"]),
                         {"0", "7"})
        done = self.badged.ctl("evidence", "--host", "--challenge", challenge, "--audience", "v",
                               "--json")
        self.assertEqual(part(json.loads(done.stdout)["evidence"], 1)["aud"], "v")

    def test_out_writes_through_what_is_no_plain_file(self):
        link = self.badged.directory / "link"
        target = self.badged.directory / "target"
        target.write_text("x" * 100000)
        link.symlink_to(target)
        done = self.badged.ctl("evidence", "--host", "--challenge", fresh(), "--audience", "v",
                               "--out", str(link))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(link.is_symlink())
        self.assertIn("cmw", part(target.read_text().strip(), 1))

    def test_exit_codes(self):
        for code, uid, *arguments in ((1, None, "--challenge", fresh()),  # a stranger
                                      (1, LOW, "--challenge", fresh(15)),
                                      (1, LOW, "--challenge", fresh(), "--pcrs", "sha256:24"),
                                      (1, LOW, "--challenge", fresh(), "--pcrs", "sha512:1"),
                                      (3, LOW, "--challenge", fresh(), "--pcrs", "sha256"),
                                      (3, LOW, "--challenge", fresh(), "--pcrs", "sha256:1,"),
                                      (2, LOW),
                                      (4, None, "--host", "--challenge", fresh(), "--out", "/none/x")):
            with self.subTest(arguments):
                done = self.badged.ctl("evidence", "--audience", "v", *arguments, uid=uid)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                self.assertEqual(done.stdout, "")

    def test_without_its_tpm_it_is_exit_4(self):
        self.badged.tpm.kill()
        self.addCleanup(self.badged.tpm.start)
        done = self.badged.ctl("evidence", "--audience", "v", "--host", "--challenge", fresh(), "--json")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(json.loads(done.stdout)["error"], "temporarily_unavailable")


if __name__ == "__main__":
    unittest.main()
