#!/usr/bin/env python3
"""A resource server that takes badged's tokens: Python 3 with python3-jwcrypto.

usage: resource-server.py JWKS-FILE ISSUER AUDIENCE [PORT [STATUS-LIST-FILE]]

It answers 200 {"ok":true,"sub":...}, or 401 with WWW-Authenticate: DPoP error="...". The checks are
those of RFC 9068 4 (the token), RFC 9449 4.3 and 7.1 (the proof) and, with the status list that
badged publishes, draft-ietf-oauth-status-list 8.3: a revoked token is refused.
"""
import base64
import collections
import hashlib
import http.server
import json
import re
import sys
import threading
import time
import urllib.parse
import zlib

from jwcrypto import jwk, jws
from jwcrypto.common import JWException

PROOF_SECONDS = 60  # how old a proof may be, and how long its jti is remembered
SKEW_SECONDS = 5  # how far in the future
MAX_REMEMBERED = 100_000
MAX_JWT_BYTES = 16 * 1024
MAX_LIST_BYTES = 2 << 20
MAX_STATUS_BYTES = 1 << 20  # of a list after inflation: 2^23 tokens


class Refused(Exception):
    def __init__(self, code, description):
        super().__init__(description)
        self.code = code


def read_jwt(text, typ, key_of, max_bytes=MAX_JWT_BYTES):
    """The claims of a compact ES256 JWT whose key `key_of(header)` finds. Anything odd raises."""
    if len(text) > max_bytes or not re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", text, re.ASCII):
        raise ValueError("not a compact JWT")
    signed = jws.JWS()
    signed.allowed_algs = ["ES256"]
    signed.deserialize(text)
    header = signed.jose_header
    if header.get("alg") != "ES256" or str(header.get("typ")).lower() != typ or "crit" in header:
        raise ValueError(f"not an ES256 {typ}")
    signed.verify(key_of(header), alg="ES256")
    claims = json.loads(signed.payload)
    if not isinstance(claims, dict):
        raise ValueError("claims are not an object")
    return claims


def is_time(value):
    return isinstance(value, int) and not isinstance(value, bool)


