"""An issuer of people's tokens, for tests: keys of every kind, its JWKS file, and JWTs with any one
thing wrong. Made with python3-jwcrypto, which is not ours."""
import base64
import hashlib
import hmac
import json
import time
import uuid

from jwcrypto import jwk, jws

ISSUER = "https://idp.example.org"
KINDS = {"ES256": {"kty": "EC", "crv": "P-256"}, "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
         "RS256": {"kty": "RSA", "size": 2048}, "PS256": {"kty": "RSA", "size": 2048}}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    def __init__(self, alg="ES256", kid=None):
        self.alg, self.kid = alg, kid or f"{alg}-{uuid.uuid4().hex[:8]}"
        self.key = jwk.JWK.generate(**KINDS[alg])
        self.public = json.loads(self.key.export_public())
        self.public.pop("kid", None)
        self.jkt = self.key.thumbprint()

    def entry(self):
        return {**self.public, "kid": self.kid, "alg": self.alg, "use": "sig"}

    def sign(self, header, payload):
        """`payload`: an object, or its text."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        made = jws.JWS(text)
        made.allowed_algs = list(KINDS)
        made.add_signature(self.key, alg=header["alg"], protected=json.dumps(header))
        return made.serialize(compact=True)


class IdentityProvider:
    def __init__(self, audience, issuer=ISSUER, algs=("ES256",)):
        self.issuer, self.audience = issuer, audience
        self.keys = {alg: Key(alg) for alg in algs}

    def jwks(self):
        return {"keys": [key.entry() for key in self.keys.values()]}

    def write(self, path):
        path.write_text(json.dumps(self.jwks()))
        path.chmod(0o644)
        return path

    def config(self, path, algorithms=None, extra=""):
        listed = ", ".join(f'"{alg}"' for alg in algorithms or self.keys)
        return f'''
[[subject_issuer]]
issuer = "{self.issuer}"
jwks_file = "{path}"
algorithms = [{listed}]
{extra}
'''

    def claims(self, **changed):
        """Those of a good token; None takes one out."""
        now = int(time.time())
        good = {"iss": self.issuer, "sub": "alice", "aud": self.audience, "iat": now,
                "exp": now + 600, "jti": uuid.uuid4().hex,
                "scope": "invoices.read invoices.write"}
        return {name: value for name, value in {**good, **changed}.items() if value is not None}

    def token(self, alg="ES256", header=None, payload=None, key=None, **changed):
        key = key or self.keys[alg]
        made = {"alg": alg, "typ": "JWT", "kid": key.kid, **(header or {})}
        made = {name: value for name, value in made.items() if value is not None}
        return key.sign(made, payload or self.claims(**changed))

    def forged(self, header, secret=b"", **changed):
        """With an alg that signs nothing, or with a public key as the secret."""
        text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(self.claims(**changed)).encode())
        if header["alg"] == "none":
            return text + "."
        return text + "." + b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())


def proof(key, token, url, method="POST", **changed):
    """A DPoP proof (RFC 9449) by `key`; None takes a claim out."""
    claims = {"jti": uuid.uuid4().hex, "htm": method, "htu": url, "iat": int(time.time()),
              "ath": b64(hashlib.sha256(token.encode()).digest()), **changed}
    claims = {name: value for name, value in claims.items() if value is not None}
    return key.sign({"alg": "ES256", "typ": "dpop+jwt", "jwk": key.public}, claims)
