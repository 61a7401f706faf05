"""ES256 in plain Python, to make tokens for tests. Slow and not constant-time: never for real keys."""

import base64
import hashlib
import json
import secrets

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def _add(a, b):
    if a is None:
        return b
    if b is None:
        return a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def _multiply(k, point):
    out = None
    while k:
        if k & 1:
            out = _add(out, point)
        point = _add(point, point)
        k >>= 1
    return out


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    def __init__(self):
        self.secret = secrets.randbelow(N - 1) + 1
        x, y = _multiply(self.secret, G)
        self.jwk = {
            "crv": "P-256",
            "kty": "EC",
            "x": b64(x.to_bytes(32, "big")),
            "y": b64(y.to_bytes(32, "big")),
        }
        canonical = json.dumps(self.jwk, separators=(",", ":"))
        self.thumbprint = b64(hashlib.sha256(canonical.encode()).digest())

    def sign(self, message):
        digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
        k = secrets.randbelow(N - 1) + 1
        r = _multiply(k, G)[0] % N
        s = pow(k, -1, N) * (digest + r * self.secret) % N
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def jws(self, header, payload):
        """`payload`: an object, or the JSON text itself."""
        if not isinstance(payload, str):
            payload = json.dumps(payload)
        head = b64(json.dumps(header).encode()) + "." + b64(payload.encode())
        return head + "." + b64(self.sign(head.encode()))