class Verifier:
    def __init__(self, jwks_file, issuer, audience, status_list_file=None):
        self.status_list_file = status_list_file
        self.jwks_file, self.issuer, self.audience = jwks_file, issuer, audience
        self.seen = collections.OrderedDict()  # (jkt, jti) -> when it may be forgotten
        self.lock = threading.Lock()

    def issuer_key(self, header):
        # Read for each token here; a real server keeps it and reads again at an unknown kid.
        with open(self.jwks_file) as file:
            key = jwk.JWKSet.from_json(file.read()).get_key(str(header.get("kid")))
        if key is None or "jku" in header or "jwk" in header or "x5u" in header:
            raise ValueError("signed by no key of the issuer")
        return key

    def token(self, text):
        claims = read_jwt(text, "at+jwt", self.issuer_key)
        if claims.get("iss") != self.issuer or claims.get("aud") != self.audience:
            raise ValueError("from another issuer or for another audience")
        if not is_time(claims.get("exp")) or claims["exp"] <= time.time():
            raise ValueError("expired")
        if not isinstance(claims.get("sub"), str) or not isinstance(claims.get("cnf"), dict):
            raise ValueError("without sub or cnf")
        if self.status_list_file:
            self.refuse_revoked(claims)
        return claims

    def refuse_revoked(self, claims):
        # Read for each token here; a copy fetched from the issuer's URL is kept for its `ttl`.
        place = claims["status"]["status_list"]
        with open(self.status_list_file) as file:
            signed = read_jwt(file.read().strip(), "statuslist+jwt", self.issuer_key, MAX_LIST_BYTES)
        now = time.time()
        if signed.get("sub") != place["uri"] or not is_time(signed.get("exp")) or signed["exp"] <= now:
            raise ValueError("another status list, or an expired one")
        if not all(is_time(at) and at <= now + SKEW_SECONDS for at in (signed.get("iat"), signed.get("nbf", 0))):
            raise ValueError("a status list without iat, or from the future")
        packed = signed["status_list"]["lst"]
        inflate = zlib.decompressobj()
        statuses = inflate.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)), MAX_STATUS_BYTES)
        index = place["idx"]
        if signed["status_list"]["bits"] != 1 or not inflate.eof or not is_time(index) or not 0 <= index < len(statuses) * 8:
            raise ValueError("not in the status list")
        if statuses[index // 8] >> index % 8 & 1:
            raise ValueError("revoked")

    def proof(self, text, token, jkt, method, url):
        def embedded(header):  # whose key that is, jkt decides
            key = jwk.JWK(**header["jwk"])
            if key.has_private or key.thumbprint() != jkt:
                raise ValueError("signed by another key than the token names")
            return key

        claims = read_jwt(text, "dpop+jwt", embedded)
        now = time.time()
        ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        if claims.get("htm") != method:
            raise ValueError("for another method")
        if claims.get("htu") is None or not same_url(claims["htu"], url):
            raise ValueError("for another URL")
        if claims.get("ath") != ath:
            raise ValueError("for another token")
        if not is_time(claims.get("iat")) or not now - PROOF_SECONDS < claims["iat"] <= now + SKEW_SECONDS:
            raise ValueError("too old, or from the future")
        if not isinstance(claims.get("jti"), str) or len(claims["jti"]) > 128:
            raise ValueError("without a usable jti")
        self.refuse_replay((jkt, claims["jti"]), now)

    def refuse_replay(self, identity, now):
        with self.lock:
            while self.seen and next(iter(self.seen.values())) <= now:
                self.seen.popitem(last=False)
            if identity in self.seen:
                raise ValueError("used before")
            if len(self.seen) >= MAX_REMEMBERED:
                raise ValueError("too many proofs, try again later")
            self.seen[identity] = now + PROOF_SECONDS + SKEW_SECONDS

    def check(self, authorization, proofs, method, url):
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "dpop" or not token:
            raise Refused("invalid_token", "a DPoP-bound token is needed")
        if len(proofs) != 1:
            raise Refused("invalid_dpop_proof", "exactly one proof is needed")
        problems = (JWException, ValueError, KeyError, TypeError, RecursionError, OSError, zlib.error)
        try:
            claims = self.token(token)
        except problems as error:
            raise Refused("invalid_token", str(error)) from error
        try:
            self.proof(proofs[0], token, claims["cnf"].get("jkt"), method, url)
        except problems as error:
            raise Refused("invalid_dpop_proof", str(error)) from error
        return claims


def same_url(htu, url):
    """RFC 9449 4.3: without query and fragment; scheme, host and default port normalised."""
    def parts(text):
        split = urllib.parse.urlsplit(text)
        port = split.port or {"http": 80, "https": 443}.get(split.scheme)
        return split.scheme, split.hostname, port, split.path or "/"

    return isinstance(htu, str) and "?" not in htu and "#" not in htu and parts(htu) == parts(url)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = f"http://{self.headers.get('Host')}{self.path}"
        try:
            claims = self.server.verifier.check(self.headers.get("Authorization"),
                                                self.headers.get_all("DPoP") or [], self.command, url)
            self.answer(200, {"ok": True, "sub": claims["sub"], "scope": claims.get("scope")})
        except Refused as error:
            text = re.sub(r'[^ -~]|["\\]', "'", str(error))
            self.answer(401, {"ok": False, "error": error.code, "error_description": text},
                        f'DPoP error="{error.code}", error_description="{text}", algs="ES256"')

    do_POST = do_PUT = do_DELETE = do_GET

    def answer(self, status, body, challenge=None):
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5, 6):
        sys.exit(__doc__)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int((sys.argv + ["0"])[4])), Handler)
    server.verifier = Verifier(*sys.argv[1:4], *sys.argv[5:])
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
