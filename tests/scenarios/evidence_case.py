"""What the tests of evidence share: asking badged, and looking at the answer with software not ours."""
import base64
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

from harness import Badged, WithAgents, call, part, record

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


class Case(WithAgents, unittest.TestCase):
    def start(self, **options):
        badged = Badged(**{"records": RECORDS, **options}).__enter__()
        self.addCleanup(badged.__exit__)
        return badged

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
