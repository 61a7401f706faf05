"""Evidence made by a swtpm and tpm2-tools, in plain Python: an oracle of the format that shares no code with badged.

    with Tpm() as tpm:            # a simulator, a restricted P-256 AK under the EK, an issuer key certified by it
        text = tpm.evidence(challenge, audience)
"""

import base64
import hashlib
import json
import os
import struct
import subprocess
import tempfile
import time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def plain_signature(tpmt):
    """r || s of 64 bytes of a TPMT_SIGNATURE by P-256."""
    assert tpmt[:2] == b"\x00\x18"
    r_size = int.from_bytes(tpmt[4:6], "big")
    r, s = tpmt[6 : 6 + r_size], tpmt[8 + r_size :]
    return r.rjust(32, b"\0") + s.rjust(32, b"\0")


def binding(challenge, thumbprint, audience):
    return hashlib.sha256(
        b"badged-evidence-v1\0" + struct.pack(">I", len(challenge)) + challenge + thumbprint
        + struct.pack(">I", len(audience)) + audience.encode()
    ).digest()  # fmt: skip


class Tpm:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="badged-evidence-")
        self.path = self.folder.name
        socket = os.path.join(self.path, "swtpm.sock")
        self.swtpm = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.path}", "--server", f"type=unixio,path={socket}",
             "--ctrl", f"type=unixio,path={socket}.ctrl", "--flags", "not-need-init,startup-clear"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.environment = {**os.environ, "TPM2TOOLS_TCTI": f"swtpm:path={socket}"}
        deadline = time.monotonic() + 20
        while not os.path.exists(socket):
            if self.swtpm.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("swtpm does not start")
        self.make_keys()
        return self

    def __exit__(self, *_):
        self.swtpm.terminate()
        self.swtpm.wait()
        self.folder.cleanup()

    def tool(self, *words):
        done = subprocess.run(words, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{words}: {done.stderr}")
        subprocess.run(["tpm2_flushcontext", "-t"], cwd=self.path, env=self.environment, capture_output=True, check=False)
        return done.stdout

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as content:
            return content.read()

    def make_keys(self):
        self.tool("tpm2_createek", "-G", "ecc", "-c", "ek.ctx", "-u", "ek.tpm2b")
        self.tool("tpm2_createak", "-C", "ek.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-c", "ak.ctx",
                  "-u", "ak.pem", "-f", "pem", "-n", "ak.name")  # fmt: skip
        self.tool("tpm2_readpublic", "-c", "ak.ctx", "-o", "ak.tpmt", "-f", "tpmt")
        self.tool("tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "srk.ctx")
        self.tool("tpm2_create", "-C", "srk.ctx", "-G", "ecc256:ecdsa-sha256", "-u", "i.pub", "-r", "i.priv", "-a",
                  "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda")  # fmt: skip
        self.tool("tpm2_load", "-C", "srk.ctx", "-u", "i.pub", "-r", "i.priv", "-c", "i.ctx")
        self.tool("tpm2_readpublic", "-c", "i.ctx", "-o", "i.tpmt", "-f", "tpmt")
        self.tool("tpm2_certify", "-C", "ak.ctx", "-c", "i.ctx", "-g", "sha256", "-o", "i.attest", "-s", "i.signature")
        point = self.read("i.tpmt")[-68:]  # two TPM2B of 32 bytes
        x, y = b64(point[2:34]), b64(point[36:68])
        text = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":"))
        self.thumbprint = hashlib.sha256(text.encode()).digest()

    def quote(self, extra_data, selection):
        self.tool("tpm2_quote", "-c", "ak.ctx", "-l", selection, "-q", extra_data.hex(), "-g", "sha256",
                  "-m", "quote.attest", "-s", "quote.signature", "-o", "quote.pcrs")  # fmt: skip

    def pcrs(self, selection):
        banks = {}
        for line in self.tool("tpm2_pcrread", selection).splitlines():
            name, value = (part.strip() for part in line.split(":"))
            if not value:
                bank = banks.setdefault(name, {})
            else:
                bank[name] = value.removeprefix("0x").lower()
        return banks

    def sign(self, message):
        with open(os.path.join(self.path, "message"), "wb") as out:
            out.write(message)
        self.tool("tpm2_sign", "-c", "i.ctx", "-g", "sha256", "-s", "ecdsa", "-o", "signature", "message")
        return plain_signature(self.read("signature"))

    def evidence(self, challenge, audience, selection="sha256:0,1,7", **changed):
        """The host's own evidence."""
        self.quote(binding(challenge, self.thumbprint, audience), selection)
        kinds = {"attest": "tpms-attest", "signature": "tpmt-signature", "public": "tpmt-public"}
        record = lambda kind, data: [f"application/vnd.badged.{kinds[kind]}", b64(data), 4]  # noqa: E731
        cmw = {
            "quote.attest": record("attest", self.read("quote.attest")),
            "quote.signature": record("signature", self.read("quote.signature")),
            "pcrs": ["application/json", b64(json.dumps(self.pcrs(selection)).encode())],
            "issuer.public": record("public", self.read("i.tpmt")),
            "issuer.attest": record("attest", self.read("i.attest")),
            "issuer.signature": record("signature", self.read("i.signature")),
            "ak.public": record("public", self.read("ak.tpmt")),
            "ek.public": record("public", self.read("ek.tpm2b")[2:]),
        }
        claims = {
            "eat_profile": "tag:badged.invalid,2026:evidence#1",
            "iss": "https://badged.example.org",
            "sub": "spiffe://example.org/host/build-7",
            "aud": audience,
            "eat_nonce": b64(challenge),
            "iat": int(time.time()),
            "badged": {"custody": "tpm"},
            "cmw": cmw,
            **changed,
        }
        header = {"alg": "ES256", "typ": "eat+jwt", "kid": b64(self.thumbprint)}
        head = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
        return head + "." + b64(self.sign(head.encode()))
